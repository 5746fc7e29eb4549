"""What tests of trainings share: a dataset of a site, a stand-in for the training process, and jobs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from retrain_stage import STAND_IN, make_jobs

from puncta.formats.dataset import (
    TIP_CATEGORY,
    Category,
    Dataset,
    Image,
    Info,
    Review,
    Video,
    save_dataset,
)
from puncta.session import retrain, retrain_plans
from puncta.session.retrain import RetrainJobs


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A dataset of 70 labelled frames of three subjects; its pictures are never looked at."""
    videos, images = [], []
    for n, split in enumerate(("train", "tune", "test"), 1):
        videos.append(Video(n, f"v{n}", 20.0, None, "F", f"s{n}", split))
        for i in range(70 if split == "train" else 5):
            images.append(Image(
                len(images) + 1, f"images/{n}/{i}.png", 64, 64, n, i, i, None, None, "F", f"s{n}", split,
                Review.CONFIRMED, (TIP_CATEGORY,),
            ))
    info = Info("needle-tip", "CC0-1.0", True)
    save_dataset(Dataset(info, tuple(videos), tuple(images), (Category(1, TIP_CATEGORY),)), tmp_path / "sets" / "here")
    return tmp_path / "sets" / "here"


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "stand_in.py"
    script.write_text(STAND_IN, encoding="utf-8")
    real = retrain_plans.command_of

    def command(*args: object) -> list[str]:
        words = real(*args)
        plain = [w for w in words[4:] if w != "--resume"]
        return [sys.executable, str(script), *plain]

    monkeypatch.setattr(retrain, "command_of", command)
    monkeypatch.setattr(retrain_plans.importlib.util, "find_spec", lambda _name: object())


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[RetrainJobs]:
    made = make_jobs(tmp_path)
    yield made
    made.close()
