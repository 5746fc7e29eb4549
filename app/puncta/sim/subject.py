"""A simulated subject: a block of tissue in three dimensions, its reflecting surfaces, vessels and targets.

Tissue space, in [mm]: x to the picture's right and z down (depth below the skin under the probe's middle), y across the
picture, away from the viewer. At the neutral probe pose it is probe space. The same procedure, seed and options give
the same subject whatever machine looks at it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from puncta.sim.tissue_kinds import Tissue

Float32 = NDArray[np.float32]
PointMm = tuple[float, float, float]
Procedure = Literal["breast", "nerve", "vessel", "infant-lp"]
PROCEDURES: tuple[str, ...] = ("breast", "nerve", "vessel", "infant-lp")


@dataclass(frozen=True, slots=True)
class Lattice:
    """Places of a block's cells: ``origin_mm`` (x, y, z) is the middle of cell [0, 0, 0]; arrays are [y, z, x].

    Attributes
    ----------
    step_mm : tuple of float
        (x, y, z) [mm].
    shape : tuple of int
        (ny, nz, nx).
    """

    origin_mm: PointMm
    step_mm: PointMm
    shape: tuple[int, int, int]

    @property
    def xs(self) -> Float32:
        """Columns [mm], shape (nx,)."""
        return (self.origin_mm[0] + np.arange(self.shape[2]) * self.step_mm[0]).astype(np.float32)

    @property
    def ys(self) -> Float32:
        """Slices [mm], shape (ny,)."""
        return (self.origin_mm[1] + np.arange(self.shape[0]) * self.step_mm[1]).astype(np.float32)

    @property
    def zs(self) -> Float32:
        """Rows [mm], shape (nz,)."""
        return (self.origin_mm[2] + np.arange(self.shape[1]) * self.step_mm[2]).astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Sheet:
    """A reflecting surface that crosses the whole block, as layer borders do.

    Attributes
    ----------
    z_mm : ndarray, shape (ny, nx)
        Depth of the surface on the block's lattice [mm]; NaN where there is none.
    level_db : ndarray, shape (ny, nx)
        Echo level; patchiness and gaps are in it.
    rough_mm : float
        Length over which the echo stays coherent; short is beaded, long is a smooth line.
    thick_mm : float
        Spread of points across the surface [mm].
    specular : float
        0 keeps the level at any slope, 1 dims steep parts as mirrors do.
    """

    z_mm: Float32
    level_db: Float32
    rough_mm: float = 1.0
    thick_mm: float = 0.0
    specular: float = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Streaks:
    """Points of small reflecting structures (septa, perimysium, walls, strands), all in arrays of shape (N,).

    A point shows while the image plane is near it: its weight is exp(-.5 ((y - y_mm) / reach_mm)^2), and with the plane
    its place moves by ``(shear_x, shear_z) * (y - y_mm)``, so that oblique structures wander as the probe slides.
    ``line`` numbers the structure a point belongs to: points of one line follow each other ``step_mm`` apart and echo
    in phase over ``rough_mm``. ``slope_rad`` is the line's downward angle in the picture's plane.
    """

    x_mm: Float32
    y_mm: Float32
    z_mm: Float32
    reach_mm: Float32
    shear_x: Float32
    shear_z: Float32
    level_db: Float32
    slope_rad: Float32
    step_mm: Float32
    rough_mm: Float32
    thick_mm: Float32
    specular: Float32
    line: NDArray[np.int32]

    @staticmethod
    def none() -> Streaks:
        """No streaks."""
        empty = np.zeros(0, np.float32)
        return Streaks(*([empty] * 12), line=np.zeros(0, np.int32))  # type: ignore[call-arg]


@dataclass(frozen=True, slots=True)
class Vessel:
    """A vessel as a straight tube through the block.

    Attributes
    ----------
    name : str
    kind : Tissue
        ARTERY or VEIN.
    centre_mm : (x, y, z)
        A point of its axis [mm].
    direction : (x, y, z)
        Unit vector of its axis.
    radius_mm : (across, down)
        Half axes of the lumen [mm].
    pulse_mm : float
        Outward excursion of the wall at full pulse [mm].
    collapse : float
        How much the lumen's height shrinks for each mm of probe pressure, as a share; 0 for arteries.
    """

    name: str
    kind: Tissue
    centre_mm: PointMm
    direction: PointMm
    radius_mm: tuple[float, float]
    pulse_mm: float = 0.0
    collapse: float = 0.0


@dataclass(frozen=True, slots=True)
class Target:
    """Where a needle should go.

    Attributes
    ----------
    name : str
        ``lesion centre``, ``beside the nerve``, ``vein lumen``, ``CSF``...
    centre_mm : (x, y, z)
    radius_mm : float
        Within this distance the target counts as reached.
    inside : frozenset of Tissue
        If given, the tip must also lie in one of these kinds.
    """

    name: str
    centre_mm: PointMm
    radius_mm: float
    inside: frozenset[Tissue] = frozenset()


@dataclass(frozen=True, slots=True)
class Subject:
    """Everything about one body.

    Attributes
    ----------
    label : ndarray of uint8, shape (ny, nz, nx)
        `Tissue` numbers.
    level_db : ndarray of float32, shape (ny, nz, nx)
        Backscatter with its texture [dB].
    attenuation : ndarray of float32, shape (ny, nz, nx)
        One way [dB/cm/MHz].
    target : Target
    forbidden : frozenset of Tissue
        Hitting one of these with the tip is recorded.
    skin_mm : float
        Thickness of the skin under the probe [mm].
    depth_mm : float
        Depth that an operator would set to see target and surroundings [mm].
    view : str
        How the picture lies: ``long-axis`` or ``short-axis`` (vessel, nerve), ``longitudinal`` or ``transverse``
        (infant-lp), ``radial`` (breast).
    facts : mapping
        What the procedure's own rules and a case's description need, by names with units (``weight_kg``, ``level``,
        ``lesion``...). Plain numbers and words.
    pulse_hz, breath_hz : tuple of float
        (low, high) of the subject's rates; an infant's are faster.
    breath_mm : tuple of float
        (low, high) of the breathing excursion [mm].
    """

    procedure: str
    seed: int
    view: str
    lattice: Lattice
    label: NDArray[np.uint8]
    level_db: Float32
    attenuation: Float32
    sheets: tuple[Sheet, ...]
    streaks: Streaks
    vessels: tuple[Vessel, ...]
    target: Target
    forbidden: frozenset[Tissue]
    skin_mm: float
    depth_mm: float
    facts: dict[str, float | int | str | bool] = field(default_factory=dict)
    pulse_hz: tuple[float, float] = (1.0, 2.0)
    breath_hz: tuple[float, float] = (0.2, 0.5)
    breath_mm: tuple[float, float] = (0.0, 0.8)
