"""Sources and plugins of known behaviour for the pipeline's tests."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

import numpy as np

from puncta.core.errors import SourceError
from puncta.core.flags import Flag
from puncta.core.frame import Frame, FrameKey, ImageGeometry, SourceInfo, SourceKind
from puncta.core.results import Detection, PluginOutput
from puncta.pipeline.host import HostedPlugin
from puncta.sdk.plugin import ResetReason, StepResult


class NumberedSource:
    """A file whose every pixel is its frame's index; can fail or stop at a frame."""

    def __init__(self, count: int = 60, interval_ms: float = 10.0, name: str = "numbered", fail_at: int | None = None):
        geometry = ImageGeometry(256, 24)
        times = np.arange(count, dtype=np.int64) * round(interval_ms * 1e6)
        self.info = SourceInfo(name, name, name, SourceKind.FILE, geometry, count, times)
        self.fail_at = fail_at
        self.closed = False
        self.reads: list[int] = []
        self._next = 0

    def read(self) -> Frame | None:
        index = self._next
        if index >= self.info.frame_count:
            return None
        if self.fail_at is not None and index >= self.fail_at:
            raise SourceError(f"The file {self.info.stream} breaks off at frame {index}.")
        self._next += 1
        self.reads.append(index)
        pixels = np.full((24, 256), index % 256, np.uint8)
        key = FrameKey(self.info.stream, index, int(self.info.times_ns[index]))
        return Frame(key, 0, 0, time.monotonic_ns(), 0, pixels, self.info.geometry, self.info)

    def seek(self, index: int) -> None:
        self._next = index

    def close(self) -> None:
        self.closed = True


class EchoPlugin:
    """Reports a tip whose x is the grey value of the frame it saw, so a result betrays its frame."""

    def __init__(self, delay_s: float = 0.0, fail_on: Callable[[int], bool] = lambda _index: False):
        self.delay_s, self.fail_on = delay_s, fail_on
        self.resets: list[ResetReason] = []
        self.seen: list[tuple[int, int]] = []
        self.threads: set[str] = set()
        self.closed = False
        self.gate: threading.Event | None = None

    def reset(self, reason: ResetReason) -> None:
        self.resets.append(reason)

    def step(self, frame: Frame, upstream: Mapping[str, PluginOutput]) -> StepResult:
        self.threads.add(threading.current_thread().name)
        self.seen.append((frame.epoch, frame.key.index))
        if self.gate is not None:
            self.gate.wait(5)
        if self.delay_s:
            time.sleep(self.delay_s)
        if self.fail_on(frame.key.index):
            raise RuntimeError("planted")
        value = float(frame.pixels[0, 0])
        return StepResult(
            (Detection("needle_tip", (value - 1.5, 1.0, 3.0, 2.0), (value, 2.0), 0.9),), frozenset({Flag.STALE})
        )

    def close(self) -> None:
        self.closed = True


def hosted(plugin: object, plugin_id: str = "echo", **more: object) -> HostedPlugin:
    """Wrap a ready plugin for a host."""
    return HostedPlugin(plugin_id, plugin_id.title(), lambda: plugin, **more)
