"""Findings on the whole picture in the window: rows, tiles, ribbons, options of a plugin's card, heat maps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pipeline_stage import EchoPlugin, NumberedSource
from PySide6.QtCore import QRectF
from PySide6.QtGui import QColor, QImage, QPainter
from PySide6.QtWidgets import QComboBox, QLineEdit
from widget_checks import cut_labels, nameless

from puncta.core.events import PlayState
from puncta.core.findings import RIBBON_CODES, TARGET_INTERSPACE
from puncta.core.geometry import ViewTransform
from puncta.core.overlay import Chip, Heat, Layer, compose
from puncta.core.results import ClassResult, HeatMap, Measure
from puncta.gui.panels.finding_rows import finding_tiles
from puncta.gui.panels.ribbons import bin_ribbon, draw_ribbon, ribbon_words
from puncta.gui.theme import make_theme
from puncta.gui.video.layers.canvas import Canvas
from puncta.gui.video.layers.heat import draw_heat
from puncta.pipeline.host import HostedPlugin
from puncta.pipeline.options import PluginOptions
from puncta.recording.raster import _draw_heat
from puncta.recording.report_flags import words_of
from puncta.sdk.manifest import read_manifest
from puncta.sdk.plugin import StepResult
from puncta.settings import Settings

NO, UNKNOWN, YES = RIBBON_CODES[False], RIBBON_CODES[None], RIBBON_CODES[True]


class Judge:
    """Says of even frames that CSF is there and of odd ones that it cannot tell; no cord, and what options ask for."""

    def __init__(self) -> None:
        self.options = {"heat_map": "off", "weight_kg": 0.0}

    def configure(self, options) -> None:
        self.options = dict(options)

    def reset(self, reason) -> None:
        pass

    def step(self, frame, upstream) -> StepResult:
        csf = True if frame.key.index % 2 == 0 else None
        why = None if csf else "not sure enough to say yes or no"
        found = [
            ClassResult("quality", True, 0.97), ClassResult("cord", False, 0.02),
            ClassResult("csf", csf, 0.9, why), ClassResult(TARGET_INTERSPACE, csf, 0.9, why),
        ]
        if self.options["heat_map"] != "off":
            cells = np.array([[0.2, 0.9], [0.5, 0.6]], np.float32)
            found.append(HeatMap(self.options["heat_map"], cells, (-0.5, -0.5, 256.0, 24.0)))
        if self.options["weight_kg"]:
            found.append(Measure("needle_depth", 2.5 * self.options["weight_kg"] + 6.0, "mm", None, "by weight"))
        return StepResult(tuple(found))

    def close(self) -> None:
        pass


@pytest.fixture
def judging(stage, qtbot, repo_root):
    def open_at(uri: str = "case-a", language: str = "en", **settings):
        options = PluginOptions(read_manifest(repo_root / "plugins" / "infant-lp"))

        def create() -> Judge:
            judge = Judge()
            judge.configure(options.values())
            return judge

        plugin = HostedPlugin("infant-lp", "Judge", create, options=options, emits=("class", "heatmap", "measure"))
        parts = stage.open(
            Settings(first_start_done=True, enabled_plugins=["infant-lp"], **settings), plugins=[plugin],
            opener=lambda name: NumberedSource(60, 20.0, name),
        )
        parts.window.open_uri(uri)
        qtbot.waitUntil(lambda: parts.desk.info is not None and parts.desk.info.uri == uri, timeout=15000)
        qtbot.waitUntil(lambda: parts.desk.analysis is not None, timeout=15000)
        return parts

    return open_at


def held(parts, qtbot, index: int) -> None:
    """Hold the picture on a frame."""
    parts.player.pause()
    parts.desk.seek(index)
    qtbot.waitUntil(
        lambda: parts.desk.shown_index() == index and parts.desk.status.state is PlayState.PAUSED, timeout=15000
    )
    qtbot.wait(150)
    parts.window.show_figures()


def test_a_picture_that_is_held_is_judged_itself_where_playback_had_no_time_for_it(stage, qtbot) -> None:
    # Of ten thousand frames it judges one: what stands beside every picture that comes after the first is of that one.
    plugin = HostedPlugin("echo", "Echo", EchoPlugin, every=10_000)
    parts = stage.open(plugins=[plugin], opener=lambda name: NumberedSource(200, 20.0, name))
    parts.window.open_uri("case-a")
    desk = parts.desk
    qtbot.waitUntil(lambda: desk.shown_index() >= 3, timeout=15000)
    assert [o.frame_id == desk.analysis.frame.frame_id for o in desk.analysis.outputs] == [False]
    epoch = desk.analysis.frame.epoch
    desk.player.pause()
    qtbot.waitUntil(lambda: desk.status.state is PlayState.PAUSED, timeout=15000)

    def own() -> bool:
        return [o.frame_id == desk.analysis.frame.frame_id for o in desk.analysis.outputs] == [True]

    qtbot.waitUntil(own, timeout=15000)
    assert desk.analysis.frame.epoch == epoch, "what plugins remember of the frames before is not lost by a pause"
    assert desk.shown_index() == desk.analysis.frame.key.index


def test_a_step_just_after_a_pause_is_not_taken_back_by_it(stage, qtbot) -> None:
    plugin = HostedPlugin("echo", "Echo", EchoPlugin, every=10_000)
    parts = stage.open(plugins=[plugin], opener=lambda name: NumberedSource(200, 20.0, name))
    parts.window.open_uri("case-a")
    desk = parts.desk
    qtbot.waitUntil(lambda: desk.shown_index() >= 3, timeout=15000)
    desk.player.pause()
    qtbot.waitUntil(lambda: desk.status.state is PlayState.PAUSED, timeout=15000)
    for _ in range(6):  # the looks that settle fall anywhere between the steps
        at = desk.shown_index()
        desk.step(1)
        qtbot.waitUntil(lambda at=at: desk.analysis.frame.key.index == at + 1, timeout=15000)
        qtbot.wait(70)
        assert desk.shown_index() == at + 1


def test_the_last_frame_of_a_case_that_has_ended_is_judged_too(stage, qtbot) -> None:
    plugin = HostedPlugin("echo", "Echo", EchoPlugin, every=10_000)
    parts = stage.open(
        Settings(first_start_done=True, enabled_plugins=["echo"], repeat=False), plugins=[plugin],
        opener=lambda name: NumberedSource(8, 20.0, name),
    )
    parts.window.open_uri("case-a")
    desk = parts.desk
    qtbot.waitUntil(lambda: desk.status.state is PlayState.ENDED and desk.analysis is not None, timeout=15000)
    qtbot.waitUntil(
        lambda: [o.frame_id == desk.analysis.frame.frame_id for o in desk.analysis.outputs] == [True], timeout=15000
    )
    assert desk.status.state is PlayState.ENDED and desk.analysis.frame.key.index == 7


def test_the_card_and_the_tiles_say_each_flag_in_word_shape_and_figure(judging, qtbot) -> None:
    parts = judging()
    held(parts, qtbot, 20)
    card = parts.window.inspector.cards["infant-lp"]
    rows = {name: (mark.shape, word.text(), figure.text()) for name, (mark, _n, word, figure) in _rows(card).items()}
    assert rows == {
        "quality": ("circle", "yes", "0.97"), "cord": ("ring", "no", "0.98"), "csf": ("circle", "yes", "0.90"),
    }
    assert card.findings.advice.text() == "Target interspace, CSF yes, cord no"
    tiles = {t.name: t.text() for t in finding_tiles(parts.window.stage.view.scene.chips)}
    assert tiles == {
        "Quality": "● yes", "Cord": "○ no", "CSF": "● yes", "Training feedback": "● target interspace",
    }
    held(parts, qtbot, 21)
    assert _rows(card)["csf"][0].shape == "diamond" and _rows(card)["csf"][2].text() == "cannot tell"
    assert _rows(card)["csf"][2].toolTip()
    assert card.findings.advice.text().startswith("No advice: ")
    tiles = {t.name: t.text() for t in finding_tiles(parts.window.stage.view.scene.chips)}
    assert tiles["CSF"] == "◆ cannot tell" and tiles["Training feedback"] == "–"
    assert [c.words.text() for c in parts.window.inspector._chips if c.isVisible()] == ["Uncalibrated"]
    assert cut_labels(parts.window) == [] and nameless(parts.window) == []


def test_what_is_said_of_a_poor_picture_is_marked_as_such_and_not_in_colour(judging, qtbot) -> None:
    parts = judging()
    held(parts, qtbot, 20)
    card = parts.window.inspector.cards["infant-lp"]
    poor = [
        ClassResult("quality", False, 0.04), ClassResult("cord", None, 0.5, "not sure enough to say yes or no"),
        ClassResult("csf", True, 0.93), ClassResult(TARGET_INTERSPACE, None, 0.04, "the picture is not good enough"),
    ]
    depths = [Measure("csf_depth", 9.1, "mm", 1.0, "middle"), Measure("needle_depth", 16.0, "mm", None, "by weight")]
    card.findings.show_findings(poor)
    mark, _name, word, figure = _rows(card)["csf"]
    assert (mark.shape, mark.tone) == ("circle", "neutral") and word.text() == "yes, poor picture"
    assert figure.text() == "0.93" and "not good enough" in word.toolTip() and word.property("role") == "quiet"
    assert _rows(card)["cord"][2].text() == "cannot tell" and _rows(card)["quality"][2].text() == "no"
    assert card.findings.advice.text() == "No advice: the picture is not good enough"
    scene = parts.window.stage.view.scene
    assert scene is not None
    output = replace(parts.desk.analysis.outputs[0], results=(*poor, *depths))
    composed = compose(replace(parts.desk.analysis, outputs=(output,)))
    chips = composed.chips
    assert [(r.name, r.basis) for r in composed.read_outs] == [
        ("CSF depth", "poor picture"), ("Expected needle depth", "by weight"),
    ]
    tiles = {tile.name: (tile.text(), tile.basis) for tile in finding_tiles(chips)}
    assert tiles["CSF"] == ("● yes", "poor picture") and tiles["Quality"] == ("○ no", "confidence 0.96")
    assert "CSF: yes, poor picture" in [chip.text for chip in chips]
    assert words_of(poor[:3]) == "Quality no, Cord cannot tell, CSF yes (poor picture)"
    card.findings.show_findings([replace(poor[0], value=True), *poor[1:]])
    assert word.text() == "yes" and mark.tone == "accent" and word.toolTip() == ""
    assert word.property("role") == "strong"


def _rows(card):
    return card.findings._rows


def test_the_heat_map_comes_on_request_on_a_held_picture_and_shows_its_layer(judging, qtbot) -> None:
    parts = judging()
    parts.preferences.set_layer(Layer.HEAT_MAP, visible=False)
    held(parts, qtbot, 30)
    view = parts.window.stage.view
    assert not [item for item in view.scene.items if isinstance(item, Heat)]
    choice = parts.window.inspector.cards["infant-lp"].options.fields["heat_map"]
    assert isinstance(choice, QComboBox)
    assert [choice.itemText(i) for i in range(choice.count())] == ["off", "Quality", "Cord", "CSF"]
    choice.setCurrentIndex(3)
    choice.activated.emit(3)
    qtbot.waitUntil(lambda: any(isinstance(item, Heat) for item in view.scene.items), timeout=15000)
    assert parts.desk.shown_index() == 30
    qtbot.waitUntil(lambda: parts.window.layers.eyes[Layer.HEAT_MAP].isVisible(), timeout=15000)
    assert parts.preferences.settings.plugin_options == {"infant-lp": {"heat_map": "csf"}}


def test_a_weight_belongs_to_its_case_and_is_never_saved(judging, qtbot) -> None:
    parts = judging()
    held(parts, qtbot, 10)
    card = parts.window.inspector.cards["infant-lp"]
    field = card.options.fields["weight_kg"]
    assert isinstance(field, QLineEdit) and field.placeholderText() == "not entered"
    field.setText("3,4")
    field.editingFinished.emit()
    qtbot.waitUntil(lambda: _read_out(parts, "Expected needle depth") == "14.5 mm", timeout=15000)
    qtbot.waitUntil(lambda: field.text() == "3.4", timeout=15000)
    field.setText("heavy")
    field.editingFinished.emit()
    assert field.text() == "3.4" and "0 to 8" in field.toolTip()
    assert parts.preferences.settings.plugin_options == {}
    parts.window.open_uri("case-b")
    qtbot.waitUntil(lambda: parts.desk.info is not None and parts.desk.info.uri == "case-b", timeout=15000)
    qtbot.waitUntil(lambda: field.text() == "", timeout=15000)
    qtbot.waitUntil(lambda: _stream(parts) == "case-b", timeout=15000)
    assert _read_out(parts, "Expected needle depth") is None


def _stream(parts) -> str | None:
    """The stream of the picture shown; None while a case is being opened."""
    analysis = parts.desk.analysis
    return analysis.frame.key.stream if analysis is not None else None


def _read_out(parts, name: str) -> str | None:
    scene = parts.window.stage.view.scene
    return next((r.text() for r in scene.read_outs if r.name == name), None) if scene is not None else None


def test_the_timeline_has_a_ribbon_for_each_flag(judging, qtbot) -> None:
    parts = judging()
    timeline = parts.window.review.timeline
    qtbot.waitUntil(lambda: np.count_nonzero(timeline._ribbons.get("csf", 0)) > 5, timeout=15000)
    assert timeline._names() == ["quality", "cord", "csf", TARGET_INTERSPACE, "gaps"]
    codes = parts.desk.ribbons()["csf"]
    assert len(codes) == 60
    for index in np.flatnonzero(codes):
        assert codes[index] == (YES if index % 2 == 0 else UNKNOWN)
    assert set(parts.desk.ribbons()["cord"]) <= {0, NO}


def test_ribbons_tell_four_states_apart_without_colour() -> None:
    columns = np.array([0] * 12 + [NO] * 12 + [UNKNOWN] * 12 + [YES] * 12, np.uint8)
    shapes = draw_ribbon(columns, 12, 0, 0, 0) > 0
    empty, thin, hatched, full = (shapes[:, i : i + 12] for i in (0, 12, 24, 36))
    assert not empty.any() and full.all()
    assert thin.all(axis=1).sum() in (2, 3) and not thin.any(axis=1).all()
    assert 0.3 < hatched.mean() < 0.7 and hatched.any(axis=1).all()


def test_a_ribbon_in_few_columns_says_what_most_frames_have() -> None:
    codes = np.array([YES, YES, NO, NO, YES, 0, 0, 0, UNKNOWN, YES, NO, NO, 0, 0, 0, 0], np.uint8)
    assert list(bin_ribbon(codes, 4)) == [UNKNOWN, YES, NO, 0], "a tie of yes and no cannot tell"
    assert list(bin_ribbon(codes[:2], 4)) == [YES, YES, YES, YES]
    assert ribbon_words("csf", codes, 0) == "CSF: yes" and ribbon_words("csf", codes, 5) == "CSF: not seen yet"


def test_an_old_finding_says_so() -> None:
    old = Chip("CSF: yes", "accent", "circle", "0.90", finding=True, dim=True)
    tiles = finding_tiles([old, Chip("Simulated", "neutral", "square")])
    assert [t.name for t in tiles] == ["CSF", "Training feedback"] and tiles[0].basis == "of a moment ago"


def test_screen_and_export_draw_the_same_heat(qapp) -> None:
    cells = np.full((7, 9), 0.3, np.float32)
    cells[2:4, 5:8] = 0.95
    item = Heat(Layer.HEAT_MAP, cells, (9.5, 19.5, 180.0, 140.0), "heat")
    drawn = np.zeros((200, 240, 3), np.uint8)
    _draw_heat(drawn, item, 1.0)
    image = QImage(240, 200, QImage.Format.Format_RGB32)
    image.fill(QColor(0, 0, 0))
    painter = QPainter(image)
    theme = make_theme("dark", 1.0, False)
    draw_heat(painter, item, Canvas(ViewTransform(1.0, (0.5, 0.5)), QRectF(0, 0, 240, 200), theme, painter.font()))
    painter.end()
    screen = np.frombuffer(image.constBits(), np.uint8).reshape(200, 240, 4)[:, :, 2::-1]
    assert drawn[:, :9].max() == 0 and drawn[:19].max() == 0, "nothing outside the region"
    strong = drawn[80, 140].astype(int)
    assert strong[0] > 100 and strong[2] < 40, "the token's orange"
    assert np.abs(drawn.astype(int) - screen).mean() < 3.0
