"""Bright lines of the tissue that compete with a needle."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from puncta.sim.competing import has_competing_line
from puncta.sim.truth import FrameTruth

SIZE = 200


def tissue() -> np.ndarray:
    rng = np.random.default_rng(1)
    return cv2.GaussianBlur(rng.normal(60, 40, (SIZE, SIZE)), (0, 0), 1.2).clip(0, 255).astype(np.uint8)


def line(picture: np.ndarray, a: tuple[int, int], b: tuple[int, int], level: int = 200) -> None:
    cv2.line(picture, a, b, level, 2, cv2.LINE_AA)


def truth(length_px: float = 60.0, cnr: float | None = 3.0) -> FrameTruth:
    tip = (20 + length_px * np.cos(0.5), 20 + length_px * np.sin(0.5))
    return FrameTruth(
        0, 0, (0, 0, SIZE, SIZE), (0.2, 0.2), "clear", tip_px=tip, entry_px=(20.0, 20.0), visible_px=length_px,
        shaft_cnr=cnr,
    )


@pytest.mark.parametrize(
    ("a", "b", "level", "expected"),
    [
        ((40, 160), (160, 110), 220, True),  # longer, bright, at a needle's slope
        ((40, 160), (70, 147), 220, False),  # shorter than the shaft
        ((40, 150), (160, 152), 220, False),  # flat as a layer is
        ((40, 160), (160, 110), 78, False),  # fainter than the shaft
    ],
)
def test_a_line_competes_by_length_slope_and_contrast(a, b, level, expected):
    picture = tissue()
    line(picture, (20, 20), tuple(int(round(v)) for v in truth().tip_px))
    line(picture, a, b, level)
    assert has_competing_line(picture, truth()) is expected


def test_pieces_of_one_line_count_together():
    picture = tissue()
    for k in range(4):
        start = np.array([30 + 32 * k, 170 - 16 * k])
        line(picture, tuple(start), tuple(start + [28, -14]), 220)
    assert has_competing_line(picture, truth())


def test_the_needle_does_not_compete_with_itself():
    picture = tissue()
    tip = tuple(int(round(v)) for v in truth(100.0).tip_px)
    line(picture, (20, 20), tip, 230)
    line(picture, (20, 27), (tip[0], tip[1] + 7), 180)  # its reverberation
    assert not has_competing_line(picture, truth(60.0))


def test_the_edge_of_a_vessel_is_no_line():
    picture = tissue()
    cv2.fillPoly(picture, [np.array([[40, 160], [180, 90], [199, 199], [40, 199]])], 5)
    assert not has_competing_line(picture, truth())


def test_a_frame_without_a_shaft_is_not_asked():
    picture = tissue()
    line(picture, (40, 160), (160, 110), 220)
    assert not has_competing_line(picture, truth(cnr=None))
    assert not has_competing_line(picture, FrameTruth(0, 0, (0, 0, SIZE, SIZE), (0.2, 0.2)))
