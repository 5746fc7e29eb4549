"""Small pictures of cases, kept in the cache folder. Only the ultrasound region is kept, never a screen's margin."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from puncta import paths
from puncta.core.frame import Frame
from puncta.gui.bridge import Jobs

SIZE_PX = (160, 120)


def thumbnail_file(uri: str) -> Path:
    """Where the small picture of a source is kept; the name tells nothing about the source."""
    digest = hashlib.sha256(uri.encode("utf-8")).hexdigest()[:24]
    return paths.user_cache_dir() / "thumbnails" / f"{digest}.png"


def make_thumbnail(frame: Frame) -> NDArray[np.uint8]:
    """Return the middle of a frame's ultrasound region, 160 x 120, grey or BGR as PNG writers want it."""
    x0, y0, w, h = frame.geometry.region.box
    part = frame.pixels[y0 : y0 + h, x0 : x0 + w]
    scale = max(SIZE_PX[0] / max(1, w), SIZE_PX[1] / max(1, h))
    size = (max(SIZE_PX[0], round(w * scale)), max(SIZE_PX[1], round(h * scale)))
    small = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
    left, top = (size[0] - SIZE_PX[0]) // 2, (size[1] - SIZE_PX[1]) // 2
    small = small[top : top + SIZE_PX[1], left : left + SIZE_PX[0]]
    return np.ascontiguousarray(small if small.ndim == 2 else small[..., ::-1])


class Thumbnails:
    """Writes and reads small pictures in the job threads."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    def keep(self, uri: str, frame: Frame, then: Callable[[], None]) -> None:
        """Write the small picture of a source; a cache that cannot be written is no fault."""

        def work() -> None:
            file = thumbnail_file(uri)
            file.parent.mkdir(parents=True, exist_ok=True)
            done, data = cv2.imencode(".png", make_thumbnail(frame))
            if done:
                part = file.with_name(f".{file.name}.{os.getpid()}.part")
                part.write_bytes(data.tobytes())
                os.replace(part, file)

        self._jobs.run(work, lambda _none: then(), lambda _error: None)

    def fetch(self, uri: str, then: Callable[[NDArray[np.uint8]], None]) -> None:
        """Read the small picture of a source, RGB or grey; ``then`` is not called where there is none."""

        def work() -> NDArray[np.uint8] | None:
            file = thumbnail_file(uri)
            if not file.is_file():
                return None
            picture = cv2.imdecode(np.frombuffer(file.read_bytes(), np.uint8), cv2.IMREAD_COLOR_RGB)
            return None if picture is None else picture.astype(np.uint8, copy=False)

        self._jobs.run(work, lambda picture: then(picture) if picture is not None else None, lambda _error: None)
