"""A stand-in for the vendor's `pyclariuscast`: the callback contract of Cast 12, and nothing of the vendor's.

What a probe does is commanded through `PROBE`. Callbacks come from a thread of their own, as the vendor's do.
"""

from __future__ import annotations

import threading

import numpy as np


class Probe:
    """The probe and the App that runs on it.

    Attributes
    ----------
    lets_in : bool
        Whether `connect` succeeds.
    firewall : bool
        Swallows every picture.
    values : int
        How many values a picture callback gets; 8 in version 12.
    callbacks : int
        How many callbacks the constructor takes; 6 in version 12.
    """

    def __init__(self) -> None:
        self.lets_in, self.starts, self.firewall, self.frozen = True, True, False, False
        self.values, self.callbacks = 8, 6
        self.microns, self.bytes_per_pixel, self.cut = 200.0, 4, 0
        self.living: list[Caster] = []
        self.connected_to: list[tuple] = []
        self.number = 0


PROBE = Probe()


class Caster:
    """What the vendor's wrapper offers."""

    def __init__(self, *callbacks: object) -> None:
        if len(callbacks) != PROBE.callbacks:
            raise TypeError(f"function takes exactly {PROBE.callbacks} arguments ({len(callbacks)} given)")
        self._picture, self._freeze = callbacks[0], callbacks[-2]
        self._size = (0, 0)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def init(self, path: str, width: int, height: int) -> bool:
        assert isinstance(path, str)
        self._size = (width, height)
        PROBE.living.append(self)
        return PROBE.starts

    def connect(self, address: str, port: int, certificate: str) -> bool:
        if not PROBE.lets_in:
            return False
        PROBE.connected_to.append((address, port, certificate))
        self._thread = threading.Thread(target=self._stream, name="clarius-stand-in")
        self._thread.start()
        return True

    def _stream(self) -> None:
        told = False
        while not self._stop.wait(0.01):
            if PROBE.frozen != told:
                told = PROBE.frozen
                self._freeze(told)
            if not told and not PROBE.firewall and PROBE.lets_in:
                self._send()

    def _send(self) -> None:
        width, height = self._size
        PROBE.number += 1
        pixels = np.zeros((height, width, PROBE.bytes_per_pixel), np.uint8)
        pixels[...] = (
            (10, 20, PROBE.number % 200 + 40, 255)[-PROBE.bytes_per_pixel :] if PROBE.bytes_per_pixel == 4 else 77
        )
        data = pixels.tobytes()
        values = (
            data[: len(data) - PROBE.cut],
            width,
            height,
            len(data),
            PROBE.microns,
            PROBE.number * 10_000_000,
            0.0,
            (),
        )
        self._picture(*values[: PROBE.values])

    def disconnect(self) -> bool:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        return True

    def destroy(self) -> bool:
        PROBE.living.remove(self)
        return True
