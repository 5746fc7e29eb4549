"""Specs, plans and labels of simulated datasets."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest

from puncta.core.errors import UserError
from puncta.core.frame import hash_planes
from puncta.formats.dataset import annotations_by_image, is_true_negative, load_dataset
from puncta.formats.dataset_checks import check_files, check_references, check_splits
from puncta.formats.jsontext import read_json
from puncta.formats.schemas import check
from puncta.paths import resources_dir
from puncta.sim.dataset_spec import DatasetSpec, plan_clips, read_spec
from puncta.sim.datasets import annotations_of, build_dataset
from puncta.sim.difficulty import incidence_deg
from puncta.sim.truth import FrameTruth

SPEC = """
name = "tiny"
description = "Two splits."

[[part]]
split = "train"
procedures = ["breast", "nerve"]
machines = ["A", "B"]
seeds = [10, 14]
frames = 2
sizes_px = [[96, 64], [64, 64]]
needle_free = 0.25
late = 0.34

[[part]]
split = "test"
procedures = ["vessel"]
machines = ["E"]
seeds = [20, 21]
frames = 2
every = 2
sizes_px = [[64, 64]]
needle_free = 0.0
"""


def spec_of(folder: Path, text: str = SPEC) -> DatasetSpec:
    path = folder / "spec.toml"
    path.write_text(text)
    return read_spec(path)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    build_dataset(spec_of(folder), folder / "data")
    return folder / "data"


def test_a_built_dataset_holds_to_its_format(built: Path):
    document = read_json(built / "dataset.json")
    assert check("dataset", document) == []
    dataset = load_dataset(built)
    assert check_references(dataset) == []
    assert check_splits(dataset) == []
    assert check_files(dataset, built) == ([], [])
    assert dataset.info.simulated is True
    assert [v.machine for v in dataset.videos] == ["A", "B", "A", "B", "E"]
    assert all(set(i.labelled) >= {"needle_tip", "needle"} for i in dataset.images)
    assert sorted(p.name for p in built.iterdir()) == ["dataset.json", "images"]
    assert {p.suffix for p in (built / "images").rglob("*.*")} == {".png"}


def test_needle_free_clips_are_true_negatives_and_say_nothing_of_difficulty(built: Path):
    dataset = load_dataset(built)
    by_image = annotations_by_image(dataset)
    free = {v.id for v in dataset.videos if not v.more["needle"]}
    assert len(free) == 1
    for image in dataset.images:
        if image.video_id in free:
            assert image.difficulty is None
            assert all(is_true_negative(image, by_image.get(image.id, ()), c) for c in dataset.categories)


def test_every_second_frame_covers_twice_the_time(built: Path):
    dataset = load_dataset(built)
    video = dataset.videos[-1]
    first, second = [i for i in dataset.images if i.video_id == video.id]
    assert (second.pts_ns - first.pts_ns) / 1e9 == pytest.approx(1 / video.fps, rel=0.5)


def test_pictures_have_the_hash_and_size_they_are_listed_with(built: Path):
    for image in load_dataset(built).images:
        pixels = cv2.imread(str(built / image.file_name), cv2.IMREAD_UNCHANGED)
        assert pixels.shape == (image.height, image.width)
        assert pixels.dtype == np.uint8
        assert hash_planes((pixels,)) == image.sha256


def test_building_again_does_nothing_and_another_spec_is_refused(built: Path, tmp_path: Path):
    before = {p: p.stat().st_mtime_ns for p in built.rglob("*")}
    build_dataset(spec_of(tmp_path), built)
    assert {p: p.stat().st_mtime_ns for p in built.rglob("*")} == before
    with pytest.raises(UserError, match="another spec"):
        build_dataset(spec_of(tmp_path, SPEC.replace("frames = 2", "frames = 3")), built)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("mine")
    with pytest.raises(UserError, match="is not empty"):
        build_dataset(spec_of(tmp_path), tmp_path / "full")
    assert [p.name for p in (tmp_path / "full").iterdir()] == ["letter.txt"]


def test_plans_keep_shares_and_repeat(tmp_path: Path):
    text = SPEC.replace("[10, 14]", "[100, 160]").replace("needle_free = 0.25\nlate = 0.34",
                                                          "needle_free = 0.2\nlate = 0.5\nhard = 0.25")
    spec = spec_of(tmp_path, text)
    plans = [p for p in plan_clips(spec) if p.split == "train"]
    assert plan_clips(spec) == plan_clips(spec_of(tmp_path, text))
    assert sum(not p.needle for p in plans) == 12
    with_needle = [p for p in plans if p.needle]
    assert sum(p.start == "outside" for p in with_needle) == 24
    assert sum(p.hard is True for p in with_needle) == 12
    assert all(p.hard is None for p in plans if not p.needle)
    assert {(p.procedure, p.machine) for p in plans} == {(a, b) for a in ("breast", "nerve") for b in "AB"}
    assert len({p.size_px for p in plans}) == 2


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('machines = ["E"]', 'machines = ["Z"]', 'no machine "Z"'),
        ('procedures = ["vessel"]', 'procedures = ["knee"]', 'no procedure "knee"'),
        ("seeds = [20, 21]", "seeds = [13, 21]", "a subject has one split"),
        ("seeds = [20, 21]", "seeds = [21, 20]", "half-open range"),
        ("frames = 2\nevery", "frames = 0\nevery", "at least 1"),
        ('name = "tiny"', "", "`name` is missing"),
        ('name = "tiny"', 'name = "tiny"\ncolour = 1', "not a known key"),
        ("[[part]]", "[[part", "not valid TOML"),
    ],
)
def test_a_wrong_spec_is_refused_in_one_sentence(tmp_path: Path, old: str, new: str, words: str):
    with pytest.raises(UserError, match=words) as caught:
        spec_of(tmp_path, SPEC.replace(old, new, 1))
    assert "\n" not in str(caught.value)


def test_shipped_specs_never_share_a_subject_between_training_and_testing():
    ranges: dict[str, list[tuple[int, int]]] = {}
    for path in sorted((resources_dir() / "datasets").glob("tip-*.toml")):
        for part in read_spec(path).part:
            ranges.setdefault(part.split, []).append(part.seeds)
            if part.split == "train":
                assert not set(part.machines) & {"D", "E"}
    assert set(ranges) >= {"train", "tune", "test"}
    spans = sorted(span for group in ranges.values() for span in group)
    assert all(a[1] <= b[0] for a, b in zip(spans, spans[1:]))


def truth(**changes: object) -> FrameTruth:
    common = {"index": 0, "t_ns": 0, "region": (0, 0, 100, 100), "mm_per_px": (0.1, 0.1)}
    return FrameTruth(**{**common, **changes})  # type: ignore[arg-type]


def test_labels_of_a_frame():
    assert annotations_of(truth(), 1, 1) == []
    shown = truth(
        visibility="clear", tip_px=(50.0, 40.0), entry_px=(0.0, 10.0), tip_box=(45.6, 38.0, 8.8, 4.0), shaft_cnr=3.0,
        needle_box=(0.0, 9.0, 50.0, 32.0), shaft_polygon=((0.0, 9.0), (50.0, 39.0), (50.0, 41.0), (0.0, 11.0)),
    )
    tip, needle = annotations_of(shown, 7, 5)
    assert (tip.id, needle.id, tip.image_id) == (5, 6, 7)
    assert tip.tip_px == (50.0, 40.0)
    assert needle.entry_px == (0.0, 10.0)
    assert (str(tip.visibility), str(needle.visibility)) == ("clear", "clear")
    assert needle.area == pytest.approx(100.0)
    hidden = truth(visibility="out_of_plane", tip_px=(50.0, 40.0), entry_px=(0.0, 10.0), tip_box=(45.6, 38.0, 8.8, 4.0))
    tip, needle = annotations_of(hidden, 7, 5)
    assert (str(tip.visibility), tip.keypoints[2]) == ("out_of_plane", 1.0)
    assert (str(needle.visibility), needle.bbox) == ("out_of_plane", None)


class FanScan:
    """A convex scan whose beam leans by the lateral position in tenths of a radian."""

    convex = True

    @staticmethod
    def beam_from_mm(x: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return z, x / 10


class FlatScan:
    convex = False


def test_incidence_is_measured_against_the_beam():
    assert incidence_deg(30.0, 1, (5.0, 20.0), FlatScan()) == pytest.approx(30.0)  # type: ignore[arg-type]
    lean = math.degrees(0.2)
    assert incidence_deg(30.0, 1, (2.0, 20.0), FanScan()) == pytest.approx(30.0 + lean)  # type: ignore[arg-type]
    assert incidence_deg(30.0, -1, (2.0, 20.0), FanScan()) == pytest.approx(30.0 - lean)  # type: ignore[arg-type]
