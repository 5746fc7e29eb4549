"""Who teaches, who sets the thresholds, who judges: a split by subject that holds, and roles that people keep.

A subject is on one side of the split only: two frames of one person look alike, and a model that has seen one of them
is judged too kindly by the other. Cases without a subject may all be the same person, so they stay together. Who has a
role keeps it as long as each role is filled: whoever is held out in one plan is not to teach in the next.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from puncta.core.errors import UserError
from puncta.formats.dataset import TRUSTED, load_dataset
from puncta.formats.dataset_checks import is_split_by_case
from puncta.session.retrain_data import (
    NOT_STATED,
    SIDES,
    TEST,
    TRAIN,
    TUNE,
    LabelledCase,
    TrainingData,
    open_training_data,
)
from puncta.session.retrain_recipes import DRAWN, is_needle_free

SHARES = {TEST: 0.25, TUNE: 0.15, TRAIN: 0.6}
"""Shares of the labelled frames that are held out, that set thresholds, and that teach."""
LEAST_SUBJECTS = 3

Roles = Mapping[str, Mapping[str, str]]
"""Sides that are known already: under "subject" by the person, under "case" by the id of the case."""


@dataclass(frozen=True, slots=True)
class SplitPlan:
    """Which subjects (or, weaker, cases) learn, tune and judge.

    Attributes
    ----------
    by : "subject" or "case"
    train, tune, held_out : tuple of str
        Subjects; titles of cases where it is by case.
    frames : mapping of str to int
        Labelled frames of "train", "tune" and "test".
    side : mapping of str to str
        Side of each case, by its id.
    honest : bool
        Subjects that judge are none of those that teach.
    warning : str
        What has to be said about it, "" for nothing.
    hidden : mapping of str to int
        Frames among them whose tip is in a shadow or out of the plane: nothing is learnt from or judged by those. Held
        out ones whose shaft is to be seen are judged by that, and are not among them.
    drawn : int
        Frames with a drawn needle that judge as well; they are not among the labelled ones.
    stated : bool
        The data state this split themselves.
    """

    by: str
    train: tuple[str, ...]
    tune: tuple[str, ...]
    held_out: tuple[str, ...]
    frames: Mapping[str, int]
    side: Mapping[str, str]
    honest: bool
    warning: str = ""
    plugin: str = ""
    cases: tuple[LabelledCase, ...] = field(default=(), repr=False)
    hidden: Mapping[str, int] = field(default_factory=dict)
    drawn: int = 0
    stated: bool = False

    @property
    def names(self) -> dict[str, tuple[str, ...]]:
        """Who is on each side."""
        return {TRAIN: self.train, TUNE: self.tune, TEST: self.held_out}

    @property
    def roles(self) -> dict[str, str]:
        """Side of each subject, or of each case by its id where it is by case."""
        if self.by == "case":
            return dict(self.side)
        return {name: side for side, names in self.names.items() for name in names}

    @property
    def shows(self) -> str:
        """Say it in one line: "train 3 subjects, 210 frames; tune 1 subject, 40 frames; held out ..."."""
        words = {TRAIN: "train", TUNE: "tune", TEST: "held out"}
        parts = []
        for side in SIDES:
            names = self.names[side]
            count = f"{len(names)} {self.by}{'' if len(names) == 1 else 's'}"
            frames = self.frames.get(side, 0)
            parts.append(f"{words[side]} {count}, {frames} frame{'' if frames == 1 else 's'}")
        return "; ".join(parts)


def plan_split(data: TrainingData, plugin: str | None = None, seed: int = 0, roles: Roles | None = None) -> SplitPlan:
    """Divide labelled data by subject into what teaches, what sets thresholds, and what judges.

    A split that a dataset states already is kept where no subject is on both sides; where it states only some, those
    keep theirs. With fewer than three subjects whole cases take their place, which is told as weaker; with fewer than
    three cases everything teaches.

    Parameters
    ----------
    plugin : str or None
        Whose labels count; None takes the plugin that has most.
    seed : int
        Another one divides otherwise.
    roles : Roles or None
        Sides that stay, unless nobody would be left on one.

    Raises
    ------
    UserError
        There is no labelled frame for the plugin.
    """
    wanted = plugin or max(data.plugins, key=data.frames_for, default="")
    cases = tuple(c for c in data.cases if c.frames.get(wanted, 0))
    if not cases:
        raise UserError(f"{data.title} has no confirmed label that the plugin {wanted or 'of choice'} can learn from.")
    stated = _stated(cases)
    if stated is not None:
        return _plan(cases, wanted, stated, "subject", True, "", stated=True)
    groups: dict[str, list[LabelledCase]] = defaultdict(list)
    for case in cases:
        groups[case.subject or NOT_STATED].append(case)
    note = ""
    if NOT_STATED in groups and len(groups[NOT_STATED]) > 1:
        note = f"{len(groups[NOT_STATED])} cases without a subject stay together, for they may be the same person."
    known = roles or {}
    if len(groups) >= LEAST_SUBJECTS:
        kept = {**_partly_stated(groups), **known.get("subject", {})}
        return _plan(cases, wanted, _sides(groups, wanted, seed, kept), "subject", True, note)
    third, three = ("Label a third subject", "Label cases") if not data.needle_free else (
        "Add recordings of a third subject", "Add recordings"
    )
    count = f"There {'is' if len(groups) == 1 else 'are'} only {len(groups)} subject{'' if len(groups) == 1 else 's'}"
    if len(cases) >= LEAST_SUBJECTS:
        by_case = {c.id: [c] for c in cases}
        return _plan(
            cases, wanted, _sides(by_case, wanted, seed, known.get("case", {})), "case", False,
            f"{count}, so whole cases are held out instead: the same person may be on both sides, and the comparison "
            f"is weaker than it looks. {third}, or state the subjects of the cases.",
        )
    return _plan(
        cases, wanted, {c.id: TRAIN for c in cases}, "case", False,
        f"{count} and {len(cases)} case{'' if len(cases) == 1 else 's'}, so nothing can be held out and no honest "
        f"comparison is possible. {three} of three subjects or more, or judge the model on another dataset.",
    )


def split_of_dataset(path: Path, plugin: str) -> SplitPlan:
    """Return the split that a dataset states, whole or not, as a training with it takes it.

    Raises
    ------
    UserError
        It is no dataset.
    """
    dataset, data = load_dataset(path), open_training_data(path)
    cases = tuple(c for c in data.cases if c.frames.get(plugin, 0) and c.split in SIDES)
    by = "case" if is_split_by_case(dataset) else "subject"
    drawn = 0
    if is_needle_free(dataset):
        videos = {v.id for v in dataset.videos if DRAWN in v.more}
        drawn = sum(i.video_id in videos and i.split == TEST and i.review in TRUSTED for i in dataset.images)
    return _plan(
        cases, plugin, {c.id: str(c.split) for c in cases}, by, by == "subject", "", stated=True, drawn=drawn
    )


def _stated(cases: Sequence[LabelledCase]) -> dict[str, str] | None:
    """Sides that a dataset states, if they are whole and keep subjects apart."""
    if any(case.split not in SIDES for case in cases) or {c.split for c in cases} < {TRAIN, TEST}:
        return None
    sides: dict[str, set[str]] = defaultdict(set)
    for case in cases:
        # Cases without a subject cannot be told apart, so they have to be on one side as well.
        sides[case.subject or NOT_STATED].add(str(case.split))
    return {c.id: str(c.split) for c in cases} if all(len(s) == 1 for s in sides.values()) else None


def _partly_stated(groups: Mapping[str, Sequence[LabelledCase]]) -> dict[str, str]:
    """Sides that data state of some subjects; what puts everybody on one side is no split."""
    said = {name: {str(c.split) for c in cases if c.split in SIDES} for name, cases in groups.items()}
    found = {name: next(iter(sides)) for name, sides in said.items() if len(sides) == 1}
    return {} if len(found) == len(groups) and len(set(found.values())) == 1 else found


def _sides(
    groups: Mapping[str, Sequence[LabelledCase]], plugin: str, seed: int, kept: Mapping[str, str]
) -> dict[str, str]:
    """Give out groups in a drawn order: first what judges, then what tunes, up to their shares; the rest teaches."""
    names = sorted(groups)
    Random(f"puncta split {seed}").shuffle(names)
    frames = {name: sum(c.frames.get(plugin, 0) for c in groups[name]) for name in names}
    total = sum(frames.values())
    out = {name: kept[name] for name in names if name in kept}
    left = [name for name in names if name not in out]

    def on(side: str) -> list[str]:
        return [name for name in names if out.get(name) == side]

    def nearest(side: str, some: Sequence[str]) -> str:
        """The group that brings the side nearest to its share; of equal ones the first drawn."""
        missing = SHARES[side] * total - sum(frames[name] for name in on(side))
        return min(some, key=lambda name: abs(missing - frames[name]))

    for side, later in ((TEST, (TUNE, TRAIN)), (TUNE, (TRAIN,))):
        while len(left) > sum(not on(other) for other in later):
            got = sum(frames[name] for name in on(side))
            if on(side) and got >= SHARES[side] * total * 0.8:
                break
            best = nearest(side, left)
            left.remove(best)
            out[best] = side
    out |= dict.fromkeys(left, TRAIN)
    for side in SIDES if len(names) >= LEAST_SUBJECTS else ():
        if not on(side):  # somebody has to change; whoever is held out stays so as long as anyone else can
            giving = next(other for other in (TRAIN, TUNE, TEST) if len(on(other)) > 1)
            out[nearest(side, on(giving))] = side
    return {case.id: out[name] for name in names for case in groups[name]}


def _plan(
    cases: Sequence[LabelledCase], plugin: str, side: Mapping[str, str], by: str, honest: bool, warning: str, *,
    stated: bool = False, drawn: int = 0,
) -> SplitPlan:
    names: dict[str, set[str]] = {s: set() for s in SIDES}
    frames: Counter[str] = Counter(dict.fromkeys(SIDES, 0))
    hidden: Counter[str] = Counter()
    for case in cases:
        names[side[case.id]].add((case.subject or NOT_STATED) if by == "subject" else case.title)
        frames[side[case.id]] += case.frames.get(plugin, 0)
        counts = case.hidden if side[case.id] == TEST else case.unplaced
        hidden[side[case.id]] += counts.get(plugin, 0)
    return SplitPlan(
        by, tuple(sorted(names[TRAIN])), tuple(sorted(names[TUNE])), tuple(sorted(names[TEST])), dict(frames),
        dict(side), honest, warning, plugin, tuple(cases), dict(+hidden), drawn, stated,
    )
