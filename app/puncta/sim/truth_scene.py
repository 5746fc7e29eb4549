"""Work out a frame's truth from the needle's place, the target and the renders with and without the needle."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from puncta.core.geometry import tip_box_px
from puncta.sim.frame_view import Displacement, FrameView, Placement, appear, rest_point
from puncta.sim.probing import kind_at
from puncta.sim.scan import Scan
from puncta.sim.subject import Subject
from puncta.sim.tissue_kinds import Tissue
from puncta.sim.truth import CROSSING_DEG, IN_PLANE_WEIGHT, SHADOWED_DB, UNCERTAIN_CNR, FrameTruth, PointPx, Visibility

TIP_ZONE_MM = 1.5
AXIS_MM = 1.0
"""Length at the tip over which the axis' direction is taken [mm]."""
Roi = tuple[int, int, int, int]


def describe_scene(
    index: int,
    t_ns: int,
    scan: Scan,
    view: FrameView,
    *,
    gauge_mm: float | None = None,
    subject: Subject | None = None,
    deformation: Displacement | None = None,
    level: NDArray | None = None,
    twin: NDArray | None = None,
    roi: Roi | None = None,
    flags: Mapping[str, int | None] | None = None,
) -> FrameTruth:
    """Return the truth of a frame.

    Parameters
    ----------
    gauge_mm : float or None
        Outer diameter of the needle [mm]; None without one.
    subject, deformation
        Give target and structures; without a subject they stay None.
    level : ndarray or None
        Compressed picture on the beam grid, with the needle, 0..1.
    twin : ndarray or None
        The part ``roi`` (rows r0:r1, columns c0:c1) of the grid without the needle, same speckle and noise.
    flags : mapping or None
        The frame's flags, see `truth_flags`.
    """
    mm = scan.layout.mm_per_px
    facts: dict[str, object] = {"flags": dict(flags or {})}
    if subject is not None:
        facts |= _describe_target(scan, view, subject, deformation)
    if view.needle is not None and gauge_mm is not None:
        facts |= _describe_needle(scan, view.needle, gauge_mm, level, twin, roi)
        if "tip_px" in facts and view.state.needle is not None:
            x, _, z = view.state.probe.probe_from_tissue(*(np.asarray(v) for v in view.state.needle.tip_mm))
            seen, _ = scan.beam_from_mm(view.needle.x[-1], view.needle.z[-1])
            facts["depth_shift_mm"] = float(seen - scan.beam_from_mm(x, z)[0])
    if "tip_px" not in facts:
        facts.pop("tip_tissue", None)  # a tip that is not in the picture lies in nothing that the picture shows
    speed = view.state.speed_mm_s
    return FrameTruth(index, t_ns, scan.layout.region, (mm, mm), speed_mm_s=speed, **facts)  # type: ignore[arg-type]


def _describe_target(
    scan: Scan, view: FrameView, subject: Subject, deformation: Displacement | None
) -> dict[str, object]:
    """Target and what the tip lies in."""
    state = view.state
    x, y, z = (np.array([v], float) for v in subject.target.centre_mm)
    if deformation is not None:
        ux, uz = deformation.at(state, x, y, z)
        x, z = x + ux, z + uz
    px, py, pz, _ = appear(state, scan, view.delay, x, y, z)
    facts: dict[str, object] = {
        "target_px": _point(scan, float(px[0]), float(pz[0])), "target_offset_mm": float(py[0]),
    }
    needle = state.needle
    if needle is None or needle.way_mm <= 0:
        return facts
    tip = needle.tip_mm
    facts["distance_to_target_mm"] = math.dist(tip, (float(x[0]), float(y[0]), float(z[0])))
    kind = tissue_at(subject, deformation, view, tip)
    facts["tip_tissue"] = kind.name.lower()
    facts["hits"] = (kind.name.lower(),) if kind in subject.forbidden else ()
    return facts


def tissue_at(
    subject: Subject, deformation: Displacement | None, view: FrameView, point_mm: tuple[float, float, float]
) -> Tissue:
    """Return the tissue that now lies at a point of tissue space [mm]; injected fluid counts."""
    x, y, z = (np.array([v], float) for v in point_mm)
    for bolus in view.state.boluses:
        offsets = zip(point_mm, bolus.centre_mm, bolus.radius_mm, strict=True)
        # The tip lies in the middle of what it injects; a needle that moves on comes to the fluid's border.
        if sum(((p - c) / max(r, 1e-6)) ** 2 for p, c, r in offsets) < 1.0:
            return Tissue.FLUID
    x, z = rest_point(deformation, view.state, x, y, z)
    return kind_at(subject, (float(x[0]), float(y[0]), float(z[0])))


def _describe_needle(
    scan: Scan, at: Placement, gauge_mm: float, level: NDArray | None, twin: NDArray | None, roi: Roi | None
) -> dict[str, object]:
    facts: dict[str, object] = {}
    crossing = _crossing(scan, at)
    if crossing is not None:
        facts["crossing_px"] = crossing
    if not at.inside.any():
        return facts
    seen = seen_part(at)
    polygon = outline_of(scan, at, seen, gauge_mm) if seen.sum() >= 3 else ()
    if polygon:
        last = int(np.flatnonzero(seen)[-1])
        length = np.hypot(np.gradient(at.x), np.gradient(at.z))[seen].sum()
        facts["visible_px"] = float(length) / scan.layout.mm_per_px
        facts["visible_end_px"] = _point(scan, at.x[last], at.z[last])
        facts["shaft_polygon"] = polygon
        facts["needle_box"] = _hull(scan, polygon)
    zone = at.s > at.s[-1] - TIP_ZONE_MM
    tip_cnr = shaft_cnr = None
    if level is not None and twin is not None and roi is not None:
        tip_cnr = _contrast(scan, at, zone & at.inside, level, twin, roi)
        shaft_cnr = _contrast(scan, at, seen & ~zone, level, twin, roi)
    facts["gauge_mm"] = gauge_mm
    facts["shaft_cnr"] = shaft_cnr
    if not at.inside[-1]:
        return facts  # the tip has not come in yet, or has gone out on the other side
    tip_px = _point(scan, at.x[-1], at.z[-1])
    visibility: Visibility = "clear"
    if at.weight[-1] < IN_PLANE_WEIGHT:
        visibility = "out_of_plane"
    elif at.shade_db[-1] < SHADOWED_DB:
        visibility = "shadowed"
    elif tip_cnr is None or tip_cnr < UNCERTAIN_CNR:
        visibility = "uncertain"
    back = max(0, int(np.searchsorted(at.s, at.s[-1] - AXIS_MM)) - 1)
    dx, dy, dz = (float(v[-1] - v[back]) for v in (at.x, at.y, at.z))
    first = int(np.argmax(at.inside))
    return facts | {
        "visibility": visibility,
        "tip_px": tip_px,
        "entry_px": _point(scan, at.x[first], at.z[first]),
        "tip_mm": (float(at.x[-1]), float(at.z[-1])),
        "depth_mm": float(at.z[-1] - scan.extent_mm[1]),
        "angle_deg": math.degrees(math.atan2(abs(dz), abs(dx))),
        "side": "left" if dx >= 0 else "right",
        "in_plane_offset_mm": float(at.y[-1]),
        "plane_angle_deg": math.degrees(math.atan2(abs(dy), math.hypot(dx, dz))),
        "tip_cnr": tip_cnr,
        "tip_box": tip_box_px(tip_px, scan.layout.region),
    }


def seen_part(at: Placement) -> NDArray[np.bool_]:
    """Tell which samples of the needle lie in field and plane and are not shadowed."""
    return at.inside & (at.weight > IN_PLANE_WEIGHT) & (at.shade_db > SHADOWED_DB)


def _point(scan: Scan, x: float, z: float) -> PointPx:
    px, py = scan.px_from_mm(x, z)
    return float(px), float(py)


def _hull(scan: Scan, polygon: tuple[PointPx, ...]) -> tuple[float, float, float, float] | None:
    """Box around a polygon, cut to the region's whole pixels; None where nothing of it lies inside."""
    xs, ys = [p[0] for p in polygon], [p[1] for p in polygon]
    x0, y0, w, h = scan.layout.region
    left, top = max(min(xs), x0 - 0.5), max(min(ys), y0 - 0.5)
    right, bottom = min(max(xs), x0 + w - 0.5), min(max(ys), y0 + h - 0.5)
    return (left, top, right - left, bottom - top) if right > left and bottom > top else None


def _crossing(scan: Scan, at: Placement) -> PointPx | None:
    """Where the axis goes through the plane, nearest the tip; None where it runs along the plane or stays on a side."""
    turns = np.flatnonzero(np.signbit(at.y[1:]) != np.signbit(at.y[:-1]))
    if turns.size == 0:
        return None
    k = int(turns[-1])
    dx, dy, dz = (float(v[k + 1] - v[k]) for v in (at.x, at.y, at.z))
    if math.degrees(math.atan2(abs(dy), math.hypot(dx, dz))) < CROSSING_DEG:
        return None
    share = float(at.y[k] / (at.y[k] - at.y[k + 1]))
    x, z = float(at.x[k] + share * dx), float(at.z[k] + share * dz)
    return _point(scan, x, z) if bool(scan.inside(np.array(x), np.array(z))) else None


def normals(at: Placement) -> tuple[NDArray, NDArray]:
    """Unit normals of the axis in the picture; where it runs straight through the plane, across the picture."""
    dx, dz = np.gradient(at.x), np.gradient(at.z)
    length = np.hypot(dx, dz)
    flat = length < 1e-9
    length = np.where(flat, 1.0, length)
    return np.where(flat, 1.0, dz / length), np.where(flat, 0.0, -dx / length)


def _contrast(
    scan: Scan, at: Placement, where: NDArray[np.bool_], level: NDArray, twin: NDArray, roi: Roi
) -> float | None:
    """(mean on the axis - mean beside it in the twin) / deviation beside it in the twin; None without samples."""
    if where.sum() < 6:
        return None
    r0, r1, c0, c1 = roi
    nx, nz = (n[where] for n in normals(at))
    x, z = at.x[where], at.z[where]

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


def outline_of(scan: Scan, at: Placement, part: NDArray[np.bool_], gauge_mm: float) -> tuple[PointPx, ...]:
    """Outline of a part of the shaft [px], one gauge wide, at least two pixels."""
    picked = np.flatnonzero(part)
    if picked.size < 2:
        return ()
    picked = picked[np.unique(np.linspace(0, len(picked) - 1, min(len(picked), 12)).astype(int))]
    half = max(gauge_mm / 2, scan.layout.mm_per_px)
    nx, nz = normals(at)
    up_x, up_y = scan.px_from_mm(at.x[picked] + half * nx[picked], at.z[picked] + half * nz[picked])
    down_x, down_y = scan.px_from_mm(at.x[picked] - half * nx[picked], at.z[picked] - half * nz[picked])
    forth = list(zip(np.asarray(up_x).tolist(), np.asarray(up_y).tolist(), strict=True))
    back = list(zip(np.asarray(down_x).tolist(), np.asarray(down_y).tolist(), strict=True))
    return tuple(forth + back[::-1])
