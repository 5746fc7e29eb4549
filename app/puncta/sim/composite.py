"""Composite cines: a simulated needle moved through a real needle-free still that is bent into motion.

Why: a network that has seen simulated tissue only takes real fascia for needles. The still gives it real tissue; the
needle's echo follows the simulator's law and is drawn with the still's own brightness, slope and speckle size. Stills
state no millimetres: a depth is drawn and every figure in millimetres rests on it.
"""

from __future__ import annotations

import math
import zlib
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from puncta.core.errors import UserError
from puncta.sim.composite_echo import StillEcho, StillPlacement, axis_points
from puncta.sim.composite_motion import Float32, MovingStill, draw_walk
from puncta.sim.composite_needle import StillNeedle, draw_still_needle, plan_way
from puncta.sim.composite_stills import measure_look, shade_db
from puncta.sim.composite_truth import describe_still_difficulty, describe_still_frame, outline, polygon_mask
from puncta.sim.pose import NeedlePose
from puncta.sim.truth import FrameTruth

ASSUMED_DEPTH_MM = (30.0, 50.0)
"""Depth that a whole still is taken to show [mm]."""
BREATH_SHARE = 0.6
"""Share of the breathing excursion that a held needle follows."""
FPS = (15.0, 35.0)


class CompositeGenerator:
    """Frames of one composite cine, one after another.

    Parameters
    ----------
    still : ndarray of uint8, shape (H, W)
        Needle-free picture without black margins.
    seed : int
        Chooses everything that is drawn.
    steps : int
        Frames that can be taken.
    size_px : (width, height)
        Size of the picture [px].
    needle : bool
    start : {"outside", "inside"}
        Whether the needle is still outside at the first frame.
    approach : str or None
        ``in-plane``, ``out-of-plane`` or drawn.
    furniture : bool
        Burn a ruler and a caption into margins around the picture.
    noise : bool
        False leaves out receiver noise, gain jitter and JPEG.
    """

    def __init__(
        self,
        still: NDArray[np.uint8],
        seed: int,
        *,
        steps: int,
        size_px: tuple[int, int] = (256, 256),
        needle: bool = True,
        start: str = "inside",
        approach: str | None = None,
        furniture: bool = False,
        noise: bool = True,
    ) -> None:
        if steps < 1:
            raise UserError("A cine needs at least one frame.")
        self.seed, self.steps, self.has_needle = seed, steps, needle
        self.canvas_px = size_px
        self.region = self._layout(size_px, furniture)
        w, h = self.region[2:]
        rng = self._stream("crop")
        part, margin, share = _crop(rng, still, (w, h))
        self.depth_mm = float(rng.uniform(*ASSUMED_DEPTH_MM)) * share
        self.mm_per_px = self.depth_mm / h
        self.fps = round(float(rng.uniform(*FPS)), 1)
        inner = part[margin : margin + h, margin : margin + w]
        self.look = measure_look(inner)
        self.moving = MovingStill(self._stream("motion"), part, margin, steps, self.mm_per_px, self.fps)
        self.shade = shade_db(inner, self.look)
        rng = self._stream("needle")
        self.needle: StillNeedle = draw_still_needle(
            rng, w * self.mm_per_px, self.depth_mm, self.look.tissue_db, approach
        )
        self.way_mm = plan_way(rng, steps, 1.0 / self.fps, self.needle.enter_mm, self.needle.pose.way_mm, start)
        jitter = float(rng.choice([0.0, 0.006, 0.015]))
        self.turn_rad = draw_walk(rng, steps, jitter, 0.8 * self.fps)
        self.across_mm = draw_walk(rng, steps, float(rng.uniform(0.0, 0.25)), 1.2 * self.fps)
        self.drag_share, self.drag_reach_mm = float(rng.uniform(0.15, 0.3)), float(rng.uniform(1.5, 3.5))
        self.echo = StillEcho(self._stream("echo"), self.needle, self.look, (w, h), self.mm_per_px)
        self.noise = noise
        rng = self._stream("screen")
        self.noise_grey = float(rng.uniform(0.5, 4.0))
        self.gain_jitter = float(rng.choice([0.0, 0.004, 0.012]))
        self.jpeg_quality = int(rng.integers(60, 96)) if rng.random() < 0.6 else 0
        grain = rng.standard_normal((h + 64, w + 64)).astype(np.float32)
        grain = np.asarray(cv2.GaussianBlur(grain, (0, 0), 0.7), np.float32)
        self.bank: Float32 = grain / np.float32(grain.std())
        self.screen = self._blank(rng, furniture)
        self.receive = self._stream("receive")
        self.index, self.t_ns = 0, 0
        self.placement: StillPlacement | None = None
        self.twin: NDArray[np.uint8] = np.zeros((0, 0), np.uint8)

    def _stream(self, name: str) -> np.random.Generator:
        """Independent random stream of a part."""
        return np.random.Generator(np.random.PCG64(np.random.SeedSequence([self.seed, zlib.crc32(name.encode())])))

    def _layout(self, size_px: tuple[int, int], furniture: bool) -> tuple[int, int, int, int]:
        """Region [x0, y0, w, h] in the picture."""
        width, height = size_px
        if not furniture:
            return (0, 0, width, height)
        left, right, top, bottom = self._stream("layout").uniform([0.02, 0.05, 0.03, 0.01], [0.08, 0.13, 0.1, 0.06])
        x0, y0 = int(left * width), int(top * height)
        return (x0, y0, int(width * (1 - right)) - x0, int(height * (1 - bottom)) - y0)

    def _blank(self, rng: np.random.Generator, furniture: bool) -> NDArray[np.uint8]:
        """The screen without the picture: black, with a ruler and a caption where there is furniture."""
        width, height = self.canvas_px
        screen = np.zeros((height, width), np.uint8)
        if furniture:
            x0, y0, w, h = self.region
            level, step = int(rng.integers(120, 250)), 5.0 / self.mm_per_px
            for k in range(int(h / step) + 1):
                length = 6 if k % 2 == 0 else 3
                cv2.line(screen, (x0 + w + 3, int(y0 + k * step)), (x0 + w + 3 + length, int(y0 + k * step)), level, 1)
            words = str(rng.choice(["MI 0.9", "L12", "NERVE", "VASC", "B 62"]))
            cv2.putText(screen, words, (x0 + 2, max(8, y0 - 3)), cv2.FONT_HERSHEY_SIMPLEX, 0.3, level, 1, cv2.LINE_AA)
        return screen

    def _pose(self, i: int) -> NeedlePose | None:
        """The needle on frame ``i``; None while it is outside."""
        if not self.has_needle or self.way_mm[i] < 0.3:
            return None
        pose = self.needle.at(float(self.way_mm[i]), float(self.turn_rad[i]))
        x, y, z = pose.entry_mm
        return NeedlePose((x, y - float(self.across_mm[i]), z), pose.angle_rad, pose.azimuth_rad, pose.way_mm,
                          pose.bend_mm, pose.bend_at_mm)

    def _place(self, i: int, pose: NeedlePose) -> StillPlacement:
        """Lay the needle into the pixels of frame ``i``; it goes with the tissue but for a share of the breathing."""
        s, x, y, z = axis_points(pose)
        w, h = self.region[2:]
        rest_x, rest_y = x / self.mm_per_px - 0.5, z / self.mm_per_px - 0.5
        px, py = self.moving.forward(i, rest_x, rest_y, BREATH_SHARE)
        columns, rows = (np.clip(np.rint(v), 0, n - 1).astype(int) for v, n in ((rest_x, w), (rest_y, h)))
        weight = np.exp(-0.5 * (y / self.needle.elevation_sigma_mm) ** 2)
        run = np.gradient(np.stack([px * self.mm_per_px, y, py * self.mm_per_px]), axis=1)
        down = np.clip(run[2] / np.maximum(np.sqrt((run**2).sum(axis=0)), 1e-9), -1.0, 1.0)
        inside = (px >= -0.5) & (px <= w - 0.5) & (py >= -0.5) & (py <= h - 0.5)
        return StillPlacement(
            s_mm=s,
            x_px=px,
            y_px=py,
            slope_rad=np.arctan2(run[2], run[0]),
            weight=weight,
            offset_mm=y,
            shade_db=self.shade[rows, columns].astype(float),
            inside=inside,
            beam_deg=np.minimum(90.0 - np.degrees(np.arcsin(down)), 90.0),
        )

    def _drag(self, i: int, at: StillPlacement) -> tuple[Float32, Float32] | None:
        """Tissue carried along the axis [px], most at the shaft and up to a little ahead of the tip."""
        back = max(0, i - max(1, round(0.5 * self.fps)))
        moved = float(np.clip(self.drag_share * (self.way_mm[i] - max(self.way_mm[back], 0.0)), -0.8, 0.8))
        if abs(moved) < 0.02 or self.needle.approach == "out-of-plane":
            return None
        angle = float(at.slope_rad[-1])
        dx, dy = math.cos(angle), math.sin(angle)
        gx, gy = self.moving.x - np.float32(at.x_px[-1]), self.moving.y - np.float32(at.y_px[-1])
        ahead = np.maximum(gx * np.float32(dx) + gy * np.float32(dy), 0.0)
        across = np.abs(gy * np.float32(dx) - gx * np.float32(dy))
        reach = np.float32(self.drag_reach_mm / self.mm_per_px)
        pull = np.float32(moved / self.mm_per_px) * np.exp(-(across + ahead) / reach)
        return pull * np.float32(dx), pull * np.float32(dy)

    def next_frame(self) -> tuple[NDArray[np.uint8], FrameTruth]:
        """Render the next frame; `twin` then holds the same frame without the needle.

        Raises
        ------
        UserError
            All frames have been taken.
        """
        i = self.index
        if i >= self.steps:
            raise UserError(f"This composite cine has {self.steps} frames, and all were taken.")
        pose = self._pose(i)
        at = self._place(i, pose) if pose else None
        maps = self.moving.maps(i, self._drag(i, at) if at is not None else None)
        plain = self.moving.frame(i, maps)
        drawn = self.echo.draw(plain, at, maps) if at is not None else plain
        mm = (self.mm_per_px, self.mm_per_px)
        speed = float(self.way_mm[i] - self.way_mm[max(0, i - 1)]) * self.fps if self.has_needle else 0.0
        truth = describe_still_frame(
            FrameTruth(i, self.t_ns, self.region, mm), self.needle, at, speed, drawn, plain, self.region[:2]
        )
        shift = self.receive.integers(0, 64, 2)
        gain = 1.0 + self.gain_jitter * float(self.receive.standard_normal())
        picture = self._display(drawn, shift, gain)
        self.twin = self._display(plain, shift, gain) if drawn is not plain else picture
        self.placement = at
        self.index += 1
        self.t_ns = round(self.index * 1e9 / self.fps)
        return picture, truth

    def _display(self, region: Float32, shift: NDArray[np.int64], gain: float) -> NDArray[np.uint8]:
        """Receiver noise, the screen around and the machine's JPEG."""
        x0, y0, w, h = self.region
        if self.noise:
            grain = self.bank[shift[0] : shift[0] + h, shift[1] : shift[1] + w]
            grain = np.float32(self.noise_grey) * grain * (0.3 + region / np.float32(160.0))
            region = (region + grain) * np.float32(gain)
        screen = self.screen.copy()
        screen[y0 : y0 + h, x0 : x0 + w] = np.clip(np.rint(region), 0, 255).astype(np.uint8)
        if not self.noise or not self.jpeg_quality:
            return screen
        packed = cv2.imencode(".jpg", screen, [cv2.IMWRITE_JPEG_QUALITY, self.jpeg_quality])[1]
        return np.asarray(cv2.imdecode(packed, cv2.IMREAD_GRAYSCALE), np.uint8)

    def masks(self, truth: FrameTruth) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Physical and visible mask of the needle on the frame taken last, shape (H, W)."""
        shape = (self.canvas_px[1], self.canvas_px[0])
        at = self.placement
        if at is None:
            return np.zeros(shape, bool), np.zeros(shape, bool)
        whole = outline(self.needle, at, at.inside, self.mm_per_px, self.region[:2])
        return polygon_mask(whole, shape, self.region), polygon_mask(truth.shaft_polygon, shape, self.region)

    def difficulty(self, truth: FrameTruth) -> dict[str, Any] | None:
        """What makes the frame taken last hard, see `describe_still_difficulty`."""
        return describe_still_difficulty(truth, self.needle, self.placement, self.depth_mm)


def _crop(
    rng: np.random.Generator, still: NDArray[np.uint8], size_px: tuple[int, int]
) -> tuple[NDArray[np.uint8], int, float]:
    """Cut a part with the picture's aspect out of a still and scale it, with a margin for motion.

    Returns
    -------
    part : ndarray of uint8, shape (h + 2 m, w + 2 m)
    m : int
        Margin [px].
    share : float
        Share of the still's height that the picture shows.
    """
    w, h = size_px
    margin = max(4, round(0.05 * min(w, h)))
    full_w, full_h = w + 2 * margin, h + 2 * margin
    rows, columns = still.shape
    zoom = min(columns / full_w, rows / full_h) * float(rng.uniform(0.78, 1.0))
    cut_w, cut_h = max(8, int(full_w * zoom)), max(8, int(full_h * zoom))
    x0 = int(rng.integers(0, max(1, columns - cut_w + 1)))
    # Most pictures begin at the probe's face.
    y0 = 0 if rng.random() < 0.6 else int(rng.integers(0, max(1, rows - cut_h + 1)))
    part = still[y0 : y0 + cut_h, x0 : x0 + cut_w]
    if rng.random() < 0.5:
        part = part[:, ::-1]
    how = cv2.INTER_AREA if zoom > 1.0 else cv2.INTER_CUBIC
    scaled = cv2.resize(np.ascontiguousarray(part), (full_w, full_h), interpolation=how)
    return np.asarray(scaled, np.uint8), margin, h / full_h * cut_h / rows
