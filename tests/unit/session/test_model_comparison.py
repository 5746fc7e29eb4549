"""Two models that differ in a known way: the comparison says that, and no more."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from offset_models import PLUGIN, install_spot, write_spots

from puncta.core.errors import UserError
from puncta.formats import schemas
from puncta.formats.dataset import load_dataset, save_dataset
from puncta.formats.jsontext import write_json
from puncta.formats.validate import validate
from puncta.metrics.intervals import Estimate
from puncta.session import model_comparison
from puncta.session.comparison_text import as_json, as_markdown
from puncta.session.evaluate import evaluation_of, open_labelled_data, run_plugin
from puncta.session.model_comparison import (
    SAME_PERSON,
    ComparedFigure,
    Comparison,
    ComparisonStopped,
    compare_models,
    compare_with_each,
    verdict_of,
)
from puncta.session.plugins import all_models


def by_name(rows: tuple[ComparedFigure, ...]) -> dict[str, ComparedFigure]:
    return {row.name: row for row in rows}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_spots(tmp_path / "spots")


@pytest.fixture
def comparison(data: Path) -> Comparison:
    """`coarse` is 6 px (3 mm) off everywhere; `fine` is right but blind to machine B."""
    install_spot(coarse=(6.0, ()), fine=(0.0, (220,)))
    return compare_models(PLUGIN, "coarse", "fine@1.0", data)


def test_each_figure_goes_the_way_it_was_made(comparison: Comparison) -> None:
    rows = by_name(comparison.rows)
    error = rows["tip_error_mm"]
    assert (error.old.value, error.new.value, error.difference.value) == (3.0, 0.0, -3.0)
    assert (error.unit, error.better, error.verdict) == ("mm", "lower", "better")
    misses = rows["miss_rate"]
    assert (misses.old.value, misses.new.value) == (0.0, 0.5)
    assert (misses.unit, misses.better, misses.verdict) == ("share", "lower", "worse")
    within = rows["tip_within_2mm"]
    assert (within.old.value, within.new.value, within.verdict) == (0.0, 0.5, "better")
    assert rows["false_alarm_rate"].verdict == "no clear difference"
    assert within.difference.low is not None and 0 < within.difference.low < 0.5 < (within.difference.high or 0)
    assert "ms_per_frame" not in rows and "abstain_rate" not in rows


def test_each_machine_is_told_by_itself(comparison: Comparison) -> None:
    assert set(comparison.per_machine) == {"A", "B"}
    a, b = (by_name(comparison.per_machine[m]) for m in "AB")
    assert (a["miss_rate"].verdict, b["miss_rate"].verdict) == ("no clear difference", "worse")
    assert (a["tip_within_2mm"].verdict, b["tip_within_2mm"].difference.value) == ("better", 0.0)


def test_it_says_what_was_compared(comparison: Comparison) -> None:
    assert (comparison.plugin, comparison.old, comparison.new) == (PLUGIN, "coarse 1.0", "fine 1.0")
    assert comparison.old_sha256 != comparison.new_sha256 and len(comparison.new_sha256) == 64
    assert (comparison.data, comparison.split, comparison.simulated) == ("spots", "test", True)
    assert (comparison.clips, comparison.subjects, comparison.frames) == (10, 10, 50), "the split train is left out"
    assert "Everything here is simulated" in comparison.notes[0]


def test_the_figures_are_those_of_evaluate(comparison: Comparison, data: Path) -> None:
    labelled = open_labelled_data(data)
    for name, side in (("coarse", "old"), ("fine", "new")):
        metrics = evaluation_of(run_plugin(PLUGIN, labelled, model=name, timings=False), labelled).metrics
        assert {row.name: getattr(row, side) for row in comparison.rows} == {
            row.name: metrics[row.name] for row in comparison.rows
        }


def test_the_file_keeps_its_format_and_repeats(comparison: Comparison, data: Path, tmp_path: Path) -> None:
    document = as_json(comparison)
    assert schemas.check("comparison", document) == []
    write_json(tmp_path / "c.json", document)
    assert validate(tmp_path / "c.json").kind == "comparison"
    assert as_json(compare_models(PLUGIN, "coarse", "fine", data)) == document
    assert str(tmp_path) not in str(document)


def test_the_markdown_names_both_and_every_figure(comparison: Comparison) -> None:
    text = as_markdown(comparison, "puncta evaluate spot")
    assert text.startswith("# spot: fine 1.0 against coarse 1.0 on spots")
    assert "| tip within 2 mm [%] | 0.0 | 50.0 [" in text and "| better |" in text and "Machine B:" in text
    assert "puncta evaluate spot" in text and "not for clinical use" in text


def test_few_clips_call_no_difference(tmp_path: Path) -> None:
    install_spot(coarse=(6.0, ()), fine=(0.0, ()))
    comparison = compare_models(PLUGIN, "coarse", "fine", write_spots(tmp_path / "few", clips=5, train=1))
    assert {row.verdict for row in comparison.rows} == {"no clear difference"}
    assert any("Fewer than 5 clips (4)" in note for note in comparison.notes)
    machines = compare_models(PLUGIN, "coarse", "fine", write_spots(tmp_path / "some", clips=8, train=0))
    assert by_name(machines.rows)["tip_within_2mm"].verdict == "better"
    assert {r.verdict for rows in machines.per_machine.values() for r in rows} == {"no clear difference"}
    assert any("Of a machine with fewer than 5 clips" in note for note in machines.notes)


def test_a_dataset_without_splits_is_taken_as_a_whole_and_says_so(tmp_path: Path) -> None:
    install_spot(coarse=(6.0, ()), fine=(0.0, ()))
    comparison = compare_models(PLUGIN, "coarse", "fine", write_spots(tmp_path / "whole", splits=False))
    assert (comparison.split, comparison.clips) == (None, 12)
    assert any("taken as a whole" in note for note in comparison.notes)


def test_a_dataset_split_by_case_is_told_as_weaker(data: Path, comparison: Comparison) -> None:
    assert SAME_PERSON not in comparison.notes
    dataset = load_dataset(data)
    save_dataset(replace(dataset, info=replace(dataset.info, more={"split_by": "case"})), data)
    assert SAME_PERSON in compare_models(PLUGIN, "coarse", "fine", data).notes


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("coarse", "coarse@1.0", "are the same model"),
        ("coarse", "nope", 'no model "nope"'),
        ("needle-tip-ut", "coarse", "belongs to the plugin needle-tip, not to spot"),
    ],
)
def test_what_cannot_be_compared_is_one_sentence(data: Path, old: str, new: str, words: str) -> None:
    install_spot(coarse=(6.0, ()))
    with pytest.raises(UserError, match=words):
        compare_models(PLUGIN, old, new, data)


def test_another_split_than_there_is_is_refused(data: Path) -> None:
    install_spot(coarse=(6.0, ()), fine=(0.0, ()))
    with pytest.raises(UserError, match='no frame in the split "held-out"; its splits are: test, train'):
        compare_models(PLUGIN, "coarse", "fine", data, split="held-out")


def test_progress_counts_both_and_cancelling_ends_it(data: Path) -> None:
    install_spot(coarse=(6.0, ()), fine=(0.0, ()))
    told: list[tuple[int, int]] = []
    compare_models(PLUGIN, "coarse", "fine", data, tell=lambda *at: told.append(at))
    assert told[0] == (0, 20) and told[-1] == (20, 20) and told == sorted(told)
    told.clear()
    with pytest.raises(ComparisonStopped):
        compare_models(
            PLUGIN, "coarse", "fine", data, tell=lambda *at: told.append(at), cancelled=lambda: len(told) > 3
        )
    assert len(told) == 4


def test_several_are_compared_with_one_that_computes_once(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_spot(coarse=(6.0, ()), fine=(0.0, ()), rough=(9.0, ()), torn=(1.0, ()))
    torn = next(c for c in all_models().cards if c.id == "torn")
    (torn.folder / torn.file).write_bytes(b"torn")
    alone = [compare_models(PLUGIN, old, "fine", data) for old in ("coarse", "rough")]
    ran: list[str] = []
    told: list[tuple[int, int]] = []
    made: list[Comparison] = []

    def run(plugin: str, labelled: object, *, model: str, **how: object) -> object:
        ran.append(model)
        return run_plugin(plugin, labelled, model=model, **how)

    monkeypatch.setattr(model_comparison, "run_plugin", run)
    found = compare_with_each(
        PLUGIN, ["coarse", "torn", "rough"], "fine", data, tell=lambda *at: told.append(at), made=made.append
    )
    assert ran == ["fine 1.0", "coarse 1.0", "torn 1.0", "rough 1.0"]
    assert [found[0], found[2]] == alone == made
    assert isinstance(found[1], UserError) and "does not match its recorded hash" in str(found[1])
    assert told[0] == (0, 40) and told[-1] == (40, 40) and told == sorted(told)


@pytest.mark.parametrize(
    ("low", "high", "better", "verdict"),
    [(0.1, 0.2, 1, "better"), (0.1, 0.2, -1, "worse"), (-0.2, -0.1, -1, "better"), (-0.2, -0.1, 1, "worse"),
     (-0.1, 0.1, 1, "no clear difference"), (0.0, 0.1, 1, "no clear difference"),
     (None, None, 1, "no clear difference")],
)
def test_the_verdict_follows_the_interval(low: float | None, high: float | None, better: int, verdict: str) -> None:
    assert verdict_of(Estimate(0.1, low, high, 10), better) == verdict
