"""An OpenIGTLink image client: `igtl://host:18944?device=NAME`.

Our own client, since it has to be interruptible, to stay whole under damaged bytes and to wait for nothing: a library
that polls adds some 10 ms to every picture.
"""

from __future__ import annotations

import math
import socket
import threading
import time
from collections import deque

import numpy as np
from numpy.typing import NDArray

from puncta.core.errors import SourceError, SourceLost
from puncta.core.frame import Calibration, CalibrationOrigin, ImageGeometry, UltrasoundRegion
from puncta.core.ports import Clock, SystemClock
from puncta.sources.igtl_messages import HEADER, BadMessage, Header, Image, crc64, read_header, read_image
from puncta.sources.igtl_requests import start_pictures, start_poses
from puncta.sources.igtl_tracking import KINDS, LONGEST_BODY, read_transforms
from puncta.sources.live import LiveSource
from puncta.sources.live_address import NetworkAddress, parse_igtl
from puncta.sources.live_device import DeviceFacts, Grab
from puncta.sources.tcp import connect_tcp
from puncta.sources.transforms import Transform

GRAB_S = 0.2
ASK_S = 1.0
"""Poses and pictures that have not come by themselves so long [s] after the first look are asked for, once."""
KEPT_TRANSFORMS = 1024
"""So many transforms wait for the next picture, which takes them along."""
SMALLEST_MM, LARGEST_MM = 0.005, 5.0
"""A pixel of an ultrasound picture is between these [mm]; what is outside was never measured."""


class IgtlDevice:
    """One connection to an OpenIGTLink server. Implements ``LiveDevice``."""

    def __init__(self, address: NetworkAddress, clock: Clock) -> None:
        self._address, self._clock = address, clock
        self._link: socket.socket | None = None
        self._header: Header | None = None
        self._buffer = bytearray(HEADER.size)
        self._have = 0
        self._chosen = address.device
        self._whole: NDArray | None = None
        self._peak = 0.0
        self._damaged, self._damaged_transforms = 0, 0
        self.damage = 0
        self._transforms: deque[Transform] = deque(maxlen=KEPT_TRANSFORMS)
        self._matrix: tuple[float, ...] = ()
        self._ask_at_s: float | None = None
        self._posed = self._pictured = False

    def open(self, stop: threading.Event) -> DeviceFacts:
        """Connect."""
        self._link = connect_tcp(self._address.host, self._address.port, stop)
        place = f"{self._address.host}:{self._address.port}"
        return DeviceFacts((("Kind", "OpenIGTLink"), ("Sender", place)))

    def grab(self) -> Grab | None:
        """Return the next picture of the chosen device."""
        deadline_s = time.monotonic() + GRAB_S
        while time.monotonic() < deadline_s:
            if not self._fill():
                self._ask()
                continue
            body, self._have = self._buffer, 0
            if self._header is None:
                self._take_header(memoryview(body))
                continue
            header, self._header = self._header, None
            self._buffer = bytearray(HEADER.size)
            grab = self._take_body(header, memoryview(body))
            if grab is not None:
                return grab
        return None

    def close(self) -> None:
        """Close the connection."""
        if self._link is not None:
            self._link.close()

    def _ask(self) -> None:
        """Ask once for what has not come by itself; a server that does not know the question passes over it."""
        now_s = time.monotonic()
        self._ask_at_s = now_s + ASK_S if self._ask_at_s is None else self._ask_at_s
        if now_s < self._ask_at_s:
            return
        self._ask_at_s = math.inf
        wanted = (b"" if self._posed else start_poses()) + (b"" if self._pictured else start_pictures(self._chosen))
        assert self._link is not None
        try:
            self._link.sendall(wanted)
        except OSError as error:
            raise SourceLost(self._gone()) from error

    def _fill(self) -> bool:
        """Receive into the buffer; True once it is full."""
        assert self._link is not None
        if self._have == len(self._buffer):
            return True
        try:
            count = self._link.recv_into(memoryview(self._buffer)[self._have :])
        except TimeoutError:
            return False
        except OSError as error:
            raise SourceLost(self._gone()) from error
        if count == 0:
            raise SourceLost(self._gone())
        self._have += count
        return self._have == len(self._buffer)

    def _gone(self) -> str:
        return f"{self._address.host}:{self._address.port} closed the connection; see whether the sender still runs."

    def _take_header(self, data: memoryview) -> None:
        try:
            self._header = read_header(data)
        except BadMessage as error:
            raise SourceLost(
                f"{self._address.host}:{self._address.port} sends something that is not OpenIGTLink; "
                "check the port and what sends there."
            ) from error
        self._buffer = bytearray(self._header.body_size)

    def _take_body(self, header: Header, body: memoryview) -> Grab | None:
        t_ns = self._clock.now_ns()
        if header.kind in KINDS:
            self._posed = True
            self._take_transforms(header, body, t_ns)
            return None
        if header.kind != "IMAGE" or (self._chosen and header.device != self._chosen):
            return None
        # Some senders leave the checksum out.
        if header.crc and crc64(body) != header.crc:
            self._damaged += 1
            self.damage += 1
            return None
        try:
            image = read_image(header, body)
        except BadMessage:
            self._damaged += 1
            self.damage += 1
            return None
        if image.size[2] != 1:
            raise SourceError(
                f"{header.device or 'The sender'} sends volumes, not pictures; choose a device with pictures by "
                "?device=NAME in the address."
            )
        self._chosen, self._pictured = header.device, True
        if image.matrix != self._matrix:
            # Where the picture lies belongs to the transforms; it is told when it changes.
            self._matrix = image.matrix
            self._transforms.append((f"{header.device or 'sender'} (picture)", image.matrix, t_ns))
        lost = (("damaged on the way", self._damaged),) if self._damaged else ()
        transforms, damaged = tuple(self._transforms), self._damaged_transforms
        self._transforms.clear()
        self._damaged = self._damaged_transforms = 0
        return Grab(
            self._pixels(image), t_ns, lost, _geometry(image), sent_ns=header.stamp_ns or None,
            transforms=transforms, damaged_transforms=damaged,
        )  # fmt: skip

    def _take_transforms(self, header: Header, body: memoryview, t_ns: int) -> None:
        """Keep what a tracking message says; one that is damaged is counted and no part of it is kept."""
        whole = len(body) <= LONGEST_BODY and not (header.crc and crc64(body) != header.crc)
        try:
            found = read_transforms(header, body) if whole else None
        except BadMessage:
            found = None
        if found is None:
            self._damaged_transforms += 1
            self.damage += 1
        else:
            self._transforms.extend((name, matrix, t_ns) for name, matrix in found)

    def _pixels(self, image: Image) -> NDArray[np.uint8]:
        """Return the whole picture in 8 bit; a part is laid into the picture that came before."""
        part = image.values[0]
        width, height = image.size[:2]
        if part.shape[:2] != (height, width):
            shape = (height, width, part.shape[2])
            if self._whole is None or self._whole.shape != shape or self._whole.dtype != part.dtype:
                self._whole = np.zeros(shape, part.dtype)
            x, y = image.offset[:2]
            self._whole[y : y + part.shape[0], x : x + part.shape[1]] = part
            part = self._whole
        part = part[..., 0] if part.shape[2] == 1 else part[..., :3]
        if part.dtype == np.uint8:
            return np.array(part)  # a copy: the buffer and the kept picture live on
        # Deeper pixels are shown by the brightest value so far, so that the picture's tone does not pump.
        self._peak = max(self._peak, float(part.max(initial=0)), 1.0)
        return np.clip(part.astype(np.float32) * (255.0 / self._peak), 0, 255).astype(np.uint8)


def _geometry(image: Image) -> ImageGeometry:
    """Return size and calibration; 1 mm a pixel both ways is what senders write that know no spacing."""
    width, height = image.size[:2]
    x_mm, y_mm = image.spacing_mm
    plausible = all(np.isfinite(v) and SMALLEST_MM <= v <= LARGEST_MM for v in (x_mm, y_mm))
    if not plausible or (abs(x_mm - 1) < 1e-4 and abs(y_mm - 1) < 1e-4):
        return ImageGeometry(width, height, notes=("The sender states no pixel spacing.",))
    # The matrix holds 32-bit floats: seven digits are all it knows.
    spacing = float(f"{x_mm:.7g}"), float(f"{y_mm:.7g}")
    calibration = Calibration(spacing, CalibrationOrigin.VENDOR, "OpenIGTLink spacing")
    region = UltrasoundRegion((0, 0, width, height), "whole picture", calibration)
    return ImageGeometry(width, height, (region,))


def open_igtl(uri: str, clock: Clock | None = None) -> LiveSource:
    """Open an OpenIGTLink image server as a source.

    Raises
    ------
    UserError
        The address is not understood.
    """
    address = parse_igtl(uri)
    clock = clock or SystemClock()
    place = f"{address.host}:{address.port}"
    title = f"igtl://{place}" + (f"?device={address.device}" if address.device else "")
    named = f" of the name {address.device}" if address.device else ""
    silent = f"{place} sends no pictures{named}; start the sending there or look at the network."
    return LiveSource(uri, title, lambda: IgtlDevice(address, clock), silent, clock)
