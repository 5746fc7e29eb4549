"""One training sample out of a clip: frames picked in time, one warp and one look for all of them, and the targets.

Time: stride 1-3, reversal, dropped and repeated frames, a history cut short, brightness that jitters. Space: mirror,
scale, stretch, shift, turn. Looks: `puncta.training.appearance`. A sample is a short run of frames, each with its
motion channels made as the plugin makes them, so that a network with a memory learns to use it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from puncta.imaging.motion_history import lags_used, shift_picture, stack_channels
from puncta.training.appearance import Look
from puncta.training.data import Clip

STRIDE = 4
"""Input pixels per cell of the network's map."""
LEAST_MIRRORED = 0.75
"""A picture that is shrunk to less than this has black about it, not its mirror image."""


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """What the network is asked for on one frame; maps are (S / 4, S / 4).

    Attributes
    ----------
    heat : ndarray of float32
        1 at the tip's cell, falling off around it.
    shaft : ndarray of float32
        1 on the visible axis.
    cell : tuple of int
        (row, column) of the tip's cell; (-1, -1) without a tip.
    offset : tuple of float
        Tip minus the cell's centre [cells], (x, y).
    direction : tuple of float
        Unit vector from the tip towards the entry, in input pixels.
    present : float
        1, 0, or -1 where nothing is to be learnt from the frame.
    axis : bool
        False where the tip is known but the axis behind it is not: then shaft and direction are not asked for.
    """

    heat: NDArray[np.float32]
    shaft: NDArray[np.float32]
    cell: tuple[int, int]
    offset: tuple[float, float]
    direction: tuple[float, float]
    present: float
    axis: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Frames one after another and what is asked on each.

    Attributes
    ----------
    channels : ndarray of float32, shape (T, 5, S, S)
    targets : tuple of Target, length T
    """

    channels: NDArray[np.float32]
    targets: tuple[Target, ...]


def pick_frames(rng: np.random.Generator, clip: Clip, length: int, plain: bool) -> list[int]:
    """Pick frame numbers newest first: ``length`` frames to answer on and the history of the oldest of them.

    A number stands for every place back in time, whether a lag uses it or not.
    """
    places = length + lags_used()[-1]
    count = len(clip.frames)
    usable = np.flatnonzero(clip.judged >= 0)
    if plain:
        now = int(usable[-1])
        return [max(0, now - back) for back in range(places)]
    stride = int(rng.choice([1, 1, 1, 2, 2, 3]))
    back = -1 if rng.random() < 0.85 else 1
    room = usable if back < 0 else count - 1 - usable
    full = usable[room >= min((places - 1) * stride, count - 6)]
    pool = full if len(full) and rng.random() < 0.85 else usable
    now = int(pool[rng.integers(len(pool))])
    numbers = [int(np.clip(now + back * stride * k, 0, count - 1)) for k in range(places)]
    for k in range(1, places):
        if rng.random() < 0.05:
            numbers[k] = int(np.clip(numbers[k] + rng.choice([-1, 1]), 0, count - 1))
    if rng.random() < 0.1:
        # The stream has just begun: everything older is its first frame.
        first = int(rng.integers(0, places))
        numbers[first:] = [numbers[first]] * (places - first)
    return numbers


def draw_warp(
    rng: np.random.Generator, source: int, size: int, plain: bool, any_scale: float = 0.0
) -> NDArray[np.float64]:
    """Draw the affine map, shape (2, 3), from cached pixels to input pixels.

    Parameters
    ----------
    any_scale : float
        Share of maps that shrink or enlarge by more than a scanner's neighbour would: needles are thin on a deep
        picture and thick on a shallow one.
    """
    s = size / source
    base = np.array([[s, 0.0, (s - 1) / 2], [0.0, s, (s - 1) / 2], [0.0, 0.0, 1.0]])
    if plain:
        return base[:2]
    c = (size - 1) / 2
    zoom = float(rng.uniform(0.8, 1.25))
    if any_scale and rng.random() < any_scale:
        zoom = math.exp(float(rng.uniform(math.log(0.55), math.log(1.8))))
    stretch = float(rng.uniform(0.85, 1.18))
    turn = math.radians(float(rng.uniform(-10, 10)))
    flip = -1.0 if rng.random() < 0.5 else 1.0
    linear = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    linear = linear @ np.diag([flip * zoom * math.sqrt(stretch), zoom / math.sqrt(stretch)])
    move = rng.uniform(-0.1, 0.1, 2) * size
    about = np.eye(3)
    about[:2, :2] = linear
    about[:2, 2] = np.array([c, c]) + move - linear @ np.array([c, c])
    return (about @ base)[:2]


def make_sample(
    clip: Clip, size: int, rng: np.random.Generator, length: int = 1, plain: bool = False, plain_looks: float = 0.0,
    any_scale: float = 0.0,
) -> Sample:
    """Draw one sample of a clip. ``plain`` leaves everything as it is and ends with the last judged frame.

    Parameters
    ----------
    plain_looks : float
        Share of samples whose looks are left nearly as they are; see `Look`.
    any_scale : float
        Share of samples at quite another scale; see `draw_warp`.
    """
    numbers = pick_frames(rng, clip, length, plain)
    warp = draw_warp(rng, clip.frames.shape[1], size, plain, any_scale)
    border = cv2.BORDER_CONSTANT if rng.random() < 0.5 else cv2.BORDER_REFLECT
    look = None if plain else Look(rng, size, plain_looks)
    targets = [_target_of(clip, numbers[k], warp, size, look) for k in reversed(range(length))]
    if any(t.present == 0.0 and clip.judged[numbers[k]] == 1 for k, t in zip(reversed(range(length)), targets)):
        border = cv2.BORDER_CONSTANT  # a tip outside the picture must not come back as its mirror image
    if math.sqrt(abs(np.linalg.det(warp[:, :2]))) * clip.frames.shape[1] < LEAST_MIRRORED * size:
        border = cv2.BORDER_CONSTANT  # nor may a whole needle stand beside the true one
    used = {k + lag for k in range(length) for lag in lags_used()}
    shown: dict[int, NDArray[np.uint8]] = {}
    for place in sorted(used, reverse=True):
        number = numbers[place]
        if place + 1 in shown and numbers[place + 1] == number:
            shown[place] = shown[place + 1]
            continue
        frame = cv2.warpAffine(clip.frames[number], warp, (size, size), flags=cv2.INTER_LINEAR, borderMode=border)
        shown[place] = look.show(frame) if look else frame
    channels = []
    for k in reversed(range(length)):
        # As in the plugin: the picture as shown is moved to where its tissue lies now.
        aligned = []
        for lag in lags_used():
            dx, dy = warp[:, :2] @ (clip.drift_px[numbers[k]] - clip.drift_px[numbers[k + lag]])
            aligned.append(shift_picture(shown[k + lag], float(dx), float(dy)))
        channels.append(stack_channels(aligned))
    return Sample(np.stack(channels), tuple(targets))


def _target_of(clip: Clip, number: int, warp: NDArray[np.float64], size: int, look: Look | None) -> Target:
    tip, entry = (warp @ np.append(p[number], 1.0) for p in (clip.tip_px, clip.entry_px))
    has_tip = clip.judged[number] == 1
    inside = has_tip and bool((tip > 1).all() and (tip < size - 2).all())
    axis = not (has_tip and np.isnan(entry).any())
    heat, shaft, cell, offset, direction = _targets(tip, entry if axis else tip, size, inside, has_tip)
    unknown = clip.judged[number] < 0 or (inside and look is not None and look.hides(tip))
    return Target(heat, shaft, cell, offset, direction, -1.0 if unknown else float(inside), axis)


def _targets(
    tip: NDArray[np.float64], entry: NDArray[np.float64], size: int, inside: bool, has_axis: bool
) -> tuple[NDArray[np.float32], NDArray[np.float32], tuple[int, int], tuple[float, float], tuple[float, float]]:
    cells = size // STRIDE
    heat = np.zeros((cells, cells), np.float32)
    shaft = np.zeros((cells, cells), np.float32)
    if not has_axis:
        return heat, shaft, (-1, -1), (0.0, 0.0), (0.0, 0.0)
    # Centre of cell k lies at input pixel 4 k + 1.5.
    at = (tip - (STRIDE - 1) / 2) / STRIDE
    start = (entry - (STRIDE - 1) / 2) / STRIDE
    axis = start - at
    length = float(np.hypot(*axis))
    direction = (float(axis[0] / length), float(axis[1] / length)) if length > 1e-6 else (0.0, 0.0)
    y, x = np.mgrid[0:cells, 0:cells].astype(np.float32)
    along = (x - at[0]) * direction[0] + (y - at[1]) * direction[1]
    across = (x - at[0]) * direction[1] - (y - at[1]) * direction[0]
    beyond = np.maximum(0, np.maximum(-along, along - length))
    shaft = np.exp(-0.5 * (np.square(across) + np.square(beyond)) / 0.9**2).astype(np.float32)
    if not inside:
        return heat, shaft, (-1, -1), (0.0, 0.0), direction
    heat = np.exp(-0.5 * (np.square(x - at[0]) + np.square(y - at[1])) / 1.5**2).astype(np.float32)
    column, row = (int(np.clip(round(float(v)), 0, cells - 1)) for v in at)
    heat[row, column] = 1.0
    return heat, shaft, (row, column), (float(at[0] - column), float(at[1] - row)), direction
