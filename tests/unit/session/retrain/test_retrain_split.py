"""People keep their role in a plan as long as each role is filled, and frames that are not judged are counted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from teaching_labels import TIP, data, labelled_store

from puncta.annotation.commands import Board, not_visible
from puncta.formats.dataset import NEEDLE_CATEGORY, TIP_CATEGORY, Visibility, load_dataset, save_dataset
from puncta.pipeline.discover import discover
from puncta.session.evaluate_tips import Labels
from puncta.session.retrain import datasets_at_hand, make_dataset, open_training_data, plan_split, split_of_dataset
from puncta.training.data import load_clips
from puncta.training.dataset_reading import build_labelled_clips

SIX = data(*((name, 20) for name in "abcdef"))


def roles_of(plan) -> dict[str, dict[str, str]]:
    return {plan.by: plan.roles}


def without(made, *names: str):
    return replace(made, cases=tuple(c for c in made.cases if c.subject not in names))


@given(left_out=st.sets(st.sampled_from("abcdef"), max_size=3), seed=st.integers(0, 20))
def test_whoever_stays_keeps_the_role_unless_nobody_would_be_left_on_a_side(left_out: set[str], seed: int) -> None:
    whole = plan_split(SIX, seed=seed)
    plan = plan_split(without(SIX, *left_out), seed=seed, roles=roles_of(whole))
    assert plan.by == "subject" and all(plan.names.values())
    emptied = sum(set(names) <= left_out for names in whole.names.values())
    moved = [name for name, side in plan.roles.items() if whole.roles[name] != side]
    assert len(moved) == emptied
    there, others = set(whole.held_out) - left_out, {*whole.train, *whole.tune} - left_out
    if there and len(others) > 1:
        assert set(plan.held_out) == there, "whoever is held out is not to teach while others can"


def test_a_person_who_comes_later_takes_nobodys_place() -> None:
    first = plan_split(without(SIX, "d", "e", "f"))
    later = plan_split(SIX, roles=roles_of(first))
    assert {name: later.roles[name] for name in "abc"} == first.roles
    assert all(later.names.values()) and later.frames["test"] >= 20


def test_what_a_dataset_states_of_some_people_stays_where_it_says_nothing_of_others() -> None:
    some = data(*((name, 20) for name in "abcdef"), split=("test", "train", None, None, None, "tune"))
    for seed in range(4):
        plan = plan_split(some, seed=seed)
        assert (plan.roles["a"], plan.roles["b"], plan.roles["f"], plan.stated) == ("test", "train", "tune", False)
    alone = data(*((name, 20) for name in "abc"), split=("train",) * 3)
    assert all(plan_split(alone).names.values()), "one side alone is no split"


def test_frames_whose_tip_cannot_be_seen_are_counted_as_the_evaluation_leaves_them_out(tmp_path: Path) -> None:
    with labelled_store(tmp_path, frames=19) as store:
        by_title = sorted(store.cases(), key=lambda case: case.title)
        for case, why in zip(by_title, (Visibility.OUT_OF_PLANE, Visibility.SHADOWED)):
            labels = store.labels(case.id)
            command = not_visible(Board(case.id, "anna", labels), TIP_CATEGORY, labels[0].key, why)
            assert command is not None
            store.apply(command)
        found = datasets_at_hand(store, tmp_path / "none")[0]
        assert sum(c.hidden.get(TIP, 0) for c in found.cases) == 2 and found.frames_labelled == 9
        plan = plan_split(found)
        made = make_dataset(store, found, plan, tmp_path / "set")
    again = split_of_dataset(made.folder, TIP)
    assert (again.frames, again.hidden, again.roles) == (plan.frames, plan.hidden, plan.roles)
    assert sum(again.hidden.values()) == 2
    dataset = load_dataset(made.folder)
    manifest = discover().get(TIP).manifest
    labels = Labels(dataset, manifest)
    for side in ("train", "tune", "test"):
        judged = sum(labels.of(i, None) is not None for i in dataset.images if i.split == side)
        assert judged == again.frames[side] - again.hidden.get(side, 0)
    assert open_training_data(made.folder).frames_labelled == 9


def test_of_what_teaches_every_hidden_tip_is_counted_also_where_the_shaft_is_to_be_seen(tmp_path: Path) -> None:
    with labelled_store(tmp_path, frames=19) as store:
        found = datasets_at_hand(store, tmp_path / "none")[0]
        folder = make_dataset(store, found, plan_split(found), tmp_path / "set").folder
    dataset = load_dataset(folder)
    tip, shaft = dataset.category(TIP_CATEGORY), dataset.category(NEEDLE_CATEGORY)
    notes = [replace(a, visibility=Visibility.SHADOWED) for a in dataset.annotations if a.category_id == tip.id]
    shafts = [replace(a, id=a.id + 1000, category_id=shaft.id, visibility=Visibility.CLEAR) for a in notes]
    images = tuple(
        replace(i, labelled=(TIP_CATEGORY, NEEDLE_CATEGORY)) if TIP_CATEGORY in i.labelled else i
        for i in dataset.images
    )
    save_dataset(replace(dataset, images=images, annotations=(*notes, *shafts)), folder)
    plan = split_of_dataset(folder, TIP)
    clips = load_clips(build_labelled_clips(folder, "train", tmp_path / "cache", lambda *_: None))
    teaching = int(sum((clip.judged >= 0).sum() for clip in clips))
    assert plan.hidden["train"] > 0 and teaching == plan.frames["train"] - plan.hidden["train"]
    labels = Labels(load_dataset(folder), discover().get(TIP).manifest)
    judged = sum(labels.of(i, None) is not None for i in images if i.split == "test")
    assert judged == plan.frames["test"] - plan.hidden.get("test", 0)
