"""What there is to learn from: labels made here and datasets, and who they are of."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from puncta import paths
from puncta.annotation.cases import Case
from puncta.annotation.labels import FlagLabel, Label, NotVisible
from puncta.annotation.store import AnnotationStore
from puncta.core.errors import UserError
from puncta.formats.dataset import (
    NEEDLE_CATEGORY,
    TIP_CATEGORY,
    TRUSTED,
    Dataset,
    Image,
    Visibility,
    annotations_by_image,
    is_dataset,
    is_judged,
    load_dataset,
)
from puncta.session.label_exchange import labels_taken
from puncta.session.retrain_recipes import DRAWN, LP_FLAGS, is_needle_free, left_out_of, teaches

if TYPE_CHECKING:
    from puncta.session.retrain_recordings import Recording

TRAIN, TUNE, TEST = "train", "tune", "test"
SIDES = (TRAIN, TUNE, TEST)
NOT_STATED = "subject not stated"
PICTURES = "pictures "
"""Id of a case that holds pictures of no clip begins so."""
TIPS = "needle-tip"
"""The plugin whose labels may say that the tip is there and cannot be seen."""
UNSEEN = frozenset({Visibility.OUT_OF_PLANE, Visibility.SHADOWED})


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
    hidden : mapping of str to int
        Of these frames those whose tip is in a shadow or out of the plane, and of whose needle nothing else is said:
        no place, and not "no tip" either, so they are not judged.
    unplaced : mapping of str to int
        The same with those whose shaft is to be seen: these are judged by that, and teach where a tip is no more.
    """

    id: str
    title: str
    subject: str | None
    machine: str | None
    simulated: bool
    frames: Mapping[str, int]
    split: str | None = None
    hidden: Mapping[str, int] = field(default_factory=dict)
    unplaced: Mapping[str, int] = field(default_factory=dict)


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
    hidden, unplaced = _hidden_of(dataset), _hidden_of(dataset, (TIP_CATEGORY,))
    unseen: Counter[int | None] = Counter(i.video_id for i in dataset.images if i.id in hidden)
    nowhere: Counter[int | None] = Counter(i.video_id for i in dataset.images if i.id in unplaced)
    for image in dataset.images:
        if image.review in TRUSTED and image.video_id not in drawn:
            counts[image.video_id].update(teaches(image))
    cases = [
        LabelledCase(
            str(v.id), v.name, v.subject, v.machine, dataset.info.simulated, dict(counts[v.id]), v.split,
            _told(unseen[v.id]), _told(nowhere[v.id]),
        )
        for v in dataset.videos
        if counts.get(v.id)
    ]
    cases += _pictures(dataset, counts[None], hidden, unplaced)
    named = dataset.info.more.get("name")
    title = named if isinstance(named, str) else path.resolve().name
    found = gathered(str(path), title, cases, path, dataset.info.label_set)
    if not free:
        return found
    return replace(found, needle_free=True, problems=left_out_of(dataset))


def _pictures(
    dataset: Dataset, counted: Counter[str], hidden: Collection[int], unplaced: Collection[int]
) -> list[LabelledCase]:
    """Pictures of no clip: one case for each subject and split."""
    if not counted:
        return []
    groups: dict[tuple[str | None, str | None, str | None], Counter[str]] = defaultdict(Counter)
    unseen: Counter[tuple[str | None, str | None, str | None]] = Counter()
    nowhere: Counter[tuple[str | None, str | None, str | None]] = Counter()
    for image in dataset.images:
        if image.video_id is None and image.review in TRUSTED:
            group = image.subject, image.split, image.machine
            groups[group].update(teaches(image))
            unseen[group] += image.id in hidden
            nowhere[group] += image.id in unplaced
    simulated = dataset.info.simulated
    return [
        LabelledCase(
            f"{PICTURES}{n}", f"single pictures {n}", person, machine, simulated, dict(some), split,
            _told(unseen[person, split, machine]), _told(nowhere[person, split, machine]),
        )
        for n, ((person, split, machine), some) in enumerate(groups.items(), 1)
        if some
    ]


def _told(hidden: int) -> dict[str, int]:
    return {TIPS: hidden} if hidden else {}


def _hidden_of(dataset: Dataset, of: tuple[str, ...] = (TIP_CATEGORY, NEEDLE_CATEGORY)) -> set[int]:
    """Pictures whose tip is said to be there and cannot be seen, and of whose needle nothing else is said.

    They are neither learnt from nor judged by: there is no place, and "no tip" would be wrong. With the tip alone
    asked ``of`` those are among them whose shaft is to be seen.
    """
    names = {category.id: category.name for category in dataset.categories}
    found = annotations_by_image(dataset)

    def is_hidden(image: Image) -> bool:
        for name in of:
            if is_judged(image, name):
                seen = [a.visibility for a in found.get(image.id, ()) if names.get(a.category_id) == name]
                if not seen or not UNSEEN.issuperset(seen):
                    return False
        return is_judged(image, TIP_CATEGORY)

    return {image.id for image in dataset.images if is_hidden(image)}


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
                    case.id, case.title, case.subject, case.machine, case.simulated, dict(frames), case.split,
                    _told(_count_hidden(labels)), _told(_count_hidden(labels, (TIP_CATEGORY,))),
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


def _count_hidden(labels: Sequence[Label], of: tuple[str, ...] = (TIP_CATEGORY, NEEDLE_CATEGORY)) -> int:
    """Frames as in `_hidden_of`."""
    said: dict[int, set[tuple[str, bool]]] = defaultdict(set)
    for label in labels:
        if label.trusted and label.slot.category in of:
            unseen = isinstance(label.value, NotVisible) and label.value.visibility in UNSEEN
            said[label.key.index].add((label.slot.category, unseen))
    return sum((TIP_CATEGORY, True) in there and all(unseen for _name, unseen in there) for there in said.values())


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
