"""A stand-in for ``cv2.VideoCapture`` that stalls, changes its size, goes dark or dies on command."""

from __future__ import annotations

import threading
import time

import cv2
import numpy as np
from numpy.typing import NDArray


class Bench:
    """The hardware: one grabber that captures are opened on."""

    def __init__(self, rate: float = 100.0, size_px: tuple[int, int] = (64, 48)) -> None:
        self.rate, self.size_px = rate, size_px
        self.plugged, self.grey_value = True, -1
        self.flowing = threading.Event()
        self.flowing.set()
        self.opened = 0
        self.damaged = 0
        self.asked: dict[int, float] = {}
        self.released = 0

    def open(self, _number: int) -> FileCapture:
        """What `open_capture` does for a real device."""
        self.opened += 1
        return FileCapture(self)


class FileCapture:
    """One opening of the grabber."""

    def __init__(self, bench: Bench) -> None:
        self._bench, self._count = bench, 0
        self._open = bench.plugged

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        return self._open

    def set(self, prop: int, value: float) -> bool:
        self._bench.asked[prop] = value
        return True

    def get(self, prop: int) -> float:
        width, height = self._bench.size_px
        return {
            cv2.CAP_PROP_FPS: self._bench.rate, cv2.CAP_PROP_FRAME_WIDTH: width, cv2.CAP_PROP_FRAME_HEIGHT: height
        }.get(prop, 0.0)  # fmt: skip

    def grab(self) -> bool:
        time.sleep(1 / self._bench.rate)
        self._bench.flowing.wait(3.0)  # a driver's select has a time-out too
        if self._bench.damaged:
            self._bench.damaged -= 1
            return False
        return self._bench.plugged and self._bench.flowing.is_set()

    def retrieve(self) -> tuple[bool, NDArray[np.uint8] | None]:
        width, height = self._bench.size_px
        self._count += 1
        value = self._bench.grey_value if self._bench.grey_value >= 0 else 60 + self._count % 150
        picture = np.full((height, width, 3), value, np.uint8)
        return True, picture

    def release(self) -> None:
        self._bench.released += 1
