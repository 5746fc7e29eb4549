"""A video whose every frame carries its own number as a pattern: the bench and the doctor check seeking with it.

Only a picture that says which one it is can prove that a seek lands on the right frame; no recorded cine does.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from numpy.typing import NDArray

WIDTH_PX, HEIGHT_PX = 320, 240
TIME_BASE = Fraction(1, 90_000)
_BITS = 20
_CELL = 16
_BLACK, _WHITE = 40, 215


@dataclass(frozen=True, slots=True)
class VideoPlan:
    """How a test video is coded.

    Attributes
    ----------
    codec : str
        An encoder of FFmpeg.
    options : dict
        Its options.
    pix_fmt : str
    key_every : int
        Frames between key frames, at most.
    b_frames : int
    variable : bool
        Uneven times, or a steady 25 frames/s.
    start_pts : int
        Time of the first frame [1/90000 s].
    """

    codec: str = "libx264"
    options: tuple[tuple[str, str], ...] = (("preset", "ultrafast"), ("crf", "28"))
    pix_fmt: str = "yuv420p"
    key_every: int = 48
    b_frames: int = 3
    variable: bool = True
    start_pts: int = 0


def numbered_picture(number: int, seed: int = 0) -> NDArray[np.uint8]:
    """Draw a speckled picture with its number as rows of light and dark cells, once plain and once inverted.

    Returns
    -------
    ndarray of uint8, shape (240, 320)
    """
    noise = np.random.default_rng((seed, number)).integers(60, 120, (HEIGHT_PX // 8, WIDTH_PX // 8), dtype=np.uint8)
    picture = np.repeat(np.repeat(noise, 8, axis=0), 8, axis=1)
    for bit in range(_BITS):
        value = _WHITE if number >> bit & 1 else _BLACK
        x = bit * _CELL
        picture[:_CELL, x : x + _CELL] = value
        picture[_CELL : 2 * _CELL, x : x + _CELL] = _WHITE + _BLACK - value
    return picture


def read_number(pixels: NDArray[np.uint8]) -> int | None:
    """Read the number out of a picture; None where plain and inverted cells disagree."""
    grey = pixels if pixels.ndim == 2 else pixels[..., 1]
    cells = grey[: 2 * _CELL, : _BITS * _CELL].astype(np.float64).reshape(2, _CELL, _BITS, _CELL).mean(axis=(1, 3))
    plain, inverted = cells[0] > 127.5, cells[1] > 127.5
    if np.any(plain == inverted):
        return None
    return int(sum(1 << bit for bit in range(_BITS) if plain[bit]))


def uneven_pts(count: int, seed: int, start: int = 0) -> list[int]:
    """Return times [1/90000 s] with steps from 1 ms to 200 ms, some of them far apart."""
    rng = np.random.default_rng(seed)
    steps = rng.choice([90, 1500, 3000, 3003, 4500, 9000, 18000], size=max(count - 1, 0))
    return [start, *(start + int(s) for s in np.cumsum(steps))]


def make_vfr_video(path: Path, n: int, seed: int = 0, plan: VideoPlan | None = None) -> list[int]:
    """Write a video of numbered pictures.

    Parameters
    ----------
    path : Path
        Its ending names the container.
    n : int
        Number of frames.
    seed : int
        Seeds times and speckle.
    plan : VideoPlan or None
        H.264 at a variable rate with B-frames where None.

    Returns
    -------
    list of int
        Presentation time of each frame [1/90000 s].
    """
    plan = plan or VideoPlan()
    steady = [plan.start_pts + 3600 * i for i in range(n)]
    times = uneven_pts(n, seed, plan.start_pts) if plan.variable else steady
    with av.open(str(path), "w") as container:
        stream = cast(av.VideoStream, container.add_stream(plan.codec, rate=25))
        stream.width, stream.height, stream.pix_fmt = WIDTH_PX, HEIGHT_PX, plan.pix_fmt
        codec = stream.codec_context
        codec.time_base = TIME_BASE
        stream.time_base = TIME_BASE
        codec.gop_size = plan.key_every
        codec.max_b_frames = plan.b_frames
        codec.thread_count = 1
        codec.options = {**dict(plan.options), "bf": str(plan.b_frames), "g": str(plan.key_every)}
        for number, pts in enumerate(times):
            frame = av.VideoFrame.from_ndarray(numbered_picture(number, seed), format="gray").reformat(
                format=plan.pix_fmt
            )
            frame.pts, frame.time_base = pts, TIME_BASE
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return times
