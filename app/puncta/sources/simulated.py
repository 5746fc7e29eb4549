"""The simulator as a source: `sim:breast?seed=1&machine=A`; keys also size=WxH, needle, frames, furniture, start."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qsl

from puncta.core.errors import UserError
from puncta.core.frame import (
    Calibration,
    CalibrationOrigin,
    Frame,
    FrameKey,
    ImageGeometry,
    SourceInfo,
    SourceKind,
    UltrasoundRegion,
)
from puncta.core.ports import Clock, SystemClock
from puncta.sim.cine import CineGenerator, frame_times_ns
from puncta.sim.machines import PRESETS
from puncta.sim.truth import FrameTruth

SCHEME = "sim:"
DEFAULT_SIZE_PX = (640, 480)
_KEYS = ("seed", "machine", "size", "needle", "frames", "furniture", "start")


@dataclass(frozen=True, slots=True)
class SimulationRequest:
    """What a simulator's address asks for; ``frames`` None runs for ever."""

    procedure: str
    machine: str = "A"
    seed: int = 1
    size_px: tuple[int, int] = DEFAULT_SIZE_PX
    needle: bool | None = True
    frames: int | None = None
    furniture: bool = True
    start: Literal["any", "outside", "inside"] = "outside"

    @property
    def uri(self) -> str:
        """The address in its shortest exact form; it names the stream in frame keys."""
        parts = [f"machine={self.machine}", f"seed={self.seed}", f"size={self.size_px[0]}x{self.size_px[1]}"]
        if self.needle is not True:
            parts.append(f"needle={'any' if self.needle is None else 'no'}")
        if not self.furniture:
            parts.append("furniture=no")
        if self.start != "outside":
            parts.append(f"start={self.start}")
        if self.frames is not None:
            parts.append(f"frames={self.frames}")
        return f"{SCHEME}{self.procedure}?{'&'.join(parts)}"

    def open_generator(self) -> CineGenerator:
        """Make the generator of this cine."""
        return CineGenerator(
            self.procedure,
            self.machine,
            self.seed,
            size_px=self.size_px,
            furniture=self.furniture,
            needle=self.needle,
            start=self.start,
        )


def _whole(text: str, key: str, low: int, high: int) -> int:
    try:
        value = int(text)
    except ValueError:
        value = low - 1
    if not low <= value <= high:
        raise UserError(f"{key}={text} is not a whole number from {low} to {high}.")
    return value


def parse_simulation(uri: str) -> SimulationRequest:
    """Read an address such as ``sim:nerve?seed=3&machine=B&size=512x512&needle=no&frames=200``.

    Raises
    ------
    UserError
        An unknown key, or a value out of range; an unknown procedure is refused when the source opens.
    """
    if not uri.startswith(SCHEME):
        raise UserError(f"{uri} is not a simulator's address; write {SCHEME}breast?seed=1&machine=A.")
    body, _, query = uri[len(SCHEME) :].partition("?")
    given: dict[str, str] = {}
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key not in _KEYS:
            raise UserError(f"A simulator's address has no key {key!r}; it knows {', '.join(_KEYS)}.")
        given[key] = value
    size = DEFAULT_SIZE_PX
    if "size" in given:
        width, _, height = given["size"].lower().partition("x")
        size = (_whole(width, "size", 64, 2048), _whole(height or width, "size", 64, 2048))
    words: dict[str, bool | None] = {"yes": True, "1": True, "no": False, "0": False, "any": None}
    for key in ("needle", "furniture"):
        if given.get(key, "yes") not in words or (key == "furniture" and given.get(key) == "any"):
            raise UserError(f"{key}={given[key]} is not understood; write {key}=yes or {key}=no.")
    start = given.get("start", "outside")
    if start not in ("any", "outside", "inside"):
        raise UserError(f"start={start} is not understood; write start=outside, start=inside or start=any.")
    machine = given.get("machine", "A").upper()
    if machine not in PRESETS:
        raise UserError(f"There is no simulated machine {machine!r}; choose one of {', '.join(PRESETS)}.")
    return SimulationRequest(
        procedure=body.strip("/"),
        machine=machine,
        seed=_whole(given.get("seed", "1"), "seed", 0, 2**63 - 1),
        size_px=size,
        needle=words[given.get("needle", "yes")],
        frames=_whole(given["frames"], "frames", 1, 1_000_000) if "frames" in given else None,
        furniture=bool(words[given.get("furniture", "yes")]),
        start=start,  # type: ignore[arg-type]
    )


class SimulatedSource:
    """Plays a simulated cine; without a frame count it runs for ever. Implements ``FrameSource``.

    With a frame count it can be sought: motion is stepped through without rendering, so a seek costs some 40 frames.

    Raises
    ------
    UserError
        The address is not understood, or there is no such procedure or machine.
    """

    def __init__(self, uri: str | SimulationRequest, clock: Clock | None = None) -> None:
        self.request = parse_simulation(uri) if isinstance(uri, str) else uri
        self._clock = clock or SystemClock()
        self._generator = self.request.open_generator()
        self._lock = threading.Lock()
        self._closed = False
        self._truth: FrameTruth | None = None
        self._info = self._describe()

    def _describe(self) -> SourceInfo:
        g, request = self._generator, self.request
        layout, machine = g.scan.layout, g.machine
        calibration = Calibration((layout.mm_per_px, layout.mm_per_px), CalibrationOrigin.SIMULATED, "simulator")
        region = UltrasoundRegion(layout.region, "simulated", calibration)
        times = None
        if request.frames is not None:
            times = frame_times_ns(request.procedure, machine, request.seed, request.frames)
        return SourceInfo(
            uri=request.uri,
            stream=request.uri,
            title=f"Simulated {request.procedure}, machine {machine.name}, seed {request.seed}",
            kind=SourceKind.SIMULATED,
            geometry=ImageGeometry(layout.width_px, layout.height_px, (region,)),
            frame_count=request.frames,
            times_ns=times,
            simulated=True,
            details=(
                ("Simulator", "tissue, needle and machine are computed"),
                ("Machine", f"{machine.name}, {machine.geometry}, {machine.f0_mhz:.1f} MHz"),
                ("Frame rate", f"{machine.fps:.1f} frames/s"),
                ("Depth", f"{layout.region[3] * layout.mm_per_px:.0f} mm"),
            ),
        )

    @property
    def info(self) -> SourceInfo:
        """Facts about the simulation."""
        return self._info

    @property
    def truth(self) -> FrameTruth | None:
        """Truth of the frame read last; None before the first. Meant for tests and scoring, never for plugins."""
        return self._truth

    def read(self) -> Frame | None:
        """Render the next frame; None at the end or once closed."""
        with self._lock:
            if self._closed or (self.request.frames is not None and self._generator.index >= self.request.frames):
                return None
            pixels, truth = self._generator.next_frame()
            self._truth = truth
        return Frame(
            key=FrameKey(self._info.stream, truth.index, truth.t_ns),
            epoch=0,
            frame_id=truth.index + 1,
            t_ns=self._clock.now_ns(),
            skipped=0,
            pixels=pixels,
            geometry=self._info.geometry,
            source=self._info,
        )

    def seek(self, index: int) -> None:
        """Make ``read`` return frame ``index`` next.

        Raises
        ------
        UserError
            The simulation runs without end, or has no such frame.
        """
        if self.request.frames is None:
            raise UserError("A simulation without an end cannot be sought; add frames=N to its address.")
        if not 0 <= index < self.request.frames:
            raise UserError(
                f"{self._info.title} has the frames 0 to {self.request.frames - 1}; frame {index} does not exist, "
                "choose one of these."
            )
        with self._lock:
            if index < self._generator.index:
                self._generator = self.request.open_generator()
            self._generator.skip_to(index)

    def close(self) -> None:
        """Stop; may be called twice and from another thread."""
        with self._lock:
            self._closed = True
