from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="training is not installed")

from puncta.training.nets.budget import count_flops, count_parameters  # noqa: E402
from puncta.training.nets.yolox_nano import SIZE, YoloxNano  # noqa: E402


def test_it_has_the_published_size_and_work() -> None:
    net = YoloxNano()
    assert count_parameters(net) == pytest.approx(0.91e6, rel=0.03)
    assert count_flops(net, [torch.zeros(1, 3, SIZE, SIZE)]) == pytest.approx(1.08e9, rel=0.05)


def test_it_answers_on_three_levels() -> None:
    with torch.no_grad():
        out = YoloxNano().eval()(torch.zeros(1, 3, 64, 64))
    assert [tuple(t.shape) for t in out] == [(1, 85, 8, 8), (1, 85, 4, 4), (1, 85, 2, 2)]
