"""True masks beside cached clips: of a dataset from its labels, of simulated clips worked out again from their seeds.

The caches of clips (`puncta.training.data`) hold pictures and tips, for the tip network needs no more. A clip's masks
lie in a folder beside its cache. For simulated clips only what moves is played again, without drawing a picture: the
same specification gives the same motion, so the masks lie exactly on the needles of the cached pictures.

A mask is the whole needle in the image plane, as `puncta.metrics.mask_truth` has it: a tracker is asked where the
needle is, also where it fades.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from puncta.formats.dataset import NEEDLE_CATEGORY, Image, annotations_by_image, load_dataset, usable_images
from puncta.imaging.preprocess import Box, resample_region
from puncta.metrics.mask import Plane
from puncta.metrics.mask_truth import mask_truth
from puncta.sim.cine import CineGenerator
from puncta.sim.composite import CompositeGenerator
from puncta.sim.composite_stills import list_stills, read_still, stills_of_split
from puncta.sim.composite_truth import outline, polygon_mask
from puncta.sim.composite_truth import seen_part as seen_in_still
from puncta.sim.controls import STILL
from puncta.sim.echo import place_in_picture
from puncta.sim.frame_view import FrameView
from puncta.sim.truth import IN_PLANE_WEIGHT
from puncta.sim.truth_scene import seen_part
from puncta.training.data import (
    CACHE_SIZE,
    SIMULATED_SIZES_PX,
    Clip,
    Report,
    SimulatorSpec,
    background_stills,
    load_clips,
)
from puncta.training.steady import SteadyCineSpec, compose_clip
from puncta.training.still_cines import SIZES_PX, StillCineSpec

IN_PLANE, NONE, OFF_PLANE, UNKNOWN = 1, 0, -1, -2
"""Where the needle is on a frame: in the plane, not in the picture, off the plane, or nobody has said."""
Coverage = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class MaskClip:
    """A cached clip and its masks.

    Attributes
    ----------
    clip : Clip
    path : Path or None
        Where the masks lie; None where there is no needle at all.
    plane : ndarray of int8, shape (T,)
    """

    clip: Clip
    path: Path | None
    plane: NDArray[np.int8]

    def masks(self, numbers: Sequence[int]) -> Coverage:
        """Coverage by the needle of some frames, 0..255, shape (n, S, S)."""
        side = self.clip.frames.shape[1]
        if self.path is None or not (self.plane[list(numbers)] == IN_PLANE).any():
            return np.zeros((len(numbers), side, side), np.uint8)
        with np.load(self.path) as file:
            return file["masks"][list(numbers)]


def needle_free(clips: Sequence[Clip]) -> list[MaskClip]:
    """Clips of a cache in which no frame shows a needle."""
    return [MaskClip(c, None, np.zeros(len(c.frames), np.int8)) for c in clips if not (c.judged != 0).any()]


def masks_folder(cache: Path) -> Path:
    """Folder of the masks of a cache of clips."""
    return cache.with_name(cache.name + "-masks")


def load_mask_clips(cache: Path, most: int | None = None) -> list[MaskClip]:
    """Return the clips of a cache that have masks, in the order of their names."""
    folder, out = masks_folder(cache), []
    for clip in load_clips(cache)[:most]:
        path = folder / f"{clip.name}.npz"
        if path.exists():
            with np.load(path) as file:
                plane = file["plane"]
            out.append(MaskClip(clip, path if (plane == IN_PLANE).any() else None, plane))
    return out


def save_masks(folder: Path, name: str, masks: Sequence[Coverage], plane: Sequence[int]) -> None:
    """Write a clip's masks, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{name}.{os.getpid()}.npz"
    np.savez_compressed(temporary, masks=np.stack(masks), plane=np.array(plane, np.int8))
    os.replace(temporary, folder / f"{name}.npz")


def _squared(mask: NDArray[np.bool_], region: Box) -> Coverage:
    return resample_region(mask.astype(np.uint8) * np.uint8(255), region, (CACHE_SIZE, CACHE_SIZE))[0]


class _Played(CineGenerator):
    """A simulated cine of which nothing is drawn: where its needle is, frame by frame."""

    def next_mask(self) -> tuple[Coverage, int]:
        """Move on by a frame; the needle's coverage of the square and where it is."""
        self._step(STILL)
        state, scene = self.state, self.scene
        at = None
        if state.needle is not None and self.needle is not None:
            at = place_in_picture(state.needle, state.probe, scene.plane, scene.delay, self.machine)
        found = np.zeros((CACHE_SIZE, CACHE_SIZE), np.uint8), NONE
        if at is not None and at.inside.any():
            seen = seen_part(at)
            near = bool(seen.sum() >= 3) or bool(at.weight[-1] >= IN_PLANE_WEIGHT)
            where = (IN_PLANE if near else OFF_PLANE) if at.inside[-1] else (UNKNOWN if seen.any() else NONE)
            if where == IN_PLANE:
                mask = self.maps.physical_mask(FrameView(state, scene.delay, at))
                found = _squared(mask, self.scan.layout.region), where
            else:
                found = found[0], where
        self._advance()
        return found


def build_simulator_masks(spec: SimulatorSpec, folder: Path, report: Report, part: tuple[int, int] = (0, 1)) -> Path:
    """Work out the masks that a cache of `puncta.training.data.build_simulated` lacks.

    Parameters
    ----------
    folder : Path
        Where the clips lie.
    part : (k, n)
        Only every n-th clip from the k-th on.
    """
    target = masks_folder(folder)
    mixes = [(m, p) for m in spec.machines for p in spec.procedures]
    for k in range(part[0], spec.clips, part[1]):
        name = f"{k:05d}"
        if not (target / f"{name}.npz").exists():
            machine, procedure = mixes[k % len(mixes)]
            # The draws of `build_simulated`, in its order.
            rng = np.random.default_rng([spec.seed, k])
            needle = None if rng.random() < 0.88 else False
            size = SIMULATED_SIZES_PX[int(rng.integers(len(SIMULATED_SIZES_PX)))]
            cine = _Played(procedure, machine, spec.seed + k, size_px=size, needle=needle)
            masks, plane = zip(*(cine.next_mask() for _ in range(spec.frames)), strict=True)
            save_masks(target, name, masks, plane)
        report("masks of simulated clips", k + 1, spec.clips)
    return target


def build_still_masks(
    spec: StillCineSpec, root: Path, folder: Path, report: Report, part: tuple[int, int] = (0, 1)
) -> Path:
    """Work out the masks that a cache of `puncta.training.still_cines.build_still_cines` lacks."""
    target = masks_folder(folder)
    stills = stills_of_split(list_stills(root, spec.folders), spec.split)
    for k in range(part[0], spec.clips, part[1]):
        name = f"{k:05d}"
        if not (target / f"{name}.npz").exists():
            rng = np.random.default_rng([spec.seed, k])
            still = read_still(stills[int(rng.integers(len(stills)))].path)
            generator = _PlayedStill(
                still,
                spec.seed * 100_000 + k,
                steps=spec.frames,
                size_px=SIZES_PX[int(rng.integers(len(SIZES_PX)))],
                needle=bool(rng.random() >= 0.2),
                start="outside" if rng.random() < 0.2 else "inside",
                approach="in-plane",
            )
            masks, plane = zip(*(generator.mask_of(i) for i in range(spec.frames)), strict=True)
            save_masks(target, name, masks, plane)
        report("masks of needles in stills", k + 1, spec.clips)
    return target


def build_steady_masks(
    spec: SteadyCineSpec, root: Path, folder: Path, report: Report, part: tuple[int, int] = (0, 1)
) -> Path:
    """Work out the masks that a cache of `puncta.training.steady.build_steady` lacks: of the part that is seen."""
    target = masks_folder(folder)
    stills = background_stills(root, spec.folders)
    for k in range(part[0], spec.clips, part[1]):
        name = f"{k:05d}"
        if not (target / f"{name}.npz").exists():
            covers: list[Coverage] = []
            judged = compose_clip(spec, k, stills, covers).judged
            plane = [IN_PLANE if told == 1 else UNKNOWN if told < 0 else NONE for told in judged]
            save_masks(target, name, covers, plane)
        report("masks of resting needles", k + 1, spec.clips)
    return target


class _PlayedStill(CompositeGenerator):
    """A composite cine of which nothing is drawn."""

    def mask_of(self, i: int) -> tuple[Coverage, int]:
        """The needle's coverage of the square on a frame, and where it is."""
        nothing = np.zeros((CACHE_SIZE, CACHE_SIZE), np.uint8)
        pose = self._pose(i)
        if pose is None:
            return nothing, NONE
        at = self._place(i, pose)
        seen = seen_in_still(at)
        if not at.inside[-1]:
            return nothing, UNKNOWN if seen.any() else NONE
        if seen.sum() < 3 and at.weight[-1] < IN_PLANE_WEIGHT:
            return nothing, OFF_PLANE
        shape = (self.canvas_px[1], self.canvas_px[0])
        whole = outline(self.needle, at, at.inside, self.mm_per_px, self.region[:2])
        return _squared(polygon_mask(whole, shape, self.region), self.region), IN_PLANE


_PLANES = {Plane.IN_PLANE: IN_PLANE, Plane.OUT_OF_PLANE: OFF_PLANE, Plane.NO_NEEDLE: NONE}


def build_dataset_masks(path: Path, split: str, folder: Path, report: Report) -> Path:
    """Cut the masks of a Dataset v1 folder for the clips that `puncta.training.data.build_from_dataset` has cut.

    Raises
    ------
    UserError
        The dataset cannot be read.
    """
    target = masks_folder(folder)
    dataset = load_dataset(path)
    needle = dataset.category(NEEDLE_CATEGORY)
    found = annotations_by_image(dataset)
    clips: dict[int, list[Image]] = {}
    for image in usable_images(dataset, split):
        if image.video_id is not None:
            clips.setdefault(image.video_id, []).append(image)
    for done, (number, images) in enumerate(sorted(clips.items()), start=1):
        name = f"{number:07d}"
        if not (target / f"{name}.npz").exists():
            masks, plane = [], []
            for image in sorted(images, key=lambda i: (i.frame_index, i.id)):
                truth = mask_truth(image, found.get(image.id, ()), needle) if needle else None
                region = tuple(int(v) for v in image.region or (0, 0, image.width, image.height))
                blank = np.zeros((CACHE_SIZE, CACHE_SIZE), np.uint8)
                shown = truth is not None and truth.mask is not None
                masks.append(_squared(truth.mask, region) if shown else blank)  # type: ignore[union-attr,arg-type]
                plane.append(UNKNOWN if truth is None else _PLANES[truth.plane])
            save_masks(target, name, masks, plane)
        report("masks of the dataset", done, len(clips))
    return target
