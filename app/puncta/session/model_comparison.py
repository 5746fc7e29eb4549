"""Two models of one plugin on the same frames of a dataset, by the code of `puncta evaluate`, paired clip by clip.

The figures of both and their differences come from the same 2,000 resamples of whole clips, so a difference says more
than two intervals beside one another. A machine's figures resample the clips of that machine alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from puncta.core.errors import UserError
from puncta.formats.dataset import load_dataset
from puncta.formats.dataset_checks import is_split_by_case
from puncta.inference.registry import ModelCard
from puncta.metrics.intervals import Estimate
from puncta.session.evaluate import LabelledData, Run, differences, figures_of, open_labelled_data, run_plugin
from puncta.session.figure_words import GROUP_ROWS, ROWS, title_and_unit
from puncta.session.plugins import all_models
from puncta.session.retrain_recipes import is_needle_free

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
        Takes (done, total), in clips of all models together.
    cancelled : callable
        Asked after each clip.

    Raises
    ------
    UserError
        No such model, not one of this plugin, twice the same one, or the dataset has nothing to judge.
    ComparisonStopped
        It was cancelled.
    """
    made = compare_with_each(
        plugin, (old,), new, data, split=split, first_mask=first_mask, tell=tell, cancelled=cancelled
    )[0]
    if isinstance(made, UserError):
        raise made
    return made


def compare_with_each(
    plugin: str,
    olds: Sequence[str],
    new: str,
    data: Path,
    *,
    split: str | None = "test",
    first_mask: bool = False,
    tell: Tell | None = None,
    cancelled: Callable[[], bool] | None = None,
    made: Callable[[Comparison], None] = lambda _comparison: None,
) -> tuple[Comparison | UserError, ...]:
    """Compare a model with several on the same frames, as `compare_models` does; the new one computes once.

    Parameters
    ----------
    made : callable
        Takes each comparison as soon as it is there: one that is cancelled later has not been for nothing.

    Returns
    -------
    tuple of Comparison or UserError
        One for each of ``olds``, or why it could not be made.

    Raises
    ------
    UserError
        There is no such model or data, or the new model cannot compute.
    ComparisonStopped
        It was cancelled.
    """
    registry = all_models()
    news, cards = registry.find(new), [registry.find(name) for name in olds]
    for card in (*cards, news):
        if card.plugin != plugin:
            raise UserError(f'The model "{card.identity}" belongs to the plugin {card.plugin}, not to {plugin}.')
    for name, card in zip(olds, cards, strict=True):
        if card.sha256 == news.sha256:
            raise UserError(f'"{name}" and "{new}" are the same model ({card.identity}); name two different ones.')
    labelled = _open(Path(data), split)

    def run(card: ModelCard, done: int) -> Run:
        progress = _progress(done, 1 + len(cards), tell, cancelled)
        progress(0, len(labelled.clips))
        return run_plugin(
            plugin, labelled, model=card.identity, first_mask=first_mask, timings=False, progress=progress
        )

    newest = run(news, 0)
    found: list[Comparison | UserError] = []
    for number, card in enumerate(cards, 1):
        try:
            comparison = _comparison(labelled, run(card, number), newest)
        except UserError as error:
            found.append(error)
        else:
            made(comparison)
            found.append(comparison)
    return tuple(found)


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


def _progress(done: int, models: int, tell: Tell | None, cancelled: Callable[[], bool] | None) -> Tell:
    def progress(clip: int, clips: int) -> None:
        if cancelled is not None and cancelled():
            raise ComparisonStopped
        if tell is not None:
            tell(done * clips + clip, models * clips)

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
