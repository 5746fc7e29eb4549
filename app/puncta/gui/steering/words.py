"""What the window says about a steered frame. Tables hold English; they are translated where they are shown."""

from __future__ import annotations

from collections import Counter

from puncta.formats.attempt import AttemptEvent, AttemptSummary
from puncta.gui.i18n import tr
from puncta.sim.tissue_kinds import Tissue
from puncta.sources.steering import AttemptView, SteeredView

IN_PLANE_MM = 1.0
"""Nearer to the image plane than this counts as in it [mm]; about half a beam's thickness."""

TISSUE_WORDS: dict[Tissue, str] = {
    Tissue.OUTSIDE: "outside",
    Tissue.GEL: "in gel",
    Tissue.SKIN: "in the skin",
    Tissue.FAT: "in fat",
    Tissue.GLAND: "in gland",
    Tissue.CONNECTIVE: "in connective tissue",
    Tissue.MUSCLE: "in muscle",
    Tissue.FASCIA: "in fascia",
    Tissue.BONE: "on bone",
    Tissue.CARTILAGE: "in cartilage",
    Tissue.CYST: "in the cyst",
    Tissue.BENIGN_MASS: "in the mass",
    Tissue.MALIGNANT_MASS: "in the mass",
    Tissue.DUCT: "in a duct",
    Tissue.NERVE: "in the nerve",
    Tissue.ARTERY: "in the artery",
    Tissue.VEIN: "in the vein",
    Tissue.VESSEL_WALL: "in a vessel's wall",
    Tissue.PLEURA: "at the pleura",
    Tissue.LUNG: "in the lung",
    Tissue.DURA: "in the dura",
    Tissue.CSF: "in CSF",
    Tissue.CORD: "in the cord",
    Tissue.CAUDA_EQUINA: "in the cauda equina",
    Tissue.EPIDURAL_FAT: "in epidural fat",
    Tissue.DISC: "in a disc",
    Tissue.HAEMATOMA: "in a haematoma",
    Tissue.LIGAMENT: "in a ligament",
    Tissue.FLUID: "in injected fluid",
    Tissue.AIR: "in air",
    Tissue.TENDON: "in a tendon",
}

HIT_WORDS: dict[str, str] = {
    "artery": "artery hit",
    "vein": "vein hit",
    "nerve": "nerve hit",
    "bone": "bone hit",
    "pleura": "pleura hit",
    "lung": "lung hit",
    "cord": "cord hit",
    "dura": "dura hit",
    "muscle": "muscle hit",
    "disc": "disc hit",
    "cauda equina": "nerve root hit",
}

EVENT_WORDS: dict[str, str] = {
    "contact": "skin touched",
    "pop": "a layer gives way",
    "target": "target reached",
    "target-left": "target left",
    "through": "far wall pierced",
    "fired": "gun fired",
    "injected": "fluid injected",
    "withdrawn": "needle withdrawn",
    "done": "done",
}
"""Events that are told; which tissue the tip enters stands beside the picture anyway."""


def where_words(view: SteeredView) -> tuple[str, str, str]:
    """Where the tip is: words, tone and shape."""
    if view.lost_contact:
        return tr("probe lifted off"), "caution", "triangle"
    if view.needle is None or view.needle.way_mm <= 0:
        return tr("outside"), "neutral", "ring"
    if view.pushed:
        return tr("pushed against bone"), "bad", "cross"
    tissue = view.tissue if view.tissue is not None else Tissue.OUTSIDE
    words = tr(TISSUE_WORDS.get(tissue, "in tissue"))
    if view.tenting_mm > 0.3:
        return tr("{place}, pushing ahead").replace("{place}", words), "caution", "diamond"
    if view.attempt.in_target:
        return tr("{place}, on target").replace("{place}", words), "good", "circle"
    return words, "accent", "circle"


def plane_words(behind_mm: float) -> str:
    """How far something lies from the image plane."""
    if abs(behind_mm) < IN_PLANE_MM:
        return tr("in the plane")
    words = tr("{distance} mm behind the plane") if behind_mm > 0 else tr("{distance} mm in front of the plane")
    return words.replace("{distance}", f"{abs(behind_mm):.0f}")


def tip_in_picture(view: SteeredView) -> bool:
    """Tell whether the tip, seen straight onto the plane, lies in the part of the picture that shows tissue."""
    if view.needle is None or view.needle.tip_px is None or view.needle.way_mm <= 0:
        return False
    (x, y), (x0, y0, w, h) = view.needle.tip_px, view.region
    return x0 <= x < x0 + w and y0 <= y < y0 + h


def tip_line(view: SteeredView) -> str:
    """One sentence about the tip's place; nothing while it is outside."""
    if view.needle is None or view.needle.way_mm <= 0:
        return ""
    words = tr("The tip is {place}.") if tip_in_picture(view) else tr("The tip is {place}, beside the picture.")
    return words.replace("{place}", plane_words(view.needle.tip_behind_mm))


def plane_colour(behind_mm: float) -> str:
    """Colour token of something at a distance from the image plane; words or a dash say the same."""
    if abs(behind_mm) < IN_PLANE_MM:
        return "target"
    return "accent" if behind_mm > 0 else "caution"


def target_line(view: SteeredView) -> str:
    """One sentence about the target's place."""
    behind = view.target.behind_mm
    if abs(behind) < IN_PLANE_MM:
        return tr("The target is in the plane.")
    words = tr("The target is {distance} mm behind the plane.")
    if behind < 0:
        words = tr("The target is {distance} mm in front of the plane.")
    return words.replace("{distance}", f"{abs(behind):.0f}")


def is_told(event: AttemptEvent) -> bool:
    """Tell whether an event gets a line."""
    return event.kind == "hit" or event.kind in EVENT_WORDS


def event_words(event: AttemptEvent) -> str:
    """What happened, without its time."""
    if event.kind == "hit":
        return tr(HIT_WORDS.get(event.tissue or "", "forbidden tissue hit"))
    return tr(EVENT_WORDS.get(event.kind, event.kind))


def hit_words(attempt: AttemptView) -> list[str]:
    """What must not be hit and was, each with how often, in the order of the first hits."""
    counts = Counter(event_words(event) for event in attempt.events if event.bad)
    counted = {1: "{what}", 2: tr("{what} twice")}
    more = tr("{what} {count} times")
    return [
        counted.get(count, more).replace("{what}", what).replace("{count}", str(count))
        for what, count in counts.items()
    ]


def event_line(event: AttemptEvent, start_ns: int) -> str:
    """A short line about something that happened, with its time from first skin contact."""
    words = event_words(event)
    if event.ml:
        words = f"{words}, {event.ml:.1f} ml"
    seconds = (event.t_ns - start_ns) / 1e9
    return tr("{what} at {time} s").replace("{what}", words).replace("{time}", f"{seconds:.1f}")


def event_lines(attempt: AttemptView) -> list[str]:
    """Lines of all events that are told, oldest first."""
    return [event_line(event, attempt.start_ns) for event in attempt.events if is_told(event)]


def end_words(attempt: AttemptView, summary: AttemptSummary) -> str:
    """How an attempt ended, in one line: where the tip is, and what was hit on the way."""
    far = summary.end_distance_mm
    if summary.end_in_target:
        words = tr("Done in the target")
    elif far is None:
        words = tr("Done beside the target")
    else:
        distance = f"{far:.0f}" if far >= 10.0 else f"{far:.1f}"
        words = tr("Done {distance} mm from the target").replace("{distance}", distance)
    return "; ".join((words, *hit_words(attempt)))
