"""Who teaches, who sets the thresholds, who judges: shares as one bar, names and frames in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QVBoxLayout, QWidget

from puncta.gui.i18n import tr
from puncta.gui.models.page_parts import Facts, Notes, wrapped
from puncta.gui.models.said import told
from puncta.gui.models.words import list_words
from puncta.gui.theme import Theme

if TYPE_CHECKING:
    from puncta.session.retrain import SplitPlan

SIDES = ("train", "tune", "test")
SIDE_WORDS = {"train": "Learns from", "tune": "Sets thresholds by", "test": "Held out, to judge"}
NOT_STATED = "subject not stated"
"""What stands for the person of cases that name none."""
MOST_NAMES = 6
SIDE_TOKENS = {"train": "accent", "tune": "caution", "test": "good"}


def name_words(name: str) -> str:
    """Name a person of a split."""
    return tr(NOT_STATED) if name == NOT_STATED else name


class _Shares(QWidget):
    """Three pieces of one bar, each with a pattern of its own."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._theme = theme
        self._frames: dict[str, int] = {}
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        self.updateGeometry()

    def sizeHint(self) -> QSize:
        return QSize(self._theme.font_px(200), self._theme.font_px(14))

    def show_frames(self, frames: dict[str, int]) -> None:
        self._frames = frames
        self.setAccessibleName("; ".join(f"{tr(SIDE_WORDS[s])}: {frames.get(s, 0)}" for s in SIDES))
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        total = sum(self._frames.get(side, 0) for side in SIDES)
        if not total:
            return
        left, gap = 0.0, 3.0
        there = [side for side in SIDES if self._frames.get(side, 0)]
        room = self.width() - gap * (len(there) - 1)
        for side in there:
            width = room * self._frames[side] / total
            box = QRectF(left, 1, max(3.0, width), self.height() - 2)
            colour = self._theme.colour(SIDE_TOKENS[side])
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(colour if side == "train" else self._theme.colour(SIDE_TOKENS[side], 0.28))
            painter.drawRoundedRect(box, 3, 3)
            if side != "train":
                painter.save()
                painter.setClipRect(box)
                painter.setPen(QPen(colour, 1.4))
                step, lean = (5.0, box.height()) if side == "tune" else (4.0, 0.0)
                x = box.left()
                while x < box.right() + lean:
                    painter.drawLine(QPointF(x, box.bottom()), QPointF(x - lean if lean else x, box.top()))
                    x += step
                painter.restore()
            left += width + gap


class SplitBar(QWidget):
    """A split by subject."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._shares = _Shares(theme)
        self.facts = Facts()
        self.warning = wrapped("", "safety")
        self.hidden = wrapped("", "quiet")
        self.notes = Notes(theme)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addWidget(self._shares)
        column.addWidget(self.facts)
        column.addWidget(self.hidden)
        column.addWidget(self.notes)
        column.addWidget(self.warning)
        self.show_split(None)

    def show_notes(self, notes: Sequence[str]) -> None:
        """Say something else about the split."""
        self.notes.show_notes(notes)

    def show_split(
        self, split: SplitPlan | None, problem: str = "", *, at_most: bool = False, notes: Sequence[str] = ()
    ) -> None:
        """Show a split, or say why there is none; its frames may become fewer where they are ``at_most`` so many."""
        there = split is not None
        self._shares.setVisible(there)
        self.facts.setVisible(there)
        self.show_notes(notes if there else ())
        self.hidden.setText(_hidden_words(split))
        self.hidden.setVisible(bool(self.hidden.text()))
        if split is None:
            self.warning.setText(told(problem))
            self.warning.setVisible(bool(problem))
            return
        self._shares.show_frames(dict(split.frames))
        facts, whole = [], {}
        for side in SIDES:
            names, frames = [name_words(name) for name in split.names[side]], _frame_words(split, side, at_most)
            words = f"{list_words(names, MOST_NAMES)}  ·  {frames}" if names else tr("nobody")
            facts.append((tr(SIDE_WORDS[side]), words))
            if len(names) > MOST_NAMES:
                whole[tr(SIDE_WORDS[side])] = f"{', '.join(names)}  ·  {frames}"
        self.facts.show_facts(facts, whole)
        self.warning.setText(told(split.warning))
        self.warning.setVisible(bool(split.warning))


def _frame_words(split: SplitPlan, side: str, at_most: bool) -> str:
    """Count the frames of a side, and those among them that say nothing."""
    words = tr("up to {count} frames") if at_most else tr("{count} frames")
    hidden, drawn = split.hidden.get(side, 0), split.drawn if side == "test" else 0
    if hidden:
        words = tr("{count} frames, on {hidden} of them the tip is hidden")
    if drawn:
        words = tr("{count} frames, and {drawn} with a drawn needle")
    return words.format(count=split.frames.get(side, 0), hidden=hidden, drawn=drawn)


def _hidden_words(split: SplitPlan | None) -> str:
    """Say why fewer frames teach and are judged than are labelled; "" where all are."""
    if split is None or not any(split.hidden.values()):
        return ""
    return tr("A hidden tip lies in a shadow or out of the plane: it has no place, and \"no tip\" would be wrong. Such "
              "frames teach nothing and are not judged; held out ones whose shaft is labelled are judged by that and "
              "not counted here.")
