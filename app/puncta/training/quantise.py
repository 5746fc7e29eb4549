"""An 8-bit variant of an exported tip network, kept only where it is as good as the network and faster.

Static quantisation: weights per channel, activations by their range on calibration frames of the tune split. Only what
leads to the maps is quantised; the maps' own convolution, the presence and the strangeness stay in fp32. The verdict
comes from other clips of the tune split, read frame by frame by the very steps of the plugin, memory included.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from puncta.core.errors import UserError
from puncta.core.geometry import tip_box_px
from puncta.core.results import Box
from puncta.formats.atomic import write_text_atomic
from puncta.imaging.preprocess import resample_region
from puncta.imaging.tip_reading import TipReader, pixel_mm_of
from puncta.inference.loaded import LoadedModel
from puncta.inference.quantisation import quantise_nodes
from puncta.inference.tuning import deviation_on_samples
from puncta.metrics.detection import FrameBoxes, average_precision
from puncta.training.answers import INTERVAL_NS
from puncta.training.data import Clip
from puncta.training.export import STRANGENESS
from puncta.training.familiar import clip_channels, fit_familiar
from puncta.training.folder import CALIBRATION, GRAPH
from puncta.training.latency import ratio, time_in_turns
from puncta.training.parity import open_exported
from puncta.training.run import Progress, Tell, tune_split
from puncta.training.stepping import STATE, SteppedGraph

MODEL, RECORD = "model-int8.onnx", "int8.json"
CALIBRATION_FRAMES = 256
FRAMES_OF_A_CLIP = 4
FEATURES_EVERY = 2
AP50_LOSS_MOST = 0.01
TIP_CHANGE_MOST_MM = 0.1
UNFAMILIAR_RISE_MOST = 0.005
SPEED_LEAST = 1.1
"""A variant is worth a second file and a second set of errors only where it is this much faster."""
_MAPS = "maps"


@dataclass(frozen=True, slots=True)
class Quality:
    """How well a network does on judged frames.

    Attributes
    ----------
    ap50 : float
        Of `needle_tip` boxes.
    tip_error_mm : float
        Median over tips that are shown.
    shown_of_tips, false_alarms : float
        Shares of frames with and without a tip on which one is shown.
    unfamiliar : float
        Share of frames that are called unfamiliar.
    strangeness : float or None
        Median.
    """

    ap50: float
    tip_error_mm: float
    shown_of_tips: float
    false_alarms: float
    unfamiliar: float
    strangeness: float | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """A variant beside its reference, and what was decided.

    Attributes
    ----------
    speed : float
        Time of the reference over the variant's, one thread, of the fastest steps of each round.
    deviation : float
        Of the outputs on the samples of `puncta models bench`, which takes the variant only where it is about this.
    why : str
        One sentence.
    """

    accepted: bool
    why: str
    reference: Quality
    variant: Quality
    speed: float
    reference_ms: float
    variant_ms: float
    deviation: float
    frames: int
    calibration_frames: int
    machines: tuple[str, ...]


def nodes_for_maps(model: onnx.ModelProto, output: str = _MAPS) -> list[str]:
    """Names of the nodes that lead to the maps, but for the convolution that gives them and the one that comes first.

    The first has few channels and many pixels, which bytes make slower; with it stays what follows up to the second.
    """
    made_by = {name: node for node in model.graph.node for name in node.output}
    head = made_by[output]
    while head.op_type != "Conv":
        head = made_by[head.input[0]]
    names: dict[str, onnx.NodeProto] = {}
    waiting = [head.input[0]]
    while waiting:
        node = made_by.get(waiting.pop())
        if node is not None and node.name not in names:
            names[node.name] = node
            waiting.extend(node.input)
    given = {v.name for v in model.graph.input if not v.name.startswith(STATE)}
    for node in model.graph.node:
        if node.op_type == "Concat" and not given.isdisjoint(node.input):
            given.update(node.output)
    first: set[str] = set()
    # Nodes are in the order of computing, so one pass finds all that hangs on the first convolution.
    for node in model.graph.node:
        opens = not given.isdisjoint(node.input)
        if opens or (node.op_type != "Conv" and not first.isdisjoint(node.input)):
            first.update(node.output)
            names.pop(node.name, None)
    return list(names)


def quantise_graph(model: Path, out: Path, feeds: Iterable[dict[str, NDArray[Any]]]) -> None:
    """Write the 8-bit variant of a graph.

    Parameters
    ----------
    feeds : iterable of dict
        Everything the graph takes, for each calibration frame.
    """
    quantise_nodes(model, out, nodes_for_maps(onnx.load(model)), feeds)


def refit_strangeness(
    path: Path, clips: Sequence[Clip], stepped: Callable[[LoadedModel], Any] = SteppedGraph
) -> None:
    """Fit a graph's strangeness anew, to its own features of clips, and write it back.

    Rounding moves features along directions in which they hardly vary in fp32, which would make every picture strange;
    measured by its own features, a familiar one is as near as in fp32. ``stepped`` feeds a graph of this kind.
    """
    model = onnx.load(path)
    made_by = {name: node for node in model.graph.node for name in node.output}
    node = made_by[STRANGENESS]
    while node.op_type != "MatMul":
        node = made_by[node.input[0]]
    whiten = node.input[1]
    features, mean = made_by[node.input[0]].input
    found: list[NDArray[np.float32]] = []
    with tempfile.TemporaryDirectory(prefix="puncta-int8-") as folder:
        model.graph.output.append(onnx.helper.make_tensor_value_info(features, onnx.TensorProto.FLOAT, None))
        onnx.save(model, Path(folder) / "features.onnx")
        del model.graph.output[-1]
        graph = stepped(open_exported(Path(folder) / "features.onnx"))
    size = int(graph.session.spec["size"][0])
    for clip in clips:
        graph.reset()
        found += [graph.step(picture[None])[features][0] for picture in clip_channels(clip, size)][::FEATURES_EVERY]
    familiar = fit_familiar(np.array(found))
    newer = {mean: familiar.mean.numpy(), whiten: np.ascontiguousarray(familiar.whiten.numpy().T)}
    for initializer in model.graph.initializer:
        if initializer.name in newer:
            initializer.CopyFrom(onnx.numpy_helper.from_array(newer[initializer.name], initializer.name))
    temporary = path.with_name(f".part-{path.name}")
    onnx.save(model, temporary)
    os.replace(temporary, path)


def spread_over_machines(clips: Sequence[Clip]) -> list[Clip]:
    """Order clips so that every machine takes its turn."""
    by_machine: dict[str, list[Clip]] = defaultdict(list)
    for clip in clips:
        by_machine[clip.machine].append(clip)
    longest = max((len(group) for group in by_machine.values()), default=0)
    return [group[k] for k in range(longest) for _, group in sorted(by_machine.items()) if k < len(group)]


def halves(clips: Sequence[Clip]) -> tuple[list[Clip], list[Clip]]:
    """Part clips in two so that both hold every machine, each machine taking its turn."""
    by_machine: dict[str, list[Clip]] = defaultdict(list)
    for clip in clips:
        by_machine[clip.machine].append(clip)
    first, second = ([c for group in by_machine.values() for c in group[k::2]] for k in (0, 1))
    return spread_over_machines(first), spread_over_machines(second)


def calibration_feeds(session: LoadedModel, clips: Sequence[Clip], frames: int) -> Iterator[dict[str, NDArray[Any]]]:
    """Run clips from their beginning and hand out a few frames of each, memory included, until there are enough."""
    graph = SteppedGraph(session)
    size = int(session.spec["size"][0])
    given = 0
    for clip in clips:
        channels = clip_channels(clip, size)
        wanted = set(np.linspace(0, len(channels) - 1, FRAMES_OF_A_CLIP + 1).astype(int)[1:].tolist())
        graph.reset()
        for t, picture in enumerate(channels):
            if t in wanted:
                yield graph.feeds(picture[None])
                given += 1
                if given == frames:
                    return
            graph.step(picture[None])


def judge(session: LoadedModel, clips: Sequence[Clip], tell: Callable[[int], None] | None = None) -> Quality:
    """Read clips as the plugin does and measure.

    Parameters
    ----------
    session : LoadedModel
        Its spec holds the `filter` and `calibration` tables.
    tell : callable or None
        Called with the number of clips done.
    """
    reader = TipReader(session)
    boxes: list[FrameBoxes] = []
    errors: list[float] = []
    strange: list[float] = []
    unfamiliar: list[bool] = []
    shown = {0: [0, 0], 1: [0, 0]}
    for number, clip in enumerate(clips):
        reader.clear()
        side = clip.frames.shape[1]
        region = (0, 0, side, side)
        pixel_mm = pixel_mm_of(region, clip.mm_per_px, reader.size)
        for i, (frame, judged) in enumerate(zip(clip.frames, clip.judged, strict=True)):
            grey, mapping = resample_region(np.asarray(frame), region, (reader.size, reader.size))
            reading = reader.read(grey, i * INTERVAL_NS, pixel_mm)
            unfamiliar.append(reading.unfamiliar)
            if reading.strangeness is not None:
                strange.append(reading.strangeness)
            if judged < 0:
                continue
            shown[int(judged)][0] += reading.tip is not None
            shown[int(judged)][1] += 1
            labelled: tuple[Box, ...] = ()
            if judged == 1:
                labelled = (tip_box_px(_pair(clip.tip_px[i]), region),)
                if reading.tip is not None:
                    gap = np.array(reading.tip) - mapping.model_from_image(clip.tip_px[i])
                    errors.append(float(np.hypot(*(gap * pixel_mm))))
            found: tuple[tuple[float, Box], ...] = ()
            if reading.tip is not None:
                place = _pair(mapping.image_from_model(np.array(reading.tip)))
                found = ((reading.presence, tip_box_px(place, region)),)
            boxes.append(FrameBoxes(number, labelled, found))
        if tell is not None:
            tell(number + 1)
    ap50 = float(average_precision(boxes, len(clips), (0.5,)).values(np.ones((1, len(clips))))[0])
    return Quality(
        ap50=ap50,
        tip_error_mm=float(np.median(errors)) if errors else math.nan,
        shown_of_tips=shown[1][0] / max(1, shown[1][1]),
        false_alarms=shown[0][0] / max(1, shown[0][1]),
        unfamiliar=float(np.mean(unfamiliar)) if unfamiliar else 0.0,
        strangeness=float(np.median(strange)) if strange else None,
    )


def _pair(point: NDArray[np.float64]) -> tuple[float, float]:
    return float(point[0]), float(point[1])


def decide(reference: Quality, variant: Quality, speed: float) -> tuple[bool, str]:
    """Say whether a variant is kept, and why."""
    lost = reference.ap50 - variant.ap50
    moved = abs(variant.tip_error_mm - reference.tip_error_mm)
    if not abs(lost) <= AP50_LOSS_MOST:
        return False, f"its AP50 differs by {100 * abs(lost):.1f} points"
    if not moved <= TIP_CHANGE_MOST_MM:
        return False, f"its median tip error differs by {moved:.2f} mm"
    if not variant.unfamiliar - reference.unfamiliar <= UNFAMILIAR_RISE_MOST:
        return False, f"it calls {100 * variant.unfamiliar:.1f} % of familiar frames unfamiliar"
    if not speed >= SPEED_LEAST:
        return False, f"it is only {speed:.2f} times as fast"
    return True, f"it is {speed:.2f} times as fast, within {100 * abs(lost):.1f} points of AP50 and {moved:.2f} mm"


def quantise_training(folder: Path, tune: Sequence[Clip], tell: Tell | None = None) -> Verdict:
    """Make the variant of a finished training folder, judge it, and leave ``int8.json`` and, if kept, the graph.

    Every other clip of the tune split sets the ranges, the others judge.
    """
    spec = json.loads((folder / CALIBRATION).read_text(encoding="utf-8"))
    setting, judging = halves(tune)
    reference = open_exported(folder / GRAPH, spec=spec)
    out = folder / MODEL
    ranging = setting[: -(-CALIBRATION_FRAMES // FRAMES_OF_A_CLIP)]
    quantise_graph(folder / GRAPH, out, calibration_feeds(reference, ranging, CALIBRATION_FRAMES))
    if STRANGENESS in {spec.name for spec in reference.outputs}:
        refit_strangeness(out, setting)
    variant = open_exported(out, "int8", spec)
    times = time_in_turns({"fp32": SteppedGraph(reference), "int8": SteppedGraph(variant)})
    speed = ratio(times, "fp32", "int8", np.min)

    def judged(already: int) -> Callable[[int], None]:
        def report(done: int) -> None:
            if tell is not None:
                tell(Progress("clips judged", already + done, 2 * len(judging), {}))

        return report

    before = judge(reference, judging, judged(0))
    after = judge(variant, judging, judged(len(judging)))
    accepted, why = decide(before, after, speed)
    verdict = Verdict(
        accepted, why, before, after, speed, _fastest_ms(times["fp32"]), _fastest_ms(times["int8"]),
        deviation_on_samples(reference, variant), sum(int((c.judged >= 0).sum()) for c in judging),
        min(CALIBRATION_FRAMES, FRAMES_OF_A_CLIP * len(ranging)), tuple(sorted({c.machine for c in ranging})),
    )
    record = asdict(verdict) | {"reference_sha256": _sha256(folder / GRAPH)}
    if accepted:
        record["sha256"] = _sha256(out)
    else:
        out.unlink()
    write_text_atomic(folder / RECORD, json.dumps(record, indent=2) + "\n")
    return verdict


def accepted_variant(folder: Path) -> dict[str, Any] | None:
    """Return the record of a training folder's accepted variant; None where there is none for the graph in it now."""
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    now = record["accepted"] and (folder / MODEL).exists() and record["reference_sha256"] == _sha256(folder / GRAPH)
    return record if now else None


def figures_of_variant(record: Mapping[str, Any]) -> dict[str, float]:
    """Figures that the registry keeps of an accepted variant; by the last of them `puncta models bench` judges it."""
    before, after = record["reference"], record["variant"]
    figures = {
        "int8_speed": record["speed"],
        "int8_ap50_change": after["ap50"] - before["ap50"],
        "int8_tip_error_change_mm": after["tip_error_mm"] - before["tip_error_mm"],
        "int8_deviation": record["deviation"],
    }
    return {name: round(value, 4) for name, value in figures.items()}


def _fastest_ms(times: NDArray[np.float64]) -> float:
    return float(np.median(times.min(axis=1)))


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def quantise_finished(
    folder: Path, data_root: Path | None, cache: Path | None, tell: Tell | None = None
) -> Verdict:
    """Make the variant of a finished training folder from the tune split that its experiment names.

    Raises
    ------
    UserError
        The folder holds no finished training, or the tune split's stills are not there.
    """
    _, tune = tune_split(folder, data_root, cache, tell)
    if not (folder / GRAPH).exists() or not (folder / CALIBRATION).exists():
        raise UserError(f"The training in {folder} is not finished; go on with it by --resume.")
    return quantise_training(folder, [clip for clips in tune for clip in clips], tell)
