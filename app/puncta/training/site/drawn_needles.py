"""Needles drawn into a site's own needle-free frames, as clips to pre-train on.

The detector of a site's machine can learn that machine's tissue, speckle and artefacts without a label where needles
are put into its needle-free pictures (the way of TipDet-SDP, which pastes generated tips into such pictures; here whole
needles are drawn). Most are drawn into runs as they are, whose tissue moves as it does under a hand; the others into
one frame that is bent into a cine, by the simulator's law of the echo, so that the two err differently.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from puncta.core.errors import UserError
from puncta.sim.composite import CompositeGenerator
from puncta.sim.composite_stills import without_margins
from puncta.training.data import JUDGED, Clip, Report, cache_name, load_clips, load_json_names, save_clip, square_cine
from puncta.training.dataset_reading import SOURCE
from puncta.training.seen import is_seen
from puncta.training.still_cines import SIZES_PX
from puncta.training.synthesis import Cine, NeedlePainter, draw_needle

AS_IT_IS = 0.6
"""Share of clips drawn into runs as they are, where there are runs."""
LEAST_RUN = 6
"""Frames of a run from which on its own motion is used."""
EMPTY = 0.15
"""Share of clips of bent frames without a needle."""
FIRM = (0.6, 1.0)
"""Share of the tissue's drift that a needle in a hand goes along with."""
HEIGHT_MM = (22.0, 50.0)
"""Height of a picture without millimetres, as it is drawn."""


@dataclass(frozen=True, slots=True)
class DrawnSpec:
    """Clips with drawn needles. ``source`` is the folder of the needle-free clips: it stands for their content."""

    drawn_by: ClassVar[tuple[str, ...]] = ("site/drawn_needles.py", "synthesis.py", "seen.py")

    source: str
    clips: int
    frames: int = 24
    seed: int = 1


def build_drawn(
    spec: DrawnSpec, root: Path, cache: Path, report: Report, part: tuple[int, int] = (0, 1)
) -> Path:
    """Make the clips that the cache lacks; return their folder.

    Parameters
    ----------
    root : Path
        Where the folder of needle-free clips lies.
    part : (k, n)
        Make only every n-th clip from the k-th on, so that n processes can share the work.
    """
    folder = cache / cache_name(spec)
    there = load_json_names(folder)
    free = [clip for clip in load_clips(root / spec.source) if (clip.judged == 0).all()]
    if not free:
        raise UserError("There is no needle-free frame to draw needles into.")
    runs = [clip for clip in free if len(clip.frames) >= LEAST_RUN]
    for k in range(part[0], spec.clips, part[1]):
        name = f"{k:05d}"
        if name not in there:
            rng = np.random.default_rng([spec.seed, k])
            if runs and rng.random() < AS_IT_IS:
                clip = _pick(rng, runs)
                cine = draw_on_run(rng, clip)
            else:
                clip = _pick(rng, free)
                cine = draw_on_still(rng, clip, spec.seed * 100_000 + k, spec.frames)
            save_clip(folder, name, SOURCE, clip.machine, cine)
        report("needles drawn into recordings", k + 1, spec.clips)
    return folder


def _pick(rng: np.random.Generator, clips: Sequence[Clip]) -> Clip:
    return clips[int(rng.integers(len(clips)))]


def draw_on_run(rng: np.random.Generator, clip: Clip) -> Cine:
    """Draw a needle into frames that follow one another; their tissue moves as it did."""
    steps, size = len(clip.frames), clip.frames.shape[1]
    mm = clip.mm_per_px or (float(rng.uniform(*HEIGHT_MM)) / size,) * 2
    painter = NeedlePainter(rng, size, mm)
    start = "outside" if rng.random() < 0.2 else "inside"
    needle, _longest = draw_needle(rng, steps, size * mm[0], size * mm[1], start)
    drift_mm = clip.drift_px * np.array(mm) * float(rng.uniform(*FIRM))
    # A picture comes from a machine compressed once; drawn into and compressed again it has no seams to learn.
    quality = int(rng.integers(60, 96)) if rng.random() < 0.5 else 0
    frames = np.empty((steps, size, size), np.uint8)
    tips, entries = np.full((steps, 2), np.nan), np.full((steps, 2), np.nan)
    judged = np.zeros(steps, np.int8)
    for i in range(steps):
        shown = np.asarray(clip.frames[i], np.float32)
        if needle.way_mm[i] > 0.5:
            x, y = needle.origin_mm
            moved = replace(needle, origin_mm=(x + float(drift_mm[i, 0]), y + float(drift_mm[i, 1])))
            bare, shown = shown, painter.paint(shown, moved, i)
            tip, entry = painter.end_px(moved, i)
            within = (tip > 1).all() and (tip < size - 2).all()
            if needle.way_mm[i] > 1.5 and within and is_seen(bare, np.clip(shown, 0, 255), tip):
                judged[i], tips[i], entries[i] = 1, tip, entry
            else:
                judged[i] = -1
        frames[i] = _compressed(np.clip(np.rint(shown), 0, 255).astype(np.uint8), quality)
    return Cine(frames, tips, entries, judged, clip.mm_per_px)


def _compressed(frame: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    if not quality:
        return frame
    packed = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(packed, cv2.IMREAD_GRAYSCALE), np.uint8)


def draw_on_still(rng: np.random.Generator, clip: Clip, seed: int, frames: int) -> Cine:
    """Bend one frame into a cine and draw a needle into it by the simulator's law, or none."""
    still = np.ascontiguousarray(clip.frames[int(rng.integers(len(clip.frames)))])
    try:
        still = without_margins(still, clip.name)
    except UserError:  # hardly anything is seen on it: as it is
        pass
    generator = CompositeGenerator(
        still, seed, steps=frames, size_px=SIZES_PX[int(rng.integers(len(SIZES_PX)))],
        needle=bool(rng.random() >= EMPTY), start="outside" if rng.random() < 0.2 else "inside", approach="in-plane",
    )
    shown, truths = zip(*(generator.next_frame() for _ in range(frames)), strict=True)
    return square_cine(
        list(shown), [generator.region] * frames, [t.tip_px for t in truths], [t.entry_px for t in truths],
        [JUDGED[t.visibility] for t in truths], None,  # a drawn depth is no measurement
    )
