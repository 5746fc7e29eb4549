"""The flag study: what ships fits, splits hold out what they say, crops keep what they say, tables follow answers."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch")

from puncta.core.errors import UserError  # noqa: E402
from puncta.training.landmarks.data import CSF, FLAGS, Shot  # noqa: E402
from puncta.training.landmarks.study import HELD_OUT, Places, read_study  # noqa: E402
from puncta.training.landmarks.study_cam import peaks_on_structures  # noqa: E402
from puncta.training.landmarks.study_data import (  # noqa: E402
    Changes,
    Frames,
    change,
    draw_crop,
    frames_of_shots,
    split_frames,
    split_set2,
    split_subjects,
)
from puncta.training.landmarks.study_run import in_order  # noqa: E402
from puncta.training.landmarks.study_table import DONE, check_claim, judge, write_table  # noqa: E402
from puncta.training.landmarks.study_time import TIMES, times_as_text  # noqa: E402
from puncta.training.landmarks.study_videos import ScanningHand, draw_shapes  # noqa: E402
from puncta.training.study import shipped_studies  # noqa: E402


def frames(clips: int = 6, each: int = 20) -> Frames:
    n = clips * each
    clip = np.repeat(np.arange(clips), each)
    rng = np.random.default_rng(0)
    return Frames(
        rng.integers(0, 255, (n, 16, 16)).astype(np.uint8), rng.integers(0, 2, (n, 3)).astype(np.int8), clip,
        np.tile(np.arange(each, dtype=np.int64), clips), tuple("ABC"[c % 3] for c in clip),
    )


@pytest.mark.parametrize("name", ["poster", "poster_gpu"])
def test_what_ships_fits_and_has_the_posters_frames(name: str) -> None:
    study = read_study(shipped_studies()[name])
    assert study.first.clips * study.first.frames == 3390
    assert study.second.clips * study.second.frames == 681
    assert study.first.clips + study.second.clips == 13
    assert [row.table for row in study.rows].count(1) == 8


def test_set_2_is_split_by_frames_and_set_1_is_learnt_from() -> None:
    all_frames = frames()
    split = split_set2(all_frames, ("C",), (50, 10, 40), 1)
    machine = np.array(all_frames.machine)
    assert set(machine[split.test]) == {"C"}
    assert len(split.test) == round(0.4 * (machine == "C").sum())
    assert not set(split.train) & set(split.test)
    assert (machine[split.train] != "C").sum() == round(0.9 * (machine != "C").sum())


def test_a_split_by_frames_shares_videos_and_a_split_by_subjects_none() -> None:
    all_frames = frames()
    by_frames, by_subjects = split_frames(all_frames, 0.15, 1), split_subjects(all_frames, 1)
    assert set(all_frames.clip[by_frames.test]) <= set(all_frames.clip[by_frames.train])
    assert not set(all_frames.clip[by_subjects.test]) & set(all_frames.clip[by_subjects.train])
    assert {all_frames.machine[i] for i in by_subjects.test} == {"A", "B", "C"}


def test_the_four_crops_come_alike_often() -> None:
    rng = np.random.default_rng(3)
    drawn = [draw_crop(rng, Changes(0.8)) for _ in range(4000)]
    for kept in ((0.8, 1.0), (0.8, 0.8), (1.0, 0.8), (1.0, 1.0)):
        assert abs(drawn.count(kept) / 4000 - 0.25) < 0.03
    chance = [draw_crop(rng, Changes(0.8, chance=0.6)) for _ in range(4000)]
    assert abs(chance.count((1.0, 1.0)) / 4000 - 0.4) < 0.03


def test_a_crop_keeps_the_middle_and_nothing_is_changed_without_changes() -> None:
    ramp = np.tile(np.arange(0, 200, 2, dtype=np.uint8), (100, 1))
    assert np.array_equal(change(np.random.default_rng(0), ramp, 100, Changes()), ramp)
    rng = np.random.default_rng(1)
    widths = {float(change(rng, ramp, 100, Changes(0.8))[50, 98]) for _ in range(40)}
    assert any(abs(w - 196) < 2 for w in widths)
    assert any(abs(w - (99 + 0.8 * 97)) < 4 for w in widths)


def test_a_turn_leaves_the_canal_as_far_from_the_middle_as_it_was() -> None:
    rng = np.random.default_rng(2)
    found = {True: [], False: []}
    for seed in range(30):
        x, y = float(rng.uniform(60, 84)), float(rng.uniform(90, 120))
        picture = np.zeros((144, 144), np.uint8)
        cv2.circle(picture, (round(x), round(y)), 4, 255, -1)
        canal = np.array([round(x), round(y)], float)
        for told in (True, False):
            shown = change(np.random.default_rng(seed), picture, 144, Changes(turn=True), canal if told else None)
            column = float(np.average(np.arange(144), weights=shown.sum(axis=0, dtype=float)))
            found[told].append(abs(column - canal[0]))
    assert max(found[True]) < 0.3
    assert max(found[False]) > 4.0


def test_a_canal_is_told_of_pictures_across_the_spine_alone() -> None:
    maps = np.zeros((1, 64, 64), np.uint8)
    maps[0, 40:44, 20:30] = 2
    shot = {"name": "a", "kind": "spine", "subject": "a", "machine": "A", "frames": np.zeros((1, 144, 144), np.uint8),
            "flags": np.ones((1, 3), np.int8), "maps": maps}
    across, along = (frames_of_shots([Shot(**shot, view=view)], 0).canal for view in ("transverse", "longitudinal"))
    assert np.allclose(across, [[(24.5 + 0.5) * 144 / 64 - 0.5, (41.5 + 0.5) * 144 / 64 - 0.5]])
    assert np.isnan(along).all()


def test_a_peak_counts_on_the_structure_and_a_picture_without_one_does_not_count() -> None:
    told = frames(1, 2)
    maps = np.zeros((2, 64, 64), np.uint8)
    maps[0, 10:16, 10:16] = CSF
    shown = Frames(told.pictures, told.flags, told.clip, told.t_ns, told.machine, maps)
    cam = np.zeros((2, 3, 28, 28), np.float32)
    cam[0, FLAGS.index("csf"), 5, 5] = 1.0
    assert peaks_on_structures(shown, cam).tolist() == [[-1, 1], [-1, -1]]
    cam[0, FLAGS.index("csf"), 20, 20] = 2.0
    assert peaks_on_structures(shown, cam)[0].tolist() == [-1, 0]


def test_rows_that_claims_need_come_first() -> None:
    study = read_study(shipped_studies()["poster"])
    names = [row.name for row in in_order(study, study.rows)]
    named = {n for claim in study.claims for n in (claim.better, claim.than) if n}
    assert names[0] == "crop8-70" and set(names[: len(named)]) == named


def test_times_tell_the_share_of_resnet18_and_whether_it_is_small_enough(tmp_path: Path) -> None:
    places = Places(tmp_path, None, tmp_path, tmp_path)
    assert times_as_text(places) == []
    networks = {
        "resnet18-224": {"title": "ResNet18", "size": 224, "ms": 24.0, "share": 1.0},
        "small-224": {"title": "ours", "size": 224, "ms": 2.4, "share": 0.1},
        "shipped-224": {"title": "as it ships", "size": 224, "ms": 6.0, "share": 0.25},
    }
    (tmp_path / TIMES).write_text(json.dumps({"networks": networks}), encoding="utf-8")
    text = "\n".join(times_as_text(places))
    assert "| ours | 224 | 2.40 | 0.100 |" in text
    assert "Asked of ours (224 px): at most 0.2 of ResNet18's time at the same input. Found: 0.100, met." in text
    assert "Found: 0.250, missed." in text and "Asked of ResNet18" not in text


def test_the_hand_reaches_along_the_spine_and_strays_little_off_it() -> None:
    hand = ScanningHand(np.random.default_rng(4), "longitudinal", 12.0)
    moved = [hand.controls(k) for k in range(1200)]
    assert np.ptp(np.cumsum([m.slide_mm for m in moved])) > 10
    assert np.abs(np.cumsum([m.sweep_mm for m in moved])).max() < 2.7


def test_shapes_are_told_as_drawn() -> None:
    picture, labels = draw_shapes(np.random.default_rng(5), 48)
    assert picture.shape == (48, 48)
    assert 1 <= labels[:5].sum() <= 3


def save(path: Path, flags: np.ndarray, logits: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    n = len(flags)
    np.savez(path, logits=logits.astype(np.float32), flags=flags.astype(np.int8), clip=np.arange(n) // 4,
             t_ns=np.zeros(n, np.int64), machine=np.array(["D"] * n))


def test_tables_and_claims_follow_the_answers(tmp_path: Path) -> None:
    study = read_study(shipped_studies()["poster"])
    places = Places(tmp_path, None, tmp_path, tmp_path)
    flags = np.random.default_rng(6).integers(0, 2, (80, 3))
    good = np.where(flags == 1, 4.0, -4.0)
    bad = good.copy()
    bad[::2] *= -1
    for name, logits in (("crop8-70", good), ("norm-70", bad), ("resnet18-frames", good)):
        for where in (*study.sets, HELD_OUT):
            save(places.answers(name, where), flags, logits)
        (places.row(name) / DONE).write_text('{"row": "x"}', encoding="utf-8")
    text = write_table(study, places, lambda _progress: None).read_text(encoding="utf-8")
    assert "| Norm + Crop(0.8) (70-10-20) | 1.0000 [1.0000, 1.0000]" in text
    assert "| L1 | Crop(0.8) against none, unseen machines | >= 3 |" in text
    assert text.count("strong") >= 2
    assert "Not measured: " in text
    judged = {n: {s: judge(places.answers(n, s), 50, 1) for s in study.sets} for n in ("crop8-70", "norm-70")}
    first = next(c for c in study.claims if c.than == "norm-70")
    assert check_claim(first, study, judged).word == "strong"
    missing = next(c for c in study.claims if c.better == "ours-70")
    assert check_claim(missing, study, judged).word == "not measured"


def test_a_study_that_does_not_fit_is_told(tmp_path: Path) -> None:
    text = shipped_studies()["poster"].read_text(encoding="utf-8")
    path = tmp_path / "study.toml"
    path.write_text(text.replace('machines = ["C"]', 'machines = ["D"]'), encoding="utf-8")
    with pytest.raises(UserError, match="machine D, which is kept for testing"):
        read_study(path)
    text = text.replace('start = "vit-organs"\nrank = 16', 'start = "nothing"\nrank = 16', 1)
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match="which is no"):
        read_study(path)
