"""Pictures to learn the three flags from: infant spines of the simulator, pictures that are none, and Dataset v1.

A shot in the cache is a few frames of one subject, a quarter of a second or so apart: the ultrasound region alone,
grey, stretched to a square (`CACHE_SIZE`), with the flags by the simulator's rules and a small map of where cord and
fluid are lit. Spines, other organs and stills are told apart by ``kind``. Built shot by shot: stopped at any
moment, it goes on where it stood.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from puncta.core.errors import UserError
from puncta.formats.dataset import Image, dataset_file, load_dataset, usable_images
from puncta.imaging.preprocess import resample_region
from puncta.sim.cine import CineGenerator
from puncta.sim.composite_stills import list_stills, read_still, stills_of_split
from puncta.sim.spine_flags import SHADOWED_DB
from puncta.sim.tissue_kinds import Tissue
from puncta.training.data import Report, cache_name

CACHE_SIZE = 256
MAP_SIZE = 64
"""Side of the map of lit structures: a cell is 0.5 to 0.8 mm."""
FLAGS = ("quality", "cord", "csf")
"""In the order of the network's outputs."""
SPINE, OTHER, STILL = "spine", "other", "still"
"""An infant's spine; another simulated organ; a real needle-free still."""
NOT_TOLD = -1
CSF, CORD = 1, 2
"""Cells of the map."""
SIZES_PX: tuple[tuple[int, int] | None, ...] = ((256, 256), (256, 256), (256, 256), (320, 256), (384, 320), None)


@dataclass(frozen=True, slots=True, eq=False)
class Shot:
    """A few frames of one subject on one machine; the frames are mapped from the file, not read.

    Attributes
    ----------
    kind : str
        `SPINE`, `OTHER` or `STILL`.
    subject, machine, view : str
    frames : ndarray of uint8, shape (T, S, S)
    flags : ndarray of int8, shape (T, 3)
        1, 0, or -1 where nobody said; in the order of `FLAGS`.
    maps : ndarray of uint8, shape (T, `MAP_SIZE`, `MAP_SIZE`), or None
        Where lit fluid and cord are (`CSF`, `CORD`); None where nobody said.
    """

    name: str
    kind: str
    subject: str
    machine: str
    view: str
    frames: NDArray[np.uint8]
    flags: NDArray[np.int8]
    maps: NDArray[np.uint8] | None


@dataclass(frozen=True, slots=True)
class SpineSpec:
    """Simulated infant spines: every machine in turn, one subject a shot; seeds count up from ``seed``.

    Attributes
    ----------
    clips : int
        Subjects.
    frames : int
        Frames kept of each, ``gap`` apart.
    """

    machines: tuple[str, ...]
    clips: int
    frames: int = 3
    gap: int = 6
    seed: int = 40_000


@dataclass(frozen=True, slots=True)
class OtherSpec:
    """Simulated pictures of other organs: every machine with every procedure in turn, one frame a subject."""

    machines: tuple[str, ...]
    procedures: tuple[str, ...]
    clips: int
    seed: int = 60_000


def save_shot(
    folder: Path, name: str, facts: dict[str, str], frames: NDArray[np.uint8], flags: NDArray[np.int8],
    maps: NDArray[np.uint8] | None,
) -> None:
    """Write a shot whole or not at all: the facts go last, and a shot without them does not count."""
    folder.mkdir(parents=True, exist_ok=True)
    for end, values in (("", frames), (".map", maps)):
        if values is not None:
            temporary = folder / f".{name}{end}.{os.getpid()}.npy"
            np.save(temporary, values)
            os.replace(temporary, folder / f"{name}{end}.npy")
    temporary = folder / f".{name}.{os.getpid()}.json"
    temporary.write_text(json.dumps({**facts, "flags": flags.tolist(), "maps": maps is not None}), encoding="utf-8")
    os.replace(temporary, folder / f"{name}.json")


def load_shots(folder: Path, most: int | None = None) -> list[Shot]:
    """Return the shots of a cache folder in the order of their names."""
    return [_load(path) for path in sorted(folder.glob("[!.]*.json"))[:most]]


def _load(path: Path) -> Shot:
    told = json.loads(path.read_text(encoding="utf-8"))
    frames = np.load(path.with_suffix(".npy"), mmap_mode="r")
    maps = np.load(path.with_suffix(".map.npy"), mmap_mode="r") if told["maps"] else None
    flags = np.array(told["flags"], np.int8).reshape(-1, len(FLAGS))
    return Shot(path.stem, told["kind"], told["subject"], told["machine"], told["view"], frames, flags, maps)


def square(picture: NDArray[np.uint8], region: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    """Cut the region out and stretch it to the cached square."""
    return resample_region(picture, region, (CACHE_SIZE, CACHE_SIZE))[0]


def lit_map(generator: CineGenerator) -> NDArray[np.uint8]:
    """Map of the frame rendered last: where fluid and cord appear and are not shadowed, `MAP_SIZE` squared.

    A place is lit where attenuation has taken at most 12 dB more than the machine gives back, as in the flags' rules.
    """
    maps, view = generator.maps, generator.view
    label = maps.region_labels(view, 2)
    r, c = maps.nodes(view)
    left = np.asarray(generator.scene.plane.residual.sample(r.ravel(), c.ravel()), np.float32).reshape(r.shape)
    lit = maps.enlarge(left[..., None], 2)[..., 0] >= SHADOWED_DB
    out = np.zeros(label.shape, np.uint8)
    out[(label == Tissue.CSF) & lit] = CSF
    out[(label == Tissue.CORD) & lit] = CORD
    return np.asarray(cv2.resize(out, (MAP_SIZE, MAP_SIZE), interpolation=cv2.INTER_NEAREST), np.uint8)


def build_spines(spec: SpineSpec, cache: Path, report: Report, part: tuple[int, int] = (0, 1)) -> Path:
    """Simulate the shots that the cache lacks, of them every n-th from the k-th on; return their folder."""
    folder = cache / cache_name(spec)
    for k in _missing(folder, spec.clips, part):
        machine = spec.machines[k % len(spec.machines)]
        rng = np.random.default_rng([spec.seed, k])
        # A needle in one shot of eight: the flags are asked for during a puncture too.
        size, needle = SIZES_PX[int(rng.integers(len(SIZES_PX)))], bool(rng.random() < 0.125)
        generator = CineGenerator("infant-lp", machine, spec.seed + k, size_px=size, needle=needle)
        frames, flags, maps = [], [], []
        for index in range(2 + spec.gap * (spec.frames - 1) + 1):
            picture, truth = generator.next_frame()
            if index >= 2 and (index - 2) % spec.gap == 0:
                frames.append(square(picture, generator.scan.layout.region))
                flags.append([_told(truth.flags.get(name)) for name in FLAGS])
                maps.append(lit_map(generator))
        facts = {"kind": SPINE, "subject": f"infant-lp-{spec.seed + k}", "machine": machine,
                 "view": generator.subject.view}
        save_shot(folder, f"{k:05d}", facts, np.stack(frames), np.array(flags, np.int8), np.stack(maps))
        report("infant spines", k + 1, spec.clips)
    return folder


def build_others(spec: OtherSpec, cache: Path, report: Report, part: tuple[int, int] = (0, 1)) -> Path:
    """Simulate other organs; return their folder."""
    folder = cache / cache_name(spec)
    mixes = [(m, p) for p in spec.procedures for m in spec.machines]
    for k in _missing(folder, spec.clips, part):
        machine, procedure = mixes[k % len(mixes)]
        rng = np.random.default_rng([spec.seed, k])
        size = SIZES_PX[int(rng.integers(len(SIZES_PX)))]
        generator = CineGenerator(procedure, machine, spec.seed + k, size_px=size, needle=bool(rng.random() < 0.4))
        picture = generator.next_frame()[0]
        facts = {"kind": OTHER, "subject": f"{procedure}-{spec.seed + k}", "machine": machine,
                 "view": generator.subject.view}
        shown = square(picture, generator.scan.layout.region)[None]
        save_shot(folder, f"{k:05d}", facts, shown, np.full((1, len(FLAGS)), NOT_TOLD, np.int8), None)
        report("other organs", k + 1, spec.clips)
    return folder


def _missing(folder: Path, count: int, part: tuple[int, int]) -> Iterator[int]:
    for k in range(part[0], count, part[1]):
        if not (folder / f"{k:05d}.json").exists():
            yield k


def still_shots(root: Path, folders: tuple[str, ...], split: str) -> list[Shot]:
    """Real needle-free stills of a split (train or tune) of the background half, as shots that are no infant spine.

    They are read into memory and written nowhere.

    Raises
    ------
    UserError
        A folder is missing, or none of its pictures falls to the split.
    """
    out = []
    for still in stills_of_split(list_stills(root, folders), split):
        grey = read_still(still.path)
        frame = square(grey, (0, 0, grey.shape[1], grey.shape[0]))
        out.append(Shot(still.sha256[:16], STILL, still.sha256, f"still-{still.origin}", "", frame[None],
                        np.full((1, len(FLAGS)), NOT_TOLD, np.int8), None))
    return out


def build_from_dataset(path: Path, split: str | None, cache: Path, report: Report) -> Path:
    """Cut the clips of a Dataset v1 folder with the three flags into the cache; return their folder.

    A dataset tells no map, so these shots teach the flags alone.

    Raises
    ------
    UserError
        The dataset cannot be read, a picture is missing, or no frame of the split has such a flag.
    """
    dataset = load_dataset(path)
    root = path if path.is_dir() else path.parent
    head = hashlib.sha256(dataset_file(path).read_bytes()).hexdigest()[:12]
    folder = cache / f"flags-{head}-{split or 'all'}"
    videos = {v.id: v for v in dataset.videos}
    clips: dict[int, list[Image]] = {}
    for image in usable_images(dataset, split):
        if any(image.flags.get(name) is not None for name in FLAGS):
            clips.setdefault(image.video_id if image.video_id is not None else -image.id - 1, []).append(image)
    if not clips:
        raise UserError(f"The dataset {path} holds no frame with {', '.join(FLAGS)} in the split {split or 'all'}.")
    for done, (number, images) in enumerate(sorted(clips.items()), start=1):
        name = f"{number:07d}" if number >= 0 else f"still-{-number - 1:07d}"
        if not (folder / f"{name}.json").exists():
            images.sort(key=lambda i: (i.frame_index, i.id))
            video = videos.get(number)
            facts = {"kind": SPINE, "subject": str(video.subject if video else name) or name,
                     "machine": images[0].machine or "", "view": str(video.more.get("view", "")) if video else ""}
            frames = np.stack([_read(root, image) for image in images])
            flags = np.array([[_told(image.flags.get(n)) for n in FLAGS] for image in images], np.int8)
            save_shot(folder, name, facts, frames, flags, None)
        report("clips of the dataset", done, len(clips))
    return folder


def _told(value: int | None) -> int:
    return NOT_TOLD if value is None else int(value > 0)


def _read(root: Path, image: Image) -> NDArray[np.uint8]:
    picture = cv2.imread(str(root / image.file_name), cv2.IMREAD_GRAYSCALE)
    if picture is None:
        raise UserError(f"The picture {image.file_name} of the dataset cannot be read; build the dataset again.")
    x0, y0, w, h = image.region or (0, 0, picture.shape[1], picture.shape[0])
    return square(np.asarray(picture, np.uint8), (int(x0), int(y0), int(w), int(h)))
