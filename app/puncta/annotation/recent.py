"""What a rater did last on a case, read from the log: the beginning of the window's history, and what was unwanted."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from puncta.annotation.store import AnnotationStore
from puncta.annotation.tables import CHANGES, COMMANDS


@dataclass(frozen=True, slots=True)
class Recent:
    """A gesture, or an undo or a redo of one.

    Attributes
    ----------
    first, last : int
        Frames that it changed.
    taken_back : bool
        It is an undo.
    made_utc : str
    """

    title: str
    first: int
    last: int
    taken_back: bool
    made_utc: str


def recent_gestures(store: AnnotationStore, case_id: str, rater: str, count: int) -> tuple[Recent, ...]:
    """Return the last gestures of a rater on a case, the newest first."""
    c = COMMANDS.c
    newest = sa.select(c.id).where(c.case_id == case_id, c.rater == rater).order_by(c.id.desc()).limit(count)
    query = (
        sa.select(c.title, sa.func.min(CHANGES.c.frame_index), sa.func.max(CHANGES.c.frame_index), c.kind, c.made_utc)
        .join(CHANGES, CHANGES.c.command_id == c.id)
        .where(c.id.in_(newest.scalar_subquery()))
        .group_by(c.id, c.title, c.kind, c.made_utc)
        .order_by(c.id.desc())
    )
    with store.reading() as connection:
        rows = connection.execute(query).all()
    return tuple(Recent(title, first, last, kind == "undo", made) for title, first, last, kind, made in rows)


def proposals_taken_back(store: AnnotationStore, case_id: str, rater: str) -> frozenset[int]:
    """Return the frames whose proposals the rater has taken back last, whether or not they could be made again.

    A note or a flag drops what could be made again on its frame, but says nothing about what was proposed there: so
    what counts is the last undo, redo or gesture that was about proposals.
    """
    target = COMMANDS.alias()
    last = (
        sa.select(CHANGES.c.frame_index, sa.func.max(CHANGES.c.command_id).label("command_id"))
        .join(COMMANDS, COMMANDS.c.id == CHANGES.c.command_id)
        .outerjoin(target, target.c.uid == COMMANDS.c.target_uid)
        .where(CHANGES.c.case_id == case_id, CHANGES.c.rater == rater, COMMANDS.c.automatic | target.c.automatic)
        .group_by(CHANGES.c.frame_index)
        .subquery()
    )
    here = (CHANGES.c.command_id == last.c.command_id) & (CHANGES.c.frame_index == last.c.frame_index)
    query = (
        sa.select(CHANGES.c.frame_index)
        .distinct()
        .join(last, here)
        .join(COMMANDS, COMMANDS.c.id == CHANGES.c.command_id)
        .where(CHANGES.c.case_id == case_id, CHANGES.c.rater == rater)
        .where(COMMANDS.c.kind == "undo", CHANGES.c.before.is_not(None))
    )
    with store.reading() as connection:
        return frozenset(connection.execute(query).scalars())
