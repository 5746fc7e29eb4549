"""The store of labels: every gesture one transaction, every case counting its revisions.

Labels belong to a rater, so two raters on one case never meet; one rater on two machines meets itself, and then a
gesture whose *before* is no longer there is refused. The store may be used from any thread, by one call at a time.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError

from puncta.annotation import store_history, store_rows, store_suggestions
from puncta.annotation.cases import Case
from puncta.annotation.commands import Change, Command, LabelConflict
from puncta.annotation.label_json import content_of, label_from_content
from puncta.annotation.labels import TRUSTED_STATES, Label, Slot
from puncta.annotation.store_open import WRITE, open_engine
from puncta.annotation.store_refusals import in_plain_words
from puncta.annotation.store_suggestions import Suggestion
from puncta.annotation.tables import CASES, LABELS, META, TAGS
from puncta.core.errors import UserError
from puncta.formats.jsontext import parse_json

_TRUSTED = {str(state) for state in TRUSTED_STATES}


@dataclass(frozen=True, slots=True)
class Applied:
    """What the store has done.

    Attributes
    ----------
    revision : int
        Of the case, now.
    changes : tuple of Change
        As made; give them to `Board.apply`.
    passed_over : tuple of Slot
        Slots that an automatic command left alone because their label is confirmed.
    title, uid, target_uid : str
        The gesture's title, what this step is called in the log, and the gesture that an undo or a redo belongs to.
    """

    revision: int
    changes: tuple[Change, ...]
    passed_over: tuple[Slot, ...] = ()
    title: str = ""
    uid: str = ""
    target_uid: str = ""


@dataclass(frozen=True, slots=True)
class Update:
    """What has changed in a case since a revision.

    Attributes
    ----------
    revision : int
        Ask from here next time.
    changed : tuple of (rater, slot, label)
        The label as it is now; None where it was taken away.
    """

    revision: int
    changed: tuple[tuple[str, Slot, Label | None], ...]


class AnnotationStore:
    """Labels, cases and the log of gestures in one database; make it by `open`."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._lock = threading.RLock()

    @classmethod
    def open(cls, where: Path | str | None = None, *, begin_anew: bool = False, begin: bool = True) -> Self:
        """Open a store, or begin one where there is none.

        Parameters
        ----------
        where : Path or str or None
            A SQLite file, a database URL, or None for this user's own store.
        begin_anew : bool
            Begins an empty store although a damaged one has been set aside.
        begin : bool
            False refuses a file that is not there; this user's own store is begun all the same.

        Raises
        ------
        StoreDamaged
            The file is damaged and has been set aside; see `store_open.restore_backup`.
        StoreUnreachable
            The server does not answer.
        UserError
            The store is of a newer Puncta, or the address is none.
        """
        return cls(open_engine(where, begin_anew=begin_anew, begin=begin))

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            self.engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Read in one transaction; for the rooms that keep their tables here."""
        with self._lock, self._plain_errors(), self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Write in one transaction: all of it or nothing."""
        with self._lock, self._plain_errors(), self.engine.connect() as plain:
            connection = plain.execution_options(**{WRITE: True}) if self.engine.dialect.name == "sqlite" else plain
            with connection.begin():
                yield connection

    @contextmanager
    def _plain_errors(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            told = in_plain_words(self.engine.url, error)
            if told is None:
                raise
            raise told from error

    # Cases.

    def add_case(self, case: Case) -> Case:
        """Add a case; adding the same id again changes nothing. Return the case as it is in the store."""
        with self.writing() as connection:
            there = connection.execute(sa.select(CASES.c.id).where(CASES.c.id == case.id)).first()
            if there is None:
                connection.execute(sa.insert(CASES), store_rows.row_of_case(case))
                self._set_tags(connection, case)
        return self.case(case.id)

    def update_case(self, case: Case) -> Case:
        """Write a case's facts and tags anew; its revision and its labels stay. Raises UserError for an unknown one."""
        row = {
            name: value
            for name, value in store_rows.row_of_case(case).items()
            if name not in {"id", "revision", "created_utc", "stream"}
        }
        with self.writing() as connection:
            store_rows.take_revision(connection, case.id)
            connection.execute(sa.update(CASES).where(CASES.c.id == case.id).values(**row))
            connection.execute(sa.delete(TAGS).where(TAGS.c.case_id == case.id))
            self._set_tags(connection, case)
        return self.case(case.id)

    @staticmethod
    def _set_tags(connection: Connection, case: Case) -> None:
        if case.tags:
            connection.execute(sa.insert(TAGS), [{"case_id": case.id, "tag": tag} for tag in sorted(set(case.tags))])

    def cases(self) -> tuple[Case, ...]:
        """Return all cases in the order in which they were added."""
        with self.reading() as connection:
            return store_rows.read_cases(connection)

    def case(self, case_id: str) -> Case:
        """Return a case; raises UserError where there is no such one."""
        with self.reading() as connection:
            found = store_rows.read_cases(connection, CASES.c.id == case_id)
        if not found:
            raise UserError(f"There is no case {case_id} in this store.")
        return found[0]

    def find_case(self, stream: str, uri: str | None = None) -> Case | None:
        """Return the case of a stream, rather the one at a place; None where there is none."""
        with self.reading() as connection:
            found = store_rows.read_cases(connection, CASES.c.stream == stream)
        at_place = [case for case in found if uri is not None and case.uri == uri]
        return next(iter(at_place or found), None)

    # Labels.

    def labels(
        self, case_id: str, *, rater: str | None = None, frame: int | tuple[int, int] | None = None
    ) -> tuple[Label, ...]:
        """Return labels of a case in order of frame: of all raters or one, of all frames, one, or a range.

        Rules of blind reading are those of `reading.visible_labels`, which the window asks instead.
        """
        where: list[sa.ColumnElement[bool]] = [LABELS.c.content.is_not(None)]
        if rater is not None:
            where.append(LABELS.c.rater == rater)
        if frame is not None:
            first, last = (frame, frame) if isinstance(frame, int) else frame
            where.append(LABELS.c.frame_index.between(first, last))
        with self.reading() as connection:
            return tuple(label for _r, _s, label in store_rows.read_labels(connection, case_id, *where) if label)

    def raters(self, case_id: str) -> tuple[str, ...]:
        """Return who has labels in a case, sorted."""
        query = sa.select(LABELS.c.rater).distinct().where(LABELS.c.case_id == case_id, LABELS.c.content.is_not(None))
        with self.reading() as connection:
            return tuple(sorted(connection.execute(query).scalars()))

    def apply(self, command: Command) -> Applied:
        """Make a gesture in one transaction; one that was made before (same ``uid``) changes nothing.

        An automatic command passes over slots whose label is confirmed, and takes others as they are by now.

        Raises
        ------
        LabelConflict
            Something else stands in a slot than the command starts from; nothing was changed.
        OtherClip
            The case is about another clip; nothing was changed.
        UserError
            There is no such case, or the store does not work: its disk, its server, a right.
        """
        if not command.changes:
            raise ValueError("a command without changes")
        with self.writing() as connection:
            revision = store_rows.take_revision(connection, command.case_id)
            if store_history.was_logged(connection, command.uid):
                return Applied(revision, (), title=command.title, uid=command.uid)
            store_rows.keep_frames(connection, command.case_id, [c.key for c in command.changes])
            slots = [c.slot for c in command.changes]
            current = store_rows.contents_at(connection, command.case_id, command.rater, slots)
            moves, made, passed = [], [], []
            for change in command.changes:
                text = current.get(change.slot)
                after = None if change.after is None else content_of(change.after)
                if command.automatic:
                    if text is not None and parse_json(text, "label")["state"] in _TRUSTED:
                        passed.append(change.slot)
                        continue
                    before = None if text is None else label_from_content(text, change.slot, change.key, command.rater)
                    made.append(Change(change.slot, before, change.after))
                elif text != (None if change.before is None else content_of(change.before)):
                    raise LabelConflict(
                        f"{change.slot.name} on frame {change.slot.index} was changed meanwhile; "
                        "nothing was overwritten, look at it again."
                    )
                else:
                    made.append(change)
                moves.append((change.slot, text, after))
            if moves:
                number = store_history.log_command(
                    connection,
                    uid=command.uid,
                    case_id=command.case_id,
                    rater=command.rater,
                    kind="gesture",
                    title=command.title,
                    frame=command.frame,
                    automatic=command.automatic,
                    target_uid=None,
                    revision=revision,
                )
                made_on, automatic = None if command.automatic else command.frame, command.automatic
                store_history.log_changes(
                    connection, number, command.case_id, command.rater, moves, made_on, automatic=automatic
                )
                written = [(slot, after) for slot, _before, after in moves]
                store_rows.write_contents(connection, command.case_id, command.rater, written, revision)
            return Applied(revision, tuple(made), tuple(passed), command.title, command.uid)

    def knows(self, uid: str) -> bool:
        """Tell whether a gesture, an undo or a redo is in the log."""
        with self.reading() as connection:
            return store_history.was_logged(connection, uid)

    # Undo and redo.

    def undo(self, case_id: str, rater: str, frame: int | None = None) -> Applied | None:
        """Take back the rater's last gesture that touches a frame or was made on it (None: the last of the case).

        All of the gesture is taken back but for slots on other frames that a later gesture has covered; those are
        taken back there. None where nothing is left.
        """
        return self._step(case_id, rater, frame, undo=True)

    def redo(self, case_id: str, rater: str, frame: int | None = None) -> Applied | None:
        """Make again what was taken back last on a frame (None: in the case); None where nothing is left."""
        return self._step(case_id, rater, frame, undo=False)

    def follow_step(
        self, case_id: str, rater: str, uid: str, target_uid: str, slots: Iterable[Slot], undo: bool
    ) -> Applied | None:
        """Do the very undo or redo that another store has done; None where it was done before or cannot be done."""
        return self._step(case_id, rater, None, undo=undo, uid=uid, exactly=(target_uid, frozenset(slots)))

    def _step(
        self,
        case_id: str,
        rater: str,
        frame: int | None,
        *,
        undo: bool,
        uid: str = "",
        exactly: tuple[str, frozenset[Slot]] | None = None,
    ) -> Applied | None:
        uid = uid or uuid.uuid4().hex
        with self.writing() as connection:
            store_rows.hold_case(connection, case_id)
            if store_history.was_logged(connection, uid):
                return None
            step = store_history.take_step(connection, case_id, rater, frame, undo, exactly)
            if step is None:
                return None
            revision = store_rows.take_revision(connection, case_id)
            number = store_history.log_command(
                connection,
                uid=uid,
                case_id=case_id,
                rater=rater,
                kind="undo" if undo else "redo",
                title=step.title,
                frame=frame,
                automatic=False,
                target_uid=step.target_uid,
                revision=revision,
            )
            store_history.log_step(connection, number, case_id, rater, step.moves)
            store_rows.write_contents(connection, case_id, rater, [(s, to) for s, _from, to in step.moves], revision)
            keys = store_rows.keys_at(connection, case_id, [slot.index for slot, _a, _b in step.moves])

            def label(text: str | None, slot: Slot) -> Label | None:
                return None if text is None else label_from_content(text, slot, keys[slot.index], rater)

            changes = tuple(Change(slot, label(a, slot), label(b, slot)) for slot, a, b in step.moves)
            return Applied(revision, changes, (), step.title, uid, step.target_uid)

    def undo_titles(self, case_id: str, rater: str, frame: int | None = None) -> tuple[str | None, str | None]:
        """Return the titles of what undo and redo would take; None where there is nothing."""
        with self.reading() as connection:
            undo, redo = (store_history.title_of_next(connection, case_id, rater, frame, way) for way in (True, False))
            return undo, redo

    # Watching.

    def revision(self, case_id: str) -> int:
        """Return a case's revision: cheap enough to ask a few times a second."""
        with self.reading() as connection:
            found = connection.execute(sa.select(CASES.c.revision).where(CASES.c.id == case_id)).scalar_one_or_none()
        if found is None:
            raise UserError(f"There is no case {case_id} in this store.")
        return int(found)

    def changes_since(self, case_id: str, revision: int) -> Update:
        """Return what anybody has changed in a case since a revision, as it is now."""
        with self.reading() as connection:
            now = connection.execute(sa.select(CASES.c.revision).where(CASES.c.id == case_id)).scalar_one_or_none()
            if now is None:
                raise UserError(f"There is no case {case_id} in this store.")
            changed = store_rows.read_labels(connection, case_id, LABELS.c.revision > revision)
        return Update(int(now), tuple(changed))

    # Suggestions and small facts.

    def put_suggestions(self, case_id: str, rater: str, source: str, suggestions: Iterable[Suggestion]) -> None:
        """Replace what a source (a model and its version) suggests a rater to look at."""
        with self.writing() as connection:
            store_rows.stream_of(connection, case_id)
            store_suggestions.write(connection, case_id, rater, source, suggestions)

    def suggestions(self, case_id: str, rater: str, names: Iterable[str] | None = None) -> tuple[Suggestion, ...]:
        """Return the rater's review queue, most in need first, one entry a frame.

        Parameters
        ----------
        names : iterable of str or None
            Names that have to be confirmed on a frame before it leaves the queue; None: any one is enough.
        """
        with self.reading() as connection:
            return store_suggestions.read(connection, case_id, rater, names)

    def fact(self, name: str) -> str | None:
        """Return a small fact kept with the store."""
        with self.reading() as connection:
            return connection.execute(sa.select(META.c.value).where(META.c.name == name)).scalar_one_or_none()

    def set_fact(self, name: str, value: str) -> None:
        """Keep a small fact with the store."""
        with self.writing() as connection:
            connection.execute(sa.delete(META).where(META.c.name == name))
            connection.execute(sa.insert(META), {"name": name, "value": value})
