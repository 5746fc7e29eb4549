"""The simulator as a whole: repeatable bytes, truth that fits the picture, twins without a needle."""

from __future__ import annotations

import math

import numpy as np
import pytest

from puncta.core.errors import UserError
from puncta.core.geometry import TIP_BOX_SHARE
from puncta.sim.cine import CineGenerator, frame_times_ns, simulate_cine, stream_rng
from puncta.sim.machines import PRESETS
from puncta.sim.needle import draw_needle
from puncta.sim.tissues import PROCEDURES

SIZE = (160, 128)


@pytest.mark.parametrize("procedure", PROCEDURES)
@pytest.mark.parametrize("machine", PRESETS)
def test_every_tissue_on_every_machine_shows_a_picture(procedure: str, machine: str) -> None:
    cine = simulate_cine(procedure, machine, 5, 2, size_px=SIZE, needle=True, start="inside")
    x0, y0, w, h = cine.region
    inside = cine.frames[:, y0 : y0 + h, x0 : x0 + w]
    assert cine.simulated
    assert cine.frames.dtype == np.uint8
    assert cine.frames.shape == (2, SIZE[1], SIZE[0])
    assert inside.std() > 12
    assert 15 < inside[inside > 0].mean() < 160
    assert 0.02 < cine.mm_per_px[0] < 2.0


def test_same_arguments_give_the_same_bytes_whatever_the_number_of_frames() -> None:
    short = simulate_cine("nerve", "F", 3, 2, size_px=SIZE, furniture=True)
    long = simulate_cine("nerve", "F", 3, 5, size_px=SIZE, furniture=True)
    other = simulate_cine("nerve", "F", 4, 2, size_px=SIZE, furniture=True)
    assert np.array_equal(short.frames, long.frames[:2])
    assert short.truth == long.truth[:2]
    assert not np.array_equal(short.frames, other.frames)
    assert not np.array_equal(long.frames[0], long.frames[4])


def test_skipping_frames_leads_to_the_same_picture_as_playing_them() -> None:
    played = CineGenerator("vessel", "A", 8, size_px=(96, 96), needle=True)
    frames = [played.next_frame() for _ in range(46)]
    skipped = CineGenerator("vessel", "A", 8, size_px=(96, 96), needle=True)
    skipped.skip_to(44)
    for k in (44, 45):
        pixels, truth = skipped.next_frame()
        assert truth == frames[k][1]
        assert np.array_equal(pixels, frames[k][0])


def test_times_are_known_before_rendering() -> None:
    cine = simulate_cine("breast", "F", 2, 6, size_px=(96, 96))
    machine = CineGenerator("breast", "F", 2, size_px=(96, 96)).machine
    assert np.array_equal(frame_times_ns("breast", machine, 2, 6), cine.times_ns)
    assert len(set(np.diff(cine.times_ns))) > 1, "machine F runs at an uneven rate"
    even = simulate_cine("breast", "B", 2, 4, size_px=(96, 96))
    assert len(set(np.diff(even.times_ns))) == 1


def test_tip_moves_along_the_axis_and_truth_fits_together() -> None:
    seen = 0
    for seed in range(6):
        cine = simulate_cine("nerve", "A", seed, 8, size_px=SIZE, needle=True, start="inside")
        for truth in cine.truth:
            if truth.tip_px is None or truth.entry_px is None or truth.angle_deg is None:
                continue
            seen += 1
            x0, y0, w, h = truth.region
            assert x0 - 1.5 <= truth.tip_px[0] <= x0 + w + 0.5
            assert y0 - 1.5 <= truth.tip_px[1] <= y0 + h + 0.5
            run, fall = truth.tip_px[0] - truth.entry_px[0], truth.tip_px[1] - truth.entry_px[1]
            assert fall > 0
            assert (run > 0) == (truth.side == "left")
            if math.hypot(run, fall) > 15:
                assert math.degrees(math.atan2(fall, abs(run))) == pytest.approx(truth.angle_deg, abs=16)
            assert truth.tip_box is not None
            assert truth.tip_box[2:] == pytest.approx((TIP_BOX_SHARE[0] * w, TIP_BOX_SHARE[1] * h))
            assert truth.tip_box[0] + truth.tip_box[2] / 2 == pytest.approx(truth.tip_px[0])
            assert truth.depth_mm == pytest.approx((truth.tip_px[1] - y0 + 0.5) * truth.mm_per_px[1], abs=1e-6)
            if truth.needle_box is not None:
                bx, by, bw, bh = truth.needle_box
                assert bx >= x0 - 0.5 and by >= y0 - 0.5
                assert bx + bw <= x0 + w - 0.5 + 1e-6 and by + bh <= y0 + h - 0.5 + 1e-6
                assert len(truth.shaft_polygon) >= 4
    assert seen >= 24


def test_speed_of_the_tip_is_the_speed_in_truth() -> None:
    generator = CineGenerator("breast", "A", 21, size_px=(96, 96), needle=True, start="inside")
    previous = generator.insertion.s
    for _ in range(25):
        dt = generator.last_dt_s
        _, hand, _, _ = generator._step()
        generator._advance()
        assert hand.s_mm - previous == pytest.approx(hand.speed_mm_s * dt, abs=1e-9)
        assert abs(hand.speed_mm_s) < 12
        previous = hand.s_mm


def test_the_needle_goes_in_and_out_for_ever() -> None:
    generator = CineGenerator("vessel", "A", 2, size_px=(96, 96), needle=True, start="outside")
    n = generator.needle
    ways = []
    for _ in range(int(90 * generator.machine.fps)):
        ways.append(generator._step()[1].s_mm)
        generator._advance()
    way = np.array(ways)
    out = way < n.enter_mm
    assert out[0]
    assert np.count_nonzero(np.diff(out.astype(int)) == 1) >= 2, "withdrawn at least twice in 90 s"
    assert way.max() <= n.goal_mm + 1.0
    assert np.abs(np.diff(way)).max() < 12 / generator.machine.fps * 1.3


def test_twin_without_echo_differs_only_near_the_needle() -> None:
    for seed in range(30):
        generator = CineGenerator("nerve", "B", seed, size_px=SIZE, needle=True, start="inside")
        if generator.needle.shadow_db < 2 and generator.needle.floor > 0.4 and abs(generator.needle.offset_mm) < 0.3:
            break
    twin = CineGenerator("nerve", "B", seed, size_px=SIZE, needle=True, start="inside", draw_needle_echo=False)
    for _ in range(3):
        pixels, truth = generator.next_frame()
        bare, same = twin.next_frame()
    assert truth.tip_px == same.tip_px and truth.entry_px is not None and truth.tip_px is not None
    change = np.abs(pixels.astype(int) - bare.astype(int))
    ys, xs = np.mgrid[: SIZE[1], : SIZE[0]]
    # Above the shaft by more than side lobes and the JPEG's blocks reach, nothing may differ.
    (ex, ey), (tx, ty) = truth.entry_px, truth.tip_px
    high = min(ey, ty) - 24
    away = ys < high
    length = math.hypot(tx - ex, ty - ey)
    t = ((xs - ex) * (tx - ex) + (ys - ey) * (ty - ey)) / length**2
    across = np.abs((xs - ex) * (ty - ey) - (ys - ey) * (tx - ex)) / length
    on = (across < 1.5) & (t > 0.2) & (t < 1.0)
    assert change[on].mean() > 6
    beyond = (t > 1.0) & (np.hypot(xs - tx, ys - ty) > 40) & (ys < ty)
    assert change[away | beyond].max(initial=0) <= 3


def test_cines_without_needle_and_with_late_needle_have_no_tip() -> None:
    bare = simulate_cine("breast", "A", 1, 2, size_px=(96, 96), needle=False)
    late = simulate_cine("breast", "A", 1, 1, size_px=(96, 96), needle=True, start="outside")
    for truth in (*bare.truth, *late.truth):
        assert truth.visibility == "absent"
        assert truth.tip_px is None and truth.needle_box is None and truth.tip_cnr is None


def test_needles_come_from_both_sides_at_many_angles_and_some_cines_have_none() -> None:
    needles = [
        draw_needle(stream_rng(seed, "needle"), "nerve", (-19, 0, 19, 35), 19.0, (seed % 19 - 9.0, 8.0 + seed % 13),
                    0.5, lambda x, z: (np.abs(x) < 19) & (z > 0) & (z < 35), -26.0)
        for seed in range(60)
    ]
    have = [CineGenerator("vessel", "A", seed, size_px=(64, 64)).has_needle for seed in range(16)]
    angles = [n.angle_deg for n in needles]
    assert {n.side for n in needles} == {-1, 1}
    assert min(angles) < 16 and max(angles) > 45
    assert all(10 <= a <= 65 for a in angles)
    assert 1 <= have.count(False) <= 8


def test_bad_arguments_are_refused_in_plain_words() -> None:
    with pytest.raises(UserError, match="breast, nerve, vessel"):
        simulate_cine("infant-lp", "A", 1, 1)
    with pytest.raises(UserError, match="machine"):
        simulate_cine("breast", "Z", 1, 1)
    with pytest.raises(UserError, match="at least one frame"):
        simulate_cine("breast", "A", 1, 0)
    with pytest.raises(UserError, match="64"):
        simulate_cine("breast", "A", 1, 1, size_px=(8, 8))
