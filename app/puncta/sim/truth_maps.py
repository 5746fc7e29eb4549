"""Maps of a frame's truth, made on demand: masks of the needle, kinds of tissue, optical flow of the tissue.

A map is worked out backwards: from a pixel along its beam to the true depth, through the probe's pose to tissue space,
back to where that tissue rests, and there into the block. That way runs over a coarse grid of pixels and is
interpolated between them, since poses, delays and displacements change slowly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from puncta.sim.frame_view import Displacement, FrameView, Placement, appear, rest_point, true_depth
from puncta.sim.pose import SceneState
from puncta.sim.scan import Scan
from puncta.sim.subject import Subject
from puncta.sim.tissue_kinds import Tissue
from puncta.sim.truth_scene import normals, seen_part

GRID_MM = 0.6
"""Spacing of the coarse grid [mm], but no less than `GRID_PX`."""
GRID_PX = 4
SKIN_Z_MM = 0.0
Float32 = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class _Rest:
    """The coarse grid of a frame: where what shows there lies now and rests [mm]; arrays of shape (gh, gw)."""

    now_x: NDArray
    now_z: NDArray
    y: NDArray
    rest_x: NDArray
    rest_z: NDArray


class TruthMaps:
    """Works out the maps of one cine's frames.

    Parameters
    ----------
    subject : Subject
    scan : Scan
    deformation : Displacement or None
        None where nothing moves but probe and needle.
    gauge_mm : float
        Outer diameter of the needle [mm].
    """

    def __init__(
        self, subject: Subject, scan: Scan, deformation: Displacement | None = None, *, gauge_mm: float = 1.0
    ) -> None:
        self.subject = subject
        self.scan = scan
        self.deformation = deformation
        self.gauge_mm = gauge_mm
        _, _, w, h = scan.layout.region
        left, top, right, _ = scan.extent_mm
        self.scale = (right - left) / w
        self.step = max(GRID_PX, int(GRID_MM / self.scale) // 2 * 2)
        # Nodes lie in the middle of blocks of step x step pixels, so that a plain enlargement puts them back; one more
        # block on every side keeps the region's border between nodes.
        self._blocks = (math.ceil(w / self.step) + 2, math.ceil(h / self.step) + 2)
        self._px = (np.arange(self._blocks[0]) - 0.5) * self.step - 0.5
        self._py = (np.arange(self._blocks[1]) - 0.5) * self.step - 0.5
        x, z = np.meshgrid(left + (self._px + 0.5) * self.scale, top + (self._py + 0.5) * self.scale)
        self._r, self._c = scan.beam_from_mm(x, z)
        self._field: Mask | None = None
        if scan.convex:
            fx, fz = np.meshgrid(left + (np.arange(w) + 0.5) * self.scale, top + (np.arange(h) + 0.5) * self.scale)
            self._field = scan.inside(fx, fz)
        self._last: tuple[FrameView, _Rest] | None = None

    def label_map(self, view: FrameView) -> NDArray[np.uint8]:
        """Return the kinds of tissue where they appear, shape (H, W) of the whole picture, `Tissue` numbers.

        OUTSIDE beyond the scan, GEL between skin and probe, FLUID where it was injected. The needle is no tissue: the
        map shows what lies around it.
        """
        layout = self.scan.layout
        x0, y0, w, h = layout.region
        out = np.zeros((layout.height_px, layout.width_px), np.uint8)
        out[y0 : y0 + h, x0 : x0 + w] = self.region_labels(view)
        return out

    def region_labels(self, view: FrameView, every: int = 1) -> NDArray[np.uint8]:
        """Return the label map of the region alone, shape (h, w); ``every`` 2 gives it at half the size."""
        rest = self._rest_of(view)
        lattice, label = self.subject.lattice, self.subject.label
        ny, nz, nx = lattice.shape
        (ox, oy, oz), (sx, sy, sz) = lattice.origin_mm, lattice.step_mm
        fine = self.enlarge(np.stack([(rest.rest_x - ox) / sx, (rest.rest_z - oz) / sz], -1), every)
        # As in the picture, tissue is mirrored at the block's sides, and its lowest row goes on below.
        column = np.rint(nx - 1 - np.abs(np.mod(fine[..., 0], 2 * (nx - 1)) - (nx - 1))).astype(np.int32)
        row = np.rint(np.clip(fine[..., 1], 0, nz - 1)).astype(np.int32)
        cell = row * nx + column
        slices = np.clip((rest.y - oy) / sy, 0, ny - 1)
        low, high = np.rint(slices.min()), np.rint(slices.max())
        if low != high:
            slab = self.enlarge(slices[..., None], every)[..., 0]
            cell += np.rint(slab).astype(np.int32) * (nz * nx)
        else:
            cell += int(low) * (nz * nx)
        out = np.take(label.reshape(-1), cell)
        out[fine[..., 1] < (SKIN_Z_MM - oz) / sz] = Tissue.GEL
        if view.state.boluses:
            self._fill_boluses(out, view.state, rest, every)
        if self._field is not None:
            out[~self._field[::every, ::every]] = Tissue.OUTSIDE
        return out

    def _fill_boluses(self, out: NDArray[np.uint8], state: SceneState, rest: _Rest, every: int) -> None:
        now = self.enlarge(np.stack([rest.now_x, rest.y, rest.now_z], -1), every)
        for bolus in state.boluses:
            if min(bolus.radius_mm) <= 0:
                continue
            off = (now - np.asarray(bolus.centre_mm, np.float32)) / np.asarray(bolus.radius_mm, np.float32)
            out[np.einsum("ijk,ijk->ij", off, off) < 1.0] = Tissue.FLUID

    def optical_flow(self, view: FrameView, after: FrameView) -> Float32:
        """Return where the tissue at each pixel goes from one frame to a later one, (x, y) [px].

        What shows at pixel p of the first frame shows at p + flow[p] of the second. Pixels on the needle's shaft move
        with the needle. Injected fluid moves as the tissue around it; where tissue leaves the image plane the flow is
        its motion as seen in the picture.

        Returns
        -------
        ndarray of float32, shape (h, w, 2)
            Over the region.
        """
        rest = self._rest_of(view)
        x, z = rest.rest_x, rest.rest_z
        if self.deformation is not None:
            ux, uz = self.deformation.at(after.state, x, rest.y, z)
            x, z = x + ux, z + uz
        px, _, pz, _ = appear(after.state, self.scan, after.delay, x, rest.y, z)
        left, top, _, _ = self.scan.extent_mm
        coarse = np.stack([
            (px - left) / self.scale - 0.5 - self._px[None, :], (pz - top) / self.scale - 0.5 - self._py[:, None],
        ], -1)
        flow = self.enlarge(coarse)
        self._move_with_needle(flow, view, after)
        if self._field is not None:
            flow[~self._field] = 0.0
        return flow

    def _move_with_needle(self, flow: Float32, view: FrameView, after: FrameView) -> None:
        at, needle, moved = view.needle, view.state.needle, after.state.needle
        if at is None or needle is None or moved is None:
            return
        x0, y0, w, h = self.scan.layout.region
        mask = self.physical_mask(view)[y0 : y0 + h, x0 : x0 + w]
        if not mask.any():
            return
        # A place of the shaft keeps its distance from the tip.
        x, y, z = moved.points(at.s - needle.way_mm + moved.way_mm)
        px, _, pz, _ = appear(after.state, self.scan, after.delay, x, y, z)
        from_x, from_y = (np.asarray(v) for v in self.scan.px_from_mm(at.x, at.z))
        to_x, to_y = (np.asarray(v) for v in self.scan.px_from_mm(px, pz))
        rows, cols = np.nonzero(mask)
        nearest = _nearest(from_x - x0, from_y - y0, cols, rows)
        flow[rows, cols, 0] = (to_x - from_x)[nearest]
        flow[rows, cols, 1] = (to_y - from_y)[nearest]

    def physical_mask(self, view: FrameView) -> Mask:
        """Return the shaft's projection onto the picture, one gauge wide, from skin to tip, shape (H, W).

        It holds the whole shaft in the field, also parts that lie off the image plane and do not show.
        """
        return self._shaft_mask(view.needle, None)

    def visible_mask(self, view: FrameView) -> Mask:
        """Return the part of the shaft that shows: inside the beam's thickness (weight > .3) and not shadowed."""
        at = view.needle
        return self._shaft_mask(at, None if at is None else seen_part(at))

    def _shaft_mask(self, at: Placement | None, part: Mask | None) -> Mask:
        layout = self.scan.layout
        canvas = np.zeros((layout.height_px, layout.width_px), np.uint8)
        if at is not None:
            wanted = at.inside if part is None else part & at.inside
            # Filling also sets the pixels that the border touches: half a pixel on each side is theirs.
            half = max(self.gauge_mm / 2 - 0.5 * layout.mm_per_px, 0.25 * layout.mm_per_px)
            nx, nz = normals(at)
            for first, last in _runs(wanted):
                piece = slice(max(0, first - 1), last + 1) if last - first < 2 else slice(first, last)
                xs = np.concatenate([at.x[piece] + half * nx[piece], (at.x[piece] - half * nx[piece])[::-1]])
                zs = np.concatenate([at.z[piece] + half * nz[piece], (at.z[piece] - half * nz[piece])[::-1]])
                px, py = self.scan.px_from_mm(xs, zs)
                points = np.rint(np.stack([px, py], -1) * 16).astype(np.int32)
                cv2.fillPoly(canvas, [points[:, None]], 1, cv2.LINE_8, 4)
        x0, y0, w, h = layout.region
        mask = np.zeros(canvas.shape, bool)
        mask[y0 : y0 + h, x0 : x0 + w] = canvas[y0 : y0 + h, x0 : x0 + w] > 0
        if self._field is not None:
            mask[y0 : y0 + h, x0 : x0 + w] &= self._field
        return mask

    def _rest_of(self, view: FrameView) -> _Rest:
        """Work the coarse grid back to the tissue at rest; the last frame's is kept, since flow and labels share it."""
        if self._last is not None and self._last[0] is view:
            return self._last[1]
        r = true_depth(view.delay, self._r, self._c)
        x, z = self.scan.mm_from_beam(r, self._c)
        now_x, y, now_z = view.state.probe.tissue_from_probe(x, 0.0, z)
        rest_x, rest_z = rest_point(self.deformation, view.state, now_x, y, now_z)
        rest = _Rest(now_x, now_z, np.broadcast_to(y, now_x.shape), rest_x, rest_z)
        self._last = (view, rest)
        return rest

    def nodes(self, view: FrameView) -> tuple[NDArray, NDArray]:
        """Return the coarse grid in beam coordinates: true depth [mm] and lateral place, arrays of shape (gh, gw)."""
        return true_depth(view.delay, self._r, self._c), self._c

    def enlarge(self, coarse: NDArray, every: int = 1) -> Float32:
        """Interpolate node values of shape (gh, gw, n) at the region's pixels, shape (h, w, n); ``every`` is 1 or 2."""
        _, _, w, h = self.scan.layout.region
        step = self.step // every
        size = (self._blocks[0] * step, self._blocks[1] * step)
        fine = cv2.resize(coarse.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
        fine = fine.reshape(size[1], size[0], coarse.shape[-1])
        return np.ascontiguousarray(fine[step : step - (-h // every), step : step - (-w // every)])


def _runs(part: Mask) -> list[tuple[int, int]]:
    """First and one past the last of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], part, [False]]).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _nearest(xs: NDArray, ys: NDArray, cols: NDArray, rows: NDArray) -> NDArray[np.intp]:
    """Index of the polyline's sample nearest each pixel, by walking along its longer direction."""
    along, at = (xs, cols) if np.ptp(xs) >= np.ptp(ys) else (ys, rows)
    order = np.argsort(along, kind="stable")
    place = np.clip(np.searchsorted(along[order], at), 1, len(order) - 1)
    before = np.abs(at - along[order[place - 1]]) <= np.abs(along[order[place]] - at)
    return order[place - before.astype(np.intp)]
