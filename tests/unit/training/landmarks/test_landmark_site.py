"""Adapting to a site: adapters vanish into the weights, nothing else moves, the site's frames get their share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from puncta.core.errors import UserError  # noqa: E402
from puncta.metrics.intervals import Estimate  # noqa: E402
from puncta.training.experiment import find_experiment, read_experiment  # noqa: E402
from puncta.training.landmarks import mixing  # noqa: E402
from puncta.training.landmarks.augment import Changes, make_sample  # noqa: E402
from puncta.training.landmarks.data import SPINE, Shot  # noqa: E402
from puncta.training.landmarks.run import train_landmarks  # noqa: E402
from puncta.training.landmarks.site import MachineRow, as_markdown, closed_share  # noqa: E402
from puncta.training.landmarks.strangers import magnify_picture  # noqa: E402
from puncta.training.landmarks.task import FramePool  # noqa: E402
from puncta.training.nets.lp_adapters import ADAPTERS, OTHER, PartlyLearning  # noqa: E402
from puncta.training.nets.lp_small import LandmarkNet  # noqa: E402

WIDTHS, HEAD = (4, 6, 8, 8, 8), 8


def net() -> LandmarkNet:
    torch.manual_seed(1)
    return LandmarkNet(WIDTHS, HEAD).eval()


def shot(name: str, cord: int = 0, with_map: bool = True) -> Shot:
    rng = np.random.default_rng(len(name))
    maps = np.zeros((1, 64, 64), np.uint8) if with_map else None
    return Shot(name, SPINE, name, "F", "transverse", rng.integers(0, 255, (1, 256, 256)).astype(np.uint8),
                np.array([[1, cord, 1]], np.int8), maps)


def step(part: PartlyLearning, rounds: int = 3) -> None:
    learnt = [p for p in part.parameters() if p.requires_grad]
    optimiser = torch.optim.SGD(learnt, 0.05)
    part.train()
    for _ in range(rounds):
        logits, cam, other, _ = part(torch.rand(4, 1, 64, 64))
        optimiser.zero_grad()
        (logits.square().mean() + cam.square().mean() + (other - 1).square().mean()).backward()
        optimiser.step()
    part.eval()


def test_fresh_adapters_change_nothing_and_learnt_ones_go_into_the_weights() -> None:
    image = torch.rand(2, 1, 64, 64)
    plain = net()
    wanted = plain(image)
    part = PartlyLearning(net(), ADAPTERS, 2)
    assert all(torch.equal(a, b) for a, b in zip(part(image), wanted))
    step(part)
    learnt = part(image)
    assert not torch.allclose(learnt[0], wanted[0], atol=1e-3)
    settled = part.settled()
    assert set(settled.state_dict()) == set(plain.state_dict())
    assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(settled.eval()(image), learnt))


def test_norms_stay_where_they_were_while_adapters_learn() -> None:
    part = PartlyLearning(net(), ADAPTERS, 2)
    step(part)
    old, new = net().state_dict(), part.settled().state_dict()
    assert all(torch.equal(old[k], new[k]) for k in old if "norm" in k)
    assert any(not torch.equal(old[k], new[k]) for k in old if "conv" in k)


def test_one_layer_learns_and_the_answers_about_flags_stay_the_same() -> None:
    image = torch.rand(2, 1, 64, 64)
    plain, part = net(), PartlyLearning(net(), OTHER)
    step(part)
    before, after = plain(image), part.settled().eval()(image)
    assert torch.equal(before[0], after[0]) and torch.equal(before[1], after[1])
    assert not torch.equal(before[2], after[2])


def test_what_harms_the_known_machines_is_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    before = {k: v.clone() for k, v in net().state_dict().items()}

    def learnt() -> LandmarkNet:
        part = PartlyLearning(net(), ADAPTERS, 2)
        step(part)
        return part.settled()

    away = learnt().state_dict()["flags.weight"] - before["flags.weight"]

    def far(own: LandmarkNet) -> float:
        return float((own.state_dict()["flags.weight"] - before["flags.weight"]).norm() / away.norm())

    for most, kept in ((2.0, 1.0), (0.6, 0.5), (0.1, 0.0)):
        # The further from the weights before, the worse; beyond ``most`` it is too bad.
        monkeypatch.setattr(mixing, "_f1", lambda own, *_, most=most: 0.9 - (0.1 if far(own) > most else 0.0))
        own = learnt()
        assert mixing.mix_back(own, before, [], 64) == kept
        assert far(own) == pytest.approx(kept, abs=0.03)


def test_a_sites_frames_get_their_share() -> None:
    pool = FramePool([shot("a", 1), shot("b")], [], [], 3, 0.0, 0.0, 0.3, [shot("site")], 0.5)
    drawn = [pool.draw(k)[0][0].name for k in range(2000)]
    assert abs(drawn.count("site") / 2000 - 0.5) < 0.04
    with pytest.raises(ValueError, match="no infant's spine"):
        FramePool([], [], [], 3, 0.0, 0.0, 0.3, [shot("site")], 0.5)


def test_nothing_is_cut_off_a_picture_whose_structures_nobody_marked() -> None:
    wide, narrow = shot("wide", with_map=False), shot("narrow")
    for each in (wide, narrow):
        each.frames[:] = 0
        each.frames[0, :, 20:32] = each.frames[0, :, -32:-20] = 255
    changes = Changes(crop=0.5, turn_deg=0.0, plain_looks=1.0, restyle=0.0, broken=0.0)
    seen = {}
    for each in (wide, narrow):
        samples = [make_sample(each, 0, 64, np.random.default_rng(k), changes).picture for k in range(40)]
        # The bars stand at the sides; a crop to the middle half takes them away.
        seen[each.name] = sum(bool(s[16:48].max() > 120) for s in samples)
    assert seen["wide"] == 40 and seen["narrow"] <= 32


def test_a_magnified_picture_shows_a_part_at_least_1_6_times_as_large() -> None:
    picture = np.zeros((256, 256), np.uint8)
    picture[::16] = 255
    for k in range(20):
        shown = magnify_picture(np.random.default_rng(k), picture)
        lines = np.flatnonzero((shown[:, 128] > 127)[1:] & ~(shown[:, 128] > 127)[:-1])
        assert shown.shape == picture.shape
        assert 16 * 1.5 < np.diff(lines).mean() < 16 * 2.8


def test_adapting_starts_from_a_finished_network(tmp_path: Path) -> None:
    experiment = read_experiment(find_experiment("lp_site"))
    assert experiment.section("training")["learns"] == ADAPTERS
    with pytest.raises(UserError, match="--start-from"):
        train_landmarks(experiment, tmp_path / "out", data_root=tmp_path)
    assert not (tmp_path / "out").exists()


def test_the_share_that_was_closed_is_told_where_there_was_a_distance() -> None:
    def row(*values: float) -> MachineRow:
        f1 = dict(zip(("before", "after", "full"), (Estimate(v, v - 0.01, v + 0.01, 9) for v in values)))
        return MachineRow("F", 3, 9, f1, Estimate(values[1] - values[0], 0.0, 0.1, 9))

    assert closed_share(row(0.8, 0.88, 0.9), "before", "after", "full") == pytest.approx(0.8)
    assert closed_share(row(0.9, 0.9, 0.9), "before", "after", "full") is None
    text = as_markdown([row(0.8, 0.88, 0.9)])
    assert "| F | 3 | 9 | 80.0 [79.0 .. 81.0] | 88.0 [87.0 .. 89.0] | 90.0 [89.0 .. 91.0] | 8.0 [0.0 .. 10.0] |" in text
