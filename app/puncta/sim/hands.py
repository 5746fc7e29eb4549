"""Hands: what moves probe and needle from frame to frame, by themselves or as a person or a script says.

Both kinds of hands give a `SceneState` whose needle lies where it is on this frame: breathing and tremor are in it, so
whoever draws it adds nothing.
"""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np

from puncta.sim.controls import STILL, Controls
from puncta.sim.insertion import Drag, Hand, Insertion
from puncta.sim.motion import Motion, MotionState, held, trembling
from puncta.sim.needle import NeedlePlan
from puncta.sim.pose import ProbePose, SceneState
from puncta.sim.steered import SteeredHands, start_plan
from puncta.sim.subject import Subject

__all__ = ["AutoHands", "Hands", "SteeredHands", "start_plan"]
LONGEST_STEP_S = 0.125
"""Longest time that motion is advanced by at once [s]; shorter than any machine's frame needs."""


class Hands(Protocol):
    """What a cine asks of hands."""

    @property
    def state(self) -> SceneState:
        """The scene on the latest frame."""

    @property
    def injected_ml(self) -> float:
        """Fluid that left the needle since the frame before [ml]."""

    def step(self, dt_s: float, controls: Controls = STILL) -> SceneState:
        """Advance by the time since the last frame [s]; the same steps give the same states."""


class AutoHands:
    """A practised operator on their own: the probe drifts, the needle goes in, rests, comes back and goes in again.

    Parameters
    ----------
    plan : NeedlePlan or None
        None holds a probe and no needle.
    motion_rng, needle_rng : Generator
        Streams of the probe and tissue, and of the needle; apart, so that a cine moves alike with and without a needle.
    start : {"outside", "inside"}
        Whether the needle is still outside the picture at first.
    watched : bool
        As for `Insertion`.
    """

    def __init__(
        self, subject: Subject, plan: NeedlePlan | None, motion_rng: np.random.Generator,
        needle_rng: np.random.Generator, start: str = "inside", pace: float = 1.0,
        watched: bool = False,
    ) -> None:
        self.motion = Motion(motion_rng, pulse_hz=subject.pulse_hz, breath_hz=subject.breath_hz,
                             breath_mm=subject.breath_mm)
        self.plan = plan
        self.insertion = Insertion(needle_rng, plan, start, pace, watched) if plan is not None else None
        self.drag = Drag(needle_rng)
        self.rest = ProbePose(slide_mm=plan.slide_mm if plan else 0.0, press_mm=float(motion_rng.uniform(0.5, 1.5)))
        self.injected_ml = 0.0
        self.state = SceneState(probe=self.rest)

    def step(self, dt_s: float, controls: Controls = STILL) -> SceneState:
        """Advance; the controls have no say."""
        # Drift and hand are followed in short steps: one as long as a slow frame would make them overshoot.
        parts = max(1, math.ceil(dt_s / LONGEST_STEP_S))
        needle, hand, pull, m = None, Hand(-1.0, 0.0, 0.0), 0.0, MotionState()
        for _ in range(parts):
            m = self.motion.step(dt_s / parts)
            if self.insertion is not None:
                hand = self.insertion.step(dt_s / parts)
                pull = self.drag.step(hand, dt_s / parts)
        if self.plan is not None:
            needle = held(self.plan.pose(hand.s_mm, hand.turn_rad * self.plan.turn_share), m.breath_mm)
        self.state = SceneState(
            probe=trembling(self.rest, m), needle=needle, speed_mm_s=hand.speed_mm_s, drag_mm=pull,
            breath_mm=m.breath_mm, pulse=m.pulse, gain_db=m.gain_db,
        )
        return self.state
