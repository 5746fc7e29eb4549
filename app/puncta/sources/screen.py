"""A part of the screen as a source: `screen:x,y,w,h`, for machines whose own program shows the picture here."""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import TYPE_CHECKING

import numpy as np

from puncta.core.errors import SourceError, SourceLost
from puncta.core.ports import Clock, SystemClock
from puncta.sources.live import LiveSource
from puncta.sources.live_address import parse_screen
from puncta.sources.live_device import DeviceFacts, Grab

if TYPE_CHECKING:
    from mss.base import MSSBase

SCREEN_RATE = 30.0
"""So many pictures a second are taken; a screen has no pictures of its own to wait for."""


class ScreenDevice:
    """Takes pictures of a screen region. Implements ``LiveDevice``."""

    def __init__(self, box: tuple[int, int, int, int], clock: Clock) -> None:
        x, y, w, h = box
        self._region = {"left": x, "top": y, "width": w, "height": h}
        self._clock = clock
        self._screens: MSSBase | None = None
        self._due_ns = 0

    def open(self, stop: threading.Event) -> DeviceFacts:
        """Connect to the screen and look whether the region lies on it."""
        screens = self._screens = _connect()
        whole = screens.monitors[0]
        r = self._region
        inside = whole["left"] <= r["left"] and r["left"] + r["width"] <= whole["left"] + whole["width"]
        inside = inside and whole["top"] <= r["top"] and r["top"] + r["height"] <= whole["top"] + whole["height"]
        if not inside:
            raise SourceError(
                f"The region lies outside the screen, which is {whole['width']} x {whole['height']} pixels from "
                f"{whole['left']},{whole['top']}; choose another one."
            )
        return DeviceFacts((("Kind", "Screen region"),), SCREEN_RATE)

    def grab(self) -> Grab | None:
        """Take the next picture at its moment."""
        assert self._screens is not None
        now_ns = self._clock.now_ns()
        if now_ns < self._due_ns:
            time.sleep((self._due_ns - now_ns) / 1e9)
        t_ns = self._clock.now_ns()
        self._due_ns = max(self._due_ns + round(1e9 / SCREEN_RATE), t_ns)
        try:
            shot = self._screens.grab(self._region)
        except Exception as error:  # each system's own kind of error; all mean that the screen is gone
            raise SourceLost("The screen cannot be read any more; see whether it is locked or was changed.") from error
        pixels = np.frombuffer(shot.bgra, np.uint8).reshape(shot.height, shot.width, 4)
        return Grab(np.ascontiguousarray(pixels[..., 2::-1]), t_ns)

    def close(self) -> None:
        """Let the screen go."""
        if self._screens is not None:
            self._screens.close()


def _connect() -> MSSBase:
    if sys.platform.startswith("linux") and not os.environ.get("DISPLAY"):
        raise SourceError("A screen region needs an X11 screen; this session has none, use a capture device instead.")
    try:
        import mss
    except ImportError as error:
        raise SourceError("Screen regions need the package mss; install Puncta again or add mss to it.") from error
    try:
        return mss.mss()
    except Exception as error:  # each system's own kind of error
        words = "The screen cannot be read here; allow Puncta to record the screen, then try again."
        raise SourceError(words) from error


def list_screens() -> tuple[tuple[int, int, int, int], ...]:
    """Return left, top, width and height [px] of each screen; none where screens cannot be read."""
    try:
        with _connect() as screens:
            return tuple((m["left"], m["top"], m["width"], m["height"]) for m in screens.monitors[1:])
    except SourceError:
        return ()


def open_screen(uri: str, clock: Clock | None = None) -> LiveSource:
    """Open a screen region as a source.

    Raises
    ------
    UserError
        The address is not understood.
    """
    box = parse_screen(uri)
    clock = clock or SystemClock()
    title = f"Screen region {box[2]} x {box[3]} at {box[0]},{box[1]}"
    silent = "The screen gives no picture; see whether it is locked."
    return LiveSource(uri, title, lambda: ScreenDevice(box, clock), silent, clock)
