"""Losses of the tracker, on masks made by hand."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from puncta.training.tracker.losses import TrackTargets, centreline_loss, soft_skeleton, track_loss  # noqa: E402


def bar(rows: slice = slice(12, 17), columns: slice = slice(4, 28)) -> torch.Tensor:
    mask = torch.zeros(1, 1, 32, 32)
    mask[..., rows, columns] = 1.0
    return mask


def test_a_bar_is_thinned_to_its_middle_row() -> None:
    line = soft_skeleton(bar())[0, 0]
    assert float(line[14, 8:24].min()) == 1.0
    assert float(line[12:14].sum() + line[15:17].sum()) < 0.25 * float(line.sum())


def test_a_gap_costs_the_centre_line_more_than_its_few_pixels() -> None:
    whole, gap, thin = bar(), bar(), bar(slice(13, 16))
    gap[..., 12:20] = 0.0
    same, broken, narrow = (float(centreline_loss(m, whole)) for m in (whole, gap, thin))
    assert same < 0.02 and narrow < 0.05 and broken > 0.1


def targets(present: float = 1.0, weight: float = 1.0) -> TrackTargets:
    mask = (bar()[0] * 255).to(torch.uint8)[None]
    if not present:
        mask = torch.zeros_like(mask)
    return TrackTargets(mask, torch.tensor([[present]]), torch.tensor([[weight]]))


def test_the_true_mask_costs_least() -> None:
    right = (bar()[0][None] - 0.5) * 16
    moved = torch.roll(right, 8, -2)
    nothing = torch.full_like(right, -8.0)
    sure = torch.tensor([[4.0]])
    losses = [float(track_loss(m, sure, targets())[0]) for m in (right, nothing, moved)]
    assert losses[0] < 0.1 < losses[1] < losses[2]
    parts = track_loss(right, sure, targets())[1]
    assert set(parts) == {"pixels", "presence", "dice", "centre line"}
    assert "centre line" not in track_loss(right, sure, targets(), 0.0)[1]


def test_without_a_needle_any_mask_costs_and_frames_of_weight_zero_do_not() -> None:
    right = (bar()[0][None] - 0.5) * 16
    nothing = torch.full_like(right, -8.0)
    no = torch.tensor([[-4.0]])
    assert float(track_loss(nothing, no, targets(0.0))[0]) < 0.05 < float(track_loss(right, no, targets(0.0))[0])
    free = right.clone().requires_grad_()
    loss, _ = track_loss(free, no, targets(1.0, 0.0))
    loss.backward()
    assert float(loss) == 0.0 and float(free.grad.abs().max()) == 0.0
