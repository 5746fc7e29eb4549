"""A rater's worklist, and how far cases are labelled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import sqlalchemy as sa

from puncta.annotation.assignments import Assignment, Work, assign, assignment, assignments, mark
from puncta.annotation.cases import Case
from puncta.annotation.labels import (
    TRUSTED_STATES,
    FlagLabel,
    Label,
    MaskLabel,
    NotVisible,
    PhaseLabel,
    PolygonLabel,
    is_machine,
)
from puncta.annotation.store import AnnotationStore
from puncta.annotation.tables import LABELS, THUMBNAILS
from puncta.formats.label_sets import LabelSet, find_label_set

__all__ = [
    "Assignment", "CaseStatistics", "Progress", "Work", "assign", "assignment", "assignments", "first_open_frame",
    "mark", "next_case", "progress", "set_thumbnail", "statistics", "thumbnail", "worklist",
]  # fmt: skip

_TRUSTED = [str(state) for state in TRUSTED_STATES]


def worklist(store: AnnotationStore, rater: str) -> tuple[Assignment, ...]:
    """Return a rater's assignments in order."""
    return assignments(store, rater=rater)


def next_case(store: AnnotationStore, rater: str, after: str | None = None) -> Case | None:
    """Return the next open case of a worklist, behind a case (then from the start again); None when all is done."""
    work = worklist(store, rater)
    at = next((n for n, a in enumerate(work) if a.case_id == after), -1)
    for entry in (*work[at + 1 :], *work[: at + 1]):
        if entry.state is Work.OPEN and entry.case_id != after:
            return store.case(entry.case_id)
    return None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a case is labelled, by one rater or by anybody.

    Attributes
    ----------
    frames : int or None
        Of the clip.
    labelled, proposed : int
        Frames with a confirmed label; frames with proposed ones only.
    """

    frames: int | None
    labelled: int
    proposed: int

    @property
    def share(self) -> float | None:
        """Labelled frames of all, 0..1."""
        return self.labelled / self.frames if self.frames else None


def progress(store: AnnotationStore, case: Case, rater: str | None = None) -> Progress:
    """Return how far a case is labelled by a rater; None: by any person."""
    query = (
        sa.select(LABELS.c.frame_index, LABELS.c.state, LABELS.c.rater)
        .distinct()
        .where(LABELS.c.case_id == case.id, LABELS.c.content.is_not(None))
    )
    if rater is not None:
        query = query.where(LABELS.c.rater == rater)
    done, proposed = set(), set()
    with store.reading() as connection:
        for index, state, who in connection.execute(query):
            if state in _TRUSTED and not is_machine(who):
                done.add(index)
            elif state == "proposed":
                proposed.add(index)
    return Progress(case.frame_count, len(done), len(proposed - done))


def judged_names(label_set: LabelSet) -> tuple[str, ...]:
    """Return what a frame needs to count as done: every category and every flag of the label set."""
    return tuple([c.name for c in label_set.categories] + [f.name for f in label_set.flags])


def first_open_frame(store: AnnotationStore, case: Case, rater: str, names: Iterable[str] | None = None) -> int:
    """Return the first frame on which a rater has not judged all names; 0 where none is left.

    Parameters
    ----------
    names : iterable of str or None
        None takes those that the rater has judged anywhere in the case, so that a clip labelled for tips alone is not
        open for ever; on an untouched case that is frame 0.
    """
    wanted = None if names is None else set(names)
    if wanted is None:
        label_set = find_label_set(case.label_set)
        known = set(judged_names(label_set)) if label_set else None
    query = sa.select(LABELS.c.frame_index, LABELS.c.name).where(
        LABELS.c.case_id == case.id, LABELS.c.rater == rater, LABELS.c.state.in_(_TRUSTED)
    )
    judged: dict[int, set[str]] = {}
    with store.reading() as connection:
        for index, name in connection.execute(query):
            judged.setdefault(index, set()).add(name)
    if wanted is None:
        seen = {name for found in judged.values() for name in found}
        wanted = seen if known is None else seen & known
    if not wanted:
        return 0
    for index in range(case.frame_count or 0):
        if not wanted <= judged.get(index, set()):
            return index
    return 0


@dataclass(frozen=True, slots=True)
class CaseStatistics:
    """What a case's labels say, of one rater.

    Attributes
    ----------
    states : mapping of state to count of labels
    makers : mapping of maker to count
        "human", "model:needle-tip 0.2", ...
    confirmed_as_proposed : float or None
        Share of proposals dealt with that were taken as they were; None where there was none.
    visible, not_visible : mapping of category to count of frames
    flags : mapping of flag to {value: frames}
    phases : mapping of phase to frames
    mask_area_px : mapping of category to the mean area [px]
    """

    rater: str
    labels: int
    frames: int
    states: dict[str, int]
    makers: dict[str, int]
    confirmed_as_proposed: float | None
    visible: dict[str, int]
    not_visible: dict[str, int]
    flags: dict[str, dict[int, int]]
    phases: dict[str, int]
    mask_area_px: dict[str, float]


def statistics(store: AnnotationStore, case_id: str, rater: str) -> CaseStatistics:
    """Return what a rater's labels of a case say; confirmed ones count for what is seen, all for states and makers."""
    labels = store.labels(case_id, rater=rater)
    trusted = [label for label in labels if label.trusted]
    flags: dict[str, Counter[int]] = {}
    areas: dict[str, list[int]] = {}
    for label in trusted:
        if isinstance(label.value, FlagLabel):
            flags.setdefault(label.name, Counter())[label.value.value] += 1
        elif isinstance(label.value, MaskLabel):
            areas.setdefault(label.name, []).append(label.value.area_px)
    taken = sum(label.made.in_words() != "human" for label in trusted)
    fixed = sum(bool(label.made.base) and label.made.in_words() == "human" for label in trusted)
    rejected = sum(label.state == "rejected" for label in labels)
    dealt = taken + fixed + rejected
    return CaseStatistics(
        rater,
        len(labels),
        len({label.key.index for label in labels}),
        dict(Counter(str(label.state) for label in labels)),
        dict(Counter(label.made.in_words() for label in labels)),
        taken / dealt if dealt else None,
        dict(Counter(label.name for label in trusted if _points(label))),
        dict(Counter(label.name for label in trusted if isinstance(label.value, NotVisible))),
        {name: dict(sorted(counts.items())) for name, counts in sorted(flags.items())},
        dict(Counter(label.value.phase for label in trusted if isinstance(label.value, PhaseLabel))),
        {name: sum(found) / len(found) for name, found in sorted(areas.items())},
    )


def _points(label: Label) -> bool:
    return (
        isinstance(label.value, MaskLabel | PolygonLabel)
        or hasattr(label.value, "tip_px")
        or hasattr(label.value, "box")
    )


def set_thumbnail(store: AnnotationStore, case_id: str, png: bytes) -> None:
    """Keep a small picture of a case."""
    with store.writing() as connection:
        connection.execute(sa.delete(THUMBNAILS).where(THUMBNAILS.c.case_id == case_id))
        connection.execute(sa.insert(THUMBNAILS), {"case_id": case_id, "png": png})


def thumbnail(store: AnnotationStore, case_id: str) -> bytes | None:
    """Return a case's small picture (PNG), or None."""
    with store.reading() as connection:
        found = connection.execute(sa.select(THUMBNAILS.c.png).where(THUMBNAILS.c.case_id == case_id))
        png = found.scalar_one_or_none()
    return None if png is None else bytes(png)
