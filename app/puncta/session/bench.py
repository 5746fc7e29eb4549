"""`puncta bench`: measures the product's numbers on this machine. Ratios beside absolute figures, nothing asserted."""

from __future__ import annotations

import datetime
import os
import platform
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from puncta import __version__
from puncta.core.events import PlayState
from puncta.core.results import Analysis
from puncta.inference.opener import opener_for
from puncta.inference.session import Tuning
from puncta.pipeline.batch import analyse, frames_of
from puncta.pipeline.host import PluginHost
from puncta.recording.video_writer import VideoWriter
from puncta.session.player import Player
from puncta.session.plugins import hosted_plugins
from puncta.sim.cine import CineGenerator
from puncta.sources.factory import open_source
from puncta.sources.synthetic_video import make_vfr_video, read_number
from puncta.sources.video_file import VideoReader

CLIP_SIZE_PX = (800, 600)
CLIP_FPS = 30
CLIP_FRAMES = 300
PLUGIN = "needle-tip"

Say = Callable[[str], None]


STEERED = "sim:vessel?seed=3&machine=A&steer=yes"
"""What is steered for the latency of steering."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure, see schema "bench"."""

    name: str
    title: str
    value: float | None
    unit: str
    n: int
    reach: str | None = None
    met: bool | None = None
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    max: float | None = None
    ratio: float | None = None
    note: str = ""


def figure_of_times(
    name: str, title: str, times_ms: list[float], reach: str | None, met: bool | None, note: str = ""
) -> Figure:
    """Return a figure of durations [ms]; its value is the 95th percentile."""
    if not times_ms:
        return Figure(name, title, None, "ms", 0, reach, None, note=note or "nothing was measured")
    p50, p95, p99 = (float(v) for v in np.percentile(times_ms, (50, 95, 99)))
    worst = float(np.max(times_ms))
    return Figure(name, title, p95, "ms", len(times_ms), reach, met, p50, p95, p99, worst, note=note)


@contextmanager
def bench_clip(frames: int = CLIP_FRAMES) -> Iterator[Path]:
    """Make a simulated 800 x 600 clip of 30 fps (H.264) in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="puncta-bench-") as folder:
        path = Path(folder) / "bench.mp4"
        writer = VideoWriter(path, simulated=True)
        generator = CineGenerator("breast", "A", 7, size_px=CLIP_SIZE_PX)
        for index, (pixels, _truth) in zip(range(frames), generator, strict=False):
            writer.put(np.repeat(pixels[..., None], 3, axis=2), round(index * 1e9 / CLIP_FPS))
        writer.close()
        yield path


def measure_throughput(clip: Path) -> list[Figure]:
    """Frames a second through decode, pipeline and plugin, against the bare model alone in a loop."""
    counts: list[float] = []
    raw: list[float] = []
    for _ in range(3):
        # In turns, so that a drifting machine speed touches both alike.
        raw.append(_raw_model_rate())
        counts.append(_pipeline_rate(clip))
    rate, bare = float(np.median(counts)), float(np.median(raw))
    ratio = rate / bare
    return [
        Figure("raw_model_fps", "bare model, one thread", bare, "fps", 3),
        Figure(
            "pipeline_ratio",
            "pipeline throughput / bare model throughput",
            ratio,
            "ratio",
            3,
            ">= 0.9",
            ratio >= 0.9,
            ratio=ratio,
            note=f"pipeline {rate:.0f} fps with decoding, region, motion history and tracking",
        ),
    ]


def _raw_model_rate(seconds: float = 2.0) -> float:
    session = opener_for(PLUGIN, tuning=Tuning.deterministic())()
    rng = np.random.default_rng(0)
    feeds = {spec.name: rng.random([1 if n < 1 else n for n in spec.shape], np.float32) for spec in session.inputs}
    for _ in range(10):
        session.run(feeds)
    begun, runs = time.perf_counter(), 0
    while time.perf_counter() - begun < seconds:
        session.run(feeds)
        runs += 1
    return runs / (time.perf_counter() - begun)


def _pipeline_rate(clip: Path) -> float:
    source = open_source(str(clip))
    host = PluginHost(hosted_plugins([PLUGIN], tuning=Tuning.deterministic()))
    try:
        host.prepare()
        begun = time.perf_counter()
        with analyse(frames_of(source), host, hashed=False) as analyses:
            done = sum(1 for _ in analyses)
        return done / (time.perf_counter() - begun)
    finally:
        host.close()
        source.close()


def measure_seeks(seeks: int = 1000) -> list[Figure]:
    """Random seeks in a variable-rate H.264 file with B-frames whose pictures carry their number."""
    with tempfile.TemporaryDirectory(prefix="puncta-bench-") as folder:
        path = Path(folder) / "vfr.mp4"
        count = 300
        make_vfr_video(path, count, seed=1)
        source = open_source(str(path))
        rng = np.random.default_rng(2)
        wrong, warm_ms = 0, []
        try:
            times_ns = source.info.times_ns
            for index in rng.integers(0, count, seeks):
                source.seek(int(index))
                frame = source.read()
                right = frame is not None and frame.key.index == index and frame.key.pts_ns == times_ns[index]
                wrong += not (right and read_number(frame.pixels) == index)
                begun = time.perf_counter()
                source.seek(int(index))
                source.read()
                warm_ms.append((time.perf_counter() - begun) * 1e3)
        finally:
            source.close()
    warm = figure_of_times("seek_warm", "seek to a cached frame", warm_ms, "p95 <= 20 ms", None)
    return [
        Figure("seek_wrong", "wrong frames among random seeks, variable rate", wrong, "frames", seeks, "0", wrong == 0),
        _judged(warm, warm.p95 is not None and warm.p95 <= 20.0),
    ]


def measure_cold_seeks(clip: Path, seeks: int = 100) -> list[Figure]:
    """Random seeks without a cache: each decodes from the key frame before it."""
    reader = VideoReader(clip, limit_bytes=1)
    times_ms: list[float] = []
    try:
        count = len(reader.index.pts)
        keys = len(reader.index.key_pts)
        for index in np.random.default_rng(3).integers(0, count, seeks):
            begun = time.perf_counter()
            reader.picture(int(index))
            times_ms.append((time.perf_counter() - begun) * 1e3)
        codec = reader.stream.codec_context.name
    finally:
        reader.close()
    note = f"{codec}, {CLIP_SIZE_PX[0]} x {CLIP_SIZE_PX[1]}, a key frame every {count / max(1, keys):.0f} frames"
    return [figure_of_times("seek_cold", "seek without a cache", times_ms, None, None, note)]


def measure_playback(clip: Path, seconds: float) -> list[Figure]:
    """Playback rate without a window: media time passed over wall time."""
    woken = threading.Event()
    player = Player(wake=woken.set, repeat=True)
    clock = MediaClock()
    try:
        player.open(str(clip))
        end = time.monotonic() + seconds + 1.0
        while time.monotonic() < end and player.status().state is not PlayState.FAILED:
            if woken.wait(0.5):
                woken.clear()
                analysis = player.take()
                if analysis is not None:
                    clock.shown(analysis, time.monotonic_ns())
        drops = dict(player.status().drops)
    finally:
        player.close()
    return [clock.figure("playback_rate", "playback rate without a window", f"dropped: {drops or 'none'}")]


class MediaClock:
    """Follows media time over loops, to hold it against wall time."""

    def __init__(self) -> None:
        self._first: tuple[int, int] | None = None
        self._last = (0, 0)
        self._base_ns = 0
        self._previous_ns = 0
        self.pictures = 0

    def shown(self, analysis: Analysis, t_ns: int) -> None:
        """Count a picture shown at a monotonic time [ns]."""
        pts_ns = analysis.frame.key.pts_ns
        info = analysis.frame.source
        if pts_ns < self._previous_ns and info.times_ns is not None:
            self._base_ns += int(info.times_ns[-1] - info.times_ns[0]) + info.interval_ns
        self._previous_ns = pts_ns
        point = (self._base_ns + pts_ns, t_ns)
        if self._first is None:
            self._first = point
        self._last = point
        self.pictures += 1

    def figure(self, name: str, title: str, note: str = "") -> Figure:
        """Return media time over wall time."""
        if self._first is None or self._last[1] == self._first[1]:
            return Figure(name, title, None, "ratio", 0, "1.00 +- 0.005", None, note="nothing was shown")
        rate = (self._last[0] - self._first[0]) / (self._last[1] - self._first[1])
        wall_s = (self._last[1] - self._first[1]) / 1e9
        words = f"over {wall_s:.0f} s; {note}" if note else f"over {wall_s:.0f} s"
        return Figure(name, title, rate, "ratio", self.pictures, "1.00 +- 0.005", abs(rate - 1) <= 0.005, note=words)


def measure_window(clip: Path, seconds: float, bench_window: Callable[..., dict]) -> list[Figure]:
    """Frame in to painted, the GUI timer, and the playback rate, in the real window with its overlay."""
    out = bench_window(uri=str(clip), seconds=seconds)
    ages, late = out["frame_to_painted_ms"], out["timer_late_ms"]
    painted = figure_of_times(
        "frame_to_painted", "frame in to end of paint", ages, "p95 <= 10 ms, p99 <= 16 ms", None, out["screen"]
    )
    timer = figure_of_times("gui_timer_late", "GUI timer (16 ms) late", late, "p99 <= 4 ms", None, out["screen"])
    return [
        _judged(painted, painted.p95 is not None and painted.p95 <= 10.0 and painted.p99 <= 16.0),
        _judged(timer, timer.p99 is not None and timer.p99 <= 4.0),
        out["clock"].figure("playback_rate_window", "playback rate with every overlay", out["note"]),
        Figure(
            "first_picture",
            "window with the first frame",
            out["first_picture_s"],
            "s",
            1,
            "<= 2 s warm",
            out["first_picture_s"] is not None and out["first_picture_s"] <= 2.0,
        ),
    ]


def measure_steering(seconds: float, bench_window: Callable[..., dict]) -> list[Figure]:
    """Mouse event to the end of the paint that shows its effect, steering the simulator in the real window."""
    out = bench_window(uri=STEERED, seconds=seconds, steer=True)
    figure = figure_of_times(
        "input_to_painted", "steering: input to changed picture", out["input_to_painted_ms"], "p95 <= 50 ms", None,
        f"{out['screen']}, {out['note']}",
    )
    return [_judged(figure, figure.p95 is not None and figure.p95 <= 50.0)]


def _judged(figure: Figure, met: bool) -> Figure:
    return Figure(**{**asdict(figure), "met": met})


def document_of(figures: list[Figure]) -> dict[str, Any]:
    """Return the figures as schema "bench" wants them."""
    return {
        "format": "puncta-bench",
        "version": 1,
        "program": f"puncta {__version__}",
        "created_utc": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "machine": {
            "cpu": _cpu_name(),
            "cores": os.cpu_count() or 1,
            "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
            "system": f"{platform.system()} {platform.release()}",
            "python": platform.python_version(),
            "accelerator": None,
        },
        "figures": [_clean(asdict(f)) for f in figures],
    }


def _clean(figure: dict[str, Any]) -> dict[str, Any]:
    return {k: (round(v, 4) if isinstance(v, float) else v) for k, v in figure.items()}


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass  # not Linux
    return platform.processor() or "unknown"
