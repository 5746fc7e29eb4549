"""What there is to learn from, and a split by subject that holds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from teaching_labels import TIP, data, labelled_store

from puncta.cli.main import main
from puncta.core.errors import UserError
from puncta.formats.dataset import Review, load_dataset
from puncta.formats.dataset_checks import check_references
from puncta.session.retrain import datasets_at_hand, make_dataset, open_training_data, plan_split
from puncta.session.retrain_data import check_split
from puncta.session.retrain_export import frames_between

subjects = st.one_of(st.none(), st.sampled_from("abcdefgh"))
some_cases = st.lists(st.tuples(subjects, st.integers(1, 60)), min_size=1, max_size=14)


@given(cases=some_cases, seed=st.integers(0, 50))
def test_no_subject_is_ever_on_two_sides(cases: list[tuple[str | None, int]], seed: int) -> None:
    made = data(*cases)
    plan = plan_split(made, seed=seed)
    assert set(plan.side) == {c.id for c in made.cases} and sum(plan.frames.values()) == sum(n for _, n in cases)
    assert plan.frames["train"] > 0 and plan == plan_split(made, seed=seed)
    if plan.by == "subject":
        sides: dict[str | None, set[str]] = {}
        for case in made.cases:
            sides.setdefault(case.subject, set()).add(plan.side[case.id])
        assert all(len(where) == 1 for where in sides.values())
        assert plan.honest and plan.train and plan.tune and plan.held_out
    else:
        assert not plan.honest and plan.warning and len({s for s, _ in cases}) < 3


def test_too_few_subjects_are_told_plainly() -> None:
    two = plan_split(data(("a", 20), ("a", 20), ("b", 20), ("b", 20)))
    assert two.by == "case" and two.held_out and "weaker than it looks" in two.warning
    one = plan_split(data(("a", 20), ("a", 30)))
    assert not one.held_out and one.frames == {"train": 50, "tune": 0, "test": 0}
    assert "no honest comparison" in one.warning and one.warning.startswith("There is only 1 subject and 2 cases")
    with pytest.raises(UserError, match="no confirmed label"):
        plan_split(data(("a", 20)), "infant-lp")


def test_cases_without_a_subject_stay_together() -> None:
    plan = plan_split(data((None, 20), (None, 20), ("a", 20), ("b", 20)))
    assert plan.side["c0"] == plan.side["c1"] and plan.by == "subject" and "same person" in plan.warning


def test_a_split_that_is_stated_stays_unless_it_tears_a_subject() -> None:
    whole = data(("a", 9), ("b", 9), ("c", 9), split=("test", "train", "tune"))
    assert plan_split(whole).side == {"c0": "test", "c1": "train", "c2": "tune"}
    torn = data(("a", 9), ("a", 9), ("b", 9), ("c", 9), split=("test", "train", "tune", "train"))
    again = plan_split(torn)
    assert again.side["c0"] == again.side["c1"]


def test_labels_made_here_become_a_dataset_with_its_split_and_the_frames_in_between(tmp_path: Path) -> None:
    with labelled_store(tmp_path) as store:
        found = datasets_at_hand(store, tmp_path / "none")
        assert [(d.id, d.plugins, d.frames_labelled) for d in found] == [("store:needle-tip", (TIP,), 9)]
        plan = plan_split(found[0])
        assert {len(s) for s in (plan.train, plan.tune, plan.held_out)} == {1}
        told: list[str] = []
        made = make_dataset(store, found[0], plan, tmp_path / "sets" / "here", tell=lambda *t: told.append(t[0]))
    dataset = load_dataset(made.folder)
    assert check_references(dataset) == [] and (made.frames, made.between) == (9, 3 * 16)
    check_split(dataset)
    for video in dataset.videos:
        mine = [i for i in dataset.images if i.video_id == video.id]
        assert [i.frame_index for i in mine] == list(range(19))
        labelled = [i.frame_index for i in mine if i.labelled]
        assert labelled == [6, 12, 18]
        assert all(i.review is Review.UNSEEN and not i.labelled for i in mine if i.frame_index not in labelled)
        assert {i.split for i in mine} == {video.split}
    assert {"labelled frames", "frames in between"} <= set(told)
    again = open_training_data(made.folder)
    assert again.frames_labelled == 9 and plan_split(again).side == {
        str(v.id): v.split for v in dataset.videos
    }


def test_the_command_makes_it_and_says_its_split(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labelled_store(tmp_path, frames=13).close()
    where = ["dataset", "labelled", "--store", str(tmp_path / "labels.sqlite")]
    assert main([*where, "--out", str(tmp_path / "here")]) == 0
    said = capsys.readouterr().out
    assert "train 1 subject, 2 frames; tune 1 subject, 2 frames; held out 1 subject, 2 frames" in said
    assert {v.split for v in load_dataset(tmp_path / "here").videos} == {"train", "tune", "test"}
    assert "stated already" not in said
    again = ["dataset", "labelled", "--from", str(tmp_path / "here"), "--out", str(tmp_path / "again"), "--seed", "3"]
    assert main(again) == 0
    kept = "The split was stated already and stays: whoever is held out stays held out. --seed 3 changes nothing."
    assert kept in capsys.readouterr().out
    first, second = ({v.subject: v.split for v in load_dataset(tmp_path / n).videos} for n in ("here", "again"))
    assert first == second
    assert main([*where, "--label-set", "infant-lp", "--out", str(tmp_path / "none")]) == 2
    assert 'No confirmed label is of the set "infant-lp"; there are labels of: needle-tip.' in capsys.readouterr().err


def test_stopped_it_leaves_nothing(tmp_path: Path) -> None:
    with labelled_store(tmp_path, frames=13) as store:
        found = datasets_at_hand(store, tmp_path / "none")[0]
        looks = iter([False, False, True])
        with pytest.raises(UserError, match="no dataset was made"):
            make_dataset(store, found, plan_split(found), tmp_path / "here", cancelled=lambda: next(looks, True))
    assert not (tmp_path / "here").exists() and not list(tmp_path.glob(".*making*"))


def test_another_split_of_a_dataset_links_its_pictures(tmp_path: Path) -> None:
    with labelled_store(tmp_path, frames=13) as store:
        found = datasets_at_hand(store, tmp_path / "none")[0]
        first = make_dataset(store, found, plan_split(found), tmp_path / "sets" / "one")
    one = datasets_at_hand(None, tmp_path / "sets")[0]
    bare = replace(one, cases=tuple(replace(c, split=None) for c in one.cases))
    plan = plan_split(bare, seed=5)
    made = make_dataset(None, bare, plan, tmp_path / "sets" / "two")
    dataset = load_dataset(made.folder)
    assert {str(v.id): v.split for v in dataset.videos} == dict(plan.side)
    name = dataset.images[0].file_name
    assert (made.folder / name).read_bytes() == (first.folder / name).read_bytes()
    with pytest.raises(UserError, match="is there already"):
        make_dataset(None, bare, plan, made.folder)


def test_a_subject_on_two_sides_is_refused(tmp_path: Path) -> None:
    with labelled_store(tmp_path, frames=13) as store:
        found = datasets_at_hand(store, tmp_path / "none")[0]
        made = make_dataset(store, found, plan_split(found), tmp_path / "one")
    dataset = load_dataset(made.folder)
    torn = replace(dataset, images=tuple(replace(i, subject="s0") for i in dataset.images))
    with pytest.raises(UserError, match="the subject s0 is in the splits"):
        check_split(torn)


@given(st.sets(st.integers(0, 60), min_size=1, max_size=12), st.integers(1, 16))
def test_frames_in_between_lie_before_labels_and_are_none(labelled: set[int], history: int) -> None:
    between = frames_between(dict.fromkeys(labelled), history)
    assert between == sorted(set(between)) and not set(between) & labelled and min(between, default=0) >= 0
    for index in labelled:
        assert all(i in labelled or i in between for i in range(max(0, index - history), index))
    assert all(any(0 < np.int64(i) - b <= history for i in labelled) for b in between)


def test_a_mistyped_store_is_refused_and_not_begun(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["dataset", "labelled", "--out", str(tmp_path / "made")]
    place = str(tmp_path / "deep" / "typo.sqlite")
    assert main([*words, "--store", place]) == 2
    monkeypatch.setenv("PUNCTA_STORE", place)
    assert main(words) == 2
    told = capsys.readouterr()
    assert told.err.count("There is no store of labels at") == 2 == told.err.count("\n") and told.out == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "which is not there"), (b"", "is not a readable"), (b"no picture", "is not a readable"),
     (b"\x89PNG\r\n\x1a\n" + b"." * 40, "is not a readable")],
)  # fmt: skip
def test_a_picture_that_is_missing_or_cannot_be_read_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, words: str
) -> None:
    with labelled_store(tmp_path, frames=8) as store:
        found = datasets_at_hand(store, tmp_path / "none")[0]
        made = make_dataset(store, found, plan_split(found), tmp_path / "one")
    name = load_dataset(made.folder).images[3].file_name
    (made.folder / name).unlink()
    if content is not None:
        (made.folder / name).write_bytes(content)
    assert main(["dataset", "labelled", "--from", str(made.folder), "--out", str(tmp_path / "two")]) == 2
    told = capsys.readouterr().err
    assert name in told and words in told and "Cannot make" not in told, told
    assert not list(tmp_path.glob("*two*"))
