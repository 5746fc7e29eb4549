"""Playing and seeking by index, whatever the file."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from puncta.core.errors import SourceError, UserError
from puncta.core.frame import ImageGeometry, SourceInfo, SourceKind
from puncta.core.ports import FrameSource
from puncta.sources.frame_cache import FrameCache
from puncta.sources.recorded import Picture, PictureMissing, RecordedSource


class Reader:
    """Ten grey pictures; some may be missing or broken."""

    def __init__(self, missing: set[int] | None = None, broken: int | None = None) -> None:
        self.missing, self.broken, self.closed = missing or set(), broken, 0
        self.gate: threading.Event | None = None

    def picture(self, index: int) -> Picture:
        if self.gate:
            self.gate.wait(5)
        assert not self.closed, "used after it was closed"
        if index in self.missing:
            raise PictureMissing
        if index == self.broken:
            raise SourceError("broken.")
        return Picture(np.full((4, 5), index, np.uint8))

    def close(self) -> None:
        self.closed += 1


def source_of(reader: Reader, ends_early: str | None = None, count: int = 10) -> RecordedSource:
    times = np.arange(count, dtype=np.int64) * 7 - 3
    info = SourceInfo("x", "x.mp4", "x", SourceKind.FILE, ImageGeometry(5, 4), count, times)
    return RecordedSource(info, reader, ends_early)


def test_it_is_a_frame_source_and_its_keys_name_index_and_time():
    source = source_of(Reader())
    assert isinstance(source, FrameSource)
    keys = [f.key for f in iter(source.read, None)]
    assert [(k.stream, k.index, k.pts_ns) for k in keys] == [("x.mp4", i, 7 * i - 3) for i in range(10)]
    assert source.read() is None


def test_seek_decides_what_comes_next():
    source = source_of(Reader())
    for index in (7, 0, 9):
        source.seek(index)
        assert source.read().key.index == index
    with pytest.raises(UserError, match="frames 0 to 9"):
        source.seek(10)


def test_missing_pictures_are_counted_on_the_next_one():
    source = source_of(Reader(missing={3, 4, 9}))
    found = [(f.key.index, f.skipped) for f in iter(source.read, None)]
    assert found == [(0, 0), (1, 0), (2, 0), (5, 2), (6, 0), (7, 0), (8, 0)]


def test_an_early_end_is_an_error_after_the_last_frame_only():
    source = source_of(Reader(), ends_early="x.mp4 is cut off.")
    for _ in range(10):
        assert source.read() is not None
    with pytest.raises(SourceError, match="cut off"):
        source.read()
    source.seek(2)
    assert source.read().key.index == 2


def test_a_broken_picture_raises_and_the_others_stay_in_reach():
    source = source_of(Reader(broken=1))
    source.read()
    with pytest.raises(SourceError):
        source.read()
    source.seek(5)
    assert source.read().key.index == 5


def test_closing_from_another_thread_waits_for_the_picture_under_way():
    reader = Reader()
    reader.gate = threading.Event()
    source = source_of(reader)
    got: list[object] = []
    thread = threading.Thread(target=lambda: got.append(source.read()))
    thread.start()
    closer = threading.Thread(target=source.close)
    closer.start()
    reader.gate.set()
    thread.join(5)
    closer.join(5)
    source.close()
    assert reader.closed == 1 and source.read() is None


def test_frames_are_read_only():
    frame = source_of(Reader()).read()
    with pytest.raises(ValueError, match="read-only"):
        frame.pixels[0, 0] = 1


def test_a_table_of_another_length_is_our_fault():
    info = SourceInfo("x", "x", "x", SourceKind.FILE, ImageGeometry(5, 4), 3, np.zeros(2, np.int64))
    with pytest.raises(ValueError, match="one stored time"):
        RecordedSource(info, Reader())


def test_the_cache_drops_the_oldest_and_keeps_the_newest():
    cache: FrameCache[bytes] = FrameCache(len, 10)
    for index in range(4):
        cache.put(index, b"1234")
    assert (len(cache), cache.held_bytes) == (2, 8)
    assert cache.get(1) is None and cache.get(2) == b"1234"
    cache.put(9, b"12")
    assert cache.held_bytes == 10
    cache.put(10, b"1")
    assert cache.get(3) is None and cache.get(2) is not None, "the one used last stays"
    cache.put(2, b"x" * 50)
    assert len(cache) == 1 and cache.held_bytes == 50, "one value may exceed the bound"
    cache.clear()
    assert cache.held_bytes == 0
