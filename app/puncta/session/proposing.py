"""What models propose for a clip, from a frame somebody has labelled or from nothing: masks by the tracker, tips too.

The tracker carries the needle on from the key frame; the tip detector with its filter looks on the same frames by
itself. Where the two part, a person should look first. Where the tracker leaves the needle for something else
(`same_needle`), nothing more is proposed: frames that stay open are better than wrong ones.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from puncta.annotation.labels import (
    LINE_SUFFIX,
    Kind,
    Label,
    LineLabel,
    MaskLabel,
    NotVisible,
    PolygonLabel,
    Provenance,
    TipLabel,
    Value,
    mask_label,
    mask_of,
    utc_now,
)
from puncta.annotation.store_suggestions import DISAGREEMENT, DOUBT, MODELS_JOIN, Suggestion
from puncta.core.errors import UserError
from puncta.core.frame import Frame
from puncta.core.geometry import PointPx
from puncta.core.ports import FrameSource
from puncta.core.prompts import MaskPrompt, Prompt, ScribblePrompt
from puncta.core.results import Analysis, Certainty, Detection, Line, MaskResult, PluginOutput
from puncta.imaging.needle_pose import NeedlePose, pose_of_mask
from puncta.pipeline.host import PluginHost
from puncta.session.between_keys import NEEDLE, TIP, USUAL_MM
from puncta.session.plugins import hosted_plugins
from puncta.session.propagate import propagate
from puncta.session.same_needle import SameNeedle, Verdict

TRACKER, DETECTOR = "breast-biopsy", "needle-tip"
APART_MM = 3.0
"""Two models that place the tip farther apart disagree [mm]."""
FAR_MM = 12.0
"""At this distance the disagreement counts in full [mm]."""
SURE_ABSENT = 0.25
"""Below this presence the frame is proposed as showing no needle."""
LEAST_TELLING = 0.25
"""A frame with less doubt than this needs no place in the queue."""
PATIENCE = 12
"""So many frames without the drawn needle, from the first one on, and the tracker does not see it at all."""
STRAYED = 0.95
"""Doubt about the frame at which the tracker has left the needle."""


class Strayed(UserError):
    """The tracker follows something else than the needle that was drawn; nothing is proposed from here on.

    Attributes
    ----------
    what : str
        What it does, in a sentence; the whole message says besides what is left to do where nothing is labelled yet.
    span : (int, int) or None
        The frames without a proposal, in the order of the way; None where that is all of them.
    """

    def __init__(self, words: str, what: str = "", span: tuple[int, int] | None = None) -> None:
        super().__init__(words)
        self.what, self.span = what or words, span


@dataclass(frozen=True, slots=True)
class FrameProposal:
    """What is proposed for one frame, and why somebody should look at it.

    Attributes
    ----------
    labels : tuple of Label
        Their rater is filled in by whoever lays them on a board.
    suggestion : Suggestion or None
    """

    index: int
    labels: tuple[Label, ...]
    suggestion: Suggestion | None


def open_models() -> PluginHost:
    """Return a host with tracker and tip detector, as they are promoted now; close it in the end.

    Raises
    ------
    UserError
        One of them is not there.
    """
    return PluginHost(hosted_plugins((DETECTOR, TRACKER)))


def prompt_of(values: Sequence[Value]) -> Prompt | None:
    """Return what a frame's labels tell the tracker: the mask, else the line; None where they tell nothing."""
    for value in values:
        if isinstance(value, MaskLabel | PolygonLabel):
            mask = mask_of(value)
            return MaskPrompt(mask) if mask.any() else None
    for value in values:
        if isinstance(value, LineLabel):
            return ScribblePrompt((value.entry_px, value.tip_px))
    return None


def propose_by_models(
    source: FrameSource,
    host: PluginHost,
    names: Sequence[str],
    *,
    start: int,
    end: int,
    prompt: Prompt | None = None,
    stop: threading.Event | None = None,
) -> Iterator[FrameProposal]:
    """Yield proposals from one frame to another, in the order of the way; the start is left out where it is a key.

    Parameters
    ----------
    names : sequence of str
        Categories of the label set.
    start, end : int
        Frames, both included; ``end`` before ``start`` goes backwards.
    prompt : Prompt or None
        What is known of the frame ``start``; None lets the tracker begin by itself.

    Raises
    ------
    Strayed
        What the tracker finds is not, or no longer, the needle of the prompt; what was yielded before holds.
    UserError
        As `propagate`.
    """
    needle: SameNeedle | None = None
    missed = 0
    for analysis in propagate(source, host, TRACKER, start=start, end=end, prompt=prompt, stop=stop):
        frame = analysis.frame
        index, t_ns = frame.key.index, frame.key.pts_ns
        needle = needle or SameNeedle(_pose_of_prompt(prompt), _scale_of(frame))
        mask, line, tracked = _of_tracker(analysis.output(TRACKER))
        pose = _pose_of(mask, line, frame)
        if prompt is not None and index == start:
            needle.begin(t_ns)
            _look_at_start(needle, prompt, mask, pose, frame, names)
            continue
        if prompt is None and pose is not None:
            apart = _apart_mm(tracked, _tip_of(analysis.output(DETECTOR)), frame)
            if apart is not None and apart > FAR_MM:
                # Nobody has said which needle, and the two models see different ones: neither is proposed.
                yield replace(proposal_of(analysis, names, start), labels=())
                continue
        verdict = needle.follow(pose, t_ns) if pose is not None else Verdict(True)
        missed = missed + 1 if pose is None and not needle.seen else 0
        if not verdict.same:
            look = Suggestion(index, DOUBT, STRAYED, "needle left here", _models(analysis))
            yield FrameProposal(index, (), look)
            raise _strayed(index, end, verdict.words, drawn=prompt is not None)
        if prompt is not None and missed >= PATIENCE:
            raise Strayed(
                f"The tracker does not see the needle that was drawn on frame {start}; it may be too faint for it. "
                "Nothing is proposed. Draw it on one more frame, and what lies between is proposed."
            )
        unseen = prompt is not None and not needle.seen
        proposal = proposal_of(analysis, names, start, needle)
        yield FrameProposal(index, (), None) if unseen else _to_look_at(proposal, verdict, analysis)


def _strayed(index: int, end: int, why: str, *, drawn: bool) -> Strayed:
    """What a tracker says that leaves its needle; without a drawn one nobody knows which of the two it was."""
    if drawn:
        what = f"From frame {index} on the tracker follows something else than the needle: {why}."
        rest = f"Frames {index} to {end} stay open. Draw the needle on one of them, and what lies between is proposed."
        return Strayed(f"{what} {rest}", what, (index, end))
    what = f"From frame {index} on the tracker follows another line than before: {why}."
    rest = (
        f"Which one is the needle, it does not know, so frames {index} to {end} stay open. "
        f"Draw the needle on frame {index} and go on from there."
    )
    return Strayed(f"{what} {rest}", what, (index, end))


def _look_at_start(
    needle: SameNeedle,
    prompt: Prompt,
    mask: MaskResult | None,
    pose: NeedlePose | None,
    frame: Frame,
    names: Sequence[str],
) -> None:
    """Stop at once where the tracker finds something else on the very frame that was drawn."""
    if pose is None or needle.drawn is None or NEEDLE not in names:
        return
    drawn = prompt.mask if isinstance(prompt, MaskPrompt) and prompt.origin_px == (0, 0) else None
    found = _whole(mask, frame) if mask is not None and mask.mask is not None and drawn is not None else None
    verdict = needle.is_drawn(pose, found, drawn)
    if not verdict.same:
        raise Strayed(
            f"On frame {frame.key.index} the tracker finds something else than the needle that was drawn: "
            f"{verdict.words}. Nothing is proposed. Draw it on one more frame, and what lies between is proposed."
        )


def _to_look_at(proposal: FrameProposal, verdict: Verdict, analysis: Analysis) -> FrameProposal:
    """A needle that moves far along its axis at once is proposed, and is to be looked at."""
    if not verdict.words:
        return proposal
    there = proposal.suggestion
    told = Suggestion(proposal.index, DOUBT, max(0.8, there.score if there else 0.0), verdict.words, _models(analysis))
    return replace(proposal, suggestion=told)


def _pose_of_prompt(prompt: Prompt | None) -> NeedlePose | None:
    if isinstance(prompt, ScribblePrompt):
        return NeedlePose(prompt.points_px[-1], prompt.points_px[0], 0.0)
    if not isinstance(prompt, MaskPrompt):
        return None
    pose = pose_of_mask(prompt.mask)
    if pose is None:
        return None
    x, y = prompt.origin_px
    return replace(
        pose,
        tip_px=(pose.tip_px[0] + x, pose.tip_px[1] + y),
        entry_px=(pose.entry_px[0] + x, pose.entry_px[1] + y),
    )


def _pose_of(mask: MaskResult | None, line: Line | None, frame: Frame) -> NeedlePose | None:
    """The needle that a tracker sees on a frame; None while it has lost it."""
    if mask is None or mask.mask is None or mask.certainty is Certainty.LOST:
        return None
    if line is not None and line.entry_px is not None and line.tip_px is not None:
        return NeedlePose(line.tip_px, line.entry_px, 0.0)
    return pose_of_mask(_whole(mask, frame))


def _scale_of(frame: Frame) -> tuple[float, float]:
    calibration = frame.geometry.calibration
    return calibration.mm_per_px if calibration is not None else (USUAL_MM, USUAL_MM)


def _models(analysis: Analysis) -> str:
    outputs = (analysis.output(TRACKER), analysis.output(DETECTOR))
    return MODELS_JOIN.join(o.model for o in outputs if o is not None and o.model)


def proposal_of(
    analysis: Analysis, names: Sequence[str], start: int, needle: SameNeedle | None = None
) -> FrameProposal:
    """Return what the models of one frame propose.

    Parameters
    ----------
    needle : SameNeedle or None
        The needle so far: a tip far from it is none of its.
    """
    frame = analysis.frame
    tracker, detector = analysis.output(TRACKER), analysis.output(DETECTOR)
    mask, line, tracked = _of_tracker(tracker)
    tip = _tip_of(detector)
    if tip is not None and tip.tip_px is not None and needle is not None and needle.seen:
        lost = mask is None or mask.mask is None or mask.certainty is Certainty.LOST
        if lost and not needle.near_tip(tip.tip_px, frame.key.pts_ns):
            tip = None
    base = f"frame {start}"
    values: list[tuple[str, Value, Provenance]] = []
    presence = mask.score if mask is not None else 0.0
    seen = mask is not None and mask.mask is not None and mask.certainty is not Certainty.LOST
    if seen and mask is not None and mask.mask is not None:
        by = _made_by(tracker, base, presence)
        if NEEDLE in names:
            values.append((NEEDLE, mask_label(_whole(mask, frame)), by))
            if line is not None and line.entry_px is not None and line.tip_px is not None:
                values.append((NEEDLE + LINE_SUFFIX, LineLabel(line.entry_px, line.tip_px), by))
    apart = _apart_mm(tracked, tip, frame) if seen else None
    if TIP in names:
        # The detector sees the tip; the tracker knows which needle. Where they part, the needle decides.
        trusted = (
            tip if tip is not None and (apart is None or apart <= APART_MM) and not _weaker(tip, tracked) else None
        )
        if trusted is not None and trusted.tip_px is not None:
            values.append((TIP, TipLabel(trusted.tip_px), _made_by(detector, base, trusted.score)))
        elif tracked is not None and tracked.tip_px is not None and seen:
            values.append((TIP, TipLabel(tracked.tip_px), _made_by(tracker, base, tracked.score)))
    if not values and presence < SURE_ABSENT:
        absent = _made_by(tracker, base, 1.0 - presence)
        values = [(name, NotVisible(), absent) for name in (NEEDLE, TIP) if name in names]
    key = frame.hashed_key()
    labels = tuple(Label(name, key, "", value, made) for name, value, made in values)
    return FrameProposal(key.index, labels, _suggestion(key.index, labels, presence, apart, tracker, detector))


def doubts_of(analysis: Analysis) -> tuple[float, float | None]:
    """Return how unsure the models are of a frame, 0..1, and how far apart they place the tip [mm], if both do.

    A tracker that is sure that there is no needle is as sure as one that is sure of it.
    """
    mask, _line, tracked = _of_tracker(analysis.output(TRACKER))
    tip = _tip_of(analysis.output(DETECTOR))
    presence = mask.score if mask is not None else 0.0
    doubt = 1.0 - abs(2.0 * min(1.0, max(0.0, presence)) - 1.0)
    if tip is not None and presence >= SURE_ABSENT:
        doubt = max(doubt, 1.0 - min(1.0, max(0.0, tip.score)))
    if tip is not None and presence < SURE_ABSENT:
        doubt = max(doubt, 0.7)  # a tip without a needle
    return doubt, _apart_mm(tracked, tip, analysis.frame)


def _suggestion(
    index: int,
    labels: Sequence[Label],
    presence: float,
    apart: float | None,
    tracker: PluginOutput | None,
    detector: PluginOutput | None,
) -> Suggestion | None:
    names = MODELS_JOIN.join(o.model for o in (tracker, detector) if o is not None and o.model)
    if apart is not None and apart > APART_MM:
        words = f"disagree {apart:.1f} mm"
        return Suggestion(index, DISAGREEMENT, min(1.0, 0.3 + 0.7 * apart / FAR_MM), words, names)
    if presence < SURE_ABSENT and any(isinstance(label.value, TipLabel) for label in labels):
        return Suggestion(index, DISAGREEMENT, 0.7, "a tip without a needle", names)
    doubt = 1.0 - max((label.made.confidence or 0.0 for label in labels), default=0.0)
    if not labels:
        return Suggestion(index, DOUBT, max(0.6, 1.0 - abs(2.0 * presence - 1.0)), "needle lost", names)
    return Suggestion(index, DOUBT, doubt, f"confidence {1.0 - doubt:.2f}", names) if doubt > LEAST_TELLING else None


def _of_tracker(output: PluginOutput | None) -> tuple[MaskResult | None, Line | None, Detection | None]:
    mask: MaskResult | None = None
    line: Line | None = None
    tip: Detection | None = None
    for result in output.results if output is not None else ():
        if isinstance(result, MaskResult) and result.label == NEEDLE:
            mask = result
        elif isinstance(result, Line) and result.label == NEEDLE:
            line = result
        elif isinstance(result, Detection) and result.label == TIP:
            tip = result
    return mask, line, tip


def _tip_of(output: PluginOutput | None) -> Detection | None:
    for result in output.results if output is not None else ():
        if isinstance(result, Detection) and result.label == TIP and result.tip_px is not None:
            return None if result.certainty is Certainty.LOST else result
    return None


def _weaker(tip: Detection, tracked: Detection | None) -> bool:
    """Whether the detector only guesses on a frame where the tracker measures."""
    return tip.predicted and tracked is not None and tracked.tip_px is not None and not tracked.predicted


def _apart_mm(one: Detection | None, other: Detection | None, frame: Frame) -> float | None:
    a: PointPx | None = one.tip_px if one is not None else None
    b: PointPx | None = other.tip_px if other is not None else None
    if a is None or b is None:
        return None
    sx, sy = _scale_of(frame)
    return math.hypot((a[0] - b[0]) * sx, (a[1] - b[1]) * sy)


def _whole(mask: MaskResult, frame: Frame) -> NDArray[np.bool_]:
    """The mask at the size of the whole picture."""
    assert mask.mask is not None
    whole = np.zeros(frame.pixels.shape[:2], bool)
    (x, y), (h, w) = mask.origin_px, mask.mask.shape
    left, top = max(0, x), max(0, y)
    height, width = frame.pixels.shape[:2]
    right, bottom = min(width, x + w), min(height, y + h)
    if right > left and bottom > top:
        whole[top:bottom, left:right] = mask.mask[top - y : bottom - y, left - x : right - x]
    return whole


def _made_by(output: PluginOutput | None, base: str, confidence: float) -> Provenance:
    model, _, version = (output.model if output is not None else "").rpartition(" ")
    by = model or (output.plugin_id if output is not None else TRACKER)
    return Provenance(Kind.PROPAGATED, by, version, base, utc_now(), round(float(confidence), 3))


def with_rater(labels: Sequence[Label], rater: str) -> list[Label]:
    """Return labels laid into a rater's layer."""
    return [replace(label, rater=rater) for label in labels]
