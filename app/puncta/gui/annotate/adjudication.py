"""Two readings become one in the window: the consensus on the desk, the two readers over the picture, one key each.

While it is on, everything that is drawn goes into the layer of the consensus, and says whose hand it was. What the two
agree on is taken over by itself; what they differ on waits for an answer, the largest difference first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from puncta.annotation.adjudicate import CONSENSUS, agreed
from puncta.annotation.agreement import Agreement, agreement
from puncta.annotation.cases import Case
from puncta.annotation.commands import Board, Change, Command
from puncta.annotation.consensus_count import ConsensusCount
from puncta.annotation.disputes import Answer, Dispute, agreeing, answer, disputes, waiting_slots
from puncta.annotation.labels import FlagLabel, Label, PhaseLabel, State, is_machine
from puncta.annotation.reading import Reading, readings, saw_proposals
from puncta.annotation.store import AnnotationStore
from puncta.core.overlay import OverlayItem
from puncta.gui.annotate import adjudication_words as wording
from puncta.gui.annotate.adjudication_panel import AdjudicationPanel, Line
from puncta.gui.annotate.adjudication_scene import Shown, reading_items
from puncta.gui.annotate.agreement_card import AgreementCard
from puncta.gui.annotate.answer_steps import AnswerSteps
from puncta.gui.annotate.said import told_error
from puncta.gui.dialogs.export_labels import LabelExportDialog
from puncta.gui.i18n import tr
from puncta.session.label_exchange import Exported, export_labels

if TYPE_CHECKING:
    from puncta.gui.annotate.annotator import Annotator

ALONE = "{rater} alone is shown."
SHOWN_WORDS = {Shown.BOTH: "Both readings are shown.", Shown.A: ALONE, Shown.B: ALONE}


@dataclass(frozen=True, slots=True)
class Compared:
    """What a comparison of two readings gives."""

    boards: tuple[Board, Board]
    disputes: tuple[Dispute, ...]
    agreement: Agreement
    same: int
    taken_over: Command | None
    count: ConsensusCount


class Adjudication:
    """The adjudicating part of one window's Annotate."""

    def __init__(self, annotator: Annotator) -> None:
        self._a = annotator
        self.on = False
        self.readings: tuple[Reading, ...] = ()
        self.sides = ("", "")
        self.disputes: tuple[Dispute, ...] = ()
        self.at: int | None = None
        """Number of the difference in hand."""
        self.shown = Shown.BOTH
        self._boards: tuple[Board, Board] | None = None
        self._same = self._asked = 0
        self.count: ConsensusCount | None = None  # not known before the first comparison
        self._fresh = False
        self.steps = AnswerSteps(annotator)
        window = annotator.window
        self.panel = AdjudicationPanel(window.theme, window.does.run, self.go, self.choose)
        self.card = AgreementCard()

    # --- beginning and end -------------------------------------------------------------------------------------

    def toggle(self) -> None:
        """Begin with the case on the screen, or go back to one's own labels."""
        if self.on:
            self.stop()
            self._a.reopen()
            return
        case, rater = self._a.desk.case, self._a.desk.rater
        if case is None:
            return
        case_id = case.id
        self._a.store.ask(lambda store: readings(store, case_id, rater), self._begin, self._cannot)

    def stop(self) -> None:
        """End, whatever comes next: another clip, another mode, one's own labels."""
        if not self.on:
            return
        self.on = False
        self._asked += 1
        self.disputes, self.at, self._boards, self.steps.led_to = (), None, None, None
        self.count = None
        self._a.show_adjudication()

    def _cannot(self, error: Exception) -> None:
        self._a.say(told_error(error, tr("The readings cannot be compared.")))

    def _begin(self, found: Sequence[Reading]) -> None:
        annotator = self._a
        if not annotator.on or annotator.desk.info is None or annotator.desk.label_set is None:
            return
        if len(found) < 2:
            words = tr("Adjudication needs two readings; this case has confirmed labels of {raters}.")
            annotator.say(words.format(raters=", ".join(r.rater for r in found) or tr("nobody")))
            return
        self.readings, self.sides = tuple(found), (found[0].rater, found[1].rater)
        self.on, self.shown, self._fresh = True, Shown.BOTH, True
        annotator.hands.put_down()
        annotator.help.forget()  # it was for the reader's own layer
        annotator.show_adjudication()
        self.panel.show_readings(self.readings, self.sides)
        self.panel.show_busy()
        author = annotator.desk.rater
        annotator.desk.open(annotator.desk.info, annotator.desk.label_set, CONSENSUS, author=author)

    def opened(self) -> None:
        """The consensus layer is on the desk."""
        self.compare()

    def choose(self, first: str, second: str) -> None:
        """Compare two other readings."""
        if first == second or (first, second) == self.sides:
            self.panel.show_readings(self.readings, self.sides)
            return
        self.sides, self._fresh = (first, second), True
        self.panel.show_readings(self.readings, self.sides)
        self.panel.show_busy()
        self.compare()

    # --- comparing ---------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Somebody has labelled elsewhere: figures and differences follow, and the count of all readers' frames."""
        if self.on and not all(is_machine(rater) for rater in self._a.desk.changed_by):
            self.compare()

    def compare(self) -> None:
        """Compare the two readings on a thread of its own."""
        case, board = self._a.desk.case, self._a.desk.board
        if case is None or board is None:
            return
        self._asked += 1
        asked, sides, author = self._asked, self.sides, board.author
        consensus = Board(board.case_id, board.rater, board.snapshot().values(), author=author)

        def read(store: AnnotationStore) -> tuple[tuple[Label, ...], bool]:
            return store.labels(case.id), saw_proposals(store, case.id, sides)

        def work(found: tuple[tuple[Label, ...], bool]) -> None:
            self._a.window.jobs.run(
                lambda: _compared(case, consensus, sides, *found), lambda c: self._show(asked, c), self._cannot
            )

        self._a.store.ask(read, work, self._cannot, quiet=True)

    def _show(self, asked: int, compared: Compared) -> None:
        board = self._a.desk.board
        if asked != self._asked or not self.on or board is None:
            return
        before = self.disputes[self.at] if self.at is not None and self.at < len(self.disputes) else None
        self._boards, self.disputes, self._same = compared.boards, compared.disputes, compared.same
        self.count = compared.count
        self.card.show_agreement(compared.agreement, {t.name: tr(t.title) for t in self._a.things})
        if compared.taken_over is not None:
            self._a.desk.do(replace(compared.taken_over, automatic=True))
        same = [n for n, d in enumerate(self.disputes) if before is not None and d.slots == before.slots]
        self.at = same[0] if same else None
        if self._fresh or self.at is None:
            self._fresh = False
            self.next()
        self.refresh()
        self._a.changed()

    # --- answers -----------------------------------------------------------------------------------------------

    @property
    def dispute(self) -> Dispute | None:
        """The difference in hand."""
        return self.disputes[self.at] if self.at is not None and self.at < len(self.disputes) else None

    def go(self, number: int) -> None:
        """Take a difference in hand: its frame, and its thing ready to be drawn."""
        annotator = self._a
        self.at = number
        dispute = self.dispute
        if dispute is None:
            return
        if annotator.window.desk.aimed_index() != dispute.index:
            annotator.verbs.go(dispute.index)
        thing = next((t for t in annotator.things if t.name == dispute.name and not t.is_flag), None)
        if thing is not None and thing is not annotator.thing:
            annotator.verbs.take_up(thing)
        self.refresh()
        annotator.changed()

    def next(self, way: int = 1) -> None:
        """Go to the next difference without an answer, the largest first; round again at the end."""
        board = self._a.desk.board
        if board is None or not self.disputes:
            return
        count = len(self.disputes)
        start = self.at if self.at is not None else (-1 if way > 0 else 0)
        for step in range(1, count + 1):
            number = (start + way * step) % count
            if not self.disputes[number].settled(board):
                self.go(number)
                return
        self._a.say(tr("Every difference has an answer."))

    def give(self, given: Answer) -> None:
        """Write an answer, and go to the next difference; nobody answers what is not on the screen yet."""
        annotator, board, dispute = self._a, self._a.desk.board, self.dispute
        if board is None or dispute is None or annotator.hands.put_down():
            return
        if annotator.index() != dispute.index:
            annotator.say(wording.not_shown(dispute))
            if annotator.window.desk.aimed_index() != dispute.index:
                annotator.verbs.go(dispute.index)
            return
        command = answer(board, dispute, given, board.author)
        if command is None and not dispute.settled(board):
            annotator.say(wording.why_not(given, self.sides))
            return
        annotator.desk.do(command)
        self.next()
        self.steps.led_to = self.dispute.index if self.dispute is not None else None

    def taken_back(self, changes: Iterable[Change]) -> None:
        """Say that an answer was taken back, and take its difference in hand again."""
        board, slots = self._a.desk.board, {change.slot for change in changes}
        touched = [n for n, d in enumerate(self.disputes) if slots & set(d.slots)]
        waiting = [n for n in touched if board is not None and not self.disputes[n].settled(board)]
        if not touched:
            self._a.say(tr("Taken back. The readings differ no more there."))
        elif waiting:
            dispute = self.disputes[waiting[0]]
            if dispute.index == self._a.window.desk.aimed_index():
                self.go(waiting[0])
            words = tr("Frame {index}, {thing}: the answer is taken back and waits again.")
            self._a.say(words.format(index=f"{dispute.index:03d}", thing=self._title(dispute.name)))
        self._a.refresh()

    def made_again(self, changes: Iterable[Change]) -> None:
        """Say that an answer stands again."""
        board, slots = self._a.desk.board, {change.slot for change in changes}
        found = (d for d in self.disputes if slots & set(d.slots) and board is not None and d.settled(board))
        dispute = next(found, None)
        words = tr("Frame {index}, {thing}: the answer stands again.") if dispute is not None else tr("Made again.")
        if dispute is not None:
            words = words.format(index=f"{dispute.index:03d}", thing=self._title(dispute.name))
        self._a.say(words)
        self._a.refresh()

    def draw_own(self) -> None:
        """Take the thing of the difference in hand, in its next way to draw."""
        annotator, dispute = self._a, self.dispute
        thing = next((t for t in annotator.things if dispute is not None and t.name == dispute.name), None)
        if thing is None or thing.is_flag:
            annotator.say(tr("This has no place in the picture: take one of the two, or say that it is absent."))
            return
        annotator.verbs.take_up(thing, next_way=True)
        annotator.say(tr("Draw it; the label is yours. {key} goes on.").format(key=annotator.key_words("next_doubt")))

    def turn(self) -> None:
        """Show both readings, one alone, the other alone."""
        order = list(Shown)
        self.shown = order[(order.index(self.shown) + 1) % len(order)]
        rater = self.sides[0] if self.shown is Shown.A else self.sides[1]
        self._a.say(tr(SHOWN_WORDS[self.shown]).format(rater=rater))
        self._a.redraw()

    def export(self) -> None:
        """Write the labels of the consensus as files."""
        annotator, case = self._a, self._a.desk.case
        if case is None:
            return
        if annotator.desk.board is not None and self.count is not None:
            self.count.look(annotator.desk.board)
            annotator.say(wording.waiting_words(self.count))
        name = "".join(c if c.isalnum() else "-" for c in Path(case.title).stem).strip("-") or "case"
        folder = Path.home() / f"{name}-{CONSENSUS}"
        dialog = LabelExportDialog(tr("Export the consensus"), folder, annotator.window)
        dialog.buttons.accepted.connect(lambda: self._export(dialog, case))
        annotator.window.does.show_dialog(dialog, "export_labels")

    def _export(self, dialog: LabelExportDialog, case: Case) -> None:
        folder, kind = dialog.folder, dialog.kind
        dialog.show_busy(True)

        def done(exported: Exported) -> None:
            words = tr("{labels} labels on {frames} frames are in {folder}")
            folder = exported.folder
            self._a.say(words.format(labels=exported.labels, frames=exported.frames, folder=folder))
            dialog.accept()

        def failed(error: Exception) -> None:
            dialog.show_busy(False, told_error(error, tr("The labels cannot be written.")))

        def write(store: AnnotationStore) -> None:
            self._a.window.jobs.run(
                lambda: export_labels(store, folder, kind, [case], rater=CONSENSUS), done, failed
            )

        # After the gestures that are under way; then beside the store's own thread, which goes on saving.
        self._a.store.ask(lambda store: store, write, failed, quiet=True)

    # --- what is seen ------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Bring the list up to what has an answer."""
        board = self._a.desk.board
        if not self.on or board is None or self._boards is None:
            return
        open_ones = [n for n, d in enumerate(self.disputes) if n == self.at or not d.settled(board)]
        settled = sum(d.settled(board) for d in self.disputes)
        lines = [Line(n, self._line_words(self.disputes[n]), wording.figure(self.disputes[n])) for n in open_ones]
        if settled == len(self.disputes):
            lines = []
        alone = wording.frames_in_words(wording.judged_alone(self.disputes, self._boards, board))
        self.panel.show_differences(lines, self.at, settled, len(self.disputes), self._same, alone)
        dispute = self.dispute
        self.panel.show_answers(
            {
                "take_a": dispute is not None and bool(dispute.a),
                "take_b": dispute is not None and bool(dispute.b),
                "draw_own": dispute is not None and not self._is_flag(dispute),
                "both_absent": dispute is not None and not self._is_phase(dispute),
                "consensus_export": True,
            }
        )

    def words(self) -> tuple[str, str, str]:
        """What the line below the picture says: words, shape, tone."""
        dispute, board = self.dispute, self._a.desk.board
        if dispute is None or board is None or self._boards is None:
            return tr("The two readings are being compared."), "clock", "neutral"
        title = self._title(dispute.name)
        both = zip(self.sides, (dispute.a, dispute.b), self._boards)
        sides = [f"{rater}: {wording.said(labels, side, dispute)}" for rater, labels, side in both]
        told = dispute.text if wording.both_drawn(dispute) else "; ".join(sides)
        words = f"{tr('Frame {index}').format(index=dispute.index)}, {title}. {told}."
        if dispute.settled(board):
            label = next((x for s in dispute.slots if (x := board.get(s)) is not None), None)
            words = f"{words} {tr('Consensus: {answer}.').format(answer=wording.answered(label))}"
            return words, "circle", "good"
        return words, "ring", "caution"

    def items(self, index: int, point: float) -> list[OverlayItem]:
        """The two readings of a frame."""
        if not self.on or self._boards is None:
            return []
        board = self._a.desk.board
        own = board.on_frame(index) if board is not None else ()
        done = frozenset(x.slot.category for x in own if x.trusted)
        items: list[OverlayItem] = []
        for side, first, alone in zip(self._boards, (True, False), (Shown.A, Shown.B)):
            if self.shown in {Shown.BOTH, alone}:
                labels = [x for x in side.on_frame(index) if x.state is not State.REJECTED and x.trusted]
                items += reading_items(labels, first, point, self._a.scene.mask_at, done)
        return items

    def open_frames(self) -> tuple[list[int], list[int]]:
        """Frames with a difference that has no answer, and frames whose differences all have one."""
        board = self._a.desk.board
        if board is None:
            return [], []
        waiting = {d.index for d in self.disputes if not d.settled(board)}
        return sorted(waiting), sorted({d.index for d in self.disputes} - waiting)

    def _line_words(self, dispute: Dispute) -> str:
        return f"{dispute.index:03d}  {self._title(dispute.name)}"

    def _title(self, name: str) -> str:
        thing = next((t for t in self._a.things if t.name == name), None)
        return tr(thing.title) if thing is not None else tr(name.capitalize())

    def _is_flag(self, dispute: Dispute) -> bool:
        return any(isinstance(x.value, FlagLabel | PhaseLabel) for x in (*dispute.a, *dispute.b))

    def _is_phase(self, dispute: Dispute) -> bool:
        return any(isinstance(x.value, PhaseLabel) for x in (*dispute.a, *dispute.b))


def _compared(
    case: Case, consensus: Board, sides: tuple[str, str], labels: Sequence[Label], proposals: bool
) -> Compared:
    a, b = (tuple(x for x in labels if x.rater == rater) for rater in sides)
    found = disputes(case, a, b)
    boards = tuple(Board(case.id, side[0].rater if side else "", side) for side in (a, b))
    return Compared(
        (boards[0], boards[1]),
        found,
        agreement(case, a, b, proposals=proposals),
        agreeing(a, b, found),
        agreed(consensus, case, a, b, consensus.author, waiting=waiting_slots(found)),
        ConsensusCount(labels),
    )
