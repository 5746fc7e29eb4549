"""The plan of a training in the real window: another plugin is chosen, and what is said follows."""

from __future__ import annotations

from dataclasses import replace

from models_window import TIP, open_models, verbs, with_trainer
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from site_models import make_dataset

from puncta.core.errors import UserError


def choose_for(page, plugin: str) -> None:
    """Choose what is trained for as a hand does: it is the box that tells the page."""
    page.plugins.activated.emit(page.plugins.findData(plugin))


def test_a_plan_that_began_on_the_page_of_another_plugin_can_start(stage, qtbot, monkeypatch) -> None:
    make_dataset("site", 6, 30)
    parts = open_models(stage, qtbot)
    modeller = parts.window.modeller
    with_trainer(parts)
    asked: list[tuple[str, str]] = []
    answered: list[int] = []
    estimate = modeller.desk.estimate

    def counted(recipe: str, base: str, then, failed) -> None:
        asked.append((recipe, base))
        estimate(
            recipe, base, lambda e: (then(e), answered.append(1)), lambda e: (failed(e), answered.append(0))
        )

    monkeypatch.setattr(modeller.desk, "estimate", counted)
    other = modeller.desk.shelf.family("infant-lp").cards[0].identity
    modeller.show_thing("model", other)
    QTest.keyClick(parts.window, Qt.Key.Key_T, Qt.KeyboardModifier.ControlModifier)
    page = modeller.plan_page
    assert page.plugin == "infant-lp"
    for plugin in ("needle-tip", "infant-lp", "needle-tip"):
        choose_for(page, plugin)
    qtbot.waitUntil(lambda: modeller.desk.data_known and len(answered) == len(asked))
    qtbot.waitUntil(lambda: page.split is not None)
    assert page.obstacle() == "" and page.draft() is not None and page.base == TIP
    assert verbs(parts)["training_start"] and page.estimated is not None
    assert all(base.startswith("needle-tip") for recipe, base in asked if recipe.startswith("tip_")), asked
    assert not any(base.startswith("needle-tip") for recipe, base in asked if not recipe.startswith("tip_")), asked


def test_what_is_said_of_an_earlier_choice_is_not_said_of_the_one_in_hand(stage, qtbot, monkeypatch) -> None:
    make_dataset("site", 6, 30)
    parts = open_models(stage, qtbot)
    modeller = parts.window.modeller
    with_trainer(parts)
    late: list = []
    estimate = modeller.desk.estimate

    def kept(recipe: str, base: str, then, failed) -> None:
        late.append(failed)
        estimate(recipe, base, then, failed)

    monkeypatch.setattr(modeller.desk, "estimate", kept)
    modeller.show_thing("model", TIP)
    modeller.plan()
    page = modeller.plan_page
    page.choose_base("needle-tip-ut 0.2")
    page.choose_base(TIP)
    qtbot.waitUntil(lambda: page.draft() is not None and page.estimated is not None)
    late[-2](UserError("The weights are not kept."))
    assert page.obstacle() == "" and page.draft() is not None
    late[-1](UserError("The weights are not kept."))
    assert page.draft() is None


def test_one_subject_is_told_in_the_singular(stage, qtbot) -> None:
    make_dataset("site", 6, 30)
    parts = open_models(stage, qtbot)
    with_trainer(parts)
    parts.window.modeller.show_thing("model", TIP)
    parts.window.modeller.plan()
    page = parts.window.modeller.plan_page
    qtbot.waitUntil(lambda: page.draft() is not None)
    split = page.split
    for count, words in ((1, "It learns from 1 subject and may"), (2, "It learns from 2 subjects and may")):
        page.split = replace(split, train=split.train[:count])
        assert any(said.startswith(words) for said in page.cautions())
