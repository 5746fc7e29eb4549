"""The landmark model that ships: its map is what Grad-CAM gives, its answers are those of its weights, it is quick."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from puncta.imaging.preprocess import resample_region, to_model_input
from puncta.inference.registry import Registry
from puncta.inference.session import Tuning, open_session
from puncta.sim.cine import CineGenerator
from puncta.training.nets.lp_small import LandmarkNet

REPOSITORY = Path(__file__).resolve().parents[4]
RUN = REPOSITORY / "models" / "runs" / "lp-landmarks-0.1.1"
pytestmark = pytest.mark.skipif(not RUN.is_dir(), reason="the landmark model's run is not in this checkout")


@lru_cache(maxsize=1)
def pictures() -> list[NDArray[np.float32]]:
    """A frame of each of a few subjects of the tune seeds, as the plugin prepares it."""
    found = []
    for machine, seed in (("A", 729_000), ("B", 729_001), ("C", 729_002), ("A", 729_003)):
        generator = CineGenerator("infant-lp", machine, seed, size_px=(256, 256), needle=False)
        picture, truth = generator.next_frame()
        found.append(to_model_input(resample_region(picture, truth.region, (224, 224))[0]))
    return found


def network() -> LandmarkNet:
    config = json.loads((RUN / "training.json").read_text(encoding="utf-8"))["config"]
    net = LandmarkNet(config["model"]["widths"], config["model"]["head"])
    net.load_state_dict(torch.load(RUN / "weights.pt", weights_only=True))
    return net.eval()


def answers() -> list[dict[str, NDArray[np.float32]]]:
    session = open_session(Registry.load().find("lp-landmarks@0.1.1"), Tuning.deterministic())
    return [session.run({"image": picture}) for picture in pictures()]


def grad_cam(net: LandmarkNet, image: torch.Tensor, flag: int) -> NDArray[np.float32]:
    """Grad-CAM (Selvaraju et al., ICCV 2017) of the last features, by gradients of the whole network's logit."""
    kept: dict[str, Any] = {}
    hook = net.mix8.register_forward_hook(lambda _module, _inputs, output: kept.update(features=output))
    try:
        logits = net(image)[0]
    finally:
        hook.remove()
    features = kept["features"]
    (gradient,) = torch.autograd.grad(logits[0, flag], features)
    weighed = (gradient.mean(dim=(2, 3), keepdim=True) * features).sum(dim=1)[0]
    return torch.relu(weighed).detach().numpy()


def test_grad_cam_by_gradients_and_the_exported_map_agree() -> None:
    net = network()
    compared = 0
    for picture, said in zip(pictures(), answers(), strict=True):
        for flag in range(3):
            mine, exported = grad_cam(net, torch.from_numpy(picture), flag), np.maximum(said["cam"][0, flag], 0)
            if mine.max() > 0:
                assert np.corrcoef(mine.ravel(), exported.ravel())[0, 1] >= 0.98
                compared += 1
    assert compared >= 6


def test_the_map_s_mean_and_the_bias_are_the_logit_before_calibration() -> None:
    net = network()
    inside = json.loads((RUN / "calibration.json").read_text(encoding="utf-8"))["inside"]
    for said in answers():
        raw = said["cam"].mean(axis=(2, 3))[0] + net.flags.bias.detach().numpy()
        np.testing.assert_allclose(said["logits"][0], raw * inside["scale"] + inside["shift"], atol=2e-3)


def test_a_spine_taken_apart_is_stranger_than_the_spine() -> None:
    session = open_session(Registry.load().find("lp-landmarks@0.1.1"), Tuning.deterministic())
    for picture, said in zip(pictures(), answers(), strict=True):
        turned = session.run({"image": np.ascontiguousarray(picture[:, :, ::-1])})
        assert said["strangeness"][0] < turned["strangeness"][0]
