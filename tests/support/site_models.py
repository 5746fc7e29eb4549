"""A site's dataset, its trainings as their processes leave them on the disk, and a model made there."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import tomli_w

from puncta import paths
from puncta.formats.dataset import save_dataset
from puncta.formats.dataset_values import Annotation, Category, Dataset, Image, Info, Review, Video
from puncta.metrics.intervals import Estimate
from puncta.session.model_comparison import ComparedFigure, Comparison

EDGE = 64
TIP = Category(1, "needle_tip")


def make_dataset(name: str, subjects: int, frames: int, *, stated: bool = False, machine: str = "F") -> Path:
    """Write a dataset of this user: clips of speckle with a bright spot at the tip, one clip a subject."""
    folder = paths.user_data_dir() / "datasets" / name
    (folder / "images").mkdir(parents=True)
    videos, images, annotations = [], [], []
    sides = ["test", "tune", *["train"] * subjects]
    for subject in range(subjects):
        split = sides[subject] if stated else None
        who = f"site-{subject + 1}"
        videos.append(Video(subject + 1, f"clip {who}", 25.0, (0.2, 0.2), machine, who, split))
        for index in range(frames):
            rng = np.random.default_rng(subject * 1000 + index)
            picture = rng.integers(20, 60, (EDGE, EDGE)).astype(np.uint8)
            x, y = 12 + index % 40, 20 + subject
            picture[y - 1 : y + 2, x - 1 : x + 2] = 250
            file = f"images/{who}-{index:03d}.png"
            cv2.imwrite(str(folder / file), picture)
            number = len(images) + 1
            images.append(
                Image(
                    number, file, EDGE, EDGE, subject + 1, index, 40_000_000 * index, None, (0, 0, EDGE, EDGE),
                    machine, who, split, Review.CONFIRMED, ("needle_tip",),
                )
            )
            annotations.append(
                Annotation(
                    number, number, 1, (x - 3.0, y - 1.5, 6.0, 3.0), 18.0,
                    keypoints=(float(x), float(y), 2.0, 0.0, 0.0, 0.0),
                )
            )
    info = Info("needle", "CC0-1.0", True)
    save_dataset(Dataset(info, tuple(videos), tuple(images), (TIP,), tuple(annotations)), folder)
    return folder


def leave_training(
    job: str, state: str, *, name: str, model: str = "needle-tip-site 1", data: str = "", **facts: object
) -> Path:
    """Write what a training's process has left: its record, the log and the pictures of a shipped training."""
    folder = paths.user_data_dir() / "trainings" / job
    out = folder / "training"
    out.mkdir(parents=True)
    record = {
        "version": 1, "id": job, "name": name, "recipe": "tip_site", "plugin": "needle-tip",
        "base": "needle-tip-ut 0.5", "data": data, "model": model, "created_utc": "2026-11-21T09:30:00Z",
        "state": state, "stage": "training", "done": 2400.0, "total": 4000.0, "unit": "samples", "message": "",
        "spent_s": 312.0, **facts,
    }
    (folder / "job.json").write_text(json.dumps(record), encoding="utf-8")
    run = paths.models_dir() / "runs" / "needle-tip-ut-0.5"
    lines = (run / "log.jsonl").read_text(encoding="utf-8").splitlines()
    (out / "log.jsonl").write_text("\n".join(lines[:60]) + "\n", encoding="utf-8")
    if (run / "validation.png").exists():
        shutil.copy(run / "validation.png", out / "validation.png")
    return folder


def register_site_model(version: str = "1", more: bytes = b"") -> str:
    """Register a copy of the shipped tip model, with ``more`` at its end, as one made here; return its identity."""
    import hashlib
    import tomllib

    shipped = tomllib.loads((paths.models_dir() / "registry.toml").read_text(encoding="utf-8"))["models"]
    entry = next(m for m in shipped if m["plugin"] == "needle-tip" and m.get("default"))
    home = paths.user_data_dir() / "models"
    home.mkdir(parents=True, exist_ok=True)
    old = paths.models_dir()
    made = {**entry, "id": "needle-tip-site", "version": version, "default": False, "card": f"site-{version}.md"}
    made.pop("variants", None)
    if more:
        made["file"] = f"site-{version}.onnx"
    data = (old / entry["file"]).read_bytes() + more
    (home / made["file"]).write_bytes(data)
    made["sha256"] = hashlib.sha256(data).hexdigest()
    (home / made["card"]).write_text("# needle-tip-site\n\nA model of one site, for tests.\n", encoding="utf-8")
    file = home / "registry.toml"
    table = tomllib.loads(file.read_text(encoding="utf-8")) if file.exists() else {"version": 1, "models": []}
    table["models"].append(made)
    file.write_text(tomli_w.dumps(table), encoding="utf-8")
    return f"needle-tip-site {version}"


def compared(name: str, title: str, unit: str, better: str, old: float, new: float, half: float) -> ComparedFigure:
    """A figure of two models whose difference has an interval of this half width."""
    change = new - old
    way = change if better == "higher" else -change
    verdict = "better" if way - half > 0 else "worse" if way + half < 0 else "no clear difference"
    told = [Estimate(x, x - half, x + half, 400) for x in (old, new, change)]
    return ComparedFigure(name, title, unit, better, *told, verdict)


def some_comparison(old: str = "needle-tip-ut 0.5", new: str = "needle-tip-site 1") -> Comparison:
    """A comparison in which one figure is better, one worse, and others say nothing."""
    rows = (
        compared("tip_within_2mm", "Tip within 2 mm", "share", "higher", 0.641, 0.743, 0.048),
        compared("miss_rate", "Missed tips", "share", "lower", 0.312, 0.228, 0.04),
        compared("false_alarm_rate", "False alarms", "share", "lower", 0.004, 0.031, 0.015),
        compared("tip_error_mm", "Tip error, median", "mm", "lower", 0.16, 0.15, 0.04),
    )
    machines = {"F": rows, "G": rows[:2]}
    notes = ("Everything here is simulated: the figures say nothing about real scanners or patients.",)
    files = ("a" * 64, "b" * 64)
    return Comparison("needle-tip", old, new, *files, "site", "test", 412, 9, 3, rows, True, machines, notes)
