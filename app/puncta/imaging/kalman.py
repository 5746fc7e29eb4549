"""A needle tip followed in millimetres: it holds still, or it moves along the needle's axis.

An interacting multiple model filter (Blom and Bar-Shalom, IEEE Trans. Automatic Control 33:8, 1988) of two Kalman
filters on one state (x, y, vx, vy). A hand advances a needle in pushes with rests between; one filter with noise
enough for the pushes would tremble through the rests. Noise and switching are rates in continuous time, so that frames
may come at any interval.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

PointMm = tuple[float, float]

HOLD, MOVE = 0, 1


@dataclass(frozen=True, slots=True)
class ImmSettings:
    """What the tracker expects of a needle and of the hand that holds the probe.

    The defaults were read off simulated hands (100 clips, measurements with .15 mm of error): with .5 and .1 mm/s^2 the
    place is as good, but the stated 90 % ellipse holds the tip only 84 times in 100; with these 93 times.

    Attributes
    ----------
    axial_mm_s2, lateral_mm_s2 : float
        Change of speed along the axis and across it, as the deviation after one second [mm/s]; after t seconds it is
        this times the square root of t.
    start_axial_mm_s, start_lateral_mm_s : float
        Deviation of the speed with which a motion begins [mm/s].
    hold_mm_s : float
        Drift of a tip that holds still, by tissue and probe, as the deviation after one second [mm].
    hold_for_s, move_for_s : float
        Mean length of a rest and of a push [s].
    gate_mm : float
        A measurement farther from the prediction is refused, unless the doubt of both allows for it.
    gate_chance : float
        Share of honest measurements that the doubt's own gate may refuse.
    rival_count : int
        So many refused measurements in a row, each within the gate of the one before, are believed: a new track begins
        there. Without it a track that began on an impostor keeps the needle out for as long as it takes to be lost.
    lost_after_s : float
        Time without a measurement after which the track ends [s].
    """

    axial_mm_s2: float = 4.0
    lateral_mm_s2: float = 2.0
    start_axial_mm_s: float = 6.0
    start_lateral_mm_s: float = 1.0
    hold_mm_s: float = 0.3
    hold_for_s: float = 1.0
    move_for_s: float = 2.0
    gate_mm: float = 3.0
    gate_chance: float = 0.01
    rival_count: int = 3
    lost_after_s: float = 0.5


@dataclass(frozen=True, slots=True)
class TrackState:
    """What is known of the tip at one time.

    Attributes
    ----------
    position_mm : (x, y) [mm] or None
        Where a track is lost it is the last place that was measured; None before the first measurement.
    covariance_mm2 : ((xx, xy), (yx, yy)) [mm^2]
    velocity_mm_s : (x, y) [mm/s]
        0 where lost.
    hold_probability : float
        Chance that the tip holds still.
    predicted : bool
        True where no measurement of this frame was used.
    lost : bool
    nis : float or None
        Normalised innovation squared of the measurement that was used: chi-square of 2 degrees where all is well.
    started : bool
        True on the first frame of a new track.
    """

    position_mm: PointMm | None
    covariance_mm2: tuple[tuple[float, float], tuple[float, float]]
    velocity_mm_s: PointMm
    hold_probability: float
    predicted: bool
    lost: bool
    nis: float | None = None
    started: bool = False

    @property
    def speed_mm_s(self) -> float:
        """Length of the velocity [mm/s]."""
        return math.hypot(*self.velocity_mm_s)


_NOTHING = TrackState(None, ((0.0, 0.0), (0.0, 0.0)), (0.0, 0.0), 0.5, True, True)


class ImmTracker:
    """One stream's tip. Times must not go back without ``clear``."""

    def __init__(self, settings: ImmSettings | None = None) -> None:
        self.settings = settings or ImmSettings()
        self.clear()

    def clear(self) -> None:
        """Forget the track."""
        self._filters: tuple[_Gauss, _Gauss] | None = None
        self._modes = (0.5, 0.5)
        self._t_ns = 0
        self._measured_ns = 0
        self._axis: PointMm | None = None
        self._rivals: list[PointMm] = []
        self._last = _NOTHING

    def update(
        self,
        t_ns: int,
        measurement_mm: PointMm | None,
        covariance_mm2: object = None,
        axis_direction: PointMm | None = None,
    ) -> TrackState:
        """Take one frame.

        Parameters
        ----------
        t_ns : int
            Time at which the frame was taken [ns]: its stored time (``frame.key.pts_ns``). The arrival ``frame.t_ns``
            of a file's frame is when it was decoded; it says nothing of the needle and differs from run to run.
        measurement_mm : (x, y) [mm] or None
            None where the frame has no measurement.
        covariance_mm2 : array-like, shape (2, 2), or float, or None
            Covariance of the measurement's error [mm^2]; a number is taken for both directions. None only without a
            measurement.
        axis_direction : (x, y) or None
            Direction of the needle's axis in mm, of any length and either sense. None keeps the last one; where there
            never was one, all directions are alike.

        Raises
        ------
        ValueError
            Where a measurement comes without a covariance, or the covariance is not positive.
        """
        noise = None if measurement_mm is None else _noise(covariance_mm2)
        self._turn(axis_direction)
        if self._filters is not None and (t_ns < self._t_ns or self._silence_s(t_ns) > self.settings.lost_after_s):
            self._end()
        if self._filters is None:
            if measurement_mm is None or noise is None:
                self._t_ns = t_ns
                return self._last
            return self._start(t_ns, measurement_mm, noise)
        self._predict(max(0.0, (t_ns - self._t_ns) * 1e-9))
        self._t_ns = t_ns
        nis = None
        if measurement_mm is not None and noise is not None:
            nis = self._correct(measurement_mm, noise)
            if nis is None and self._is_believed(measurement_mm):
                return self._start(t_ns, measurement_mm, noise)
        if nis is not None:
            self._measured_ns = t_ns
            self._rivals.clear()
        self._last = self._describe(nis)
        return self._last

    # one track -------------------------------------------------------------------------------------------------

    def _silence_s(self, t_ns: int) -> float:
        return (t_ns - self._measured_ns) * 1e-9

    def _turn(self, direction: PointMm | None) -> None:
        length = math.hypot(*direction) if direction is not None else 0.0
        if direction is not None and length > 1e-9:
            self._axis = (direction[0] / length, direction[1] / length)

    def _end(self) -> None:
        """End the track where it was measured last."""
        self._filters = None
        self._last = TrackState(
            self._place, self._last.covariance_mm2, (0.0, 0.0), self._last.hold_probability, True, True
        )

    def _is_believed(self, refused: PointMm) -> bool:
        """Tell whether refused measurements have agreed often enough that the track must be wrong."""
        if self._rivals and math.dist(self._rivals[-1], refused) > self.settings.gate_mm:
            self._rivals.clear()
        self._rivals.append(refused)
        return len(self._rivals) >= self.settings.rival_count

    def _start(self, t_ns: int, place: PointMm, noise: Symmetric) -> TrackState:
        x, y = (float(v) for v in place)
        start = _Gauss((x, y, 0.0, 0.0), noise, (0.0, 0.0, 0.0, 0.0), self._start_speed())
        self._filters = (start, start)
        rest, push = self.settings.hold_for_s, self.settings.move_for_s
        self._modes = (rest / (rest + push), push / (rest + push))
        self._t_ns = self._measured_ns = t_ns
        self._rivals.clear()
        self._place = (x, y)
        self._last = self._describe(None, started=True)
        return self._last

    def _start_speed(self) -> Symmetric:
        return self._along(self.settings.start_axial_mm_s, self.settings.start_lateral_mm_s)

    def _along(self, axial: float, lateral: float) -> Symmetric:
        """Covariance with one deviation along the axis and another across it."""
        if self._axis is None:
            return (axial * axial, 0.0, axial * axial)
        x, y = self._axis
        a, b = axial * axial, lateral * lateral
        return (a * x * x + b * y * y, (a - b) * x * y, a * y * y + b * x * x)

    def _predict(self, dt: float) -> None:
        assert self._filters is not None
        s = self.settings
        # Mixing: what each filter starts from, given the switches that may have happened since the last frame.
        hold, move = self._modes
        stops, starts = -math.expm1(-dt / s.move_for_s), -math.expm1(-dt / s.hold_for_s)
        to_hold = hold * (1.0 - starts) + move * stops
        to_move = 1.0 - to_hold
        still = _mixed(*self._filters, move * stops / to_hold if to_hold > 0 else 0.0)
        moving = _mixed(*self._filters, move * (1.0 - stops) / to_move if to_move > 0 else 0.0)
        self._modes = (to_hold, to_move)
        # A tip that holds has no speed; the one it keeps is that with which it would begin to move.
        x, y = still.mean[:2]
        xx, xy, yy = still.place
        drift = s.hold_mm_s * s.hold_mm_s * dt
        still = _Gauss((x, y, 0.0, 0.0), (xx + drift, xy, yy + drift), (0.0, 0.0, 0.0, 0.0), self._start_speed())
        self._filters = (still, _moved(moving, dt, self._along(s.axial_mm_s2, s.lateral_mm_s2)))

    def _correct(self, place: PointMm, noise: Symmetric) -> float | None:
        """Weigh a measurement in; return its normalised innovation squared, or None where the gate refuses it."""
        assert self._filters is not None
        hold, move = self._modes
        middle = _mixed(*self._filters, move)
        miss = (float(place[0]) - middle.mean[0], float(place[1]) - middle.mean[1])
        nis, _ = _quadratic(miss, _sum(middle.place, noise))
        s = self.settings
        if math.hypot(*miss) > s.gate_mm and nis > -2.0 * math.log(s.gate_chance):
            return None
        (still, of_hold), (moving, of_move) = (_corrected(f, place, noise) for f in self._filters)
        self._filters = (still, moving)
        top = max(of_hold, of_move)
        hold *= math.exp(of_hold - top)
        move *= math.exp(of_move - top)
        # Neither mode may become impossible: rounding would keep it from ever coming back.
        hold = min(max(hold / (hold + move), 1e-6), 1.0 - 1e-6)
        self._modes = (hold, 1.0 - hold)
        self._place = (float(place[0]), float(place[1]))
        return nis

    def _describe(self, nis: float | None, *, started: bool = False) -> TrackState:
        assert self._filters is not None
        hold, move = self._modes
        both = _mixed(*self._filters, move)
        moving = self._filters[MOVE].mean
        xx, xy, yy = both.place
        predicted = nis is None and not started
        place = (both.mean[0], both.mean[1])
        if not predicted:
            self._place = place
        velocity = (move * moving[2], move * moving[3])
        return TrackState(place, ((xx, xy), (xy, yy)), velocity, hold, predicted, False, nis, started)


Symmetric = tuple[float, float, float]
"""A symmetric 2 x 2 matrix: xx, xy, yy."""
Four = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class _Gauss:
    """Mean and covariance of one filter, in plain numbers: NumPy takes ten times as long on matrices this small.

    Attributes
    ----------
    mean : x, y, vx, vy
    place, speed : covariance of each
    cross : covariance of x with vx, x with vy, y with vx, y with vy
    """

    mean: Four
    place: Symmetric
    cross: Four
    speed: Symmetric


def _sum(a: Symmetric, b: Symmetric) -> Symmetric:
    return (a[0] + b[0], a[1] + b[1], a[2] + b[2])


def _mixed(a: _Gauss, b: _Gauss, share: float) -> _Gauss:
    """Return mean and covariance of a mixture of two, of which ``share`` is the second."""
    rest = 1.0 - share
    x, y, u, v = (q - p for p, q in zip(a.mean, b.mean))
    apart = share * rest
    return _Gauss(
        (a.mean[0] + share * x, a.mean[1] + share * y, a.mean[2] + share * u, a.mean[3] + share * v),
        (
            rest * a.place[0] + share * b.place[0] + apart * x * x,
            rest * a.place[1] + share * b.place[1] + apart * x * y,
            rest * a.place[2] + share * b.place[2] + apart * y * y,
        ),
        (
            rest * a.cross[0] + share * b.cross[0] + apart * x * u,
            rest * a.cross[1] + share * b.cross[1] + apart * x * v,
            rest * a.cross[2] + share * b.cross[2] + apart * y * u,
            rest * a.cross[3] + share * b.cross[3] + apart * y * v,
        ),
        (
            rest * a.speed[0] + share * b.speed[0] + apart * u * u,
            rest * a.speed[1] + share * b.speed[1] + apart * u * v,
            rest * a.speed[2] + share * b.speed[2] + apart * v * v,
        ),
    )


def _moved(g: _Gauss, dt: float, noise: Symmetric) -> _Gauss:
    """Move on by its speed, with white noise on the acceleration (Bar-Shalom, Li and Kirubarajan, 2001, chapter 6.2).

    Parameters
    ----------
    noise : covariance of the speed's change after one second
    """
    x, y, u, v = g.mean
    xu, xv, yu, yv = g.cross
    uu, uv, vv = g.speed
    ahead_xu, ahead_xv, ahead_yu, ahead_yv = xu + dt * uu, xv + dt * uv, yu + dt * uv, yv + dt * vv
    second, third = dt * dt / 2.0, dt**3 / 3.0
    return _Gauss(
        (x + dt * u, y + dt * v, u, v),
        (
            g.place[0] + dt * (xu + ahead_xu) + third * noise[0],
            g.place[1] + dt * (yu + ahead_xv) + third * noise[1],
            g.place[2] + dt * (yv + ahead_yv) + third * noise[2],
        ),
        (
            ahead_xu + second * noise[0], ahead_xv + second * noise[1],
            ahead_yu + second * noise[1], ahead_yv + second * noise[2],
        ),
        (uu + dt * noise[0], uv + dt * noise[1], vv + dt * noise[2]),
    )


def _corrected(g: _Gauss, place: PointMm, noise: Symmetric) -> tuple[_Gauss, float]:
    """Weigh a measurement in; return the filter and the measurement's log likelihood, less a constant."""
    xx, xy, yy = g.place
    xu, xv, yu, yv = g.cross
    total = _sum(g.place, noise)
    residual = (float(place[0]) - g.mean[0], float(place[1]) - g.mean[1])
    squared, determinant = _quadratic(residual, total)
    a, b, c = total[2] / determinant, -total[1] / determinant, total[0] / determinant
    # The gain's rows are those of the covariance with the place, times the inverse of the total.
    gains = [(p * a + q * b, p * b + q * c) for p, q in ((xx, xy), (xy, yy), (xu, yu), (xv, yv))]
    (x0, x1), (y0, y1), (u0, u1), (v0, v1) = gains
    m, n = residual
    mean = tuple(value + p * m + q * n for value, (p, q) in zip(g.mean, gains))
    return _Gauss(
        (mean[0], mean[1], mean[2], mean[3]),
        (xx - x0 * xx - x1 * xy, xy - x0 * xy - x1 * yy, yy - y0 * xy - y1 * yy),
        (xu - x0 * xu - x1 * yu, xv - x0 * xv - x1 * yv, yu - y0 * xu - y1 * yu, yv - y0 * xv - y1 * yv),
        (g.speed[0] - u0 * xu - u1 * yu, g.speed[1] - u0 * xv - u1 * yv, g.speed[2] - v0 * xv - v1 * yv),
    ), -0.5 * (squared + math.log(determinant))


def _noise(covariance_mm2: object) -> Symmetric:
    if covariance_mm2 is None:
        raise ValueError("a measurement needs its covariance")
    noise = np.asarray(covariance_mm2, dtype=np.float64)
    if noise.ndim == 0:
        noise = np.array([[float(noise), 0.0], [0.0, float(noise)]])
    (a, b), (c, d) = noise.tolist()
    if not (a > 0 and d > 0 and a * d - b * c > 0):
        raise ValueError(f"the covariance {noise.tolist()} is not positive")
    return (a, 0.5 * (b + c), d)


def _quadratic(vector: PointMm, m: Symmetric) -> tuple[float, float]:
    """Square of a vector in the metric of a covariance, and that matrix's determinant."""
    x, y = vector
    determinant = m[0] * m[2] - m[1] * m[1]
    return (m[2] * x * x - 2.0 * m[1] * x * y + m[0] * y * y) / determinant, determinant
