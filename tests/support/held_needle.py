"""Cines of even tissue in which one needle is held still."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from plain_subject import even_subject

from puncta.sim.cine import CineGenerator
from puncta.sim.echo import NeedleEcho
from puncta.sim.pose import NeedlePose, SceneState


class Held:
    """Hands that hold one scene."""

    injected_ml = 0.0

    def __init__(self, state: SceneState) -> None:
        self.state = state

    def step(self, dt_s: float, controls: object = None) -> SceneState:
        return self.state


def held(pose: NeedlePose, *, seed: int = 1, machine: str = "B", noise: bool = True, tissue_db: float = -24.0,
         size: int = 192, **kind: Any) -> CineGenerator:
    """A cine of even tissue in which one needle is held still."""
    g = CineGenerator("nerve", machine, seed, size_px=(size, size), needle=True, start="inside", noise=noise,
                      subject=even_subject(level_db=tissue_db))
    g.machine = replace(g.machine, steer_deg=0.0)
    look = {
        "floor": 0.05, "tip_floor": 0.8, "level_db": 2.0, "tip_boost_db": 3.0, "reverb_copies": 0, "comet": False,
        "back_wall": 0.0, "shadow_db": 0.0, "plastic": False, "gauge_mm": 0.72, "bevel_mm": 1.2,
    } | kind
    g.needle = replace(g.needle, **look)
    g.echo = NeedleEcho(g.needle, g.scan, g.machine, g.scene.speckle.density, np.random.default_rng(seed))
    g.hands = Held(SceneState(needle=pose))
    return g


def in_plane(angle_deg: float, offset_mm: float = 0.0, tip: tuple[float, float] = (4.0, 15.0)) -> NeedlePose:
    """A straight needle from the left, its tip at a place."""
    a = math.radians(angle_deg)
    way = min(18.0, 14.0 / max(math.sin(a), 0.2))
    return NeedlePose((tip[0] - way * math.cos(a), offset_mm, tip[1] - way * math.sin(a)), a, 0.0, way)
