"""The loop from labels back into the models, closed in the window: label, train, compare, use, take back.

Short, all real: the clips are labelled by events in the window, the training is one of seconds.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from annotate_window import CONTROL, SHIFT, Hand
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from puncta.annotation.cases import case_of_source
from puncta.annotation.labels import State
from puncta.annotation.store import AnnotationStore
from puncta.formats.dataset import TIP_CATEGORY
from puncta.inference.promotion import history
from puncta.session.plugins import hosted_plugins
from puncta.settings import Settings
from puncta.sources.factory import open_source

LONG_MS = 900_000
SHORT = {
    "data": {"clips": 3, "tune_clips": 3, "frames": 6},
    "model": {"input": {"size": 64}},
    "training": {
        "samples": 64, "batch": 8, "length": 2, "threads": 1, "workers": 1, "stages": [], "checkpoint_every": 2,
        "bfloat16": False,
    },
}  # fmt: skip
"""A training of seconds."""


def add_cases(clips: int = 5, frames: int = 30) -> list[str]:
    """Put simulated clips of as many subjects into this user's store, as a lab does; return their addresses."""
    uris = [f"sim:breast?seed={400 + k}&machine=F&frames={frames}&size=160x128" for k in range(clips)]
    with AnnotationStore.open() as store:
        for k, uri in enumerate(uris):
            source = open_source(uri)
            case = replace(case_of_source(source.info, "needle", subject=f"site-{k}", machine="F"), uri=uri)
            store.add_case(replace(case, simulated=True, title=f"clip {k}"))
            source.close()
    return uris


def label_by_hand(hand: Hand, uri: str, frames: int = 30) -> None:
    """Label a clip in the window: its needle on the first frame and on the last, then what lies between."""
    desk, notes = hand.parts.desk, hand.notes
    opened: list[bool] = []
    desk.source_changed.connect(lambda: opened.append(True))
    hand.parts.window.open_uri(uri)
    hand.wait(lambda: bool(opened), 300.0)
    if hand.parts.window.mode != "annotate":
        hand.key(Qt.Key.Key_3, CONTROL)
    hand.wait(lambda: notes.desk.board is not None and notes.desk.info.uri == desk.info.uri, 300.0)
    hand.parts.player.pause()
    hand.key(Qt.Key.Key_Home)
    hand.shows(0)
    hand.drag((150.0, 20.0), (70.0, 60.0))
    hand.calm()
    hand.key(Qt.Key.Key_End)
    hand.shows(frames - 1)
    hand.drag((150.0, 22.0), (60.0, 66.0))
    hand.calm()
    assert [a.state for a in notes.desk.board.on_frame(10)] == [State.PROPOSED] * 3, "between the two drawn ones"
    hand.key(Qt.Key.Key_V, SHIFT)
    hand.calm()
    tips = [a for a in notes.desk.board if a.name == TIP_CATEGORY]
    assert len(tips) == frames and all(a.trusted for a in tips)


@pytest.mark.slow
def test_labels_made_here_become_a_model_that_is_compared_used_and_taken_back(stage, qtbot, monkeypatch) -> None:
    pytest.importorskip("torch", reason="training needs PyTorch; install the train extra")
    uris = add_cases()
    settings = Settings(first_start_done=True, profile="annotator", enabled_plugins=["needle-tip"], rater="anna")
    parts = stage.open(settings, plugins=hosted_plugins(["needle-tip"]), opener=open_source)
    window, modeller = parts.window, parts.window.modeller
    window.activateWindow()
    hand = Hand(parts)
    for uri in uris:
        label_by_hand(hand, uri)
    window.does.run("mode_review")
    window.open_uri(uris[0])
    qtbot.waitUntil(lambda: parts.desk.analysis is not None and bool(parts.desk.analysis.outputs), timeout=LONG_MS)
    window.does.run("mode_models")
    qtbot.waitUntil(lambda: bool(modeller.left.rows) and modeller.desk.trainings.trainer is not None)
    modeller.show_thing("model", "needle-tip-ut 0.5")
    window.does.run("model_train")
    page = modeller.plan_page
    qtbot.waitUntil(lambda: page.draft() is not None)
    draft = page.draft()
    assert draft.data.path is None and draft.split.by == "subject" and len(draft.split.held_out) >= 1
    trainer = modeller.desk.trainings.trainer
    start = trainer.start
    monkeypatch.setattr(trainer, "start", lambda plan: start(replace(plan, changes=SHORT)))
    window.does.run("training_start")
    qtbot.waitUntil(lambda: modeller.shown[0] == "training", timeout=LONG_MS)
    qtbot.waitUntil(lambda: modeller.job() is not None and modeller.job().state in {"done", "failed"}, timeout=LONG_MS)
    job = modeller.job()
    assert job.state == "done", job.message
    qtbot.waitUntil(lambda: len(modeller.training_page.losses.curves) > 0)
    view = modeller.training_page.comparison
    qtbot.waitUntil(lambda: view.comparison is not None, timeout=LONG_MS)
    compared = view.comparison
    assert (compared.old, compared.new) == ("needle-tip-ut 0.5", job.model) == (job.base, "needle-tip-site 1")
    assert compared.simulated and compared.subjects == len(draft.split.held_out)
    assert compared.frames == draft.split.frames["test"] and view.table.words()
    assert history("needle-tip") == ()  # nothing changes by itself
    window.does.run("mode_review")
    window.does.run("mode_models")
    press(modeller, "model_use")
    qtbot.waitUntil(lambda: model_at_work(parts) == job.model, timeout=LONG_MS)
    assert [p.model for p in history("needle-tip")] == [job.model]
    modeller.show_thing("model", job.model)
    press(modeller, "model_back")
    qtbot.waitUntil(lambda: model_at_work(parts) == "needle-tip-ut 0.5", timeout=LONG_MS)
    assert history("needle-tip") == ()


def press(modeller, action: str) -> None:
    QTest.mouseClick(modeller.bar.buttons[action], Qt.MouseButton.LeftButton)


def model_at_work(parts) -> str:
    """The model that the open picture's plugin runs with."""
    return next((p.model for p in parts.desk.player.status().plugins if p.plugin_id == "needle-tip"), "")
