"""How many labelled frames of a clip are settled, and which wait: the same count as that of an export."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from puncta.annotation.adjudicate import CONSENSUS, answered, confirmed_by_people, holds_back
from puncta.annotation.commands import Board
from puncta.annotation.labels import NOTE, Label, Slot


class ConsensusCount:
    """Follows the consensus frame by frame, so that a gesture on a long clip costs its own frames alone.

    Parameters
    ----------
    labels : iterable of Label
        Of all who have read the clip, also those who are not compared.
    """

    def __init__(self, labels: Iterable[Label] = ()) -> None:
        self._judged: dict[int, set[Slot]] = {}
        for label in confirmed_by_people(labels):
            if label.rater != CONSENSUS:
                held = self._judged.setdefault(label.slot.index, set())
                if holds_back(label):
                    held.add(label.slot)
        self._board: Board | None = None
        self.settled: set[int] = set()
        self.waiting: set[int] = set()

    @property
    def total(self) -> int:
        """Labelled frames."""
        return len(self.settled) + len(self.waiting)

    def look(self, board: Board, frames: Collection[int] | None = None) -> None:
        """Look again at the frames whose labels in the consensus have changed; None: at all of them."""
        if frames is None or board is not self._board:
            self._board = board
            self.settled, self.waiting = set(), set()
            frames = {*self._judged, *board.labelled_frames()}
        for index in frames:
            self.settled.discard(index)
            self.waiting.discard(index)
            going_out = any(x.trusted and x.name != NOTE for x in board.on_frame(index))
            if going_out and all(answered(board.get, slot) for slot in self._judged.get(index, ())):
                self.settled.add(index)
            elif going_out or index in self._judged:
                self.waiting.add(index)
