"""Simulated videos as the poster's were: an operator scans one infant's back; and other organs to pre-train on.

The poster tells of 13 videos of 3,390 and 681 labelled frames. Ours have as many: ten infants on machines A and B with
339 frames each, three on machine C with 227. The probe wanders along the spine and off its middle, tilts and turns, so
that flags change within a video; its way is a sum of two slow sines an axis. Everything here is simulated.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from puncta.formats.atomic import write_text_atomic
from puncta.imaging.preprocess import resample_region
from puncta.sim.cine import CineGenerator
from puncta.sim.controls import Controls
from puncta.sim.tissue_kinds import Tissue
from puncta.training.data import Report, cache_name
from puncta.training.landmarks.data import FLAGS, OTHER, SPINE, lit_map, save_shot

STORED_PX = 144
"""Side of a stored frame [px]; a little more than any network of the study on two cores sees."""
PICTURE_PX = (256, 256)
ALONG_MM, ROCK_DEG, TILT_DEG, TWIST_DEG, PRESS_MM = 16.0, 4.0, 4.0, 6.0, 0.6
ACROSS_BLOCK_MM = 8.0
"""How far the probe goes along the spine where the picture lies across it; the simulated block is no longer [mm]."""
OFF_MIDDLE_MM = (0.6, 2.6)
"""Range of how far an operator strays off the spine's middle [mm]."""
SLOW_S, QUICK_S = (20.0, 45.0), (6.0, 14.0)
"""Periods of the two sines [s]; three quarters of the way belong to the slow one."""
LEAST_SHARE = 0.01
"""Share of a picture from which on a kind of tissue counts as present."""
KINDS = tuple(kind for kind in Tissue if kind not in (Tissue.OUTSIDE, Tissue.GEL))
OTHER_ORGANS = ("breast", "nerve", "vessel")
DOMAIN_LABELS = (*OTHER_ORGANS, *(kind.name.lower() for kind in KINDS))


@dataclass(frozen=True, slots=True)
class ScanSpec:
    """Videos of infants' backs, every machine in turn; seeds count up from ``seed``.

    Attributes
    ----------
    clips : int
        Videos, each of an infant of its own.
    frames : int
    fps : float
        Frames a second, evenly [1/s].
    """

    machines: tuple[str, ...]
    clips: int
    frames: int
    fps: float = 12.0
    seed: int = 31_000
    stored_px: int = STORED_PX


@dataclass(frozen=True, slots=True)
class OrganSpec:
    """Short cines of other organs, every machine with every organ in turn; what shows is told for pre-training."""

    machines: tuple[str, ...]
    clips: int
    frames: int = 4
    gap: int = 4
    seed: int = 61_000
    stored_px: int = STORED_PX


class ScanningHand:
    """The probe's way over an infant's back.

    Parameters
    ----------
    view : {"longitudinal", "transverse"}
        Along or across the spine; `slide_mm` of the controls runs along the picture, so the two are exchanged.
    """

    def __init__(self, rng: np.random.Generator, view: str, fps: float) -> None:
        off = float(rng.uniform(*OFF_MIDDLE_MM))
        along = view == "longitudinal"
        reach = {
            "slide_mm": ALONG_MM if along else off, "sweep_mm": off if along else ACROSS_BLOCK_MM,
            "rock_deg": ROCK_DEG, "tilt_deg": TILT_DEG, "twist_deg": TWIST_DEG, "press_mm": PRESS_MM,
        }
        self.fps = fps
        self._sines = {
            name: [
                (most * share, 1.0 / float(rng.uniform(*period)), float(rng.uniform(0, 2 * math.pi)))
                for share, period in ((0.75, SLOW_S), (0.25, QUICK_S))
            ]
            for name, most in reach.items()
        }
        self._before = dict.fromkeys(reach, 0.0)

    def controls(self, index: int) -> Controls:
        """Return what the hand does before frame ``index``; frames come in order."""
        t_s = index / self.fps
        now = {
            name: sum(most * math.sin(2 * math.pi * rate * t_s + phase) for most, rate, phase in waves)
            for name, waves in self._sines.items()
        }
        moved = {name: now[name] - self._before[name] for name in now}
        self._before = now
        return Controls(**moved)


def store(picture: NDArray[np.uint8], region: tuple[int, int, int, int], side: int) -> NDArray[np.uint8]:
    """Cut the region out and stretch it to a small square."""
    return resample_region(picture, region, (side, side))[0]


def build_scans(spec: ScanSpec, cache: Path, report: Report, part: tuple[int, int] = (0, 1)) -> Path:
    """Simulate the videos that the cache lacks, of them every n-th from the k-th on; return their folder."""
    folder = cache / cache_name(spec)
    for k in _missing(folder, spec.clips, part):
        machine = spec.machines[k % len(spec.machines)]
        generator = CineGenerator(
            "infant-lp", machine, spec.seed + k, size_px=PICTURE_PX, needle=False, steered=True, fps=spec.fps
        )
        hand = ScanningHand(np.random.default_rng([spec.seed, k]), str(generator.subject.view), spec.fps)
        frames, flags, maps = [], [], []
        for index in range(spec.frames):
            picture, truth = generator.next_frame(hand.controls(index))
            frames.append(store(picture, generator.scan.layout.region, spec.stored_px))
            flags.append([int(truth.flags[name]) for name in FLAGS])
            maps.append(lit_map(generator))
        facts = {"kind": SPINE, "subject": f"infant-lp-{spec.seed + k}", "machine": machine,
                 "view": str(generator.subject.view)}
        save_shot(folder, f"{k:05d}", facts, np.stack(frames), np.array(flags, np.int8), np.stack(maps))
        report("videos", k + 1, spec.clips)
    return folder


def build_organs(spec: OrganSpec, cache: Path, report: Report, part: tuple[int, int] = (0, 1)) -> Path:
    """Simulate other organs; return their folder, see `load_organs`."""
    folder = cache / cache_name(spec)
    mixes = [(m, p) for p in OTHER_ORGANS for m in spec.machines]
    for k in _missing(folder, spec.clips, part):
        machine, organ = mixes[k % len(mixes)]
        rng = np.random.default_rng([spec.seed, k])
        generator = CineGenerator(
            organ, machine, spec.seed + k, size_px=PICTURE_PX, needle=bool(rng.random() < 0.4)
        )
        frames, labels = [], []
        for index in range(spec.gap * (spec.frames - 1) + 1):
            picture, _truth = generator.next_frame()
            if index % spec.gap == 0:
                frames.append(store(picture, generator.scan.layout.region, spec.stored_px))
                labels.append(_shown(generator, organ))
        _keep_labelled(folder, f"{k:05d}", np.stack(frames), np.array(labels, np.int8))
        report("other organs", k + 1, spec.clips)
    return folder


def _keep_labelled(folder: Path, name: str, frames: NDArray[np.uint8], labels: NDArray[np.int8]) -> None:
    """Write a cine whole or not at all; the small file goes last, and a cine without it does not count."""
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{name}.{os.getpid()}.npz"
    np.savez(temporary, frames=frames, labels=labels)
    os.replace(temporary, folder / f"{name}.npz")
    write_text_atomic(folder / f"{name}.json", json.dumps({"kind": OTHER, "frames": len(frames)}) + "\n")


def load_organs(folder: Path, most: int | None = None) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Return all frames, (n, S, S), and which of `DOMAIN_LABELS` hold, (n, labels)."""
    frames, labels = [], []
    for path in sorted(folder.glob("[!.]*.json"))[:most]:
        with np.load(path.with_suffix(".npz")) as held:
            frames.append(held["frames"])
            labels.append(held["labels"])
    return np.concatenate(frames), np.concatenate(labels).astype(np.float32)


def _shown(generator: CineGenerator, organ: str) -> list[int]:
    counts = np.bincount(generator.maps.region_labels(generator.view, 4).ravel(), minlength=256)
    share = counts / max(1, counts.sum())
    return [int(organ == name) for name in OTHER_ORGANS] + [int(share[int(kind)] >= LEAST_SHARE) for kind in KINDS]


def _missing(folder: Path, count: int, part: tuple[int, int]) -> Iterator[int]:
    for k in range(part[0], count, part[1]):
        if not (folder / f"{k:05d}.json").exists():
            yield k


def draw_shapes(rng: np.random.Generator, side: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Draw a picture of no body at all, and which of `SHAPE_LABELS` it shows: the generic pre-training.

    Textured ellipses, bars, rings, crosses and dots on noise whose power falls with frequency; no depth, no beam, no
    layers. It stands for the pictures of everyday things that public weights were trained on, which we have not.
    """
    grey = _noise(rng, side)
    labels = np.zeros(len(SHAPE_LABELS), np.float32)
    for _ in range(int(rng.integers(1, 4))):
        kind = int(rng.integers(len(_SHAPES)))
        mask = np.zeros((side, side), np.uint8)
        at = tuple(int(v) for v in rng.integers(side // 5, side - side // 5, 2))
        r = int(rng.integers(side // 12, side // 4))
        _draw(rng, mask, _SHAPES[kind], at, r)
        labels[kind] = 1
        texture, bright = bool(rng.random() < 0.4), bool(rng.random() < 0.5)
        labels[len(_SHAPES)] = max(labels[len(_SHAPES)], float(texture))
        labels[len(_SHAPES) + 1] = max(labels[len(_SHAPES) + 1], float(bright))
        fill = np.full((side, side), float(rng.uniform(0.25, 0.6)) * (1 if bright else -1), np.float32)
        if texture:
            turn = float(rng.uniform(0, math.pi))
            y, x = np.mgrid[:side, :side]
            waves = np.sin((x * math.cos(turn) + y * math.sin(turn)) * 2 * math.pi / float(rng.uniform(4, 10)))
            fill *= (0.5 + 0.5 * waves).astype(np.float32)
        grey = grey + cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 0.8) * fill
    return np.clip(grey * 255, 0, 255).astype(np.uint8), labels


_SHAPES = ("ellipse", "bar", "ring", "cross", "dots")
SHAPE_LABELS = (*_SHAPES, "textured", "bright")


def _draw(rng: np.random.Generator, mask: NDArray[np.uint8], kind: str, at: tuple[int, ...], r: int) -> None:
    turn = float(rng.uniform(0, 180))
    x, y = at
    if kind == "ellipse":
        cv2.ellipse(mask, (x, y), (r, max(2, int(r * rng.uniform(0.4, 1)))), turn, 0, 360, 1, -1)
    elif kind == "ring":
        cv2.circle(mask, (x, y), r, 1, max(2, r // 4))
    elif kind == "dots":
        for _ in range(6):
            dx, dy = (int(v) for v in rng.normal(0, r, 2))
            cv2.circle(mask, (x + dx, y + dy), max(1, r // 6), 1, -1)
    else:
        ways = (turn,) if kind == "bar" else (turn, turn + 90)
        for way in ways:
            dx, dy = 1.4 * r * math.cos(math.radians(way)), 1.4 * r * math.sin(math.radians(way))
            cv2.line(mask, (int(x - dx), int(y - dy)), (int(x + dx), int(y + dy)), 1, max(2, r // 4))


def _noise(rng: np.random.Generator, side: int) -> NDArray[np.float32]:
    """Noise about a mean grey whose amplitude falls as one over frequency, by adding octaves."""
    out = np.zeros((side, side), np.float32)
    cells = 4
    while cells <= side:
        field = rng.standard_normal((cells, cells)).astype(np.float32)
        out += cv2.resize(field, (side, side), interpolation=cv2.INTER_CUBIC) / cells * 4
        cells *= 2
    spread = float(rng.uniform(0.05, 0.15)) / max(1e-6, float(out.std()))
    return np.asarray(out * np.float32(spread) + np.float32(rng.uniform(0.25, 0.5)), np.float32)
