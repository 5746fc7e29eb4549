"""Truth of a needle drawn into a real still: the same figures as for simulated tissue, in the still's pixels."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from puncta.core.geometry import tip_box_px
from puncta.sim.composite_echo import StillPlacement
from puncta.sim.composite_needle import StillNeedle
from puncta.sim.difficulty import HARD_INCIDENCE_DEG, HARD_OFFSET_SIGMA, HARD_SHAFT_CNR
from puncta.sim.truth import (
    CROSSING_DEG,
    IN_PLANE_WEIGHT,
    SHADOWED_DB,
    UNCERTAIN_CNR,
    FrameTruth,
    PointPx,
    Visibility,
)

Float32 = NDArray[np.float32]
TIP_ZONE_MM = 1.5
LEAST_NOISE = 0.03
"""Smallest deviation beside the needle that counts, of the display's range 0..1."""


def describe_still_frame(
    empty: FrameTruth,
    needle: StillNeedle,
    at: StillPlacement | None,
    speed_mm_s: float,
    shown: Float32,
    twin: Float32,
    offset_px: PointPx,
) -> FrameTruth:
    """Return the truth of a frame.

    Parameters
    ----------
    empty : FrameTruth
        Index, time, region and scale of the frame.
    at : StillPlacement or None
        None while the needle is wholly outside.
    shown, twin : ndarray of float32
        The region with and without the needle, grey levels, before receiver noise.
    offset_px : (x, y)
        Where the region lies in the picture.
    """
    base = {"index": empty.index, "t_ns": empty.t_ns, "region": empty.region, "mm_per_px": empty.mm_per_px}
    if at is None or not at.inside[-1]:
        return FrameTruth(**base, speed_mm_s=speed_mm_s)  # type: ignore[arg-type]
    seen = seen_part(at)
    zone = at.s_mm > at.s_mm[-1] - TIP_ZONE_MM
    mm = empty.mm_per_px[0]
    tip_cnr = _contrast(at, zone & at.inside, shown, twin, mm)
    shaft_cnr = _contrast(at, seen & ~zone, shown, twin, mm)
    visibility: Visibility = "clear"
    if at.weight[-1] < IN_PLANE_WEIGHT:
        visibility = "out_of_plane"
    elif at.shade_db[-1] < SHADOWED_DB:
        visibility = "shadowed"
    elif tip_cnr is None or tip_cnr < UNCERTAIN_CNR:
        visibility = "uncertain"
    x, y = at.x_px + offset_px[0], at.y_px + offset_px[1]
    polygon = outline(needle, at, seen, mm, offset_px)
    picked = np.flatnonzero(seen)
    steps = np.hypot(np.diff(x), np.diff(y))
    first = int(np.argmax(at.inside))
    tip = (float(x[-1]), float(y[-1]))
    plane_deg = _plane_angle_deg(at)
    return FrameTruth(
        **base,  # type: ignore[arg-type]
        visibility=visibility,
        tip_px=tip,
        entry_px=(float(x[first]), float(y[first])),
        tip_mm=((float(at.x_px[-1]) - (empty.region[2] - 1) / 2) * mm, float(at.y_px[-1]) * mm),
        depth_mm=(float(at.y_px[-1]) + 0.5) * mm,
        angle_deg=math.degrees(abs(_fold(float(at.slope_rad[-1])))),
        side="left" if math.cos(at.slope_rad[-1]) >= 0 else "right",
        gauge_mm=needle.kind.gauge_mm,
        in_plane_offset_mm=float(at.offset_mm[-1]),
        visible_px=float(steps[seen[1:]].sum()) if polygon else 0.0,
        visible_end_px=(float(x[picked[-1]]), float(y[picked[-1]])) if polygon else None,
        tip_cnr=tip_cnr,
        shaft_cnr=shaft_cnr,
        tip_box=tip_box_px(tip, empty.region),
        needle_box=_hull(polygon, empty.region),
        shaft_polygon=polygon,
        speed_mm_s=speed_mm_s,
        plane_angle_deg=plane_deg,
        crossing_px=_crossing(at, x, y) if plane_deg >= CROSSING_DEG else None,
    )


def describe_still_difficulty(
    truth: FrameTruth, needle: StillNeedle, at: StillPlacement | None, depth_mm: float
) -> dict[str, Any] | None:
    """Return `difficulty` by the rules for simulated frames; None without a tip. The depth is assumed and says so.

    Whether a longer bright line competes is not judged on real tissue.
    """
    if truth.tip_px is None or at is None:
        return None
    incidence = 90.0 - float(at.beam_deg[-1])
    offset = abs(float(at.offset_mm[-1])) / needle.elevation_sigma_mm
    hard = (
        truth.shaft_cnr is None
        or truth.shaft_cnr < HARD_SHAFT_CNR
        or incidence > HARD_INCIDENCE_DEG
        or offset > HARD_OFFSET_SIGMA
    )
    return {
        "hard": bool(hard),
        "shaft_cnr": None if truth.shaft_cnr is None else round(truth.shaft_cnr, 3),
        "tip_cnr": None if truth.tip_cnr is None else round(truth.tip_cnr, 3),
        "incidence_deg": round(incidence, 2),
        "offset_sigma": round(offset, 3),
        "competing_line": None,
        "assumed_depth_mm": round(depth_mm, 1),
    }


def seen_part(at: StillPlacement) -> NDArray[np.bool_]:
    """Samples of the needle in the region, in the plane and not shadowed."""
    seen = at.inside & (at.weight > IN_PLANE_WEIGHT) & (at.shade_db > SHADOWED_DB)
    seen[: int(np.argmax(at.inside))] = False
    return seen


def outline(
    needle: StillNeedle, at: StillPlacement, part: NDArray[np.bool_], mm_per_px: float, offset_px: PointPx
) -> tuple[PointPx, ...]:
    """Outline of a part of the needle [px], one gauge wide, at least two pixels; empty for less than three samples."""
    if part.sum() < 3:
        return ()
    picked = np.flatnonzero(part)
    picked = picked[np.unique(np.linspace(0, len(picked) - 1, min(len(picked), 12)).astype(int))]
    half = max(needle.kind.gauge_mm / 2 / mm_per_px, 1.0)
    x, y, slope = at.x_px[picked] + offset_px[0], at.y_px[picked] + offset_px[1], at.slope_rad[picked]
    nx, ny = half * np.sin(slope), -half * np.cos(slope)
    forth = list(zip((x + nx).tolist(), (y + ny).tolist(), strict=True))
    back = list(zip((x - nx).tolist(), (y - ny).tolist(), strict=True))
    return tuple(forth + back[::-1])


def polygon_mask(polygon: tuple[PointPx, ...], shape: tuple[int, int], region: tuple[int, int, int, int]) -> NDArray:
    """Mask of an outline inside the region, shape (h, w) of the picture."""
    mask = np.zeros(shape, np.uint8)
    if len(polygon) >= 3:
        fixed = np.rint(np.asarray(polygon) * 16.0).astype(np.int32)
        cv2.fillPoly(mask, [fixed], 1, shift=4)
    x0, y0, w, h = region
    kept = np.zeros(shape, bool)
    kept[y0 : y0 + h, x0 : x0 + w] = mask[y0 : y0 + h, x0 : x0 + w] > 0
    return kept


def _contrast(at: StillPlacement, where: NDArray[np.bool_], shown: Float32, twin: Float32, mm: float) -> float | None:
    """(mean on the axis - mean beside it in the twin) / deviation beside it in the twin; None without samples."""
    if where.sum() < 6:
        return None
    x, y, slope = at.x_px[where], at.y_px[where], at.slope_rad[where]
    nx, ny = np.sin(slope) / mm, -np.cos(slope) / mm

    def values(picture: Float32, offsets_mm: tuple[float, ...]) -> Float32:
        xs = np.rint(np.concatenate([x + o * nx for o in offsets_mm])).astype(int)
        ys = np.rint(np.concatenate([y + o * ny for o in offsets_mm])).astype(int)
        keep = (xs >= 0) & (xs < picture.shape[1]) & (ys >= 0) & (ys < picture.shape[0])
        return np.clip(picture[ys[keep], xs[keep]], 0.0, 255.0) / np.float32(255.0)

    on = values(shown, (-0.1, 0.0, 0.1))
    beside = values(twin, (-2.2, -1.7, -1.2, -0.8, 0.8, 1.2, 1.7, 2.2))
    if len(on) < 4 or len(beside) < 8:
        return None
    return float((on.mean() - beside.mean()) / max(float(beside.std()), LEAST_NOISE))


def _hull(polygon: tuple[PointPx, ...], region: tuple[int, int, int, int]) -> tuple[float, float, float, float] | None:
    if not polygon:
        return None
    xs, ys = [p[0] for p in polygon], [p[1] for p in polygon]
    x0, y0, w, h = region
    left, top = max(min(xs), x0 - 0.5), max(min(ys), y0 - 0.5)
    right, bottom = min(max(xs), x0 + w - 0.5), min(max(ys), y0 + h - 0.5)
    return (left, top, right - left, bottom - top)


def _fold(angle_rad: float) -> float:
    """Angle of a line against the horizontal, -pi/2..pi/2, whichever way it runs."""
    return math.atan2(math.sin(angle_rad), abs(math.cos(angle_rad)))


def _plane_angle_deg(at: StillPlacement) -> float:
    """Angle of the axis at the tip to the image plane [deg]."""
    last = min(4, len(at.s_mm) - 1)
    rise = float(at.offset_mm[-1] - at.offset_mm[-1 - last]) / max(float(at.s_mm[-1] - at.s_mm[-1 - last]), 1e-6)
    return math.degrees(math.asin(min(1.0, abs(rise))))


def _crossing(at: StillPlacement, x: NDArray, y: NDArray) -> PointPx | None:
    """Where the axis crosses the image plane [px]."""
    turns = np.flatnonzero(np.diff(np.sign(at.offset_mm)))
    if not len(turns):
        return None
    k = int(turns[-1])
    a, b = float(at.offset_mm[k]), float(at.offset_mm[k + 1])
    share = a / (a - b) if a != b else 0.0
    return float(x[k] + share * (x[k + 1] - x[k])), float(y[k] + share * (y[k + 1] - y[k]))
