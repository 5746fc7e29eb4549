"""Rows of the store as values and back: cases, frames, labels."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from puncta.annotation.cases import Case
from puncta.annotation.commands import OtherClip
from puncta.annotation.label_json import label_from_content
from puncta.annotation.labels import Label, Slot
from puncta.annotation.store_bulk import insert_rows
from puncta.annotation.tables import CASES, FRAMES, LABELS, TAGS
from puncta.core.errors import UserError
from puncta.core.frame import FrameKey
from puncta.formats.jsontext import json_line

SlotText = tuple[Slot, str | None]


def _pair_text(values: Sequence[float] | None) -> str | None:
    return None if values is None else json_line(list(values))


def row_of_case(case: Case) -> dict[str, Any]:
    """Return a case as a row of `cases`."""
    names = [c.name for c in CASES.columns]
    row = {name: getattr(case, name) for name in names}
    return {**row, "region": _pair_text(case.region), "mm_per_px": _pair_text(case.mm_per_px)}


def case_of_row(row: Mapping[str, Any], tags: Iterable[str]) -> Case:
    """Return the case of a row."""
    values = dict(row)
    for name in ("region", "mm_per_px"):
        values[name] = None if values[name] is None else tuple(json.loads(values[name]))
    return Case(**values, tags=tuple(sorted(tags)))


def read_cases(connection: Connection, where: Any = None) -> tuple[Case, ...]:
    """Return cases in the order in which they were added."""
    query = sa.select(CASES).order_by(CASES.c.created_utc, CASES.c.title, CASES.c.id)
    rows = connection.execute(query if where is None else query.where(where)).mappings().all()
    tags: dict[str, list[str]] = {}
    for case_id, tag in connection.execute(sa.select(TAGS.c.case_id, TAGS.c.tag)):
        tags.setdefault(case_id, []).append(tag)
    return tuple(case_of_row(dict(row), tags.get(row["id"], ())) for row in rows)


def stream_of(connection: Connection, case_id: str) -> str:
    """Return a case's stream; raises UserError where there is no such case."""
    found = connection.execute(sa.select(CASES.c.stream).where(CASES.c.id == case_id)).scalar_one_or_none()
    if found is None:
        raise UserError(f"There is no case {case_id} in this store.")
    return str(found)


def hold_case(connection: Connection, case_id: str) -> None:
    """Keep other writers off a case until the transaction ends; raises UserError where there is no such case."""
    found = connection.execute(sa.select(CASES.c.id).where(CASES.c.id == case_id).with_for_update())
    if found.first() is None:
        raise UserError(f"There is no case {case_id} in this store.")


def take_revision(connection: Connection, case_id: str) -> int:
    """Count a case's revision up and return it; from here on no other writer changes the case in this transaction."""
    query = sa.update(CASES).where(CASES.c.id == case_id).values(revision=CASES.c.revision + 1)
    found = connection.execute(query.returning(CASES.c.revision)).scalar_one_or_none()
    if found is None:
        raise UserError(f"There is no case {case_id} in this store.")
    return int(found)


def _span(frames: Iterable[int]) -> tuple[int, int]:
    frames = list(frames)
    return min(frames), max(frames)


def contents_at(connection: Connection, case_id: str, rater: str, slots: Iterable[Slot]) -> dict[Slot, str | None]:
    """Return what stands in slots, as text; those never used are missing."""
    wanted = set(slots)
    if not wanted:
        return {}
    first, last = _span(slot.index for slot in wanted)
    columns = (LABELS.c.frame_index, LABELS.c.name, LABELS.c.number, LABELS.c.content)
    query = sa.select(*columns).where(
        LABELS.c.case_id == case_id,
        LABELS.c.rater == rater,
        LABELS.c.frame_index.between(first, last),
        LABELS.c.name.in_({slot.name for slot in wanted}),
    )
    return {
        slot: content
        for index, name, number, content in connection.execute(query)
        if (slot := Slot(index, name, number)) in wanted
    }


def write_contents(
    connection: Connection, case_id: str, rater: str, contents: Iterable[SlotText], revision: int
) -> None:
    """Put texts into slots; None takes a label away."""
    rows = [
        {
            "case_id": case_id,
            "rater": rater,
            "frame_index": slot.index,
            "name": slot.name,
            "number": slot.number,
            "content": text,
            "state": None if text is None else json.loads(text)["state"],
            "revision": revision,
        }
        for slot, text in contents
    ]
    insert_rows(connection, LABELS, rows, update=("content", "state", "revision"))


def keep_frames(connection: Connection, case_id: str, keys: Iterable[FrameKey]) -> None:
    """Remember the keys of labelled frames; fill in hashes that were not known.

    Raises
    ------
    OtherClip
        A key belongs to another clip than the labels the store has: other stream, time or pixels.
    """
    wanted = {key.index: key for key in keys}
    if not wanted:
        return
    stream = stream_of(connection, case_id)
    first, last = _span(wanted)
    query = sa.select(FRAMES.c.frame_index, FRAMES.c.pts_ns, FRAMES.c.sha256).where(
        FRAMES.c.case_id == case_id, FRAMES.c.frame_index.between(first, last)
    )
    known = {index: (pts_ns, sha256) for index, pts_ns, sha256 in connection.execute(query)}
    new, filled = [], []
    for index, key in wanted.items():
        if key.stream != stream:
            raise OtherClip(f"A label names the stream '{key.stream}'; this case is '{stream}'.")
        if index not in known:
            new.append({"case_id": case_id, "frame_index": index, "pts_ns": key.pts_ns, "sha256": key.sha256})
            continue
        pts_ns, sha256 = known[index]
        if key.pts_ns != pts_ns or (sha256 and key.sha256 and key.sha256 != sha256):
            what = "time" if key.pts_ns != pts_ns else "content"
            raise OtherClip(
                f"Frame {index} of this clip has another {what} than the frame that was labelled; "
                "open the clip that belongs to the case."
            )
        if key.sha256 and not sha256:
            filled.append({"case_id": case_id, "frame_index": index, "pts_ns": pts_ns, "sha256": key.sha256})
    insert_rows(connection, FRAMES, new)
    insert_rows(connection, FRAMES, filled, update=("sha256",))


def read_labels(connection: Connection, case_id: str, *where: Any) -> list[tuple[str, Slot, Label | None]]:
    """Return labels with their rater and slot, in order of frame; None for those taken away (where asked for)."""
    stream = stream_of(connection, case_id)
    columns = (
        LABELS.c.rater,
        LABELS.c.frame_index,
        LABELS.c.name,
        LABELS.c.number,
        LABELS.c.content,
        FRAMES.c.pts_ns,
        FRAMES.c.sha256,
    )
    joined = LABELS.join(
        FRAMES, sa.and_(LABELS.c.case_id == FRAMES.c.case_id, LABELS.c.frame_index == FRAMES.c.frame_index)
    )
    query = (
        sa.select(*columns)
        .select_from(joined)
        .where(LABELS.c.case_id == case_id, *where)
        .order_by(LABELS.c.frame_index, LABELS.c.rater, LABELS.c.name, LABELS.c.number)
    )
    out = []
    for rater, index, name, number, content, pts_ns, sha256 in connection.execute(query):
        slot = Slot(index, name, number)
        key = FrameKey(stream, index, pts_ns, sha256)
        out.append((rater, slot, None if content is None else label_from_content(content, slot, key, rater)))
    return out


def keys_at(connection: Connection, case_id: str, frames: Iterable[int]) -> dict[int, FrameKey]:
    """Return the keys of frames that have been labelled."""
    frames = list(frames)
    if not frames:
        return {}
    stream = stream_of(connection, case_id)
    first, last = _span(frames)
    query = sa.select(FRAMES.c.frame_index, FRAMES.c.pts_ns, FRAMES.c.sha256).where(
        FRAMES.c.case_id == case_id, FRAMES.c.frame_index.between(first, last)
    )
    return {i: FrameKey(stream, i, pts_ns, sha256) for i, pts_ns, sha256 in connection.execute(query)}
