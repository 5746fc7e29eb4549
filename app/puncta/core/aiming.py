"""Where a needle points: the way ahead of the tip, how wide it may be, and how it lies to a target. One owner.

Points are source-image pixels. Lengths and angles are taken in a *unit* that ``scale`` gives per pixel along x and y:
millimetres under a calibration, else pixels; so pixels that are not square bend nothing. Doubts hold 9 times in 10.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from puncta.core.frame import Calibration, UltrasoundRegion
from puncta.core.geometry import PointPx, clip_segment, region_edges_px

NINETY_PER_CENT = 1.645
"""Standard errors to either side that hold a normal error 9 times in 10."""
WIDEST_DEG = 80.0
LEAST_LENGTH_PX = 1.0
BAND_STEPS = 12


@dataclass(frozen=True, slots=True)
class Ray:
    """A needle's axis as seen from its tip.

    Attributes
    ----------
    tip_px : (x, y) [px]
    ahead : (x, y)
        Unit vector the way the needle points, in ``scale``'s unit.
    scale : (x, y)
        Unit per pixel: mm/px, or (1, 1).
    sigma_deg : float or None
        Standard error of the angle [deg].
    tip_doubt : float
        Radius of the circle that holds the tip 9 times in 10 [unit].
    """

    tip_px: PointPx
    ahead: tuple[float, float]
    scale: tuple[float, float] = (1.0, 1.0)
    sigma_deg: float | None = None
    tip_doubt: float = 0.0

    @property
    def ahead_px(self) -> PointPx:
        """The way ahead as a vector of one unit's length [px]."""
        return (self.ahead[0] / self.scale[0], self.ahead[1] / self.scale[1])

    def point_px(self, along: float, aside: float = 0.0) -> PointPx:
        """Point so far along the ray and to its right hand side (y down) [unit], in px."""
        x = along * self.ahead[0] - aside * self.ahead[1]
        y = along * self.ahead[1] + aside * self.ahead[0]
        return (self.tip_px[0] + x / self.scale[0], self.tip_px[1] + y / self.scale[1])

    def aside(self, along: float) -> float | None:
        """Doubt to either side of the ray at a way from the tip [unit]; None where the angle's error is unknown.

        The tip's own doubt and the angle's are taken as independent, so they add in quadrature.
        """
        if self.sigma_deg is None:
            return None
        turn = math.radians(min(WIDEST_DEG, NINETY_PER_CENT * self.sigma_deg))
        return math.hypot(self.tip_doubt, abs(along) * math.tan(turn))


@dataclass(frozen=True, slots=True)
class Aim:
    """How a tip and its axis lie to a target; lengths in the unit of the ray.

    Attributes
    ----------
    distance, distance_doubt : float
        From tip to target.
    along : float
        How far ahead of the tip the target lies; below 0 the needle has passed it.
    miss : float
        How far the straight axis passes by the target, always positive.
    miss_doubt : float or None
        None where the angle's error is unknown.
    seconds : float or None
        Until the tip is nearest to the target at its present speed; None where it does not move towards it.
    """

    distance: float
    distance_doubt: float
    along: float
    miss: float
    miss_doubt: float | None
    seconds: float | None = None


def unit_scale(calibration: Calibration | None) -> tuple[float, float]:
    """Unit per pixel: mm where calibrated, else px."""
    return calibration.mm_per_px if calibration is not None else (1.0, 1.0)


def ray_through(
    entry_px: PointPx,
    tip_px: PointPx,
    calibration: Calibration | None = None,
    sigma_deg: float | None = None,
    radius90_px: float | None = None,
) -> Ray | None:
    """Return the ray of a needle from entry to tip; None where the two lie within a pixel.

    Parameters
    ----------
    sigma_deg : float or None
        Standard error of the angle [deg].
    radius90_px : float or None
        Radius of the circle that holds the tip 9 times in 10 [px].
    """
    if math.hypot(tip_px[0] - entry_px[0], tip_px[1] - entry_px[1]) < LEAST_LENGTH_PX:
        return None
    scale = unit_scale(calibration)
    x, y = (tip_px[0] - entry_px[0]) * scale[0], (tip_px[1] - entry_px[1]) * scale[1]
    length = math.hypot(x, y)
    return Ray(tip_px, (x / length, y / length), scale, sigma_deg, circle_doubt(radius90_px, scale))


def circle_doubt(radius90_px: float | None, scale: tuple[float, float]) -> float:
    """Radius of a circle drawn in pixels of the picture [unit]: the mean of both directions; 0 where there is none."""
    return (radius90_px or 0.0) * (scale[0] + scale[1]) / 2


def path_ahead(ray: Ray, region: UltrasoundRegion, to_depth: float | None = None) -> tuple[PointPx, PointPx] | None:
    """Return the straight way from the tip to the region's border [px]; None where the tip points out of it at once.

    Parameters
    ----------
    to_depth : float or None
        Ends the path at this depth below the region's top edge [unit], where it comes so deep.
    """
    _, top, right, bottom = edges = region_edges_px(region.box)
    far = 2.0 * math.hypot(right - edges[0], bottom - top)
    x, y = ray.ahead_px
    reach = far / math.hypot(x, y)
    if to_depth is not None and y > 0:
        level = top + to_depth / ray.scale[1]
        reach = min(reach, max(0.0, (level - ray.tip_px[1]) / y))
    found = clip_segment(ray.tip_px, (ray.tip_px[0] + reach * x, ray.tip_px[1] + reach * y), region.box)
    if found is None or found[0] == found[1]:
        return None
    return found


def throw_ahead(ray: Ray, region: UltrasoundRegion, throw_mm: float) -> tuple[PointPx, PointPx] | None:
    """Return the way that a biopsy gun throws its needle [px]: from the tip straight ahead, cut at the region's border.

    None where the region has no millimetres: a throw drawn to a guessed scale would mislead.
    """
    if region.calibration is None or throw_mm <= 0:
        return None
    found = clip_segment(ray.tip_px, ray.point_px(throw_mm), region.box)
    return None if found is None or found[0] == found[1] else found


def band_ahead(ray: Ray, path: tuple[PointPx, PointPx]) -> tuple[PointPx, ...]:
    """Return the outline of the band that holds the straight way ahead 9 times in 10 [px]; empty where unknown.

    It begins at the front half of the tip's circle and widens with the angle's error. It may reach beyond the region.
    """
    if ray.aside(0.0) is None:
        return ()
    length = math.hypot(
        (path[1][0] - path[0][0]) * ray.scale[0],
        (path[1][1] - path[0][1]) * ray.scale[1],
    )
    if length <= 0:
        return ()
    ways = [length * k / BAND_STEPS for k in range(BAND_STEPS + 1)]
    left = tuple(ray.point_px(way, -(ray.aside(way) or 0.0)) for way in ways)
    right = tuple(ray.point_px(way, ray.aside(way) or 0.0) for way in reversed(ways))
    r, turns = ray.tip_doubt, [math.pi * k / BAND_STEPS for k in range(1, BAND_STEPS)]
    front = tuple(ray.point_px(r * math.sin(turn), r * math.cos(turn)) for turn in turns) if 0 < r < length else ()
    return left + right + front


def distance_to(tip_px: PointPx, target_px: PointPx, scale: tuple[float, float]) -> float:
    """Distance from tip to target [unit]."""
    return math.hypot((target_px[0] - tip_px[0]) * scale[0], (target_px[1] - tip_px[1]) * scale[1])


def aim_at(
    ray: Ray,
    target_px: PointPx,
    velocity: tuple[float, float] | None = None,
    least_speed: float = 0.0,
) -> Aim:
    """Return how the tip and its axis lie to a target.

    The miss grows with the sine of the angle between axis and target, so its doubt is the band's at the target's own
    way along the axis.

    Parameters
    ----------
    velocity : (x, y) or None
        Of the tip [unit/s].
    least_speed : float
        Speed along the axis below which the tip counts as still [unit/s].
    """
    x, y = (target_px[0] - ray.tip_px[0]) * ray.scale[0], (target_px[1] - ray.tip_px[1]) * ray.scale[1]
    along = x * ray.ahead[0] + y * ray.ahead[1]
    miss = abs(ray.ahead[0] * y - ray.ahead[1] * x)
    return Aim(
        distance=math.hypot(x, y),
        distance_doubt=ray.tip_doubt,
        along=along,
        miss=miss,
        miss_doubt=ray.aside(along),
        seconds=None if velocity is None else _seconds(ray, along, velocity, least_speed),
    )


def _seconds(ray: Ray, along: float, velocity: tuple[float, float], least_speed: float) -> float | None:
    speed = velocity[0] * ray.ahead[0] + velocity[1] * ray.ahead[1]
    return along / speed if along > 0 and speed > max(0.0, least_speed) else None
