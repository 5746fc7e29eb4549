"""The simulator's part of `puncta bench`: frames a second on one core, dataset building, and the ratio to PyMUST."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from puncta.session.bench import Figure
from puncta.session.reference_scene import PunctaCamera, PymustCamera, has_pymust, make_scene
from puncta.sim.cine import CineGenerator
from puncta.sim.dataset_spec import DatasetSpec, Part
from puncta.sim.datasets import build_dataset
from puncta.sim.machines import PRESETS
from puncta.sim.subject import PROCEDURES

SIZE_PX = (512, 512)
SEEDS = (900_001, 900_002, 900_003, 900_004)
REACH_FPS = 100.0
REACH_DATASET_FPS = 120.0


def measure_simulator(frames: int = 40, jobs: int = 2) -> Iterator[Figure]:
    """Measure all of it, one figure after the other; about a minute."""
    known = []
    for name in PRESETS:
        figure = measure_machine(name, frames)
        known.append(figure.value or 0.0)
        yield figure
    median = float(np.median(known))
    yield Figure("sim_512_median", "simulator, 512 x 512, one core, median of the machines", median, "fps", len(known),
                 f">= {REACH_FPS:.0f}", median >= REACH_FPS)
    yield measure_dataset(jobs)
    yield measure_pymust_ratio()


def measure_machine(name: str, frames: int) -> Figure:
    """Frames a second of one machine at 512 x 512 with needle, deformation and truth, on one core."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    times_ms: list[float] = []
    try:
        for seed, procedure in zip(SEEDS, PROCEDURES, strict=True):
            generator = CineGenerator(procedure, name, seed, size_px=SIZE_PX, needle=True, start="inside")
            for index in range(frames + 5):
                begun = time.perf_counter()
                generator.next_frame()
                if index >= 5:
                    times_ms.append((time.perf_counter() - begun) * 1e3)
    finally:
        cv2.setNumThreads(threads)
    p50, p95, p99 = (float(v) for v in np.percentile(times_ms, (50, 95, 99)))
    fps = 1e3 / p50
    return Figure(f"sim_512_{name.lower()}", f"simulator, 512 x 512, one core, machine {name}", fps, "fps",
                  len(times_ms), f">= {REACH_FPS:.0f}", fps >= REACH_FPS, p50, p95, p99, max(times_ms),
                  note="percentiles are milliseconds a frame; needle, deformation and truth included")


def measure_dataset(jobs: int = 2, clips: int = 24, frames: int = 32) -> Figure:
    """Frames a second of building a dataset of 256 x 256 pictures in ``jobs`` processes, everything included."""
    spec = DatasetSpec(
        "bench", "Simulated pictures, made to measure speed.",
        (Part("train", (900_100, 900_100 + clips), frames, ((256, 256),), procedures=PROCEDURES,
              machines=("A", "B", "C")),),
    )
    with tempfile.TemporaryDirectory(prefix="puncta-bench-") as folder:
        begun = time.perf_counter()
        dataset = build_dataset(spec, Path(folder) / "set", jobs)
        seconds = time.perf_counter() - begun
    fps = len(dataset.images) / seconds
    return Figure("dataset_256", f"dataset building, 256 x 256, {jobs} processes", fps, "fps", len(dataset.images),
                  f">= {REACH_DATASET_FPS:.0f}", fps >= REACH_DATASET_FPS,
                  note=f"{clips} clips of {frames} frames, start of the processes and writing included")


def measure_pymust_ratio(scatterers: int = 3000) -> Figure:
    """How many times faster than PyMUST on the same small scene, in this run."""
    title = "simulator / PyMUST, frames of the same small scene"
    if not has_pymust():
        return Figure("pymust_ratio", title, None, "times", 0, note="PyMUST is not installed")
    scene = make_scene(scatterers)
    ours = PunctaCamera()
    own = _median_seconds(lambda: ours.envelope(scene, scene.layered), 20)
    theirs = PymustCamera()
    theirs.envelope(scene, scene.layered)  # builds its matrix, which a second picture does not need
    other = _median_seconds(lambda: theirs.envelope(scene, scene.layered), 3)
    return Figure("pymust_ratio", title, other / own, "times", 3, ratio=other / own,
                  note=f"{scatterers} scatterers, one plane wave; {own * 1e3:.2f} ms against {other * 1e3:.0f} ms")


def _median_seconds(work: Callable[[], object], runs: int) -> float:
    times: Sequence[float] = []
    for _ in range(runs):
        begun = time.perf_counter()
        work()
        times = [*times, time.perf_counter() - begun]
    return float(np.median(times))
