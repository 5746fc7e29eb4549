"""Panels, strip and ribbons follow the labels and the frame on the screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from puncta.annotation.labels import FlagLabel, NotVisible, PhaseLabel, Slot, State
from puncta.gui.annotate.facts import needle_facts, note_of, state_of, tip_facts
from puncta.gui.annotate.review_queue import counted, queue_of
from puncta.gui.annotate.ribbons import codes_of
from puncta.gui.i18n import tr

if TYPE_CHECKING:
    from puncta.gui.annotate.annotator import Annotator


ROOMY = 1240
"""Below this width, in units of the font scale, the count at the top gives way."""


class Following:
    """Counts labels again only where they have changed."""

    def __init__(self, annotator: Annotator) -> None:
        self._a = annotator
        self._seen: tuple[int, int, str] = (-1, 0, "")
        self._counts: dict[str, int] = {}

    def refresh(self) -> None:
        """Bring panels and ribbons up to the labels and the frame on the screen."""
        a = self._a
        a.status.set_roomy(a.window.width() >= ROOMY * a.window.theme.scale)
        board, label_set = a.desk.board, a.desk.label_set
        index = a.index()
        labels = board.on_frame(index) if board is not None else ()
        if board is not None and label_set is not None:
            key = (a.desk.generation, len(a.suggestions), board.case_id)
            if key != self._seen:
                self._seen = key
                a.queue = queue_of(board, a.suggestions)
                self._counts, confirmed = counted(board, {t.name: t for t in a.things})
                hidden = [label for label in board if label.trusted and isinstance(label.value, NotVisible)]
                self._counts[""] = len({label.key.index for label in hidden})
                phases = [phase.name for phase in label_set.phases]
                rows = codes_of(board, [t.name for t in a.things], phases, a.count)
                a.bar.timeline.set_rows(rows, {t.name: t for t in a.things}, a.count)
                a.status.show_count(confirmed, a.count)
                a.window.room.fit_bottom()
        a.left.show_queue(a.queue, index)
        phase = next((label.value.phase for label in labels if isinstance(label.value, PhaseLabel)), "")
        a.left.show_things(a.things, self._counts, a.thing, a.shape, self._flag_words(index), phase)
        before = board.on_frame(index - 1) if board is not None and index > 0 else ()
        calibration = a.window.desk.calibration
        a.right.show_frame(index, tip_facts(labels), needle_facts(labels, before, calibration), note_of(labels))
        a.right.show_history(a.desk.history)
        words, shape, tone, proposed = state_of(labels, a.desk.rater)
        if board is None:
            words = a.failure or tr("The labels of this clip are being opened.")
        a.strip.show_state(words, shape, tone, proposed=proposed)
        if a.count:
            first, last = a.verbs.span()
            a.right.show_range(tr("{first} to {last}").format(first=f"{first:03d}", last=f"{last:03d}"))

    def _flag_words(self, index: int) -> dict[str, str]:
        a = self._a
        board = a.desk.board
        words: dict[str, str] = {}
        for thing in a.things:
            if thing.is_flag and board is not None:
                label = board.get(Slot(index, thing.name))
                value = label.value if label is not None and label.state is not State.REJECTED else None
                words[thing.name] = (
                    (tr("yes") if value.value else tr("no")) if isinstance(value, FlagLabel) else tr("not assessed")
                )
        return words
