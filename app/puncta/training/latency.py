"""Times the UltraTiny family, the tip network that ships and a network of YOLOX-Nano's shape beside one another.

All run in one process, one thread each, in turns: a machine that is busy for a while is busy for all of them, so ratios
hold where milliseconds do not. Speed does not depend on weights, so those of the family are drawn at random.
"""

from __future__ import annotations

import gc
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from puncta.inference.registry import Registry
from puncta.inference.session import Tuning, open_session
from puncta.session.bench import PLUGIN, Figure
from puncta.training.export import export_ultratiny, write_graph
from puncta.training.nets.ultratiny import KINDS, WINDOW, UltraTiny
from puncta.training.nets.yolox_nano import SIZE as YOLOX_SIZE
from puncta.training.nets.yolox_nano import YoloxNano
from puncta.training.parity import open_exported
from puncta.training.stepping import SteppedGraph

SIZE = 256
"""Side of the family's input [px]."""
ROUNDS = 40
REPEATS = 5
"""Timed steps of a network in a round, after one that brings its weights back into the cache."""
Summary = Callable[..., NDArray[np.float64]]
TITLES = {
    "2d": "UltraTiny 2D", "2.5d": "UltraTiny 2.5D", "3d": "UltraTiny 3D, its whole window",
    "stream": "UltraTiny 3D, streamed",
}
TOLERANCE = 1e-3
YOLOX, SHIPPED = "yolox_nano", "tip_shipped"
"""The second is followed by the precision of the file."""


def family_graphs(folder: Path, size: int = SIZE, yolox_size: int = YOLOX_SIZE) -> dict[str, SteppedGraph]:
    """Export the family and the yardstick with random weights into a folder and open them."""
    torch.manual_seed(0)
    graphs: dict[str, SteppedGraph] = {}
    for kind in KINDS:
        path = folder / f"{kind}.onnx"
        export_ultratiny(UltraTiny(kind), torch.randn(WINDOW, size, size), path, TOLERANCE)
        graphs[name_of(kind)] = SteppedGraph(open_exported(path))
    path = folder / "yolox.onnx"
    write_graph(YoloxNano(), {"picture": torch.randn(1, 3, yolox_size, yolox_size)}, ["at8", "at16", "at32"], path)
    graphs[YOLOX] = SteppedGraph(open_exported(path))
    return graphs


def name_of(kind: str) -> str:
    """Name of a figure, such as ``ultratiny_2_5d``."""
    return f"ultratiny_{kind.replace('.', '_')}"


def time_in_turns(graphs: Mapping[str, SteppedGraph], rounds: int = ROUNDS) -> dict[str, NDArray[np.float64]]:
    """Step every graph a few times a round, each round beginning with another; times [ms], (rounds, repeats) each."""
    rng = np.random.default_rng(0)
    frames = {}
    for name, graph in graphs.items():
        shape = next(spec.shape for spec in graph.session.inputs if spec.name == graph.input)
        frames[name] = rng.standard_normal([1 if side < 1 else side for side in shape]).astype(np.float32)
        graph.step(frames[name])
    names = list(graphs)
    times = {name: np.empty((rounds, REPEATS)) for name in names}
    gc.collect()
    collects = gc.isenabled()
    gc.disable()
    try:
        for turn in range(rounds):
            start = turn % len(names)
            for name in names[start:] + names[:start]:
                graph, frame = graphs[name], frames[name]
                graph.step(frame)
                for k in range(REPEATS):
                    begun = time.perf_counter_ns()
                    graph.step(frame)
                    times[name][turn, k] = (time.perf_counter_ns() - begun) / 1e6
    finally:
        if collects:
            gc.enable()
    return times


def ratio(times: Mapping[str, NDArray[np.float64]], slow: str, quick: str, of: Summary = np.median) -> float:
    """Median over rounds of one network's median time over another's in the same round.

    With `numpy.min` the fastest steps of a round are compared, which other programs disturb the least.
    """
    return float(np.median(of(times[slow], axis=1) / of(times[quick], axis=1)))


def measure_networks(rounds: int = ROUNDS) -> list[Figure]:
    """Time all of them, one thread each, with the default model of the needle-tip plugin."""
    with tempfile.TemporaryDirectory(prefix="puncta-bench-") as folder:
        graphs = family_graphs(Path(folder))
        card = Registry.load().default_for(PLUGIN)
        for entry in card.files:
            tuning = Tuning(threads=1, precision=entry.precision, repeatable=True)
            graphs[f"{SHIPPED}_{entry.precision}"] = SteppedGraph(open_session(card, tuning))
        times = time_in_turns(graphs, rounds)
    side = int(card.input["size"][0])
    titles = {name_of(k): f"{TITLES[k]}, {SIZE} x {SIZE}" for k in KINDS}
    titles[YOLOX] = f"a network of YOLOX-Nano's shape, {YOLOX_SIZE} x {YOLOX_SIZE}"
    titles |= {f"{SHIPPED}_{e.precision}": f"{card.identity} ({e.precision}), {side} x {side}" for e in card.files}
    return figures_of(times, titles)


def figures_of(times: Mapping[str, NDArray[np.float64]], titles: Mapping[str, str]) -> list[Figure]:
    """Return a figure for every network, its value the median, and the ratios that are asked for."""
    figures = []
    for name, values in times.items():
        p50, p95, p99 = (float(v) for v in np.percentile(values, (50, 95, 99)))
        share = ratio(times, YOLOX, name)
        figures.append(
            Figure(
                f"network_{name}", titles[name], p50, "ms", values.size, None, None, p50, p95, p99, float(values.max()),
                ratio=share, note="" if name == YOLOX else f"{share:.2f} times as quick as YOLOX-Nano's shape",
            )
        )
    asked = [("streamed_against_2d", "UltraTiny 3D streamed / 2D", name_of("stream"), name_of("2d"), "<= 2")]
    for name in times:
        if name.startswith(SHIPPED):
            asked.append((f"yolox_nano_against_{name}", f"YOLOX-Nano's shape / {titles[name]}", YOLOX, name, ">= 3"))
    for name, title, above, below, reach in asked:
        value = ratio(times, above, below)
        met = value <= 2.0 if reach == "<= 2" else value >= 3.0
        figures.append(Figure(name, title, value, "ratio", len(times[above]), reach, met, ratio=value))
    return figures
