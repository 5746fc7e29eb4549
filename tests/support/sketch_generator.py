"""A simulated cine without echoes: real tissue, real hands, and a plain drawing in place of the ultrasound picture.

Quick to open and to render, for tests of what lies round the engine.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from puncta.sim.anatomy import build_subject
from puncta.sim.anatomy.options import SubjectOptions
from puncta.sim.controls import STILL, Controls
from puncta.sim.deform import Deformation
from puncta.sim.frame_view import FrameView, place_needle
from puncta.sim.machines import draw_machine
from puncta.sim.needle import FieldOfView, draw_needle_kind
from puncta.sim.probing import level_at
from puncta.sim.scan import plan_scan
from puncta.sim.steered import SteeredHands, start_plan
from puncta.sim.truth_scene import describe_scene


class SketchGenerator:
    """Takes what `CineGenerator` takes; only steered."""

    def __init__(
        self, procedure: str, machine: str, seed: int, *, size_px=(320, 240), furniture=False, needle=True,
        start="outside", options: SubjectOptions | None = None, approach=None, steered=True, fps: float | None = None,
    ) -> None:
        rng = np.random.default_rng(seed)
        self.subject = build_subject(procedure, seed, options=options or SubjectOptions(), y_half_mm=6.0)
        self.machine = replace(draw_machine(machine, rng), depth_mm=self.subject.depth_mm)
        self.fps = fps or 50.0
        self.scan = plan_scan(self.machine, rng, size_px, False)
        self.kind = draw_needle_kind(rng, procedure, -20.0)
        plan = start_plan(rng, self.subject, FieldOfView.of(self.scan), approach or "in-plane")
        self.hands = SteeredHands(self.subject, plan, rng, kind=self.kind, field=FieldOfView.of(self.scan))
        self.deformation = Deformation(self.subject)
        self.state = self.hands.state
        self.index = self.t_ns = 0
        self.last_dt_s = 1.0 / self.fps

    def next_frame(self, controls: Controls = STILL):
        """Step the hands, draw tissue levels and needle."""
        self.state = self.hands.step(self.last_dt_s, controls)
        layout = self.scan.layout
        x0, y0, w, h = layout.region
        left, top, right, bottom = self.scan.extent_mm
        gx, gz = np.meshgrid(np.linspace(left, right, 64), np.linspace(top, bottom, 64))
        level = level_at(self.subject, *self.state.probe.tissue_from_probe(gx, 0.0, gz))
        grey = np.clip((level + 60.0) * 4.0, 0, 255).astype(np.uint8)
        pixels = np.zeros((layout.height_px, layout.width_px), np.uint8)
        pixels[y0 : y0 + h, x0 : x0 + w] = cv2.resize(grey, (w, h))
        placed = place_needle(self.state, self.scan, self.machine)
        if placed is not None:
            px, py = self.scan.px_from_mm(placed.x, placed.z)
            seen = placed.inside & (placed.weight > 0.3)
            pixels[np.clip(np.rint(py[seen]).astype(int), 0, layout.height_px - 1),
                   np.clip(np.rint(px[seen]).astype(int), 0, layout.width_px - 1)] = 255
        truth = describe_scene(
            self.index, self.t_ns, self.scan, FrameView(self.state, None, placed), gauge_mm=self.kind.gauge_mm,
            subject=self.subject, deformation=self.deformation,
        )
        self.index += 1
        self.t_ns += round(1e9 / self.fps)
        return pixels, truth
