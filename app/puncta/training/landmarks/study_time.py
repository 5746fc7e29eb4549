"""What time the flag study's networks take for a picture: exported, ONNX Runtime, one thread, one process, in turns.

Speed does not depend on weights, so networks are drawn at random; adapters are taken as added into the weights, as they
would be for use. Processor time is counted, not the clock's: on a busy machine a slow network is interrupted more often
than a quick one, and the clock would tell a ratio that flatters the quick one.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from puncta.core.errors import UserError
from puncta.formats.atomic import write_text_atomic
from puncta.inference.loaded import Tuning
from puncta.inference.registry import Registry
from puncta.inference.session import open_session
from puncta.training.export import write_graph
from puncta.training.landmarks.study import Places, Row, Study
from puncta.training.landmarks.study_rows import bare_net
from puncta.training.latency import REPEATS, ratio
from puncta.training.parity import open_exported
from puncta.training.stepping import SteppedGraph

TIMES = "times.json"
FULL_PX = 224
"""The poster's input, at which all are timed besides their own."""
RIVAL, SHARE_MOST = "resnet18", 0.2
"""What the plugin's network may take of ResNet18's time at the same input."""
ROUNDS = 15
TITLES = {"resnet18": "ResNet18", "vit": "ViT", "deit": "DeiT", "small": "network of the plugin, logits alone"}


def time_networks(study: Study, places: Places, rounds: int = ROUNDS) -> Path:
    """Time every kind of network that the study has, at its own input and at `FULL_PX`; keep what is found."""
    sizes = {(row.net, size) for row in study.rows if row.trained for size in (row.size, FULL_PX)}
    sizes |= {(RIVAL, row.size) for row in study.rows if row.trained} | {(RIVAL, FULL_PX)}
    titles: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="puncta-times-") as folder:
        graphs = {}
        for kind, size in sorted(sizes):
            name = f"{kind}-{size}"
            path = Path(folder) / f"{name}.onnx"
            torch.manual_seed(0)
            net = bare_net(kind, study.shape, size, 3).eval()
            write_graph(net, {"image": torch.rand(1, 1, size, size)}, ["logits"], path)
            graphs[name] = SteppedGraph(open_exported(path))
            titles[name] = TITLES[kind]
        for row in study.rows:
            shipped = _shipped(row)
            if shipped is not None:
                name = f"{row.name}-{shipped.session.inputs[0].shape[-1]}"
                graphs[name] = shipped
                titles[name] = f"{row.model} as it ships, with its maps and strangeness"
        times = cpu_times_in_turns(graphs, rounds)
    found = {
        name: {
            "title": titles[name], "size": int(name.rsplit("-", 1)[1]), "ms": round(float(np.median(values)), 3),
            "share": _share(times, name),
        }
        for name, values in times.items()
    }
    write_text_atomic(places.out / TIMES, json.dumps({"version": 1, "threads": 1, "networks": found}, indent=1) + "\n")
    return places.out / TIMES


def cpu_times_in_turns(graphs: Mapping[str, SteppedGraph], rounds: int = ROUNDS) -> dict[str, NDArray[np.float64]]:
    """Step every graph a few times a round, each round beginning with another; processor times [ms], (rounds, repeats).

    All compute in the calling thread, whose time is read.
    """
    rng = np.random.default_rng(0)
    frames = {name: rng.random(_shape(graph), dtype=np.float32) for name, graph in graphs.items()}
    names = list(graphs)
    times = {name: np.empty((rounds, REPEATS)) for name in names}
    for turn in range(rounds):
        start = turn % len(names)
        for name in names[start:] + names[:start]:
            graphs[name].step(frames[name])  # brings the weights back into the cache
            for k in range(REPEATS):
                begun = time.thread_time_ns()
                graphs[name].step(frames[name])
                times[name][turn, k] = (time.thread_time_ns() - begun) / 1e6
    return times


def _shape(graph: SteppedGraph) -> list[int]:
    shape = next(spec.shape for spec in graph.session.inputs if spec.name == graph.input)
    return [1 if side < 1 else side for side in shape]


def _shipped(row: Row) -> SteppedGraph | None:
    """The graph of a row's model; None where it is none that ships, or is not there."""
    if row.model is None:
        return None
    try:
        card = Registry.load().find(row.model)
    except UserError:
        return None
    return SteppedGraph(open_session(card, Tuning.deterministic()))


def _share(times: Mapping[str, Any], name: str) -> float | None:
    """A network's time over ResNet18's at the same input, in the same rounds; None where that was not timed."""
    rival = f"{RIVAL}-{name.rsplit('-', 1)[1]}"
    return round(ratio(times, name, rival, np.min), 4) if rival in times else None


def times_as_text(places: Places) -> list[str]:
    """The section of the tables on time; empty where nothing was timed."""
    path = places.out / TIMES
    if not path.exists():
        return []
    networks = json.loads(path.read_text(encoding="utf-8"))["networks"]
    lines = ["", "## Time", "",
             "ONNX Runtime, one thread, all in one process and in turns; processor time. Share: of ResNet18's time at "
             "the same input, from the fastest of each round.", "",
             "| network | input [px] | ms a picture, median | share of ResNet18's |", "| --- | --- | --- | --- |"]
    for one in sorted(networks.values(), key=lambda n: (n["size"], -n["ms"])):
        share = "" if one["share"] is None else f"{one['share']:.3f}"
        lines.append(f"| {one['title']} | {one['size']} | {one['ms']:.2f} | {share} |")
    ours = [one for name, one in networks.items() if one["size"] == FULL_PX and name.partition("-")[0] not in
            ("resnet18", "vit", "deit")]
    for one in ours:
        word = "met" if one["share"] is not None and one["share"] <= SHARE_MOST else "missed"
        told = "not measured" if one["share"] is None else f"{one['share']:.3f}"
        lines += ["", f"Asked of {one['title']} ({one['size']} px): at most {SHARE_MOST:g} of ResNet18's time at the "
                      f"same input. Found: {told}, {word}."]
    return lines
