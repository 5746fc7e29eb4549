"""Tissue under a point of the picture, followed by the simulation's own truth: where it shows on any other frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from puncta.sim.frame_view import Displacement, FrameView, appear, rest_point, true_depth
from puncta.sim.scan import Scan


@dataclass(frozen=True, slots=True)
class PinnedTissue:
    """A place of the subject, where it rests [mm]."""

    rest_mm: tuple[float, float, float]


def pin_tissue(
    point_px: tuple[float, float], view: FrameView, scan: Scan, deformation: Displacement | None
) -> PinnedTissue:
    """Return the tissue that shows at a point [px] of a frame's picture."""
    x0, y0, w, _ = scan.layout.region
    left, top, right, _ = scan.extent_mm
    scale = (right - left) / w
    x = np.asarray([left + (point_px[0] - x0 + 0.5) * scale])
    z = np.asarray([top + (point_px[1] - y0 + 0.5) * scale])
    r, c = scan.beam_from_mm(x, z)
    x, z = scan.mm_from_beam(true_depth(view.delay, r, c), c)
    now_x, y, now_z = view.state.probe.tissue_from_probe(x, 0.0, z)
    rest_x, rest_z = rest_point(deformation, view.state, now_x, np.asarray(y), now_z)
    return PinnedTissue((float(rest_x[0]), float(y[0]), float(rest_z[0])))


def place_of(
    pinned: PinnedTissue, view: FrameView, scan: Scan, deformation: Displacement | None
) -> tuple[tuple[float, float], float]:
    """Return where pinned tissue shows on a frame [px], and how far behind the image plane it lies [mm]."""
    x, y, z = (np.asarray([v]) for v in pinned.rest_mm)
    if deformation is not None:
        ux, uz = deformation.at(view.state, x, y, z)
        x, z = x + ux, z + uz
    px, behind, pz, _ = appear(view.state, scan, view.delay, x, y, z)
    at_x, at_y = scan.px_from_mm(px, pz)
    return (float(np.asarray(at_x)[0]), float(np.asarray(at_y)[0])), float(behind[0])
