"""The needle-tip plugin with the model that ships, and pictures for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from puncta.core.frame import (
    Calibration,
    CalibrationOrigin,
    Frame,
    FrameKey,
    ImageGeometry,
    SourceInfo,
    SourceKind,
    UltrasoundRegion,
)
from puncta.core.results import Detection
from puncta.inference.opener import opener_for
from puncta.inference.registry import Registry
from puncta.inference.session import Tuning
from puncta.sdk.context import PluginContext
from puncta.sdk.loading import create_plugin, read_tree
from puncta.sdk.manifest import read_manifest
from puncta.sdk.plugin import Plugin, ResetReason, StepResult
from puncta.sim.cine import simulate_cine

Box = tuple[int, int, int, int]


def made_plugin(
    folder: Path, repo_root: Path, user_folder: Path, changes: dict[str, object] | None = None
) -> Plugin:
    manifest = read_manifest(folder)
    registry = Registry.load(repo_root / "models", user_folder)
    context = PluginContext(
        manifest.id, folder, opener_for(manifest.id, manifest.model, Tuning.deterministic(), registry),
        manifest.merge_options(changes),
    )
    return create_plugin(read_tree(folder), manifest, context)


FRAME_NS = 40_000_000


def frame_of(
    pixels: NDArray[np.uint8], box: Box | None, index: int = 0, mm: float | tuple[float, float] | None = 0.1,
    t_ns: int | None = None,
) -> Frame:
    height, width = pixels.shape[:2]
    spacing = (mm, mm) if isinstance(mm, float) else mm
    calibration = Calibration(spacing, CalibrationOrigin.SIMULATED) if spacing else None
    regions = (UltrasoundRegion(box, "user", calibration),) if box else ()
    geometry = ImageGeometry(width, height, regions)
    source = SourceInfo("test:", "test", "test", SourceKind.FILE, geometry)
    pts_ns = index * FRAME_NS if t_ns is None else t_ns
    return Frame(FrameKey("test", index, pts_ns), 0, index, 0, 0, pixels.copy(), geometry, source)


def play(plugin: Plugin, pictures: list[NDArray[np.uint8]], box: Box | None) -> list[StepResult]:
    plugin.reset(ResetReason.OPENED)
    return [plugin.step(frame_of(p, box, i), {}) for i, p in enumerate(pictures)]


def tips(steps: list[StepResult]) -> list[Detection]:
    return [next(r for r in s.results if isinstance(r, Detection)) for s in steps]


def needle_cine() -> list[NDArray[np.uint8]]:
    made = simulate_cine("breast", "B", 4712, 24, size_px=(256, 256), needle=True, start="inside")
    x, y, w, h = made.region
    return [np.ascontiguousarray(f[y : y + h, x : x + w]) for f in made.frames]


def placed(picture: NDArray[np.uint8], x0: int, y0: int, width: int, height: int) -> NDArray[np.uint8]:
    screen = np.full((height, width), 60, np.uint8)
    screen[y0 : y0 + picture.shape[0], x0 : x0 + picture.shape[1]] = picture
    return screen
