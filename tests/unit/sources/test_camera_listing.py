"""Cameras and their modes, as a driver tells them by ioctl; the driver here is played by the test."""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import pytest

from puncta.sources.camera_listing import list_cameras
from puncta.sources.live_address import parse_camera

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux asks drivers by ioctl")

SIZES = {b"MJPG": [(640, 480), (1920, 1080)], b"YUYV": [(640, 480)]}


def driver(_file: int, request: int, buffer: bytearray) -> bool:
    """Answer as the kernel's interface says (linux/videodev2.h)."""
    index = struct.unpack_from("<I", buffer)[0]
    if request == 0x80685600:
        buffer[16:23] = b"Grabber"
        struct.pack_into("<II", buffer, 84, 0x84A00001, 0x04200001)
        return True
    if request == 0xC0405602:
        codes = list(SIZES)
        if index >= len(codes):
            return False
        buffer[44:48] = codes[index]
        return True
    code = bytes(buffer[4:8])
    if request == 0xC02C564A:
        if index >= len(SIZES[code]):
            return False
        struct.pack_into("<III", buffer, 8, 1, *SIZES[code][index])
        return True
    rates = [30, 60] if code == b"MJPG" else [25]
    if index >= len(rates):
        return False
    struct.pack_into("<III", buffer, 16, 1, 1, rates[index])
    return True


def test_devices_formats_and_rates_are_listed_best_first(tmp_path: Path) -> None:
    for name in ("video0", "video10", "video2", "videograph"):
        (tmp_path / name).touch()
    cameras = list_cameras(tmp_path, driver)
    assert [camera.number for camera in cameras] == [0, 2, 10] and cameras[0].name == "Grabber"
    modes = [(m.size_px, m.pixel_format, m.rates) for m in cameras[0].modes]
    assert modes == [
        ((1920, 1080), "MJPG", (60.0, 30.0)), ((640, 480), "MJPG", (60.0, 30.0)), ((640, 480), "YUYV", (25.0,))
    ]  # fmt: skip
    words, address = cameras[0].addresses()[1]
    assert words == "1920 x 1080, 60 a second, MJPG"
    assert parse_camera(address).size_px == (1920, 1080)


def test_a_node_without_pictures_is_no_camera(tmp_path: Path) -> None:
    (tmp_path / "video1").touch()

    def data_only(file: int, request: int, buffer: bytearray) -> bool:
        done = driver(file, request, buffer)
        if request == 0x80685600:
            struct.pack_into("<II", buffer, 84, 0x84A00001, 0x04A00000)
        return done

    assert list_cameras(tmp_path, data_only) == []
