"""What a result and a model's page say: what differs comes first, counts agree, long texts stand once."""

from __future__ import annotations

from dataclasses import replace

from site_models import compared, some_comparison

from puncta.formats.tune_words import CELLS, FIGURES, KINDS, TIMES
from puncta.gui.i18n import install_language, remove_language, tr
from puncta.gui.models.comparison_view import ComparisonView
from puncta.gui.models.model_page import ModelPage
from puncta.gui.models.shelf import Family, Shelf
from puncta.gui.models.words import SET_NAMES, moment_words, plain_figures
from puncta.gui.theme import make_theme
from puncta.inference.promotion import Promotion
from puncta.inference.registry import ModelCard, Registry


def test_every_figure_that_differs_is_shown_at_once_and_first(qtbot, fonts) -> None:
    view = ComparisonView(make_theme("dark"))
    qtbot.addWidget(view)
    rare = compared("abstain_rate", "Abstentions", "share", "lower", 0.1, 0.4, 0.02)
    alike = compared("tip_ap50", "Tip AP50", "share", "higher", 0.4, 0.4, 0.1)
    made = some_comparison()
    view.show_comparison(replace(made, rows=(*made.rows, rare, alike), per_machine={}))
    assert view.verdict.text() == "Of 6 figures the new model is better in 2 and worse in 2. Look at each."
    verdicts = [words.split(": ")[1].split(",")[0] for words in view.table.words()]
    assert verdicts == ["better", "better", "worse", "worse", "no clear difference"]
    assert "Abstentions" in view.table.words()[3] and not view.more.isHidden()
    view.more.setChecked(True)
    assert len(view.table.words()) == 6 and "Abstentions" in view.table.words()[3]


def test_one_clip_and_one_subject_are_counted_in_the_singular(qtbot, fonts) -> None:
    view = ComparisonView(make_theme("dark"))
    qtbot.addWidget(view)
    view.show_comparison(replace(some_comparison(), frames=412, clips=1, subjects=1))
    assert view.said.text().startswith("412 frames of 1 clip and 1 subject that the new model has not learnt from.")
    view.show_comparison(replace(some_comparison(), frames=1, clips=2, subjects=0))
    assert view.said.text().startswith("1 frame of 2 clips; no subject is stated.")


def test_all_figures_of_a_card_stand_in_words_in_both_languages(qapp) -> None:
    metrics = {
        "tune_median_error_mm": 0.1391, "tune_stills_shown_without_tip": 0.008, "tune_site_frames": 354.0,
        "unseen_machine_baseline_tip_within_2mm": 0.35, "int8_ap50_change": 0.01, "tune_ece_quality": 0.02,
    }
    assert plain_figures(metrics) == (
        ("Tip error, median (tune frames)", "0.14 mm"),
        ("Needles in stills: frames without a tip on which one is shown (tune frames)", "0.8 %"),
        ("Labelled frames of the site that it learnt from (tune frames)", "354"),
        ("A method without learning: Tips found within 2 mm (machines new to it)", "35.0 %"),
        ("8-bit variant: change of AP50", "1.0 %"),
        ("Calibration error: quality (tune frames)", "2.0 %"),
    )
    kept = install_language(qapp, "de")
    try:
        said = [name for name, _value in plain_figures(metrics)]
        words = {*FIGURES.values(), *KINDS.values(), *TIMES.values(), *SET_NAMES.values(), CELLS}
        assert [text for text in sorted(words) if tr(text) == text] == []
    finally:
        remove_language(qapp, kept)
        install_language(qapp, "en")
    assert said[1].startswith("Nadeln in Standbildern: Bilder ohne Spitze") and "Qualität" in said[5]


RECIPE = "puncta train tip_cpu, then tip_finish, tip_site_1 with --start-from"
KNOWN = [f"{n},000 simulated cines of machines A, B, C" for n in range(1, 6)]
DATA = "; ".join([*KNOWN, "354 labelled frames of fsite"])
ROWS = f"| Made by | `{RECIPE}`, 3 min on cpu |\n| Learnt from | {DATA} |\n| Size | 3 |\n"
CARD = f"# x 1\n\nOne.\n\n| | |\n| --- | --- |\n{ROWS}"


def shelf_of(*history: tuple[str, str], used: int = 1) -> tuple[Shelf, list[ModelCard]]:
    """Two models of a plugin with what was in use and when."""
    shipped = next(card for card in Registry.load().cards if card.plugin == "needle-tip")
    cards = [
        replace(shipped, id="x", version=str(n), origin="user", sha256=str(n) * 64, recipe=RECIPE, training_data=DATA)
        for n in (1, 2)
    ]
    kept = tuple(Promotion("needle-tip", model, model[-1] * 64, at) for model, at in history)
    family = Family("needle-tip", "Needle tip", tuple(cards), cards[used], kept)
    return Shelf(Registry(()), (family,)), cards


def test_a_page_tells_its_own_time_in_use_and_whose_history_stands_below(qtbot, fonts) -> None:
    page = ModelPage(make_theme("dark"))
    qtbot.addWidget(page)
    shelf, (first, second) = shelf_of(("x 1", "2026-01-31T10:00:00Z"), ("x 2", "2026-02-28T11:00:00Z"))
    begin, end = moment_words("2026-01-31T10:00:00Z"), moment_words("2026-02-28T11:00:00Z")
    page.show_model(shelf, first, "")
    assert dict(page.facts.facts)["Was in use"] == f"{begin} to {end}"
    assert page.history_of.text() == "For Needle tip, the newest first; each was in use until the one above it."
    assert not page.history_of.isHidden() and page.history.facts[0] == (end, "x 2")
    page.show_model(shelf, second, "")
    assert dict(page.facts.facts)["Put in use"] == end


def test_a_long_origin_stands_once_and_short_and_in_full_behind_a_press(qtbot, fonts) -> None:
    page = ModelPage(make_theme("dark"))
    qtbot.addWidget(page)
    shelf, (first, _second) = shelf_of()
    page.show_model(shelf, first, CARD)
    said = dict(page.facts.facts)
    assert said["Learnt from"] == "354 labelled frames of fsite; and 5 others"
    assert said["Made by"] == "tip_site_1, the last of 3 trainings in a row"
    shown = page.text.toPlainText()
    assert "Size" in shown and "labelled frames" not in shown and "tip_finish" not in shown
    assert page.in_full.isHidden() and not page.long.isHidden()
    page.long.click()
    assert not page.in_full.isHidden()
    assert dict(page.in_full.facts) == {"Learnt from": DATA, "Made by": f"{RECIPE}, 3 min on cpu"}
