"""Damaged pictures of a stream: withheld, counted at once, and a sender that is never by the book is still shown."""

from __future__ import annotations

import random
import threading
from pathlib import Path

import av
import numpy as np
import pytest

from puncta.core.errors import SourceLost
from puncta.core.ports import SystemClock
from puncta.sources.live_device import Grab
from puncta.sources.stream import STRICT_TRIES, StreamDevice

PICTURES = 30


def motion_jpeg(path: Path, spoil: set[int], flips: int = 12) -> list[np.ndarray]:
    """Write Motion JPEG with flipped bits inside some pictures; return the pictures as they were before."""
    random_bits = random.Random(5)
    shapes = np.random.default_rng(2).integers(0, 255, (15, 20, 3), dtype=np.uint8)
    with av.open(str(path), "w", format="mjpeg") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuvj420p"
        for n in range(PICTURES):
            picture = np.roll(np.kron(shapes, np.ones((16, 16, 1), np.uint8)), 3 * n, axis=1)
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    data = bytearray(path.read_bytes())
    whole = decoded(path)
    begins = [at for at in range(len(data) - 1) if data[at : at + 2] == b"\xff\xd8"]
    for number, (begin, end) in enumerate(zip(begins, [*begins[1:], len(data)], strict=True)):
        for _ in range(flips if number in spoil else 0):
            at = random_bits.randrange(begin + (end - begin) // 2, end - 8)
            if data[at] != 0xFF and data[at - 1] != 0xFF and data[at] ^ 1 != 0xFF:
                data[at] ^= 1  # never a marker
    path.write_bytes(bytes(data))
    assert len(begins) == PICTURES == len(whole)
    return whole


def decoded(path: Path) -> list[np.ndarray]:
    with av.open(str(path), format="mjpeg") as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def grabbed(path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[StreamDevice, list[Grab]]:
    """What the device gives of a file that stands in for a stream."""
    device = StreamDevice("rtsp://made/up", "It is silent.", SystemClock())
    monkeypatch.setattr(device, "_open", lambda _stop: av.open(str(path), format="mjpeg"))
    device.open(threading.Event())
    grabs = []
    try:
        while True:
            grab = device.grab()
            if grab is not None:
                grabs.append(grab)
    except SourceLost:
        return device, grabs
    finally:
        device.close()


def test_whole_pictures_are_not_called_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    motion_jpeg(tmp_path / "a.mjpeg", set())
    device, grabs = grabbed(tmp_path / "a.mjpeg", monkeypatch)
    assert len(grabs) == PICTURES and device.damage == 0
    assert not any(grab.lost for grab in grabs)


def test_a_broken_jpeg_picture_is_withheld_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spoilt = {4, 5, 12, 20}
    motion_jpeg(tmp_path / "a.mjpeg", spoilt)
    device, grabs = grabbed(tmp_path / "a.mjpeg", monkeypatch)
    assert device.damage == len(spoilt)
    assert len(grabs) == PICTURES - len(spoilt)
    counts = [dict(grab.lost).get("damaged on the way", 0) for grab in grabs]
    assert sum(counts) == len(spoilt) and counts[4] == 2, "told with the next whole picture"


def test_a_sender_none_of_whose_pictures_is_by_the_book_is_shown_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    motion_jpeg(tmp_path / "a.mjpeg", set(range(PICTURES)), flips=60)
    device, grabs = grabbed(tmp_path / "a.mjpeg", monkeypatch)
    assert PICTURES - STRICT_TRIES - 1 <= len(grabs) < PICTURES
    assert device.damage == 0, "before the first picture nothing is known to be wrong"
