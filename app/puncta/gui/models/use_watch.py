"""Notices that another program has put a model in use, taken one back, or changed the list of models.

Files are asked for their size and time, in a thread, every other second. That needs no folder to be there, sees a file
that is replaced as a whole, and takes many changes as one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QObject, QTimer

from puncta.core.errors import UserError
from puncta.gui.models.shelf import Shelf, read_shelf
from puncta.gui.models.training_desk import Ask
from puncta.inference.cards import REGISTRY_NAME
from puncta.inference.promotion import PROMOTIONS_NAME, Promotions, read_promotions, user_models_dir

log = logging.getLogger(__name__)

WATCH_MS = 2000
"""So often the files are looked at [ms]."""

Choices = Mapping[str, tuple[str, str]]
"""The model, and the hash of its file, that was chosen last for each plugin."""
Mark = tuple[int, int, int]
Marks = tuple[Mark | None, Mark | None]
"""Time, size and number of the registry's file and of the choices' file; None where there is none."""
UNREAD: Mark = (-1, -1, -1)


@dataclass(frozen=True, slots=True)
class Before:
    """What was read last; None where nothing was yet."""

    marks: Marks | None
    promotions: Promotions | None
    problem: str


@dataclass(frozen=True, slots=True)
class Found:
    """What has changed on the disk.

    Attributes
    ----------
    marks : Marks
        Of the files, from before they were read.
    shelf : Shelf or None
        None where no list has changed.
    promotions : Promotions
        Where they cannot be read, those of before.
    problem : str
        Why the choices cannot be read; empty where they can.
    """

    marks: Marks
    shelf: Shelf | None
    promotions: Promotions
    problem: str = ""


class UseWatch(QObject):
    """Compares what is chosen on the disk with what this window has taken up.

    Parameters
    ----------
    ask : callable
        Does work in a thread.
    take : callable
        Takes models that have changed, and the plugins for which another one is in use now.
    say : callable
        Takes why the choices cannot be read; told once for each state of the file.
    """

    def __init__(
        self,
        ask: Ask,
        take: Callable[[Shelf, tuple[str, ...]], None],
        say: Callable[[str], None],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._ask, self._take, self._say = ask, take, say
        self._marks: Marks | None = None
        self._promotions: Promotions | None = None
        self._problem = self._fault = ""
        self._looking = False
        self._changing = self._noted = 0
        self.changes = 0
        """So often this window has begun, or ended, to change something itself."""
        self._timer = QTimer(self)
        self._timer.setInterval(WATCH_MS)
        self._timer.timeout.connect(self.look)

    @property
    def promotions(self) -> Promotions | None:
        """What was promoted when that could be read last; None before it was."""
        return self._promotions

    @property
    def holds(self) -> bool:
        """Whether this window changes something itself right now."""
        return self._changing > 0

    def begin(self) -> None:
        """Remember what is in use, and look from now on."""
        self._timer.start()
        self.look()

    def end(self) -> None:
        """Look no more."""
        self._timer.stop()

    def look(self) -> None:
        """Look at the files, unless that is under way."""
        if self._looking or self._changing:
            return
        self._looking = True
        before, noted = Before(self._marks, self._promotions, self._problem), self._noted

        def there(found: Found | None) -> None:
            self._looking = False
            # What this window has changed meanwhile is newer than what was read: it is read again.
            if found is not None and noted == self._noted:
                self._take_in(found)

        def failed(error: Exception) -> None:
            self._looking = False
            if str(error) != self._fault:  # it would stand in the log every other second
                log.error("what is in use cannot be looked at", exc_info=error)
            self._fault = str(error)

        self._ask(lambda: _read(before), there, failed)

    def hold(self) -> None:
        """This window changes something itself; nothing is looked at until `go_on`."""
        self._changing += 1
        self._noted += 1
        self.changes += 1

    def go_on(self) -> None:
        """What this window has changed is done."""
        self._changing -= 1
        self.changes += 1

    def note(self, promotions: Promotions) -> tuple[str, ...]:
        """Take in what was read; return the plugins whose choice has changed."""
        self._noted += 1
        if self._marks is not None:  # it may be older than what was seen last, so the file is read once more
            self._marks = (self._marks[0], UNREAD)
        before, self._promotions = self._promotions, promotions
        return () if before is None else changed_between(choices_of(before), choices_of(promotions))

    def _take_in(self, found: Found) -> None:
        if found.problem and found.problem != self._problem:
            self._say(found.problem)
        self._problem = found.problem
        changed, self._marks = self.note(found.promotions), found.marks
        if found.shelf is not None:
            self._take(found.shelf, changed)


def choices_of(promotions: Promotions) -> Choices:
    """Return the newest choice for each plugin."""
    return {plugin: (kept[-1].model, kept[-1].sha256) for plugin, kept in promotions.items() if kept}


def changed_between(before: Choices, now: Choices) -> tuple[str, ...]:
    """Return the plugins for which another model, or none any more, was chosen."""
    return tuple(sorted(plugin for plugin in before.keys() | now.keys() if before.get(plugin) != now.get(plugin)))


def _read(before: Before) -> Found | None:
    """Read what has changed; None where nothing has. Called in a thread."""
    home = user_models_dir()
    now = _mark_of(home / REGISTRY_NAME), _mark_of(home / PROMOTIONS_NAME)
    if now == before.marks:
        return None
    try:
        promotions, problem = read_promotions(), ""
    except UserError as error:
        promotions, problem = before.promotions or {}, str(error)
    # A window that starts need not read every registry to remember what is in use, nor does one whose own choice it is.
    listed = before.marks is not None and before.marks[0] != now[0]
    chosen = before.promotions is not None and (promotions, problem) != (before.promotions, before.problem)
    return Found(now, read_shelf(promotions) if listed or chosen else None, promotions, problem)


def _mark_of(path: Path) -> Mark | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino
