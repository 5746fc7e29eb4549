"""Look-ups in a subject's block: what lies at a place, at rest or as the tissue is displaced on a frame."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from puncta.sim.deform import Deformation
from puncta.sim.frame_view import Displacement, rest_point
from puncta.sim.pose import Bolus, NeedlePose, ProbePose, SceneState
from puncta.sim.subject import Float32, PointMm, Subject
from puncta.sim.tissue_kinds import Tissue


def _cells(subject: Subject, x: NDArray, y: NDArray, z: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    lat = subject.lattice
    ny, nz, nx = lat.shape
    # As in the picture, tissue is mirrored at the block's sides.
    column = np.mod((x - lat.origin_mm[0]) / lat.step_mm[0], 2 * (nx - 1))
    ix = np.rint(nx - 1 - np.abs(column - (nx - 1))).astype(np.intp)
    iy = np.clip(np.rint((y - lat.origin_mm[1]) / lat.step_mm[1]), 0, ny - 1).astype(np.intp)
    iz = np.clip(np.rint((z - lat.origin_mm[2]) / lat.step_mm[2]), 0, nz - 1).astype(np.intp)
    return iy, iz, ix


def label_at(
    subject: Subject, x_mm: NDArray | float, y_mm: NDArray | float, z_mm: NDArray | float,
    state: SceneState | None = None, deformation: Displacement | None = None,
) -> NDArray[np.uint8]:
    """Kinds of tissue (`Tissue` numbers) at points of tissue space [mm], nearest cell.

    Above the skin is OUTSIDE; beside the block its mirror image follows, below it its border goes on. With a state,
    the points are places as the frame shows them: displaced tissue, and FLUID where some was injected.
    """
    x, y, z = (np.asarray(v, float) for v in (x_mm, y_mm, z_mm))
    fluid: NDArray | None = None
    if state is not None:
        if state.boluses:
            fluid = fluid_at(state, x, y, z) > 0.5
        x, y, z = rest_of(deformation or Deformation(subject), state, x, y, z)
    label = subject.label[_cells(subject, x, y, z)]
    label = np.where(z < 0, np.uint8(Tissue.OUTSIDE), label)
    return label if fluid is None else np.where(fluid, np.uint8(Tissue.FLUID), label)


def kind_at(subject: Subject, at_mm: PointMm) -> Tissue:
    """Kind of tissue at one place at rest [mm]; the quick way for a needle's tip."""
    x, y, z = at_mm
    if z < 0:
        return Tissue.OUTSIDE
    lat = subject.lattice
    ny, nz, nx = lat.shape
    column = (x - lat.origin_mm[0]) / lat.step_mm[0] % (2 * (nx - 1))
    ix = round(nx - 1 - abs(column - (nx - 1)))
    iy = min(max(round((y - lat.origin_mm[1]) / lat.step_mm[1]), 0), ny - 1)
    iz = min(max(round((z - lat.origin_mm[2]) / lat.step_mm[2]), 0), nz - 1)
    return Tissue(int(subject.label[iy, iz, ix]))


def rest_of(
    deformation: Displacement, state: SceneState, x_mm: NDArray | float, y_mm: NDArray | float, z_mm: NDArray | float
) -> tuple[NDArray, NDArray, NDArray]:
    """Where tissue that a frame shows at these places lies at rest [mm].

    As `rest_point`; inside injected fluid there is no tissue: the answer is then the plane that the fluid opened.
    """
    x, y, z = (np.asarray(v, float) for v in (x_mm, y_mm, z_mm))
    fluid = np.zeros(np.broadcast_shapes(x.shape, y.shape, z.shape), bool)
    for bolus in state.boluses:
        inside = _ellipsoid(bolus, x, y, z) < 1.0
        fluid |= inside
        z = np.where(inside, bolus.centre_mm[2], z)
    rx, rz = rest_point(deformation, state, x, y, z)
    if fluid.any():
        # Near the middle of the fluid its own field is too steep to be turned round; the opened plane moves as without.
        ox, oz = rest_point(deformation, replace(state, boluses=()), x, y, z)
        rx, rz = np.where(fluid, ox, rx), np.where(fluid, oz, rz)
    return rx, np.broadcast_to(y, rx.shape), rz


def carried(deformation: Displacement, needle: NeedlePose, before: ProbePose, press_mm: float) -> NeedlePose:
    """A needle as the tissue at its tip takes it along when a probe is pressed in, or let up, to ``press_mm``."""
    if needle.way_mm <= 0 or press_mm == before.press_mm:
        return needle
    x, y, z = needle.tip_mm
    rest_x, _, rest_z = rest_of(deformation, SceneState(probe=before), x, y, z)
    ux, uz = deformation.at(SceneState(probe=replace(before, press_mm=press_mm)), rest_x, np.asarray(y), rest_z)
    ex, ey, ez = needle.entry_mm
    return replace(needle, entry_mm=(ex + float(rest_x + ux) - x, ey, ez + float(rest_z + uz) - z))


def fluid_at(state: SceneState, x_mm: NDArray | float, y_mm: NDArray | float, z_mm: NDArray | float) -> Float32:
    """Share of injected fluid, 0..1, at places as the frame shows them [mm]; about 0.3 mm soft at the border."""
    x, y, z = (np.asarray(v, float) for v in (x_mm, y_mm, z_mm))
    share = np.zeros(np.broadcast_shapes(x.shape, y.shape, z.shape), np.float32)
    for bolus in state.boluses:
        soft = 0.3 / max(bolus.radius_mm[2], 0.3)
        inside = (1.0 - np.sqrt(_ellipsoid(bolus, x, y, z))) / soft + 0.5
        np.maximum(share, np.clip(inside, 0.0, 1.0), out=share, casting="same_kind")
    return share


def _ellipsoid(bolus: Bolus, x: NDArray, y: NDArray, z: NDArray) -> NDArray:
    """Squared distance from a bolus' middle in its own radii; below 1 is inside."""
    (cx, cy, cz), (a, b, c) = bolus.centre_mm, bolus.radius_mm
    return ((x - cx) / a) ** 2 + ((y - cy) / b) ** 2 + ((z - cz) / c) ** 2
