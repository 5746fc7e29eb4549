"""Truth of a frame of the 2-D simulator; the 3-D engine calls `truth_scene.describe_scene` instead, and this goes.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from puncta.core.geometry import tip_box_px
from puncta.sim.echo import STEP_MM, Placement
from puncta.sim.needle import Hand, Needle
from puncta.sim.scan import Scan
from puncta.sim.truth import IN_PLANE_WEIGHT, SHADOWED_DB, UNCERTAIN_CNR, FrameTruth, PointPx, Visibility

TIP_ZONE_MM = 1.5


def describe_frame(
    index: int, t_ns: int, scan: Scan, needle: Needle, at: Placement | None, hand: Hand, level: NDArray,
    twin: NDArray | None, roi: tuple[int, int, int, int] | None,
) -> FrameTruth:
    """Return the truth of a frame.

    Parameters
    ----------
    level : ndarray
        Compressed picture on the beam grid, with the needle.
    twin : ndarray or None
        The same part ``roi`` of the grid without the needle, same speckle.
    """
    mm = (scan.layout.mm_per_px, scan.layout.mm_per_px)
    absent = FrameTruth(index, t_ns, scan.layout.region, mm, speed_mm_s=hand.speed_mm_s)
    if at is None or not at.inside[-1]:
        return absent
    first = int(np.argmax(at.inside))
    tip_px = _point(scan, at.x[-1], at.z[-1])
    seen = at.inside & (at.weight > IN_PLANE_WEIGHT) & (at.shade_db > SHADOWED_DB)
    seen[:first] = False
    tip_cnr = shaft_cnr = None
    if twin is not None and roi is not None:
        zone = at.s > at.s[-1] - TIP_ZONE_MM
        tip_cnr = _contrast(scan, at, zone & at.inside, level, twin, roi)
        shaft_cnr = _contrast(scan, at, seen & ~zone, level, twin, roi)
    visibility: Visibility = "clear"
    if at.weight[-1] < IN_PLANE_WEIGHT:
        visibility = "out_of_plane"
    elif at.shade_db[-1] < SHADOWED_DB:
        visibility = "shadowed"
    elif tip_cnr is None or tip_cnr < UNCERTAIN_CNR:
        visibility = "uncertain"
    polygon = _outline(scan, needle, at, seen)
    visible_px, end_px, box = 0.0, None, None
    if polygon:
        last = int(np.flatnonzero(seen)[-1])
        visible_px = float(seen.sum()) * STEP_MM / scan.layout.mm_per_px
        end_px = _point(scan, at.x[last], at.z[last])
        xs, ys = [p[0] for p in polygon], [p[1] for p in polygon]
        x0, y0, w, h = scan.layout.region
        left, top = max(min(xs), x0 - 0.5), max(min(ys), y0 - 0.5)
        right, bottom = min(max(xs), x0 + w - 0.5), min(max(ys), y0 + h - 0.5)
        box = (left, top, right - left, bottom - top)
    return FrameTruth(
        index=index,
        t_ns=t_ns,
        region=scan.layout.region,
        mm_per_px=mm,
        visibility=visibility,
        tip_px=tip_px,
        entry_px=_point(scan, at.x[first], at.z[first]),
        tip_mm=(float(at.x[-1]), float(at.z[-1])),
        depth_mm=float(at.z[-1] - scan.extent_mm[1]),
        angle_deg=math.degrees(abs(float(at.slope_rad[-1]))),
        side="left" if needle.side > 0 else "right",
        gauge_mm=needle.gauge_mm,
        in_plane_offset_mm=at.offset_mm,
        visible_px=visible_px,
        visible_end_px=end_px,
        tip_cnr=tip_cnr,
        shaft_cnr=shaft_cnr,
        tip_box=tip_box_px(tip_px, scan.layout.region),
        needle_box=box,
        shaft_polygon=polygon,
        speed_mm_s=hand.speed_mm_s,
    )


def _point(scan: Scan, x: float, z: float) -> PointPx:
    px, py = scan.px_from_mm(x, z)
    return float(px), float(py)


def _normals(needle: Needle, at: Placement) -> tuple[NDArray, NDArray]:
    """Unit normals of the axis, pointing up in the picture."""
    return needle.side * np.sin(at.slope_rad), -np.cos(at.slope_rad)


def _contrast(
    scan: Scan, at: Placement, where: NDArray[np.bool_], level: NDArray, twin: NDArray, roi: tuple[int, int, int, int]
) -> float | None:
    """(mean on the axis - mean beside it in the twin) / deviation beside it in the twin; None without samples."""
    if where.sum() < 6:
        return None
    r0, r1, c0, c1 = roi
    x, z, slope = at.x[where], at.z[where], at.slope_rad[where]
    direction = 1.0 if len(at.x) < 2 or at.x[-1] >= at.x[0] else -1.0
    nx, nz = direction * np.sin(slope), -np.cos(slope)

    def cells(offsets: tuple[float, ...]) -> tuple[NDArray, NDArray]:
        xs = np.concatenate([x + o * nx for o in offsets])
        zs = np.concatenate([z + o * nz for o in offsets])
        rows, cols = scan.grid_from_beam(*scan.beam_from_mm(xs, zs))
        rows, cols = np.rint(rows).astype(int), np.rint(cols).astype(int)
        keep = (rows >= r0) & (rows < r1) & (cols >= c0) & (cols < c1)
        return rows[keep], cols[keep]

    on_rows, on_cols = cells((-0.1, 0.0, 0.1))
    by_rows, by_cols = cells((-2.2, -1.7, -1.2, -0.8, 0.8, 1.2, 1.7, 2.2))
    if len(on_rows) < 4 or len(by_rows) < 8:
        return None
    beside = twin[by_rows - r0, by_cols - c0]
    return float((level[on_rows, on_cols].mean() - beside.mean()) / max(float(beside.std()), 0.03))


def _outline(scan: Scan, needle: Needle, at: Placement, seen: NDArray[np.bool_]) -> tuple[PointPx, ...]:
    """Outline of the seen shaft, one gauge wide, at least two pixels."""
    if seen.sum() < 3:
        return ()
    picked = np.flatnonzero(seen)
    picked = picked[np.unique(np.linspace(0, len(picked) - 1, min(len(picked), 12)).astype(int))]
    half = max(needle.gauge_mm / 2, scan.layout.mm_per_px)
    nx, nz = _normals(needle, at)
    up_x, up_y = scan.px_from_mm(at.x[picked] + half * nx[picked], at.z[picked] + half * nz[picked])
    down_x, down_y = scan.px_from_mm(at.x[picked] - half * nx[picked], at.z[picked] - half * nz[picked])
    forth = list(zip(np.asarray(up_x).tolist(), np.asarray(up_y).tolist(), strict=True))
    back = list(zip(np.asarray(down_x).tolist(), np.asarray(down_y).tolist(), strict=True))
    return tuple(forth + back[::-1])
