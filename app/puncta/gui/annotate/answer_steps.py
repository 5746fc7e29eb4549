"""Undo and redo while two readings become one: an answer leads on to the next frame, so undo leads back to its own.

On a frame that somebody went to by themselves, and that has an answer, that answer is meant.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from puncta.annotation.commands import Change
from puncta.annotation.labels import State
from puncta.gui.annotate.steps_told import follow_step
from puncta.gui.i18n import tr

if TYPE_CHECKING:
    from puncta.gui.annotate.annotator import Annotator


class AnswerSteps:
    """Takes back and makes again what an adjudicator has answered or drawn, the last first."""

    def __init__(self, annotator: Annotator) -> None:
        self._a = annotator
        self.led_to: int | None = None
        """The frame that the last answer has led to by itself."""

    def undo(self) -> None:
        """Take back the last answer and go to its frame; on a frame gone to by hand, the last one there."""
        desk = self._a.desk
        here = self._a.window.desk.aimed_index()
        last = desk.made[-1][1] if desk.made else None
        if last is None or here != self.led_to:
            last = here if self._answered(here) else last
        if last is None:
            self._nothing()
            return
        self._go(last)
        desk.undo(last, self._taken_back, self._nothing)

    def redo(self) -> None:
        """Make again what was taken back last, and go to its frame; on a frame gone to by hand, what was there."""
        desk = self._a.desk
        here = self._a.window.desk.aimed_index()
        known = [frame for _uid, frame in desk.unmade]
        frame = here if not known or here in known else known[-1]
        self._go(frame)
        desk.redo(frame, self._made_again, lambda: self._a.say(tr("Nothing to make again here.")))

    def _go(self, frame: int) -> None:
        self.led_to = None
        if frame != self._a.window.desk.aimed_index():
            self._a.verbs.go(frame)

    def _answered(self, index: int) -> bool:
        """Whether somebody has answered or drawn on a frame; what was taken over by itself is no answer."""
        board = self._a.desk.board
        return board is not None and any(label.state is State.CONFIRMED for label in board.on_frame(index))

    def _nothing(self) -> None:
        self._a.say(tr("Nothing to take back here."))

    def _taken_back(self, changes: Sequence[Change]) -> None:
        self._a.adjudication.taken_back(changes)
        self._tell(changes)

    def _made_again(self, changes: Sequence[Change]) -> None:
        self._a.adjudication.made_again(changes)
        self._tell(changes)

    def _tell(self, changes: Sequence[Change]) -> None:
        """Say in place of the answer what else has changed, where that is more than one frame."""
        if len({change.slot.index for change in changes}) > 1:
            follow_step(self._a, changes, self._a.window.desk.aimed_index())
