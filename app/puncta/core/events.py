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
class OptionStatus:
    """One option that a plugin's card offers.

    Attributes
    ----------
    choices : tuple
        The values it can have; empty where it is free between ``least`` and ``most``.
    per_case : bool
        Forgotten when another case opens, and never saved.
    """

    name: str
    title: str
    value: bool | int | float | str
    default: bool | int | float | str
    unit: str = ""
    least: float | None = None
    most: float | None = None
    choices: tuple[bool | int | float | str, ...] = ()
    per_case: bool = False


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
    options: tuple[OptionStatus, ...] = ()
    emits: tuple[str, ...] = ()


class LinkState(StrEnum):
    """How a live source stands with its peer."""

    CONNECTING = "connecting"
    STREAMING = "streaming"
    SILENT = "silent"
    RECONNECTING = "reconnecting"


class SourceProblem(StrEnum):
    """What is wrong with a live source, worst first."""

    NONE = ""
    LOST = "lost"
    BLACK = "black"
    FROZEN = "frozen"
    DAMAGED = "damaged"
    SLOW = "slow"


@dataclass(frozen=True, slots=True)
class SourceHealth:
    """How a live source fares, seen where its pictures arrive.

    Attributes
    ----------
    message : str
        One plain sentence that says what is wrong and what to do; empty while all is well.
    rate, promised_rate : float or None
        Pictures a second, measured over the last two seconds, and as the source said when it opened.
    jitter_ms : float or None
        95 of 100 intervals differ from the usual one by at most this [ms].
    silent_ms : float or None
        Time since the last picture [ms].
    drops : tuple of (str, int)
        Pictures lost on the way to the program, by cause.
    connections : int
        How often a connection gave pictures; 2 is one reconnect.
    attempts : int
        Attempts to connect again since the loss.
    retry_in_s : float or None
        The next attempt begins in this time [s].
    transforms : tuple of (str, float)
        Transforms that come beside the pictures: name, and how often a second.
    """

    link: LinkState
    problem: SourceProblem = SourceProblem.NONE
    message: str = ""
    rate: float | None = None
    promised_rate: float | None = None
    jitter_ms: float | None = None
    silent_ms: float | None = None
    drops: tuple[tuple[str, int], ...] = ()
    connections: int = 0
    attempts: int = 0
    retry_in_s: float | None = None
    transforms: tuple[tuple[str, float], ...] = ()

    @property
    def flowing(self) -> bool:
        """Whether pictures come."""
        return self.link is LinkState.STREAMING


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
    health : SourceHealth or None
        Figures of a live source; None for files and the simulator.
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
    health: SourceHealth | None = None
