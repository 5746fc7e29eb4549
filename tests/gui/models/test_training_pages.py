"""Plans, running trainings and results say who teaches and who judges, what their pictures are of, and what waits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from models_window import TIP, job_of, open_models, with_trainer
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from site_models import leave_training, make_dataset

from puncta.formats.dataset import Visibility, load_dataset, save_dataset
from puncta.gui.models.plan_words import cautions, moved_words, thresholds_words, usual_name, waits_words
from puncta.gui.models.split_bar import SplitBar
from puncta.gui.theme import make_theme
from puncta.session.retrain import RECIPES, LabelledCase, TrainingData, plan_split, split_of_dataset
from puncta.settings import Settings

RECIPE = {recipe.id: recipe for recipe in RECIPES}


def data_of(people: str, sides: dict[str, str] | None = None, machines: str = "F") -> TrainingData:
    cases = tuple(
        LabelledCase(f"c{n}", f"case {n}", who, machines[n % len(machines)], False, {"needle-tip": 40},
                     (sides or {}).get(who))
        for n, who in enumerate(people)
    )  # fmt: skip
    return TrainingData("d", "d", ("needle-tip",), 40, (), tuple(machines), False, None, cases)


def hide_tips(folder: Path, split: str, count: int) -> None:
    """Say of the first frames of a split that their tip is out of the plane."""
    dataset = load_dataset(folder)
    hidden = {i.id for i in [i for i in dataset.images if i.split == split][:count]}
    notes = tuple(
        replace(a, bbox=None, area=0.0, keypoints=(), visibility=Visibility.OUT_OF_PLANE) if a.image_id in hidden else a
        for a in dataset.annotations
    )
    save_dataset(replace(dataset, annotations=notes), folder)


def test_space_pauses_and_resumes_also_from_the_row_of_the_training(stage, qtbot) -> None:
    parts = open_models(stage, qtbot)
    modeller = parts.window.modeller
    trainer = with_trainer(parts, job_of("a", "running"))
    qtbot.waitUntil(lambda: ("training", "a") in modeller.left.rows and parts.window.isActiveWindow())
    row = modeller.left.rows["training", "a"]
    row.setFocus()
    QTest.keyClick(row, Qt.Key.Key_Space)
    assert modeller.shown == ("training", "a") and trainer.done == [], "Space chooses a row that is not shown"
    QTest.keyClick(row, Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: modeller.training_page.job.state == "paused")
    qtbot.waitUntil(lambda: modeller.bar.words.full() == "There is no checkpoint yet, so Resume begins it anew.")
    trainer.tell(replace(trainer.known["a"], checkpoint=True))
    qtbot.waitUntil(lambda: modeller.bar.words.full() == "Resume goes on from its last checkpoint.")
    QTest.keyClick(modeller.left.rows["training", "a"], Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: [what for what, _job in trainer.done] == ["pause", "resume"])


def test_the_ring_is_on_the_row_of_what_is_shown_also_after_the_window_was_opened_again(
    stage, qtbot, user_home
) -> None:
    leave_training("a", "paused", name="our phantom", message="Paused.")
    parts = stage.open(Settings(first_start_done=True, enabled_plugins=["echo"], paused_trainings=["a"]))
    modeller = parts.window.modeller
    qtbot.waitUntil(lambda: ("training", "a") in modeller.left.rows)
    parts.window.does.run("mode_models")
    qtbot.waitUntil(lambda: modeller.shown[0] == "model" and modeller.shown in modeller.left.rows)
    assert parts.window.focusWidget() is modeller.left.rows[modeller.shown]


def test_a_training_names_who_teaches_and_who_judges_and_says_what_its_pictures_are_of(stage, qtbot, tmp_path) -> None:
    folder = make_dataset("site", 6, 30, stated=True)
    hide_tips(folder, "test", 9)
    parts = open_models(stage, qtbot)
    modeller = parts.window.modeller
    trainer = with_trainer(parts, job_of("a", "running", data=str(folder)))
    files = [tmp_path / name for name in ("validation-stills.png", "validation.png")]
    for file in files:
        cv2.imwrite(str(file), np.full((40, 60), 90, np.uint8))
    trainer.pictures = lambda _job: tuple(files)
    qtbot.waitUntil(lambda: ("training", "a") in modeller.left.rows)
    modeller.show_thing("training", "a")
    page = modeller.training_page
    qtbot.waitUntil(lambda: page.split_bar.isVisible())
    said = dict(page.split_bar.facts.facts)
    assert said["Learns from"].startswith("site-3, site-4, site-5, site-6  ·  120 frames")
    assert said["Sets thresholds by"] == "site-2  ·  30 frames"
    assert said["Held out, to judge"] == "site-1  ·  30 frames, on 9 of them the tip is hidden"
    assert "not judged" in page.split_bar.hidden.text()
    own, simulated = page.sample_words
    assert own == "Frames of your own data" and simulated.startswith("Simulated cines") and "none" in simulated


def test_a_plan_keeps_roles_names_itself_anew_and_says_what_comes_first(stage, qtbot) -> None:
    make_dataset("site", 6, 30)
    parts = open_models(stage, qtbot)
    modeller = parts.window.modeller
    trainer = with_trainer(parts)
    modeller.show_thing("model", TIP)
    modeller.plan()
    page = modeller.plan_page
    qtbot.waitUntil(lambda: page.draft() is not None)
    first, name = page.split, page.name.text()
    assert not page.waits.isVisible() and page.split_bar.notes.texts == ()
    trainer.tell(job_of("b", "running", name=name, left_s=600.0))
    qtbot.waitUntil(lambda: page.name.text() == f"{name}, no. 2")
    assert page.waits.text() == f"{name} comes first: this one begins when that has ended, in about 10 min."
    titles = {case.subject: case.id for case in page.split.cases}
    page.cases.checks[titles[first.train[0]]].box.setChecked(False)
    qtbot.waitUntil(lambda: page.split is not None and len(page.split.cases) == 5)
    assert page.split.held_out == first.held_out and page.split_bar.notes.texts == ()
    for who in first.held_out:
        page.cases.checks[titles[who]].box.setChecked(False)
    qtbot.waitUntil(lambda: page.split is not None and set(page.split.held_out).isdisjoint(first.held_out))
    (moved,) = page.split_bar.notes.texts
    assert moved == f"A role was left empty: {page.split.held_out[0]} is now held out. All others keep theirs."
    for who in first.held_out:
        page.cases.checks[titles[who]].box.setChecked(True)
    qtbot.waitUntil(lambda: page.split is not None and page.split.held_out == first.held_out)
    assert page.split_bar.notes.texts == ()


def test_nobody_who_sets_thresholds_and_several_machines_are_told() -> None:
    nobody = plan_split(data_of("abcd", {"a": "test", "b": "train", "c": "train", "d": "train"}))
    assert nobody.tune == ()
    words = {name: thresholds_words(recipe, nobody) for name, recipe in RECIPE.items()}
    for name in ("tip_site", "tip_site_pre", "track_site"):
        assert words[name].startswith("Nobody sets thresholds: those of the model that it goes on from stay")
    assert "on simulated cines alone" in words["tip_own"] and "on simulated infants" in words["lp_site"]
    whole = plan_split(data_of("abcdef"))
    assert thresholds_words(RECIPE["tip_site"], whole) == ""
    assert f"the frames of {whole.tune[0]} are not used" in thresholds_words(RECIPE["lp_site"], whole)
    said = cautions(RECIPE["tip_site"], plan_split(data_of("abcdef", machines="FG")), None)
    assert "Recordings of 2 machines (F, G) are mixed: it learns them all at once." in " ".join(said)
    assert "machines" not in " ".join(cautions(RECIPE["tip_site"], whole, None))


def test_a_name_that_is_taken_is_numbered_and_what_runs_elsewhere_is_not_waited_for() -> None:
    name = usual_name("Tip", ())
    assert usual_name("Tip", {name, f"{name}, no. 2"}) == f"{name}, no. 3"
    assert waits_words([job_of("a", "paused"), job_of("b", "done")]) == ""
    assert waits_words([job_of("a", "running"), job_of("b", "waiting")]).startswith("training a, training b come first")
    assert "this one does not wait for that" in waits_words([job_of("a", "running", here=False)])
    others = [job_of(one, "running", here=False) for one in "ab"]
    assert waits_words(others).startswith("training a, training b are under way in other windows of the program: ")


@pytest.mark.usefixtures("german")
def test_what_follows_from_a_plan_is_told_in_the_language_of_the_window(qtbot, fonts, user_home) -> None:
    nobody = plan_split(data_of("abcd", {"a": "test", "b": "train", "c": "train", "d": "train"}, "FG"))
    assert thresholds_words(RECIPE["tip_site"], nobody).startswith("Niemand setzt Schwellen: Die des Modells")
    assert "von 2 Geräten (F, G)" in " ".join(cautions(RECIPE["tip_site"], nobody, None))
    roles = {"subject": {**nobody.roles, "b": "test"}}
    assert moved_words(roles, nobody) == "Eine Aufgabe war unbesetzt: b lehrt nun. Alle anderen behalten ihre."
    assert waits_words([job_of("a", "running")]).endswith("wenn das zu Ende ist, in etwa 5 min.")
    assert " laufen in anderen Fenstern " in waits_words([job_of(one, "running", here=False) for one in "ab"])
    folder = make_dataset("site", 6, 30, stated=True)
    hide_tips(folder, "test", 9)
    bar = SplitBar(make_theme("dark"))
    qtbot.addWidget(bar)
    bar.show_split(split_of_dataset(folder, "needle-tip"))
    assert dict(bar.facts.facts)["Zurückgehalten, zum Urteilen"].endswith("auf 9 davon ist die Spitze verborgen")
    assert "werden nicht beurteilt" in bar.hidden.text()
