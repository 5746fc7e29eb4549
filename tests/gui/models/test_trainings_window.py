"""A training in the window: it goes on beside all else, is paused, cancelled, compared, and outlives a closing."""

from __future__ import annotations

from dataclasses import replace

from models_window import TIP, job_of, open_models, press, verbs, with_trainer
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from site_models import leave_training, register_site_model, some_comparison

from puncta.inference.promotion import history
from puncta.settings import Settings

OTHER = b"\xa0\x06\x01"
"""A field that nobody reads: with it a model is another file than the one it is a copy of, and loads as that does."""



def test_a_training_goes_on_while_others_modes_are_used_and_is_paused_and_gone_on_with(stage, qtbot) -> None:
    parts = open_models(stage, qtbot)
    window, modeller = parts.window, parts.window.modeller
    trainer = with_trainer(parts, job_of("a", "running"))
    qtbot.waitUntil(lambda: ("training", "a") in modeller.left.rows)
    modeller.show_thing("training", "a")
    page = modeller.training_page
    qtbot.waitUntil(lambda: len(page.losses.curves) == 1)
    assert page.losses.words() == "all together 1.50" and "70.0 %" in page.figures.words()
    assert page.stage.text() == "Learns: 500 of 1,000" and "5 min left" in page.left.text()
    assert set(verbs(parts)) == {"training_cancel", "training_pause"}
    window.does.run("mode_review")
    assert "5 min left" in window.status_line.work
    trainer.tell(replace(trainer.known["a"], done=750.0, left_s=120.0))
    qtbot.waitUntil(lambda: "2 min left" in window.status_line.work)
    window.does.run("mode_models")
    assert modeller.shown == ("training", "a") and page.stage.text() == "Learns: 750 of 1,000"
    modeller.left.rows["training", "a"].setFocus()
    press(parts, "training_pause")
    qtbot.waitUntil(lambda: "training_pause" in verbs(parts) and page.job.state == "paused")
    assert modeller.bar.buttons["training_pause"].text() == "Resume" and window.status_line.work == ""
    press(parts, "training_pause")
    qtbot.waitUntil(lambda: page.job.state == "running")
    assert [what for what, _job in trainer.done] == ["pause", "resume"]


def test_cancelling_and_removing_are_asked_twice(stage, qtbot) -> None:
    parts = open_models(stage, qtbot)
    modeller = parts.window.modeller
    trainer = with_trainer(parts, job_of("a", "running"))
    qtbot.waitUntil(lambda: ("training", "a") in modeller.left.rows)
    modeller.show_thing("training", "a")
    press(parts, "training_cancel")
    assert "Cancel this training?" in modeller.bar.words.full() and trainer.done == []
    press(parts, "models_back")
    assert set(verbs(parts)) == {"training_cancel", "training_pause"} and trainer.done == []
    press(parts, "training_cancel")
    press(parts, "training_cancel")
    qtbot.waitUntil(lambda: modeller.training_page.job.state == "cancelled")
    qtbot.waitUntil(lambda: "cancelled before its first checkpoint" in modeller.bar.words.full())
    press(parts, "training_remove")
    assert trainer.done == [("cancel", "a")]
    press(parts, "training_remove")
    qtbot.waitUntil(lambda: ("training", "a") not in modeller.left.rows)
    assert trainer.done[-1] == ("remove", "a") and modeller.shown[0] == "model"


def test_a_finished_training_is_compared_and_its_model_put_in_use(stage, qtbot, monkeypatch) -> None:
    made = register_site_model(more=OTHER)
    parts = open_models(stage, qtbot)
    modeller = parts.window.modeller
    reloaded: list[str] = []
    monkeypatch.setattr(parts.desk, "reload_plugin", reloaded.append)
    modeller.desk.comparisons[TIP, made, "site"] = some_comparison(TIP, made)
    with_trainer(parts, job_of("a", "done", left_s=0.0))
    qtbot.waitUntil(lambda: ("training", "a") in modeller.left.rows)
    modeller.show_thing("training", "a")
    view = modeller.training_page.comparison
    assert view.comparison is not None and "better in 2 and worse in 1" in view.verdict.text()
    assert "Everything here is simulated" in view.notes.texts[0] and "412 frames" in view.said.text()
    assert len(view.table.words()) == 4
    view.machine.setCurrentIndex(view.machine.findData("G"))
    view.machine.activated.emit(view.machine.currentIndex())
    assert len(view.table.words()) == 2
    press(parts, "model_use")
    qtbot.waitUntil(lambda: reloaded == ["needle-tip"])
    assert [p.model for p in history("needle-tip")] == [made]
    qtbot.waitUntil(lambda: verbs(parts).get("model_use") is False)


def test_a_training_that_ends_while_it_is_looked_at_is_judged_once_its_model_has_come(stage, qtbot) -> None:
    parts = open_models(stage, qtbot)
    modeller = parts.window.modeller
    modeller.desk.comparisons[TIP, "needle-tip-site 1", "site"] = some_comparison()
    trainer = with_trainer(parts, job_of("a", "running"))
    qtbot.waitUntil(lambda: ("training", "a") in modeller.left.rows)
    modeller.show_thing("training", "a")
    register_site_model(more=OTHER)
    trainer.become("a", "done")
    qtbot.waitUntil(lambda: modeller.training_page.comparison.comparison is not None)
    qtbot.waitUntil(lambda: verbs(parts).get("model_use") is True)


def test_a_finished_training_that_is_looked_at_does_not_stop_a_dataset_that_is_made(stage, qtbot) -> None:
    made = register_site_model(more=OTHER)
    parts = open_models(stage, qtbot)
    modeller = parts.window.modeller
    with_trainer(parts, job_of("a", "done", left_s=0.0))
    qtbot.waitUntil(lambda: ("training", "a") in modeller.left.rows and modeller.desk.shelf.find(made) is not None)
    stop = modeller.desk._begin_long("making")
    modeller.show_thing("training", "a")
    assert not stop.is_set() and modeller.desk.progress[0] == "making"
    assert "begins again when this page is opened" in modeller.training_page.comparison.said.text()


def test_closing_pauses_and_the_next_start_offers_to_go_on(stage, qtbot, user_home) -> None:
    parts = open_models(stage, qtbot)
    trainer = with_trainer(parts, job_of("a", "running", name="our phantom"))
    qtbot.waitUntil(lambda: parts.preferences.settings.paused_trainings == ["a"])
    stage.close(parts)
    assert trainer.done == [("close", "")]
    leave_training("a", "paused", name="our phantom", message="Paused.")
    kept = Settings(first_start_done=True, enabled_plugins=["echo"], paused_trainings=["a"])
    parts = stage.open(kept)
    line = parts.window.status_line
    qtbot.waitUntil(lambda: line.message == "The training our phantom was paused when the program closed.")
    assert line._button.isVisible() and line._button.text() == "Resume"
    resumed: list[str] = []
    parts.window.modeller.desk.trainings.trainer.resume = resumed.append
    QTest.mouseClick(line._button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: resumed == ["a"])
