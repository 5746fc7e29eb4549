"""One sample of the landmark network: a frame, cropped, turned and shown as some machine may, and what is asked of it.

Space: mirrored left to right, turned by up to 15 degrees, cropped as the poster crops (left and right, top and bottom,
all four sides, or not at all; `crop` of the extent stays), scaled a little. Never upside down: a spine is read from the
skin down. A crop that takes a lit structure out of the picture is not made, for the flags would no longer be true.
Looks: `puncta.training.appearance`, and the tones and grain of real stills, which lend their texture and nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from puncta.sim.spine_flags import BLACK_GREY, BLACK_SHARE, CLIPPED_SHARE, WHITE_GREY
from puncta.training.appearance import Look
from puncta.training.landmarks.data import CORD, CSF, FLAGS, MAP_SIZE, NOT_TOLD, OTHER, SPINE, Shot
from puncta.training.landmarks.strangers import break_picture, magnify_picture, make_stranger
from puncta.training.nets.lp_small import STRIDE

KEPT_LEAST = 0.7
"""Share of a lit structure that a crop must leave in the picture."""
BLIND_TURN_DEG = 5.0
"""Largest turn of a picture whose structures nobody has marked [deg]."""
CROPS = ("left and right", "top and bottom", "all sides", "none")
TRANSVERSE = "transverse"
_QUALITY = FLAGS.index("quality")
_PARTS = ((FLAGS.index("cord"), CORD), (FLAGS.index("csf"), CSF))

Grey = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Changes:
    """How much samples are changed.

    Attributes
    ----------
    crop : float
        Share of the extent that a crop keeps; 1 crops nothing.
    turn_deg : float
        Largest turn either way [deg].
    plain_looks : float
        Share of samples whose looks are left nearly as they are.
    restyle : float
        Share of samples that take on a real still's tones or grain.
    broken, made : float
        Share of spines that are shown taken apart, and of other organs that give way to a made picture.
    magnified : float
        Share of spines that are shown far too large to be an infant's.
    """

    crop: float = 0.8
    turn_deg: float = 15.0
    plain_looks: float = 0.35
    restyle: float = 0.25
    broken: float = 0.07
    made: float = 0.3
    magnified: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One picture and what is asked of it.

    Attributes
    ----------
    picture : ndarray of uint8, shape (S, S)
    flags : ndarray of float32, shape (3,)
        1, 0, or -1 where nothing is asked.
    parts : ndarray of float32, shape (3, S / 8, S / 8)
        Share of each cell where the flag's structure is lit; zero where it is not known.
    other : float
        1 where the picture is no infant's spine.
    """

    picture: Grey
    flags: NDArray[np.float32]
    parts: NDArray[np.float32]
    other: float


class Styles:
    """Tones and grain of real stills.

    Parameters
    ----------
    stills : sequence of ndarray of uint8
    """

    def __init__(self, stills: Sequence[Grey]) -> None:
        self.stills = list(stills)

    def restyle(self, rng: np.random.Generator, picture: Grey) -> Grey:
        """Return a picture with tones, grain or both drawn towards those of a drawn still; its shapes stay."""
        if not self.stills:
            return picture
        still = self.stills[int(rng.integers(len(self.stills)))]
        if rng.random() < 0.7:
            picture = match_tones(picture, still, float(rng.uniform(0.3, 1.0)))
        if rng.random() < 0.7:
            picture = lend_grain(picture, still, rng, float(rng.uniform(0.2, 0.7)))
        return picture


def match_tones(picture: Grey, still: Grey, share: float) -> Grey:
    """Move a picture's histogram towards a still's, lit part to lit part (black stays black)."""
    tables = []
    for grey in (picture, still):
        counts = np.bincount(grey.ravel(), minlength=256).astype(np.float64)
        counts[:4] = 0
        tables.append(np.cumsum(counts) / max(1.0, counts.sum()))
    target = np.interp(tables[0], tables[1], np.arange(256))
    table = (1 - share) * np.arange(256) + share * target
    table[:4] = np.arange(4)
    return np.asarray(cv2.LUT(picture, np.clip(table, 0, 255).astype(np.uint8)), np.uint8)


def lend_grain(picture: Grey, still: Grey, rng: np.random.Generator, share: float) -> Grey:
    """Multiply a picture by a still's fine structure (its brightness over a few pixels' mean), shifted at random."""
    size = (picture.shape[1], picture.shape[0])
    source = cv2.resize(still, size, interpolation=cv2.INTER_LINEAR).astype(np.float32)
    grain = np.clip((source + 12.0) / (cv2.GaussianBlur(source, (0, 0), 2.5) + 12.0), 0.4, 2.2)
    grain = np.roll(grain, (int(rng.integers(size[1])), int(rng.integers(size[0]))), (0, 1))
    return np.clip(picture * (1 + np.float32(share) * (grain - 1)), 0, 255).astype(np.uint8)


def crop_box(kind: str, keep: float) -> tuple[float, float, float, float]:
    """(x, y, w, h) of what a crop leaves, as shares of the picture, in its middle."""
    w = keep if kind in ("left and right", "all sides") else 1.0
    h = keep if kind in ("top and bottom", "all sides") else 1.0
    return (1 - w) / 2, (1 - h) / 2, w, h


def draw_warp(rng: np.random.Generator, source: int, size: int, changes: Changes) -> NDArray[np.float64]:
    """Draw the affine map, shape (2, 3), from cached pixels to input pixels."""
    x, y, w, h = crop_box(CROPS[int(rng.integers(len(CROPS)))], changes.crop)
    # A crop is cut out of the middle, but not always of the very middle.
    x += float(rng.uniform(-0.5, 0.5)) * (1 - w) / 2
    y += float(rng.uniform(-0.5, 0.5)) * (1 - h) / 2
    to_crop = _scaling(source, size, (x, y, w, h))
    c = (size - 1) / 2
    turn = math.radians(float(rng.uniform(-changes.turn_deg, changes.turn_deg)))
    zoom = float(rng.uniform(0.92, 1.12))
    flip = -1.0 if rng.random() < 0.5 else 1.0
    linear = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    linear = linear @ np.diag([flip * zoom * float(rng.uniform(0.9, 1.1)), zoom])
    about = np.eye(3)
    about[:2, :2] = linear
    about[:2, 2] = np.array([c, c]) + rng.uniform(-0.05, 0.05, 2) * size - linear @ np.array([c, c])
    return (about @ to_crop)[:2]


def _scaling(source: int, size: int, box: tuple[float, float, float, float]) -> NDArray[np.float64]:
    """3 x 3 map that stretches a part of a square, given in shares of it, to a square input; corners meet corners."""
    out = np.eye(3)
    for k in (0, 1):
        scale = size / (source * box[2 + k])
        out[k, k] = scale
        out[k, 2] = (0.5 - box[k] * source) * scale - 0.5
    return out


def keep_midline(
    warp: NDArray[np.float64], parts: NDArray[np.float32], source: int, size: int
) -> NDArray[np.float64]:
    """Move a map sideways so that a canal seen across stays as far from the picture's middle column as it was.

    That distance is part of the flag `quality` in the transverse view; turns, crops and shifts must not change it.
    """
    rows, cols = np.nonzero(parts.max(axis=0))
    cell = source / MAP_SIZE
    middle = (source - 1) / 2
    x, y = (middle, middle) if not len(rows) else ((cols.mean() + 0.5) * cell - 0.5, (rows.mean() + 0.5) * cell - 0.5)
    scale = math.hypot(warp[0, 0], warp[1, 0]) * (1 if warp[0, 0] > 0 else -1)
    moved = warp.copy()
    moved[0, 2] += (size - 1) / 2 + scale * (x - middle) - float(warp[0] @ [x, y, 1])
    return moved


def plain_warp(source: int, size: int) -> NDArray[np.float64]:
    """The map that stretches the whole cached square to the input."""
    return _scaling(source, size, (0.0, 0.0, 1.0, 1.0))[:2]


def make_sample(
    shot: Shot, index: int, size: int, rng: np.random.Generator, changes: Changes | None = None,
    styles: Styles | None = None,
) -> Sample:
    """Draw one sample of a shot's frame; without ``changes`` it is shown as it is."""
    frame = np.asarray(shot.frames[index])
    flags = shot.flags[index].astype(np.float32)
    parts = _parts_of(shot, index)
    if changes is None:
        warp = plain_warp(frame.shape[0], size)
        picture = np.asarray(cv2.resize(frame, (size, size), interpolation=cv2.INTER_AREA), np.uint8)
        return Sample(picture, flags, _warp_parts(parts, warp, size), float(shot.kind != SPINE))
    if shot.kind == SPINE and shot.maps is None:
        # Nobody says where the structures lie, so that nothing may be cut off.
        changes = replace(changes, crop=1.0, turn_deg=min(changes.turn_deg, BLIND_TURN_DEG))
    draw = rng.random() if shot.kind == SPINE else 1.0
    broken, magnified = draw < changes.broken, changes.broken <= draw < changes.broken + changes.magnified
    if shot.kind == OTHER and rng.random() < changes.made:
        frame = make_stranger(rng, frame.shape[0])
    strange = shot.kind != SPINE or broken or magnified
    if broken or magnified:
        frame = break_picture(rng, frame) if broken else magnify_picture(rng, frame)
        flags, parts = np.full_like(flags, NOT_TOLD), np.zeros_like(parts)
    warp = draw_warp(rng, frame.shape[0], size, changes)
    if shot.view == TRANSVERSE:
        warp = keep_midline(warp, parts, frame.shape[0], size)
    shown_parts = _warp_parts(parts, warp, size)
    if not _all_there(parts, shown_parts, flags, warp, size):
        warp = plain_warp(frame.shape[0], size)
        shown_parts = _warp_parts(parts, warp, size)
    border = cv2.BORDER_CONSTANT if rng.random() < 0.6 else cv2.BORDER_REFLECT
    picture = cv2.warpAffine(frame, warp, (size, size), flags=cv2.INTER_LINEAR, borderMode=border)
    if styles is not None and (magnified or rng.random() < changes.restyle):
        picture = styles.restyle(rng, picture)  # a magnified picture always: its grain must not give it away
    look = Look(rng, size, changes.plain_looks)
    picture = np.asarray(look.show(np.asarray(picture, np.uint8)), np.uint8)
    if flags[_QUALITY] == 1 and spoilt_by_gain(picture, look.fan):
        flags[_QUALITY] = 0
    return Sample(picture, flags, shown_parts, float(strange))


def spoilt_by_gain(picture: Grey, field: Grey | None = None) -> bool:
    """Tell whether a picture as shown breaks the rules on gain that `quality` has (see `puncta.sim.spine_flags`)."""
    greys = picture if field is None else picture[field > 0]
    if not greys.size:
        return True
    return bool((greys >= WHITE_GREY).mean() >= CLIPPED_SHARE or (greys <= BLACK_GREY).mean() >= BLACK_SHARE)


def _parts_of(shot: Shot, index: int) -> NDArray[np.float32]:
    out = np.zeros((len(FLAGS), MAP_SIZE, MAP_SIZE), np.float32)
    if shot.maps is not None:
        for k, code in _PARTS:
            out[k] = shot.maps[index] == code
    return out


def _warp_parts(parts: NDArray[np.float32], warp: NDArray[np.float64], size: int) -> NDArray[np.float32]:
    """Maps of structures (3, `MAP_SIZE`, ..) as they lie in the input, (3, S / 8, S / 8)."""
    cells = size // STRIDE
    if not parts.any():
        return np.zeros((len(parts), cells, cells), np.float32)
    # Cell centres: cached pixel = (256 / MAP_SIZE) (cell + 0.5) - 0.5, input pixel = 8 (cell + 0.5) - 0.5.
    coarse = np.diag([256 / MAP_SIZE, 256 / MAP_SIZE, 1.0])
    coarse[:2, 2] = (256 / MAP_SIZE - 1) / 2
    fine = np.diag([2 / STRIDE, 2 / STRIDE, 1.0])
    fine[:2, 2] = (2 / STRIDE - 1) / 2
    whole = fine @ np.vstack([warp, [0, 0, 1]]) @ coarse
    shown = cv2.warpAffine(parts.transpose(1, 2, 0), whole[:2], (2 * cells, 2 * cells), flags=cv2.INTER_LINEAR)
    return cv2.resize(shown, (cells, cells), interpolation=cv2.INTER_AREA).transpose(2, 0, 1)


def _all_there(
    parts: NDArray[np.float32], shown: NDArray[np.float32], flags: NDArray[np.float32], warp: NDArray[np.float64],
    size: int,
) -> bool:
    """Tell whether every structure that a flag speaks of is still in the picture."""
    grows = abs(float(np.linalg.det(warp[:, :2]))) * (256 / MAP_SIZE / STRIDE) ** 2
    return all(
        flags[k] != 1 or not parts[k].any() or float(shown[k].sum()) >= KEPT_LEAST * grows * float(parts[k].sum())
        for k, _ in _PARTS
    )
