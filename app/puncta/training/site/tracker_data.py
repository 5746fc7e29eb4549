"""Clips and masks of a site's dataset for the tracker, also where only some frames are labelled."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from puncta.core.errors import UserError
from puncta.formats.dataset import NEEDLE_CATEGORY, annotations_by_image, load_dataset
from puncta.imaging.preprocess import resample_region
from puncta.metrics.mask import Plane
from puncta.metrics.mask_truth import mask_truth
from puncta.training.data import CACHE_SIZE, Report
from puncta.training.dataset_reading import build_labelled_clips, runs_by_name
from puncta.training.tracker.masks import (
    IN_PLANE,
    NONE,
    OFF_PLANE,
    UNKNOWN,
    MaskClip,
    load_mask_clips,
    masks_folder,
    save_masks,
)

_PLANES = {Plane.IN_PLANE: IN_PLANE, Plane.OUT_OF_PLANE: OFF_PLANE, Plane.NO_NEEDLE: NONE}
LEAST_FRAMES = 20
"""Labelled frames below which adapting is refused; a program asks for more."""


def build_labelled_masks(path: Path, split: str, cache: Path, report: Report) -> list[MaskClip]:
    """Cut the runs of a dataset's split and their masks into the cache; what nobody has labelled counts for nothing.

    Raises
    ------
    UserError
        The dataset cannot be read, or a picture is missing.
    """
    folder = build_labelled_clips(path, split, cache, report)
    target = masks_folder(folder)
    dataset = load_dataset(path)
    needle, found = dataset.category(NEEDLE_CATEGORY), annotations_by_image(dataset)
    runs = runs_by_name(dataset, split)
    for done, (name, images) in enumerate(runs.items(), start=1):
        if not (target / f"{name}.npz").exists():
            masks, plane = [], []
            for image in images:
                truth = mask_truth(image, found.get(image.id, ()), needle) if needle else None
                region = tuple(int(v) for v in image.region or (0, 0, image.width, image.height))
                mask = np.zeros((CACHE_SIZE, CACHE_SIZE), np.uint8)
                if truth is not None and truth.mask is not None:
                    whole = truth.mask.astype(np.uint8) * np.uint8(255)
                    mask = resample_region(whole, region, (CACHE_SIZE, CACHE_SIZE))[0]  # type: ignore[arg-type]
                masks.append(mask)
                plane.append(UNKNOWN if truth is None else _PLANES[truth.plane])
            save_masks(target, name, masks, plane)
        report("masks of the dataset", done, len(runs))
    return [clip for clip in load_mask_clips(folder) if (clip.plane != UNKNOWN).any()]


def told_frames(clips: list[MaskClip]) -> int:
    """Frames on which somebody has said where the needle is, or that there is none."""
    return int(sum((clip.plane != UNKNOWN).sum() for clip in clips))


def check_told(names: str, clips: list[MaskClip]) -> int:
    """Return the labelled frames; raises UserError where there are too few."""
    told = told_frames(clips)
    if told < LEAST_FRAMES:
        raise UserError(
            f"The dataset {names} has {told} frames of its split train with a needle's mask, or judged to show none; "
            f"label {LEAST_FRAMES} or more."
        )
    return told
