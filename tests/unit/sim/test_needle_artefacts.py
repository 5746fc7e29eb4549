"""What a needle does to the picture besides its own line: walls, copies below, shadow, ghosts, the bayonet's kink."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from plain_subject import even_subject, layered_subject

from puncta.sim.echo import NeedleEcho, place_in_picture
from puncta.sim.machines import draw_machine
from puncta.sim.needle import draw_needle_kind
from puncta.sim.plane import Block, Conform, Plane
from puncta.sim.pose import NeedlePose, ProbePose
from puncta.sim.render import Renderer
from puncta.sim.scan import plan_scan

PLAIN = {
    "gauge_mm": 1.27, "floor": 0.3, "tip_floor": 0.3, "level_db": 0.0, "tip_boost_db": -20.0, "reverb_copies": 0,
    "comet": False, "back_wall": 0.0, "shadow_db": 6.0, "plastic": False, "bevel_mm": 1.2,
}


class Bench:
    """A level needle 8 mm deep, or a given one, on its own on the beam grid."""

    def __init__(self, pose: NeedlePose | None = None, *, layered: bool = False, **kind: object) -> None:
        machine = draw_machine("B", np.random.default_rng(1), 30.0)
        self.machine = replace(machine, steer_deg=0.0, looks=1)
        self.scan = plan_scan(self.machine, np.random.default_rng(2), (384, 384), furniture=False)
        subject = layered_subject() if layered else even_subject()
        self.plane = Plane(Block(subject), self.scan, self.machine, Conform(self.scan), ProbePose())
        drawn = draw_needle_kind(np.random.default_rng(3), "nerve", -26.0)
        needle = replace(drawn, **(PLAIN | kind))
        self.echo = NeedleEcho(needle, self.scan, self.machine, 60.0, np.random.default_rng(4))
        self.echo.scatter[:] = 0.0
        self.echo.pattern_db[:] = 0.0
        self.renderer = Renderer(self.machine, self.scan, 60.0, np.random.default_rng(5), noise=False)
        pose = pose or NeedlePose((-14.0, 0.0, 8.0), 0.0, 0.0, 24.0)
        placed = place_in_picture(pose, ProbePose(), self.plane, self.plane.delay, self.machine)
        assert placed is not None
        self.at = placed

    def envelope(self) -> np.ndarray:
        """Envelope of the needle alone on the whole grid."""
        found = self.echo.field(self.at, self.renderer)
        assert found is not None
        field, (r0, r1, c0, c1) = found
        whole = np.zeros((self.scan.rows, self.scan.cols), np.float32)
        whole[r0:r1, c0:c1] = np.hypot(field[..., 0], field[..., 1])
        return whole

    def profile(self) -> tuple[np.ndarray, np.ndarray]:
        """Depths [mm] and mean envelope over the columns in the middle of the shaft."""
        cols = self.scan.grid_from_beam(np.zeros(2), np.array([-8.0, 4.0]))[1].astype(int)
        depth = (np.arange(self.scan.rows) + 0.5) * self.scan.dr_mm
        return depth, self.envelope()[:, cols[0] : cols[1]].mean(axis=1)


def _peaks(depth: np.ndarray, values: np.ndarray, least: float = 0.05) -> list[float]:
    top = (values[1:-1] > values[:-2]) & (values[1:-1] >= values[2:]) & (values[1:-1] > least * values.max())
    return [float(d) for d in depth[1:-1][top]]


def test_a_plain_shaft_is_one_line_at_its_depth() -> None:
    assert _peaks(*Bench().profile()) == pytest.approx([8.0], abs=0.06)


def test_a_plastic_cannula_is_two_lines_its_diameter_apart() -> None:
    first, second = _peaks(*Bench(plastic=True).profile())
    assert second - first == pytest.approx(1.27, abs=0.07)


def test_reverberation_repeats_the_shaft_at_its_spacing_ever_fainter() -> None:
    bench = Bench(reverb_copies=3, reverb_mm=1.5, reverb_decay=0.4)
    depth, values = bench.profile()
    peaks = _peaks(depth, values, 0.01)
    assert np.diff(peaks) == pytest.approx([1.5] * 3, abs=0.1)
    heights = np.interp(peaks, depth, values)
    assert np.all(np.diff(heights) < 0)
    # A steep shaft is no mirror: its copies are lost.
    steep = NeedlePose((-6.0, 0.0, 0.0), math.radians(50), 0.0, 18.0)
    plain, copied = Bench(steep), Bench(steep, reverb_copies=3, reverb_mm=1.5, reverb_decay=0.4)
    assert copied.envelope().sum() < 1.1 * plain.envelope().sum()


def test_tissue_below_the_shaft_is_dimmed_by_the_kinds_shadow_and_above_is_not() -> None:
    bench = Bench(shadow_db=6.0)
    found = bench.echo.shadow(bench.at)
    assert found is not None
    factor, rows, cols = found
    middle = factor[:, factor.shape[1] // 2]
    assert rows.start * bench.scan.dr_mm == pytest.approx(8.0, abs=0.1)
    assert 20 * math.log10(float(middle[-1])) == pytest.approx(-6.0, abs=0.3)
    assert float(middle[0]) == pytest.approx(1.0, abs=0.05)
    assert cols.stop - cols.start < bench.scan.cols


def test_side_lobes_leave_ghosts_as_faint_as_the_machine_has_them() -> None:
    short = NeedlePose((0.0, 0.0, 0.0), math.radians(89.0), 0.0, 9.0)
    bench = Bench(short, floor=1.0)
    row = bench.envelope()[int(5.0 / bench.scan.dr_mm)]
    middle = int(np.argmax(row))
    sigmas = bench.machine.side_lobe_sigmas
    assert row.max() > 0
    far = row.copy()
    reach = int(0.5 * sigmas * bench.machine.lateral_sigma_mm / bench.scan.dc)
    far[max(0, middle - reach) : middle + reach] = 0.0
    assert 20 * math.log10(far.max() / row.max()) == pytest.approx(bench.machine.side_lobe_db, abs=3.0)


def test_the_shaft_kinks_where_it_goes_from_fat_into_muscle() -> None:
    slope = math.radians(35)
    bench = Bench(NeedlePose((-14.0, 0.0, 0.0), slope, 0.0, 26.0), layered=True)
    at = bench.at
    fat = (at.s * math.sin(slope) > 2.5) & (at.s * math.sin(slope) < 7.0)
    muscle = at.s * math.sin(slope) > 9.0
    shown = [math.degrees(math.atan(np.polyfit(at.x[part], at.z[part], 1)[0])) for part in (fat, muscle)]
    # Depth stretches by 1540/1455 in fat and shrinks by 1540/1580 in muscle.
    wanted = [math.degrees(math.atan(math.tan(slope) * k)) for k in (1540 / 1455, 1540 / 1580)]
    assert shown == pytest.approx(wanted, abs=0.25)
    assert shown[0] - shown[1] > 1.5
