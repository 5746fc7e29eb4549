"""The needle tracker's part of `puncta bench`: frames a second on a region of 448 x 448, and a long run."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import cv2
import numpy as np
import psutil
from numpy.typing import NDArray

from puncta.core.frame import Frame, FrameKey, ImageGeometry, SourceInfo, SourceKind, UltrasoundRegion
from puncta.inference.session import Tuning
from puncta.pipeline.host import PluginHost
from puncta.sdk.plugin import ResetReason
from puncta.session.bench import Figure
from puncta.session.plugins import hosted_plugins
from puncta.sim.cine import CineGenerator

PLUGIN = "breast-biopsy"
SIDE_PX = 448
REACH_FPS = 25.0
CINE_FRAMES = 120
WARM_FRAMES = 20
LONG_FRAMES = 10_000
INTERVAL_NS = 40_000_000
REACH_GROWTH_MB = 20.0
"""An hour of live play may grow by 50 MB; this run is a tenth of that."""
REACH_SLOWER = 1.1


def measure_tracker(long_frames: int = LONG_FRAMES) -> Iterator[Figure]:
    """Measure all of it, one figure after the other; the long run takes minutes.

    Parameters
    ----------
    long_frames : int
        Length of the long run; 0 leaves it out.
    """
    pictures = _cine()
    for threads, words in ((1, "one core"), (2, "two cores")):
        yield measure_speed(pictures, threads, words)
    if long_frames:
        yield from measure_long_run(pictures, long_frames)


def measure_speed(pictures: list[NDArray[np.uint8]], threads: int, words: str, frames: int = 150) -> Figure:
    """Frames a second of the whole plugin: region, motion channels, network, line, mask."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(threads)
    host = _host(threads)
    times_ms: list[float] = []
    try:
        for number, frame in enumerate(_frames(pictures, frames + WARM_FRAMES)):
            begun = time.perf_counter()
            host.step(frame)
            if number >= WARM_FRAMES:
                times_ms.append((time.perf_counter() - begun) * 1e3)
    finally:
        host.close()
        cv2.setNumThreads(before)
    p50, p95, p99 = (float(v) for v in np.percentile(times_ms, (50, 95, 99)))
    fps = 1e3 / float(np.mean(times_ms))
    return Figure(
        f"tracker_fps_{threads}", f"needle tracker, region of {SIDE_PX} x {SIDE_PX}, {words}", fps, "fps",
        len(times_ms), f">= {REACH_FPS:.0f}", fps >= REACH_FPS, p50, p95, p99, max(times_ms),
        note="percentiles are milliseconds a frame; the whole plugin",
    )


def measure_long_run(pictures: list[NDArray[np.uint8]], frames: int) -> Iterator[Figure]:
    """Memory and speed over many frames of one stream."""
    host = _host(1)
    process = psutil.Process()
    tenth = max(1, frames // 10)
    seconds: list[float] = []
    sizes: list[int] = []
    begun = time.perf_counter()
    try:
        for number, frame in enumerate(_frames(pictures, frames), start=1):
            host.step(frame)
            if number % tenth == 0:
                now = time.perf_counter()
                seconds.append(now - begun)
                sizes.append(process.memory_info().rss)
                begun = now
    finally:
        host.close()
    if len(sizes) < 3:
        return
    # The first tenth loads the model and fills the history; what is judged comes after it.
    growth = (sizes[-1] - sizes[0]) / 1e6
    slower = seconds[-1] / seconds[1]
    note = f"{frames} frames, no reset; megabytes of the process between the first tenth and the last"
    yield Figure(
        "tracker_growth", "needle tracker, memory grown over a long run", growth, "MB", frames,
        f"<= {REACH_GROWTH_MB:.0f} MB", growth <= REACH_GROWTH_MB, note=note,
    )
    yield Figure(
        "tracker_slower", "needle tracker, time of the last tenth / time of the second", slower, "ratio", frames,
        f"<= {REACH_SLOWER:.1f}", slower <= REACH_SLOWER, ratio=slower,
        note="times of the tenths [s]: " + ", ".join(f"{s:.1f}" for s in seconds),
    )


def _host(threads: int) -> PluginHost:
    host = PluginHost(hosted_plugins([PLUGIN], tuning=replace(Tuning.deterministic(), threads=threads)))
    host.prepare()
    host.reset(ResetReason.OPENED)
    return host


def _cine() -> list[NDArray[np.uint8]]:
    generator = CineGenerator("breast", "A", 7, size_px=(SIDE_PX, SIDE_PX), needle=True, start="inside")
    return [generator.next_frame()[0] for _ in range(CINE_FRAMES)]


def _frames(pictures: list[NDArray[np.uint8]], count: int) -> Iterator[Frame]:
    """Play the cine on and back again, so that no frame repeats the one before; times go on."""
    height, width = pictures[0].shape[:2]
    geometry = ImageGeometry(width, height, (UltrasoundRegion((0, 0, width, height), "bench"),))
    info = SourceInfo("bench:", "bench", "bench", SourceKind.SIMULATED, geometry, simulated=True)
    turn = 2 * (len(pictures) - 1)
    for number in range(count):
        at = number % turn
        pixels = pictures[at if at < len(pictures) else turn - at]
        yield Frame(FrameKey("bench", number, number * INTERVAL_NS), 0, number, 0, 0, pixels.copy(), geometry, info)
