"""Findings on a whole picture: how old they may be, and the words, shapes and figures with which they are told."""

from __future__ import annotations

from collections.abc import Iterable

from puncta.core.frame import Frame, SourceKind
from puncta.core.results import ClassResult, Measure, PluginOutput

FRESH_NS = 100_000_000
"""Age [ns] up to which a finding carried forward counts as one of the picture; past it, it is dimmed and stale."""
GONE_NS = 250_000_000
"""Age [ns] past which a finding carried forward is no longer shown."""

TARGET_INTERSPACE = "target_interspace"
"""Label of the finding that is derived from the three flags of an infant spine."""

FINDING_WORDS = {"quality": "Quality", "cord": "Cord", "csf": "CSF", TARGET_INTERSPACE: "Target interspace"}
STATE_WORDS = {True: "yes", False: "no", None: "cannot tell"}
QUALITY = "quality"
"""Label of the finding whether a picture is good enough to say anything else of it."""
POOR_PICTURE = "poor picture"
"""Stands behind what is said of a picture that is not good enough. It is judged by itself and may be right, but read
beside "quality no" it would look like a contradiction, and without it like a finding to rely on."""
STATE_MARKS: dict[bool | None, tuple[str, str]] = {
    True: ("accent", "circle"),
    False: ("neutral", "ring"),
    None: ("caution", "diamond"),
}
"""Tone and shape. No colour of praise or blame: whether a cord in view is good depends on the task."""
STATE_SIGNS: dict[bool | None, str] = {True: "●", False: "○", None: "◆"}
"""The shapes as characters, for words that stand in a row of figures."""
RIBBON_CODES: dict[bool | None, int] = {False: 1, None: 2, True: 3}
"""How a ribbon stores what was said of a frame; 0 is not seen yet."""
ADVICE_WORDS = ("Training feedback", "target interspace, CSF yes, cord no")
"""Said only where all three flags are sure."""
OF_THE_PICTURE = {"csf_depth"}
"""Measures that are taken from what the picture shows of an infant's spine, not from a weight or a needle."""
MEASURE_WORDS = {
    "csf_depth": "CSF depth",
    "needle_depth": "Expected needle depth",
    "inserted": "Needle in the picture",
    "bend": "Needle bends by",
}


def carried_ns(output: PluginOutput, frame: Frame) -> int:
    """How much older than a frame the results shown with it are [ns]; 0 for its own.

    Time is the frames' own; only a live stream is as old as its arrival.
    """
    if output.frame_id == frame.frame_id:
        return 0
    if frame.source.kind is SourceKind.LIVE or output.frame_key is None:
        return max(0, frame.t_ns - output.frame_t_ns)
    return max(0, frame.key.pts_ns - output.frame_key.pts_ns)


def finding_name(label: str) -> str:
    """The name of a finding for the screen, before translation."""
    return FINDING_WORDS.get(label, label)


def heat_words(label: str, *, speaks: bool) -> str:
    """What stands on a heat map, before translation; ``speaks`` is whether any cell speaks for the finding."""
    return f"heat map: {finding_name(label)}{'' if speaks else ', nothing speaks for it'}"


def measure_name(measure: Measure) -> str:
    """The name of a measure for the screen, before translation."""
    return MEASURE_WORDS.get(measure.label, measure.label)


def confidence_of_finding(result: ClassResult) -> float | None:
    """Chance that what is said is right; None where nothing is said."""
    if result.value is None:
        return None
    return result.probability if result.value else 1.0 - result.probability


def is_poor(result: ClassResult, results: Iterable[object]) -> bool:
    """Tell whether something is said, yes or no, of a picture whose quality is said to be no."""
    if result.value is None or result.label in {QUALITY, TARGET_INTERSPACE}:
        return False
    return _has_poor_quality(results)


def _has_poor_quality(results: Iterable[object]) -> bool:
    return any(isinstance(r, ClassResult) and r.label == QUALITY and r.value is False for r in results)


def measure_basis(measure: Measure, results: Iterable[object]) -> str:
    """What a figure goes by, or why there is none; what was measured in a poor picture says that before all else."""
    if measure.value is None:
        return measure.reason or ""
    if measure.label in OF_THE_PICTURE and _has_poor_quality(results):
        return POOR_PICTURE
    return measure.basis or ""


def finding_words(result: ClassResult, results: Iterable[object]) -> tuple[str, str]:
    """Return what is said and, where the picture is poor, what has to be read with it; before translation."""
    return STATE_WORDS[result.value], POOR_PICTURE if is_poor(result, results) else ""


def finding_mark(result: ClassResult, results: Iterable[object]) -> tuple[str, str]:
    """Return tone and shape of a finding; what is said of a poor picture keeps its shape and loses its colour."""
    tone, shape = STATE_MARKS[result.value]
    return ("neutral" if is_poor(result, results) else tone), shape


def finding_figure(result: ClassResult) -> str:
    """The confidence as a figure; never 1.00, which would claim that nothing can be wrong."""
    confidence = confidence_of_finding(result)
    return "" if confidence is None else f"{min(confidence, 0.99):.2f}"
