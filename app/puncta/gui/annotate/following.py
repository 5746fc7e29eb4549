"""Panels, strip and ribbons follow the labels and the frame on the screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from puncta.annotation.commands import Board
from puncta.annotation.consensus_count import ConsensusCount
from puncta.annotation.labels import FlagLabel, PhaseLabel, Slot, State
from puncta.annotation.store_suggestions import Suggestion
from puncta.formats.label_sets import LabelSet
from puncta.gui.annotate.facts import needle_facts, note_of, state_of, thing_facts, tip_facts
from puncta.gui.annotate.parts_shown import show_shut
from puncta.gui.annotate.review_queue import Doubt, doubt_of, ordered
from puncta.gui.annotate.ribbons import (
    ABSENT,
    PRESENT,
    clear_codes,
    confirmed_counts,
    empty_rows,
    shown_rows,
    write_codes,
)
from puncta.gui.annotate.things import Shape, Thing
from puncta.gui.i18n import tr
from puncta.session.between_keys import NEEDLE, TIP

if TYPE_CHECKING:
    from puncta.gui.annotate.annotator import Annotator


DIFFERENCES = "differences"
ROOMY = 1240
"""Below this width, in units of the font scale, the count at the top gives way."""


class Following:
    """Counts labels again only where they have changed."""

    def __init__(self, annotator: Annotator) -> None:
        self._a = annotator
        self._case: tuple[Board | None, str, int] = (None, "", 0)
        self._rows: dict[str, NDArray[np.uint8]] = {}
        self._doubts: dict[int, Doubt] = {}
        self._asked: dict[int, Doubt] = {}
        self._suggestions: tuple[Suggestion, ...] = ()
        self._counts: dict[str, int] = {}
        self._compared: ConsensusCount | None = None
        self._shown_shut = (False, False)

    def refresh(self) -> None:
        """Bring panels and ribbons up to the labels and the frame on the screen."""
        a = self._a
        a.status.set_roomy(a.window.width() >= ROOMY * a.window.theme.scale)
        board, label_set = a.desk.board, a.desk.label_set
        index = a.index()
        labels = board.on_frame(index) if board is not None else ()
        if board is not None and label_set is not None:
            self._count(board, label_set)
        named = not a.window.desk.veil.on  # no model is named to somebody who reads blind
        a.left.show_queue(a.queue, index, named=named)
        phase = next((label.value.phase for label in labels if isinstance(label.value, PhaseLabel)), "")
        a.left.show_things(a.things, self._counts, a.thing, a.shape, self._flag_words(index), phase)
        before = board.on_frame(index - 1) if board is not None and index > 0 else ()
        calibration = a.window.desk.calibration
        needle = needle_facts(labels, before, calibration)
        if board is not None and a.shape is Shape.NEEDLE:
            needle.append((tr("Line in hand"), a.width.needle_words(calibration)))
        a.right.show_frame(index, tip_facts(labels), needle, note_of(labels))
        a.right.show_others(
            {
                thing.name: (tr(thing.title), facts)
                for thing in a.things
                if not thing.is_flag and thing.name not in {NEEDLE, TIP}
                if (facts := thing_facts(labels, thing.name, calibration))
            }
        )
        a.right.show_history(a.desk.history)
        if (shut := (self.shut, a.work.blind)) != self._shown_shut:
            self._shown_shut = shut
            show_shut(a, *shut)
        words, shape, tone, proposed = state_of(labels, a.desk.rater, self._asked.get(index), named=named)
        if board is None:
            words = self.why_not_open()
        if a.adjudication.on:
            a.adjudication.refresh()
            (words, shape, tone), proposed = a.adjudication.words(), False
        a.strip.show_state(words, shape, tone, proposed=proposed)
        if a.count:
            first, last = a.verbs.span()
            a.right.show_range(tr("{first} to {last}").format(first=f"{first:03d}", last=f"{last:03d}"))

    def forget(self) -> None:
        """Empty what is shown of the labels of a clip or a reader that is left; the next ones are on their way."""
        a = self._a
        self._case, self._doubts, self._asked, self._counts = (None, "", 0), {}, {}, {}
        self._rows = empty_rows([t.name for t in a.things], a.count)
        a.bar.timeline.set_rows(shown_rows(self._rows), {t.name: t for t in a.things}, a.count)
        a.left.show_queue((), 0)
        a.status.show_count(None, 0)

    @property
    def shut(self) -> bool:
        """Nothing can be labelled here, and it will not come by itself."""
        a, info = self._a, self._a.window.desk.info
        if a.desk.board is not None:
            return False
        named = bool(a.window.preferences.settings.rater)
        return not named or bool(a.saved.failure) or info is None or not info.seekable

    def why_not_open(self) -> str:
        """Why there are no labels to see, and what to do about it."""
        a = self._a
        if a.saved.failure:
            return a.saved.failure
        if not a.window.preferences.settings.rater:
            return tr("Nobody is labelling yet. Press “Who is labelling?” at the top right to begin.")
        if a.window.desk.info is not None and not a.window.desk.info.seekable:
            return tr("This source has no end. Record it first and label the recording.")
        return tr("The labels of this clip are being opened.")

    def _count(self, board: Board, label_set: LabelSet) -> None:
        """Look again at the frames whose labels have changed, and at all of them in another case."""
        a = self._a
        phases = {phase.name: number for number, phase in enumerate(label_set.phases)}
        case = (board, label_set.id, a.count)
        dirty = a.desk.take_dirty("panels")
        if case != self._case or dirty is None:
            self._case, self._doubts = case, {}
            self._rows = empty_rows([t.name for t in a.things], a.count)
            dirty = set(board.labelled_frames())
        elif not dirty and a.suggestions is self._suggestions and a.adjudication.count is self._compared:
            return
        self._suggestions, self._compared = a.suggestions, a.adjudication.count
        clear_codes(self._rows, dirty)
        for index in dirty:
            labels = board.on_frame(index)
            if index < a.count:
                write_codes(self._rows, index, labels, phases)
            doubt = doubt_of(labels)
            if doubt is None:
                self._doubts.pop(index, None)
            else:
                self._doubts[index] = doubt
        self._counts, confirmed, self._counts[""] = confirmed_counts(self._rows)
        trusted = {s.index for s in a.suggestions if any(label.trusted for label in board.on_frame(s.index))}
        a.queue = ordered(self._doubts, trusted, a.suggestions)
        self._asked = {doubt.index: doubt for doubt in a.queue}
        rows, things = shown_rows(self._rows), {t.name: t for t in a.things}
        if a.adjudication.on:
            rows, things = self._with_differences(rows, things)
        a.bar.timeline.set_rows(rows, things, a.count)
        if a.adjudication.on:
            count = a.adjudication.count
            if count is None:  # the readings are being compared, or could not be
                a.status.show_count(None, a.count)
            else:
                count.look(board, dirty)
                a.status.show_settled(len(count.settled), count.total)
        else:
            a.status.show_count(confirmed, a.count)
        a.window.room.fit_bottom()

    def _with_differences(
        self, rows: dict[str, NDArray[np.uint8]], things: dict[str, Thing]
    ) -> tuple[dict[str, NDArray[np.uint8]], dict[str, Thing]]:
        """Put a row before the others: where two readings differ, solid while nobody has answered."""
        waiting, done = self._a.adjudication.open_frames()
        row = np.zeros(self._a.count, np.uint8)
        for frames, code in ((waiting, PRESENT), (done, ABSENT)):
            row[[index for index in frames if index < len(row)]] = code
        thing = Thing(DIFFERENCES, "Differences", "", (Shape.BOX,), "caution")
        return {DIFFERENCES: row, **rows}, {DIFFERENCES: thing, **things}

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
