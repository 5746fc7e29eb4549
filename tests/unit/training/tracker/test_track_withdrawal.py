"""What teaches the tracker that needles are drawn out: time runs back, first masks are of another time, tips show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from puncta.training.data import CACHE_SIZE, Clip  # noqa: E402
from puncta.training.experiment import find_experiment, read_experiment  # noqa: E402
from puncta.training.tracker.augment import _Fading, make_track_sample, pick_window  # noqa: E402
from puncta.training.tracker.masks import IN_PLANE, MaskClip, save_masks  # noqa: E402

FRAMES = 24
TOP = 40


@pytest.fixture
def clip(tmp_path: Path) -> MaskClip:
    """A bar that is pushed down from the top, its tip 6 px further on every frame."""
    tips = np.array([(120.0, TOP + 30.0 + 6.0 * t) for t in range(FRAMES)])
    masks = np.zeros((FRAMES, CACHE_SIZE, CACHE_SIZE), np.uint8)
    for mask, (x, y) in zip(masks, tips):
        mask[TOP : int(y), int(x) - 4 : int(x) + 4] = 255
    frames = np.random.default_rng(0).integers(60, 120, masks.shape, dtype=np.uint8)
    frames[masks > 0] = 230
    save_masks(tmp_path, "a", list(masks), [IN_PLANE] * FRAMES)
    entries = np.tile((120.0, float(TOP)), (FRAMES, 1))
    told = np.ones(FRAMES, np.int8)
    made = Clip("a", "simulator", "A", frames, tips, entries, told, np.zeros((FRAMES, 2)), None)
    return MaskClip(made, tmp_path / "a.npz", np.full(FRAMES, IN_PLANE, np.int8))


def test_needles_are_drawn_out_in_the_share_of_samples_asked_for(clip: MaskClip) -> None:
    def backwards(share: float) -> int:
        windows = (pick_window(np.random.default_rng(s), clip, 5, False, share) for s in range(200))
        return sum(numbers[0] < numbers[4] for numbers in windows)

    assert backwards(0.0) == 0 and backwards(1.0) == 200
    assert 55 <= backwards(0.4) <= 105


def test_a_first_mask_of_another_time_is_longer_or_shorter_than_the_needle(clip: MaskClip) -> None:
    def off(stale: float) -> list[float]:
        out = []
        for seed in range(150):
            sample = make_track_sample(clip, 64, np.random.default_rng(seed), 2, stale_share=stale)
            prior, mask = sample.channels[0, -1], sample.masks[0] / 255.0
            # Spoilt masks alone: a user's prompt and a false prior are what they were.
            if prior.any() and mask.any() and (np.minimum(prior, mask).sum() > 0.3 * min(prior.sum(), mask.sum())):
                out.append(abs(float(prior.sum() / prior.max() - mask.sum())) / float(mask.sum()))
        return out

    assert np.median(off(1.0)) > np.median(off(0.0)) + 0.05


def test_the_part_that_fades_is_turned_away_from_the_tip_and_left_alone_where_that_is_unknown() -> None:
    mask = np.zeros((64, 64), np.uint8)
    mask[8:56, 30:34] = 255
    frame = np.where(mask > 0, np.uint8(230), np.uint8(40))
    for turn in np.linspace(0.0, 2 * np.pi, 12, endpoint=False):
        c, s = float(np.cos(turn)), float(np.sin(turn))
        if abs(s) < 0.3:
            continue
        fading = _Fading(0, 3, 1.0, (20, 0), (c, s, 32 * c + 32 * s))
        kept = fading.keeping(np.array([32.0, 55.0])).apply(frame, mask, 1)
        assert kept[52, 32] > 200 and kept[12, 32] < 80, "the shaft fades and the tip shows"
        nowhere = fading.keeping(np.array([np.nan, np.nan]))
        assert nowhere is fading
    assert _Fading(0, 3, 1.0, (20, 0), None).keeping(np.array([32.0, 55.0])).apply(frame, mask, 1)[52, 32] < 80


def test_the_second_leg_asks_for_all_of_this_and_the_first_for_none() -> None:
    first, second = (read_experiment(find_experiment(n)).section("training") for n in ("track_cpu", "track_polish"))
    assert (first["backwards"], first["stale_share"], first["tip_shows"]) == (0.2, 0.0, False)
    assert second["backwards"] > 0.2 and second["stale_share"] > 0 and second["tip_shows"]
