from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training is not installed")

from puncta.core.errors import BugError  # noqa: E402
from puncta.training.export import export_onnx, export_ultratiny  # noqa: E402
from puncta.training.familiar import fit_familiar  # noqa: E402
from puncta.training.nets.tip_stream import TipStream  # noqa: E402
from puncta.training.nets.ultratiny import KINDS, Kind, UltraTiny  # noqa: E402
from puncta.training.parity import open_exported  # noqa: E402
from puncta.training.stepping import SteppedGraph  # noqa: E402

WIDTHS = (8, 8, 16, 16, 16)


def unsettle(net: torch.nn.Module) -> None:
    """Give every batch norm statistics that a wrong folding would not survive, and the shifted channels weight."""
    for layer in net.modules():
        if isinstance(layer, torch.nn.BatchNorm2d | torch.nn.BatchNorm3d):
            torch.nn.init.normal_(layer.running_mean, std=0.3)
            torch.nn.init.uniform_(layer.running_var, 0.3, 2.0)
            torch.nn.init.uniform_(layer.weight, 0.5, 1.5)
            torch.nn.init.normal_(layer.bias, std=0.3)


def tip_net(shift: bool = True) -> TipStream:
    torch.manual_seed(5)
    net = TipStream(5, WIDTHS, shift=shift)
    unsettle(net)
    return net.eval()


@pytest.mark.parametrize("shift", [True, False])
def test_tip_network_frame_by_frame_is_the_whole_clip(shift: bool, tmp_path: Path) -> None:
    net = tip_net(shift)
    clips = torch.randn(2, 13, 5, 64, 64)
    with torch.no_grad():
        pictures = torch.randn(1, 80, 5, 64, 64) * torch.linspace(0.2, 3, 80)[:, None, None, None]
        familiar = fit_familiar(net(pictures)[2][0].numpy())
    parity = export_onnx(net, clips, tmp_path / "net.onnx", 1e-3, familiar)
    assert parity.inputs == 26
    session = open_exported(tmp_path / "net.onnx")
    states = [f"state_{k}" for k in range(3 if shift else 0)]
    assert [s.name for s in session.inputs] == ["channels", *states]
    assert [s.name for s in session.outputs] == ["maps", "presence", "strangeness", *(f"{s}_next" for s in states)]
    assert [s.shape for s in session.outputs][:3] == [(1, 6, 16, 16), (1,), (1,)]
    assert [tuple(s.shape) for s in session.inputs][1:] == [tuple(s) for s in net.state_shapes(64)]


def test_the_memory_matters_and_reset_empties_it(tmp_path: Path) -> None:
    export_onnx(tip_net(), torch.randn(1, 3, 5, 64, 64), tmp_path / "net.onnx", 1e-3)
    graph = SteppedGraph(open_exported(tmp_path / "net.onnx"))
    frame = np.random.default_rng(1).standard_normal((1, 5, 64, 64)).astype(np.float32)
    first = graph.step(frame)["maps"]
    assert not np.array_equal(first, graph.step(frame)["maps"])
    graph.reset()
    assert np.array_equal(first, graph.step(frame)["maps"])


def test_a_graph_that_differs_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    with pytest.raises(BugError, match="differs"):
        export_onnx(tip_net(), torch.randn(1, 2, 5, 64, 64), path, -1.0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", KINDS)
def test_every_ultratiny_agrees_with_itself(kind: Kind, tmp_path: Path) -> None:
    torch.manual_seed(6)
    net = UltraTiny(kind)
    unsettle(net)
    parity = export_ultratiny(net, torch.randn(12, 64, 64), tmp_path / "net.onnx", 1e-3)
    assert parity.inputs == {"2d": 12, "2.5d": 9, "3d": 9, "stream": 12}[kind]
