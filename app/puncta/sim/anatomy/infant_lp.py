"""An infant's lumbar spine, T12 to S1: built in spine coordinates and laid out for either view."""

from __future__ import annotations

from puncta.sim.anatomy.infant_lines import draw_sheets, draw_strands
from puncta.sim.anatomy.infant_paint import GREAT_VESSELS, find_borders, paint_attenuation, paint_labels, paint_level
from puncta.sim.anatomy.infant_plan import SpinePlan, draw_plan
from puncta.sim.anatomy.infant_space import Space, tissue_point
from puncta.sim.anatomy.options import LEVELS, SubjectOptions
from puncta.sim.subject import Subject, Target, Vessel
from puncta.sim.tissue_kinds import Tissue

TARGET_REACH_MM = 30.0
TARGET_REACH_ACROSS_MM = 10.5
"""How far from the image plane a transverse picture's target may lie, so that sweeping the probe finds it [mm]."""
CLEAR_OF_CONUS_MM = 5.0
PULSE_HZ, BREATH_HZ, BREATH_MM = (2.0, 2.5), (0.5, 1.0), (0.1, 0.7)


def build_infant(seed: int, options: SubjectOptions, y_half_mm: float) -> Subject:
    """Build an infant's lumbar spine.

    Parameters
    ----------
    seed : int
    options : SubjectOptions
        ``view``, ``weight_kg``, ``level`` and ``condition`` hold where given.
    y_half_mm : float
        Half thickness of the block across the image plane [mm].
    """
    plan = draw_plan(seed, options)
    space = Space.over(plan, y_half_mm)
    borders = find_borders(space)
    label = paint_labels(space, borders)
    level = paint_level(space, borders, label)
    target, below = _find_target(plan)
    return Subject(
        procedure="infant-lp", seed=seed, view=plan.view, lattice=space.lattice, label=label, level_db=level,
        attenuation=paint_attenuation(space, label), sheets=draw_sheets(space, borders),
        streaks=draw_strands(space, borders, label).streaks(), vessels=_vessels(plan), target=target,
        forbidden=frozenset({Tissue.CORD, Tissue.BONE}), skin_mm=plan.skin_mm, depth_mm=plan.depth_mm,
        facts=describe_plan(plan) | {"target_below_conus": below}, pulse_hz=PULSE_HZ, breath_hz=BREATH_HZ,
        breath_mm=BREATH_MM,
    )


def describe_plan(plan: SpinePlan) -> dict[str, float | int | str | bool]:
    """Figures of a plan for rules and case descriptions."""
    return {
        "weight_kg": round(plan.weight_kg, 2), "level": LEVELS[plan.level], "condition": plan.condition,
        "conus_level": name_level(plan.conus), "conus_mm": round(plan.tip_mm, 2), "pitch_mm": round(plan.pitch_mm, 2),
        "canal_depth_mm": round(plan.canal_depth_mm, 2), "canal_ap_mm": round(plan.canal_ap_mm, 2),
        "canal_half_mm": round(plan.canal_ap_mm / 2, 2),
        "cord_ap_mm": round(plan.cord_ap_mm, 2), "midline_mm": round(plan.midline_mm, 3),
        "haematoma_mm": round(plan.haematoma_mm, 2), "scarce_fluid": plan.sac_share < 0.7,
        "contact_share": round(plan.contact, 2),
    }


def name_level(conus: float) -> str:
    """Name a level counted in interspaces from T12-L1: a disc within a quarter, else the vertebra."""
    nearest = round(conus)
    if abs(conus - nearest) <= 0.25:
        return LEVELS[nearest] if 0 <= nearest < len(LEVELS) else "T12"
    below = int(conus + 1) if conus > 0 else 0
    return f"L{below}" if below > 0 else "T12"


def _find_target(plan: SpinePlan) -> tuple[Target, bool]:
    """Fluid at the interspace below the conus nearest to the probe's middle, and whether there is one in reach.

    Without one in reach the target is the fluid behind the cord under the probe, which is no place for a needle; a
    case or an exercise leaves such a subject out.
    """
    reach = TARGET_REACH_MM if plan.view == "longitudinal" else TARGET_REACH_ACROSS_MM
    places = [plan.place(k) + 0.12 * plan.pitch_mm for k in range(1, len(LEVELS))]
    fits = [s for s in places if s > plan.tip_mm + CLEAR_OF_CONUS_MM and abs(s) <= reach]
    s = min(fits, key=abs) if fits else 0.0
    axis, half = (float(v) for v in plan.sac(s))
    _, cord_half = (float(v) for v in plan.cord(s))
    if fits:
        # Roots lie in the front; the middle of what is left to the fluid behind them.
        free = 2.0 * half * max(1.0 - plan.root_share * float(plan.crowding(s)), 0.3)
        z, radius = axis - half + 0.5 * free, max(0.8, 0.5 * free)
    else:
        free = max(axis - half - (float(plan.cord(s)[0]) - cord_half), -2.0)
        z, radius = axis - half + max(0.6, -free / 2), 0.8
    across = plan.midline_mm + plan.lean * (z - plan.canal_depth_mm)
    centre = tissue_point(plan, s, across, z)
    inside = frozenset({Tissue.CSF, Tissue.CAUDA_EQUINA})
    return Target("CSF", centre, radius, inside), bool(fits)


def _vessels(plan: SpinePlan) -> tuple[Vessel, ...]:
    """Aorta and vena cava before the spine."""
    along = tissue_point(plan, 1.0, 0.0, 0.0)
    front = plan.canal_depth_mm + plan.canal_ap_mm / 2 + 8.5 + 0.6 * plan.weight_kg
    made = []
    for kind, (off, below, wide, high) in GREAT_VESSELS.items():
        z = front + below
        across = plan.midline_mm + plan.lean * plan.canal_ap_mm / 2 + off
        made.append(Vessel("aorta" if kind is Tissue.ARTERY else "vena cava", kind, tissue_point(plan, 0.0, across, z),
                           along, (wide, high), pulse_mm=0.2 if kind is Tissue.ARTERY else 0.03))
    return tuple(made)
