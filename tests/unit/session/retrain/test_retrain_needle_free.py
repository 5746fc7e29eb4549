"""Recordings without a needle, to pre-train on: what is taken of them, what is left out and said, what is refused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from puncta.annotation.cases import case_of_source
from puncta.annotation.commands import Board, propose
from puncta.annotation.labels import Label, NotVisible, State, TipLabel, by_person
from puncta.annotation.store import AnnotationStore
from puncta.core.errors import UserError
from puncta.core.frame import Frame, FrameKey
from puncta.formats.dataset import TIP_CATEGORY, Review, load_dataset
from puncta.formats.dataset_checks import check_references
from puncta.inference.registry import Registry
from puncta.session import retrain_needle_free, retrain_plans
from puncta.session.evaluate import open_labelled_data
from puncta.session.model_comparison import _notes
from puncta.session.retrain import (
    Recording,
    RetrainPlan,
    data_of_recordings,
    datasets_at_hand,
    make_dataset,
    open_training_data,
    plan_split,
    recording_of_file,
    recordings_of_folder,
    recordings_of_store,
)
from puncta.session.retrain_needle_free import ModelLook
from puncta.session.retrain_recordings import RUN_FRAMES, near_needles, runs_to_take, within_budget
from puncta.sources.factory import open_source

TIP = "needle-tip"


def nothing(run: Sequence[Frame]) -> list[bool]:
    """A model that never sees a tip."""
    return [False] * len(run)


def uri(seed: int, frames: int = 24) -> str:
    return f"sim:breast?seed={seed}&machine=F&frames={frames}&size=160x128&needle=no"


def simulated(seed: int, subject: str | None, frames: int = 24) -> Recording:
    return replace(recording_of_file(uri(seed, frames), subject, "F"), title=f"clip {seed}")


def pictured(home: Path, number: int, subject: str | None, frames: int = 48) -> Recording:
    """A recording that is a folder of speckle."""
    folder = home / f"clip {number}"
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(number)
    for k in range(frames):
        cv2.imwrite(str(folder / f"{k}.png"), rng.integers(20, 200, (96, 96)).astype(np.uint8))
    return recording_of_file(folder, subject, "F")


@given(st.integers(1, 600), st.floats(0, 120), st.sets(st.integers(0, 600), max_size=40), st.integers(1, 5))
def test_runs_follow_one_another_and_take_nothing_closed(
    count: int, fps: float, closed: set[int], most: int
) -> None:
    runs = runs_to_take(count, fps, closed, most)
    step = max(1, round(fps / 30)) if fps else 1
    taken = [index for run in runs for index in run]
    assert len(runs) <= most and len(set(taken)) == len(taken) and taken == sorted(taken)
    assert all(0 <= index < count for index in taken)
    for run in runs:
        assert all(b - a == step for a, b in zip(run, run[1:], strict=False)) and len(run) <= RUN_FRAMES
        assert not closed & set(range(run[0], run[-1] + 1))  # no motion across what is left out
        assert len(run) >= 4 or count == 1


def test_every_n_th_frame_of_a_fast_recording_and_runs_all_over_a_long_one() -> None:
    assert runs_to_take(1) == ((0,),) and runs_to_take(1, closed=[0]) == () and runs_to_take(3) == ()
    assert runs_to_take(10) == (tuple(range(10)),)
    assert runs_to_take(100, 60.0)[0][:3] == (0, 2, 4)
    long = runs_to_take(1000, 20.0)
    assert len(long) == 4 and long[0][0] == 0 and long[-1][0] > 900
    many = [Recording(str(k), str(k), "", None, None, False, 20.0, long) for k in range(80)]
    assert {len(r.runs) for r in within_budget(many)} == {2} and within_budget(many[:3]) == tuple(many[:3])


def label(index: int, value: object, state: State = State.CONFIRMED) -> Label:
    return replace(Label(TIP_CATEGORY, FrameKey("s", index, index), "anna", value, by_person("anna")), state=state)


def test_frames_near_and_between_confirmed_needles_are_closed_and_others_are_not() -> None:
    assert near_needles([label(5, NotVisible()), label(9, TipLabel((1.0, 2.0)), State.PROPOSED)]) == ()
    shut = near_needles([label(100, TipLabel((1.0, 2.0))), label(300, TipLabel((1.0, 2.0)))])
    assert set(range(100, 301)) < set(shut) and shut[0] == 40 and shut[-1] == 360


def test_the_library_offers_what_shows_no_confirmed_needle(tmp_path: Path) -> None:
    with AnnotationStore.open(tmp_path / "labels.sqlite") as store:
        for k, subject in enumerate(("s0", "s1", None)):
            address = uri(400 + k, 60)
            source = open_source(address)
            case = replace(case_of_source(source.info, TIP, subject=subject, machine="F"), uri=address, title=f"c{k}")
            case = store.add_case(replace(case, simulated=True))
            if k == 1:
                key = FrameKey(case.stream, 30, 0)
                made = Label(TIP_CATEGORY, key, "anna", TipLabel((40.0, 40.0)), by_person("anna"))
                command = propose(Board(case.id, "anna", ()), [made], state=State.CONFIRMED)
                assert command is not None
                store.apply(command)
            source.close()
        found = data_of_recordings([*recordings_of_store(store), simulated(500, "s9")])
        assert found.needle_free and found.plugins == (TIP,)
        assert [c.title for c in found.cases] == ["c0", "c2", "clip 500"]
        assert found.counts == "120 frames of 3 recordings of 2 subjects"
        assert [d.needle_free for d in datasets_at_hand(store, tmp_path / "none")] == [False]


def test_the_dataset_holds_cropped_frames_their_scale_a_split_by_subject_and_drawn_needles_to_judge_by(
    tmp_path: Path,
) -> None:
    data = data_of_recordings([simulated(500 + k, f"s{k}") for k in range(3)])
    plan = plan_split(data)
    assert plan.by == "subject" and plan.honest
    told: list[str] = []
    made = make_dataset(None, data, plan, tmp_path / "sets" / "ward", tell=lambda *t: told.append(t[0]), look=nothing)
    dataset = load_dataset(made.folder)
    assert check_references(dataset) == [] and made.frames == 3 * 24 and made.left_out == ()
    drawn = {v.id for v in dataset.videos if v.more.get("drawn_needle")}
    assert drawn and {v.split for v in dataset.videos if v.id in drawn} == {"test"}
    known = {}
    for video in dataset.videos:
        if video.id not in drawn:
            source = open_source(uri(int(video.name.split()[1])))
            known[video.id] = source.info.geometry.region
            source.close()
            assert video.mm_per_px == pytest.approx(known[video.id].calibration.mm_per_px)
    sides: dict[str, set[str]] = {}
    for image in dataset.images:
        assert image.review is Review.BULK and TIP_CATEGORY in image.labelled
        sides.setdefault(str(image.subject), set()).add(str(image.split))
        if image.video_id not in drawn:
            picture = cv2.imread(str(made.folder / image.file_name), cv2.IMREAD_GRAYSCALE)
            x, y, w, h = known[image.video_id].box
            assert picture.shape == (h, w) == (image.height, image.width) and x + y > 0
    assert all(len(where) == 1 for where in sides.values())
    noted = {a.image_id for a in dataset.annotations}
    assert noted and noted <= {i.id for i in dataset.images if i.video_id in drawn}
    assert all(v.mm_per_px is None for v in dataset.videos if v.id in drawn)
    again = open_training_data(made.folder)
    assert again.needle_free and again.counts == "72 frames of 3 recordings of 3 subjects"
    assert plan_split(again).frames == plan.frames
    (there,) = datasets_at_hand(None, tmp_path / "sets")
    assert there == again
    assert {"needle-free frames", "needles drawn to judge by"} <= set(told)
    labelled = open_labelled_data(made.folder, "test")
    assert len(labelled.clips) == len(drawn) + len([c for c in plan.side.values() if c == "test"])


def test_what_shows_a_needle_to_the_present_model_is_left_out_counted_and_named(tmp_path: Path) -> None:
    def look(run: Sequence[Frame]) -> list[bool]:
        bad, once = run[0].key.stream == "clip 501", run[0].key.stream == "clip 502"
        return [bad or (once and frame.key.index == 12) for frame in run]

    data = data_of_recordings([pictured(tmp_path / "in", 500 + k, f"s{k}") for k in range(4)])
    made = make_dataset(None, data, plan_split(data), tmp_path / "ward", look=look)
    whole, few, emptied = made.left_out
    assert whole.startswith("clip 501 (s1) is left out: on 48 of 48 frames the present model is sure of a needle's tip")
    assert few == (
        "1 frame at which the present model is sure of a needle's tip, and 6 beside them, are left out: "
        "clip 502 (s2) 7 / 48."
    )
    assert emptied.startswith("Nothing is left of the recordings that ")  # "clip 501" was alone on its side
    dataset = load_dataset(made.folder)
    mine = next(v for v in dataset.videos if v.name == "clip 502")
    there = sorted(i.frame_index for i in dataset.images if i.video_id == mine.id)
    assert made.frames == 48 * 3 - 7 and there == [i for i in range(48) if not 9 <= i <= 15]
    assert "clip 501" not in {v.name for v in dataset.videos}
    assert open_training_data(made.folder).problems == made.left_out
    with pytest.raises(UserError, match=r"Nothing is left of the recordings") as refused:
        make_dataset(None, data, plan_split(data), tmp_path / "none", look=lambda run: [True] * len(run))
    _first, *named = str(refused.value).split("\n")
    assert [words.partition(" is left out: on 48 of 48 frames")[0] for words in named] == [
        f"clip {500 + k} (s{k})" for k in range(4)
    ]
    assert not list(tmp_path.glob("*none*"))


def test_the_model_in_use_sees_a_needle_and_next_to_none_where_there_is_none() -> None:
    with ModelLook() as look:
        shares = []
        for how in ("start=inside", "needle=no"):
            source = open_source(f"sim:breast?seed=13&machine=B&frames=16&size=256x256&{how}")
            frames = [frame for _ in range(16) if (frame := source.read()) is not None]
            source.close()
            shares.append(np.mean(look(frames)))
    assert shares[0] > 0.2 and shares[1] < 0.1


def test_the_split_that_is_stated_counts_what_was_taken_and_an_emptied_side_is_said(tmp_path: Path) -> None:
    data = data_of_recordings([pictured(tmp_path / "in", 500 + k, f"s{k}") for k in range(4)])
    plan = plan_split(data)
    assert [len(plan.train), len(plan.tune), len(plan.held_out)] == [2, 1, 1]
    shut = {f"clip {500 + int(subject[1:])}" for subject in (plan.train[0], *plan.held_out)}
    half = f"clip {500 + int(plan.train[1][1:])}"

    def look(run: Sequence[Frame]) -> list[bool]:
        stream = run[0].key.stream
        return [stream in shut or (stream == half and frame.key.index == 0) for frame in run]

    made = make_dataset(None, data, plan, tmp_path / "ward", look=look)
    more = load_dataset(made.folder).info.more
    assert more["split"] == "train 1 subject, 44 frames; tune 1 subject, 48 frames; held out 0 subjects, 0 frames"
    (emptied,) = [words for words in made.left_out if words.startswith("Nothing is left")]
    assert emptied.startswith("Nothing is left of the recordings that are held out, so no honest comparison")
    assert emptied in more["left_out"]


@pytest.mark.parametrize("fails", ["create", "step"])
def test_a_model_that_cannot_look_takes_no_frame_for_needle_free(
    fails: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Torn:
        def reset(self, _why: object) -> None:
            pass

        def step(self, _frame: Frame, _upstream: object) -> None:
            raise ValueError("torn")

        def close(self) -> None:
            pass

    def create() -> Torn:
        if fails == "create":
            raise OSError("no model")
        return Torn()

    whole = retrain_needle_free.hosted_plugins
    monkeypatch.setattr(
        retrain_needle_free, "hosted_plugins", lambda ids: tuple(replace(spec, create=create) for spec in whole(ids))
    )
    data = data_of_recordings([pictured(tmp_path / "in", 500 + k, f"s{k}", 12) for k in range(3)])
    with pytest.raises(UserError, match="The present model could not look for needles, so no frame is taken"):
        make_dataset(None, data, plan_split(data), tmp_path / "ward")
    assert not list(tmp_path.glob("*ward*"))


def test_a_folder_has_a_folder_for_each_person_and_says_what_it_cannot_read(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    home = tmp_path / "ward"
    for person, cines in (("p1", 2), ("p2", 1)):
        for n in range(cines):
            cine = home / person / f"cine {n}"
            cine.mkdir(parents=True)
            for k in range(6):
                cv2.imwrite(str(cine / f"{k}.png"), rng.integers(0, 255, (96, 96)).astype(np.uint8))
    cv2.imwrite(str(home / "p2" / "still.png"), rng.integers(0, 255, (96, 96)).astype(np.uint8))
    (home / "p2" / "torn.mp4").write_bytes(b"nothing")
    (home / "notes.txt").write_text("no recording", encoding="utf-8")
    cv2.imwrite(str(home / "loose.png"), rng.integers(0, 255, (96, 96)).astype(np.uint8))
    found, wrong = recordings_of_folder(home)
    assert sorted((r.title, r.subject, r.frames) for r in found) == [
        ("cine 0", "p1", 6), ("cine 0", "p2", 6), ("cine 1", "p1", 6), ("loose", None, 1), ("still", "p2", 1),
    ]  # fmt: skip
    (said,) = wrong
    assert said.startswith("torn.mp4 (p2) is left out: ")
    assert data_of_recordings(found).counts == "20 frames of 5 recordings of 2 subjects"
    for person in ("p1", "p2"):
        (tmp_path / "empty" / person).mkdir(parents=True)
        (tmp_path / "empty" / person / "torn.mp4").write_bytes(person.encode())
    with pytest.raises(UserError, match="holds no recording") as refused:
        recordings_of_folder(tmp_path / "empty")
    assert all(f"torn.mp4 ({person}) is left out" in str(refused.value) for person in ("p1", "p2"))
    with pytest.raises(UserError, match="There is no folder"):
        recordings_of_folder(tmp_path / "gone")


def test_a_folder_that_may_not_be_read_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "ward"
    for number, person in enumerate(("p1", "p2", "p3")):
        pictured(home / person, number, None, 6)
    whole = Path.iterdir

    def listed(folder: Path) -> Iterator[Path]:
        if folder.name in shut:
            raise PermissionError(13, "Permission denied", str(folder))
        return whole(folder)

    monkeypatch.setattr(Path, "iterdir", listed)
    shut = {"p2"}
    found, wrong = recordings_of_folder(home)
    assert [r.subject for r in found] == ["p1", "p3"]
    assert wrong == ("p2 is left out: Cannot read p2: permission denied.",), "a dataset keeps it, and no path"
    shut = {"ward"}
    with pytest.raises(UserError, match="Cannot read .*: permission denied"):
        recordings_of_folder(home)


def test_a_plan_is_refused_where_it_is_of_the_wrong_kind_or_too_few(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrain_plans.importlib.util, "find_spec", lambda _name: object())
    registry = Registry.load(user=tmp_path / "models")
    data = data_of_recordings([pictured(tmp_path / "in", 500 + k, f"s{k}", 12) for k in range(4)])
    made = make_dataset(None, data, plan_split(data), tmp_path / "small", look=nothing)
    plan = RetrainPlan("one", "tip_site_pre", made.folder, "needle-tip-ut 0.5")
    with pytest.raises(UserError, match="has 24 needle-free frames and needs 120, 96 more: recordings of this machine"):
        retrain_plans.check_plan(plan, registry)
    seen = make_dataset(
        None, data, plan_split(data), tmp_path / "seen",
        look=lambda run: [run[0].key.stream in ("clip 500", "clip 502")] * len(run),
    )
    with pytest.raises(UserError, match="needle-free frames and needs 120") as refused:
        retrain_plans.check_plan(replace(plan, data=seen.folder), registry)
    assert tuple(str(refused.value).split("\n")[1:]) == seen.left_out and len(seen.left_out) >= 2
    with pytest.raises(UserError, match="made of recordings without a needle and holds no labels"):
        retrain_plans.check_plan(replace(plan, recipe="tip_site"), registry)
    dataset = load_dataset(made.folder)
    (made.folder / "dataset.json").unlink()
    from puncta.formats.dataset import save_dataset

    save_dataset(replace(dataset, info=replace(dataset.info, more={})), made.folder)
    with pytest.raises(UserError, match="is not made of recordings that somebody states to show no needle"):
        retrain_plans.check_plan(plan, registry)


def test_too_few_persons_are_told_in_terms_of_recordings(tmp_path: Path) -> None:
    some = [pictured(tmp_path, k, subject, 8) for k, subject in enumerate(("a", "a", "b", None))]
    assert plan_split(data_of_recordings(some)).honest  # recordings of nobody in particular stand for one person
    two = plan_split(data_of_recordings(some[:3]))
    assert two.by == "case" and "Add recordings of a third subject" in two.warning and "Label" not in two.warning
    one = plan_split(data_of_recordings(some[:1]))
    assert not one.held_out and "Add recordings of three subjects" in one.warning


def test_a_comparison_says_that_its_needles_are_drawn(tmp_path: Path) -> None:
    data = data_of_recordings([pictured(tmp_path / "in", 500 + k, f"s{k}", 12) for k in range(4)])
    made = make_dataset(None, data, plan_split(data), tmp_path / "small", look=nothing)
    labelled = open_labelled_data(made.folder, "test")
    run = type("Run", (), {"frames": (), "masks": (), "flags": (), "faults": 0, "model": "m 1"})()
    assert any("drawn into" in note for note in _notes(labelled, ((),), (run, run), 1))
