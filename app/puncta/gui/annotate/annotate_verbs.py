"""What the keys and buttons of Annotate do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from puncta.annotation.commands import (
    Command,
    accept,
    accept_range,
    draw,
    erase,
    not_visible,
    reject,
    set_flag,
    set_note,
    set_phase,
)
from puncta.annotation.labels import LINE_SUFFIX, PHASE, LineLabel, PhaseLabel, Slot, State
from puncta.core.events import PlayState
from puncta.core.frame import Frame
from puncta.formats.dataset_values import Visibility
from puncta.gui.annotate.label_desk import joined
from puncta.gui.annotate.nothing_words import nothing_here, nothing_in_range
from puncta.gui.annotate.review_queue import next_in
from puncta.gui.annotate.steps_told import follow_step
from puncta.gui.annotate.things import NOT_VISIBLE_DIGIT, Shape, Thing, way_words
from puncta.gui.i18n import tr
from puncta.imaging.needle_pose import NeedlePose
from puncta.session.between_keys import NEEDLE, TIP, needle_values

if TYPE_CHECKING:
    from puncta.gui.annotate.adjudication import Adjudication
    from puncta.gui.annotate.annotator import Annotator
    from puncta.gui.annotate.label_help import LabelHelp
    from puncta.gui.annotate.worklist import Worklist

GAIN_STEP = 1.12


class AnnotateVerbs:
    """The verbs of one window's Annotate."""

    def __init__(self, annotator: Annotator) -> None:
        self._a = annotator
        self._since: int | None = None
        self._asked_at: int | None = None
        """The frame on which somebody asked for the thing in hand; -1 while the clip played."""

    @property
    def help(self) -> LabelHelp:
        """What proposes."""
        return self._a.help

    @property
    def adjudication(self) -> Adjudication:
        """Two readings that become one."""
        return self._a.adjudication

    @property
    def work(self) -> Worklist:
        """The rater's list of clips."""
        return self._a.work

    def ready(self) -> bool:
        """Whether labels are open; says why not."""
        if self._a.desk.board is None:
            self._a.say(self._a.following.why_not_open())
        return self._a.desk.board is not None

    # --- what is in hand ---------------------------------------------------------------------------------------

    def press_digit(self, digit: str) -> None:
        """Take a category in hand, or say "not visible", as a click on its row does; flags: this frame alone."""
        self.hold(digit, held=True, absent=False)
        self.hold(digit, held=False, absent=False)

    def hold(self, digit: str, *, held: bool, absent: bool) -> None:
        """Follow a digit's key."""
        annotator = self._a
        if annotator.desk.board is None:
            if held:
                self.ready()
            return
        if digit == NOT_VISIBLE_DIGIT:
            if held:
                self._since = annotator.index()
            elif self._since is not None:
                since, self._since = self._since, None
                now = annotator.index()
                why = Visibility.OUT_OF_PLANE if absent else Visibility.ABSENT
                self.say_not_visible(min(since, now), max(since, now), why)
            return
        thing = next((t for t in annotator.things if t.digit == digit), None)
        if thing is None:
            return
        if thing.is_flag:
            if held:
                annotator.flags.press(thing.name, 0 if absent else 1)
            else:
                annotator.flags.release(thing.name)
            annotator.show_held()
        elif held:
            self.take_up(thing)
            if annotator.shape is not None:
                annotator.say(way_words(thing, annotator.shape))

    def take_up(self, thing: Thing | None, *, asked: bool = True, next_way: bool = False) -> None:
        """Take a thing in hand; the one that was asked for on this frame already, in its next way to draw.

        Parameters
        ----------
        asked : bool
            Somebody asked for it; what a clip opens with was not, so that the first press of its digit changes nothing.
        next_way : bool
            What is in hand takes its next way, on whatever frame it was asked for.
        """
        annotator, desk = self._a, self._a.window.desk
        # On another frame the same digit means to go on as on the last one; while the clip plays, all are one.
        place = -1 if desk.player.status().state is PlayState.PLAYING else desk.aimed_index()
        again = asked and (next_way or self._asked_at in {place, -1})
        self._asked_at = place if asked else None
        annotator.hands.put_down()
        if again and thing is not None and thing is annotator.thing and annotator.shape in thing.ways:
            ways = thing.ways
            annotator.shape = ways[(ways.index(annotator.shape) + 1) % len(ways)]
        elif thing is None or thing is not annotator.thing or annotator.shape not in thing.ways:
            annotator.thing = thing
            annotator.shape = thing.ways[0] if thing is not None and thing.ways else None
        annotator.scene.handles_of = thing.name if thing is not None and annotator.shape is Shape.NEEDLE else None
        annotator.redraw()
        annotator.refresh()

    def put_down(self) -> bool:
        """Forget what is being drawn, else put the thing down; whether there was either."""
        annotator = self._a
        if annotator.hands.put_down():
            return True
        if annotator.jobs.running:
            annotator.help.stop()
            return True
        if annotator.thing is not None:
            annotator.thing = annotator.shape = annotator.scene.handles_of = None
            annotator.look_at(None)
            annotator.redraw()
            annotator.refresh()
            return True
        return False

    def wider(self, on: bool) -> None:
        """Make brush or needle wider or narrower; a needle drawn on this frame follows."""
        annotator = self._a
        if annotator.shape is Shape.BRUSH:
            annotator.say(tr("Brush {width}").format(width=annotator.width.step_brush(on)))
            return
        calibration = annotator.window.desk.calibration
        words = annotator.width.step_needle(on, calibration)
        annotator.say(tr("Needle {width}").format(width=words))
        self._redraw_needle()
        annotator.refresh()

    def _redraw_needle(self) -> None:
        """Give the needle that was drawn on this frame the width in hand."""
        annotator, board = self._a, self._a.desk.board
        analysis = annotator.view.analysis
        if board is None or analysis is None:
            return
        index = analysis.frame.key.index
        line = board.get(Slot(index, NEEDLE + LINE_SUFFIX))
        if line is None or not line.trusted or not isinstance(line.value, LineLabel):
            return
        pose = NeedlePose(line.value.tip_px, line.value.entry_px, annotator.width_px())
        height, width = analysis.frame.pixels.shape[:2]
        mask = needle_values(pose, (height, width), annotator.names).get(NEEDLE)
        if mask is not None:
            key = annotator.desk.key_of(index, analysis.frame)
            if annotator.desk.do(draw(board, NEEDLE, key, mask, title="Needle width")):
                annotator.help.drawn({NEEDLE})

    # --- one frame, a range ------------------------------------------------------------------------------------

    def span(self) -> tuple[int, int]:
        """The marked range; the whole clip where none is marked."""
        first, last = self._a.window.desk.loop_marks
        end = max(0, self._a.count - 1)
        return (0 if first is None else first, end if last is None else last)

    def accept(self) -> None:
        """Confirm what is proposed on the frame on the screen."""
        board, index = self._a.desk.board, self._a.index()
        if board is not None:
            closed = self._a.hands.close_polygon()
            self._do(accept(board, index), "" if closed else nothing_here(self._a, index))

    def accept_range(self) -> None:
        """Confirm what is proposed in the range."""
        board = self._a.desk.board
        if board is not None:
            command = accept_range(board, *self.span(), frame=self._a.index())
            self._do(command, nothing_in_range(self._a, *self.span()))

    def reject(self) -> None:
        """Reject what is proposed on the frame on the screen."""
        board, index = self._a.desk.board, self._a.index()
        if board is not None:
            self._do(reject(board, index, frame=index), nothing_here(self._a, index))

    def reject_range(self) -> None:
        """Reject what is proposed in the range."""
        board = self._a.desk.board
        if board is not None:
            command = reject(board, *self.span(), frame=self._a.index())
            self._do(command, nothing_in_range(self._a, *self.span()))

    def say_not_visible(self, first: int, last: int, why: Visibility = Visibility.ABSENT) -> None:
        """Say on every frame of a span that the thing in hand cannot be pointed at, and why."""
        annotator, board = self._a, self._a.desk.board
        if board is None:
            return
        thing = annotator.thing
        names = [thing.name] if thing is not None else []
        if not names or names[0] in {NEEDLE, TIP}:
            # Without a needle there is no tip, and the other way round.
            names = [name for name in (NEEDLE, TIP) if name in annotator.names]
        commands = [
            not_visible(board, name, annotator.desk.key_of(index, self._frame(index)), why)
            for index in range(first, last + 1)
            for name in names
        ]
        if self._do(joined("Not visible", commands, annotator.index())):
            annotator.redraw()
            annotator.help.drawn({NEEDLE})

    def erase(self) -> None:
        """Take away what is labelled on this frame of the thing in hand, or all of it."""
        annotator, board = self._a, self._a.desk.board
        if board is None:
            return
        index, thing = annotator.index(), annotator.thing
        labels = board.on_frame(index)
        names = {thing.name, thing.name + LINE_SUFFIX} if thing is not None else {a.name for a in labels}
        if thing is not None and thing.name == NEEDLE:
            names.add(TIP)
        slots = [a.slot for a in labels if a.name in names]
        if self._do(erase(board, slots, frame=index), tr("Nothing is labelled on this frame.")):
            annotator.help.drawn({NEEDLE})

    def set_flag(self, name: str, value: int, first: int, last: int) -> None:
        """Set a flag on every frame of a span."""
        annotator, board = self._a, self._a.desk.board
        if board is None or last < first:
            return
        keys = [annotator.desk.key_of(index, self._frame(index)) for index in range(first, last + 1)]
        annotator.desk.do(set_flag(board, name, value, keys, frame=annotator.index()))
        annotator.show_held()

    def stretch_flag(self, name: str, old_first: int, old_last: int, first: int, last: int) -> None:
        """A flag's ribbon was dragged by its edge."""
        annotator, board = self._a, self._a.desk.board
        label = board.get(Slot(old_first, name)) if board is not None else None
        if board is None or label is None:
            return
        value = getattr(label.value, "value", 1)
        gone = [i for i in range(old_first, old_last + 1) if not first <= i <= last]
        new = [i for i in range(first, last + 1) if not old_first <= i <= old_last]
        key_of = annotator.desk.key_of
        commands = [
            set_flag(board, name, None, [key_of(i) for i in gone]),
            set_flag(board, name, value, [key_of(i) for i in new]),
        ]
        self._do(joined("Flag range", commands, annotator.index()))

    def phase_here(self, phase: str) -> None:
        """Set the phase over the marked range, or from this frame on to where the next one begins."""
        annotator, board = self._a, self._a.desk.board
        if board is None or not annotator.count:
            return
        marks = annotator.window.desk.loop_marks
        if all(mark is not None for mark in marks):
            first, last = self.span()
        else:
            first = last = annotator.index()
            here = self._phase_on(first)
            while last + 1 < annotator.count and self._phase_on(last + 1) in {here, None}:
                last += 1
        keys = [annotator.desk.key_of(index) for index in range(first, last + 1)]
        self._do(set_phase(board, phase, keys, frame=annotator.index()))

    def next_phase(self) -> None:
        """Begin the label set's next phase on this frame."""
        label_set = self._a.desk.label_set
        names = [phase.name for phase in label_set.phases] if label_set is not None else []
        if not names:
            self._a.say(tr("This label set has no phases."))
            return
        here = self._phase_on(self._a.index())
        place = names.index(here) + 1 if here in names else 0
        if place < len(names):
            self.phase_here(names[place])

    def _phase_on(self, index: int) -> str | None:
        board = self._a.desk.board
        label = board.get(Slot(index, PHASE)) if board is not None else None
        return label.value.phase if label is not None and isinstance(label.value, PhaseLabel) else None

    def write_note(self, text: str) -> None:
        """Write the note of the frame on the screen; empty text takes it away."""
        annotator, board = self._a, self._a.desk.board
        if board is not None:
            index = annotator.index()
            self._do(set_note(board, annotator.desk.key_of(index, self._frame(index)), text))

    def begin_note(self) -> None:
        """Let the keys write into the note."""
        self._a.hold_picture()
        self._a.right.note.setFocus()

    # --- going about -------------------------------------------------------------------------------------------

    def go(self, index: int) -> None:
        """Go to a frame and hold it."""
        self._a.hold_picture()
        self._a.window.desk.seek(index)

    def next_doubt(self) -> None:
        """Go to the next frame of the queue; while two readings become one, to the next difference."""
        if self._a.adjudication.on:
            self._a.adjudication.next()
            return
        self._a.refresh()
        index = next_in(self._a.queue, self._a.window.desk.aimed_index())
        if index is None:
            self._a.say(tr("Nothing waits for a look."))
        else:
            self.go(index)

    def go_labelled(self, way: int) -> None:
        """Go to the next (1) or previous (-1) frame that somebody has labelled or confirmed by hand."""
        board = self._a.desk.board
        if board is None:
            return
        here = self._a.window.desk.aimed_index()
        there = [a.key.index for a in board if a.state is State.CONFIRMED and (a.key.index - here) * way > 0]
        if there:
            self.go(min(there) if way > 0 else max(there))
        else:
            self._a.say(tr("There is no labelled frame in this direction."))

    def undo(self) -> None:
        """Take back the last gesture on this frame; what lies between key frames is proposed anew at once."""
        if self._a.hands.put_down():
            return
        if self._a.adjudication.on:
            self._a.adjudication.steps.undo()
            return
        nothing, frame = lambda: self._a.say(tr("Nothing to take back here.")), self._a.index()
        self._a.desk.undo(frame, lambda changes: follow_step(self._a, changes, frame), nothing)

    def redo(self) -> None:
        """Make again what was taken back on this frame."""
        if self._a.adjudication.on:
            self._a.adjudication.steps.redo()
            return
        nothing, frame = lambda: self._a.say(tr("Nothing to make again here.")), self._a.index()
        self._a.desk.redo(frame, lambda changes: follow_step(self._a, changes, frame), nothing)

    def gain(self, more: bool) -> None:
        """Brighten or darken the view; labels, models and exports never see it."""
        preferences = self._a.window.preferences
        preferences.set_view(gain=preferences.settings.view.gain * (GAIN_STEP if more else 1 / GAIN_STEP))
        self._a.say(tr("Gain of the view {gain}").format(gain=f"{preferences.settings.view.gain:.2f}"))

    def toggle(self, what: str) -> None:
        """Switch ghost, magnifier or snapping."""
        annotator = self._a
        if what == "ghost":
            annotator.scene.ghost = on = not annotator.scene.ghost
            words = tr("The frame before shows dotted.") if on else tr("The frame before is hidden.")
        elif what == "magnifier":
            annotator.magnifier.wanted = on = not annotator.magnifier.wanted
            words = tr("Magnifier on.") if on else tr("Magnifier off.")
            annotator.look_at(annotator.view.cursor_point())
        else:
            annotator.hands.snaps = on = not annotator.hands.snaps
            words = tr("Needles snap to the bright line.") if on else tr("Needles stay where they are drawn.")
        annotator.redraw()
        annotator.say(words)

    # --- inside ------------------------------------------------------------------------------------------------

    def _frame(self, index: int) -> Frame | None:
        analysis = self._a.view.analysis
        return analysis.frame if analysis is not None and analysis.frame.key.index == index else None

    def _do(self, command: Command | None, nothing: str = "") -> bool:
        done = self._a.desk.do(command)
        if not done and nothing:
            self._a.say(nothing)
        return done
