"""Another program puts models in use, takes them back, or spoils the file: an open window takes up what it can read."""

from __future__ import annotations

import json

import pytest
from models_window import TIP, open_models, press
from site_models import register_site_model

from puncta.gui.models.shelf import read_shelf
from puncta.inference.promotion import PROMOTIONS_NAME, history, promote, roll_back, user_models_dir
from puncta.session.plugins import all_models


@pytest.fixture
def reloaded(stage, qtbot, monkeypatch):
    """A window that has remembered what is in use, and the plugins that it loads anew from then on."""
    made = register_site_model()
    parts = open_models(stage, qtbot)
    watch = parts.window.modeller.desk.watch
    watch.end()  # each test says when it is looked
    look(qtbot, watch)
    plugins: list[str] = []
    monkeypatch.setattr(parts.desk, "reload_plugin", plugins.append)
    return parts, made, plugins


def look(qtbot, watch) -> None:
    """Have the files looked at, after what was under way."""
    qtbot.waitUntil(lambda: not watch._looking)
    watch.look()
    qtbot.waitUntil(lambda: not watch._looking)


def look_at_shelf(qtbot, desk) -> None:
    """Have the list read as an entry into Models does."""
    before = desk.shelf
    desk.look()
    qtbot.waitUntil(lambda: desk.shelf is not before)


def use(model: str) -> None:
    """As `puncta models promote` does, in another program."""
    registry = all_models()
    promote(registry, registry.find(model))


def test_what_is_promoted_and_taken_back_in_a_shell_is_taken_up(reloaded, qtbot) -> None:
    parts, made, plugins = reloaded
    modeller = parts.window.modeller
    modeller.show_thing("model", TIP)
    use(made)
    look(qtbot, modeller.desk.watch)
    assert plugins == ["needle-tip"]
    assert "in use" in modeller.left.rows["model", made].accessibleName()
    assert modeller.shown == ("model", TIP), "what somebody reads stays"
    parts.desk.model_switched.emit("needle-tip", made, "")
    assert parts.window.status_line.message == (
        "Changed outside this window. Needle tip now uses: Adapted to this site, 1."
    )
    roll_back(all_models(), "needle-tip")
    look(qtbot, modeller.desk.watch)
    assert plugins == ["needle-tip"] * 2
    assert "in use" in modeller.left.rows["model", TIP].accessibleName()


def test_it_is_noticed_without_a_press_and_in_every_mode(stage, qtbot, monkeypatch) -> None:
    made = register_site_model()
    parts = open_models(stage, qtbot)
    parts.window.does.run("mode_review")
    watch = parts.window.modeller.desk.watch
    qtbot.waitUntil(lambda: watch.promotions is not None)
    plugins: list[str] = []
    monkeypatch.setattr(parts.desk, "reload_plugin", plugins.append)
    use(made)
    qtbot.waitUntil(lambda: plugins == ["needle-tip"])


def test_many_changes_at_once_are_one(reloaded, qtbot) -> None:
    parts, made, plugins = reloaded
    for model in (made, "needle-tip-ut 0.2", made, "needle-tip-ut 0.4"):
        use(model)
    look(qtbot, parts.window.modeller.desk.watch)
    look(qtbot, parts.window.modeller.desk.watch)
    assert plugins == ["needle-tip"]
    assert "in use" in parts.window.modeller.left.rows["model", "needle-tip-ut 0.4"].accessibleName()


def test_several_plugins_are_told_of_in_one_sentence(reloaded, qtbot) -> None:
    parts, _made, _plugins = reloaded
    modeller = parts.window.modeller
    modeller.verbs.take_elsewhere(("needle-tip", "infant-lp"))
    parts.desk.model_switched.emit("needle-tip", TIP, "")
    parts.desk.model_switched.emit("infant-lp", "lp-landmarks 0.1.1", "")
    said = parts.window.status_line.message
    assert "Needle tip now uses" in said and "Infant lumbar puncture now uses" in said


def test_what_the_window_has_changed_itself_is_not_taken_up_again(reloaded, qtbot) -> None:
    parts, made, plugins = reloaded
    modeller = parts.window.modeller
    modeller.show_thing("model", made)
    press(parts, "model_use")
    qtbot.waitUntil(lambda: plugins == ["needle-tip"])
    look(qtbot, modeller.desk.watch)
    look(qtbot, modeller.desk.watch)
    assert plugins == ["needle-tip"]
    parts.desk.model_switched.emit("needle-tip", made, "")
    assert "outside" not in parts.window.status_line.message


def test_a_file_that_cannot_be_read_changes_nothing_and_is_told_once(reloaded, qtbot) -> None:
    parts, made, plugins = reloaded
    modeller = parts.window.modeller
    watch, file = modeller.desk.watch, user_models_dir() / PROMOTIONS_NAME
    modeller.show_thing("model", made)
    use(made)
    look(qtbot, watch)
    whole = file.read_text(encoding="utf-8")
    file.write_text(whole[: len(whole) // 2], encoding="utf-8")
    look(qtbot, watch)
    qtbot.waitUntil(lambda: "goes on" in modeller.model_page.problems.text())
    look_at_shelf(qtbot, modeller.desk)
    assert "goes on" in modeller.model_page.problems.text()
    said = parts.window.status_line
    assert said.message.startswith("Which models are in use cannot be read any more, so what runs goes on. ")
    assert plugins == ["needle-tip"]
    assert "in use" in modeller.left.rows["model", made].accessibleName(), "it is what runs"
    said.say("")
    look(qtbot, watch)
    assert said.message == "" and plugins == ["needle-tip"]
    file.write_text(json.dumps({"format": "puncta-promotions", "version": 1, "plugins": {}}), encoding="utf-8")
    look(qtbot, watch)
    assert plugins == ["needle-tip"] * 2 and history("needle-tip") == ()
    assert "in use" in modeller.left.rows["model", TIP].accessibleName()
    assert modeller.model_page.problems.text() == ""


@pytest.mark.parametrize("first", ["look", "promote"])
def test_a_list_that_is_read_while_this_window_changes_it_is_not_taken_for_somebody_elses(
    reloaded, qtbot, monkeypatch, first: str
) -> None:
    parts, made, _plugins = reloaded
    desk = parts.window.modeller.desk
    qtbot.waitUntil(lambda: desk.shelf is not None)
    asked: list[tuple] = []
    monkeypatch.setattr(desk, "_ask", lambda work, then, _failed=None: asked.append((work, then)))
    begin = {"look": desk.look, "promote": lambda: desk.promote(desk.shelf.find(made), lambda: None)}
    for what in sorted(begin, key=lambda what: what != first):
        begin[what]()
    if first == "look":  # read before, delivered after
        (read, take_list), (change, take_change) = asked
        old = read()
        take_change(change())
        take_list(old)
        (_again, take_list) = asked[2]
        take_list(asked[2][0]())
    else:  # read after, delivered before
        (change, take_change), (read, take_list) = asked
        changed = change()
        take_list(read())
        take_change(changed)
    assert desk.elsewhere == () and desk.shelf.is_in_use(desk.shelf.find(made))


def test_a_list_that_was_read_before_a_change_and_comes_after_it_does_not_stay(reloaded, qtbot) -> None:
    parts, made, plugins = reloaded
    desk = parts.window.modeller.desk
    old = read_shelf()
    use(made)
    look(qtbot, desk.watch)
    desk._take_shelf(old, desk._news(old))  # as a slow read of an entry into Models would
    assert desk.shelf is old
    look(qtbot, desk.watch)
    assert desk.shelf.is_in_use(desk.shelf.find(made)) and plugins[-1] == "needle-tip"
