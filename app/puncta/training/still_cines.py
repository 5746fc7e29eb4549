"""Clips of simulated needles in real stills (`puncta.sim.composite`), cut into the cache of crops.

Beside the drawn needles of `puncta.training.synthesis`: here the needle's echo follows the simulator's law, so that the
two kinds of composite err differently.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from puncta.sim.composite import CompositeGenerator
from puncta.sim.composite_stills import list_stills, read_still, stills_of_split
from puncta.training.data import JUDGED, Report, cache_name, load_json_names, save_clip, square_cine

SIZES_PX = ((256, 256), (320, 256), (384, 320), (512, 400))


@dataclass(frozen=True, slots=True)
class StillCineSpec:
    """Simulated needles in needle-free stills. ``folders`` are relative to the data root; ``split`` train or tune."""

    folders: tuple[str, ...]
    clips: int
    frames: int = 30
    seed: int = 1
    split: str = "train"


@dataclass(frozen=True, slots=True)
class EmptyStillSpec:
    """Needle-free stills moved as a probe would move them; on these a tip is always a false alarm."""

    folders: tuple[str, ...]
    clips: int
    frames: int = 30
    seed: int = 1
    split: str = "tune"


def build_still_cines(
    spec: StillCineSpec | EmptyStillSpec, root: Path, cache: Path, report: Report, part: tuple[int, int] = (0, 1)
) -> Path:
    """Make the clips that the cache lacks; return their folder.

    Parameters
    ----------
    part : (k, n)
        Make only every n-th clip from the k-th on, so that n processes can share the work.
    """
    folder = cache / cache_name(spec)
    there = load_json_names(folder)
    with_needles = isinstance(spec, StillCineSpec)
    stills = stills_of_split(list_stills(root, spec.folders), spec.split)
    for k in range(part[0], spec.clips, part[1]):
        name = f"{k:05d}"
        if name not in there:
            rng = np.random.default_rng([spec.seed, k])
            generator = CompositeGenerator(
                read_still(stills[int(rng.integers(len(stills)))].path),
                spec.seed * 100_000 + k,
                steps=spec.frames,
                size_px=SIZES_PX[int(rng.integers(len(SIZES_PX)))],
                needle=with_needles and bool(rng.random() >= 0.2),
                start="outside" if rng.random() < 0.2 else "inside",
                # A needle across the plane is a dot; it is learnt from the simulator's clips.
                approach="in-plane",
            )
            frames, truths = zip(*(generator.next_frame() for _ in range(spec.frames)), strict=True)
            square = square_cine(
                list(frames),
                [generator.region] * spec.frames,
                [t.tip_px for t in truths],
                [t.entry_px for t in truths],
                [JUDGED[t.visibility] for t in truths],
                # A still states no millimetres; a drawn depth is no measurement.
                None,
            )
            save_clip(folder, name, "composite" if with_needles else "empty", "stills", square)
        report("needles in stills", k + 1, spec.clips)
    return folder
