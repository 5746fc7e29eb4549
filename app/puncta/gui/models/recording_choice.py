"""Which recordings without a needle a model learns its machine's pictures from: ticked one by one, and stated."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QLineEdit, QPushButton, QVBoxLayout, QWidget

from puncta.gui.dialogs.settings import WrappingCheck
from puncta.gui.i18n import tr
from puncta.gui.models.data_words import chosen_words
from puncta.gui.models.page_parts import Notes, empty, wrapped
from puncta.gui.models.said import told
from puncta.gui.panels.flow import FlowLayout
from puncta.gui.theme import Theme

if TYPE_CHECKING:
    from puncta.session.retrain import Recording, TrainingData

Read = Callable[[Sequence[Path], Callable[..., None], Sequence["Recording"]], None]
"""Reads files or a folder in a thread, then hands them to `RecordingChoice.add`; told which ones are listed already."""


class RecordingChoice(QWidget):
    """Recordings of the library, and files added to them; none is ticked at first.

    Parameters
    ----------
    take : callable
        Called when other recordings are chosen, or the statement about them is made or taken back.
    read : callable
        Reads files or a folder.
    """

    def __init__(self, theme: Theme, take: Callable[[], None], read: Read, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._take, self._read = take, read
        self._known: dict[str, Recording] = {}
        self._added: dict[str, Recording] = {}
        self._typed: dict[str, str | None] = {}
        """Persons that were typed, or that a folder named, where a recording states none; kept by its id."""
        self._chosen: set[str] = set()
        self._looked: dict[str, int] = {}
        """Frames that the model in use has left of those at which it has looked."""
        self._wrong: dict[tuple[Path, ...], tuple[list[str], list[str]]] = {}
        """Of each addition what is told, and of that what a dataset names as left out; one read again replaces."""
        self.checks: dict[str, WrappingCheck] = {}
        self.people: dict[str, QLineEdit] = {}
        self.nothing = wrapped(tr("No recording in the library yet. Add files, or a folder with one folder for each "
                                  "person."), "quiet")
        self._list = QWidget()
        self._rows = QVBoxLayout(self._list)
        self._rows.setContentsMargins(8, 2, 0, 4)
        self._rows.setSpacing(2)
        self.add_files = _button(tr("Add files"), self._ask_files)
        self.add_folder = _button(tr("Add a folder"), self._ask_folder)
        self.tick_all = _button(tr("Tick all"), self._tick_all)
        buttons = QWidget()
        flow = FlowLayout(buttons, gap=6)
        for button in (self.add_files, self.add_folder, self.tick_all):
            flow.addWidget(button)
        self.stated = WrappingCheck(
            tr("I have looked through the chosen recordings: none of them shows a needle or another instrument."),
            False, lambda _on: self._take(),
        )
        self.why = wrapped(
            tr("A needle among them would be learnt as tissue. Frames at which the model in use is sure of a tip are "
               "left out and counted; a needle that it does not see it cannot leave out."), "small",
        )
        self.wrong = Notes(theme)
        self.chosen = wrapped("", "quiet")
        self.once, self.left_out = Notes(theme), Notes(theme)
        self.stated.setContentsMargins(0, 8, 0, 0)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 2, 0, 0)
        column.setSpacing(4)
        for part in (
            self.nothing, self._list, self.once, buttons, self.wrong, self.chosen, self.left_out, self.stated, self.why,
        ):
            column.addWidget(part)
        self._show()

    @property
    def is_stated(self) -> bool:
        """Whether somebody has said that none of the chosen recordings shows a needle."""
        return self.stated.box.isChecked()

    def show_recordings(self, known: Sequence[Recording]) -> None:
        """Offer the recordings of the library; what was ticked or added stays."""
        self._known = {recording.id: recording for recording in known}
        by_uri = {recording.uri: recording for recording in known}
        for old in [recording for recording in self._added.values() if recording.uri in by_uri]:
            # A file that was added is in the library by now: it goes on as that one.
            self._merge(self._added.pop(old.id), by_uri[old.uri])
            if old.id in self._chosen:
                self._chosen.add(by_uri[old.uri].id)
        self._chosen &= self._all().keys()
        self._show()

    @property
    def is_looked_at(self) -> bool:
        """Whether the model in use has looked at all that is chosen."""
        return bool(self._chosen) and self._chosen <= self._looked.keys()

    def data(self) -> TrainingData | None:
        """What is ticked, as something to learn from; None for nothing."""
        chosen = [r for r in self._all().values() if r.id in self._chosen]
        if not chosen:
            self.chosen.hide()
            return None
        from puncta.session.retrain import data_of_recordings

        left_out = dict.fromkeys(line for _told, lines in self._wrong.values() for line in lines)
        found = data_of_recordings(chosen, problems=tuple(left_out), left=self._looked)
        words = tr("Chosen: up to {what}. The model in use has not looked at them yet: what it takes for a needle is "
                   "left out when you press Start.")
        seen = sum(recording.id in self._looked for recording in chosen)
        if seen:
            words = tr("Chosen: up to {what}. The model in use has looked at {seen} of {count} recordings: at the "
                       "others it looks when you press Start.")
        if seen == len(chosen):
            words = tr("Chosen: {what}. The model in use has looked at them: what it takes for a needle is left out.")
        self.chosen.setText(words.format(what=chosen_words(found, found.plugins[0]), seen=seen, count=len(chosen)))
        self.chosen.show()
        return found

    def add(
        self, recordings: Sequence[Recording], wrong: Sequence[str] = (), same: Mapping[str, str] | None = None,
        places: tuple[Path, ...] = (),
    ) -> None:
        """Take in files that were added, ticked.

        Parameters
        ----------
        wrong : sequence of str
            What could not be read.
        same : mapping of str to str or None
            Of those that are a recording of the list once more, by the id, that one's id: it counts once.
        places : tuple of Path
            Where they were read; what is told of other places stays.
        """
        by_uri = {recording.uri: recording for recording in self._known.values()}
        from puncta.session.retrain_recordings import SAME

        notes = [told(words) for words in wrong]
        # What else cannot be read is told with its folder, which is nobody's business.
        lines = [words for words in wrong if " is left out: " in words and "\n" not in words]
        for recording in recordings:
            known = by_uri.get(recording.uri)
            there = self._all().get((same or {}).get(recording.id, recording.id))
            if known is None and there is not None and there.id != recording.id:
                known = there
                lines.append(SAME.format(title=recording.who, other=known.who))
                notes.append(told(lines[-1]))
            if known is None:
                old = self._added.get(recording.id)
                subject = recording.subject or (old.subject if old is not None else None)
                self._added[recording.id] = replace(recording, subject=subject)
                self._chosen.add(recording.id)
                continue
            self._merge(recording, known)
            stated = self._known[known.id].subject if known.id in self._known else None
            if stated and recording.subject and stated != recording.subject:
                notes.append(
                    tr("{title} is {subject} in the library and stays so; the folder's {other} is not taken.").format(
                        title=known.title, subject=stated, other=recording.subject
                    )
                )
            self._chosen.add(known.id)
        self._wrong[places] = (notes, lines)
        self.wrong.show_notes(tuple(dict.fromkeys(n for said, _lines in self._wrong.values() for n in said)))
        self._show()
        self._changed()

    def show_left_out(self, words: Sequence[str]) -> None:
        """Say which were left out, and why, when a training was to begin and too little was left for it."""
        self.left_out.show_notes([line for line in words if line not in self.wrong.texts])

    def show_looked(self, left: Mapping[str, int]) -> None:
        """Count what the model in use has left of the recordings; one of which nothing is left is ticked no more."""
        if not left:
            return
        self._looked.update(left)
        self._chosen -= {name for name, frames in left.items() if not frames}
        self._show()
        self._take()

    def forget_looked(self) -> None:
        """Look anew: another model may be in use by now."""
        self._looked = {}

    def _merge(self, file: Recording, known: Recording) -> None:
        """Take over the person of a file that the library knows, where the library states none."""
        subject = file.subject or self._typed.get(file.id)
        if subject and not known.subject:
            self._typed[known.id] = subject

    def _stated_of(self, name: str) -> str | None:
        """The person that the library, or the file's folder, states; a typed one can be changed and is none."""
        return (self._added.get(name) or self._known[name]).subject

    def _all(self) -> dict[str, Recording]:
        return {
            name: recording if recording.subject else replace(recording, subject=self._typed.get(name))
            for name, recording in {**self._known, **self._added}.items()
        }

    def _show(self) -> None:
        empty(self._rows)
        self.checks, self.people = {}, {}
        everything = self._all()
        for recording in everything.values():
            words = tr("{title}: {count} frames").format(title=recording.title, count=recording.frames)
            stated = self._stated_of(recording.id)
            if stated:
                words = tr("{title}, {subject}: {count} frames").format(
                    title=recording.title, subject=recording.subject, count=recording.frames
                )
            if self._looked.get(recording.id) == 0:
                words = tr("{recording}, left out: the model in use sees a needle").format(recording=words)
            check = WrappingCheck(words, recording.id in self._chosen, partial(self._tick, recording.id))
            self.checks[recording.id] = check
            self._rows.addWidget(check if stated else self._with_person(recording, check))
        words = tr("{title} is in the library more than once and counts once.")
        self.once.show_notes([words.format(title=r.who) for r in everything.values() if r.also])
        self.nothing.setVisible(not everything)
        self.tick_all.setVisible(len(everything) > 1)
        for part in (self.stated, self.why):
            part.setVisible(bool(everything))

    def _with_person(self, recording: Recording, check: WrappingCheck) -> QWidget:
        """A row that asks for the person: recordings of nobody in particular may all be of one."""
        person = QLineEdit(recording.subject or "")
        person.setPlaceholderText(tr("Person, by a code"))
        person.setAccessibleName(tr("Person of {title}, by a code").format(title=recording.title))
        person.editingFinished.connect(partial(self._name, recording.id, person))
        self.people[recording.id] = person
        line = QWidget()
        row = QHBoxLayout(line)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(10)
        row.addWidget(check, 2)
        row.addWidget(person, 1)
        row.addStretch(1)
        return line

    def _name(self, name: str, person: QLineEdit) -> None:
        subject = person.text().strip() or None
        if self._typed.get(name) != subject:
            self._typed[name] = subject
            self._take()

    def _tick(self, name: str, on: bool) -> None:
        (self._chosen.add if on else self._chosen.discard)(name)
        self._insist([name] if on else [])
        self._changed(more=on)

    def _insist(self, names: Iterable[str]) -> None:
        """Somebody ticks what the model in use has left out: it will look again."""
        for name in names:
            if self._looked.get(name) == 0:
                del self._looked[name]

    def _tick_all(self) -> None:
        self._chosen = set(self._all())
        self._insist(self._chosen)
        for check in self.checks.values():
            check.box.blockSignals(True)
            check.box.setChecked(True)
            check.box.blockSignals(False)
        self._changed()

    def _changed(self, more: bool = True) -> None:
        """Others are chosen; what was stated does not hold for one that has come since."""
        if more and self.is_stated:
            self.stated.box.setChecked(False)  # which tells as well
        else:
            self._take()

    # --- files -------------------------------------------------------------------------------------------------

    def _ask_files(self) -> None:
        from puncta.sources.factory import FILE_SUFFIXES

        kinds = " ".join(f"*{ending}" for ending in FILE_SUFFIXES)
        choices = f"{tr('Cases')} ({kinds});;{tr('All files')} (*)"
        dialog = QFileDialog(self, tr("Add recordings without a needle"), str(Path.home()), choices)
        dialog.setFileMode(QFileDialog.FileMode.ExistingFiles)
        self._open(dialog)

    def _ask_folder(self) -> None:
        dialog = QFileDialog(self, tr("Add a folder with one folder for each person"), str(Path.home()))
        dialog.setFileMode(QFileDialog.FileMode.Directory)
        dialog.setOption(QFileDialog.Option.ShowDirsOnly)
        self._open(dialog)

    def read(self, places: Sequence[Path]) -> None:
        """Add files, or folders with one folder for each person."""
        where = tuple(places)
        there = tuple(self._all().values())
        self._read(places, lambda found, wrong, same: self.add(found, wrong, same, where), there)

    def _open(self, dialog: QFileDialog) -> None:
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.filesSelected.connect(lambda names: self.read([Path(name) for name in names]))
        dialog.open()


def _button(words: str, press: Callable[[], None]) -> QPushButton:
    button = QPushButton(words)
    button.setProperty("slim", "true")
    button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    button.clicked.connect(lambda _on=False: press())
    return button
