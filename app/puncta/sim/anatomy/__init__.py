"""Painted anatomies: builders of simulated subjects."""

from __future__ import annotations

from difflib import get_close_matches

from puncta.core.errors import UserError
from puncta.sim.anatomy.breast import build_breast
from puncta.sim.anatomy.canvas import Canvas
from puncta.sim.anatomy.limb import build_nerve, build_vessel
from puncta.sim.anatomy.options import SubjectOptions
from puncta.sim.subject import PROCEDURES, Subject

ANYTHING = SubjectOptions()
__all__ = ["SubjectOptions", "build_subject"]


def build_subject(
    procedure: str, seed: int, *, options: SubjectOptions = ANYTHING, y_half_mm: float = 12.0
) -> Subject:
    """Build a subject; the same arguments give the same one in any process.

    Parameters
    ----------
    procedure : str
        One of `PROCEDURES`.
    seed : int
        Each seed is another subject.
    options : SubjectOptions
        What is asked for instead of drawn.
    y_half_mm : float
        Half the block's extent across the picture [mm]; where two extents overlap they hold the same tissue.

    Raises
    ------
    UserError
        When there is no such procedure, or an option does not fit it.
    """
    if procedure not in PROCEDURES:
        near = get_close_matches(procedure, PROCEDURES, 1)
        hint = f"the nearest is {near[0]}" if near else f"choose one of {', '.join(PROCEDURES)}"
        raise UserError(f"There is no simulated procedure {procedure!r}; {hint}.")
    options.check(procedure)
    if procedure == "infant-lp":
        from puncta.sim.anatomy.infant_lp import build_infant

        return build_infant(seed, options, y_half_mm)
    canvas = Canvas(procedure, seed, y_half_mm)
    build = {"breast": build_breast, "nerve": build_nerve, "vessel": build_vessel}[procedure]
    return build(canvas, options)
