"""Cines of needles that rest: the truth lies where the needle is shown, and the experiment reads them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from puncta.core.errors import UserError
from puncta.training.data import load_clips
from puncta.training.experiment import experiment_from
from puncta.training.run import gather_data
from puncta.training.steady import (
    PartPainter,
    SteadyCineSpec,
    build_steady,
    compose_steady_cine,
    draw_resting,
    shown_at,
)
from puncta.training.synthesis import MovingStill
from puncta.training.tracker.masks import IN_PLANE, build_steady_masks, load_mask_clips

SIZE = 128


def _tissue(seed: int = 1, size: int = 300) -> np.ndarray:
    rng = np.random.default_rng(seed)
    noise = cv2.GaussianBlur(rng.normal(0, 1, (size, size)).astype(np.float32), (0, 0), 2)
    return np.clip(60 + 60 * noise / noise.std(), 8, 200).astype(np.uint8)


@pytest.mark.parametrize("seed", range(6))
def test_a_point_of_the_still_is_found_where_it_is_shown(seed: int) -> None:
    still = np.zeros((SIZE, SIZE), np.uint8)
    point = np.array([70.0, 50.0])
    cv2.circle(still, (70, 50), 3, 255, -1, cv2.LINE_AA)
    moving = MovingStill(np.random.default_rng(seed), still, 20, (0.2, 0.2))
    moving.slide[:] = 0.0
    for i in (0, 9, 19):
        shown = moving.frame(i)
        y, x = np.mgrid[0:SIZE, 0:SIZE]
        centre = np.array([(x * shown).sum(), (y * shown).sum()]) / shown.sum()
        assert np.hypot(*(shown_at(moving, i, point) - centre)) < 0.6


def test_a_needle_is_drawn_at_its_tip_and_not_beyond() -> None:
    still = np.full((SIZE, SIZE), 20, np.uint8)
    for seed in range(40):
        rng = np.random.default_rng(seed)
        needle = draw_resting(rng, 5, still, (0.3, 0.3))
        painter = PartPainter(rng, SIZE, (0.3, 0.3))
        drawn = painter.paint(still.astype(np.float32), needle, 0) - 20
        tip, entry = painter.end_px(needle, 0)
        back = (entry - tip) / np.hypot(*(entry - tip))
        y, x = np.mgrid[0:SIZE, 0:SIZE]
        ahead = -((x - tip[0]) * back[0] + (y - tip[1]) * back[1])
        # What lies more than 3 mm ahead of the tip is as it was; something of the shaft is seen behind it.
        assert drawn[ahead > 11].max(initial=0.0) < 4.0
        if (tip > 4).all() and (tip < SIZE - 5).all():
            assert drawn[(ahead < 0) & (ahead > -20)].max() > 15.0


def test_cines_repeat_and_hold_needles_at_rest_and_none() -> None:
    cines = [compose_steady_cine(np.random.default_rng([4, k]), _tissue(k), SIZE, 8) for k in range(16)]
    again = compose_steady_cine(np.random.default_rng([4, 3]), _tissue(3), SIZE, 8)
    assert np.array_equal(again.frames, cines[3].frames)
    assert np.array_equal(again.tip_px, cines[3].tip_px, equal_nan=True)
    empty = [c for c in cines if (c.judged == 0).all()]
    assert 1 <= len(empty) <= 10
    assert all(np.isnan(c.tip_px).all() for c in empty)
    whole = [c for c in cines if (c.judged == 1).all()]
    # By far most needles move less than a pixel from frame to frame.
    steps = [np.abs(np.diff(c.tip_px, axis=0)).max() for c in whole]
    assert whole and np.mean(np.array(steps) < 1.5) > 0.5
    assert all(((c.tip_px > 0) & (c.tip_px < SIZE)).all() for c in whole)


def test_an_experiment_learns_and_tunes_on_them(tmp_path: Path) -> None:
    stills = tmp_path / "data" / "stills"
    stills.mkdir(parents=True)
    for k in range(8):  # some of them belong to the half for training
        cv2.imwrite(str(stills / f"{k}.png"), _tissue(k))
    table = {
        "version": 1, "name": "small", "title": "small", "plugin": "needle-tip", "seed": 1,
        "data": {"backgrounds": ["stills"], "steady_cines": 3, "tune_steady_cines": 2, "composite_share": 0.5},
        "model": {"net": "tip_stream"}, "training": {"samples": 96, "batch": 8, "learning_rate": 1e-3},
    }
    told: list[str] = []
    splits = gather_data(
        experiment_from(table), tmp_path / "data", tmp_path / "cache", lambda p: told.append(p.stage)
    )
    assert [(share, len(clips)) for share, clips in splits.train] == [(0.5, 3)]
    assert [len(clips) for clips in splits.tune] == [2]
    assert not np.array_equal(splits.train[0][1][0].frames, splits.tune[0][0].frames)
    assert "resting needles" in told


def test_clips_are_made_once_and_folders_must_be_there(tmp_path: Path) -> None:
    stills = tmp_path / "stills"
    stills.mkdir()
    for k in range(8):
        cv2.imwrite(str(stills / f"{k}.png"), _tissue(k))
    spec = SteadyCineSpec(("stills",), 2, 6)
    folder = build_steady(spec, tmp_path, tmp_path / "cache", lambda *_: None)
    before = {p.name: p.stat().st_mtime_ns for p in folder.iterdir()}
    assert len(load_clips(folder)) == 2
    assert build_steady(spec, tmp_path, tmp_path / "cache", lambda *_: None) == folder
    assert {p.name: p.stat().st_mtime_ns for p in folder.iterdir()} == before
    with pytest.raises(UserError, match="nowhere"):
        build_steady(SteadyCineSpec(("nowhere",), 2), tmp_path, tmp_path / "cache", lambda *_: None)


def test_masks_lie_on_the_needles_of_the_same_cines(tmp_path: Path) -> None:
    stills = tmp_path / "stills"
    stills.mkdir()
    for k in range(8):
        cv2.imwrite(str(stills / f"{k}.png"), _tissue(k))
    spec = SteadyCineSpec(("stills",), 6, 4, seed=3)
    folder = build_steady(spec, tmp_path, tmp_path / "cache", lambda *_: None)
    build_steady_masks(spec, tmp_path, folder, lambda *_: None)
    clips = load_mask_clips(folder)
    assert len(clips) == 6
    seen = 0
    for clip in clips:
        masks = clip.masks(range(4))
        assert masks.shape == clip.clip.frames.shape
        for k in range(4):
            if clip.plane[k] != IN_PLANE:
                continue
            y, x = np.nonzero(masks[k] > 127)
            assert len(x) > 10
            tip = clip.clip.tip_px[k]
            # The mask ends at the tip and runs along the axis to the entry.
            assert np.hypot(x - tip[0], y - tip[1]).min() < 4
            seen += 1
    assert seen >= 4
    assert any((clip.plane == 0).all() for clip in clips) or any((clip.plane < 0).all() for clip in clips)
