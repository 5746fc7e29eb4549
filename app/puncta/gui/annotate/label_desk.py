"""What Annotate works on: one case, one rater's labels in memory, and the store behind them. No widgets here."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from PySide6.QtCore import QObject, QTimer, Signal

from puncta.annotation.cases import Case, case_of_source
from puncta.annotation.commands import Board, Change, Command, LabelConflict
from puncta.annotation.labels import Label
from puncta.annotation.recent import Recent, proposals_taken_back, recent_gestures
from puncta.annotation.store import AnnotationStore, Applied, Update
from puncta.core.errors import UserError
from puncta.core.frame import Frame, FrameKey, SourceInfo
from puncta.formats.label_sets import LabelSet, find_label_set
from puncta.gui.annotate.many_labels import SetApart, reading_many
from puncta.gui.annotate.store_thread import StoreThread

log = logging.getLogger(__name__)

HISTORY = 40
LOOK_MS = 1000
"""So often the store is asked whether this rater has worked elsewhere [ms]."""


Stepped = Callable[[Sequence[Change]], None] | None


@dataclass(frozen=True, slots=True)
class Gesture:
    """A line of the history."""

    title: str
    first: int
    last: int
    at_s: float
    taken_back: bool = False


@dataclass(frozen=True, slots=True)
class _Loaded:
    """What the store gives when a case is opened."""

    case: Case
    label_set: LabelSet
    labels: tuple[Label, ...]
    revision: int
    before: tuple[Recent, ...]
    unwanted: frozenset[int]


class LabelDesk(QObject):
    """Gestures apply in memory at once and are committed in order by the store's thread.

    Signals carry nothing; read `board`, `case`, `history`.
    """

    opened = Signal()
    changed = Signal()
    """Labels have changed."""
    saved = Signal()
    """The store has caught up, or fallen behind: see `unsaved`."""
    failed = Signal(str)
    others = Signal()
    """Other raters have labelled the case meanwhile: see `changed_by`."""

    def __init__(self, store: StoreThread, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.store = store
        self.case: Case | None = None
        self.board: Board | None = None
        self.label_set: LabelSet | None = None
        self.rater = ""
        self.changed_by: frozenset[str] = frozenset()
        self.history: deque[Gesture] = deque(maxlen=HISTORY)
        self.unwanted: frozenset[int] = frozenset()
        """Frames whose proposals had been taken back when the case was opened."""
        self.made: list[tuple[str, int]] = []
        """Gestures of the hand since the case was opened, last at the end: name and frame."""
        self.unmade: list[tuple[str, int]] = []
        """Those of them that were taken back, last at the end."""
        self._dirty: dict[str, set[int]] = {}
        """Frames that have changed, by who asks; who is not there has to look at all of them."""
        self._info: SourceInfo | None = None
        self._asked = 0
        self._revision = 0
        self.trouble: Exception | None = None
        """Why the last work on the store failed."""
        self._looking = False
        self._apart = SetApart()
        store.settled.connect(self._settled)
        self._timer = QTimer(self)
        self._timer.setInterval(LOOK_MS)
        self._timer.timeout.connect(self.look)

    @property
    def unsaved(self) -> int:
        """Work the store has not done yet."""
        return self.store.waiting

    @property
    def info(self) -> SourceInfo | None:
        """The clip whose labels these are."""
        return self._info

    # --- the case ----------------------------------------------------------------------------------------------

    def open(
        self, info: SourceInfo, label_set: LabelSet, rater: str, *, change_set: bool = False, author: str = ""
    ) -> None:
        """Open the labels of a clip, making it a case where it is none yet.

        Parameters
        ----------
        label_set : LabelSet
            Of a new case; one that is there keeps its own.
        change_set : bool
            A case that is there takes this label set.
        author : str
            Whose hand draws, where that is not the rater.
        """
        self.close()
        self._info, self.label_set, self.rater = info, label_set, rater
        self._asked += 1
        asked = self._asked

        def load(store: AnnotationStore) -> _Loaded:
            case, used = store.find_case(info.stream, info.uri), label_set
            if case is None or case.frame_count != info.frame_count:
                case = store.add_case(case_of_source(info, label_set.id))
            elif not change_set:
                used = find_label_set(case.label_set) or label_set
            if case.label_set != used.id or case.uri != info.uri:
                case = store.update_case(replace(case, label_set=used.id, uri=info.uri))
            revision = store.revision(case.id)
            before = recent_gestures(store, case.id, rater, HISTORY)
            unwanted = proposals_taken_back(store, case.id, rater)
            with reading_many():
                return _Loaded(case, used, store.labels(case.id, rater=rater), revision, before, unwanted)

        def show(found: _Loaded) -> None:
            if asked != self._asked:
                return
            self.case, self.label_set, self._revision = found.case, found.label_set, found.revision
            self.history, self.unwanted = deque(map(_gesture, found.before), maxlen=HISTORY), found.unwanted
            labels = found.labels
            self.trouble = None
            self.board = Board(self.case.id, rater, labels, author=author)
            self._apart.take(len(labels))
            self._dirty = {}
            self._timer.start()
            self.opened.emit()
            self.changed.emit()

        self.store.ask(load, show, self._not_done)

    def close(self) -> None:
        """Forget the case; what was done is with the store."""
        self._asked += 1
        self._timer.stop()
        self.case = self.board = self._info = None
        self._apart.give_back()
        self.history.clear()
        self.made, self.unmade = [], []
        self._dirty = {}
        self.changed.emit()

    def take_dirty(self, who: str) -> set[int] | None:
        """Take the frames whose labels have changed since somebody asked last; None means that all may have."""
        dirty, self._dirty[who] = self._dirty.get(who), set()
        return dirty

    def key_of(self, index: int, frame: Frame | None = None) -> FrameKey:
        """Return the key of a frame; with its hash where the frame itself is at hand."""
        assert self._info is not None
        if frame is not None and frame.key.index == index:
            return frame.hashed_key()
        known = self.board.on_frame(index) if self.board is not None else ()
        if known:
            return known[0].key
        times = self._info.times_ns
        pts_ns = int(times[index]) if times is not None and index < len(times) else index * self._info.interval_ns
        return FrameKey(self._info.stream, index, pts_ns)

    # --- gestures ----------------------------------------------------------------------------------------------

    def do(self, command: Command | None, *, told: bool = True) -> bool:
        """Make a gesture: at once in memory, in order in the store. False where there was nothing to do.

        Parameters
        ----------
        told : bool
            It stands in the history.
        """
        if command is None or self.board is None or command.case_id != self.board.case_id:
            return False
        self.board.apply(command)
        if told:
            frames = command.frames
            self.history.appendleft(Gesture(command.title, frames[0], frames[-1], time.monotonic()))
        if not command.automatic:
            frame = command.frame if command.frame is not None else command.frames[0]
            self.made.append((command.uid, frame))
            self.unmade = [entry for entry in self.unmade if entry[1] != frame]
        case_id, uid = command.case_id, command.uid
        self.store.ask(
            lambda store: store.apply(command), lambda a: self._applied(case_id, a), lambda e: self._refused(uid, e)
        )
        self._touch(command.frames)
        return True

    def undo(self, frame: int, then: Stepped = None, nothing: Callable[[], None] | None = None) -> None:
        """Take back the last gesture that touches a frame, then do more. Nobody is taken to another frame.

        Parameters
        ----------
        nothing : callable
            Called where there was nothing to take back.
        """
        self._step(frame, then, nothing, undo=True)

    def redo(self, frame: int, then: Stepped = None, nothing: Callable[[], None] | None = None) -> None:
        """Make again what was taken back last on a frame."""
        self._step(frame, then, nothing, undo=False)

    def reload(self) -> None:
        """Read the labels anew: what the window shows and what the store holds had parted."""
        if self._info is not None and self.label_set is not None:
            made, unmade = self.made, self.unmade
            author = self.board.author if self.board is not None else ""
            self.open(self._info, self.label_set, self.rater, author=author)
            self.made, self.unmade = made, unmade

    def _step(self, frame: int, then: Stepped, nothing: Callable[[], None] | None, *, undo: bool) -> None:
        if self.board is None:
            return
        case_id, rater = self.board.case_id, self.board.rater

        def step(store: AnnotationStore) -> Applied | None:
            return store.undo(case_id, rater, frame) if undo else store.redo(case_id, rater, frame)

        def show(applied: Applied | None) -> None:
            if self.board is None or self.board.case_id != case_id:
                return
            if applied is None:
                if nothing is not None:
                    nothing()
                return
            self.board.apply(applied.changes)
            self._move(applied.target_uid, undo=undo)
            frames = sorted(c.slot.index for c in applied.changes)
            self.history.appendleft(Gesture(applied.title, frames[0], frames[-1], time.monotonic(), taken_back=undo))
            self._touch(frames)
            if then is not None:
                then(applied.changes)

        self.store.ask(step, show, self._not_done)

    def _move(self, uid: str, *, undo: bool) -> None:
        """A gesture of the hand was taken back, or made again."""
        source, target = (self.made, self.unmade) if undo else (self.unmade, self.made)
        for entry in [entry for entry in source if entry[0] == uid]:
            source.remove(entry)
            target.append(entry)

    def look(self) -> None:
        """Take over what this rater has changed elsewhere: in another window, or on another machine of the lab."""
        board, revision = self.board, self._revision
        if board is None or self._looking:
            return
        self._looking = True

        def see(store: AnnotationStore) -> Update | None:
            return store.changes_since(board.case_id, revision) if store.revision(board.case_id) != revision else None

        def show(update: Update | None) -> None:
            self._looking = False
            # A gesture under way is newer than what was read; the next look sees both.
            if update is None or self.board is not board or self.store.waiting:
                return
            self._revision = update.revision
            changed = [(slot, label) for rater, slot, label in update.changed if rater == board.rater]
            changed = [(slot, label) for slot, label in changed if board.get(slot) != label]
            for slot, label in changed:
                board.set(slot, label)
            others = frozenset(rater for rater, _slot, _label in update.changed if rater != board.rater)
            if others:
                self.changed_by = others
                self.others.emit()
            if changed:
                self._touch(slot.index for slot, _label in changed)

        def failed(_error: Exception) -> None:
            self._looking = False

        self.store.ask(see, show, failed, quiet=True)

    def _applied(self, case_id: str, applied: Applied) -> None:
        self.trouble = None
        if applied.passed_over and self.board is not None and self.board.case_id == case_id:
            self.reload()  # somebody confirmed meanwhile what a proposal stands over here

    def _refused(self, uid: str, error: Exception) -> None:
        self._strike({uid})
        self._not_done(error)
        if isinstance(error, LabelConflict):
            self.reload()

    def _settled(self) -> None:
        standing = self.store.standing
        if standing is not None and standing.refused_uids:
            self._strike(standing.refused_uids)  # the lab's server has looked at them only now
        self.saved.emit()

    def _strike(self, uids: Container[str]) -> None:
        """The store does not have these gestures, so they cannot be taken back: undo is not to lead there."""
        self.made = [entry for entry in self.made if entry[0] not in uids]
        self.unmade = [entry for entry in self.unmade if entry[0] not in uids]

    def _not_done(self, error: Exception) -> None:
        if not isinstance(error, UserError):
            log.error("the store failed", exc_info=error)
        self.trouble = error
        self.failed.emit(str(error))

    def _touch(self, frames: Iterable[int]) -> None:
        frames = list(frames)
        for dirty in self._dirty.values():
            dirty.update(frames)
        self.changed.emit()


def _gesture(before: Recent) -> Gesture:
    """A line of the history for what an earlier start of the program may have done."""
    made = datetime.fromisoformat(before.made_utc)
    age_s = max(0.0, (datetime.now(UTC) - made).total_seconds())
    return Gesture(before.title, before.first, before.last, time.monotonic() - age_s, before.taken_back)


def joined(title: str, commands: Iterable[Command | None], frame: int | None = None) -> Command | None:
    """Return one gesture of several that touch different slots; None where none does anything."""
    real = [c for c in commands if c is not None]
    if not real:
        return None
    changes: list[Change] = []
    taken = set()
    for command in real:
        for change in command.changes:
            if change.slot not in taken:
                taken.add(change.slot)
                changes.append(change)
    first = real[0]
    return replace(first, title=title, changes=tuple(changes), frame=first.frame if frame is None else frame)
