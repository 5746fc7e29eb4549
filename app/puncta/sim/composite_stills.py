"""Real needle-free stills: found in folders that the user names, split into halves once, and measured for their look.

Nothing of a still is kept beyond the clip that is built on it, and none ships with the program.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from puncta.core.errors import UserError
from puncta.formats.atomic import plain_os_error
from puncta.formats.dataset_specs import stills_half

Float32 = NDArray[np.float32]
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp"})
TUNE_SHARE = 8
"""One in so many stills of the background half belongs to the split ``tune``."""
BLACK = 6.0
"""Mean grey level up to which a row or column of a still counts as margin."""
SPECKLE_DB = 5.57
"""Deviation of log-compressed, fully developed speckle [dB]: the envelope is Rayleigh distributed."""
TISSUE_STRETCH = 0.6
"""Lateral point spread against what correlation measures (our choice): layers and the machines' smoothing stretch it,
and without this needles come out wider than a 6-14 MHz probe draws them."""
LEAST_SIDE_PX = 64


@dataclass(frozen=True, slots=True)
class Still:
    """One picture: where it is, the hash of its file, and which folder it comes from (as a short name)."""

    path: Path
    sha256: str
    origin: str

    @property
    def half(self) -> str:
        """``background`` (to learn from) or ``false-alarm`` (to be judged on)."""
        return half_of(self.sha256)

    @property
    def kept_to_tune(self) -> bool:
        """Whether it belongs to ``tune`` among the background half."""
        return int(self.sha256[2:4], 16) % TUNE_SHARE == 0


def half_of(sha256: str) -> str:
    """Return the half that a still belongs to by the hash of its file: it decides once and for good."""
    return "background" if int(sha256[:2], 16) % 2 == 0 else "false-alarm"


def list_stills(root: Path, folders: tuple[str, ...]) -> tuple[Still, ...]:
    """Return every still of some folders in the order of their hashes; twins stand once.

    Raises
    ------
    UserError
        A folder is missing, cannot be read or holds no picture.
    """
    found: dict[str, Still] = {}
    for folder in folders or ("",):
        place = Path(root) / folder
        if not place.is_dir():
            raise UserError(
                f"There is no folder of stills {place}; name the place that holds their folders (--stills or --data)."
            )
        origin = folder.strip("/").replace("/", "-") or "stills"
        try:
            files = sorted(p for p in place.iterdir() if p.suffix.lower() in SUFFIXES)
            for path in files:
                sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
                found.setdefault(sha256, Still(path, sha256, origin))
        except OSError as error:
            raise plain_os_error(error, place, "read") from error
        if not files:
            raise UserError(f"The folder of stills {place} holds no picture (PNG, JPEG or BMP).")
    return tuple(found[sha256] for sha256 in sorted(found))


def stills_of_split(stills: tuple[Still, ...], split: str) -> tuple[Still, ...]:
    """Return the stills that a split takes: train and tune share the background half, all others have the other one.

    Raises
    ------
    UserError
        None are left.
    """
    half = stills_half(split)
    chosen = tuple(s for s in stills if s.half == half)
    if half == "background":
        chosen = tuple(s for s in chosen if s.kept_to_tune == (split == "tune"))
    if not chosen:
        raise UserError(f"None of the {len(stills)} stills falls to the split {split}; give a folder with more stills.")
    return chosen


def read_still(path: Path) -> NDArray[np.uint8]:
    """Read a still as grey levels, without its black margins.

    Raises
    ------
    UserError
        It is no readable picture, or too small.
    """
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise plain_os_error(error, path, "read") from error
    picture = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE) if data.size else None
    if picture is None:
        raise UserError(f"The still {path} cannot be read; take it out of the folder of stills.")
    return without_margins(np.asarray(picture, np.uint8), path)


def without_margins(picture: NDArray[np.uint8], path: Path | str = "given") -> NDArray[np.uint8]:
    """Cut black margins off; raises UserError where hardly anything is left."""
    rows = np.flatnonzero(picture.mean(axis=1) > BLACK)
    columns = np.flatnonzero(picture.mean(axis=0) > BLACK)
    if len(rows) and len(columns):
        picture = picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    if not len(rows) or not len(columns) or min(picture.shape) < LEAST_SIDE_PX:
        raise UserError(f"The still {path} shows less than {LEAST_SIDE_PX} x {LEAST_SIDE_PX} pixels of ultrasound.")
    return np.ascontiguousarray(picture)


@dataclass(frozen=True, slots=True)
class StillLook:
    """How the machine that made a still draws: measured on the still, so that a needle can be drawn alike.

    Attributes
    ----------
    grey_per_db : float
        Slope of the display.
    top_grey : float
        Grey level of the brightest interfaces, level 0 dB.
    sigma_px : (x, y)
        Sigmas of the point spread [px].
    tissue_db : float
        Typical tissue against the brightest interfaces [dB].
    """

    grey_per_db: float
    top_grey: float
    sigma_px: tuple[float, float]
    tissue_db: float


def measure_look(picture: NDArray[np.uint8]) -> StillLook:
    """Measure brightness, dynamic range and speckle size of a still.

    The dynamic range follows from the deviation of the speckle: 5.57 dB where it is fully developed, less where looks
    were compounded, so the 45..62 dB that machines offer bound it. The point spread's sigma follows from the lag at
    which the speckle's correlation exp(-d^2 / (2 sigma^2)) has fallen to one half; layered tissue lengthens it across
    the beam, which `TISSUE_STRETCH` takes back.
    """
    level = picture.astype(np.float32)
    mean = cv2.GaussianBlur(level, (0, 0), 6.0)
    rest = level - mean
    fair = (mean > 18.0) & (mean < 190.0)
    if fair.sum() < 500:
        fair = mean > 4.0
    spread = np.sqrt(np.maximum(cv2.GaussianBlur(rest * rest, (0, 0), 6.0), 0.0))
    # The calmest third of the fair places is plain speckle; the others hold structures.
    calm = fair & (spread <= np.quantile(spread[fair], 0.35)) if fair.any() else np.ones_like(fair)
    deviation = float(np.sqrt(np.mean(np.square(rest[calm])))) if calm.any() else 10.0
    dynamic_db = float(np.clip(255.0 * SPECKLE_DB * 0.8 / max(deviation, 1.0), 45.0, 62.0))
    sigma = tuple(
        float(np.clip(_sigma_px(rest, calm, axis) * share, 0.55, most))
        for axis, share, most in ((1, TISSUE_STRETCH, 2.4), (0, 0.85, 1.6))
    )
    top = float(np.clip(np.quantile(level, 0.997), 120.0, 250.0))
    grey_per_db = 255.0 / dynamic_db
    tissue = (float(np.median(level[fair])) if fair.any() else 60.0) - top
    return StillLook(grey_per_db, top, sigma, tissue / grey_per_db)  # type: ignore[arg-type]


def _sigma_px(rest: Float32, where: NDArray[np.bool_], axis: int) -> float:
    """Sigma of the point spread along an axis [px]."""
    before = 1.0
    power = float(np.mean(np.square(rest[where]))) if where.any() else 0.0
    if power <= 0:
        return 1.0
    for lag in range(1, 9):
        a = rest[:, lag:] if axis == 1 else rest[lag:]
        b = rest[:, :-lag] if axis == 1 else rest[:-lag]
        both = (where[:, lag:] & where[:, :-lag]) if axis == 1 else (where[lag:] & where[:-lag])
        now = float(np.mean(a[both] * b[both])) / power if both.any() else 0.0
        if now < 0.5:
            half_lag = lag - 1 + (before - 0.5) / max(before - now, 1e-6)
            return half_lag / 1.177
        before = now
    return 4.0


def shade_db(picture: NDArray[np.uint8], look: StillLook) -> Float32:
    """Level left at each place after what lies above it [dB], guessed from the still, shape as the picture.

    A place that is dark all the way down lies in a shadow and hides a needle; a dark place with bright tissue below is
    a vessel or cyst and does not.
    """
    smooth = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), 0.04 * picture.shape[0])
    level = (smooth - look.top_grey) / look.grey_per_db
    below = np.maximum.accumulate(level[::-1], axis=0)[::-1]
    usual = float(np.quantile(below[: max(1, len(below) * 2 // 3)], 0.6))
    return np.clip(0.8 * (below - usual), -25.0, 3.0).astype(np.float32)
