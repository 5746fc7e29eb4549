"""A region is stated as found only where its sides are sharp; else a person draws it. A changed layout is noticed."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from puncta.core.geometry import box_iou
from puncta.imaging.region_shape import propose_region
from puncta.imaging.screen_layout import AGAIN, LEARNING, ScreenWatch

BOX = (190, 60, 400, 460)


def screen(seed: int, *, fade: float = 1.0, depth: str = "D 45 mm", clock: str = "") -> np.ndarray:
    """A machine's screen with speckle in BOX; with a fade its depth gets lost in the black."""
    picture = np.zeros((600, 800), np.uint8)
    cv2.putText(picture, depth, (8, 90), cv2.FONT_HERSHEY_SIMPLEX, 0.55, 230, 1, cv2.LINE_AA)
    cv2.putText(picture, clock, (600, 30), cv2.FONT_HERSHEY_SIMPLEX, 0.55, 230, 1, cv2.LINE_AA)
    raw = np.hypot(*np.random.default_rng(seed).standard_normal((2, BOX[3], BOX[2])))
    tissue = cv2.GaussianBlur(raw, (0, 0), 1.6) * 56 + 8
    tissue *= np.linspace(1.0, fade, BOX[3])[:, None] ** 3
    x, y, w, h = BOX
    picture[y : y + h, x : x + w] = np.clip(tissue, 0, 255).astype(np.uint8)
    return picture


def test_sharp_sides_are_found() -> None:
    found = propose_region([screen(seed) for seed in range(4)])
    assert found.sure and found.shape == "rectangle"
    assert box_iou(found.box, BOX) > 0.97


def test_depth_that_fades_into_black_is_for_a_person_to_draw() -> None:
    found = propose_region([screen(seed, fade=0.0) for seed in range(4)])
    assert not found.sure


@pytest.mark.parametrize("value", [0, 120])
def test_nothing_to_see_is_not_stated_as_found(value: int) -> None:
    assert not propose_region([np.full((300, 400), value, np.uint8)] * 3).sure


@pytest.mark.parametrize("machine", ["A", "C", "D"])
def test_a_simulated_screen_is_found_or_asked_about_but_never_wrong(machine: str) -> None:
    from puncta.sim.cine import CineGenerator

    cine = CineGenerator("vessel", machine, 17, furniture=True)
    found = propose_region([cine.next_frame()[0] for _ in range(4)])
    assert not found.sure or box_iou(found.box, cine.scan.layout.region) >= 0.95


def test_real_screens_are_found_or_asked_about_but_never_wrong(shared_data, repo_root) -> None:  # noqa: ANN001
    from puncta.session.region_check import check_drawn

    folder = shared_data / "pocus_screens"
    cases = list(check_drawn(folder, repo_root / "resources" / "docs" / "results" / "regions-drawn.toml"))
    assert len(cases) == 13 and not [case.name for case in cases if case.wrong]
    assert sum(case.sure for case in cases) >= 6


def learned(**options) -> ScreenWatch:  # noqa: ANN003
    watch = ScreenWatch(BOX)
    for k in range(LEARNING):
        assert watch.learning and not watch.look(screen(k, clock=f"12:30:{10 + k}", **options))
    assert not watch.learning
    return watch


def test_another_depth_is_noticed_and_tissue_and_clock_are_not() -> None:
    watch = learned()
    assert not any(watch.look(screen(20 + k, clock=f"12:31:{40 + k}")) for k in range(12))
    told = [watch.look(screen(40 + k, depth="D 60 mm", clock="12:32:07")) for k in range(3)]
    assert told == [k + 1 >= AGAIN for k in range(3)]


def test_another_picture_size_is_another_layout() -> None:
    watch = learned()
    assert watch.look(np.zeros((480, 640), np.uint8))


def fan_screen(seed: int, *, half: float = 0.55, fade: float = 1.0, black_below: float = 1.0, scale: bool = False):
    """A convex probe's fan of speckle among furniture, and its box."""
    picture = np.zeros((600, 800), np.uint8)
    cv2.putText(picture, "D 90 mm", (8, 90), cv2.FONT_HERSHEY_SIMPLEX, 0.55, 230, 1, cv2.LINE_AA)
    raw = np.hypot(*np.random.default_rng(seed).standard_normal((2, 600, 800)))
    tissue = cv2.GaussianBlur(raw, (0, 0), 1.6) * 56 + 8
    y, x = np.mgrid[0:600, 0:800].astype(float)
    radius, angle = np.hypot(x - 400, y + 60), np.arctan2(x - 400, y + 60)
    inside = (radius >= 170) & (radius <= 600) & (np.abs(angle) <= half)
    depth = np.clip((radius - 170) / 430, 0, 1)
    tissue *= (1 - depth * (1 - fade)) ** 3
    tissue[depth > black_below] = 0
    picture[inside] = np.clip(tissue[inside], 0, 255).astype(np.uint8)
    rows, columns = np.nonzero(inside)
    box = (int(columns.min()), int(rows.min()), int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1)
    for mark in range(11) if scale else ():
        row = box[1] + round(mark * (box[3] - 1) / 10)
        cv2.line(picture, (box[0] + box[2] + 20, row), (box[0] + box[2] + 34, row), 220, 1)
    return picture, box


@pytest.mark.parametrize("half", [0.3, 0.55])
def test_a_fan_is_found_by_its_sides_and_arcs(half: float) -> None:
    pictures = [fan_screen(seed, half=half, scale=True)[0] for seed in range(4)]
    found = propose_region(pictures)
    assert found.sure and found.shape == "fan"
    assert box_iou(found.box, fan_screen(0, half=half)[1]) > 0.97


def test_a_fan_that_fades_into_black_is_for_a_person_to_draw() -> None:
    found = propose_region([fan_screen(seed, fade=0.0)[0] for seed in range(4)])
    assert not found.sure


def test_a_fan_that_ends_before_its_depth_scale_is_for_a_person_to_draw() -> None:
    found = propose_region([fan_screen(seed, black_below=0.7, scale=True)[0] for seed in range(4)])
    assert not found.sure
