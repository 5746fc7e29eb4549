"""Clips for training: read from Dataset v1, made by the simulator or composed on stills; kept in a cache of crops.

A clip in the cache is the ultrasound region alone, grey, stretched to a square (`CACHE_SIZE`), with the truth in pixels
of that square and the drift of the whole picture already measured. The cache is built clip by clip: stopped at any
moment, it goes on where it stood, and the same specification gives the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from puncta.core.errors import UserError
from puncta.formats.dataset import (
    NEEDLE_CATEGORY,
    TIP_CATEGORY,
    Dataset,
    Image,
    annotations_by_image,
    dataset_file,
    is_judged,
    load_dataset,
    usable_images,
)
from puncta.imaging.motion_history import measure_shift, small_for_shift
from puncta.imaging.preprocess import resample_region
from puncta.sim.cine import simulate_cine
from puncta.sim.composite_stills import half_of
from puncta.sim.dataset_digest import simulator_digest
from puncta.training.synthesis import Cine, compose_cine, draw_furniture

CACHE_SIZE = 288
"""Side of a cached frame [px]: a little more than the network sees, so that a random crop loses nothing."""

Report = Callable[[str, int, int], None]
"""Called with (what, done, total)."""


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """A cached clip; frames are mapped from the file, not read.

    Attributes
    ----------
    name : str
    source : str
        "simulator", "composite" or "dataset".
    machine : str
    frames : ndarray of uint8, shape (T, S, S)
    tip_px, entry_px : ndarray, shape (T, 2)
        NaN where there is none.
    judged : ndarray of int8, shape (T,)
        1 tip visible, 0 no tip, -1 not judged.
    drift_px : ndarray, shape (T, 2)
        Where the whole picture has moved to since the first frame.
    mm_per_px : tuple of float or None
        (x, y) [mm/px] of the cached square.
    """

    name: str
    source: str
    machine: str
    frames: NDArray[np.uint8]
    tip_px: NDArray[np.float64]
    entry_px: NDArray[np.float64]
    judged: NDArray[np.int8]
    drift_px: NDArray[np.float64]
    mm_per_px: tuple[float, float] | None


def measure_drift(frames: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Cumulated shift of the whole picture [px], shape (T, 2), as `MotionHistory` measures it."""
    out = np.zeros((len(frames), 2))
    older = small_for_shift(frames[0])
    for i in range(1, len(frames)):
        newer = small_for_shift(frames[i])
        out[i] = out[i - 1] + measure_shift(older, newer, frames.shape[1])
        older = newer
    return out


def save_clip(folder: Path, name: str, source: str, machine: str, cine: Cine) -> None:
    """Write a clip whole or not at all: the truth goes last, and a clip without it does not count."""
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{name}.{os.getpid()}.npy"
    np.save(temporary, cine.frames)
    os.replace(temporary, folder / f"{name}.npy")
    truth = {
        "source": source,
        "machine": machine,
        "tip_px": _listed(cine.tip_px),
        "entry_px": _listed(cine.entry_px),
        "judged": cine.judged.tolist(),
        "drift_px": np.round(measure_drift(cine.frames), 3).tolist(),
        "mm_per_px": list(cine.mm_per_px) if cine.mm_per_px else None,
    }
    temporary = folder / f".{name}.{os.getpid()}.json"
    temporary.write_text(json.dumps(truth), encoding="utf-8")
    os.replace(temporary, folder / f"{name}.json")


def _listed(points: NDArray[np.float64]) -> list[list[float] | None]:
    return [None if np.isnan(p).any() else [round(float(v), 3) for v in p] for p in points]


def load_clips(folder: Path) -> list[Clip]:
    """Return the clips of a cache folder in the order of their names."""
    return [_load_clip(path) for path in sorted(folder.glob("[!.]*.json"))]


def load_json_names(folder: Path) -> set[str]:
    """Names of the clips that a cache folder holds."""
    return {path.stem for path in folder.glob("[!.]*.json")}


def _load_clip(path: Path) -> Clip:
    truth = json.loads(path.read_text(encoding="utf-8"))

    def points(name: str) -> NDArray[np.float64]:
        return np.array([p or [np.nan, np.nan] for p in truth[name]], dtype=np.float64).reshape(-1, 2)

    mm = truth["mm_per_px"]
    return Clip(
        name=path.stem,
        source=truth["source"],
        machine=truth["machine"],
        frames=np.load(path.with_suffix(".npy"), mmap_mode="r"),
        tip_px=points("tip_px"),
        entry_px=points("entry_px"),
        judged=np.array(truth["judged"], dtype=np.int8),
        drift_px=points("drift_px"),
        mm_per_px=(float(mm[0]), float(mm[1])) if mm else None,
    )


@dataclass(frozen=True, slots=True)
class CompositeSpec:
    """Composite cines on needle-free stills. ``folders`` are relative to the data root."""

    folders: tuple[str, ...]
    clips: int
    frames: int = 30
    seed: int = 1


@dataclass(frozen=True, slots=True)
class SimulatorSpec:
    """Cines from the simulator: every machine with every procedure in turn; seeds count up from ``seed``."""

    machines: tuple[str, ...]
    procedures: tuple[str, ...]
    clips: int
    frames: int = 30
    seed: int = 10_000


def cache_name(spec: Any) -> str:
    """Folder name of a specification's clips: kind and hash, without the number of clips, so that more can be added.

    Simulated clips are tied to the simulator that made them, drawn ones to the modules that a specification names as
    ``drawn_by``: clips of older ones never pass for today's.
    """
    fields = {k: getattr(spec, k) for k in spec.__dataclass_fields__ if k != "clips"}
    parts = [type(spec).__name__, CACHE_SIZE, fields]
    kinds = {
        "CompositeSpec": "composite", "SimulatorSpec": "simulator", "StillCineSpec": "stills",
        "EmptyStillSpec": "empty", "SteadyCineSpec": "steady", "CoarseCineSpec": "coarse",
    }
    name = type(spec).__name__
    kind = kinds.get(name, name.removesuffix("Spec").lower())
    if drawn_by := getattr(type(spec), "drawn_by", ()):
        parts.append([hashlib.sha256((Path(__file__).parent / name).read_bytes()).hexdigest() for name in drawn_by])
    if kind not in ("composite", "steady", "coarse"):
        parts.append(simulator_digest())
    text = json.dumps(parts, sort_keys=True, default=list)
    return f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def background_stills(root: Path, folders: tuple[str, ...], half: str = "background") -> list[Path]:
    """List the stills of one half: "background" for training, "false alarm" for testing.

    A file's hash decides once and for all, whatever it is called and whoever asks.

    Raises
    ------
    UserError
        A folder is missing or holds no pictures of that half.
    """
    found: list[Path] = []
    for folder in folders:
        place = root / folder
        if not place.is_dir():
            raise UserError(f"The folder of backgrounds {folder} is not in {root}; name its place with --data.")
        found += sorted(p for p in place.iterdir() if p.suffix.lower() in {".png", ".jpg", ".jpeg", ".bmp"})
    wanted = half.replace(" ", "-")
    chosen = [p for p in found if half_of(hashlib.sha256(p.read_bytes()).hexdigest()) == wanted]
    if not chosen:
        raise UserError(f"There are no pictures for the {half} half in {', '.join(folders)}.")
    return chosen


def build_composites(
    spec: CompositeSpec, root: Path, cache: Path, report: Report, half: str = "background",
    part: tuple[int, int] = (0, 1),
) -> Path:
    """Compose the clips that the cache lacks, of them every n-th from the k-th on; return their folder."""
    folder = cache / (cache_name(spec) + ("" if half == "background" else "-" + half.replace(" ", "-")))
    stills = background_stills(root, spec.folders, half)
    for k in range(part[0], spec.clips, part[1]):
        name = f"{k:05d}"
        if not (folder / f"{name}.json").exists():
            rng = np.random.default_rng([spec.seed, k])
            path = stills[int(rng.integers(len(stills)))]
            still = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
            if still is None:
                raise UserError(f"The still {path} cannot be read; take it out of the folder of backgrounds.")
            save_clip(folder, name, "composite", "stills", compose_cine(rng, still, CACHE_SIZE, spec.frames))
        report("composites", k + 1, spec.clips)
    return folder


SIMULATED_SIZES_PX = ((320, 256), (256, 256), (384, 320), (512, 400), None)
"""Picture sizes that simulated clips are drawn in; None leaves it to the machine."""

JUDGED = {"clear": 1, "uncertain": 1, "shadowed": -1, "out_of_plane": -1, "absent": 0}
"""How a tip's visibility is learnt: what nobody can see is neither asked for nor forbidden."""


def square_cine(
    frames: Sequence[NDArray[np.uint8]],
    boxes: Sequence[tuple[int, int, int, int]],
    tips: list[tuple[float, float] | None],
    entries: list[tuple[float, float] | None],
    judged: list[int],
    mm_per_px: tuple[float, float] | None,
    need_axis: bool = True,
) -> Cine:
    """Cut the region out of every frame, stretch it to the cached square, and take the truth along.

    Parameters
    ----------
    need_axis : bool
        False keeps a tip whose axis is not known; its direction is not asked for then.
    """
    size = (CACHE_SIZE, CACHE_SIZE)
    nowhere = (float("nan"), float("nan"))
    pictures, tip_px, entry_px = [], [], []
    for frame, box, tip, entry in zip(frames, boxes, tips, entries):
        picture, mapping = resample_region(frame, box, size)
        pictures.append(picture)
        tip_px.append(mapping.model_from_image(np.array(tip or nowhere)))
        entry_px.append(mapping.model_from_image(np.array(entry or nowhere)))
    told = np.array(judged, np.int8)
    points, starts = np.array(tip_px), np.array(entry_px)
    lacking = np.isnan(points).any(axis=1) | (need_axis & np.isnan(starts).any(axis=1))
    told[(told == 1) & lacking] = -1
    points[told != 1] = np.nan
    starts[told != 1] = np.nan
    scale = (boxes[0][2] / CACHE_SIZE, boxes[0][3] / CACHE_SIZE)
    mm = (mm_per_px[0] * scale[0], mm_per_px[1] * scale[1]) if mm_per_px else None
    return Cine(np.stack(pictures), points, starts, told, mm)


def build_simulated(spec: SimulatorSpec, cache: Path, report: Report, part: tuple[int, int] = (0, 1)) -> Path:
    """Simulate the clips that the cache lacks; return their folder.

    Parameters
    ----------
    part : (k, n)
        Make only every n-th clip from the k-th on, so that n processes can share the work.
    """
    folder = cache / cache_name(spec)
    mixes = [(m, p) for m in spec.machines for p in spec.procedures]
    for k in range(part[0], spec.clips, part[1]):
        name = f"{k:05d}"
        if not (folder / f"{name}.json").exists():
            machine, procedure = mixes[k % len(mixes)]
            rng = np.random.default_rng([spec.seed, k])
            # One clip in five has no needle: saying nothing has to be learnt too.
            needle = None if rng.random() < 0.88 else False
            size = SIMULATED_SIZES_PX[int(rng.integers(len(SIMULATED_SIZES_PX)))]
            cine = simulate_cine(procedure, machine, spec.seed + k, spec.frames, size_px=size, needle=needle)
            square = square_cine(
                list(cine.frames),
                [t.region for t in cine.truth],
                [t.tip_px for t in cine.truth],
                [t.entry_px for t in cine.truth],
                [JUDGED[t.visibility] for t in cine.truth],
                cine.mm_per_px,
            )
            if rng.random() < 0.15:
                draw_furniture(rng, square.frames)
            save_clip(folder, name, "simulator", machine, square)
        report("simulated clips", k + 1, spec.clips)
    return folder


def build_from_dataset(path: Path, split: str | None, cache: Path, report: Report) -> Path:
    """Cut the clips of a Dataset v1 folder into the cache; return their folder.

    Only confirmed frames are taken; a frame not judged for the tip is kept as history and never asked for.

    Raises
    ------
    UserError
        The dataset cannot be read, or a picture is missing.
    """
    dataset = load_dataset(path)
    head = hashlib.sha256(dataset_file(path).read_bytes()).hexdigest()[:12]
    folder = cache / f"dataset-{head}-{split or 'all'}"
    root = path if path.is_dir() else path.parent
    usable = usable_images(dataset, split)
    clips: dict[int, list[Image]] = {}
    for image in usable:
        # A picture that belongs to no clip is a clip of one frame.
        clips.setdefault(image.video_id if image.video_id is not None else -image.id - 1, []).append(image)
    for done, (number, images) in enumerate(sorted(clips.items()), start=1):
        name = f"{number:07d}" if number >= 0 else f"still-{-number - 1:07d}"
        if not (folder / f"{name}.json").exists():
            images.sort(key=lambda i: (i.frame_index, i.id))
            save_clip(folder, name, "dataset", images[0].machine or "", _dataset_cine(dataset, root, images))
        report("clips of the dataset", done, len(clips))
    return folder


def _dataset_cine(dataset: Dataset, root: Path, images: list[Image]) -> Cine:
    found = annotations_by_image(dataset)
    ids = {c.name: c.id for c in dataset.categories}
    frames: list[NDArray[np.uint8]] = []
    boxes: list[tuple[int, int, int, int]] = []
    tips, entries, judged = [], [], []
    for image in images:
        picture = cv2.imread(str(root / image.file_name), cv2.IMREAD_GRAYSCALE)
        if picture is None:
            raise UserError(f"The picture {image.file_name} of the dataset cannot be read; build the dataset again.")
        notes = found.get(image.id, ())
        tip = next((a for a in notes if a.category_id == ids.get(TIP_CATEGORY)), None)
        needle = next((a for a in notes if a.category_id == ids.get(NEEDLE_CATEGORY)), None)
        frames.append(picture)
        x0, y0, w, h = image.region or (0, 0, picture.shape[1], picture.shape[0])
        boxes.append((int(x0), int(y0), int(w), int(h)))
        tips.append(tip.tip_px if tip else None)
        entries.append(next((a.entry_px for a in (needle, tip) if a and a.entry_px), None))
        seen = JUDGED.get(str(tip.visibility), 1) if tip else 0
        judged.append(seen if is_judged(image, TIP_CATEGORY) else -1)
    video = next((v for v in dataset.videos if v.id == images[0].video_id), None)
    mm = video.mm_per_px if video else None
    return square_cine(frames, boxes, tips, entries, judged, mm)
