"""A new model beside others: the one in use may be a poor one, and what was found stays with the model."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from models_window import TIP, job_of, open_models, press, verbs, with_trainer
from offset_models import PLUGIN, install_spot, write_spots
from site_models import compared, register_site_model, some_comparison

from puncta.core.errors import UserError
from puncta.gui.models.comparison_view import Beside, ComparisonView
from puncta.gui.models.difference_table import beside_sentence, verdict_sentence
from puncta.gui.models.judging import others_of
from puncta.gui.models.kept_comparison import (
    compare_and_keep,
    comparisons_of,
    folder_of,
    keep_comparison,
    keep_with_model,
)
from puncta.gui.models.shelf import read_shelf
from puncta.gui.theme import make_theme
from puncta.inference.promotion import promote, roll_back
from puncta.inference.registry import ModelCard
from puncta.session.model_comparison import Comparison
from puncta.session.plugins import all_models


def use(model: str) -> None:
    registry = all_models()
    promote(registry, registry.find(model))


def comparison_of(old: str, new: str, *, better: bool) -> Comparison:
    """A comparison whose two figures are all better, or all worse, with the hashes of the models' files."""
    registry, way = all_models(), 1 if better else -1
    rows = (
        compared("tip_within_2mm", "Tip within 2 mm", "share", "higher", 0.6, 0.6 + way * 0.1, 0.05),
        compared("miss_rate", "Missed tips", "share", "lower", 0.3, 0.3 - way * 0.1, 0.04),
    )
    files = {"old_sha256": registry.find(old).sha256, "new_sha256": registry.find(new).sha256}
    return replace(some_comparison(old, new), rows=rows, per_machine={}, **files)


def test_a_new_model_that_beats_a_poor_one_in_use_is_told_to_be_worse_than_the_one_that_ships(stage, qtbot) -> None:
    poor, new = register_site_model("1", b"poor"), register_site_model("2", b"new")
    use(poor)
    parts = open_models(stage, qtbot, size=(1100, 700), font_scale=2.0)
    modeller = parts.window.modeller
    modeller.desk.comparisons[poor, new, "site"] = comparison_of(poor, new, better=True)
    modeller.desk.comparisons[TIP, new, "site"] = comparison_of(TIP, new, better=False)
    with_trainer(parts, job_of("a", "done", left_s=0.0, model=new, base=poor))
    qtbot.waitUntil(lambda: ("training", "a") in modeller.left.rows)
    modeller.show_thing("training", "a")
    view = modeller.training_page.comparison
    used = f"{poor} (in use, what it went on from)"
    assert view.verdict.text() == f"It is better than {used} in 2 of 2 figures and worse in none."
    (line,) = view.others
    assert line.isVisible() and line.texts == (
        f"It is worse than {TIP} (comes with Puncta) in 2 of 2 figures and better in none.",
    )
    assert [view.beside.itemText(n) for n in range(2)] == [used, f"{TIP} (comes with Puncta)"]
    assert view.beside.isVisible() and all("better" in words for words in view.table.words())
    page = modeller.training_page
    qtbot.waitUntil(lambda: page.widget().width() <= page.viewport().width())  # it never scrolls sideways
    view.beside.setCurrentIndex(1)
    view.beside.activated.emit(1)
    assert all("worse" in words and " to " in words for words in view.table.words()), "with their intervals"
    assert f"Old: {TIP}." in view.said.text()


def test_who_a_new_model_is_set_beside() -> None:
    first, second = register_site_model("1", b"1"), register_site_model("2", b"2")
    new = all_models().find(second)

    def others(base: str) -> list[tuple[str, str]]:
        return [(card.identity, role) for card, role in others_of(read_shelf(), new, base)]

    assert others(TIP) == [(TIP, "in use, comes with Puncta")]
    assert others(first) == [(TIP, "in use, comes with Puncta"), (first, "what it went on from")]
    use(first)
    assert others(TIP) == [(first, "in use"), (TIP, "comes with Puncta")]
    use(second)
    assert others(first) == [(first, "what it went on from"), (TIP, "comes with Puncta")]
    assert others("") == [(first, ""), (TIP, "comes with Puncta")], "the one that was put in use before"


def test_a_model_is_not_set_beside_a_copy_of_itself() -> None:
    """One that was made here may be in use under another name with the same file."""
    same, other = register_site_model("1", b"a"), register_site_model("2", b"a")
    use(same)
    new = all_models().find(other)
    assert [card.identity for card, _role in others_of(read_shelf(), new, same)] == [TIP]


def test_a_comparison_that_failed_is_tried_again_when_its_page_is_opened_and_not_before(
    stage, qtbot, monkeypatch
) -> None:
    new = register_site_model("1", b"new")
    parts = open_models(stage, qtbot)
    modeller, tried = parts.window.modeller, []

    def compare(job, _olds, _then, failed) -> None:
        tried.append(job.id)
        failed(UserError("The dataset is gone."))

    monkeypatch.setattr(modeller.desk, "compare", compare)
    trainer = with_trainer(parts, job_of("a", "done", left_s=0.0, model=new))
    qtbot.waitUntil(lambda: ("training", "a") in modeller.left.rows)
    modeller.show_thing("training", "a")
    assert tried == ["a"]
    trainer.tell(job_of("b", "running"))
    qtbot.waitUntil(lambda: ("training", "b") in modeller.left.rows)
    modeller.show_training()
    assert tried == ["a"] and modeller.training_page.comparison.said.text() == "The dataset is gone."
    modeller.show_thing("training", "a")
    assert tried == ["a", "a"]


def test_one_that_could_not_be_compared_hides_nothing_of_the_others(qtbot, fonts) -> None:
    view = ComparisonView(make_theme("dark"))
    qtbot.addWidget(view)
    view.show_besides([
        Beside(TIP, "in use", some_comparison()), Beside("old 1", "comes with Puncta", None, "Its file is gone.")
    ])
    assert view.others[0].texts == ("With old 1 (comes with Puncta) it could not be compared: Its file is gone.",)
    assert f"Beside {TIP} (in use) it is worse in 1 of 4 figures" in view.verdict.text() and view.beside.count() == 1
    view.say("The models look at the held out frames.")
    assert view.others == () and view.comparison is None


@pytest.mark.parametrize(("count", "words"), [(1, "only figure"), (2, "2 of 2 figures")])
def test_numbers_and_their_nouns_agree(count: int, words: str) -> None:
    up = [compared(str(n), "A", "%", "higher", 0.6, 0.7, 0.05) for n in range(count)]
    down = [compared(str(n), "A", "%", "higher", 0.7, 0.6, 0.05) for n in range(count)]
    for rows in (up, down):
        assert words in verdict_sentence(rows) and words in beside_sentence("x 1", rows)
    mixed = [*up[:1], *down[:1]]
    assert "1 figures" not in verdict_sentence(mixed) + beside_sentence("x 1", mixed)


def done_training(parts, qtbot, folder: Path, model: str):
    """Show the page of a finished training whose comparison is kept beside it alone."""
    modeller = parts.window.modeller
    keep_comparison(folder, made := comparison_of(TIP, model, better=True))
    modeller.desk.comparisons[TIP, model, "site"] = made
    trainer = with_trainer(parts, job_of("a", "done", left_s=0.0, model=model, folder=folder))
    qtbot.waitUntil(lambda: ("training", "a") in modeller.left.rows)
    modeller.show_thing("training", "a")
    remove = trainer.remove
    trainer.remove = lambda job: (shutil.rmtree(folder), remove(job))[1]
    return modeller, trainer


def test_a_comparison_outlives_its_training_on_the_page_of_the_model(stage, qtbot, tmp_path) -> None:
    new = register_site_model("1", b"new")
    parts = open_models(stage, qtbot)
    (tmp_path / "a").mkdir()
    modeller, trainer = done_training(parts, qtbot, tmp_path / "a", new)
    modeller.show_thing("model", new)
    page = modeller.model_page
    qtbot.waitUntil(lambda: page.judged.isVisible())  # while its training is there, and after
    modeller.show_thing("model", TIP)
    assert not page.judged.isVisible() and not page.judged_head.isVisible()
    modeller.show_thing("training", "a")
    press(parts, "training_remove")
    assert "with this comparison on its page" in modeller.bar.words.full()
    press(parts, "training_remove")
    qtbot.waitUntil(lambda: ("remove", "a") in trainer.done and modeller.shown[0] == "model")
    assert not (tmp_path / "a").exists()
    modeller.show_thing("model", new)
    qtbot.waitUntil(lambda: page.judged.isVisible())
    assert page.judged.verdict.text() == "The new model is better in 2 of 2 figures and worse in none."
    assert page.judged.besides[0].name == f"{TIP} (in use, comes with Puncta)"
    card = all_models().find(new)
    assert [one.old for one in comparisons_of(card)] == [TIP]
    assert comparisons_of(replace(card, sha256="c" * 64)) == (), "of another file of that name it says nothing"


def test_a_training_stays_where_its_comparison_cannot_be_kept(stage, qtbot, tmp_path) -> None:
    new = register_site_model("1", b"new")
    card = all_models().find(new)
    (card.folder / "runs").write_text("in the way", encoding="utf-8")
    parts = open_models(stage, qtbot)
    (tmp_path / "a").mkdir()
    modeller, trainer = done_training(parts, qtbot, tmp_path / "a", new)
    press(parts, "training_remove")
    press(parts, "training_remove")
    qtbot.waitUntil(lambda: "runs" in parts.window.status_line.message)
    assert trainer.done == [] and modeller.shown == ("training", "a") and (tmp_path / "a").exists()


def test_what_is_broken_or_of_another_file_gives_way_to_the_comparison_that_holds(tmp_path) -> None:
    model = register_site_model("1", b"new")
    card = all_models().find(model)
    made, (home,) = comparison_of(TIP, model, better=True), folder_of(card)
    keep_comparison(tmp_path, made)
    (name,) = (path.name for path in tmp_path.iterdir())
    numbered = json.dumps(json.loads((tmp_path / name).read_text()) | {"per_machine": []})
    for broken in ('{"old": 1}', '["old"]', '"old"', numbered):
        home.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(broken)
        assert comparisons_of(card) == ()
        keep_with_model(tmp_path, card)
        assert [one.frames for one in comparisons_of(card)] == [made.frames]
    keep_comparison(home, replace(made, new_sha256="c" * 64))
    keep_with_model(tmp_path, card)
    assert [one.frames for one in comparisons_of(card)] == [made.frames]
    keep_comparison(tmp_path, replace(made, frames=7))
    keep_with_model(tmp_path, card)
    assert [one.frames for one in comparisons_of(card)] == [made.frames], "what holds already stays"


def test_before_a_training_is_removed_it_is_said_what_goes(stage, qtbot) -> None:
    register_site_model()
    parts = open_models(stage, qtbot)
    modeller = parts.window.modeller
    jobs = (job_of("a", "cancelled"), job_of("b", "done", model="gone 1"))
    with_trainer(parts, *jobs)
    qtbot.waitUntil(lambda: ("training", "b") in modeller.left.rows)
    for job, words in (("a", "It has made no model yet."), ("b", "Its model is gone already, so nothing of it stays.")):
        modeller.show_thing("training", job)
        press(parts, "training_remove")
        assert words in modeller.bar.words.full()
    assert modeller.training_page.message.text() == "It has made gone 1, which is not among the models here."


def test_the_pages_say_what_is_in_use_and_what_is_not(stage, qtbot, monkeypatch) -> None:
    new = register_site_model()
    parts = open_models(stage, qtbot)
    modeller = parts.window.modeller
    monkeypatch.setattr(parts.desk, "reload_plugin", lambda _plugin: None)
    modeller.desk.comparisons[TIP, new, "site"] = comparison_of(TIP, new, better=True)
    with_trainer(parts, job_of("a", "done", left_s=0.0, model=new))
    qtbot.waitUntil(lambda: ("training", "a") in modeller.left.rows)
    modeller.show_thing("training", "a")
    message = modeller.training_page.message
    assert message.text() == f"{new} is there. It changes nothing until you put it in use."
    press(parts, "model_use")
    qtbot.waitUntil(lambda: verbs(parts).get("model_use") is False)
    assert message.text() == f"{new} is there and in use."
    roll_back(all_models(), "needle-tip")
    modeller.desk.look()
    qtbot.waitUntil(lambda: "changes nothing" in message.text())
    modeller.show_thing("model", TIP)
    never = modeller.model_page.never
    assert never.isVisible()
    assert never.text() == "Needle tip uses the model that comes with Puncta: no other one is put in use."
    parts.desk.model_switched.emit("needle-tip", new, 'Needle tip goes on with "x 1". The file is gone.')
    assert "goes on with" in modeller.model_page.problems.text()


def test_what_is_kept_is_not_computed_again_and_one_that_fails_costs_the_others_nothing(tmp_path) -> None:
    install_spot(coarse=(6.0, ()), fine=(0.0, ()), torn=(1.0, ()))
    registry, data = all_models(), write_spots(tmp_path / "spots")
    coarse, fine, torn = (registry.find(name) for name in ("coarse", "fine", "torn"))
    (tmp_path / "job").mkdir()
    (fine.folder / "runs" / "fine-1.0").mkdir(parents=True)
    job = job_of("a", "done", plugin=PLUGIN, model=fine.identity, folder=tmp_path / "job", data=str(data))
    told: list[tuple[int, int]] = []

    def compare(*olds: ModelCard) -> tuple[Comparison | UserError, ...]:
        return compare_and_keep(job, olds, fine, lambda *at: told.append(at), lambda: False)

    (made,) = compare(coarse)
    assert isinstance(made, Comparison) and (made.old, made.new) == ("coarse 1.0", "fine 1.0") and told
    assert [one.old for one in comparisons_of(fine)] == ["coarse 1.0"], "with the model"
    shutil.rmtree(job.folder)
    told.clear()
    (torn.folder / torn.file).write_bytes(b"torn")
    again, failed = compare(coarse, torn)
    assert isinstance(again, Comparison) and [r.verdict for r in again.rows] == [r.verdict for r in made.rows]
    assert isinstance(failed, UserError) and "does not match its recorded hash" in str(failed)
    told.clear()
    assert compare(coarse) == (again,) and told == []
    with pytest.raises(UserError, match="recorded hash"):
        compare(torn, coarse)
