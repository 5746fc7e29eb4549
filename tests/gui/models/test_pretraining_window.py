"""Pre-training in the real window: recordings without a needle are ticked, stated, split by person, and trained on."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from models_window import TIP, open_models, press, verbs, with_trainer
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from site_models import leave_training, make_dataset

from puncta.annotation.cases import case_of_source
from puncta.annotation.store import AnnotationStore
from puncta.formats.dataset import load_dataset
from puncta.gui.models.data_words import second_of, title_of
from puncta.gui.models.plan_page import PlanPage
from puncta.gui.models.recording_choice import RecordingChoice
from puncta.inference.promotion import history
from puncta.inference.registry import Registry
from puncta.session import retrain_plans
from puncta.session.retrain import RetrainPlan, open_training_data
from puncta.sources.factory import open_source

RECORDINGS, PRETRAIN, LABELS = "data recordings", "recipe tip_site_pre", "recipe tip_site"


def write_cine(folder: Path, number: int, frames: int = 48) -> Path:
    """Write a folder of pictures of speckle."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(number)
    for k in range(frames):
        cv2.imwrite(str(folder / f"{k:03d}.png"), rng.integers(20, 200, (64, 64)).astype(np.uint8))
    return folder


def add_cases(home: Path, subjects: Sequence[str | None]) -> None:
    """Put recordings into this user's library."""
    with AnnotationStore.open() as store:
        for k, subject in enumerate(subjects):
            source = open_source(str(write_cine(home / f"free {k}", k)))
            store.add_case(replace(case_of_source(source.info, "needle", subject=subject, machine="F")))
            source.close()


def open_plan(stage, qtbot) -> tuple[object, PlanPage, object]:
    parts = open_models(stage, qtbot)
    modeller = parts.window.modeller
    trainer = with_trainer(parts)
    modeller.show_thing("model", TIP)
    modeller.plan()
    qtbot.waitUntil(lambda: modeller.desk.data_known and RECORDINGS in modeller.plan_page.choices)
    return parts, modeller.plan_page, trainer


def choose(page: PlanPage, name: str) -> None:
    page.choices[name].button.setChecked(True)


@pytest.fixture
def blind(monkeypatch: pytest.MonkeyPatch) -> None:
    """The present model sees a tip where the first picture of a run is that of the recording "free 1"."""
    seen = np.random.default_rng(1).integers(20, 200, (64, 64)).astype(np.uint8)

    def look(_self: object, run: Sequence) -> list[bool]:
        there = run[0].key.stream == "free 1"
        assert not there or (run[0].key.index > 0 or (run[0].pixels.reshape(64, 64, -1)[..., 0] == seen).all())
        return [there] * len(run)

    monkeypatch.setattr("puncta.session.retrain_needle_free.ModelLook.__init__", lambda _self: None)
    monkeypatch.setattr("puncta.session.retrain_needle_free.ModelLook.__exit__", lambda _self, *_wrong: None)
    monkeypatch.setattr("puncta.session.retrain_needle_free.ModelLook.__call__", look)


@pytest.mark.usefixtures("blind")
def test_recordings_are_ticked_stated_split_by_person_and_one_that_shows_a_needle_is_named(
    stage, qtbot, tmp_path: Path, user_home
) -> None:
    add_cases(tmp_path, ["p0", "p1", "p2", "p3", "p4", None])
    parts, page, trainer = open_plan(stage, qtbot)
    modeller = parts.window.modeller
    assert page.recipe == "tip_site_pre" and page.recordings.isVisible() and page.no_data.isVisible()
    assert page.obstacle() == "Tick the recordings of this machine that show no needle."
    assert len(page.recordings.checks) == 6 and not any(c.box.isChecked() for c in page.recordings.checks.values())
    for check in list(page.recordings.checks.values())[:2]:
        check.box.setChecked(True)
    qtbot.waitUntil(lambda: page.split is not None)
    assert page.obstacle() == "State that none of the chosen recordings shows a needle."
    page.recordings.stated.box.setChecked(True)
    assert "needs 120" in page.obstacle() and "frames and needs" in page.obstacle()
    QTest.mouseClick(page.recordings.tick_all, Qt.MouseButton.LeftButton)
    assert not page.recordings.is_stated, "more recordings than it was said of"
    (person,) = page.recordings.people.values()
    person.setText("p5")
    person.editingFinished.emit()
    page.recordings.stated.box.setChecked(True)
    qtbot.waitUntil(lambda: page.draft() is not None and page.estimated is not None)
    split = page.split
    assert split.by == "subject" and split.honest and sum(split.frames.values()) == 6 * 48
    assert {*split.train, *split.tune, *split.held_out} == {"p0", "p1", "p2", "p3", "p4", "p5"}
    assert any("drawn needles" in text for text in page.warnings.texts) and "guess" in page.time.text()
    press(parts, "training_start")
    qtbot.waitUntil(lambda: modeller.shown == ("training", "new"), timeout=60_000)
    (plan,) = trainer.plans
    assert plan.recipe == "tip_site_pre" and plan.base == TIP
    dataset = load_dataset(plan.data)
    sides: dict[str, set[str | None]] = {}
    for image in dataset.images:
        sides.setdefault(str(image.subject), set()).add(image.split)
    assert all(len(where) == 1 for where in sides.values()) and "p1" not in sides
    data = open_training_data(plan.data)
    assert data.counts == "240 frames of 5 recordings of 5 subjects"
    (said,) = data.problems
    assert said.startswith("free 1 (p1) is left out: on 48 of 48 frames")
    assert title_of(data).startswith("Dataset needle-tip")
    words = "240 frames without a needle of 5 recordings, 5 subjects, machine F, recorded"
    assert second_of(data, "needle-tip") == words


def test_labels_and_recordings_each_have_their_recipes_and_the_other_side_follows(
    stage, qtbot, tmp_path: Path, user_home
) -> None:
    add_cases(tmp_path, ["p0"])
    make_dataset("site", 6, 30)
    _parts, page, _trainer = open_plan(stage, qtbot)
    qtbot.waitUntil(lambda: page.draft() is not None)
    assert page.recipe == "tip_site" and not page.recordings.isVisible() and not page.no_data.isVisible()
    choose(page, PRETRAIN)
    assert page.recordings.isVisible() and page.data is None and page.choices[RECORDINGS].button.isChecked()
    assert not page.cases.isVisible() and page.draft() is None
    choose(page, LABELS)
    qtbot.waitUntil(lambda: page.draft() is not None)
    assert not page.recordings.isVisible() and page.data.path is not None
    choose(page, RECORDINGS)
    assert page.recipe == "tip_site_pre" and page.choices[PRETRAIN].button.isChecked()
    choose(page, "recipe tip_own")
    assert page.data is not None and not page.recordings.isVisible()


def test_files_and_folders_are_added_ticked_and_what_cannot_be_read_is_said(
    stage, qtbot, tmp_path: Path, user_home
) -> None:
    _parts, page, _trainer = open_plan(stage, qtbot)
    choice = page.recordings
    assert choice.nothing.isVisible() and not choice.stated.isVisible()
    for person in ("a", "b", "c"):
        write_cine(tmp_path / "ward" / person / "cine", ord(person))
    (tmp_path / "torn.mp4").write_bytes(b"nothing")
    page._desk.read_recordings([tmp_path / "ward", tmp_path / "torn.mp4"], choice.add)
    qtbot.waitUntil(lambda: len(choice.checks) == 3)
    assert all(check.box.isChecked() for check in choice.checks.values()) and choice.stated.isVisible()
    assert len(choice.wrong.texts) == 1 and "torn.mp4" in choice.wrong.texts[0]
    qtbot.waitUntil(lambda: page.split is not None)
    assert {*page.split.train, *page.split.tune, *page.split.held_out} == {"a", "b", "c"}
    assert page.data.counts == "144 frames of 3 recordings of 3 subjects"


@pytest.mark.usefixtures("blind")
def test_what_was_left_out_of_one_folder_stays_when_another_comes_and_stands_in_the_dataset(
    stage, qtbot, tmp_path: Path, user_home
) -> None:
    parts, page, trainer = open_plan(stage, qtbot)
    choice, wards = page.recordings, (tmp_path / "one", tmp_path / "two")
    for k in range(6):
        write_cine(wards[k % 2] / f"p{k}" / f"cine {k}", 10 + k)
    (wards[0] / "p0" / "broken.mp4").write_bytes(b"nothing")
    shutil.copytree(wards[0] / "p0" / "cine 0", wards[0] / "p0" / "twice")
    answers: list[None] = []
    add = choice.add
    choice.add = lambda *told: (add(*told), answers.append(None))
    for number, place in enumerate((*wards, wards[0]), start=1):
        choice.read([place])
        qtbot.waitUntil(lambda n=number: len(answers) == n)
    assert len(choice.checks) == 6
    lines = choice.wrong.texts
    assert lines[0].startswith("broken.mp4 (p0) is left out: it is not a video")
    assert lines[1:] == ("twice (p0) is left out: it is the same recording as cine 0 (p0), which counts once.",)
    choice.stated.box.setChecked(True)
    qtbot.waitUntil(lambda: page.draft() is not None and page.estimated is not None)
    press(parts, "training_start")
    qtbot.waitUntil(lambda: bool(trainer.plans), timeout=60_000)
    assert load_dataset(trainer.plans[0].data).info.more["left_out"] == list(lines)


def test_a_file_that_is_listed_already_is_added_once_by_whatever_name(
    stage, qtbot, tmp_path: Path, user_home
) -> None:
    add_cases(tmp_path, ["p0", "p1"])
    _parts, page, _trainer = open_plan(stage, qtbot)
    choice = page.recordings
    copies, new = tmp_path / "copies", tmp_path / "new"
    shutil.copytree(tmp_path / "free 0", copies / "p9" / "copy")
    shutil.copytree(write_cine(new / "p2" / "cine", 7), new / "p2" / "twice")
    answers: list[None] = []
    add = choice.add
    choice.add = lambda *told: (add(*told), answers.append(None))
    for number, place in enumerate((copies, new, new), start=1):
        choice.read([place])
        qtbot.waitUntil(lambda n=number: len(answers) == n)
        if place == copies:
            assert choice.wrong.texts == (
                "copy (p9) is left out: it is the same recording as free 0 (p0), which counts once.",
                "free 0 is p0 in the library and stays so; the folder's p9 is not taken.",
            )
    assert len(choice.checks) == 3 and [c.box.isChecked() for c in choice.checks.values()] == [True, False, True]
    assert choice.data().counts == "96 frames of 2 recordings of 2 subjects"


def test_the_plan_counts_up_to_so_many_frames_and_a_refusal_names_all_that_was_left_out(
    stage, qtbot, tmp_path: Path, user_home, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_cases(tmp_path, ["p0", "p1", "p2", "p3", "p4"])
    parts, page, trainer = open_plan(stage, qtbot)
    modeller = parts.window.modeller
    QTest.mouseClick(page.recordings.tick_all, Qt.MouseButton.LeftButton)
    page.recordings.stated.box.setChecked(True)
    qtbot.waitUntil(lambda: page.draft() is not None)
    chosen = page.recordings.chosen.text()
    assert chosen.startswith("Chosen: up to 240 frames") and "has not looked at them yet" in chosen
    assert all("up to " in words for _title, words in page.split_bar.facts.facts)
    shut = {"free 0", "free 1", "free 3"}

    def look(_self: object, run: Sequence) -> list[bool]:
        return [run[0].key.stream in shut] * len(run)

    monkeypatch.setattr("puncta.session.retrain_needle_free.ModelLook.__init__", lambda _self: None)
    monkeypatch.setattr("puncta.session.retrain_needle_free.ModelLook.__exit__", lambda _self, *_wrong: None)
    monkeypatch.setattr("puncta.session.retrain_needle_free.ModelLook.__call__", look)
    monkeypatch.setattr(trainer, "start", refuse)
    press(parts, "training_start")
    qtbot.waitUntil(lambda: bool(modeller.trouble), timeout=60_000)
    assert "needs 120" in modeller.trouble and "\n" not in modeller.trouble
    named = page.recordings.left_out.texts
    assert [words.partition(" is left out")[0] for words in named[:3]] == ["free 0 (p0)", "free 1 (p1)", "free 3 (p3)"]
    assert modeller.verbs.offer().words == modeller.trouble
    assert modeller.trouble.startswith("The part of these recordings that teaches has ")
    boxes = [check.box.isChecked() for check in page.recordings.checks.values()]
    assert boxes == [False, False, True, False, True], "what shows a needle is chosen no more"
    assert page.data.counts == "96 frames of 2 recordings of 2 subjects"
    words = page.recordings.chosen.text()
    assert words.startswith("Chosen: 96 frames") and "has looked at them" in words
    qtbot.waitUntil(lambda: page.split is not None)
    assert all("up to " not in words for _title, words in page.split_bar.facts.facts)
    first, *others = page.recordings.checks.values()
    others[1].box.setChecked(False)
    assert "Chosen: 48 frames" in page.recordings.chosen.text() and "has not" not in page.recordings.chosen.text()
    first.box.setChecked(True)
    words = page.recordings.chosen.text()
    assert "up to 96 frames" in words and "has looked at 1 of 2 recordings" in words
    page.choose_plugin("breast-biopsy")
    assert "needs 120" not in modeller.verbs.offer().words and not modeller.trouble


def refuse(plan: RetrainPlan) -> str:
    """Check a plan as the trainings do; here nothing is trained."""
    retrain_plans.check_plan(plan, Registry.load(user=Path("none")))
    raise AssertionError("it was not refused")


def test_another_plugin_s_plan_says_that_a_way_without_labels_is_there(stage, qtbot, user_home) -> None:
    _parts, page, _trainer = open_plan(stage, qtbot)
    assert not page.elsewhere.isVisible()
    page.choose_plugin("breast-biopsy")
    assert page.elsewhere.isVisible() and "without any label" in page.elsewhere.text()
    assert page.plugins.itemText(page.plugins.findData("needle-tip")) in page.elsewhere.text()


def type_person(choice: RecordingChoice, name: str, words: str) -> None:
    choice.people[name].setText(words)
    choice.people[name].editingFinished.emit()


def test_added_files_that_the_library_knows_are_ticked_and_take_their_folders_person(
    stage, qtbot, tmp_path: Path, user_home
) -> None:
    add_cases(tmp_path, ["p0", None])
    _parts, page, _trainer = open_plan(stage, qtbot)
    choice = page.recordings
    of_p0, of_nobody = page._desk.recordings
    choice.add([replace(of_p0, id=of_p0.uri, subject="anna"), replace(of_nobody, id=of_nobody.uri, subject="anna")])
    assert list(choice.checks) == [of_p0.id, of_nobody.id]
    assert all(check.box.isChecked() for check in choice.checks.values())
    assert list(choice.people) == [of_nobody.id] and choice.people[of_nobody.id].text() == "anna"
    assert [case.subject for case in choice.data().cases] == ["p0", "anna"]
    (said,) = choice.wrong.texts
    assert said == f"{of_p0.title} is p0 in the library and stays so; the folder's anna is not taken."


def test_a_typed_person_can_be_changed_and_outlives_what_comes_later(stage, qtbot, tmp_path: Path, user_home) -> None:
    add_cases(tmp_path, [None, None])
    _parts, page, _trainer = open_plan(stage, qtbot)
    choice = page.recordings
    first, second = page._desk.recordings
    choice.checks[first.id].box.setChecked(True)
    choice.checks[second.id].box.setChecked(True)
    type_person(choice, first.id, "anna")
    type_person(choice, second.id, "ana")
    file = replace(second, id="file", uri="file", title="loose")
    choice.add([file])
    type_person(choice, "file", "anna")
    assert choice.people[second.id].text() == "ana"
    type_person(choice, second.id, "anna")
    choice.show_recordings([first, second])
    assert {name: field.text() for name, field in choice.people.items()} == dict.fromkeys(
        (first.id, second.id, "file"), "anna"
    )
    assert choice.data().subjects == ("anna",)
    choice.show_recordings([first, second, replace(file, id="case")])
    assert list(choice.checks) == [first.id, second.id, "case"] and choice.people["case"].text() == "anna"
    assert choice.checks["case"].box.isChecked()
    type_person(choice, "case", "")
    assert [case.subject for case in choice.data().cases] == ["anna", "anna", None]


def test_what_was_left_out_stands_on_the_training_s_page(stage, qtbot, tmp_path: Path, user_home) -> None:
    folder = make_dataset("free", 3, 20, stated=True)
    from puncta.formats.dataset import save_dataset

    dataset = load_dataset(folder)
    said = "clip 3 is left out: on 40 of 48 frames the present model is sure of a needle's tip. Look at it; if it " \
        "shows a needle, label it instead."
    more = {"made_for": "pre-training", "left_out": [said]}
    save_dataset(replace(dataset, info=replace(dataset.info, more=more)), folder)
    leave_training("a", "paused", name="machine F", recipe="tip_site_pre", data=str(folder))
    parts = open_models(stage, qtbot)
    modeller = parts.window.modeller
    qtbot.waitUntil(lambda: "a" in modeller.desk.trainings.all)
    modeller.show_thing("training", "a")
    qtbot.waitUntil(lambda: modeller.training_page.left_out.texts == (said,))
    assert "training_pause" in verbs(parts)


SHORT = {
    "data": {"clips": 3, "tune_clips": 3, "frames": 6, "drawn": 6, "tune_drawn": 3},
    "model": {"input": {"size": 64}},
    "training": {
        "samples": 64, "batch": 8, "length": 2, "threads": 1, "workers": 1, "stages": [], "checkpoint_every": 2,
        "bfloat16": False,
    },
}  # fmt: skip
"""A training of seconds."""


@pytest.mark.slow
def test_recordings_become_a_model_that_is_compared_used_and_taken_back(
    stage, qtbot, tmp_path: Path, user_home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All real: the present model looks, the training runs in its process, both models judge held out persons."""
    pytest.importorskip("torch", reason="training needs PyTorch; install the train extra")
    long_ms = 900_000
    add_cases(tmp_path, ["p0", "p1", "p2", "p3", "p4"])
    parts = open_models(stage, qtbot)
    window, modeller = parts.window, parts.window.modeller
    modeller.show_thing("model", TIP)
    modeller.plan()
    page = modeller.plan_page
    qtbot.waitUntil(lambda: RECORDINGS in page.choices and len(page.recordings.checks) == 5)
    QTest.mouseClick(page.recordings.tick_all, Qt.MouseButton.LeftButton)
    page.recordings.stated.box.setChecked(True)
    qtbot.waitUntil(lambda: page.draft() is not None)
    held_out = page.split.held_out
    trainer = modeller.desk.trainings.trainer
    start = trainer.start
    monkeypatch.setattr(trainer, "start", lambda plan: start(replace(plan, changes=SHORT)))
    press(parts, "training_start")
    qtbot.waitUntil(lambda: modeller.shown[0] == "training", timeout=long_ms)
    qtbot.waitUntil(lambda: modeller.job() is not None and modeller.job().state in {"done", "failed"}, timeout=long_ms)
    job = modeller.job()
    assert job.state == "done", job.message
    assert job.model == "needle-tip-pre 1"
    view = modeller.training_page.comparison
    qtbot.waitUntil(lambda: view.comparison is not None, timeout=long_ms)
    compared = view.comparison
    assert (compared.old, compared.new) == (TIP, job.model) and compared.subjects == len(held_out)
    assert any("are drawn into them" in note for note in compared.notes)
    assert {row.name for row in compared.rows} >= {"miss_rate"}
    window.does.run("mode_review")
    window.does.run("mode_models")
    press(parts, "model_use")
    qtbot.waitUntil(lambda: [p.model for p in history("needle-tip")] == [job.model], timeout=long_ms)
    modeller.show_thing("model", job.model)
    qtbot.waitUntil(lambda: "model_back" in verbs(parts), timeout=long_ms)
    press(parts, "model_back")
    qtbot.waitUntil(lambda: history("needle-tip") == (), timeout=long_ms)
    modeller.plan()
    choice = modeller.plan_page
    assert choice.bases.findData(job.model) >= 0 and choice.bases.findData(TIP) >= 0, "a base for labels"
