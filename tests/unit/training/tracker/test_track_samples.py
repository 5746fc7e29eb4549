"""Samples of the tracker: masks lie where the needles are, and priors are what they are said to be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from puncta.training.data import CACHE_SIZE, Clip, SimulatorSpec, build_simulated  # noqa: E402
from puncta.training.nets.needle_track import OWN  # noqa: E402
from puncta.training.tracker.augment import (  # noqa: E402
    draw_prompt,
    false_prior,
    make_track_sample,
    pick_window,
    spoil_mask,
)
from puncta.training.tracker.data import MaskPool  # noqa: E402
from puncta.training.tracker.masks import (  # noqa: E402
    IN_PLANE,
    NONE,
    OFF_PLANE,
    UNKNOWN,
    MaskClip,
    build_simulator_masks,
    load_mask_clips,
    masks_folder,
    needle_free,
    save_masks,
)

FRAMES = 20


def plain_clip(tmp_path: Path, plane: list[int] | None = None, name: str = "a") -> MaskClip:
    """A grey clip with a bar that goes down by two pixels a frame."""
    rng = np.random.default_rng(0)
    plane = plane or [IN_PLANE] * FRAMES
    masks = np.zeros((len(plane), CACHE_SIZE, CACHE_SIZE), np.uint8)
    for t, where in enumerate(plane):
        if where == IN_PLANE:
            masks[t, 100 + 2 * t : 106 + 2 * t, 60:200] = 255
    frames = rng.integers(60, 120, masks.shape, dtype=np.uint8)
    frames[masks > 0] = 230
    save_masks(tmp_path, name, list(masks), plane)
    nothing = np.full((len(plane), 2), np.nan)
    clip = Clip(
        name,
        "simulator",
        "A",
        frames,
        nothing,
        nothing,
        np.array([w == IN_PLANE for w in plane], np.int8),
        np.zeros((len(plane), 2)),
        None,
    )
    return MaskClip(clip, tmp_path / f"{name}.npz", np.array(plane, np.int8))


def test_masks_worked_out_from_seeds_lie_on_the_needles_of_the_pictures(tmp_path: Path) -> None:
    spec = SimulatorSpec(("A",), ("breast",), 3, 3, 10_001)
    folder = build_simulated(spec, tmp_path, lambda *_: None)
    build_simulator_masks(spec, folder, lambda *_: None)
    clips = load_mask_clips(folder)
    assert len(clips) == 3 and masks_folder(folder).is_dir()
    asked = 0
    for clip in clips:
        masks = clip.masks(range(3))
        for t in range(3):
            if clip.clip.judged[t] == 1:
                assert clip.plane[t] == IN_PLANE
                rows, columns = np.nonzero(masks[t] > 127)
                for point in (clip.clip.tip_px[t], clip.clip.entry_px[t]):
                    assert np.hypot(columns - point[0], rows - point[1]).min() < 2.0
                asked += 1
            assert (clip.plane[t] == IN_PLANE) == bool(masks[t].any())
    assert asked > 0, "none of the clips shows a needle, so nothing was checked"


def test_a_plain_sample_holds_the_masks_as_they_are(tmp_path: Path) -> None:
    sample = make_track_sample(plain_clip(tmp_path), CACHE_SIZE, np.random.default_rng(0), 4, plain=True)
    assert sample.channels.shape == (4, 6, CACHE_SIZE, CACHE_SIZE) and sample.masks.shape[0] == 4
    rows = [int(np.nonzero(m)[0].min()) for m in sample.masks]
    assert rows == [100 + 2 * t for t in range(FRAMES - 4, FRAMES)]
    assert (sample.channels[0, -1] == 0).all() and (sample.channels[1:, -1] == OWN).all()
    assert sample.present.tolist() == [1, 1, 1, 1] and sample.weight.tolist() == [1, 1, 1, 1]


def test_frames_off_the_plane_count_less_and_unknown_ones_not_at_all(tmp_path: Path) -> None:
    clip = plain_clip(tmp_path, [NONE] * 17 + [OFF_PLANE, UNKNOWN, IN_PLANE])
    sample = make_track_sample(clip, 256, np.random.default_rng(0), 4, plain=True)
    assert sample.present.tolist() == [0, 0, 0, 1]
    assert sample.weight.tolist() == [1, pytest.approx(0.3), 0, 1]


def test_windows_are_different_frames_in_order_and_often_see_the_needle_come(tmp_path: Path) -> None:
    clip = plain_clip(tmp_path, [NONE] * 12 + [IN_PLANE] * 8)
    entries = 0
    for seed in range(200):
        numbers = pick_window(np.random.default_rng(seed), clip, 5, plain=False)
        assert min(numbers) >= 0 and max(numbers) < FRAMES and len(numbers) == 5 + 12
        steps = np.diff(numbers[:5])
        assert (steps != 0).all() and len(set(np.sign(steps))) == 1
        seen = clip.plane[numbers[:5]]
        entries += bool((seen == IN_PLANE).any() and (seen != IN_PLANE).any())
    assert entries > 60


def test_drawn_samples_stay_in_bounds_and_are_the_same_for_the_same_seed(tmp_path: Path) -> None:
    clip = plain_clip(tmp_path)
    kinds = set()
    for seed in range(30):
        sample = make_track_sample(clip, 64, np.random.default_rng(seed), 3)
        prior = sample.channels[:, -1]
        assert np.isfinite(sample.channels).all() and ((prior == OWN) | ((prior >= 0) & (prior <= 1))).all()
        assert (prior[0] >= 0).all()
        kinds.add((bool(prior[0].any()), bool((prior[1] == OWN).all())))
        # Where the needle fades from the picture it stays in the mask.
        assert all(bool(m.any()) or p == 0 for m, p in zip(sample.masks, sample.present))
    assert len(kinds) == 4
    a, b = (make_track_sample(clip, 64, np.random.default_rng(7), 3) for _ in range(2))
    assert np.array_equal(a.channels, b.channels) and np.array_equal(a.masks, b.masks)


def test_priors_are_near_the_mask_a_prompt_is_on_it_and_a_false_one_is_not() -> None:
    mask = np.zeros((256, 256), np.uint8)
    mask[60:66, 10:110] = 255
    inside = {"spoilt": 0, "prompt": 0, "false": 0}
    for seed in range(60):
        rng = np.random.default_rng(seed)
        for name, prior in (
            ("spoilt", spoil_mask(rng, mask)),
            ("prompt", draw_prompt(rng, mask)),
            ("false", false_prior(rng, mask, 256)),
        ):
            assert prior.shape == mask.shape and prior.dtype == np.float32 and prior.min() >= 0 and prior.max() <= 1
            inside[name] += bool((prior * mask / 255.0).sum() > 0.3 * prior.sum() > 0)
    assert inside["spoilt"] > 40 and inside["prompt"] > 25 and inside["false"] < 10


def test_only_clips_without_any_needle_count_as_needle_free(tmp_path: Path) -> None:
    free = plain_clip(tmp_path, [NONE] * 5).clip
    judged = plain_clip(tmp_path).clip
    found = needle_free([free, judged])
    assert [c.clip for c in found] == [free] and not found[0].masks(range(5)).any()


def test_the_pool_draws_groups_by_their_weights(tmp_path: Path) -> None:
    a, b = plain_clip(tmp_path), plain_clip(tmp_path, [NONE] * 5, "b")
    pool = MaskPool([(3.0, [a]), (1.0, [b]), (0.0, [b])], 1)
    share = np.mean([pool.draw(k)[0] is a for k in range(400)])
    assert 0.68 < share < 0.82 and pool.draw(5)[0] is pool.draw(5)[0]
    with pytest.raises(ValueError, match="no clip"):
        MaskPool([(0.0, [a])], 1)
