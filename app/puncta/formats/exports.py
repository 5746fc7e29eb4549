"""Tells by its files what kind of labels a folder holds: our own exports, and what CVAT and labelme write."""

from __future__ import annotations

from pathlib import Path

from puncta.formats.dataset import COCO_FILE, DATASET_FILE

CVAT_FILE = "annotations.xml"
FRAMES_TABLE = "frames.csv"
"""In exports whose own files cannot hold frame keys."""
YOLO_FILE = "data.yaml"
LABELS_TABLE = "labels.csv"

WRITTEN_ONLY = ("csv", "mot", "yolo", "masks")
"""Kinds that are written for other programs and not read back."""


def kind_of_labels(folder: Path) -> str | None:
    """Return the kind of the labels in a folder: dataset, coco, cvat, yolo, mot, masks, csv or labelme, or None."""
    for name, kind in ((DATASET_FILE, "dataset"), (COCO_FILE, "coco"), (CVAT_FILE, "cvat"), (YOLO_FILE, "yolo")):
        if (folder / name).is_file():
            return kind
    if (folder / FRAMES_TABLE).is_file() and (folder / "masks").is_dir():
        return "masks"
    if any(folder.glob("*/gt/gt.txt")) or (folder / "gt" / "gt.txt").is_file():
        return "mot"
    if (folder / LABELS_TABLE).is_file():
        return "csv"
    return "labelme" if any(folder.glob("*.json")) else None
