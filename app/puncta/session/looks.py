"""How simulated pictures look beside real ones: texture in the real range, cell by cell of machine and procedure."""

from __future__ import annotations

import math
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from puncta.core.errors import UserError
from puncta.core.frame import grey_from_pixels
from puncta.metrics.texture import (
    Float,
    Texture,
    grey_histogram,
    histogram_distance,
    lit_mask,
    measure_texture,
)
from puncta.sim.cine import CineGenerator
from puncta.sources.factory import FILE_SUFFIXES, open_source

Grey = NDArray[np.uint8]
Say = Callable[[int, int], None]

LONG_SIDE_PX = 640
"""Larger real pictures are reduced to this, so that a pixel means about the same everywhere."""
SIM_HEIGHT_PX = 512
FRAMES_PER_CLIP = 4
MOST_PER_FOLDER = 200
FIRST_SEED = 770_000
"""Seeds of the measured cines; no dataset or test of the project uses them."""
JUDGED = ("grey_p50", "grey_p95", "speckle_lateral_px", "speckle_axial_px", "slope", "grain", "contrast", "gradient",
          "gradient_tail", "layering")
_NOT_PICTURES = ("mask", "masks", "label", "labels", "annotations")


@dataclass(frozen=True, slots=True, eq=False)
class LookPicture:
    """The ultrasound region of one picture.

    Attributes
    ----------
    name : str
        File (with frame) or seed.
    group : str
        Real: name of the given folder. Simulated: ``machine procedure``.
    source : str
        File or cine the picture comes from; pictures of one source are never split.
    pixels : ndarray of uint8, shape (H, W)
    """

    name: str
    group: str
    source: str
    pixels: Grey


def list_real(folder: Path) -> list[Path]:
    """Files of pictures and clips below a folder, without folders of masks, evenly thinned to `MOST_PER_FOLDER`.

    Raises
    ------
    UserError
        The folder is missing or holds none.
    """
    if not folder.is_dir():
        raise UserError(f"There is no folder {folder}; --real names a folder with real pictures or clips.")
    found = sorted(
        p for p in folder.rglob("*")
        if p.suffix.lower() in FILE_SUFFIXES and p.is_file()
        and not any(part.lower() in _NOT_PICTURES or part.startswith(".") for part in p.relative_to(folder).parts)
    )
    if not found:
        raise UserError(f"The folder {folder} holds no pictures or clips; name one with PNG, JPEG, video or DICOM.")
    if len(found) > MOST_PER_FOLDER:
        found = [found[i] for i in np.linspace(0, len(found) - 1, MOST_PER_FOLDER).astype(int)]
    return found


def read_real(folder: Path) -> tuple[list[LookPicture], list[str]]:
    """Read a folder's pictures and some frames of each of its clips, cut to the ultrasound region.

    Returns
    -------
    pictures, skipped
        The second names files that no reader opens.
    """
    pictures: list[LookPicture] = []
    skipped: list[str] = []
    for path in list_real(folder):
        try:
            pictures += _frames_of(path, folder)
        except UserError:
            skipped.append(str(path.relative_to(folder)))
    return pictures, skipped


def _frames_of(path: Path, folder: Path) -> list[LookPicture]:
    name = str(path.relative_to(folder))
    source = open_source(str(path))
    try:
        info = source.info
        count = len(info.times_ns) if info.times_ns is not None else 1
        found = []
        for index in sorted({int(i) for i in np.linspace(0, count - 1, min(count, FRAMES_PER_CLIP))}):
            source.seek(index)
            frame = source.read()
            if frame is None:
                break
            grey = cut(np.asarray(grey_from_pixels(frame.pixels), np.uint8), frame.geometry.region.box)
            found.append(LookPicture(name if count == 1 else f"{name} frame {index}", folder.name,
                                     f"{folder.name}/{name}", grey))
        return found
    finally:
        source.close()


def cut(picture: Grey, box: tuple[int, int, int, int]) -> Grey:
    """Cut a box [x0, y0, w, h] out, two pixels of its border left away, and reduce it to `LONG_SIDE_PX`."""
    x0, y0, w, h = box
    part = picture[max(0, y0) + 2 : y0 + h - 2, max(0, x0) + 2 : x0 + w - 2]
    scale = LONG_SIDE_PX / max(part.shape)
    if scale < 1.0:
        size = (max(1, round(part.shape[1] * scale)), max(1, round(part.shape[0] * scale)))
        part = np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), np.uint8)
    return np.ascontiguousarray(part)


@dataclass(frozen=True, slots=True)
class Order:
    """One cine to simulate; ``needle`` as for `CineGenerator`, ``frame`` the index of the frame that is kept."""

    procedure: str
    machine: str
    seed: int
    needle: bool | None = False
    frame: int = 6


def simulate_picture(order: Order) -> LookPicture:
    """Render one frame of a cine and cut it to its region."""
    generator = CineGenerator(order.procedure, order.machine, order.seed, needle=order.needle)
    for _ in range(order.frame):
        pixels, _ = generator.next_frame()
    height = generator.scan.layout.height_px
    if height != SIM_HEIGHT_PX:
        raise UserError(f"A plain simulated picture is {height} px high; the comparison needs {SIM_HEIGHT_PX}.")
    name = f"{order.procedure} {order.seed}"
    return LookPicture(name, f"{order.machine} {order.procedure}", f"{order.machine}/{name}",
                       cut(pixels, generator.scan.layout.region))


def simulate_pictures(orders: Sequence[Order], jobs: int, say: Say) -> list[LookPicture]:
    """Render several, in as many processes; the result does not depend on their number."""
    if jobs <= 1:
        return [_told(simulate_picture(order), i, len(orders), say) for i, order in enumerate(orders)]
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        return [_told(p, i, len(orders), say) for i, p in enumerate(pool.map(simulate_picture, orders, chunksize=4))]


def _told(picture: LookPicture, index: int, total: int, say: Say) -> LookPicture:
    say(index + 1, total)
    return picture


def plan_orders(machines: Sequence[str], procedures: Sequence[str], cines: int, first_seed: int) -> list[Order]:
    """The needle-free cines that are measured: ``cines`` of each procedure on each machine."""
    return [Order(p, m, first_seed + k) for m in machines for p in procedures for k in range(cines)]


@dataclass(frozen=True, slots=True, eq=False)
class RealRange:
    """What real pictures measure.

    Attributes
    ----------
    low, middle, high : dict of str to float
        5th, 50th and 95th percentile of each field of `Texture` over the pictures.
    histogram : ndarray
        Shares of grey levels of all lit tissue, each picture weighted alike.
    distance_high : float
        95th percentile of the distance of one real picture's histogram from the pooled one [grey levels].
    pictures : int
    """

    low: dict[str, float]
    middle: dict[str, float]
    high: dict[str, float]
    histogram: Float
    distance_high: float
    pictures: int


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """Textures and grey histograms of some pictures, in their order."""

    textures: tuple[Texture, ...]
    histograms: Float


def measure(pictures: Sequence[LookPicture]) -> Measured:
    """Measure the texture of every picture."""
    textures, histograms = [], []
    for picture in pictures:
        mask = lit_mask(picture.pixels)
        textures.append(measure_texture(picture.pixels, mask))
        histograms.append(grey_histogram(picture.pixels, mask))
    return Measured(tuple(textures), np.array(histograms))


def real_range(measured: Measured) -> RealRange:
    """Return the range of real pictures."""
    low, middle, high = {}, {}, {}
    for field in fields(Texture):
        values = [getattr(t, field.name) for t in measured.textures]
        low[field.name], middle[field.name], high[field.name] = (
            float(v) for v in np.nanpercentile(values, (5, 50, 95))
        )
    pooled = measured.histograms.mean(axis=0)
    distances = [histogram_distance(h, pooled) for h in measured.histograms]
    return RealRange(low, middle, high, pooled, float(np.percentile(distances, 95)), len(distances))


def judge_cell(measured: Measured, real: RealRange) -> dict[str, Any]:
    """Hold one cell's pictures against the real range.

    Returns
    -------
    dict
        ``pictures``; for each name of `JUDGED` ``{median, inside, share}``: the median picture, whether it lies in the
        real 5-95 % range, and the share of pictures that do; ``histogram`` ``{distance, limit, inside}``.
    """
    out: dict[str, Any] = {"pictures": len(measured.textures)}
    for name in JUDGED:
        values = np.array([getattr(t, name) for t in measured.textures])
        values = values[np.isfinite(values)]
        if len(values) == 0:
            out[name] = {"median": None, "inside": False, "share": 0.0}
            continue
        median = float(np.median(values))
        within = (values >= real.low[name]) & (values <= real.high[name])
        inside = bool(real.low[name] <= median <= real.high[name])
        out[name] = {"median": round(median, 4), "inside": inside, "share": round(float(within.mean()), 3)}
    distance = histogram_distance(measured.histograms.mean(axis=0), real.histogram)
    out["histogram"] = {"distance": round(distance, 2), "limit": round(real.distance_high, 2),
                        "inside": bool(distance <= real.distance_high)}
    return out


def pick(measured: Measured, which: Sequence[int]) -> Measured:
    """Return the part of a measurement that belongs to some pictures."""
    return Measured(tuple(measured.textures[i] for i in which), measured.histograms[list(which)])


def groups_of(pictures: Sequence[LookPicture]) -> Iterator[tuple[str, list[int]]]:
    """Yield each group's name and the places of its pictures."""
    for name in dict.fromkeys(p.group for p in pictures):
        yield name, [i for i, p in enumerate(pictures) if p.group == name]


def rounded(values: dict[str, float]) -> dict[str, float | None]:
    """Round for a file of numbers; None where there is no number."""
    return {k: (round(v, 4) if math.isfinite(v) else None) for k, v in values.items()}
