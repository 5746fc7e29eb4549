"""What was copied for a training alone goes with it, and nothing else does: no dataset of somebody, no last labels."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path

import pytest
from retrain_stage import make_jobs
from site_models import make_dataset

from puncta.formats.dataset import load_dataset
from puncta.session.retrain import RetrainJobs, datasets_at_hand, plan_split
from puncta.session.retrain import make_dataset as make_copy
from puncta.session.retrain_copies import LABELS, copies_dir, free_folder
from puncta.session.retrain_data import datasets_dir
from puncta.session.retrain_records import JobRecord, read_record, write_record


@pytest.fixture
def original(user_home: Path) -> Path:
    return make_dataset("site-f", 3, 2)


def copied(name: str = "Needle tip, 11/22/26") -> Path:
    (data,) = datasets_at_hand(None)
    return make_copy(None, data, plan_split(data, "needle-tip"), free_folder(name)).folder


def kept(folder: Path, *trainings: tuple[str, Path, str]) -> RetrainJobs:
    """Trainings that were cancelled: their names, data, and what these are a copy of."""
    for job, data, copy_of in trainings:
        (folder / "trainings" / job).mkdir(parents=True)
        record = JobRecord(job, job, "tip_site", "needle-tip", "", str(data), "m 1", "", "cancelled", copy_of=copy_of)
        write_record(folder / "trainings" / job, record)
    return make_jobs(folder)


def test_a_copy_is_not_offered_and_goes_with_its_training(original: Path, tmp_path: Path) -> None:
    copy = copied()
    assert [data.path for data in datasets_at_hand(None)] == [original]
    jobs = kept(tmp_path, ("a", copy, str(original)))
    assert jobs.status("a").copy_of == str(original)
    assert jobs.remove("a") is None
    assert not copy.exists() and len(load_dataset(original).images) == 6
    assert all((original / image.file_name).is_file() for image in load_dataset(original).images)


def test_a_copy_of_labels_goes_too(original: Path, tmp_path: Path) -> None:
    copy = copied()
    kept(tmp_path, ("a", copy, LABELS)).remove("a")
    assert list(copies_dir().iterdir()) == [] and original.is_dir()


def test_a_dataset_of_somebody_stays_whatever_a_record_says(original: Path, tmp_path: Path) -> None:
    jobs = kept(tmp_path, ("a", original, ""), ("b", original, LABELS), ("c", original, str(original)))
    assert [jobs.remove(job) for job in "abc"] == [None] * 3
    assert len(load_dataset(original).images) == 6


def test_a_copy_that_another_training_needs_stays_until_that_goes(original: Path, tmp_path: Path) -> None:
    copy = copied()
    jobs = kept(tmp_path, ("a", copy, str(original)))
    kept(tmp_path, ("b", copy, str(original)))  # by another window
    jobs.remove("a")
    assert copy.is_dir()
    jobs.remove("b")
    assert not copy.exists()


def gone(original: Path) -> None:
    shutil.rmtree(original)


def replaced(original: Path) -> None:
    shutil.rmtree(original)
    make_dataset("site-f", 1, 1)


@pytest.mark.parametrize("happens", [gone, replaced])
def test_a_copy_whose_original_is_no_more_stays_as_a_dataset(original: Path, tmp_path: Path, happens) -> None:
    copy = copied()
    happens(original)
    where = kept(tmp_path, ("a", copy, str(original))).remove("a")
    assert where == datasets_dir() / copy.name and not copy.exists()
    assert where in [data.path for data in datasets_at_hand(None)] and len(load_dataset(where).images) == 6


def test_a_record_of_an_earlier_version_says_nothing_of_a_copy(tmp_path: Path) -> None:
    record = JobRecord("a", "a", "tip_site", "needle-tip", "", "data", "m 1", "")
    write_record(tmp_path, record)
    assert read_record(tmp_path) == record and asdict(record)["copy_of"] == ""
