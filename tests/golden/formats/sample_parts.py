"""What the golden samples share: when and by what they were made, hashes, and a drawn picture."""

from __future__ import annotations

import hashlib
from pathlib import Path

import cv2
import numpy as np

WHEN = "2026-01-31T12:00:00Z"
PROGRAM = "puncta 0.1.0"
NEEDLE_PX = np.array([[2.0, 4.0], [20.0, 13.0]])
NEEDLE_BOX = (2.0, 4.0, 18.0, 9.0)
# Centred on the tip, 8.8 % x 4.0 % of a region of 32 x 24 pixels.
TIP_BOX = (18.592, 12.52, 2.816, 0.96)


def sha_of_text(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def sha_of_file(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def draw_frame(number: int, needle: bool) -> np.ndarray:
    """A 32 x 24 picture: noise with a bright line where a needle is."""
    pixels = np.random.default_rng(number).integers(20, 70, size=(24, 32), dtype=np.uint8)
    if needle:
        entry, tip = NEEDLE_PX.astype(int)
        cv2.line(pixels, tuple(map(int, entry)), tuple(map(int, tip)), 230, 1)
    return pixels
