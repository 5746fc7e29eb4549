"""Two models of one plugin on the same frames of a dataset, by the code of `puncta evaluate`, paired clip by clip.

The figures of both and their differences come from the same 2,000 resamples of whole clips, so a difference says more
than two intervals beside one another. A machine's figures resample the clips of that machine alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from puncta.core.errors import UserError
from puncta.formats.dataset import load_dataset
from puncta.formats.dataset_checks import is_split_by_case
from puncta.formats.jsontext import rounded
from puncta.metrics.intervals import Estimate
from puncta.session.evaluate import LabelledData, Run, differences, figures_of, open_labelled_data, run_plugin
from puncta.session.figure_words import GROUP_ROWS, ROWS, count_of, in_figures, title_and_unit
from puncta.session.plugins import all_models
from puncta.session.retrain_recipes import is_needle_free

FORMAT, VERSION = "puncta-comparison", 1

Verdict = Literal["better", "worse", "no clear difference"]

Tell = Callable[[int, int], None]

LEAST_CLIPS = 5
"""With fewer judged clips than this no difference is called: an interval resampled from them is too narrow."""


SAME_PERSON = (
    "Whole cases are held out, not people: the same person may be among those learnt from, so the comparison is "
    "weaker than it looks."
)


NEEDLES_DRAWN = (
    "The needles in the held out frames are drawn into them: found and missed tips say how the model reads this "
    "machine's tissue, and nothing of real needles."
)


class ComparisonStopped(Exception):
    """The comparison was cancelled; there is no result."""


@dataclass(frozen=True, slots=True)
class ComparedFigure:
    """One figure of both models.

    Attributes
    ----------
    name, title : str
        As in files, and in words.
    unit : str
        "share" for values in 0..1, else "px", "mm", "deg", "frames" or "1/min".
    better : "higher" or "lower"
    old, new : Estimate
    difference : Estimate
        New minus old, paired by clip.
    verdict : str
        Of the new model; "better" or "worse" only where the interval of the difference leaves out 0.
    """

    name: str
    title: str
    unit: str
    better: Literal["higher", "lower"]
    old: Estimate
    new: Estimate
    difference: Estimate
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Comparison:
    """What came of a comparison.

    Attributes
    ----------
    old, new : str
        Identity and version, "tip-ut 0.1".
    old_sha256, new_sha256 : str
        Of the files that computed.
    data : str
        Name of the dataset, never a path.
    split : str or None
        None means all of it.
    frames, clips, subjects : int
        What was judged; subjects are 0 where the dataset names none.
    rows : tuple of ComparedFigure
        Those for which more or less is better; what nothing speaks about is left out.
    simulated : bool
        The dataset is simulated.
    per_machine : mapping of str to tuple of ComparedFigure
    notes : tuple of str
        What a reader has to know, one sentence each.
    """

    plugin: str
    old: str
    new: str
    old_sha256: str
    new_sha256: str
    data: str
    split: str | None
    frames: int
    clips: int
    subjects: int
    rows: tuple[ComparedFigure, ...]
    simulated: bool
    per_machine: Mapping[str, tuple[ComparedFigure, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def compare_models(
    plugin: str,
    old: str,
    new: str,
    data: Path,
    *,
    split: str | None = "test",
    first_mask: bool = False,
    tell: Tell | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Comparison:
    """Step a plugin over the same clips with two models and compare what it finds.

    Parameters
    ----------
    old, new : str
        Models by "id", "id@version" or "id version".
    data : Path
        A dataset folder.
    split : str or None
        Where the dataset has no splits at all, everything is taken, and a note says so; "all" asks for that.
    first_mask : bool
        Give both the true mask of each clip's first frame with a needle, as trackers are published with.
    tell : callable
        Takes (done, total), in clips of both models together.
    cancelled : callable
        Asked after each clip.

    Raises
    ------
    UserError
        No such model, not one of this plugin, twice the same one, or the dataset has nothing to judge.
    ComparisonStopped
        It was cancelled.
    """
    registry = all_models()
    cards = [registry.find(name) for name in (old, new)]
    for card in cards:
        if card.plugin != plugin:
            raise UserError(f'The model "{card.identity}" belongs to the plugin {card.plugin}, not to {plugin}.')
    if cards[0].sha256 == cards[1].sha256:
        raise UserError(f'"{old}" and "{new}" are the same model ({cards[0].identity}); name two different ones.')
    labelled = _open(Path(data), split)
    runs = []
    for done, card in enumerate(cards):
        progress = _progress(done, tell, cancelled)
        progress(0, len(labelled.clips))
        runs.append(
            run_plugin(
                plugin, labelled, model=card.identity, first_mask=first_mask, timings=False, progress=progress
            )
        )
    return _comparison(labelled, *runs)


def _open(data: Path, split: str | None) -> LabelledData:
    """Open the split; a dataset without any splits is taken as a whole."""
    if split not in {None, "all"} and data.exists() and not _has_splits(data):
        split = None
    return open_labelled_data(data, split)


def _has_splits(data: Path) -> bool:
    try:
        return any(image.split is not None for image in load_dataset(data).images)
    except UserError:
        return True  # opening it says what is wrong


def _progress(done: int, tell: Tell | None, cancelled: Callable[[], bool] | None) -> Tell:
    def progress(clip: int, clips: int) -> None:
        if cancelled is not None and cancelled():
            raise ComparisonStopped
        if tell is not None:
            tell(done * clips + clip, 2 * clips)

    return progress


def _comparison(data: LabelledData, old: Run, new: Run) -> Comparison:
    machines = _machines(data)
    subjects = {image.subject for clip in data.clips for image in clip.images if image.subject is not None}
    per_machine = {}
    for machine in machines if len(machines) > 1 else ():
        rows = _rows(_of_machine(old, machine), _of_machine(new, machine), GROUP_ROWS)
        if rows:
            per_machine[machine] = rows
    rows = _rows(old, new)
    return Comparison(
        plugin=new.plugin,
        old=old.model or "",
        new=new.model or "",
        old_sha256=old.model_sha256 or "",
        new_sha256=new.model_sha256 or "",
        data=data.name,
        split=data.split,
        frames=new.judged,
        clips=len(data.clips),
        subjects=len(subjects),
        rows=rows,
        simulated=data.simulated,
        per_machine=per_machine,
        notes=_notes(data, (rows, *per_machine.values()), (old, new), len(subjects)),
    )


def _machines(data: LabelledData) -> list[str]:
    return sorted({m for clip in data.clips if (m := clip.machine) is not None})


def _of_machine(run: Run, machine: str) -> Run:
    return replace(
        run,
        frames=tuple(f for f in run.frames if f.machine == machine),
        masks=tuple(f for f in run.masks if f.machine == machine),
        flags=tuple(f for f in run.flags if f.machine == machine),
    )


def _rows(old: Run, new: Run, names: tuple[str, ...] | None = None) -> tuple[ComparedFigure, ...]:
    try:
        gaps = differences(new, old)
    except UserError:
        return ()  # nothing of this machine is judged for both
    before, after = figures_of(old), figures_of(new)
    enough = _judged_clips(new) >= LEAST_CLIPS
    rows = []
    for name, _words, _factor, _form, better in ROWS:
        gap = gaps.get(name)
        if better == 0 or gap is None or gap.n == 0 or (names is not None and name not in names):
            continue
        title, unit = title_and_unit(name)
        rows.append(
            ComparedFigure(
                name, title, unit, "higher" if better > 0 else "lower",
                before[name], after[name], gap, verdict_of(gap, better) if enough else "no clear difference",
            )
        )
    return tuple(rows)


def _judged_clips(run: Run) -> int:
    return len({f.clip for f in run.frames} | {f.clip for f in run.masks} | {f.clip for f in run.flags})


def verdict_of(gap: Estimate, better: int) -> Verdict:
    """Say what a difference means; +1 where more is better, -1 where less is."""
    if gap.low is None or gap.high is None or gap.low <= 0.0 <= gap.high:
        return "no clear difference"
    return "better" if gap.low * better > 0 else "worse"


def _notes(
    data: LabelledData, tables: Sequence[tuple[ComparedFigure, ...]], runs: tuple[Run, Run], subjects: int
) -> tuple[str, ...]:
    said = []
    if data.simulated:
        said.append("Everything here is simulated: the figures say nothing about real scanners or patients.")
    if is_needle_free(data.dataset):
        said.append(NEEDLES_DRAWN)
    if data.split is None:
        said.append("The dataset was taken as a whole; a model that learnt from it looks better than it is.")
    elif is_split_by_case(data.dataset):
        said.append(SAME_PERSON)
    clips = _judged_clips(runs[1])
    if clips < LEAST_CLIPS:
        said.append(f"Fewer than {LEAST_CLIPS} clips ({clips}) tell no difference from chance, so none is called.")
    elif len(tables) > 1 and any(_judged_clips(_of_machine(runs[1], m)) < LEAST_CLIPS for m in _machines(data)):
        said.append(f"Of a machine with fewer than {LEAST_CLIPS} clips no difference is called.")
    if subjects == 1:
        said.append("All clips show one subject, so the intervals say nothing about another one.")
    if clips >= LEAST_CLIPS and (tested := sum(row.difference.low is not None for row in tables[0])) > 1:
        said.append(f"Of {tested} figures without a difference, one in twenty still looks better or worse by chance.")
    for run in runs:
        if run.faults:
            said.append(f'With "{run.model}" the plugin failed on {run.faults} frames; they count as misses.')
    return tuple(said)


def as_json(comparison: Comparison) -> dict[str, Any]:
    """Return a comparison as plain JSON values (schema `comparison`)."""

    def number(value: float | None, name: str) -> float | None:
        return None if value is None else rounded(value, 6, name)

    def figure(estimate: Estimate, name: str) -> dict[str, Any]:
        ends = {k: number(getattr(estimate, k), name) for k in ("value", "low", "high")}
        return {**ends, "n": int(estimate.n)}

    def row(one: ComparedFigure) -> dict[str, Any]:
        return {
            "name": one.name, "title": one.title, "unit": one.unit, "better": one.better,
            "old": figure(one.old, one.name), "new": figure(one.new, one.name),
            "difference": figure(one.difference, one.name), "verdict": one.verdict,
        }

    return {
        "format": FORMAT,
        "version": VERSION,
        "plugin": comparison.plugin,
        "old": {"model": comparison.old, "sha256": comparison.old_sha256},
        "new": {"model": comparison.new, "sha256": comparison.new_sha256},
        "data": comparison.data,
        "split": comparison.split,
        "simulated": comparison.simulated,
        "frames": comparison.frames,
        "clips": comparison.clips,
        "subjects": comparison.subjects,
        "figures": [row(r) for r in comparison.rows],
        "per_machine": {name: [row(r) for r in rows] for name, rows in sorted(comparison.per_machine.items())},
        "notes": list(comparison.notes),
    }


def as_markdown(comparison: Comparison, command: str = "") -> str:
    """Return a comparison as Markdown tables.

    Parameters
    ----------
    command : str
        What was called, without paths of a machine.
    """
    part = f"split {comparison.split}" if comparison.split else "all of it"
    kind = "simulated data" if comparison.simulated else "recorded data"
    subjects = f" of {count_of(comparison.subjects, 'subject')}" if comparison.subjects else ""
    frames, clips = count_of(comparison.frames, "judged frame"), count_of(comparison.clips, "clip")
    lines = [
        f"# {comparison.plugin}: {comparison.new} against {comparison.old} on {comparison.data}", "",
        f"{frames} of {clips}{subjects} ({kind}, {part}), the same for both; 95 % intervals from 2,000 resamples of "
        "whole clips, differences paired by clip.", "",
        *(f"- {note}" for note in comparison.notes), "",
    ]
    lines += ["```", command, "```", ""] if command else []
    lines += _table(comparison, comparison.rows)
    for machine, rows in sorted(comparison.per_machine.items()):
        lines += ["", f"Machine {machine}:", "", *_table(comparison, rows)]
    return "\n".join([*lines, "", "Simulation and training only, not for clinical use.", ""])


def _table(comparison: Comparison, rows: tuple[ComparedFigure, ...]) -> list[str]:
    lines = [f"| | {comparison.old} | {comparison.new} [95 %] | n | new minus old [95 %] | new is |", "|---" * 6 + "|"]
    for row in rows:
        words, old, new, gap = words_of(row)
        cells = (words, old[0], f"{new[0]} [{new[1]}]", f"{row.new.n:,}", f"{gap[0]} [{gap[1]}]", row.verdict)
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def words_of(row: ComparedFigure) -> tuple[str, tuple[str, str], tuple[str, str], tuple[str, str]]:
    """Return a figure's words, and value and interval of the old, the new and the difference as they are printed."""
    words, factor, form = next((w, f, form) for name, w, f, form, _better in ROWS if name == row.name)

    def shown(estimate: Estimate, form: str) -> tuple[str, str]:
        value = "-" if estimate.value is None else in_figures(estimate.value * factor, form)
        if estimate.low is None or estimate.high is None:
            return value, "-"
        return value, f"{in_figures(estimate.low * factor, form)} .. {in_figures(estimate.high * factor, form)}"

    return words, shown(row.old, form), shown(row.new, form), shown(row.difference, form.replace("{:", "{:+"))
