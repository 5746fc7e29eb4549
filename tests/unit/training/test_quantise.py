from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training is not installed")
onnx = pytest.importorskip("onnx", reason="training is not installed")

from puncta.imaging.filtering import TipFilterSettings  # noqa: E402
from puncta.imaging.tip_scoring import TipScoring  # noqa: E402
from puncta.training import quantise  # noqa: E402
from puncta.training.data import Clip  # noqa: E402
from puncta.training.export import export_onnx  # noqa: E402
from puncta.training.familiar import fit_familiar  # noqa: E402
from puncta.training.nets.tip_stream import TipStream  # noqa: E402
from puncta.training.parity import open_exported  # noqa: E402
from puncta.training.quantise import Quality  # noqa: E402

SIZE = 64
GOOD = Quality(0.8, 0.5, 0.9, 0.01, 0.0, 10.0)


def dot_clip(k: int) -> Clip:
    """A bright dot that wanders over tissue."""
    rng = np.random.default_rng(k)
    tissue = cv2.GaussianBlur(rng.integers(0, 160, (SIZE, SIZE)).astype(np.uint8), (0, 0), 2)
    at = rng.uniform(15, 30, 2)
    tips = np.array([at + np.array([1.7, 1.1]) * t for t in range(10)])
    frames = np.stack([tissue] * 10)
    for frame, tip in zip(frames, tips):
        cv2.circle(frame, tuple(int(v) for v in np.round(tip)), 2, 255, -1)
    frames = np.clip(frames + rng.normal(0, 4, frames.shape), 0, 255).astype(np.uint8)
    judged = np.full(10, int(k % 4 > 0), np.int8)
    return Clip(
        str(k), "simulator", "ABC"[k % 3], frames, tips, tips - 10, judged, np.zeros((10, 2)), (0.2, 0.2)
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(2)
    net = TipStream(5, (16, 16, 16, 32, 32)).eval()
    clip = torch.randn(1, 3, 5, SIZE, SIZE)
    with torch.no_grad():
        pictures = torch.randn(1, 40, 5, SIZE, SIZE) * torch.linspace(0.3, 3, 40)[:, None, None, None]
        familiar = fit_familiar(net(pictures)[2][0].numpy())
    export_onnx(net, clip, tmp_path / "model.onnx", 1e-2, familiar)
    spec = {"filter": asdict(TipFilterSettings()), "calibration": TipScoring().as_spec()}
    (tmp_path / "calibration.json").write_text(json.dumps(spec))
    return tmp_path


def test_what_leads_to_the_maps_is_quantised_and_nothing_else(folder: Path) -> None:
    clips = [dot_clip(k) for k in range(3)]
    session = open_exported(folder / "model.onnx")
    out = folder / "int8.onnx"
    quantise.quantise_graph(folder / "model.onnx", out, quantise.calibration_feeds(session, clips, 8))
    graph = onnx.load(out).graph
    weights = {i.name for i in graph.initializer if i.data_type == onnx.TensorProto.INT8}
    made_by = {name: node for node in graph.node for name in node.output}
    convolutions = [n for n in graph.node if n.op_type == "Conv"]
    in_bytes = [n for n in convolutions if made_by.get(n.input[1]) and made_by[n.input[1]].input[0] in weights]
    # The first and the last of them stay as they were.
    assert len(in_bytes) == len(convolutions) - 2 > 10
    variant = open_exported(out, "int8")
    assert [(s.name, s.shape) for s in variant.inputs] == [(s.name, s.shape) for s in session.inputs]
    assert [(s.name, s.shape) for s in variant.outputs] == [(s.name, s.shape) for s in session.outputs]
    (feeds,) = quantise.calibration_feeds(session, clips[:1], 1)
    one, two = session.run(feeds), variant.run(feeds)
    for name in one:
        assert np.abs(one[name] - two[name]).max() <= 0.1 * max(1.0, np.ptp(one[name]), np.abs(one[name]).max()), name


def test_the_strangeness_of_bytes_is_measured_by_their_own_features(folder: Path) -> None:
    clips = [dot_clip(k) for k in range(8)]
    session, out = open_exported(folder / "model.onnx"), folder / "int8.onnx"
    quantise.quantise_graph(folder / "model.onnx", out, quantise.calibration_feeds(session, clips, 8))
    quantise.refit_strangeness(out, clips)
    variant = open_exported(out, "int8")
    assert [o.name for o in variant.outputs] == [o.name for o in session.outputs]
    graph = quantise.SteppedGraph(variant)
    found = []
    for clip in clips:
        graph.reset()
        found += [float(graph.step(c[None])["strangeness"][0]) for c in quantise.clip_channels(clip, SIZE)]
    # About the square root of the number of features, as fitted.
    assert np.sqrt(np.mean(np.square(found))) < 2 * np.sqrt(32)


def test_calibration_frames_come_from_all_machines_with_their_memory(folder: Path) -> None:
    first, second = quantise.halves([dot_clip(k) for k in range(12)])
    assert [c.machine for c in first] == [c.machine for c in second] == ["A", "B", "C"] * 2
    assert not {c.name for c in first} & {c.name for c in second}
    ordered = quantise.spread_over_machines([dot_clip(k) for k in (0, 3, 6, 1, 2)])
    assert [c.machine for c in ordered] == ["A", "B", "C", "A", "A"]
    feeds = list(quantise.calibration_feeds(open_exported(folder / "model.onnx"), ordered, 6))
    assert len(feeds) == 6 and set(feeds[0]) == {"channels", "state_0", "state_1", "state_2"}
    assert np.abs(feeds[0]["state_0"]).max() > 0


def test_a_training_folder_gets_a_verdict_and_keeps_only_what_was_accepted(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips = [dot_clip(k) for k in range(12)]
    for least, kept in ((0.0, True), (1e9, False)):
        monkeypatch.setattr(quantise, "SPEED_LEAST", least)
        # Whether toy figures agree is not the question here.
        monkeypatch.setattr(quantise, "AP50_LOSS_MOST", 1.0)
        monkeypatch.setattr(quantise, "TIP_CHANGE_MOST_MM", 1e9)
        verdict = quantise.quantise_training(folder, clips)
        record = json.loads((folder / "int8.json").read_text())
        assert verdict.accepted is kept is record["accepted"] is (folder / "model-int8.onnx").exists()
        assert ("sha256" in record) is kept
        assert record["machines"] == ["A", "B", "C"] and record["frames"] == 60
        assert verdict.reference.strangeness is not None and verdict.deviation > 0


@pytest.mark.parametrize(
    ("variant", "speed", "accepted", "word"),
    [
        (GOOD, 1.4, True, "1.40 times"),
        (GOOD, 1.05, False, "only 1.05"),
        (Quality(0.785, 0.5, 0.9, 0.01, 0.0, 10.0), 2.0, False, "AP50"),
        (Quality(0.8, 0.63, 0.9, 0.01, 0.0, 10.0), 2.0, False, "0.13 mm"),
        (Quality(float("nan"), 0.5, 0.9, 0.01, 0.0, 10.0), 2.0, False, "AP50"),
        (Quality(0.8, 0.5, 0.9, 0.01, 0.03, 20.0), 2.0, False, "unfamiliar"),
        (Quality(0.8, float("nan"), 0.0, 0.0, 0.0, 10.0), 2.0, False, "tip error"),
    ],
)
def test_the_verdict(variant: Quality, speed: float, accepted: bool, word: str) -> None:
    found, why = quantise.decide(GOOD, variant, speed)
    assert found is accepted and word in why


def test_an_accepted_variant_counts_only_for_the_graph_it_was_made_from(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert quantise.accepted_variant(folder) is None
    record = {
        "accepted": True, "sha256": "0" * 64, "reference_sha256": quantise._sha256(folder / "model.onnx"),
        "reference": asdict(GOOD), "variant": asdict(GOOD), "speed": 1.41, "deviation": 0.2,
    }
    (folder / "int8.json").write_text(json.dumps(record))
    assert quantise.accepted_variant(folder) is None  # its graph is not there
    (folder / "model-int8.onnx").write_bytes(b"graph")
    assert quantise.accepted_variant(folder) == record
    assert quantise.figures_of_variant(record) == {
        "int8_speed": 1.41, "int8_ap50_change": 0.0, "int8_tip_error_change_mm": 0.0, "int8_deviation": 0.2,
    }
    (folder / "model.onnx").write_bytes(b"trained further")
    assert quantise.accepted_variant(folder) is None
