"""What a dataset's labels say about the needle's mask on a frame: the truth that trackers learn from and are judged by.

The true mask is the *whole* needle in the image plane (`physical_segmentation` of simulated sets), also where it fades:
a tracker is asked where the needle is and not only where it shines. Recorded sets have the traced `segmentation` alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from puncta.formats.dataset import Annotation, Category, Image, Visibility, is_judged, is_true_negative
from puncta.formats.rle import mask_from_rle
from puncta.metrics.mask import Mask, Plane

PLANE_SIGMA = math.sqrt(-2.0 * math.log(0.3))
"""A needle this far off the image plane [beam sigmas] has left it: the simulator's visible mask ends at a weight .3."""
PHYSICAL = "physical_segmentation"


@dataclass(frozen=True, slots=True, eq=False)
class MaskTruth:
    """The needle of one frame.

    Attributes
    ----------
    plane : Plane
    mask : ndarray of bool, shape (h, w), or None
        The whole needle in the plane; None where there is none in it.
    shows : bool or None
        Whether the shaft stands out (visibility "clear"); None where there is no needle in the plane.
    physical : bool
        The mask is the whole shaft and not only what was traced.
    """

    plane: Plane
    mask: Mask | None = None
    shows: bool | None = None
    physical: bool = False


def mask_truth(image: Image, annotations: Iterable[Annotation], needle: Category) -> MaskTruth | None:
    """Return the truth of a frame; None where nobody has judged it, or its needle has no mask.

    A needle is in the plane where some of its shaft shows, or where it hides in a shadow while its tip lies within
    `PLANE_SIGMA` of the plane.

    Raises
    ------
    UserError
        A run-length mask that does not fit its size.
    """
    if not is_judged(image, needle.name):
        return None
    annotations = tuple(annotations)
    found = next((a for a in annotations if a.category_id == needle.id and a.visibility is not Visibility.ABSENT), None)
    if found is None:
        return MaskTruth(Plane.NO_NEEDLE) if is_true_negative(image, annotations, needle) else None
    physical = found.more.get(PHYSICAL)
    shape = (image.height, image.width)
    visible = mask_of_segmentation(found.segmentation, shape)
    if visible is None and not _near_plane(image):
        return MaskTruth(Plane.OUT_OF_PLANE)
    whole = mask_of_segmentation(physical, shape)
    mask = visible if whole is None else whole
    if mask is None:
        return None
    return MaskTruth(Plane.IN_PLANE, mask, found.visibility is Visibility.CLEAR, whole is not None)


def _near_plane(image: Image) -> bool:
    offset = (image.difficulty or {}).get("offset_sigma")
    return isinstance(offset, int | float) and offset <= PLANE_SIGMA


def mask_of_segmentation(segmentation: object, shape: tuple[int, int]) -> Mask | None:
    """Return the mask of polygons or an RLE, shape (h, w); None where it is missing or empty.

    Raises
    ------
    UserError
        A run-length mask that does not fit its size.
    """
    if isinstance(segmentation, dict):
        mask = mask_from_rle(segmentation)
    elif isinstance(segmentation, list) and segmentation:
        canvas = np.zeros(shape, np.uint8)
        for polygon in segmentation:
            points = np.rint(np.asarray(polygon, np.float64).reshape(-1, 2) * 16).astype(np.int32)
            cv2.fillPoly(canvas, [points[:, None]], 1, cv2.LINE_8, 4)
        mask = canvas > 0
    else:
        return None
    return mask if mask.shape == shape and mask.any() else None
