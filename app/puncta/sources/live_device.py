"""What a live source asks of a kind of device, and what it gets from it."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from puncta.core.frame import ImageGeometry
from puncta.sources.transforms import Transform


@dataclass(frozen=True, slots=True, eq=False)
class Grab:
    """One picture from a device.

    Attributes
    ----------
    t_ns : int
        Monotonic time of arrival [ns], before decoding.
    lost : tuple of (str, int)
        Pictures the device knows were lost just before this one, by cause.
    geometry : ImageGeometry or None
        Where the device knows a region or a calibration; otherwise it is the picture's size.
    fresh : bool
        The sender began anew: nothing before this picture belongs to it.
    sent_ns : int or None
        The sender's own time of the picture [ns], from any beginning; where it runs forward, frame keys follow it.
    planes : tuple of ndarray
        Native planes; empty where ``pixels`` is native.
    transforms : tuple of (str, 16 floats, int)
        What came beside the pictures since the last one: name, 4 x 4 matrix row by row [mm], moment of arrival [ns].
    damaged_transforms : int
        Transforms that came but could not be used.
    """

    pixels: NDArray[np.uint8]
    t_ns: int
    lost: tuple[tuple[str, int], ...] = ()
    geometry: ImageGeometry | None = None
    fresh: bool = False
    sent_ns: int | None = None
    planes: tuple[NDArray, ...] = ()
    transforms: tuple[Transform, ...] = ()
    damaged_transforms: int = 0


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """What a device says of itself once it is open."""

    details: tuple[tuple[str, str], ...] = ()
    frame_rate: float | None = None


class LiveDevice(Protocol):
    """One connection to a device or a peer; used by one thread, thrown away when it is lost.

    One that is paused at its own end may have an attribute ``rests``, the sentence that says so. One that can tell
    damage before the next whole picture comes may have an attribute ``damage``, how many pieces it has found so far.
    """

    def open(self, stop: threading.Event) -> DeviceFacts:
        """Connect; returns early with any result once ``stop`` is set.

        Raises
        ------
        SourceError
            A plain sentence: what is wrong and what to do.
        """
        ...

    def grab(self) -> Grab | None:
        """Return the next picture; None where none came within about 0.2 s.

        Raises
        ------
        SourceLost
            The connection is gone.
        """
        ...

    def close(self) -> None:
        """Release the device; never raises."""
        ...
