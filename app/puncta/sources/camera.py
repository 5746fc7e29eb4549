"""Cameras and capture cards (UVC, HDMI grabbers): `camera:0?size=1280x720&fps=30&format=MJPG`, by OpenCV."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from puncta.core.errors import SourceLost
from puncta.core.ports import Clock, SystemClock
from puncta.sources.live import LiveSource
from puncta.sources.live_address import CameraAddress, parse_camera
from puncta.sources.live_device import DeviceFacts, Grab

FAILURES = 3
"""So many failed grabs in a row end a connection; one may be a damaged picture."""
LARGEST_RATE = 1000.0


class Capture(Protocol):
    """What is used of ``cv2.VideoCapture``."""

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        """Tell whether the device is open."""
        ...

    def set(self, prop: int, value: float) -> bool:
        """Ask for a property."""
        ...

    def get(self, prop: int) -> float:
        """Return a property."""
        ...

    def grab(self) -> bool:
        """Wait for the next picture; False when none came."""
        ...

    def retrieve(self) -> tuple[bool, NDArray | None]:
        """Decode the picture grabbed last, BGR."""
        ...

    def release(self) -> None:
        """Close the device."""
        ...


def open_capture(number: int) -> Capture:
    """Open a capture device by OpenCV, with the system's own interface for it."""
    backend = {"linux": cv2.CAP_V4L2, "darwin": cv2.CAP_AVFOUNDATION, "win32": cv2.CAP_DSHOW}.get(
        sys.platform, cv2.CAP_ANY
    )
    return cv2.VideoCapture(number, backend)


class CameraDevice:
    """One opening of a capture device. Implements ``LiveDevice``."""

    def __init__(self, address: CameraAddress, clock: Clock, open_it: Callable[[int], Capture] = open_capture) -> None:
        self._address, self._clock, self._open_it = address, clock, open_it
        self._capture: Capture | None = None
        self._failures = 0

    def open(self, stop: threading.Event) -> DeviceFacts:
        """Open the device and ask for the chosen format."""
        asked = self._address
        capture = self._capture = self._open_it(asked.number)
        if not capture.isOpened():
            raise SourceLost(
                f"Camera {asked.number} does not open; plug it in, close other programs that use it, or choose another "
                "('puncta open --list' shows them)."
            )
        # The format first: many devices offer high rates in a compressed format only.
        if asked.pixel_format:
            capture.set(cv2.CAP_PROP_FOURCC, float(cv2.VideoWriter.fourcc(*asked.pixel_format)))
        if asked.size_px:
            capture.set(cv2.CAP_PROP_FRAME_WIDTH, asked.size_px[0])
            capture.set(cv2.CAP_PROP_FRAME_HEIGHT, asked.size_px[1])
        if asked.fps:
            capture.set(cv2.CAP_PROP_FPS, asked.fps)
        # Pictures that wait in the driver are old ones.
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        rate = float(capture.get(cv2.CAP_PROP_FPS))
        rate_given = rate if np.isfinite(rate) and 0 < rate <= LARGEST_RATE else None
        return DeviceFacts(self._describe(capture, rate_given), asked.fps or rate_given)

    def _describe(self, capture: Capture, rate: float | None) -> tuple[tuple[str, str], ...]:
        """Return the facts; a device may give something else than was asked for, and that is said."""
        asked = self._address
        size = int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
        facts = [("Kind", "Camera"), ("Gives", f"{size[0]} x {size[1]}" + (f" at {rate:g} a second" if rate else ""))]
        other = (asked.size_px is not None and asked.size_px != size) or bool(
            asked.fps and rate and abs(asked.fps - rate) > 0.5
        )
        if other:
            wanted = f"{asked.size_px[0]} x {asked.size_px[1]}" if asked.size_px else "its usual size"
            facts.append(("Asked for", wanted + (f" at {asked.fps:g} a second" if asked.fps else "")))
        return tuple(facts)

    def grab(self) -> Grab | None:
        """Wait for the next picture. A driver's wait may take seconds; the source's health does not wait for it."""
        assert self._capture is not None
        if not self._capture.grab():
            self._fail()
            return None
        t_ns = self._clock.now_ns()
        done, picture = self._capture.retrieve()
        if not done or picture is None or picture.size == 0:
            self._fail()
            return None
        failures, self._failures = self._failures, 0
        lost = (("damaged on the way", failures),) if failures else ()
        return Grab(_rgb(picture), t_ns, lost)

    def _fail(self) -> None:
        self._failures += 1
        if self._failures >= FAILURES:
            raise SourceLost(f"Camera {self._address.number} is gone; see whether its plug sits and its machine is on.")

    def close(self) -> None:
        """Close the device."""
        if self._capture is not None:
            self._capture.release()


def _rgb(picture: NDArray) -> NDArray[np.uint8]:
    if picture.ndim == 3 and picture.shape[2] == 3:
        return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)
    grey = picture[..., 0] if picture.ndim == 3 else picture
    return np.array(grey, np.uint8)


def open_camera(uri: str, clock: Clock | None = None, open_it: Callable[[int], Capture] = open_capture) -> LiveSource:
    """Open a capture device as a source.

    Raises
    ------
    UserError
        The address is not understood.
    """
    address = parse_camera(uri)
    clock = clock or SystemClock()
    silent = f"Camera {address.number} gives no picture; see whether its cable sits and its machine is on."
    return LiveSource(uri, f"Camera {address.number}", lambda: CameraDevice(address, clock, open_it), silent, clock)
