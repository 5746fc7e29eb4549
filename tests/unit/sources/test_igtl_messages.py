"""OpenIGTLink's bytes: header, picture, checksum, and what is refused."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from puncta.sources.igtl import _geometry
from puncta.sources.igtl_messages import HEADER, BadMessage, Image, crc64, read_header, read_image


def slow_crc(data: bytes) -> int:
    """The checksum bit by bit, as its definition says."""
    crc = 0
    for byte in data:
        crc ^= byte << 56
        for _ in range(8):
            crc = ((crc << 1) ^ (0x42F0E1EBA9EA3693 if crc >> 63 else 0)) & (2**64 - 1)
    return crc


@given(st.binary(max_size=400))
def test_the_checksum_is_the_defined_one(data: bytes) -> None:
    assert crc64(data) == slow_crc(data)


def image_body(pixels: np.ndarray, matrix: list[float] | None = None, **change: int) -> bytes:
    """A body as senders write it, version 1."""
    height, width = pixels.shape
    values = {"components": 1, "scalar": 3, "endian": 2, "part": width} | change
    numbers = matrix or [0.2, 0, 0, 0, 0.3, 0, 0, 0, 1, 0, 0, 0]
    head = struct.pack(">HBBBB", 1, values["components"], values["scalar"], values["endian"], 1)
    head += struct.pack(">3H12f3H3H", width, height, 1, *numbers, 0, 0, 0, values["part"], height, 1)
    return head + pixels.tobytes()


def header_of(body: bytes, version: int = 1) -> bytes:
    return HEADER.pack(version, b"IMAGE", b"Probe", (5 << 32) | (1 << 31), len(body), crc64(body))


def test_a_picture_comes_out_as_it_went_in() -> None:
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    body = image_body(pixels)
    header = read_header(header_of(body))
    assert (header.kind, header.device, header.stamp_ns) == ("IMAGE", "Probe", 5_500_000_000)
    image = read_image(header, body)
    assert np.array_equal(image.values[0, :, :, 0], pixels)
    assert image.spacing_mm == pytest.approx((0.2, 0.3))


@pytest.mark.parametrize(
    "change", [{"components": 2}, {"scalar": 9}, {"endian": 7}, {"part": 5}, {"scalar": 11}], ids=str
)
def test_a_body_that_does_not_agree_with_itself_is_refused(change: dict[str, int]) -> None:
    body = image_body(np.zeros((3, 4), np.uint8), **change)
    with pytest.raises(BadMessage):
        read_image(read_header(header_of(body)), body)


@given(st.binary(min_size=58, max_size=58))
def test_random_bytes_are_a_header_or_are_refused(data: bytes) -> None:
    try:
        header = read_header(data)
    except BadMessage:
        return
    assert 1 <= header.version <= 3 and header.body_size <= 256 * 1024 * 1024


@given(st.binary(max_size=300), st.integers(1, 3))
def test_random_bodies_are_a_picture_or_are_refused(body: bytes, version: int) -> None:
    header = read_header(HEADER.pack(version, b"IMAGE", b"x", 0, len(body), 0))
    try:
        assert read_image(header, body).values.size > 0
    except BadMessage:
        pass


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.0, 0.2), (float("nan"), 0.2), (40.0, 40.0)])
def test_a_spacing_nobody_measured_gives_no_millimetres(spacing: tuple[float, float]) -> None:
    image = Image(np.zeros((1, 3, 4, 1), np.uint8), (4, 3, 1), (0, 0, 0), spacing)
    assert _geometry(image).calibration is None


def test_a_spacing_says_where_it_comes_from() -> None:
    image = Image(np.zeros((1, 3, 4, 1), np.uint8), (4, 3, 1), (0, 0, 0), (0.2, 0.3))
    calibration = _geometry(image).calibration
    assert calibration is not None
    assert (calibration.mm_per_px, calibration.origin.value, calibration.note) == (
        (0.2, 0.3), "vendor", "OpenIGTLink spacing"
    )  # fmt: skip
