"""Blind second reading: what a rater may see of a case while the reading is open."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import sqlalchemy as sa

from puncta.annotation.adjudicate import CONSENSUS
from puncta.annotation.assignments import Assignment, Work, assignment
from puncta.annotation.labels import MACHINE_KINDS, TRUSTED_STATES, Label, is_machine
from puncta.annotation.store import AnnotationStore, Update
from puncta.annotation.store_suggestions import Suggestion
from puncta.annotation.tables import LABELS
from puncta.core.errors import UserError


def _may_see(own: Assignment | None, viewer: str) -> Callable[[str], bool]:
    def may(rater: str) -> bool:
        if rater == viewer or own is None:
            return True
        return not (own.hides_models if is_machine(rater) else own.hides_others)

    return may


def visible_labels(
    store: AnnotationStore, case_id: str, viewer: str, frame: int | tuple[int, int] | None = None
) -> tuple[Label, ...]:
    """Return the labels a rater may see: their own, and those of others and of models unless the reading is blind.

    Proposals in the rater's own layer (propagated, interpolated, of a model) are work the rater asked for; whether one
    may ask is `may_propose`.
    """
    may = _may_see(assignment(store, case_id, viewer), viewer)
    return tuple(label for label in store.labels(case_id, frame=frame) if may(label.rater))


def visible_update(store: AnnotationStore, case_id: str, viewer: str, revision: int) -> Update:
    """Return what has changed since a revision, as far as a rater may see it."""
    may = _may_see(assignment(store, case_id, viewer), viewer)
    update = store.changes_since(case_id, revision)
    return Update(update.revision, tuple(entry for entry in update.changed if may(entry[0])))


def visible_suggestions(
    store: AnnotationStore, case_id: str, viewer: str, names: Iterable[str] | None = None
) -> tuple[Suggestion, ...]:
    """Return the rater's review queue; empty in a blind reading, since a queue tells what models think."""
    return store.suggestions(case_id, viewer, names) if may_propose(store, case_id, viewer) else ()


def may_propose(store: AnnotationStore, case_id: str, viewer: str) -> bool:
    """Tell whether models may propose labels to a rater on this case."""
    own = assignment(store, case_id, viewer)
    return own is None or not own.hides_models


def saw_proposals(store: AnnotationStore, case_id: str, raters: Iterable[str]) -> bool:
    """Tell whether any of the raters could see what models propose, or has taken it up: agreement has to say so.

    A blind reading without proposals is the only one that could not.
    """
    for rater in raters:
        own = assignment(store, case_id, rater)
        if own is None or not own.blind or own.proposals:
            return True
        if any(label.made.kind in MACHINE_KINDS or label.made.base for label in store.labels(case_id, rater=rater)):
            return True
    return False


@dataclass(frozen=True, slots=True)
class Reading:
    """What one person has confirmed of a case, as far as another may know.

    Attributes
    ----------
    labels : int
        Confirmed ones.
    state : Work or None
        How far the reader is; None where nobody has assigned the case.
    """

    rater: str
    labels: int
    state: Work | None

    @property
    def under_way(self) -> bool:
        """It was assigned and is not done yet."""
        return self.state is not None and self.state is not Work.DONE


def readings(store: AnnotationStore, case_id: str, viewer: str) -> tuple[Reading, ...]:
    """Return the readings of a case that a person may compare, most labels first; models and the consensus stay out.

    Raises
    ------
    UserError
        The person reads this case blind and is not done: what others say would not be hidden any more.
    """
    own = assignment(store, case_id, viewer)
    if own is not None and own.hides_others:
        raise UserError("This is a blind reading: what others have labelled stays hidden until it is done.")
    query = sa.select(LABELS.c.rater, sa.func.count()).where(
        LABELS.c.case_id == case_id, LABELS.c.state.in_([str(state) for state in TRUSTED_STATES])
    )
    with store.reading() as connection:
        counts = {rater: int(count) for rater, count in connection.execute(query.group_by(LABELS.c.rater))}
    people = {rater: count for rater, count in counts.items() if rater != CONSENSUS and not is_machine(rater)}
    found = []
    for rater, count in people.items():
        work = assignment(store, case_id, rater)
        found.append(Reading(rater, count, None if work is None else work.state))
    return tuple(sorted((r for r in found if r.labels), key=lambda r: (-r.labels, r.rater)))
