"""Poses of probe and needle against the tissue, and the state of everything that moves on one frame."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from puncta.sim.subject import PointMm


@dataclass(frozen=True, slots=True)
class ProbePose:
    """Where the probe is held; all zero is the neutral pose, probe space is then tissue space.

    Attributes
    ----------
    slide_mm : float
        Along the picture's x [mm], positive to the right.
    sweep_mm : float
        Across the picture, along y [mm].
    rock_rad : float
        Turn within the picture about the middle of the face, positive brings the picture's right side down.
    tilt_rad : float
        Turn about the picture's x axis (fanning): the plane moves along +y with depth.
    twist_rad : float
        Turn about the depth axis.
    press_mm : float
        How far the face is pressed into the skin [mm]; negative lifts off.
    """

    slide_mm: float = 0.0
    sweep_mm: float = 0.0
    rock_rad: float = 0.0
    tilt_rad: float = 0.0
    twist_rad: float = 0.0
    press_mm: float = 0.0

    def axes(self) -> NDArray[np.float64]:
        """Unit vectors of probe space's x, y and z axes in tissue space, shape (3, 3), one a row.

        Twist about z, then tilt about x, then rock about y. At tilt t and rock 0 the depth axis is
        (0, sin t, cos t); at rock r and tilt 0 the lateral axis is (cos r, 0, sin r).
        """
        ct, st = math.cos(self.twist_rad), math.sin(self.twist_rad)
        cf, sf = math.cos(self.tilt_rad), math.sin(self.tilt_rad)
        cr, sr = math.cos(self.rock_rad), math.sin(self.rock_rad)
        turn = np.array([[ct, st, 0.0], [-st, ct, 0.0], [0.0, 0.0, 1.0]])
        fan = np.array([[1.0, 0.0, 0.0], [0.0, cf, -sf], [0.0, sf, cf]])
        rock = np.array([[cr, 0.0, sr], [0.0, 1.0, 0.0], [-sr, 0.0, cr]])
        return rock @ fan @ turn

    @property
    def origin_mm(self) -> NDArray[np.float64]:
        """Middle of the probe's face in tissue space [mm]."""
        return np.array([self.slide_mm, self.sweep_mm, self.press_mm])

    def tissue_from_probe(self, x: NDArray, y: NDArray | float, z: NDArray) -> tuple[NDArray, NDArray, NDArray]:
        """Tissue-space points [mm] of probe-space points [mm] (y is the distance from the image plane)."""
        a, o = self.axes(), self.origin_mm
        return tuple(o[k] + x * a[0, k] + y * a[1, k] + z * a[2, k] for k in range(3))  # type: ignore[return-value]

    def probe_from_tissue(self, x: NDArray, y: NDArray | float, z: NDArray) -> tuple[NDArray, NDArray, NDArray]:
        """Probe-space points [mm] of tissue-space points [mm]; the second is the distance from the image plane."""
        a, o = self.axes(), self.origin_mm
        dx, dy, dz = x - o[0], y - o[1], z - o[2]
        return tuple(dx * a[k, 0] + dy * a[k, 1] + dz * a[k, 2] for k in range(3))  # type: ignore[return-value]


@dataclass(frozen=True, slots=True)
class NeedlePose:
    """A needle in tissue space.

    Attributes
    ----------
    entry_mm : (x, y, z)
        Where the axis meets the skin [mm].
    angle_rad : float
        Downward angle of the axis at the entry, 0..pi/2.
    azimuth_rad : float
        Direction seen from above: 0 runs to +x (from the picture's left), pi to -x, pi/2 to +y.
    way_mm : float
        Length of needle past the skin [mm]; 0 or less is outside.
    bend_mm, bend_at_mm : float
        Deflection downwards ``bend_mm * (s / bend_at_mm)^2`` at the way s.
    """

    entry_mm: PointMm
    angle_rad: float
    azimuth_rad: float
    way_mm: float
    bend_mm: float = 0.0
    bend_at_mm: float = 50.0

    def points(self, s_mm: NDArray | float) -> tuple[NDArray, NDArray, NDArray]:
        """Points of the axis in tissue space [mm] at ways ``s_mm`` from the skin [mm]."""
        s = np.asarray(s_mm, float)
        ca, sa = math.cos(self.angle_rad), math.sin(self.angle_rad)
        bow = self.bend_mm * (s / self.bend_at_mm) ** 2
        along = s * ca - bow * sa
        x = self.entry_mm[0] + along * math.cos(self.azimuth_rad)
        y = self.entry_mm[1] + along * math.sin(self.azimuth_rad)
        return x, y, self.entry_mm[2] + s * sa + bow * ca

    @property
    def tip_mm(self) -> PointMm:
        """The tip in tissue space [mm]."""
        x, y, z = self.points(self.way_mm)
        return float(x), float(y), float(z)


@dataclass(frozen=True, slots=True)
class Bolus:
    """Injected fluid: an ellipsoid that opens the tissue around ``centre_mm`` [mm].

    Attributes
    ----------
    radius_mm : (x, y, z)
        Half axes [mm]; flat along the layers.
    volume_ml : float
    """

    centre_mm: PointMm
    radius_mm: PointMm
    volume_ml: float


@dataclass(frozen=True, slots=True)
class SceneState:
    """Everything that moves, on one frame.

    Attributes
    ----------
    probe : ProbePose
    needle : NeedlePose or None
        None when the cine has no needle.
    speed_mm_s : float
        Speed of the needle along its axis [mm/s], positive inwards.
    drag_mm : float
        How far tissue at the shaft is carried along the axis [mm].
    tent_mm : float
        How far tissue ahead of the tip is pushed in before it gives way [mm].
    breath_mm : float
        Breathing excursion [mm], felt more with depth.
    pulse : float
        0..1, arterial pressure wave.
    gain_db : float
        Drift of the receive gain [dB].
    boluses : tuple of Bolus
    fired : bool
        The biopsy gun's throw happened between the last frame and this one.
    """

    probe: ProbePose = ProbePose()
    needle: NeedlePose | None = None
    speed_mm_s: float = 0.0
    drag_mm: float = 0.0
    tent_mm: float = 0.0
    breath_mm: float = 0.0
    pulse: float = 0.0
    gain_db: float = 0.0
    boluses: tuple[Bolus, ...] = ()
    fired: bool = False
