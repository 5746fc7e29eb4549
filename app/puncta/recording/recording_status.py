"""A frozen snapshot of what the recorder does, for status lines."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class RecorderState(StrEnum):
    """What the recorder does."""

    IDLE = "idle"
    RECORDING = "recording"


@dataclass(frozen=True, slots=True)
class RecordingStatus:
    """A snapshot for a status line.

    Attributes
    ----------
    seconds : float
        Length of the session so far [s].
    stored, lost : int
        Frames of the session.
    waiting : int
        Frames in the queue.
    disk_left_s : float or None
        How long the disk lasts at this pace [s].
    free_bytes : int or None
        Free on the disk beyond the reserve [B].
    pre_roll_s, pre_roll_bytes : float, int
        What is remembered of the last seconds.
    message : str
        What went wrong, or how the last session ended; one plain sentence.
    told : int
        Grows with each message, so that the same words twice are told twice.
    failed : bool
        The message tells of something that went wrong.
    folder : Path or None
        The session under way, or the last one.
    """

    state: RecorderState = RecorderState.IDLE
    seconds: float = 0.0
    stored: int = 0
    lost: int = 0
    waiting: int = 0
    bytes: int = 0
    disk_left_s: float | None = None
    free_bytes: int | None = None
    pre_roll_s: float = 0.0
    pre_roll_bytes: int = 0
    message: str = ""
    told: int = 0
    failed: bool = False
    folder: Path | None = None
