"""A site's dataset of bright growing lines, a base training of seconds, and the settings of a training of seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from puncta.formats.dataset import (
    NEEDLE_CATEGORY,
    TIP_CATEGORY,
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

SIDE = 96
TINY = {
    "data": {"clips": 3, "tune_clips": 3, "frames": 6},
    "model": {"widths": [8, 8, 8, 8, 8], "input": {"size": 64}},
    "training": {
        "samples": 64, "batch": 8, "length": 2, "threads": 1, "workers": 1, "stages": [], "checkpoint_every": 2,
        "bfloat16": False,
    },
}


def write_site(
    folder: Path, subjects: dict[str, str], clips: int = 2, frames: int = 20, every: int = 4, axis: bool = True,
    masks: bool = False,
) -> Path:
    """Write a dataset whose clips have a label on every ``every``-th frame, and the frames in between without one.

    Parameters
    ----------
    subjects : dict
        Subject to split. Of each subject's clips the last shows no needle.
    """
    videos, images, notes = [], [], []
    for subject, split in subjects.items():
        for k in range(clips):
            number = len(videos) + 1
            rng = np.random.default_rng(number)
            videos.append(Video(number, f"{subject}-{k}", 20.0, (0.4, 0.4), "F", subject, split))
            base = cv2.GaussianBlur(rng.integers(0, 120, (SIDE, SIDE)).astype(np.uint8), (0, 0), 1.5)
            start, way = np.array([0.0, float(rng.uniform(8, 40))]), np.array([1.0, float(rng.uniform(0.2, 0.7))])
            for i in range(frames):
                picture, tip = base.copy(), start + way * (14 + 2.0 * i)
                if k < clips - 1:
                    a, b = (tuple(int(round(v)) for v in p) for p in (start, tip))
                    cv2.line(picture, a, b, 220, 2)
                name = f"images/{number:03d}/{i:06d}.png"
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(folder / name), picture)
                told = i % every == 0
                image = Image(
                    len(images) + 1, name, SIDE, SIDE, number, i, i * 50_000_000, None, None, "F", subject, split,
                    Review.CONFIRMED if told else Review.UNSEEN, (TIP_CATEGORY, NEEDLE_CATEGORY) if told else (),
                )
                images.append(image)
                if told and k < clips - 1:
                    x, y = (float(v) for v in tip)
                    end = (float(start[0]), float(start[1]), 2.0) if axis else (0.0, 0.0, 0.0)
                    notes.append(Annotation(
                        len(notes) + 1, image.id, 1, (x - 4, y - 4, 8.0, 8.0), 64.0, 0, None, (x, y, 2.0, *end),
                        Visibility.CLEAR, "tester", "human",
                    ))
                    if masks:
                        (ax, ay), (bx, by) = (tuple(float(v) for v in p) for p in (start, tip))
                        ring = [ax, ay - 2, bx, by - 2, bx, by + 2, ax, ay + 2]
                        notes.append(Annotation(
                            len(notes) + 1, image.id, 2, (ax, ay - 2, bx - ax, by - ay + 4), 4 * (bx - ax), 0, [ring],
                            (x, y, 2.0, *end), Visibility.CLEAR, "tester", "human",
                        ))
    info = Info("needle-tip", "CC0-1.0", True, {"name": folder.name})
    dataset = Dataset(
        info, tuple(videos), tuple(images), (Category(1, TIP_CATEGORY), Category(2, NEEDLE_CATEGORY)), tuple(notes)
    )
    save_dataset(dataset, folder)
    return folder


def tiny(table: dict[str, Any], **changes: dict[str, Any]) -> dict[str, Any]:
    """Return an experiment's table with the settings of a training of seconds."""
    out = {**table}
    for source in (TINY, changes):
        for section, values in source.items():
            out[section] = {**out[section], **values}
    return out
