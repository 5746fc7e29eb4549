"""A folder of plain COCO is trained on like one of this program."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from puncta.formats.dataset import (
    COCO_FILE,
    DATASET_FILE,
    NEEDLE_CATEGORY,
    TIP_CATEGORY,
    Category,
    Dataset,
    Image,
    Info,
    Review,
    Video,
    save_dataset,
)

pytest.importorskip("torch", reason="training needs PyTorch; install the train extra")

from puncta.training import data  # noqa: E402
from puncta.training.landmarks import data as landmarks  # noqa: E402


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """Four frames of a clip, in a folder whose file is named as COCO names it."""
    folder = tmp_path / "ward"
    rng = np.random.default_rng(1)
    images = []
    for k in range(4):
        name = f"{k}.png"
        folder.mkdir(exist_ok=True)
        cv2.imwrite(str(folder / name), rng.integers(20, 200, (96, 96)).astype(np.uint8))
        images.append(Image(
            k + 1, name, 96, 96, 1, k, k * 50_000_000, "", (0.0, 0.0, 96.0, 96.0), "F", "s1", "train", Review.CONFIRMED,
            (TIP_CATEGORY,), flags=dict.fromkeys(landmarks.FLAGS, 1),
        ))
    save_dataset(Dataset(
        Info("needle-tip", "not stated", False, {}), (Video(1, "clip", 20.0, None, "F", "s1", "train"),), tuple(images),
        (Category(1, TIP_CATEGORY), Category(2, NEEDLE_CATEGORY)), (),
    ), folder)
    (folder / DATASET_FILE).rename(folder / COCO_FILE)
    return folder


@pytest.mark.parametrize("build", [data.build_from_dataset, landmarks.build_from_dataset])
def test_clips_are_cut_of_a_coco_folder(build, coco: Path, tmp_path: Path) -> None:
    made = build(coco, None, tmp_path / "cache", lambda *_told: None)
    assert len(list(made.glob("*.json"))) == 1
