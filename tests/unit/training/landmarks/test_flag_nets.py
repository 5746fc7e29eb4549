"""The poster's networks: parameter counts on no memory at all, adapters, public weights, Grad-CAM."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("peft")

import numpy as np  # noqa: E402
from transformers import DeiTModel, ResNetModel, ViTModel  # noqa: E402

from puncta.core.errors import UserError  # noqa: E402
from puncta.training.landmarks.study_cam import grad_cam  # noqa: E402
from puncta.training.landmarks.study_rows import FlagSmall, take_over  # noqa: E402
from puncta.training.nets.public_weights import load_public  # noqa: E402
from puncta.training.nets.resnet import FlagResNet, resnet_config  # noqa: E402
from puncta.training.nets.vit_lora import (  # noqa: E402
    SHAPES,
    FlagViT,
    Shape,
    add_adapters,
    count_trained,
    deit_config,
    vit_config,
)

TOY = Shape(32, 2, 2)


def small_vit(kind: type = ViTModel, size: int = 32) -> FlagViT:
    config = vit_config(TOY, size) if kind is ViTModel else deit_config(TOY, size)
    return FlagViT(kind(config, add_pooling_layer=False))


def small_resnet() -> FlagResNet:
    return FlagResNet(ResNetModel(resnet_config((1, 1, 1, 1), (8, 8, 16, 16))))


def test_resnet18_has_as_many_parameters_as_the_poster_says_but_for_its_head() -> None:
    with torch.device("meta"):
        assert sum(p.numel() for p in FlagResNet().parameters()) == 11_178_051


@pytest.mark.parametrize(
    ("where", "rank", "trained"),
    [("qv", 16, 592_131), ("qkv", 16, 887_043), ("qkvo", 16, 1_181_955), ("all", 16, 2_656_515),
     ("qv", 32, 1_181_955), ("qkv", 32, 1_771_779), ("qkvo", 32, 2_361_603), ("all", 32, 5_310_723)],
)
def test_only_rank_16_on_all_linear_layers_comes_near_2_58_million(where: str, rank: int, trained: int) -> None:
    with torch.device("meta"):
        net = FlagViT(ViTModel(vit_config(SHAPES["base"], 224), add_pooling_layer=False))
        assert sum(p.numel() for p in net.parameters()) == 85_800_963
        assert count_trained(add_adapters(net, rank, where)) == trained
    near = abs(trained / 2.58e6 - 1) <= 0.03
    assert near == ((where, rank) == ("all", 16))


def test_an_adapter_changes_nothing_at_first_and_alone_is_trained() -> None:
    torch.manual_seed(0)
    net = small_vit().eval()
    picture = torch.rand(2, 1, 32, 32)
    with torch.no_grad():
        before = net(picture)
        adapted = add_adapters(net, 4)
        assert torch.allclose(adapted.eval()(picture), before, atol=1e-6)
    named = {n for n, p in adapted.named_parameters() if p.requires_grad}
    assert named
    assert all("lora_" in n or n.startswith("head.") for n in named)


def test_public_weights_come_from_a_folder(tmp_path: Path) -> None:
    for kind, net in (("vit", small_vit()), ("deit", small_vit(DeiTModel)), ("resnet18", small_resnet())):
        net.trunk.save_pretrained(tmp_path / kind)
        read = load_public(kind, str(tmp_path / kind))
        own = net.trunk.state_dict()
        assert all(torch.equal(value, own[name]) for name, value in read.trunk.state_dict().items())
        assert read(torch.rand(1, 1, 64, 64)).shape == (1, 3)


def test_a_missing_folder_of_weights_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UserError, match="cannot be read"):
        load_public("vit", str(tmp_path / "nothing"))


def test_a_deit_starts_from_a_vit() -> None:
    vit, deit = small_vit(), small_vit(DeiTModel)
    take_over(deit, vit.state_dict())
    old, new = vit.trunk.state_dict(), deit.trunk.state_dict()
    assert torch.equal(new["layers.1.mlp.fc1.weight"], old["layers.1.mlp.fc1.weight"])
    assert torch.equal(new["embeddings.position_embeddings"][:, 2:], old["embeddings.position_embeddings"][:, 1:])


@pytest.mark.parametrize("make", [small_resnet, FlagSmall])
def test_grad_cam_is_the_exact_map_but_for_a_factor(make: type) -> None:
    torch.manual_seed(1)
    net = make().eval()
    picture = np.random.default_rng(1).random((2, 1, 128, 128)).astype(np.float32)
    with torch.no_grad():
        exact = torch.relu(net.exact_cam(torch.from_numpy(picture))).numpy()
    for label in range(3):
        found = grad_cam(net, picture, label)
        for k in range(2):
            if exact[k, label].std() > 1e-6:
                assert np.corrcoef(found[k].ravel(), exact[k, label].ravel())[0, 1] >= 0.98


def test_grad_cam_of_a_transformer_lies_on_its_patches() -> None:
    net = add_adapters(small_vit(DeiTModel), 2)
    assert grad_cam(net, np.random.default_rng(2).random((1, 1, 32, 32)).astype(np.float32), 1).shape == (1, 2, 2)
