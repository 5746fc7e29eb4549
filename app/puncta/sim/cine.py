"""Compose a cine: machine, tissue, needle and motion into frames with truth. Same arguments, same bytes."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from puncta.core.errors import UserError
from puncta.sim.echo import NeedleEcho
from puncta.sim.furniture import Furniture, draw_furniture
from puncta.sim.machines import Machine, draw_machine
from puncta.sim.motion import Motion, MotionState
from puncta.sim.needle import Drag, Hand, Insertion, Needle, draw_needle
from puncta.sim.render import Renderer
from puncta.sim.scan import Scan, plan_scan
from puncta.sim.scatterers import Scatterers, make_attenuation
from puncta.sim.tissues import PROCEDURES, build_phantom
from puncta.sim.truth import FrameTruth
from puncta.sim.truth_frame import describe_frame

NO_NEEDLE_SHARE = 0.12
"""Share of cines without any needle when nothing is asked for."""
SETTLE_FRAMES = 40
"""Frames after which nothing of an older picture is left: persistence .35 to the power of 40 is below float32."""
Start = Literal["any", "outside", "inside"]


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


class CineGenerator:
    """Frames of one simulated cine, one after another and without end.

    Iterating yields ``(pixels, truth)``: uint8 of shape (H, W) and a `FrameTruth`. Frame k is the same whatever the
    number of frames taken.

    Parameters
    ----------
    procedure : str
        ``breast``, ``nerve`` or ``vessel``.
    machine : str
        A preset's letter, A-F.
    seed : int
        Chooses everything that is drawn; one seed shows the same anatomy on every machine with the same field.
    size_px : (width, height) or None
        Size of the picture [px]; None leaves it to the machine.
    furniture : bool
        Draw rulers, text and margins as machine screens have.
    needle : bool or None
        None leaves about one cine in eight without a needle.
    start : {"any", "outside", "inside"}
        Whether the needle is still outside at the first frame.
    draw_needle_echo : bool
        False renders the needle-free twin: the same motion, tissue and truth, no echo and no shadow of the needle.

    Raises
    ------
    UserError
        An unknown procedure or machine, or a size too small to show anything.
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
    ) -> None:
        if procedure not in PROCEDURES:
            raise UserError(f"There is no simulated procedure {procedure!r}; choose one of {', '.join(PROCEDURES)}.")
        if size_px is not None and (min(size_px) < 64 or max(size_px) > 2048):
            raise UserError("A simulated picture is between 64 and 2048 pixels wide and high.")
        self.procedure = procedure
        self.seed = seed
        self.machine: Machine = draw_machine(machine, stream_rng(seed, "machine", machine.upper()))
        key = (procedure, self.machine.name)
        self.scan: Scan = plan_scan(self.machine, stream_rng(seed, "layout", *key), size_px, furniture)
        self.phantom = build_phantom(procedure, stream_rng(seed, "phantom", procedure), self.scan.extent_mm)
        attenuation = make_attenuation(self.phantom, self.scan, self.machine)
        points = stream_rng(seed, "points", *key)
        self.scatterers = Scatterers(self.phantom, self.scan, self.machine, attenuation, points)
        self.renderer = Renderer(self.machine, self.scan, stream_rng(seed, "receive", *key))
        self.motion = Motion(stream_rng(seed, "motion", procedure))
        self.clock = stream_rng(seed, "clock", *key)
        rng = stream_rng(seed, "needle", procedure)
        lacks = rng.random() < NO_NEEDLE_SHARE
        self.has_needle = not lacks if needle is None else needle
        face = self.scan.radius_mm * np.sin(self.scan.half_angle) if self.scan.convex else self.scan.width_mm / 2
        self.needle: Needle = draw_needle(
            rng, procedure, self.scan.extent_mm, float(face), self.phantom.target,
            float(self.machine.elevation_sigma_mm(self.machine.focus_mm)), self.scan.inside,
            self.phantom.typical_level_db(self.scan.extent_mm),
        )
        inside = rng.random() < 0.85 if start == "any" else start == "inside"
        self.insertion = Insertion(rng, self.needle, "inside" if inside else "outside")
        self.drag = Drag(rng)
        self.echo = NeedleEcho(self.needle, self.scan, self.machine, attenuation, stream_rng(seed, "shaft", *key))
        self.draw_needle_echo = draw_needle_echo
        self.furniture: Furniture | None = None
        if furniture:
            self.furniture = draw_furniture(self.scan.layout, self.machine, stream_rng(seed, "furniture", *key))
        self._drag_axis()
        self.index = 0
        self.t_ns = 0
        self.last_dt_s = 1.0 / self.machine.fps
        self.renderer.calibrate_gain(
            self.renderer.looks(self.scatterers.splat(*self.scatterers.displacement(MotionState()), 0.0)), (0, 0)
        )

    def __iter__(self) -> Iterator[tuple[NDArray[np.uint8], FrameTruth]]:
        while True:
            yield self.next_frame()

    def _drag_axis(self) -> None:
        """Find the scatterers near the needle's way, which it drags along."""
        n, s = self.needle, self.scatterers
        slope = float(n.slope_rad(np.asarray(n.goal_mm)))
        ax, az = n.side * np.cos(slope), np.sin(slope)
        dx, dz = s.x - n.origin[0], s.z - n.origin[1]
        along = dx * ax + dz * az
        bow = n.bend_mm * (along / n.bend_at_mm) ** 2
        across = np.abs(-dx * az * n.side + dz * abs(ax) - bow)
        self.near = np.flatnonzero((across < 7.0) & (along > -4.0)) if self.has_needle else np.zeros(0, int)
        self.near_along = along[self.near].astype(np.float32)
        self.near_pull = np.exp(-across[self.near] / 2.5).astype(np.float32)
        self.axis = (np.float32(ax), np.float32(az))

    def next_frame(self) -> tuple[NDArray[np.uint8], FrameTruth]:
        """Render the next frame."""
        motion, hand, pull, noise = self._step()
        at = self.echo.place(hand, motion) if self.has_needle else None
        dx, dz = self.scatterers.displacement(motion)
        if at is not None and abs(pull) > 1e-3:
            # Tissue ahead of the tip bulges a little way, tissue behind follows the shaft.
            ahead = (self.near_along - np.float32(hand.s_mm + 1.0)) / np.float32(1.2)
            reach = 1.0 / (1.0 + np.exp(np.clip(ahead, -30.0, 30.0)))
            shift = np.float32(pull) * self.near_pull * reach
            dx[self.near] += shift * self.axis[0]
            dz[self.near] += shift * self.axis[1]
        looks = self.renderer.looks(self.scatterers.splat(dx, dz, motion.elevation_mm))
        drawn, roi, twin = looks, None, None
        echoes = self.echo.field(at, self.renderer) if at is not None else None
        if at is not None and echoes is not None:
            field, roi = echoes
            r0, r1, c0, c1 = roi
            twin = self.renderer.detect([look[r0:r1, c0:c1] for look in looks], noise, roi)
            if self.draw_needle_echo:
                shade = self.echo.shadow(at)
                drawn = []
                for look in looks:
                    copy = look.copy()
                    if shade is not None:
                        copy[:, shade[1]] *= shade[0]
                    copy[r0:r1, c0:c1] += field
                    drawn.append(copy)
        level = self.renderer.detect(drawn, noise)
        truth = describe_frame(self.index, self.t_ns, self.scan, self.needle, at, hand, level, twin, roi)
        picture = self._screen(self.renderer.display(level, motion.gain_db))
        self._advance()
        return picture, truth

    def skip_to(self, index: int) -> None:
        """Move on to a later frame without rendering those on the way.

        The last ``SETTLE_FRAMES`` before it are rendered, which brings persistence to the same state as playing would.
        """
        while self.index < index - SETTLE_FRAMES:
            self._step()
            self._advance()
        while self.index < index:
            self.next_frame()

    def _step(self) -> tuple[MotionState, Hand, float, tuple[int, int]]:
        """Advance everything that moves by one frame; returns motion, hand, drag [mm] and the place of the noise."""
        dt = self.last_dt_s
        motion = self.motion.step(dt)
        hand = self.insertion.step(dt) if self.has_needle else Hand(-1.0, 0.0, 0.0)
        return motion, hand, self.drag.step(hand, dt), self.renderer.noise_shift()

    def _advance(self) -> None:
        """Move the clock on by one frame."""
        step = frame_step_ns(self.machine, self.clock)
        self.last_dt_s = step / 1e9
        self.t_ns += step
        self.index += 1

    def _screen(self, region: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Place the region on the screen and send it through the machine's JPEG."""
        layout = self.scan.layout
        x0, y0, w, h = layout.region
        screen = self.furniture.blank() if self.furniture else np.zeros((layout.height_px, layout.width_px), np.uint8)
        screen[y0 : y0 + h, x0 : x0 + w] = region
        if self.furniture:
            self.furniture.draw_over(screen, self.index)
        quality = [cv2.IMWRITE_JPEG_QUALITY, self.machine.jpeg_quality]
        decoded = cv2.imdecode(cv2.imencode(".jpg", screen, quality)[1], cv2.IMREAD_GRAYSCALE)
        return np.asarray(decoded, np.uint8)


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
        procedure, machine, seed, size_px=size_px, furniture=furniture, needle=needle, start=start
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
