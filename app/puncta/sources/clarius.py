"""Clarius hand-held probes by the vendor's Cast library: `clarius://HOST:5828?size=800x600`. Optional.

The vendor's own threads call back with each picture; here it is copied and waits for the source's thread.
"""

from __future__ import annotations

import threading
from collections import deque

import cv2
import numpy as np
from numpy.typing import NDArray

from puncta import paths
from puncta.core.errors import SourceError, SourceLost
from puncta.core.frame import Calibration, CalibrationOrigin, ImageGeometry, UltrasoundRegion
from puncta.core.ports import Clock, SystemClock
from puncta.sources.clarius_library import WRONG_VERSION, Caster, load_library
from puncta.sources.live import LiveSource
from puncta.sources.live_address import ClariusAddress, parse_clarius
from puncta.sources.live_device import DeviceFacts, Grab

CERTIFICATE = "research"
"""What the vendor's interface takes where no certificate is asked for."""
GRAB_S = 0.2
WAITING = 4
"""So many pictures may wait for the source's thread; the oldest gives way, counted."""
PICTURE_VALUES = 8
"""The picture callback of version 12: bytes, width, height, size, microns, time, angle, motion."""
FROZEN = "The Clarius probe is frozen; press its button or Freeze in the Clarius App to go on."
SMALLEST_UM, LARGEST_UM = 5.0, 5000.0
"""A pixel of an ultrasound picture is between these [um]; what is outside was never measured."""


class ClariusDevice:
    """One connection to a probe. Implements ``LiveDevice``.

    Attributes
    ----------
    rests : str
        Why no pictures come although all is well; empty while they should.
    """

    def __init__(self, address: ClariusAddress, clock: Clock) -> None:
        self._address, self._clock = address, clock
        self._caster: Caster | None = None
        self._arrived = threading.Condition()
        self._pictures: deque[tuple[NDArray[np.uint8], float, int, int]] = deque()
        self._busy, self._damaged, self._wrong = 0, 0, False
        self.damage = 0
        self.rests = ""

    def open(self, stop: threading.Event) -> DeviceFacts:
        """Load the vendor's library, and connect."""
        library = load_library()
        try:
            caster = library.make(self._take_picture, _pass_over, _pass_over, _pass_over, self._take_freeze, _pass_over)
        except TypeError as error:
            raise SourceError(WRONG_VERSION) from error
        self._caster = caster
        asked, keys = self._address, paths.user_data_dir() / "clarius-keys"
        keys.mkdir(parents=True, exist_ok=True)
        if not caster.init(str(keys), *asked.size_px):
            raise SourceError("The Clarius library does not start; install the Cast release for this computer again.")
        if not stop.is_set() and not caster.connect(asked.host, asked.port, CERTIFICATE):
            raise SourceLost(
                f"The Clarius probe at {asked.host}:{asked.port} does not let Puncta in; start the Clarius App, join "
                "the probe's network, allow Cast there, and use the Cast release that belongs to the App."
            )
        firmware = (("Library", f"for firmware {library.firmware}"),) if library.firmware else ()
        return DeviceFacts((("Kind", "Clarius Cast"), ("Probe", f"{asked.host}:{asked.port}"), *firmware))

    def grab(self) -> Grab | None:
        """Return the next picture."""
        with self._arrived:
            self._arrived.wait_for(lambda: self._pictures or self._wrong, GRAB_S)
            if self._wrong:
                raise SourceLost(WRONG_VERSION)
            if not self._pictures:
                return None
            pixels, microns, sent_ns, t_ns = self._pictures.popleft()
            busy, damaged, self._busy, self._damaged = self._busy, self._damaged, 0, 0
        lost = tuple((cause, n) for cause, n in (("program busy", busy), ("damaged on the way", damaged)) if n)
        return Grab(pixels, t_ns, lost, _geometry(pixels, microns), sent_ns=sent_ns or None)

    def close(self) -> None:
        """Leave the probe."""
        caster, self._caster = self._caster, None
        if caster is not None:
            caster.disconnect()
            caster.destroy()

    # --- called by the vendor's threads ----------------------------------------------------------------------------

    def _take_picture(self, *values: object) -> None:
        t_ns = self._clock.now_ns()
        with self._arrived:
            if len(values) != PICTURE_VALUES:
                self._wrong = True
                self._arrived.notify_all()
                return
            data, width, height, size, microns, sent_ns, _angle, _motion = values
            pixels = _pixels(data, int(width), int(height), int(size))  # type: ignore[call-overload]
            self.rests = ""
            if pixels is None:
                self._damaged += 1
                self.damage += 1
                return
            if len(self._pictures) >= WAITING:
                self._pictures.popleft()
                self._busy += 1
            self._pictures.append((pixels, float(microns), int(sent_ns), t_ns))  # type: ignore[arg-type, call-overload]
            self._arrived.notify_all()

    def _take_freeze(self, frozen: object = False, *_more: object) -> None:
        self.rests = FROZEN if frozen else ""


def _pass_over(*_values: object) -> None:
    """Raw data, spectra, motion and buttons are not used."""


def _pixels(data: object, width: int, height: int, size: int) -> NDArray[np.uint8] | None:
    """Return a copy of a picture, RGB or grey; None where the bytes do not fit the size."""
    raw = np.frombuffer(data, np.uint8)  # type: ignore[call-overload]
    if width < 1 or height < 1 or len(raw) < size or size not in {width * height, 4 * width * height}:
        return None
    if size == width * height:
        return np.array(raw[:size].reshape(height, width))
    # 32 bits ARGB lie in memory as blue, green, red, alpha.
    return np.asarray(cv2.cvtColor(raw[:size].reshape(height, width, 4), cv2.COLOR_BGRA2RGB), np.uint8)


def _geometry(pixels: NDArray[np.uint8], microns: float) -> ImageGeometry:
    """Cast sends the scan alone, without the App's texts: all of it is ultrasound, in the probe's own scale."""
    height, width = pixels.shape[:2]
    calibration: Calibration | None = None
    notes: tuple[str, ...] = ("The probe states no pixel size.",)
    if np.isfinite(microns) and SMALLEST_UM <= microns <= LARGEST_UM:
        spacing = float(f"{microns / 1000:.7g}")
        calibration, notes = Calibration((spacing, spacing), CalibrationOrigin.VENDOR, "Clarius Cast"), ()
    region = UltrasoundRegion((0, 0, width, height), "vendor", calibration)
    return ImageGeometry(width, height, (region,), notes)


def open_clarius(uri: str, clock: Clock | None = None) -> LiveSource:
    """Open a Clarius probe as a source.

    Raises
    ------
    UserError
        The address is not understood. Whether the vendor's library is there is told by the source.
    """
    address = parse_clarius(uri)
    clock = clock or SystemClock()
    place = f"{address.host}:{address.port}"
    silent = (
        f"The Clarius probe at {place} sends no picture; start imaging in the Clarius App, and let the firewall accept "
        "what comes to Puncta by UDP (the port is another one each time)."
    )
    return LiveSource(uri, f"Clarius probe {place}", lambda: ClariusDevice(address, clock), silent, clock)
