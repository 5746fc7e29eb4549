from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training is not installed")

from puncta.training.nets.budget import count_flops, count_parameters  # noqa: E402
from puncta.training.nets.ultratiny import MAPS, SHAFT_MAPS, WINDOW, Streamed, UltraTiny, drop_aids  # noqa: E402


# Budgets of the poster: (parameters, share), (GFLOPs, share).
@pytest.mark.parametrize(
    ("kind", "parameters", "gflops", "tolerance"),
    [("2d", 546e3, 0.4, 0.10), ("2.5d", 546e3, 0.4, 0.10), ("3d", 620e3, 1.3, 0.05)],
)
def test_size_and_work_meet_the_poster(kind: str, parameters: float, gflops: float, tolerance: float) -> None:
    net = UltraTiny(kind)
    assert count_parameters(net) == pytest.approx(parameters, rel=0.02)
    assert count_flops(net, [torch.zeros(1, WINDOW, 256, 256)]) / 1e9 == pytest.approx(gflops, rel=tolerance)


def test_streaming_a_frame_costs_at_most_twice_2d() -> None:
    net = UltraTiny("stream")
    states = [torch.zeros(shape) for shape in net.state_shapes(256)]
    step = count_flops(Streamed(net), [torch.zeros(1, 1, 256, 256), *states])
    still = count_flops(UltraTiny("2d"), [torch.zeros(1, 1, 256, 256)])
    assert step <= 2 * still
    assert count_parameters(net) == count_parameters(UltraTiny("3d"))


def test_the_stream_gives_what_the_whole_clip_gives() -> None:
    torch.manual_seed(3)
    net = UltraTiny("stream").eval()
    clip = torch.randn(1, 7, 64, 64)
    states = [torch.zeros(shape) for shape in net.state_shapes(64)]
    with torch.no_grad():
        whole = net.run_clip(clip)
        for t in range(clip.shape[1]):
            maps, states = net.step(clip[:, t : t + 1], states)
            np.testing.assert_allclose(maps.numpy(), whole[:, t].numpy(), atol=1e-4)
        # The future does not change the past.
        np.testing.assert_allclose(net.run_clip(clip[:, :4]).numpy(), whole[:, :4].numpy(), atol=1e-4)


@pytest.mark.parametrize("kind", ["2d", "2.5d", "3d", "stream"])
def test_answer_is_for_the_last_frame(kind: str) -> None:
    torch.manual_seed(4)
    net = UltraTiny(kind).eval()
    window = torch.randn(1, WINDOW, 64, 64)
    with torch.no_grad():
        out = net(window)
        last = window.clone()
        last[:, -1] += 1.0
        older = window.clone()
        older[:, 1] += 1.0
        changed_by_last, changed_by_older = net(last), net(older)
    assert out.shape == (1, len(MAPS), 4, 4)
    assert not torch.allclose(out, changed_by_last)
    assert torch.allclose(out, changed_by_older) == (kind == "2d")


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="4d"):
        UltraTiny("4d")


@pytest.mark.parametrize("kind", ["2d", "3d"])
def test_the_shaft_is_asked_for_in_training_and_gone_afterwards(kind: str) -> None:
    torch.manual_seed(5)
    net = UltraTiny(kind, taught=True)
    window = torch.randn(2, WINDOW, 64, 64)
    assert net(window).shape == (2, len(MAPS) + SHAFT_MAPS, 4, 4)
    with torch.no_grad():
        before = net.eval()(window)
        drop_aids(net)
        assert torch.equal(net(window), before)
    assert before.shape == (2, len(MAPS), 4, 4)
    UltraTiny(kind).load_state_dict(net.state_dict())
    assert net.train()(window).shape == (2, len(MAPS), 4, 4)
