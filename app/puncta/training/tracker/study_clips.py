"""Clips with masks for the study of trackers: a dataset cut to one size and kept as a few arrays, and training windows.

The true mask is that of `puncta.metrics.mask_truth`: the whole needle while it lies in the image plane, also where it
fades. A kept set is made whole or not at all; the same dataset and size give the same arrays.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from puncta.core.errors import UserError
from puncta.formats.atomic import write_text_atomic
from puncta.formats.dataset import (
    NEEDLE_CATEGORY,
    TIP_CATEGORY,
    Dataset,
    Image,
    annotations_by_image,
    dataset_file,
    load_dataset,
    usable_images,
)
from puncta.imaging.preprocess import resample_region
from puncta.metrics.mask import Plane, hidden_runs
from puncta.metrics.mask_truth import mask_truth
from puncta.training.loop import Batch, ClipPool
from puncta.training.tracker.study_ours import hand_priors, motion_channels

PLANES = (Plane.NO_NEEDLE, Plane.IN_PLANE, Plane.OUT_OF_PLANE)
UNJUDGED = -1
LAYOUT = 1
"""Version of the kept arrays."""
FIRST_TRIES = 8
EMPTY_FIRST = 0.1
"""Share of training windows whose first frame may lack a needle; all others begin with one, as the paper's do."""
FORGET_FIRST = 0.4
"""Share of windows on which a row that can start by itself ("UNet + previous mask", ours) begins without a mask."""

Report = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, eq=False)
class Pack:
    """A set of clips at one size; frames of a clip stand one after another.

    Attributes
    ----------
    frames : ndarray of uint8, shape (N, S, S)
        The ultrasound region, stretched to a square.
    masks : ndarray of uint8, shape (N, S, S)
        1 where the needle lies, while it lies in the image plane.
    clip, index, image : ndarray of int, shape (N,)
        Number of the clip, of the frame in it, and of the picture in its dataset.
    plane : ndarray of int8, shape (N,)
        Place in `PLANES`; `UNJUDGED` where nobody has judged it.
    hidden : ndarray of int, shape (N,)
        For how many frames a needle seen before has not shown.
    tip_px, entry_px : ndarray, shape (N, 2)
        In pixels of the square; NaN where there is none.
    mm_per_px : ndarray, shape (clips, 2)
        Of the square's pixels; NaN where it is not known.
    fps : ndarray, shape (clips,)
    """

    name: str
    frames: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    clip: NDArray[np.intp]
    index: NDArray[np.intp]
    image: NDArray[np.intp]
    plane: NDArray[np.int8]
    hidden: NDArray[np.intp]
    tip_px: NDArray[np.float64]
    entry_px: NDArray[np.float64]
    mm_per_px: NDArray[np.float64]
    fps: NDArray[np.float64]

    @property
    def size(self) -> int:
        """Side of a frame [px]."""
        return int(self.frames.shape[1])

    @property
    def clips(self) -> int:
        """Number of clips."""
        return len(self.mm_per_px)

    def rows_of(self, clip: int) -> slice:
        """Where a clip's frames stand."""
        first, last = np.searchsorted(self.clip, [clip, clip + 1])
        return slice(int(first), int(last))

    def in_plane(self) -> NDArray[np.bool_]:
        """Frames with a true mask."""
        return self.plane == PLANES.index(Plane.IN_PLANE)


def pack_dataset(folder: Path, split: str, size: int, cache: Path, report: Report | None = None) -> Pack:
    """Return a split of a dataset at a size, kept in the cache.

    Raises
    ------
    UserError
        The dataset cannot be read, a picture is missing, or the split is empty.
    """
    file = dataset_file(folder)
    if not file.is_file():
        raise UserError(f"There is no dataset in {folder}; build it first.")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()[:12]
    kept = cache / f"masks-{digest}-{split}-{size}-{LAYOUT}"
    if not (kept / "columns.npz").is_file():
        _make(folder, split, size, kept, report or (lambda _done, _total: None))
    return _open(kept, folder.name)


def _open(kept: Path, name: str) -> Pack:
    with np.load(kept / "columns.npz") as held:
        columns = {key: held[key] for key in held.files}
    frames, masks = (np.load(kept / f"{key}.npy", mmap_mode="r") for key in ("frames", "masks"))
    return Pack(name=name, frames=frames, masks=masks, **columns)


def _make(folder: Path, split: str, size: int, kept: Path, report: Report) -> None:
    dataset = load_dataset(folder)
    clips: dict[int, list[Image]] = {}
    for image in usable_images(dataset, split):
        if image.video_id is not None:
            clips.setdefault(image.video_id, []).append(image)
    total = sum(map(len, clips.values()))
    if not total:
        raise UserError(f"The dataset {folder.name} has no clip in its split {split}.")
    work = kept.with_name(f".{kept.name}.{os.getpid()}")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        frames = np.lib.format.open_memmap(work / "frames.npy", "w+", np.uint8, (total, size, size))
        masks = np.lib.format.open_memmap(work / "masks.npy", "w+", np.uint8, (total, size, size))
        columns = _fill(dataset, folder, list(clips.values()), frames, masks, report)
        frames.flush()
        masks.flush()
        np.savez_compressed(work / "columns.npz", **columns)  # type: ignore[arg-type]
        write_text_atomic(work / "about.json", json.dumps({"dataset": folder.name, "split": split, "size": size}))
        shutil.rmtree(kept, ignore_errors=True)
        os.replace(work, kept)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _fill(
    dataset: Dataset, root: Path, clips: Sequence[list[Image]], frames: NDArray[np.uint8], masks: NDArray[np.uint8],
    report: Report,
) -> dict[str, NDArray[Any]]:
    size = frames.shape[1]
    notes = annotations_by_image(dataset)
    by_name = {c.name: c for c in dataset.categories}
    videos = {v.id: v for v in dataset.videos}
    rows: dict[str, list[Any]] = {k: [] for k in ("clip", "index", "image", "plane", "hidden", "tip_px", "entry_px")}
    scales, rates = [], []
    at = 0
    for number, images in enumerate(clips):
        images.sort(key=lambda i: (i.frame_index, i.id))
        shows: list[bool | None] = []
        scale = (1.0, 1.0)
        for image in images:
            picture = cv2.imread(str(root / image.file_name), cv2.IMREAD_GRAYSCALE)
            if picture is None:
                raise UserError(f"The picture {image.file_name} of the dataset cannot be read; build it again.")
            x0, y0, w, h = (int(v) for v in (image.region or (0, 0, picture.shape[1], picture.shape[0])))
            frames[at], mapping = resample_region(picture, (x0, y0, w, h), (size, size))
            scale = mapping.scale
            found = notes.get(image.id, ())
            truth = mask_truth(image, found, by_name[NEEDLE_CATEGORY])
            shows.append(truth.shows if truth else None)
            masks[at] = 0
            plane = UNJUDGED if truth is None else PLANES.index(truth.plane)
            if truth is not None and truth.mask is not None:
                cut = truth.mask[y0 : y0 + h, x0 : x0 + w].astype(np.float32)
                masks[at] = cv2.resize(cut, (size, size), interpolation=cv2.INTER_AREA) >= 0.5
                if not masks[at].any():
                    # A mask thinner than a pixel of this size: nobody can be asked for it.
                    plane = UNJUDGED
            tip = next((a for a in found if a.category_id == by_name[TIP_CATEGORY].id), None)
            nowhere = (np.nan, np.nan)
            points = [tip.tip_px or nowhere, tip.entry_px or nowhere] if tip else [nowhere, nowhere]
            tip_px, entry_px = mapping.model_from_image(np.array(points))
            for key, value in zip(rows, (number, image.frame_index, image.id, plane, 0, tip_px, entry_px), strict=True):
                rows[key].append(value)
            at += 1
        rows["hidden"][-len(images) :] = hidden_runs(shows)
        video = videos.get(images[0].video_id) if images[0].video_id is not None else None
        mm = video.mm_per_px if video else None
        scales.append((np.nan, np.nan) if mm is None else (mm[0] / scale[0], mm[1] / scale[1]))
        rates.append(float(video.fps) if video and video.fps else np.nan)
        report(number + 1, len(clips))
    kinds = {"plane": np.int8, "tip_px": np.float64, "entry_px": np.float64}
    out: dict[str, NDArray[Any]] = {k: np.array(v, kinds.get(k, np.intp)) for k, v in rows.items()}
    return {**out, "mm_per_px": np.array(scales, np.float64), "fps": np.array(rates, np.float64)}


def standardise(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Grey frames (..., S, S) with zero mean and about unit spread each: gain and machine count less so."""
    values = frames.astype(np.float32)
    mean = values.mean((-2, -1), keepdims=True)
    return (values - mean) / (values.std((-2, -1), keepdims=True) + 8.0)


@dataclass(frozen=True, slots=True)
class ClipInput:
    """What a network gets of some clips.

    Attributes
    ----------
    images : Tensor, shape (B, T, S, S)
        Standardised; of a row that takes motion channels (B, T, channels, S, S).
    first_mask : Tensor, shape (B, S, S)
        True mask of the first frame.
    forget : Tensor of bool, shape (B,)
        Clips on which a network that starts by itself gets no first mask.
    priors : Tensor or None, shape (B, T, S, S)
        What ours is handed on each frame; see `hand_priors`.
    """

    images: Tensor
    first_mask: Tensor
    forget: Tensor
    priors: Tensor | None = None


@dataclass(frozen=True, slots=True)
class ClipTargets:
    """True masks (B, T - 1, S, S) of the frames after the first, and weights (B, T - 1): 0 where none is right."""

    masks: Tensor
    weights: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """A training clip: standardised frames, masks and weights of all its frames; see `ClipInput` for the others."""

    images: NDArray[np.float32]
    masks: NDArray[np.float32]
    weights: NDArray[np.float32]
    forget: bool
    priors: NDArray[np.float32] | None = None


class WindowPool(ClipPool):
    """Draws the frames of sample number i: a function of the seed and i alone, the same for every row of a study.

    Parameters
    ----------
    gaps : (int, int)
        Least and most frames from one frame of a window to the next.
    """

    def __init__(self, pack: Pack, length: int, gaps: tuple[int, int], seed: int) -> None:
        self.pack, self.length, self.gaps, self.seed = pack, length, gaps, seed
        self._clips = [pack.rows_of(c) for c in range(pack.clips)]
        self._clips = [rows for rows in self._clips if rows.stop - rows.start > (length - 1) * gaps[0]]
        if not self._clips:
            raise UserError(f"No clip of {pack.name} is long enough for {length} frames {gaps[0]} apart.")
        self._with = pack.in_plane()

    def draw(self, number: int) -> tuple[Any, np.random.Generator]:
        """Rows of sample ``number``, shape (length,), in the order they are shown, and the generator that goes on."""
        rng = np.random.default_rng([self.seed, number])
        any_first = rng.random() < EMPTY_FIRST
        rows = self._window(rng)
        for _ in range(FIRST_TRIES * 4):
            if any_first or self._with[rows[0]]:
                break
            rows = self._window(rng)
        return rows, rng

    def _window(self, rng: np.random.Generator) -> NDArray[np.intp]:
        clip = self._clips[int(rng.integers(len(self._clips)))]
        frames = clip.stop - clip.start
        steps = rng.integers(self.gaps[0], self.gaps[1] + 1, self.length - 1)
        while int(steps.sum()) >= frames:
            # Shorten the longest step until the window fits the clip.
            steps[int(steps.argmax())] -= 1
        rows = clip.start + int(rng.integers(frames - int(steps.sum()))) + np.concatenate([[0], np.cumsum(steps)])
        return rows[::-1].copy() if rng.random() < 0.5 else rows


def make_window(
    pack: Pack, rows: NDArray[np.intp], rng: np.random.Generator, augment: bool, ours: bool = False
) -> Window:
    """Frames and masks of a window; looks and place are changed alike on all its frames.

    Parameters
    ----------
    ours : bool
        Give motion channels of the window's own frames in place of the frames, and what ours is handed on each.
    """
    frames, masks = np.array(pack.frames[rows]), np.array(pack.masks[rows])
    weights = np.isin(pack.plane[rows], [0, 1]).astype(np.float32)
    forget = bool(rng.random() < FORGET_FIRST)
    if augment:
        frames, masks = _change_place(frames, masks, rng)
        frames = _change_looks(frames, rng)
    if ours:
        # Drawn last, so that the clip is the one that every other row gets.
        priors = hand_priors(rng, masks, forget)
        return Window(motion_channels(frames), masks.astype(np.float32), weights, forget, priors)
    return Window(standardise(frames), masks.astype(np.float32), weights, forget)


def _change_place(
    frames: NDArray[np.uint8], masks: NDArray[np.uint8], rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    size = frames.shape[1]
    middle = (size - 1) / 2
    turn = cv2.getRotationMatrix2D((middle, middle), float(rng.uniform(-8, 8)), float(rng.uniform(0.85, 1.2)))
    turn[:, 2] += rng.uniform(-0.06, 0.06, 2) * size
    if rng.random() < 0.5:
        turn = turn @ np.array([[-1.0, 0.0, size - 1.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    out = [cv2.warpAffine(f, turn, (size, size), flags=cv2.INTER_LINEAR) for f in frames]
    moved = [cv2.warpAffine(m * 255, turn, (size, size), flags=cv2.INTER_LINEAR) for m in masks]
    return np.stack(out), (np.stack(moved) >= 128).astype(np.uint8)


def _change_looks(frames: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    gamma, gain = float(rng.uniform(0.7, 1.4)), float(rng.uniform(0.8, 1.2))
    table = 255 * gain * (np.arange(256) / 255.0) ** gamma
    noise = float(rng.uniform(0, 6)) if rng.random() < 0.5 else 0.0
    values = table.astype(np.float32)[frames]
    if noise:
        values = values + rng.standard_normal(frames.shape, dtype=np.float32) * noise
    return np.asarray(np.clip(values, 0, 255), np.uint8)


def stack_windows(windows: Sequence[Window]) -> Batch:
    """Stack windows into a batch."""
    images = torch.from_numpy(np.stack([w.images for w in windows]))
    masks = torch.from_numpy(np.stack([w.masks for w in windows]))
    weights = torch.from_numpy(np.stack([w.weights for w in windows]))
    # The loop carries one value into the network and one to the loss, whatever they are made of.
    forget = torch.tensor([w.forget for w in windows])
    handed = [w.priors for w in windows if w.priors is not None]
    priors = torch.from_numpy(np.stack(handed)) if handed else None
    return Batch(ClipInput(images, masks[:, 0], forget, priors), ClipTargets(masks[:, 1:], weights[:, 1:]))  # type: ignore[arg-type]
