"""Finds a bright straight line of the tissue that competes with the needle: longer, as clear, at a needle's slope."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from puncta.sim.truth import FrameTruth

SLOPES_DEG = (10.0, 70.0)
"""Slopes that needles have; flatter lines are layers, and nobody takes them for a needle."""
OWN_MM = 2.5
"""Lines so near the needle, and along it, are its own: echo, far wall, reverberation, side lobes."""
OWN_DEG = 12.0
LEAST_PIECE_PX, MOST_LINES, PIECE_OFF_PX, GAP_PX = 10.0, 12, 2.5, 6.0
"""Pieces of a line: shortest to begin with [px], lines looked at, farthest from the line and widest gap [px]."""
BESIDE_PX = (4.0, 5.0, 6.0)
LEAST_NOISE = 0.03 * 255.0
"""As for the shaft's contrast: the smallest deviation beside a line that counts."""


def has_competing_line(pixels: NDArray[np.uint8], truth: FrameTruth) -> bool:
    """Tell whether a line of the tissue is at least as long as the visible shaft and shows at least as clearly.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (H, W)
    truth : FrameTruth
        Of a frame with a needle whose shaft shows; else the frame is hard anyway, and the answer False.
    """
    if truth.tip_px is None or truth.entry_px is None or truth.shaft_cnr is None or truth.visible_px <= 0:
        return False
    x0, y0, w, h = truth.region
    region = np.ascontiguousarray(pixels[y0 : y0 + h, x0 : x0 + w])
    found = cv2.createLineSegmentDetector(cv2.LSD_REFINE_NONE, 0.7).detect(region)[0]
    if found is None:
        return False
    tip = np.subtract(truth.tip_px, (x0, y0))
    entry = np.subtract(truth.entry_px, (x0, y0))
    return any(
        np.hypot(*(b - a)) >= truth.visible_px
        and not _is_own(a, b, tip, entry, truth.mm_per_px[0])
        and _line_cnr(region, a, b) >= truth.shaft_cnr
        for a, b in _joined(found.reshape(-1, 4).astype(np.float64))
    )


def _joined(ends: NDArray) -> list[tuple[NDArray, NDArray]]:
    """The longest segments at a needle's slope, each with the pieces on the same line joined on; their ends [px]."""
    run = ends[:, 2:] - ends[:, :2]
    length = np.hypot(run[:, 0], run[:, 1])
    slope = np.degrees(np.arctan2(np.abs(run[:, 1]), np.abs(run[:, 0])))
    fits = np.flatnonzero((slope >= SLOPES_DEG[0]) & (slope <= SLOPES_DEG[1]) & (length >= LEAST_PIECE_PX))
    lines = []
    for k in fits[np.argsort(-length[fits], kind="stable")][:MOST_LINES]:
        axis = run[k] / length[k]
        first, second = ends[:, :2] - ends[k, :2], ends[:, 2:] - ends[k, :2]
        off = np.maximum(np.abs(first @ [-axis[1], axis[0]]), np.abs(second @ [-axis[1], axis[0]]))
        mates = np.flatnonzero(off < PIECE_OFF_PX)
        spans = np.sort(np.stack([first[mates] @ axis, second[mates] @ axis]), axis=0)
        low, high = 0.0, float(length[k])
        # Pieces join from the middle outwards, over gaps that an eye bridges.
        for start, end in sorted(zip(*spans.tolist(), strict=True)):
            high = max(high, end) if start <= high + GAP_PX else high
        for start, end in sorted(zip(*spans.tolist(), strict=True), key=lambda span: -span[1]):
            low = min(low, start) if end >= low - GAP_PX else low
        lines.append((ends[k, :2] + low * axis, ends[k, :2] + high * axis))
    return lines


def _is_own(a: NDArray, b: NDArray, tip: NDArray, entry: NDArray, mm_per_px: float) -> bool:
    """Whether a segment lies along the needle."""
    axis = (tip - entry) / max(float(np.hypot(*(tip - entry))), 1e-6)
    line = (b - a) / max(float(np.hypot(*(b - a))), 1e-6)
    turned = np.degrees(np.arccos(np.clip(abs(float(axis @ line)), 0.0, 1.0)))
    middle = (a + b) / 2 - entry
    across = abs(float(middle[0] * axis[1] - middle[1] * axis[0]))
    return bool(turned < OWN_DEG and across * mm_per_px < OWN_MM)


def _line_cnr(region: NDArray[np.uint8], a: NDArray, b: NDArray) -> float:
    """Contrast of a bright line to both its sides; an edge of a dark or bright area, bright on one side, has none."""
    count = max(8, int(np.hypot(*(b - a))))
    t = np.linspace(0.0, 1.0, count)[:, None]
    points = a + t * (b - a)
    normal = np.array([-(b - a)[1], (b - a)[0]]) / max(float(np.hypot(*(b - a))), 1e-6)

    def means(offsets: tuple[float, ...]) -> NDArray:
        places = np.stack([points + o * normal for o in offsets]).astype(np.float32)
        return cv2.remap(region, places[..., 0], places[..., 1], cv2.INTER_LINEAR).astype(np.float64)

    # The detector marks the edge of a line, so its ridge lies a little to one side.
    on = max(float(means((o,)).mean()) for o in (-2.0, -1.0, 0.0, 1.0, 2.0))
    left, right = means(tuple(-o for o in BESIDE_PX)), means(BESIDE_PX)
    beside = np.concatenate([left.ravel(), right.ravel()])
    if on - max(float(left.mean()), float(right.mean())) < 0.5 * (on - float(beside.mean())):
        return 0.0
    return (on - float(beside.mean())) / max(float(beside.std()), LEAST_NOISE)
