"""What each action of the table does."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QDialog, QFileDialog

from puncta.core.errors import UserError
from puncta.core.geometry import PointPx
from puncta.core.overlay import Layer
from puncta.gui.annotate.verb_table import VERBS, do_verb, hold_digit, is_digit
from puncta.gui.dialogs.keys import KeysDialog
from puncta.gui.dialogs.live_source import LiveSourceDialog
from puncta.gui.dialogs.ruler import RulerDialog
from puncta.gui.dialogs.settings import SettingsDialog
from puncta.gui.dialogs.simulator import SimulatorDialog
from puncta.gui.i18n import tr
from puncta.gui.mode_change import ModeChange
from puncta.gui.models.model_verbs import ACTIONS as MODEL_ACTIONS
from puncta.gui.panels.source_panel import is_stream, words_of
from puncta.gui.panels.top_bar import calibration_words
from puncta.gui.second_screen import SecondScreen
from puncta.gui.session_verbs import SessionVerbs
from puncta.gui.snapshot import Caption, render_snapshot, snapshot_name, write_snapshot
from puncta.gui.video.stage import SAFETY_LINE
from puncta.gui.video.tools import Tool
from puncta.gui.video.view import ZOOM_STEP

if TYPE_CHECKING:
    from puncta.gui.main_window import MainWindow

HEAT_MAP_OPTION = "heat_map"
"""An option of this name asks for a heat map; asking for one also shows its layer."""
SHORTEST_RULER_PX = 5.0


class WindowActions:
    """The verbs of one window."""

    def __init__(self, window: MainWindow) -> None:
        self._window = window
        self.modes = ModeChange(window)
        self.dialogs: dict[str, QDialog] = {}
        step: Callable[[int], Callable[[], None]] = lambda by: lambda: window.desk.step(by)  # noqa: E731
        self._verbs: dict[str, Callable[[], object]] = {
            "play": lambda: window.desk.toggle(),
            "frame_back": step(-1),
            "frame_on": step(1),
            "frames_back": step(-10),
            "frames_on": step(10),
            "first": lambda: window.desk.seek(0),
            "last": lambda: window.desk.seek_end(),
            "shuttle_back": lambda: window.desk.shuttle(-1),
            "shuttle_hold": lambda: window.desk.shuttle(0),
            "shuttle_on": lambda: window.desk.shuttle(1),
            "slower": lambda: window.desk.nudge_rate(-1),
            "faster": lambda: window.desk.nudge_rate(1),
            "range_first": lambda: window.desk.mark_loop(0),
            "range_last": lambda: window.desk.mark_loop(1),
            "range_loop": lambda: window.desk.apply_loop(),
            "target": self.target,
            "target_clear": self.clear_target,
            "target_tool": self.target_tool,
            "plan": lambda: window.guidance.plan(),
            "plan_clear": lambda: window.guidance.clear_plan(),
            "sounds": lambda: window.guidance.toggle_sounds(),
            "second_screen": self.second_screen,
            "ruler": self.ruler,
            "ruler_clear": lambda: window.desk.clear_ruler(),
            "needle_here": lambda: window.prompting.begin(),
            "needle_forget": lambda: window.prompting.forget(),
            "zoom_in": lambda: window.stage.view.zoom_by(ZOOM_STEP),
            "zoom_out": lambda: window.stage.view.zoom_by(1 / ZOOM_STEP),
            "fit": lambda: window.stage.view.fit(),
            "snapshot": self.snapshot,
            "snapshot_raw": lambda: self.snapshot(raw=True),
            "export": lambda: self.case.export(),
            "compare": lambda: self.case.compare(),
            "record": lambda: window.recording.toggle(),
            "save_last": lambda: window.recording.save_last(),
            "open": self.open_file,
            "open_folder": self.open_folder,
            "open_live": self.open_live,
            "open_simulator": self.open_simulator,
            "steer_it": lambda: window.cockpit.steer_it(),
            "needle_fire": lambda: window.cockpit.fire(),
            "attempt_done": lambda: window.cockpit.done(),
            "attempt_again": lambda: window.cockpit.again(),
            "hands_card": lambda: window.cockpit.toggle_hands(),
            "mode_live": lambda: self.modes.enter("live"),
            "mode_review": lambda: self.modes.enter("review"),
            "mode_annotate": lambda: self.modes.enter("annotate"),
            "mode_models": lambda: self.modes.enter("models"),
            **{name: partial(self._annotate, name) for name in VERBS},
            **{name: partial(lambda name: window.modeller.verbs.do(name), name) for name in MODEL_ACTIONS},
            "panel_left": lambda: window.room.toggle("left"),
            "panel_right": lambda: window.room.toggle("right"),
            "full_screen": self.full_screen,
            "settings": self.settings,
            "keys": self.keys,
            "escape": self.escape,
            "quit": window.close,
        }

    @cached_property
    def case(self) -> SessionVerbs:
        """What is done with a recorded case as a whole."""
        return SessionVerbs(self._window)

    def run(self, name: str) -> None:
        """Do an action of the table."""
        self._verbs[name]()

    def names(self) -> set[str]:
        """Ids of all actions that do something here."""
        return set(self._verbs)

    def hold(self, name: str, held: bool) -> None:
        """Follow a key that is held down."""
        if name == "hide_overlay":
            self._window.stage.view.set_overlay_on(not held)
        elif is_digit(name):
            hold_digit(self._window.annotator.verbs, name, held)
        else:
            self._window.cockpit.pilot.hold(name, held)

    def _annotate(self, name: str) -> None:
        do_verb(self._window.annotator.verbs, name)

    # --- sources -----------------------------------------------------------------------------------------------

    def open_file(self) -> None:
        """Ask for a file."""
        from puncta.sources.factory import FILE_SUFFIXES

        kinds = " ".join(f"*{ending}" for ending in FILE_SUFFIXES)
        choices = f"{tr('Cases')} ({kinds});;{tr('All files')} (*)"
        dialog = QFileDialog(self._window, tr("Open a file"), self._folder(), choices)
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        self._ask(dialog)

    def open_folder(self) -> None:
        """Ask for a folder of pictures."""
        dialog = QFileDialog(self._window, tr("Open a folder"), self._folder())
        dialog.setFileMode(QFileDialog.FileMode.Directory)
        dialog.setOption(QFileDialog.Option.ShowDirsOnly)
        self._ask(dialog)

    def _ask(self, dialog: QFileDialog) -> None:
        dialog.fileSelected.connect(lambda name: self._window.open_uri(str(Path(name))))
        self.show_dialog(dialog, "file")

    def open_live(self) -> None:
        """Ask which live source; devices are looked for meanwhile."""
        dialog = LiveSourceDialog(self._window.jobs, self._window.preferences.settings.recent, self._window)
        dialog.accepted.connect(lambda: self._window.open_uri(dialog.uri()))
        self.show_dialog(dialog, "live")

    def open_simulator(self) -> None:
        """Ask which simulated procedure."""
        from puncta.sim.machines import PRESETS

        dialog = SimulatorDialog(list(PRESETS), self._window)
        dialog.accepted.connect(lambda: self._window.open_uri(dialog.uri()))
        self.show_dialog(dialog, "simulator")

    def _folder(self) -> str:
        last = self._window.preferences.settings.recent
        files = [uri for uri in last if not is_stream(uri)]
        return str(Path(files[0]).parent) if files else str(Path.home())

    # --- the picture -------------------------------------------------------------------------------------------

    def target(self) -> None:
        """Set the target at the cursor; where the cursor is elsewhere, the next click sets it."""
        point = self._window.stage.view.cursor_point()
        if point is not None:
            self.place_target(point)
        else:
            self.target_tool()

    def target_tool(self) -> None:
        """Let the next click set the target; again puts the tool down."""
        stage = self._window.stage
        tool = Tool.NONE if stage.view.tool is Tool.TARGET else Tool.TARGET
        stage.set_tool(tool)
        self._say_tool(tool, tr("Click the target. Esc ends."))

    def place_target(self, point_px: PointPx) -> None:
        """Set the target [px] and put the tool down."""
        self._window.desk.set_target(point_px)
        self._put_down()

    def place(self, point_px: PointPx) -> None:
        """Do what the tool in hand does with a click [px]."""
        if self._window.stage.view.tool is Tool.PLAN:
            self._window.guidance.place_entry(point_px)
            self._put_down()
        else:
            self.place_target(point_px)

    def clear_target(self) -> None:
        """Remove the target, and the path that leads to it."""
        self._window.desk.set_target(None)
        self._window.guidance.clear_plan()

    def ruler(self) -> None:
        """Take the two-point ruler in hand, or put it down."""
        stage = self._window.stage
        tool = Tool.NONE if stage.view.tool is Tool.RULER or stage.view.analysis is None else Tool.RULER
        stage.set_tool(tool)
        if tool is Tool.RULER and self._window.desk.info is not None and self._window.desk.info.seekable:
            self._window.desk.player.pause()
        self._say_tool(tool, tr("Click two points whose distance you know. Esc ends."))

    def finish_ruler(self) -> None:
        """Both ends are set: ask for the distance."""
        window = self._window
        length = window.stage.view.ruler.length_px()
        if length < SHORTEST_RULER_PX:
            window.stage.view.ruler.clear()
            window.stage.say_hint(tr("These points are too close together. Click two others."))
            return
        dialog = RulerDialog(length, window)

        def done(result: int) -> None:
            scale = dialog.mm_per_px()
            if result == QDialog.DialogCode.Accepted and scale is not None and not window.captured.take_ruler(scale):
                window.desk.set_ruler(scale)
            self._put_down()

        dialog.finished.connect(done)
        self.show_dialog(dialog, "ruler")

    def snapshot(self, *, raw: bool = False) -> None:
        """Save the picture as it is shown, or without its overlay."""
        window = self._window
        view = window.stage.view
        if view.analysis is None or view.picture is None:
            window.status_line.say(tr("There is no picture to save."))
            return
        frame = view.analysis.frame
        words = tr("Frame {index}").format(index=frame.key.index)
        caption = Caption(
            tr(SAFETY_LINE),
            words_of(window.desk.uri)[0],
            words,
            calibration_words(frame.geometry.calibration),
            frame.source.simulated,
        )
        scene = view.scene if view.overlay_on and not raw else None
        image = render_snapshot(view.picture, scene, window.theme, caption)
        name = snapshot_name(view.analysis, raw=raw)
        window.jobs.run(lambda: write_snapshot(image, name), self._saved, self._not_saved)

    def _saved(self, file: Path) -> None:
        folder = QUrl.fromLocalFile(str(file.parent))
        words = tr("Saved as {name} in {folder}").format(name=file.name, folder=file.parent)
        self._window.stage.banners.hush("snapshot")
        self._window.status_line.say(words, (tr("Show folder"), lambda: QDesktopServices.openUrl(folder)))

    def _not_saved(self, error: Exception) -> None:
        words = str(error) if isinstance(error, UserError) else tr("The picture cannot be saved.")
        self._window.stage.banners.say("snapshot", "bad", words)

    # --- plugins -----------------------------------------------------------------------------------------------

    def switch_plugin(self, plugin_id: str, on: bool) -> None:
        """Switch a plugin on or off, and remember it."""
        window = self._window
        names = [name for name in window.preferences.settings.enabled_plugins if name != plugin_id]
        window.preferences.set("enabled_plugins", [*names, plugin_id] if on else names)
        try:
            window.desk.player.set_plugin_enabled(plugin_id, on)
        except UserError as error:
            window.stage.banners.say(f"plugin-{plugin_id}", "bad", str(error))
        window.refresh()

    def set_option(self, plugin_id: str, name: str, value: object) -> None:
        """Change an option of a plugin, and remember it unless it belongs to the open case."""
        window = self._window
        try:
            window.desk.player.set_plugin_option(plugin_id, name, value)
        except UserError as error:
            window.stage.banners.say(f"plugin-{plugin_id}", "bad", str(error))
            return
        if name == HEAT_MAP_OPTION:
            window.preferences.set_layer(Layer.HEAT_MAP, visible=True)
        statuses = (s for s in window.desk.status.plugins if s.plugin_id == plugin_id)
        keep = any(o.name == name and not o.per_case for s in statuses for o in s.options)
        if keep:
            kept = window.preferences.settings.plugin_options
            window.preferences.set("plugin_options", {**kept, plugin_id: {**kept.get(plugin_id, {}), name: value}})
        window.refresh()

    def show_faults(self) -> None:
        """Say which plugin was switched off, and that analysis does not keep up."""
        window = self._window
        banners = window.stage.banners
        for status in window.desk.status.plugins:
            topic = f"plugin-{status.plugin_id}"
            if status.breaker_open:
                words = tr("{plugin} is off after three faults in a row. The picture goes on without it.")
                if status.message:
                    words = tr("{plugin} is off. {reason}").replace("{reason}", status.message)
                again = (tr("Switch on again"), lambda name=status.plugin_id: self.switch_plugin(name, True))
                banners.say(topic, "bad", words.replace("{plugin}", tr(status.title)), again)
            elif topic in banners.texts():
                banners.hush(topic)
        if window.desk.stalled:
            banners.say("stall", "caution", tr("Analysis does not keep up. The overlay is off until it does."))
        else:
            banners.hush("stall")
        # A stalled analysis must not leave its last overlay on a picture that has moved on.
        view = window.stage.view
        if window.desk.stalled and view.analysis is not None and view.analysis.outputs:
            view.set_overlay_on(False)
        elif "hide_overlay" not in window.keyboard.held:
            view.set_overlay_on(True)

    # --- the window --------------------------------------------------------------------------------------------

    def settings(self) -> None:
        """Show the settings."""
        window = self._window
        self.show_dialog(SettingsDialog(window.preferences, window.theme, self.keys, window), "settings")

    def keys(self) -> None:
        """Show all keys."""
        window = self._window
        self.show_dialog(KeysDialog(window.preferences, window.theme, window), "keys")

    def full_screen(self) -> None:
        """Fill the screen, or stop to."""
        window = self._window
        window.showNormal() if window.isFullScreen() else window.showFullScreen()

    def second_screen(self) -> None:
        """Show the picture in a window of its own, on another screen where there is one; again closes it."""
        window = self._window
        if window.second is not None:
            window.second.close()
            return
        window.second = SecondScreen(window)
        window.second.show_somewhere()
        window.second.show_figures()

    def escape(self) -> None:
        """Put the tool down; else leave the full screen; else give the keys back to the picture."""
        window = self._window
        if window.stage.view.tool is not Tool.NONE:
            self._put_down()
        elif (window.annotator.on and window.annotator.verbs.put_down()) or window.modeller.back():
            pass
        elif window.cockpit.summary.isVisible():
            window.cockpit.summary.setVisible(False)
        elif window.isFullScreen():
            window.showNormal()
        else:
            window.stage.banners.hush("open")
            window.stage.view.setFocus(Qt.FocusReason.OtherFocusReason)

    def dismiss_tips(self) -> None:
        """Close the card of the first start for good."""
        self._window.stage.try_card.want(False)
        self._window.preferences.set("first_start_done", True)

    def _put_down(self) -> None:
        self._window.stage.set_tool(Tool.NONE)
        self._window.stage.say_hint("")

    def _say_tool(self, tool: Tool, words: str) -> None:
        self._window.stage.say_hint(words if tool is not Tool.NONE else "")

    def show_dialog(self, dialog: QDialog, name: str) -> None:
        """Open a dialog without stopping the picture; it is thrown away when it closes."""
        old = self.dialogs.get(name)
        if old is not None:
            old.raise_()
            dialog.deleteLater()
            return
        self.dialogs[name] = dialog
        dialog.setModal(True)

        def gone(_result: int) -> None:
            self.dialogs.pop(name, None)
            dialog.deleteLater()

        dialog.finished.connect(gone)
        dialog.open()
