"""The tip detector on real pictures with a mask of the needle beside each: cines, and stills held up to it.

    python tests/bench/other_probes.py --pictures DIR --masks DIR [--stills] [--model ID] [--models DIR]

Pictures and masks are paired in the order of their names. The tip is the deeper end of the mask's long axis. A cine is
read as it is, 25 frames a second. With ``--stills`` every picture is a needle at rest: it is repeated for 20 frames
with the noise of a capture and a sixth of a pixel of tremor, and the last answer counts. A tip is right within a
twentieth of the region's height, since such pictures rarely state millimetres. Nothing is kept of the pictures.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from puncta.imaging.preprocess import resample_region
from puncta.imaging.region import find_region
from puncta.imaging.tip_reading import TipReader, TipReading, pixel_mm_of
from puncta.inference.registry import Registry
from puncta.inference.session import open_session
from puncta.sdk.context import ModelSession

FRAME_NS = 40_000_000
REPEATED = 20
RIGHT_SHARE = 0.05
LEAST_MASK_PX = 30
Box = tuple[int, int, int, int]
Grey = NDArray[np.uint8]


def tip_of_mask(mask: Grey) -> NDArray[np.float64] | None:
    """Deeper end of a mask's long axis [px]; None without a mask."""
    y, x = np.nonzero(mask)
    if len(x) < LEAST_MASK_PX:
        return None
    points = np.stack([x, y], 1).astype(float)
    along = (points - points.mean(0)) @ np.linalg.svd(points - points.mean(0), full_matrices=False)[2][0]
    return max(points[along.argmax()], points[along.argmin()], key=lambda p: float(p[1]))


def held_up(picture: Grey, rng: np.random.Generator) -> Iterator[Grey]:
    """A still as a capture repeats it."""
    for _ in range(REPEATED):
        moved = np.float32([[1, 0, rng.normal(0, 0.15)], [0, 1, rng.normal(0, 0.15)]])
        shown = cv2.warpAffine(picture.astype(np.float32), moved, picture.shape[::-1], borderMode=cv2.BORDER_REFLECT)
        noisy = shown * (1 + 0.05 * rng.standard_normal(shown.shape)) + 2 * rng.standard_normal(shown.shape)
        yield np.clip(noisy, 0, 255).astype(np.uint8)


def read(model: ModelSession, pictures: list[Grey], stills: bool) -> Iterator[tuple[TipReading, Box]]:
    """Answer for every picture, with the region it was read in."""
    rng = np.random.default_rng(0)
    reader, box = TipReader(model), find_region(pictures).box
    size = (reader.size, reader.size)
    for k, picture in enumerate(pictures):
        if not stills:
            grey = resample_region(picture, box, size)[0]
            yield reader.read(grey, k * FRAME_NS, pixel_mm_of(box, None, size[0])), box
            continue
        own, reader = find_region([picture]).box, TipReader(model)
        answer = TipReading()
        for i, frame in enumerate(held_up(resample_region(picture, own, size)[0], rng)):
            answer = reader.read(frame, i * FRAME_NS, pixel_mm_of(own, None, size[0]))
        yield answer, own


def main() -> None:
    """Read, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--masks", type=Path, required=True)
    parser.add_argument("--stills", action="store_true")
    parser.add_argument("--model", default="needle-tip-ut")
    parser.add_argument("--models", type=Path, help="another folder of models")
    given = parser.parse_args()
    registry = Registry.load(given.models) if given.models else Registry.load()
    card = registry.find(given.model)
    pictures = [cv2.imread(str(p), cv2.IMREAD_GRAYSCALE) for p in sorted(given.pictures.iterdir())]
    masks = [cv2.imread(str(p)).max(axis=2) > 20 for p in sorted(given.masks.iterdir())]
    if len(pictures) != len(masks):
        raise SystemExit(f"{len(pictures)} pictures and {len(masks)} masks do not pair.")
    model = open_session(card)
    side = TipReader(model).size
    needles = shown = right = alarms = 0
    for (answer, (x, y, w, h)), mask in zip(read(model, pictures, given.stills), masks, strict=True):
        tip = tip_of_mask(mask.astype(np.uint8))
        needles += tip is not None
        if answer.tip is None:
            continue
        shown += tip is not None
        alarms += tip is None
        if tip is not None:
            at = np.array([x + (answer.tip[0] + 0.5) * w / side, y + (answer.tip[1] + 0.5) * h / side])
            right += bool(np.hypot(*(at - tip)) < RIGHT_SHARE * h)
    print(f"{card.identity}: {len(pictures)} pictures, a needle on {needles}; a tip shown on {shown} of these, "
          f"right on {right}; on {alarms} of {len(pictures) - needles} without one.")


if __name__ == "__main__":
    main()
