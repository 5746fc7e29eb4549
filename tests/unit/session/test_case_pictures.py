"""Pictures for a model card: which cases are shown, that they are the worst, and that nothing real gets in."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from puncta.cli.main import main
from puncta.core.errors import UserError
from puncta.formats.dataset import Annotation, Category, Dataset, Image, Info, Review, Video, save_dataset
from puncta.metrics.frames import FrameAnswer, FrameLabels, JudgedFrame
from puncta.session.case_pictures import (
    FULLY_SIMULATED,
    Outcome,
    draw_cases,
    judge_cases,
    make_case_tile,
    open_simulated_sets,
    pick_cases,
)
from puncta.session.evaluate import LabelledData, Run

REGION = (8, 4, 48, 40)


def write_set(folder: Path, content: str = FULLY_SIMULATED, clips: int = 4) -> Dataset:
    """Clips of two frames of noise, the second with a tip at (30, 20)."""
    (folder / "images").mkdir(parents=True)
    videos, images, annotations = [], [], []
    for clip in range(clips):
        machine = "AD"[clip % 2]
        videos.append(Video(clip + 1, f"clip{clip}", 25.0, (0.5, 0.5), machine, f"s{clip}", "test",
                            {"procedure": "nerve"}))
        for index in range(2):
            number = len(images) + 1
            name = f"images/{number}.png"
            cv2.imwrite(str(folder / name), np.random.default_rng(number).integers(0, 99, (64, 64)).astype(np.uint8))
            images.append(Image(number, name, 64, 64, clip + 1, index, 40_000_000 * index, None, REGION, machine,
                                f"s{clip}", "test", Review.CONFIRMED, ("needle_tip",), difficulty={"hard": True}))
            if index:
                annotations.append(Annotation(len(annotations) + 1, number, 1, (26.0, 18.0, 8.0, 4.0), 32.0,
                                              keypoints=(30.0, 20.0, 2.0, 8.0, 4.0, 2.0)))
    info = Info("needle", "CC0-1.0", True, {"content": content, "name": folder.name})
    dataset = Dataset(info, tuple(videos), tuple(images), (Category(1, "needle_tip"),), tuple(annotations))
    save_dataset(dataset, folder)
    return dataset


@pytest.fixture
def data(tmp_path: Path) -> LabelledData:
    write_set(tmp_path / "made")
    return open_simulated_sets([tmp_path / "made"])[0]


def with_tip(clip: int, off_px: float | None, score: float = 0.8) -> JudgedFrame:
    labels = FrameLabels(True, (30.0, 20.0), (26.0, 18.0, 8.0, 4.0), axis=((8.0, 4.0), (30.0, 20.0)),
                         mm_per_px=(0.5, 0.5))
    answer = FrameAnswer() if off_px is None else FrameAnswer((30.0 + off_px, 20.0), score, 4.0)
    return JudgedFrame(clip, labels, answer, "AD"[clip % 2], "hard", 2 * clip + 2)


def without_tip(clip: int, score: float | None) -> JudgedFrame:
    answer = FrameAnswer() if score is None else FrameAnswer((12.0, 9.0), score, 4.0)
    return JudgedFrame(clip, FrameLabels(True, mm_per_px=(0.5, 0.5)), answer, "AD"[clip % 2], None, 2 * clip + 1)


def test_cases_are_sorted_by_how_they_went_and_the_worst_come_first(data: LabelledData) -> None:
    frames = (with_tip(0, 2.0), with_tip(0, 9.0), with_tip(2, 20.0), with_tip(1, None), with_tip(3, 6.0),
              without_tip(0, None), without_tip(1, 0.6), without_tip(3, 0.9))
    cases = judge_cases(Run("p", "m", None, frames, 0), data)
    assert [c.outcome for c in cases] == [
        Outcome.NEAR, Outcome.FAR, Outcome.FAR, Outcome.MISSED, Outcome.FAR, Outcome.SILENT, Outcome.ALARM,
        Outcome.ALARM,
    ]
    assert cases[2].error_mm == pytest.approx(10.0) and math.isnan(cases[3].error_mm)
    # The farthest of each machine, in turn; then the next.
    assert [c.error_mm for c in pick_cases(cases, Outcome.FAR, 9)] == pytest.approx([10.0, 3.0, 4.5])
    assert [c.frame.answer.score for c in pick_cases(cases, Outcome.ALARM, 1)] == [0.9]
    assert len(pick_cases(cases, Outcome.MISSED, 5)) == 1


def test_one_picture_a_clip(data: LabelledData) -> None:
    cases = judge_cases(Run("p", "m", None, tuple(with_tip(0, d) for d in (8.0, 30.0, 12.0)), 0), data)
    assert [c.error_mm for c in pick_cases(cases, Outcome.FAR, 5)] == pytest.approx([15.0])


def test_a_tile_shows_the_region_and_says_simulated(data: LabelledData) -> None:
    (case,) = judge_cases(Run("p", "m", None, (with_tip(1, 9.0),), 0), data)
    tile = make_case_tile(case)
    pixels = cv2.imread(str(data.folder / "images" / "4.png"), cv2.IMREAD_GRAYSCALE)
    assert np.array_equal(tile.picture, pixels[4:44, 8:56])
    assert tile.true_tip_px == (22.0, 16.0) and tile.tip_px == (31.0, 16.0) and tile.true_entry_px == (0.0, 0.0)
    assert tile.caption == ("4.5 mm off, score 0.80", "nerve, machine D, hard") and tile.origin == "simulated"
    sheet = draw_cases([case], "Some", ((Outcome.FAR, 5), (Outcome.ALARM, 5)))
    assert cv2.imdecode(np.frombuffer(sheet, np.uint8), cv2.IMREAD_COLOR).shape[1] > 1000
    assert len(sheet) < 400_000


def test_pictures_that_are_not_simulated_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dataset = write_set(tmp_path / "real", "real background, simulated needle")
    with pytest.raises(UserError, match="not simulated"):
        open_simulated_sets([tmp_path / "real"])
    recorded = replace(dataset, info=replace(dataset.info, simulated=False, more={"content": FULLY_SIMULATED}))
    save_dataset(recorded, tmp_path / "real")
    with pytest.raises(UserError, match="not simulated"):
        open_simulated_sets([tmp_path / "real"])
    out = str(tmp_path / "card")
    assert main(["models", "pictures", "needle-tip-ut", "--data", str(tmp_path / "real"), "--out", out]) == 2
    assert "not simulated" in capsys.readouterr().err
    assert main(["models", "pictures", "nobody", "--data", str(tmp_path / "real"), "--out", out]) == 2
    assert sorted(p.name for p in tmp_path.iterdir()) == ["real"]
