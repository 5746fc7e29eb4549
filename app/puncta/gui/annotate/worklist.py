"""The rater's worklist in the window: where this clip stands on it, and the next one at its first open frame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDialog, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from puncta.annotation.assignments import Assignment, Work, assignments, mark
from puncta.annotation.reading import may_propose, readings
from puncta.annotation.store import AnnotationStore
from puncta.core.errors import UserError
from puncta.gui.dialogs.reason import ReasonDialog
from puncta.gui.i18n import tr
from puncta.gui.panels.parts import text_label
from puncta.library.worklist import first_open_frame

if TYPE_CHECKING:
    from puncta.gui.annotate.annotator import Annotator

STATE_WORDS = {
    Work.OPEN: "to do",
    Work.DONE: "done",
    Work.SKIPPED: "skipped",
    Work.QUESTION: "has a question",
}


@dataclass(frozen=True, slots=True)
class Stand:
    """Where the clip stands: its place among the rater's, what is next, and what may be proposed."""

    own: Assignment | None
    place: int
    total: int
    next: tuple[str, int] | None
    before: tuple[str, int] | None
    may_propose: bool
    readings: int = 0
    """People whose labels of the clip may be compared."""


class WorkPanel(QWidget):
    """At the left: which clip of how many, and three ways to be done with it."""

    def __init__(self, settle: Callable[[Work], None], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 12)
        column.setSpacing(6)
        column.addWidget(text_label(tr("Worklist").upper(), "head"))
        self.words = text_label(role="quiet")
        self.words.setWordWrap(True)
        column.addWidget(self.words)
        row = QHBoxLayout()
        row.setSpacing(6)
        self.buttons: dict[Work, QPushButton] = {}
        for state, words in ((Work.DONE, tr("Done")), (Work.SKIPPED, tr("Skip")), (Work.QUESTION, tr("Question"))):
            button = QPushButton(words)
            button.setProperty("slim", "true")
            button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            button.setAccessibleName(words)
            button.clicked.connect(lambda _checked=False, state=state: settle(state))
            self.buttons[state] = button
            row.addWidget(button)
        row.addStretch(1)
        column.addLayout(row)
        self.hide()

    def show_stand(self, stand: Stand | None) -> None:
        """Show where the clip stands; nothing for a clip that is on no list."""
        own = stand.own if stand is not None else None
        self.setVisible(own is not None)
        if stand is None or own is None:
            return
        words = tr("Clip {place} of {total}, {state}")
        words = words.format(place=stand.place + 1, total=stand.total, state=tr(STATE_WORDS[own.state]))
        if own.hides_others:
            words = f"{words}. {tr('Blind reading: labels of others are hidden.')}"
        if not stand.may_propose:
            words = f"{words} {tr('Models propose nothing here.')}"
        if own.note:
            words = f"{words}\n{own.note}"
        self.words.setText(words)


class Worklist:
    """Asks the store where the open clip stands, and goes to the next."""

    def __init__(self, annotator: Annotator) -> None:
        self._a = annotator
        self.stand: Stand | None = None
        self.panel = WorkPanel(self.settle)

    @property
    def blind(self) -> bool:
        """Whether it is known that models may propose nothing here."""
        return self.stand is not None and not self.stand.may_propose

    def close(self) -> None:
        """Another clip or another reader is coming."""
        self.stand = None
        self.panel.show_stand(None)
        self._a.left.adjudicate.hide()

    def look(self, then: Callable[[], None] = lambda: None) -> None:
        """Ask where the open clip stands."""
        case, rater = self._a.desk.case, self._a.desk.rater
        if case is None:
            return
        case_id = case.id

        def show(stand: Stand) -> None:
            desk = self._a.desk
            if desk.case is not None and (desk.case.id, desk.rater) == (case_id, rater):
                self.stand = stand
                self.panel.show_stand(stand)
                self._a.blind.show(not stand.may_propose)
                self._a.refresh()
                self._a.left.adjudicate.setVisible(stand.readings > 1)
                self._warm(stand.next)
                then()

        self._a.store.ask(lambda store: _stand(store, case_id, rater), show)

    def go(self, way: int) -> None:
        """Open the next clip (1), or the one before (-1), at its first open frame."""
        stand = self.stand
        place = (stand.next if way > 0 else stand.before) if stand is not None else None
        if place is None:
            self._a.say(tr("There is no other clip on the list."))
            return
        self._a.window.open_uri(place[0], start_index=place[1])

    def settle(self, state: Work) -> None:
        """Say how far this clip is; a skip and a question want a word why."""
        if state is Work.DONE:
            self._mark(state, "")
            return
        title = tr("Why is it skipped?") if state is Work.SKIPPED else tr("What is the question?")
        dialog = ReasonDialog(title, self._a.window)

        def done(result: int) -> None:
            if result == QDialog.DialogCode.Accepted and dialog.reason():
                self._mark(state, dialog.reason())

        dialog.finished.connect(done)
        self._a.window.does.show_dialog(dialog, "reason")

    def _mark(self, state: Work, note: str) -> None:
        case, rater = self._a.desk.case, self._a.desk.rater
        if case is None:
            return
        case_id = case.id

        def failed(error: Exception) -> None:
            self._a.say(str(error))

        self._a.store.ask(lambda store: mark(store, case_id, rater, state, note), lambda _a: self.look(), failed)

    def _warm(self, place: tuple[str, int] | None) -> None:
        """Read the frame of the next clip at which the work begins, so that it is there when it is wanted."""
        if place is None:
            return
        opener, (uri, index) = self._a.jobs.opener, place

        def read() -> None:
            source = opener(uri)
            try:
                source.seek(index)
                source.read()
            finally:
                source.close()

        self._a.window.jobs.run(read, None, lambda _error: None)


def _stand(store: AnnotationStore, case_id: str, rater: str) -> Stand:
    work = assignments(store, rater=rater)
    own = next((entry for entry in work if entry.case_id == case_id), None)
    allowed = may_propose(store, case_id, rater)
    try:
        others = len(readings(store, case_id, rater))
    except UserError:
        others = 0  # a blind reading, which must not learn that there are any
    if own is None:
        # On no list: the clips that were labelled here before, in their order.
        ids = [case.id for case in store.cases()]
        at = ids.index(case_id)
        places = _place(store, ids[at + 1 :], rater), _place(store, ids[:at][::-1], rater)
        return Stand(None, at, len(ids), *places, allowed, others)
    at = work.index(own)
    waiting = [e.case_id for e in (*work[at + 1 :], *work[:at]) if e.state is Work.OPEN]
    passed = [e.case_id for e in work[:at][::-1]]
    return Stand(own, at, len(work), _place(store, waiting, rater), _place(store, passed, rater), allowed, others)


def _place(store: AnnotationStore, case_ids: list[str], rater: str) -> tuple[str, int] | None:
    """Where the first of these cases that is still there opens."""
    for case_id in case_ids:
        case = store.case(case_id)
        if case.uri and ("://" in case.uri or not Path(case.uri).is_absolute() or Path(case.uri).exists()):
            return case.uri, first_open_frame(store, case, rater)
    return None
