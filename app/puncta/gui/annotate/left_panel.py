"""At the left of Annotate: what to review, what can be labelled and by which key, and the case's sheet."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from PySide6.QtCore import Qt
from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import QComboBox, QFrame, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from puncta.formats.label_sets import LabelSet
from puncta.gui.annotate.review_queue import Doubt
from puncta.gui.annotate.said import told
from puncta.gui.annotate.things import NOT_VISIBLE_DIGIT, WAY_WORDS, Shape, Thing
from puncta.gui.i18n import tr
from puncta.gui.panels.parts import ElidedLabel, set_property, text_label
from puncta.gui.theme import Theme

QUEUE_SHOWN = 5


class PanelRow(QFrame):
    """A line that can be clicked: key, words, figure. With ``words_stay`` a long figure gives way, not the words."""

    def __init__(self, act: Callable[[], None], key: str = "", *, words_stay: bool = False) -> None:
        super().__init__()
        self.setObjectName("sourceRow")
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self._act = act
        row = QHBoxLayout(self)
        row.setContentsMargins(7, 3, 7, 3)
        row.setSpacing(8)
        self.key = text_label(key, "key")
        if not key:
            self.key.hide()
        self.words: QLabel = text_label() if words_stay else ElidedLabel("")
        self.figure: QLabel = ElidedLabel("", role="small") if words_stay else text_label(role="small")
        row.addWidget(self.key)
        row.addWidget(self.words, 0 if words_stay else 1)
        row.addWidget(self.figure, 1 if words_stay else 0)

    def show_words(self, words: str, figure: str, *, current: bool = False) -> None:
        """Show what the line says."""
        for label, text in ((self.words, words), (self.figure, figure)):
            if isinstance(label, ElidedLabel):
                label.set_full(text)
            else:
                label.setText(text)
        self.setAccessibleName(f"{words} {figure}".strip())
        set_property(self, "current", "true" if current else "false")

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Do it."""
        if event.button() is Qt.MouseButton.LeftButton and self.rect().contains(event.position().toPoint()):
            self._act()


def panel_head(words: str) -> QLabel:
    """Return a heading of the left side."""
    label = text_label(words.upper(), "head")
    label.setAccessibleName(words)
    label.setContentsMargins(0, 0, 0, 3)
    label.setWordWrap(True)
    return label


class AnnotatePanel(QWidget):
    """Queue, categories, flags, phases, label set.

    Parameters
    ----------
    go : callable
        Takes a frame's number.
    choose : callable
        Takes a digit.
    phase : callable
        Takes a phase's name.
    choose_set : callable
        Takes a label set's id.
    """

    def __init__(
        self,
        theme: Theme,
        go: Callable[[int], None],
        choose: Callable[[str], None],
        phase: Callable[[str], None],
        choose_set: Callable[[str], None],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._theme, self._go, self._choose, self._phase = theme, go, choose, phase
        self._shown: list[int] = []
        self._shut = False
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(3)
        self._queue_head = panel_head(tr("To review first"))
        column.addWidget(self._queue_head)
        self.queue = [PanelRow(partial(self._open, n), words_stay=True) for n in range(QUEUE_SHOWN)]
        for row in self.queue:
            column.addWidget(row)
        self.more = text_label(role="small")
        self.more.setContentsMargins(8, 0, 0, 0)
        column.addWidget(self.more)
        self.makers = text_label(role="small")
        self.makers.setContentsMargins(8, 0, 0, 0)
        self.makers.setWordWrap(True)
        self.makers.hide()
        column.addWidget(self.makers)
        column.addSpacing(14)
        self._things_head = panel_head(tr("Labels"))
        column.addWidget(self._things_head)
        self._things_box = QVBoxLayout()
        self._things_box.setSpacing(2)
        column.addLayout(self._things_box)
        column.addSpacing(14)
        self._set_head = panel_head(tr("Label set"))
        column.addWidget(self._set_head)
        self.sets = QComboBox()
        self.sets.setAccessibleName(tr("Label set"))
        self.sets.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.sets.activated.connect(lambda i: choose_set(self.sets.itemData(i)))
        column.addWidget(self.sets)
        self.sheet = QPushButton(tr("Protocol sheet"))
        self.sheet.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.sheet.setProperty("slim", "true")
        self.sheet.hide()
        column.addWidget(self.sheet)
        self.adjudicate = QPushButton(tr("Make one of two readings"))
        self.adjudicate.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.adjudicate.setProperty("slim", "true")
        self.adjudicate.hide()
        column.addSpacing(8)
        column.addWidget(self.adjudicate)
        self.rows: dict[str, PanelRow] = {}
        self.phase_rows: dict[str, PanelRow] = {}
        self.show_queue((), 0)

    def set_shut(self, shut: bool) -> None:
        """Nothing can be labelled, or it can."""
        self._shut = shut
        empty = shut and not self.rows
        for part in (self._queue_head, self._things_head, self._set_head, self.sets):
            part.setVisible(not empty)
        self.more.setVisible(not empty and bool(self.more.text()))
        for head in (self.sets, self.sheet, self.adjudicate, *self.rows.values(), *self.phase_rows.values()):
            head.setEnabled(not shut)

    def add_first(self, part: QWidget) -> None:
        """Put a part above the queue."""
        column = self.layout()
        assert isinstance(column, QVBoxLayout)
        column.insertWidget(0, part)

    def set_theme(self, theme: Theme) -> None:
        """Take over another theme."""
        self._theme = theme

    def show_sets(self, sets: Sequence[tuple[str, str]], current: str) -> None:
        """Offer label sets: (id, title)."""
        if [self.sets.itemData(i) for i in range(self.sets.count())] != [name for name, _title in sets]:
            self.sets.clear()
            for name, title in sets:
                self.sets.addItem(tr(title), name)
        self.sets.setCurrentIndex(max(0, self.sets.findData(current)))

    def show_label_set(self, label_set: LabelSet | None, things: Sequence[Thing]) -> None:
        """Show what can be labelled."""
        while (item := self._things_box.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.deleteLater()
        self.rows, self.phase_rows = {}, {}
        for thing in (t for t in things if not t.is_flag):
            self._add_row(thing.name, thing.digit, thing.meaning)
        if any(not t.is_flag for t in things):
            self._add_row("", NOT_VISIBLE_DIGIT, tr("The thing in hand cannot be pointed at on this frame."))
        flags = [t for t in things if t.is_flag]
        if flags:
            self._things_box.addSpacing(12)
            self._things_box.addWidget(panel_head(tr("Hold while playing")))
        for thing in flags:
            self._add_row(thing.name, thing.digit, thing.meaning)
        phases = label_set.phases if label_set is not None else ()
        if phases:
            self._things_box.addSpacing(12)
            self._things_box.addWidget(panel_head(tr("Phase from here on")))
        for phase in phases:
            row = PanelRow(partial(self._phase, phase.name))
            row.setToolTip(tr(phase.meaning))
            row.show_words(tr(phase.title), "")
            self._things_box.addWidget(row)
            self.phase_rows[phase.name] = row
        self.sheet.setVisible(bool(label_set is not None and label_set.protocol))
        self.set_shut(self._shut)

    def _add_row(self, name: str, digit: str, meaning: str) -> None:
        row = PanelRow(lambda: self._choose(digit), digit)
        row.setToolTip(tr(meaning))
        self._things_box.addWidget(row)
        self.rows[name] = row

    def show_things(
        self,
        things: Sequence[Thing],
        counts: Mapping[str, int],
        in_hand: Thing | None,
        shape: Shape | None,
        states: Mapping[str, str],
        phase: str,
    ) -> None:
        """Show how far the labels are, what is in hand, and what the flags say on the frame on the screen."""
        for thing in things:
            row = self.rows.get(thing.name)
            if row is None:
                continue
            current = thing is in_hand
            title = tr(thing.title)
            if current and shape is not None and len(thing.ways) > 1:
                title = f"{title}, {tr(WAY_WORDS[shape])}"
            figure = states.get(thing.name, "") if thing.is_flag else str(counts.get(thing.name, 0))
            row.show_words(title, figure, current=current)
        if "" in self.rows:
            self.rows[""].show_words(tr("Not visible"), str(counts.get("", 0)))
        for name, row in self.phase_rows.items():
            row.show_words(row.accessibleName(), "", current=name == phase)

    def show_queue(self, queue: Sequence[Doubt], current: int, *, named: bool = True) -> None:
        """Show the head of the queue, and with ``named`` which models it comes from."""
        self._shown = [doubt.index for doubt in queue[:QUEUE_SHOWN]]
        makers = dict.fromkeys(maker for doubt in queue[:QUEUE_SHOWN] for maker in doubt.makers if named)
        self.makers.setText(tr("By {models}").format(models=", ".join(makers)) if makers else "")
        self.makers.setVisible(bool(makers))
        for number, row in enumerate(self.queue):
            there = number < len(self._shown)
            row.setVisible(there)
            if there:
                doubt = queue[number]
                words = tr("Frame {index}").format(index=f"{doubt.index:03d}")
                row.show_words(words, told(doubt.words), current=doubt.index == current)
                row.setToolTip(", ".join(doubt.makers) if named else "")
        rest = len(queue) - len(self._shown)
        self.more.setText(tr("and {count} more").format(count=rest) if rest > 0 else "")
        self.more.setVisible((rest > 0 or not queue) and not self._shut)
        if not queue:
            self.more.setText(tr("Nothing waits for a look."))

    def _open(self, number: int) -> None:
        if number < len(self._shown):
            self._go(self._shown[number])
