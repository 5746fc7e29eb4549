"""What a trainee's hands do between two frames. The same controls, frame by frame, give the same bytes."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Controls:
    """Increments since the last frame; nothing given means hands held still.

    Attributes
    ----------
    advance_mm : float
        Needle along its axis [mm]; negative withdraws.
    angle_deg : float
        Needle steeper (+) or flatter (-) [deg].
    swing_deg : float
        Needle's azimuth, out of the picture's plane [deg].
    entry_mm : float
        Entry point along the skin in the picture's x [mm]; only while the needle is outside.
    entry_across_mm : float
        Entry point across the picture [mm]; only while outside.
    slide_mm, sweep_mm : float
        Probe along and across the picture [mm].
    rock_deg, tilt_deg, twist_deg : float
        Probe turns [deg].
    press_mm : float
        Probe into the skin [mm]; negative lifts.
    inject_ml : float
        Fluid through the needle [ml].
    fire : bool
        The biopsy gun's throw.
    done : bool
        The trainee declares the attempt finished.
    """

    advance_mm: float = 0.0
    angle_deg: float = 0.0
    swing_deg: float = 0.0
    entry_mm: float = 0.0
    entry_across_mm: float = 0.0
    slide_mm: float = 0.0
    sweep_mm: float = 0.0
    rock_deg: float = 0.0
    tilt_deg: float = 0.0
    twist_deg: float = 0.0
    press_mm: float = 0.0
    inject_ml: float = 0.0
    fire: bool = False
    done: bool = False

    def __add__(self, other: Controls) -> Controls:
        """Sum of increments; ``fire`` and ``done`` hold if either does."""
        values = {}
        for f in fields(self):
            a, b = getattr(self, f.name), getattr(other, f.name)
            values[f.name] = (a or b) if isinstance(a, bool) else a + b
        return Controls(**values)


STILL = Controls()
