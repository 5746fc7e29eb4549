"""The tracker's 8-bit variant: what computes in bytes, and when it is kept."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import onnx  # noqa: E402

from puncta.imaging.mask_scoring import MaskScoring  # noqa: E402
from puncta.training.data import CACHE_SIZE, Clip  # noqa: E402
from puncta.training.familiar import Familiar  # noqa: E402
from puncta.training.folder import CALIBRATION, GRAPH  # noqa: E402
from puncta.training.nets.needle_track import OWN, NeedleTrack  # noqa: E402
from puncta.training.quantise import MODEL, RECORD, accepted_variant  # noqa: E402
from puncta.training.tracker import quantise  # noqa: E402
from puncta.training.tracker.export import export_track  # noqa: E402
from puncta.training.tracker.masks import IN_PLANE, MaskClip, save_masks  # noqa: E402
from puncta.training.tracker.quantise import Quality, decide, nodes_for_mask, quantise_track  # noqa: E402

FRAMES = 6


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A finished training folder of a tiny network that nobody has trained."""
    torch.manual_seed(0)
    net = NeedleTrack(5, (8, 8, 16, 16, 16), 8).eval()
    clip = torch.randn(1, 4, 6, 64, 64)
    clip[:, :, -1] = OWN
    familiar = Familiar(np.zeros(net.feature_count), np.eye(net.feature_count))
    export_track(net, clip, tmp_path / GRAPH, 1e-3, familiar)
    spec = {"calibration": MaskScoring(show=0.01, keep=0.01, mask_level=0.5).as_spec()}
    (tmp_path / CALIBRATION).write_text(json.dumps(spec), encoding="utf-8")
    return tmp_path


@pytest.fixture
def tune(tmp_path: Path) -> dict[str, list[MaskClip]]:
    """Two clips of two kinds."""
    rng = np.random.default_rng(0)
    masks = np.zeros((FRAMES, CACHE_SIZE, CACHE_SIZE), np.uint8)
    masks[:, 100:110, 40:200] = 255
    out: dict[str, list[MaskClip]] = {"breast": [], "stills": []}
    for k, kind in enumerate(("breast", "breast", "stills", "stills")):
        save_masks(tmp_path, str(k), list(masks), [IN_PLANE] * FRAMES)
        frames = rng.integers(0, 200, masks.shape, dtype=np.uint8)
        tips, entries = (np.tile(p, (FRAMES, 1)).astype(float) for p in ((200, 105), (40, 105)))
        told = np.ones(FRAMES, np.int8)
        clip = Clip(str(k), "simulator", "AB"[k % 2], frames, tips, entries, told, np.zeros((FRAMES, 2)), None)
        out[kind].append(MaskClip(clip, tmp_path / f"{k}.npz", np.full(FRAMES, IN_PLANE, np.int8)))
    return out


def test_the_memory_and_the_ends_stay_in_fp32(folder: Path) -> None:
    model = onnx.load(folder / GRAPH)
    named = {node.name: node for node in model.graph.node}
    convolutions = [node.name for node in model.graph.node if node.op_type == "Conv"]
    chosen = nodes_for_mask(model)
    in_bytes = [name for name in convolutions if name in chosen]
    assert len(in_bytes) >= len(convolutions) - 6 and set(chosen) <= set(named)
    assert not [name for name in chosen if "/cell/" in name], "errors of a memory add up"
    takes_pictures = [n for n in convolutions if "/Concat_output_0" in named[n].input]
    assert takes_pictures and not set(takes_pictures) & set(chosen)
    assert not [n for n in in_bytes if n.startswith("/mask/")]


def test_a_variant_is_made_judged_and_kept_or_left_out(
    folder: Path, tune: dict[str, list[MaskClip]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantise, "decide", lambda *_: (True, "as asked"))
    verdict = quantise_track(folder, tune)
    kept = accepted_variant(folder)
    assert kept is not None and (folder / MODEL).exists()
    assert verdict.frames == 2 * FRAMES and verdict.machines == ("A",)
    assert 0 < verdict.deviation < np.inf
    assert set(kept["figures"]) == {"int8_speed", "int8_iou_change", "int8_deviation"}
    monkeypatch.setattr(quantise, "decide", lambda *_: (False, "as asked"))
    quantise_track(folder, tune)
    assert accepted_variant(folder) is None and not (folder / MODEL).exists() and (folder / RECORD).exists()


@pytest.mark.parametrize(
    ("iou", "false_masks", "unfamiliar", "speed", "kept", "word"),
    [
        (0.495, 0.0, 0.0, 1.5, True, "1.50 times"),
        (0.485, 0.0, 0.0, 1.5, False, "IoU"),
        (0.5, 0.01, 0.0, 1.5, False, "without a needle"),
        (0.5, 0.0, 0.01, 1.5, False, "unfamiliar"),
        (0.5, 0.0, 0.0, 1.05, False, "as fast"),
    ],
)
def test_a_variant_is_kept_only_where_nothing_suffers(
    iou: float, false_masks: float, unfamiliar: float, speed: float, kept: bool, word: str
) -> None:
    accepted, why = decide(Quality(0.5, 0.0, 0.0), Quality(iou, false_masks, unfamiliar), speed)
    assert accepted is kept and word in why
