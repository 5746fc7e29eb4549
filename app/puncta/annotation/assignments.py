"""Who reads which case, and by which rules: the rows of the worklists."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum

import sqlalchemy as sa

from puncta.annotation.labels import is_machine
from puncta.annotation.store import AnnotationStore
from puncta.annotation.store_rows import stream_of
from puncta.annotation.tables import ASSIGNMENTS
from puncta.core.errors import UserError


class Work(StrEnum):
    """How far a rater is with a case."""

    OPEN = "open"
    DONE = "done"
    SKIPPED = "skipped"
    QUESTION = "question"


@dataclass(frozen=True, slots=True)
class Assignment:
    """One case on a rater's worklist.

    Attributes
    ----------
    position : int
        Place in the worklist, from 0.
    blind : bool
        Until the reading is done, labels of others and proposals of models are hidden from this rater.
    proposals : bool
        A study that allows a blind reader to see what models propose; its agreement then says so.
    note : str
        Why it was skipped, or the question.
    """

    case_id: str
    rater: str
    position: int = 0
    state: Work = Work.OPEN
    blind: bool = False
    proposals: bool = False
    note: str = ""
    changed_utc: str = ""

    @property
    def hides_others(self) -> bool:
        """Labels of other people are hidden now."""
        return self.blind and self.state is not Work.DONE

    @property
    def hides_models(self) -> bool:
        """What models propose is hidden now."""
        return self.hides_others and not self.proposals


def _of(row: sa.Row) -> Assignment:
    m = row._mapping
    return Assignment(
        m["case_id"],
        m["rater"],
        m["position"],
        Work(m["state"]),
        m["blind"],
        m["proposals"],
        m["note"],
        m["changed_utc"],
    )


def assign(
    store: AnnotationStore, case_id: str, rater: str, *, blind: bool = False, proposals: bool = False
) -> Assignment:
    """Put a case at the end of a rater's worklist; one that is on it already keeps its place and state.

    Raises
    ------
    UserError
        There is no such case, the rater's name is empty or that of a model, or the rules of a reading that has begun
        would change.
    """
    if not rater.strip() or is_machine(rater):
        raise UserError(f"'{rater}' is not the name of a rater.")
    there = assignment(store, case_id, rater)
    if there is not None:
        if (there.blind, there.proposals) != (blind, proposals) and store.labels(case_id, rater=rater):
            raise UserError(f"{rater} has begun to read this case; the rules of a reading stay as they are.")
        return _write(store, replace(there, blind=blind, proposals=proposals, changed_utc=_now()))
    with store.writing() as connection:
        stream_of(connection, case_id)
        last = connection.execute(
            sa.select(sa.func.max(ASSIGNMENTS.c.position)).where(ASSIGNMENTS.c.rater == rater)
        ).scalar_one_or_none()
        made = Assignment(case_id, rater, 0 if last is None else last + 1, Work.OPEN, blind, proposals, "", _now())
        connection.execute(sa.insert(ASSIGNMENTS), _row(made))
    return made


def _row(made: Assignment) -> dict[str, object]:
    return {
        "case_id": made.case_id,
        "rater": made.rater,
        "position": made.position,
        "state": str(made.state),
        "blind": made.blind,
        "proposals": made.proposals,
        "note": made.note,
        "changed_utc": made.changed_utc,
    }


def _now() -> str:
    """Time of a change, fine enough that two quick ones of one worklist are told apart when stores meet."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _write(store: AnnotationStore, changed: Assignment) -> Assignment:
    with store.writing() as connection:
        connection.execute(
            sa.update(ASSIGNMENTS)
            .where(ASSIGNMENTS.c.case_id == changed.case_id, ASSIGNMENTS.c.rater == changed.rater)
            .values(**_row(changed))
        )
    return changed


def mark(store: AnnotationStore, case_id: str, rater: str, state: Work | str, note: str = "") -> Assignment:
    """Say how far a rater is with a case of the worklist.

    Raises
    ------
    UserError
        It is not on the list, or it is skipped or asked about without a word why.
    """
    there = assignment(store, case_id, rater)
    if there is None:
        raise UserError(f"This case is not on the worklist of {rater}; assign it first.")
    state = Work(state)
    if state in {Work.SKIPPED, Work.QUESTION} and not note.strip():
        raise UserError("Say in a word why the clip is skipped." if state is Work.SKIPPED else "Write the question.")
    return _write(store, replace(there, state=state, note=note.strip(), changed_utc=_now()))


def assignment(store: AnnotationStore, case_id: str, rater: str) -> Assignment | None:
    """Return a rater's assignment to a case, or None."""
    query = sa.select(ASSIGNMENTS).where(ASSIGNMENTS.c.case_id == case_id, ASSIGNMENTS.c.rater == rater)
    with store.reading() as connection:
        row = connection.execute(query).first()
    return None if row is None else _of(row)


def assignments(
    store: AnnotationStore, *, rater: str | None = None, case_id: str | None = None
) -> tuple[Assignment, ...]:
    """Return assignments in the order of the worklists, of a rater, of a case, or all."""
    query = sa.select(ASSIGNMENTS).order_by(ASSIGNMENTS.c.rater, ASSIGNMENTS.c.position)
    if rater is not None:
        query = query.where(ASSIGNMENTS.c.rater == rater)
    if case_id is not None:
        query = query.where(ASSIGNMENTS.c.case_id == case_id)
    with store.reading() as connection:
        return tuple(_of(row) for row in connection.execute(query))


def put_assignments(store: AnnotationStore, entries: Iterable[Assignment], *, ties: bool = False) -> None:
    """Take over assignments of another store where they are newer, or (``ties``) as new."""
    known = {(a.case_id, a.rater): a for a in assignments(store)}
    for entry in entries:
        there = known.get((entry.case_id, entry.rater))
        if there is None:
            with store.writing() as connection:
                connection.execute(sa.insert(ASSIGNMENTS), _row(entry))
        elif there != entry and (
            there.changed_utc < entry.changed_utc or (ties and there.changed_utc == entry.changed_utc)
        ):
            _write(store, entry)
