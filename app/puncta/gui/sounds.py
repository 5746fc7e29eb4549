"""Quiet sounds by the optional package miniaudio; silence, and a sentence, where it or a sound device is missing."""

from __future__ import annotations

import logging
import math
import threading
from array import array
from collections.abc import Generator
from typing import Any

from puncta.core.cues import Cue

log = logging.getLogger(__name__)

RATE = 24_000
LOUDNESS = 0.12
"""Of full scale: heard beside a phantom, not across the room."""
FADE_S = 0.012
TONES: dict[Cue, tuple[tuple[float, float], ...]] = {
    Cue.NEAR: ((660.0, 0.05),),
    Cue.REACHED: ((660.0, 0.09), (880.0, 0.14)),
    Cue.TIP_LOST: ((330.0, 0.16),),
    Cue.TARGET_LOST: ((330.0, 0.1), (247.0, 0.16)),
}
"""Tones of each sound, one after another: frequency [Hz] and length [s]."""
NO_PACKAGE = "Sounds need the package miniaudio; install Puncta with the extra 'sounds'."
NO_DEVICE = "No sound device was found. The sounds stay off."


def samples_of(cue: Cue) -> array[int]:
    """A cue as 16-bit samples; each tone fades in and out, so that nothing clicks."""
    out: array[int] = array("h")
    for hertz, seconds in TONES[cue]:
        count = round(seconds * RATE)
        for i in range(count):
            edge = min(1.0, i / (FADE_S * RATE), (count - 1 - i) / (FADE_S * RATE))
            out.append(round(32767 * LOUDNESS * edge * math.sin(2 * math.pi * hertz * i / RATE)))
    return out


class Sounds:
    """Plays cues, one at a time; a newer one waits for none.

    Parameters
    ----------
    on : bool
        Whether they are wanted from the start; where they cannot be played, they are off.
    backend : str
        Name of miniaudio's back end; empty takes the system's own, "NULL" plays to nobody.
    """

    def __init__(self, *, on: bool = False, backend: str = "") -> None:
        self._wanted = on
        self._backend = backend
        self.played = 0
        """Samples of cues handed to the device."""
        self.asked = 0
        """Samples the device has asked for, silence too: its own clock."""
        self._device: Any = None
        self._lock = threading.Lock()
        self._waiting: array[int] = array("h")
        self._cut = {cue: samples_of(cue) for cue in Cue}

    @property
    def on(self) -> bool:
        """Whether they are switched on."""
        return self._wanted

    def set_on(self, on: bool) -> str:
        """Switch them; return the sentence that says why they stay off, or nothing."""
        self._wanted = False
        self.close()
        problem = self._open() if on else ""
        self._wanted = on and not problem
        return problem

    def play(self, cue: Cue) -> None:
        """Play a cue; does nothing where the sounds are off."""
        if not self._wanted:
            return
        if self._device is None and self._open():
            self._wanted = False
            return
        with self._lock:
            self._waiting = self._cut[cue][:]

    def close(self) -> None:
        """Let the device go."""
        device, self._device = self._device, None
        if device is not None:
            device.close()

    def _open(self) -> str:
        try:
            import miniaudio
        except ImportError:
            return NO_PACKAGE
        try:
            device = miniaudio.PlaybackDevice(
                output_format=miniaudio.SampleFormat.SIGNED16,
                nchannels=1,
                sample_rate=RATE,
                buffersize_msec=60,
                backends=[miniaudio.Backend[self._backend]] if self._backend else None,
            )
            feed = self._feed()
            next(feed)
            device.start(feed)
        except miniaudio.MiniaudioError as error:
            log.info("no sound: %s", error)
            return NO_DEVICE
        self._device = device
        return ""

    def _feed(self) -> Generator[bytes, int, None]:
        wanted = yield b""
        while True:
            self.asked += wanted
            with self._lock:
                piece, self._waiting = self._waiting[:wanted], self._waiting[wanted:]
                self.played += len(piece)
            wanted = yield piece.tobytes() + bytes(2 * (wanted - len(piece)))
