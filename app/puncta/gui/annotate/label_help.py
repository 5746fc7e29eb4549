"""Help with labels in the window: what lies between key frames, what models carry on, and how it comes to the board."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from puncta.annotation.commands import Board, Change, Command, erase, propose
from puncta.annotation.labels import LINE_SUFFIX, Kind, Label, NotVisible, State, TipLabel
from puncta.annotation.reading import visible_suggestions
from puncta.annotation.store import AnnotationStore
from puncta.annotation.store_suggestions import DISAGREEMENT, TEACHES, Suggestion
from puncta.gui.annotate.blind import nothing_proposed_words
from puncta.gui.annotate.help_jobs import BETWEEN, ONWARD, TEACH, Piece
from puncta.gui.annotate.key_frames import KeyFrames
from puncta.gui.annotate.label_desk import joined
from puncta.gui.annotate.said import told
from puncta.gui.i18n import tr
from puncta.session.between_keys import NEEDLE, TIP, USUAL_MM
from puncta.session.proposing import APART_MM, FAR_MM, prompt_of

if TYPE_CHECKING:
    from puncta.gui.annotate.annotator import Annotator

NEEDLE_NAMES = (NEEDLE, NEEDLE + LINE_SUFFIX, TIP)
TOPIC = "help"
"""Of the sentence above the picture."""
BETWEEN_TITLE = "Between key frames"
GONE_TITLE = "Proposals taken away"


@dataclass(slots=True)
class Tally:
    """What became of the frames that models went over."""

    span: tuple[int, int]
    proposed: set[int]
    between: set[int]
    kept: set[int]


class LabelHelp:
    """Asks for proposals and lays them onto the board; confirmed labels are never touched."""

    def __init__(self, annotator: Annotator) -> None:
        self._a = annotator
        self._wanted = False
        self._keys = KeyFrames()
        self._tally: Tally | None = None
        self._unfinished = False
        """The help between key frames was broken off."""
        self._told_over: tuple[int, int] | None = None
        """The range for which a sentence above the picture says how help went."""
        self._wish: Callable[[], None] | None = None
        """Help that was asked for before it was known whether models may propose here."""

    def drawn(self, names: set[str]) -> None:
        """Something was drawn."""
        self.hush()
        if names & set(NEEDLE_NAMES):
            self.refill()

    def stepped(self, changes: Iterable[Change]) -> set[int]:
        """Something was taken back or made again: where that was a key frame, look between its neighbours anew.

        Return the frames whose proposals go or come with it.
        """
        self.hush()
        names = (NEEDLE, NEEDLE + LINE_SUFFIX)
        sides = [x for c in changes if c.slot.name in names for x in (c.before, c.after) if x is not None]
        return self.refill() if any(label.state is State.CONFIRMED for label in sides) else set()

    def refill(self) -> set[int]:
        """Propose the frames between key frames, where needles were drawn or hidden by hand.

        What lies between key frames that are no longer there is taken away. Return the frames of both.
        """
        annotator, board, case, info = self._a, self._a.desk.board, self._a.desk.case, self._a.desk.info
        if board is None or case is None or info is None:
            return set()
        if annotator.adjudication.on:
            return set()  # nothing is proposed to an adjudicator
        self._wanted = annotator.jobs.running in {ONWARD, TEACH}
        if self._wanted:
            return set()  # when the models are done
        unfinished = self._unfinished or annotator.jobs.running == BETWEEN
        dirty = annotator.desk.take_dirty("help")
        unwanted = annotator.desk.unwanted
        keys, wanted, stale = self._keys.look(board, dirty, unfinished=unfinished, unwanted=unwanted)
        self._unfinished = False
        if stale:
            gone = erase(board, stale, title=GONE_TITLE)
            annotator.desk.do(None if gone is None else replace(gone, automatic=True))
        if wanted:
            calibration = annotator.window.desk.calibration
            annotator.jobs.between(info.uri, case.id, keys, wanted, annotator.names, calibration)
        return {*wanted, *(slot.index for slot in stale)}

    def propagate(self, way: int) -> None:
        """Let the models carry the needle from this frame to the end of the range (1) or to its beginning (-1)."""
        annotator, board, case, info = self._a, self._a.desk.board, self._a.desk.case, self._a.desk.info
        if board is None or case is None or info is None:
            return
        if not self._models_may(lambda: self.propagate(way)):
            return
        index = annotator.index()
        first, last = annotator.verbs.span()
        end = last if way > 0 else first
        if (end - index) * way <= 0:
            annotator.say(tr("The range ends here. Mark another one, or go to its other end."))
            return
        first, last = sorted((index + way, end))
        names = {NEEDLE, TIP} & set(annotator.names)
        if all(names <= {a.name for a in board.on_frame(i) if a.trusted} for i in range(first, last + 1)):
            words = tr("Frames {first} to {last} are confirmed already; there is nothing to propose.")
            annotator.say(words.format(first=first, last=last))
            return
        values = [a.value for a in board.on_frame(index) if a.name in NEEDLE_NAMES and a.state is not State.REJECTED]
        self.hush()
        self._tally = Tally((index + way, end), set(), set(), set())
        calibration = annotator.window.desk.calibration
        annotator.jobs.onward(info.uri, case.id, (index, end), prompt_of(values), annotator.names, calibration)
        annotator.right.show_progress((0, abs(end - index) + 1), tr("Models are loading"))

    def teach(self) -> None:
        """Look for the frames of the range that would teach most; they come first in the queue."""
        annotator, board, case, info = self._a, self._a.desk.board, self._a.desk.case, self._a.desk.info
        if board is None or case is None or info is None:
            return
        if not self._models_may(self.teach):
            return
        labelled = [i for i in board.labelled_frames() if any(a.trusted for a in board.on_frame(i))]
        calibration = annotator.window.desk.calibration
        span = annotator.verbs.span()
        self.hush()
        annotator.jobs.teach(info.uri, case.id, span, labelled, calibration)
        annotator.right.show_progress((0, span[1] - span[0] + 1), tr("Models are loading"))

    def _models_may(self, again: Callable[[], None]) -> bool:
        """Whether models may propose to this reader; says why not. Before that is known, the wish waits."""
        stand = self._a.work.stand
        if stand is None:
            self._wish = again
        elif not stand.may_propose:
            self._a.say(nothing_proposed_words())
        return stand is not None and stand.may_propose

    def begin(self) -> None:
        """It is known what this reader may see: bring it, and do what was asked for meanwhile."""
        self.read_suggestions()
        wish, self._wish = self._wish, None
        if wish is not None:
            wish()

    def stop(self) -> None:
        """End the help under way; what it has proposed stays."""
        self._a.jobs.cancel()
        self._a.right.show_progress(None)

    def forget(self) -> None:
        """Another reader, clip or layer: what was on its way, found and said was for the one before."""
        self._a.jobs.drop()
        self._a.right.show_progress(None)
        self._wanted = self._unfinished = False
        self._tally = self._wish = None
        self.hush()

    def hush(self) -> None:
        """Take the sentence away that says how help went: it may be true no longer."""
        self._told_over = None
        self._a.window.stage.banners.hush(TOPIC)

    def follow_range(self) -> None:
        """The range may be another one; what was said of the old one goes."""
        if self._told_over not in {None, self._a.verbs.span()}:
            self.hush()

    def take(self) -> None:
        """Lay what came onto the board; confirmed labels are passed over."""
        annotator = self._a
        failed = cancelled = False
        for piece in annotator.jobs.take():
            board = annotator.desk.board
            if board is None or piece.case_id != board.case_id:
                continue
            if piece.failure:
                failed = True
                self._told_over = annotator.verbs.span()
                if annotator.on:
                    annotator.window.stage.banners.say(TOPIC, "caution", _failure_words(board, piece))
            cancelled = cancelled or piece.cancelled
            self._unfinished = self._unfinished or (piece.kind == BETWEEN and piece.cancelled)
            if piece.kind == TEACH and piece.suggestions:
                self._show_teaching(piece)
            elif piece.labels or piece.suggestions:
                self._lay(piece)
            if piece.kind in {ONWARD, TEACH} and not piece.ended:
                words = tr("{done} of {total} frames").format(done=piece.done, total=piece.total)
                annotator.right.show_progress((piece.done, piece.total), words)
        if not annotator.jobs.running:
            annotator.right.show_progress(None)
            annotator.refresh()
            tally, self._tally = self._tally, None
            if tally is not None and not failed and not cancelled:
                annotator.say(_told(tally))
            if self._wanted:
                self.refill()

    def _show_teaching(self, piece: Piece) -> None:
        """Put the frames that teach before the others, in place of those of an earlier look."""
        annotator = self._a
        annotator.suggestions = (*(s for s in annotator.suggestions if s.reason != TEACHES), *piece.suggestions)
        annotator.changed()
        self._keep_suggestions(piece.case_id, {s.source for s in piece.suggestions})
        words = tr("{count} frames would teach most; they stand first in the queue. {key} goes there.")
        annotator.say(words.format(count=len(piece.suggestions), key=annotator.key_words("next_doubt")))

    def _lay(self, piece: Piece) -> None:
        annotator, board, case = self._a, self._a.desk.board, self._a.desk.case
        assert board is not None and case is not None
        labels, told = piece.labels, list(piece.suggestions)
        if piece.kind == ONWARD:
            # What lies between key frames is compared when these two needles are followed; here it stays.
            frames = {a.key.index for a in labels}
            known = {i for i in frames if any(_of_keys(a) for a in board.on_frame(i))}
            told += [s for a in labels if a.key.index in known and (s := self._parted(board, a)) is not None]
            labels = tuple(a for a in labels if a.key.index not in known)
            self._count(board, frames, known, labels)
        else:
            labels = tuple(a for a in labels if not _surer(board, a))
        labels = tuple(a for a in labels if (b := board.get(a.slot)) is None or b.state is not State.REJECTED)
        title = BETWEEN_TITLE if piece.kind != ONWARD else "Propagate"
        whole = _laid(board, labels, title)
        if whole is not None:
            annotator.desk.do(replace(whole, automatic=True))
        if told:
            fresh = {s.index: s for s in sorted(told, key=lambda s: s.score)}
            there = (s for s in annotator.suggestions if s.index not in fresh or s.reason == TEACHES)
            annotator.suggestions = (*there, *fresh.values())
            annotator.changed()
            self._keep_suggestions(case.id, {s.source for s in told})

    def _count(self, board: Board, frames: set[int], known: set[int], labels: Iterable[Label]) -> None:
        if self._tally is not None:
            self._tally.between |= known
            fresh = {a.key.index for a in labels if (b := board.get(a.slot)) is None or not b.trusted}
            self._tally.proposed |= fresh
            self._tally.kept |= frames - known - fresh

    def _parted(self, board: Board, label: Label) -> Suggestion | None:
        """Say where a model's tip is far from the one that the key frames propose."""
        there = board.get(label.slot)
        if there is None or label.name != TIP or not isinstance(label.value, TipLabel):
            return None
        if there.trusted or not isinstance(there.value, TipLabel):
            return None
        calibration = self._a.window.desk.calibration
        sx, sy = calibration.mm_per_px if calibration is not None else (USUAL_MM, USUAL_MM)
        (ax, ay), (bx, by) = label.value.tip_px, there.value.tip_px
        apart = math.hypot((ax - bx) * sx, (ay - by) * sy)
        if apart <= APART_MM:
            return None
        words = tr("keys part {apart} mm").format(apart=f"{apart:.1f}")
        source = f"{label.made.by} {label.made.version}".strip()
        return Suggestion(label.key.index, DISAGREEMENT, min(1.0, 0.3 + 0.7 * apart / FAR_MM), words, source)

    def read_suggestions(self) -> None:
        """Take up what was suggested before; nothing in a blind reading, since a queue tells what models think."""
        annotator, case = self._a, self._a.desk.case
        if case is None:
            return
        case_id, rater = case.id, annotator.desk.rater

        def show(found: tuple[Suggestion, ...]) -> None:
            desk = annotator.desk
            if desk.case is not None and (desk.case.id, desk.rater) == (case_id, rater):
                annotator.suggestions = found
                annotator.changed()

        annotator.store.ask(lambda store: visible_suggestions(store, case_id, rater), show)

    def _keep_suggestions(self, case_id: str, sources: set[str]) -> None:
        own = self._a.suggestions
        by_source = {source: [s for s in own if s.source == source] for source in sources}
        rater = self._a.desk.rater

        def keep(store: AnnotationStore) -> None:
            for source, found in by_source.items():
                store.put_suggestions(case_id, rater, source, found)

        self._a.store.ask(keep)


def _failure_words(board: Board, piece: Piece) -> str:
    """What has gone wrong, and which frames that leaves open: not those that have labels or proposals already."""
    if piece.strayed is None or piece.strayed.span is None:
        return told(piece.failure)
    first, last = sorted(piece.strayed.span)
    labelled = (any(a.state is not State.REJECTED for a in board.on_frame(i)) for i in range(first, last + 1))
    missing = [i for i, there in zip(range(first, last + 1), labelled) if not there]
    if len(missing) == last + 1 - first:
        return told(piece.failure)
    if not missing:
        return f"{told(piece.strayed.what)} {tr('What is labelled or proposed there stays.')}"
    words = tr("{count} of the frames {first} to {last} stay open; what is labelled or proposed there stays.")
    return f"{told(piece.strayed.what)} {words.format(count=len(missing), first=first, last=last)}"


def _of_keys(label: Label) -> bool:
    return label.name in NEEDLE_NAMES and label.made.kind is Kind.INTERPOLATED


def _laid(board: Board, labels: tuple[Label, ...], title: str) -> Command | None:
    """The gesture that lays proposals down, and takes away older ones of the same frames that they stand in for.

    What is there already, made of the same and saying the same, stays as it is: so it can still be taken back to.
    """
    fresh = {a.slot for a in labels}
    labels = tuple(a for a in labels if not _same(board.get(a.slot), a))
    frames = {a.key.index for a in labels}
    stale = [
        a.slot
        for index in frames
        for a in board.on_frame(index)
        if a.name in NEEDLE_NAMES and a.state is State.PROPOSED and a.slot not in fresh
    ]
    return joined(title, [propose(board, labels, title=title), erase(board, stale)])


def _same(there: Label | None, label: Label) -> bool:
    if there is None or there.state is not State.PROPOSED:
        return False
    return there.value == label.value and replace(there.made, made_utc="") == replace(label.made, made_utc="")


def _told(tally: Tally) -> str:
    """What the models did, in a sentence, also where that was nothing."""
    first, last = sorted(tally.span)
    if tally.between and not tally.proposed and not tally.kept:
        words = tr(
            "Frames {first} to {last} keep what the key frames propose. Where models part from it, the queue says so."
        )
        return words.format(first=first, last=last)
    parts = [tr("{count} frames are proposed").format(count=len(tally.proposed))]
    if tally.between:
        parts.append(tr("{count} keep what the key frames propose").format(count=len(tally.between)))
    if tally.kept:
        parts.append(tr("{count} are confirmed and stay").format(count=len(tally.kept)))
    found = len(tally.proposed | tally.between | tally.kept)
    rest = last - first + 1 - found
    if rest > 0:
        parts.append(tr("{count} stay open").format(count=rest))
    return ", ".join(parts) + "."


def _surer(board: Board, label: Label) -> bool:
    """Whether what a model proposes on the frame is surer than this: then that stays."""
    there = [a for a in board.on_frame(label.key.index) if a.name in NEEDLE_NAMES and a.state is State.PROPOSED]
    models = [a.made.confidence or 0.0 for a in there if a.made.kind is Kind.PROPAGATED]
    visible = any(not isinstance(a.value, NotVisible) for a in there)
    return bool(models) and visible and min(models) >= (label.made.confidence or 0.0)
