"""Laws the pictures have to follow: echo by angle, Rayleigh speckle, decorrelation by elevation, moving speckle."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from puncta.sim.machines import Machine, draw_machine
from puncta.sim.motion import Motion, MotionState
from puncta.sim.needle import shaft_gain_db, tip_gain_db
from puncta.sim.phantom import STEP_MM, Phantom
from puncta.sim.render import Renderer
from puncta.sim.scan import Scan, plan_scan
from puncta.sim.scatterers import Scatterers, make_attenuation


def _rng(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


def _uniform(geometry: str = "linear") -> tuple[Machine, Scan, Scatterers, Renderer]:
    """A field of even tissue at 0 dB, one look, no time-gain error."""
    machine = replace(
        draw_machine("A", _rng()), geometry=geometry, looks=1, smoothing=0.0, edge=0.0, width_mm=30.0, depth_mm=30.0,
        focus_mm=15.0, tgc_error_db=(0.0,) * 6,
    )
    scan = plan_scan(machine, _rng(2), (256, 256), furniture=False)
    nx, nz = int(scan.extent_mm[2] * 2.4 / STEP_MM) + 60, int((scan.depth_mm + 20) / STEP_MM)
    flat = np.zeros((nz, nx), np.float32)
    phantom = Phantom(-nx * STEP_MM / 2, -6.0, flat, flat + 0.6)
    points = Scatterers(phantom, scan, machine, make_attenuation(phantom, scan, machine), _rng(3))
    return machine, scan, points, Renderer(machine, scan, _rng(4))


def _field(points: Scatterers, renderer: Renderer, motion: MotionState) -> np.ndarray:
    grid = points.splat(*points.displacement(motion), motion.elevation_mm)
    return renderer.looks(grid)[0] * renderer.spread_gain[:, None]


@pytest.mark.parametrize("geometry", ["linear", "convex"])
def test_speckle_of_even_tissue_is_rayleigh_with_unit_power(geometry: str) -> None:
    _, scan, points, renderer = _uniform(geometry)
    inner = np.abs(_field(points, renderer, MotionState()))[40:-40, 20:-20]
    assert inner.mean() / inner.std() == pytest.approx(1.91, abs=0.12)
    assert np.mean(inner**2) == pytest.approx(1.0, abs=0.15)


def test_speckle_decorrelates_with_elevation_as_the_slab_does() -> None:
    machine, scan, points, renderer = _uniform()
    points.slide_x *= 0
    points.slide_z *= 0
    still = _field(points, renderer, MotionState())
    rows = np.arange(scan.rows)
    near_focus = np.abs((rows + 0.5) * scan.dr_mm - machine.focus_mm) < 3
    sigma = float(machine.elevation_sigma_mm(machine.focus_mm))
    for move in (0.5 * sigma, 1.5 * sigma):
        moved = _field(points, renderer, MotionState(elevation_mm=move))
        a, b = still[near_focus], moved[near_focus]
        rho = abs(np.vdot(a, b)) / math.sqrt(np.vdot(a, a).real * np.vdot(b, b).real)
        assert rho == pytest.approx(math.exp(-(move**2) / (4 * sigma**2)), abs=0.1)


def test_shifted_tissue_shifts_its_speckle() -> None:
    _, scan, points, renderer = _uniform()
    rows, cols = 6, 4
    still = np.abs(_field(points, renderer, MotionState()))
    moved = np.abs(_field(points, renderer, MotionState(dx_mm=cols * scan.dc, dz_mm=rows * scan.dr_mm)))
    a = still[40:-60, 20:-40]
    b = moved[40 + rows : -60 + rows, 20 + cols : -40 + cols]
    assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.85
    unmoved = moved[40:-60, 20:-40]
    assert np.corrcoef(a.ravel(), unmoved.ravel())[0, 1] < 0.3


def test_smooth_shafts_are_lost_off_the_perpendicular_and_tips_are_not() -> None:
    best = shaft_gain_db(85.0, 0.05)
    assert best == pytest.approx(0.0, abs=0.01)
    assert shaft_gain_db(90.0, 0.05) > -2.0
    assert shaft_gain_db(60.0, 0.05) < -20.0
    assert shaft_gain_db(60.0, 0.8) > -2.5, "textured needles stay bright"
    assert tip_gain_db(60.0, 0.4) > shaft_gain_db(60.0, 0.05) + 12
    falling = shaft_gain_db(np.array([85.0, 78.0, 70.0, 60.0, 45.0]), 0.1)
    assert np.all(np.diff(falling) < 0)
    # Half height of the lobe on the amplitude scale lies 10 degrees off its middle.
    assert 10 ** (shaft_gain_db(75.0, 0.0) / 20) == pytest.approx(0.5, abs=0.01)


def test_hand_drift_stays_near_and_moves_smoothly() -> None:
    motion = Motion(_rng(9))
    states = [motion.step(0.04) for _ in range(1500)]
    for name, most in (("dx_mm", 3.0), ("dz_mm", 1.5), ("elevation_mm", 1.6)):
        track = np.array([getattr(s, name) for s in states])
        assert np.abs(track).max() < most
        assert 0 < np.abs(np.diff(track)).max() < 0.35
        assert track.std() > 0.02
    assert min(s.pulse for s in states) >= 0.0 and max(s.pulse for s in states) <= 1.0
