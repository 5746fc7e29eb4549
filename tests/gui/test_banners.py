"""The picture owns the middle: one sentence at a time, the worst first."""

from __future__ import annotations

from PySide6.QtWidgets import QLabel

from puncta.gui.panels.banners import Banner
from puncta.gui.panels.source_panel import SourceRow


def shown(window) -> list[str]:
    return [b.text for b in window.stage.banners.findChildren(Banner) if b.isVisible()]


def test_many_notices_show_one_at_a_time_and_leave_the_picture_its_room(stage, qtbot) -> None:
    parts = stage.open(size=(1280, 720))
    window = parts.window
    window.stage.try_card.want(True)
    qtbot.wait(20)
    before = window.stage.view.height()
    banners = window.stage.banners
    for number in range(5):
        banners.say(f"note-{number}", "caution", f"Plugin {number} waits for your consent. " * 3)
    banners.say("open", "bad", "The file is not there.")
    qtbot.wait(20)
    assert shown(window) == ["The file is not there."]
    assert not window.stage.try_card.isVisible()
    assert window.stage.view.height() > 0.8 * before
    words = [label.text() for label in banners.findChildren(QLabel) if label.isVisible()]
    assert "1 of 6" in words
    banners.hush("open")
    assert shown(window) == [banners.texts()["note-0"]]
    for number in range(5):
        banners.hush(f"note-{number}")
    assert shown(window) == [] and window.stage.try_card.isVisible()


def test_what_is_said_of_a_source_that_could_not_be_opened_leaves_with_the_way_to_models(stage) -> None:
    window = stage.open().window
    window.stage.banners.say("open", "bad", "The file is not there.")
    window.stage.banners.say("settings", "caution", "The settings cannot be kept.")
    window.does.run("mode_models")
    assert window.mode == "models" and set(window.stage.banners.texts()) == {"settings"}


def test_a_very_long_notice_is_cut_and_stands_whole_in_its_tool_tip(stage, qtbot) -> None:
    window = stage.open().window
    text = "The plugin folder holds something that cannot be read. " * 20
    window.stage.banners.say("plugins", "caution", text)
    qtbot.wait(20)
    assert window.stage.banners.height() < window.stage.height() / 3
    assert any(label.toolTip() == text for label in window.stage.banners.findChildren(QLabel))


def test_simulator_and_sample_are_listed_before_anything_is_open(stage) -> None:
    window = stage.open().window
    rows = [row.uri for row in window.sources.findChildren(SourceRow)]
    assert any(uri.startswith("sim:") for uri in rows)
    assert any(uri.endswith("breast-sample.dcm") for uri in rows)
