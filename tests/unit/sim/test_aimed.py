"""Watched cines: the needle begins above the skin, goes to the target and keeps clear of what must not be hit."""

from __future__ import annotations

import math

import numpy as np
import pytest

from puncta.sim.anatomy import SubjectOptions
from puncta.sim.cine import CineGenerator
from puncta.sim.probing import label_at, rest_of
from puncta.sim.tissue_kinds import Tissue

AS_DRAWN = SubjectOptions()
CASES = (
    ("nerve", 1, "A", AS_DRAWN), ("nerve", 8, "A", AS_DRAWN), ("infant-lp", 3, "A", AS_DRAWN),
    ("infant-lp", 8, "D", AS_DRAWN), ("infant-lp", 11, "A", AS_DRAWN), ("breast", 2, "A", AS_DRAWN),
    ("vessel", 5, "B", AS_DRAWN), ("vessel", 5, "D", SubjectOptions(view="long-axis")),
)


@pytest.mark.parametrize(("procedure", "seed", "machine", "options"), CASES)
def test_a_watched_needle_starts_above_the_skin_reaches_the_target_and_hits_nothing(
    procedure: str, seed: int, machine: str, options: SubjectOptions
) -> None:
    g = CineGenerator(procedure, machine, seed, size_px=(64, 64), needle=True, start="outside", fps=10.0,
                      options=options)
    body = g.subject
    bad = [int(kind) for kind in (body.forbidden - body.target.inside) | {Tissue.BONE}]
    ways, nearest = [], math.inf
    for _ in range(200):
        state = g.hands.step(0.1)
        assert state.needle is not None
        ways.append(state.needle.way_mm)
        if ways[-1] > 0:
            places = rest_of(g.deformation, state, *state.needle.points(np.linspace(0.0, ways[-1], 60)))
            assert not np.isin(label_at(body, *places), bad).any()
            nearest = min(nearest, math.dist([float(v[-1]) for v in places], body.target.centre_mm))
    assert ways[0] < 0.0
    assert nearest < max(body.target.radius_mm, 2.0)


def test_an_infants_needle_that_is_watched_is_steep_and_passes_beside_the_face() -> None:
    for seed in (2, 3, 6, 8):
        g = CineGenerator("infant-lp", "A", seed, size_px=(64, 64), needle=True, start="outside",
                          options=SubjectOptions(view="longitudinal"), approach="in-plane")
        assert g.plan is not None
        assert 59.0 <= math.degrees(g.plan.angle_rad) <= 71.0
        assert abs(g.plan.entry_mm[0] - g.plan.slide_mm) >= g.scan.width_mm / 2 - 0.5
