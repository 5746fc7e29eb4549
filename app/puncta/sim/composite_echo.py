"""Draws a needle's echo into a real picture with the still's own slope, speckle size and shadows.

The picture is taken back to echo amplitude (its display is logarithmic), the needle's complex field is added with a
phase of the tissue's own, and the sum is displayed again: needle and speckle interfere as in one machine.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from puncta.sim.composite_needle import StillNeedle
from puncta.sim.composite_stills import StillLook
from puncta.sim.needle import shaft_gain_db, tip_gain_db
from puncta.sim.pose import NeedlePose

Float32 = NDArray[np.float32]
Complex64 = NDArray[np.complex64]
STEP_MM = 0.07
COMET_COPIES = 8
_THIRDS = tuple(np.complex64(complex(math.cos(a), math.sin(a))) for a in (0.7, 0.7 + 2.1, 0.7 + 4.2))
SHADOW_EDGE_MM = 2.5
SHADOW_KEPT = np.float32(0.4)
"""Share of the shadow that is left far below the needle."""


@dataclass(frozen=True, slots=True)
class StillPlacement:
    """Where the needle lies on one frame; samples run from its entry to its tip.

    Attributes
    ----------
    s_mm : ndarray
        Way along the axis [mm].
    x_px, y_px : ndarray
        Places [px].
    slope_rad : ndarray
        Downward angle of the axis in the picture.
    weight : ndarray
        Elevational weight 0..1.
    offset_mm : ndarray
        Distance from the image plane [mm].
    shade_db : ndarray
        Level left after what lies above [dB].
    inside : ndarray of bool
        In the region.
    beam_deg : ndarray
        Angle between axis and beam, the axis seen in space [deg].
    """

    s_mm: NDArray
    x_px: NDArray
    y_px: NDArray
    slope_rad: NDArray
    weight: NDArray
    offset_mm: NDArray
    shade_db: NDArray
    inside: NDArray[np.bool_]
    beam_deg: NDArray


def axis_points(pose: NeedlePose) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Ways [mm] and points of the axis [mm] from entry to tip."""
    count = max(2, int(pose.way_mm / STEP_MM))
    s = pose.way_mm - np.arange(count)[::-1] * STEP_MM
    return (s, *pose.points(s))


class StillEcho:
    """Renders one needle; everything random about it is drawn once."""

    def __init__(
        self, rng: np.random.Generator, needle: StillNeedle, look: StillLook, size_px: tuple[int, int], mm_per_px: float
    ) -> None:
        self.needle, self.look, self.size_px, self.mm_per_px = needle, look, size_px, mm_per_px
        length = int((needle.pose.way_mm + 5.0) / STEP_MM) + 2
        # The surface pattern is fixed to the needle, so it is indexed from the tip.
        self.phase = np.cumsum(rng.standard_normal(length)) * math.sqrt(STEP_MM / needle.coherence_mm)
        self.phase += rng.normal(0, rng.uniform(0.1, 0.9), length)
        pitch = int(rng.integers(12, 60))
        knots = rng.normal(0.0, needle.pattern_db, length // pitch + 3)
        self.pattern_db = np.interp(np.arange(length), np.arange(len(knots)) * pitch, knots)
        self.scatter_px = rng.normal(0.0, 0.06 * needle.kind.gauge_mm / mm_per_px, length)
        self.copies = rng.uniform(0, 2 * math.pi, 16)
        self.compound = float(rng.uniform(0.5, 0.95))
        self.tissue_phase = self._tissue_phase(rng)

    def _tissue_phase(self, rng: np.random.Generator) -> Complex64:
        """A unit phase for each place of the tissue, that changes over a speckle; the still's own is not known."""
        w, h = self.size_px
        pairs = rng.standard_normal((h, w, 2)).astype(np.float32)
        sx, sy = self.look.sigma_px
        field = cv2.GaussianBlur(pairs, (0, 0), sx, sigmaY=sy)
        phase = np.ascontiguousarray(field).view(np.complex64)[..., 0]
        return np.asarray(phase / np.maximum(np.abs(phase), 1e-9), np.complex64)

    def draw(self, picture: Float32, at: StillPlacement, maps: tuple[Float32, Float32]) -> Float32:
        """Return the picture with echo and shadow of the needle.

        Parameters
        ----------
        picture : ndarray of float32
            Needle-free frame, grey levels.
        maps : pair of ndarrays
            Places of the still that each pixel shows, so that the tissue's phase goes with the tissue.
        """
        out = self._shadowed(picture, at)
        echo = self._field(at)
        if echo is None:
            return out
        field, (y0, y1, x0, x1) = echo
        slope, top = np.float32(self.look.grey_per_db), np.float32(self.look.top_grey)
        part = out[y0:y1, x0:x1]
        amplitude = 10.0 ** ((part - top) / slope / np.float32(20.0))
        pairs = self.tissue_phase.view(np.float32).reshape(*self.tissue_phase.shape, 2)
        where = (maps[0][y0:y1, x0:x1], maps[1][y0:y1, x0:x1])
        turned = np.ascontiguousarray(cv2.remap(pairs, *where, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT))
        phase = turned.view(np.complex64)[..., 0]
        phase = np.asarray(phase / np.maximum(np.abs(phase), np.float32(0.2)), np.complex64)
        total = np.abs(amplitude * phase + field)
        # Machines compound: other looks meet the needle with the tissue's phase turned, which fills dark gaps.
        turned_looks = sum(np.abs(amplitude * phase * turn + field) for turn in _THIRDS)
        total += np.float32(self.compound) * (turned_looks / np.float32(len(_THIRDS)) - total)
        shown = top + slope * np.float32(20.0) * np.log10(np.maximum(total, 1e-6))
        # Where no echo of the needle arrives, the picture stays as it is, to the last bit.
        touched = np.abs(field) > 0.03 * amplitude
        out[y0:y1, x0:x1] = np.where(touched, shown, part)
        return out

    def _field(self, at: StillPlacement) -> tuple[Complex64, tuple[int, int, int, int]] | None:
        """Complex echo of the needle in a part of the picture [rows y0:y1, columns x0:x1]."""
        n, near = self.needle.kind, at.inside
        if not near.any() or float(at.weight[near].max()) < 0.02:
            return None
        order = np.minimum(np.arange(len(at.s_mm))[::-1], len(self.phase) - 1)
        level = n.level_db + shaft_gain_db(at.beam_deg, n.floor) + self.pattern_db[order] + at.shade_db
        unit = self._point_amplitude(at)
        shaft = 10.0 ** (level / 20.0) * at.weight * unit
        bevel = np.exp(-0.5 * ((at.s_mm[-1] - at.s_mm - 0.5 * n.bevel_mm) / (0.35 * n.bevel_mm)) ** 2)
        tip_level = n.level_db + n.tip_boost_db + tip_gain_db(at.beam_deg[-1], n.tip_floor) + at.shade_db
        tip = 10.0 ** (tip_level / 20.0) * at.weight * unit * bevel
        amplitude = np.where(near, np.maximum(shaft, tip), 0.0).astype(np.float32)
        box = self._box(at)
        y0, y1, x0, x1 = box
        phase = self.phase[order]
        pairs = np.zeros((y1 - y0, x1 - x0, 2), np.float32)
        _splat(pairs, at.x_px[near] - x0, at.y_px[near] - y0 + self.scatter_px[order][near],
               (amplitude * np.cos(phase))[near], (amplitude * np.sin(phase))[near])
        sx, sy = self.look.sigma_px
        pairs = np.ascontiguousarray(cv2.GaussianBlur(pairs, (0, 0), sx, sigmaY=sy, borderType=cv2.BORDER_CONSTANT))
        field = pairs.view(np.complex64)[..., 0]
        return self._with_copies(field, at, box), box

    def _point_amplitude(self, at: StillPlacement) -> NDArray:
        """Amplitude of a point so that a row of them in phase has envelope 1 after the point spread."""
        sx, sy = self.look.sigma_px
        across = np.hypot(sx * np.sin(at.slope_rad), sy * np.cos(at.slope_rad))
        steps = np.hypot(np.diff(at.x_px), np.diff(at.y_px))
        step = np.concatenate([steps[:1], steps]) if len(steps) else np.full(1, STEP_MM / self.mm_per_px)
        # A needle across the plane puts many points into one resolution cell; their sum is bounded like a reflector's.
        return np.maximum(step, 0.02) * math.sqrt(2.0 * math.pi) * across

    def _box(self, at: StillPlacement) -> tuple[int, int, int, int]:
        """Part of the picture that the echo can reach."""
        w, h = self.size_px
        sx, sy = self.look.sigma_px
        n, x, y = self.needle.kind, at.x_px[at.inside], at.y_px[at.inside]
        tail = int((n.reverb_mm * n.reverb_copies + n.gauge_mm + (2.2 if n.comet else 0.0)) / self.mm_per_px)
        mx, my = int(4 * sx) + 3, int(4 * sy) + 3
        y0, y1 = max(0, int(y.min()) - my), min(h, int(y.max()) + my + tail + 1)
        x0, x1 = max(0, int(x.min()) - mx), min(w, int(x.max()) + mx + 1)
        return y0, y1, x0, x1

    def _with_copies(self, field: Complex64, at: StillPlacement, box: tuple[int, int, int, int]) -> Complex64:
        """Back wall, reverberation and comet tail below the echo."""
        n, mm = self.needle.kind, self.mm_per_px
        out = field.copy()
        if n.back_wall > 0:
            _add_below(out, field, round(n.gauge_mm / mm), n.back_wall, self.copies[0])
        # Reverberation needs the mirror-like echo: it fades with the specular lobe.
        mirror = float(np.max(10.0 ** (shaft_gain_db(at.beam_deg[at.inside], 0.02) / 20.0)))
        for k in range(1, n.reverb_copies + 1):
            _add_below(out, field, round(k * n.reverb_mm / mm), mirror * n.reverb_decay**k, self.copies[k])
        if n.comet:
            # Across the plane the dot trails the comet, else the tip does.
            last = int(np.argmax(at.weight * at.inside)) if self.needle.approach == "out-of-plane" else -1
            middle = float(at.x_px[last])
            columns = np.arange(field.shape[1]) + box[2] - middle
            near = field * np.exp(-0.5 * (columns / (3.0 * self.look.sigma_px[0])) ** 2).astype(np.float32)
            for k in range(1, COMET_COPIES + 1):
                _add_below(out, near, round(0.2 * k / mm), 0.7**k, self.copies[4 + k])
        return out

    def _shadowed(self, picture: Float32, at: StillPlacement) -> Float32:
        """A copy of the picture, darker below the needle."""
        out, near = picture.copy(), at.inside
        if self.needle.kind.shadow_db < 0.3 or near.sum() < 4:
            return out
        order = np.argsort(at.x_px[near])
        xs, ys, ws = (v[near][order] for v in (at.x_px, at.y_px, at.weight))
        first, last = max(0, int(xs[0])), min(picture.shape[1], int(xs[-1]) + 1)
        if last - first < 2:
            return out
        columns = np.arange(first, last)
        top = np.interp(columns, xs, ys).astype(np.float32)
        weight = cv2.GaussianBlur(np.interp(columns, xs, ws).reshape(1, -1), (0, 0), 2.0)[0]
        # The beam is wider than the shadow's edge: it begins and ends over millimetres.
        soft_px = max(2.0, SHADOW_EDGE_MM / self.mm_per_px)
        ends = np.minimum(columns - first + 0.5, last - columns - 0.5) / soft_px
        fade = np.where(ends < 1.0, 0.5 - 0.5 * np.cos(np.pi * np.clip(ends, 0.0, 1.0)), 1.0)
        half_gauge = np.float32(self.needle.kind.gauge_mm / 2 / self.mm_per_px)
        below = np.arange(len(picture), dtype=np.float32)[:, None] - top[None, :] - half_gauge
        soft = np.clip(below / np.float32(0.5 / self.mm_per_px), 0.0, 1.0)
        # The beam passes the thin needle on both sides and fills the shadow in with depth.
        soft *= SHADOW_KEPT + (1.0 - SHADOW_KEPT) * np.exp(-np.maximum(below, 0.0) * np.float32(self.mm_per_px / 8.0))
        loss = (self.needle.kind.shadow_db * self.look.grey_per_db * weight * fade).astype(np.float32)
        part = out[:, first:last]
        out[:, first:last] = part - np.minimum(soft * loss[None, :], np.float32(0.6) * part)
        return out


def _splat(pairs: Float32, x: NDArray, y: NDArray, real: NDArray, imaginary: NDArray) -> None:
    """Add points to the four pixels around each, by their distance."""
    h, w = pairs.shape[:2]
    left, up = np.floor(x).astype(int), np.floor(y).astype(int)
    fx, fy = x - left, y - up
    for dx, dy, share in ((0, 0, (1 - fx) * (1 - fy)), (1, 0, fx * (1 - fy)), (0, 1, (1 - fx) * fy), (1, 1, fx * fy)):
        column, row = left + dx, up + dy
        keep = (column >= 0) & (column < w) & (row >= 0) & (row < h)
        at = (row * w + column)[keep]
        for part, values in enumerate((real, imaginary)):
            pairs[..., part] += np.bincount(at, (values * share)[keep], minlength=w * h).reshape(h, w)


def _add_below(out: Complex64, field: Complex64, rows: int, share: float, phase: float) -> None:
    if 0 < rows < len(field):
        out[rows:] += np.complex64(share * complex(math.cos(phase), math.sin(phase))) * field[:-rows]
