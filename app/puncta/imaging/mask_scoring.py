"""What calibration sets for a mask tracker: from which chance on a needle is shown, kept and called sure, and doubts.

The network's presence is a calibrated logit already; these are the decisions made on it. They come from the model's
registry entry (`calibration`), set on the tune split, never on a test set.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class MaskScoring:
    """Thresholds of a tracker.

    Attributes
    ----------
    show, keep : float
        Chance that a needle lies in the plane from which on its mask is shown, and down to which one that was shown
        stays.
    enter, calm : float
        A needle that comes in while one looks needs less: ``enter`` in place of ``show`` where the chance was below
        ``calm`` within the last second. What lies in the picture from the beginning may be a line of tissue.
    sure : float
        Chance from which on it is drawn as sure.
    mask_level : float
        Probability from which on a pixel belongs to the mask.
    least_length : float
        Shorter than this share of the picture's side no mask is shown: a speck is no needle.
    strangeness_most : float
        A picture stranger than this is unfamiliar.
    radius_factor, radius_least : float
        The 90 % circle's radius = ``radius_least`` [px of the network's picture] + factor x the tip's own deviation.
    angle_factor : float
        Makes the fit's error of the angle one that holds.
    """

    show: float = 0.5
    keep: float = 0.35
    enter: float = 1.0
    calm: float = 0.0
    sure: float = 0.8
    mask_level: float = 0.5
    least_length: float = 0.03
    strangeness_most: float = math.inf
    radius_factor: float = 1.645
    radius_least: float = 1.0
    angle_factor: float = 1.0

    def as_spec(self) -> dict[str, float]:
        """Return plain values for the registry's `calibration` table; numbers to six digits."""
        return {name: round(value, 6) for name, value in asdict(self).items() if math.isfinite(value)}


def mask_scoring_from_spec(calibration: Mapping[str, Any]) -> MaskScoring:
    """Return the scoring of a model; keys of other owners are passed over."""
    known = {f.name for f in fields(MaskScoring)}
    return MaskScoring(**{name: float(value) for name, value in calibration.items() if name in known})
