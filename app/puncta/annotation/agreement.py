"""How far two raters agree on a case: kappa for flags, Dice and boundary distance for masks, mm for tips.

Only what both have confirmed is compared, so frames that one of them has not judged do not count. Whether a thing can
be seen at all is a question of its own with its own kappa; Dice and distances are those of the frames on which both
point at it. Millimetres are those of the case's calibration, pixels where it has none, and the unit says which.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from puncta.annotation.cases import Case
from puncta.annotation.labels import (
    MASKS,
    BoxLabel,
    FlagLabel,
    Label,
    LineLabel,
    MaskLabel,
    NotVisible,
    PhaseLabel,
    PolygonLabel,
    Slot,
    TipLabel,
    mask_of,
)
from puncta.core.geometry import box_iou
from puncta.metrics.mask import boundary_distance

KEPT_PAIRS = 4096
"""Figures of so many pairs of masks are kept: after a gesture all but one pair is the same."""


@dataclass(frozen=True, slots=True)
class Kappa:
    """Agreement of two raters on categories (Cohen, Educ. Psychol. Meas. 20, 1960).

    Attributes
    ----------
    value : float or None
        1 full agreement, 0 that of chance; None where chance alone makes it full (both always say the same).
    observed : float
        Share of frames on which they say the same.
    n : int
        Frames both have judged.
    method : str
        "kappa", or "kappa, quadratic weights" where the values are grades.
    """

    name: str
    value: float | None
    observed: float
    n: int
    method: str = "kappa"


@dataclass(frozen=True, slots=True)
class MaskAgreement:
    """Agreement of two raters on a mask, over the frames on which both drew one.

    Attributes
    ----------
    dice_mean, dice_least : float
    boundary : float or None
        Mean over frames of the mean distance of the two outlines, in ``unit``.
    """

    name: str
    n: int
    dice_mean: float
    dice_least: float
    boundary: float | None
    unit: str


@dataclass(frozen=True, slots=True)
class Distance:
    """Distance between what two raters marked, over the frames on which both marked it.

    Attributes
    ----------
    median, p95, most : float
        In ``unit``: "mm", "px" or "deg".
    """

    name: str
    n: int
    median: float
    p95: float
    most: float
    unit: str


@dataclass(frozen=True, slots=True)
class Agreement:
    """All figures of two raters on a case.

    Attributes
    ----------
    visible : tuple of Kappa
        For each category: can it be pointed at on this frame.
    proposals : bool
        One of the two could see or has used what models propose, so agreement may be that of the models.
    """

    a: str
    b: str
    frames: int
    flags: tuple[Kappa, ...]
    visible: tuple[Kappa, ...]
    masks: tuple[MaskAgreement, ...]
    distances: tuple[Distance, ...]
    proposals: bool = False


def cohen_kappa(name: str, pairs: Sequence[tuple[int | str, int | str]], *, graded: bool = False) -> Kappa:
    """Return Cohen's kappa of pairs of categories; with quadratic weights where they are grades (Cohen, 1968)."""
    if not pairs:
        raise ValueError("no pairs")
    categories = sorted({c for pair in pairs for c in pair}, key=str)
    if graded:
        highest = max(int(c) for c in categories)
        categories = list(range(highest + 1))
    place = {c: i for i, c in enumerate(categories)}
    table = np.zeros((len(categories), len(categories)))
    for one, other in pairs:
        table[place[one], place[other]] += 1
    shares = table / table.sum()
    rows, cols = np.indices(table.shape)
    weight = np.square(rows - cols).astype(float) if graded else (rows != cols).astype(float)
    chance = float((weight * np.outer(shares.sum(axis=1), shares.sum(axis=0))).sum())
    found = float((weight * shares).sum())
    value = None if chance < 1e-12 else 1.0 - found / chance
    words = "kappa, quadratic weights" if graded and len(categories) > 2 else "kappa"
    return Kappa(name, value, float(np.trace(shares)), len(pairs), words)


def paired(a: Iterable[Label], b: Iterable[Label]) -> list[tuple[Slot, Label, Label]]:
    """Return what both raters have confirmed, slot by slot."""
    first = {label.slot: label for label in a if label.trusted}
    return [
        (label.slot, first[label.slot], label)
        for label in sorted(b, key=lambda x: x.slot)
        if label.trusted and label.slot in first
    ]


def agreement(case: Case, a: Iterable[Label], b: Iterable[Label], *, proposals: bool = False) -> Agreement:
    """Return how far two raters agree; their labels in any order, all states (only confirmed ones count)."""
    a, b = list(a), list(b)
    pairs = paired(a, b)
    by_name: dict[str, list[tuple[Label, Label]]] = {}
    for slot, one, other in pairs:
        by_name.setdefault(slot.name, []).append((one, other))
    flags, visible, masks, distances = [], [], [], []
    for name, both in sorted(by_name.items()):
        if any(isinstance(x.value, FlagLabel | PhaseLabel) for x, _y in both):
            values = [(_category(x), _category(y)) for x, y in both]
            graded = all(isinstance(v, int) for pair in values for v in pair)
            flags.append(cohen_kappa(name, values, graded=graded))
            continue
        if not any(
            isinstance(v.value, NotVisible | TipLabel | LineLabel | BoxLabel | MaskLabel | PolygonLabel)
            for v, _y in both
        ):
            continue  # notes are not compared
        visible.append(cohen_kappa(name, [(_shown(x), _shown(y)) for x, y in both]))
        drawn = [(x, y) for x, y in both if _shown(x) == _shown(y) == "visible"]
        masks += _mask_agreement(name, drawn, case)
        distances += _distances(name, drawn, case)
    rater = {label.rater for label in a}, {label.rater for label in b}
    return Agreement(
        " ".join(sorted(rater[0])),
        " ".join(sorted(rater[1])),
        len({slot.index for slot, _x, _y in pairs}),
        tuple(flags),
        tuple(visible),
        tuple(masks),
        tuple(distances),
        proposals,
    )


def _category(label: Label) -> int | str:
    value = label.value
    return value.value if isinstance(value, FlagLabel) else value.phase if isinstance(value, PhaseLabel) else "other"


def _shown(label: Label) -> str:
    return "hidden" if isinstance(label.value, NotVisible) else "visible"


def _mask_agreement(name: str, both: list[tuple[Label, Label]], case: Case) -> list[MaskAgreement]:
    rows = [
        (dice(x.value, y.value), boundary_gap(x.value, y.value, case))
        for x, y in both
        if isinstance(x.value, MASKS) and isinstance(y.value, MASKS)
    ]
    if not rows:
        return []
    gaps = [gap for _d, gap in rows if gap is not None]
    overlap = [d for d, _gap in rows]
    gap = float(np.mean(gaps)) if gaps else None
    return [MaskAgreement(name, len(rows), float(np.mean(overlap)), min(overlap), gap, unit_of(case))]


def _distances(name: str, both: list[tuple[Label, Label]], case: Case) -> list[Distance]:
    out = []
    gaps = [gap for x, y in both if (gap := tip_gap(x, y, case)) is not None]
    if gaps:
        out.append(_distance(name, gaps, unit_of(case)))
    angles = [gap for x, y in both if (gap := angle_gap(x, y, case)) is not None]
    if angles:
        out.append(_distance(name, angles, "deg"))
    return out


def _distance(name: str, gaps: Sequence[float], unit: str) -> Distance:
    return Distance(name, len(gaps), float(np.median(gaps)), float(np.percentile(gaps, 95)), float(max(gaps)), unit)


def unit_of(case: Case) -> str:
    """Return "mm" for a calibrated case, else "px"."""
    return "px" if case.mm_per_px is None else "mm"


@lru_cache(KEPT_PAIRS)
def dice(a: MaskLabel | PolygonLabel, b: MaskLabel | PolygonLabel) -> float:
    """Return the Dice coefficient of two masks, 0..1; of two empty ones 1."""
    one, other = mask_of(a), mask_of(b)
    total = int(one.sum()) + int(other.sum())
    return 2.0 * int((one & other).sum()) / total if total else 1.0


def boundary_gap(a: MaskLabel | PolygonLabel, b: MaskLabel | PolygonLabel, case: Case) -> float | None:
    """Return the mean distance of two outlines, both ways [mm, or px where uncalibrated]; None for an empty one."""
    return _boundary_gap(a, b, case.mm_per_px or (1.0, 1.0))


@lru_cache(KEPT_PAIRS)
def _boundary_gap(
    a: MaskLabel | PolygonLabel, b: MaskLabel | PolygonLabel, scale: tuple[float, float]
) -> float | None:
    return boundary_distance(mask_of(a), mask_of(b), scale)


def tip_gap(a: Label, b: Label, case: Case) -> float | None:
    """Return the distance of two tips, of points or of lines [mm, or px where uncalibrated]; None without both."""
    if not isinstance(a.value, TipLabel | LineLabel) or not isinstance(b.value, TipLabel | LineLabel):
        return None
    sx, sy = case.mm_per_px or (1.0, 1.0)
    (ax, ay), (bx, by) = a.value.tip_px, b.value.tip_px
    return math.hypot((ax - bx) * sx, (ay - by) * sy)


def angle_gap(a: Label, b: Label, case: Case) -> float | None:
    """Return the difference of two lines' angles [deg, 0..90]; None where one of them is no line."""
    if not isinstance(a.value, LineLabel) or not isinstance(b.value, LineLabel):
        return None
    sx, sy = case.mm_per_px or (1.0, 1.0)

    def way(line: LineLabel) -> float:
        return math.atan2((line.tip_px[1] - line.entry_px[1]) * sy, (line.tip_px[0] - line.entry_px[0]) * sx)

    turn = abs(math.degrees(way(a.value) - way(b.value))) % 180.0
    return min(turn, 180.0 - turn)


def apart(a: Label, b: Label, case: Case) -> tuple[float, str]:
    """Return how far two labels of one slot are apart, 0 the same to 1, and in words."""
    x, y = a.value, b.value
    if _shown(a) != _shown(b):
        return 1.0, f"{a.rater}: {_shown(a)}, {b.rater}: {_shown(b)}"
    if isinstance(x, FlagLabel | PhaseLabel) and isinstance(y, FlagLabel | PhaseLabel):
        return (0.0, "the same") if x == y else (0.95, f"{a.rater}: {_category(a)}, {b.rater}: {_category(b)}")
    if isinstance(x, MASKS) and isinstance(y, MASKS):
        overlap = dice(x, y)
        return 1.0 - overlap, f"Dice {overlap:.2f}"
    gap = tip_gap(a, b, case)
    if gap is not None:
        turn = angle_gap(a, b, case)
        words = f"{gap:.1f} {unit_of(case)} apart" + ("" if turn is None else f", {turn:.1f} deg")
        # 10 mm, or a tenth of the picture's width, counts as wholly different.
        whole = 10.0 if case.mm_per_px is not None else case.width_px / 10.0
        return min(1.0, max(gap / whole, (turn or 0.0) / 30.0)), words
    if isinstance(x, BoxLabel) and isinstance(y, BoxLabel):
        overlap = box_iou(x.box, y.box)
        return 1.0 - overlap, f"IoU {overlap:.2f}"
    if isinstance(x, NotVisible) and isinstance(y, NotVisible):
        return (0.0, "the same") if x == y else (0.3, f"{a.rater}: {x.visibility}, {b.rater}: {y.visibility}")
    return (0.0, "the same") if x == y else (1.0, f"{a.rater} and {b.rater} drew different kinds of things")
