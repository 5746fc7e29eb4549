"""A folder of plain COCO is trained on like one of this program."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

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

from puncta.training import data, study_folder  # noqa: E402
from puncta.training.landmarks import data as landmarks  # noqa: E402
from puncta.training.landmarks import study_run  # noqa: E402
from puncta.training.tracker import data as tracker  # noqa: E402
from puncta.training.tracker import study_clips  # noqa: E402


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


def test_studies_find_a_coco_folder(coco: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert study_folder.find_set(coco.name, coco.parent, None, lambda _told: None) == coco
    assert tracker.find_dataset(coco.name, coco.parent, tmp_path / "cache", lambda *_told: None) == coco
    seen: list[Path] = []
    monkeypatch.setattr(study_clips, "_make", lambda folder, *_rest: seen.append(folder))
    monkeypatch.setattr(study_clips, "_open", lambda _kept, name: name)
    assert study_clips.pack_dataset(coco, "train", 64, tmp_path / "cache") == "ward" and seen == [coco]
    study = SimpleNamespace(first=SimpleNamespace(stored_px=32))
    places = SimpleNamespace(sets=coco.parent, data=None, cache=tmp_path / "cache")
    monkeypatch.setattr(study_run, "frames_of_dataset", frames_of_four)
    assert len(study_run.set_frames(study, "ward", places).machine) == 4


def frames_of_four(_folder: Path, _split: str, side: int) -> SimpleNamespace:
    pictures = np.zeros((4, side, side), np.uint8)
    return SimpleNamespace(
        pictures=pictures, flags=np.zeros((4, 3)), clip=np.zeros(4), t_ns=np.arange(4), machine=("F",) * 4
    )
