"""A live source of known pictures: each tells its number, so that a lost or mixed-up frame betrays itself."""

from __future__ import annotations

import threading
import time

import numpy as np

from puncta.core.frame import (
    Calibration,
    CalibrationOrigin,
    Frame,
    FrameKey,
    ImageGeometry,
    SourceInfo,
    SourceKind,
    UltrasoundRegion,
)

NAME_ROWS = 20
"""Rows at the top of each picture that hold a "name": values that occur nowhere else."""
NAME_VALUE = 251


class PacedSource:
    """Gives pictures at a rate, as a grabber does.

    Parameters
    ----------
    fps : float
        0 gives them as fast as they are read.
    count : int or None
        End after so many; None never ends.
    colour : bool
        RGB instead of grey.
    """

    def __init__(
        self,
        size_px: tuple[int, int] = (160, 120),
        fps: float = 0.0,
        count: int | None = None,
        *,
        colour: bool = False,
        kind: SourceKind = SourceKind.LIVE,
        region: bool = True,
        name: str = "paced",
    ) -> None:
        width, height = size_px
        self.fps, self.count, self.colour = fps, count, colour
        calibration = Calibration((0.1, 0.1), CalibrationOrigin.SIMULATED, "made up")
        box = (3, NAME_ROWS + 1, width - 7, height - NAME_ROWS - 4)
        regions = (UltrasoundRegion(box, "simulated", calibration),) if region else ()
        times = None if count is None or kind is SourceKind.LIVE else np.arange(count, dtype=np.int64) * 33_366_667
        self.info = SourceInfo(
            name,
            name,
            name,
            kind,
            ImageGeometry(width, height, regions),
            None if times is None else count,
            times,
            simulated=True,
            frame_rate=fps or 30.0,
        )
        rng = np.random.default_rng(3)
        shape = (8, height, width, 3) if colour else (8, height, width)
        self._stock = rng.integers(0, 200, shape, np.uint8)
        self._stock[:, :NAME_ROWS] = NAME_VALUE
        self._next = 0
        self._begun: float | None = None
        self._closed = threading.Event()

    def pixels(self, index: int) -> np.ndarray:
        """The picture with this number."""
        picture = self._stock[index % len(self._stock)].copy()
        picture[NAME_ROWS + 2, 4:12] = np.frombuffer(np.int64(index % 100_000).tobytes(), np.uint8).reshape(
            (8, 1) if self.colour else (8,)
        )
        return picture

    def read(self) -> Frame | None:
        if self._closed.is_set() or (self.count is not None and self._next >= self.count):
            return None
        if self.fps:
            self._begun = self._begun or time.monotonic()
            self._closed.wait(max(0.0, self._begun + self._next / self.fps - time.monotonic()))
        index, self._next = self._next, self._next + 1
        key = FrameKey(self.info.stream, index, 1_000_000 + index * 33_366_667)
        return Frame(key, 0, index, time.monotonic_ns(), 0, self.pixels(index), self.info.geometry, self.info)

    def seek(self, index: int) -> None:
        self._next = index

    def close(self) -> None:
        self._closed.set()


def number_of(pixels: np.ndarray, origin_px: tuple[int, int] = (0, 0)) -> int:
    """The number that a picture tells, also when only its region was kept."""
    x, y = 4 - origin_px[0], NAME_ROWS + 2 - origin_px[1]
    row = pixels[y, x : x + 8]
    return int(np.frombuffer(np.ascontiguousarray(row if row.ndim == 1 else row[:, 0]).tobytes(), np.int64)[0])
