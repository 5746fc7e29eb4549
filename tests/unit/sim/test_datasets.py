"""Simulated datasets: what is built, that it repeats, and what labels say."""

from __future__ import annotations

import math
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from puncta.core.errors import UserError
from puncta.core.frame import hash_planes
from puncta.formats.dataset import annotations_by_image, is_true_negative, load_dataset
from puncta.formats.dataset_checks import check_files, check_references, check_splits
from puncta.formats.jsontext import read_json
from puncta.formats.rle import mask_from_rle
from puncta.formats.schemas import check
from puncta.formats.validate import validate
from puncta.sim.dataset_digest import content_digest, read_build, record_digest, verify_against
from puncta.sim.dataset_labels import annotations_of
from puncta.sim.dataset_spec import DatasetSpec, read_spec
from puncta.sim.datasets import build_dataset
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
    assert sorted(p.name for p in built.iterdir()) == ["build.json", "dataset.json", "images"]
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
    newer = tmp_path / "newer"
    shutil.copytree(built, newer)
    head = (newer / "build.json").read_text()
    (newer / "build.json").write_text(re.sub('"simulator_sha256": "[0-9a-f]', '"simulator_sha256": "x', head))
    with pytest.raises(UserError, match="another version of the simulator"):
        build_dataset(spec_of(tmp_path), newer)
    with pytest.raises(UserError, match="another spec"):
        build_dataset(spec_of(tmp_path, SPEC.replace("frames = 2", "frames = 3")), built)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("mine")
    with pytest.raises(UserError, match="is not empty"):
        build_dataset(spec_of(tmp_path), tmp_path / "full")
    assert [p.name for p in (tmp_path / "full").iterdir()] == ["letter.txt"]


def test_one_process_or_two_give_the_same_bytes(built: Path, tmp_path: Path):
    told: list[tuple[int, int]] = []
    build_dataset(spec_of(tmp_path), tmp_path / "two", jobs=2, progress=lambda done, total: told.append((done, total)))
    assert bytes_of(tmp_path / "two") == bytes_of(built)
    assert told == [(n, 5) for n in range(6)]


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL on Windows")
def test_a_killed_build_leaves_no_process_and_goes_on_where_it_was(built: Path, tmp_path: Path, repo_root: Path):
    spec_of(tmp_path)
    folder = tmp_path / "killed"
    script = (
        "import sys; from pathlib import Path; from puncta.sim.dataset_spec import read_spec; "
        "from puncta.sim.datasets import build_dataset\n"
        "if __name__ == '__main__': build_dataset(read_spec(Path(sys.argv[1])), Path(sys.argv[2]), jobs=2)"
    )
    (tmp_path / "run.py").write_text(script)
    call = [sys.executable, str(tmp_path / "run.py"), str(tmp_path / "spec.toml"), str(folder)]
    process = subprocess.Popen(
        call, env={**os.environ, "PYTHONPATH": str(repo_root / "app")}, start_new_session=True,
        stderr=subprocess.DEVNULL,
    )
    while process.poll() is None and not list((folder / "images").glob("0*/clip.json")):
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    for _ in range(500):
        if not group_lives(process.pid):
            break
        time.sleep(0.01)
    assert not group_lives(process.pid)
    there = {p: p.stat().st_mtime_ns for p in folder.glob("images/0*/0000.png")}
    build_dataset(spec_of(tmp_path), folder)
    assert bytes_of(folder) == bytes_of(built)
    assert {p: p.stat().st_mtime_ns for p in there} == there


def group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL on Windows")
def test_a_killed_worker_is_said_in_one_sentence_and_the_build_goes_on(built: Path, tmp_path: Path):
    def kill_after_the_first_clip(done: int, _total: int) -> None:
        if done == 1:
            for worker in multiprocessing.active_children():
                worker.kill()

    with pytest.raises(UserError, match="stopped by the system.*goes on where it was") as caught:
        build_dataset(spec_of(tmp_path), tmp_path / "data", jobs=2, progress=kill_after_the_first_clip)
    assert "\n" not in str(caught.value)
    build_dataset(spec_of(tmp_path), tmp_path / "data")
    assert bytes_of(tmp_path / "data") == bytes_of(built)


def test_a_digest_sees_every_byte_and_is_verified_against_a_file(built: Path, tmp_path: Path):
    copy = tmp_path / "copy"
    shutil.copytree(built, copy)
    assert content_digest(copy) == content_digest(built) == read_build(built)["sha256"]
    kept = tmp_path / "digests.json"
    record_digest(kept, "tiny", read_build(built), 5, 10)
    verify_against(kept, "tiny", content_digest(copy))
    with pytest.raises(UserError, match="keeps no digest of huge; it has tiny"):
        verify_against(kept, "huge", content_digest(copy))
    picture = next(copy.rglob("*.png"))
    picture.write_bytes(picture.read_bytes() + b"x")
    with pytest.raises(UserError, match="has the digest"):
        verify_against(kept, "tiny", content_digest(copy))
    with pytest.raises(UserError, match="was changed after it was built"):
        build_dataset(spec_of(tmp_path), copy)


def test_clips_are_as_hard_or_easy_as_asked_for(tmp_path: Path):
    shares = {}
    for wanted in ("easy", "hard"):
        text = f"""
name = "tiny"
description = "Asked for."
[[part]]
split = "train"
procedures = ["breast"]
machines = ["A", "C"]
seeds = [50, 54]
frames = 4
sizes_px = [[96, 96]]
needle_free = 0.0
late = 0.0
difficulty = "{wanted}"
"""
        dataset = build_dataset(spec_of(tmp_path, text), tmp_path / wanted)
        judged = [i.difficulty["hard"] for i in dataset.images if i.difficulty]
        assert len(judged) >= 8
        shares[wanted] = sum(judged) / len(judged)
    assert shares["easy"] <= 0.4
    assert shares["hard"] >= 0.6


def test_an_infant_dataset_holds_three_flags_and_no_boxes(tmp_path: Path):
    text = """
name = "lp"
description = "Infants."
label_set = "infant-lp"
[[part]]
split = "test"
procedures = ["infant-lp"]
machines = ["B"]
seeds = [0, 3]
frames = 2
every = 2
sizes_px = [[96, 96]]
views = ["longitudinal", "transverse"]
conditions = ["clear"]
needle_free = 1.0
flags = true
"""
    dataset = build_dataset(spec_of(tmp_path, text), tmp_path / "data")
    report = validate(tmp_path / "data")
    assert (report.kind, report.problems) == ("dataset", ())
    assert (dataset.categories, dataset.annotations) == ((), ())
    assert all(set(i.flags) == {"quality", "cord", "csf"} == set(i.labelled) for i in dataset.images)
    assert all(value in (0, 1) for i in dataset.images for value in i.flags.values())
    assert {v.more["condition"] for v in dataset.videos} == {"clear"}
    assert len({v.more["view"] for v in dataset.videos}) == 2


def test_masks_are_written_where_asked_for(tmp_path: Path):
    text = SPEC.replace("frames = 2\nsizes", "frames = 2\nmasks = true\nsizes").replace("late = 0.34", "late = 0.0")
    dataset = build_dataset(spec_of(tmp_path, text), tmp_path / "data")
    needles = [a for a in dataset.annotations if a.category_id == 2 and a.image_id <= 8]
    assert needles
    by_id = {i.id: i for i in dataset.images}
    for needle in needles:
        whole = mask_from_rle(needle.more["physical_segmentation"])
        assert whole.shape == (by_id[needle.image_id].height, by_id[needle.image_id].width)
        if needle.bbox is not None:
            seen = mask_from_rle(needle.segmentation)
            assert 0 < seen.sum() == needle.area
            # The visible part lies on the needle, up to the pixels on its edge.
            assert (seen & ~cv2.dilate(whole.astype(np.uint8), np.ones((3, 3))).astype(bool)).sum() == 0


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
