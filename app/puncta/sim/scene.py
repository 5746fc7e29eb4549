"""Tissue as the moving probe sees it: which scatterers are in the field, how strong they are, where they show.

Tissue is sampled at an anchor: the pose of the probe when it had last moved far enough from the anchor before. So what
a frame shows does not depend on which frames were rendered before it.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from puncta.sim.fluid import dim_fluid
from puncta.sim.machines import Machine
from puncta.sim.plane import BeamTable, Block, Conform, Delay, Plane, beam_nodes, table_on
from puncta.sim.pose import ProbePose, SceneState
from puncta.sim.render import Complex64
from puncta.sim.scan import Scan
from puncta.sim.scatterers import STALE_ACROSS_MM, STALE_WITHIN_MM, Points, Speckle, Track, splat
from puncta.sim.subject import Subject
from puncta.sim.surfaces import Surfaces

TABLE_STEP_MM = 0.8
"""Node distance of the displacement table [mm]; the field itself is smooth over millimetres."""


class _Field(Protocol):
    def at(
        self, state: SceneState, x_mm: NDArray, y_mm: NDArray, z_mm: NDArray
    ) -> tuple[NDArray, NDArray]: ...


class Shown:
    """Displacement of tissue at rest as it shows: the subject's own, and the bend under a convex face."""

    def __init__(self, inner: _Field, scan: Scan, conform: Conform) -> None:
        self.inner, self.scan, self.conform = inner, scan, conform

    def at(
        self, state: SceneState, x_mm: NDArray | float, y_mm: NDArray | float, z_mm: NDArray | float
    ) -> tuple[NDArray, NDArray]:
        """Displacement (ux, uz) [mm] of tissue points given at rest in tissue space [mm]; arrays broadcast."""
        x, y, z = (np.asarray(v) for v in (x_mm, y_mm, z_mm))
        ux, uz = self.inner.at(state, x, y, z)
        if not self.scan.convex:
            return ux, uz
        axes = state.probe.axes()
        px, _, pz = state.probe.probe_from_tissue(x, y, z)
        r, c = self.scan.beam_from_mm(px, pz)
        bx, bz = self.scan.mm_from_beam(self.conform.picture_r(r, c), c)
        dx, dz = bx - px, bz - pz
        return ux + dx * axes[0, 0] + dz * axes[2, 0], uz + dx * axes[0, 2] + dz * axes[2, 2]

    def unbend(
        self, state: SceneState, x_mm: NDArray, y_mm: NDArray | float, z_mm: NDArray
    ) -> tuple[NDArray, NDArray]:
        """Where (x, z) [mm] of tissue that the face has bent lay before; the subject's own displacement stays."""
        if not self.scan.convex:
            return x_mm, z_mm
        axes = state.probe.axes()
        px, _, pz = state.probe.probe_from_tissue(x_mm, y_mm, z_mm)
        r, c = self.scan.beam_from_mm(px, pz)
        bx, bz = self.scan.mm_from_beam(self.conform.tissue_r(r, c), c)
        dx, dz = bx - px, bz - pz
        return x_mm + dx * axes[0, 0] + dz * axes[2, 0], z_mm + dx * axes[0, 2] + dz * axes[2, 2]


class Scene:
    """One subject under one machine's probe.

    Attributes
    ----------
    plane : Plane
        The subject at the anchor.
    speckle : Speckle
    shown : Shown
    """

    def __init__(
        self, subject: Subject, scan: Scan, machine: Machine, deformation: _Field, rng: np.random.Generator
    ) -> None:
        self.scan, self.machine = scan, machine
        self.block = Block(subject)
        self.conform = Conform(scan)
        self.deformation = deformation
        self.shown = Shown(deformation, scan, self.conform)
        self.speckle = Speckle(scan, machine, rng)
        self.surfaces = Surfaces(subject, scan, machine, self.speckle.density, rng)
        self.wave = 4.0 * np.pi / machine.wavelength_mm
        self.tgc = Plane(self.block, scan, machine, self.conform, ProbePose()).tgc
        self._nodes = beam_nodes(scan, TABLE_STEP_MM, 3.0, 3.0, 1.12)
        gr, gc = np.meshgrid(*self._nodes, indexing="ij")
        self._gr, self._gc = gr, gc
        # Nodes are places at rest; under a convex face they show bent.
        self._rx, self._rz = (v.astype(np.float32) for v in scan.mm_from_beam(gr, gc))
        self._gx, self._gz = (v.astype(np.float32) for v in scan.mm_from_beam(self.conform.picture_r(gr, gc), gc))
        self.track: Track | None = None
        self.anchor: Track | None = None
        self._gathered: Track | None = None
        self._plane: Plane | None = None
        self._points: Points | None = None
        self._delay: tuple[Track, Delay] | None = None

    def typical_level_db(self) -> float:
        """Median echo level in the field, held neutrally [dB]."""
        r, c = np.meshgrid(np.linspace(1.0, self.scan.depth_mm, 60), np.linspace(-0.9, 0.9, 40) * self.scan.half_c)
        x, z = self.scan.mm_from_beam(r.ravel(), c.ravel())
        return float(np.median(self.block.trilinear(self.block.level, x, 0.0, z)))

    def move(self, state: SceneState) -> None:
        """Follow the probe to the next frame's pose."""
        if self.track is None or self.anchor is None:
            self.track = self.anchor = Track(ProbePose()).to(state.probe)
            return
        self.track = self.track.to(state.probe)
        across, within = self.track.distance(self.anchor, self.scan)
        if across > STALE_ACROSS_MM or within > STALE_WITHIN_MM:
            self.anchor = self.track

    @property
    def plane(self) -> Plane:
        """The subject at the anchor."""
        self._gather()
        assert self._plane is not None
        return self._plane

    @property
    def delay(self) -> Delay:
        """Apparent against real depth on this frame's pose, from the anchor's, so that it never jumps."""
        assert self.track is not None and self.anchor is not None
        if self._delay is None or self._delay[0] is not self.track:
            now, then = self.track, self.anchor
            along = now.u_mm - then.u_mm
            if self.scan.convex:
                along = along / (self.scan.radius_mm + 0.4 * self.scan.depth_mm)
                along += now.pose.rock_rad - then.pose.rock_rad
            self._delay = (now, self.plane.delay.moved(now.pose.press_mm - then.pose.press_mm, along))
        return self._delay[1]

    def _gather(self) -> Points:
        assert self.anchor is not None
        if self._points is None or self._gathered is not self.anchor:
            self._gathered = self.anchor
            self._plane = Plane(self.block, self.scan, self.machine, self.conform, self.anchor.pose, self.tgc)
            parts = [self.speckle.gather(self.anchor, self._plane), *self.surfaces.gather(self.anchor, self._plane)]
            self._points = Points.joined(parts)
        return self._points

    def displacements(self, state: SceneState) -> BeamTable:
        """Where tissue shows against where it rests: (dr, dc) over beam space, with face's bend and delay."""
        pose = state.probe
        x, y, z = pose.tissue_from_probe(self._rx, 0.0, self._rz)
        ux, uz = self.deformation.at(state, x.astype(np.float32), np.asarray(y, np.float32), z.astype(np.float32))
        a = pose.axes()
        px = self._gx + ux * np.float32(a[0, 0]) + uz * np.float32(a[0, 2])
        pz = self._gz + ux * np.float32(a[2, 0]) + uz * np.float32(a[2, 2])
        r, c = self.scan.beam_from_mm(px, pz)
        shown = self.delay.apparent(r, c)
        return table_on(*self._nodes, np.stack([shown - self._gr, c - self._gc], axis=-1))

    def splat(self, state: SceneState) -> Complex64:
        """All scatterers of this frame on the beam grid."""
        assert self.track is not None
        grid = splat(self._gather(), self.track, self.scan, self.displacements(state), self.wave)
        dim_fluid(grid, state, self.scan, self.delay)
        return grid
