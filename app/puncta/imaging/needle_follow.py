"""Follows a straight needle between two frames on which it is known: across itself by its own echo, along by its tip.

How bright a needle is across its width is learnt on the known frames, so a wide needle whose near wall alone shines is
followed without a bias. From each known frame the line goes from frame to frame, a pixel or so at a time; the two ways
are joined, and where they part the frame is in doubt. Then the tip: strips along the needle are compared with those of
the known frames, and dynamic programming finds the way from one to the other that fits best and is smooth.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from puncta.imaging.needle_pose import NeedlePose

Float = NDArray[np.float32]
Pair = tuple[float, float]

STATIONS = 40
ACROSS_PX, STEP_PX = 14.0, 0.5
"""Reach of a band to either side of the needle, and its resolution [px]."""
MOVE_PX = 1.5
"""Farthest that either end leaves its line from one frame to the next, beyond the even motion [px]."""
MOVE_SIGMA_PX, EVEN_SIGMA_PX = 1.0, 4.0
"""How far the line usually goes from one frame to the next, and from the even motion [px]."""
PRIOR_WEIGHT = 0.02
BEHIND_PX, AHEAD_PX = 24, 10
"""Part of the needle behind the tip, and of the tissue ahead of it, by which the tip is known again [px]."""
REACH_MM = 5.0
"""The tip is looked for this far from the even motion [mm]."""
EVEN_SIGMA_MM = 3.0
LIKENESS = 8.0
"""Weight of a strip's likeness (correlation) against the motion's smoothness."""
SMOOTH_PER_MM = 3.0
MOST_MM = 1.0
"""Farthest that the tip leaves the even motion from one frame to the next [mm]."""
FILTER = (0.06, 0.24, 0.4, 0.24, 0.06)


def across_band(grey: NDArray[np.uint8], pose: NeedlePose) -> Float:
    """Return the brightness above the surroundings across a needle, shape (STATIONS, n): rows from tip to entry."""
    along = (np.linspace(0.02, 0.98, STATIONS) * pose.length_px)[:, None]
    across = np.arange(-ACROSS_PX, ACROSS_PX + STEP_PX / 2, STEP_PX)[None, :]
    return _sample(grey, pose, along, across)


def along_strip(grey: NDArray[np.uint8], pose: NeedlePose, reach_px: int) -> Float:
    """Return the brightness above the surroundings along a needle's width about its tip, rows a pixel apart."""
    along = np.arange(-AHEAD_PX - reach_px, BEHIND_PX + reach_px + 0.5)[:, None]
    half = max(3.0, pose.width_px) / 2
    across = np.linspace(-half, half, max(5, int(2 * half) | 1))[None, :]
    return _sample(grey, pose, along, across)


def _sample(grey: NDArray[np.uint8], pose: NeedlePose, along: NDArray, across: NDArray) -> Float:
    picture = cv2.GaussianBlur(grey, (0, 0), 0.8).astype(np.float32)
    picture -= cv2.blur(picture, (31, 31))
    x, y = pose.direction
    columns = (pose.tip_px[0] + along * x - across * y).astype(np.float32)
    rows = (pose.tip_px[1] + along * y + across * x).astype(np.float32)
    found = cv2.remap(picture, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(found, dtype=np.float32)


def follow_across(bands: Sequence[Float], width_px: float) -> tuple[list[Pair], list[float]]:
    """Return how far tip and entry lie beside the even motion on each frame, and how far the two ways part.

    Parameters
    ----------
    bands : sequence of ndarray
        As `across_band` gives them along the even motion; the first and the last are of the known frames.
    width_px : float

    Returns
    -------
    offsets : list of (tip, entry) [px]
        To the right hand of the direction from tip to entry, y down.
    apart : list of float [px]
    """
    count = len(bands)
    onward = _one_way(bands, range(1, count - 1), 0, width_px)
    back = _one_way(bands, range(count - 2, 0, -1), count - 1, width_px)
    offsets: list[Pair] = [(0.0, 0.0)]
    apart = [0.0]
    for at in range(1, count - 1):
        share = at / (count - 1)
        (a, b), (c, d) = onward[at], back[at]
        offsets.append(((1 - share) * a + share * c, (1 - share) * b + share * d))
        apart.append((abs(a - c) + abs(b - d)) / 2)
    return [*offsets, (0.0, 0.0)], [*apart, 0.0]


def _one_way(bands: Sequence[Float], way: range, known: int, width_px: float) -> dict[int, Pair]:
    half = max(3.0, 0.5 * width_px + 2.5)
    reach, middle = int(half / STEP_PX), bands[known].shape[1] // 2
    reach = min(reach, middle - 1)
    echo = bands[known][:, middle - reach : middle + reach + 1].mean(axis=0)
    echo = echo - echo.mean()
    echo = (echo / (np.linalg.norm(echo) + 1e-6)).astype(np.float32)
    at: Pair = (0.0, 0.0)
    found: dict[int, Pair] = {}
    for index in way:
        at = _fit(bands[index], echo, at)
        found[index] = at
    return found


def _fit(band: Float, echo: Float, guess: Pair) -> Pair:
    """The offsets of both ends near a guess under which the band looks most like the echo."""
    likeness = cv2.filter2D(band, -1, echo[None, :], borderType=cv2.BORDER_REPLICATE)
    power = np.sqrt(np.maximum(cv2.blur(band * band, (len(echo), 1)), 1.0)) * math.sqrt(len(echo))
    likeness = np.clip(likeness / power, -0.5, 1.0)
    steps = np.arange(-MOVE_PX, MOVE_PX + STEP_PX / 2, STEP_PX)
    tip, entry = np.meshgrid(guess[0] + steps, guess[1] + steps, indexing="ij")
    share = np.linspace(0.02, 0.98, STATIONS)
    beside = tip[..., None] * (1 - share) + entry[..., None] * share
    columns = np.clip(np.rint((beside + ACROSS_PX) / STEP_PX).astype(np.intp), 0, band.shape[1] - 1)
    score = likeness[np.arange(STATIONS)[None, None, :], columns].mean(axis=2)
    moved = (np.square(tip - guess[0]) + np.square(entry - guess[1])) / (2 * MOVE_SIGMA_PX**2)
    uneven = (np.square(tip) + np.square(entry)) / (2 * EVEN_SIGMA_PX**2)
    best = np.unravel_index(int((score - PRIOR_WEIGHT * (moved + uneven)).argmax()), score.shape)
    return float(tip[best]), float(entry[best])


def beside(pose: NeedlePose, offsets: Pair) -> NeedlePose:
    """Return a needle with its tip and its entry moved across itself [px]."""
    x, y = pose.direction
    return replace(
        pose,
        tip_px=(pose.tip_px[0] - offsets[0] * y, pose.tip_px[1] + offsets[0] * x),
        entry_px=(pose.entry_px[0] - offsets[1] * y, pose.entry_px[1] + offsets[1] * x),
    )


def along(pose: NeedlePose, way_px: float) -> NeedlePose:
    """Return a needle with its tip moved along itself, towards the entry for a positive way [px]."""
    x, y = pose.direction
    return replace(pose, tip_px=(pose.tip_px[0] + way_px * x, pose.tip_px[1] + way_px * y))


def follow_tip(strips: Sequence[Float], first: Float, last: Float, reach_px: int, mm_per_px: float) -> NDArray:
    """Return how far the tip lies behind (positive) or ahead of the even motion on each frame [px].

    Parameters
    ----------
    strips : sequence of ndarray
        Of all frames, the known ones included, as `along_strip` gives them with ``reach_px``.
    first, last : ndarray
        Of the known frames, with a reach of 0.
    """
    ways = np.arange(-reach_px, reach_px + 1)
    count, middle = len(strips), reach_px
    scores = np.empty((count, len(ways)))
    for at, strip in enumerate(strips):
        share = at / (count - 1)
        like = (1 - share) * _likeness(strip, first, len(ways)) + share * _likeness(strip, last, len(ways))
        scores[at] = LIKENESS * like - 0.5 * np.square(ways * mm_per_px / EVEN_SIGMA_MM)
    for known in (0, count - 1):
        scores[known] = -1e9
        scores[known, middle] = 0.0
    path = _best_way(scores, mm_per_px)
    padded = np.pad(ways[path].astype(np.float64), len(FILTER) // 2, mode="edge")
    return np.convolve(padded, np.array(FILTER), mode="valid")


def _likeness(strip: Float, known: Float, count: int) -> NDArray[np.float64]:
    """Correlation of a known strip with a longer one at every place; the widths may differ by rounding."""
    width = min(strip.shape[1], known.shape[1])
    strip, known = strip[:, :width], known[:, :width]
    template = known - known.mean()
    template = template / (np.linalg.norm(template) + 1e-6)
    out = np.empty(count)
    for place in range(count):
        part = strip[place : place + len(template)]
        part = part - part.mean()
        out[place] = float((part * template).sum()) / (float(np.linalg.norm(part)) + 1e-6)
    return out


def _best_way(scores: NDArray[np.float64], mm_per_px: float) -> list[int]:
    """The path of most score through all frames, jumps costing by their length (Viterbi)."""
    count, places = scores.shape
    most = max(1, int(MOST_MM / mm_per_px))
    cost = -SMOOTH_PER_MM * np.abs(np.arange(-most, most + 1) * mm_per_px)
    best, back = scores[0].copy(), np.empty((count, places), np.intp)
    for at in range(1, count):
        padded = np.pad(best, most, constant_values=-1e12)
        options = np.stack([padded[k : k + places] + cost[k] for k in range(2 * most + 1)])
        back[at] = options.argmax(axis=0)
        best = options.max(axis=0) + scores[at]
    place = int(best.argmax())
    path = [place]
    for at in range(count - 1, 0, -1):
        place = place + int(back[at][place]) - most
        path.append(place)
    return path[::-1]
