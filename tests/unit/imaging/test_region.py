"""The ultrasound picture is found in screens drawn here, and told from furniture."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from puncta.core.geometry import box_iou
from puncta.imaging.region import find_region

BOX = (190, 60, 400, 460)


def speckle(rng: np.random.Generator, size: tuple[int, int], mean: float = 70) -> np.ndarray:
    """Rayleigh-distributed speckle, blurred to a grain of some pixels."""
    raw = np.hypot(*rng.standard_normal((2, *size)))
    return np.clip(cv2.GaussianBlur(raw, (0, 0), 1.6) * mean / 1.25, 0, 255).astype(np.uint8)


def screen(seed: int, *, furniture: bool = True, mask: np.ndarray | None = None, mean: float = 70) -> np.ndarray:
    """A machine's screen of 800 x 600 with its picture in BOX."""
    picture = np.zeros((600, 800), np.uint8)
    if furniture:
        for i, text in enumerate(("PHANTOM 12-34", "L12-3  8 MHz", "Gain 63 %", "DR 60 dB", "MI 0.9 TIS 0.2")):
            cv2.putText(picture, text, (8, 90 + 40 * i), cv2.FONT_HERSHEY_SIMPLEX, 0.55, 230, 1, cv2.LINE_AA)
        picture[:34] = 90
        cv2.putText(picture, "A CLINIC   2026-01-01   12:00:00", (10, 24), cv2.FONT_HERSHEY_SIMPLEX, 0.6, 255, 1)
        for i in range(10):
            cv2.line(picture, (BOX[0] + BOX[2] + 14, 70 + 48 * i), (BOX[0] + BOX[2] + 24, 70 + 48 * i), 200, 1)
        picture[120:380, 740:760] = np.linspace(255, 0, 260).astype(np.uint8)[:, None]
        cv2.putText(picture, "3.5 cm", (620, 570), cv2.FONT_HERSHEY_SIMPLEX, 0.6, 220, 1)
    x, y, w, h = BOX
    tissue = speckle(np.random.default_rng(seed), (h, w), mean)
    if mask is None:
        picture[y : y + h, x : x + w] = tissue
    else:
        view = picture[y : y + h, x : x + w]
        view[mask] = tissue[mask]
    return picture


def frames(count: int = 6, **options) -> list[np.ndarray]:
    return [screen(seed, **options) for seed in range(count)]


def sector() -> np.ndarray:
    y, x = np.mgrid[0 : BOX[3], 0 : BOX[2]]
    dx, dy = x - BOX[2] / 2, y + 40.0
    radius, angle = np.hypot(dx, dy), np.arctan2(dx, dy)
    return (radius > 60) & (radius < 495) & (np.abs(angle) < 0.41)


def test_a_linear_picture_among_furniture():
    finding = find_region(frames())
    assert finding.kind == "found" and finding.confidence > 0.8
    assert box_iou(finding.box, BOX) > 0.95


def test_a_single_frame_is_enough():
    assert box_iou(find_region(frames(1)).box, BOX) > 0.93


def test_colour_screens_and_saturated_furniture():
    coloured = [np.stack([f, f, f], axis=-1) for f in frames()]
    for f in coloured:
        f[100:400, 700:790] = (240, 120, 0)
    assert box_iou(find_region(coloured).box, BOX) > 0.95


def test_a_sector():
    found = find_region(frames(mask=sector())).box
    rows, columns = np.nonzero(sector())
    left, top = BOX[0] + columns.min(), BOX[1] + rows.min()
    true = (int(left), int(top), int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1)
    assert box_iou(found, true) > 0.88


def test_a_cyst_across_the_picture_does_not_cut_it():
    mask = np.ones((BOX[3], BOX[2]), bool)
    mask[150:300] = False
    assert box_iou(find_region(frames(mask=mask)).box, BOX) > 0.93


def test_deep_tissue_that_fades_still_belongs_to_it():
    fade = np.linspace(1.0, 0.09, BOX[3])[:, None]
    x, y, w, h = BOX
    faded = frames()
    for f in faded:
        f[y : y + h, x : x + w] = (f[y : y + h, x : x + w] * fade).astype(np.uint8)
    assert box_iou(find_region(faded).box, BOX) > 0.9


def test_a_picture_without_furniture_is_taken_whole():
    rng = np.random.default_rng(0)
    finding = find_region([speckle(rng, (300, 400)) for _ in range(4)])
    assert finding.kind == "whole" and finding.box == (0, 0, 400, 300)


@pytest.mark.parametrize("value", [0, 90, 255])
def test_nothing_to_see_is_taken_whole(value: int):
    finding = find_region([np.full((120, 160), value, np.uint8)] * 3)
    assert finding.kind == "whole" and finding.confidence == 0


def test_text_alone_is_no_picture():
    page = np.zeros((600, 800), np.uint8)
    for i in range(14):
        cv2.putText(page, "Patient list page one of many", (20, 40 + 40 * i), cv2.FONT_HERSHEY_SIMPLEX, 0.8, 255, 1)
    assert find_region([page] * 4).kind == "whole"


@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (1, 500), (500, 1), (2160, 3840), (40, 30, 3)])
def test_any_size_gives_a_box_inside(shape: tuple[int, ...]):
    picture = np.random.default_rng(1).integers(0, 255, shape).astype(np.uint8)
    x, y, w, h = find_region([picture]).box
    assert 0 <= x < x + w <= shape[1] and 0 <= y < y + h <= shape[0]


@pytest.mark.parametrize("machine", ["A", "B", "C", "D"])
def test_simulated_screens(machine: str):
    from puncta.sources.factory import open_source

    source = open_source(f"sim:breast?seed=11&machine={machine}&size=640x480&frames=40")
    pictures = []
    truth = source.info.geometry.region.box
    while (frame := source.read()) is not None:
        if frame.key.index % 8 == 0:
            pictures.append(frame.pixels)
    source.close()
    assert box_iou(find_region(pictures).box, truth) > 0.85


def test_menus_that_hang_together_around_the_picture_are_left_out():
    """Bars at the top, left and bottom touch each other: their bounds hold the picture, and are not it."""
    shown = []
    for seed in range(3):
        picture = screen(seed, furniture=False)
        bars = speckle(np.random.default_rng(99), (600, 800), 120)
        picture[:26], picture[:, :60], picture[560:] = bars[:26], bars[:, :60], bars[560:]
        shown.append(picture)
    for seen in (shown, shown[:1]):
        finding = find_region(seen)
        assert finding.kind == "found"
        assert box_iou(finding.box, BOX) > 0.95
