"""The simulator as a source: `sim:breast?seed=1&machine=A`; with `steer=yes` a person moves probe and needle.

The keys of an address are in `simulated_address`; the mailbox between a person's hands and the frames in `steering`.
"""

from __future__ import annotations

import statistics
import threading
from collections import OrderedDict
from dataclasses import replace

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
from puncta.sim.attempt import AttemptLog
from puncta.sim.cine import CineGenerator, frame_times_ns
from puncta.sim.controls import STILL
from puncta.sim.frame_view import FrameView
from puncta.sim.pinned import PinnedTissue, pin_tissue, place_of
from puncta.sim.truth import FrameTruth
from puncta.sources.simulated_address import SimulationRequest, parse_simulation
from puncta.sources.steered_view import describe_steered, watch
from puncta.sources.steering import Steering

__all__ = ["SimulatedSource", "SimulationRequest", "parse_simulation"]

STEERED_RATES = (50.0, 40.0, 30.0, 20.0)
"""Rates of a steered simulation, best first [frames/s]."""
RENDER_SHARE = 0.6
"""Rendering may take this share of a frame's time; the rest is for inference and painting."""
PROBES = 6
"""So many frames are rendered with still hands to find the rate; they stay part of the simulation."""
WARM_UP = 2
FADED_FRAMES = 3
"""After more left-out frames than these nothing of the last picture shines through the next one."""
KEPT_VIEWS = 240
"""So many last frames can still be asked where tissue shows on them."""


class SimulatedSource:
    """Plays a simulated cine; without a frame count it runs for ever. Implements ``FrameSource``.

    With a frame count it can be sought: motion is stepped through without rendering, so a seek costs some 40 frames.
    A steered one (`steering` is not None) takes what a person's hands do and moves probe and needle by it.

    Raises
    ------
    UserError
        The address is not understood, or there is no such procedure or machine.
    """

    def __init__(self, uri: str | SimulationRequest, clock: Clock | None = None) -> None:
        self.request = parse_simulation(uri) if isinstance(uri, str) else uri
        self._clock = clock or SystemClock()
        self.steering: Steering | None = None
        self._log: AttemptLog | None = None
        if self.request.steer:
            self.request, self._generator, self.steering = _open_steered(self.request, self._clock)
            self._log = AttemptLog(self._generator.subject, self._generator.deformation)
        else:
            self._generator = self.request.open_generator()
        self._lock = threading.Lock()
        self._closed = False
        self._truth: FrameTruth | None = None
        self._views: OrderedDict[int, FrameView] = OrderedDict()
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
                ("Frame rate", f"{request.fps or machine.fps:.1f} frames/s"),
                ("Depth", f"{layout.region[3] * layout.mm_per_px:.0f} mm"),
            ),
            frame_rate=request.fps or machine.fps,
        )

    @property
    def info(self) -> SourceInfo:
        """Facts about the simulation."""
        return self._info

    @property
    def truth(self) -> FrameTruth | None:
        """Truth of the frame read last; None before the first. Meant for tests and scoring, never for plugins."""
        return self._truth

    @property
    def generator(self) -> CineGenerator:
        """What renders the frames. Only for the thread that reads."""
        return self._generator

    def read(self) -> Frame | None:
        """Render the next frame; None at the end or once closed."""
        with self._lock:
            generator, steering = self._generator, self.steering
            if self._closed or (self.request.frames is not None and generator.index >= self.request.frames):
                return None
            if steering is None or self._log is None:
                pixels, truth = generator.next_frame()
            else:
                controls = steering.take(generator.index, generator.last_dt_s)
                pixels, truth = generator.next_frame(controls)
                watch(self._log, generator, truth, controls)
                steering.leave(describe_steered(generator, truth, self._log))
            self._truth = truth
            self._views[truth.index] = replace(generator.view, needle=None)
            while len(self._views) > KEPT_VIEWS:
                self._views.popitem(last=False)
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

    @property
    def keeps_time(self) -> bool:
        """Whether it leaves frames out where it is late: one without an end does, but for one that is steered.

        A steered attempt is the moves of each of its frames, and every move is to be seen.
        """
        return self.request.frames is None and self.steering is None

    def let_pass(self, due_ns: int) -> int:
        """Leave out the frames after which another is due at a time [ns] already; return how many.

        Everything moves on as if they had been rendered, so each later frame shows the same scene, but for persistence
        and compression: up to three frames left out leave the picture before them shining through, and the frames of a
        compressed stream stand elsewhere in their groups.
        """
        left_out = 0
        with self._lock:
            generator = self._generator
            while not self._closed and generator.t_ns + round(1e9 * generator.last_dt_s) <= due_ns:
                # The generator's own skipping renders the last second before a frame, which is what is not there.
                generator._step(STILL)
                generator._advance()
                left_out += 1
            if left_out > FADED_FRAMES:
                generator.renderer.previous = None
        return left_out

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

    def pin(self, index: int, point_px: tuple[float, float]) -> PinnedTissue | None:
        """Take hold of the tissue at a point [px] of a frame; None where the frame is too old. Safe from any thread."""
        with self._lock:
            view, generator = self._views.get(index), self._generator
        return None if view is None else pin_tissue(point_px, view, generator.scan, generator.deformation)

    def place(self, pinned: PinnedTissue, index: int) -> tuple[tuple[float, float], float] | None:
        """Where pinned tissue shows on a frame [px], and how far behind its plane it lies [mm]; None if too old."""
        with self._lock:
            view, generator = self._views.get(index), self._generator
        return None if view is None else place_of(pinned, view, generator.scan, generator.deformation)

    def close(self) -> None:
        """Stop; may be called twice and from another thread."""
        with self._lock:
            self._closed = True


def _open_steered(request: SimulationRequest, clock: Clock) -> tuple[SimulationRequest, CineGenerator, Steering]:
    """Open a simulation to be steered, at the rate that is asked for or at the highest that this computer keeps."""
    rates = STEERED_RATES if request.fps is None else (request.fps,)
    for rate in rates:
        asked = request.at_rate(rate)
        generator = asked.open_generator()
        steering = Steering(clock, can_fire=request.procedure == "breast")
        if rate == rates[-1]:
            break
        took_ns = []
        for index in range(PROBES):
            begun_ns = clock.now_ns()
            generator.next_frame(steering.take(index, generator.last_dt_s))
            took_ns.append(clock.now_ns() - begun_ns)
        if statistics.median(took_ns[WARM_UP:]) <= RENDER_SHARE * 1e9 / rate:
            break
    return asked, generator, steering
