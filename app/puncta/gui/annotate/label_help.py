"""Help with labels in the window: what lies between key frames, what models carry on, and how it comes to the board."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from puncta.annotation.commands import Board, erase, propose
from puncta.annotation.labels import LINE_SUFFIX, Kind, Label, NotVisible, Slot, State
from puncta.annotation.reading import visible_suggestions
from puncta.annotation.store import AnnotationStore
from puncta.annotation.store_suggestions import Suggestion
from puncta.gui.annotate.help_jobs import ONWARD, Piece
from puncta.gui.annotate.label_desk import joined
from puncta.gui.i18n import tr
from puncta.imaging.needle_pose import NeedlePose
from puncta.session.between_keys import NEEDLE, TIP, KeyPose
from puncta.session.proposing import prompt_of

if TYPE_CHECKING:
    from puncta.gui.annotate.annotator import Annotator

NEEDLE_NAMES = (NEEDLE, NEEDLE + LINE_SUFFIX, TIP)


class LabelHelp:
    """Asks for proposals and lays them onto the board; confirmed labels are never touched."""

    def __init__(self, annotator: Annotator) -> None:
        self._a = annotator
        self._wanted = False
        self._filled: dict[tuple[int, int], tuple[NeedlePose | None, NeedlePose | None]] = {}

    def drawn(self, names: set[str]) -> None:
        """Something was drawn."""
        if names & set(NEEDLE_NAMES):
            self.refill()

    def refill(self) -> None:
        """Propose the frames between key frames, where needles were drawn or hidden by hand."""
        annotator, board, case, info = self._a, self._a.desk.board, self._a.desk.case, self._a.desk.info
        if board is None or case is None or info is None:
            return
        self._wanted = annotator.jobs.running == ONWARD
        if self._wanted:
            return  # when the models are done
        keys = self.key_poses()
        if len(keys) < 2:
            return
        wanted = [index for a, b in zip(keys, keys[1:]) for index in self._wanted_between(a, b)]
        self._filled = {(a.index, b.index): (a.pose, b.pose) for a, b in zip(keys, keys[1:])}
        if wanted:
            calibration = annotator.window.desk.calibration
            annotator.jobs.between(info.uri, case.id, keys, wanted, annotator.names, calibration)

    def key_poses(self) -> list[KeyPose]:
        """Needles that a person has drawn or confirmed one by one, and frames said to show none, in order."""
        board = self._a.desk.board
        keys: list[KeyPose] = []
        for index in board.labelled_frames() if board is not None else ():
            assert board is not None
            lines = [board.get(Slot(index, name)) for name in (NEEDLE + LINE_SUFFIX, NEEDLE)]
            there = [a for a in lines if a is not None and a.state is State.CONFIRMED]
            if not there:
                continue
            hidden = any(isinstance(a.value, NotVisible) for a in there)
            pose = None if hidden else self._a.pose_on(index)
            if hidden or pose is not None:
                keys.append(KeyPose(index, pose))
        return keys

    def _wanted_between(self, a: KeyPose, b: KeyPose) -> list[int]:
        """Frames between two key frames that wait for a proposal; none where they have the one of these two needles."""
        board = self._a.desk.board
        if board is None or (a.pose is None) != (b.pose is None):
            return []
        filled = self._filled.get((a.index, b.index))
        if filled == (a.pose, b.pose):
            return []
        base = f"frames {a.index} and {b.index}"
        wanted, fresh = [], filled is None
        for index in range(a.index + 1, b.index):
            labels = [label for label in board.on_frame(index) if label.name in NEEDLE_NAMES]
            if any(label.trusted or label.state is State.REJECTED for label in labels):
                continue
            wanted.append(index)
            fresh = fresh and any(label.made.base == base for label in labels)
        return [] if fresh else wanted

    def propagate(self, way: int) -> None:
        """Let the models carry the needle from this frame to the end of the range (1) or to its beginning (-1)."""
        annotator, board, case, info = self._a, self._a.desk.board, self._a.desk.case, self._a.desk.info
        if board is None or case is None or info is None:
            return
        if not annotator.work.may_propose:
            annotator.say(tr("This is a blind reading; models propose nothing here."))
            return
        index = annotator.index()
        first, last = annotator.verbs.span()
        end = last if way > 0 else first
        if (end - index) * way <= 0:
            annotator.say(tr("The range ends here. Mark another one, or go to its other end."))
            return
        values = [a.value for a in board.on_frame(index) if a.name in NEEDLE_NAMES and a.state is not State.REJECTED]
        calibration = annotator.window.desk.calibration
        annotator.jobs.onward(info.uri, case.id, (index, end), prompt_of(values), annotator.names, calibration)
        annotator.right.show_progress((0, abs(end - index) + 1), tr("Models are loading"))

    def stop(self) -> None:
        """End the help under way; what it has proposed stays."""
        self._a.jobs.cancel()
        self._a.right.show_progress(None)

    def take(self) -> None:
        """Lay what came onto the board; confirmed labels are passed over."""
        annotator = self._a
        for piece in annotator.jobs.take():
            board = annotator.desk.board
            if board is None or piece.case_id != board.case_id:
                continue
            if piece.failure:
                annotator.window.stage.banners.say("help", "caution", piece.failure)
            if piece.labels:
                self._lay(piece)
            if piece.kind == ONWARD and not piece.ended:
                words = tr("{done} of {total} frames").format(done=piece.done, total=piece.total)
                annotator.right.show_progress((piece.done, piece.total), words)
        if not annotator.jobs.running:
            annotator.right.show_progress(None)
            annotator.refresh()
            if self._wanted:
                self.refill()

    def _lay(self, piece: Piece) -> None:
        annotator, board, case = self._a, self._a.desk.board, self._a.desk.case
        assert board is not None and case is not None
        labels = piece.labels
        if piece.kind == ONWARD:
            # What lies between key frames is compared when these two needles are followed; here it stays.
            known = {a.key.index for a in board if a.name in NEEDLE_NAMES and a.made.kind is Kind.INTERPOLATED}
            labels = tuple(a for a in labels if a.key.index not in known)
        else:
            labels = tuple(a for a in labels if not _surer(board, a))
        labels = tuple(a for a in labels if (b := board.get(a.slot)) is None or b.state is not State.REJECTED)
        title = "Between key frames" if piece.kind != ONWARD else "Propagate"
        fresh = {(a.key.index, a.slot) for a in labels}
        frames = {a.key.index for a in labels}
        stale = [
            a.slot
            for index in frames
            for a in board.on_frame(index)
            if a.name in NEEDLE_NAMES and a.state is State.PROPOSED and (index, a.slot) not in fresh
        ]
        commands = [propose(board, labels, title=title), erase(board, stale)]
        whole = joined(title, commands)
        if whole is not None:
            annotator.desk.do(replace(whole, automatic=True))
        if piece.suggestions:
            told = {s.index for s in piece.suggestions}
            annotator.suggestions = (*(s for s in annotator.suggestions if s.index not in told), *piece.suggestions)
            self._keep_suggestions(case.id)

    def read_suggestions(self) -> None:
        """Take up what was suggested before; nothing in a blind reading, since a queue tells what models think."""
        annotator, case = self._a, self._a.desk.case
        if case is None:
            return
        case_id, rater = case.id, annotator.desk.rater

        def show(found: tuple[Suggestion, ...]) -> None:
            if annotator.desk.case is not None and annotator.desk.case.id == case_id:
                annotator.suggestions = found
                annotator.changed()

        annotator.store.ask(lambda store: visible_suggestions(store, case_id, rater), show)

    def _keep_suggestions(self, case_id: str) -> None:
        by_source: dict[str, list[Suggestion]] = {}
        for suggestion in self._a.suggestions:
            by_source.setdefault(suggestion.source, []).append(suggestion)

        def keep(store: AnnotationStore) -> None:
            for source, found in by_source.items():
                store.put_suggestions(case_id, source, found)

        self._a.store.ask(keep)


def _surer(board: Board, label: Label) -> bool:
    """Whether what a model proposes on the frame is surer than this: then that stays."""
    there = [a for a in board.on_frame(label.key.index) if a.name in NEEDLE_NAMES and a.state is State.PROPOSED]
    models = [a.made.confidence or 0.0 for a in there if a.made.kind is Kind.PROPAGATED]
    visible = any(not isinstance(a.value, NotVisible) for a in there)
    return bool(models) and visible and min(models) >= (label.made.confidence or 0.0)
