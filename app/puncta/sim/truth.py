"""What is known about a simulated frame, in the words of Dataset v1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Visibility = Literal["clear", "uncertain", "out_of_plane", "shadowed", "absent"]
PointPx = tuple[float, float]
BoxPx = tuple[float, float, float, float]

IN_PLANE_WEIGHT = 0.3
"""Elevational weight above which a part of the needle counts as in the image plane."""
SHADOWED_DB = -12.0
"""Attenuation beyond that of the tissue around, from which on a tip counts as shadowed."""
UNCERTAIN_CNR = 1.0
"""Tip contrast below which even an expert would be in doubt."""


@dataclass(frozen=True, slots=True)
class FrameTruth:
    """Truth of one simulated frame.

    Attributes
    ----------
    index : int
    t_ns : int
        Presentation time [ns].
    region : tuple of int
        Ultrasound region [x0, y0, w, h] [px].
    mm_per_px : tuple of float
        (x, y) [mm/px].
    visibility : str
        ``absent`` also while the needle's tip is still outside the field.
    tip_px, entry_px : tuple of float or None
        True tip, and where the axis enters the field [px].
    tip_mm : tuple of float or None
        (x from the middle of the field, z below the probe's face) [mm].
    depth_mm : float or None
        Depth of the tip below the region's top edge [mm].
    angle_deg : float or None
        Axis at the tip against the horizontal [deg], 0..90.
    side : str or None
        ``left`` or ``right``: the picture's edge the needle comes from.
    gauge_mm : float or None
        Outer diameter [mm].
    in_plane_offset_mm : float or None
        Distance of the tip from the image plane [mm], signed.
    visible_px : float
        Length of the shaft in the image plane and field [px].
    visible_end_px : tuple of float or None
        End of that part nearest the tip; differs from the tip when the needle leaves the plane.
    tip_cnr, shaft_cnr : float or None
        Contrast to noise against the needle-free twin with the same speckle.
    tip_box, needle_box : tuple of float or None
        [x0, y0, w, h] [px]: 8.8 % x 4.0 % of the region around the tip; hull of the visible shaft.
    shaft_polygon : tuple of points
        Outline of the visible shaft, gauge wide [px]; empty when none is visible.
    speed_mm_s : float
        Speed of the needle along its axis [mm/s], positive inwards.
    """

    index: int
    t_ns: int
    region: tuple[int, int, int, int]
    mm_per_px: tuple[float, float]
    visibility: Visibility = "absent"
    tip_px: PointPx | None = None
    entry_px: PointPx | None = None
    tip_mm: tuple[float, float] | None = None
    depth_mm: float | None = None
    angle_deg: float | None = None
    side: str | None = None
    gauge_mm: float | None = None
    in_plane_offset_mm: float | None = None
    visible_px: float = 0.0
    visible_end_px: PointPx | None = None
    tip_cnr: float | None = None
    shaft_cnr: float | None = None
    tip_box: BoxPx | None = None
    needle_box: BoxPx | None = None
    shaft_polygon: tuple[PointPx, ...] = ()
    speed_mm_s: float = 0.0
