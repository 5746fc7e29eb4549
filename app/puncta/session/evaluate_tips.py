"""Tips and needles of an evaluation: what is labelled on a frame, and what a plugin said about it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from puncta.core.flags import Flag
from puncta.core.frame import UltrasoundRegion
from puncta.core.geometry import tip_box_px
from puncta.core.results import Box, Certainty, Detection, Line, PluginOutput, Point
from puncta.formats.dataset import (
    NEEDLE_CATEGORY,
    TIP_CATEGORY,
    Annotation,
    Dataset,
    Image,
    Visibility,
    annotations_by_image,
    is_judged,
    is_true_negative,
)
from puncta.metrics.frames import FrameAnswer, FrameLabels
from puncta.sdk.manifest import PluginManifest

VISIBLE = frozenset({Visibility.CLEAR, Visibility.UNCERTAIN})
LINE_PAD_PX = 2.0
"""Half width given to a line without a box of its own [px]."""


class Labels:
    """Reads what is labelled on a frame, as far as a plugin speaks about it.

    Parameters
    ----------
    dataset : Dataset
    manifest : PluginManifest
        Kinds of results it does not emit are not judged.
    """

    def __init__(self, dataset: Dataset, manifest: PluginManifest) -> None:
        emitted = {emits.label for emits in manifest.results}
        self._annotations = annotations_by_image(dataset)
        self._tip = dataset.category(TIP_CATEGORY) if TIP_CATEGORY in emitted else None
        self._needle = dataset.category(NEEDLE_CATEGORY) if NEEDLE_CATEGORY in emitted else None

    def of(self, image: Image, mm_per_px: tuple[float, float] | None) -> FrameLabels | None:
        """Return the labels of a frame; None where nothing on it is judged."""
        annotations = self._annotations.get(image.id, ())
        tip_judged = needle_judged = False
        tip = needle = None
        if self._tip is not None and is_judged(image, TIP_CATEGORY):
            tip = _visible(annotations, self._tip.id)
            tip_judged = tip is not None or is_true_negative(image, annotations, self._tip)
        if self._needle is not None and is_judged(image, NEEDLE_CATEGORY):
            needle = _visible(annotations, self._needle.id)
            needle_judged = needle is not None or is_true_negative(image, annotations, self._needle)
        if not tip_judged and not needle_judged:
            return None
        tip_px = axis = None
        if tip is not None and tip.bbox is not None:
            x0, y0, w, h = tip.bbox
            tip_px = tip.tip_px or (x0 + w / 2, y0 + h / 2)
        if needle is not None and needle.tip_px is not None and needle.entry_px is not None:
            axis = (needle.entry_px, needle.tip_px)
        return FrameLabels(
            tip_judged,
            tip_px,
            tip.bbox if tip is not None else None,
            needle_judged,
            needle.bbox if needle is not None else None,
            axis,
            mm_per_px,
        )


def _visible(annotations: Iterable[Annotation], category_id: int) -> Annotation | None:
    such = (a for a in annotations if a.category_id == category_id and a.visibility in VISIBLE and a.bbox is not None)
    return next(such, None)


def answer_from_output(output: PluginOutput, region: UltrasoundRegion, timings: bool = True) -> FrameAnswer:
    """Return what a plugin said about tip and needle; a fault says nothing.

    Of several tips the one with the best score counts. A detection marked lost gives no tip, whatever it holds.
    """
    tips: list[Detection | Point] = [
        r for r in output.results if isinstance(r, Detection | Point) and r.label == TIP_CATEGORY
    ]
    given = [r for r in tips if _tip_of(r) is not None]
    best = max(given, key=lambda r: r.score, default=None)
    scores = [r.score for r in (given or tips)]
    lines = [
        r
        for r in output.results
        if isinstance(r, Line) and r.label == NEEDLE_CATEGORY and r.tip_px is not None and r.entry_px is not None
    ]
    line = max(lines, key=lambda r: r.score, default=None)
    return FrameAnswer(
        tip_px=_tip_of(best) if best is not None else None,
        score=max(scores) if scores else None,
        radius90_px=best.radius90_px if isinstance(best, Detection) else None,
        withheld=best is None and any(r.reason for r in tips),
        unfamiliar=Flag.OUT_OF_DISTRIBUTION in output.flags,
        tip_boxes=tuple((r.score, _tip_box(r, region)) for r in given),
        needle_boxes=_needle_boxes(output, lines),
        axis=(line.entry_px, line.tip_px) if line is not None and line.entry_px and line.tip_px else None,
        elapsed_ns=output.elapsed_ns if timings else None,
    )


def _tip_of(result: Detection | Point) -> tuple[float, float] | None:
    if isinstance(result, Point):
        return result.point_px
    return None if result.certainty is Certainty.LOST or result.box is None else result.tip_px


def _tip_box(result: Detection | Point, region: UltrasoundRegion) -> Box:
    if isinstance(result, Detection) and result.box is not None:
        return result.box
    tip_px = _tip_of(result)
    assert tip_px is not None
    return tip_box_px(tip_px, region.box)


def _needle_boxes(output: PluginOutput, lines: Sequence[Line]) -> tuple[tuple[float, Box], ...]:
    """Boxes of needles as the plugin gives them; of a line the hull, padded."""
    boxes = tuple(
        (r.score, r.box)
        for r in output.results
        if isinstance(r, Detection)
        and r.label == NEEDLE_CATEGORY
        and r.box is not None
        and r.certainty is not Certainty.LOST
    )
    if boxes:
        return boxes
    hulls = []
    for line in lines:
        if line.entry_px is not None and line.tip_px is not None:
            (ax, ay), (bx, by) = line.entry_px, line.tip_px
            x0, y0 = min(ax, bx) - LINE_PAD_PX, min(ay, by) - LINE_PAD_PX
            hulls.append((line.score, (x0, y0, abs(ax - bx) + 2 * LINE_PAD_PX, abs(ay - by) + 2 * LINE_PAD_PX)))
    return tuple(hulls)
