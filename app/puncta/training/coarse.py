"""Cines as coarse, convex or cheap probes show them: made speckle, smeared needles, everything drawn from chance.

Why: the stills and the simulator's machines are fine and mostly linear. On a convex probe, or at depth, the beam is
millimetres wide: a needle is a broad, soft bar, its tip a smear across the beam. Here nothing is meant to look like
any one machine; what is drawn is wide enough for real machines to lie within it ("domain randomisation", Tobin et al.,
IROS 2017).

The picture is made in the beam's own space. Scatterers and needle are one complex field, which one point spread
function smears (wider across the beam than along it, and wider away from the focus); its envelope is compressed and
scan converted. So the needle's echo interferes with the tissue's as it does in a scanner. Everything is simulated.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np

from puncta.training.coarse_needle import draw_coarse_needle, needle_field
from puncta.training.coarse_tissue import BEAMS, SAMPLES, Tissue, draw_probe, moved
from puncta.training.data import CACHE_SIZE, Report, cache_name, save_clip
from puncta.training.seen import is_seen
from puncta.training.synthesis import Cine, draw_furniture


@dataclass(frozen=True, slots=True)
class CoarseCineSpec:
    """Cines of made tissue and needles."""

    drawn_by: ClassVar[tuple[str, ...]] = (
        "coarse.py", "coarse_needle.py", "coarse_tissue.py", "synthesis.py", "seen.py",
    )

    clips: int
    frames: int = 16
    seed: int = 1


def compose_coarse_cine(rng: np.random.Generator, size: int, steps: int) -> Cine:
    """Make one cine, five in seven with a needle."""
    probe = draw_probe(rng, size)
    tissue = Tissue(rng, probe)
    needle = draw_coarse_needle(rng, tissue, steps) if rng.random() < 5 / 7 else None
    hand = float(rng.choice([0.0, 0.1, 0.5, 1.2]))
    path = np.cumsum(cv2.blur(rng.normal(0, hand, (steps, 2)), (1, 5)), axis=0)
    turned = np.cumsum(np.abs(rng.normal(0, float(rng.choice([0.0, 0.02, 0.15])), steps)))
    carried = rng.random() < 0.65
    tips, entries = np.full((steps, 2), np.nan), np.full((steps, 2), np.nan)
    judged = np.zeros(steps, np.int8)
    frames = np.empty((steps, size, size), np.uint8)
    for i in range(steps):
        drawn = None
        shift = (float(path[i, 0]) * BEAMS / size, float(path[i, 1]) * SAMPLES / size)
        if needle is not None:
            drawn = needle_field(needle, probe, i)
            tip = needle.tip_px(i)
            if carried:
                drawn = (moved(drawn[0], shift), moved(drawn[1], shift))
                tip = probe.carry(tip, shift)
            tips[i], entries[i] = tip, np.array(needle.entry_px) + (tip - needle.tip_px(i))
        frames[i] = tissue.show(shift, float(turned[i]), drawn)
        if needle is not None:
            x, y = (int(round(float(v))) for v in tips[i])
            in_view = 2 <= x < size - 2 and 2 <= y < size - 2 and bool(probe.inside[y, x])
            # What nobody can see is neither asked for nor forbidden.
            seen = in_view and is_seen(tissue.show(shift, float(turned[i]), None), frames[i], tips[i])
            judged[i] = 1 if seen else -1
    if rng.random() < 0.3:
        draw_furniture(rng, frames)
    tips[judged != 1] = np.nan
    entries[judged != 1] = np.nan
    return Cine(frames, tips, entries, judged, None)


def build_coarse(spec: CoarseCineSpec, cache: Path, report: Report, part: tuple[int, int] = (0, 1)) -> Path:
    """Make the clips that the cache lacks, of them every n-th from the k-th on; return their folder."""
    folder = cache / cache_name(spec)
    for k in range(part[0], spec.clips, part[1]):
        name = f"{k:05d}"
        if not (folder / f"{name}.json").exists():
            rng = np.random.default_rng([spec.seed, 78, k])
            save_clip(folder, name, "composite", "coarse", compose_coarse_cine(rng, CACHE_SIZE, spec.frames))
        report("coarse cines", k + 1, spec.clips)
    return folder
