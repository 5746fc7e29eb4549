"""One recording by two names counts once: a link, a copy, a second case; pictures that only look alike count twice."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from puncta.annotation.cases import case_of_source
from puncta.annotation.commands import Board, propose
from puncta.annotation.labels import Label, State, TipLabel, by_person
from puncta.annotation.store import AnnotationStore
from puncta.core.frame import FrameKey
from puncta.formats.dataset import TIP_CATEGORY
from puncta.session.retrain import recordings_of_folder, recordings_of_store
from puncta.session.same_recording import firsts
from puncta.sources.factory import open_source


def write_cine(folder: Path, seed: int, frames: int = 6) -> Path:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for k in range(frames):
        cv2.imwrite(str(folder / f"{k}.bmp"), rng.integers(0, 255, (64, 64)).astype(np.uint8))
    return folder


def link(place: Path, to: Path) -> Path:
    try:
        place.symlink_to(to, target_is_directory=to.is_dir())
    except OSError:
        pytest.skip("this system lets nobody make links")
    return place


def test_links_and_copies_are_the_same_and_what_only_looks_alike_is_not(tmp_path: Path) -> None:
    one = write_cine(tmp_path / "one", 1)
    other = write_cine(tmp_path / "other", 2)  # the same names and sizes, other pictures
    copy = Path(shutil.copytree(one, tmp_path / "copy"))
    still = Path(shutil.copyfile(one / "0.bmp", tmp_path / "still.bmp"))
    linked = link(tmp_path / "linked", one)
    found = firsts(map(str, (one, other, copy, one / "0.bmp", still, other / "0.bmp", linked, tmp_path / "one")))
    assert found == [0, 1, 0, 3, 3, 5, 0, 0]
    assert firsts(["sim:breast?seed=1", "sim:breast?seed=2", "sim:breast?seed=1", "gone.mp4", "gone.mp4"]) == [
        0, 1, 0, 3, 3,
    ]  # fmt: skip
    for folder in (one, other):  # the headers say the same, their pictures lie beside them
        (folder / "cine.mhd").write_text("ElementDataFile = cine.raw", encoding="utf-8")
    assert firsts(str(folder / "cine.mhd") for folder in (one, other)) == [0, 1]


def test_a_folder_s_second_copy_is_left_out_and_named_with_its_person(tmp_path: Path) -> None:
    home = tmp_path / "ward"
    write_cine(home / "p1" / "cine", 1)
    write_cine(home / "p2" / "cine", 2)
    shutil.copytree(home / "p1" / "cine", home / "p3" / "again")
    found, wrong = recordings_of_folder(home)
    assert [(r.title, r.subject) for r in found] == [("cine", "p1"), ("cine", "p2")]
    assert wrong == ("again (p3) is left out: it is the same recording as cine (p1), which counts once.",)


def test_a_clip_of_two_cases_counts_once_and_a_needle_of_either_closes_its_frames(tmp_path: Path) -> None:
    place = write_cine(tmp_path / "cine", 1, 200)
    with AnnotationStore.open(tmp_path / "labels.sqlite") as store:
        source = open_source(str(place))
        first = store.add_case(replace(case_of_source(source.info, "infant-lp"), title="for flags"))
        second = store.add_case(replace(case_of_source(source.info, "needle", subject="s1"), title="for tips"))
        source.close()
        (recording,) = recordings_of_store(store)
        assert (recording.id, recording.subject, recording.also) == (first.id, "s1", ("for tips",))
        assert max(index for run in recording.runs for index in run) > 150
        made = Label(
            TIP_CATEGORY, FrameKey(second.stream, 180, 0), "anna", TipLabel((4.0, 4.0)), by_person("anna")
        )
        command = propose(Board(second.id, "anna", ()), [made], state=State.CONFIRMED)
        assert command is not None
        store.apply(command)
        (recording,) = recordings_of_store(store)
        assert max(index for run in recording.runs for index in run) < 120
