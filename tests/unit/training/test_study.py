"""Studies: what their files may say, what their figures mean, what their claims come to."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="training needs PyTorch; install the train extra")

import shutil  # noqa: E402
from dataclasses import replace  # noqa: E402
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402

from puncta.core.errors import UserError  # noqa: E402
from puncta.metrics.intervals import estimate, percentile_of  # noqa: E402
from puncta.training.family import Answers, Truth, twelve_rows  # noqa: E402
from puncta.training.study import Claim, find_study, pick_runs, read_study, shipped_studies  # noqa: E402
from puncta.training.study_figures import (  # noqa: E402
    Drawn,
    best_threshold,
    boxes_of,
    draw_figures,
    overlaps,
    quiet_threshold,
    statistics,
)
from puncta.training.study_table import check_claim, sizes_of  # noqa: E402


def shipped() -> Path:
    return shipped_studies()["ultratiny"]


def test_the_shipped_study_holds_the_posters_twelve_rows_first() -> None:
    study = read_study(shipped())
    assert tuple(run.row for run in study.runs[:12]) == tuple(replace(row, plain_looks=0.5) for row in twelve_rows())
    assert study.row_names[12:] == ("stream", "shipped", "shipped-noshift", "brightest", "difference", "history")
    assert "vessel" not in study.data["procedures"]
    assert {run.settings.samples for run in study.runs} == {96_000}
    assert {run.row.plain_looks for run in study.runs} == {0.5}
    assert {claim.id for claim in study.claims} == {"U2", "U3", "ours", "untrained"}


def test_a_study_is_known_by_its_content_its_folder_or_its_name(tmp_path: Path) -> None:
    assert find_study("ultratiny") == shipped()
    assert find_study(str(shipped().parent)) == shipped()
    copy = tmp_path / "mine.toml"
    shutil.copy(shipped(), copy)
    assert find_study(str(copy)) == copy
    assert find_study(str(shipped().parent / "ut2d.toml")) is None
    assert find_study("tip_first") is None


@pytest.mark.parametrize(
    ("file", "old", "new", "words"),
    [("study.toml", 'runs = [', 'runs = [\n    "ut9d.toml",', "ut9d.toml cannot be read"),
     ("study.toml", '"ut2d.toml",', '"ut2d.toml",\n    "copy.toml",', "names a run twice"),
     ("study.toml", '["A", "B", "C"]', '["A", "D"]', "machine D, which is kept for testing"),
     ("study.toml", 'better = ["shipped"]', 'better = ["shiped"]', 'names "shiped"'),
     ("study.toml", 'figure = "angle_error_deg"', 'figure = "angle"', 'names "angle"'),
     ("study.toml", "resamples = 2000", "resamples = 0", "resamples: 0 is less than 1"),
     ("ut3d.toml", "samples = 96000", "samples = 64000", "ut2d and ut3d of the study study.toml differ in budget"),
     ("ut3d.toml", "plain_looks = 0.5", "plain_looks = 0.4", "of the study study.toml differ in budget"),
     ("ut3d.toml", "size = 192", "size = 200", "a multiple of 32"),
     ("ut3d.toml", 'source = "study"', 'source = "sim"', 'source = "study"'),
     ("ut3d.toml", 'kind = "3d"', 'kind = "4d"', 'of kind "4d"')],
)
def test_a_study_that_does_not_fit_ends_in_one_sentence(
    file: str, old: str, new: str, words: str, tmp_path: Path
) -> None:
    folder = tmp_path / "study"
    shutil.copytree(shipped().parent, folder)
    shutil.copy(folder / "ut2d.toml", folder / "copy.toml")
    text = (folder / file).read_text(encoding="utf-8")
    assert old in text
    (folder / file).write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(UserError) as error:
        read_study(folder / "study.toml")
    assert words in str(error.value)
    assert str(error.value).count("\n") == 0


def test_rows_are_picked_by_name() -> None:
    study = read_study(shipped())
    assert pick_runs(study, None) == study.row_names
    assert pick_runs(study, ["history", "ut2d"]) == ("ut2d", "history")
    with pytest.raises(UserError, match='no row "ut4d"'):
        pick_runs(study, ["ut4d"])


@pytest.mark.parametrize("name", ["ut2d", "stream", "shipped"])
def test_sizes_of_rows(name: str) -> None:
    row = next(run.row for run in read_study(shipped()).runs if run.row.name == name)
    sizes = sizes_of(row)
    assert 3e5 < sizes["parameters"] < 7e5
    assert 0.1 < sizes["gflops"] < 3


def a_truth(clips: int = 3) -> Truth:
    """Two frames a clip: a needle from (0, 20) to (80, 60) at half a millimetre a pixel; the last clip has none."""
    clip = np.repeat(np.arange(clips), 2)
    tip, entry = np.tile([80.0, 60.0], (len(clip), 1)), np.tile([0.0, 20.0], (len(clip), 1))
    tip[clip == clips - 1] = entry[clip == clips - 1] = np.nan
    return Truth(clips, 128, clip, np.tile([0, 1], clips), tip, entry, np.full((len(clip), 2), 0.5))


def answers_off(scores: list[float], off_px: list[float]) -> Answers:
    tip = np.tile([80.0, 60.0], (len(scores), 1))
    tip[:, 0] += off_px
    return Answers(np.array(scores), tip, np.tile([0.0, 20.0], (len(scores), 1)))


def test_figures_of_known_answers() -> None:
    truth = a_truth()
    answers = answers_off([0.9, 0.8, 0.7, 0.2, 0.6, 0.1], [0, 2, 5, 0, 0, 0])
    found = {name: float(s.values(np.ones((1, 3)))[0]) for name, s in statistics(truth, answers, 0.5).items()}
    assert found["tip_within_2mm"] == pytest.approx(2 / 4)  # one is 2.5 mm off, one below the threshold
    assert found["tip_within_3mm"] == pytest.approx(3 / 4)
    assert found["tip_within_2mm_always"] == pytest.approx(3 / 4)
    assert found["tip_error_mm"] == pytest.approx(1.0)
    assert found["tip_error_mm_95"] == pytest.approx(2.5)
    assert found["tip_error_percent"] == pytest.approx(100 * 2 / 128)
    assert found["miss_rate"] == pytest.approx(1 / 4)
    assert found["false_alarm_rate"] == pytest.approx(1 / 2)
    # Hits at ranks 1, 2, 3 and 5 of 4 needles, a false one at rank 4: 76 of 101 recalls at 1, 25 at 4/5.
    assert found["needle_ap50"] == pytest.approx((76 + 25 * 0.8) / 101)
    # Three hits of four told against four needles.
    assert found["needle_f1"] == pytest.approx(2 * 3 / (4 + 4))
    turned = np.degrees(np.arctan2(40, 82) - np.arctan2(40, 80))
    assert found["angle_error_deg"] == pytest.approx(abs(turned), abs=1e-6)
    assert best_threshold(truth, answers) == 0.2


def test_rows_are_compared_where_they_are_equally_quiet() -> None:
    count = 100
    tips = np.full((2 * count, 2), np.nan)
    tips[count:] = 50.0
    truth = Truth(4, 128, np.arange(2 * count) % 4, np.arange(2 * count), tips, tips + 20, np.full((2 * count, 2), 0.1))
    # Empty frames are scored 0.00 to 0.99, those with a needle 0.505 to 1.495.
    scores = np.concatenate([np.arange(count) / 100, np.arange(count) / 100 + 0.505])
    answers = Answers(scores, np.nan_to_num(tips, nan=10.0), np.nan_to_num(tips + 20, nan=30.0))
    at = quiet_threshold(truth, answers)
    assert (answers.score[:count] >= at).mean() == pytest.approx(0.02)
    found = {k: s.values(np.ones((1, 4)))[0] for k, s in statistics(truth, answers, 0.0, at).items()}
    assert found["quiet_false_alarm_rate"] == pytest.approx(0.02)
    assert found["quiet_miss_rate"] == pytest.approx(0.47)
    assert found["quiet_within_2mm"] == pytest.approx(0.53)
    assert found["false_alarm_rate"] == 1.0
    # A score that many empty frames share is not let through because some of them may pass.
    level = Answers(np.full(2 * count, 0.7), answers.tip_px, answers.entry_px)
    assert (level.score >= quiet_threshold(truth, level)).mean() == 0.0


def test_a_row_without_an_axis_has_tip_figures_only() -> None:
    answers = answers_off([0.9] * 6, [0.0] * 6)
    answers.entry_px[:] = np.nan
    found = statistics(a_truth(), answers, 0.0)
    assert "tip_within_2mm" in found
    assert not {"needle_ap50", "needle_f1", "angle_error_deg"} & set(found)


def test_boxes_are_padded_and_cut_at_the_border() -> None:
    box = boxes_of(np.array([[80.0, 60.0]]), np.array([[0.0, 20.0]]), 128)
    assert box[0].tolist() == [-0.5, 18.0, 82.0, 62.0]
    assert overlaps(box, box)[0] == 1.0
    assert overlaps(box, np.full((1, 4), np.nan))[0] == 0.0
    half = box.copy()
    half[0, 2] = (box[0, 0] + box[0, 2]) / 2
    assert overlaps(box, half)[0] == pytest.approx(0.5)


def test_quantile_agrees_with_its_definition() -> None:
    values = np.arange(1.0, 21.0)
    quantile = percentile_of(values, np.zeros(20, np.intp), 0.95)
    assert quantile.values(np.array([[1.0], [3.0]])).tolist() == [19.0, 19.0]
    assert np.isnan(quantile.values(np.array([[0.0]]))[0])


def test_draws_agree_with_the_estimate_of_the_evaluation() -> None:
    rng = np.random.default_rng(0)
    truth = a_truth(40)
    answers = answers_off(list(rng.random(80)), list(rng.normal(0, 4, 80)))
    drawn = draw_figures(truth, answers, 0.3, seed=7, resamples=300)
    from puncta.metrics.intervals import draw_resamples

    for name, statistic in statistics(truth, answers, 0.3).items():
        assert drawn[name].estimate() == estimate(statistic, draw_resamples(40, 300, 7)), name


def figure(value: float, spread: float) -> Drawn:
    return Drawn(value, value + spread * np.linspace(-1, 1, 201), 100)


@pytest.mark.parametrize(
    ("a", "b", "spread", "at_least", "at_most", "word"),
    [(0.60, 0.50, 0.02, 5.0, None, "strong"), (0.60, 0.58, 0.0237, 1.0, None, "holds"),
     (0.60, 0.58, 0.02, 5.0, None, "fails"), (0.60, 0.55, 0.10, 1.0, None, "fails"),
     (0.60, 0.62, 0.05, -5.0, 5.0, "holds"), (0.60, 0.50, 0.01, -5.0, 5.0, "fails")],
)
def test_words_of_claims(
    a: float, b: float, spread: float, at_least: float, at_most: float | None, word: str
) -> None:
    figures = {"a": {"hard": {"needle_ap50": figure(a, spread)}}, "b": {"hard": {"needle_ap50": figure(b, 0.0)}}}
    claim = Claim("x", "a beats b", "hard", "needle_ap50", ("a",), ("b",), at_least, at_most)
    checked = check_claim(claim, figures)
    assert checked.found is not None
    assert checked.found.value == pytest.approx(100 * (a - b))
    assert checked.word == word


def test_less_error_is_a_gain_and_the_best_rival_is_named() -> None:
    figures = {name: {"hard": {"tip_error_mm": figure(value, 0.1)}} for name, value in
               (("ours", 1.0), ("b", 3.0), ("c", 2.0))}
    claim = Claim("x", "ours beats the best", "hard", "tip_error_mm", ("ours",), ("b", "c"), 0.0, best=True)
    checked = check_claim(claim, figures)
    assert checked.rival == "c"
    assert checked.found is not None
    assert checked.found.value == pytest.approx(1.0)
    assert checked.word == "strong"
    assert check_claim(Claim("x", "", "easy", "tip_error_mm", ("ours",), ("b",), 0.0), figures).word == "not measured"


def test_a_gain_beyond_another_set() -> None:
    figures = {
        "a": {"hard": {"needle_ap50": figure(0.7, 0.0)}, "easy": {"needle_ap50": figure(0.9, 0.0)}},
        "b": {"hard": {"needle_ap50": figure(0.5, 0.0)}, "easy": {"needle_ap50": figure(0.85, 0.0)}},
    }
    claim = Claim("x", "", "hard", "needle_ap50", ("a",), ("b",), 0.0, beyond="easy")
    found = check_claim(claim, figures).found
    assert found is not None
    assert found.value == pytest.approx(15.0)
