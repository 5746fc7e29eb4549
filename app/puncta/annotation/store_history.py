"""The log of gestures: written with each one, read to undo and to redo. Inside the store's transactions.

Every slot has a stack of its own: changes in force, then changes taken back that can be made again. A gesture lays a
change on each of its slots and drops what could be made again on the frames it touches and on the one it was made on.
Undo on a frame takes the last gesture in force there, or made there over other frames (a range accepted while this
frame was in view), and takes back all of it that no later gesture has covered on another frame; what is covered stays
in force and is taken back there, in its turn. So undo never changes what a later gesture has made, and undoing
everything leads to the first state whatever the order of the frames.

What was proposed between key frames rests on them. Once other key frames replace it, or it is taken away because one
of them is gone, nothing is to lead back to it: the change that does so stands in for those that had laid it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from puncta.annotation.labels import Kind, Slot, State, utc_now
from puncta.annotation.store_bulk import id_list, insert_rows
from puncta.annotation.store_rows import contents_at
from puncta.annotation.tables import CHANGES, COMMANDS, DISCARDED, LIVE, UNDONE
from puncta.formats.jsontext import parse_json

Moves = Sequence[tuple[Slot, str | None, str | None]]


@dataclass(frozen=True, slots=True)
class LoggedChange:
    """A change of the log; texts as the store keeps them."""

    id: int
    slot: Slot
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Step:
    """What an undo or a redo does.

    Attributes
    ----------
    target_uid : str
        The gesture it belongs to.
    moves : tuple of (slot, from, to)
    """

    target_uid: str
    title: str
    moves: tuple[tuple[Slot, str | None, str | None], ...]


def log_command(
    connection: Connection,
    *,
    uid: str,
    case_id: str,
    rater: str,
    kind: str,
    title: str,
    frame: int | None,
    automatic: bool,
    target_uid: str | None,
    revision: int,
) -> int:
    """Write a gesture, an undo or a redo into the log; return its number."""
    row = {
        "uid": uid,
        "case_id": case_id,
        "rater": rater,
        "kind": kind,
        "title": title,
        "frame_index": frame,
        "automatic": automatic,
        "target_uid": target_uid,
        "revision": revision,
        "made_utc": utc_now(),
    }
    return int(connection.execute(sa.insert(COMMANDS).returning(COMMANDS.c.id), row).scalar_one())


def log_changes(
    connection: Connection,
    command_id: int,
    case_id: str,
    rater: str,
    moves: Moves,
    made_on: int | None = None,
    *,
    automatic: bool = False,
) -> None:
    """Write a gesture's changes, and drop what could be made again on its frames and on the one it was made on.

    Parameters
    ----------
    automatic : bool
        A machine's: what it makes of proposals between key frames stands in for those.
    """
    beneath = _stand_in(connection, case_id, rater, moves) if automatic else {}
    rows: list[dict[str, Any]] = [
        {
            "command_id": command_id,
            "case_id": case_id,
            "rater": rater,
            "frame_index": slot.index,
            "name": slot.name,
            "number": slot.number,
            "before": before if after is None else beneath.get(slot, before),
            "after": after,
            "status": DISCARDED if after is None and slot in beneath else LIVE,
        }
        for slot, before, after in moves
    ]
    frames = {int(row["frame_index"]) for row in rows}
    query = sa.select(CHANGES.c.id, CHANGES.c.frame_index).where(
        CHANGES.c.case_id == case_id,
        CHANGES.c.rater == rater,
        CHANGES.c.status == UNDONE,
        CHANGES.c.frame_index.between(min(frames), max(frames)),
    )
    gone = [n for n, index in connection.execute(query) if index in frames]
    if made_on is not None:
        over = sa.select(CHANGES.c.id).join(COMMANDS, COMMANDS.c.id == CHANGES.c.command_id)
        over = over.where(*_made_on(case_id, rater, made_on), CHANGES.c.status == UNDONE)
        gone += connection.execute(over).scalars().all()
    _set_status(connection, list(dict.fromkeys(gone)), DISCARDED)
    insert_rows(connection, CHANGES, rows)


def _stand_in(connection: Connection, case_id: str, rater: str, moves: Moves) -> dict[Slot, str | None]:
    """Drop from the log what had laid proposals between key frames that a machine replaces or takes away now.

    Return what stood in their slots before that, which is what an undo of the machine's gesture leads to.
    """
    over = {
        slot: (before, after)
        for slot, before, after in moves
        if _between_keys(before) and (after is None or _between_keys(after))
    }
    if not over:
        return {}
    frames = [slot.index for slot in over]
    c = CHANGES.c
    query = (
        sa.select(c.id, c.frame_index, c.name, c.number, c.before, c.after, COMMANDS.c.automatic)
        .join(COMMANDS, COMMANDS.c.id == c.command_id)
        .where(*_mine(case_id, rater, LIVE), c.frame_index.between(min(frames), max(frames)))
        .order_by(c.command_id.desc(), c.id.desc())
    )
    beneath = {slot: before for slot, (before, _after) in over.items()}
    gone, open_slots = [], set(over)
    for number, index, name, nth, before, after, automatic in connection.execute(query):
        slot = Slot(index, name, nth)
        if slot not in open_slots:
            continue
        # Models' own proposals beneath are not lost by being replaced, but lie out of reach once the slot is emptied.
        wanted = over[slot][1] is None or _between_keys(after)
        if automatic and wanted and after is not None and after == beneath[slot]:
            gone.append(number)
            beneath[slot] = before
        else:
            open_slots.discard(slot)
    _set_status(connection, gone, DISCARDED)
    return beneath


def _between_keys(text: str | None) -> bool:
    """Whether a slot's text is a proposal made between key frames."""
    if text is None or str(Kind.INTERPOLATED) not in text:
        return False
    content = parse_json(text, "label")
    return content["state"] == str(State.PROPOSED) and content["made"]["kind"] == str(Kind.INTERPOLATED)


def log_step(
    connection: Connection,
    command_id: int,
    case_id: str,
    rater: str,
    moves: Iterable[tuple[Slot, str | None, str | None]],
) -> None:
    """Write what an undo or a redo has changed into the log, for the record and for a server: never to be undone."""
    rows = [
        {
            "command_id": command_id,
            "case_id": case_id,
            "rater": rater,
            "frame_index": slot.index,
            "name": slot.name,
            "number": slot.number,
            "before": before,
            "after": after,
            "status": DISCARDED,
        }
        for slot, before, after in moves
    ]
    insert_rows(connection, CHANGES, rows)


def put_out_of_reach(connection: Connection, command_id: int) -> None:
    """Keep a gesture in the log, but let no undo or redo come upon it any more."""
    query = sa.select(CHANGES.c.id).where(CHANGES.c.command_id == command_id)
    _set_status(connection, connection.execute(query).scalars().all(), DISCARDED)


def was_logged(connection: Connection, uid: str) -> bool:
    """Tell whether a gesture has been written before."""
    return connection.execute(sa.select(COMMANDS.c.id).where(COMMANDS.c.uid == uid)).first() is not None


def _set_status(connection: Connection, numbers: Sequence[int], status: int) -> None:
    if numbers:
        connection.execute(_STATUS[connection.dialect.name], {"status": status, "ids": id_list(connection, numbers)})


_STATUS = {
    "sqlite": sa.text("UPDATE changes SET status = :status WHERE id IN (SELECT value FROM json_each(:ids))"),
    "postgresql": sa.text("UPDATE changes SET status = :status WHERE id = ANY(CAST(:ids AS bigint[]))"),
}


def _target(
    connection: Connection, case_id: str, rater: str, frame: int | None, undo: bool, passed: set[int]
) -> int | None:
    """The gesture that the next step takes: the last in force, or the first taken back, but those passed."""
    status, pick = (LIVE, sa.func.max) if undo else (UNDONE, sa.func.min)
    touching = sa.select(pick(CHANGES.c.command_id)).where(*_mine(case_id, rater, status))
    touching = touching.where(CHANGES.c.command_id.not_in(passed)) if passed else touching
    if frame is None:
        found = [connection.execute(touching).scalar_one_or_none()]
    else:
        there = sa.exists().where(CHANGES.c.command_id == COMMANDS.c.id, CHANGES.c.status == status)
        made = sa.select(pick(COMMANDS.c.id)).where(*_made_on(case_id, rater, frame), there)
        made = made.where(COMMANDS.c.id.not_in(passed)) if passed else made
        touching = touching.where(CHANGES.c.frame_index == frame)
        found = [connection.execute(query).scalar_one_or_none() for query in (touching, made)]
    known = [int(number) for number in found if number is not None]
    return (max(known) if undo else min(known)) if known else None


def _made_on(case_id: str, rater: str, frame: int) -> tuple[Any, ...]:
    """The gestures that a person made while a frame was in view."""
    c = COMMANDS.c
    return (c.case_id == case_id, c.rater == rater, c.frame_index == frame, c.kind == "gesture", ~c.automatic)


def _next(
    connection: Connection, case_id: str, rater: str, frame: int | None, undo: bool
) -> tuple[int, list[LoggedChange]] | None:
    """The next gesture with something to take, and its changes; those wholly covered on other frames are passed."""
    passed: set[int] = set()
    while (target := _target(connection, case_id, rater, frame, undo, passed)) is not None:
        changes = _free_changes(connection, case_id, rater, target, undo)
        if changes:
            return target, changes
        passed.add(target)
    return None


def _mine(case_id: str, rater: str, status: int) -> tuple[Any, ...]:
    return (CHANGES.c.case_id == case_id, CHANGES.c.rater == rater, CHANGES.c.status == status)


def title_of_next(connection: Connection, case_id: str, rater: str, frame: int | None, undo: bool) -> str | None:
    """Return the title of the gesture that the next undo or redo takes, or None."""
    found = _next(connection, case_id, rater, frame, undo)
    if found is None:
        return None
    return str(connection.execute(sa.select(COMMANDS.c.title).where(COMMANDS.c.id == found[0])).scalar_one())


def take_step(
    connection: Connection,
    case_id: str,
    rater: str,
    frame: int | None,
    undo: bool,
    exactly: tuple[str, frozenset[Slot]] | None = None,
) -> Step | None:
    """Mark the next gesture's changes as taken back or made again and say what that changes.

    A change whose slot no longer holds what it left there (another machine of the same rater wrote it) is dropped
    from the log instead: nobody's work is overwritten.

    Parameters
    ----------
    exactly : (uid, slots) or None
        The very changes that another store has taken, where this one follows it.

    Returns
    -------
    Step or None
        None where there is nothing left to take.
    """
    while True:
        if exactly is None:
            found = _next(connection, case_id, rater, frame, undo)
            if found is None:
                return None
            target, changes = found
        else:
            query = sa.select(COMMANDS.c.id).where(
                COMMANDS.c.uid == exactly[0], COMMANDS.c.case_id == case_id, COMMANDS.c.rater == rater
            )
            target = connection.execute(query).scalar_one_or_none()
            if target is None:
                return None
            free = _free_changes(connection, case_id, rater, target, undo)
            changes = [c for c in free if c.slot in exactly[1]]
            if not changes:
                return None
        current = contents_at(connection, case_id, rater, [c.slot for c in changes])
        held = [c for c in changes if current.get(c.slot) == (c.after if undo else c.before)]
        _set_status(connection, [c.id for c in held], UNDONE if undo else LIVE)
        _set_status(connection, [c.id for c in changes if c not in held], DISCARDED)
        if held or exactly is not None:
            uid, title = connection.execute(
                sa.select(COMMANDS.c.uid, COMMANDS.c.title).where(COMMANDS.c.id == target)
            ).one()
            moves = tuple((c.slot, c.after, c.before) if undo else (c.slot, c.before, c.after) for c in held)
            return Step(uid, title, moves)


def _free_changes(connection: Connection, case_id: str, rater: str, target: int, undo: bool) -> list[LoggedChange]:
    """The changes of a gesture that lie on top of their slots' stacks."""
    status = LIVE if undo else UNDONE
    columns = (CHANGES.c.id, CHANGES.c.frame_index, CHANGES.c.name, CHANGES.c.number, CHANGES.c.before, CHANGES.c.after)
    query = sa.select(*columns).where(CHANGES.c.command_id == target, CHANGES.c.status == status)
    own = [
        LoggedChange(number, Slot(index, name, nth), before, after)
        for number, index, name, nth, before, after in connection.execute(query.order_by(CHANGES.c.id))
    ]
    if not own:
        return []
    frames = [c.slot.index for c in own]
    other = CHANGES.c.command_id > target if undo else CHANGES.c.command_id < target
    query = sa.select(CHANGES.c.frame_index, CHANGES.c.name, CHANGES.c.number).where(
        *_mine(case_id, rater, status), other, CHANGES.c.frame_index.between(min(frames), max(frames))
    )
    covered = {Slot(*row) for row in connection.execute(query)}
    return [c for c in own if c.slot not in covered]
