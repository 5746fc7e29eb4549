"""Poses, sizes and rates at the ends of what is allowed: the picture still shows what the label map says."""

from __future__ import annotations

import math

import numpy as np
import pytest

from puncta.sim.anatomy import build_subject
from puncta.sim.attempt import AttemptLog
from puncta.sim.cine import CineGenerator, stream_rng
from puncta.sim.controls import STILL, Controls
from puncta.sim.hands import SteeredHands
from puncta.sim.machines import draw_machine
from puncta.sim.plane import Block
from puncta.sim.probing import kind_at, label_at, rest_of
from puncta.sim.scan import FILL_DEPTH_MM, plan_scan
from puncta.sim.tissue_kinds import Tissue
from puncta.sim.truth_scene import tissue_at


def steered(controls: Controls, frames: int, machine: str = "A") -> CineGenerator:
    generator = CineGenerator("breast", machine, 3, size_px=(128, 128), steered=True, needle=False, noise=False)
    for _ in range(frames):
        generator.next_frame(controls)
    return generator


@pytest.mark.parametrize("sign", [-1, 1])
def test_tissue_fills_the_lower_corner_that_a_rocked_probe_turns_to(sign: int) -> None:
    generator = steered(Controls(rock_deg=2.0 * sign), 13)
    labels = generator.maps.label_map(generator.view)
    picture, _ = generator.next_frame(STILL)
    x0, y0, w, h = generator.scan.layout.region
    # Rocked to the right, the left of the picture looks far to the left, beyond the block's usual stretch.
    columns = slice(x0, x0 + w // 6) if sign > 0 else slice(x0 + w - w // 6, x0 + w)
    part = (slice(y0 + h // 2, y0 + 2 * h // 3), columns)
    tissue = np.isin(labels[part], [Tissue.FAT, Tissue.GLAND, Tissue.MUSCLE])
    assert tissue.mean() > 0.5
    assert np.median(picture[part][tissue]) > 5


@pytest.mark.parametrize("machine", ["A", "E"])
def test_gel_under_a_lifted_probe_is_dark(machine: str) -> None:
    generator = steered(Controls(press_mm=-0.4), 12, machine)
    labels = generator.maps.label_map(generator.view)
    picture, _ = generator.next_frame(STILL)
    rows = np.arange(labels.shape[0])[:, None]
    skin_row = np.where(labels == Tissue.SKIN, rows, labels.shape[0]).min(axis=0)
    gel = (labels == Tissue.GEL) & (rows < skin_row[None, :] - 3)
    assert gel.sum() > 60
    assert picture[gel].mean() < 0.2 * picture[labels == Tissue.SKIN].mean()


def test_slow_frames_keep_hands_steady() -> None:
    generator = CineGenerator("nerve", "A", 5, size_px=(64, 64), needle=True, fps=1.0)
    assert generator.plan is not None
    for _ in range(400):
        generator._step(STILL)  # noqa: SLF001 - motion alone, without rendering
        generator._advance()  # noqa: SLF001
        state = generator.state
        assert math.isfinite(state.probe.slide_mm) and math.isfinite(state.gain_db)
        assert state.needle is not None
        assert generator.plan.enter_mm - 4.0 < state.needle.way_mm < generator.plan.goal_mm + 2.0


@pytest.mark.parametrize("size_px", [(64, 64), (64, 2048), (2048, 64), (65, 97)])
@pytest.mark.parametrize("machine", ["A", "C", "E"])
def test_no_size_of_picture_stretches_the_field(size_px: tuple[int, int], machine: str) -> None:
    for seed in range(6):
        drawn = draw_machine(machine, stream_rng(seed, "m"), 35.0)
        scan = plan_scan(drawn, stream_rng(seed, "s"), size_px, furniture=False)
        x0, y0, w, h = scan.layout.region
        assert x0 >= 0 and y0 >= 0 and x0 + w <= size_px[0] and y0 + h <= size_px[1]
        assert FILL_DEPTH_MM[0] - 2.0 <= scan.depth_mm <= FILL_DEPTH_MM[1] + 12.0


@pytest.mark.parametrize("size_px", [(64, 2048), (2048, 64)])
def test_ribbons_can_be_drawn(size_px: tuple[int, int]) -> None:
    generator = CineGenerator("vessel", "C", 2**63 - 1, size_px=size_px, needle=True)
    picture, _ = generator.next_frame()
    assert picture.shape == size_px[::-1]
    assert generator.maps.label_map(generator.view).shape == size_px[::-1]


@pytest.mark.parametrize("machine", ["A", "E"])
def test_hands_attempt_and_truth_agree_on_what_the_tip_is_in(machine: str) -> None:
    generator = CineGenerator("vessel", machine, 4, size_px=(64, 64), steered=True, needle=True, noise=False)
    hands, log = generator.hands, AttemptLog(generator.subject, generator.deformation)
    assert isinstance(hands, SteeredHands)
    compared = 0
    for index in range(56):
        _, truth = generator.next_frame(Controls(advance_mm=0.5))
        log.step(index, truth.t_ns, generator.state)
        # While a layer tents the hands keep the kind before it, and the drag that hands go by is rounded off.
        tip = generator.state.needle
        if tip is None or tip.way_mm <= 0 or generator.state.tent_mm > 0:
            continue
        # The truth of a frame keeps to itself what a tip beside the picture lies in.
        kind = tissue_at(generator.subject, generator.deformation, generator.view, tip.tip_mm)
        assert truth.tip_tissue == (kind.name.lower() if truth.tip_px is not None else None)
        if kind in (Tissue.OUTSIDE, Tissue.SKIN):
            continue
        x, y, z = rest_of(generator.deformation, generator.state, *tip.tip_mm)
        near = label_at(generator.subject, x, y, float(z) + np.linspace(-0.5, 0.5, 9))
        compared += 1
        assert log.tissue is not None and kind in set(near)
        assert log.tissue in set(near) and hands.tip_kind in {*near, Tissue.OUTSIDE}
    assert compared > 25


def test_beside_the_block_look_ups_and_picture_mirror_it_alike() -> None:
    subject = build_subject("breast", 3, y_half_mm=1.0)
    edge = float(subject.lattice.xs[-1])
    # A hair off the cells' middles, where rounding could go either way.
    x, z = (v.ravel() for v in np.meshgrid(np.linspace(-1.6, 1.6, 90) * edge + 0.03, np.linspace(0.6, 60.0, 40) + 0.03))
    shown = Block(subject).labels(x, 0.0, z)
    assert (np.abs(x) > edge).mean() > 0.3
    assert np.mean(label_at(subject, x, 0.0, z) == shown) > 0.99
    kinds = [int(kind_at(subject, (float(a), 0.0, float(b)))) for a, b in zip(x, z, strict=True)]
    assert np.mean(np.array(kinds) == shown) > 0.99


@pytest.mark.parametrize(("procedure", "machine", "seed"), [("vessel", "A", 4), ("infant-lp", "E", 2)])
def test_tissue_takes_the_needle_along_when_the_probe_is_pressed_in(procedure: str, machine: str, seed: int) -> None:
    generator = CineGenerator(procedure, machine, seed, size_px=(64, 64), steered=True, needle=True, noise=False)

    def tip_at_rest() -> tuple[float, float]:
        x, _, z = rest_of(generator.deformation, generator.state, *generator.state.needle.tip_mm)
        return float(x), float(z)

    for _ in range(46):
        generator.next_frame(Controls(advance_mm=0.5))
    places = [tip_at_rest()]
    deep = generator.state.needle.tip_mm[2]
    for press_mm in (0.3, -0.3):
        for _ in range(30):
            generator.next_frame(Controls(press_mm=press_mm))
        places.append(tip_at_rest())
        if press_mm > 0 and procedure == "vessel":  # the other needle goes in beside the face, where little sinks
            assert generator.state.needle.tip_mm[2] > deep + 2.0
    assert math.dist(places[0], places[1]) < 0.5 and math.dist(places[0], places[2]) < 0.5
