"""What of a picture is kept: by default its ultrasound region alone, so that names on the screen never enter."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from puncta.core.errors import UserError
from puncta.core.frame import Frame
from puncta.core.results import Detection, HeatMap, Line, MaskResult, Point, Result
from puncta.core.target import TargetFix
from puncta.recording.plane_codec import Planes, subsampling_of

NO_REGION = (
    "No ultrasound region is known in this picture, so names on the screen could enter; "
    "record the whole picture only where it shows none."
)


@dataclass(frozen=True, slots=True)
class Layout:
    """How a frame's native planes are stored, and how its shown pixels come from them.

    Attributes
    ----------
    pixel_format : str
        gray8, rgb24, yuv420p, yuv422p or yuv444p; "gray8" and "rgb24" are the shown pixels themselves.
    """

    pixel_format: str
    grey: bool
    full_range: bool = True

    def planes_of(self, frame: Frame) -> Planes:
        """Return what is stored of a frame, before anything is cut off."""
        return (frame.pixels,) if self.pixel_format in ("gray8", "rgb24") else frame.planes


@dataclass(frozen=True, slots=True)
class Keeping:
    """Which part of the picture is kept.

    Attributes
    ----------
    box : tuple of int
        [x0, y0, w, h] [px] of the source's picture that is stored.
    region : tuple of int
        The ultrasound region inside the stored picture [px].
    whole : bool
        The whole picture is kept.
    """

    box: tuple[int, int, int, int]
    region: tuple[int, int, int, int]
    region_origin: str
    whole: bool

    @property
    def words(self) -> str:
        """What the manifest says of it."""
        return "whole picture" if self.whole else "ultrasound region"


def check_region(frame: Frame) -> None:
    """Refuse a frame whose ultrasound region is not known; costs nothing.

    Raises
    ------
    UserError
    """
    if frame.geometry.region.origin == "whole picture":
        raise UserError(NO_REGION)


def keeping_of(frame: Frame, layout: Layout, *, whole: bool) -> Keeping:
    """Return what is kept of a frame and of those after it.

    Samples of chroma that serve two pixels ask for an even corner; what the stored picture then has beyond the region
    is blanked, so nothing from outside enters.

    Raises
    ------
    UserError
        No ultrasound region is known, and the whole picture was not asked for.
    """
    geometry = frame.geometry
    width, height = geometry.width_px, geometry.height_px
    known = geometry.region
    x0, y0, w, h = (int(v) for v in known.box)
    x0, y0 = max(0, x0), max(0, y0)
    w, h = min(w, width - x0), min(h, height - y0)
    if whole:
        return Keeping((0, 0, width, height), (x0, y0, w, h), known.origin, True)
    if known.origin == "whole picture" or w <= 0 or h <= 0:
        raise UserError(NO_REGION)
    across, down = subsampling_of(layout.pixel_format)
    left, top = x0 - x0 % across, y0 - y0 % down
    right, bottom = min(width, x0 + w + -(x0 + w) % across), min(height, y0 + h + -(y0 + h) % down)
    box = (left, top, right - left, bottom - top)
    return Keeping(box, (x0 - left, y0 - top, w, h), known.origin, False)


def same_place(frame: Frame, keeping: Keeping, size_px: tuple[int, int]) -> bool:
    """Tell whether a frame still has the size and the region that a recording began with."""
    geometry = frame.geometry
    if (geometry.width_px, geometry.height_px) != size_px:
        return False
    x0, y0, w, h = keeping.region
    return keeping.whole or tuple(geometry.region.box) == (keeping.box[0] + x0, keeping.box[1] + y0, w, h)


def cut_planes(planes: Planes, layout: Layout, keeping: Keeping) -> Planes:
    """Return the kept part of a frame's planes."""
    if keeping.whole:
        return planes
    x0, y0, w, h = keeping.box
    across, down = subsampling_of(layout.pixel_format)
    cut = [planes[0][y0 : y0 + h, x0 : x0 + w]]
    for chroma in planes[1:]:
        cut.append(chroma[y0 // down : -(-(y0 + h) // down), x0 // across : -(-(x0 + w) // across)])
    rx, ry, rw, rh = keeping.region
    if (rx, ry, rw, rh) != (0, 0, w, h):
        inside = np.zeros_like(cut[0])
        inside[ry : ry + rh, rx : rx + rw] = cut[0][ry : ry + rh, rx : rx + rw]
        cut[0] = inside
    return tuple(np.ascontiguousarray(plane) for plane in cut)


def shift_result(result: Result, by_px: tuple[int, int]) -> Result:
    """Return a result in the pixels of the kept picture.

    Parameters
    ----------
    by_px : tuple of int
        Where the kept picture's first pixel was in the source's picture [px].
    """
    if by_px == (0, 0):
        return result
    x, y = by_px
    match result:
        case Point():
            return replace(result, point_px=_moved(result.point_px, x, y))
        case Line():
            return replace(result, entry_px=_moved(result.entry_px, x, y), tip_px=_moved(result.tip_px, x, y))
        case Detection():
            box = result.box
            moved = None if box is None else (box[0] - x, box[1] - y, box[2], box[3])
            return replace(result, box=moved, tip_px=_moved(result.tip_px, x, y))
        case MaskResult():
            return replace(result, origin_px=(result.origin_px[0] - x, result.origin_px[1] - y))
        case HeatMap():
            at = result.box_px
            return replace(result, box_px=(at[0] - x, at[1] - y, at[2], at[3]))
    return result


def shift_target(fix: TargetFix | None, by_px: tuple[int, int]) -> TargetFix | None:
    """Return a target in the pixels of the kept picture; see `shift_result`."""
    if fix is None:
        return None
    return replace(fix, point_px=_moved(fix.point_px, *by_px), entry_px=_moved(fix.entry_px, *by_px))


def _moved(point_px: tuple[float, float] | None, x: int, y: int) -> tuple[float, float] | None:
    return None if point_px is None else (point_px[0] - x, point_px[1] - y)
