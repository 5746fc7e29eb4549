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
from numpy.typing import NDArray

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
        self._means: NDArray[np.float64] | None = None
        self._covariances: NDArray[np.float64] = np.zeros((2, 4, 4))
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
        if self._means is not None and (t_ns < self._t_ns or self._silence_s(t_ns) > self.settings.lost_after_s):
            self._end()
        if self._means is None:
            if measurement_mm is None or noise is None:
                self._t_ns = t_ns
                return self._last
            return self._start(t_ns, measurement_mm, noise)
        self._predict(max(0.0, (t_ns - self._t_ns) * 1e-9))
        self._t_ns = t_ns
        nis = None
        if measurement_mm is not None and noise is not None:
            nis = self._correct(np.array(measurement_mm, dtype=np.float64), noise)
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
        self._means = None
        self._last = TrackState(
            self._place, self._last.covariance_mm2, (0.0, 0.0), self._last.hold_probability, True, True
        )

    def _is_believed(self, refused: PointMm) -> bool:
        """Tell whether refused measurements have agreed often enough that the track must be wrong."""
        if self._rivals and math.dist(self._rivals[-1], refused) > self.settings.gate_mm:
            self._rivals.clear()
        self._rivals.append(refused)
        return len(self._rivals) >= self.settings.rival_count

    def _start(self, t_ns: int, place: PointMm, noise: NDArray[np.float64]) -> TrackState:
        self._means = np.zeros((2, 4))
        self._means[:, :2] = place
        self._covariances = np.zeros((2, 4, 4))
        self._covariances[:, :2, :2] = noise
        self._covariances[:, 2:, 2:] = self._along(self.settings.start_axial_mm_s, self.settings.start_lateral_mm_s)
        rest, push = self.settings.hold_for_s, self.settings.move_for_s
        self._modes = (rest / (rest + push), push / (rest + push))
        self._t_ns = self._measured_ns = t_ns
        self._rivals.clear()
        self._place = (float(place[0]), float(place[1]))
        self._last = self._describe(None, started=True)
        return self._last

    def _along(self, axial: float, lateral: float) -> NDArray[np.float64]:
        """Covariance with one deviation along the axis and another across it."""
        if self._axis is None:
            return np.array([[axial * axial, 0.0], [0.0, axial * axial]])
        x, y = self._axis
        a, b = axial * axial, lateral * lateral
        return np.array([[a * x * x + b * y * y, (a - b) * x * y], [(a - b) * x * y, a * y * y + b * x * x]])

    def _predict(self, dt: float) -> None:
        assert self._means is not None
        s = self.settings
        # Mixing: what each filter starts from, given the switches that may have happened since the last frame.
        hold, move = self._modes
        stops, starts = -math.expm1(-dt / s.move_for_s), -math.expm1(-dt / s.hold_for_s)
        to_hold = hold * (1.0 - starts) + move * stops
        to_move = 1.0 - to_hold
        share = move * stops / to_hold if to_hold > 0 else 0.0, move * (1.0 - stops) / to_move if to_move > 0 else 0.0
        apart = self._means[MOVE] - self._means[HOLD]
        both = apart[:, None] * apart[None, :]
        means, covariances = np.empty((2, 4)), np.empty((2, 4, 4))
        for mode, of_move in enumerate(share):
            means[mode] = self._means[HOLD] + of_move * apart
            covariances[mode] = (
                (1.0 - of_move) * self._covariances[HOLD]
                + of_move * self._covariances[MOVE]
                + of_move * (1.0 - of_move) * both
            )
        self._modes = (to_hold, to_move)
        # A tip that holds has no speed; the one it keeps is that with which it would begin to move.
        still = covariances[HOLD]
        still[:2, 2:] = still[2:, :2] = 0.0
        still[2:, 2:] = self._along(s.start_axial_mm_s, s.start_lateral_mm_s)
        still[0, 0] += s.hold_mm_s * s.hold_mm_s * dt
        still[1, 1] += s.hold_mm_s * s.hold_mm_s * dt
        means[HOLD, 2:] = 0.0
        # White noise on the acceleration, in continuous time (Bar-Shalom, Li and Kirubarajan, 2001, chapter 6.2).
        moving = covariances[MOVE]
        noise = self._along(s.axial_mm_s2, s.lateral_mm_s2)
        place, cross, speed = moving[:2, :2], moving[:2, 2:], moving[2:, 2:]
        ahead = cross + dt * speed
        moving[:2, :2] = place + dt * (cross.T + ahead) + (dt**3 / 3.0) * noise
        moving[:2, 2:] = ahead + (dt * dt / 2.0) * noise
        moving[2:, :2] = moving[:2, 2:].T
        moving[2:, 2:] = speed + dt * noise
        means[MOVE, :2] += dt * means[MOVE, 2:]
        self._means, self._covariances = means, covariances

    def _correct(self, place: NDArray[np.float64], noise: NDArray[np.float64]) -> float | None:
        """Weigh a measurement in; return its normalised innovation squared, or None where the gate refuses it."""
        assert self._means is not None
        hold, move = self._modes
        middle = hold * self._means[HOLD, :2] + move * self._means[MOVE, :2]
        apart = self._means[MOVE, :2] - self._means[HOLD, :2]
        spread = (
            hold * self._covariances[HOLD, :2, :2]
            + move * self._covariances[MOVE, :2, :2]
            + hold * move * (apart[:, None] * apart[None, :])
            + noise
        )
        miss = place - middle
        nis = _quadratic(miss, spread)
        s = self.settings
        if math.hypot(*miss) > s.gate_mm and nis > -2.0 * math.log(s.gate_chance):
            return None
        logs = [0.0, 0.0]
        for mode in (HOLD, MOVE):
            covariance = self._covariances[mode]
            total = covariance[:2, :2] + noise
            inverse, determinant = _inverse(total)
            residual = place - self._means[mode, :2]
            gain = covariance[:, :2] @ inverse
            logs[mode] = -0.5 * (float(residual @ inverse @ residual) + math.log(determinant))
            self._means[mode] += gain @ residual
            covariance -= gain @ covariance[:2]
            self._covariances[mode] = 0.5 * (covariance + covariance.T)
        top = max(logs)
        hold *= math.exp(logs[HOLD] - top)
        move *= math.exp(logs[MOVE] - top)
        # Neither mode may become impossible: rounding would keep it from ever coming back.
        hold = min(max(hold / (hold + move), 1e-6), 1.0 - 1e-6)
        self._modes = (hold, 1.0 - hold)
        self._place = (float(place[0]), float(place[1]))
        return nis

    def _describe(self, nis: float | None, *, started: bool = False) -> TrackState:
        assert self._means is not None
        hold, move = self._modes
        still, moving = self._means
        apart = moving[:2] - still[:2]
        x, y = (float(v) for v in still[:2] + move * apart)
        c = hold * self._covariances[HOLD, :2, :2] + move * self._covariances[MOVE, :2, :2]
        c = c + hold * move * (apart[:, None] * apart[None, :])
        velocity = (float(move * moving[2]), float(move * moving[3]))
        covariance = ((float(c[0, 0]), float(c[0, 1])), (float(c[0, 1]), float(c[1, 1])))
        predicted = nis is None and not started
        if not predicted:
            self._place = (x, y)
        return TrackState((x, y), covariance, velocity, hold, predicted, False, nis, started)


def _noise(covariance_mm2: object) -> NDArray[np.float64]:
    if covariance_mm2 is None:
        raise ValueError("a measurement needs its covariance")
    noise = np.asarray(covariance_mm2, dtype=np.float64)
    if noise.ndim == 0:
        noise = np.array([[float(noise), 0.0], [0.0, float(noise)]])
    a, b, c, d = noise[0, 0], noise[0, 1], noise[1, 0], noise[1, 1]
    if not (a > 0 and d > 0 and a * d - b * c > 0):
        raise ValueError(f"the covariance {noise.tolist()} is not positive")
    return noise


def _inverse(m: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Inverse and determinant of a 2 x 2 matrix."""
    a, b, c, d = float(m[0, 0]), float(m[0, 1]), float(m[1, 0]), float(m[1, 1])
    determinant = a * d - b * c
    return np.array([[d, -b], [-c, a]]) / determinant, determinant


def _quadratic(vector: NDArray[np.float64], m: NDArray[np.float64]) -> float:
    inverse, _ = _inverse(m)
    return float(vector @ inverse @ vector)
