"""What there is to learn from: labels made here and datasets, who they are of, and a split by subject that holds.

A subject is on one side of the split only: two frames of one person look alike, and a model that has seen one of them
is judged too kindly by the other. Cases without a subject may all be the same person, so they stay together.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from puncta import paths
from puncta.annotation.cases import Case
from puncta.annotation.labels import FlagLabel, Label
from puncta.annotation.store import AnnotationStore
from puncta.core.errors import UserError
from puncta.formats.dataset import NEEDLE_CATEGORY, TIP_CATEGORY, TRUSTED, Dataset, is_dataset, load_dataset
from puncta.session.label_exchange import labels_taken
from puncta.session.retrain_recipes import DRAWN, LP_FLAGS, is_needle_free, left_out_of, teaches

if TYPE_CHECKING:
    from puncta.session.retrain_recordings import Recording

TRAIN, TUNE, TEST = "train", "tune", "test"
SIDES = (TRAIN, TUNE, TEST)
TEST_SHARE, TUNE_SHARE = 0.25, 0.15
"""Shares of the labelled frames that are held out, and that set thresholds."""
LEAST_SUBJECTS = 3
NOT_STATED = "subject not stated"
PICTURES = "pictures "
"""Id of a case that holds pictures of no clip begins so."""


@dataclass(frozen=True, slots=True)
class LabelledCase:
    """A case, or a clip of a dataset, that has labels.

    Attributes
    ----------
    id : str
        Of the case in the store, or the number of the video in the dataset.
    frames : mapping of str to int
        Labelled frames that each plugin can learn from.
    split : str or None
        As stated already.
    """

    id: str
    title: str
    subject: str | None
    machine: str | None
    simulated: bool
    frames: Mapping[str, int]
    split: str | None = None


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Labels to learn from.

    Attributes
    ----------
    plugins : tuple of str
        Whose models it can teach.
    frames_labelled : int
        Of the plugin that it has most of.
    path : Path or None
        Folder of a dataset; None for labels of the store.
    problems : tuple of str
        Cases that cannot be taken, or not wholly, one sentence each.
    """

    id: str
    title: str
    plugins: tuple[str, ...]
    frames_labelled: int
    subjects: tuple[str, ...]
    machines: tuple[str, ...]
    simulated: bool
    path: Path | None
    cases: tuple[LabelledCase, ...] = ()
    label_set: str = ""
    problems: tuple[str, ...] = ()
    needle_free: bool = False
    recordings: tuple[Recording, ...] = ()

    @property
    def counts(self) -> str:
        """Say it in one line: "312 frames of 9 recordings of 7 subjects"."""
        known = [s for s in self.subjects if s != NOT_STATED]
        who = f"{len(known)} subject{'' if len(known) == 1 else 's'}" if known else "subjects not stated"
        what = "recording" if self.needle_free else "case"
        kind = "" if self.needle_free else "labelled "
        number = len(self.cases)
        return f"{self.frames_labelled} {kind}frames of {number} {what}{'' if number == 1 else 's'} of {who}"

    def frames_for(self, plugin: str) -> int:
        """Labelled frames that a plugin can learn from."""
        return sum(case.frames.get(plugin, 0) for case in self.cases)


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

    @property
    def shows(self) -> str:
        """Say it in one line: "train 3 subjects, 210 frames; tune 1 subject, 40 frames; held out ..."."""
        names = {TRAIN: self.train, TUNE: self.tune, TEST: self.held_out}
        words = {TRAIN: "train", TUNE: "tune", TEST: "held out"}
        parts = []
        for side in SIDES:
            count = f"{len(names[side])} {self.by}{'' if len(names[side]) == 1 else 's'}"
            frames = self.frames.get(side, 0)
            parts.append(f"{words[side]} {count}, {frames} frame{'' if frames == 1 else 's'}")
        return "; ".join(parts)


def datasets_dir() -> Path:
    """Folder of this user's datasets."""
    return paths.user_data_dir() / "datasets"


def datasets_at_hand(
    store: AnnotationStore | None, folder: Path | None = None, *, rater: str | None = None
) -> tuple[TrainingData, ...]:
    """Return the labels made here, by label set, and the datasets of a folder.

    Parameters
    ----------
    folder : Path or None
        Its sub-folders that hold a dataset, or plain COCO; None takes `datasets_dir`.
    rater : str or None
        Whose labels count; None takes the consensus, else the only person's.
    """
    found = [] if store is None else list(_of_store(store, rater))
    home = datasets_dir() if folder is None else Path(folder)
    for place in sorted(p for p in home.glob("*") if p.is_dir() and is_dataset(p)) if home.is_dir() else ():
        try:
            found.append(open_training_data(place))
        except UserError as error:
            found.append(TrainingData(str(place), place.name, (), 0, (), (), False, place, problems=(str(error),)))
    return tuple(found)


def open_training_data(path: Path) -> TrainingData:
    """Return what a dataset folder has to learn from.

    Raises
    ------
    UserError
        It is no dataset.
    """
    path = Path(path)
    dataset = load_dataset(path)
    counts: dict[int | None, Counter[str]] = defaultdict(Counter)
    free = is_needle_free(dataset)
    drawn = {v.id for v in dataset.videos if DRAWN in v.more} if free else set()
    for image in dataset.images:
        if image.review in TRUSTED and image.video_id not in drawn:
            counts[image.video_id].update(teaches(image))
    cases = [
        LabelledCase(str(v.id), v.name, v.subject, v.machine, dataset.info.simulated, dict(counts[v.id]), v.split)
        for v in dataset.videos
        if counts.get(v.id)
    ]
    cases += _pictures(dataset, counts[None])
    named = dataset.info.more.get("name")
    title = named if isinstance(named, str) else path.resolve().name
    found = gathered(str(path), title, cases, path, dataset.info.label_set)
    if not free:
        return found
    return replace(found, needle_free=True, problems=left_out_of(dataset))


def _pictures(dataset: Dataset, counted: Counter[str]) -> list[LabelledCase]:
    """Pictures of no clip: one case for each subject and split."""
    if not counted:
        return []
    groups: dict[tuple[str | None, str | None, str | None], Counter[str]] = defaultdict(Counter)
    for image in dataset.images:
        if image.video_id is None and image.review in TRUSTED:
            groups[image.subject, image.split, image.machine].update(teaches(image))
    simulated = dataset.info.simulated
    return [
        LabelledCase(f"{PICTURES}{n}", f"single pictures {n}", person, machine, simulated, dict(some), split)
        for n, ((person, split, machine), some) in enumerate(groups.items(), 1)
        if some
    ]


def _of_store(store: AnnotationStore, rater: str | None) -> Iterable[TrainingData]:
    by_set: dict[str, list[LabelledCase]] = defaultdict(list)
    problems: dict[str, list[str]] = defaultdict(list)
    for case in store.cases():
        try:
            labels, words = labels_taken(store, case, rater)
        except UserError as error:
            problems[case.label_set].append(str(error))
            continue
        if words:
            problems[case.label_set].append(words)
        frames = _count(labels)
        if frames:
            by_set[case.label_set].append(
                LabelledCase(
                    case.id, case.title, case.subject, case.machine, case.simulated, dict(frames), case.split
                )
            )
    for name in sorted(by_set.keys() | problems.keys()):
        yield gathered(
            f"store:{name}", f"labels made here ({name})", by_set[name], None, name, tuple(problems[name])
        )


def _count(labels: Sequence[Label]) -> Counter[str]:
    """Frames by the plugin that they can teach."""
    names: dict[int, set[str]] = defaultdict(set)
    for label in labels:
        if label.trusted:
            names[label.key.index].add(label.name if isinstance(label.value, FlagLabel) else label.slot.category)
    out: Counter[str] = Counter()
    for there in names.values():
        out["needle-tip"] += TIP_CATEGORY in there
        out["breast-biopsy"] += NEEDLE_CATEGORY in there
        out["infant-lp"] += set(LP_FLAGS) <= there
    return +out


def gathered(
    identity: str, title: str, cases: Sequence[LabelledCase], path: Path | None, label_set: str,
    problems: tuple[str, ...] = (),
) -> TrainingData:
    """Return cases as something to learn from, counted."""
    total: Counter[str] = Counter()
    for case in cases:
        total.update(case.frames)
    subjects = tuple(sorted({c.subject or NOT_STATED for c in cases}))
    machines = tuple(sorted({c.machine for c in cases if c.machine}))
    return TrainingData(
        identity, title, tuple(sorted(total)), max(total.values(), default=0), subjects, machines,
        any(c.simulated for c in cases), path, tuple(cases), label_set, problems,
    )


def plan_split(data: TrainingData, plugin: str | None = None, seed: int = 0) -> SplitPlan:
    """Divide labelled data by subject into what teaches, what sets thresholds, and what judges.

    A split that a dataset states already is kept where no subject is on both sides. With fewer than three subjects
    whole cases take their place, which is told as weaker; with fewer than three cases everything teaches.

    Parameters
    ----------
    plugin : str or None
        Whose labels count; None takes the plugin that has most.
    seed : int
        Another one divides otherwise.

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
        return _plan(cases, wanted, stated, "subject", True, "")
    groups: dict[str, list[LabelledCase]] = defaultdict(list)
    for case in cases:
        groups[case.subject or NOT_STATED].append(case)
    note = ""
    if NOT_STATED in groups and len(groups[NOT_STATED]) > 1:
        note = f"{len(groups[NOT_STATED])} cases without a subject stay together, for they may be the same person."
    if len(groups) >= LEAST_SUBJECTS:
        return _plan(cases, wanted, _sides(groups, wanted, seed), "subject", True, note)
    third, three = ("Label a third subject", "Label cases") if not data.needle_free else (
        "Add recordings of a third subject", "Add recordings"
    )
    count = f"There {'is' if len(groups) == 1 else 'are'} only {len(groups)} subject{'' if len(groups) == 1 else 's'}"
    if len(cases) >= LEAST_SUBJECTS:
        by_case = {c.id: [c] for c in cases}
        return _plan(
            cases, wanted, _sides(by_case, wanted, seed), "case", False,
            f"{count}, so whole cases are held out instead: the same person may be on both sides, and the comparison "
            f"is weaker than it looks. {third}, or state the subjects of the cases.",
        )
    return _plan(
        cases, wanted, {c.id: TRAIN for c in cases}, "case", False,
        f"{count} and {len(cases)} case{'' if len(cases) == 1 else 's'}, so nothing can be held out and no honest "
        f"comparison is possible. {three} of three subjects or more, or judge the model on another dataset.",
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


def _sides(groups: Mapping[str, Sequence[LabelledCase]], plugin: str, seed: int) -> dict[str, str]:
    """Give out groups in a drawn order: first what judges, then what tunes, up to their shares; the rest teaches."""
    names = sorted(groups)
    Random(f"puncta split {seed}").shuffle(names)
    frames = {name: sum(c.frames.get(plugin, 0) for c in groups[name]) for name in names}
    total, out, left = sum(frames.values()), {}, list(names)
    for side, share, keep in ((TEST, TEST_SHARE, 2), (TUNE, TUNE_SHARE, 1)):
        got = 0
        while len(left) > keep and (got == 0 or got < share * total * 0.8):
            # The group that brings the side nearest to its share; of equal ones the first drawn.
            best = min(left, key=lambda name: abs(share * total - got - frames[name]))
            left.remove(best)
            got += frames[best]
            out.update({case.id: side for case in groups[best]})
    out.update({case.id: TRAIN for name in left for case in groups[name]})
    return out


def _plan(
    cases: Sequence[LabelledCase], plugin: str, side: Mapping[str, str], by: str, honest: bool, warning: str
) -> SplitPlan:
    names: dict[str, set[str]] = {s: set() for s in SIDES}
    frames: Counter[str] = Counter(dict.fromkeys(SIDES, 0))
    for case in cases:
        names[side[case.id]].add((case.subject or NOT_STATED) if by == "subject" else case.title)
        frames[side[case.id]] += case.frames.get(plugin, 0)
    return SplitPlan(
        by, tuple(sorted(names[TRAIN])), tuple(sorted(names[TUNE])), tuple(sorted(names[TEST])), dict(frames),
        dict(side), honest, warning, plugin, tuple(cases),
    )


def check_split(dataset: Dataset, name: str = "the dataset") -> None:
    """See to it that no subject of a dataset is on two sides of its split.

    Raises
    ------
    UserError
        One is.
    """
    sides: dict[str, set[str]] = defaultdict(set)
    for image in dataset.images:
        if image.subject is not None and image.split in SIDES:
            sides[image.subject].add(str(image.split))
    torn = sorted(subject for subject, where in sides.items() if len(where) > 1)
    if torn:
        raise UserError(
            f"In {name} the subject {torn[0]} is in the splits {' and '.join(sorted(sides[torn[0]]))}; "
            "a subject may be on one side only, so make the split again."
        )


def cases_of(store: AnnotationStore, data: TrainingData) -> tuple[Case, ...]:
    """Return the cases of the store that labels made here are of."""
    wanted = {case.id for case in data.cases}
    return tuple(case for case in store.cases() if case.id in wanted)
