"""The flag study's tables: the poster's two, what a split by frames hides, the ranks, and what is claimed, checked."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from puncta.formats.atomic import write_text_atomic
from puncta.metrics.classification import flag_statistics, frame_from_probabilities
from puncta.metrics.intervals import (
    SEED,
    Estimate,
    Statistic,
    Weights,
    draw_resamples,
    estimate,
    mean_of,
    paired_difference,
)
from puncta.training.landmarks.data import FLAGS
from puncta.training.landmarks.study import HELD_OUT, Claim, Places, Row, Study
from puncta.training.landmarks.study_time import times_as_text
from puncta.training.run import Progress, Tell
from puncta.training.study_table import SLACK, TABLE, TABLE_JSON

DONE = "row.json"
POINTED = "pointed"
"""Answers on pictures with maps of cord and fluid."""
MICRO = ("flag_accuracy", "flag_precision", "flag_recall", "flag_f1")
WHOLE = ("flag_exact_match", "flag_jaccard", "flag_hamming", "flag_f1")
_SHOWN = {
    "flag_accuracy": "accuracy", "flag_precision": "precision", "flag_recall": "recall", "flag_f1": "F1",
    "flag_exact_match": "exact match", "flag_jaccard": "Jaccard", "flag_hamming": "Hamming",
}
_TITLES = {
    1: "Table 1 of the poster: micro figures, cropping and the split of Set 2",
    2: "Table 2 of the poster: transformers with adapters, exact match, Jaccard, Hamming and F1",
    3: "Ranks of the adapters",
    4: "Further rows",
}


@dataclass(frozen=True, slots=True)
class Judged:
    """A row's figures on a set, with the resamples they are drawn on."""

    statistics: Mapping[str, Statistic]
    weights: Weights
    clips: int
    frames: int

    def figure(self, name: str) -> Estimate:
        """One figure with its interval."""
        return estimate(self.statistics[name], self.weights)


@dataclass(frozen=True, slots=True)
class Checked:
    """A claim with what was found; words as in `puncta.training.study_table.Checked`."""

    claim: Claim
    found: Estimate | None
    word: str


def judge(path: Path, resamples: int, seed: int) -> Judged:
    """Read kept answers and make every figure of them, and of where the maps point if that is kept."""
    with np.load(path) as held:
        logits, flags, clip = held["logits"].astype(np.float64), held["flags"], held["clip"]
        t_ns, hits = held["t_ns"], held.get("hits", None)
    numbers = {old: new for new, old in enumerate(dict.fromkeys(clip.tolist()))}
    clip_of = np.array([numbers[c] for c in clip.tolist()], np.intp)
    chances = 1.0 / (1.0 + np.exp(-np.clip(logits, -60, 60)))
    frames = [
        frame_from_probabilities(
            {name: bool(flags[i, k]) for k, name in enumerate(FLAGS)},
            {name: float(chances[i, k]) for k, name in enumerate(FLAGS)},
            clip=int(clip_of[i]), t_ns=int(t_ns[i]), image=i,
        )
        for i in range(len(flags))
    ]
    statistics = dict(flag_statistics(frames, len(numbers)))
    if hits is not None:
        statistics |= _pointing(hits, logits, flags, clip_of, len(numbers))
    return Judged(statistics, draw_resamples(len(numbers), resamples, seed), len(numbers), len(frames))


@dataclass(frozen=True, slots=True, eq=False)
class Gap:
    """One statistic less another, of the same clips."""

    of: Statistic
    less: Statistic

    @property
    def n(self) -> int:
        """The smaller of the two."""
        return min(self.of.n, self.less.n)

    @property
    def contributing_clips(self) -> int:
        """The smaller of the two."""
        return min(self.of.contributing_clips, self.less.contributing_clips)

    def values(self, weights: Weights) -> NDArray[np.float64]:
        """The difference for every row of counts."""
        return self.of.values(weights) - self.less.values(weights)


def _pointing(
    hits: NDArray[np.int8], logits: NDArray[np.float64], flags: NDArray[np.int8], clip_of: NDArray[np.intp], clips: int
) -> dict[str, Statistic]:
    """The pointing game on positives that were found, and by how much those that were missed fall behind."""
    labels = [FLAGS.index("cord"), FLAGS.index("csf")]
    asked = (hits >= 0) & (flags[:, labels] == 1)
    said = logits[:, labels] > 0
    owner = np.repeat(clip_of[:, None], 2, axis=1)
    right, missed = asked & said, asked & ~said
    found = mean_of(hits[right].astype(np.float64), owner[right], clips)
    lost = mean_of(hits[missed].astype(np.float64), owner[missed], clips)
    return {"pointing_game": found, "pointing_missed": lost, "pointing_gap": Gap(found, lost)}


def write_table(study: Study, places: Places, tell: Tell) -> Path:
    """Make table.md and table.json from the kept answers; rows without answers are left out and named."""
    names = [row.name for row in study.rows if (places.row(row.name) / DONE).is_file()]
    heads = {name: json.loads((places.row(name) / DONE).read_text(encoding="utf-8")) for name in names}
    judged: dict[str, dict[str, Judged]] = {}
    for done, name in enumerate(names, start=1):
        kept = (*study.sets, HELD_OUT, POINTED)
        judged[name] = {
            # The same resamples for the same set, so that rows pair; a row's own held-out frames are its own.
            s: judge(places.answers(name, s), study.resamples, SEED + k)
            for k, s in enumerate(kept) if places.answers(name, s).exists()
        }
        tell(Progress("rows of the table", done, len(names), {}))
    checked = [check_claim(claim, study, judged) for claim in study.claims]
    missing = [row.name for row in study.rows if row.name not in names]
    document = {
        "version": 1, "study": study.name, "kind": "flags", "simulated": True, "resamples": study.resamples,
        "rows": {
            name: {
                **heads[name], "title": study.row(name).title, "table": study.row(name).table,
                "sets": {
                    s: {"clips": j.clips, "frames": j.frames,
                        **{f: _as_json(j.figure(f)) for f in (*MICRO, *WHOLE[:3], *_pointing_names(j))}}
                    for s, j in judged[name].items()
                },
            }
            for name in names
        },
        "missing": missing,
        "claims": [
            {"id": c.claim.id, "says": c.claim.says, "at_least": c.claim.at_least,
             "found": None if c.found is None else _as_json(c.found, 100), "word": c.word}
            for c in checked
        ],
    }
    write_text_atomic(places.out / TABLE_JSON, json.dumps(document, indent=1) + "\n")
    text = as_text(study, judged, heads, checked, missing, times_as_text(places))
    write_text_atomic(places.out / TABLE, text)
    return places.out / TABLE


def _pointing_names(judged: Judged) -> list[str]:
    return [name for name in ("pointing_game", "pointing_missed", "pointing_gap")
            if name in judged.statistics and judged.statistics[name].n]


def _as_json(found: Estimate, factor: float = 1.0) -> dict[str, float | int | None]:
    values = {"value": found.value, "low": found.low, "high": found.high}
    return {**{k: None if v is None else round(v * factor, 5) for k, v in values.items()}, "n": found.n}


def check_claim(claim: Claim, study: Study, judged: Mapping[str, Mapping[str, Judged]]) -> Checked:
    """Hold a claim against what was measured."""
    one = _look_up(judged, claim.better, claim.set, claim.figure)
    if one is None:
        return Checked(claim, None, "not measured")
    if claim.than is None and claim.than_set is None:
        found = one.figure(claim.figure)
        reached = found.value is not None and 100 * found.value >= claim.at_least
        sure = found.low is not None and 100 * found.low >= claim.at_least
        return Checked(claim, found, ("strong" if sure else "holds") if reached else "fails")
    name, where = claim.than or claim.better, claim.than_set or claim.set
    other = _look_up(judged, name, where, claim.figure)
    if other is None:
        return Checked(claim, None, "not measured")
    if where == claim.set and _same_frames(study, claim.better, name, where):
        found = paired_difference(one.statistics[claim.figure], other.statistics[claim.figure], one.weights)
    else:
        found = _apart(one, other, claim.figure, study.resamples)
    return Checked(claim, found, _word(claim, found))


def _same_frames(study: Study, one: str, other: str, where: str) -> bool:
    a, b = study.row(one), study.row(other)
    return where != HELD_OUT or (a.split, a.percent, a.data) == (b.split, b.percent, b.data) or (
        a.split == b.split == "frames")


def _look_up(
    judged: Mapping[str, Mapping[str, Judged]], row: str, where: str, figure: str
) -> Judged | None:
    place = POINTED if figure.startswith("pointing") else where
    found = judged.get(row, {}).get(place)
    return found if found is not None and found.statistics[figure].n else None


def _apart(one: Judged, other: Judged, figure: str, resamples: int) -> Estimate:
    """One figure less another on other frames, resampled independently."""
    a, b = one.statistics[figure], other.statistics[figure]
    first = draw_resamples(one.clips, resamples, SEED + 101)
    second = draw_resamples(other.clips, resamples, SEED + 202)
    value = float(a.values(np.ones((1, one.clips)))[0] - b.values(np.ones((1, other.clips)))[0])
    drawn = a.values(first) - b.values(second)
    drawn = drawn[np.isfinite(drawn)]
    if not len(drawn) or min(a.contributing_clips, b.contributing_clips) < 2:
        return Estimate(value, None, None, min(a.n, b.n))
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Estimate(value, float(low), float(high), min(a.n, b.n))


def _word(claim: Claim, found: Estimate) -> str:
    if found.value is None:
        return "not measured"
    if 100 * found.value < claim.at_least:
        return "fails"
    if found.low is None:
        return "fails"
    if 100 * found.low > 0:
        return "strong"
    mark = -SLACK if claim.at_least >= 0 else claim.at_least - SLACK
    return "holds" if 100 * found.low > mark else "fails"


def as_text(
    study: Study, judged: Mapping[str, Mapping[str, Judged]], heads: Mapping[str, Mapping[str, Any]],
    checked: Sequence[Checked], missing: Sequence[str], times: Sequence[str] = (),
) -> str:
    """Return the tables as Markdown."""
    lines = [f"# {study.title}", "", *_preamble(study, judged)]
    for number, title in _TITLES.items():
        rows = [row for row in study.rows if row.table == number and row.name in judged]
        if rows:
            figures = WHOLE if number in (2, 3) else MICRO
            lines += ["", f"## {title}", ""]
            for where in (*study.sets, HELD_OUT):
                lines += _table(study, rows, judged, where, figures)
    lines += _leak(study, judged)
    lines += _pointed(study, judged)
    lines += [*_sizes(study, heads), *times]
    lines += [
        "", "## Claims", "",
        f"strong: the mark is reached and the interval excludes zero (for a figure by itself: the mark); holds: it is "
        f"reached and the interval ends at most {SLACK} points below zero (below the mark, where the mark is below "
        "zero); fails: neither. One training seed: an interval covers the clips drawn, not the luck of a training.", "",
        "| claim | says | asked | found | |", "| --- | --- | --- | --- | --- |",
    ]
    for one in checked:
        told = "" if one.found is None else _told(one.found, 100, 1)
        lines.append(f"| {one.claim.id} | {one.claim.says} | >= {one.claim.at_least:g} | {told} | {one.word} |")
    if missing:
        lines += ["", f"Not measured: {', '.join(missing)}."]
    return "\n".join(lines) + "\n"


def _preamble(study: Study, judged: Mapping[str, Mapping[str, Judged]]) -> list[str]:
    sizes = {s: j for by_set in judged.values() for s, j in by_set.items() if s in study.sets}
    told = "; ".join(f"{study.sets[s]} ({j.clips} clips, {j.frames} frames)" for s, j in sizes.items())
    return [
        "Everything is simulated, and the labels follow our rules: the poster gives none. Rows learn from simulated "
        f"videos as the poster counts them: {study.first.clips} infants on machines {', '.join(study.first.machines)} "
        f"({study.first.clips * study.first.frames} frames, Set 1) and {study.second.clips} on machine "
        f"{', '.join(study.second.machines)} ({study.second.clips * study.second.frames} frames, Set 2). Judged on: "
        f"{told}; and on the frames that a row's own split held out. Threshold 0.5, nothing tuned. Intervals: 95 %, "
        f"{study.resamples} bootstrap resamples of clips.",
    ]


def _table(
    study: Study, rows: Sequence[Row], judged: Mapping[str, Mapping[str, Judged]], where: str, figures: Sequence[str]
) -> list[str]:
    there = [row for row in rows if where in judged[row.name]]
    if not there:
        return []
    title = study.sets.get(where, "frames that the row's split held out")
    lines = [f"On {title}:", "", "| row | " + " | ".join(_SHOWN[f] for f in figures) + " |",
             "| --- |" + " --- |" * len(figures)]
    for row in there:
        cells = [_told(judged[row.name][where].figure(f), 1, 4) for f in figures]
        lines.append(f"| {row.title} | " + " | ".join(cells) + " |")
    return [*lines, ""]


def _leak(study: Study, judged: Mapping[str, Mapping[str, Judged]]) -> list[str]:
    rows = [row for row in study.rows if row.split in ("frames", "subjects") and row.name in judged
            and HELD_OUT in judged[row.name]]
    if not rows:
        return []
    lines = ["", "## What a split by frames hides", "",
             "F1 on the frames that the split held out, on other infants, and on other infants of unseen machines.", "",
             "| row | split | held out | " + " | ".join(study.sets.values()) + " |",
             "| --- | --- | --- |" + " --- |" * len(study.sets)]
    for row in rows:
        cells = [_told(judged[row.name][s].figure("flag_f1"), 1, 4) for s in (HELD_OUT, *study.sets)]
        lines.append(f"| {row.title} | {row.split} | " + " | ".join(cells) + " |")
    return lines


def _pointed(study: Study, judged: Mapping[str, Mapping[str, Judged]]) -> list[str]:
    rows = [row for row in study.rows if POINTED in judged.get(row.name, {})]
    if not rows:
        return []
    lines = ["", "## Where Grad-CAM points", "",
             "Share of maps whose peak lies on the lit cord or fluid (or within 15 px of 224), on infants of the "
             "unseen machines: of structures that were found, and of those that were missed. Of a model that ships it "
             "is the map that it gives itself, which was taught to lie on the structure.", "",
             "| row | found | missed |", "| --- | --- | --- |"]
    for row in rows:
        one = judged[row.name][POINTED]
        cells = [_told(one.figure(f), 1, 3) if one.statistics[f].n else "none" for f in
                 ("pointing_game", "pointing_missed")]
        lines.append(f"| {row.title} | " + " | ".join(cells) + " |")
    return lines


def _sizes(study: Study, heads: Mapping[str, Mapping[str, Any]]) -> list[str]:
    lines = ["", "## Sizes and budgets", "",
             "| row | input [px] | parameters | trained | samples | frames learnt from | ms a picture, one thread |",
             "| --- | --- | --- | --- | --- | --- | --- |"]
    for row in study.rows:
        head = heads.get(row.name)
        if head is not None:
            cells = [str(head.get(k, "")) for k in ("size", "parameters", "trained_parameters", "samples",
                                                    "trained_on", "ms_per_frame")]
            lines.append(f"| {row.title} | " + " | ".join(cells) + " |")
    return lines


def _told(found: Estimate, factor: float, digits: int) -> str:
    if found.value is None:
        return "none"
    value = f"{found.value * factor:.{digits}f}"
    if found.low is None or found.high is None:
        return value
    return f"{value} [{found.low * factor:.{digits}f}, {found.high * factor:.{digits}f}]"
