"""The cockpit of Live: procedure, a target that follows its tissue, a planned path, sounds, pedals, second screen."""

from __future__ import annotations

import json
import math

import pytest
from pipeline_stage import EchoPlugin, hosted
from PySide6.QtCore import QPointF, Qt
from PySide6.QtWidgets import QLabel

from puncta.core.cues import Cue
from puncta.core.events import PlayState
from puncta.core.guidance import TARGET_LOST
from puncta.core.overlay import Dash, Layer, Ring, Stroke
from puncta.formats.results_lines import read_results
from puncta.formats.validate import validate
from puncta.gui.dialogs.keys import KeysDialog
from puncta.gui.i18n import tr
from puncta.gui.sounds import NO_PACKAGE, Sounds, samples_of
from puncta.gui.video.stage import SAFETY_LINE
from puncta.gui.video.tools import Tool
from puncta.session.procedures import PROCEDURES, plugins_for, procedure_of
from puncta.settings import Settings

PATIENCE_MS = 60_000
URI = "sim:breast?seed=3&size=200x160"


def open_simulator(uri: str):  # noqa: ANN201
    from puncta.sources.factory import open_source

    return open_source(uri)


@pytest.fixture
def live(stage, qtbot):  # noqa: ANN001, ANN201
    """A window on a running simulation."""
    parts = stage.open(opener=open_simulator)
    parts.window.open_uri(URI)
    qtbot.waitUntil(lambda: parts.window.mode == "live" and parts.desk.analysis is not None, timeout=PATIENCE_MS)
    return parts.window


def set_target(window, qtbot, share=(0.5, 0.5)):  # noqa: ANN001, ANN201
    x0, y0, w, h = window.desk.analysis.frame.geometry.region.box
    point = (x0 + share[0] * w, y0 + share[1] * h)
    window.guidance.panel.target.click()
    assert window.stage.view.tool is Tool.TARGET
    at = window.stage.view.transform().display_from_image(point)
    qtbot.mouseClick(window.stage.view, Qt.MouseButton.LeftButton, pos=QPointF(*at).toPoint())
    assert window.stage.view.tool is Tool.NONE
    return point


def test_a_target_set_by_a_click_follows_the_tissue_and_says_so(live, qtbot) -> None:  # noqa: ANN001
    panel = live.guidance.panel
    assert panel.isVisible() and panel.state.text() == tr("No target is set.") and not panel.clear.isVisible()
    point = set_target(live, qtbot)
    begun = live.desk.analysis.frame.key.index
    assert math.dist(live.desk.analysis.target.point_px, point) < 1.5
    # A picture that was under way when the target was set comes without it.
    qtbot.waitUntil(
        lambda: live.desk.analysis.frame.key.index > begun + 3 and live.desk.analysis.target is not None,
        timeout=PATIENCE_MS,
    )
    fix = live.desk.analysis.target
    assert fix.true and fix.point_px is not None
    rings = [i for i in live.stage.view.scene.items if isinstance(i, Ring) and i.layer is Layer.TARGET]
    assert [ring.centre_px for ring in rings] == [fix.point_px]
    qtbot.waitUntil(lambda: "simulation" in panel.state.text(), timeout=PATIENCE_MS)
    panel.clear.click()
    qtbot.waitUntil(lambda: live.desk.analysis.target is None, timeout=PATIENCE_MS)
    qtbot.waitUntil(lambda: panel.state.text() == tr("No target is set."), timeout=PATIENCE_MS)


def test_a_target_on_a_frozen_picture_shows_at_once(live, qtbot) -> None:  # noqa: ANN001
    live.does.run("play")
    qtbot.waitUntil(lambda: live.desk.status.state is PlayState.PAUSED, timeout=PATIENCE_MS)
    qtbot.wait(50)
    point = set_target(live, qtbot)
    assert math.dist(live.desk.analysis.target.point_px, point) < 1.5
    assert any(item.layer is Layer.TARGET for item in live.stage.view.scene.items)


def test_a_target_of_another_source_is_not_kept(live, qtbot) -> None:  # noqa: ANN001
    set_target(live, qtbot)
    live.open_uri("sim:breast?seed=4&size=200x160")
    qtbot.waitUntil(lambda: "seed=4" in live.desk.uri and live.desk.analysis is not None, timeout=PATIENCE_MS)
    qtbot.waitUntil(
        lambda: live.desk.analysis is not None and "seed=4" in live.desk.analysis.frame.source.uri, timeout=PATIENCE_MS
    )
    assert live.desk.target_px is None and live.desk.analysis.target is None
    live.open_uri(URI)
    qtbot.waitUntil(lambda: "seed=3" in live.desk.uri and live.desk.analysis is not None, timeout=PATIENCE_MS)
    assert live.desk.target_px is None


def test_a_planned_path_is_drawn_to_the_target_and_goes_with_it(live, qtbot) -> None:  # noqa: ANN001
    live.does.run("plan")
    assert live.stage.view.tool is Tool.NONE and tr("Set the target first") in live.status_line.message
    set_target(live, qtbot)
    live.does.run("plan")
    assert live.stage.view.tool is Tool.PLAN
    x0, y0, w, _h = live.desk.analysis.frame.geometry.region.box
    at = live.stage.view.transform().display_from_image((x0 + 0.1 * w, y0 + 2))
    qtbot.mouseClick(live.stage.view, Qt.MouseButton.LeftButton, pos=QPointF(*at).toPoint())
    assert live.stage.view.tool is Tool.NONE

    def dashed() -> list[Stroke]:
        items = live.stage.view.scene.items
        return [i for i in items if isinstance(i, Stroke) and i.layer is Layer.TARGET and i.dash is Dash.DASHED]

    qtbot.waitUntil(lambda: len(dashed()) == 1, timeout=PATIENCE_MS)
    (path,) = dashed()
    assert path.points_px[1] == live.desk.analysis.target.point_px
    live.does.run("plan_clear")
    qtbot.waitUntil(lambda: not dashed(), timeout=PATIENCE_MS)


def test_a_recording_shows_the_target_and_the_path_it_was_made_with(live, qtbot) -> None:  # noqa: ANN001
    set_target(live, qtbot)
    qtbot.waitUntil(lambda: live.desk.analysis.target is not None, timeout=PATIENCE_MS)
    live.does.run("plan")
    x0, y0, w, _h = live.desk.analysis.frame.geometry.region.box
    at = live.stage.view.transform().display_from_image((x0 + 0.1 * w, y0 + 2))
    qtbot.mouseClick(live.stage.view, Qt.MouseButton.LeftButton, pos=QPointF(*at).toPoint())
    planned = live.guidance.plan_px
    live.recording.toggle()
    qtbot.waitUntil(lambda: live.recording.status.stored > 15, timeout=PATIENCE_MS)
    live.does.run("plan_clear")
    live.recording.toggle()
    qtbot.waitUntil(lambda: "Saved as" in live.status_line.message, timeout=PATIENCE_MS)
    folder = live.recording.status.folder
    assert validate(folder).problems == ()
    markers = json.loads((folder / "session.json").read_text())["markers"]
    assert {"path planned", "path removed"} >= {m["text"] for m in markers if m["kind"] == "target"} != set()
    lines = [line for line in read_results(folder / "results.jsonl") if line.target and line.target.entry_px]
    assert lines and math.dist(lines[0].target.plan_px, planned) < 0.01

    live.open_uri(str(folder))
    qtbot.waitUntil(lambda: live.mode == "review" and live.desk.info.title == folder.name, timeout=PATIENCE_MS)
    live.desk.player.pause()
    live.desk.seek(lines[0].key.index)
    qtbot.waitUntil(
        lambda: live.desk.analysis is not None and live.desk.analysis.frame.key.index == lines[0].key.index
        and live.desk.analysis.target is not None,
        timeout=PATIENCE_MS,
    )  # fmt: skip
    assert live.desk.analysis.target == lines[0].target
    qtbot.waitUntil(lambda: len(drawn_paths(live)) == 1, timeout=PATIENCE_MS)
    assert math.dist(drawn_paths(live)[0].points_px[1], lines[0].target.point_px) < 0.01
    assert "planned path" in dict(live.desk.info.details)["Target"]
    # A target of one's own takes its place, and goes again.
    live.desk.set_target((x0 + 5.0, y0 + 5.0))
    qtbot.waitUntil(lambda: not drawn_paths(live), timeout=PATIENCE_MS)
    live.does.run("target_clear")
    qtbot.waitUntil(lambda: len(drawn_paths(live)) == 1, timeout=PATIENCE_MS)


def drawn_paths(window) -> list[Stroke]:  # noqa: ANN001
    items = window.stage.view.scene.items if window.stage.view.scene is not None else ()
    return [i for i in items if isinstance(i, Stroke) and i.layer is Layer.TARGET and i.dash is Dash.DASHED]


def test_a_lost_target_is_told_in_words_and_not_drawn(live, qtbot) -> None:  # noqa: ANN001
    from dataclasses import replace

    from puncta.core.target import TargetFix, TargetLoss

    set_target(live, qtbot)
    live.desk.player.pause()
    qtbot.waitUntil(lambda: live.desk.status.state is PlayState.PAUSED, timeout=PATIENCE_MS)
    live.desk.analysis = replace(live.desk.analysis, target=TargetFix(None, 50.0, TargetLoss.PLANE))
    live.desk.pictured.emit()
    live.show_figures()
    assert not [item for item in live.stage.view.scene.items if item.layer is Layer.TARGET]
    assert "plane" in live.guidance.panel.state.text()
    assert TARGET_LOST in [chip.text for chip in live.stage.view.scene.chips]
    assert not live.guidance.panel.plan.isEnabled()


def test_a_procedure_switches_plugins_and_names_the_target(stage, qtbot) -> None:  # noqa: ANN001
    plugins = tuple(hosted(EchoPlugin(), name) for name in ("needle-tip", "breast-biopsy"))
    settings = Settings(first_start_done=True, enabled_plugins=["needle-tip"])
    window = stage.open(settings, opener=open_simulator, plugins=plugins).window
    window.open_uri(URI)
    qtbot.waitUntil(lambda: window.desk.analysis is not None, timeout=PATIENCE_MS)
    panel = window.guidance.panel
    place = [p.id for p in PROCEDURES].index("breast")
    panel.choice.setCurrentIndex(place)
    panel.choice.activated.emit(place)
    assert set(settings.enabled_plugins) == {"needle-tip", "breast-biopsy"} and settings.procedure == "breast"
    assert window.guidance.guide.word == tr("lesion") and panel.advice.text() == tr(procedure_of("breast").advice)
    window.guidance.choose("infant-lp")
    assert settings.enabled_plugins == ["needle-tip"]
    assert "infant-lp" in window.status_line.message
    assert not window.preferences.layer(Layer.HEAT_MAP).visible
    window.guidance.choose("free")
    assert window.preferences.layer(Layer.HEAT_MAP).visible


def test_every_procedure_can_be_set_up_with_what_is_installed() -> None:
    for procedure in PROCEDURES:
        assert plugins_for(procedure, ()) == ((), procedure.plugins)
        assert plugins_for(procedure, procedure.plugins) == (procedure.plugins, ())
        assert procedure.reach_mm > 0 and procedure.advice.endswith(".")
    assert procedure_of("nothing like it").id == "free"


def test_the_second_screen_shows_the_same_picture_and_the_safety_line(live, qtbot) -> None:  # noqa: ANN001
    live.does.run("second_screen")
    second = live.second
    assert second.isVisible()
    assert tr(SAFETY_LINE) in [label.text() for label in second.findChildren(QLabel)]
    qtbot.waitUntil(lambda: not second.mirror.grab().toImage().isNull(), timeout=PATIENCE_MS)
    shown = second.mirror.grab().toImage()
    colours = {shown.pixelColor(x, y).name() for x in range(0, shown.width(), 7) for y in range(0, shown.height(), 7)}
    assert len(colours) > 20
    second.activateWindow()
    qtbot.waitUntil(second.isActiveWindow, timeout=PATIENCE_MS)
    qtbot.keyClick(second, Qt.Key.Key_Escape)
    assert live.second is None


def test_a_foot_pedal_does_what_was_chosen_for_it(live, qtbot) -> None:  # noqa: ANN001
    dialog = KeysDialog(live.preferences, live.theme, live)
    pedals = dialog.pedals
    pedals.fields[0].setKeySequence("F13")
    pedals.fields[0].editingFinished.emit()
    assert live.preferences.settings.pedals == {"F13": "play"}
    assert live.desk.status.state is PlayState.PLAYING
    qtbot.keyClick(live.stage.view, Qt.Key.Key_F13)
    qtbot.waitUntil(lambda: live.desk.status.state is PlayState.PAUSED, timeout=PATIENCE_MS)
    # A key that is taken stays with what has it.
    pedals.fields[1].setKeySequence("T")
    pedals.fields[1].editingFinished.emit()
    assert live.preferences.settings.pedals == {"F13": "play"} and pedals.fields[1].keySequence().isEmpty()
    dialog.deleteLater()


def test_sounds_are_off_at_first_and_silent_where_they_cannot_be_played(live, monkeypatch) -> None:  # noqa: ANN001
    import sys

    assert not live.preferences.settings.sounds and not live.guidance.sounds.on
    monkeypatch.setitem(sys.modules, "miniaudio", None)
    live.does.run("sounds")
    assert tr(NO_PACKAGE) in live.status_line.message
    assert not live.guidance.sounds.on and not live.guidance.panel.sounds.isChecked()
    live.guidance.sounds.play(Cue.NEAR)


def test_sounds_reach_the_device(qtbot) -> None:  # noqa: ANN001
    pytest.importorskip("miniaudio", reason="the optional package for sounds is not installed")
    sounds = Sounds(backend="NULL")
    try:
        assert sounds.set_on(True) == "" and sounds.on
        sounds.play(Cue.REACHED)
        qtbot.waitUntil(lambda: sounds.played == len(samples_of(Cue.REACHED)), timeout=PATIENCE_MS)
    finally:
        sounds.close()
    assert max(abs(v) for v in samples_of(Cue.NEAR)) < 0.2 * 32768
