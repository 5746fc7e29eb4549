"""What is said below the window comes in the window's language: each sentence here is made by the code that says it."""

from __future__ import annotations

import shutil
import sys
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from site_models import make_dataset

from puncta.core.errors import UserError
from puncta.gui.models.said import told
from puncta.gui.models.split_bar import SplitBar
from puncta.gui.theme import make_theme
from puncta.inference.registry import Registry
from puncta.session import model_comparison, retrain_plans, retrain_run
from puncta.session.label_exchange import rater_to_export
from puncta.session.model_switch import ModelSwitch, ModelSwitches
from puncta.session.retrain import (
    LabelledCase,
    RetrainPlan,
    TrainingData,
    base_run,
    data_of_recordings,
    plan_split,
    recording_of_file,
    recordings_of_folder,
)
from puncta.session.retrain_export import make_dataset as make_of_recordings
from puncta.session.retrain_pace import PaceTable
from puncta.session.retrain_records import JobRecord, settled, this_program

RECORD = JobRecord("a", "a", "tip_site", "needle-tip", "needle-tip-ut 0.5", "", "m 1", "")


def data(*subjects: str | None) -> TrainingData:
    cases = tuple(
        LabelledCase(f"c{n}", f"case {n}", who, "F", True, {"needle-tip": 9}) for n, who in enumerate(subjects)
    )
    return TrainingData("d", "d", ("needle-tip",), 9, (), ("F",), True, None, cases)


@pytest.mark.usefixtures("german")
@pytest.mark.parametrize(
    ("subjects", "words"),
    [
        (("a", "a", "a"), "Es gibt nur 1 Person, daher werden ganze Fälle"),
        (("a", "b", "b"), "Es gibt nur 2 Personen, daher werden ganze Fälle"),
        (("a",), "Es gibt nur 1 Person und 1 Fall, daher kann nichts"),
        (("a", "a"), "Es gibt nur 1 Person und 2 Fälle, daher kann nichts"),
        (("a", "b"), "Es gibt nur 2 Personen und 2 Fälle, daher kann nichts"),
        ((None, None, "a", "b"), "2 Fälle ohne Angabe der Person"),
    ],
)
def test_a_split_warns_in_the_language_of_the_window(
    qtbot, fonts, subjects: tuple[str | None, ...], words: str
) -> None:
    bar = SplitBar(make_theme("dark"))
    qtbot.addWidget(bar)
    bar.show_split(plan_split(data(*subjects)))
    assert bar.warning.text().startswith(words)


@pytest.mark.usefixtures("german")
@pytest.mark.parametrize("subjects", [("a", "a", "a"), ("a", "b", "b"), ("a",), ("a", "a"), ("a", "b")])
def test_a_split_of_recordings_warns_in_the_language_of_the_window(subjects: tuple[str, ...]) -> None:
    warning = plan_split(replace(data(*subjects), needle_free=True)).warning
    assert "Add recordings" in warning and "Aufnahmen" in told(warning)


@pytest.mark.usefixtures("german")
def test_what_is_left_out_of_recordings_is_told_in_the_language_of_the_window(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "still.png"), np.full((96, 96), 90, np.uint8))
    some = data_of_recordings([recording_of_file(tmp_path / "still.png", "a")])
    with pytest.raises(UserError) as error:
        make_of_recordings(None, some, plan_split(some), tmp_path / "none", look=lambda run: [True] * len(run))
    words = str(error.value)
    first, named = told(words).split("\n")[:2]
    assert first == "Von den Aufnahmen bleibt nichts zum Lernen."
    assert named.startswith("1 Bild, auf dem sich das jetzige Modell einer Nadelspitze sicher ist, und 0 daneben")
    assert named.endswith("bleiben weg: still (a) 1 / 1.")
    shutil.copyfile(tmp_path / "still.png", tmp_path / "twin.png")
    (same,) = recordings_of_folder(tmp_path)[1]
    assert told(same) == "twin.png bleibt weg: Es ist dieselbe Aufnahme wie still.png, die einmal zählt."
    for count in ("1 frame", "4 frames"):
        words = f"{count} at which the present model is sure of a needle's tip, and 6 beside them, are left out."
        assert told(words).endswith("daneben bleiben weg.")


def ended(folder: Path, status: int, asked: str | None = None) -> str:
    """What a training's record says after its process has ended."""
    said: dict[str, object] = {}
    parts = {"clips": 1.0, "samples": 1.0, "finish": 1.0}
    run = retrain_run.JobRun(
        folder, RECORD, [sys.executable], parts, folder / "clips", PaceTable(folder),
        lambda **changes: said.update(changes), lambda: asked,
    )
    run._end(status)
    return str(said["message"])


@pytest.mark.usefixtures("german")
def test_how_a_training_ended_is_told_in_the_language_of_the_window(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [
        ended(tmp_path, 3, "paused"), ended(tmp_path, 3, "cancelled"), ended(tmp_path, 3), ended(tmp_path, -9),
        ended(tmp_path, 1), ended(tmp_path, 2), settled(RECORD).message,
        settled(replace(RECORD, state="running")).message,
    ]
    assert told(made[0]) == "Angehalten. Es gibt noch keinen Zwischenstand, Fortsetzen beginnt es daher von vorn."
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "checkpoint.pt").touch()
    made += [ended(tmp_path, 3, "paused"), ended(tmp_path, 3), ended(tmp_path, -9), ended(tmp_path, 1)]
    made.append(settled(replace(RECORD, state="running"), tmp_path / "none").message)
    assert made[-1].endswith("so Resume begins it anew.")
    assert settled(replace(RECORD, state="running"), tmp_path).message == made[7]
    monkeypatch.setattr(retrain_run, "LEAST_FREE", 1 << 60)
    made.append(ended(tmp_path, 1))
    (tmp_path / "training" / "checkpoint.pt").unlink()
    made.append(ended(tmp_path, 1))
    (tmp_path / "training" / "checkpoint.pt").touch()
    assert len(set(made)) == len(made) and all(made)
    assert [words for words in made if told(words) == words] == []
    assert told(ended(tmp_path, -9)) == "Sein Prozess wurde von außen beendet. " \
        "Fortsetzen geht vom letzten Zwischenstand aus."
    assert settled(replace(RECORD, **this_program())).message == ""
    assert told("out of memory") == "out of memory"


@pytest.mark.usefixtures("german")
def test_why_nothing_begins_is_told_in_the_language_of_the_window(tmp_path: Path, user_home) -> None:
    registry = Registry.load()
    site = make_dataset("site", 6, 9, stated=True)
    plan = RetrainPlan("x", "tip_site", site, "needle-tip-ut 0.5")
    store = SimpleNamespace(raters=lambda _case: ("anna", "bert"))
    wrong = []
    for ask in (
        lambda: retrain_plans.check_plan(plan, registry),
        lambda: retrain_plans.check_plan(replace(plan, name=" "), registry),
        lambda: base_run(registry, "needle-tip-ut 0.1", "needle-tip"),
        lambda: plan_split(data("a"), "infant-lp"),
        lambda: rater_to_export(store, SimpleNamespace(id="c", title="case 1"), None),
    ):
        with pytest.raises(UserError) as error:
            ask()
        wrong.append(str(error.value))
    wrong.append(retrain_plans.NO_TORCH)
    assert [words for words in wrong if told(words) == words] == []


@pytest.mark.usefixtures("german")
def test_a_model_that_could_not_be_taken_is_told_in_the_language_of_the_window() -> None:
    done: list[ModelSwitch] = []
    for model in ("tip 1", ""):
        ended = threading.Event()
        switches = ModelSwitches(lambda *_given: None, ended.set)
        running = SimpleNamespace(
            plugin_id="p", title="P", rebuild=None, identity=lambda model=model: (model, "0" * 64)
        )
        switches.begin([running], "p")
        assert ended.wait(10)
        done += switches.take()
        switches.close()
    assert [told(switch.message) for switch in done] == [
        "P arbeitet mit „tip 1“ weiter. Es hat kein Modell, das gewechselt werden könnte.",
        "P bleibt, wie es ist. Es hat kein Modell, das gewechselt werden könnte.",
    ]


@pytest.mark.usefixtures("german")
def test_notes_of_a_comparison_come_in_the_language_of_the_window() -> None:
    frame = SimpleNamespace(clip="one", machine="F")
    run = SimpleNamespace(frames=(frame,), masks=(), flags=(), faults=2, model="m 1")
    info = SimpleNamespace(more={"split_by": "case"})
    labelled = SimpleNamespace(simulated=True, split="test", dataset=SimpleNamespace(info=info), clips=())
    notes = model_comparison._notes(labelled, ((),), (run, run), 1)
    assert len(notes) == 6
    assert [note for note in notes if told(note) == note] == []
