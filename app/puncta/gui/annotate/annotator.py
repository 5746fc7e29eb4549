"""Everything of one window that belongs to Annotate: its parts, and how they follow the picture and the labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer

from puncta.annotation.labels import LINE_SUFFIX, Slot, State
from puncta.annotation.store_suggestions import Suggestion
from puncta.core.errors import UserError
from puncta.core.events import PlayState
from puncta.core.geometry import PointPx
from puncta.core.last_seen import LostTip
from puncta.core.overlay import OverlayScene, OverlayStyle
from puncta.core.results import Analysis
from puncta.formats.label_sets import LabelSet, find_label_set
from puncta.gui.actions import ADJUDICATE
from puncta.gui.annotate.adjudication import Adjudication
from puncta.gui.annotate.annotate_verbs import AnnotateVerbs
from puncta.gui.annotate.blind import BlindReading
from puncta.gui.annotate.flag_hold import FlagHold
from puncta.gui.annotate.following import Following
from puncta.gui.annotate.hands import LabelHands
from puncta.gui.annotate.help_jobs import HelpJobs
from puncta.gui.annotate.label_desk import LabelDesk
from puncta.gui.annotate.label_help import LabelHelp
from puncta.gui.annotate.left_panel import AnnotatePanel
from puncta.gui.annotate.magnifier import Magnifier
from puncta.gui.annotate.needle_width import NeedleWidth
from puncta.gui.annotate.parts_shown import assemble, known_label_sets, show_adjudication
from puncta.gui.annotate.review_queue import Doubt
from puncta.gui.annotate.right_panel import AnnotateInspector
from puncta.gui.annotate.saved_sign import SavedSign
from puncta.gui.annotate.scene import LabelScene
from puncta.gui.annotate.status import AnnotateStatus
from puncta.gui.annotate.store_thread import StoreThread
from puncta.gui.annotate.strip import ProposalStrip
from puncta.gui.annotate.things import Shape, Thing, things_of
from puncta.gui.annotate.worklist import Worklist
from puncta.gui.dialogs.rater import RaterDialog
from puncta.gui.modes.annotate import AnnotateBar
from puncta.gui.video.tools import Tool
from puncta.imaging.needle_pose import NeedlePose
from puncta.session.between_keys import NEEDLE, TIP, pose_of_labels
from puncta.sources.factory import open_source

if TYPE_CHECKING:
    from puncta.gui.main_window import MainWindow
    from puncta.gui.video.view import VideoView

REFRESH_MS = 30
"""Panels and ribbons follow the labels at most this often."""
USUAL_SET = "needle"

Composer = Callable[[Analysis, OverlayStyle, int | None, Sequence[LostTip]], OverlayScene]


class Annotator(QObject):
    """The annotating parts of one window.

    Attributes
    ----------
    desk : LabelDesk
        The labels.
    verbs : AnnotateVerbs
        What keys and buttons do.
    """

    def __init__(self, window: MainWindow, where: Path | str | None = None) -> None:
        super().__init__(window)
        self.window = window
        self.store = StoreThread(where, self)
        self.desk = LabelDesk(self.store, self)
        self.jobs = HelpJobs(open_source, self)
        self.hands = LabelHands(self)
        self.scene = LabelScene(self.desk, self.scale, lambda: self.hands.draft)
        self.width = NeedleWidth(window.preferences)
        self.verbs = AnnotateVerbs(self)
        self.help = LabelHelp(self)
        self.following = Following(self)
        self.work = Worklist(self)
        self.blind = BlindReading(self)
        run = window.does.run
        theme = window.theme
        self.bar = AnnotateBar(window.desk, theme, run)
        self.left = AnnotatePanel(theme, self.verbs.go, self.verbs.press_digit, self.verbs.phase_here, self.choose_set)
        self.right = AnnotateInspector(theme, run, self.verbs.write_note)
        self.strip = ProposalStrip(theme, run)
        self.status = AnnotateStatus(theme, self.ask_rater)
        self.saved = SavedSign(self)
        self.magnifier = Magnifier(window.stage.view, theme)
        self.flags = FlagHold(self.index, lambda: self.count, self.verbs.set_flag)
        self.things: tuple[Thing, ...] = ()
        self.thing: Thing | None = None
        self.shape: Shape | None = None
        self.queue: tuple[Doubt, ...] = ()
        self.suggestions: tuple[Suggestion, ...] = ()
        self.wanted = False
        """The next clip that opens is one to annotate."""
        self._inner: Composer = window.stage.view.compose
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(REFRESH_MS)
        self._timer.timeout.connect(self.refresh)
        self._on = False
        self.adjudication: Adjudication = Adjudication(self)
        assemble(self)
        self._connect()

    def _connect(self) -> None:
        view = self.window.stage.view
        view.compose = self.compose
        self.desk.opened.connect(self._opened)
        self.desk.changed.connect(self.changed)
        self.desk.saved.connect(self.saved.show)
        self.desk.failed.connect(self.saved.fail)
        self.desk.others.connect(self.adjudication.look)
        self.left.adjudicate.clicked.connect(self.adjudication.toggle)
        self.jobs.came.connect(self.help.take)
        self.bar.timeline.stretched.connect(self.verbs.stretch_flag)
        self.left.sheet.clicked.connect(lambda: self.show_sheet())
        self.window.desk.loop_changed.connect(self.refresh)
        self.window.desk.loop_changed.connect(self.help.follow_range)

    # --- what others ask ---------------------------------------------------------------------------------------

    @property
    def on(self) -> bool:
        """Whether the window is in Annotate."""
        return self.window.mode == "annotate"

    @property
    def view(self) -> VideoView:
        """The picture."""
        return self.window.stage.view

    @property
    def names(self) -> tuple[str, ...]:
        """Categories of the label set."""
        label_set = self.desk.label_set
        return tuple(c.name for c in label_set.categories) if label_set is not None else ()

    @property
    def count(self) -> int:
        """Frames of the clip."""
        info = self.window.desk.info
        return (info.frame_count or 0) if info is not None else 0

    def index(self) -> int:
        """The frame on the screen."""
        return self.window.desk.shown_index()

    def scale(self) -> float:
        """Display points to a source pixel."""
        return self.view.transform().scale

    def width_px(self) -> float:
        """Width of the needle in hand [px]."""
        return self.width.needle_px(self.window.desk.calibration)

    def brush_px(self) -> float:
        """Width of the brush [px]."""
        return self.width.brush_px

    def pose_on(self, index: int) -> NeedlePose | None:
        """The straight needle of a frame, confirmed or proposed."""
        board = self.desk.board
        if board is None:
            return None
        labels = [board.get(Slot(index, name)) for name in (NEEDLE + LINE_SUFFIX, NEEDLE, TIP)]
        values = [a.value if a is not None and a.state is not State.REJECTED else None for a in labels]
        return pose_of_labels(*values)

    def hold_picture(self) -> None:
        """What is drawn belongs to the picture on the screen: hold it."""
        if self.window.desk.status.state is PlayState.PLAYING:
            self.window.desk.player.pause()

    def redraw(self) -> None:
        """Compose the overlay of the picture on the screen anew."""
        self.view.set_style(self.window.overlay_style())

    def look_at(self, point_px: PointPx | None) -> None:
        """Let the magnifier follow the hand while something is drawn or about to be."""
        inside = point_px is not None and self.on and self.thing is not None
        analysis = self.view.analysis
        if inside and point_px is not None and analysis is not None:
            height, width = analysis.frame.pixels.shape[:2]
            inside = -0.5 <= point_px[0] <= width - 0.5 and -0.5 <= point_px[1] <= height - 0.5
        self.magnifier.look_at(point_px if inside else None)

    def say(self, words: str) -> None:
        """Say something in the status line."""
        self.window.status_line.say(words)

    # --- the mode ----------------------------------------------------------------------------------------------

    def follow_mode(self) -> None:
        """Show or take away what belongs to Annotate; called by `MainWindow.set_mode`."""
        window, on = self.window, self.on
        if not on and not self._on:
            return
        self._on = on
        for part in (self.right, self.strip, self.status):
            part.setVisible(on)
        self.left.setVisible(on and not self.adjudication.on)
        for other in (window.sources, window.layers, window.inspector, window.stage.read_outs, window.top.latency):
            other.setVisible(not on)
        window.stage.buttons["target"].setVisible(not on)
        window.stage.try_card.set_labelling(on)
        if on:
            window.guidance.panel.setVisible(False)
            window.stage.set_tool(Tool.NONE)
            self.view.hands = self.hands
            self._open_case()
        else:
            self.flags.drop()
            self.hands.put_down()
            self.jobs.cancel()
            self.help.hush()
            self.blind.look()
            if self.adjudication.on:
                self.adjudication.stop()
                self.desk.close()
            self.magnifier.look_at(None)
            if self.view.hands is self.hands:
                self.view.hands = None
        window.stage.say_hint("")
        self.redraw()
        window.room.restyle()
        if not on:
            window.show_figures()  # a held picture does not come again
        self.refresh()

    def take_source(self) -> bool:
        """Another clip is open; whether it is one to annotate."""
        annotates = self.on or self.wanted
        self.wanted = False
        self.flags.forget()
        self.hands.put_down()
        self.magnifier.look_at(None)
        self.adjudication.stop()
        self._forget()
        self.blind.begin()
        return annotates

    def _forget(self) -> None:
        """Another clip or reader: nothing of the one before stays, least of all for somebody who reads blind."""
        self.desk.close()
        self.suggestions, self.queue = (), ()
        self.work.close()
        self.help.forget()
        self.following.forget()

    def ask_rater(self) -> None:
        """Ask who is labelling; the clip waits for the answer."""
        self.hold_picture()
        dialog = RaterDialog(self.window.preferences.settings.rater, self.window)

        def done(result: int) -> None:
            if result and dialog.rater():
                self.window.preferences.set("rater", dialog.rater())
                self.adjudication.stop()
                self.window.status_line.hush()  # it may name other readers
                self.blind.begin()
                self.reopen()
            self.refresh()
            self.window.activateWindow()
            self.view.setFocus()  # else the first key goes where the focus was before, or nowhere

        dialog.finished.connect(done)
        self.window.does.show_dialog(dialog, "rater")

    def reopen(self) -> None:
        """Open the labels of what is on the screen anew."""
        self._forget()
        self._open_case()

    def _open_case(self) -> None:
        """Open the labels of what is on the screen, unless they are open."""
        info, rater = self.window.desk.info, self.window.preferences.settings.rater
        if self.adjudication.on:
            return
        self.status.show_rater(rater)
        if info is None or not info.seekable:
            return
        if not rater:
            self.ask_rater()
            return
        if self.desk.info is not None and self.desk.info.uri == info.uri and self.desk.rater == rater:
            return
        usual = str(self.window.preferences.settings.annotate.get("label_set", USUAL_SET))
        try:
            label_set = find_label_set(usual) or find_label_set(USUAL_SET)
        except UserError as error:
            self.saved.fail(str(error))
            return
        if label_set is not None:
            self.desk.open(info, label_set, rater)

    def _opened(self) -> None:
        """The labels of a clip are there."""
        self.saved.failure = ""
        label_set = self.desk.label_set
        self.things = things_of(label_set) if label_set is not None else ()
        self.left.show_sets(known_label_sets(), label_set.id if label_set is not None else "")
        self.left.show_label_set(label_set, self.things)
        placed = [t for t in self.things if not t.is_flag]
        needle = next((t for t in placed if t.name == NEEDLE), None)
        chosen = needle or (placed[0] if placed else None)
        self.verbs.take_up(chosen, asked=False)
        if self.adjudication.on:
            self.adjudication.opened()
            return
        self.work.look(self.help.begin)
        self.help.refill()

    def choose_set(self, set_id: str) -> None:
        """Label this clip with another label set; labels of the old one stay."""
        case = self.desk.case
        self.window.preferences.settings.annotate["label_set"] = set_id
        self.window.preferences.touch("annotate")
        label_set = find_label_set(set_id)
        if case is not None and label_set is not None and self.desk.info is not None:
            self.desk.open(self.desk.info, label_set, self.desk.rater, change_set=True)

    def show_sheet(self) -> None:
        """Show the protocol sheet of the label set."""
        label_set: LabelSet | None = self.desk.label_set
        if label_set is not None and label_set.protocol:
            from puncta.gui.dialogs.protocol import ProtocolDialog

            self.window.does.show_dialog(ProtocolDialog(label_set, self.window), "protocol")

    # --- following ---------------------------------------------------------------------------------------------

    def compose(
        self, analysis: Analysis, style: OverlayStyle, now_ns: int | None, lost: Sequence[LostTip] = ()
    ) -> OverlayScene:
        """The labels in Annotate, else what was composed before."""
        if self.on:
            return self.scene.compose(analysis, style, now_ns, lost)
        return self._inner(analysis, style, now_ns, lost)

    def show_picture(self) -> None:
        """Another picture is on the screen."""
        if not self.on:
            return
        if self.flags.held is not None:
            self.flags.follow()
            self.show_held()
        if not self._timer.isActive():
            self._timer.start()

    def set_keys(self, words: Mapping[str, str]) -> None:
        """Name the keys."""
        for part in (self.bar, self.right, self.strip, self.adjudication.panel):
            part.set_keys(words)

    def changed(self) -> None:
        """The labels, or what is suggested, are other ones."""
        if self.on:
            self.redraw()
            self._timer.start()

    def refresh(self) -> None:
        """Bring panels and ribbons up to the labels and the frame on the screen."""
        if self.on:
            self.following.refresh()

    def show_adjudication(self) -> None:
        """Show what belongs to adjudicating, or what belongs to labelling alone."""
        show_adjudication(self)
        self.redraw()

    @property
    def key_mode(self) -> str:
        """Mode of the keys."""
        return ADJUDICATE if self.adjudication.on else "annotate"

    def key_words(self, action: str) -> str:
        """The key of an action, as the keyboard names it."""
        return self.window.keyboard.words().get(action, "")

    def show_held(self) -> None:
        """Follow the keys of flags."""
        held = self.flags.held
        self.bar.timeline.set_held(None if held is None else (held.name, held.since, held.value > 0))

    def close(self) -> None:
        """End what runs: help first, then the store, which commits what is under way."""
        self._timer.stop()
        self.flags.forget()
        self.jobs.close()
        self.store.close()
