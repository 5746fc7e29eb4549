"""What is said and what is withheld, set on tune frames: thresholds that keep a stated risk, margins against flicker.

Of what is decided at most `RISK` is wrong: for yes and for no of each flag, on tune frames as they are and as other
machines might show them; the stricter of the two counts. That holds for the machines at hand. For machines that nobody
has seen each of those is left out in turn: thresholds that the others set, raised until every chance that is spoken out
reaches one common level, have to keep `HELD_OUT_RISK` on it; the network itself may have learnt from it. A common level
for all flags buys that more cheaply than a lower risk for each, which would withhold most from the flags that are
hardly ever wrong.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from puncta.imaging.flag_filter import FlagFilter, FlagFilterSettings, FlagState
from puncta.training.landmarks.data import FLAGS

RISK = 0.05
HELD_OUT_RISK = 0.04
"""Share of the decided that may be wrong on a machine whose frames set no threshold; less than `RISK`, for a machine
out there may lie farther off than those that take turns."""
LEVELS = tuple(0.25 * k for k in range(13))
"""Logits tried as the level below which nothing is said, whatever a flag's own threshold would allow."""
GIVES = (0.5, 1.0, 1.5, 2.0)
"""No more than 2, so that no word is kept where the opposite is more likely; thresholds lie at about that."""
ENTERS = (0.0, 0.25, 0.5, 1.0, 1.5)
FLICKER_MOST = 0.5
"""Changes a minute, all flags together, while the truth stays; half of what is promised."""
CINE_EVERY, CINE_STEP_NS = 2, 80_000_000
"""Of a steady cine, taken as 25 frames a second, the plugin looks at every second one: these are so far apart [ns]."""


def least_threshold(logits: NDArray[np.float64], right: NDArray[np.bool_], risk: float = RISK) -> float:
    """Return the lowest threshold, from 0 up, above which at most ``risk`` of the decisions are wrong.

    Counted with one more wrong decision than there is, so that a handful of frames promises nothing. Infinite where no
    threshold keeps the risk.
    """
    chosen = logits > 0
    order = np.argsort(-logits[chosen])
    values = logits[chosen][order]
    wrong = np.cumsum(~right[chosen][order])
    held = np.flatnonzero((wrong + 1) / (np.arange(len(values)) + 2) <= risk)
    if not len(held):
        return math.inf
    last = int(held[-1])
    return 0.0 if last == len(values) - 1 else float(values[last])


def thresholds(
    logits: Sequence[NDArray[np.float64]], flags: Sequence[NDArray[np.float32]], most: float
) -> tuple[list[float], list[float]]:
    """Return the thresholds for yes and for no of each flag that keep the risk on every one of the sets given."""
    yes, no = [], []
    for k in range(len(FLAGS)):
        up = down = 0.0
        for rows, truth in zip(logits, flags, strict=True):
            asked = truth[:, k] >= 0
            up = max(up, least_threshold(rows[asked, k], truth[asked, k] == 1))
            down = max(down, least_threshold(-rows[asked, k], truth[asked, k] == 0))
        yes.append(round(min(up, most), 4))
        no.append(round(-min(down, most), 4))
    return yes, no


@dataclass(frozen=True, slots=True, eq=False)
class TuneRows:
    """Frames by which thresholds are set.

    Attributes
    ----------
    logits : ndarray, shape (n, 3)
        Calibrated.
    flags : ndarray of float32, shape (n, 3)
        -1 where nobody said.
    machine : ndarray of str, shape (n,)
    """

    logits: NDArray[np.float64]
    flags: NDArray[np.float32]
    machine: NDArray[np.str_]

    def where(self, chosen: NDArray[np.bool_]) -> TuneRows:
        """Return some of the rows."""
        return TuneRows(self.logits[chosen], self.flags[chosen], self.machine[chosen])


def raised(found: tuple[list[float], list[float]], level: float) -> tuple[list[float], list[float]]:
    """Thresholds with none nearer to 0 than ``level``."""
    return [max(v, level) for v in found[0]], [min(v, -level) for v in found[1]]


def decisions(rows: TuneRows, found: tuple[list[float], list[float]]) -> tuple[float, float]:
    """Return the share of labels that are decided, and of those the wrong ones; 0 where there are none."""
    yes, no = found
    said = np.where(rows.logits >= np.array(yes), 1, np.where(rows.logits <= np.array(no), 0, -1))
    asked, decided = rows.flags >= 0, (said >= 0) & (rows.flags >= 0)
    wrong = int((said != rows.flags)[decided].sum())
    return int(decided.sum()) / max(1, int(asked.sum())), wrong / max(1, int(decided.sum()))


def least_level(sets: Sequence[TuneRows], most: float) -> tuple[float, dict[str, float]]:
    """Return the least level that keeps `HELD_OUT_RISK` on each machine left out, and what is wrong there at it.

    The highest of `LEVELS` where none does, and 0 where there is only one machine and nobody to take turns with.
    """
    machines = sorted({str(m) for rows in sets for m in rows.machine})
    if len(machines) < 2:
        return 0.0, {}
    turns = {}
    for out in machines:
        others = [rows.where(rows.machine != out) for rows in sets]
        found = thresholds([r.logits for r in others], [r.flags for r in others], most)
        turns[out] = (found, [rows.where(rows.machine == out) for rows in sets])
    worst: dict[str, float] = {}
    for level in LEVELS:
        worst = {
            out: max(decisions(rows, raised(found, level))[1] for rows in kept) for out, (found, kept) in turns.items()
        }
        if max(worst.values()) <= HELD_OUT_RISK:
            return level, worst
    return LEVELS[-1], worst


@dataclass(frozen=True, slots=True)
class Steadiness:
    """How a filter does on cines: changes a minute while the truth stays, wrong among the decided, not decided."""

    per_minute: float
    wrong: float
    withheld: float


def steadiness(
    rows: Sequence[NDArray[np.float64]], flags: Sequence[NDArray[np.float32]], settings: FlagFilterSettings,
    strangeness: Sequence[NDArray[np.float64]] | None = None,
) -> Steadiness:
    """Run the filter as the plugin does and count, changes summed over the flags.

    Parameters
    ----------
    rows, flags : sequence of ndarray, shape (T, 3)
        One a cine; calibrated logits of the frames that the plugin looks at, and what is true.
    strangeness : sequence of ndarray, shape (T,), or None
        Of those frames; without it no picture is unfamiliar.
    """
    changes, minutes = np.zeros(len(FLAGS)), np.zeros(len(FLAGS))
    wrong = decided = asked = 0
    strange = strangeness if strangeness is not None else [np.full(len(logits), math.nan) for logits in rows]
    for logits, true, odd in zip(rows, flags, strange, strict=True):
        filter_, seen = FlagFilter(settings), zip(logits, odd, strict=True)
        said = [filter_.update(row, i * CINE_STEP_NS, s).states for i, (row, s) in enumerate(seen)]
        for k in range(len(FLAGS)):
            states = [s[k] for s in said]
            told = [s is FlagState.YES for s in states]
            sure = np.array([s is not FlagState.UNKNOWN for s in states])
            wrong += int((sure & (np.array(told) != (true[:, k] == 1))).sum())
            decided += int(sure.sum())
            asked += len(sure)
            stays = true[1:, k] == true[:-1, k]
            changes[k] += sum(a is not b and same for a, b, same in zip(states, states[1:], stays))
            minutes[k] += float(stays.sum()) * CINE_STEP_NS / 60e9
    return Steadiness(
        float((changes / np.maximum(minutes, 1e-9)).sum()), wrong / max(1, decided), 1 - decided / max(1, asked)
    )


def choose_margins(
    rows: Sequence[NDArray[np.float64]], flags: Sequence[NDArray[np.float32]], settings: dict[str, Any],
    strangeness: Sequence[NDArray[np.float64]] | None = None,
) -> tuple[dict[str, float], dict[str, float]]:
    """Return the filter's margins and their figures: of those that keep flicker low, the ones that withhold least.

    Where none does, the ones with the least flicker.
    """
    tried = []
    for give, enter in itertools.product(GIVES, ENTERS):
        found = steadiness(rows, flags, FlagFilterSettings(**settings, give=give, enter=enter), strangeness)
        tried.append((max(found.per_minute, FLICKER_MOST), found.wrong > RISK, found.withheld, give, enter, found))
    *_, give, enter, found = min(tried, key=lambda t: t[:5])
    alone = FlagFilterSettings(**{**settings, "window_s": 0.0}, give=0.0)
    return {"give": give, "enter": enter}, {
        "flicker_per_minute": found.per_minute,
        "flicker_unfiltered": steadiness(rows, flags, alone).per_minute,
        "filtered_wrong_of_decided": found.wrong, "filtered_withheld": found.withheld,
    }
