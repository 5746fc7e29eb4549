"""Filter, chances and thresholds of an adapted network: those it came with, as far as the tune split bears them out.

What they were set on, needles on hundreds of real stills among it, is not here, and a site's few clips say too little
to set them anew. So they stay, and are only ever made more careful: a higher threshold where tips are shown on
needle-free frames, a wider circle where too few tips lie in it. With many tune clips of the site all is set anew.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from puncta.core.errors import UserError
from puncta.imaging.filtering import TipFilterSettings, doubt_cells
from puncta.imaging.tip_scoring import TipScoring, chance, scoring_from_spec
from puncta.training.answers import Answers, Rows, follow
from puncta.training.calibrate import (
    COVERAGE,
    FALSE_ALARMS_MOST,
    UNFAMILIAR_MOST,
    Calibration,
    calibrate_answers,
    figures_of,
)
from puncta.training.fitting import weighted_quantile
from puncta.training.folder import CALIBRATION

LEAST_CLIPS, LEAST_FREE = 60, 15
"""Clips of the site's tune split, and needle-free ones among them, from which on all is set anew."""
RAISE, RAISED_MOST = 0.25, 2.0
"""Step and limit of a higher threshold [log odds]."""
LEAST_TIPS = 60
"""Shown tips from which on a circle is judged."""
WIDEST = 2.0
ROOM = 1.05


@dataclass(frozen=True, slots=True)
class Settled:
    """What came of the calibration, in words, beside it."""

    calibration: Calibration
    words: str


def read_calibration(folder: Path) -> tuple[TipScoring, TipFilterSettings]:
    """Read the calibration of the training that an adapted one begins with.

    Raises
    ------
    UserError
        There is none that can be read.
    """
    try:
        spec = json.loads((folder / CALIBRATION).read_text(encoding="utf-8"))
        return scoring_from_spec(spec["calibration"]), TipFilterSettings(**spec["filter"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"The folder {folder} holds no calibration to go on with; begin with a finished training of a tip network."
        ) from error


def settle(
    known: Sequence[Answers], site: Sequence[Answers], scoring: TipScoring, filtering: TipFilterSettings,
    tell: Callable[[int, int], None] | None = None, anew: bool = True, before: Sequence[Answers] = (),
    taught: Sequence[Answers] = (),
) -> Settled:
    """Set what an adapted network needs besides weights.

    Parameters
    ----------
    known, site : sequence of Answers
        To the tune split of the machines known before, and of the site.
    scoring, filtering
        Of the network as it was.
    anew : bool
        False never sets them anew: the site's needles are drawn.
    before : sequence of Answers
        The network's as it was, to all these clips: false alarms that it gave too are no reason to be more careful.
    taught : sequence of Answers
        To clips of the site that it learnt from. Circles that hold too few tips even there are too narrow.
    """
    everything = [*known, *site]
    free = sum(bool((a.clip.judged == 0).all()) for a in site)
    if anew and len(site) >= LEAST_CLIPS and free >= LEAST_FREE:
        return Settled(
            calibrate_answers(everything),
            f"set anew on {len(site)} clips of the site and {len(known)} simulated ones",
        )
    scoring = replace(scoring, strangeness_most=_strangeness(everything, scoring.strangeness_most))
    had = alarms_of(follow(before, scoring, filtering)) if before else (0, 0)
    scoring, raised = _quiet(everything, scoring, filtering, had)
    scoring, widened = _covered([*everything, *taught], scoring, filtering)
    rows = follow(everything, scoring, filtering)
    if tell is not None:
        tell(len(everything), len(everything))
    figures = figures_of(rows, scoring, everything) | {"threshold_raised": raised, "circle_widened": widened}
    clips = "1 tune clip of the site is" if len(site) == 1 else f"{len(site)} tune clips of the site are"
    why = f"{clips} too few to set them anew" if anew else "drawn needles are no measure"
    words = f"kept from the network before, for {why}"
    changes = [f"the threshold raised by {raised:g}"] if raised else []
    changes += [f"circles widened by {100 * (widened - 1):.0f} %"] if widened > 1 else []
    words += f"; {' and '.join(changes)}" if changes else ""
    return Settled(Calibration(filtering, scoring, {k: round(v, 4) for k, v in figures.items()}), words)


def _strangeness(answers: Sequence[Answers], before: float) -> float:
    """The limit before, or one that next to no frame of either kind of clip passes."""
    if not math.isfinite(before):
        return before
    limit = before
    for simulated in (True, False):
        kind = [a.strangeness for a in answers if (a.clip.source == "simulator") == simulated]
        values = np.concatenate(kind) if kind else np.zeros(0)
        values = values[np.isfinite(values)]
        if len(values):
            limit = max(limit, ROOM * float(np.quantile(values, 1 - UNFAMILIAR_MOST)))
    return limit


def chance_alarms(frames: int, share: float = FALSE_ALARMS_MOST, sure: float = 0.95) -> int:
    """Return how many false alarms on so many frames are no more than the promised share explains."""
    left, total, k = (1.0 - share) ** frames, 0.0, 0
    while True:
        total += left
        if total >= sure or k >= frames:
            return k
        left *= (frames - k) / (k + 1) * share / (1.0 - share)
        k += 1


def alarms_of(rows: Rows) -> tuple[int, int]:
    """Count the needle-free frames with a tip, of each kind of clip."""
    first, second = (int(rows.shown[rows.quiet & (rows.kind == kind)].sum()) for kind in (0, 1))
    return first, second


def is_quiet(rows: Rows, had: tuple[int, int] = (0, 0)) -> bool:
    """Tell whether no more needle-free frames, of each kind of clip, show a tip than is promised, or did before."""
    frames = (int((rows.quiet & (rows.kind == kind)).sum()) for kind in (0, 1))
    return all(now <= max(chance_alarms(n), was) for now, n, was in zip(alarms_of(rows), frames, had))


def _quiet(
    answers: Sequence[Answers], scoring: TipScoring, filtering: TipFilterSettings, had: tuple[int, int]
) -> tuple[TipScoring, float]:
    """Raise the threshold until needle-free frames are as quiet as they have to be."""
    raised = 0.0
    while raised < RAISED_MOST and not is_quiet(follow(answers, scoring, filtering), had):
        raised += RAISE
        scoring = replace(scoring, show=scoring.show + RAISE, keep=scoring.keep + RAISE)
    return scoring, raised


def _covered(
    answers: Sequence[Answers], scoring: TipScoring, filtering: TipFilterSettings
) -> tuple[TipScoring, float]:
    """Widen the circles by one factor where they hold fewer tips than they promise, in either kind of clip."""
    rows = follow(answers, scoring, filtering)
    right = np.array([chance(v) for v in rows.right])
    kinds = [scoring.circle.kind(p, bool(q)) for p, q in zip(right, rows.predicted)]
    doubt = np.array([doubt_cells(s, p) for s, p in zip(rows.spread, right)]) + rows.drift
    ratio = rows.error_cells / (doubt * np.array([scoring.circle.factors[k] for k in kinds]))
    wider = 1.0
    for kind in (0, 1):
        hit = rows.shown & (rows.judged == 1) & (rows.kind == kind)
        if hit.sum() >= LEAST_TIPS:
            wider = max(wider, weighted_quantile(ratio[hit], np.ones(int(hit.sum())), COVERAGE))
    wider = round(min(wider, WIDEST), 3)
    circle = replace(scoring.circle, factors=tuple(f * wider for f in scoring.circle.factors))
    return replace(scoring, circle=circle), wider
