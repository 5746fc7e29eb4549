"""Contrast of the needle in finished pictures: the law of the angle, and thickness of the image plane."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from puncta.sim.cine import CineGenerator
from puncta.sim.echo import NeedleEcho


def _contrast(angle_deg: float, offset_mm: float = 0.0) -> tuple[float, float, str]:
    """Shaft and tip contrast of one smooth needle laid at an angle, median over a few tissues."""
    shafts, tips, words = [], [], []
    for seed in (3, 4, 6, 9, 12):
        g = CineGenerator("nerve", "B", seed, size_px=(128, 128), needle=True, start="inside")
        g.machine = replace(g.machine, steer_deg=0.0)
        x0, _, x1, z1 = g.scan.extent_mm
        middle = 0.5 * z1
        a = math.radians(angle_deg)
        run = 0.30 * (x1 - x0)
        back = run / math.cos(a)
        needle = replace(
            g.needle, side=1, angle_deg=angle_deg, bend_mm=0.0, skew_rad=0.0, offset_mm=offset_mm,
            origin=(x0 + 0.1 * (x1 - x0), middle - back * math.sin(a)), goal_mm=back, enter_mm=0.0, floor=0.05,
            tip_floor=0.8, level_db=2.0, tip_boost_db=3.0, reverb_copies=0, comet=False, back_wall=0.0,
        )
        g.needle = needle
        g.echo = NeedleEcho(needle, g.scan, g.machine, g.echo.attenuation, np.random.default_rng(seed))
        g.insertion.s, g.insertion.speed = back, 0.0
        g.insertion.target, g.insertion.wanted, g.insertion.left_s = back, 0.0, 9.0
        g.motion.y.value = g.motion.y.sigma = 0.0
        _, truth = g.next_frame()
        assert truth.tip_cnr is not None
        shafts.append(truth.shaft_cnr if truth.shaft_cnr is not None else 0.0)
        tips.append(truth.tip_cnr)
        words.append(truth.visibility)
    return float(np.median(shafts)), float(np.median(tips)), max(set(words), key=words.count)


def test_the_shaft_is_brightest_when_nearly_perpendicular_and_the_tip_outlasts_it() -> None:
    flat, flat_tip, word = _contrast(8.0)
    middle, _, _ = _contrast(25.0)
    steep, steep_tip, _ = _contrast(40.0)
    assert flat > middle > steep
    assert flat > 2.0
    assert steep < 1.2
    assert steep_tip > steep + 1.0
    assert flat_tip > 2.0
    assert word == "clear"


def test_a_needle_beside_the_image_plane_is_out_of_plane() -> None:
    _, in_plane, _ = _contrast(8.0)
    _, tip, word = _contrast(8.0, offset_mm=3.0)
    assert word == "out_of_plane"
    assert tip < in_plane - 2.0
