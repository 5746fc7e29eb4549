"""What may be asked of a subject instead of being drawn from its seed."""

from __future__ import annotations

from dataclasses import dataclass, fields
from difflib import get_close_matches

from puncta.core.errors import UserError

VIEWS: dict[str, tuple[str, ...]] = {
    "breast": ("radial",),
    "nerve": ("short-axis",),
    "vessel": ("short-axis", "long-axis"),
    "infant-lp": ("longitudinal", "transverse"),
}
LESIONS: tuple[str, ...] = ("cyst", "benign", "malignant", "none")
CONDITIONS: tuple[str, ...] = ("clear", "haematoma", "poor-contact", "off-midline", "bone")
LEVELS: tuple[str, ...] = ("T12-L1", "L1-L2", "L2-L3", "L3-L4", "L4-L5", "L5-S1")
WEIGHT_KG: tuple[float, float] = (2.0, 8.0)


@dataclass(frozen=True, slots=True)
class SubjectOptions:
    """Wishes for one subject; None draws from the seed.

    Attributes
    ----------
    view : str or None
        One of ``VIEWS[procedure]``.
    weight_kg : float or None
        Infant's weight [kg], 2 to 8.
    level : str or None
        Interspace under the probe's middle, one of `LEVELS` (infant-lp).
    condition : str or None
        One of `CONDITIONS` (infant-lp).
    lesion : str or None
        One of `LESIONS` (breast).
    """

    view: str | None = None
    weight_kg: float | None = None
    level: str | None = None
    condition: str | None = None
    lesion: str | None = None

    def check(self, procedure: str) -> None:
        """Raise UserError when a wish does not fit the procedure."""
        _among("view", self.view, VIEWS.get(procedure, ()), procedure)
        infant = procedure == "infant-lp"
        _among("level", self.level, LEVELS if infant else (), procedure)
        _among("condition", self.condition, CONDITIONS if infant else (), procedure)
        _among("lesion", self.lesion, LESIONS if procedure == "breast" else (), procedure)
        if self.weight_kg is not None:
            if not infant:
                raise UserError(f"A weight does not apply to {procedure}; leave it out, or choose infant-lp.")
            low, high = WEIGHT_KG
            if not low <= self.weight_kg <= high:
                raise UserError(f"A weight of {self.weight_kg:g} kg is out of range; give {low:g} to {high:g} kg.")

    def given(self) -> dict[str, str | float]:
        """Return only what was asked for, by name."""
        return {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not None}


def _among(name: str, value: str | None, choices: tuple[str, ...], procedure: str) -> None:
    if value is None or value in choices:
        return
    if not choices:
        raise UserError(f"A {name} does not apply to {procedure}; leave it out.")
    near = get_close_matches(value, choices, 1)
    hint = f"the nearest is {near[0]}" if near else f"choose one of {', '.join(choices)}"
    raise UserError(f"There is no {name} {value!r} for {procedure}; {hint}.")
