"""The probe's plane through a subject: sampling the block, attenuation and delay along beams, where tissue shows.

Three spaces follow each other. Tissue space is the subject's. Probe space is the plane's own: x lateral, y off the
plane, z down from the middle of the face. Beam space is (r, c) of `Scan`. A convex face presses the skin into its own
curve: tissue near it is moved up along the beams, so that skin lies on the face (`conform`). What is seen at r shows at
``r + delay``: a scanner counts depth with 1540 m/s whatever the tissue does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from puncta.sim.machines import Machine
from puncta.sim.pose import ProbePose
from puncta.sim.scan import Scan
from puncta.sim.subject import Float32, Subject
from puncta.sim.tissue_kinds import FACTS, Tissue

SCANNER_SPEED_M_S = 1540.0
LANES = 256
"""Width in which long lists of points are handed to `cv2.remap`, which takes at most 32767 rows."""


def remap_points(image: NDArray, columns: Float32, rows: Float32, kind: int = cv2.INTER_LINEAR) -> NDArray:
    """Sample an image at lists of places, borders repeated; returns (N,) or (N, channels)."""
    n = len(columns)
    short = -n % LANES
    if short:
        fill = np.zeros(short, np.float32)
        columns, rows = np.concatenate([columns, fill]), np.concatenate([rows, fill])
    out = cv2.remap(image, columns.reshape(-1, LANES), rows.reshape(-1, LANES), kind, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(out).reshape(n + short, *image.shape[2:])[:n]


class Block:
    """Fast look-up in a subject's maps.

    The slices of a map lie one below the other as one tall picture, so that a bilinear look-up in two of them and a
    blend give the trilinear value. Beside the block, tissue goes on as in a mirror; below it, the last row repeats.
    """

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        lattice = subject.lattice
        self.ny, self.nz, self.nx = lattice.shape
        self.level = np.ascontiguousarray(subject.level_db, np.float32).reshape(-1, self.nx)
        self.attenuation = np.ascontiguousarray(subject.attenuation, np.float32).reshape(-1, self.nx)
        self.label = np.ascontiguousarray(subject.label, np.uint8).reshape(-1, self.nx)
        (self.x0, self.y0, self.z0), (self.sx, self.sy, self.sz) = lattice.origin_mm, lattice.step_mm
        excess = np.zeros(256, np.float32)
        for kind, facts in FACTS.items():
            # Sound hardly comes back from beyond bone, lung and air; their speeds would only tear the picture.
            if kind not in (Tissue.BONE, Tissue.LUNG, Tissue.AIR, Tissue.OUTSIDE):
                excess[kind] = SCANNER_SPEED_M_S / facts.sound_speed_m_s - 1.0
        self.delay_rate = excess

    def columns(self, x: NDArray) -> Float32:
        """Fractional columns of places [mm], mirrored at the block's sides."""
        u = (np.asarray(x, np.float32) - np.float32(self.x0)) * np.float32(1.0 / self.sx)
        last = np.float32(self.nx - 1)
        if u.size and (float(u.min()) < 0 or float(u.max()) > last):
            u = last - np.abs(np.mod(u, 2 * last) - last)
        return u

    def slices(self, y: NDArray | float) -> Float32:
        """Fractional slices of places [mm], held at the block's ends."""
        v = (np.asarray(y, np.float32) - np.float32(self.y0)) * np.float32(1.0 / self.sy)
        return np.clip(v, 0.0, self.ny - 1.0)

    def rows(self, z: NDArray) -> Float32:
        """Fractional rows of places [mm], held at the block's top and bottom."""
        w = (np.asarray(z, np.float32) - np.float32(self.z0)) * np.float32(1.0 / self.sz)
        return np.clip(w, 0.0, self.nz - 1.001)

    def trilinear(self, image: Float32, x: NDArray, y: NDArray | float, z: NDArray) -> Float32:
        """Sample one of the tall maps at tissue points [mm], arrays of shape (N,)."""
        u, v, w = self.columns(x), self.slices(y), self.rows(z)
        below = np.minimum(np.floor(v), self.ny - 2) if self.ny > 1 else np.zeros_like(v)
        share = v - below
        first = w + below * np.float32(self.nz)
        near = remap_points(image, u, first)
        if self.ny == 1 or not np.any(share > 1e-4):
            return near
        far = remap_points(image, u, first + np.float32(self.nz))
        return near + share * (far - near)

    def labels(self, x: NDArray, y: NDArray | float, z: NDArray) -> NDArray[np.uint8]:
        """Nearest label at tissue points [mm], arrays of shape (N,)."""
        u, w = self.columns(x), np.rint(self.rows(z))
        return remap_points(self.label, u, w + np.rint(self.slices(y)) * np.float32(self.nz), cv2.INTER_NEAREST)


@dataclass(frozen=True, slots=True)
class BeamTable:
    """A smooth quantity on a coarse grid over beam space, any number of channels; sampled bilinearly.

    Attributes
    ----------
    values : ndarray of float32, shape (nr, nc) or (nr, nc, k)
    r0, dr, c0, dc : float
        Place of the first node and steps, [mm] and beam's lateral unit.
    """

    values: Float32
    r0: float
    dr: float
    c0: float
    dc: float

    def sample(self, r: NDArray, c: NDArray) -> Float32:
        """Values at beam coordinates of any shape, held at the borders."""
        shape = np.shape(r)
        rows = np.asarray(r, np.float32).ravel() * np.float32(1.0 / self.dr)
        rows -= np.float32(self.r0 / self.dr)
        cols = np.asarray(c, np.float32).ravel() * np.float32(1.0 / self.dc)
        cols -= np.float32(self.c0 / self.dc)
        return remap_points(self.values, cols, rows).reshape(*shape, *self.values.shape[2:])


def beam_nodes(
    scan: Scan, step_mm: float, top_mm: float, margin_mm: float, share: float = 1.15
) -> tuple[Float32, Float32]:
    """Nodes (r, c) of a coarse grid over beam space with a margin; r in [mm] from ``-top_mm`` on."""
    reach = scan.depth_mm + margin_mm + top_mm
    nr = max(4, int(round(reach / step_mm)) + 1)
    arc = 2.0 * scan.half_c * share * ((scan.radius_mm + 0.6 * scan.depth_mm) if scan.convex else 1.0)
    nc = max(4, int(round(arc / step_mm)) + 1)
    half = scan.half_c * share
    down = np.linspace(-top_mm, reach - top_mm, nr)
    return down.astype(np.float32), np.linspace(-half, half, nc).astype(np.float32)


def table_on(r: Float32, c: Float32, values: Float32) -> BeamTable:
    """A table on evenly spaced nodes."""
    return BeamTable(np.ascontiguousarray(values, np.float32), float(r[0]), float(r[1] - r[0]), float(c[0]),
                     float(c[1] - c[0]))


class Conform:
    """How a convex face bends the tissue under it: each beam meets the skin at the face instead of further out."""

    def __init__(self, scan: Scan) -> None:
        self.scan = scan
        widest = scan.radius_mm * (1.0 / np.cos(scan.half_angle) - 1.0) if scan.convex else 0.0
        self.reach_mm = max(12.0, 2.4 * float(widest))

    def _gap(self, c: NDArray) -> NDArray:
        limit = 1.2 * self.scan.half_angle
        return self.scan.radius_mm * (1.0 / np.cos(np.clip(c, -limit, limit)) - 1.0)

    def tissue_r(self, r: NDArray, c: NDArray) -> NDArray:
        """Depth along the beam in unbent tissue [mm] of what lies at r [mm]."""
        if not self.scan.convex:
            return r
        return r + self._gap(c) * np.exp(-((np.maximum(r, 0.0) / self.reach_mm) ** 2))

    def picture_r(self, r: NDArray, c: NDArray) -> NDArray:
        """Inverse of ``tissue_r``, by Newton's method."""
        if not self.scan.convex:
            return r
        gap, wanted = self._gap(c), np.asarray(r)
        out = wanted - gap * np.exp(-((np.maximum(wanted, 0.0) / self.reach_mm) ** 2))
        for _ in range(4):
            inside = np.maximum(out, 0.0) / self.reach_mm
            bump = gap * np.exp(-(inside**2))
            out = out - (out + bump - wanted) / (1.0 - 2.0 * inside / self.reach_mm * bump)
        return out

    def crowding(self, rest_r: NDArray, r: NDArray, c: NDArray) -> NDArray:
        """Area at rest of a unit area of the picture at ``r``, which rests at ``rest_r`` (linear: 1)."""
        if not self.scan.convex:
            return np.ones_like(r)
        inside = np.maximum(r, 0.0) / self.reach_mm
        along = 1.0 - 2.0 * inside / self.reach_mm * self._gap(c) * np.exp(-(inside**2))
        return np.maximum(along, 0.2) * (self.scan.radius_mm + rest_r) / (self.scan.radius_mm + r)


class Delay:
    """Apparent against real depth along the beams: the integral of 1540 / c - 1.

    Parameters
    ----------
    table : BeamTable
        Delay of a pose [mm].
    dr_mm, dc : float
        How far tissue lies deeper and further to the right there than where it is asked for now; the table is then
        that of the same tissue under a probe that has moved on.
    """

    def __init__(self, table: BeamTable, dr_mm: float = 0.0, dc: float = 0.0) -> None:
        self.table = replace(table, r0=table.r0 - dr_mm, c0=table.c0 - dc) if dr_mm or dc else table
        # Tissue that is no longer in front of the face delays nothing.
        self.passed = float(np.median(self.table.sample(np.zeros(9), np.linspace(-0.8, 0.8, 9) * -table.c0)))

    def moved(self, dr_mm: float, dc: float) -> Delay:
        """The same tissue's delay for a probe that has moved."""
        return Delay(self.table, dr_mm, dc)

    def shift(self, r: NDArray, c: NDArray) -> Float32:
        """How much deeper [mm] than its place a thing at (r, c) shows."""
        return self.table.sample(r, c) - np.float32(self.passed)

    def apparent(self, r: NDArray, c: NDArray) -> NDArray:
        """Depth along the beam at which a thing at (r, c) shows [mm]."""
        return np.asarray(r) + self.shift(r, c)

    def real(self, r: NDArray, c: NDArray) -> NDArray:
        """Depth along the beam [mm] of what shows at (r, c): inverse of ``apparent``."""
        out = np.asarray(r, np.float64)
        for _ in range(3):
            out = r - self.shift(out, c)
        return out


def _penumbra(residual: Float32, r: Float32, c: Float32, scan: Scan, machine: Machine) -> Float32:
    """Soften shadows and enhancement sideways, more with depth: an aperture of r / F number looks past obstacles.

    The deviation of rays that start evenly over the aperture and meet at r, halfway up, is r / (4 sqrt(3) F).
    """
    soft = np.asarray(cv2.GaussianBlur(residual, (0, 0), sigmaX=1.5, sigmaY=0.6), np.float32)
    amplitude = np.exp(soft * np.float32(np.log(10.0) / 20.0))
    edges = np.linspace(0, len(r), 9).astype(int)
    out = np.empty_like(amplitude)
    previous = None
    for a, b in zip(edges[:-1], edges[1:], strict=True):
        depth = float(r[(a + b) // 2])
        node_mm = float(c[1] - c[0]) * ((scan.radius_mm + depth) if scan.convex else 1.0)
        sigma = max(0.5, depth / (4.0 * np.sqrt(3.0) * machine.f_number) / node_mm)
        blurred = np.asarray(cv2.GaussianBlur(amplitude[max(0, a - 6) : b], (0, 0), sigmaX=sigma, sigmaY=0.01))
        out[a:b] = blurred[-(b - a) :]
        if previous is not None:  # no step where one band ends
            share = np.linspace(0.0, 1.0, min(7, b - a) + 1, dtype=np.float32)[1:, None]
            old = cv2.GaussianBlur(amplitude[a : a + len(share)], (0, 0), sigmaX=previous, sigmaY=0.01)
            out[a : a + len(share)] = old + share * (out[a : a + len(share)] - old)
        previous = sigma
    return np.asarray(20.0 * np.log10(np.maximum(out, 1e-5)), np.float32)


class Plane:
    """The subject as one pose of the probe sees it: look-ups in beam space, attenuation left over, delay.

    Parameters
    ----------
    tgc : ndarray or None
        Attenuation [dB/cm/MHz] over depth that time-gain compensation gives back; None takes it from this plane.
    """

    def __init__(
        self, block: Block, scan: Scan, machine: Machine, conform: Conform, pose: ProbePose, tgc: Float32 | None = None
    ) -> None:
        self.block, self.scan, self.conform, self.pose = block, scan, conform, pose
        r, c = beam_nodes(scan, 0.3 if scan.depth_mm < 50 else 0.4, 0.0, 6.0)
        if len(c) > 150:
            c = np.linspace(c[0], c[-1], 150).astype(np.float32)
        gr, gc = np.meshgrid(r, c, indexing="ij")
        x, y, z = self.tissue_points(gr.ravel(), gc.ravel())
        alpha = block.trilinear(block.attenuation, x, y, z).reshape(gr.shape)
        if tgc is None:
            # The compensation follows the median beam within the range an operator would set.
            tgc = np.clip(np.median(alpha, axis=1), 0.4, 1.0).astype(np.float32)
        self.tgc = tgc
        step = float(r[1] - r[0])
        loss = np.cumsum((alpha - tgc[:, None]) * np.float32(0.2 * machine.f0_mhz * step), axis=0)
        residual = np.clip(-loss, -70.0, 9.0).astype(np.float32)
        self.residual = table_on(r, c, _penumbra(residual, r, c, scan, machine))
        rate = block.delay_rate[block.labels(x, y, z)].reshape(gr.shape)
        rate = np.asarray(cv2.GaussianBlur(rate, (0, 0), sigmaX=2.0, sigmaY=0.5), np.float32)
        summed = np.cumsum(rate, axis=0) * np.float32(step)
        summed -= 0.5 * rate * np.float32(step)  # to the node itself, not past it
        self.delay = Delay(table_on(r, c, summed))

    def tissue_points(self, r: NDArray, c: NDArray) -> tuple[NDArray, NDArray, NDArray]:
        """Tissue-space points at rest [mm] of beam coordinates in the plane, before delay."""
        x, z = self.scan.mm_from_beam(self.conform.tissue_r(r, c), c)
        return self.pose.tissue_from_probe(x, 0.0, z)

    def level_at(self, r: NDArray, c: NDArray) -> Float32:
        """Backscatter [dB] at beam coordinates, without attenuation; gel fills what lies above the skin."""
        x, y, z = self.tissue_points(r, c)
        level = self.block.trilinear(self.block.level, x, y, z)
        return np.where(z < 0.0, np.float32(FACTS[Tissue.GEL].level_db), level)

