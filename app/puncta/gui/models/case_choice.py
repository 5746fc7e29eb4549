"""Which cases of some data a training learns from and is judged by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QPushButton, QVBoxLayout, QWidget

from puncta.gui.dialogs.settings import WrappingCheck
from puncta.gui.i18n import tr
from puncta.gui.models.page_parts import empty

if TYPE_CHECKING:
    from puncta.session.retrain import LabelledCase, TrainingData


class CaseChoice(QWidget):
    """A button that opens a list of cases to be ticked; all are, at first.

    Parameters
    ----------
    take : callable
        Takes the data with the cases that are ticked.
    """

    def __init__(self, take: Callable[[TrainingData], None], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._take = take
        self._data: TrainingData | None = None
        self._left_out: set[str] = set()
        self.checks: dict[str, WrappingCheck] = {}
        self.open = QPushButton(tr("Choose cases"))
        self.open.setProperty("slim", "true")
        self.open.setCheckable(True)
        self.open.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self._list = QWidget()
        self._list.hide()
        self._rows = QVBoxLayout(self._list)
        self._rows.setContentsMargins(8, 2, 0, 4)
        self._rows.setSpacing(0)
        self.open.toggled.connect(self._list.setVisible)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 2, 0, 0)
        column.setSpacing(2)
        column.addWidget(self.open, 0, Qt.AlignmentFlag.AlignLeft)
        column.addWidget(self._list)

    def show_cases(self, data: TrainingData, plugin: str) -> None:
        """Offer the cases of other data that a plugin can learn from."""
        self._data, self._left_out, self.checks = data, set(), {}
        empty(self._rows)
        cases = [case for case in data.cases if case.frames.get(plugin, 0)]
        for case in cases:
            words = tr("{title}, {subject}: {count} frames").format(
                title=case.title, subject=case.subject or tr("subject not stated"), count=case.frames[plugin]
            )
            self.checks[case.id] = WrappingCheck(words, True, partial(self._tick, case))
            self._rows.addWidget(self.checks[case.id])
        self.open.setChecked(False)
        self.setVisible(len(cases) > 1)

    def _tick(self, case: LabelledCase, on: bool) -> None:
        if self._data is None:
            return
        (self._left_out.discard if on else self._left_out.add)(case.id)
        kept = tuple(c for c in self._data.cases if c.id not in self._left_out)
        self._take(replace(self._data, cases=kept))
