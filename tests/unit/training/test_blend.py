"""Two trainings put together: a mean of their weights, statistics measured anew, refusals in plain words."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from puncta.core.errors import UserError  # noqa: E402
from puncta.training import blend  # noqa: E402
from puncta.training.data import Clip  # noqa: E402
from puncta.training.experiment import find_experiment, read_experiment  # noqa: E402
from puncta.training.loop import ClipPool  # noqa: E402
from puncta.training.nets.tip_stream import TipStream  # noqa: E402
from puncta.training.run import settings_of  # noqa: E402


def test_each_weight_is_the_mean_by_share() -> None:
    base = {"w": torch.tensor([0.0, 2.0]), "seen": torch.tensor(3)}
    tuned = {"w": torch.tensor([1.0, 4.0]), "seen": torch.tensor(9)}
    mixed = blend.blend_weights(base, tuned, 0.7)
    assert torch.allclose(mixed["w"], torch.tensor([0.7, 3.4])) and int(mixed["seen"]) == 9
    assert torch.equal(blend.blend_weights(base, tuned, 0.0)["w"], base["w"])
    assert torch.equal(blend.blend_weights(base, tuned, 1.0)["w"], tuned["w"])


@pytest.mark.parametrize(
    ("other", "share", "words"),
    [({"w": torch.zeros(3)}, 0.5, "different networks"), ({"v": torch.zeros(2)}, 0.5, "different networks"),
     ({"w": torch.zeros(2)}, 1.2, "between 0 and 1")],
)
def test_what_does_not_fit_is_refused(other: dict[str, torch.Tensor], share: float, words: str) -> None:
    with pytest.raises(UserError, match=words):
        blend.blend_weights({"w": torch.zeros(2)}, other, share)


def test_statistics_are_those_of_the_samples() -> None:
    frames = np.random.default_rng(1).integers(0, 255, (16, 96, 96), np.uint8)
    tips = np.tile([50.0, 40.0], (16, 1))
    clip = Clip("c", "composite", "made", frames, tips, tips - 20, np.ones(16, np.int8), np.zeros((16, 2)), None)
    settings = dataclasses.replace(
        settings_of(read_experiment(find_experiment("tip_blend"))), size=64, samples=16, batch=8, length=2,
    )
    nets = []
    for begun in (0.0, 5.0):  # what stood there before counts for nothing
        torch.manual_seed(0)
        net = TipStream(5, [8, 8, 8, 8, 8], shift=True)
        parts = [m for m in net.modules() if isinstance(m, torch.nn.BatchNorm2d)]
        for part in parts:
            part.running_mean.fill_(begun)
        blend.measure_statistics(net, ClipPool([(1.0, [clip])], 1), settings)
        assert not net.training and all(int(p.num_batches_tracked) == settings.steps for p in parts)
        nets.append(net.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(nets[0].values(), nets[1].values(), strict=True))
    assert any(float(v.abs().max()) > 1e-3 for k, v in nets[0].items() if k.endswith("running_mean"))


def test_a_folder_without_weights_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", [
        "blend", "tip_blend", "--base", str(tmp_path / "no"), "--tuned", str(tmp_path / "no"), "--share", "0.7",
        "--data", str(tmp_path), "--cache", str(tmp_path), "--out", str(tmp_path / "out"),
    ])
    assert blend.main() == 2
    assert "holds no finished training" in capsys.readouterr().err and not (tmp_path / "out").exists()
