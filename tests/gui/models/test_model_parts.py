"""Small parts of Models without a window: figures in words, dots, curves, who is held out."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QLabel
from site_models import compared, some_comparison

from puncta.gui.models.comparison_view import Beside, ComparisonView
from puncta.gui.models.difference_table import DifferenceTable, Whisker, dots_of, verdict_sentence
from puncta.gui.models.model_desk import Draft, keeps_its_split
from puncta.gui.models.page_parts import Facts
from puncta.gui.models.split_bar import SplitBar
from puncta.gui.models.training_page import loss_curves, tune_curves
from puncta.gui.models.words import difference_words, figure_table, minutes_words, number_words, time_words
from puncta.gui.panels.parts import ShapeMark
from puncta.gui.theme import apply_theme, make_theme
from puncta.session.retrain import LabelledCase, SplitPlan, TrainingData, plan_split


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [(0.641, "%", "64.1 %"), (0.641, "share", "64.1 %"), (0.157, "mm", "0.16 mm"), (-0.05, "mm", "−0.05 mm"),
     (2.14, "deg", "2.1°"), (-0.0001, "mm", "0.00 mm"), (None, "mm", "–")],
)  # fmt: skip
def test_a_figure_has_its_unit(value: float | None, unit: str, words: str) -> None:
    assert number_words(value, unit) == words


def test_a_difference_has_its_size_and_its_doubt() -> None:
    assert difference_words(0.102, 0.054, 0.15, "%") == "+10.2 (+5.4 to +15.0) points"
    assert difference_words(-0.01, -0.05, 0.03, "mm") == "−0.01 (−0.05 to +0.03) mm"
    assert difference_words(0.2, None, None, "mm") == "+0.20 mm"
    assert difference_words(None, None, None, "mm") == "cannot be told"


def test_times_are_told_as_people_do() -> None:
    assert [time_words(s) for s in (0.2, 40, 400, 7800)] == ["1 s", "40 s", "7 min", "2 h 10 min"]
    assert minutes_words(7.4, 13.6) == "7 to 14 min"
    assert minutes_words(3.2, 3.4) == "about 3 min"
    assert minutes_words(70, 190) == "1 h 10 min to 3 h 10 min"


def test_figures_of_a_card_stand_by_set_and_unknown_ones_are_left_out() -> None:
    table = figure_table({"tune_tip_within_2mm": 0.8, "unseen_machine_tip_within_2mm": 0.7, "tune_int8": 3, "x": "y"})
    assert table.sets == ("Machines it has never seen", "Tune frames, which set its thresholds")
    assert table.rows == (("Tips found within 2 mm", ("70.0 %", "80.0 %")),)
    assert figure_table({}).rows == ()


def test_dots_lie_at_the_right_where_the_new_model_is_better_and_share_a_scale_by_unit() -> None:
    rows = [
        compared("a", "A", "%", "higher", 0.6, 0.7, 0.05),
        compared("b", "B", "%", "lower", 0.3, 0.2, 0.02),
        compared("c", "C", "%", "lower", 0.0, 0.03, 0.01),
        compared("d", "D", "mm", "lower", 0.2, 0.1, 0.2),
    ]
    better, lower, worse, doubt = dots_of(rows)
    assert better.value == pytest.approx(0.1) and lower.value == pytest.approx(0.1)
    assert lower.low == pytest.approx(0.08) and lower.high == pytest.approx(0.12)
    assert worse.value == pytest.approx(-0.03) and worse.low < worse.high < 0
    assert better.reach == lower.reach == worse.reach > 0.15
    assert doubt.reach > 0.3 and doubt.low < 0 < doubt.high
    assert [row.verdict for row in rows] == ["better", "better", "worse", "no clear difference"]


def test_the_dot_is_drawn_on_its_side_of_no_difference(qtbot, fonts) -> None:
    row = compared("a", "A", "%", "lower", 0.3, 0.2, 0.02)
    whisker = Whisker(make_theme("dark"))
    qtbot.addWidget(whisker)
    whisker.resize(300, 26)
    whisker.show_dot(dots_of([row])[0], row.verdict, "A: better")
    image = whisker.grab().toImage().convertToFormat(QImage.Format.Format_RGB32)
    green = [x for x in range(300) if image.pixelColor(x, 13).green() > image.pixelColor(x, 13).red() + 60]
    assert green and min(green) > whisker.x_of(0.0) + 40
    assert whisker.accessibleName() == "A: better"


def test_a_comparison_says_itself_in_one_sentence() -> None:
    up = compared("a", "A", "%", "higher", 0.6, 0.7, 0.05)
    down = compared("b", "B", "%", "higher", 0.7, 0.6, 0.05)
    same = compared("c", "C", "%", "higher", 0.7, 0.7, 0.05)
    assert "better in 1 of 2 figures and worse in none" in verdict_sentence([up, same])
    assert "worse in 1 of 2 figures and better in none" in verdict_sentence([down, same])
    assert "better in 1 and worse in 1" in verdict_sentence([up, down])
    assert verdict_sentence([same]).startswith("No figure tells")


@pytest.mark.parametrize(("width", "narrow"), [(900, False), (420, True)])
def test_the_table_keeps_every_word_whatever_its_width(qtbot, qapp, fonts, width: int, narrow: bool) -> None:
    from PySide6.QtWidgets import QLabel

    apply_theme(qapp, make_theme("dark"))
    table = DifferenceTable(make_theme("dark"))
    qtbot.addWidget(table)
    rows = [compared(str(n), f"Figure {n}", "%", "higher", 0.6, 0.6 + n / 10, 0.05) for n in range(3)]
    table.show_rows(rows)
    table.resize(width, table.sizeHint().height())
    table.show()
    qtbot.waitExposed(table)
    table.resize(width, max(table.minimumSizeHint().height(), 60))
    labels = [w for w in table.findChildren(QLabel) if w.isVisible() and not w.wordWrap()]
    assert labels and all(w.width() >= w.sizeHint().width() for w in labels)
    assert all(w.mapTo(table, w.rect().topRight()).x() < width for w in labels)
    dots = [w.mapTo(table, w.rect().center()).y() for w in table.findChildren(Whisker)]
    values = [w.mapTo(table, w.rect().center()).y() for w in labels if "→" in w.text()]
    assert all(abs(a - b) < 8 for a, b in zip(dots, values, strict=True)) is not narrow
    assert len(table.words()) == 3 and "better" in table.words()[2]


def test_losses_lead_with_the_whole_and_figures_are_shares() -> None:
    curves = {
        "loss: tip": ([10.0, 20.0], [1.0, 0.9]), "loss: direction": ([10.0], [0.05]),
        "loss": ([10.0, 20.0], [2.0, 1.8]),
        "loss: shaft": ([10.0], [0.3]), "loss: presence": ([10.0], [0.4]),
        "tune: within 5 percent": ([20.0], [0.8]), "tune: depth error": ([20.0], [3.1]),
    }
    assert [c.name for c in loss_curves(curves)] == ["all together", "tip", "needle or none", "shaft"]
    assert [(c.name, c.dashed) for c in tune_curves(curves)] == [("Tips within 5 % of the picture", True)]


def case(name: str, subject: str, frames: int, split: str | None = None) -> LabelledCase:
    return LabelledCase(name, name, subject, "F", True, {"needle-tip": frames}, split)


def data_of(*cases: LabelledCase, path=None) -> TrainingData:
    subjects = tuple(sorted({c.subject for c in cases}))
    return TrainingData("d", "d", ("needle-tip",), 10, subjects, ("F",), True, path, cases)


def test_who_is_held_out_is_named_with_frames(qtbot, fonts) -> None:
    bar = SplitBar(make_theme("dark"))
    qtbot.addWidget(bar)
    split = plan_split(data_of(*(case(f"c{n}", f"s{n}", 10) for n in range(5))), "needle-tip")
    bar.show_split(split)
    said = dict(bar.facts.facts)
    assert set(said) == {"Learns from", "Sets thresholds by", "Held out, to judge"}
    named = [name for words in said.values() for name in words.partition("  ·")[0].split(", ")]
    assert sorted(named) == ["s0", "s1", "s2", "s3", "s4"]
    bar.show_split(None, "nothing is labelled")
    assert bar.warning.text() == "nothing is labelled" and bar.facts.isHidden()


def test_a_dataset_is_made_anew_only_where_its_own_split_does_not_stand(tmp_path) -> None:
    stated = data_of(case("a", "s1", 9, "train"), case("b", "s2", 9, "tune"), case("c", "s3", 9, "test"), path=tmp_path)
    assert keeps_its_split(Draft(stated, plan_split(stated, "needle-tip"), "tip_site", "", "x"))
    free = data_of(case("a", "s1", 9), case("b", "s2", 9), case("c", "s3", 9), path=tmp_path)
    assert not keeps_its_split(Draft(free, plan_split(free, "needle-tip"), "tip_site", "", "x"))
    torn = data_of(*(case(c.id, "s1", 9, c.split) for c in stated.cases), path=tmp_path)
    by_case = SplitPlan("case", ("a",), ("b",), ("c",), {}, {c.id: str(c.split) for c in torn.cases}, False)
    assert not keeps_its_split(Draft(torn, by_case, "tip_site", "", "x"))  # its own file does not say that it is weaker
    labels = SimpleNamespace(path=None, cases=())
    nobody = SplitPlan("subject", (), (), (), {}, {}, True)
    assert not keeps_its_split(Draft(labels, nobody, "tip_site", "", "x"))


def test_a_comparison_is_kept_as_long_as_both_models_are_the_same_files(tmp_path) -> None:
    from puncta.gui.models.kept_comparison import keep_comparison, kept_comparison

    made = some_comparison()
    keep_comparison(tmp_path, made)
    old, new = SimpleNamespace(sha256=made.old_sha256), SimpleNamespace(sha256=made.new_sha256)
    again = kept_comparison(tmp_path, old, new)
    assert again is not None and (again.old, again.new, again.notes) == (made.old, made.new, made.notes)
    assert [(r.name, r.verdict) for r in again.rows] == [(r.name, r.verdict) for r in made.rows]
    assert again.rows[0].difference.value == pytest.approx(made.rows[0].difference.value)
    assert set(again.per_machine) == {"F", "G"}
    assert kept_comparison(tmp_path, old, SimpleNamespace(sha256="c" * 64)) is None
    next(tmp_path.glob("*.json")).write_text("{", encoding="utf-8")
    assert kept_comparison(tmp_path, old, new) is None


def test_nobody_is_promised_to_be_new_where_cases_are_held_out(qtbot, fonts) -> None:
    from puncta.session.model_comparison import SAME_PERSON

    view = ComparisonView(make_theme("dark"))
    qtbot.addWidget(view)
    made = some_comparison()
    view.show_comparison(made)
    assert "has not learnt from" in view.said.text()
    view.show_comparison(replace(made, notes=(*made.notes, SAME_PERSON)))
    assert "held out by case" in view.said.text() and "not learnt" not in view.said.text()


def test_lines_of_a_comparison_take_the_theme_that_was_chosen_since(qtbot, fonts) -> None:
    view = ComparisonView(make_theme("dark"))
    qtbot.addWidget(view)
    view.set_theme(light := make_theme("light"))
    view.show_besides([Beside("a 1", "in use", some_comparison()), Beside("b 1", "", None, "Its file is gone.")])
    assert [mark._theme for mark in view.others[0].findChildren(ShapeMark)] == [light]


def test_names_that_were_cut_short_are_shown_anew_where_they_alone_have_changed(qtbot, fonts) -> None:
    facts = Facts()
    qtbot.addWidget(facts)
    for rest in ("c", "d"):
        facts.show_facts([("Learns from", "a and 1 more")], {"Learns from": f"a, {rest}"})
    assert facts.findChildren(QLabel)[-1].toolTip() == "a, d"
