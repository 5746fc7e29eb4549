"""A plugin on a hand-made dataset: what is judged, what is fed, and the figures that follow."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from puncta.core.errors import UserError
from puncta.core.frame import CalibrationOrigin, UltrasoundRegion
from puncta.core.results import Certainty, Detection, Line, PluginOutput, Point
from puncta.formats.dataset import (
    Annotation,
    Category,
    Dataset,
    Image,
    Info,
    Review,
    Video,
    Visibility,
    save_dataset,
)
from puncta.formats.evaluation import json_from_evaluation
from puncta.formats.schemas import check
from puncta.pipeline.discover import Discovery, discover
from puncta.session.dataset_source import clips_of, frames_of_clip
from puncta.session.evaluate import differences, evaluation_of, open_labelled_data, run_plugin
from puncta.session.evaluate_tips import answer_from_output

SIZE = 64
REGION = (8, 4, 48, 56)
TIP = Category(1, "needle_tip")
MANIFEST = """
id = "{id}"
title = "Test"
version = "1.0"
api = 1
description = "For a test."
licence = "Apache-2.0"
author = "Test"
[[results]]
type = "detection"
label = "needle_tip"
"""
# Finds the brightest pixel, off by a constant; fails where a clip is not announced by a reset or the geometry lacks.
PLUGIN = """
import numpy as np
from puncta.core.results import Detection
from puncta.sdk.plugin import StepResult

class Brightest:
    def __init__(self):
        self.last = None
    def reset(self, reason):
        self.last = None
    def step(self, frame, upstream):
        assert self.last is None or (frame.key.stream, frame.key.pts_ns) > self.last
        assert self.last is None or frame.key.stream == self.last[0]
        assert frame.geometry.region.box == (8, 4, 48, 56)
        assert frame.geometry.calibration.mm_per_px == (0.1, 0.2)
        self.last = (frame.key.stream, frame.key.pts_ns)
        {body}
        y, x = divmod(int(np.argmax(frame.pixels)), frame.pixels.shape[1])
        if frame.pixels[y, x] < 200:
            return StepResult((Detection("needle_tip", None, None, 0.1, reason="nothing bright"),))
        x, y = float(x + {dx}), float(y + {dy})
        return StepResult((Detection("needle_tip", (x - 4.0, y - 2.0, 8.0, 4.0), (x, y), 0.9, radius90_px=4.0),))
    def close(self):
        pass

def create(context):
    return Brightest()
"""


def tip_at(clip: int, index: int) -> tuple[int, int]:
    return (16 + 5 * clip + 2 * index, 20 + 3 * index)


def write_dataset(folder: Path, clips: int = 4, frames: int = 5) -> Dataset:
    """Frame 0 of each clip has no tip; later frames have a bright pixel where the label is."""
    videos, images, annotations = [], [], []
    for clip in range(clips):
        machine, split = "AB"[clip % 2], "test" if clip < clips - 1 else "train"
        videos.append(Video(clip + 1, f"clip{clip}", 25.0, (0.1, 0.2), machine, f"s{clip}", split))
        for index in range(frames):
            name = f"images/{clip}-{index}.png"
            pixels = np.full((SIZE, SIZE), 30, np.uint8)
            x, y = tip_at(clip, index)
            if index:
                pixels[y, x] = 255
            (folder / "images").mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(folder / name), pixels)
            number = len(images) + 1
            hard = {"hard": index == 4} if index else None
            images.append(
                Image(
                    number, name, SIZE, SIZE, clip + 1, index, 40_000_000 * index, None, REGION, machine, f"s{clip}",
                    split, Review.CONFIRMED, ("needle_tip",), difficulty=hard,
                )
            )
            if index:
                annotations.append(
                    Annotation(
                        len(annotations) + 1, number, 1, (x - 4.0, y - 2.0, 8.0, 4.0), 32.0,
                        keypoints=(float(x), float(y), 2.0, 8.0, 8.0, 2.0),
                    )
                )
    dataset = Dataset(Info("needle", "CC0-1.0", True), tuple(videos), tuple(images), (TIP,), tuple(annotations))
    save_dataset(dataset, folder)
    return dataset


def plugins(folder: Path, body: str = "", dx: float = 0, dy: float = 0) -> Discovery:
    for name, offset in (("right", (0, 0)), ("off", (dx, dy))):
        home = folder / name
        home.mkdir(parents=True)
        (home / "plugin.toml").write_text(MANIFEST.format(id=name))
        (home / "plugin.py").write_text(PLUGIN.format(body=body or "pass", dx=offset[0], dy=offset[1]))
    return discover(shipped=folder, user=folder / "none", entry_points=False)


def figures_of(tmp_path: Path, dataset: Dataset | None = None, dx: float = 0, dy: float = 0, split: str | None = None):
    made = write_dataset(tmp_path / "data")
    if dataset is not None:
        save_dataset(dataset, tmp_path / "data")
        made = dataset
    data = open_labelled_data(tmp_path / "data", split)
    run = run_plugin("off", data, discovery=plugins(tmp_path / "plugins", dx=dx, dy=dy))
    return evaluation_of(run, data), run, data, made


def test_a_perfect_plugin_is_perfect(tmp_path: Path):
    evaluation, run, _data, _made = figures_of(tmp_path)
    assert evaluation.split == "test"
    assert evaluation.frames == 15
    assert evaluation.metrics["tip_error_px"].value == 0.0
    assert evaluation.metrics["tip_within_2mm"].value == 1.0
    assert evaluation.metrics["tip_within_2mm"].n == 12
    assert evaluation.metrics["miss_rate"].value == 0.0
    assert evaluation.metrics["false_alarm_rate"].value == 0.0
    assert evaluation.metrics["false_alarm_rate"].n == 3
    assert evaluation.metrics["abstain_rate"].value == pytest.approx(3 / 15)
    assert evaluation.metrics["tip_ap50"].value == pytest.approx(1.0)
    assert evaluation.metrics["coverage90"].value == 1.0
    assert evaluation.metrics["needle_ap50"].n == 0
    assert evaluation.metrics["ms_per_frame"].value > 0
    assert run.faults == 0
    assert set(evaluation.per_machine) == {"A", "B"}
    assert {k: v["tip_error_px"].n for k, v in evaluation.per_difficulty.items()} == {"easy": 9, "hard": 3}


def test_a_constant_offset_comes_out_in_pixels_and_millimetres(tmp_path: Path):
    evaluation, *_ = figures_of(tmp_path, dx=3, dy=10)
    assert evaluation.metrics["tip_error_px"].value == pytest.approx(np.hypot(3, 10))
    assert evaluation.metrics["tip_error_mm"].value == pytest.approx(np.hypot(0.3, 2.0))
    assert evaluation.metrics["tip_within_2mm"].value == 0.0
    assert evaluation.metrics["tip_within_3mm"].value == 1.0
    assert evaluation.metrics["coverage90"].value == 0.0
    assert evaluation.metrics["tip_ap50"].value == 0.0


def test_the_file_fits_its_schema_and_repeats(tmp_path: Path):
    write_dataset(tmp_path / "data")
    data = open_labelled_data(tmp_path / "data")
    found = plugins(tmp_path / "plugins", dx=1)
    one = json_from_evaluation(evaluation_of(run_plugin("off", data, timings=False, discovery=found), data))
    two = json_from_evaluation(evaluation_of(run_plugin("off", data, timings=False, discovery=found), data))
    assert one == two
    assert check("evaluation", one) == []
    assert one["metrics"]["ms_per_frame"] == {"value": None, "low": None, "high": None, "n": 0}
    assert one["data"] == "data"
    assert str(tmp_path) not in str(one)


def test_only_confirmed_frames_are_judged_but_all_are_fed(tmp_path: Path):
    made = write_dataset(tmp_path / "first")
    images = [
        replace(i, review=Review.PROPOSED) if i.video_id == 1
        else replace(i, labelled=()) if i.video_id == 2 and i.frame_index == 0
        else replace(i, review=Review.BULK)
        for i in made.images
    ]
    evaluation, run, data, _ = figures_of(tmp_path, replace(made, images=tuple(images)))
    assert evaluation.frames == 9
    assert evaluation.metrics["false_alarm_rate"].n == 1
    assert sum(len(clip.images) for clip in data.clips) == 15
    assert {f.clip for f in run.frames} == {1, 2}


@pytest.mark.parametrize("visibility", [Visibility.OUT_OF_PLANE, Visibility.SHADOWED])
def test_a_hidden_tip_is_neither_miss_nor_false_alarm(tmp_path: Path, visibility: Visibility):
    made = write_dataset(tmp_path / "first")
    hidden = tuple(replace(a, visibility=visibility) if a.id == 1 else a for a in made.annotations)
    evaluation, *_ = figures_of(tmp_path, replace(made, annotations=hidden))
    assert evaluation.metrics["miss_rate"].n == 11
    assert evaluation.metrics["false_alarm_rate"].n == 3


def test_a_tip_stated_absent_makes_a_true_negative(tmp_path: Path):
    made = write_dataset(tmp_path / "first")
    absent = tuple(replace(a, visibility=Visibility.ABSENT, bbox=None) if a.id == 1 else a for a in made.annotations)
    evaluation, *_ = figures_of(tmp_path, replace(made, annotations=absent))
    assert evaluation.metrics["false_alarm_rate"].n == 4
    assert evaluation.metrics["false_alarm_rate"].value == pytest.approx(1 / 4)


def test_splits(tmp_path: Path):
    assert figures_of(tmp_path / "a", split="train")[0].frames == 5
    every = figures_of(tmp_path / "b", split="all")[0]
    assert (every.split, every.frames) == (None, 20)


def test_paired_differences(tmp_path: Path):
    write_dataset(tmp_path / "data")
    data = open_labelled_data(tmp_path / "data")
    found = plugins(tmp_path / "plugins", dx=0, dy=10)
    off = run_plugin("off", data, discovery=found)
    right = run_plugin("right", data, discovery=found)
    gaps = differences(off, right)
    assert (gaps["tip_error_mm"].value, gaps["tip_error_mm"].low, gaps["tip_error_mm"].high) == (2.0, 2.0, 2.0)
    assert gaps["miss_rate"].value == 0.0
    assert differences(right, right)["tip_ap50"].high == 0.0


def test_a_fault_is_a_miss_and_three_in_a_row_end_the_run(tmp_path: Path):
    write_dataset(tmp_path / "data")
    data = open_labelled_data(tmp_path / "data")
    once = plugins(tmp_path / "p1", body="assert frame.key.index != 2")
    run = run_plugin("off", data, discovery=once)
    assert run.faults == 3
    assert evaluation_of(run, data).metrics["miss_rate"].value == pytest.approx(3 / 12)
    always = plugins(tmp_path / "p2", body="assert frame.key.index < 2")
    with pytest.raises(UserError, match="3 times in a row"):
        run_plugin("off", data, discovery=always)


def test_plain_errors(tmp_path: Path):
    made = write_dataset(tmp_path / "data")
    found = plugins(tmp_path / "plugins")
    with pytest.raises(UserError, match="There is no folder"):
        open_labelled_data(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"holds no dataset\.json"):
        open_labelled_data(tmp_path)
    with pytest.raises(UserError, match="its splits are: test, train"):
        open_labelled_data(tmp_path / "data", "tune")
    data = open_labelled_data(tmp_path / "data")
    with pytest.raises(UserError, match="off, right"):
        run_plugin("nonsense", data, discovery=found)
    (tmp_path / "data" / "images" / "0-2.png").unlink()
    with pytest.raises(UserError, match=r"images/0-2\.png, which is not there"):
        run_plugin("off", data, discovery=found)
    unseen = replace(made, images=tuple(replace(i, review=Review.UNSEEN) for i in made.images))
    write_dataset(tmp_path / "unseen")
    save_dataset(unseen, tmp_path / "unseen")
    with pytest.raises(UserError, match="no confirmed label"):
        run_plugin("off", open_labelled_data(tmp_path / "unseen"), discovery=found)


def test_frames_carry_times_region_and_calibration(tmp_path: Path):
    made = write_dataset(tmp_path)
    clip = clips_of(made, "test")[1]
    frames = [frame for frame, _image in frames_of_clip(clip, tmp_path)]
    assert [f.key.pts_ns for f in frames] == [0, 40_000_000, 80_000_000, 120_000_000, 160_000_000]
    assert [f.frame_id for f in frames] == [0, 1, 2, 3, 4]
    assert frames[0].geometry.region.box == REGION
    assert frames[0].geometry.calibration.origin is CalibrationOrigin.SIMULATED
    assert frames[0].source.simulated
    assert not frames[0].pixels.flags.writeable


def test_what_counts_as_an_answer():
    region = UltrasoundRegion((0, 0, 100, 100), "whole picture")
    low = Detection("needle_tip", (0, 0, 4, 4), (2, 2), 0.2)
    high = Detection("needle_tip", (10, 10, 4, 4), (12, 12), 0.7, radius90_px=3.0)
    lost = Detection("needle_tip", (50, 50, 4, 4), (52, 52), 0.9, certainty=Certainty.LOST, reason="lost")
    other = Detection("mass", (0, 0, 4, 4), (2, 2), 0.99)
    answer = answer_from_output(PluginOutput("p", 0, (low, high, lost, other)), region)
    assert (answer.tip_px, answer.score, answer.radius90_px) == ((12, 12), 0.7, 3.0)
    assert len(answer.tip_boxes) == 2
    assert not answer.withheld
    only_lost = answer_from_output(PluginOutput("p", 0, (lost,)), region)
    assert (only_lost.tip_px, only_lost.withheld, only_lost.tip_boxes, only_lost.score) == (None, True, (), 0.9)
    assert answer_from_output(PluginOutput("p", 0), region).withheld is False
    point = answer_from_output(PluginOutput("p", 0, (Point("needle_tip", (50.0, 50.0), 0.5),)), region)
    assert point.tip_boxes[0][1] == pytest.approx((50 - 4.4, 48.0, 8.8, 4.0))
    line = answer_from_output(PluginOutput("p", 0, (Line("needle", (0.0, 10.0), (30.0, 20.0), 0.8),)), region)
    assert line.needle_boxes == ((0.8, (-2.0, 8.0, 34.0, 14.0)),)
    assert line.axis == ((0.0, 10.0), (30.0, 20.0))
