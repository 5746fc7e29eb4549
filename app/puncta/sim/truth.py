"""What is known about a simulated frame, in the words of Dataset v1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
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
CROSSING_DEG = 7.0
"""Angle of the axis to the image plane from which on the place where it crosses the plane means something."""


@dataclass(frozen=True, slots=True)
class FrameTruth:
    """Truth of one simulated frame: where things appear in the picture, the speed of sound in each tissue included.

    A needle out of the plane has two truths: its tip, projected straight onto the picture, and the bright dot where it
    crosses the plane, which is all that shows of it. Masks, label map and flow are made on demand (`truth_maps`).

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
    plane_angle_deg : float or None
        Angle of the axis at the tip to the image plane [deg], 0..90; 90 runs straight through it.
    depth_shift_mm : float or None
        How much deeper the tip appears than it lies [mm], for its tissues' speed of sound.
    crossing_px : tuple of float or None
        Where the axis crosses the image plane between skin and tip, at `CROSSING_DEG` or more to it [px]: the dot.
    target_px : tuple of float or None
        Target's centre, projected straight onto the picture; it may lie outside the region [px].
    target_offset_mm : float or None
        Distance of the target's centre from the image plane [mm], signed.
    distance_to_target_mm : float or None
        From the needle's tip to the target's centre in space [mm]; None without a needle under the skin.
    flags : mapping of str to int or None
        The frame's flags: ``quality``, ``csf`` and ``cord`` for an infant's spine, none for other procedures.
    tip_tissue : str or None
        Kind of tissue the tip lies in, in lower case; None without a needle under the skin or with the tip beside the
        picture.
    hits : tuple of str
        Structures that must not be hit and in which the tip lies now, in lower case.
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
    plane_angle_deg: float | None = None
    depth_shift_mm: float | None = None
    crossing_px: PointPx | None = None
    target_px: PointPx | None = None
    target_offset_mm: float | None = None
    distance_to_target_mm: float | None = None
    flags: Mapping[str, int | None] = field(default_factory=dict)
    tip_tissue: str | None = None
    hits: tuple[str, ...] = ()
