"""How wide the needle in hand is drawn: a gauge where the picture is calibrated, else pixels; and the brush."""

from __future__ import annotations

import math

from puncta.core.frame import Calibration
from puncta.gui.annotate.things import LEAST_PX, MOST_PX
from puncta.gui.preferences import Preferences
from puncta.imaging.needle_pose import GAUGES_MM

USUAL_GAUGE, USUAL_PX = "14G", 8.0
STEP = 1.15
"""Brush, and needles without a calibration, grow by this factor."""


class NeedleWidth:
    """Kept in the settings, so that the next clip of the same procedure begins with the same needle."""

    def __init__(self, preferences: Preferences) -> None:
        self._preferences = preferences

    def _kept(self) -> dict[str, str | int | float | bool]:
        return self._preferences.settings.annotate

    def _keep(self, name: str, value: str | float) -> None:
        self._kept()[name] = value
        self._preferences.touch("annotate")

    @property
    def gauge(self) -> str:
        """Name of the gauge."""
        gauge = str(self._kept().get("gauge", USUAL_GAUGE))
        return gauge if gauge in GAUGES_MM else USUAL_GAUGE

    def needle_px(self, calibration: Calibration | None) -> float:
        """Width of the needle [px]."""
        if calibration is None:
            return _number(self._kept().get("needle_px"), USUAL_PX)
        return GAUGES_MM[self.gauge] / math.sqrt(calibration.mm_per_px[0] * calibration.mm_per_px[1])

    def needle_words(self, calibration: Calibration | None) -> str:
        """Say how wide the needle is drawn: its gauge and that in mm, or pixels."""
        if calibration is None:
            return f"{self.needle_px(None):.1f} px"
        return f"{self.gauge}, {GAUGES_MM[self.gauge]:.2f} mm"

    @property
    def brush_px(self) -> float:
        """Width of the brush [px]."""
        return _number(self._kept().get("brush_px"), USUAL_PX)

    def step_needle(self, wider: bool, calibration: Calibration | None) -> str:
        """Take the next gauge or a few pixels more or less; return what it is now, in words."""
        if calibration is None:
            width = self.needle_px(None) * (STEP if wider else 1 / STEP)
            self._keep("needle_px", round(min(MOST_PX, max(LEAST_PX, width)), 2))
            return self.needle_words(None)
        gauges = sorted(GAUGES_MM, key=lambda g: GAUGES_MM[g])
        place = gauges.index(self.gauge) + (1 if wider else -1)
        self._keep("gauge", gauges[max(0, min(len(gauges) - 1, place))])
        return self.needle_words(calibration)

    def step_brush(self, wider: bool) -> str:
        """Take a wider or a narrower brush; return what it is now, in words."""
        width = self.brush_px * (STEP if wider else 1 / STEP)
        self._keep("brush_px", round(min(MOST_PX, max(LEAST_PX, width)), 2))
        return f"{self.brush_px:.1f} px"


def _number(value: object, usual: float) -> float:
    return min(MOST_PX, max(LEAST_PX, float(value))) if isinstance(value, int | float) else usual
