"""What the mouse does with probe and needle: pure functions from drags in the picture to controls.

Directions are those of the picture, x right and y down; millimetres come from the picture's own scale.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from puncta.core.geometry import PointPx
from puncta.sim.controls import STILL, Controls
from puncta.sources.steering import NeedleView

WHEEL_MM = 1.0
"""Advance for one notch of the wheel [mm]."""
LEAST_LEVER_MM = 12.0
"""A drag close to the entry turns the needle as if it were held this far from it [mm]."""
SWING_DEG_PER_MM = 1.5
LOCK_SHARE = 0.6
"""The weaker of two directions counts only from this share of the stronger on, so that a push stays straight."""
LOCK_MEMORY_MM = 4.0
"""Way over which the two directions are compared [mm]."""


@dataclass(slots=True)
class Grip:
    """One drag, from press to release.

    Attributes
    ----------
    last_px : point
        Where the cursor was last, in the picture [px].
    along_mm, across_mm : float
        Way of the last few millimetres along and across the needle, fading [mm].
    """

    last_px: PointPx
    along_mm: float = 0.0
    across_mm: float = 0.0

    def move_needle(self, to_px: PointPx, needle: NeedleView, mm_per_px: float) -> Controls:
        """Advance by the part of the drag along the needle, and turn it by the part across.

        In the picture's plane a turn changes the angle to the skin. A needle that comes from across the plane shows no
        such turn; there the part across swings it to the side.
        """
        dx, dy = self._step(to_px, mm_per_px)
        ux, uy = needle.towards if needle.towards != (0.0, 0.0) else (0.0, 1.0)
        along, across = dx * ux + dy * uy, -dx * uy + dy * ux
        fade = math.exp(-math.hypot(dx, dy) / LOCK_MEMORY_MM)
        self.along_mm = self.along_mm * fade + abs(along)
        self.across_mm = self.across_mm * fade + abs(across)
        if self.across_mm < LOCK_SHARE * self.along_mm:
            across = 0.0
        elif self.along_mm < LOCK_SHARE * self.across_mm:
            along = 0.0
        lever = math.hypot(to_px[0] - needle.entry_px[0], to_px[1] - needle.entry_px[1]) * mm_per_px
        turn_deg = math.degrees(across / max(LEAST_LEVER_MM, lever))
        if runs_across(needle):
            # Across is -dx here, since the needle points down the picture; to the right is where its azimuth falls.
            return Controls(advance_mm=along, swing_deg=math.copysign(1.0, needle.azimuth_deg) * turn_deg)
        # Turning clockwise on the screen makes a needle from the left steeper, one from the right flatter.
        return Controls(advance_mm=along, angle_deg=math.copysign(turn_deg, turn_deg * ux))

    def move_entry(self, to_px: PointPx, needle: NeedleView, mm_per_px: float) -> Controls:
        """Move the entry while the needle is outside; inside, turn it where a plain drag cannot.

        Right and left go along the picture, up and down across it (up is behind).
        """
        dx, dy = self._step(to_px, mm_per_px)
        if needle.way_mm <= 0:
            return Controls(entry_mm=dx, entry_across_mm=-dy)
        if runs_across(needle):
            return Controls(angle_deg=dy * SWING_DEG_PER_MM)
        behind = 1.0 if abs(needle.azimuth_deg) < 90.0 else -1.0
        return Controls(swing_deg=-dy * SWING_DEG_PER_MM * behind)

    def move_probe(self, to_px: PointPx, mm_per_px: float) -> Controls:
        """Slide the probe with the drag, as if tissue were held: the picture follows the cursor."""
        dx, dy = self._step(to_px, mm_per_px)
        return Controls(slide_mm=-dx, sweep_mm=-dy)

    def _step(self, to_px: PointPx, mm_per_px: float) -> tuple[float, float]:
        dx, dy = (to_px[0] - self.last_px[0]) * mm_per_px, (to_px[1] - self.last_px[1]) * mm_per_px
        self.last_px = to_px
        return dx, dy


def runs_across(needle: NeedleView) -> bool:
    """Tell whether the needle comes more from across the picture than along it."""
    return abs(math.cos(math.radians(needle.azimuth_deg))) < 0.5


def wheel_controls(notches: float) -> Controls:
    """Advance (wheel down, towards the hand, as the key that points down does) or withdraw."""
    return Controls(advance_mm=-notches * WHEEL_MM) if notches else STILL
