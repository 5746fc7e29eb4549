"""A needle's line over time: its angle and tip carried from frame to frame, its way ahead, how it lies to a target.

Used by every tracker of a straight needle. Angles and lengths are in millimetres where calibrated, else in pixels; what
a single frame's geometry says lies in `puncta.core.aiming`, which the screen uses too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from puncta.core.aiming import Aim, Ray, aim_at, band_ahead, circle_doubt, path_ahead, throw_ahead, unit_scale
from puncta.core.frame import UltrasoundRegion
from puncta.core.geometry import PointPx, axis_angle_deg, clip_segment, region_edges_px
from puncta.core.results import Line
from puncta.imaging.kalman import ImmSettings, ImmTracker

LEAST_SPEED = 1.0
"""Speed along the axis below which a tip counts as still [mm/s]."""


@dataclass(frozen=True, slots=True)
class AxisSettings:
    """What the angle's filter expects.

    On simulated tune clips the errors of neighbouring frames are .8 alike, so smoothing cannot make the angle truer
    (median .3 degrees with and without); it halves how much the line trembles from frame to frame.

    Attributes
    ----------
    drift_deg : float
        Change of a needle's angle in the picture, by hand, probe and tissue, as the deviation after one second [deg].
    common_share : float
        0..1, share of a frame's error that the next frames repeat, since they show the same tissue. It is never
        averaged away.
    gate_deg : float
        An angle farther from the one expected is refused, unless the doubt of both allows for it.
    rival_count : int
        So many refused angles in a row that agree with one another are believed.
    forget_after_s : float
        Time without an angle after which the axis is unknown [s].
    """

    drift_deg: float = 2.0
    common_share: float = 0.6
    gate_deg: float = 10.0
    rival_count: int = 3
    forget_after_s: float = 0.5


@dataclass(frozen=True, slots=True)
class AxisState:
    """The axis at one time.

    Attributes
    ----------
    direction : (x, y)
        Unit vector from the tip towards the entry, in the space of what was measured.
    sigma_rad : float
        Standard error of the angle.
    predicted : bool
        True where this frame's angle is missing or was refused.
    """

    direction: tuple[float, float]
    sigma_rad: float
    predicted: bool


class AxisTracker:
    """One stream's axis: a Kalman filter of its angle. Times must not go back without ``clear``."""

    def __init__(self, settings: AxisSettings | None = None) -> None:
        self.settings = settings or AxisSettings()
        self.clear()

    def clear(self) -> None:
        """Forget the axis."""
        self._angle = 0.0
        self._variance: float | None = None
        self._common = 0.0
        self._t_ns = self._measured_ns = 0
        self._rivals: list[float] = []

    def update(self, t_ns: int, direction: tuple[float, float] | None, sigma_rad: float = 0.0) -> AxisState | None:
        """Take one frame; return the axis, or None where it is unknown.

        Parameters
        ----------
        t_ns : int
            Time at which the frame was taken [ns]: its stored time.
        direction : (x, y) or None
            From the tip towards the entry, of any length; None where the frame shows no axis.
        sigma_rad : float
            Standard error of its angle.
        """
        s = self.settings
        silent_s = (t_ns - self._measured_ns) * 1e-9
        if self._variance is not None and (silent_s > s.forget_after_s or t_ns < self._t_ns):
            self.clear()
        if direction is not None and math.hypot(*direction) < 1e-9:
            direction = None
        if self._variance is not None:
            self._variance += math.radians(s.drift_deg) ** 2 * (t_ns - self._t_ns) * 1e-9
        self._t_ns = t_ns
        used = direction is not None and self._take(math.atan2(direction[1], direction[0]), max(sigma_rad, 1e-4), t_ns)
        if self._variance is None:
            return None
        towards = (math.cos(self._angle), math.sin(self._angle))
        return AxisState(towards, math.sqrt(self._variance + self._common), not used)

    def _take(self, angle: float, sigma: float, t_ns: int) -> bool:
        """Weigh an angle in; False where it is refused."""
        s = self.settings
        common = s.common_share * sigma * sigma
        own = sigma * sigma - common
        if self._variance is None:
            return self._begin(angle, own, common, t_ns)
        turn = math.remainder(angle - self._angle, 2.0 * math.pi)
        expected = self._variance + own + max(common, self._common)
        if abs(turn) > max(math.radians(s.gate_deg), 3.0 * math.sqrt(expected)):
            if self._rivals and abs(math.remainder(angle - self._rivals[-1], math.tau)) > math.radians(s.gate_deg):
                self._rivals.clear()
            self._rivals.append(angle)
            return len(self._rivals) >= s.rival_count and self._begin(angle, own, common, t_ns)
        self._rivals.clear()
        gain = self._variance / (self._variance + own) if self._variance + own > 0 else 1.0
        self._angle = math.remainder(self._angle + gain * turn, 2.0 * math.pi)
        self._variance *= 1.0 - gain
        # What repeats itself does not shrink; it follows what the frames that count say of it.
        self._common += gain * (common - self._common)
        self._measured_ns = t_ns
        return True

    def _begin(self, angle: float, own: float, common: float, t_ns: int) -> bool:
        self._angle, self._variance, self._common = angle, own, common
        self._measured_ns = t_ns
        self._rivals.clear()
        return True


@dataclass(frozen=True, slots=True)
class PathState:
    """Tip and way ahead at one time, smoothed over time; all in one unit (mm, or pixels).

    Attributes
    ----------
    tip : (x, y)
    ahead : (x, y)
        Unit vector in which the tip points.
    sigma_rad : float
        Standard error of its angle.
    along_sigma, across_sigma : float
        Standard deviations of the tip along the way ahead and across it.
    velocity : (x, y)
        Of the tip [unit/s].
    """

    tip: tuple[float, float]
    ahead: tuple[float, float]
    sigma_rad: float
    along_sigma: float
    across_sigma: float
    velocity: tuple[float, float]


class PathTracker:
    """One stream's needle path: `AxisTracker` for where it points, `ImmTracker` for its tip. Times must not go back."""

    def __init__(self, axis: AxisSettings | None = None, tip: ImmSettings | None = None) -> None:
        self._axis = AxisTracker(axis)
        self._tip = ImmTracker(tip)

    def clear(self) -> None:
        """Forget the path."""
        self._axis.clear()
        self._tip.clear()

    def miss(self, t_ns: int) -> None:
        """Take a frame without a needle."""
        self._axis.update(t_ns, None)
        self._tip.update(t_ns, None)

    def update(
        self,
        t_ns: int,
        tip: tuple[float, float],
        ahead: tuple[float, float],
        sigma_rad: float,
        along_sigma: float,
        across_sigma: float,
    ) -> PathState:
        """Take what one frame shows.

        Parameters
        ----------
        t_ns : int
            When the frame was taken [ns].
        tip, ahead : (x, y)
            Place, and unit vector in which it points.
        sigma_rad : float
            Standard error of the angle.
        along_sigma, across_sigma : float
            Standard deviations of the place along and across the way ahead.
        """
        x, y = ahead
        along, across = max(along_sigma, 1e-3) ** 2, max(across_sigma, 1e-3) ** 2
        noise = (
            (x * x * along + y * y * across, x * y * (along - across)),
            (x * y * (along - across), y * y * along + x * x * across),
        )
        track = self._tip.update(t_ns, tip, noise, (-x, -y))
        if track.predicted:
            # A segment found anew on the whole picture knows more than the gate round the last place.
            self.clear()
            track = self._tip.update(t_ns, tip, noise, (-x, -y))
        axis = self._axis.update(t_ns, (-x, -y), sigma_rad)
        assert axis is not None and track.position_mm is not None
        ax, ay = -axis.direction[0], -axis.direction[1]
        (xx, xy), (_, yy) = track.covariance_mm2
        return PathState(
            track.position_mm,
            (ax, ay),
            axis.sigma_rad,
            math.sqrt(max(0.0, ax * ax * xx + 2.0 * ax * ay * xy + ay * ay * yy)),
            math.sqrt(max(0.0, ay * ay * xx - 2.0 * ax * ay * xy + ax * ax * yy)),
            track.velocity_mm_s,
        )


@dataclass(frozen=True, slots=True)
class Trajectory:
    """A needle in one frame, with where it is heading.

    Attributes
    ----------
    ray : Ray
        Tip and way ahead.
    region : UltrasoundRegion
    velocity : (x, y) or None
        Of the tip, in the ray's unit [per s].
    """

    ray: Ray
    region: UltrasoundRegion
    velocity: tuple[float, float] | None = None

    @property
    def entry_px(self) -> PointPx | None:
        """Where the axis comes in through the region's border [px]; None where the tip lies beyond that border."""
        x, y = self.ray.ahead_px
        left, top, right, bottom = region_edges_px(self.region.box)
        far = 2.0 * math.hypot(right - left, bottom - top) / math.hypot(x, y)
        tip = self.ray.tip_px
        found = clip_segment(tip, (tip[0] - far * x, tip[1] - far * y), self.region.box)
        if found is None:
            return None
        # Rounding may leave the border by a hair, and a point off the picture is no result.
        return (min(max(found[1][0], left), right), min(max(found[1][1], top), bottom))

    def path_px(self, to_depth: float | None = None) -> tuple[PointPx, PointPx] | None:
        """Way ahead of the tip [px], to the region's border or to a depth below its top edge [mm or px]."""
        return path_ahead(self.ray, self.region, to_depth)

    def band_px(self, to_depth: float | None = None) -> tuple[PointPx, ...]:
        """Outline of the band that holds the way ahead 9 times in 10 [px]; empty where there is no way ahead."""
        path = self.path_px(to_depth)
        return () if path is None else band_ahead(self.ray, path)

    def throw_px(self, throw_mm: float) -> tuple[PointPx, PointPx] | None:
        """Way of a biopsy gun's needle, from the tip as far as it is thrown [px]; cut off at the region's border.

        None where the region has no millimetres: a throw drawn to a guessed scale would mislead.
        """
        return throw_ahead(self.ray, self.region, throw_mm)

    def aim(self, target_px: PointPx) -> Aim:
        """Distance, miss, and time at the present speed to a target [mm or px, s]."""
        least = LEAST_SPEED if self.region.calibration is not None else LEAST_SPEED / ASSUMED_MM_PER_PX
        return aim_at(self.ray, target_px, self.velocity, least)

    def line(self, label: str, score: float) -> Line:
        """Typed result of the needle; lost with a reason where the axis does not come in through the border."""
        entry = self.entry_px
        if entry is None or math.dist(entry, self.ray.tip_px) < 1.0:
            return Line(label, None, None, score, reason="the axis does not enter by the region's border")
        tip = self.ray.tip_px
        angle = axis_angle_deg(entry, tip, self.region.calibration)
        return Line(label, entry, tip, score, angle_deg=angle, sigma_deg=self.ray.sigma_deg)


ASSUMED_MM_PER_PX = 0.1
"""Stands in for a calibration where only a rough sense of scale is asked for [mm/px]."""


def trajectory_from_tip(
    tip_px: PointPx,
    towards_entry: tuple[float, float],
    region: UltrasoundRegion,
    sigma_rad: float | None = None,
    radius90_px: float | None = None,
    velocity: tuple[float, float] | None = None,
) -> Trajectory:
    """Build a trajectory from a tip and a direction.

    Parameters
    ----------
    tip_px : (x, y) [px]
    towards_entry : (x, y)
        From the tip towards the entry, of any length, in millimetres where the region is calibrated, else in pixels.
    sigma_rad : float or None
        Standard error of the angle.
    radius90_px : float or None
        Radius of the circle that holds the tip 9 times in 10 [px].
    velocity : (x, y) or None
        Of the tip [mm/s, or px/s].

    Raises
    ------
    ValueError
        The direction has no length.
    """
    length = math.hypot(*towards_entry)
    if length < 1e-9:
        raise ValueError("a trajectory needs a direction")
    scale = unit_scale(region.calibration)
    ray = Ray(
        tip_px,
        (-towards_entry[0] / length, -towards_entry[1] / length),
        scale,
        None if sigma_rad is None else math.degrees(sigma_rad),
        circle_doubt(radius90_px, scale),
    )
    return Trajectory(ray, region, velocity)


def direction_in_unit(direction_px: tuple[float, float], region: UltrasoundRegion) -> tuple[float, float]:
    """Turn a direction in source pixels into one of unit length in millimetres (pixels where uncalibrated)."""
    scale = unit_scale(region.calibration)
    x, y = direction_px[0] * scale[0], direction_px[1] * scale[1]
    length = math.hypot(x, y)
    if length < 1e-9:
        raise ValueError("a direction needs a length")
    return (x / length, y / length)
