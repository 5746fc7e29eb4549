from __future__ import annotations

import hashlib

import numpy as np
import pytest

from puncta.core.frame import Frame, FrameKey, ImageGeometry, SourceInfo, SourceKind, grey_from_pixels, hash_planes

INFO = SourceInfo("u", "s", "t", SourceKind.FILE, ImageGeometry(4, 3), 1)


def frame(pixels, planes=()) -> Frame:
    return Frame(FrameKey("s", 0, 0), 0, 0, 0, 0, pixels, INFO.geometry, INFO, planes)


def test_the_hash_is_over_native_planes_in_order_without_padding():
    luma = np.arange(12, dtype=np.uint8).reshape(3, 4)
    padded = np.zeros((3, 8), np.uint8)
    padded[:, :4] = luma
    chroma = np.full((2, 2), 128, np.uint8)
    expected = hashlib.sha256(luma.tobytes() + chroma.tobytes()).hexdigest()
    assert hash_planes((padded[:, :4], chroma)) == expected
    assert frame(luma.copy(), (luma, chroma)).digest() == expected
    assert frame(luma.copy(), (luma, chroma)).hashed_key().sha256 == expected


def test_sixteen_bit_samples_are_hashed_little_endian():
    values = np.array([[1, 258]], np.uint16)
    assert hash_planes((values.astype(">u2"),)) == hash_planes((values.astype("<u2"),))
    assert hash_planes((values,)) == hashlib.sha256(b"\x01\x00\x02\x01").hexdigest()


def test_pixels_are_read_only_at_birth():
    made = frame(np.zeros((3, 4), np.uint8))
    with pytest.raises(ValueError, match="read-only"):
        made.pixels[0, 0] = 1


def test_grey_of_grey_rgb_is_unchanged():
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert (grey_from_pixels(np.dstack([grey] * 3)) == grey).all()
    assert grey_from_pixels(grey) is grey


def test_the_interval_is_the_median_step():
    times = np.array([0, 10, 20, 500, 510], np.int64)
    info = SourceInfo("u", "s", "t", SourceKind.FILE, ImageGeometry(4, 3), 5, times)
    assert info.interval_ns == 10
    assert INFO.interval_ns == 40_000_000
