"""Frozen snapshots of what goes on, for status lines and the latency meter. Whoever asks gets a copy of the truth."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from puncta.core.frame import SourceInfo


class PlayState(StrEnum):
    """State of a source in play. A source error ends in RECONNECTING or FAILED, never in a dead thread."""

    EMPTY = "empty"
    OPENING = "opening"
    PLAYING = "playing"
    PAUSED = "paused"
    ENDED = "ended"
    RECONNECTING = "reconnecting"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Median, 95th and 99th percentile of a duration [ms] over ``n`` samples."""

    p50_ms: float
    p95_ms: float
    p99_ms: float
    n: int


@dataclass(frozen=True, slots=True)
class PluginStatus:
    """One inspector card: what a plugin is and how it fares."""

    plugin_id: str
    title: str
    enabled: bool
    model: str = ""
    faults_in_a_row: int = 0
    breaker_open: bool = False
    message: str = ""
    p50_ms: float | None = None
    p95_ms: float | None = None


@dataclass(frozen=True, slots=True)
class PipelineStatus:
    """A snapshot of the whole run.

    Attributes
    ----------
    index : int
        Frame last handed to inference.
    played, analysed : int
        Frames handed out by the source, and frames analysed, since it opened.
    drops : tuple of (str, int)
        Frames not shown or not analysed, by cause.
    rate : float
        Playback speed asked for.
    message : str
        One plain sentence when something is wrong.
    """

    state: PlayState = PlayState.EMPTY
    info: SourceInfo | None = None
    index: int = 0
    played: int = 0
    analysed: int = 0
    drops: tuple[tuple[str, int], ...] = ()
    rate: float = 1.0
    loop: tuple[int, int] | None = None
    message: str = ""
    plugins: tuple[PluginStatus, ...] = field(default=())
