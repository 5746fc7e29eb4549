"""From the truth of a frame to its labels in Dataset v1."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from puncta.core.results import Box
from puncta.formats.dataset import NEEDLE_CATEGORY, TIP_CATEGORY, Annotation, Category, Visibility
from puncta.formats.rle import rle_from_mask
from puncta.sim.truth import FrameTruth

TIP = Category(1, TIP_CATEGORY)
NEEDLE = Category(2, NEEDLE_CATEGORY)
RATER = "simulator"
UNCERTAIN_SHAFT_CNR = 1.0
FLAGS = ("quality", "cord", "csf")
"""Flags of an infant's window, as the label set infant-lp names them."""

Masks = Callable[[], tuple[NDArray[np.bool_], NDArray[np.bool_]]]
"""Returns the physical and the visible mask of the needle, shape (h, w) each."""


def annotations_of(truth: FrameTruth, image_id: int, first_id: int, masks: Masks | None = None) -> list[Annotation]:
    """Return the labels of a simulated frame: none where no tip is in the field, else the tip and the needle.

    Parameters
    ----------
    masks : callable or None
        Where given, the needle's segmentation is its visible mask as run lengths, and the mask of the whole needle in
        the field stands beside it; else the segmentation is the outline of the visible shaft.
    """
    if truth.tip_px is None or truth.entry_px is None or truth.tip_box is None:
        return []
    visibility = Visibility(truth.visibility)
    shown = 2.0 if visibility in {Visibility.CLEAR, Visibility.UNCERTAIN} else 1.0
    keypoints = (*truth.tip_px, shown, *truth.entry_px, 2.0 if truth.needle_box else 1.0)
    shaft, box = Visibility.OUT_OF_PLANE, None
    segmentation: Any = None
    area, more = polygon_area(truth.shaft_polygon), {}
    if truth.needle_box is not None:
        faint = truth.shaft_cnr is None or truth.shaft_cnr < UNCERTAIN_SHAFT_CNR
        shaft, box = (Visibility.UNCERTAIN if faint else Visibility.CLEAR), as_box(truth.needle_box)
        segmentation = [[round(v, 3) for point in truth.shaft_polygon for v in point]]
    if masks is not None:
        physical, visible = masks()
        more = {"physical_segmentation": rle_from_mask(physical)}
        segmentation = rle_from_mask(visible) if truth.needle_box is not None else None
        area = float(visible.sum()) if truth.needle_box is not None else 0.0
    common: dict[str, Any] = {"image_id": image_id, "keypoints": keypoints, "rater": RATER, "source": RATER}
    tip_box = as_box(truth.tip_box)
    return [
        Annotation(
            id=first_id, category_id=TIP.id, bbox=tip_box, area=tip_box[2] * tip_box[3], visibility=visibility, **common
        ),
        Annotation(
            id=first_id + 1,
            category_id=NEEDLE.id,
            bbox=box,
            area=area,
            segmentation=segmentation,
            visibility=shaft,
            more=more,
            **common,
        ),
    ]


def flags_of(truth: FrameTruth) -> dict[str, int | None]:
    """Return the three flags of an infant's window; None where a frame does not tell."""
    flags: Mapping[str, int | None] = truth.flags
    return {name: flags.get(name) for name in FLAGS}


def as_box(values: Sequence[float]) -> Box:
    """Return a box of four numbers."""
    x0, y0, w, h = values
    return (x0, y0, w, h)


def polygon_area(points: tuple[tuple[float, float], ...]) -> float:
    """Area of a polygon [px^2], by the shoelace formula."""
    if len(points) < 3:
        return 0.0
    x, y = np.asarray(points, dtype=np.float64).T
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)
