"""A straight needle as an annotator draws it: a line with a width. Its mask, poses between two poses, a pose of a mask.

Source-image pixels throughout: x right, y down, pixel centres at integers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

PointPx = tuple[float, float]
Box = tuple[int, int, int, int]

EDGE_PX = 6.0
"""A needle that ends this near to the region's edge comes in there [px]."""
LEAST_PIXELS = 6
GAUGES_MM = {"22G": 0.72, "20G": 0.91, "18G": 1.27, "16G": 1.65, "14G": 2.11}
"""Outer diameters of needles [mm], ISO 9626, so that a width can be chosen by name."""


@dataclass(frozen=True, slots=True)
class NeedlePose:
    """A straight needle.

    Attributes
    ----------
    tip_px, entry_px : (x, y) [px]
        The ends; ``entry_px`` is where it comes in, or where it begins to show.
    width_px : float
        [px]
    """

    tip_px: PointPx
    entry_px: PointPx
    width_px: float

    @property
    def length_px(self) -> float:
        """From end to end [px]."""
        return math.dist(self.tip_px, self.entry_px)

    @property
    def direction(self) -> PointPx:
        """Unit vector from the tip towards the entry; (0, 0) where both are one point."""
        far = self.length_px
        if far < 1e-9:
            return (0.0, 0.0)
        return ((self.entry_px[0] - self.tip_px[0]) / far, (self.entry_px[1] - self.tip_px[1]) / far)

    def corners_px(self) -> tuple[PointPx, ...]:
        """The four corners of the shaft [px]."""
        (x, y), half = self.direction, self.width_px / 2
        side = (-y * half, x * half)
        return tuple(
            (end[0] + sign * side[0], end[1] + sign * side[1])
            for end, sign in ((self.tip_px, 1), (self.entry_px, 1), (self.entry_px, -1), (self.tip_px, -1))
        )


def mask_of_pose(pose: NeedlePose, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the mask of a needle, shape (h, w): pixels whose centre lies within half a width of the line."""
    height, width = shape
    mask = np.zeros(shape, bool)
    corners = np.array(pose.corners_px())
    left, top = np.floor(corners.min(axis=0)).astype(int)
    right, bottom = np.ceil(corners.max(axis=0)).astype(int)
    left, top, right, bottom = max(0, left), max(0, top), min(width - 1, right), min(height - 1, bottom)
    if right < left or bottom < top or pose.length_px < 1e-9:
        return mask
    dx, dy = np.arange(left, right + 1) - pose.tip_px[0], (np.arange(top, bottom + 1) - pose.tip_px[1])[:, None]
    x, y = pose.direction
    along, across = dx * x + dy * y, dy * x - dx * y
    inside = (along >= 0) & (along <= pose.length_px) & (np.abs(across) <= pose.width_px / 2)
    mask[top : bottom + 1, left : right + 1] = inside
    return mask


def pose_of_mask(mask: NDArray[np.bool_], tip_px: PointPx | None = None) -> NeedlePose | None:
    """Return the straight needle that a mask shows: its principal axis, its ends along it, area over length as width.

    Parameters
    ----------
    tip_px : (x, y) or None
        Decides which end is the tip; None takes the end that lies deeper.

    Returns
    -------
    NeedlePose or None
        None where the mask is too small to have an axis.
    """
    rows, columns = np.nonzero(mask)
    if len(rows) < LEAST_PIXELS:
        return None
    points = np.stack([columns, rows], axis=1).astype(np.float64)
    centre = points.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov((points - centre).T) + 1e-9 * np.eye(2))
    axis = vectors[:, int(values.argmax())]
    along = (points - centre) @ axis
    first, last = float(along.min()) - 0.5, float(along.max()) + 0.5
    ends = [tuple(float(v) for v in centre + axis * way) for way in (first, last)]
    tip, entry = _tip_first(ends, tip_px)
    return NeedlePose(tip, entry, len(rows) / max(1.0, last - first))


def _tip_first(ends: Sequence[tuple[float, ...]], tip_px: PointPx | None) -> tuple[PointPx, PointPx]:
    a, b = (ends[0][0], ends[0][1]), (ends[1][0], ends[1][1])
    if tip_px is None:
        return (a, b) if a[1] > b[1] else (b, a)
    return (a, b) if math.dist(a, tip_px) <= math.dist(b, tip_px) else (b, a)


def pose_between(a: NeedlePose, b: NeedlePose, share: float, region: Box) -> NeedlePose:
    """Return the needle between two needles: tip and angle go evenly from one to the other.

    Parameters
    ----------
    share : float
        0 gives ``a``, 1 gives ``b``.
    region : tuple of int
        [x0, y0, w, h] [px]. A needle that comes in at its edge on both sides does so in between.
    """
    tip = _mix(a.tip_px, b.tip_px, share)
    turn = _turn(a.direction, b.direction)
    angle = math.atan2(a.direction[1], a.direction[0]) + share * turn
    length = a.length_px + share * (b.length_px - a.length_px)
    way = (math.cos(angle), math.sin(angle))
    width = a.width_px + share * (b.width_px - a.width_px)
    pose = NeedlePose(tip, (tip[0] + length * way[0], tip[1] + length * way[1]), width)
    if at_edge(a.entry_px, region) and at_edge(b.entry_px, region):
        pose = reaching_edge(pose, region)
    return pose


def at_edge(point_px: PointPx, region: Box) -> bool:
    """Tell whether a point [px] lies at the region's edge, within `EDGE_PX`."""
    x0, y0, w, h = region
    x, y = point_px
    near = min(x - (x0 - 0.5), x0 + w - 0.5 - x, y - (y0 - 0.5), y0 + h - 0.5 - y)
    return near <= EDGE_PX


def reaching_edge(pose: NeedlePose, region: Box) -> NeedlePose:
    """Return the same needle, its entry moved along it to the region's edge."""
    x, y = pose.direction
    x0, y0, w, h = region
    ways = []
    for step, place, low, high in (
        (x, pose.tip_px[0], x0 - 0.5, x0 + w - 0.5),
        (y, pose.tip_px[1], y0 - 0.5, y0 + h - 0.5),
    ):
        if abs(step) > 1e-9:
            ways.append(((high if step > 0 else low) - place) / step)
    far = min((way for way in ways if way > 0), default=pose.length_px)
    return replace(pose, entry_px=(pose.tip_px[0] + far * x, pose.tip_px[1] + far * y))


def _mix(a: PointPx, b: PointPx, share: float) -> PointPx:
    return (a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1]))


def _turn(a: PointPx, b: PointPx) -> float:
    """Angle from one direction to another, the shorter way [rad]."""
    return math.atan2(a[0] * b[1] - a[1] * b[0], a[0] * b[0] + a[1] * b[1])


def snap_pose(grey: NDArray[np.uint8], pose: NeedlePose, region: Box, *, most_px: float = 2.0) -> NeedlePose:
    """Lay a drawn needle into the bright ridge it runs along; the tip keeps its place along the needle.

    The middle of the brightness above its surroundings, at stations along the line and in a window across it, is
    where the ridge is; a line is laid through those middles by least squares, stations that stand off count less.
    A hand is right within a few pixels, so neither end moves farther than that. The echo of a wide needle is that of
    its near wall and not its middle: there a hand knows better, and the line moves by less.

    Parameters
    ----------
    grey : ndarray of uint8, shape (h, w)
    most_px : float
        How far either end may move [px].

    Returns
    -------
    NeedlePose
        The given one where the picture shows no ridge.
    """
    length, width = pose.length_px, max(3.0, pose.width_px)
    if length < 4.0:
        return pose
    x, y = pose.direction
    limit = min(most_px, max(0.5, 10.0 / width))
    along = np.arange(0.0, length + 0.5, 1.5, dtype=np.float32)
    across = np.arange(-2.0 * limit - 1.0, 2.0 * limit + 1.5, 0.5, dtype=np.float32)
    picture = cv2.GaussianBlur(grey, (0, 0), max(0.8, width / 5)).astype(np.float32)
    ridge = picture - cv2.blur(picture, (_odd(3 * width), _odd(3 * width)))
    columns = (pose.tip_px[0] + along[:, None] * x - across[None, :] * y).astype(np.float32)
    rows = (pose.tip_px[1] + along[:, None] * y + across[None, :] * x).astype(np.float32)
    values = np.maximum(cv2.remap(ridge, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT), 0.0)
    x0, y0, w, h = region
    mx, my = pose.tip_px[0] + along * x, pose.tip_px[1] + along * y
    values[(mx < x0) | (mx > x0 + w - 1) | (my < y0) | (my > y0 + h - 1)] = 0.0
    start, end = 0.0, 0.0
    share = along / length
    for spread in (0.6 * limit, 0.45 * limit, 0.35 * limit):
        line = start + (end - start) * share
        weights = np.exp(-0.5 * np.square((across[None, :] - line[:, None]) / max(0.8, spread))) * values
        mass = weights.sum(axis=1)
        if float(mass.max()) <= 1e-3:
            return pose
        middle = (weights @ across) / (mass + 1e-6)
        beside = middle - line
        scale = 1.4826 * float(np.median(np.abs(beside))) + 0.3
        trust = mass / float(mass.max()) / (1.0 + np.square(beside / (2.0 * scale)))
        start, end = _straight(share, middle, trust, limit)
    start, end = (max(-limit, min(limit, v)) for v in (start, end))
    tip = (pose.tip_px[0] - start * y, pose.tip_px[1] + start * x)
    entry = (pose.entry_px[0] - end * y, pose.entry_px[1] + end * x)
    snapped = NeedlePose(tip, entry, pose.width_px)
    return reaching_edge(snapped, region) if at_edge(pose.entry_px, region) else snapped


def _straight(
    share: NDArray[np.float32], middle: NDArray[np.float32], trust: NDArray[np.float32], limit: float
) -> tuple[float, float]:
    """Offsets at both ends of the line through the middles; held at 0 with the weight of a few stations."""
    held = 0.04 * len(share) / max(1.0, limit)
    matrix = np.stack([1.0 - share, share], axis=1)
    left = (matrix * trust[:, None]).T @ matrix + held * np.eye(2)
    start, end = np.linalg.solve(left, (matrix * trust[:, None]).T @ middle)
    return float(start), float(end)


def _odd(value: float) -> int:
    return max(3, round(value)) | 1
