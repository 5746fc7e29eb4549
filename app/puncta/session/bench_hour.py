"""A long simulated Live for `puncta bench`: what grows, what slows down, what drifts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from puncta.session.bench import Figure

LONG_LIVE = "sim:breast?seed=1&machine=A"
MOST_GROWTH_MB = 50.0
RATE_WITHIN = 0.02
DRIFT_MS = 50.0
"""A clock that is off by less than this [ms] has not drifted: two pictures, or one buffer of sound."""
SETTLED_S = 120.0
"""Memory is compared with what it was so long after the start [s]; before that caches fill."""

Sample = dict[str, Any]


def measure_hour(minutes: float, source: str | None, bench_window: Callable[..., dict]) -> list[Figure]:
    """Play a source without an end in the window for so long [min], with the tip plugin, a target and sounds."""
    uri = source or LONG_LIVE
    out = bench_window(uri=uri, seconds=60.0 * minutes, hour=True)
    return figures_of_hour(out["samples"], f"{uri}, {out['screen']}", out["sound"])


def figures_of_hour(samples: Sequence[Sample], note: str, no_sound: str = "") -> list[Figure]:
    """Turn samples into figures; see `puncta.gui.bench_hour.HourMeter` for their members."""
    if len(samples) < 4:
        return [Figure("hour_memory", "long Live", None, "MB", len(samples), None, None, note="too short to say")]
    t = np.array([s["t_s"] for s in samples])
    wall_s = float(t[-1])
    growth = _growth_mb(samples, t)
    n = len(samples)
    long = f"over {wall_s / 60:.0f} min; {note}"
    first, last = _rate(samples[: max(2, n // 5)]), _rate(samples[-max(2, n // 5) :])
    change = last / first if first else 0.0
    media_ms = (samples[-1]["media_s"] - wall_s) * 1e3
    threads = samples[-1]["threads"] - samples[n // 5]["threads"]
    oldest = max(s["oldest_ms"] for s in samples[1:])
    dropped = samples[-1]["dropped"] - samples[0]["dropped"]
    figures = [
        Figure(
            "hour_memory",
            "long Live: memory grows by",
            growth,
            "MB",
            n,
            f"< {MOST_GROWTH_MB:.0f} MB in an hour",
            growth < MOST_GROWTH_MB,
            note=f"{samples[-1]['rss_mb']:.0f} MB at the end; {long}",
        ),
        Figure(
            "hour_rate",
            "long Live: frame rate at the end / at the beginning",
            change,
            "ratio",
            n,
            f"1.00 +- {RATE_WITHIN}",
            abs(change - 1) <= RATE_WITHIN,
            ratio=change,
            note=f"{first:.2f} and {last:.2f} pictures a second; {dropped} dropped, oldest {oldest:.0f} ms",
        ),
        Figure(
            "hour_time_drift",
            "long Live: time of the pictures against wall time",
            media_ms,
            "ms",
            n,
            f"within {DRIFT_MS:.0f} ms",
            abs(media_ms) <= DRIFT_MS,
            note=f"over {wall_s / 60:.0f} min",
        ),
        Figure(
            "hour_threads", "long Live: threads more than at the beginning", threads, "threads", n, "0", threads == 0
        ),
    ]
    if no_sound:
        figures.append(Figure("hour_audio_drift", "long Live: sound", None, "ms", 0, None, None, note=no_sound))
        return figures
    audio_ms = _audio_drift_ms(samples)
    figures.append(
        Figure(
            "hour_audio_drift",
            "long Live: sound that was taken against wall time",
            audio_ms,
            "ms",
            n,
            f"within {2 * DRIFT_MS:.0f} ms",
            abs(audio_ms) <= 2 * DRIFT_MS,
            note="a device that plays to nobody, fed as a real one is",
        )
    )
    return figures


def _growth_mb(samples: Sequence[Sample], t: np.ndarray) -> float:
    """Median of the last tenth minus the median of as many samples from `SETTLED_S` on [MB]."""
    rss = np.array([s["rss_mb"] for s in samples])
    part = max(2, len(samples) // 10)
    begin = int(np.searchsorted(t, min(SETTLED_S, 0.25 * float(t[-1]))))
    return float(np.median(rss[-part:]) - np.median(rss[begin : begin + part]))


def _rate(samples: Sequence[Sample]) -> float:
    span = samples[-1]["taken_s"] - samples[0]["taken_s"]
    return (samples[-1]["painted"] - samples[0]["painted"]) / span if span else 0.0


def _audio_drift_ms(samples: Sequence[Sample]) -> float:
    """Slope of sound over wall time, as what it makes over the whole run [ms]: single samples jitter by a buffer."""
    wall = np.array([s["taken_s"] for s in samples]) - samples[0]["taken_s"]
    audio = np.array([s["audio_s"] for s in samples])
    slope = float(np.polyfit(wall, audio - wall, 1)[0])
    return slope * float(wall[-1]) * 1e3
