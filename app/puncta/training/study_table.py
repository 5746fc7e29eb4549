"""A study's table: every figure of every row on every set with its interval, and what the study claims, checked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from puncta.formats.atomic import write_text_atomic
from puncta.metrics.intervals import SEED, Estimate
from puncta.training.family import Row, build_net
from puncta.training.nets.budget import count_flops, count_parameters
from puncta.training.nets.ultratiny import WINDOW, Streamed
from puncta.training.run import Progress, Tell
from puncta.training.study import Claim, Study
from puncta.training.study_figures import (
    LESS_IS_BETTER,
    PERCENT,
    QUIET,
    Drawn,
    best_threshold,
    draw_figures,
    mean_drawn,
    quiet_threshold,
)
from puncta.training.study_files import TUNE, Places, load_answers, load_truth

TABLE, TABLE_JSON = "table.md", "table.json"
BUDGET_SIZE = 256
"""Side of the input [px] that sizes are told for, the poster's."""
SLACK = 0.5
"""An ordering holds while its interval reaches no further below zero than this [points]; a tenth of that in mm."""
_SHOWN = {
    "tip_error_mm": "tip error [mm]", "tip_error_mm_95": "its 95th percentile", "tip_within_2mm": "within 2 mm [%]",
    "tip_within_3mm": "within 3 mm [%]", "tip_error_percent": "tip error [% of the side]",
    "tip_within_5_percent": "within 5 % of the side [%]", "needle_ap50": "AP50", "needle_ap70": "AP70",
    "needle_f1": "F1", "needle_iou": "mean IoU [%]", "angle_error_deg": "angle [deg]", "miss_rate": "misses [%]",
    "false_alarm_rate": "false alarms [%]", "quiet_within_2mm": "at equal quiet: within 2 mm [%]",
    "quiet_miss_rate": "at equal quiet: misses [%]", "quiet_false_alarm_rate": "at equal quiet: false alarms [%]",
}
_WITHOUT_MM = ("tip_error_percent", "tip_within_5_percent")
_WITH_MM = ("tip_error_mm", "tip_error_mm_95", "tip_within_2mm", "tip_within_3mm")

Figures = Mapping[str, Mapping[str, Mapping[str, Drawn]]]
"""Row -> set -> figure."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A claim with what was found.

    Attributes
    ----------
    word : str
        "strong" (the number is reached and the interval is above zero), "holds" (it is reached and the interval ends no
        more than `SLACK` below zero), "fails", or "not measured".
    """

    claim: Claim
    found: Estimate | None
    rival: str | None
    word: str


def write_table(study: Study, out: Path, tell: Tell | None = None) -> Path:
    """Make table.md and table.json from the kept answers; rows without answers are left out and named."""
    tell = tell or (lambda _progress: None)
    places = Places(out, None, out / "cache", out / "sets")
    names = [n for n in study.row_names if all(places.answers(n, s).exists() for s in (TUNE, *study.sets))]
    truths = {name: load_truth(places.truth(name)) for name in (TUNE, *study.sets)} if names else {}
    thresholds: dict[str, float] = {}
    figures: dict[str, dict[str, Mapping[str, Drawn]]] = {}
    for done, name in enumerate(names, start=1):
        # A finder without training always answers: its best chance to be near.
        trained = name not in study.untrained
        tuned = load_answers(places.answers(name, TUNE))
        thresholds[name] = best_threshold(truths[TUNE], tuned) if trained else 0.0
        quiet_at = quiet_threshold(truths[TUNE], tuned) if trained else None
        figures[name] = {
            s: draw_figures(truths[s], load_answers(places.answers(name, s)), thresholds[name], SEED + k,
                            study.resamples, quiet_at)
            for k, s in enumerate(study.sets)
        }
        tell(Progress("rows of the table", done, len(names), {}))
    checked = [check_claim(claim, figures) for claim in study.claims]
    sizes = {run.row.name: sizes_of(run.row) for run in study.runs if run.row.name in names}
    missing = [n for n in study.row_names if n not in names]
    sets: dict[str, dict[str, Any]] = {
        s: {"title": study.sets[s], "clips": truths[s].clips, "frames": len(truths[s].clip)}
        for s in (study.sets if truths else ())
    }
    document: dict[str, Any] = {
        "version": 1, "study": study.name, "simulated": True, "resamples": study.resamples,
        "sets": sets,
        "rows": {n: {"threshold": round(thresholds[n], 5), **sizes.get(n, {}),
                     "sets": {s: {f: _as_json(d.estimate()) for f, d in figures[n][s].items()} for s in study.sets}}
                 for n in names},
        "missing": missing,
        "claims": [_claim_as_json(c) for c in checked],
    }
    write_text_atomic(out / TABLE_JSON, json.dumps(document, indent=1) + "\n")
    write_text_atomic(out / TABLE, _as_text(study, figures, checked, sizes, missing, sets))
    return out / TABLE


def sizes_of(row: Row) -> dict[str, float]:
    """Parameters, and GFLOPs a frame at `BUDGET_SIZE`."""
    net = build_net(row).eval()
    side = BUDGET_SIZE
    if row.net == "tip_stream":
        inputs = [torch.zeros(1, 1, 5, side, side)]
        flops = count_flops(net, inputs)
    elif row.kind == "stream":
        states = [torch.zeros(shape) for shape in net.net.state_shapes(side)]  # type: ignore[union-attr,operator]
        flops = count_flops(Streamed(net.net), [torch.zeros(1, 1, side, side), *states])  # type: ignore[arg-type]
    else:
        flops = count_flops(net, [torch.zeros(1, WINDOW, side, side)])
    return {"parameters": count_parameters(net), "gflops": round(flops / 1e9, 3)}


def check_claim(claim: Claim, figures: Figures) -> Checked:
    """Compare the mean of some rows with the mean, or the best, of others; a gain is positive whatever the figure."""
    sign = -1.0 if claim.figure in LESS_IS_BETTER else 1.0

    def drawn(rows: tuple[str, ...], name: str) -> list[Drawn]:
        return [figures.get(row, {}).get(name, {}).get(claim.figure) for row in rows]  # type: ignore[misc]

    better, than = drawn(claim.better, claim.set), drawn(claim.than, claim.set)
    if any(d is None for d in better + than):
        return Checked(claim, None, None, "not measured")
    rival = None
    if claim.best:
        at = int(np.argmax([sign * d.value for d in than]))
        than, rival = [than[at]], claim.than[at]
    gain = mean_drawn(better).minus(mean_drawn(than))
    if claim.beyond is not None:
        others, rivals = drawn(claim.better, claim.beyond), drawn(claim.than, claim.beyond)
        if any(d is None for d in others + rivals):
            return Checked(claim, None, None, "not measured")
        # Other clips, drawn with other seeds: the two differences are independent.
        gain = gain.minus(mean_drawn(others).minus(mean_drawn(rivals)))
    unit = sign * (100.0 if claim.figure in PERCENT else 1.0)
    found = Drawn(unit * gain.value, unit * gain.draws, gain.n).estimate()
    return Checked(claim, found, rival, _word(claim, found))


def _word(claim: Claim, found: Estimate) -> str:
    if found.value is None or found.low is None:
        return "not measured"
    slack = SLACK if claim.figure in PERCENT else SLACK / 10
    if found.value < claim.at_least or (claim.at_most is not None and found.value > claim.at_most):
        return "fails"
    if claim.at_most is not None:
        return "holds"
    if found.low > 0:
        return "strong"
    return "holds" if found.low > -slack else "fails"


def _as_json(found: Estimate) -> dict[str, float | int | None]:
    return {k: None if (v := getattr(found, k)) is None else round(v, 5) for k in ("value", "low", "high", "n")}


def _claim_as_json(checked: Checked) -> dict[str, Any]:
    claim = checked.claim
    return {
        "id": claim.id, "says": claim.says, "set": claim.set, "figure": claim.figure, "at_least": claim.at_least,
        "at_most": claim.at_most, "rival": checked.rival, "word": checked.word,
        "found": _as_json(checked.found) if checked.found else None,
    }


def _as_text(
    study: Study, figures: Figures, checked: list[Checked], sizes: Mapping[str, Mapping[str, float]],
    missing: list[str], sets: Mapping[str, Mapping[str, Any]],
) -> str:
    first = study.runs[0].settings
    lines = [
        f"# {study.title}", "",
        f"Every trained row saw the same clips and {first.samples:,} answered frames at {study.size} px with the same "
        "optimiser and seed. All needles are simulated or drawn. Scores are cut at the best F1 of boxes on the tune "
        "split; finders without training always answer. At equal quiet: cut where each row answers on at "
        f"most {100 * QUIET:g} % of the tune split's needle-free frames. In brackets: 95 % of bootstrap resamples of "
        "clips.", "",
    ]
    if missing:
        lines += [f"Not there yet: {', '.join(missing)}.", ""]
    lines += ["## Sizes", "", f"| row | parameters | GFLOPs a frame at {BUDGET_SIZE} px |", "| --- | ---: | ---: |"]
    lines += [f"| {n} | {int(s['parameters']):,} | {s['gflops']:.3f} |" for n, s in sizes.items()]
    for name, title in study.sets.items():
        held = [n for n in figures if figures[n][name]]
        if held:
            lines += ["", f"## {title[:1].upper()}{title[1:]} ({name}, {sets[name]['clips']} clips, "
                      f"{sets[name]['frames']} frames)", "", *_set_table(held, figures, name)]
    if checked:
        lines += ["", "## What is claimed", "",
                  "A gain is positive, in points of percent or in the figure's unit. Strong: the asked number is "
                  f"reached and the interval excludes zero; holds: reached, and the interval ends at most {SLACK} "
                  "points below zero (or the number is in the asked range); fails: all else.", "",
                  "| | claim | asked | found | |", "| --- | --- | ---: | ---: | --- |"]
        lines += [_claim_line(c) for c in checked]
    return "\n".join(lines) + "\n"


def _set_table(rows: list[str], figures: Figures, name: str) -> list[str]:
    held = {f for row in rows for f, d in figures[row][name].items() if np.isfinite(d.value)}
    tips = _WITH_MM if "tip_error_mm" in held else _WITHOUT_MM
    shown = [f for f in (*tips, *_SHOWN) if f in held and f not in set(_WITH_MM + _WITHOUT_MM) - set(tips)]
    shown = list(dict.fromkeys(shown))
    out = ["| row | " + " | ".join(_SHOWN[f] for f in shown) + " |", "| --- |" + " ---: |" * len(shown)]
    for row in rows:
        cells = [_cell(f, figures[row][name].get(f)) for f in shown]
        out.append(f"| {row} | " + " | ".join(cells) + " |")
    return out


def _cell(figure: str, drawn: Drawn | None) -> str:
    if drawn is None:
        return "–"
    found = drawn.estimate()
    if found.value is None:
        return "–"
    unit, digits = (100.0, 1) if figure in PERCENT else (1.0, 1 if figure == "angle_error_deg" else 2)
    text = f"{unit * found.value:.{digits}f}"
    if found.low is None or found.high is None:
        return text
    return f"{text} ({unit * found.low:.{digits}f}–{unit * found.high:.{digits}f})"


def _claim_line(checked: Checked) -> str:
    claim, found = checked.claim, checked.found
    digits = 1 if claim.figure in PERCENT else 2
    asked = f"≥ {claim.at_least:+g}" if claim.at_most is None else f"{claim.at_least:+g} to {claim.at_most:+g}"
    told = "–"
    if found is not None and found.value is not None:
        told = f"{found.value:+.{digits}f}"
        if found.low is not None and found.high is not None:
            told += f" ({found.low:+.{digits}f} to {found.high:+.{digits}f})"
    says = claim.says + (f" ({checked.rival})" if checked.rival else "")
    return f"| {claim.id} | {says} | {asked} | {told} | {checked.word} |"
