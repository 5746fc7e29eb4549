"""Guidance in Live: the procedure, a target that belongs to tissue, a planned path, and quiet sounds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from puncta.core.cues import CueInput, CueMaker
from puncta.core.geometry import PointPx
from puncta.core.guidance import TO_TARGET, Guide, compose_guided
from puncta.core.last_seen import LostTip
from puncta.core.overlay import OverlayScene, OverlayStyle
from puncta.core.results import Analysis, Detection
from puncta.core.target import TargetFix
from puncta.gui.i18n import tr
from puncta.gui.panels.procedure_panel import ProcedurePanel
from puncta.gui.sounds import Sounds
from puncta.gui.video.tools import Tool
from puncta.session.procedures import PROCEDURES, Procedure, plugins_for, procedure_of

if TYPE_CHECKING:
    from puncta.gui.main_window import MainWindow


class Guidance:
    """What of one window leads a needle to its target, where nothing is steered.

    Attributes
    ----------
    panel : ProcedurePanel
    sounds : Sounds
    """

    def __init__(self, window: MainWindow) -> None:
        self._window = window
        self._plan_px: PointPx | None = None
        self._inner = window.stage.view.compose  # the cockpit's, which knows what is steered
        self._cues = CueMaker()
        self._sounded: tuple[int, int] | None = None
        self.sounds = Sounds(on=window.preferences.settings.sounds)
        self.panel = ProcedurePanel(window.theme, window.does.run, self.choose)
        self.panel.show_choices([(p.id, p.title) for p in PROCEDURES], self.procedure.id)
        window.stage.view.compose = self.compose
        self.refresh()

    @property
    def procedure(self) -> Procedure:
        """What Live is set up for."""
        return procedure_of(self._window.preferences.settings.procedure)

    @property
    def plan_px(self) -> PointPx | None:
        """From the target to the planned entry [px]; None where no path is planned. Safe from any thread."""
        return self._plan_px

    @property
    def guide(self) -> Guide:
        """What the overlay is told."""
        return Guide(tr(self.procedure.target), self._plan_px)

    @property
    def on(self) -> bool:
        """Whether a picture without an end is open that nobody steers."""
        return self._window.desk.is_live and not self._window.cockpit.on

    def compose(
        self, analysis: Analysis, style: OverlayStyle, now_ns: int | None, lost: Sequence[LostTip] = ()
    ) -> OverlayScene:
        """Compose the scene of a picture, with the target where it is on it.

        A recording shows the target and the path it was made with, until somebody sets another target in Review.
        """
        if analysis.target is not None and style.target_px is None:
            return compose_guided(analysis, style, self.guide, now_ns, lost)
        return self._inner(analysis, style, now_ns, lost)

    # --- procedure ---------------------------------------------------------------------------------------------

    def choose(self, name: str) -> None:
        """Set Live up for a procedure: plugins, layers, words."""
        window, procedure = self._window, procedure_of(name)
        window.preferences.set("procedure", procedure.id)
        installed = tuple(status.plugin_id for status in window.desk.status.plugins)
        on, absent = plugins_for(procedure, installed)
        for plugin_id in installed:
            if (plugin_id in on) != (plugin_id in window.preferences.settings.enabled_plugins):
                window.does.switch_plugin(plugin_id, plugin_id in on)
        for layer in sorted({layer for other in PROCEDURES for layer in other.hidden}):
            if window.preferences.layer(layer).visible == (layer in procedure.hidden):
                window.preferences.set_layer(layer, visible=layer not in procedure.hidden)
        self._cues = CueMaker(procedure.reach_mm)
        if absent:
            words = tr("{plugins} is not installed; the picture goes on without it.")
            window.status_line.say(words.format(plugins=", ".join(absent)))
        window.desk.target_changed.emit()
        self.refresh()

    # --- target and plan ---------------------------------------------------------------------------------------

    def plan(self) -> None:
        """Take the entry of a planned path in hand: the next click sets it. Without a target nothing can be planned."""
        stage = self._window.stage
        fix = self._fix()
        if fix is None or fix.point_px is None:
            self._window.status_line.say(tr("Set the target first; the planned path leads to it."))
            return
        tool = Tool.NONE if stage.view.tool is Tool.PLAN else Tool.PLAN
        stage.set_tool(tool)
        stage.say_hint(tr("Click where the needle is to enter. Esc ends.") if tool is Tool.PLAN else "")

    def place_entry(self, point_px: PointPx) -> None:
        """Plan the path from a point [px] to the target as it is on the picture that was clicked."""
        fix = self._fix()
        if fix is not None and fix.point_px is not None:
            self._plan_px = (point_px[0] - fix.point_px[0], point_px[1] - fix.point_px[1])
        self._window.desk.target_changed.emit()
        self.refresh()

    def clear_plan(self) -> None:
        """Remove the planned path."""
        self._plan_px = None
        self._window.desk.target_changed.emit()
        self.refresh()

    def take_source(self) -> None:
        """Another source is open: nothing that was chosen on the last one holds."""
        self._plan_px = None
        self._cues = CueMaker(self.procedure.reach_mm)
        self.refresh()

    def _fix(self) -> TargetFix | None:
        analysis = self._window.desk.analysis
        return analysis.target if analysis is not None else None

    # --- what is shown and heard -------------------------------------------------------------------------------

    def toggle_sounds(self) -> None:
        """Switch the sounds; say so where there is nothing to play them on."""
        on = not self.sounds.on
        problem = self.sounds.set_on(on)
        self._window.preferences.set("sounds", self.sounds.on)
        if problem:
            self._window.status_line.say(tr(problem))
        self.refresh()

    def show_figures(self) -> None:
        """Follow the picture on the screen."""
        analysis, scene = self._window.desk.analysis, self._window.stage.view.scene
        if self.panel.isHidden() == self.on:
            self.panel.setVisible(self.on)
            self._window.room.restyle()
        if not self.on:
            return
        region = analysis.frame.geometry.region if analysis is not None else None
        waits = self._window.desk.target_px is not None
        self.panel.show_target(self._fix(), region, self._plan_px, tr(self.procedure.target), waits=waits)
        if analysis is not None and scene is not None:
            self._sound(analysis, scene)

    def refresh(self) -> None:
        """Show what is chosen."""
        self.panel.show_procedure(self.procedure.id, tr(self.procedure.advice))
        self.panel.sounds.setChecked(self.sounds.on)
        self.show_figures()

    def _sound(self, analysis: Analysis, scene: OverlayScene) -> None:
        frame = analysis.frame
        if not self.sounds.on or self._sounded == (frame.epoch, frame.frame_id):
            return
        self._sounded = (frame.epoch, frame.frame_id)
        far = next((r.value for r in scene.read_outs if r.name == TO_TARGET and r.unit == "mm"), None)
        tips = [r for o in analysis.outputs for r in o.results if isinstance(r, Detection) and not r.predicted]
        seen = any(r.tip_px is not None for r in tips)
        fix = analysis.target
        cue = self._cues.step(CueInput(frame.t_ns, far, seen, None if fix is None else fix.point_px is not None))
        if cue is not None:
            self.sounds.play(cue)

    def set_keys(self, words: dict[str, str]) -> None:
        """Name the keys."""
        self.panel.set_keys(words)

    def close(self) -> None:
        """Be silent for good."""
        self.sounds.close()
