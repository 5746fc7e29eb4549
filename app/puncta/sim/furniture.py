"""Screen furniture of a simulated machine: ruler, text, mark, grey bar. It carries no patient data."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from puncta.sim.machines import Machine
from puncta.sim.scan import Layout


@dataclass(frozen=True, slots=True)
class Furniture:
    """What lies round the picture, and what is burnt into it.

    Attributes
    ----------
    under : ndarray of uint8, shape (H, W)
        Screen without the picture.
    over : ndarray of uint8, shape (H, W)
        Drawn on top where above 0.
    """

    under: NDArray[np.uint8]
    over: NDArray[np.uint8]

    def blank(self) -> NDArray[np.uint8]:
        """A fresh screen without the picture."""
        return self.under.copy()

    def draw_over(self, screen: NDArray[np.uint8], index: int) -> None:
        """Burn in what lies over the picture."""
        np.maximum(screen, self.over, out=screen)


def draw_furniture(layout: Layout, machine: Machine, rng: np.random.Generator) -> Furniture:
    """Draw one machine's screen."""
    w, h = layout.width_px, layout.height_px
    under = np.full((h, w), int(rng.integers(5, 25)) if rng.random() < 0.25 else 0, np.uint8)
    x0, y0, rw, rh = layout.region
    under[y0 : y0 + rh, x0 : x0 + rw] = 0
    over = np.zeros((h, w), np.uint8)
    scale = h / 600.0
    bright = int(rng.integers(140, 235))

    def write(target: NDArray[np.uint8], text: str, x: float, y: float, size: float = 0.4) -> None:
        place = (int(x), int(y))
        cv2.putText(target, text, place, cv2.FONT_HERSHEY_SIMPLEX, size * scale, bright, 1, cv2.LINE_AA)

    # Depth ruler: small marks every 5 mm (2 mm on the handheld look), long ones every 10 mm.
    inside = machine.ruler_inside
    at_x = x0 + rw - int(0.045 * rw) if inside else min(w - 6, x0 + rw + max(4, int(0.012 * w)))
    target = over if inside else under
    step = 2 if inside else 5
    for mm in range(0, int(rh * layout.mm_per_px) + 1, step):
        y = int(round(y0 - 0.5 + mm / layout.mm_per_px))
        if y >= h:
            break
        if inside:
            cv2.circle(target, (at_x, y), max(1, int((3 if mm % 10 == 0 else 1) * scale)), 225, -1, cv2.LINE_AA)
        else:
            long = int((9 if mm % 10 == 0 else 4) * scale)
            cv2.line(target, (at_x, y), (min(w - 1, at_x + long), y), bright, 1)
            if mm % 10 == 0 and mm:
                write(target, str(mm // 10), min(at_x + 11 * scale, w - 9 * scale), y + 4 * scale, 0.33)
    if inside:
        write(over, f"{rh * layout.mm_per_px / 10:.0f} cm", at_x - 45 * scale, min(h - 6, y0 + rh - 6), 0.45)
        return Furniture(under, over)
    write(under, "PUNCTA SIMULATION", 8 * scale, 14 * scale, 0.42)
    write(under, f"Machine {machine.name}  {machine.f0_mhz:.0f} MHz", w * 0.42, 14 * scale, 0.36)
    if x0 > 60 * scale:
        lines = (f"Fr {machine.fps:.0f} Hz", f"D {rh * layout.mm_per_px:.0f} mm", f"DR {machine.dynamic_range_db:.0f}",
                 "MI 0.8", "TIs 0.2")
        for k, text in enumerate(lines):
            write(under, text, 6 * scale, y0 + (28 + 16 * k) * scale, 0.33)
        bar_h = int(0.22 * h)
        bar = np.linspace(255, 0, bar_h).astype(np.uint8)[:, None]
        under[h - bar_h - 30 : h - 30, 14 : 14 + max(6, int(8 * scale))] = bar
    mark = (int(max(10, x0 + 8 * scale)), int(max(8, y0 - 8 * scale)))
    cv2.circle(under, mark, max(2, int(4 * scale)), bright, 1, cv2.LINE_AA)
    write(under, "P", mark[0] - 3 * scale, mark[1] + 3 * scale, 0.26)
    if y0 + rh < h - 12 * scale:
        write(under, "Simulated, training only", w * 0.3, h - 6 * scale, 0.34)
    return Furniture(under, over)
