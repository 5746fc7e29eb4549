"""Frames of the poster study as columns, how they are split, and how a frame is changed to learn from it.

Splits are the poster's two and the one it lacks: Set 2 by frames, all frames at random, or whole videos. Frames of one
video that lie on both sides of a split by frames are near copies of each other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from puncta.core.errors import UserError
from puncta.formats.dataset import load_dataset, usable_images
from puncta.training.landmarks.data import FLAGS, Shot
from puncta.training.landmarks.study_videos import STORED_PX, store

TRANSVERSE = "transverse"
CROPS = ("left and right", "all sides", "top and bottom", "none")
"""The poster's four types."""
TURN_DEG = 15.0
CONTRAST = (0.75, 1.3)


@dataclass(frozen=True, slots=True, eq=False)
class Frames:
    """Frames, one row each.

    Attributes
    ----------
    pictures : ndarray of uint8, shape (n, S, S)
    flags : ndarray of int8, shape (n, 3)
    clip : ndarray of int
        Number of the video or clip.
    t_ns : ndarray of int
        Time in it [ns].
    machine : tuple of str
    maps : ndarray of uint8, shape (n, h, w), or None
        Where lit fluid and cord are.
    canal : ndarray, shape (n, 2), or None
        Middle of the canal where it is seen across [px of the picture]; NaN elsewhere.
    """

    pictures: NDArray[np.uint8]
    flags: NDArray[np.int8]
    clip: NDArray[np.int64]
    t_ns: NDArray[np.int64]
    machine: tuple[str, ...]
    maps: NDArray[np.uint8] | None = None
    canal: NDArray[np.float64] | None = None

    def take(self, rows: NDArray[np.int64]) -> Frames:
        """Some of the frames, in the order given."""
        return Frames(
            self.pictures[rows], self.flags[rows], self.clip[rows], self.t_ns[rows],
            tuple(self.machine[i] for i in rows), None if self.maps is None else self.maps[rows],
            None if self.canal is None else self.canal[rows],
        )


def frames_of_shots(shots: Sequence[Shot], step_ns: int, first_clip: int = 0, side: int = STORED_PX) -> Frames:
    """Lay shots out as columns; larger frames are made small."""

    def small(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        if frame.shape[0] == side:
            return frame
        return np.asarray(cv2.resize(frame, (side, side), interpolation=cv2.INTER_AREA), np.uint8)

    pictures = [small(np.asarray(f)) for s in shots for f in s.frames]
    maps = [np.asarray(m) for s in shots if s.maps is not None for m in s.maps]
    return Frames(
        np.stack(pictures), np.concatenate([s.flags for s in shots]),
        np.concatenate([np.full(len(s.frames), first_clip + k) for k, s in enumerate(shots)]),
        np.concatenate([np.arange(len(s.frames), dtype=np.int64) * step_ns for s in shots]),
        tuple(s.machine for s in shots for _ in s.frames), np.stack(maps) if len(maps) == len(pictures) else None,
        np.array([_canal(s, k, side) for s in shots for k in range(len(s.frames))]).reshape(-1, 2),
    )


def _canal(shot: Shot, index: int, side: int) -> tuple[float, float]:
    """Middle of what is lit of the canal in a picture across the spine [px]; NaN where there is none."""
    lit = None if shot.maps is None or shot.view != TRANSVERSE else np.argwhere(shot.maps[index] > 0)
    if lit is None or not len(lit):
        return math.nan, math.nan
    y, x = (float(v) for v in (lit.mean(axis=0) + 0.5) * side / shot.maps[index].shape[0] - 0.5)  # type: ignore[index]
    return x, y


def join(parts: Sequence[Frames]) -> Frames:
    """One after another; the clips' numbers must differ already."""
    maps, canals = [p.maps for p in parts], [p.canal for p in parts]
    return Frames(
        np.concatenate([p.pictures for p in parts]), np.concatenate([p.flags for p in parts]),
        np.concatenate([p.clip for p in parts]), np.concatenate([p.t_ns for p in parts]),
        tuple(m for p in parts for m in p.machine),
        None if any(m is None for m in maps) else np.concatenate([m for m in maps if m is not None]),
        None if any(c is None for c in canals) else np.concatenate([c for c in canals if c is not None]),
    )


def frames_of_dataset(path: Path, split: str, side: int = STORED_PX) -> Frames:
    """Read the frames of a Dataset v1 folder whose three flags are all known.

    Raises
    ------
    UserError
        The dataset cannot be read, a picture is missing, or no frame has the flags.
    """
    dataset = load_dataset(path)
    rows = [i for i in usable_images(dataset, split) if all(i.flags.get(name) is not None for name in FLAGS)]
    if not rows:
        raise UserError(f"The dataset {path} holds no frame with {', '.join(FLAGS)} in the split {split}.")
    rows.sort(key=lambda i: (i.video_id if i.video_id is not None else -i.id, i.frame_index, i.id))
    pictures, numbers = [], {}
    for image in rows:
        grey = cv2.imread(str(path / image.file_name), cv2.IMREAD_GRAYSCALE)
        if grey is None:
            raise UserError(f"The picture {image.file_name} of the dataset cannot be read; build the dataset again.")
        x0, y0, w, h = image.region or (0, 0, grey.shape[1], grey.shape[0])
        pictures.append(store(np.asarray(grey, np.uint8), (int(x0), int(y0), int(w), int(h)), side))
        numbers.setdefault(image.video_id if image.video_id is not None else -image.id - 1, len(numbers))
    clips = [numbers[i.video_id if i.video_id is not None else -i.id - 1] for i in rows]
    return Frames(
        np.stack(pictures), np.array([[int(i.flags[n] or 0) for n in FLAGS] for i in rows], np.int8),
        np.array(clips, np.int64), np.array([i.pts_ns or 0 for i in rows], np.int64),
        tuple(i.machine or "" for i in rows),
    )


@dataclass(frozen=True, slots=True)
class Split:
    """Which rows are learnt from and which are kept for judging; the poster's validation rows are in neither."""

    train: NDArray[np.int64]
    test: NDArray[np.int64]


def split_set2(frames: Frames, second: Sequence[str], percent: tuple[int, int, int], seed: int) -> Split:
    """Set 1 in training and validation (9 to 1), Set 2 by its frames in training, validation and test.

    Parameters
    ----------
    second : sequence of str
        Machines whose frames are Set 2.
    percent : (training, validation, test)
    """
    rng = np.random.default_rng([seed, 1])
    is_second = np.array([m in second for m in frames.machine])
    one, two = rng.permutation(np.flatnonzero(~is_second)), rng.permutation(np.flatnonzero(is_second))
    a, b = (round(len(two) * p / 100) for p in (percent[0], percent[0] + percent[1]))
    return Split(np.sort(np.concatenate([one[: round(0.9 * len(one))], two[:a]])), np.sort(two[b:]))


def split_frames(frames: Frames, test: float, seed: int) -> Split:
    """All frames at random: ``test`` of them for judging, a tenth for validation, the rest to learn from."""
    order = np.random.default_rng([seed, 2]).permutation(len(frames.clip))
    held, checked = round(test * len(order)), round(0.1 * len(order))
    return Split(np.sort(order[held + checked :]), np.sort(order[:held]))


def split_subjects(frames: Frames, seed: int) -> Split:
    """Whole videos: one of each machine for judging, one more for validation, the rest to learn from."""
    rng = np.random.default_rng([seed, 3])
    by_machine: dict[str, list[int]] = {}
    for clip, machine in zip(frames.clip.tolist(), frames.machine):
        own = by_machine.setdefault(machine, [])
        if clip not in own:
            own.append(clip)
    held = [clips[int(rng.integers(len(clips)))] for _machine, clips in sorted(by_machine.items())]
    left = sorted(set(frames.clip.tolist()) - set(held))
    if len(left) < 2:
        raise UserError("A split by whole videos needs two more videos than there are machines.")
    checked = left[int(rng.integers(len(left)))]
    return Split(
        np.flatnonzero(~np.isin(frames.clip, [*held, checked])), np.flatnonzero(np.isin(frames.clip, held))
    )


@dataclass(frozen=True, slots=True)
class Changes:
    """How frames are changed in training; the poster's, each of which may be left out.

    Attributes
    ----------
    keep : float
        Share of the extent that a crop keeps along the sides it cuts; 1 crops nothing.
    chance : float or None
        None draws one of the four types each time (our reading of "cropping (4 types) at random"); a number crops with
        this probability, by one of the three types that cut (the other reading).
    flip, turn, contrast : bool
        Mirror left to right and upside down; turn by up to 15 degrees; stretch contrast.
    """

    keep: float = 1.0
    chance: float | None = None
    flip: bool = False
    turn: bool = False
    contrast: bool = False


def draw_crop(rng: np.random.Generator, changes: Changes) -> tuple[float, float]:
    """Draw the shares (width, height) that a crop keeps."""
    if changes.keep >= 1.0:
        return 1.0, 1.0
    if changes.chance is None:
        kind = CROPS[int(rng.integers(4))]
    else:
        kind = CROPS[int(rng.integers(3))] if rng.random() < changes.chance else "none"
    width = changes.keep if kind in ("left and right", "all sides") else 1.0
    height = changes.keep if kind in ("top and bottom", "all sides") else 1.0
    return width, height


def change(
    rng: np.random.Generator, picture: NDArray[np.uint8], size: int, changes: Changes,
    canal: NDArray[np.float64] | None = None,
) -> NDArray[np.uint8]:
    """Return the picture as it is learnt from, ``size`` squared: cropped in its middle, turned, mirrored.

    A canal seen across stays as far from the middle as it was, whatever the turn: that distance is part of `quality`.

    Parameters
    ----------
    canal : ndarray, shape (2,), or None
        Its middle [px of ``picture``]; None or NaN where it is not seen across.
    """
    side = picture.shape[0]
    width, height = draw_crop(rng, changes)
    turn = math.radians(float(rng.uniform(-TURN_DEG, TURN_DEG))) if changes.turn else 0.0
    mirror = [1.0, 1.0]
    if changes.flip:
        mirror = [-1.0 if rng.random() < 0.5 else 1.0, -1.0 if rng.random() < 0.5 else 1.0]
    # From output pixels to stored ones, about the middles: cv2 asks for that direction with WARP_INVERSE_MAP.
    scale = np.diag([mirror[0] * width * side / size, mirror[1] * height * side / size])
    rotation = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    linear = rotation @ scale
    middle_in, middle_out = (side - 1) / 2, (size - 1) / 2
    warp = np.zeros((2, 3))
    warp[:, :2] = linear
    warp[:, 2] = middle_in - linear @ np.array([middle_out, middle_out])
    if turn and canal is not None and not np.isnan(canal).any():
        away = canal - middle_in
        # Where the canal lies in the output without the turn, less where it lies with it; across the picture alone.
        moved = float(away[0] / scale[0, 0] - np.linalg.solve(linear, away)[0])
        warp[:, 2] -= linear @ np.array([moved, 0.0])
    if side != size or turn or width < 1 or height < 1 or mirror != [1.0, 1.0]:
        picture = np.asarray(
            cv2.warpAffine(picture, warp, (size, size), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP), np.uint8
        )
    if changes.contrast:
        mean, gain = float(picture.mean()), float(rng.uniform(*CONTRAST))
        picture = np.clip((picture - mean) * gain + mean, 0, 255).astype(np.uint8)
    return picture


def as_shown(pictures: NDArray[np.uint8], size: int) -> NDArray[np.float32]:
    """Pictures as a network is judged on, (n, 1, size, size) of 0..1: nothing but the size is changed."""
    same = pictures.shape[1] == size
    small = pictures if same else [cv2.resize(p, (size, size), interpolation=cv2.INTER_LINEAR) for p in pictures]
    return (np.stack(list(small)).astype(np.float32) / 255.0)[:, None]

