"""Looks: reading real folders, the real range, the verdict on a cell, and the sheets."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from puncta.core.errors import UserError
from puncta.session import looks, looks_report


def _speckle(rng: np.random.Generator, sigma: float, level: float, shape: tuple[int, int] = (200, 220)) -> np.ndarray:
    field = rng.standard_normal((2, *shape)).astype(np.float32)
    envelope = np.hypot(*(cv2.GaussianBlur(part, (0, 0), sigma) for part in field))
    grey = level + 60 * np.log10(envelope / envelope.mean() + 1e-3)
    return np.clip(grey, 0, 255).astype(np.uint8)


def _pictures(group: str, sigma: float, level: float, count: int = 12) -> list[looks.LookPicture]:
    rng = np.random.default_rng(3)
    return [looks.LookPicture(str(i), group, f"{group}/{i}", _speckle(rng, sigma * rng.uniform(0.8, 1.25),
                                                                   level + rng.uniform(-12, 12)))
            for i in range(count)]


def test_a_folder_is_read_without_masks_and_broken_files(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    screen = np.zeros((400, 900), np.uint8)
    screen[60:360, 200:700] = _speckle(rng, 2.0, 90, (300, 500))
    for name in ("images/one.png", "images/two.png", "masks/one.png"):
        cv2.imwrite(str(tmp_path / name), screen)
    (tmp_path / "images/broken.png").write_bytes(b"no picture")
    pictures, skipped = looks.read_real(tmp_path)
    assert [p.name for p in pictures] == ["images/one.png", "images/two.png"]
    assert skipped == ["images/broken.png"]
    height, width = pictures[0].pixels.shape
    assert abs(height - 300) < 25 and abs(width - 500) < 40, "only the ultrasound region is kept"


def test_folders_that_do_not_serve_are_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="There is no folder"):
        looks.list_real(tmp_path / "nowhere")
    with pytest.raises(UserError, match="holds no pictures"):
        looks.list_real(tmp_path)


def test_cells_like_the_real_ones_are_inside_and_others_are_not() -> None:
    real = looks.real_range(looks.measure(_pictures("real", 2.0, 90)))
    like = looks.judge_cell(looks.measure(_pictures("A nerve", 2.0, 90)), real)
    coarse = looks.judge_cell(looks.measure(_pictures("B nerve", 4.5, 90)), real)
    bright = looks.judge_cell(looks.measure(_pictures("C nerve", 2.0, 160)), real)
    for name in ("speckle_lateral_px", "slope", "grey_p50", "histogram"):
        assert like[name]["inside"], name
    assert not coarse["speckle_lateral_px"]["inside"] and not coarse["slope"]["inside"]
    assert coarse["grey_p50"]["inside"]
    assert not bright["grey_p50"]["inside"] and not bright["histogram"]["inside"]
    assert bright["histogram"]["distance"] == pytest.approx(70, abs=12)


def test_sheets_and_table_are_laid_out(tmp_path: Path) -> None:
    real = _pictures("real", 2.0, 90)
    cell = _pictures("A nerve", 2.2, 90)
    sheets = looks_report.write_sheets(tmp_path, ["A"], cell, real)
    sheet = cv2.imread(str(sheets[0]), cv2.IMREAD_GRAYSCALE)
    w, h = looks_report.TILE_PX
    assert sheet.shape == (4 * h, 6 * w + 6)
    assert sheet[: h, : w].mean() > 10 and sheet[-h:, -w:].mean() > 10
    span = looks.real_range(looks.measure(real))
    document = {
        "machines": ["A"], "procedures": ["nerve"], "cines": 12, "first_seed": 1,
        "real": looks_report.real_document(span, {"real": 12}),
        "cells": {"A nerve": looks.judge_cell(looks.measure(cell), span)},
    }
    json.dumps(document, allow_nan=False)
    table = looks_report.tell_table(document)
    assert "| A nerve |" in table and "PyTorch" in table and "1 of 1" in table


def test_one_simulated_picture_is_cut_to_its_region_and_repeats() -> None:
    order = looks.Order("nerve", "A", 5, frame=1)
    first, again = looks.simulate_picture(order), looks.simulate_picture(order)
    assert np.array_equal(first.pixels, again.pixels)
    assert first.group == "A nerve" and first.pixels.shape[0] <= looks.LONG_SIDE_PX
    assert first.pixels.mean() > 15
