"""An 8-bit variant of a landmark network, kept only where it says the same and is worth a second file.

The nodes that lead to the maps compute in bytes, but for the first convolution; half of the tune split's subjects set
the ranges, the others judge. The strangeness is fitted anew to the variant's own features, as for the tip network.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from puncta.core.errors import UserError
from puncta.formats.atomic import write_text_atomic
from puncta.inference.loaded import LoadedModel
from puncta.inference.quantisation import quantise_nodes
from puncta.inference.tuning import deviation_on_samples
from puncta.training.export import STRANGENESS
from puncta.training.familiar import fit_familiar
from puncta.training.folder import CALIBRATION, GRAPH
from puncta.training.landmarks.augment import make_sample
from puncta.training.landmarks.data import Shot
from puncta.training.landmarks.export import CAM, INPUT, LOGITS
from puncta.training.landmarks.run import gather_data, tuned_experiment
from puncta.training.latency import ratio, time_in_turns
from puncta.training.parity import open_exported
from puncta.training.quantise import CALIBRATION_FRAMES, MODEL, RECORD, SPEED_LEAST
from puncta.training.run import Tell
from puncta.training.stepping import SteppedGraph

F1_LOSS_MOST = 0.01
CHANCE_MOVE_MOST = 0.02
"""Median change of a flag's probability."""
UNFAMILIAR_RISE_MOST = 0.005
POINTING_LOSS_MOST = 0.02


@dataclass(frozen=True, slots=True)
class Quality:
    """How well a graph does on tune frames: micro F1, share of right yes whose map peaks on the structure, strange."""

    f1: float
    pointing: float
    unfamiliar: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """A variant beside its reference, and what was decided; ``why`` is one sentence."""

    accepted: bool
    why: str
    reference: Quality
    variant: Quality
    chance_move: float
    speed: float
    reference_ms: float
    variant_ms: float
    deviation: float
    frames: int
    calibration_frames: int
    machines: tuple[str, ...]


def nodes_for_cam(model: onnx.ModelProto) -> list[str]:
    """Names of the nodes that lead to the maps, but for what comes before the second convolution and the maps' own."""
    made_by = {name: node for node in model.graph.node for name in node.output}
    waiting, names = list(made_by[CAM].input[:1]), {}
    while waiting:
        node = made_by.get(waiting.pop())
        if node is not None and node.name not in names:
            names[node.name] = node
            waiting.extend(node.input)
    first: set[str] = {INPUT}
    opened = False
    for node in model.graph.node:
        # Everything up to the first convolution, that one, and what follows it up to the second.
        if not first.isdisjoint(node.input) and not (node.op_type == "Conv" and opened):
            opened = opened or node.op_type == "Conv"
            first.update(node.output)
            names.pop(node.name, None)
    return list(names)


def answers_of(session: LoadedModel, pictures: Sequence[NDArray[np.uint8]]) -> dict[str, NDArray[np.float32]]:
    """Run a graph over pictures of its size; outputs stacked by name."""
    rows: list[dict[str, NDArray[Any]]] = [session.run(feed_of(p)) for p in pictures]
    return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}


def feed_of(picture: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    """What the graph takes for a grey picture."""
    return {INPUT: picture[None, None].astype(np.float32) / np.float32(255.0)}


def refit(path: Path, pictures: Sequence[NDArray[np.uint8]], like: Path) -> None:
    """Fit a variant's distance to its own features of familiar pictures, on the scale that the reference's has.

    The limit inside the graph was set for the reference, so the new distances are scaled to the same median.
    """
    model = onnx.load(path)
    made_by = {name: node for node in model.graph.node for name in node.output}
    _, mean, whiten = _familiar_nodes(made_by)
    rows = [_features(part, pictures) for part in (path, like)]
    familiar = fit_familiar(rows[0])
    reference = onnx.load(like)
    _, old_mean, old_whiten = _familiar_nodes({n: x for x in reference.graph.node for n in x.output})
    held = {i.name: onnx.numpy_helper.to_array(i) for i in reference.graph.initializer}
    wanted = float(np.median(np.linalg.norm((rows[1] - held[old_mean]) @ held[old_whiten], axis=1)))
    new = familiar.whiten.numpy().T
    got = float(np.median(np.linalg.norm((rows[0] - familiar.mean.numpy()) @ new, axis=1)))
    newer = {mean: familiar.mean.numpy(), whiten: np.ascontiguousarray(new * np.float32(wanted / max(got, 1e-9)))}
    for initializer in model.graph.initializer:
        if initializer.name in newer:
            initializer.CopyFrom(onnx.numpy_helper.from_array(newer[initializer.name], initializer.name))
    temporary = path.with_name(f".part-{path.name}")
    onnx.save(model, temporary)
    os.replace(temporary, path)


def _familiar_nodes(made_by: dict[str, onnx.NodeProto]) -> tuple[str, str, str]:
    """Names of the features, the mean and the matrix of the distance behind the strangeness."""
    waiting = [STRANGENESS]
    while waiting:
        node = made_by.get(waiting.pop(0))
        if node is None:
            continue
        if node.op_type == "MatMul" and made_by.get(node.input[0]) is not None:
            features, mean = made_by[node.input[0]].input
            return features, mean, node.input[1]
        waiting.extend(node.input)
    raise UserError("The graph has no distance behind its strangeness, so no variant of it can be made.")


def _features(path: Path, pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.float64]:
    model = onnx.load(path)
    name = _familiar_nodes({n: x for x in model.graph.node for n in x.output})[0]
    model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    with tempfile.TemporaryDirectory(prefix="puncta-int8-") as folder:
        onnx.save(model, Path(folder) / "features.onnx")
        session = open_exported(Path(folder) / "features.onnx")
        return answers_of(session, pictures)[name].astype(np.float64)


def judge(answers: dict[str, NDArray[np.float32]], flags: NDArray[np.float32], parts: NDArray[np.float32]) -> Quality:
    """Measure answers to tune frames whose flags (n, 3) and structures (n, 3, h, w) are known."""
    truth, said = flags == 1, answers[LOGITS] > 0
    asked = truth & said & (parts.max(axis=(2, 3)) > 0.5)
    at = answers[CAM].reshape(*flags.shape, -1).argmax(axis=2)
    on_it = np.take_along_axis(parts.reshape(*flags.shape, -1), at[..., None], axis=2)[..., 0] >= 0.5
    return Quality(
        2 * float((truth & said).sum()) / max(1.0, float(truth.sum() + said.sum())),
        float(on_it[asked].mean()) if asked.any() else 1.0, float((answers[STRANGENESS] > 1).mean()),
    )


def decide(reference: Quality, variant: Quality, chance_move: float, speed: float) -> tuple[bool, str]:
    """Say whether a variant is kept, and why."""
    if not abs(reference.f1 - variant.f1) <= F1_LOSS_MOST:
        return False, f"its F1 differs by {100 * abs(reference.f1 - variant.f1):.1f} points"
    if not chance_move <= CHANCE_MOVE_MOST:
        return False, f"its probabilities differ by {chance_move:.3f}"
    if not reference.pointing - variant.pointing <= POINTING_LOSS_MOST:
        return False, f"its maps miss the structure in {100 * (reference.pointing - variant.pointing):.1f} % more cases"
    if not variant.unfamiliar - reference.unfamiliar <= UNFAMILIAR_RISE_MOST:
        return False, f"it calls {100 * variant.unfamiliar:.1f} % of familiar frames unfamiliar"
    if not speed >= SPEED_LEAST:
        return False, f"it is only {speed:.2f} times as fast"
    return True, f"it is {speed:.2f} times as fast, within {100 * abs(reference.f1 - variant.f1):.1f} points of F1"


def quantise_shots(folder: Path, shots: Sequence[Shot]) -> Verdict:
    """Make the variant of a finished training folder, judge it, and leave ``int8.json`` and, if kept, the graph."""
    spec = json.loads((folder / CALIBRATION).read_text(encoding="utf-8"))
    reference = open_exported(folder / GRAPH, spec=spec)
    size = int(reference.spec["size"][0])
    rng = np.random.default_rng(0)
    setting, judging = ([make_sample(s, i, size, rng) for s in part for i in range(len(s.frames))]
                        for part in (shots[::2], shots[1::2]))
    pictures = [s.picture for s in setting]
    ranging = pictures[:: max(1, len(pictures) // CALIBRATION_FRAMES)]
    out = folder / MODEL
    quantise_nodes(folder / GRAPH, out, nodes_for_cam(onnx.load(folder / GRAPH)), (feed_of(p) for p in ranging))
    refit(out, pictures, folder / GRAPH)
    variant = open_exported(out, "int8", spec)
    times = time_in_turns({"fp32": SteppedGraph(reference), "int8": SteppedGraph(variant)})
    speed = ratio(times, "fp32", "int8", np.min)
    flags, parts = np.stack([s.flags for s in judging]), np.stack([s.parts for s in judging])
    told = [answers_of(model, [s.picture for s in judging]) for model in (reference, variant)]
    before, after = (judge(answers, flags, parts) for answers in told)
    chances = [1 / (1 + np.exp(-answers[LOGITS].astype(np.float64))) for answers in told]
    move = float(np.median(np.abs(chances[0] - chances[1])))
    accepted, why = decide(before, after, move, speed)
    verdict = Verdict(
        accepted, why, before, after, move, speed, _fastest_ms(times["fp32"]), _fastest_ms(times["int8"]),
        deviation_on_samples(reference, variant), len(judging), len(ranging),
        tuple(sorted({s.machine for s in shots[::2]})),
    )
    record = asdict(verdict) | {"reference_sha256": _sha256(folder / GRAPH), "figures": figures_of_variant(verdict)}
    if accepted:
        record["sha256"] = _sha256(out)
    else:
        out.unlink()
    write_text_atomic(folder / RECORD, json.dumps(record, indent=2) + "\n")
    return verdict


def quantise_finished(folder: Path, data_root: Path | None, cache: Path | None, tell: Tell | None = None) -> Verdict:
    """Make the variant of a finished training folder from the tune split that its experiment names.

    Raises
    ------
    UserError
        The folder holds no finished training, or the tune split's stills are not there.
    """
    experiment = tuned_experiment(folder)
    if not (folder / GRAPH).exists() or not (folder / CALIBRATION).exists():
        raise UserError(f"The training in {folder} is not finished; go on with it by --resume.")
    splits = gather_data(experiment, data_root, cache or folder / "cache", tell or (lambda _progress: None), False)
    return quantise_shots(folder, splits.tune.spines)


def figures_of_variant(verdict: Verdict) -> dict[str, float]:
    """Figures that the registry keeps of an accepted variant; by the last of them `puncta models bench` judges it."""
    before, after = verdict.reference, verdict.variant
    figures = {
        "int8_speed": verdict.speed, "int8_f1_change": after.f1 - before.f1,
        "int8_pointing_change": after.pointing - before.pointing, "int8_deviation": verdict.deviation,
    }
    return {name: round(value, 4) for name, value in figures.items()}


def _fastest_ms(times: NDArray[np.float64]) -> float:
    return float(np.median(times.min(axis=1)))


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
