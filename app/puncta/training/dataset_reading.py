"""Clips of a labelled dataset as the tip network learns from them, also where only some frames are labelled.

A frame without a confirmed label is history and nothing else: it says neither that there is a tip nor that there is
none. Frames that do not follow one another in time make clips of their own, so that nothing moves that has not moved.
A tip whose axis nobody drew is kept; its direction is not asked for.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from puncta.core.errors import UserError
from puncta.formats.dataset import (
    NEEDLE_CATEGORY,
    TIP_CATEGORY,
    Annotation,
    Dataset,
    Image,
    annotations_by_image,
    dataset_file,
    is_judged,
    load_dataset,
)
from puncta.training.data import JUDGED, Report, save_clip, square_cine
from puncta.training.synthesis import Cine

SOURCE = "dataset"
GAP = 1.6
"""Frames further apart than so many usual intervals do not follow one another."""
MOST_FRAMES = 400
"""A longer run is cut into clips of so many frames."""


def runs_of(images: Sequence[Image], fps: float | None = None) -> list[list[Image]]:
    """Divide a clip's frames, in any order, into runs that follow one another in time.

    Parameters
    ----------
    fps : float or None
        Rate of the clip [1/s]; where it is not known, the commonest distance of two frames is taken for the usual one.
    """
    ordered = sorted(images, key=lambda i: (i.frame_index, i.pts_ns, i.id))
    if len(ordered) < 2:
        return [ordered] if ordered else []
    timed = fps is not None and fps > 0 and all(b.pts_ns > a.pts_ns for a, b in zip(ordered, ordered[1:]))
    places = [i.pts_ns if timed else i.frame_index for i in ordered]
    steps = [b - a for a, b in zip(places, places[1:])]
    if timed and fps is not None:
        usual = 1e9 / fps
    else:
        counted = Counter(s for s in steps if s > 0)
        usual = float(min(counted, key=lambda s: (-counted[s], s), default=1))
    runs = [[ordered[0]]]
    for image, step in zip(ordered[1:], steps):
        if step > GAP * usual or len(runs[-1]) >= MOST_FRAMES:
            runs.append([])
        runs[-1].append(image)
    return runs


def runs_by_name(dataset: Dataset, split: str | None) -> dict[str, list[Image]]:
    """Return the runs of a split by the name of their clip, those with no confirmed label of anything left out."""
    clips: dict[int, list[Image]] = {}
    for image in dataset.images:
        if split is None or image.split == split:
            # A picture that belongs to no clip is a clip of one frame.
            clips.setdefault(image.video_id if image.video_id is not None else -image.id - 1, []).append(image)
    rates = {v.id: v.fps for v in dataset.videos}
    out: dict[str, list[Image]] = {}
    for number, images in sorted(clips.items()):
        runs = runs_of(images, rates.get(number))
        for k, run in enumerate(runs):
            name = f"{number:07d}" if number >= 0 else f"still-{-number - 1:07d}"
            out[name if len(runs) == 1 else f"{name}-{k:04d}"] = run
    return {name: run for name, run in out.items() if any(is_judged(i, n) for i in run for n in i.labelled)}


def build_labelled_clips(path: Path, split: str | None, cache: Path, report: Report) -> Path:
    """Cut the runs of a dataset's split into the cache; return their folder.

    Raises
    ------
    UserError
        The dataset cannot be read, or a picture is missing.
    """
    path = Path(path)
    dataset = load_dataset(path)
    head = hashlib.sha256(dataset_file(path).read_bytes()).hexdigest()[:12]
    folder = cache / f"labelled-{head}-{split or 'all'}"
    root = path if path.is_dir() else path.parent
    runs = runs_by_name(dataset, split)
    notes = annotations_by_image(dataset)
    for done, (name, images) in enumerate(runs.items(), start=1):
        if not (folder / f"{name}.json").exists():
            save_clip(folder, name, SOURCE, images[0].machine or "", _cine(dataset, notes, root, images))
        report("clips of the dataset", done, len(runs))
    return folder


def _cine(dataset: Dataset, notes: dict[int, tuple[Annotation, ...]], root: Path, images: list[Image]) -> Cine:
    ids = {c.name: c.id for c in dataset.categories}
    frames: list[NDArray[np.uint8]] = []
    boxes: list[tuple[int, int, int, int]] = []
    tips, entries, judged = [], [], []
    for image in images:
        picture = cv2.imdecode(np.fromfile(root / image.file_name, dtype=np.uint8), cv2.IMREAD_GRAYSCALE)
        if picture is None:
            raise UserError(f"The picture {image.file_name} of the dataset cannot be read; build the dataset again.")
        found = notes.get(image.id, ())
        tip = next((a for a in found if a.category_id == ids.get(TIP_CATEGORY)), None)
        needle = next((a for a in found if a.category_id == ids.get(NEEDLE_CATEGORY)), None)
        frames.append(picture)
        x0, y0, w, h = image.region or (0, 0, picture.shape[1], picture.shape[0])
        boxes.append((int(x0), int(y0), int(w), int(h)))
        tips.append(_tip_of(tip))
        entries.append(next((a.entry_px for a in (needle, tip) if a and a.entry_px), None))
        seen = JUDGED.get(str(tip.visibility), 1) if tip else 0
        judged.append(seen if is_judged(image, TIP_CATEGORY) else -1)
    video = next((v for v in dataset.videos if v.id == images[0].video_id), None)
    mm = video.mm_per_px if video else None
    return square_cine(frames, boxes, tips, entries, judged, mm, need_axis=False)


def _tip_of(tip: Annotation | None) -> tuple[float, float] | None:
    """The tip's place; of one that was drawn as a box alone its middle, as where it is judged."""
    if tip is None or tip.tip_px is not None or tip.bbox is None:
        return None if tip is None else tip.tip_px
    x0, y0, w, h = tip.bbox
    return (x0 + w / 2, y0 + h / 2)


def labelled_frames(folder: Path) -> tuple[int, int]:
    """Return how many frames of a cache of clips are judged for a tip, and how many are there without a label."""
    told = between = 0
    for path in sorted(folder.glob("[!.]*.json")):
        judged = json.loads(path.read_text(encoding="utf-8"))["judged"]
        told += sum(v >= 0 for v in judged)
        between += sum(v < 0 for v in judged)
    return told, between
