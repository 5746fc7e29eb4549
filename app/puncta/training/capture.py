"""What a machine and its capture add to every frame of a composed cine."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def captured(
    rng: np.random.Generator, shown: NDArray[np.float32], grain: NDArray[np.float32], noise: float, quality: int
) -> NDArray[np.uint8]:
    """Return a frame with noise [grey levels], a gain that jitters, and JPEG where ``quality`` is not 0."""
    size = len(shown)
    rolled = np.roll(grain, (int(rng.integers(size)), int(rng.integers(size))), (0, 1))
    shown = shown + noise * rolled * (0.3 + shown / 160.0)
    frame = np.clip(shown * float(1 + 0.01 * rng.standard_normal()), 0, 255).astype(np.uint8)
    if not quality:
        return frame
    packed = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(packed, cv2.IMREAD_GRAYSCALE), np.uint8)
