"""One sample for the tracker: a run of frames with their true masks, and the priors that the network is handed.

Time, space and looks vary as for the tip network (`puncta.training.augment`, `puncta.training.appearance`); beside
those a stream may jump, and a needle that was seen may fade from the pictures while it stays where it is. Priors: none
(a stream begins), the true mask before (shifted, turned, cut, thick, thin, blurred, gone), what a user draws, or one
that is false; afterwards mostly the network's own last answer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from puncta.imaging.mask_prompt import draw_box, draw_scribble
from puncta.imaging.motion_history import CHANNELS, lags_used, shift_picture, stack_channels
from puncta.training.appearance import Look
from puncta.training.augment import draw_warp
from puncta.training.nets.needle_track import OWN
from puncta.training.tracker.masks import IN_PLANE, NONE, OFF_PLANE, MaskClip

LEAST_PIXELS = 20.0
"""Covered pixels at 256 px from which on a needle is in the picture."""
OFF_PLANE_WEIGHT = 0.3
"""A needle that is just off the plane may still show: frames of that kind count less."""
Grey = NDArray[np.uint8]
Prior = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class TrackSample:
    """Frames one after another and what is asked on each.

    Attributes
    ----------
    channels : ndarray of float32, shape (T, 6, S, S)
        Motion channels and the prior; a prior of `OWN` asks for the network's own last mask.
    masks : ndarray of uint8, shape (T, S, S)
        Coverage by the needle, 0..255.
    present : ndarray of float32, shape (T,)
        1 where a needle lies in the plane, else 0.
    weight : ndarray of float32, shape (T,)
        0 where nothing is known.
    """

    channels: NDArray[np.float32]
    masks: Grey
    present: NDArray[np.float32]
    weight: NDArray[np.float32]


def pick_window(
    rng: np.random.Generator, clip: MaskClip, length: int, plain: bool, backwards: float = 0.2
) -> list[int]:
    """Pick frame numbers newest first: ``length`` different frames to answer on and the history of the oldest."""
    count = len(clip.plane)
    places = length + lags_used()[-1]
    if plain:
        at = np.flatnonzero(clip.plane == IN_PLANE)
        now = int(at[-1]) if len(at) else count - 1
        return [max(0, max(now, length - 1) - back) for back in range(places)]
    stride = int(rng.choice([1, 1, 1, 2, 2, 3]))
    while stride > 1 and (length - 1) * stride > count - 1:
        stride -= 1
    span = (length - 1) * stride
    first = int(rng.integers(0, max(1, count - span)))
    changes = np.flatnonzero((clip.plane[1:] == IN_PLANE) & (clip.plane[:-1] != IN_PLANE)) + 1
    if len(changes) and rng.random() < 0.4:
        # The needle comes into the plane while the network looks.
        first = int(np.clip(int(rng.choice(changes)) - int(rng.integers(1, span + 1)), 0, max(0, count - 1 - span)))
    elif rng.random() < 0.25:
        first = 0
    numbers = [first + span - k * stride for k in range(length)]
    if rng.random() < 0.1:
        # A gap in the recording: what is older lies further back.
        at, jump = int(rng.integers(1, length)), int(rng.integers(2, 9))
        older = [n - jump for n in numbers[at:]]
        numbers = numbers[:at] + (older if older[-1] >= 0 else numbers[at:])
    oldest = numbers[-1]
    if rng.random() < 0.15:
        older = [oldest] * (places - length)
    else:
        older = [max(0, oldest - stride * (k + 1)) for k in range(places - length)]
    numbers += older
    # Backwards in time: needles are drawn out, and a user may track a recording from its end.
    return [count - 1 - n for n in numbers] if rng.random() < backwards else numbers


def make_track_sample(
    clip: MaskClip,
    size: int,
    rng: np.random.Generator,
    length: int,
    plain: bool = False,
    plain_looks: float = 0.0,
    own_share: float = 0.75,
    backwards: float = 0.2,
    stale_share: float = 0.0,
    tip_shows: bool = False,
) -> TrackSample:
    """Draw one sample of a clip. ``plain`` leaves everything as it is and begins without a prior.

    Parameters
    ----------
    plain_looks : float
        Share of samples whose looks are left nearly as they are; see `Look`.
    own_share : float
        Share of samples in which, after the first frame, the network is handed its own masks.
    backwards : float
        Share of samples that run backwards in time: their needles are drawn out.
    stale_share : float
        Share of spoilt first priors that were the mask of another time: longer or shorter than the needle is now.
    tip_shows : bool
        Where a part of the needle fades, it is never the one with the tip, which then would be drawn back for all that
        the pictures tell.
    """
    numbers = pick_window(rng, clip, length, plain, backwards)
    frames = clip.clip.frames
    warp = draw_warp(rng, frames.shape[1], size, plain)
    needle = bool((clip.plane != NONE).any())
    # A needle must not come back as its own mirror image.
    border = cv2.BORDER_CONSTANT if needle or rng.random() < 0.5 else cv2.BORDER_REFLECT
    look = None if plain else Look(rng, size, plain_looks)
    answered = numbers[:length][::-1]
    other = [int(rng.integers(len(frames)))] if stale_share > 0 and rng.random() < stale_share else []
    masks = np.stack([_warped(m, warp, size) for m in clip.masks([*answered, *other])])
    stale, masks = (masks[-1] if other else None), masks[:length]
    used = {k + lag for k in range(length) for lag in lags_used()}
    fading = None if plain else _Fading.draw(rng, masks, size)
    if fading is not None and tip_shows:
        fading = fading.keeping(warp[:, :2] @ clip.clip.tip_px[answered[-1]] + warp[:, 2])
    shown: dict[int, Grey] = {}
    for place in sorted(used, reverse=True):
        number = numbers[place]
        if place >= length and place + 1 in shown and numbers[place + 1] == number:
            shown[place] = shown[place + 1]
            continue
        frame = cv2.warpAffine(frames[number], warp, (size, size), flags=cv2.INTER_LINEAR, borderMode=border)
        if fading is not None and place < length:
            frame = fading.apply(frame, masks[length - 1 - place], length - 1 - place)
        shown[place] = look.show(frame) if look else frame
    if look is not None and look.fan is not None:
        masks = np.where(look.fan > 0, masks, np.uint8(0))
    drift = clip.clip.drift_px
    channels = np.empty((length, len(CHANNELS) + 1, size, size), np.float32)
    for t, k in enumerate(reversed(range(length))):
        aligned = []
        for lag in lags_used():
            dx, dy = warp[:, :2] @ (drift[numbers[k]] - drift[numbers[k + lag]])
            aligned.append(shift_picture(shown[k + lag], float(dx), float(dy)))
        stack_channels(aligned, channels[t, :-1])
    present, weight = _told(clip.plane[answered], masks, size)
    _hand_priors(rng, channels, masks, present, own_share, plain, stale)
    return TrackSample(channels, masks, present, weight)


def _warped(mask: Grey, warp: NDArray[np.float64], size: int) -> Grey:
    if not mask.any():
        return np.zeros((size, size), np.uint8)
    return np.asarray(cv2.warpAffine(mask, warp, (size, size), flags=cv2.INTER_LINEAR), np.uint8)


def _told(plane: NDArray[np.int8], masks: Grey, size: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Whether a needle is there, and how much each frame counts."""
    area = masks.sum(axis=(1, 2), dtype=np.float64) / 255.0 * (256.0 / size) ** 2
    present = (plane == IN_PLANE) & (area >= LEAST_PIXELS)
    weight = np.select([plane == OFF_PLANE, plane < OFF_PLANE], [OFF_PLANE_WEIGHT, 0.0], 1.0)
    # A rest of a needle at the picture's border is neither there nor not.
    weight[(plane == IN_PLANE) & ~present & (area > 0.5)] = 0.0
    return present.astype(np.float32), weight.astype(np.float32)


@dataclass(frozen=True, slots=True)
class _Fading:
    """A needle that fades on some frames: what lies beside it is laid over it."""

    first: int
    last: int
    strength: float
    shift: tuple[int, int]
    cut: tuple[float, float, float] | None

    @staticmethod
    def draw(rng: np.random.Generator, masks: Grey, size: int) -> _Fading | None:
        """Draw whether and when; the first frame or two show it, as a rule."""
        if rng.random() >= 0.3 or not masks.any():
            return None
        length = len(masks)
        first = int(rng.integers(0, 2)) if rng.random() < 0.25 else int(rng.integers(1, max(2, length - 1)))
        last = length if rng.random() < 0.6 else int(rng.integers(first + 1, length + 1))
        turn, far = float(rng.uniform(0, 2 * math.pi)), float(rng.uniform(0.05, 0.1)) * size
        cut = None
        if rng.random() < 0.5:
            angle = float(rng.uniform(0, 2 * math.pi))
            x, y = rng.uniform(0.25, 0.75, 2) * size
            cut = (math.cos(angle), math.sin(angle), math.cos(angle) * float(x) + math.sin(angle) * float(y))
        shift = (round(far * math.cos(turn)), round(far * math.sin(turn)))
        return _Fading(first, last, float(rng.uniform(0.5, 1.0)), shift, cut)

    def keeping(self, tip: NDArray[np.float64]) -> _Fading:
        """The same with the side of the cut that fades turned away from a point; as it is where that is unknown."""
        if self.cut is None or np.isnan(tip).any() or self.cut[0] * tip[0] + self.cut[1] * tip[1] <= self.cut[2]:
            return self
        return replace(self, cut=(-self.cut[0], -self.cut[1], -self.cut[2]))

    def apply(self, frame: Grey, mask: Grey, t: int) -> Grey:
        """The picture with the needle faded, if it is time."""
        if not self.first <= t < self.last or not mask.any():
            return frame
        wide = cv2.dilate(mask, np.ones((7, 7), np.uint8)).astype(np.float32) * np.float32(self.strength / 255.0)
        alpha = cv2.GaussianBlur(wide, (0, 0), 2.5)
        if self.cut is not None:
            y, x = np.mgrid[0 : len(frame), 0 : len(frame)].astype(np.float32)
            side = x * np.float32(self.cut[0]) + y * np.float32(self.cut[1]) - np.float32(self.cut[2])
            alpha *= 1.0 / (1.0 + np.exp(-np.clip(side / 3.0, -20, 20)))
        beside = np.roll(frame, self.shift, (1, 0)).astype(np.float32)
        return np.clip(frame + alpha * (beside - frame), 0, 255).astype(np.uint8)


def _hand_priors(
    rng: np.random.Generator,
    channels: NDArray[np.float32],
    masks: Grey,
    present: NDArray[np.float32],
    own_share: float,
    plain: bool,
    stale: Grey | None = None,
) -> None:
    """Write the priors into the last channel."""
    length, size = len(masks), masks.shape[-1]
    out = channels[:, -1]
    out[0] = 0.0
    out[1:] = OWN
    if plain:
        return
    there = present[0] > 0
    draw = rng.random()
    if draw < 0.22:
        out[0] = spoil_mask(rng, masks[0] if stale is None else stale)
    elif draw < 0.36:
        out[0] = draw_prompt(rng, masks[0]) if there else 0.0
    elif draw < 0.52:
        out[0] = false_prior(rng, masks[0], size)
    if rng.random() >= own_share:
        for t in range(1, length):
            out[t] = spoil_mask(rng, masks[t - 1])
    for t in range(1, length):
        if rng.random() < 0.03:
            out[t] = 0.0 if rng.random() < 0.5 else false_prior(rng, masks[t], size)


def spoil_mask(rng: np.random.Generator, mask: Grey) -> Prior:
    """A prior as a tracker may have it: the mask before, not quite where the needle is now, not quite whole."""
    size = mask.shape[-1]
    if not mask.any() or rng.random() < 0.08:
        return np.zeros((size, size), np.float32)
    out = mask
    rows, columns = np.nonzero(out > 127)
    if len(rows) == 0:
        return np.zeros((size, size), np.float32)
    middle = (float(columns.mean()), float(rows.mean()))
    scale = size / 256.0
    matrix = cv2.getRotationMatrix2D(middle, float(rng.normal(0, 2.0)), float(rng.uniform(0.92, 1.06)))
    matrix[:, 2] += rng.normal(0, 2.5 * scale, 2)
    out = cv2.warpAffine(out, matrix, (size, size))
    draw = rng.random()
    if draw < 0.2:
        out = cv2.dilate(out, np.ones((3, 3), np.uint8))
    elif draw < 0.35:
        out = cv2.erode(out, np.ones((3, 3), np.uint8))
    prior = out.astype(np.float32) / np.float32(255.0)
    if rng.random() < 0.35:
        # A part is missing, at an end or in the middle.
        turn = float(rng.uniform(0, 2 * math.pi))
        y, x = np.mgrid[0:size, 0:size].astype(np.float32)
        at = rng.integers(len(rows))
        side = (x - columns[at]) * math.cos(turn) + (y - rows[at]) * math.sin(turn)
        gone = side > 0 if rng.random() < 0.6 else np.abs(side) < float(rng.uniform(4, 20)) * scale
        prior = np.where(gone, np.float32(0.0), prior)
    prior = cv2.GaussianBlur(prior, (0, 0), float(rng.uniform(0.4, 2.0)) * scale) * np.float32(rng.uniform(0.4, 1.0))
    return np.asarray(prior, np.float32)


def draw_prompt(rng: np.random.Generator, mask: Grey) -> Prior:
    """What a user draws: a scribble along the needle, not quite on it, or a box around it."""
    size = mask.shape[-1]
    rows, columns = np.nonzero(mask > 127)
    if len(rows) < 4:
        return np.zeros((size, size), np.float32)
    points = np.stack([columns, rows], axis=1).astype(np.float64)
    centre = points.mean(axis=0)
    axis = np.linalg.svd(points - centre, full_matrices=False)[2][0]
    along = (points - centre) @ axis
    scale = size / 256.0
    if rng.random() < 0.6:
        low, high = float(along.min()), float(along.max())
        a, b = (low + (high - low) * float(v) for v in (rng.uniform(0.0, 0.35), rng.uniform(0.6, 1.0)))
        path = centre + np.linspace(a, b, 4)[:, None] * axis + rng.normal(0, 1.5 * scale, (4, 2))
        return draw_scribble(path, size)
    slack = rng.uniform(0, 10, 4) * scale
    low_xy, high_xy = points.min(axis=0) - slack[:2], points.max(axis=0) + slack[2:]
    return draw_box((float(low_xy[0]), float(low_xy[1])), (float(high_xy[0]), float(high_xy[1])), size)


def false_prior(rng: np.random.Generator, mask: Grey, size: int) -> Prior:
    """A prior that is wrong: the needle mirrored, or a line where there is none."""
    if mask.any() and rng.random() < 0.4:
        out = mask[:, ::-1] if rng.random() < 0.7 else mask[::-1]
        out = np.ascontiguousarray(out).astype(np.float32) / np.float32(255.0)
    else:
        drawn = np.zeros((size, size), np.uint8)
        angle, length = float(rng.uniform(-1.2, 1.2)), float(rng.uniform(0.15, 0.8)) * size
        x, y = rng.uniform(0.05, 0.95, 2) * size
        end = (int(x + length * math.cos(angle)), int(y + length * math.sin(angle)))
        cv2.line(drawn, (int(x), int(y)), end, 255, int(rng.integers(2, 9)), cv2.LINE_AA)
        out = drawn.astype(np.float32) / np.float32(255.0)
    blurred = cv2.GaussianBlur(out, (0, 0), float(rng.uniform(0.4, 2.0)))
    return np.asarray(blurred * np.float32(rng.uniform(0.4, 1.0)), np.float32)
