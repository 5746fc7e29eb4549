"""The whole way: real mouse and key events in the real window move needle and probe of the real simulator."""

from __future__ import annotations

import hashlib
import math
import threading

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLabel, QPushButton, QScrollArea
from widget_checks import cut_labels, nameless

from puncta.core.events import PlayState
from puncta.formats.moves import read_moves
from puncta.gui.dialogs.simulator import SimulatorDialog
from puncta.gui.i18n import install_language, remove_language
from puncta.gui.video.stage import SAFETY_LINE
from puncta.settings import Settings
from puncta.sim.moves import controls_of
from puncta.sources.factory import open_source
from puncta.sources.moves import request_of_script
from puncta.sources.simulated import SimulatedSource

ADDRESS = "sim:vessel?seed=3&machine=A&size=320x240&fps=40&steer=yes"
LEFT = Qt.MouseButton.LeftButton


class Witness(SimulatedSource):
    """Remembers a digest of every frame it gave."""

    def __init__(self, uri: str) -> None:
        super().__init__(uri)
        self.digests: dict[int, str] = {}

    def read(self):  # noqa: ANN201
        frame = super().read()
        if frame is not None:
            self.digests[frame.key.index] = hashlib.sha256(frame.pixels.tobytes()).hexdigest()
        return frame


class Cab:
    """A window on a steered simulation, with hands that only send events."""

    def __init__(self, stage, qtbot, uri: str = ADDRESS) -> None:
        self.sources: list[Witness] = []

        def opener(asked: str):
            if not asked.startswith("sim:"):
                return open_source(asked)
            self.sources.append(Witness(asked))
            return self.sources[-1]

        self.qtbot = qtbot
        self.parts = stage.open(Settings(first_start_done=True, enabled_plugins=["echo"]), opener=opener)
        self.window = self.parts.window
        self.picture = self.window.stage.view
        self.open(uri)
        self.window.activateWindow()
        qtbot.waitUntil(self.window.isActiveWindow)
        self.picture.setFocus()

    def open(self, uri: str) -> None:
        before = len(self.sources)
        self.window.open_uri(uri)
        self.qtbot.waitUntil(lambda: len(self.sources) > before and self.view is not None, timeout=20_000)
        self.qtbot.waitUntil(lambda: self.picture.hands is not None)

    @property
    def view(self):  # noqa: ANN201
        return self.window.cockpit.pilot.view

    def hold_until(self, key: Qt.Key, reached, modifier=Qt.KeyboardModifier.NoModifier) -> None:  # noqa: ANN001
        QTest.keyPress(self.picture, key, modifier)
        try:
            self.qtbot.waitUntil(lambda: reached(self.view), timeout=20_000)
        finally:
            QTest.keyRelease(self.picture, key, modifier)

    def drag_along(self, way_mm: float, button=LEFT) -> None:
        """Drag along the needle as it lies now."""
        view = self.view
        (ux, uy), scale = view.needle.towards, self.picture.transform().scale
        reach = way_mm / view.mm_per_px * scale
        start = QPointF(self.picture.width() / 2, self.picture.height() / 2)
        QTest.mousePress(self.picture, button, pos=start.toPoint())
        steps = max(2, round(abs(way_mm) * 2))
        for k in range(1, steps + 1):
            at = start + QPointF(ux * reach * k / steps, uy * reach * k / steps)
            QTest.mouseMove(self.picture, at.toPoint())
            self.qtbot.wait(5)
        QTest.mouseRelease(self.picture, button, pos=at.toPoint())

    def aim_deg(self) -> float:
        """How much steeper the needle must be to point at the target [deg]."""
        view = self.view
        (ex, ey), (tx, ty) = view.needle.entry_px, view.target.centre_px
        return math.degrees(math.atan2(ty - ey, abs(tx - ex))) - view.needle.angle_deg

    def aim(self) -> None:
        self.hold_until(Qt.Key.Key_Right, lambda _view: self.aim_deg() <= 0.4)
        self.hold_until(Qt.Key.Key_Left, lambda _view: self.aim_deg() >= -0.4)

    def go_to_target(self) -> None:
        """Advance by drags until the attempt says that the target is reached."""
        for _ in range(40):
            view = self.view
            if view.attempt.in_target:
                return
            left = view.target.from_tip_mm
            self.drag_along(6.0 if left is None or left > 9.0 else 0.6)
            self.qtbot.wait(60)
        raise AssertionError(f"the target was not reached: {self.view.attempt.events}")


def test_needle_and_probe_are_driven_to_the_target_and_the_moves_repeat_the_session(stage, qtbot, tmp_path) -> None:
    cab = Cab(stage, qtbot)
    window = cab.window
    assert cab.view.attempt.seconds is None and cab.view.needle.way_mm < 0
    assert window.stage.safety.isVisible() and window.stage.safety.text() == SAFETY_LINE
    assert window.stage.simulated.isVisible()

    # The probe: away from the target's plane and back.
    cab.hold_until(Qt.Key.Key_W, lambda view: view.target.behind_mm < -1.5)
    window.show_figures()
    assert "in front of the plane" in window.cockpit.panel.attempt.target.text()
    labels = [item.text for item in cab.picture.scene.items if hasattr(item, "text")]
    assert any("in front of the plane" in text for text in labels)
    cab.hold_until(Qt.Key.Key_S, lambda view: view.target.behind_mm > -0.3)

    # The needle: aim outside, then in.
    cab.aim()
    cab.go_to_target()
    view = cab.view
    assert view.attempt.reached and view.attempt.seconds > 0
    kinds = [event.kind for event in view.attempt.events]
    assert kinds[0] == "contact" and "target" in kinds
    window.show_figures()
    assert window.cockpit.bar.clock.text().endswith(" s")

    QTest.keyClick(cab.picture, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: window.cockpit.summary.isVisible(), timeout=10_000)
    card = window.cockpit.summary
    assert card.title.text().startswith("Done in the target")
    assert card.values["Hits of what must not be hit"] == str(sum(event.bad for event in view.attempt.events))
    qtbot.waitUntil(lambda: cab.parts.player.status().state is PlayState.PAUSED)

    QTest.keyClick(cab.picture, Qt.Key.Key_Escape)
    assert not card.isVisible() and cab.picture.hasFocus()
    QTest.keyClick(cab.picture, Qt.Key.Key_Return)
    assert card.isVisible()

    # What the hands did, as a script, gives the same bytes, frame by frame.
    file = tmp_path / "moves.toml"
    window.cockpit.write_moves(file)
    qtbot.waitUntil(lambda: "Saved as moves.toml" in window.status_line.message)
    script = read_moves(file)
    request = request_of_script(script)
    assert request is not None and request.procedure == "vessel" and request.steer
    generator = request.open_generator()
    digests = cab.sources[-1].digests
    last = max(digests)
    step_ns = round(1e9 / request.fps)
    for index, controls in enumerate(controls_of(script, [k * step_ns for k in range(last + 1)], "vessel")):
        pixels, _truth = generator.next_frame(controls)
        assert hashlib.sha256(pixels.tobytes()).hexdigest() == digests[index], index

    assert card.buttons["again"].hasFocus()
    card.buttons["again"].click()
    qtbot.waitUntil(lambda: len(cab.sources) == 2 and not card.isVisible(), timeout=20_000)
    assert cab.picture.hasFocus(), "Space freezes at once, it presses nothing"


def test_trying_again_starts_the_same_subject_afresh_and_leaves_no_thread(stage, qtbot) -> None:
    cab = Cab(stage, qtbot)
    threads = threading.active_count()
    first = cab.sources[0].generator.subject.target
    cab.drag_along(8.0)
    qtbot.waitUntil(lambda: cab.view.needle.way_mm > 0, timeout=10_000)
    QTest.keyClick(cab.picture, Qt.Key.Key_Backspace)
    qtbot.waitUntil(lambda: len(cab.sources) == 2, timeout=20_000)
    qtbot.waitUntil(lambda: cab.view is not None and cab.view.needle.way_mm < 0, timeout=20_000)
    assert cab.sources[1].generator.subject.target == first
    assert cab.view.attempt.seconds is None
    assert threading.active_count() == threads
    cab.window.cockpit.another()
    qtbot.waitUntil(lambda: len(cab.sources) == 3, timeout=20_000)
    assert cab.parts.desk.uri.startswith("sim:vessel?seed=4&")


def test_every_hand_moves_what_it_says(stage, qtbot) -> None:
    cab = Cab(stage, qtbot)
    keys = {
        Qt.Key.Key_D: lambda v, was: v.state.probe.slide_mm > was.state.probe.slide_mm + 0.5,
        Qt.Key.Key_A: lambda v, was: v.state.probe.slide_mm < was.state.probe.slide_mm - 0.5,
        Qt.Key.Key_E: lambda v, was: v.state.probe.rock_rad > was.state.probe.rock_rad + 0.01,
        Qt.Key.Key_Q: lambda v, was: v.state.probe.rock_rad < was.state.probe.rock_rad - 0.01,
        Qt.Key.Key_R: lambda v, was: v.state.probe.tilt_rad > was.state.probe.tilt_rad + 0.01,
        Qt.Key.Key_F: lambda v, was: v.state.probe.tilt_rad < was.state.probe.tilt_rad - 0.01,
        Qt.Key.Key_V: lambda v, was: v.state.probe.press_mm > was.state.probe.press_mm + 0.3,
        Qt.Key.Key_C: lambda v, was: v.state.probe.press_mm < was.state.probe.press_mm - 0.2,
        Qt.Key.Key_Down: lambda v, was: v.needle.way_mm > was.needle.way_mm + 0.3,
        Qt.Key.Key_Up: lambda v, was: v.needle.way_mm < was.needle.way_mm - 0.3,
        Qt.Key.Key_Right: lambda v, was: v.needle.angle_deg > was.needle.angle_deg + 0.5,
        Qt.Key.Key_Left: lambda v, was: v.needle.angle_deg < was.needle.angle_deg - 0.5,
    }
    for key, moved in keys.items():
        was = cab.view
        cab.hold_until(key, lambda view, moved=moved, was=was: moved(view, was))
    was = cab.view
    cab.hold_until(Qt.Key.Key_E, lambda v: v.state.probe.twist_rad < was.state.probe.twist_rad - 0.02,
                   Qt.KeyboardModifier.ShiftModifier)
    was = cab.view
    cab.hold_until(Qt.Key.Key_Left, lambda v: v.needle.azimuth_deg != was.needle.azimuth_deg,
                   Qt.KeyboardModifier.ShiftModifier)
    # The wheel is depth; with Ctrl it magnifies.
    was, at = cab.view, QPointF(cab.picture.rect().center())
    for modifier, turn in ((Qt.KeyboardModifier.NoModifier, -120), (Qt.KeyboardModifier.ControlModifier, 120)):
        cab.picture.wheelEvent(QWheelEvent(at, cab.picture.mapToGlobal(at), QPoint(), QPoint(0, turn),
                                           Qt.MouseButton.NoButton, modifier, Qt.ScrollPhase.NoScrollPhase, False))
    qtbot.waitUntil(lambda: cab.view.needle.way_mm > was.needle.way_mm + 0.5, timeout=10_000)
    assert cab.picture.zoom > 1.0
    cab.picture.fit()
    # The right button takes the probe.
    was = cab.view
    centre = cab.picture.rect().center()
    QTest.mousePress(cab.picture, Qt.MouseButton.RightButton, pos=centre)
    QTest.mouseMove(cab.picture, centre + QPoint(40, 0))
    QTest.mouseRelease(cab.picture, Qt.MouseButton.RightButton, pos=centre + QPoint(40, 0))
    qtbot.waitUntil(lambda: cab.view.state.probe.slide_mm < was.state.probe.slide_mm - 0.5, timeout=10_000)


def test_keys_are_let_go_when_the_window_loses_the_focus(stage, qtbot) -> None:
    cab = Cab(stage, qtbot)
    QTest.keyPress(cab.picture, Qt.Key.Key_D)
    qtbot.waitUntil(lambda: cab.view.state.probe.slide_mm > 0.5, timeout=10_000)
    cab.window.keyboard.release()  # what the window does when another one gets the keyboard
    index = cab.view.index
    qtbot.waitUntil(lambda: cab.view.index > index + 3, timeout=10_000)
    moves = cab.sources[0].steering.moves()
    assert moves[-1].slide_mm == 0.0
    assert sum(move.slide_mm > 0 for move in moves) > 0
    QTest.keyRelease(cab.picture, Qt.Key.Key_D)


def test_keys_held_while_frozen_do_nothing_when_it_runs_again(stage, qtbot) -> None:
    cab = Cab(stage, qtbot)
    QTest.keyClick(cab.picture, Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: cab.parts.player.status().state is PlayState.PAUSED)
    taken = len(cab.sources[0].steering.moves())
    for _ in range(30):  # as a keyboard's repeats come on some systems
        QTest.keyPress(cab.picture, Qt.Key.Key_Down)
        QTest.keyRelease(cab.picture, Qt.Key.Key_Down)
    QTest.keyPress(cab.picture, Qt.Key.Key_Down)
    QTest.keyClick(cab.picture, Qt.Key.Key_Space)
    index = cab.view.index
    qtbot.waitUntil(lambda: cab.view.index > index + 4, timeout=10_000)
    assert {move.advance_mm for move in cab.sources[0].steering.moves()[taken:]} == {0.0}
    QTest.keyRelease(cab.picture, Qt.Key.Key_Down)
    was = cab.view
    cab.hold_until(Qt.Key.Key_Down, lambda view: view.needle.way_mm > was.needle.way_mm + 0.3)


def test_an_attempt_ended_by_another_source_can_still_be_saved(stage, qtbot, tmp_path) -> None:
    cab = Cab(stage, qtbot)
    window, banners = cab.window, cab.window.stage.banners
    cab.drag_along(10.0)
    qtbot.waitUntil(lambda: cab.view.attempt.seconds is not None, timeout=10_000)
    window.show_figures()
    window.open_uri("sim:vessel?seed=3&size=320x240&frames=20")
    qtbot.waitUntil(lambda: "attempt" in banners.texts(), timeout=20_000)
    assert "was ended" in banners.texts()["attempt"]
    assert not window.cockpit.on
    cab.open(ADDRESS)
    assert "attempt" in banners.texts(), "coming back takes nothing away"
    moved = sum(move.advance_mm for move in cab.sources[0].steering.moves())
    button = next(b for b in banners.findChildren(QPushButton) if b.text() == "Save the moves")
    button.click()
    file = tmp_path / "kept.toml"
    window.does.dialogs["moves"].fileSelected.emit(str(file))
    qtbot.waitUntil(lambda: "attempt" not in banners.texts(), timeout=5000)
    assert sum(move.by for move in read_moves(file).moves if move.do == "advance") == pytest.approx(moved)
    window.does.dialogs["moves"].close()


def test_done_before_the_skin_is_touched_ends_nothing(stage, qtbot, tmp_path) -> None:
    cab = Cab(stage, qtbot)
    QTest.keyClick(cab.picture, Qt.Key.Key_Return)
    assert "begins when the needle touches the skin" in cab.window.status_line.message
    assert not cab.window.cockpit.summary.isVisible()
    cab.window.cockpit.write_moves(tmp_path / "moves.toml")
    qtbot.waitUntil(lambda: "moves" in cab.window.stage.banners.texts(), timeout=5000)
    assert "no moves to save" in cab.window.stage.banners.texts()["moves"]
    assert list(tmp_path.iterdir()) == []


def test_the_hands_card_shows_the_keys_as_they_are_and_can_be_hidden(stage, qtbot) -> None:
    cab = Cab(stage, qtbot)
    card = cab.window.cockpit.panel.hands
    assert card.isVisible()
    shown = {label.text() for label in card.findChildren(QLabel)}
    assert {"W", "S", "A", "D", "Q", "E", "drag along", "advance", "wheel down", "deeper"} <= shown
    assert "fire" not in {label.text() for label in card.findChildren(QLabel) if label.isVisible()}
    cab.parts.preferences.set("keys", {"probe_behind": "Y"})
    qtbot.waitUntil(lambda: "Y" in {label.text() for label in card.findChildren(QLabel)})
    assert "F1" in card.closer.toolTip()
    card.closer.setFocus()
    card.closer.click()
    assert not card.isVisible() and cab.picture.hasFocus()
    assert "F1 shows the card again" in cab.window.status_line.message
    QTest.keyClick(cab.picture, Qt.Key.Key_F1)
    QTest.keyClick(cab.picture, Qt.Key.Key_F1)
    assert not card.isVisible() and not cab.parts.preferences.settings.hands_card
    QTest.keyClick(cab.picture, Qt.Key.Key_F1)
    assert card.isVisible()


def test_a_seed_that_is_no_number_is_refused_with_a_hint(stage, qtbot) -> None:
    window = stage.open().window
    dialog = SimulatorDialog(["A"], window)
    dialog.show()
    dialog.seed.clear()
    QTest.keyClicks(dialog.seed, "abc-5.7")
    assert dialog.seed.text() == "abc-5.7" and dialog.seed_hint.isVisible() and not dialog.opener.isEnabled()
    dialog.accept()
    assert dialog.isVisible()
    dialog.seed.setText(" 57 ")
    assert dialog.seed_hint.isHidden() and dialog.opener.isEnabled()
    assert "seed=57" in dialog.uri()
    dialog.close()


def test_a_watched_simulation_can_be_taken_over(stage, qtbot) -> None:
    cab = Cab(stage, qtbot)
    cab.window.open_uri("sim:vessel?seed=3&size=320x240")
    qtbot.waitUntil(lambda: len(cab.sources) == 2 and cab.picture.hands is None, timeout=20_000)
    assert not cab.window.cockpit.panel.isVisible()
    assert cab.window.live.steer.isVisible()
    cab.window.live.steer.click()
    qtbot.waitUntil(lambda: len(cab.sources) == 3 and cab.picture.hands is not None, timeout=20_000)
    assert cab.parts.desk.uri == "sim:vessel?seed=3&size=320x240&steer=yes"
    assert cab.window.cockpit.panel.isVisible()


def test_a_biopsy_gun_fires_into_the_lesion(stage, qtbot) -> None:
    cab = Cab(stage, qtbot, "sim:breast?seed=3&machine=A&size=320x240&fps=40&steer=yes")
    cab.window.show_figures()
    assert cab.window.cockpit.bar.fire.isVisible()
    cab.aim()
    while cab.view.target.from_tip_mm is None or cab.view.target.from_tip_mm > 14.0:
        cab.drag_along(5.0)
        qtbot.wait(60)
    way = cab.view.needle.way_mm
    QTest.keyClick(cab.picture, Qt.Key.Key_B)
    qtbot.waitUntil(lambda: cab.view.needle.way_mm > way + 10.0, timeout=10_000)
    assert "fired" in [event.kind for event in cab.view.attempt.events]
    cab.window.show_figures()
    assert any("gun fired" in line for line in cab.window.cockpit.panel.attempt.events())


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize(("scale", "size"), [(1.0, (1280, 720)), (1.5, (1440, 900)), (2.0, (1920, 1080))])
def test_no_word_of_steering_is_cut(
    stage, qtbot, qapp, language: str, scale: float, size: tuple[int, int]
) -> None:
    kept = install_language(qapp, language)
    try:
        settings = Settings(font_scale=scale, first_start_done=True, enabled_plugins=["echo"], language=language)
        parts = stage.open(settings, opener=open_source, size=size)
        window = parts.window
        window.open_uri("sim:breast?seed=1&size=320x240&steer=yes&fps=40")
        qtbot.waitUntil(lambda: window.cockpit.pilot.view is not None and window.stage.view.hands is not None,
                        timeout=20_000)
        window.show_figures()
        for _ in range(50):
            if not cut_labels(window):
                break
            qtbot.wait(20)
        assert cut_labels(window) == []
        assert nameless(window) == []
        area = window.right.findChild(QScrollArea)
        assert area.widget().width() <= area.viewport().width(), "nothing reaches beyond the panel"
        assert window.stage.view.height() >= size[1] * 0.4
        assert window.stage.safety.isVisible()
        stage.close(parts)
    finally:
        remove_language(qapp, kept)
        install_language(qapp, "en")
