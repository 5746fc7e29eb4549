"""The mask study's table: every row on every set, with and without the true first mask, claims checked, curves told."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from puncta.formats.atomic import write_text_atomic
from puncta.metrics.intervals import SEED, Estimate, draw_resamples
from puncta.training.loop import LOG
from puncta.training.nets.budget import count_parameters
from puncta.training.run import Progress, Tell
from puncta.training.study_figures import Drawn
from puncta.training.study_table import SLACK, TABLE, TABLE_JSON
from puncta.training.tracker.study import Claim, Study
from puncta.training.tracker.study_answers import GIVEN, MODES, load_answers
from puncta.training.tracker.study_clips import Pack
from puncta.training.tracker.study_figures import (
    LESS_IS_BETTER,
    PERCENT,
    draw_figures,
    draw_pool,
    judge_frames,
)
from puncta.training.tracker.study_files import SPEED, Places
from puncta.training.tracker.study_rows import build_net

FLAT = 1.0
"""A learning curve is flat where its last quarter gains less than this [points of IoU]."""
_SHOWN = {
    "iou": "IoU [%]", "dice": "Dice [%]", "precision": "precision [%]", "recall": "recall [%]", "f1": "F1 [%]",
    "vanished_iou": "IoU, vanished [%]", "miss_rate": "misses [%]", "false_mask_rate": "false masks [%]",
    "start_within_10": "started in 10 frames [%]", "tip_mm": "tip [mm]", "tip_percent": "tip [% of side]",
    "angle_deg": "angle [deg]",
}
_HOW = (
    "All needles are simulated. True is the whole needle while it lies in the image plane, also where it fades. "
    "IoU, Dice, precision and recall a frame, then averaged; F1 from the averages. A frame whose mask was handed over "
    "is left out. On its own, a row with a memory begins with the first needle that the UNet row finds; ours starts by "
    "itself. In brackets: "
    "95 % of bootstrap resamples of clips."
)
_ABOUT_SIZES = (
    "Frames a second on one thread, as they are in PyTorch; a row that ships is its exported graph with all that runs "
    f"around it. Flat: the last quarter gained less than {FLAT:g} point of IoU on the tune split."
)
_ABOUT_CLAIMS = (
    "A gain is positive, in points of percent or in the figure's unit. Strong: the asked number is reached and the "
    f"interval excludes zero; holds: reached, and the interval ends at most {SLACK} points below zero (below the asked "
    "number, where that is negative; frames a second have no interval); not clear: reached, but the interval reaches "
    "further down; fails: not reached."
)
_RISING = "An ordering among such rows may change with a longer training."
_MODE_TITLES = {"given": "with the true first mask", "alone": "on its own"}

Figures = Mapping[str, Mapping[str, Mapping[str, Mapping[str, Drawn]]]]
"""Row -> set or pool -> mode -> figure."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A claim with what was found; words as in `puncta.training.study_table.Checked`."""

    claim: Claim
    found: Estimate | None
    word: str


def write_table(study: Study, places: Places, packs: Mapping[str, Pack], tell: Tell) -> Path:
    """Make table.md and table.json from the kept answers; rows without answers are left out and named."""
    names = [row.name for row in study.rows
             if all(places.answers(row.name, s, m).exists() for s in study.sets for m in MODES)]
    weights = {s: draw_resamples(packs[s].clips, study.resamples, SEED + k) for k, s in enumerate(study.sets)}
    figures: dict[str, dict[str, dict[str, Mapping[str, Drawn]]]] = {}
    for done, name in enumerate(names, start=1):
        figures[name] = _figures_of(study, places, packs, weights, name)
        tell(Progress("rows of the table", done, len(names), {}))
    speeds = {name: _speed(places, name) for name in names}
    curves = {name: curve_of(places.row(name) / LOG) for name in names if study.row(name).trained}
    sizes = {row.name: _sizes(study, row.name) for row in study.rows if row.name in names}
    checked = [check_claim(claim, figures, speeds) for claim in study.claims]
    missing = [row.name for row in study.rows if row.name not in names]
    document = {
        "version": 1, "study": study.name, "kind": "mask", "simulated": True, "resamples": study.resamples,
        "size": study.size, "clips": study.settings.samples // study.settings.length,
        "sets": {s: {"title": title, "clips": packs[s].clips, "frames": len(packs[s].clip)}
                 for s, title in study.sets.items()},
        "rows": {
            n: {**sizes[n], **speeds[n], "curve": curves.get(n, []),
                "sets": {s: {m: {f: _as_json(d.estimate()) for f, d in by_mode[m].items()} for m in by_mode}
                         for s, by_mode in figures[n].items()}}
            for n in names
        },
        "missing": missing,
        "claims": [_claim_as_json(c) for c in checked],
    }
    write_text_atomic(places.out / TABLE_JSON, json.dumps(document, indent=1) + "\n")
    text = _as_text(study, figures, checked, sizes, speeds, curves, missing, packs)
    write_text_atomic(places.out / TABLE, text)
    return places.out / TABLE


def _figures_of(
    study: Study, places: Places, packs: Mapping[str, Pack], weights: Mapping[str, Any], name: str
) -> dict[str, dict[str, Mapping[str, Drawn]]]:
    out: dict[str, dict[str, Mapping[str, Drawn]]] = {s: {} for s in (*study.sets, *study.pools)}
    for mode in MODES:
        judged = {}
        for s in study.sets:
            answers = load_answers(places.answers(name, s, mode))
            judged[s] = judge_frames(packs[s], answers)
            out[s][mode] = draw_figures(packs[s], answers, mode, weights[s], judged[s])
        for k, (pool, of) in enumerate(study.pools.items()):
            parts = [(packs[s], judged[s]) for s in of.of]
            out[pool][mode] = draw_pool(parts, of.vanished, study.resamples, SEED + 50 + k)
    return out


def _speed(places: Places, name: str) -> dict[str, float]:
    path = places.row(name) / SPEED
    if not path.exists():
        return {}
    ms = float(json.loads(path.read_text(encoding="utf-8"))["ms_per_frame"])
    return {"ms_per_frame": round(ms, 2), "fps": round(1000 / ms, 1)}


def _sizes(study: Study, name: str) -> dict[str, int]:
    row = study.row(name)
    if not row.trained:
        return {}
    with torch.device("meta"):
        return {"parameters": count_parameters(build_net(row, study.size))}


def curve_of(log: Path) -> list[dict[str, float]]:
    """Learning curve of a row: clips seen and IoU on the tune split."""
    if not log.exists():
        return []
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    return [{"clips": line["samples"] // 5, "iou": line["metrics"]["iou"]} for line in lines
            if line["split"] == "tune" and "iou" in line["metrics"]]


def last_gain(curve: Sequence[Mapping[str, float]]) -> float | None:
    """What the last quarter of a learning curve gained [points]; None where it is too short to tell."""
    if len(curve) < 4:
        return None
    end = curve[-1]["clips"]
    before = max((p for p in curve if p["clips"] <= 0.75 * end), key=lambda p: p["clips"], default=None)
    return None if before is None else 100 * (curve[-1]["iou"] - before["iou"])


def check_claim(claim: Claim, figures: Figures, speeds: Mapping[str, Mapping[str, float]]) -> Checked:
    """Compare two rows on a figure, or on the difference of two figures; a gain is positive whatever the figure."""
    if claim.figure == "fps":
        both = [speeds.get(name, {}).get("fps") for name in (claim.better, claim.than)]
        if both[0] is None or both[1] is None:
            return Checked(claim, None, "not measured")
        found = Estimate(both[0] - both[1], None, None, 0)
        return Checked(claim, found, "holds" if both[0] - both[1] >= claim.at_least else "fails")

    def drawn(row: str, figure: str) -> Drawn | None:
        return figures.get(row, {}).get(claim.set, {}).get(claim.mode, {}).get(figure)

    wanted = [claim.figure] if claim.minus is None else [claim.figure, claim.minus]
    pairs = [(drawn(claim.better, f), drawn(claim.than, f)) for f in wanted]
    if any(a is None or b is None for a, b in pairs):
        return Checked(claim, None, "not measured")
    gains = [a.minus(b) for a, b in pairs]  # type: ignore[union-attr,arg-type]
    gain = gains[0] if len(gains) == 1 else gains[0].minus(gains[1])
    unit = (-1.0 if claim.figure in LESS_IS_BETTER else 1.0) * (100.0 if claim.figure in PERCENT else 1.0)
    found = Drawn(unit * gain.value, unit * gain.draws, gain.n).estimate()
    return Checked(claim, found, _word(claim, found))


def _word(claim: Claim, found: Estimate) -> str:
    if found.value is None or found.low is None:
        return "not measured"
    if found.value < claim.at_least:
        return "fails"
    slack = (SLACK if claim.figure in PERCENT else SLACK / 10) + max(0.0, -claim.at_least)
    if found.low > 0:
        return "strong"
    return "holds" if found.low > -slack else "not clear"


def _as_json(found: Estimate) -> dict[str, float | int | None]:
    return {k: None if (v := getattr(found, k)) is None else round(v, 5) for k in ("value", "low", "high", "n")}


def _claim_as_json(checked: Checked) -> dict[str, Any]:
    claim = checked.claim
    return {name: getattr(claim, name) for name in Claim.__slots__} | {
        "word": checked.word, "found": _as_json(checked.found) if checked.found else None}


def _as_text(
    study: Study, figures: Figures, checked: list[Checked], sizes: Mapping[str, Mapping[str, int]],
    speeds: Mapping[str, Mapping[str, float]], curves: Mapping[str, list[dict[str, float]]], missing: list[str],
    packs: Mapping[str, Pack],
) -> str:
    own = study.settings
    clips = own.samples // own.length
    titles = {row.name: row.title for row in study.rows}
    trained = [n for n in figures if study.row(n).trained]
    lines = [
        f"# {study.title}", "",
        f"Every trained row saw the same {clips:,} clips of {own.length} frames ({clips * (own.length - 1):,} frames "
        f"with a loss) at {study.size} px with the same optimiser and seed. {_HOW}", "",
    ]
    if missing:
        lines += [f"Not there yet: {', '.join(missing)}.", ""]
    lines += ["## Sizes and learning", "",
              _ABOUT_SIZES, "",
              "| row | parameters | frames/s | IoU on tune at 25 / 50 / 75 / 100 % of the clips | last quarter | |",
              "| --- | ---: | ---: | --- | ---: | --- |"]
    for n in figures:
        count = f"{sizes[n]['parameters']:,}" if sizes[n] else "–"
        fps = f"{speeds[n]['fps']:.1f}" if speeds[n] else "–"
        lines.append(f"| {titles[n]} | {count} | {fps} | {_curve_cells(curves.get(n, []))} |")
    for name, title in {**study.sets, **{k: p.title for k, p in study.pools.items()}}.items():
        about = f" ({name}, {packs[name].clips} clips, {len(packs[name].clip)} frames)" if name in packs else ""
        for mode in MODES:
            held = {n: figures[n][name][mode] for n in figures if figures[n][name].get(mode)}
            if held:
                lines += ["", f"## {title[:1].upper()}{title[1:]}, {_MODE_TITLES[mode]}{about}", "",
                          *_set_table(held, titles)]
    if checked:
        lines += ["", "## What is claimed", "",
                  _ABOUT_CLAIMS, "",
                  "| | claim | asked | found | |", "| --- | --- | ---: | ---: | --- |",
                  *(_claim_line(c) for c in checked)]
    if trained and any(not _is_flat(curves.get(n, [])) for n in trained):
        rising = ", ".join(titles[n] for n in trained if not _is_flat(curves.get(n, [])))
        lines += ["", f"Still rising when the budget ended: {rising}. {_RISING}"]
    return "\n".join(lines) + "\n"


def _is_flat(curve: Sequence[Mapping[str, float]]) -> bool:
    gain = last_gain(curve)
    return gain is not None and gain < FLAT


def _curve_cells(curve: Sequence[Mapping[str, float]]) -> str:
    if not curve:
        return "– | – | –"
    end = curve[-1]["clips"]
    at = [min(curve, key=lambda p: abs(p["clips"] - q * end))["iou"] for q in (0.25, 0.5, 0.75, 1.0)]
    gain = last_gain(curve)
    told = "–" if gain is None else f"{gain:+.1f}"
    return f"{' / '.join(f'{100 * v:.1f}' for v in at)} | {told} | {'flat' if _is_flat(curve) else 'rising'}"


def _set_table(held: Mapping[str, Mapping[str, Drawn]], titles: Mapping[str, str]) -> list[str]:
    there = {f for found in held.values() for f, d in found.items() if np.isfinite(d.value)}
    shown = [f for f in _SHOWN if f in there and not (f == "tip_percent" and "tip_mm" in there)]
    out = ["| row | " + " | ".join(_SHOWN[f] for f in shown) + " |", "| --- |" + " ---: |" * len(shown)]
    for name, found in held.items():
        cells = [_cell(f, found.get(f)) for f in shown]
        out.append(f"| {titles[name]} | " + " | ".join(cells) + " |")
    return out


def _cell(figure: str, drawn: Drawn | None) -> str:
    found = None if drawn is None else drawn.estimate()
    if found is None or found.value is None:
        return "–"
    unit, digits = (100.0, 1) if figure in PERCENT else (1.0, 1)
    text = f"{unit * found.value:.{digits}f}"
    if found.low is None or found.high is None:
        return text
    return f"{text} ({unit * found.low:.{digits}f}–{unit * found.high:.{digits}f})"


def _claim_line(checked: Checked) -> str:
    claim, found = checked.claim, checked.found
    told = "–"
    if found is not None and found.value is not None:
        told = f"{found.value:+.1f}"
        if found.low is not None and found.high is not None:
            told += f" ({found.low:+.1f} to {found.high:+.1f})"
    where = "" if claim.figure == "fps" else f" ({claim.set}, {_MODE_TITLES.get(claim.mode, GIVEN)})"
    return f"| {claim.id} | {claim.says}{where} | ≥ {claim.at_least:+g} | {told} | {checked.word} |"
