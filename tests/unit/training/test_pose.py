from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training is not installed")

from puncta.training.data import Clip  # noqa: E402
from puncta.training.nets.ultratiny import STRIDE  # noqa: E402
from puncta.training.pose import (  # noqa: E402
    PoseTargets,
    cell_of,
    complete_iou,
    constraint_loss,
    decode_poses,
    hull,
    make_window,
    pose_loss,
    presence_loss,
    shaft_loss,
    shaft_map,
    stack_windows,
    window_at,
)

SIZE = 128


def targets(*pairs: tuple[tuple[float, float], tuple[float, float]]) -> PoseTargets:
    tips, entries = (torch.tensor([p[k] for p in pairs]) for k in (0, 1))
    return PoseTargets(tips, entries, torch.ones(len(pairs), dtype=torch.bool))


def perfect_answer(told: PoseTargets) -> torch.Tensor:
    """Maps that answer exactly what is asked for, built from the definition of the channels."""
    cells = SIZE // STRIDE
    maps = torch.full((len(told.tip_px), 8, cells, cells), 0.0)
    maps[:, 0] = -8.0
    for b, (tip, entry) in enumerate(zip(told.tip_px, told.entry_px, strict=True)):
        if torch.isnan(tip).any():
            continue
        row, column = (int(v) for v in (round((float(tip[1]) - 7.5) / 16), round((float(tip[0]) - 7.5) / 16)))
        axis = entry - tip
        a = math.atan2(-float(axis[1]), float(axis[0]))
        maps[b, 0, row, column] = 8.0
        maps[b, 1, row, column] = (tip[0] - (16 * column + 7.5)) / 16
        maps[b, 2, row, column] = (tip[1] - (16 * row + 7.5)) / 16
        maps[b, 3:5, row, column] = axis / SIZE
        maps[b, 5, row, column] = math.log(float(axis.norm()) / SIZE)
        maps[b, 6, row, column], maps[b, 7, row, column] = math.sin(2 * a), math.cos(2 * a)
    return maps


def test_the_right_answer_decodes_to_the_needle_and_costs_nearly_nothing() -> None:
    told = targets(((70.0, 60.0), (0.0, 20.0)), ((30.0, 90.0), (127.0, 30.0)))
    maps = perfect_answer(told)
    poses = decode_poses(maps, constraints=True)
    assert poses[0].tip_px == pytest.approx((70.0, 60.0), abs=1e-3)
    assert poses[1].entry_px == pytest.approx((127.0, 30.0), abs=1e-3)
    assert poses[0].box == pytest.approx((0.0, 18.0, 72.0, 62.0), abs=1e-3)
    assert min(p.score for p in poses) > 0.99
    good, _ = pose_loss(maps, told, 1.5, constraints=True)
    wrong = maps.clone()
    wrong[:, 3] += 0.2
    worse, parts = pose_loss(wrong, told, 1.5, constraints=True)
    assert float(good) < 0.05 < float(worse)
    assert set(parts) == {"presence", "box", "tip", "entry", "angle", "length", "constraint"}


def test_a_batch_without_needles_teaches_presence_only() -> None:
    told = targets(((math.nan, math.nan), (math.nan, math.nan)))
    _, parts = pose_loss(torch.zeros(1, 8, 8, 8), told, 0.0, constraints=True)
    assert set(parts) == {"presence"}


def test_focal_loss_leaves_the_easy_and_keeps_the_hard() -> None:
    positive = torch.zeros(1, 8, 8)
    positive[0, 2, 3] = 1.0
    easy, hard = torch.where(positive > 0, 4.0, -4.0), torch.where(positive > 0, -2.0, 2.0)
    share_plain = presence_loss(easy, positive, 0.0) / presence_loss(hard, positive, 0.0)
    share_focal = presence_loss(easy, positive, 1.5) / presence_loss(hard, positive, 1.5)
    assert share_focal < 0.1 * share_plain


def test_boxes_that_agree_have_overlap_one_and_apart_less_than_zero() -> None:
    a = hull(torch.tensor([[10.0, 10.0]]), torch.tensor([[50.0, 30.0]]))
    assert float(complete_iou(a, a)) == pytest.approx(1.0, abs=1e-5)
    assert float(complete_iou(a, a + 100.0)) < 0


def test_priors_refuse_a_needle_from_below_and_one_in_mid_air() -> None:
    def angles(tip: torch.Tensor, entry: torch.Tensor) -> torch.Tensor:
        a = torch.atan2(-(entry - tip)[:, 1], (entry - tip)[:, 0])
        return torch.stack([torch.sin(2 * a), torch.cos(2 * a)], dim=1)

    tip = torch.tensor([[64.0, 64.0]])
    fine = torch.tensor([[0.0, 20.0]])
    floating = torch.tensor([[40.0, 40.0]])
    assert float(constraint_loss(tip, fine, angles(tip, fine), SIZE)) < 1e-3
    assert float(constraint_loss(tip, floating, angles(tip, floating), SIZE)) > 0.1
    maps = perfect_answer(targets(((64.0, 64.0), (40.0, 40.0))))
    assert decode_poses(maps)[0].score > 0.9
    assert decode_poses(maps, constraints=True)[0].score < 0.2


def a_clip(judged: list[int]) -> Clip:
    frames = np.stack([np.full((288, 288), 10 * k, np.uint8) for k in range(len(judged))])
    tips = np.array([[100.0 + k, 150.0] for k in range(len(judged))])
    entries = np.tile([0.0, 100.0], (len(judged), 1))
    told = np.array(judged, np.int8)
    tips[told != 1] = np.nan
    entries[told != 1] = np.nan
    return Clip("c", "test", "A", frames, tips, entries, told, np.zeros((len(judged), 2)), None)


def test_a_window_ends_on_its_judged_frame_and_scales_the_truth() -> None:
    clip = a_clip([-1, -1, -1, -1, 1])
    window = make_window(clip, 144, np.random.default_rng(0), 4, augment=False)
    assert window.frames.shape == (4, 144, 144)
    assert (np.diff(window.frames[:, 70, 70]) > 0).all()  # oldest first
    assert window.tip_px[0] == pytest.approx(((104.5) / 2 - 0.5, 150.5 / 2 - 0.5), abs=1e-6)
    assert window.entry_px[0, 0] == pytest.approx(-0.25, abs=1e-6)


def test_without_a_needle_nothing_is_asked() -> None:
    clip = a_clip([0, 0, 0, 0])
    identity = np.array([[0.5, 0.0, -0.25], [0.0, 0.5, -0.25]])
    _, told = stack_windows([window_at(clip, 144, [0, 1, 2, 3], identity, None)])
    assert torch.isnan(told.tip_px).all()
    assert torch.isnan(told.entry_px).all()


def test_a_tip_on_the_last_pixel_has_a_cell() -> None:
    rows, columns = cell_of(torch.tensor([[127.0, 0.0]]), 8)
    assert (int(rows[0]), int(columns[0])) == (0, 7)


def test_frames_that_nobody_judged_teach_nothing() -> None:
    clip = a_clip([1, -1, 1, 0])
    identity = np.array([[0.5, 0.0, -0.25], [0.0, 0.5, -0.25]])
    window = window_at(clip, 144, [0, 1, 2, 3], identity, None, asked=4)
    assert window.told.tolist() == [True, False, True, True]
    maps, told = torch.randn(1, 4, 8, 9, 9), stack_windows([window])[1]
    whole, _ = pose_loss(maps, told, 1.5, constraints=True)
    other = maps.clone()
    other[:, 1] += 3.0
    assert float(pose_loss(other, told, 1.5, constraints=True)[0]) == float(whole)


def test_a_window_may_show_fewer_frames_than_it_picks() -> None:
    clip = a_clip([-1, -1, -1, 1])
    all_four = make_window(clip, 144, np.random.default_rng(2), 4, augment=False)
    last = make_window(clip, 144, np.random.default_rng(2), 4, augment=False, sees=1)
    np.testing.assert_array_equal(last.frames, all_four.frames[-1:])


def test_the_shaft_asked_for_lies_on_the_needle_and_nowhere_beyond_its_tip() -> None:
    told = targets(((91.5, 91.5), (0.0, 0.0)))
    shaft = shaft_map(told.tip_px, told.entry_px, SIZE)[0]
    assert shaft.shape == (SIZE // 8, SIZE // 8)
    # Centre of cell k lies at input pixel 8 k + 3.5; the axis is the diagonal down to the tip in cell 11.
    assert torch.diagonal(shaft)[:12].min() == pytest.approx(1.0, abs=1e-3)
    assert torch.diagonal(shaft)[13:].max() < 0.05
    assert float(shaft[2, 9]) < 0.01


def test_a_map_of_the_shaft_costs_less_the_better_it_is_and_only_where_one_is_answered() -> None:
    told = targets(((70.0, 60.0), (0.0, 20.0)), ((math.nan, math.nan), (math.nan, math.nan)))
    maps = perfect_answer(told)
    alone, parts = pose_loss(maps, told, focal_gamma=0.0, constraints=False)
    assert "shaft" not in parts
    right = torch.logit(shaft_map(told.tip_px[:1], told.entry_px[:1], SIZE).clamp(1e-4, 1 - 1e-4))[:, None]
    losses = []
    for logits in (right, torch.zeros_like(right), -right):
        answer = torch.nn.functional.pixel_unshuffle(logits, 2)
        whole, parts = pose_loss(torch.cat([maps, answer.expand(2, -1, -1, -1)], 1), told, 0.0, False)
        losses.append(parts["shaft"])
        assert float(whole) == pytest.approx(float(alone) + parts["shaft"], rel=1e-5)
        assert parts["shaft"] == pytest.approx(float(shaft_loss(answer, told.tip_px[:1], told.entry_px[:1])))
    assert losses == sorted(losses)


def test_a_share_of_changed_windows_keeps_its_looks() -> None:
    clip = Clip(
        "grey", "simulator", "A", np.full((12, 64, 64), 90, np.uint8), np.full((12, 2), 30.0), np.zeros((12, 2)),
        np.ones(12, np.int8), np.zeros((12, 2)), (0.2, 0.2),
    )
    plain = [make_window(clip, 64, np.random.default_rng(k), 4, True, plain_looks=1.0).frames for k in range(6)]
    loud = [make_window(clip, 64, np.random.default_rng(k), 4, True).frames for k in range(6)]
    # Without noise, speckle and gain maps the middle of a grey picture stays of one grey.
    assert max(np.ptp(frame[28:36, 28:36]) for window in plain for frame in window) == 0.0
    assert max(np.ptp(frame[28:36, 28:36]) for window in loud for frame in window) > 0.1
