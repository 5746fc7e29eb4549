"""What is done to a training is said at once, happens once, and leaves the keys and the page where they belong."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from models_window import TIP, Trainer, job_of, open_models, press, verbs, with_trainer
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLabel
from site_models import make_dataset, register_site_model, some_comparison

from puncta import paths
from puncta.core.errors import UserError
from puncta.gui.i18n import tr
from puncta.gui.models.data_words import title_of
from puncta.gui.models.kept_comparison import folder_of, keep_comparison
from puncta.gui.models.left_panel import state_words
from puncta.gui.models.plan_words import usual_name
from puncta.session.retrain_copies import copies_dir
from puncta.session.retrain_data import datasets_dir


class Slow(Trainer):
    """Takes what is asked, and does it when the test says so."""

    def pause(self, job: str) -> None:
        self.done.append(("pause", job))

    def cancel(self, job: str) -> None:
        self.done.append(("cancel", job))


def show(parts, qtbot, *jobs, trainer: Trainer | None = None) -> Trainer:
    """The page of the first of these trainings."""
    modeller = parts.window.modeller
    there = with_trainer(parts, *jobs)
    if trainer is not None:
        trainer.known, trainer._callbacks = there.known, there._callbacks
        modeller.desk.trainings.trainer = there = trainer
    qtbot.waitUntil(lambda: ("training", jobs[0].id) in modeller.left.rows and parts.window.isActiveWindow())
    modeller.show_thing("training", jobs[0].id)
    return there


def planned(parts, qtbot, base: str = TIP, *, ready: bool = True):
    """The plan of a training from a model, ready to start unless its weights are not there."""
    modeller = parts.window.modeller
    with_trainer(parts)
    qtbot.waitUntil(lambda: modeller.desk.shelf.find(base) is not None)
    modeller.show_thing("model", base)
    modeller.plan()
    page = modeller.plan_page
    qtbot.waitUntil(lambda: page.draft() is not None if ready else page.split is not None)
    return modeller.plan_page


def test_a_started_training_has_the_keys_so_space_pauses_it(stage, qtbot) -> None:
    make_dataset("site", 6, 30, stated=True)
    parts = open_models(stage, qtbot)
    modeller = parts.window.modeller
    page = planned(parts, qtbot)
    page.name.setFocus()
    parts.window.does.run("training_start")
    qtbot.waitUntil(lambda: modeller.shown == ("training", "new"))
    assert parts.window.focusWidget() is modeller.left.rows["training", "new"]
    QTest.keyClick(parts.window.focusWidget(), Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: modeller.desk.trainings.trainer.done == [("pause", "new")])


def test_leaving_a_plan_gives_the_keys_back_to_the_list(stage, qtbot) -> None:
    make_dataset("site", 6, 30, stated=True)
    parts = open_models(stage, qtbot)
    planned(parts, qtbot)
    parts.window.does.run("models_back")
    assert parts.window.focusWidget() is parts.window.modeller.left.rows["model", TIP]


def test_a_pause_is_said_until_it_has_happened_and_asked_for_once(stage, qtbot) -> None:
    parts = open_models(stage, qtbot)
    modeller = parts.window.modeller
    trainer = show(parts, qtbot, job_of("a", "running"), trainer=Slow())
    row = modeller.left.rows["training", "a"]
    row.setFocus()
    QTest.keyClick(row, Qt.Key.Key_Space)
    assert modeller.bar.words.full() == "Pausing…"
    assert verbs(parts) == {"training_cancel": False, "training_pause": False}
    there = [key for key, one in modeller.left.rows.items() if one is parts.window.focusWidget()]
    assert there == [("training", "a")] and row is modeller.left.rows["training", "a"]
    assert "Pausing…" in row.accessibleName()
    QTest.keyClick(row, Qt.Key.Key_Space)
    parts.window.does.run("training_cancel")
    trainer.tell(replace(trainer.known["a"], done=600.0))
    qtbot.waitUntil(lambda: modeller.job().done == 600.0)
    assert modeller.bar.words.full() == "Pausing…" and modeller.asking == ""
    trainer.become("a", "paused")
    qtbot.waitUntil(lambda: verbs(parts) == {"training_remove": True, "training_pause": True})
    assert trainer.done == [("pause", "a")] and modeller.bar.buttons["training_pause"].text() == "Resume"


def test_a_cancel_is_said_until_it_has_happened_and_keeps_the_keys_on_the_row(stage, qtbot) -> None:
    parts = open_models(stage, qtbot)
    modeller = parts.window.modeller
    trainer = show(parts, qtbot, job_of("a", "making data"), trainer=Slow())
    press(parts, "training_cancel")
    modeller.bar.buttons["training_cancel"].setFocus()
    press(parts, "training_cancel")
    assert modeller.bar.words.full() == "Cancelling…" and not any(verbs(parts).values())
    assert parts.window.focusWidget() is modeller.left.rows["training", "a"]
    parts.window.does.run("training_pause")
    trainer.become("a", "cancelled")
    qtbot.waitUntil(lambda: modeller.job().state == "cancelled")
    assert trainer.done == [("cancel", "a")] and modeller.desk.trainings.asked == {}


def test_what_cannot_be_paused_is_said_and_can_be_tried_again(stage, qtbot) -> None:
    class Refuses(Slow):
        def pause(self, job: str) -> None:
            raise UserError("training a waits in another window of the program; pause or cancel it there.")

    parts = open_models(stage, qtbot)
    show(parts, qtbot, job_of("a", "waiting"), trainer=Refuses())
    press(parts, "training_pause")
    assert parts.window.modeller.bar.words.full() == "Pausing…"
    qtbot.waitUntil(lambda: verbs(parts) == {"training_cancel": True, "training_pause": True})
    assert "waits in another window" in parts.window.status_line.message


@pytest.mark.parametrize(
    ("checkpoint", "button", "said"),
    [(True, "Resume", "Its last checkpoint is kept"), (False, "Start it anew", "before its first checkpoint")],
)
def test_a_cancelled_training_promises_nothing_and_urges_nothing(stage, qtbot, checkpoint, button, said) -> None:
    class Empty(Slow):
        def curves(self, _job: str) -> dict:
            return {}

    parts = open_models(stage, qtbot)
    modeller = parts.window.modeller
    trainer = show(parts, qtbot, job_of("a", "running", checkpoint=checkpoint), trainer=Empty())
    page = modeller.training_page
    assert page.waiting.isVisible() and page.curves_head.isVisible()
    trainer.become("a", "cancelled")
    qtbot.waitUntil(lambda: modeller.job().state == "cancelled")
    assert not page.waiting.isVisible() and not page.curves_head.isVisible()
    assert not any(verb.primary for verb in modeller.bar.verbs())
    assert modeller.bar.buttons["training_pause"].text() == button and said in modeller.bar.words.full()


def test_a_removed_training_is_said_and_its_model_shown(stage, qtbot) -> None:
    made = register_site_model()
    parts = open_models(stage, qtbot)
    modeller = parts.window.modeller
    modeller.desk.comparisons[TIP, made, "site"] = some_comparison(TIP, made)
    show(parts, qtbot, job_of("a", "done", left_s=0.0, model=made))
    qtbot.waitUntil(lambda: modeller.desk.shelf.find(made) is not None)
    press(parts, "training_remove")
    press(parts, "training_remove")
    qtbot.waitUntil(lambda: ("training", "a") not in modeller.left.rows)
    assert modeller.shown == ("model", made)
    assert parts.window.status_line.message == "Removed training a. The model it made stays."
    assert parts.window.focusWidget() is modeller.left.rows["model", made]


def test_a_removed_training_without_a_model_leaves_the_one_its_plugin_uses(stage, qtbot) -> None:
    parts = open_models(stage, qtbot)
    modeller = parts.window.modeller
    first, *_others, last = modeller.desk.shelf.families
    show(parts, qtbot, job_of("a", "cancelled", plugin=last.plugin, model="none 1"))
    assert first.plugin != last.plugin
    press(parts, "training_remove")
    press(parts, "training_remove")
    qtbot.waitUntil(lambda: ("training", "a") not in modeller.left.rows)
    assert modeller.shown == ("model", last.in_use.identity)
    assert parts.window.status_line.message == "Removed training a."


def test_a_new_name_is_also_none_that_a_model_which_is_there_was_trained_under(stage, qtbot) -> None:
    make_dataset("site", 6, 30, stated=True)
    made = register_site_model()
    run = paths.user_data_dir() / "models" / "runs" / made.replace(" ", "-")
    run.mkdir(parents=True)
    parts = open_models(stage, qtbot)
    title = tr(parts.window.modeller.desk.shelf.family("needle-tip").title)
    (run / "training.json").write_text(json.dumps({"config": {"title": usual_name(title, ())}}), encoding="utf-8")
    parts.window.modeller.desk.look()
    register_site_model("2", b"more")  # of this one nothing is kept
    qtbot.waitUntil(lambda: parts.window.modeller.desk.shelf.find("needle-tip-site 2") is not None)
    page = planned(parts, qtbot)
    assert page.name.text() == usual_name(title, {usual_name(title, ())})


def test_a_plan_says_that_it_goes_on_from_a_model_that_is_not_in_use(stage, qtbot) -> None:
    make_dataset("site", 6, 30, stated=True)
    made = register_site_model("1", b"made")
    parts = open_models(stage, qtbot)
    shelf = parts.window.modeller.desk.shelf
    new, old = shelf.find(made), shelf.find(TIP)
    found = replace(some_comparison(TIP, made), old_sha256=old.sha256, new_sha256=new.sha256)
    (folder,) = folder_of(new)
    folder.mkdir(parents=True)
    keep_comparison(folder, found)
    page = planned(parts, qtbot, made, ready=False)
    line = page.base_note
    assert line.isVisible() and line.words.text().startswith(f"Goes on from {made}, which is not in use.")
    qtbot.waitUntil(lambda: f"Beside {TIP} (comes with Puncta) it is worse in 1" in line.words.text())
    page.choose_base(TIP)
    assert not line.isVisible()
    page.choose_base("needle-tip-ut 0.4")
    assert line.words.text() == "Goes on from needle-tip-ut 0.4, which is not in use."


def test_the_copy_of_a_started_training_is_not_offered_and_removing_it_says_that_it_goes(stage, qtbot) -> None:
    make_dataset("site-f", 6, 30)
    parts = open_models(stage, qtbot)
    modeller = parts.window.modeller
    planned(parts, qtbot)
    press(parts, "training_start")
    qtbot.waitUntil(lambda: modeller.shown == ("training", "new"))
    trainer = modeller.desk.trainings.trainer
    (plan,) = trainer.plans
    assert plan.data.is_dir() and [folder.name for folder in datasets_dir().iterdir()] == ["site-f"]
    trainer.tell(replace(trainer.known["new"], state="cancelled", data=str(plan.data), copy_of=plan.copy_of))
    qtbot.waitUntil(lambda: "training_remove" in verbs(parts))
    labels = [label.text() for label in modeller.training_page.findChildren(QLabel)]
    assert "Its own copy of the dataset site-f" in labels
    press(parts, "training_remove")
    said = "Remove this training with its files and its copy of the dataset site-f? It has made no model yet."
    assert modeller.bar.words.full() == said
    modeller.show_thing("model", TIP)
    modeller.plan()
    qtbot.waitUntil(lambda: modeller.plan_page.draft() is not None)
    titles = [title_of(data) for data in modeller.plan_page._fitting()]
    assert titles == ["Dataset site-f", "Recordings that show no needle"]


def test_labels_that_a_copy_alone_still_has_are_promised_and_said_to_stay(stage, qtbot, tmp_path) -> None:
    class Keeps(Slow):
        def remove(self, job: str) -> Path:
            super().remove(job)
            return tmp_path / "site-1"

    copy = copies_dir() / "site-1"
    parts = open_models(stage, qtbot)
    job = job_of("a", "cancelled", data=str(copy), copy_of=str(tmp_path / "gone"))
    show(parts, qtbot, job, trainer=Keeps())
    press(parts, "training_remove")
    assert parts.window.modeller.bar.words.full().startswith("Remove this training with its files?")
    press(parts, "training_remove")
    qtbot.waitUntil(lambda: "Removed" in parts.window.status_line.message)
    assert parts.window.status_line.message.endswith("so they stay among your datasets, as site-1.")


@pytest.mark.usefixtures("german")
def test_what_was_asked_is_told_in_the_language_of_the_window() -> None:
    job = job_of("a", "running")
    assert state_words(job, "pause") == "Wird angehalten …" and state_words(job, "cancel") == "Wird abgebrochen …"
    assert tr("Removed {name}.").format(name="a") == "a ist entfernt."
    line = tr("Goes on from {model}, which is not in use.").format(model="m 1")
    assert line == "Geht von m 1 aus, das nicht in Gebrauch ist."
