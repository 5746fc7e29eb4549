"""The simulator as a whole: repeatable bytes, truth that fits the picture, twins without a needle."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from plain_subject import layered_subject

from puncta.core.errors import UserError
from puncta.core.geometry import TIP_BOX_SHARE
from puncta.sim.anatomy import SubjectOptions
from puncta.sim.cine import CineGenerator, frame_times_ns, simulate_cine
from puncta.sim.controls import STILL, Controls
from puncta.sim.machines import PRESETS
from puncta.sim.subject import PROCEDURES

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
    assert inside.std() > 10
    assert 12 < inside[inside > 0].mean() < 160
    assert 0.02 < cine.mm_per_px[0] < 2.0


def test_same_arguments_give_the_same_bytes_whatever_the_number_of_frames() -> None:
    short = simulate_cine("nerve", "F", 3, 2, size_px=SIZE, furniture=True)
    long = simulate_cine("nerve", "F", 3, 5, size_px=SIZE, furniture=True)
    other = simulate_cine("nerve", "F", 4, 2, size_px=SIZE, furniture=True)
    assert np.array_equal(short.frames, long.frames[:2])
    assert short.truth == long.truth[:2]
    assert not np.array_equal(short.frames, other.frames)
    assert not np.array_equal(long.frames[0], long.frames[4])


def test_the_same_seed_gives_the_same_bytes_in_another_process() -> None:
    code = (
        "import hashlib; from puncta.sim.cine import simulate_cine;"
        "print(hashlib.sha256(simulate_cine('vessel', 'A', 9, 2, size_px=(160, 128)).frames.tobytes()).hexdigest())"
    )
    runs = {subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
            for _ in range(2)}
    assert len(runs) == 1 and len(runs.pop().strip()) == 64


@pytest.mark.parametrize("machine", ["A", "E", "F"])
def test_skipping_frames_leads_to_the_same_picture_as_playing_them(machine: str) -> None:
    played = CineGenerator("vessel", machine, 8, size_px=(96, 96), needle=True)
    frames = [played.next_frame() for _ in range(50)]
    skipped = CineGenerator("vessel", machine, 8, size_px=(96, 96), needle=True)
    skipped.skip_to(48)
    for k in (48, 49):
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
    fixed = CineGenerator("breast", "F", 2, size_px=(96, 96), fps=50.0)
    fixed.next_frame()
    assert fixed.t_ns == 20_000_000


def test_tip_moves_along_the_axis_and_truth_fits_together() -> None:
    seen = 0
    for seed in range(6):
        cine = simulate_cine("nerve", "A", seed, 4, size_px=SIZE, needle=True, start="inside", approach="in-plane")
        for truth in cine.truth:
            if truth.tip_px is None or truth.entry_px is None or truth.angle_deg is None:
                continue
            seen += 1
            x0, y0, w, h = truth.region
            assert x0 - 1.5 <= truth.tip_px[0] <= x0 + w + 0.5
            assert y0 - 1.5 <= truth.tip_px[1] <= y0 + h + 0.5
            run, fall = truth.tip_px[0] - truth.entry_px[0], truth.tip_px[1] - truth.entry_px[1]
            if math.hypot(run, fall) > 15:
                assert fall > 0
                assert (run > 0) == (truth.side == "left")
                assert math.degrees(math.atan2(fall, abs(run))) == pytest.approx(truth.angle_deg, abs=16)
            assert truth.tip_box is not None
            assert truth.tip_box[2:] == pytest.approx((TIP_BOX_SHARE[0] * w, TIP_BOX_SHARE[1] * h))
            assert truth.depth_mm == pytest.approx((truth.tip_px[1] - y0 + 0.5) * truth.mm_per_px[1], abs=1e-6)
            if truth.needle_box is not None:
                bx, by, bw, bh = truth.needle_box
                assert bx >= x0 - 0.5 and by >= y0 - 0.5
                assert bx + bw <= x0 + w - 0.5 + 1e-6 and by + bh <= y0 + h - 0.5 + 1e-6
                assert len(truth.shaft_polygon) >= 4
    assert seen >= 12


def test_one_subject_is_the_same_on_every_machine_and_the_options_reach_it() -> None:
    first, second = (CineGenerator("breast", m, 4, size_px=(96, 96)).subject for m in "AE")
    assert np.array_equal(first.label, second.label)
    a = CineGenerator("vessel", "A", 4, size_px=(96, 96), options=SubjectOptions(view="long-axis"))
    assert a.subject.view == "long-axis"
    assert CineGenerator("breast", "A", 4, size_px=(96, 96), subject=first).subject is first


def test_the_depth_of_the_picture_follows_the_subject() -> None:
    for seed in range(4):
        g = CineGenerator("vessel", "B", seed, size_px=(96, 96), furniture=True)
        assert 0.85 * g.subject.depth_mm < g.scan.depth_mm < 1.5 * g.subject.depth_mm + 6.0


def test_twin_without_echo_differs_only_near_the_needle() -> None:
    for seed in range(60):
        generator = CineGenerator("nerve", "B", seed, size_px=SIZE, needle=True, start="inside", approach="in-plane",
                                  subject=layered_subject())
        kind, pose = generator.needle, generator.plan
        if kind.shadow_db < 2 and kind.floor > 0.4 and abs(pose.pose(pose.goal_mm).tip_mm[1]) < 0.3:
            break
    twin = CineGenerator("nerve", "B", seed, size_px=SIZE, needle=True, start="inside", approach="in-plane",
                         subject=layered_subject(), draw_needle_echo=False)
    for _ in range(3):
        pixels, truth = generator.next_frame()
        bare, same = twin.next_frame()
    assert truth.tip_px == same.tip_px and truth.entry_px is not None and truth.tip_px is not None
    change = np.abs(pixels.astype(int) - bare.astype(int))
    ys, xs = np.mgrid[: SIZE[1], : SIZE[0]]
    # Above the shaft by more than side lobes and the JPEG's blocks reach, nothing may differ.
    (ex, ey), (tx, ty) = truth.entry_px, truth.tip_px
    away = ys < min(ey, ty) - 24
    length = math.hypot(tx - ex, ty - ey)
    t = ((xs - ex) * (tx - ex) + (ys - ey) * (ty - ey)) / length**2
    across = np.abs((xs - ex) * (ty - ey) - (ys - ey) * (tx - ex)) / length
    on = (across < 1.5) & (t > 0.2) & (t < 1.0)
    assert change[on].mean() > 6
    assert change[away].max(initial=0) <= 3


def test_cines_without_needle_and_with_late_needle_have_no_tip() -> None:
    bare = simulate_cine("breast", "A", 1, 2, size_px=(96, 96), needle=False)
    late = simulate_cine("breast", "A", 1, 1, size_px=(96, 96), needle=True, start="outside", approach="in-plane")
    for truth in (*bare.truth, *late.truth):
        assert truth.visibility == "absent"
        assert truth.tip_px is None and truth.tip_cnr is None
    have = [CineGenerator("nerve", "A", seed, size_px=(64, 64), subject=layered_subject()).has_needle
            for seed in range(24)]
    assert 1 <= have.count(False) <= 9


def test_controls_move_a_steered_probe_and_needle_and_replay_to_the_byte() -> None:
    moves = [Controls(slide_mm=0.4, advance_mm=0.8), STILL, Controls(press_mm=0.5, tilt_deg=0.5), STILL]

    def play(given: list[Controls]) -> tuple[list[np.ndarray], CineGenerator]:
        g = CineGenerator("nerve", "C", 2, size_px=(128, 128), steered=True, needle=True, fps=25.0,
                          subject=layered_subject(y_half_mm=4.0))
        return [g.next_frame(c)[0] for c in given * 4], g

    first, generator = play(moves)
    again, _ = play(moves)
    still, resting = play([STILL] * 4)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert generator.state.probe.slide_mm > resting.state.probe.slide_mm + 0.8
    assert generator.state.probe.press_mm > resting.state.probe.press_mm + 1.0
    assert not np.array_equal(first[-1], still[-1])


def test_bad_arguments_are_refused_in_plain_words() -> None:
    with pytest.raises(UserError, match="nearest is breast"):
        simulate_cine("breasts", "A", 1, 1)
    with pytest.raises(UserError, match="machine"):
        simulate_cine("breast", "Z", 1, 1)
    with pytest.raises(UserError, match="at least one frame"):
        simulate_cine("breast", "A", 1, 0)
    with pytest.raises(UserError, match="64"):
        simulate_cine("breast", "A", 1, 1, size_px=(8, 8))
    with pytest.raises(UserError, match="frame rate"):
        CineGenerator("breast", "A", 1, fps=1000.0)
