"""From what is seen of a tip on a frame to calibrated chances, the decision to show it, and its 90 % circle.

*Presence* is the chance that a tip is in the picture at all, the score that results carry. *Right* is the chance that
the place given is the tip's; it decides what is shown. Both are logistic in the same few features of a frame (Platt,
1999, with more than one). The circle is split-conformal with one factor a kind of answer (Mondrian bins; Vovk, 2005).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np

from puncta.imaging.filtering import doubt_cells
from puncta.imaging.heatmap import sigmoid

FEATURES = ("presence", "peak", "present", "window", "spread", "confirmed")
"""Logit of the network's presence, its highest tip logit, the filter's logits of a tip anywhere and of a tip in its
likeliest window, the logarithm of that window's spread, and 1 where the frame's own peak lies in it."""
FEATURE_LIMIT = 14.0
"""Features are held within this: far outside of what was seen in calibration nothing may be extrapolated."""
LEGACY_SHOWN_FROM = 0.6
"""Models without a calibrated threshold show a tip from this score on."""


@dataclass(frozen=True, slots=True)
class Logistic:
    """A chance that is logistic in the features.

    Attributes
    ----------
    weights : tuple of float
        In the order of `FEATURES`.
    bias : float
    """

    weights: tuple[float, ...] = (0.0,) * len(FEATURES)
    bias: float = 0.0

    def logit(self, features: Sequence[float]) -> float:
        """Log odds."""
        return self.bias + sum(w * f for w, f in zip(self.weights, features, strict=True))


@dataclass(frozen=True, slots=True)
class Circle:
    """Radius that holds the tip 9 times in 10 = a factor of the answer's kind x its doubt.

    Attributes
    ----------
    edges : tuple of float
        Chances of being right that part measured answers into kinds, rising.
    factors : tuple of float
        One for each kind of measured answers, the last for predicted ones.
    """

    edges: tuple[float, ...] = ()
    factors: tuple[float, ...] = (2.0, 2.0)

    def kind(self, right: float, predicted: bool) -> int:
        """Return the number of the factor that holds."""
        return len(self.factors) - 1 if predicted else sum(right >= e for e in self.edges)


@dataclass(frozen=True, slots=True)
class TipScoring:
    """All that calibration sets but the filter.

    Attributes
    ----------
    presence_scale, presence_shift : float
        Make the network's presence logit one on even odds, for the filter.
    presence, right : Logistic
    show, keep : float
        Log odds of being right from which a tip is shown, and down to which one that was shown stays.
    coast_s : float
        For so long a tip that is no longer seen is shown where the tracker predicts it [s].
    circle : Circle
    peak_cells : float
        Deviation of a peak's place in each direction [cells].
    steady : bool
        Show the tracker's place of a measured tip instead of the measured one.
    on_line : bool
        Move a measured tip onto the line behind it.
    strangeness_most : float
        A picture stranger than this is unfamiliar.
    """

    presence_scale: float = 1.0
    presence_shift: float = 0.0
    presence: Logistic = field(default_factory=Logistic)
    right: Logistic = field(default_factory=Logistic)
    show: float = 0.0
    keep: float = 0.0
    coast_s: float = 0.0
    circle: Circle = field(default_factory=Circle)
    peak_cells: float = 0.35
    steady: bool = False
    on_line: bool = False
    strangeness_most: float = math.inf

    def __post_init__(self) -> None:
        counts = {len(self.presence.weights), len(self.right.weights)}
        if counts != {len(FEATURES)}:
            raise ValueError(f"a calibration holds {sorted(counts)} weights; this program knows {len(FEATURES)}")
        if len(self.circle.factors) != len(self.circle.edges) + 2:
            raise ValueError("a circle needs one factor more than there are kinds of measured answers")

    def as_spec(self) -> dict[str, Any]:
        """Return plain values for the registry's `calibration` table; numbers to six digits."""
        spec = asdict(self)
        if not math.isfinite(self.strangeness_most):
            del spec["strangeness_most"]
        return _rounded(spec)


def scoring_from_spec(calibration: Mapping[str, Any]) -> TipScoring:
    """Read a registry's `calibration` table.

    One from before features (model 0.1) holds a scale and a shift of the filter's window score instead.

    Raises
    ------
    ValueError
        The table does not hold.
    """
    if "right" not in calibration:
        return _legacy(calibration)
    known = {f.name for f in fields(TipScoring)}
    values: dict[str, Any] = {k: v for k, v in calibration.items() if k in known}
    for name in ("presence", "right"):
        table = values[name]
        values[name] = Logistic(tuple(float(w) for w in table["weights"]), float(table["bias"]))
    circle = values["circle"]
    values["circle"] = Circle(tuple(map(float, circle["edges"])), tuple(map(float, circle["factors"])))
    return TipScoring(**values)


def _legacy(calibration: Mapping[str, Any]) -> TipScoring:
    window = FEATURES.index("window")
    scale = float(calibration.get("score_scale", 1.0))
    score = Logistic(
        tuple(scale if k == window else 0.0 for k in range(len(FEATURES))), float(calibration.get("score_shift", 0.0))
    )
    radius = float(calibration.get("radius_scale", 2.0))
    threshold = logit(LEGACY_SHOWN_FROM)
    return TipScoring(
        float(calibration.get("presence_scale", 1.0)), float(calibration.get("presence_shift", 0.0)), score, score,
        threshold, threshold, circle=Circle((), (radius, radius)),
    )


def features_of(
    presence: float, peak: float, present: float, window: float, spread_cells: float, confirmed: bool
) -> tuple[float, ...]:
    """Return the features in the order of `FEATURES`.

    Parameters
    ----------
    presence, peak : float
        Logits of the network.
    present, window : float
        Beliefs of the filter, 0..1.
    """
    values = (presence, peak, logit(present), logit(window), math.log(0.3 + spread_cells), float(confirmed))
    return tuple(min(max(v, -FEATURE_LIMIT), FEATURE_LIMIT) for v in values)


def chance(log_odds: float) -> float:
    """Chance of log odds."""
    return float(sigmoid(np.float64(log_odds)))


def logit(p: float) -> float:
    """Log odds of a chance, finite at 0 and 1."""
    p = min(max(p, 1e-9), 1 - 1e-9)
    return math.log(p / (1 - p))


def radius_cells(circle: Circle, spread_cells: float, right: float, predicted: bool, drift_cells: float) -> float:
    """Radius of the 90 % circle [cells].

    Parameters
    ----------
    right : float
        Chance that the place is right.
    drift_cells : float
        Deviation of a predicted place by the tracker; 0 where it was measured.
    """
    return circle.factors[circle.kind(right, predicted)] * (doubt_cells(spread_cells, right) + drift_cells)


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _rounded(v) for k, v in value.items()}
    if isinstance(value, tuple | list):
        return [_rounded(v) for v in value]
    return round(value, 6) if isinstance(value, float) else value
