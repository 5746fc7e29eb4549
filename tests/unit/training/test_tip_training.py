"""The training of the tip network, on toy sizes: seconds, not minutes."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest

from puncta.cli.main import main
from puncta.core.errors import BugError, UserError

torch = pytest.importorskip("torch", reason="training needs PyTorch; install the train extra")

from puncta.formats.schemas import check  # noqa: E402
from puncta.imaging.motion_history import MotionHistory  # noqa: E402
from puncta.inference.registry import Registry  # noqa: E402
from puncta.training import data  # noqa: E402
from puncta.training.augment import STRIDE, make_sample  # noqa: E402
from puncta.training.data import Clip, measure_drift, save_clip  # noqa: E402
from puncta.training.experiment import experiment_from, find_experiment, read_experiment, shipped_experiments  # noqa: E402
from puncta.training.export import export_onnx  # noqa: E402
from puncta.training.loop import ClipPool, LoopSettings, decode_cells, examine_samples, stack_samples, train_net  # noqa: E402
from puncta.training.losses import gaussian_focal, tip_loss  # noqa: E402
from puncta.training.nets.tip_stream import TipStream  # noqa: E402
from puncta.training.register import register_training  # noqa: E402
from puncta.training.run import train_experiment  # noqa: E402
from puncta.training.synthesis import Cine, compose_cine  # noqa: E402

SIZE = 64
WIDTHS = (8, 12, 16, 16, 16)


def moving_dot(seed: int, size: int = 72, steps: int = 20, tip: bool = True) -> Cine:
    """A bright line that grows over noise: the easiest needle there is."""
    rng = np.random.default_rng(seed)
    base = cv2.GaussianBlur(rng.integers(0, 120, (size, size)).astype(np.uint8), (0, 0), 1.5)
    frames = np.repeat(base[None], steps, axis=0)
    start = np.array([0.0, float(rng.uniform(5, 30))])
    direction = np.array([1.0, float(rng.uniform(0.2, 0.8))])
    tips = np.full((steps, 2), np.nan)
    for i in range(steps):
        if tip:
            tips[i] = start + direction * (12 + float(rng.uniform(1.0, 1.2)) * i)
            a, b = (tuple(int(round(v)) for v in p) for p in (start, tips[i]))
            cv2.line(frames[i], a, b, 200, 2)
    judged = np.full(steps, int(tip), np.int8)
    entries = np.tile(start, (steps, 1)) if tip else np.full((steps, 2), np.nan)
    return Cine(frames, tips, entries, judged, (0.5, 0.5))


def as_clip(cine: Cine, name: str = "clip") -> Clip:
    return Clip(name, "test", "A", cine.frames, cine.tip_px, cine.entry_px, cine.judged,
                measure_drift(cine.frames), cine.mm_per_px)


def settings(**changes: object) -> LoopSettings:
    fields = {"samples": 64, "batch": 8, "learning_rate": 5e-3, "weight_decay": 1e-3, "ema": 0.9, "warm_up": 0.1,
              "seed": 3, "size": SIZE, "threads": 1, "bfloat16": False, "checkpoint_every": 4}
    return LoopSettings(**{**fields, **changes})


def weights_of(net: torch.nn.Module) -> bytes:
    return b"".join(t.detach().contiguous().numpy().tobytes() for t in net.state_dict().values())


@pytest.fixture(scope="module")
def clips() -> list[Clip]:
    return [as_clip(moving_dot(k, tip=k % 4 != 3), f"c{k}") for k in range(8)]


def test_overfits_eight_samples(clips: list[Clip], tmp_path: Path) -> None:
    done: list[int] = []
    net, finished = train_net(
        lambda: TipStream(5, WIDTHS), ClipPool([(1.0, clips)], 1), settings(samples=1200, augment=False), tmp_path,
        watch=lambda step, losses, rate: done.append(step),
    )
    assert finished and done[-1] == 150
    fixed = [make_sample(c, SIZE, np.random.default_rng(0), plain=True) for c in clips]
    figures = examine_samples(net, fixed, SIZE)
    assert figures["within_5_percent"] == 1.0
    assert figures["presence_auc"] == 1.0


def test_a_resumed_run_ends_in_the_weights_of_one_never_stopped(clips: list[Clip], tmp_path: Path) -> None:
    pool = ClipPool([(1.0, clips)], 1)
    whole, _ = train_net(lambda: TipStream(5, WIDTHS), pool, settings(), tmp_path / _made(tmp_path, "a"))
    cut = tmp_path / _made(tmp_path, "b")
    _, finished = train_net(lambda: TipStream(5, WIDTHS), pool, settings(stop_after=3), cut)
    assert not finished
    resumed, finished = train_net(lambda: TipStream(5, WIDTHS), pool, settings(), cut)
    assert finished
    assert weights_of(resumed) == weights_of(whole)
    steps = [json.loads(line)["step"] for line in (cut / "log.jsonl").read_text().splitlines()]
    assert steps == sorted(set(steps)) and steps[-1] == 8


def test_stages_grow_the_picture_and_resume_across_a_stage(clips: list[Clip], tmp_path: Path) -> None:
    pool = ClipPool([(1.0, clips)], 1)
    staged = {"length": 2, "stages": ((32, 24), (96, 16)), "size": SIZE}
    assert [settings(**staged).size_at(step) for step in range(7)] == [32, 32, 32, 96, 96, SIZE, SIZE]
    sizes: list[int] = []

    class Watched(TipStream):
        def forward(self, clip: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
            sizes.append(clip.shape[-1])
            assert clip.shape[:2] == (4, 2)  # 8 frames a step in samples of 2
            return super().forward(clip)

    whole, _ = train_net(lambda: Watched(5, WIDTHS), pool, settings(**staged), tmp_path / _made(tmp_path, "a"))
    assert sizes == [32, 32, 32, 96, 96, SIZE, SIZE, SIZE]
    cut = tmp_path / _made(tmp_path, "b")
    train_net(lambda: TipStream(5, WIDTHS), pool, settings(stop_after=2, **staged), cut)
    resumed, _ = train_net(lambda: TipStream(5, WIDTHS), pool, settings(**staged), cut)
    assert weights_of(resumed) == weights_of(whole)


def test_a_plain_run_of_frames_has_the_channels_that_the_plugin_makes() -> None:
    cine = moving_dot(5)
    noise = np.random.default_rng(1).integers(0, 12, cine.frames.shape, dtype=np.uint8)
    clip = as_clip(dataclasses.replace(cine, frames=cine.frames + noise))  # no frame repeats another
    side = clip.frames.shape[1]
    sample = make_sample(clip, side, np.random.default_rng(0), length=3, plain=True)
    history, seen = MotionHistory(side), []
    for frame in clip.frames[: int(np.flatnonzero(clip.judged >= 0)[-1]) + 1]:
        history.push(frame)
        seen.append(history.channels())
    np.testing.assert_allclose(sample.channels, np.stack(seen[-3:]), atol=0.02)


def test_a_frame_nobody_judged_teaches_nothing() -> None:
    clip = as_clip(moving_dot(2))
    judged = clip.judged.copy()
    judged[-2] = -1
    sample = make_sample(dataclasses.replace(clip, judged=judged), 64, np.random.default_rng(0), 3, plain=True)
    batch = stack_samples([sample])
    assert batch.targets.present.tolist()[1] == -1.0
    maps, presence = torch.zeros(1, 3, 6, 16, 16), torch.zeros(1, 3)
    before, _ = tip_loss(maps, presence, batch.targets)
    maps[0, 1], presence[0, 1] = 5.0, 5.0
    after, _ = tip_loss(maps, presence, batch.targets)
    assert float(after) == float(before)


def test_same_seed_same_weights_other_seed_others(clips: list[Clip], tmp_path: Path) -> None:
    def run(name: str, seed: int) -> bytes:
        folder = tmp_path / _made(tmp_path, name)
        pool = ClipPool([(1.0, clips)], seed)
        net, _ = train_net(lambda: TipStream(5, WIDTHS), pool, settings(samples=24, seed=seed), folder)
        return weights_of(net)

    assert run("a", 3) == run("b", 3)
    assert run("c", 4) != run("d", 3)


def _made(root: Path, name: str) -> str:
    (root / name).mkdir()
    return name


def test_export_agrees_with_the_network_and_a_difference_is_refused(clips: list[Clip], tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = TipStream(5, WIDTHS).eval()
    example = stack_samples([make_sample(c, SIZE, np.random.default_rng(1)) for c in clips[:3]]).channels
    parity = export_onnx(net, example, tmp_path / "model.onnx", 1e-3)
    assert parity.inputs == 3 and 0 <= parity.max_abs <= 1e-3
    with pytest.raises(BugError, match="differs"):
        export_onnx(net, example, tmp_path / "other.onnx", 0.0 if parity.max_abs > 0 else -1.0)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.onnx"]


@pytest.mark.parametrize("seed", range(12))
def test_targets_lie_where_the_drawn_tip_lies(seed: int) -> None:
    cine = moving_dot(1)
    black = np.zeros_like(cine.frames)
    for frame, tip in zip(black, cine.tip_px):
        cv2.circle(frame, tuple(int(round(v * 16)) for v in tip), 3 * 16, 255, -1, cv2.LINE_AA, 4)
    dots = as_clip(Cine(black, cine.tip_px, cine.entry_px, cine.judged, None))
    sample = make_sample(dots, 128, np.random.default_rng(seed), length=2)
    asked, shown = sample.targets[-1], sample.channels[-1]
    if asked.cell == (-1, -1):
        assert asked.present <= 0.0 and asked.heat.max() < 1.0
        return
    at = (np.array(asked.cell[::-1]) + np.array(asked.offset)) * STRIDE + (STRIDE - 1) / 2
    grey = np.maximum(shown[0] - np.percentile(shown[0], 90), 0)
    grey[np.hypot(*(np.mgrid[0:128, 0:128][::-1] - at[:, None, None])) > 14] = 0
    if grey.sum() == 0:
        pytest.skip("this look darkens the dot away")
    y, x = np.mgrid[0:128, 0:128]
    seen = np.array([(grey * x).sum(), (grey * y).sum()]) / grey.sum()
    assert math.dist(seen, at) < 3.0
    assert math.hypot(*asked.direction) == pytest.approx(1.0)
    assert asked.heat[asked.cell] == 1.0


def test_decoding_gives_back_what_the_targets_say() -> None:
    sample = make_sample(as_clip(moving_dot(2)), 128, np.random.default_rng(0), plain=True).targets[-1]
    maps = np.zeros((1, 6, 32, 32), np.float32)
    maps[0, 0] = sample.heat
    maps[0, 1], maps[0, 2] = sample.offset
    points, _ = decode_cells(maps)
    tip = moving_dot(2).tip_px[-1]
    assert points[0] == pytest.approx((tip + 0.5) * 128 / 72 - 0.5, abs=1e-4)


def test_focal_loss_is_per_tip_not_per_batch() -> None:
    heat = torch.zeros(1, 16, 16)
    heat[0, 5, 5] = 1.0
    logits = torch.full((1, 16, 16), -4.0)
    one = gaussian_focal(logits, heat)
    two = gaussian_focal(logits.repeat(2, 1, 1), heat.repeat(2, 1, 1))
    assert float(one) == pytest.approx(float(two), rel=1e-5)


def test_composites_repeat_and_label_what_they_draw() -> None:
    still = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 200, (200, 260)).astype(np.uint8), (0, 0), 3)
    first, second = (compose_cine(np.random.default_rng([1, k]), still, 96, 8) for k in (5, 5))
    assert np.array_equal(first.frames, second.frames)
    kinds = {int(v) for k in range(12) for v in compose_cine(np.random.default_rng([2, k]), still, 96, 4).judged}
    assert {0, 1} <= kinds
    for k in range(6):
        cine = compose_cine(np.random.default_rng([2, k]), still, 96, 4)
        assert np.isnan(cine.tip_px[cine.judged != 1]).all()
        inside = cine.tip_px[cine.judged == 1]
        assert ((inside >= 0) & (inside <= 95)).all()


EXPERIMENT = {
    "version": 1, "name": "toy", "plugin": "needle-tip", "seed": 1,
    "data": {"backgrounds": ["stills"], "composites": 6, "tune_composites": 3, "frames": 6},
    "model": {"net": "tip_ut", "id": "toy", "version": "0.1", "widths": list(WIDTHS), "input": {"size": 64}},
    "training": {"samples": 16, "batch": 4, "learning_rate": 1e-3, "threads": 1},
}


def test_experiments_that_ship_hold_and_never_train_on_held_out_machines() -> None:
    for name in shipped_experiments():
        experiment = read_experiment(find_experiment(name))
        assert not {"D", "E"} & set(experiment.section("data")["machines"])
    with pytest.raises(UserError, match="kept for testing"):
        experiment_from({**EXPERIMENT, "data": {"machines": ["A", "D"]}})
    with pytest.raises(UserError, match="does not fit"):
        experiment_from({**EXPERIMENT, "seed": -1})
    with pytest.raises(UserError, match='did you mean "samples"'):
        experiment_from({**EXPERIMENT, "training": {**EXPERIMENT["training"], "sampels": 9}})
    with pytest.raises(UserError, match="no experiment"):
        find_experiment("nothing-of-the-kind")


@pytest.fixture
def stills(tmp_path: Path) -> Path:
    folder = tmp_path / "data" / "stills"
    folder.mkdir(parents=True)
    for k in range(6):
        noise = np.random.default_rng(k).integers(0, 200, (120, 140)).astype(np.uint8)
        cv2.imwrite(str(folder / f"{k}.png"), cv2.GaussianBlur(noise, (0, 0), 2))
    return tmp_path / "data"


def test_experiment_to_registered_model(stills: Path, tmp_path: Path) -> None:
    experiment = experiment_from(EXPERIMENT)
    out = tmp_path / "out"
    with pytest.raises(UserError, match="--data"):
        train_experiment(experiment, out)
    head = json.loads(train_experiment(experiment, out, data_root=stills, resume=True).read_text())
    assert check("training-folder", head) == [] and head["state"] == "done"
    for line in (out / "log.jsonl").read_text().splitlines():
        assert check("training-log", json.loads(line)) == []
    with pytest.raises(UserError, match="--resume"):
        train_experiment(experiment, out, data_root=stills)
    models = tmp_path / "models"
    target = register_training(out, models)
    registry = Registry.load(models, tmp_path / "none")
    assert registry.problems == ()
    card = registry.find("toy")
    registry.verify(card)
    assert target.name == card.file and card.simulated and card.input["calibration"]["circle"]
    register_training(out, models)
    assert len(Registry.load(models, tmp_path / "none").cards) == 1
    # What is not registered anywhere yet can be installed as it is, and is used by nobody before it is promoted.
    assert main(["models", "install", str(out)]) == 0
    installed = Registry.load().find("toy")
    assert (installed.origin, installed.sha256) == ("user", card.sha256) and installed.card_path.is_file()
    assert Registry.load().default_for("needle-tip").id != "toy"


def test_a_cached_clip_comes_back_as_it_was(tmp_path: Path) -> None:
    from puncta.training.data import load_clips

    cine = moving_dot(3)
    save_clip(tmp_path, "00001", "test", "A", cine)
    (clip,) = load_clips(tmp_path)
    assert np.array_equal(clip.frames, cine.frames)
    assert np.allclose(clip.tip_px, cine.tip_px, atol=1e-3) and clip.judged.tolist() == cine.judged.tolist()
    assert [p for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_simulated_clips_of_another_simulator_are_not_taken_for_todays(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = data.SimulatorSpec(("A",), ("breast",), 3)
    now = data.cache_name(spec)
    assert now == data.cache_name(data.SimulatorSpec(("A",), ("breast",), 9))  # more clips of the same
    monkeypatch.setattr(data, "simulator_digest", lambda: "another")
    assert data.cache_name(spec) != now
