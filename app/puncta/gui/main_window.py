"""The window: panels round one picture, and what each action does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtGui import QCloseEvent, QDragEnterEvent, QDropEvent, QResizeEvent
from PySide6.QtWidgets import (
    QApplication,
    QMainWindow,
    QSplitter,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from puncta import paths
from puncta.core.events import PlayState
from puncta.core.overlay import Layer, OverlayStyle
from puncta.gui.actions import STEER
from puncta.gui.annotate.annotator import Annotator
from puncta.gui.bridge import Jobs
from puncta.gui.captured import Captured
from puncta.gui.chores import Chore
from puncta.gui.desk import Desk
from puncta.gui.guidance import Guidance
from puncta.gui.i18n import tr
from puncta.gui.keyboard import Keyboard
from puncta.gui.menus import make_menu
from puncta.gui.models.modeller import Modeller
from puncta.gui.modes.annotate import AnnotateBar
from puncta.gui.modes.live import LiveBar
from puncta.gui.modes.models import ModelsBar
from puncta.gui.modes.review import ReviewBar
from puncta.gui.modes.steer import SteerBar
from puncta.gui.panels.finding_rows import finding_tiles
from puncta.gui.panels.inspector import Inspector
from puncta.gui.panels.latency import show_source_failure, show_source_state
from puncta.gui.panels.layers_panel import LayersPanel
from puncta.gui.panels.parts import restyle_all
from puncta.gui.panels.source_panel import SourcePanel, words_of
from puncta.gui.panels.status_line import StatusLine
from puncta.gui.panels.top_bar import TopBar
from puncta.gui.preferences import Preferences
from puncta.gui.prompting import Prompting
from puncta.gui.recording import Recording
from puncta.gui.remembered import remembered_ruler
from puncta.gui.room import Room, side_panel
from puncta.gui.second_screen import SecondScreen
from puncta.gui.steering.cockpit import Cockpit
from puncta.gui.theme import apply_theme, make_theme
from puncta.gui.thumbnails import Thumbnails
from puncta.gui.veil import absence
from puncta.gui.video.stage import Stage
from puncta.gui.video.tools import Tool
from puncta.gui.window_actions import WindowActions

FIGURES_MS = 100
"""Figures change at most this often, so that they can be read [ms]: after a picture, or a little later without one."""


class MainWindow(QMainWindow):
    """Joins desk, panels and keys. Pictures reach the view by `Desk.analysis`, never by a signal."""

    closed = Signal()

    def __init__(self, desk: Desk, preferences: Preferences, jobs: Jobs, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("window")
        self.setWindowTitle("Puncta")
        self.setAcceptDrops(True)
        self.setMinimumSize(760, 520)
        self.desk, self.preferences, self.jobs = desk, preferences, jobs
        settings = preferences.settings
        self.theme = make_theme(settings.theme, settings.font_scale, settings.touch_size)
        self.thumbnails = Thumbnails(jobs)
        self.mode = "review"
        self._thumbnail_of = ""
        self._shown_index = 0
        self.room = Room(self)
        self.does = WindowActions(self)
        run: Callable[[str], None] = self.does.run
        self.keyboard = Keyboard(self, run, self.does.hold)
        self.top = TopBar(self.theme, run, make_menu(self, self.keyboard.actions, preferences, self.open_uri))
        self.sources = SourcePanel(self.theme, self.thumbnails, self.open_uri, lambda: run("open"))
        self.layers = LayersPanel(preferences, self.theme)
        self.stage = Stage(self.theme, run)
        self.inspector = Inspector(self.theme, self.does.switch_plugin, self.does.set_option)
        self.live, self.review = LiveBar(desk, self.theme, run), ReviewBar(desk, self.theme, run)
        self.recording = Recording(self)
        self.prompting = Prompting(self)
        self.cockpit = Cockpit(self)
        self.guidance = Guidance(self)
        self.captured = Captured(self)
        self.second: SecondScreen | None = None
        self.status_line = StatusLine()
        self._figures, self._veiled = Chore(self, FIGURES_MS, self.show_figures), False
        self._assemble()
        self.annotator = Annotator(self)
        self.modeller = Modeller(self)
        self._connect()
        self.keyboard.set_keys(settings.key_set, settings.keys, settings.pedals)
        self._show_keys()
        self.top.set_profile(settings.profile)
        self.set_mode("review")
        self.room.restore()
        self.sources.show_sources(settings.recent)
        self._apply_view()
        self.refresh()
        self.stage.view.setFocus(Qt.FocusReason.OtherFocusReason)

    # --- assembly ----------------------------------------------------------------------------------------------

    def _assemble(self) -> None:
        left = QWidget()
        column = QVBoxLayout(left)
        column.setContentsMargins(14, 14, 14, 14)
        column.setSpacing(18)
        column.addWidget(self.sources)
        column.addWidget(self.layers)
        column.addStretch(1)
        right = QWidget()
        stack = QVBoxLayout(right)
        stack.setContentsMargins(0, 0, 0, 0)
        stack.setSpacing(0)
        stack.addWidget(self.cockpit.panel)
        stack.addWidget(self.guidance.panel)
        stack.addWidget(self.inspector, 1)
        self.left, self.right = side_panel(left, "left"), side_panel(right, "right")
        self.split = QSplitter(Qt.Orientation.Horizontal)
        for widget in (self.left, self.stage, self.right):
            self.split.addWidget(widget)
        self.split.setStretchFactor(1, 1)
        self.split.setChildrenCollapsible(False)
        self.split.setHandleWidth(1)
        self.bottom = QStackedWidget()
        self.bottom.setObjectName("bottomBar")
        self.bottom.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.bottom.addWidget(self.live)
        self.bottom.addWidget(self.review)
        self.bottom.addWidget(self.cockpit.bar)
        root = QWidget()
        rows = QVBoxLayout(root)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setSpacing(0)
        rows.addWidget(self.top)
        rows.addWidget(self.split, 1)
        rows.addWidget(self.bottom)
        rows.addWidget(self.status_line)
        self.setCentralWidget(root)

    def _connect(self) -> None:
        desk, view = self.desk, self.stage.view
        view.on_painted = desk.painted
        view.clicked.connect(lambda x, y: self.does.place((x, y)))
        view.ruled.connect(self.does.finish_ruler)
        desk.pictured.connect(self._show_picture)
        desk.status_changed.connect(self.refresh)
        desk.source_changed.connect(self._take_source)
        desk.target_changed.connect(self._apply_view)
        desk.failed.connect(lambda text: show_source_failure(self.stage.banners, text))
        self.preferences.changed.connect(self._follow)
        self.preferences.on_failure = lambda text: self.stage.banners.say("settings", "caution", text)
        self.stage.try_card.dismissed.connect(self.does.dismiss_tips)

    # --- what is open ------------------------------------------------------------------------------------------

    def open_uri(self, uri: str, *, fallbacks: tuple[str, ...] = (), start_index: int = 0) -> None:
        """Open a source in the mode that suits it. Where it cannot be opened, the current case stays."""
        self.stage.banners.hush("open")
        self.stage.set_tool(Tool.NONE)
        self.does.modes.opening = True
        self.desk.open(uri, fallbacks=fallbacks, start_index=start_index)

    def set_mode(self, mode: str) -> None:
        """Show the bars of a mode; `WindowActions.enter_mode` also brings its source."""
        self.mode = mode
        self.top.set_mode(mode)
        for bar in (self.live, self.review, self.cockpit.bar, self.annotator.bar, self.modeller.bar):
            bar.setVisible(bar is self._bar)
        self.bottom.setCurrentWidget(self._bar)
        self._bar.refresh_place()  # a held picture does not come again
        self.annotator.follow_mode()
        self.modeller.follow_mode()
        self.room.fit_bottom()
        self.keyboard.set_mode(self._key_mode)
        self.status_line.set_hints(self.keyboard.hints(self._key_mode))
        self._size_read_outs()

    @property
    def _key_mode(self) -> str:
        if self.mode == "annotate":
            return self.annotator.key_mode
        return STEER if self.mode == "live" and self.cockpit.on else self.mode

    @property
    def _bar(self) -> LiveBar | ReviewBar | SteerBar | AnnotateBar | ModelsBar:
        if self.mode == "models":
            return self.modeller.bar
        if self.mode == "annotate":
            return self.annotator.bar
        if self.mode != "live":
            return self.review
        return self.cockpit.bar if self.cockpit.on else self.live

    def _take_source(self) -> None:
        """Another case is open."""
        desk, info = self.desk, self.desk.info
        self.cockpit.take_source()
        self.guidance.take_source()
        self.captured.take_source()
        self.recording.take_source()
        annotates = self.annotator.take_source()
        self.modeller.take_source()
        self.does.modes.settle("live" if desk.is_live else "annotate" if annotates else "review")
        self._thumbnail_of = desk.uri
        title = words_of(desk.uri)[0]
        self.setWindowTitle(f"{title} – Puncta")
        self.status_line.set_case(title)
        self.sources.show_sources(self.preferences.settings.recent)
        second = ""
        if info is not None:
            rate = 1e9 / info.interval_ns
            second = f"{info.geometry.width_px} × {info.geometry.height_px}, {rate:.0f} fps"
        self.sources.mark(desk.uri, second)
        self.stage.simulated.setVisible(info is not None and info.simulated and self.mode != "models")
        self.refresh()

    def _show_picture(self) -> None:
        """A new picture has come: hand it to the view, and a moment later its figures to the panels."""
        analysis = self.desk.analysis
        self.stage.view.show_analysis(analysis)
        if self.second is not None:
            self.second.show_picture()
        self.annotator.show_picture()
        # At once, where the window is laid out: what stands round the picture is drawn when its turn comes, behind it.
        self.stage.view.update() if self.desk.veil.covering else self.stage.view.repaint()
        self._bar.refresh_place()
        index = self.desk.shown_index()
        back, self._shown_index = index < self._shown_index, index
        veiled, self._veiled = self.desk.veil.on and not self._veiled, self.desk.veil.on
        if veiled or (back and self.desk.status.state is PlayState.PLAYING):
            # Nothing found stands a moment longer for a blind reader, nor the last figures when a loop begins.
            self.show_figures()
        else:
            self._figures.follow_picture(hold=self.desk.looking.due)
        if self._thumbnail_of and analysis is not None:
            uri, self._thumbnail_of = self._thumbnail_of, ""
            self.thumbnails.keep(uri, analysis.frame, lambda: self.sources.refresh_thumbnail(uri))

    def show_figures(self) -> None:
        """Show what stands beside the picture: read-outs, cards, flags."""
        self._figures.done()
        self._veiled, analysis, scene = self.desk.veil.on, self.desk.analysis, self.stage.view.scene
        shown = not self.desk.stalled and self.desk.status.state is not PlayState.RECONNECTING
        self.inspector.show_analysis(analysis if shown else None)
        chips = scene.chips if scene is not None and shown else ()
        self.inspector.show_chips([chip for chip in chips if not chip.finding])
        read_outs = (*finding_tiles(chips), *(scene.read_outs if scene is not None and shown else ()))
        self.stage.read_outs.show_read_outs(read_outs)
        self.stage.view.setAccessibleDescription("; ".join(f"{tr(r.name)} {r.text()}" for r in read_outs))
        if scene is not None and self.layers.see({item.layer for item in scene.items}):
            self.room.restyle()
        self.cockpit.show_figures()
        self.guidance.show_figures()
        if self.second is not None:
            self.second.show_figures()
        calibration = self.desk.calibration
        ruler = self.desk.info is not None and remembered_ruler(self.preferences, self.desk.info) is not None
        self.top.show_calibration(calibration, ruler=ruler, known=analysis is not None)

    def refresh(self) -> None:
        """Follow the player's state."""
        status, latency = self.desk.status, self.desk.latency()
        figures = self.preferences.settings.profile != "trainee"
        self.inspector.show_plugins(status.plugins, figures=figures)
        self.inspector.show_absence(*absence(self.desk))
        self.top.latency.show_values(
            status, latency, stalled=self.desk.stalled, figures=figures, room=self.top.has_room_for_figures
        )
        self._bar.refresh()
        self.does.show_faults()
        show_source_state(self.stage.banners, status, latency)

    # --- settings ----------------------------------------------------------------------------------------------

    def overlay_style(self) -> OverlayStyle:
        """Layers and target as they are chosen now."""
        preferences = self.preferences
        settings = {layer: preferences.layer(layer) for layer in Layer}
        return OverlayStyle(
            visible={layer: setting.visible for layer, setting in settings.items()},
            opacity={layer: setting.opacity for layer, setting in settings.items()},
            order=preferences.layer_order(),
            target_px=self.desk.fixed_target_px,
            show_confidence=True,
        )

    def _apply_view(self) -> None:
        view = self.preferences.settings.view
        self.stage.view.set_style(self.overlay_style())
        self.stage.view.set_tone(view.gain, view.gamma)
        self.show_figures()

    def _follow(self, name: str) -> None:
        settings = self.preferences.settings
        if name in {"theme", "font_scale", "touch_size"}:
            self.apply_look()
        elif name in {"layers", "layer_order", "view"}:
            self._apply_view()
        elif name in {"keys", "key_set", "pedals"}:
            self.keyboard.set_keys(settings.key_set, settings.keys, settings.pedals)
            self._show_keys()
        elif name == "far_view":
            self._size_read_outs()
        elif name == "presentation":
            from puncta.session.player import Presentation

            self.desk.player.set_presentation(Presentation(settings.presentation))
        elif name == "every_frame":
            self.desk.player.set_every_frame(settings.every_frame)
        elif name == "recent":
            self.sources.show_sources(settings.recent)
        elif name == "profile":
            self.top.set_profile(settings.profile)
        self.refresh()

    def apply_look(self) -> None:
        """Style everything again."""
        settings = self.preferences.settings
        self.theme = make_theme(settings.theme, settings.font_scale, settings.touch_size)
        app = QApplication.instance()
        assert isinstance(app, QApplication)
        apply_theme(app, self.theme)
        restyle_all(self, self.theme)
        if self.second is not None:
            restyle_all(self.second, self.theme)
        self.room.restyle()

    def _show_keys(self) -> None:
        words = self.keyboard.words()
        for part in (self.top, self.stage, self.live, self.review, self.cockpit, self.guidance):
            part.set_keys(words)
        for mode in (self.annotator, self.modeller):
            mode.set_keys(words)
        self.status_line.set_hints(self.keyboard.hints(self._key_mode))

    def _size_read_outs(self) -> None:
        far = self.preferences.settings.far_view
        self.stage.read_outs.set_size("far" if far else "live" if self.mode == "live" else "")

    # --- Qt's own ----------------------------------------------------------------------------------------------

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Fit panels to the width."""
        super().resizeEvent(event)
        self.room.adapt()

    def changeEvent(self, event: QEvent) -> None:
        """Let a held key go when the window loses the focus."""
        super().changeEvent(event)
        if event.type() is QEvent.Type.ActivationChange and not self.isActiveWindow():
            self.keyboard.release()

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Take files and folders."""
        if any(url.isLocalFile() for url in event.mimeData().urls()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        """Open the first file or folder; several pictures of one folder stand for their folder."""
        dropped = [Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()]
        if dropped:
            event.acceptProposedAction()
            self.open_uri(str(dropped[0]))
            if len(dropped) > 1:
                self.status_line.say(tr("One case is open at a time; the first of them opens."))

    def closeEvent(self, event: QCloseEvent) -> None:
        """Keep the layout and stop listening. Whoever made the player closes it."""
        self.room.keep()
        if self.second is not None:
            self.second.close()
        self.guidance.close()
        self.keyboard.close()
        self.desk.close()
        self._figures.stop()
        super().closeEvent(event)
        self.closed.emit()


def first_sources(asked: str | None, last: str) -> tuple[str, ...]:
    """Return what to open at the start, best first: what was asked for, or the last case, the sample, the simulator."""
    if asked:
        # The recent list outlives the folder the program was started in.
        return (str(Path(asked).absolute()) if Path(asked).exists() else asked,)
    sample = str(paths.sample_case())
    return tuple(dict.fromkeys(uri for uri in (last, sample, "sim:breast?seed=1") if uri))
