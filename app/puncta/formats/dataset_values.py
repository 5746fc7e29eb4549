"""The values of Dataset v1: COCO with videos, typed and frozen.

A folder holds `dataset.json` and `images/` (8-bit grey PNG) or `clips/` (DICOM or video). Coordinates are
source-image pixels, pixel centres at integers; a box is [x0, y0, w, h] in that system.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from puncta.core.results import Box

TIP_CATEGORY = "needle_tip"
NEEDLE_CATEGORY = "needle"


class Review(StrEnum):
    """What a person did with a frame."""

    UNSEEN = "unseen"
    PROPOSED = "proposed"
    CONFIRMED = "confirmed"
    BULK = "bulk"


class Visibility(StrEnum):
    """How a labelled thing shows; ABSENT states that it is not there."""

    CLEAR = "clear"
    UNCERTAIN = "uncertain"
    OUT_OF_PLANE = "out_of_plane"
    SHADOWED = "shadowed"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Info:
    """Facts about the whole dataset. ``label_set`` is empty only for plain COCO."""

    label_set: str
    license: str
    simulated: bool
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Video:
    """A clip. ``mm_per_px`` is (x, y) [mm/px], None where uncalibrated; ``fps`` [1/s] is a mean where it varies."""

    id: int
    name: str
    fps: float
    mm_per_px: tuple[float, float] | None = None
    machine: str | None = None
    subject: str | None = None
    split: str | None = None
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Image:
    """One labelled frame.

    Attributes
    ----------
    file_name : str
        Picture or clip, relative to dataset.json, forward slashes.
    frame_index : int
        Number of the decoded frame in the clip, from 0.
    width, height : int
        [px]
    pts_ns : int
        Stored presentation time [ns].
    sha256 : str or None
        Hash as in the frame key.
    region : tuple of float or None
        Ultrasound region [x0, y0, w, h] [px].
    labelled : tuple of str
        Categories and flags judged on this frame.
    flags : mapping of str to int or None
        0 absent, 1 present, a higher number a grade, None not assessed.
    difficulty : mapping or None
        What makes the frame hard, where known.
    """

    id: int
    file_name: str
    width: int
    height: int
    video_id: int | None = None
    frame_index: int = 0
    pts_ns: int = 0
    sha256: str | None = None
    region: Box | None = None
    machine: str | None = None
    subject: str | None = None
    split: str | None = None
    review: Review = Review.UNSEEN
    labelled: tuple[str, ...] = ()
    flags: Mapping[str, int | None] = field(default_factory=dict)
    difficulty: Mapping[str, Any] | None = None
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Category:
    """A kind of thing that has a place in the picture."""

    id: int
    name: str
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Annotation:
    """One thing on one frame.

    Attributes
    ----------
    bbox : tuple of float or None
        [x0, y0, w, h] [px]; None only where nothing can be pointed at.
    segmentation : list, dict or None
        Polygons [[x, y, ...]] [px] or RLE {size, counts}.
    keypoints : tuple of float
        (tip x, y, v, entry x, y, v) [px]; empty where there are none. v: 0 not labelled, 1 hidden, 2 visible.
    rater, source : str or None
        Who judged, and where the label comes from.
    """

    id: int
    image_id: int
    category_id: int
    bbox: Box | None
    area: float = 0.0
    iscrowd: int = 0
    segmentation: Any = None
    keypoints: tuple[float, ...] = ()
    visibility: Visibility = Visibility.CLEAR
    rater: str | None = None
    source: str | None = None
    more: Mapping[str, Any] = field(default_factory=dict)

    def keypoint_px(self, number: int) -> tuple[float, float] | None:
        """Return a keypoint [px] by its number (0 tip, 1 entry); None where it is not labelled."""
        values = self.keypoints[3 * number : 3 * number + 3]
        return (values[0], values[1]) if len(values) == 3 and values[2] > 0 else None

    @property
    def tip_px(self) -> tuple[float, float] | None:
        """The tip [px], or None."""
        return self.keypoint_px(0)

    @property
    def entry_px(self) -> tuple[float, float] | None:
        """Where the shaft enters the region [px], or None."""
        return self.keypoint_px(1)


@dataclass(frozen=True, slots=True)
class Dataset:
    """A whole dataset; the order of its parts is kept in files."""

    info: Info
    videos: tuple[Video, ...] = ()
    images: tuple[Image, ...] = ()
    categories: tuple[Category, ...] = ()
    annotations: tuple[Annotation, ...] = ()

    def category(self, name: str) -> Category | None:
        """Return a category by name, or None."""
        return next((c for c in self.categories if c.name == name), None)

    def videos_by_id(self) -> dict[int, Video]:
        """Return the videos by number."""
        return {video.id: video for video in self.videos}
