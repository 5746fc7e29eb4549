"""Motion of probe and tissue: hand drift with elevation, breathing, pulsation."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from puncta.sim.pose import NeedlePose, ProbePose

BREATH_SHARE = 0.6
"""Share of the breathing excursion that a held needle follows."""


@dataclass(frozen=True, slots=True)
class MotionState:
    """Displacement of tissue against the probe at one instant.

    Attributes
    ----------
    dx_mm, dz_mm : float
        Shift of the whole field [mm].
    tilt_rad : float
        Turn in the image plane about the middle of the probe's face [rad].
    elevation_mm : float
        Place of the image plane across the tissue [mm].
    breath_mm : float
        Breathing excursion [mm], felt more with depth.
    pulse : float
        0..1, arterial pressure wave.
    gain_db : float
        Slow drift of the receive gain [dB].
    """

    dx_mm: float = 0.0
    dz_mm: float = 0.0
    tilt_rad: float = 0.0
    elevation_mm: float = 0.0
    breath_mm: float = 0.0
    pulse: float = 0.0
    gain_db: float = 0.0


class SmoothDrift:
    """A second-order random walk that keeps near zero: drawn back slowly, its speed damped.

    Parameters
    ----------
    sigma : float
        About the deviation in the long run.
    slow_s : float
        Time over which it wanders [s].
    """

    def __init__(self, rng: np.random.Generator, sigma: float, slow_s: float) -> None:
        self.rng = rng
        self.sigma = sigma
        self.omega = 2.0 / slow_s
        self.value = float(rng.normal(0, sigma)) * 0.5
        self.speed = 0.0

    def step(self, dt_s: float) -> float:
        """Advance by a time step [s] and return the value."""
        # Critically damped oscillator driven by noise; this drive gives a deviation of sigma at rest.
        drive = self.sigma * 2.0 * self.omega**1.5 * math.sqrt(dt_s) * float(self.rng.standard_normal())
        self.speed += drive - dt_s * (2.0 * self.omega * self.speed + self.omega**2 * self.value)
        self.value += dt_s * self.speed
        self.value = float(np.clip(self.value, -3 * self.sigma, 3 * self.sigma))
        return self.value


class Motion:
    """All motion of one cine but the needle's; advance it once a frame, in order.

    Parameters
    ----------
    pulse_hz, breath_hz, breath_mm : (low, high)
        The subject's rates [Hz] and breathing excursion [mm]; one value of each is drawn.
    steady : float
        Share of the hand's drift that is left; a person who steers moves the probe anyway.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        *,
        pulse_hz: tuple[float, float] = (1.0, 2.0),
        breath_hz: tuple[float, float] = (0.2, 0.5),
        breath_mm: tuple[float, float] = (0.0, 0.8),
        steady: float = 1.0,
    ) -> None:
        hand = float(rng.uniform(0.15, 1.0)) * steady
        self.x = SmoothDrift(rng, 0.9 * hand, float(rng.uniform(1.0, 4.0)))
        self.z = SmoothDrift(rng, 0.35 * hand, float(rng.uniform(1.0, 4.0)))
        self.tilt = SmoothDrift(rng, math.radians(0.7) * hand, float(rng.uniform(1.0, 4.0)))
        self.y = SmoothDrift(rng, 0.45 * hand, float(rng.uniform(1.5, 5.0)))
        self.gain = SmoothDrift(rng, float(rng.uniform(0.0, 0.6)), 4.0)
        self.breath_hz = float(rng.uniform(*breath_hz))
        self.breath_mm = float(rng.uniform(*breath_mm))
        self.breath_phase = float(rng.uniform(0, 2 * math.pi))
        self.pulse_hz = float(rng.uniform(*pulse_hz))
        self.pulse_phase = float(rng.uniform(0, 1))
        self.t_s = 0.0

    def step(self, dt_s: float) -> MotionState:
        """Advance by a time step [s] and return the state."""
        self.t_s += dt_s
        # Breath: quick in, slow out. Pulse: steep rise, exponential fall.
        breath = math.sin(2 * math.pi * self.breath_hz * self.t_s + self.breath_phase)
        breath += 0.25 * math.sin(4 * math.pi * self.breath_hz * self.t_s + 2 * self.breath_phase)
        beat = (self.pulse_hz * self.t_s + self.pulse_phase) % 1.0
        pulse = (beat / 0.12 if beat < 0.12 else math.exp(-(beat - 0.12) / 0.3)) if beat < 0.97 else 0.05
        return MotionState(
            self.x.step(dt_s), self.z.step(dt_s), self.tilt.step(dt_s), self.y.step(dt_s),
            self.breath_mm * breath, pulse, self.gain.step(dt_s),
        )


def held(needle: NeedlePose, breath_mm: float) -> NeedlePose:
    """A held needle, which follows a share of the breathing."""
    x, y, z = needle.entry_mm
    return replace(needle, entry_mm=(x, y, z + BREATH_SHARE * breath_mm))


def trembling(pose: ProbePose, m: MotionState) -> ProbePose:
    """A probe with the hand's drift; tissue that drifts to +x is a probe that slides to -x."""
    return replace(
        pose, slide_mm=pose.slide_mm - m.dx_mm, sweep_mm=pose.sweep_mm + m.elevation_mm,
        rock_rad=pose.rock_rad + m.tilt_rad,
        press_mm=max(0.0, pose.press_mm - m.dz_mm) if pose.press_mm >= 0 else pose.press_mm - m.dz_mm,
    )
