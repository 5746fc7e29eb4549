"""At the top right of Annotate: who labels, how far it is, and whether everything is saved."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtWidgets import QHBoxLayout, QPushButton, QWidget

from puncta.annotation.shared import Standing
from puncta.gui.i18n import tr
from puncta.gui.panels.parts import ChipLabel, text_label
from puncta.gui.theme import Theme


class AnnotateStatus(QWidget):
    """Three calm words."""

    def __init__(self, theme: Theme, rater: Callable[[], None], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(10)
        self._shut = self._wrong = False
        self.rater = QPushButton()
        self.rater.setFocusPolicy(self.rater.focusPolicy().TabFocus)
        self.rater.clicked.connect(lambda: rater())
        self.count = text_label(role="quiet")
        self.show_rater("")
        self.saved = ChipLabel(theme, tr("Everything saved"), "good", "circle")
        row.addWidget(self.rater)
        row.addWidget(self.count)
        row.addWidget(self.saved)

    def set_theme(self, theme: Theme) -> None:
        """Take over another theme."""
        self.saved.set_theme(theme)

    def show_rater(self, rater: str, *, consensus: bool = False) -> None:
        """Name the rater, or who makes the consensus of two."""
        words = tr("Rater {name}").format(name=rater) if rater else tr("Who is labelling?")
        if consensus:
            words = tr("Consensus by {name}").format(name=rater)
        self.rater.setText(words)
        self.rater.setAccessibleName(words)

    def set_shut(self, shut: bool) -> None:
        """Where nothing is open, nothing is saved either; what went wrong is said all the same."""
        self._shut = shut
        self.saved.setVisible(not shut or self._wrong)

    def show_count(self, confirmed: int | None, frames: int) -> None:
        """Show the progress; None: it is not known yet."""
        if confirmed is None:
            self.count.setText("")
            return
        self.count.setText(tr("{count} of {frames} frames confirmed").format(count=confirmed, frames=frames))

    def show_settled(self, settled: int, labelled: int) -> None:
        """Show how far a consensus is: what would go out of it."""
        words = tr("{count} of {total} labelled frames settled") if labelled else ""
        self.count.setText(words.format(count=settled, total=labelled))

    def set_roomy(self, roomy: bool) -> None:
        """The count gives way where the window is narrow; what is saved and who labels does not."""
        self.count.setVisible(roomy)

    def show_saved(self, unsaved: int, failure: str = "", lab: Standing | None = None) -> None:
        """Say whether everything is in the store, and with a lab's server, whether it is there or here alone."""
        told = failure
        if failure:
            self.saved.set_chip(tr("Not saved"), "bad", "cross")
        elif lab is not None and lab.reached is False:
            words = tr("Lab store not reached")
            if lab.waiting:
                words = tr("Lab store not reached, {count} waiting here").format(count=lab.waiting)
            self.saved.set_chip(words, "caution", "triangle")
            told = lab.trouble
        elif lab is not None and lab.reached is None:
            self.saved.set_chip(tr("Reaching the lab store"), "neutral", "ring")
            told = tr("Until it answers, labels are kept on this computer.")
        elif unsaved or (lab is not None and lab.waiting):
            self.saved.set_chip(tr("Saving"), "neutral", "ring")
        else:
            self.saved.set_chip(tr("Everything saved"), "good", "circle")
            told = tr("In the lab's store.") if lab is not None else ""
        self.saved.setToolTip(told)
        self._wrong = bool(failure)
        self.set_shut(self._shut)
