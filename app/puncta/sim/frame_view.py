"""What one frame looks at: the state of everything that moves, the delay of its plane, and the needle laid into it.

From this and the subject alone the frame's truth is worked out. Three spaces [mm]: tissue space at rest, tissue space
now (moved by the `Deformation`; needle, target under pressure and fluids lie here), and probe space, whose z is the
depth at which things appear.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from puncta.sim.pose import SceneState
from puncta.sim.scan import Scan

UNDO_STEPS = 3
"""Fixed-point steps that undo a delay, which changes slowly with depth."""
REST_STEPS, REST_MM = 9, 0.02
"""Most fixed-point steps that undo a displacement, and the change [mm] at which they end."""


class Delay(Protocol):
    """How deep things appear: the machine takes 1540 m/s for every tissue."""

    def apparent(self, r: NDArray, c: NDArray) -> NDArray:
        """Apparent depth [mm] of beam coordinates: true depth ``r`` [mm] along the beam ``c``; same shape."""
        ...


class Displacement(Protocol):
    """How tissue has moved, see `puncta.sim.deform.Deformation`."""

    def at(self, state: SceneState, x_mm: NDArray, y_mm: NDArray, z_mm: NDArray) -> tuple[NDArray, NDArray]:
        """Displacement (x, z) [mm] of tissue points given at rest."""
        ...


@runtime_checkable
class Bent(Protocol):
    """A displacement that is another one on top of a bend which can be undone exactly."""

    @property
    def inner(self) -> Displacement:
        """What is left without the bend."""
        ...

    def unbend(self, state: SceneState, x: NDArray, y: NDArray, z: NDArray) -> tuple[NDArray, NDArray]:
        """Return where (x, z) [mm] of bent tissue lies unbent."""
        ...


class Placement(Protocol):
    """The needle on one frame in samples from the skin to the tip, each an array of shape (N,).

    ``s`` way from the skin [mm]; ``x``, ``z`` where it appears in probe space [mm]; ``y`` distance from the image plane
    [mm], signed; ``weight`` of the beam's thickness 0..1; ``shade_db`` level left after the tissue in front [dB];
    ``inside`` the field.
    """

    @property
    def s(self) -> NDArray: ...
    @property
    def x(self) -> NDArray: ...
    @property
    def y(self) -> NDArray: ...
    @property
    def z(self) -> NDArray: ...
    @property
    def weight(self) -> NDArray: ...
    @property
    def shade_db(self) -> NDArray: ...
    @property
    def inside(self) -> NDArray[np.bool_]: ...


@dataclass(frozen=True, slots=True, eq=False)
class FrameView:
    """One frame as its truth sees it.

    Attributes
    ----------
    state : SceneState
    delay : Delay or None
        Of this frame's plane; None where every tissue has the machine's speed.
    needle : Placement or None
        None without a needle under the skin.
    """

    state: SceneState
    delay: Delay | None = None
    needle: Placement | None = None


def appear(
    state: SceneState, scan: Scan, delay: Delay | None, x: NDArray, y: NDArray | float, z: NDArray
) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Return where points of tissue space appear.

    Parameters
    ----------
    x, y, z : ndarray
        Where the points lie now, after the tissue's displacement [mm].

    Returns
    -------
    x, y, z : ndarray
        Probe space [mm]: x and z as they appear, y the true distance from the image plane.
    r : ndarray
        True depth along the beam [mm].
    """
    px, py, pz = state.probe.probe_from_tissue(x, y, z)
    r, c = scan.beam_from_mm(px, pz)
    if delay is not None:
        px, pz = scan.mm_from_beam(np.asarray(delay.apparent(r, c)), c)
    return px, py, pz, r


def true_depth(delay: Delay | None, r_apparent: NDArray, c: NDArray) -> NDArray:
    """Return the true depth [mm] of what appears at a depth: ``apparent`` undone by fixed-point steps."""
    if delay is None:
        return r_apparent
    r = r_apparent
    for _ in range(UNDO_STEPS):
        r = r + (r_apparent - delay.apparent(r, c))
    return r


def rest_point(
    deformation: Displacement | None, state: SceneState, x: NDArray, y: NDArray, z: NDArray
) -> tuple[NDArray, NDArray]:
    """Return where (x, z) [mm] of tissue that now lies at these points rests: the displacement undone.

    Fixed point of r = p - u(r), each point's steps drawn out by how much they shrink (Aitken's way), since the fixed
    point alone is slow in a vein that is pressed flat. Where injected fluid lies there is no tissue, and the answer
    means nothing.
    """
    if deformation is None:
        return x, z
    # The bend under a convex face is undone in closed form, which leaves the steps only what is small.
    bent = deformation if isinstance(deformation, Bent) else None
    inner = bent.inner if bent is not None else deformation
    at_x, at_z = bent.unbend(state, x, y, z) if bent is not None else (x, z)
    last_x = last_z = None
    for _ in range(REST_STEPS):
        ux, uz = inner.at(state, at_x, y, at_z)
        wanted_x, wanted_z = x - ux, z - uz
        if bent is not None:
            wanted_x, wanted_z = bent.unbend(state, wanted_x, y, wanted_z)
        dx, dz = wanted_x - at_x, wanted_z - at_z
        ratio: NDArray | float = 0.0
        if last_x is not None and last_z is not None:
            ratio = np.clip((dx * last_x + dz * last_z) / (last_x**2 + last_z**2 + 1e-12), -0.9, 0.9)
        at_x, at_z = at_x + dx / (1.0 - ratio), at_z + dz / (1.0 - ratio)
        if max(float(np.abs(dx).max()), float(np.abs(dz).max())) < REST_MM:
            break
        last_x, last_z = dx, dz
    return at_x, at_z
