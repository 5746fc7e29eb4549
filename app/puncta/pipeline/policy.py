"""How frames are delivered and presented. Named once, used everywhere."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from puncta.core.frame import Frame
from puncta.sdk.plugin import ResetReason


class Delivery(StrEnum):
    """LIVE: slots, the newest frame wins. EVERY_FRAME: the source waits, the result is deterministic."""

    LIVE = "live"
    EVERY_FRAME = "every frame"


class Presentation(StrEnum):
    """COHERENT shows the newest analysed frame with its own overlay; LOW_LATENCY the newest frame at once."""

    COHERENT = "coherent"
    LOW_LATENCY = "low latency"


STALL_NS = 250_000_000
"""Without a new analysis for this long [ns] while frames come, the overlay goes and the raw picture is shown."""

FAULTS_TO_OPEN = 3
"""Faults in a row that open a plugin's breaker."""


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """A frame on its way to inference.

    Attributes
    ----------
    reason : ResetReason
        Why the frame's epoch began; applied once, when the epoch is new to the worker.
    pre_roll : tuple of Frame
        Earlier frames of the same epoch that only warm up the plugins' history after a seek.
    held : bool
        The picture stands still: plugins that run on every n-th frame judge this one too.
    """

    frame: Frame
    reason: ResetReason
    pre_roll: tuple[Frame, ...] = field(default=())
    held: bool = False
