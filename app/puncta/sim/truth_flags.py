"""Flags of a simulated frame: an infant's spine is judged by the rules of `spine_flags`; other procedures have none."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from puncta.sim.frame_view import FrameView, appear
from puncta.sim.machines import Machine
from puncta.sim.scan import lateral_growth
from puncta.sim.spine_flags import SpineFlags, judge_spine, levels_of_greys, midline_offset
from puncta.sim.truth_maps import TruthMaps

PROCEDURE = "infant-lp"
EVERY = 2
"""The rules are read from a label map of half the size; they measure in millimetres, so that is fine enough."""
FWHM = 2.355


def judge_frame(
    maps: TruthMaps,
    view: FrameView,
    before: FrameView | None,
    region: NDArray[np.uint8],
    machine: Machine,
    *,
    grey_table: NDArray[np.uint8] | None = None,
    residual_db: Callable[[NDArray, NDArray], NDArray] | None = None,
) -> SpineFlags | None:
    """Judge one frame; None where the procedure has no flags.

    Parameters
    ----------
    before : FrameView or None
        The frame before, for motion blur.
    region : ndarray of uint8
        The ultrasound region as displayed.
    grey_table : ndarray of uint8, shape (256,), or None
        Displayed grey of each step of the compressed echo.
    residual_db : callable or None
        Level left after attenuation [dB] at (true depth, lateral place) of beam coordinates; None works the shadows
        out from the labels.
    """
    subject, scan = maps.subject, maps.scan
    if subject.procedure != PROCEDURE:
        return None
    label = maps.region_labels(view, EVERY)
    residual = None
    if residual_db is not None:
        r, c = maps.nodes(view)
        left = np.asarray(residual_db(r.ravel(), c.ravel()), np.float32).reshape(r.shape)
        residual = maps.enlarge(left[..., None], EVERY)[..., 0]
    at = target_place(maps, view)
    motion = 0.0
    if before is not None:
        last = target_place(maps, before)
        motion = math.dist(at, last)
    depth = float(scan.beam_from_mm(np.array(at[0]), np.array(at[2]))[0])
    lateral = FWHM * machine.lateral_sigma_mm * float(lateral_growth(machine, max(depth, 0.0)))
    return judge_spine(
        label, region, EVERY * maps.scale, view=subject.view, residual_db=residual,
        grey_db=None if grey_table is None else levels_of_greys(grey_table, machine.dynamic_range_db),
        midline_offset_mm=midline_offset(subject, view.state.probe), motion_mm=motion, lateral_mm=lateral,
    )


def target_place(maps: TruthMaps, view: FrameView) -> tuple[float, float, float]:
    """Return where the target's centre appears in probe space (x, distance from the plane, z) [mm]."""
    x, y, z = (np.array([v], float) for v in maps.subject.target.centre_mm)
    if maps.deformation is not None:
        ux, uz = maps.deformation.at(view.state, x, y, z)
        x, z = x + ux, z + uz
    px, py, pz, _ = appear(view.state, maps.scan, view.delay, x, y, z)
    return float(px[0]), float(py[0]), float(pz[0])
