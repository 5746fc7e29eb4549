"""Measures how smoothly a clip plays in Annotate: which frames are painted when, and how late timers are beside it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np
from annotate_window import Hand, annotating
from PySide6.QtCore import QObject, Qt, QTimer
from qt_waiting import wait_ms
from window_gestures import LongClip, calm, fill

from puncta.annotation.store import AnnotationStore
from puncta.core.results import Analysis

TIMER_MS = 16.0
INTERVAL_MS = 40.0
"""The clip's frames are so far apart [ms]."""
WARM_UP_S = 2.0


@dataclass
class Playing:
    """One run of playing.

    Attributes
    ----------
    at_ms : list of float
        When each painted frame was painted [ms].
    indices : list of int
        Which frame it was.
    late_ms : list of float
        How much later than 16 ms after its last round a timer of the window came round [ms].
    """

    labels: int
    at_ms: list[float] = field(default_factory=list)
    indices: list[int] = field(default_factory=list)
    late_ms: list[float] = field(default_factory=list)
    cpu_share: float = 0.0

    @property
    def missed(self) -> int:
        """Frames that went by unpainted."""
        return self.indices[-1] - self.indices[0] + 1 - len(set(self.indices))

    def away_ms(self) -> np.ndarray:
        """How far from its own time each frame was painted, against the run's usual delay [ms]."""
        own = np.array(self.at_ms) - INTERVAL_MS * np.array(self.indices)
        return own - np.median(own)

    def row(self) -> dict[str, float]:
        """Figures of the run."""
        away, late = self.away_ms(), np.array(self.late_ms)
        frames = self.indices[-1] - self.indices[0] + 1
        return {
            "labels": self.labels,
            "frames": frames,
            "missed": self.missed,
            "late_by_half_a_frame": int(np.count_nonzero(away > INTERVAL_MS / 2)),
            "painted_late_ms_p50": float(np.median(away)),
            "painted_late_ms_p99": float(np.percentile(away, 99)),
            "painted_late_ms_most": float(away.max()),
            "timer_late_ms_p50": float(np.median(late)),
            "timer_late_ms_p99": float(np.percentile(late, 99)),
            "timer_late_ms_most": float(late.max()),
            "window_thread_share": self.cpu_share,
        }


class _Meter(QObject):
    """Listens to the picture, and keeps a timer of its own."""

    def __init__(self, hand: Hand, playing: Playing) -> None:
        super().__init__(hand.parts.window)
        self._playing, self._report = playing, hand.view.on_painted
        self._last_s = 0.0
        self._view = hand.view
        hand.view.on_painted = self._painted
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setInterval(round(TIMER_MS))
        self._timer.timeout.connect(self._tick)
        self._timer.start()

    def stop(self) -> None:
        self._timer.stop()
        self._view.on_painted = self._report

    def _painted(self, analysis: Analysis, t_ns: int) -> None:
        self._report(analysis, t_ns)
        self._playing.at_ms.append(t_ns / 1e6)
        self._playing.indices.append(analysis.frame.key.index)

    def _tick(self) -> None:
        now_s = time.perf_counter()
        if self._last_s:
            self._playing.late_ms.append(max(0.0, (now_s - self._last_s) * 1e3 - TIMER_MS))
        self._last_s = now_s


def measure_playing(stage, bot, labels: int, frames: int, seconds: float) -> Playing:  # noqa: ANN001
    """Play a clip of so many frames in Annotate, with labels of four things on each of its first ``labels / 4``."""
    uri = f"long {labels}"
    if labels:
        with AnnotationStore.open() as store:
            fill(store, LongClip(uri, frames), labels)
    hand = annotating(stage, bot, uri, opener=lambda name: LongClip(name, frames))
    calm(hand)
    board = hand.notes.desk.board
    assert board is not None and len(board) == labels
    playing = Playing(labels)
    hand.key(Qt.Key.Key_Space)
    wait_ms(round(WARM_UP_S * 1000))
    meter, cpu, wall = _Meter(hand, playing), time.thread_time(), time.perf_counter()
    wait_ms(round(seconds * 1000))
    playing.cpu_share = (time.thread_time() - cpu) / (time.perf_counter() - wall)
    meter.stop()
    stage.close(hand.parts)
    return playing
