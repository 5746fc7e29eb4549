"""What the needle-tip plugin promises on any picture, with the model that ships."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from puncta.core.flags import Flag
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
from puncta.core.geometry import box_centre_px
from puncta.core.results import Certainty, Detection, Line
from puncta.inference.opener import opener_for
from puncta.inference.registry import Registry
from puncta.inference.session import Tuning
from puncta.sdk.context import PluginContext
from puncta.sdk.loading import create_plugin, read_tree
from puncta.sdk.manifest import read_manifest
from puncta.sdk.plugin import Plugin, ResetReason, StepResult
from puncta.sim.cine import simulate_cine

Box = tuple[int, int, int, int]


@pytest.fixture(scope="module")
def folder(repo_root: Path) -> Path:
    return repo_root / "plugins" / "needle-tip"


@pytest.fixture
def plugin(folder: Path, repo_root: Path, tmp_path: Path) -> Plugin:
    manifest = read_manifest(folder)
    registry = Registry.load(repo_root / "models", tmp_path)
    context = PluginContext(
        manifest.id, folder, opener_for(manifest.id, manifest.model, Tuning.deterministic(), registry),
        manifest.merge_options(),
    )
    return create_plugin(read_tree(folder), manifest, context)


def frame_of(pixels: NDArray[np.uint8], box: Box | None, index: int = 0, mm: float | None = 0.1) -> Frame:
    height, width = pixels.shape[:2]
    calibration = Calibration((mm, mm), CalibrationOrigin.SIMULATED) if mm else None
    regions = (UltrasoundRegion(box, "user", calibration),) if box else ()
    geometry = ImageGeometry(width, height, regions)
    source = SourceInfo("test:", "test", "test", SourceKind.FILE, geometry)
    return Frame(FrameKey("test", index, index * 40_000_000), 0, index, 0, 0, pixels.copy(), geometry, source)


def play(plugin: Plugin, pictures: list[NDArray[np.uint8]], box: Box | None) -> list[StepResult]:
    plugin.reset(ResetReason.OPENED)
    return [plugin.step(frame_of(p, box, i), {}) for i, p in enumerate(pictures)]


def tips(steps: list[StepResult]) -> list[Detection]:
    return [next(r for r in s.results if isinstance(r, Detection)) for s in steps]


@pytest.fixture(scope="module")
def cine() -> list[NDArray[np.uint8]]:
    made = simulate_cine("nerve", "A", 4711, 24, size_px=(256, 256), needle=True, start="inside")
    x, y, w, h = made.region
    return [np.ascontiguousarray(f[y : y + h, x : x + w]) for f in made.frames]


def placed(picture: NDArray[np.uint8], x0: int, y0: int, width: int, height: int) -> NDArray[np.uint8]:
    screen = np.full((height, width), 60, np.uint8)
    screen[y0 : y0 + picture.shape[0], x0 : x0 + picture.shape[1]] = picture
    return screen


def test_finds_a_plain_needle_and_says_all_it_has_to(plugin: Plugin, cine: list[NDArray[np.uint8]]) -> None:
    h, w = cine[0].shape
    steps = play(plugin, cine, (0, 0, w, h))
    for step in steps:
        detection, line = step.results
        assert isinstance(detection, Detection) and isinstance(line, Line)
        assert detection.label == "needle_tip" and line.label == "needle"
        assert 0.0 <= detection.score <= 1.0 and math.isfinite(detection.score)
        assert Flag.UNCALIBRATED not in step.flags
        if detection.tip_px is None:
            assert detection.box is None and detection.certainty is Certainty.LOST and detection.reason
            assert line.tip_px is None and line.reason
            continue
        assert detection.box is not None and detection.radius90_px and detection.radius90_px > 0
        assert box_centre_px(detection.box) == pytest.approx(detection.tip_px)
        assert detection.box[2:] == pytest.approx((0.088 * w, 0.040 * h))
        if line.tip_px is not None:
            assert line.tip_px == detection.tip_px and line.angle_deg is not None and 0 <= line.angle_deg <= 90
            assert line.entry_px is not None
            assert -0.5 <= line.entry_px[0] <= w - 0.5 and -0.5 <= line.entry_px[1] <= h - 0.5
            assert min(abs(line.entry_px[0] + 0.5), abs(line.entry_px[0] - w + 0.5),
                       abs(line.entry_px[1] + 0.5), abs(line.entry_px[1] - h + 0.5)) < 1e-6


def test_the_tip_moves_with_the_region_exactly(plugin: Plugin, cine: list[NDArray[np.uint8]]) -> None:
    h, w = cine[0].shape
    plain = tips(play(plugin, cine, (0, 0, w, h)))
    moved = tips(play(plugin, [placed(p, 37, 21, w + 90, h + 55) for p in cine], (37, 21, w, h)))
    for a, b in zip(plain, moved):
        assert a.score == b.score
        assert (a.tip_px is None) == (b.tip_px is None)
        if a.tip_px and b.tip_px:
            assert b.tip_px == pytest.approx((a.tip_px[0] + 37, a.tip_px[1] + 21), abs=1e-9)


def test_furniture_outside_the_region_changes_nothing(plugin: Plugin, cine: list[NDArray[np.uint8]]) -> None:
    h, w = cine[0].shape
    quiet = [placed(p, 10, 10, w + 40, h + 40) for p in cine]
    loud = [q.copy() for q in quiet]
    for k, picture in enumerate(loud):
        picture[:8] = (k * 37) % 255
        picture[:, w + 14 :] = 255 - (k * 11) % 255
    box = (10, 10, w, h)
    assert [s.results for s in play(plugin, quiet, box)] == [s.results for s in play(plugin, loud, box)]


def test_grey_and_rgb_agree_and_runs_repeat_to_the_bit(plugin: Plugin, cine: list[NDArray[np.uint8]]) -> None:
    h, w = cine[0].shape
    box = (0, 0, w, h)
    first = play(plugin, cine, box)
    assert first == play(plugin, cine, box)
    assert first == play(plugin, [np.repeat(p[..., None], 3, axis=2) for p in cine], box)


def test_reset_forgets(plugin: Plugin, cine: list[NDArray[np.uint8]]) -> None:
    h, w = cine[0].shape
    box = (0, 0, w, h)
    fresh = play(plugin, cine[12:], box)
    play(plugin, cine[:12], box)
    plugin.reset(ResetReason.SEEK)
    again = [plugin.step(frame_of(p, box, i), {}) for i, p in enumerate(cine[12:])]
    assert again == fresh


def test_repeated_frames_change_no_answer(plugin: Plugin, cine: list[NDArray[np.uint8]]) -> None:
    h, w = cine[0].shape
    box = (0, 0, w, h)
    once = play(plugin, cine, box)
    thrice = play(plugin, [p for p in cine for _ in range(3)], box)
    assert [s.results for s in thrice[2::3]] == [s.results for s in once]


@pytest.mark.parametrize("shape", [(48, 64), (131, 517), (700, 333), (256, 256, 3), (480, 640, 3)])
def test_takes_any_size_and_finds_no_tip_in_black_or_flat_pictures(plugin: Plugin, shape: tuple[int, ...]) -> None:
    for level in (0, 128):
        steps = play(plugin, [np.full(shape, level, np.uint8)] * 3, None)
        assert all(d.tip_px is None and d.reason == "the picture is empty" for d in tips(steps))


def test_without_calibration_it_says_so(plugin: Plugin, cine: list[NDArray[np.uint8]]) -> None:
    h, w = cine[0].shape
    frame = frame_of(cine[0], (0, 0, w, h), mm=None)
    assert Flag.UNCALIBRATED in plugin.step(frame, {}).flags
    frame = replace(frame, geometry=ImageGeometry(w, h))
    assert Flag.UNCALIBRATED in plugin.step(frame, {}).flags


def test_a_lost_tip_is_flagged(plugin: Plugin, cine: list[NDArray[np.uint8]]) -> None:
    h, w = cine[0].shape
    steps = play(plugin, cine, (0, 0, w, h))
    assert any(d.tip_px is not None for d in tips(steps))
    last = plugin.step(frame_of(np.zeros((h, w), np.uint8), (0, 0, w, h), 99), {})
    assert {Flag.TRACK_LOST, Flag.LOW_CONFIDENCE} <= last.flags


def test_an_entry_off_by_rounding_stays_on_the_edge(plugin: Plugin) -> None:
    held = vars(sys.modules[type(plugin).__module__])["_held_inside"]
    assert held((-0.5000000001, 40.0), (0, 0, 256, 256)) == (-0.5, 40.0)
    assert held((300.0, -3.0), (10, 20, 100, 50)) == (109.5, 19.5)
    assert held((50.0, 30.0), (10, 20, 100, 50)) == (50.0, 30.0)
