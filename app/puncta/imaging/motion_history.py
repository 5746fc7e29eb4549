"""Motion channels of a tip network: what changed against older frames, after taking out drift of the probe and gain.

A needle that moves is easier to see in time than in space: "this frame minus the maximum of older frames" alone finds
three to ten times as many tips as the brightest point does. The channels are computed outside the network so that the
network sees one frame at a time and costs the price of a still picture.

Training and inference both call `stack_channels`, so what the network learnt on is what it gets.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

LAG_SHORT = 1
LAG_MIDDLE = 3
LAGS_OLD = (4, 6, 8, 10, 12)
"""Older distinct frames that make up the maximum and the mean, counted back from the newest."""

HISTORY_FRAMES = max(LAGS_OLD)
CHANNELS = ("grey", "minus 1", "minus 3", "minus maximum of older", "minus mean of older")

SAME_FRAME_GREY = 0.3
"""Mean absolute difference [grey levels] below which a frame repeats the one before (video padded to a higher rate)."""

SHIFT_LIMIT = 12.0
_SHIFT_SIZE = 128
_HIGH_PASS = 33
_SWING = 2.5
_NEIGHBOURS = np.ones((3, 3), np.uint8)


def lags_used() -> tuple[int, ...]:
    """Lags [frames] that `stack_channels` reads, newest first; 0 is the frame itself."""
    return (0, LAG_SHORT, LAG_MIDDLE, *LAGS_OLD)


def small_for_shift(grey: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the reduced, evened picture on which `measure_shift` works."""
    small = cv2.resize(grey, (_SHIFT_SIZE, _SHIFT_SIZE), interpolation=cv2.INTER_AREA).astype(np.float32)
    # Without the slow part a change of gain or of contact does not look like a shift.
    return small - cv2.blur(small, (17, 17))


def measure_shift(older: NDArray[np.float32], newer: NDArray[np.float32], size: int) -> tuple[float, float]:
    """Measure how far the whole picture moved between two frames (phase correlation).

    Parameters
    ----------
    older, newer : ndarray
        Results of `small_for_shift`.
    size : int
        Side of the full picture [px].

    Returns
    -------
    tuple of float
        (dx, dy) [px of the full picture], so that newer(p + d) = older(p); (0, 0) where no clear shift is found.
    """
    (dx, dy), response = cv2.phaseCorrelate(older, newer, _window())
    scale = size / _SHIFT_SIZE
    dx, dy = dx * scale, dy * scale
    if response < 0.08 or max(abs(dx), abs(dy)) > SHIFT_LIMIT:
        return (0.0, 0.0)
    return (dx, dy)


_WINDOW: list[NDArray[np.float32]] = []


def _window() -> NDArray[np.float32]:
    if not _WINDOW:
        _WINDOW.append(np.asarray(cv2.createHanningWindow((_SHIFT_SIZE, _SHIFT_SIZE), cv2.CV_32F), np.float32))
    return _WINDOW[0]


def shift_picture(grey: NDArray[np.uint8], dx: float, dy: float) -> NDArray[np.uint8]:
    """Move a picture by (dx, dy) [px], repeating its border."""
    if abs(dx) < 0.05 and abs(dy) < 0.05:
        return grey
    # Four times as quick as a general warp. The picture is widened first, since near two borders at once
    # the function repeats the wrong pixel.
    reach = math.ceil(max(abs(dx), abs(dy))) + 2
    wide = cv2.copyMakeBorder(grey, reach, reach, reach, reach, cv2.BORDER_REPLICATE)
    height, width = grey.shape
    centre = ((width - 1) / 2 + reach - dx, (height - 1) / 2 + reach - dy)
    return np.asarray(cv2.getRectSubPix(wide, (width, height), centre), np.uint8)


def stack_channels(
    aligned: Sequence[NDArray[np.uint8]], out: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """Build a network's input from the newest frame and its aligned older frames.

    Parameters
    ----------
    aligned : sequence of ndarray of uint8, shape (S, S)
        One picture for every lag of `lags_used`, moved so that tissue lies where it lies in the first.
    out : ndarray of float32, shape (5, S, S), or None
        Where to write; None makes a new array.

    Returns
    -------
    ndarray of float32, shape (5, S, S)
        In the order of `CHANNELS`. The first is standardised over the picture; the others are differences without
        their slow part (gain, TGC and contact change slowly across the picture), in units of the picture's spread.
    """
    now, difference, total, slow = _scratch(aligned[0].shape)
    np.copyto(now, aligned[0])
    mean, spread = cv2.meanStdDev(aligned[0])
    scale = 1.0 / (float(spread[0, 0]) + 8.0)
    if out is None:
        out = np.empty((len(CHANNELS), *now.shape), dtype=np.float32)
    np.subtract(aligned[0], np.float32(mean[0, 0]), out=out[0])
    old = aligned[3:]
    highest = old[0]
    np.copyto(total, old[0])
    for picture in old[1:]:
        highest = np.asarray(cv2.max(highest, picture), np.uint8)
        np.add(total, picture, out=total)
    # Dilated by a pixel each way: tissue that moves on its own by about a pixel is no news.
    highest = np.asarray(cv2.dilate(highest, _NEIGHBOURS), np.uint8)
    # Whole numbers have exact differences and sums, and OpenCV adds them up quicker than it does floats.
    for channel, reference in enumerate((aligned[1], aligned[2], highest), start=1):
        np.subtract(now, reference, out=difference)
        _without_slow_part(difference, slow, out[channel])
    np.multiply(now, len(old), out=now)
    np.subtract(now, total, out=difference)
    _without_slow_part(difference, slow, out[4])
    out[4] *= np.float32(1.0 / len(old))
    out *= np.float32(scale)
    np.clip(out[1:], -_SWING, _SWING, out=out[1:])
    return out


def _without_slow_part(
    difference: NDArray[np.int16], slow: NDArray[np.float32], out: NDArray[np.float32]
) -> None:
    cv2.boxFilter(difference, cv2.CV_32F, (_HIGH_PASS, _HIGH_PASS), dst=slow)
    np.subtract(difference, slow, out=out)


_KEPT = threading.local()


def _scratch(shape: tuple[int, ...]) -> tuple[NDArray, ...]:
    """Working arrays of this thread: fresh ones of this size cost more, by page faults, than what is computed."""
    if getattr(_KEPT, "shape", None) != shape:
        _KEPT.shape = shape
        _KEPT.arrays = (*(np.empty(shape, np.int16) for _ in range(3)), np.empty(shape, np.float32))
    return _KEPT.arrays


class MotionHistory:
    """Keeps the last distinct frames of one stream and their shifts, and builds the network's input.

    Parameters
    ----------
    size : int
        Side of the square pictures [px].
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._frames: deque[NDArray[np.uint8]] = deque(maxlen=HISTORY_FRAMES + 1)
        self._positions: deque[tuple[float, float]] = deque(maxlen=HISTORY_FRAMES + 1)
        self._small: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self._frames)

    def clear(self) -> None:
        """Forget all frames."""
        self._frames.clear()
        self._positions.clear()
        self._small = None

    def push(self, grey: NDArray[np.uint8]) -> bool:
        """Take the next frame; return False where it only repeats the one before, which then stays the newest.

        Parameters
        ----------
        grey : ndarray of uint8, shape (S, S)
        """
        if self._frames and repeats(self._frames[-1], grey):
            return False
        small = small_for_shift(grey)
        x, y = (0.0, 0.0)
        if self._small is not None:
            dx, dy = measure_shift(self._small, small, self._size)
            x, y = self._positions[-1][0] + dx, self._positions[-1][1] + dy
        self._frames.append(grey)
        self._positions.append((x, y))
        self._small = small
        return True

    def channels(self, out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Return the network's input for the newest frame, shape (5, S, S), in ``out`` where that is given.

        Where the stream is younger than a lag, its oldest frame stands in.

        Raises
        ------
        IndexError
            No frame has been pushed.
        """
        last = len(self._frames) - 1
        x, y = self._positions[last]
        aligned = []
        for lag in lags_used():
            at = max(0, last - lag)
            px, py = self._positions[at]
            aligned.append(shift_picture(self._frames[at], x - px, y - py))
        return stack_channels(aligned, out)


def repeats(older: NDArray[np.uint8], newer: NDArray[np.uint8]) -> bool:
    """Tell whether a frame only repeats another."""
    return cv2.norm(older, newer, cv2.NORM_L1) < SAME_FRAME_GREY * newer.size
