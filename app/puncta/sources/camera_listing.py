"""Which capture devices there are, and which sizes, rates and formats they offer, without starting them.

On Linux the driver is asked (V4L2: QUERYCAP, ENUM_FMT, ENUM_FRAMESIZES, ENUM_FRAMEINTERVALS). Elsewhere the first
numbers are opened one after the other, which takes seconds: never call this in the window's own thread.
"""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from puncta.sources.live_address import CameraAddress

_QUERYCAP, _ENUM_FMT, _ENUM_SIZES, _ENUM_INTERVALS = 0x80685600, 0xC0405602, 0xC02C564A, 0xC034564B
_CAN_CAPTURE = 0x1
_OWN_CAPS = 0x80000000
_DISCRETE = 1
_MOST = 64
PROBED = 4
"""So many numbers are tried where the system lists no devices."""

Ask = Callable[[int, int, bytearray], bool]
"""Carries an ioctl out (file, request, buffer); False where the driver has no more to say."""


@dataclass(frozen=True, slots=True)
class CameraMode:
    """One way a camera can send: size [px], pixel format, rates [pictures/s], best first."""

    size_px: tuple[int, int]
    pixel_format: str
    rates: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class CameraListed:
    """A capture device that is plugged in."""

    number: int
    name: str
    modes: tuple[CameraMode, ...]

    def addresses(self) -> list[tuple[str, str]]:
        """Return (words, address) of every way to open it; first as the driver likes."""
        found = [(self.name, CameraAddress(self.number).uri)]
        for mode in self.modes:
            for rate in mode.rates[:1]:
                words = f"{mode.size_px[0]} x {mode.size_px[1]}, {rate:g} a second, {mode.pixel_format}"
                found.append((words, CameraAddress(self.number, mode.size_px, rate, mode.pixel_format).uri))
        return found


def list_cameras(folder: Path = Path("/dev"), ask: Ask | None = None) -> list[CameraListed]:
    """Return the capture devices; takes a moment, so it belongs into a job."""
    if not sys.platform.startswith("linux"):
        return _probe()
    found = []
    for path in sorted(folder.glob("video*"), key=lambda p: (len(p.name), p.name)):
        number = path.name.removeprefix("video")
        if number.isdigit():
            camera = _ask_device(path, int(number), ask or _ioctl)
            if camera is not None:
                found.append(camera)
    return found


def _ioctl(file: int, request: int, buffer: bytearray) -> bool:
    import fcntl

    try:
        fcntl.ioctl(file, request, buffer, True)
    except OSError:
        return False
    return True


def _ask_device(path: Path, number: int, ask: Ask) -> CameraListed | None:
    try:
        file = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        about = bytearray(104)
        if not ask(file, _QUERYCAP, about):
            return None
        name = bytes(about[16:48]).split(b"\0", 1)[0].decode("utf-8", "replace")
        caps, own = struct.unpack_from("<II", about, 84)
        if not (own if caps & _OWN_CAPS else caps) & _CAN_CAPTURE:
            return None  # the second node of many cameras carries data about the pictures, no pictures
        return CameraListed(number, name or f"Camera {number}", tuple(_modes(file, ask)))
    finally:
        os.close(file)


def _modes(file: int, ask: Ask) -> list[CameraMode]:
    modes = []
    for number in range(_MOST):
        entry = bytearray(64)
        struct.pack_into("<II", entry, 0, number, 1)
        if not ask(file, _ENUM_FMT, entry):
            break
        code = bytes(entry[44:48])
        for size in _sizes(file, code, ask):
            modes.append(CameraMode(size, code.decode("ascii", "replace"), _rates(file, code, size, ask)))
    # The largest picture first, of these the one that comes most often.
    return sorted(modes, key=lambda m: (m.size_px[0] * m.size_px[1], max(m.rates, default=0.0)), reverse=True)


def _sizes(file: int, code: bytes, ask: Ask) -> list[tuple[int, int]]:
    sizes: list[tuple[int, int]] = []
    for number in range(_MOST):
        entry = bytearray(44)
        struct.pack_into("<I4s", entry, 0, number, code)
        if not ask(file, _ENUM_SIZES, entry):
            break
        kind, width, height = struct.unpack_from("<III", entry, 8)
        if kind != _DISCRETE:
            # A range of sizes (min, max and step of each side): its largest.
            sizes.append((height, struct.unpack_from("<I", entry, 28)[0]))
            break
        sizes.append((width, height))
    return sizes


def _rates(file: int, code: bytes, size: tuple[int, int], ask: Ask) -> tuple[float, ...]:
    rates: list[float] = []
    for number in range(_MOST):
        entry = bytearray(52)
        struct.pack_into("<I4sII", entry, 0, number, code, *size)
        if not ask(file, _ENUM_INTERVALS, entry):
            break
        kind, above, below = struct.unpack_from("<III", entry, 16)
        if above:
            rates.append(round(below / above, 3))
        if kind != _DISCRETE:
            break
    return tuple(sorted(set(rates), reverse=True))


def _probe() -> list[CameraListed]:
    from puncta.sources.camera import open_capture

    found = []
    for number in range(PROBED):
        capture = open_capture(number)
        if capture.isOpened():
            found.append(CameraListed(number, f"Camera {number}", ()))
        capture.release()
    return found
