"""Procedures that Live can be set up for: which plugins look, what the target is called, how near is near enough.

Simulation and training only. The distances steer sounds and words of the program; they are no clinical limits.
"""

from __future__ import annotations

from dataclasses import dataclass

from puncta.core.overlay import Layer


@dataclass(frozen=True, slots=True)
class Procedure:
    """One set-up.

    Attributes
    ----------
    id : str
        Kept in the settings.
    title : str
    plugins : tuple of str
        Plugins that are switched on, the others off; those that are not installed are left out.
    target : str
        What the target is, in one word.
    advice : str
        One sentence: what to click as the target.
    reach_mm : float
        The tip is at the target within this distance [mm].
    hidden : frozenset of Layer
        Layers that begin hidden.
    """

    id: str
    title: str
    plugins: tuple[str, ...]
    target: str
    advice: str
    reach_mm: float
    hidden: frozenset[Layer] = frozenset()


PROCEDURES: tuple[Procedure, ...] = (
    Procedure("free", "Free practice", ("needle-tip",), "target", "Click what the tip is to reach.", 2.0),
    Procedure(
        "nerve", "Nerve block", ("needle-tip",), "site",
        "Click the place beside the nerve, not the nerve itself.", 2.0, frozenset({Layer.MASK}),
    ),
    Procedure(
        "vessel", "Vessel access", ("needle-tip",), "vessel",
        "Click the middle of the vessel.", 2.0, frozenset({Layer.MASK}),
    ),
    Procedure(
        "breast", "Breast biopsy", ("needle-tip", "breast-biopsy"), "lesion",
        "Click the middle of the lesion.", 4.0,
    ),
    Procedure(
        "infant-lp", "Infant lumbar puncture", ("needle-tip", "infant-lp"), "space",
        "Click the fluid beside the cord, below its end.", 2.0, frozenset({Layer.HEAT_MAP}),
    ),
)


def procedure_of(name: str) -> Procedure:
    """The procedure of an id; free practice where it is unknown."""
    return next((procedure for procedure in PROCEDURES if procedure.id == name), PROCEDURES[0])


def plugins_for(procedure: Procedure, installed: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Plugins to switch on, and those that the procedure wants and that are not installed."""
    on = tuple(name for name in procedure.plugins if name in installed)
    return on, tuple(name for name in procedure.plugins if name not in installed)
