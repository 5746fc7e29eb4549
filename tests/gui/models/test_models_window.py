"""Models in the real window: put in use, taken back; trainings planned; what its words and its top bar look like."""

from __future__ import annotations

import json
import threading

import pytest
from models_window import TIP, job_of, open_models, press, verbs, with_trainer
from PySide6.QtCore import QCoreApplication, Qt
from PySide6.QtTest import QTest
from site_models import make_dataset, register_site_model, some_comparison
from widget_checks import cut_labels, nameless

from puncta.core.errors import UserError
from puncta.gui.i18n import install_language, remove_language
from puncta.gui.models.plan_page import title_of
from puncta.gui.panels.parts import ElidedLabel
from puncta.inference.promotion import history, promote
from puncta.session.retrain_data import datasets_dir
from puncta.settings import Settings

# --- models --------------------------------------------------------------------------------------------------------


def test_models_stand_by_plugin_with_what_is_in_use_and_the_picture_gives_its_place(stage, qtbot) -> None:
    parts = open_models(stage, qtbot)
    window, modeller = parts.window, parts.window.modeller
    rows = modeller.left.rows
    assert "in use" in rows["model", TIP].accessibleName()
    assert "in use" not in rows["model", "needle-tip-ut 0.2"].accessibleName()
    assert not window.stage.view.isVisible() and not window.right.isVisible() and modeller.pages.isVisible()
    assert window.stage.safety.isVisible()
    qtbot.waitUntil(lambda: parts.desk.status.state.value != "playing")  # the player hears of it on its own thread
    rows["model", TIP]._choose()
    page = modeller.model_page
    qtbot.waitUntil(lambda: "Every needle it learnt from is simulated" in page.text.toPlainText())
    assert "simulated" in page.note.text()
    assert verbs(parts) == {"model_train": True}
    window.does.run("mode_review")
    assert window.stage.view.isVisible() and window.right.isVisible() and not modeller.pages.isVisible()
    assert window.sources.isVisible() and window.top.latency.isVisible()
    qtbot.waitUntil(lambda: parts.desk.status.state.value == "playing")


def test_a_model_is_put_in_use_and_taken_back_by_a_press_each(stage, qtbot, monkeypatch) -> None:
    made = register_site_model()
    parts = open_models(stage, qtbot)
    window, modeller = parts.window, parts.window.modeller
    reloaded: list[str] = []
    monkeypatch.setattr(parts.desk, "reload_plugin", reloaded.append)
    modeller.show_thing("model", made)
    assert verbs(parts)["model_use"]
    press(parts, "model_use")
    qtbot.waitUntil(lambda: reloaded == ["needle-tip"])
    assert [p.model for p in history("needle-tip")] == [made]
    assert "in use" in modeller.left.rows["model", made].accessibleName()
    assert [words for _when, words in modeller.model_page.history.facts] == [made]
    assert set(verbs(parts)) == {"model_train", "model_back"}
    parts.desk.model_switched.emit("needle-tip", made, "")
    assert "needle-tip" not in window.stage.banners.texts() and "now uses" in window.status_line.message
    control, shift = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier
    QTest.keyClick(window, Qt.Key.Key_U, control)
    assert "already; nothing changes" in window.status_line.message and reloaded == ["needle-tip"]
    QTest.keyClick(window, Qt.Key.Key_U, control | shift)
    qtbot.waitUntil(lambda: reloaded == ["needle-tip"] * 2)
    assert history("needle-tip") == ()
    QTest.keyClick(window, Qt.Key.Key_U, control | shift)
    assert "nothing to take back" in window.status_line.message and reloaded == ["needle-tip"] * 2
    assert modeller.shown == ("model", TIP)
    parts.desk.model_switched.emit("needle-tip", TIP, "The old one goes on, for the file is gone.")
    assert window.stage.banners.texts()["model-needle-tip"].startswith("The old one goes on")


def test_a_model_whose_file_was_changed_is_refused_in_a_sentence(stage, qtbot, user_home) -> None:
    made = register_site_model()
    file = next((user_home / "data" / "models").glob("*.onnx"), None) or next(user_home.rglob("*.onnx"))
    file.write_bytes(file.read_bytes() + b"x")
    parts = open_models(stage, qtbot)
    parts.window.modeller.show_thing("model", made)
    press(parts, "model_use")
    qtbot.waitUntil(lambda: "does not match its recorded hash" in parts.window.status_line.message)
    assert history("needle-tip") == ()


def test_the_mode_bar_offers_what_a_profile_needs(stage, qtbot) -> None:
    parts = stage.open(Settings(first_start_done=True, enabled_plugins=["echo"], profile="trainee"))
    window = parts.window
    shown = lambda: [name for name, button in window.top.mode_buttons.items() if button.isVisible()]  # noqa: E731
    assert shown() == ["live", "review"]
    parts.preferences.set("profile", "educator")
    assert shown() == ["live", "review", "annotate", "models"]
    parts.preferences.set("profile", "trainee")
    window.open_uri("clip-a")
    qtbot.waitUntil(lambda: parts.desk.info is not None and window.isActiveWindow())
    QTest.keyClick(window, Qt.Key.Key_4, Qt.KeyboardModifier.ControlModifier)
    assert window.mode == "models" and shown() == ["live", "review", "models"]


def test_a_case_that_was_on_its_way_does_not_end_models_and_one_asked_for_does(stage, qtbot) -> None:
    parts = stage.open(Settings(first_start_done=True, enabled_plugins=["echo"], profile="annotator"))
    window = parts.window
    window.open_uri("clip-a")
    window.does.run("mode_models")
    qtbot.waitUntil(lambda: parts.desk.info is not None and window.status_line._case.full() == "clip-a")
    assert window.mode == "models" and not window.stage.view.isVisible()
    window.open_uri("clip-b")
    qtbot.waitUntil(lambda: window.mode == "review")
    window.does.run("mode_models")
    window.does.run("mode_live")
    qtbot.waitUntil(lambda: window.mode == "live" and parts.desk.is_live)
    window.does.run("mode_models")
    window.does.run("mode_live")
    assert window.mode == "live"


# --- a plan --------------------------------------------------------------------------------------------------------


def test_a_plan_names_who_is_held_out_and_starts_with_a_dataset_of_that_split(stage, qtbot) -> None:
    make_dataset("site", 6, 30)
    parts = open_models(stage, qtbot)
    modeller = parts.window.modeller
    trainer = with_trainer(parts)
    modeller.show_thing("model", TIP)
    QTest.keyClick(parts.window, Qt.Key.Key_T, Qt.KeyboardModifier.ControlModifier)
    page = modeller.plan_page
    qtbot.waitUntil(lambda: page.draft() is not None and page.estimated is not None)
    assert page.plugin == "needle-tip" and page.base == TIP and page.recipe == "tip_site"
    split = page.split
    assert split.honest and not set(split.train) & set(split.held_out)
    assert "guess" in page.time.text() and "min" in page.time.text()
    assert any("few" in text for text in page.warnings.texts)
    assert any("Simulated" in text for text in page.warnings.texts)
    press(parts, "training_start")
    qtbot.waitUntil(lambda: modeller.shown == ("training", "new"))
    (plan,) = trainer.plans
    assert plan.recipe == "tip_site" and plan.base == TIP and plan.name
    from puncta.formats.dataset import load_dataset

    sides: dict[str, set[str | None]] = {}
    for image in load_dataset(plan.data).images:
        sides.setdefault(str(image.subject), set()).add(image.split)
    assert {s for s, where in sides.items() if where == {"test"}} == set(split.held_out)
    assert all(len(where) == 1 for where in sides.values())


def test_a_case_that_is_left_out_is_on_no_side(stage, qtbot) -> None:
    make_dataset("site", 6, 30, stated=True)
    parts = open_models(stage, qtbot)
    modeller = parts.window.modeller
    trainer = with_trainer(parts)
    modeller.show_thing("model", TIP)
    modeller.plan()
    page = modeller.plan_page
    qtbot.waitUntil(lambda: page.draft() is not None)
    assert page.draft().whole and page.split.held_out == ("site-1",)
    QTest.mouseClick(page.cases.open, Qt.MouseButton.LeftButton)
    words = {check.box.accessibleName(): check for check in page.cases.checks.values()}
    words["clip site-4, site-4: 30 frames"].box.setChecked(False)
    qtbot.waitUntil(lambda: page.draft() is not None and "site-4" not in page.split.train)
    assert not page.draft().whole and page.split.frames["train"] == 90
    press(parts, "training_start")
    qtbot.waitUntil(lambda: modeller.shown == ("training", "new"))
    from puncta.formats.dataset import load_dataset

    assert "site-4" not in {image.subject for image in load_dataset(trainer.plans[0].data).images}
    words["clip site-4, site-4: 30 frames"].box.setChecked(True)


def test_too_few_labels_are_told_and_nothing_can_start(stage, qtbot) -> None:
    make_dataset("small", 2, 12)
    parts = open_models(stage, qtbot)
    modeller = parts.window.modeller
    with_trainer(parts)
    modeller.show_thing("model", TIP)
    modeller.plan()
    page = modeller.plan_page
    qtbot.waitUntil(lambda: page.split is not None)
    assert "has 24 labelled frames and needs 60, 36 more" in page.obstacle() and page.draft() is None
    assert verbs(parts) == {"models_back": True, "training_start": False}
    assert "36 more" in modeller.bar.words.full()
    assert "nothing can be held out" in page.split_bar.warning.text()
    QTest.keyClick(parts.window, Qt.Key.Key_Escape)
    assert modeller.shown == ("model", TIP)


def test_a_dataset_goes_by_its_folder_and_a_damaged_one_is_told(stage, qtbot) -> None:
    """People know the folder that they have put there; what cannot be read is said in the list, not left out."""
    folder = make_dataset("site", 6, 30)
    own = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    own["info"]["name"] = "what it calls itself"
    (folder / "dataset.json").write_text(json.dumps(own), encoding="utf-8")
    folder.rename(folder.with_name("june scans"))
    broken = folder.with_name("torn")
    broken.mkdir()
    (broken / "dataset.json").write_text("{", encoding="utf-8")
    parts = open_models(stage, qtbot)
    modeller = parts.window.modeller
    with_trainer(parts)
    modeller.show_thing("model", TIP)
    modeller.plan()
    page = modeller.plan_page
    qtbot.waitUntil(lambda: page.split is not None)
    titles = [title_of(data) for data in page._fitting()]
    assert titles == ["Dataset june scans (what it calls itself)", "Recordings that show no needle"]
    (said,) = page.damaged.texts
    assert said.startswith("torn: ") and "dataset.json" in said


def test_what_cannot_start_is_told_where_it_was_pressed(stage, qtbot) -> None:
    make_dataset("site", 6, 30, stated=True)
    parts = open_models(stage, qtbot)
    modeller = parts.window.modeller
    trainer = with_trainer(parts)
    trainer.refuses = "The disk is full."
    modeller.show_thing("model", TIP)
    modeller.plan()
    qtbot.waitUntil(lambda: modeller.plan_page.draft() is not None)
    press(parts, "training_start")
    qtbot.waitUntil(lambda: modeller.bar.words.full() == "The disk is full.")
    assert modeller.planning and trainer.plans == []
    assert [folder.name for folder in datasets_dir().iterdir()] == ["site"]  # it was not made here, so it stays


def test_a_start_that_is_refused_leaves_no_dataset(stage, qtbot) -> None:
    make_dataset("site", 6, 30)
    parts = open_models(stage, qtbot)
    modeller = parts.window.modeller
    trainer = with_trainer(parts)
    trainer.refuses = "The disk is full."
    modeller.show_thing("model", TIP)
    modeller.plan()
    qtbot.waitUntil(lambda: modeller.plan_page.draft() is not None)
    press(parts, "training_start")
    qtbot.waitUntil(lambda: modeller.bar.words.full() == "The disk is full.")
    assert [folder.name for folder in datasets_dir().iterdir()] == ["site"]


def test_a_training_is_paused_while_a_dataset_and_comparisons_take_their_time(stage, qtbot, monkeypatch) -> None:
    make_dataset("site", 6, 30)
    parts = open_models(stage, qtbot)
    modeller = parts.window.modeller
    trainer = with_trainer(parts, job_of("a", "running"))
    qtbot.waitUntil(lambda: "a" in modeller.desk.trainings.all)
    modeller.show_thing("model", TIP)
    modeller.plan()
    qtbot.waitUntil(lambda: modeller.plan_page.draft() is not None)
    go_on, begun = threading.Event(), threading.Semaphore(0)

    def slow(*_given: object, **_told: object) -> None:
        begun.release()
        go_on.wait()
        raise UserError("Stopped.")

    monkeypatch.setattr("puncta.session.retrain.make_dataset", slow)
    try:
        for _ in range(2):
            modeller.desk.start(modeller.plan_page.draft(), str, str)
            assert begun.acquire(timeout=10)
        modeller.desk.trainings.pause("a")
        qtbot.waitUntil(lambda: ("pause", "a") in trainer.done)
    finally:
        go_on.set()


# --- the look ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "scale", "code"), [((1100, 700), 1.0, "en"), ((1100, 700), 2.0, "de")])
def test_no_word_is_cut_and_everything_has_a_name(stage, qtbot, qapp, size, scale, code) -> None:
    kept = install_language(qapp, code)
    try:
        made = register_site_model()
        make_dataset("site", 6, 30)
        parts = open_models(stage, qtbot, size=size, font_scale=scale, theme="light")
        window, modeller = parts.window, parts.window.modeller
        modeller.desk.comparisons[TIP, made, "site"] = some_comparison(TIP, made)
        with_trainer(parts, job_of("a", "running"), job_of("b", "done"))
        qtbot.waitUntil(lambda: ("training", "b") in modeller.left.rows)

        def look(what: str) -> None:
            settle(qtbot)
            assert cut_labels(window) == [], what
            assert nameless(window) == [], what
            assert window.width() == size[0] and window.height() == size[1], what
            bar = modeller.bar
            ends = [b.mapTo(window, b.rect().topRight()).x() for b in bar.buttons.values()]
            assert all(end < window.width() for end in ends), what

        modeller.show_thing("model", TIP)
        qtbot.waitUntil(lambda: bool(modeller.model_page.text.toPlainText()))
        look("model")
        modeller.plan()
        qtbot.waitUntil(lambda: modeller.plan_page.draft() is not None)
        look("plan")
        modeller.show_thing("training", "a")
        qtbot.waitUntil(lambda: bool(modeller.training_page.losses.curves))
        look("running")
        modeller.show_thing("training", "b")
        look("done")
    finally:
        remove_language(qapp, kept)
        install_language(qapp, "en")


def settle(qtbot) -> None:
    """Let layouts that follow events come to rest."""
    for _ in range(4):
        QCoreApplication.sendPostedEvents()
        qtbot.wait(20)


@pytest.mark.parametrize("scale", [1.0, 1.5, 2.0])
@pytest.mark.parametrize("mode", ["review", "annotate", "models"])
def test_the_top_bar_is_whole_at_1100_pixels(stage, qtbot, scale: float, mode: str) -> None:
    parts = stage.open(
        Settings(first_start_done=True, enabled_plugins=["echo"], profile="educator", font_scale=scale, rater="AN-2"),
        size=(1100, 700),
    )
    window = parts.window
    window.open_uri("clip-a")
    qtbot.waitUntil(lambda: parts.desk.info is not None and parts.desk.analysis is not None)
    if mode != "review":
        window.does.run(f"mode_{mode}")
    bar = window.top
    row = bar.layout()

    def faults() -> list[str]:
        parts_of = [row.itemAt(i).widget() for i in range(row.count()) if row.itemAt(i).widget() is not None]
        shown = [part for part in parts_of if part.isVisible()]
        cut = [part.accessibleName() for part in shown if part.width() < part.minimumSizeHint().width()]
        out = [part.accessibleName() for part in shown if part.geometry().right() >= bar.width()]
        pairs = zip(shown, shown[1:], strict=False)
        return [*cut, *out, *(a.accessibleName() for a, b in pairs if a.geometry().right() >= b.geometry().left())]

    if mode == "annotate":
        qtbot.waitUntil(lambda: window.annotator.status.saved.words.text() == "Everything saved")
    settle(qtbot)
    assert bar.width() == window.width() == 1100
    qtbot.waitUntil(lambda: faults() == [])  # the latency grows a word when the first result comes
    assert all(bar.mode_buttons[name].isVisible() for name in ("live", "review", "annotate", "models"))
    assert bar.buttons["settings"].isVisible()
    window.resize(1900, 900)
    settle(qtbot)
    assert bar._name.isVisible() and bar.calibration.isVisible() is (mode != "models")


def test_the_line_above_the_bottom_bar_takes_no_room_of_its_buttons(stage, qtbot) -> None:
    bar = open_models(stage, qtbot).window.modeller.bar
    assert bar.height() >= bar.minimumSizeHint().height()
    for button in bar.buttons.values():
        assert button.mapTo(bar, button.rect().bottomLeft()).y() <= button.parentWidget().geometry().bottom()


@pytest.mark.parametrize(("language", "said"), [("en", "in use, added here"), ("de", "in Gebrauch, von hier")])
def test_the_row_of_a_model_that_was_made_here_says_whole_that_it_is_in_use(stage, qtbot, qapp, language, said) -> None:
    kept = install_language(qapp, language)
    try:
        made = register_site_model()
        parts = open_models(stage, qtbot)
        modeller = parts.window.modeller
        qtbot.waitUntil(lambda: ("model", made) in modeller.left.rows)
        promote(modeller.desk.shelf.registry, modeller.desk.shelf.find(made))
        modeller.desk.look()
        qtbot.waitUntil(lambda: said.partition(",")[0] in modeller.left.rows["model", made].accessibleName())
        assert said in [label.text() for label in modeller.left.rows["model", made].findChildren(ElidedLabel)]
    finally:
        remove_language(qapp, kept)
        install_language(qapp, "en")


def test_a_row_says_in_german_too_where_a_model_in_use_comes_from(stage, qtbot, qapp) -> None:
    kept = install_language(qapp, "de")
    try:
        rows = open_models(stage, qtbot).window.modeller.left.rows
        lines = [label for label in rows["model", TIP].findChildren(ElidedLabel) if "Gebrauch" in label.full()]
        assert [label.text() for label in lines] == [label.full() for label in lines] == ["in Gebrauch, mitgeliefert"]
    finally:
        remove_language(qapp, kept)
        install_language(qapp, "en")
