"""Which live source to open: found on this computer, or by its address."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from PySide6.QtWidgets import QComboBox, QDialog, QDialogButtonBox, QFormLayout, QLineEdit, QVBoxLayout, QWidget

from puncta.core.errors import UserError
from puncta.gui.bridge import Jobs
from puncta.gui.i18n import tr
from puncta.gui.panels.parts import text_label
from puncta.gui.source_said import told

EXAMPLES = "camera:0?size=1280x720&fps=30\nrtsp://HOST/NAME\nudp://@:5000\nigtl://HOST:18944\nclarius://HOST:5828\nscreen:100,80,800,600"


class LiveSourceDialog(QDialog):
    """Devices and servers are looked for on the event loop; an address can be written meanwhile.

    Parameters
    ----------
    recent : sequence of str
        Addresses opened before; OpenIGTLink servers among them are asked whether they are there.
    """

    def __init__(self, jobs: Jobs, recent: Sequence[str] = (), parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(tr("Open a live source"))
        column = QVBoxLayout(self)
        column.setContentsMargins(20, 18, 20, 16)
        column.setSpacing(12)
        form = QFormLayout()
        form.setHorizontalSpacing(16)
        self.found, self.address = QComboBox(), QLineEdit()
        self.address.setMaxLength(400)
        for title, widget in ((tr("Found here"), self.found), (tr("Address"), self.address)):
            widget.setAccessibleName(title)
            form.addRow(title, widget)
        self.hint = text_label(EXAMPLES, "small")
        self.hint.setWordWrap(True)
        form.addRow("", self.hint)
        column.addLayout(form)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Open | QDialogButtonBox.StandardButton.Cancel)
        self.opener = buttons.button(QDialogButtonBox.StandardButton.Open)
        self.opener.setText(tr("Open"))
        buttons.button(QDialogButtonBox.StandardButton.Cancel).setText(tr("Cancel"))
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        column.addWidget(buttons)
        self.setMinimumWidth(self.fontMetrics().averageCharWidth() * 64)
        self.found.addItem(tr("Looking for devices"), "")
        self.found.setEnabled(False)
        self.found.activated.connect(lambda _index: self._choose())
        self.address.textChanged.connect(lambda _text: self._check())
        self._shown = True
        self.finished.connect(lambda _result: self._leave())
        self._check()
        from puncta.sources.discovery import discover, igtl_places

        loop = asyncio.get_running_loop()
        self._search = loop.create_task(discover(self._show_found, igtl_places(recent), jobs.threads))
        self._search.add_done_callback(self._end_search)

    def uri(self) -> str:
        """The address as chosen or written."""
        return self.address.text().strip()

    def accept(self) -> None:
        """Open; not with an address that is none."""
        if self.opener.isEnabled():
            super().accept()

    def _show_found(self, found: list[tuple[str, str]]) -> None:
        """List what is known so far; what was chosen stays chosen."""
        chosen = self.found.currentData()
        self.found.clear()
        for words, address in found:
            self.found.addItem(f"{address}   {words}", address)
        self.found.setEnabled(True)
        self.found.setCurrentIndex(max(0, self.found.findData(chosen) if chosen else 0))
        if not self.address.text():
            self._choose()

    def _end_search(self, search: asyncio.Task) -> None:
        if search.cancelled() or not self._shown:
            return
        if not search.result():
            self.found.clear()
            self.found.addItem(tr("No camera or screen is found here"), "")

    def _choose(self) -> None:
        self.address.setText(self.found.currentData() or "")

    def _check(self) -> None:
        from puncta.sources.live_open import check_address

        words = EXAMPLES
        try:
            check_address(self.uri())
            fine = True
        except UserError as error:
            fine = False
            words = told(str(error)) if self.uri() else EXAMPLES
        self.hint.setText(words)
        self.opener.setEnabled(fine)

    def _leave(self) -> None:
        self._shown = False
        self._search.cancel()
