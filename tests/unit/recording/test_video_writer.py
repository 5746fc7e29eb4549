from __future__ import annotations

import os
from fractions import Fraction

import av
import numpy as np
import pytest

from puncta.core.errors import UserError
from puncta.recording.video_writer import VideoWriter, timescale_of


def picture(value: int) -> np.ndarray:
    return np.full((48, 64, 3), value, np.uint8)


def times_of(path) -> list[int]:
    with av.open(str(path)) as container:
        return [round(f.pts * f.time_base * 1_000_000_000) for f in container.decode(video=0)]


@pytest.mark.parametrize(
    "times_ns",
    [
        [0, 16_666_667, 33_333_333, 50_000_000],
        [round(Fraction(p, 90_000) * 10**9) for p in (0, 1530, 2970, 4500)],
        [40_000_000, 80_000_000, 250_000_000],
        [1_234_567, 9_999_999, 12_345_678],
    ],
)
def test_frames_keep_the_stored_times(tmp_path, times_ns):
    path = tmp_path / "a.mp4"
    writer = VideoWriter(path, timescale_of(times_ns))
    for i, t in enumerate(times_ns):
        writer.put(picture(i * 20), t)
    writer.close()
    tolerance = 500 if timescale_of(times_ns) == 1_000_000 else 0
    assert np.abs(np.array(times_of(path)) - times_ns).max() <= tolerance


def test_nothing_is_there_until_the_file_is_whole(tmp_path):
    path = tmp_path / "a.mp4"
    writer = VideoWriter(path)
    writer.put(picture(1), 0)
    assert not path.exists()
    writer.discard()
    assert list(tmp_path.iterdir()) == []


def test_the_same_pictures_give_the_same_bytes(tmp_path):
    for name in ("a.mp4", "b.mp4"):
        writer = VideoWriter(tmp_path / name)
        for i in range(30):
            writer.put(np.random.default_rng(i).integers(0, 255, (48, 64, 3), np.uint8), i * 33_333_333)
        writer.close()
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_a_folder_that_is_not_there_is_refused_in_one_sentence(tmp_path):
    with pytest.raises(UserError, match="Cannot write .*: no such file"):
        VideoWriter(tmp_path / "none" / "a.mp4")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path, monkeypatch):
    path = tmp_path / "a.mp4"
    (tmp_path / f".a.{os.getpid()}.part.mp4").symlink_to("/dev/full")
    with pytest.raises(UserError, match="no space left on device"):
        writer = VideoWriter(path)
        for i in range(300):
            writer.put(np.random.default_rng(i).integers(0, 255, (48, 64, 3), np.uint8), i * 33_333_333)
        writer.close()
    assert list(tmp_path.iterdir()) == []
