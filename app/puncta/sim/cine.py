"""Compose a cine: machine, subject, hands and needle into frames with truth. Same arguments, same bytes."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from puncta.core.errors import BugError, UserError
from puncta.sim.aimed import aimed_plan
from puncta.sim.anatomy import SubjectOptions, build_subject
from puncta.sim.compression import Compression, Untouched, choose_compression
from puncta.sim.controls import STILL, Controls
from puncta.sim.deform import Deformation
from puncta.sim.echo import NeedleEcho, Placement, place_in_picture
from puncta.sim.frame_view import FrameView
from puncta.sim.furniture import Furniture, draw_furniture
from puncta.sim.hands import AutoHands, Hands, SteeredHands, start_plan
from puncta.sim.machines import Machine, draw_machine
from puncta.sim.needle import (
    Approach,
    FieldOfView,
    NeedleKind,
    NeedlePlan,
    draw_approach,
    draw_needle_kind,
    draw_plan,
)
from puncta.sim.plane import Delay
from puncta.sim.render import Float32, Renderer
from puncta.sim.scan import Scan, plan_scan
from puncta.sim.scene import Scene
from puncta.sim.subject import Subject
from puncta.sim.truth import FrameTruth
from puncta.sim.truth_flags import judge_frame
from puncta.sim.truth_maps import TruthMaps
from puncta.sim.truth_scene import describe_scene

NO_NEEDLE_SHARE = 0.12
"""Share of cines without any needle when nothing is asked for."""
SETTLE_FRAMES = 40
"""Frames after which nothing of an older picture is left: persistence .35 to the power of 40 is below float32."""
STEERED_HALF_MM, SELF_HALF_MM = 12.0, 2.5
"""Half the subject's extent across the picture [mm], for a probe that is steered and for one that is held."""
Start = Literal["any", "outside", "inside"]
AS_DRAWN = SubjectOptions()


def stream_rng(seed: int, *names: str) -> np.random.Generator:
    """Independent random stream of a cine's part, fixed by seed and names."""
    words = [zlib.crc32(name.encode()) for name in names]
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed & 0xFFFFFFFFFFFFFFFF, *words])))


def frame_step_ns(machine: Machine, clock: np.random.Generator) -> int:
    """Time from one frame to the next [ns], uneven where the machine's rate is."""
    wobble = 1.0 + machine.uneven_rate * float(clock.uniform(-1.0, 1.0)) if machine.uneven_rate > 0 else 1.0
    return int(round(1e9 / machine.fps * wobble))


def frame_times_ns(procedure: str, machine: Machine, seed: int, n_frames: int) -> NDArray[np.int64]:
    """Presentation times [ns] of a cine's frames without rendering them."""
    clock = stream_rng(seed, "clock", procedure, machine.name)
    steps = [frame_step_ns(machine, clock) for _ in range(n_frames - 1)]
    return np.concatenate([[0], np.cumsum(steps)]).astype(np.int64)


@lru_cache(maxsize=2)
def _built(procedure: str, seed: int, options: SubjectOptions, y_half_mm: float) -> Subject:
    return build_subject(procedure, seed, options=options, y_half_mm=y_half_mm)


class CineGenerator:
    """Frames of one simulated cine, one after another and without end.

    Iterating yields ``(pixels, truth)``: uint8 of shape (H, W) and a `FrameTruth`. Frame k is the same whatever the
    number of frames taken.

    Parameters
    ----------
    procedure : str
        One of `PROCEDURES`.
    machine : str
        A preset's letter, A-G.
    seed : int
        Chooses everything that is drawn; one seed shows the same subject on every machine.
    size_px : (width, height) or None
        Size of the picture [px]; None leaves it to the machine.
    furniture : bool
        Draw rulers, text and margins as machine screens have.
    needle : bool or None
        None leaves about one cine in eight without a needle.
    start : {"any", "outside", "inside"}
        Whether the needle is above the skin at the first frame; then its way is aimed at the target and keeps clear of
        what must not be hit (`aimed_plan`). The others' ways may lead anywhere.
    draw_needle_echo : bool
        False renders the needle-free twin: the same motion, tissue and truth, no echo and no shadow of the needle.
    options : SubjectOptions
        What is asked of the subject instead of drawn.
    approach : {"in-plane", "out-of-plane"} or None
        None draws it.
    steered : bool
        Probe and needle do what ``next_frame``'s controls say instead of moving by themselves.
    fps : float or None
        Even frame rate instead of the machine's.
    noise : bool
        False leaves electronic noise, speckle smoothing, edge enhancement, persistence and compression out.
    subject : Subject or None
        A subject built before, to spare building it again; it must be of the same procedure.

    Attributes
    ----------
    subject : Subject
    machine : Machine
    scan : Scan
    state : SceneState
        What moves, on the frame rendered last (the neutral state before the first).
    view : FrameView
        What that frame looked at; `TruthMaps` works from it.
    deformation
        Displacement of tissue at rest as it shows, the bending under a convex face included.
    needle : NeedleKind or None
    plan : NeedlePlan or None
    hands : Hands
    index : int
        Number of the next frame.
    t_ns : int
        Its time [ns].

    Raises
    ------
    UserError
        An unknown procedure or machine, an option that does not fit, or a size too small to show anything.
    """

    def __init__(
        self,
        procedure: str,
        machine: str,
        seed: int,
        *,
        size_px: tuple[int, int] | None = None,
        furniture: bool = False,
        needle: bool | None = None,
        start: Start = "any",
        draw_needle_echo: bool = True,
        options: SubjectOptions = AS_DRAWN,
        approach: Approach | None = None,
        steered: bool = False,
        fps: float | None = None,
        noise: bool = True,
        subject: Subject | None = None,
    ) -> None:
        if size_px is not None and (min(size_px) < 64 or max(size_px) > 2048):
            raise UserError("A simulated picture is between 64 and 2048 pixels wide and high.")
        if fps is not None and not 1.0 <= fps <= 120.0:
            raise UserError(f"A frame rate of {fps:g} is out of range; give 1 to 120 frames a second.")
        if subject is None:
            half = STEERED_HALF_MM if steered else SELF_HALF_MM
            subject = _built(procedure, seed, options, half)
        if subject.procedure != procedure:
            raise BugError(f"a subject of {subject.procedure} was given for {procedure}")
        self.procedure = procedure
        self.seed = seed
        self.subject = subject
        self.machine: Machine = draw_machine(machine, stream_rng(seed, "machine", machine.upper()), subject.depth_mm)
        if fps is not None:
            self.machine = replace(self.machine, fps=fps, uneven_rate=0.0)
        self.noise = noise
        key = (procedure, self.machine.name)
        self.scan: Scan = plan_scan(self.machine, stream_rng(seed, "layout", *key), size_px, furniture)
        self.scene = Scene(subject, self.scan, self.machine, Deformation(subject), stream_rng(seed, "points", *key))
        self.deformation = self.scene.shown
        density = self.scene.speckle.density
        self.renderer = Renderer(self.machine, self.scan, density, stream_rng(seed, "receive", *key), noise=noise)
        self.clock = stream_rng(seed, "clock", *key)
        self.has_needle = False
        self.needle: NeedleKind | None = None
        self.plan: NeedlePlan | None = None
        self.hands: Hands = self._take_up(needle, start, approach, steered)
        self.draw_needle_echo = draw_needle_echo
        m = self.machine
        self.compression: Compression = Untouched()
        if noise:
            self.compression = choose_compression(m.video, m.jpeg_quality, m.fps)
        self.furniture: Furniture | None = None
        if furniture:
            self.furniture = draw_furniture(self.scan.layout, self.machine, stream_rng(seed, "furniture", *key))
        gauge = self.needle.gauge_mm if self.needle else 1.0
        self._maps = TruthMaps(subject, self.scan, self.deformation, gauge_mm=gauge)
        self.index = 0
        self.t_ns = 0
        self.last_dt_s = 1.0 / self.machine.fps
        self.state = self.hands.state
        self.scene.move(self.state)
        self.view: FrameView = FrameView(self.state, self.scene.delay)
        self.renderer.calibrate_gain(self.renderer.looks(self.scene.splat(self.state)))

    def _take_up(self, needle: bool | None, start: Start, approach: Approach | None, steered: bool) -> Hands:
        """Draw the needle and its way, and give them to hands."""
        subject, machine = self.subject, self.machine
        rng = stream_rng(self.seed, "needle", self.procedure)
        lacks = rng.random() < NO_NEEDLE_SHARE
        kind = draw_needle_kind(rng, self.procedure, self.scene.typical_level_db())
        way = draw_approach(rng, subject)
        inside = rng.random() < 0.85 if start == "any" else start == "inside"
        field = FieldOfView.of(self.scan)
        motion = stream_rng(self.seed, "motion", self.procedure)
        shaft = stream_rng(self.seed, "shaft", self.procedure, machine.name)
        self.echo = NeedleEcho(kind, self.scan, machine, self.scene.speckle.density, shaft)
        self.has_needle = not lacks if needle is None else needle
        if self.has_needle:
            self.needle = kind
            sigma = float(machine.elevation_sigma_mm(machine.focus_mm))
            chosen = approach or way
            if steered:
                self.plan = start_plan(rng, subject, field, approach)
            elif start == "outside":
                self.plan = aimed_plan(rng, subject, field, chosen, self.deformation, elevation_sigma_mm=sigma,
                                       gauge_mm=kind.gauge_mm)
            else:
                self.plan = draw_plan(rng, subject, field, chosen, elevation_sigma_mm=sigma, gauge_mm=kind.gauge_mm)
        if steered:
            return SteeredHands(subject, self.plan, motion, kind=self.needle, field=field, deformation=self.deformation)
        return AutoHands(subject, self.plan, motion, rng, "inside" if inside else "outside",
                         watched=start == "outside")

    def __iter__(self) -> Iterator[tuple[NDArray[np.uint8], FrameTruth]]:
        while True:
            yield self.next_frame()

    @property
    def delay(self) -> Delay:
        """Apparent against real depth on the frame rendered last."""
        return self.scene.delay

    @property
    def maps(self) -> TruthMaps:
        """Label map, masks and flow of this cine's frames, from ``view``."""
        return self._maps

    def envelope(self) -> Float32:
        """Raw envelope on the beam grid of the frame rendered last, before gain, noise and every filter.

        Speckle of tissue at 0 dB has unit power. With compounding it is the first look's.
        """
        return self.renderer.envelope()

    def next_frame(self, controls: Controls = STILL) -> tuple[NDArray[np.uint8], FrameTruth]:
        """Render the next frame; controls matter when the cine is steered."""
        before = self.view
        shift = self._step(controls)
        state, scene = self.state, self.scene
        looks = self.renderer.looks(scene.splat(state))
        noise = self.renderer.noise_field(shift)
        at: Placement | None = None
        twin, roi = None, None
        if state.needle is not None and self.needle is not None:
            at = place_in_picture(state.needle, state.probe, scene.plane, scene.delay, self.machine)
        echoes = self.echo.field(at, self.renderer) if at is not None else None
        if at is not None and echoes is not None:
            field, roi = echoes
            r0, r1, c0, c1 = roi
            twin = self.renderer.detect([look[r0:r1, c0:c1] for look in looks], noise, roi)
            if self.draw_needle_echo:
                shade = self.echo.shadow(at)
                for look in looks:
                    if shade is not None:
                        dark = look.view(np.complex64)[shade[1], shade[2], 0]
                        np.multiply(dark, shade[0], out=dark)
                    look[r0:r1, c0:c1] += field
        level = self.renderer.detect(looks, noise)
        self.view = FrameView(state, scene.delay, at)
        region = self.renderer.display(level, state.gain_db)
        flags = judge_frame(
            self._maps, self.view, before if self.index else None, region, self.machine,
            grey_table=self.renderer.grey, residual_db=scene.plane.residual.sample,
        )
        truth = describe_scene(
            self.index, self.t_ns, self.scan, self.view, gauge_mm=self.needle.gauge_mm if self.needle else None,
            subject=self.subject, deformation=self.deformation, level=level, twin=twin, roi=roi,
            flags={"quality": flags.quality, "csf": flags.csf, "cord": flags.cord} if flags else None,
        )
        picture = self._screen(region)
        self._advance()
        return picture, truth

    def skip_to(self, index: int) -> None:
        """Move on to a later frame without rendering those on the way, with still hands.

        The last ``SETTLE_FRAMES`` before it are rendered, which brings persistence to the same state as playing would.
        """
        while self.index < index - SETTLE_FRAMES:
            self._step(STILL)
            self._advance()
        while self.index < index:
            self.next_frame()

    def _step(self, controls: Controls) -> tuple[int, int]:
        """Advance everything that moves by one frame; returns the place of the noise."""
        self.state = self.hands.step(self.last_dt_s, controls)
        self.scene.move(self.state)
        return self.renderer.noise_shift()

    def _advance(self) -> None:
        """Move the clock on by one frame."""
        step = frame_step_ns(self.machine, self.clock)
        self.last_dt_s = step / 1e9
        self.t_ns += step
        self.index += 1

    def _screen(self, region: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Place the region on the screen and send it through the machine's compression."""
        layout = self.scan.layout
        x0, y0, w, h = layout.region
        screen = self.furniture.blank() if self.furniture else np.zeros((layout.height_px, layout.width_px), np.uint8)
        screen[y0 : y0 + h, x0 : x0 + w] = region
        if self.furniture:
            self.furniture.draw_over(screen, self.index)
        return self.compression.pass_through(screen, self.index)


@dataclass(frozen=True, slots=True)
class Cine:
    """A finished simulated cine.

    Attributes
    ----------
    frames : ndarray of uint8, shape (N, H, W)
    truth : tuple of FrameTruth
    procedure, machine : str
    seed : int
    fps : float
        Nominal rate; ``times_ns`` is exact.
    mm_per_px : (x, y) [mm/px]
    region : [x0, y0, w, h] [px]
    simulated : bool
        Always True.
    """

    frames: NDArray[np.uint8]
    truth: tuple[FrameTruth, ...]
    procedure: str
    machine: str
    seed: int
    fps: float
    mm_per_px: tuple[float, float]
    region: tuple[int, int, int, int]
    simulated: bool = True

    @property
    def times_ns(self) -> NDArray[np.int64]:
        """Presentation times [ns]."""
        return np.array([t.t_ns for t in self.truth], np.int64)


def simulate_cine(
    procedure: str,
    machine: str,
    seed: int,
    n_frames: int,
    *,
    size_px: tuple[int, int] | None = None,
    furniture: bool = False,
    needle: bool | None = None,
    start: Start = "any",
    options: SubjectOptions = AS_DRAWN,
    approach: Approach | None = None,
) -> Cine:
    """Simulate a cine and its truth; arguments as for `CineGenerator`.

    Raises
    ------
    UserError
        An unknown procedure or machine, no frames, or a size out of range.
    """
    if n_frames < 1:
        raise UserError("A cine needs at least one frame.")
    generator = CineGenerator(
        procedure, machine, seed, size_px=size_px, furniture=furniture, needle=needle, start=start, options=options,
        approach=approach,
    )
    pairs = [generator.next_frame() for _ in range(n_frames)]
    return Cine(
        frames=np.stack([pixels for pixels, _ in pairs]),
        truth=tuple(truth for _, truth in pairs),
        procedure=procedure,
        machine=generator.machine.name,
        seed=seed,
        fps=generator.machine.fps,
        mm_per_px=(generator.scan.layout.mm_per_px,) * 2,
        region=generator.scan.layout.region,
    )
