"""The tracking network: whole clips and single frames agree, its memory is bounded, the graph is the network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from puncta.core.errors import BugError  # noqa: E402
from puncta.imaging.mask_network import MaskNetwork  # noqa: E402
from puncta.training.familiar import Familiar  # noqa: E402
from puncta.training.nets.needle_track import OWN, MemoryCell, NeedleTrack  # noqa: E402
from puncta.training.nets.tip_stream import TipStream  # noqa: E402
from puncta.training.parity import open_exported  # noqa: E402
from puncta.training.tracker.export import SteppedTrack, export_track  # noqa: E402

WIDTHS = (8, 8, 16, 16, 16)
SIZE = 64


def make(seed: int = 0) -> NeedleTrack:
    torch.manual_seed(seed)
    net = NeedleTrack(5, WIDTHS, 8)
    # A memory that adds nothing could not be seen to be carried along.
    torch.nn.init.normal_(net.cell.out.weight, std=0.3)
    torch.nn.init.normal_(net.mask.weight, std=0.3)
    return net.eval()


def clip_of(frames: int = 4, own: bool = False) -> torch.Tensor:
    torch.manual_seed(1)
    clip = torch.randn(2, frames, 6, SIZE, SIZE)
    clip[:, :, -1] = OWN if own else torch.rand(2, frames, SIZE, SIZE)
    return clip


def test_all_frames_at_once_give_what_frame_after_frame_gives() -> None:
    net, clip = make(), clip_of()
    with torch.no_grad():
        at_once, stepped = net._parallel(clip), net(clip)
    for a, b in zip(at_once, stepped, strict=True):
        assert a.shape == b.shape and torch.allclose(a, b, atol=1e-4)
    assert stepped[0].shape == (2, 4, SIZE, SIZE)


def test_its_own_last_mask_is_the_prior_where_that_is_asked_for() -> None:
    net, clip = make(), clip_of(own=True)
    with torch.no_grad():
        mask, *_ = net(clip)
        given = clip.clone()
        given[:, 0, -1] = 0.0
        given[:, 1:, -1] = torch.sigmoid(mask[:, :-1])
        again, *_ = net(given)
        given[:, 1:, -1] = 0.0
        without, *_ = net(given)
    assert float((mask - again).abs().max()) < 1e-5 and float((mask - without).abs().max()) > 1e-4


def test_training_fills_in_its_own_priors_without_gradient() -> None:
    net, clip = make(), clip_of(own=True)
    with torch.no_grad():
        expected = net._own_priors(clip, torch.ones(2, 4, dtype=torch.bool))
    assert net.training and float(expected[:, 0].abs().max()) == 0.0 and 0 < float(expected[:, 1:].mean()) < 1
    mask, presence, _ = net(clip)
    (mask.mean() + presence.mean()).backward()
    assert net.cell.new.weight.grad is not None and float(net.at2.conv.weight.grad[:, -1].abs().sum()) > 0


def test_the_memory_holds_on_and_its_size_does_not_grow() -> None:
    net, clip = make(), clip_of(6)
    states = [torch.zeros(2, *shape[1:]) for shape in net.state_shapes(SIZE)]
    assert [tuple(s.shape[1:]) for s in states] == [(2, 8, 8), (2, 4, 4), (2, 2, 2), (8, 4, 4)]
    with torch.no_grad():
        for k in range(6):
            _, _, _, states = net.step(clip[:, k, :5], clip[:, k, 5:], states)
    assert [tuple(s.shape[1:]) for s in states] == [tuple(shape[1:]) for shape in net.state_shapes(SIZE)]
    assert float(states[-1].abs().max()) <= 1.0


def test_what_a_cell_saw_once_is_still_there_five_frames_later() -> None:
    torch.manual_seed(0)
    cell, once, nothing = MemoryCell(4, 3), torch.randn(1, 4, 5, 5), torch.zeros(1, 4, 5, 5)
    kept = []
    with torch.no_grad():
        for first in (once, nothing):
            _, state = cell(first, torch.zeros(1, 3, 5, 5))
            for _ in range(5):
                _, state = cell(nothing, state)
            kept.append(state)
    assert float((kept[0] - kept[1]).abs().max()) > 0.01


def test_a_memory_cell_begins_by_adding_nothing() -> None:
    torch.manual_seed(0)
    cell, x = MemoryCell(4, 3), torch.randn(1, 4, 5, 5)
    out, state = cell(x, torch.zeros(1, 3, 5, 5))
    assert torch.equal(out, x) and float(state.detach().abs().max()) > 0


def test_it_begins_with_the_weights_of_a_tip_network() -> None:
    torch.manual_seed(3)
    tip = TipStream(5, WIDTHS).eval()
    net = NeedleTrack(5, WIDTHS, 8).eval()
    missing = net.begin_from(tip.state_dict())
    assert "mask.weight" in missing and not any(name.startswith(("at4", "at16", "mix8")) for name in missing)
    clip = clip_of(own=True)
    with torch.no_grad():
        _, wanted, features = tip(clip[:, :, :5])
        _, presence, own = net(clip)
    # The prior's channel and the memory begin with nothing to say: what the tip network saw is seen.
    assert torch.allclose(presence, wanted, atol=1e-4) and torch.allclose(own, features, atol=1e-4)
    with pytest.raises(RuntimeError):
        NeedleTrack(5, (8, 8, 16, 16, 32), 8).begin_from(tip.state_dict())


def test_the_graph_is_the_network_and_the_plugin_can_run_it(tmp_path: Path) -> None:
    net = make()
    familiar = Familiar(np.zeros(net.feature_count), np.eye(net.feature_count))
    path = tmp_path / "model.onnx"
    parity = export_track(net, clip_of(5, own=True), path, 1e-3, familiar, 2.0, -1.0)
    assert parity.inputs == 10 and parity.max_abs <= 1e-3
    network = MaskNetwork(open_exported(path, spec={"size": [SIZE, SIZE], "channels": 5}))
    rng = np.random.default_rng(0)
    for _ in range(3):
        network.push(rng.integers(0, 255, (SIZE, SIZE), dtype=np.uint8))
    answer = network.step(np.zeros((SIZE, SIZE), np.float32))
    assert answer.logits.shape == (SIZE, SIZE) and answer.strangeness is not None and answer.strangeness > 0
    graph = SteppedTrack(open_exported(path))
    frame = clip_of()[:1, 0, :5].numpy()
    first = graph.step(frame)
    graph.step(frame)
    graph.reset()
    again = graph.step(frame)
    assert all(np.array_equal(first[name], again[name]) for name in first)


def test_a_graph_that_differs_is_not_left_behind(tmp_path: Path) -> None:
    net = make()
    familiar = Familiar(np.zeros(net.feature_count), np.eye(net.feature_count))
    with pytest.raises(BugError, match="differs"):
        export_track(net, clip_of(2), tmp_path / "model.onnx", -1.0, familiar)
    assert list(tmp_path.iterdir()) == []
