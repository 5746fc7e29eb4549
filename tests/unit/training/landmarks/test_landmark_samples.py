"""Samples of the landmark network keep what their flags say, and the network's map is the exact term of its logits."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from puncta.training.landmarks.augment import (
    CROPS,
    Changes,
    Styles,
    crop_box,
    draw_warp,
    keep_midline,
    lend_grain,
    make_sample,
    match_tones,
    plain_warp,
    spoilt_by_gain,
)
from puncta.training.landmarks.data import CORD, CSF, FLAGS, NOT_TOLD, OTHER, SPINE, Shot
from puncta.training.landmarks.strangers import break_picture, make_stranger
from puncta.training.landmarks.task import FramePool, Targets, landmark_loss, place_loss, stack_samples
from puncta.training.nets.lp_small import STRIDE, LandmarkNet


def shot(kind: str = SPINE, flags: tuple[int, int, int] = (1, 1, 1), name: str = "a", left: int = 10) -> Shot:
    rng = np.random.default_rng(5)
    frame = rng.integers(20, 90, (256, 256), dtype=np.uint8)
    # A bright block stands where fluid lies, so that picture and map can be laid on each other.
    frame[120:140, 4 * left : 4 * left + 40] = 250
    maps = np.zeros((1, 64, 64), np.uint8)
    maps[0, 30:35, left : left + 10] = CSF
    maps[0, 40:44, left : left + 10] = CORD
    told = np.array([flags], np.int8)
    return Shot(name, kind, name, "A", "longitudinal", frame[None], told, maps if kind == SPINE else None)


def test_a_plain_sample_is_the_picture_as_the_plugin_sees_it() -> None:
    sample = make_sample(shot(), 0, 128, np.random.default_rng(0))
    assert sample.picture.shape == (128, 128) and sample.other == 0
    assert sample.flags.tolist() == [1, 1, 1] and not sample.parts[FLAGS.index("quality")].any()
    # Cell (r, c) of the map covers input pixels 8 r .. 8 r + 7: the block's rows 60..69, columns 20..39.
    fluid = sample.parts[FLAGS.index("csf")]
    rows, cols = np.nonzero(fluid > 0.5)
    assert set(rows) <= {7, 8} and (set(cols) <= {2, 3, 4} and {3, 4} <= set(cols))
    np.testing.assert_allclose(plain_warp(256, 128) @ [-0.5, 255.5, 1], [-0.5, 127.5])


@pytest.mark.parametrize("seed", range(40))
def test_a_changed_sample_keeps_the_map_on_the_picture(seed: int) -> None:
    changes = Changes(plain_looks=1.0, restyle=0.0, broken=0.0)
    sample = make_sample(shot(), 0, 128, np.random.default_rng(seed), changes)
    fluid = sample.parts[FLAGS.index("csf")]
    assert fluid.max() > 0.5
    level = sample.picture.reshape(16, STRIDE, 16, STRIDE).mean(axis=(1, 3))
    inside, outside = level[fluid > 0.9], level[fluid == 0]
    assert inside.size == 0 or inside.min() > np.median(outside) + 20


@pytest.mark.parametrize("seed", range(12))
def test_a_canal_seen_across_stays_as_far_from_the_middle(seed: int) -> None:
    """`quality` asks for the canal within 2 mm of the picture's middle column: no change may move it there or away."""
    rng = np.random.default_rng(seed)
    seen = shot(left=37)
    parts = (seen.maps[0] == CSF).astype(np.float32)[None] if seen.maps is not None else np.zeros((1, 64, 64))
    warp = keep_midline(draw_warp(rng, 256, 128, Changes()), parts, 256, 128)
    canal = np.array([4 * 41.5 + 1.5, 4 * 32 + 1.5, 1.0])
    off = (warp @ canal)[0] - 63.5
    scale = np.hypot(warp[0, 0], warp[1, 0])
    assert abs(off) == pytest.approx(scale * (canal[0] - 127.5), abs=1e-6) and (off > 0) == (warp[0, 0] > 0)


@pytest.mark.parametrize("seed", range(30))
def test_no_crop_takes_a_structure_away_that_a_flag_speaks_of(seed: int) -> None:
    at_the_edge = shot(left=0)
    sample = make_sample(at_the_edge, 0, 128, np.random.default_rng(seed), Changes(crop=0.5, broken=0.0))
    asked = sample.parts[FLAGS.index("csf")]
    # At most the share that a crop may take, wherever the block lies; enlarged by it, never less than it was.
    assert float(asked.sum()) >= 0.5 * float(make_sample(at_the_edge, 0, 128, np.random.default_rng(0)).parts[2].sum())


def test_the_poster_s_crops() -> None:
    boxes = {kind: crop_box(kind, 0.8) for kind in CROPS}
    assert boxes["left and right"] == pytest.approx((0.1, 0.0, 0.8, 1.0))
    assert boxes["top and bottom"] == pytest.approx((0.0, 0.1, 1.0, 0.8))
    assert boxes["all sides"] == pytest.approx((0.1, 0.1, 0.8, 0.8)) and boxes["none"] == (0.0, 0.0, 1.0, 1.0)


def test_tones_and_grain_come_from_a_still_and_shapes_stay() -> None:
    picture = shot().frames[0]
    still = np.clip(np.random.default_rng(2).gamma(2.0, 50.0, (256, 256)), 0, 255).astype(np.uint8)
    toned = match_tones(picture, still, 1.0)
    assert abs(float(np.median(toned)) - float(np.median(still))) < 12 < abs(float(np.median(picture)) - 84)
    grainy = lend_grain(picture, still, np.random.default_rng(1), 0.6)
    assert grainy.std() > picture.std() and grainy[125:135, 45:75].mean() > 2 * grainy[20:100].mean()
    styled = Styles([still]).restyle(np.random.default_rng(3), picture)
    assert styled.shape == picture.shape and not np.array_equal(styled, picture)


def test_gain_spoils_quality_by_the_flags_own_rule() -> None:
    grey = np.full((64, 64), 100, np.uint8)
    white, black = grey.copy(), grey.copy()
    white[:7], black[:40] = 255, 0
    assert not spoilt_by_gain(grey) and spoilt_by_gain(white) and spoilt_by_gain(black)
    field = np.zeros_like(grey)
    field[40:] = 255
    # What lies outside the fan is no part of the picture.
    assert not spoilt_by_gain(black, field)


def test_pictures_that_are_no_spine_ask_nothing_of_the_flags() -> None:
    rng = np.random.default_rng(0)
    other = make_sample(shot(OTHER, (NOT_TOLD,) * 3), 0, 64, rng, Changes(made=1.0))
    broken = make_sample(shot(), 0, 64, rng, Changes(broken=1.0))
    for sample in (other, broken):
        assert sample.other == 1 and (sample.flags == NOT_TOLD).all() and not sample.parts.any()
    picture = shot().frames[0]
    for seed in range(12):
        assert not np.array_equal(break_picture(np.random.default_rng(seed), picture), picture)
        made = make_stranger(np.random.default_rng(seed), 64)
        assert made.shape == (64, 64) and made.dtype == np.uint8 and made.std() > 2


def test_the_pool_draws_by_shares_and_the_same_sample_for_the_same_number() -> None:
    pool = FramePool([shot(), shot(flags=(0, 0, 1), name="b")], [shot(OTHER, (NOT_TOLD,) * 3, "c")], [], 3,
                     other_share=0.2, still_share=0.3, cord_share=0.5)
    drawn = [pool.draw(n)[0][0].name for n in range(800)]
    assert drawn == [pool.draw(n)[0][0].name for n in range(800)]
    # Half of the spines among those with a cord, the other half among all; a share without pictures is left out.
    assert abs(drawn.count("c") / 800 - 0.2) < 0.06 and abs(drawn.count("a") / 800 - 0.6) < 0.08


def test_the_map_is_the_class_activation_map_that_gradients_give() -> None:
    """Grad-CAM of the last features weighs them by mean gradients of a logit: the same map but for a factor."""
    torch.manual_seed(1)
    net = LandmarkNet((4, 8, 8, 8, 8), 12).eval()
    image = torch.rand(2, 1, 64, 64)
    logits, cam, _, _ = net(image)
    torch.testing.assert_close(cam.mean(dim=(2, 3)) + net.flags.bias, logits)
    last, _ = net.features(image)
    last = last.detach().requires_grad_(True)
    said = net.cam_of(last).mean(dim=(2, 3)) + net.flags.bias
    for k in range(3):
        (gradient,) = torch.autograd.grad(said[:, k].sum(), last, retain_graph=True)
        grad_cam = (gradient.mean(dim=(2, 3), keepdim=True) * last).sum(dim=1)
        torch.testing.assert_close(grad_cam * cam[0, 0].numel(), cam[:, k], rtol=1e-4, atol=1e-5)


def test_the_loss_asks_only_what_is_told_and_draws_the_map_onto_the_structure() -> None:
    batch = stack_samples([make_sample(shot(), 0, 64, np.random.default_rng(0)),
                           make_sample(shot(flags=(NOT_TOLD, 0, 0)), 0, 64, np.random.default_rng(0))])
    targets: Targets = batch.targets
    cam = torch.zeros(2, 3, 8, 8, requires_grad=True)
    place_loss(cam, targets).backward()
    assert cam.grad is not None
    moved = -cam.grad
    on_fluid = targets.parts[0, 2] > 0.5
    assert (moved[0, 2][on_fluid] > 0).all() and (moved[0, 2][~on_fluid] < 1e-6).all()
    # Nothing of quality, which has no structure, nor of flags that are 0 or not told.
    assert not moved[0, 0].any() and not moved[1].any()
    logits = torch.tensor([[3.0, 3.0, 3.0], [-9.0, -3.0, -3.0]])
    loss, parts = landmark_loss((logits, cam.detach(), torch.zeros(2), torch.zeros(2, 4)), targets, 0.0)
    assert parts["flags"] == pytest.approx(float(torch.nn.functional.softplus(torch.tensor(-3.0))), rel=1e-4)
    assert float(loss) > parts["flags"]
