"""A store that several raters share on a server, worked on through a copy on this machine.

Every gesture goes into the copy first, in one transaction, and is never waited for: the log of gestures is the outbox,
and what lies behind its mark "sent" has not reached the server yet. `sync` sends that in order, each gesture by its
own name so that sending twice counts once, and then takes over what others have done. A cut connection therefore costs
nothing but the view of the others' work, and so does a right that is missing on the server: the gestures wait. What
the server will not take for what it says (the same rater has changed the same slot on another machine) is kept in the
log, listed as refused, and the slot shows what the server has.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from puncta import paths
from puncta.annotation import store_history, store_rows
from puncta.annotation.assignments import assignments, put_assignments
from puncta.annotation.commands import Change, Command, GestureRefused
from puncta.annotation.label_json import content_of, label_from_content
from puncta.annotation.labels import Label, Slot
from puncta.annotation.store import AnnotationStore
from puncta.annotation.store_open import open_engine, url_of
from puncta.annotation.tables import CHANGES, COMMANDS
from puncta.core.errors import UserError

log = logging.getLogger(__name__)

STORE_VARIABLE = "PUNCTA_STORE"
SENT, REFUSED, SEEN = "sent", "refused", "seen:"
BATCH = 100


@dataclass(frozen=True, slots=True)
class Refused:
    """A gesture that the server did not take; its content stays in the log of this machine."""

    uid: str
    case_id: str
    title: str
    reason: str


@dataclass(frozen=True, slots=True)
class Standing:
    """How a copy stands with its server.

    Attributes
    ----------
    reached : bool or None
        Whether the server answered when it was asked last; None while the first answer is awaited.
    waiting, refused : int
        Gestures that lie on this machine alone, and gestures that the server did not take.
    trouble : str
        Why it is not reached, in words.
    last_refused : Refused or None
        The newest of them.
    refused_uids : frozenset of str
        The names of all of them.
    """

    reached: bool | None
    waiting: int
    refused: int = 0
    trouble: str = ""
    last_refused: Refused | None = None
    refused_uids: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Logged:
    """A gesture, an undo or a redo of the log."""

    id: int
    uid: str
    case_id: str
    rater: str
    kind: str
    title: str
    frame: int | None
    automatic: bool
    target_uid: str | None


class SharedStore(AnnotationStore):
    """A local copy with a server behind it; the same methods, and `sync`."""

    def __init__(self, engine: sa.Engine, server: Path | str) -> None:
        super().__init__(engine)
        self.server = server
        self.connected = False
        self.trouble = ""
        """Why the server is not reached, in words; empty while it is."""
        self._remote: AnnotationStore | None = None
        self._syncing = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @classmethod
    def open(cls, where: Path | str | None = None, *, begin_anew: bool = False, folder: Path | None = None) -> Self:
        """Open the copy of a server's store, whether the server answers or not.

        Parameters
        ----------
        where : str
            The server's address.
        folder : Path or None
            Where the copy lies; None: with this user's data.

        Raises
        ------
        StoreDamaged
            The copy is damaged and has been set aside.
        UserError
            The address is none.
        """
        if where is None:
            raise UserError("A shared store needs the address of its server.")
        url = url_of(where)
        name = hashlib.sha256(url.set(password=None).render_as_string().encode()).hexdigest()[:16]
        place = (folder or paths.user_data_dir() / "annotations") / f"copy-{name}.sqlite"
        return cls(open_engine(place, begin_anew=begin_anew), where)

    def start(self, interval_s: float = 0.5, longest_s: float = 15.0) -> None:
        """Sync in a thread of its own until `close`; less often while the server is away."""

        def work() -> None:
            wait = interval_s
            while not self._stop.wait(wait):
                wait = interval_s if self.sync() else min(2 * wait, longest_s)

        if self._thread is None:
            self._thread = threading.Thread(target=work, name="puncta-sync")
            self._thread.start()

    def close(self) -> None:
        """Stop syncing and close both; what has not been sent stays in the copy and goes out next time."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self._drop_remote()
        super().close()

    @property
    def waiting(self) -> int:
        """Gestures that have not reached the server yet."""
        with self.reading() as connection:
            query = sa.select(sa.func.count()).select_from(COMMANDS).where(COMMANDS.c.id > self._sent())
            return int(connection.execute(query).scalar_one())

    @property
    def refused(self) -> tuple[Refused, ...]:
        """Gestures that the server did not take, oldest first."""
        return tuple(Refused(**entry) for entry in json.loads(self.fact(REFUSED) or "[]"))

    @property
    def standing(self) -> Standing:
        """How this copy stands with its server now."""
        trouble, refused = self.trouble, self.refused
        reached = True if self.connected else False if trouble else None
        uids = frozenset(one.uid for one in refused)
        return Standing(reached, self.waiting, len(refused), trouble, refused[-1] if refused else None, uids)

    def sync(self) -> bool:
        """Send what is waiting, then take over what others have done; False where the server cannot be worked with."""
        with self._syncing:
            try:
                remote = self._reach()
                self._exchange_cases(remote)
                self._send(remote)
                self._take(remote)
            except (UserError, SQLAlchemyError) as error:
                # Not reached, of a newer Puncta, a right is missing: work goes on here, and it is tried again.
                self._drop_remote()
                self.connected, self.trouble = False, self._told(error)
                return False
            self.connected, self.trouble = True, ""
            return True

    def _told(self, error: UserError | SQLAlchemyError) -> str:
        if isinstance(error, UserError):
            return str(error)
        log.error("the shared store cannot be worked with", exc_info=error)
        why = str(getattr(error, "orig", None) or error).strip().splitlines()[:1]
        place = url_of(self.server).render_as_string(hide_password=True)
        return f"The store at {place} cannot be used: {why[0] if why else type(error).__name__}."

    def _reach(self) -> AnnotationStore:
        if self._remote is None:
            self._remote = AnnotationStore.open(self.server)
        return self._remote

    def _drop_remote(self) -> None:
        if self._remote is not None:
            self._remote.close()
            self._remote = None

    def _sent(self) -> int:
        return int(self.fact(SENT) or 0)

    # Cases and worklists.

    def _exchange_cases(self, remote: AnnotationStore) -> None:
        here, there = {c.id: c for c in self.cases()}, {c.id: c for c in remote.cases()}
        for case_id in here.keys() - there.keys():
            remote.add_case(here[case_id])
        for case_id in there.keys() - here.keys():
            self.add_case(there[case_id])
        put_assignments(remote, assignments(self))
        put_assignments(self, assignments(remote), ties=True)

    # Out.

    def _send(self, remote: AnnotationStore) -> None:
        while True:
            waiting = self._next_logged()
            if not waiting:
                return
            for entry in waiting:
                moves = self._moves(entry)
                try:
                    self._send_one(remote, entry, moves)
                except GestureRefused as error:
                    # Anything else (not reached, a right, a full disk, a newer Puncta) says nothing about the gesture:
                    # it keeps waiting, and so does what was done after it.
                    self._refuse(remote, entry, [slot for slot, _a, _b in moves], str(error))
                self.set_fact(SENT, str(entry.id))

    def _next_logged(self) -> list[Logged]:
        names = ("id", "uid", "case_id", "rater", "kind", "title", "frame_index", "automatic", "target_uid")
        query = sa.select(*(COMMANDS.c[n] for n in names)).where(COMMANDS.c.id > self._sent())
        with self.reading() as connection:
            return [Logged(*row) for row in connection.execute(query.order_by(COMMANDS.c.id).limit(BATCH))]

    def _moves(self, entry: Logged) -> list[tuple[Slot, str | None, str | None]]:
        c = CHANGES.c
        query = sa.select(c.frame_index, c.name, c.number, c.before, c.after).where(c.command_id == entry.id)
        with self.reading() as connection:
            rows = connection.execute(query.order_by(c.id)).all()
        return [(Slot(index, name, number), before, after) for index, name, number, before, after in rows]

    def _send_one(
        self, remote: AnnotationStore, entry: Logged, moves: list[tuple[Slot, str | None, str | None]]
    ) -> None:
        if entry.kind == "gesture":
            with self.reading() as connection:
                keys = store_rows.keys_at(connection, entry.case_id, [slot.index for slot, _a, _b in moves])

            def label(text: str | None, slot: Slot) -> Label | None:
                return None if text is None else label_from_content(text, slot, keys[slot.index], entry.rater)

            changes = tuple(Change(slot, label(a, slot), label(b, slot)) for slot, a, b in moves)
            remote.apply(
                Command(entry.title, entry.case_id, entry.rater, changes, entry.frame, entry.automatic, entry.uid)
            )
            return
        slots = {slot for slot, _a, _b in moves}
        done = remote.follow_step(
            entry.case_id, entry.rater, entry.uid, entry.target_uid or "", slots, entry.kind == "undo"
        )
        if done is None and not remote.knows(entry.uid):
            raise GestureRefused("the gesture it belongs to is not on the server")

    def _refuse(self, remote: AnnotationStore, entry: Logged, slots: Iterable[Slot], reason: str) -> None:
        """Put a gesture on the list of what was refused, and show what the server has in its slots."""
        slots = set(slots)
        theirs: dict[Slot, Label] = {}
        if slots and any(c.id == entry.case_id for c in remote.cases()):
            span = (min(s.index for s in slots), max(s.index for s in slots))
            theirs = {x.slot: x for x in remote.labels(entry.case_id, rater=entry.rater, frame=span)}
        listed = json.loads(self.fact(REFUSED) or "[]")
        if all(known["uid"] != entry.uid for known in listed):
            listed.append({"uid": entry.uid, "case_id": entry.case_id, "title": entry.title, "reason": reason})
            self.set_fact(REFUSED, json.dumps(listed))
        with self.writing() as connection:
            store_history.put_out_of_reach(connection, entry.id)
        later = self._touched_after(entry)
        self._put(entry.case_id, [(entry.rater, slot, theirs.get(slot)) for slot in sorted(slots - later)], set())

    def _touched_after(self, entry: Logged) -> set[Slot]:
        """Slots of later gestures that are waiting too: those are decided in their turn."""
        c = CHANGES.c
        query = sa.select(c.frame_index, c.name, c.number).where(
            c.command_id > entry.id, c.case_id == entry.case_id, c.rater == entry.rater
        )
        with self.reading() as connection:
            return {Slot(*row) for row in connection.execute(query)}

    # In.

    def _take(self, remote: AnnotationStore) -> None:
        here = {case.id for case in self.cases()}
        for case in remote.cases():
            if case.id not in here:
                continue  # added this very moment; its turn comes with the next sync
            seen = int(self.fact(SEEN + case.id) or 0)
            if case.revision == seen:
                continue
            update = remote.changes_since(case.id, seen)
            self._put(case.id, update.changed, None)
            self.set_fact(SEEN + case.id, str(update.revision))

    def _put(
        self, case_id: str, changed: Iterable[tuple[str, Slot, Label | None]], keep: set[tuple[str, Slot]] | None
    ) -> None:
        """Write what the server has into the copy, but for slots with gestures that it has not seen yet (``keep``)."""
        changed = list(changed)
        with self.writing() as connection:
            revision = store_rows.take_revision(connection, case_id)
            if keep is None:
                c = CHANGES.c
                query = sa.select(c.rater, c.frame_index, c.name, c.number).where(
                    c.case_id == case_id, c.command_id > self._sent()
                )
                keep = {(rater, Slot(i, n, k)) for rater, i, n, k in connection.execute(query)}
            by_rater: dict[str, dict[Slot, Label | None]] = {}
            for rater, slot, label in changed:
                if (rater, slot) not in keep:
                    by_rater.setdefault(rater, {})[slot] = label
            for rater, slots in by_rater.items():
                current = store_rows.contents_at(connection, case_id, rater, slots)
                texts = {slot: None if label is None else content_of(label) for slot, label in slots.items()}
                store_rows.keep_frames(connection, case_id, [x.key for x in slots.values() if x is not None])
                new = [(slot, text) for slot, text in texts.items() if current.get(slot) != text]
                store_rows.write_contents(connection, case_id, rater, new, revision)


def open_labels(
    where: Path | str | None = None, *, begin_anew: bool = False, begin: bool = True
) -> AnnotationStore:
    """Open the store to label in: a file, or a server through a copy that syncs by itself.

    Parameters
    ----------
    where : Path or str or None
        None takes what `PUNCTA_STORE` names, else this user's own store.
    begin_anew, begin : bool
        As `AnnotationStore.open`.
    """
    where = where if where is not None else os.environ.get(STORE_VARIABLE) or None
    if url_of(where).get_backend_name() == "sqlite":
        return AnnotationStore.open(where, begin_anew=begin_anew, begin=begin)
    store = SharedStore.open(where, begin_anew=begin_anew)
    store.start()
    return store
