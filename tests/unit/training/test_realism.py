"""The network that tells real from simulated: chance where there is nothing to tell, near 1 where there is."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

from puncta.training import realism  # noqa: E402


def _pictures(seed: int, count: int, smooth: int) -> tuple[list[np.ndarray], list[str]]:
    rng = np.random.default_rng(seed)
    pictures = []
    for _ in range(count):
        noise = rng.standard_normal((160, 160))
        for _ in range(smooth):
            noise = (noise + np.roll(noise, 1, 0) + np.roll(noise, 1, 1)) / 3
        pictures.append(np.clip(100 + 30 * noise / noise.std(), 0, 255).astype(np.uint8))
    return pictures, [f"{seed}-{i}" for i in range(count)]


def _set(seed: int, count: int, smooth: int) -> realism.PatchSet:
    return realism.collect_patches(*_pictures(seed, count, smooth), np.random.default_rng(seed), most=160)


def test_the_area_under_the_curve_counts_pairs() -> None:
    assert realism.area_under_curve(np.array([0.1, 0.4, 0.35, 0.8]), np.array([0, 0, 1, 1])) == pytest.approx(0.75)
    assert realism.area_under_curve(np.ones(6), np.array([0, 1, 0, 1, 1, 1])) == 0.5


def test_patches_lie_in_lit_tissue_and_remember_their_source() -> None:
    pictures, names = _pictures(1, 3, 1)
    pictures[1][:] = 0
    found = realism.collect_patches(pictures, names, np.random.default_rng(0))
    assert set(found.source) == {0, 2}
    assert np.bincount(found.source, minlength=3).max() <= realism.PATCHES_PER_PICTURE
    flat = realism.normalise(found.patches)
    assert np.allclose(flat.mean(axis=(1, 2)), 0, atol=1e-3) and np.all(np.abs(flat.std(axis=(1, 2)) - 1) < 0.25)


def test_other_texture_is_told_apart_and_the_same_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(realism, "BATCH", 16)
    monkeypatch.setattr(realism, "FOLDS", 3)
    fine, coarse, alike = _set(2, 18, 1), _set(3, 18, 4), _set(4, 18, 1)
    told = realism.measure_realism(coarse, fine, normalised=True)
    assert told.auc > 0.95 and told.low <= told.auc <= told.high
    same = realism.measure_realism(alike, fine, normalised=True)
    assert 0.25 < same.auc < 0.75
    assert realism.measure_realism(alike, fine, normalised=True) == same, "the same figures for the same pictures"
