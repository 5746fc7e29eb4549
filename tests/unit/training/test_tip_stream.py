"""The tip network with a memory: frame by frame it answers as on the whole clip, and it cannot see ahead."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed; training is an extra")

from puncta.training.nets.tip_stream import TipStream  # noqa: E402
from puncta.training.nets.tip_ut import TipNet  # noqa: E402

WIDTHS = (8, 8, 16, 16, 24)


def make_net(shift: bool = True) -> TipStream:
    torch.manual_seed(1)
    return TipStream(5, WIDTHS, shift).eval()


def test_frame_by_frame_gives_what_the_whole_clip_gives() -> None:
    net = make_net()
    clip = torch.randn(2, 5, 5, 64, 64)
    with torch.no_grad():
        maps, presence, features = net(clip)
        states = [torch.zeros(2, *shape[1:]) for shape in net.state_shapes(64)]
        for t in range(clip.shape[1]):
            one, there, told, states = net.step(clip[:, t], states)
            torch.testing.assert_close(one, maps[:, t], rtol=1e-4, atol=1e-4)
            torch.testing.assert_close(there, presence[:, t], rtol=1e-4, atol=1e-4)
            torch.testing.assert_close(told, features[:, t], rtol=1e-4, atol=1e-4)


def test_a_later_frame_changes_nothing_before_it_and_something_after() -> None:
    net = make_net()
    clip = torch.randn(1, 4, 5, 64, 64)
    other = clip.clone()
    other[:, 2] = torch.randn(1, 5, 64, 64)
    with torch.no_grad():
        one, two = net(clip)[2], net(other)[2]
    torch.testing.assert_close(one[:, :2], two[:, :2])
    assert float((one[:, 3] - two[:, 3]).abs().max()) > 1e-6


def test_without_shift_every_frame_stands_alone_as_in_the_plain_network() -> None:
    net = make_net(shift=False)
    plain = TipNet(5, WIDTHS).eval()
    plain.load_state_dict(net.state_dict())
    clip = torch.randn(1, 3, 5, 64, 64)
    with torch.no_grad():
        maps, presence, _ = net(clip)
        alone, there = plain(clip[0])
    torch.testing.assert_close(maps[0], alone, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(presence[0], there, rtol=1e-4, atol=1e-4)
    assert net.state_shapes(64) == []
