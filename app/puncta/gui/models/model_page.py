"""A calm page about one model: what it is, what it has learnt from, its figures, when it was put in use, its card."""

from __future__ import annotations

import re
from collections.abc import Sequence

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import (
    QPalette,
    QTextBlockFormat,
    QTextCursor,
    QTextFrameFormat,
    QTextLength,
    QTextTable,
    QWheelEvent,
)
from PySide6.QtWidgets import QGridLayout, QPushButton, QSizePolicy, QTextBrowser, QWidget

from puncta.gui.i18n import tr
from puncta.gui.models.card_words import learnt_words
from puncta.gui.models.comparison_view import Beside, ComparisonView
from puncta.gui.models.left_panel import name_of
from puncta.gui.models.made_words import short_data, short_recipe, spells_of, told_once
from puncta.gui.models.page_parts import Card, Facts, Page, Title, empty, heading, wrapped
from puncta.gui.models.shelf import Family, Shelf
from puncta.gui.models.words import ORIGIN_WORDS, figure_table, moment_words, plain_figures
from puncta.gui.panels.parts import text_label
from puncta.gui.theme import Theme
from puncta.inference.registry import ModelCard


class CardText(QTextBrowser):
    """A model's card, as tall as its text, so that the page alone scrolls."""

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName(tr("Model card"))
        self.setOpenLinks(False)
        self.setFrameShape(QTextBrowser.Shape.NoFrame)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.viewport().setAutoFillBackground(False)
        self.document().setDocumentMargin(0)
        self.markdown = ""
        self._grow = QTimer(self)
        self._grow.setSingleShot(True)
        self._grow.timeout.connect(self._fit)
        self.document().documentLayout().documentSizeChanged.connect(lambda _size: self._grow.start(0))

    def set_theme(self, theme: Theme) -> None:
        """Take over another theme."""
        palette = self.palette()
        palette.setColor(QPalette.ColorRole.Text, theme.colour("text1"))
        palette.setColor(QPalette.ColorRole.Base, theme.colour("ground"))
        self.setPalette(palette)
        self.setFont(theme.font(13))
        self.document().setDefaultFont(theme.font(13))
        self._line = theme.colour("line")
        if self.markdown:
            self.show_card(self.markdown)

    def show_card(self, markdown: str) -> None:
        """Show a card without its first heading, which the page says, and without its pictures."""
        self.markdown = markdown
        text = re.sub(r"\A\s*#[^\n]*\n", "", markdown)
        self.setMarkdown(re.sub(r"!\[[^\]]*\]\([^)]*\)", "", text))
        block = self.document().begin()
        while block.isValid():
            cursor = QTextCursor(block)
            if cursor.currentTable() is None:
                space = QTextBlockFormat()
                space.setBottomMargin(self.fontMetrics().height() * 0.5)
                cursor.mergeBlockFormat(space)
            block = block.next()
        for frame in self.document().rootFrame().childFrames():
            if isinstance(frame, QTextTable):
                first = (frame.cellAt(0, column) for column in range(frame.columns()))
                if frame.rows() > 1 and all(cell.firstCursorPosition().block().text() == "" for cell in first):
                    frame.removeRows(0, 1)
                form = frame.format()
                form.setWidth(QTextLength(QTextLength.Type.PercentageLength, 100))
                form.setCellPadding(5)
                form.setCellSpacing(0)
                form.setBorder(1)
                form.setBorderCollapse(True)
                form.setBorderBrush(self._line)
                form.setBorderStyle(QTextFrameFormat.BorderStyle.BorderStyle_Solid)
                frame.setFormat(form)
        self._fit()

    def wheelEvent(self, event: QWheelEvent) -> None:
        """The page scrolls."""
        event.ignore()

    def _fit(self) -> None:
        self.setFixedHeight(max(1, round(self.document().size().height()) + 4))


class ModelPage(Page):
    """What is known of one model."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(theme, tr("Model"), parent)
        self.card: ModelCard | None = None
        self.title = Title(theme)
        self.problems = wrapped("", "safety")
        self.facts = Facts()
        self.note = wrapped("", "quiet")
        self._figures = Card()
        self._grid = QGridLayout()
        self._grid.setHorizontalSpacing(22)
        self._grid.setVerticalSpacing(5)
        self._grid.setColumnStretch(0, 2)
        for column in (1, 2, 3, 4, 5):
            self._grid.setColumnStretch(column, 1)
        self._figures.column.addLayout(self._grid)
        self.more = QPushButton(tr("All figures"))
        self.more.setProperty("slim", "true")
        self.more.setCheckable(True)
        self.more.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.all = Facts()
        self.more.toggled.connect(self.all.setVisible)
        self.long = QPushButton(tr("How it was made, in full"))
        self.long.setProperty("slim", "true")
        self.long.setCheckable(True)
        self.long.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.in_full = Facts()
        self.long.toggled.connect(self.in_full.setVisible)
        self.history_of = wrapped("", "quiet")
        self.history = Facts()
        self.never = wrapped("", "quiet")
        self.judged_head = heading(tr("On held out frames"))
        self.judged = ComparisonView(theme)
        self.text = CardText()
        self._card_head = heading(tr("Its card"))
        first: tuple[QWidget, ...] = (self.title, self.problems, heading(tr("What it is")), self.facts)
        above: tuple[QWidget, ...] = (
            self.judged_head, self.judged, heading(tr("Figures")), self.note, self._figures,
        )
        below: tuple[QWidget, ...] = (
            self.all, heading(tr("What was in use, and when")), self.history_of, self.history, self.never,
            self._card_head, self.text,
        )
        for part in first:
            self.column.addWidget(part)
        self.column.addWidget(self.long, 0, Qt.AlignmentFlag.AlignLeft)
        for part in (self.in_full, *above):
            self.column.addWidget(part)
        self.column.addWidget(self.more, 0, Qt.AlignmentFlag.AlignLeft)
        for part in below:
            self.column.addWidget(part)
        self.column.addStretch(1)
        for part in (self.all, self.in_full, self.history, self.judged_head, self.judged):
            part.hide()
        self.text.set_theme(theme)

    def set_theme(self, theme: Theme) -> None:
        """Draw the figures again."""
        super().set_theme(theme)
        card = getattr(self, "card", None)  # the base asks before there is one
        if card is not None:
            self._show_figures(card)

    def show_model(self, shelf: Shelf, card: ModelCard, text: str, goes_on: str = "") -> None:
        """Show a model of the shelf, with the words of its card.

        Parameters
        ----------
        goes_on : str
            Why the plugin goes on with another model than the one in use; empty where it does not.
        """
        other = self.card is None or self.card.identity != card.identity
        self.card = card
        family = shelf.family(card.plugin)
        title = tr(family.title) if family is not None else card.plugin
        used = shelf.is_in_use(card)
        chips = [(tr("In use"), "good", "circle") if used else (tr("Not in use"), "neutral", "ring")]
        if card.simulated:
            chips.append((tr("Learnt from simulated needles"), "accent", "square"))
        second = name_of(card) if card.identity in name_of(card) else f"{name_of(card)}  ·  {card.identity}"
        self.title.show_title(title, second, chips)
        self.problems.setText("\n".join((*shelf.problems, *([goes_on] if goes_on else ()))))
        self.problems.setVisible(bool(self.problems.text()))
        facts = [(tr("Where it comes from"), tr(ORIGIN_WORDS[card.origin]))]
        spells = spells_of(family.history, card) if family is not None else ()
        if spells:
            facts.append((tr("Put in use") if used else tr("Was in use"), "\n".join(spells)))
        learnt, made = tr("Learnt from"), tr("Made by")
        in_full, text = told_once(card, text)
        short = {learnt: short_data(card.training_data), made: short_recipe(card.recipe) or tr("not stated")}
        whole = {learnt: learnt_words(in_full[0]), made: in_full[1] or tr("not stated")}
        facts += [*short.items(), (tr("Licence"), card.licence)]
        self.facts.show_facts(facts, {name: words for name, words in whole.items() if words != short[name]})
        self.in_full.show_facts(whole.items())
        self.long.setVisible(whole != short)
        self.in_full.setVisible(whole != short and self.long.isChecked())
        self._show_figures(card)
        entries = family.history[::-1] if family is not None else ()
        words = tr("For {plugin}, the newest first; each was in use until the one above it.")
        self.history_of.setText(words.format(plugin=title))
        self.history_of.setVisible(bool(entries))
        self.history.show_facts([(moment_words(p.at_utc), p.model) for p in entries])
        self.never.setText(_standard_words(family, title))
        self.never.setVisible(not entries)
        self._card_head.setVisible(bool(text))
        self.text.setVisible(bool(text))
        if text and (other or text != self.text.markdown):
            self.text.show_card(text)
        if other:
            self.show_judged(())
            self.bring_up()

    def show_judged(self, besides: Sequence[Beside]) -> None:
        """Show what its comparisons with other models have said, which are kept with it."""
        for part in (self.judged_head, self.judged):
            part.setVisible(bool(besides))
        if besides:
            self.judged.show_besides(besides)

    def _show_figures(self, card: ModelCard) -> None:
        simulated = tr("All of them are simulated: measured on simulated or drawn needles, none on a patient.")
        real = tr("Measured on frames that were labelled here.")
        none = tr("The card states no figure.")
        self.note.setText((simulated if card.simulated else real) if card.metrics else none)
        table = figure_table(card.metrics)
        empty(self._grid)
        for column, title in enumerate(table.sets, 1):
            head = wrapped(title, "small")
            head.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignBottom)
            self._grid.addWidget(head, 0, column)
        for row, (title, values) in enumerate(table.rows, 1):
            self._grid.addWidget(wrapped(title, "quiet"), row, 0)
            for column, (value, of) in enumerate(zip(values, table.sets, strict=True), 1):
                label = text_label(value)
                label.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                label.setAccessibleName(f"{title}, {of}: {value}" if value else "")
                self._grid.addWidget(label, row, column)
        self._figures.setVisible(bool(table.rows))
        self.all.show_facts(plain_figures(card.metrics))
        self.all.setVisible(self.more.isChecked())
        self.more.setVisible(bool(card.metrics))


def _standard_words(family: Family | None, plugin: str) -> str:
    """Say what is at work while no choice of a model counts; one may have been made and taken back."""
    if family is None or family.in_use is None:
        return tr("No choice of a model counts now, and the plugin has none that it could use.")
    words = {
        "shipped": tr("{plugin} uses the model that comes with Puncta: no other one is put in use."),
        "plugin": tr("{plugin} uses the model that its plugin brings: no other one is put in use."),
        "user": tr("The plugin brings no model, so the newest one made or installed here is at work."),
    }
    return words[family.in_use.origin].format(plugin=plugin)
