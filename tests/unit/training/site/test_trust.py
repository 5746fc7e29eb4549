"""What a network says of a site counts for as much as it is right there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs PyTorch; install the train extra")

from puncta.training.augment import Sample, Target  # noqa: E402
from puncta.training.losses import Targets  # noqa: E402
from puncta.training.site.distil import BETWEEN, SiteTargets, keep_weights  # noqa: E402
from puncta.training.site.trust import FULL, Trust, trust_in  # noqa: E402

CELLS = 16
TIP, NONE, UNTOLD = (5, 7), (-1, -1), None


class Says(torch.nn.Module):
    """Says of each frame what it was told to: a logit of presence and the cell of its highest peak."""

    def __init__(self, said: Sequence[tuple[float, tuple[int, int]]]) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.said = list(said)

    def forward(self, clip: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        count = clip.shape[0] * clip.shape[1]
        part, self.said = self.said[:count], self.said[count:]
        maps = torch.zeros(count, 6, CELLS, CELLS)
        for one, (_logit, (row, column)) in zip(maps, part, strict=True):
            one[0, row, column] = 1.0
        presence = torch.tensor([logit for logit, _cell in part])
        return maps.reshape(*clip.shape[:2], 6, CELLS, CELLS), presence.reshape(clip.shape[:2]), presence


def sample_of(cells: Sequence[tuple[int, int] | None]) -> Sample:
    """Labelled frames: a tip in a cell, none, or not told."""
    flat = np.zeros((CELLS, CELLS), np.float32)
    targets = tuple(
        Target(flat, flat, cell or NONE, (0.0, 0.0), (1.0, 0.0), -1.0 if cell is None else float(cell != NONE), False)
        for cell in cells
    )
    return Sample(np.zeros((len(cells), 5, 4 * CELLS, 4 * CELLS), np.float32), targets)


def test_a_network_that_is_right_is_believed_and_one_that_is_sure_and_wrong_is_not() -> None:
    sure, unsure, away = 4.0, 0.5, (14, 1)
    samples = [sample_of([TIP] * 4), sample_of([NONE] * 4)] * 10
    right = trust_in(Says(([(sure, (6, 9))] * 4 + [(-sure, away)] * 4) * 10), samples)
    assert right.tip == right.none == pytest.approx(40 / 42)
    blind = trust_in(Says(([(-sure, away)] * 4 + [(-sure, away)] * 4) * 10), samples)
    assert blind == Trust(0.0, 0.0), "half of what it is sure of is wrong, and it never says a tip"
    elsewhere = trust_in(Says(([(sure, away)] * 4 + [(-sure, away)] * 4) * 10), samples)
    assert elsewhere.tip == 0.0 and elsewhere.none == right.none, "a tip in another place is no tip"
    assert trust_in(Says([(unsure, TIP)] * 80), samples) == Trust(0.0, 0.0)


def test_frames_nobody_has_labelled_prove_nothing() -> None:
    untold = [sample_of([UNTOLD] * 4)] * 3
    assert trust_in(Says([(4.0, TIP)] * 12), untold) == Trust(0.0, 0.0)
    assert trust_in(Says([]), []) == Trust(0.0, 0.0)


def test_between_labels_the_old_word_weighs_what_it_is_worth() -> None:
    flat = torch.zeros(4)
    told = Targets(flat, flat, flat, flat, flat, torch.tensor([-1.0, -1.0, -1.0, 1.0]), flat)
    targets = SiteTargets(told, torch.ones(4, dtype=torch.bool))
    said = torch.tensor([4.0, -4.0, 0.5, 4.0])
    assert keep_weights(said, targets, FULL).tolist() == pytest.approx([BETWEEN, BETWEEN, 0.0, 0.0])
    assert keep_weights(said, targets, Trust(0.5, 0.0)).tolist() == pytest.approx([0.5 * BETWEEN, 0.0, 0.0, 0.0])
