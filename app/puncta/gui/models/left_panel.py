"""At the left of Models: the models by plugin, which are in use, and the trainings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QPushButton, QScrollArea, QVBoxLayout, QWidget

from puncta.gui.i18n import tr
from puncta.gui.models.page_parts import ListRow, empty, wrapped
from puncta.gui.models.shelf import Shelf
from puncta.gui.models.words import ASKED_WORDS, HELD, ORIGIN_SHORT, STATE_MARKS, STATE_WORDS, UNDER_WAY, time_words
from puncta.gui.panels.parts import text_label
from puncta.gui.theme import Theme
from puncta.inference.registry import ModelCard

if TYPE_CHECKING:
    from puncta.session.retrain import JobStatus

MODEL, TRAINING = "model", "training"


def name_of(card: ModelCard) -> str:
    """Name a model in plain words, to stand below the name of its plugin."""
    if card.id.endswith("-site"):
        return tr("Adapted to this site, {version}").format(version=card.version)
    if card.id.endswith("-own"):
        return tr("Trained here from nothing, {version}").format(version=card.version)
    if card.origin == "user":
        return card.identity
    return tr("Version {version}").format(version=card.version)


def state_words(job: JobStatus, asked: str = "") -> str:
    """State of a training and, while it goes on, how long it still takes; or what it was ``asked`` to do."""
    if asked:
        return tr(ASKED_WORDS[asked])
    words = tr(STATE_WORDS.get(job.state, job.state))
    if job.state == "running" and job.left_s is not None:
        return tr("{state}, {time} left").format(state=words, time=time_words(job.left_s))
    return words


class ModelsPanel(QWidget):
    """Two lists.

    Parameters
    ----------
    choose : callable
        Takes "model" or "training" and an id.
    train : callable
        A new training is wanted.
    """

    def __init__(
        self,
        theme: Theme,
        choose: Callable[[str, str], None],
        train: Callable[[], None],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._theme, self._choose = theme, choose
        self.rows: dict[tuple[str, str], ListRow] = {}
        self._shown_models: tuple[object, ...] | None = None
        self._shown_jobs: tuple[str, ...] | None = None
        self._current = ("", "")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(3)
        column.addWidget(self._head(tr("Models")))
        self._models = QVBoxLayout()
        self._models.setSpacing(2)
        column.addLayout(self._models)
        column.addSpacing(16)
        column.addWidget(self._head(tr("Trainings")))
        self.train = QPushButton(tr("Train a model"))
        self.train.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.train.clicked.connect(lambda: train())
        column.addSpacing(2)
        column.addWidget(self.train)
        self._none = wrapped(
            tr("None yet. A training learns from labels or from recordings without a needle, in a process of its own."),
            "small",
        )
        column.addWidget(self._none)
        self._jobs = QVBoxLayout()
        self._jobs.setSpacing(2)
        column.addLayout(self._jobs)

    @staticmethod
    def _head(words: str) -> QWidget:
        label = text_label(words.upper(), "head")
        label.setAccessibleName(words)
        return label

    def set_theme(self, theme: Theme) -> None:
        """New rows take this theme."""
        self._theme = theme

    def set_keys(self, words: dict[str, str]) -> None:
        """Name the keys in the tool tips."""
        self.train.setToolTip(words.get("model_train", ""))

    def show_models(self, shelf: Shelf) -> None:
        """Show the models; the rows stay where the models are the same ones."""
        identities = tuple((f.plugin, tuple(c.identity for c in f.cards)) for f in shelf.families)
        if identities != self._shown_models:
            self._shown_models = identities
            focus = self._with_focus(MODEL)
            empty(self._models)
            self.rows = {key: row for key, row in self.rows.items() if key[0] != MODEL}
            for family in shelf.families:
                head = wrapped(tr(family.title), "strong")
                head.setContentsMargins(0, 7, 0, 1)
                self._models.addWidget(head)
                for card in family.cards:
                    self._add(self._models, MODEL, card.identity)
            self._give_back(focus)
        for family in shelf.families:
            for card in family.cards:
                origin = tr(ORIGIN_SHORT[card.origin])
                used = shelf.is_in_use(card)
                second = tr("in use, {origin}").format(origin=origin) if used else origin
                mark = ("circle", "good") if used else None
                self.rows[MODEL, card.identity].show_words(name_of(card), second, mark)
        self.mark(*self._current)

    def show_trainings(self, jobs: Sequence[JobStatus], asked: Mapping[str, str] | None = None) -> None:
        """Show the trainings, what goes on first; of some is ``asked`` what has not happened yet."""
        rank = {state: number for number, state in enumerate((*UNDER_WAY[::-1], *HELD))}
        ordered = sorted(jobs, key=lambda job: rank.get(job.state, len(rank)))
        ids = tuple(job.id for job in ordered)
        if ids != self._shown_jobs:
            self._shown_jobs = ids
            focus = self._with_focus(TRAINING)
            empty(self._jobs)
            self.rows = {key: row for key, row in self.rows.items() if key[0] != TRAINING}
            for job in ordered:
                self._add(self._jobs, TRAINING, job.id)
            self._give_back(focus)
        for job in ordered:
            words = state_words(job, (asked or {}).get(job.id, ""))
            self.rows[TRAINING, job.id].show_words(job.name, words, STATE_MARKS.get(job.state))
        self._none.setVisible(not ids)
        self.mark(*self._current)

    def mark(self, kind: str, identity: str) -> None:
        """Mark what the page shows."""
        other = (kind, identity) != self._current
        focus = self._with_focus()
        self._current = (kind, identity)
        for key, row in self.rows.items():
            row.set_current(key == self._current)
        if other and self._current in self.rows:
            self._bring_up(self.rows[self._current])
            if focus is not None:  # a ring on another row than the one that is shown would mislead
                self.focus_current()

    def _bring_up(self, row: ListRow) -> None:
        """Scroll to a row that is out of sight."""
        around = self.parentWidget()
        while around is not None and not isinstance(around, QScrollArea):
            around = around.parentWidget()
        if around is not None:
            around.ensureWidgetVisible(row, 0, row.height() // 2)

    def _with_focus(self, kind: str = "") -> tuple[str, str] | None:
        """The row that has the keys, or will have them when the window comes up again."""
        there = self.window().focusWidget()
        return next((key for key, row in self.rows.items() if row is there and kind in ("", key[0])), None)

    def _give_back(self, focus: tuple[str, str] | None) -> None:
        """Give the keys to the row that had them before the rows were made anew."""
        if focus is not None:
            row = self.rows.get(focus) or self.rows.get(self._current)
            if row is not None:
                row.setFocus()

    def focus_current(self) -> None:
        """Give the keys to the marked row, else to the first."""
        row = self.rows.get(self._current) or next(iter(self.rows.values()), None)
        if row is not None:
            row.setFocus(Qt.FocusReason.OtherFocusReason)

    def _add(self, column: QVBoxLayout, kind: str, identity: str) -> None:
        row = ListRow(self._theme, identity, "", partial(self._choose, kind, identity))
        self.rows[kind, identity] = row
        column.addWidget(row)
        row.show()  # now and not with the next turn of the loop: a row that is hidden takes no focus
