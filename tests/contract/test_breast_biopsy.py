"""What the breast-biopsy plugin promises on any picture, with a network small enough to know by heart.

Its judgement is the model's and is measured by `puncta evaluate`; what is promised here holds for every model.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from track_graph import needled, write_track_registry

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
from puncta.core.geometry import tip_box_px
from puncta.core.overlay import THROW_LABEL
from puncta.core.prompts import BoxPrompt, Prompt, ScribblePrompt
from puncta.core.results import Certainty, Detection, Line, MaskResult, Measure, PluginOutput, Result
from puncta.inference.opener import opener_for
from puncta.inference.registry import Registry
from puncta.inference.session import Tuning
from puncta.sdk.context import PluginContext
from puncta.sdk.loading import create_plugin, read_tree
from puncta.sdk.manifest import read_manifest
from puncta.sdk.plugin import Configurable, Plugin, Promptable, ResetReason, StepResult
from puncta.sdk.result_checks import find_result_faults
from puncta.sdk.testing import check_plugin

Box = tuple[int, int, int, int]
Pair = tuple[float, float]
FRAME_NS = 40_000_000
SIDE = 256
CALIBRATION = {"show": 0.6, "keep": 0.4, "sure": 0.9, "least_length": 0.1}


@pytest.fixture(scope="module")
def folder(repo_root: Path) -> Path:
    return repo_root / "plugins" / "breast-biopsy"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    where = write_track_registry(tmp_path_factory.mktemp("models"), "needle-track", calibration=CALIBRATION)
    return Registry.load(where, tmp_path_factory.mktemp("none"))


def made(folder: Path, registry: Registry, changes: Mapping[str, object] | None = None) -> Plugin:
    manifest = read_manifest(folder)
    opener = opener_for(manifest.id, manifest.model, Tuning.deterministic(), registry)
    context = PluginContext(manifest.id, folder, opener, manifest.merge_options(changes))
    return create_plugin(read_tree(folder), manifest, context)


@pytest.fixture
def plugin(folder: Path, registry: Registry) -> Plugin:
    return made(folder, registry)


def frame_of(
    pixels: NDArray[np.uint8], box: Box | None, index: int = 0, mm: Pair | None = (0.2, 0.2), t_ns: int | None = None
) -> Frame:
    height, width = pixels.shape[:2]
    calibration = Calibration(mm, CalibrationOrigin.SIMULATED) if mm else None
    regions = (UltrasoundRegion(box, "user", calibration),) if box else ()
    geometry = ImageGeometry(width, height, regions)
    source = SourceInfo("test:", "test", "test", SourceKind.FILE, geometry)
    pts_ns = index * FRAME_NS if t_ns is None else t_ns
    return Frame(FrameKey("test", index, pts_ns), 0, index, 0, 0, pixels.copy(), geometry, source)


def advancing(count: int, entry: Pair = (0.0, 40.0)) -> list[NDArray[np.uint8]]:
    """A needle that comes in from the left of a picture of 256 x 256 and goes down, 3 px a frame."""
    return [
        needled(entry, (80.0 + 2.8 * k, 70.0 + 1.05 * k), seed=k, size=SIDE, width=9.0) for k in range(count)
    ]


@pytest.fixture(scope="module")
def cine() -> list[NDArray[np.uint8]]:
    return advancing(14)


def bare(k: int) -> NDArray[np.uint8]:
    return needled((0, 40), (80, 70), seed=100 + k, size=SIDE, brightness=0.0)


def play(plugin: Plugin, pictures: list[NDArray[np.uint8]], box: Box | None, first: int = 0) -> list[StepResult]:
    plugin.reset(ResetReason.OPENED)
    return [plugin.step(frame_of(p, box, first + i), {}) for i, p in enumerate(pictures)]


def found(step: StepResult, kind: type[Result], label: str) -> Result | None:
    return next((r for r in step.results if isinstance(r, kind) and r.label == label), None)


def mask_of(step: StepResult) -> MaskResult:
    result = found(step, MaskResult, "needle")
    assert isinstance(result, MaskResult)
    return result


def tip_of(step: StepResult) -> Detection:
    result = found(step, Detection, "needle_tip")
    assert isinstance(result, Detection)
    return result


def axis_of(step: StepResult) -> Line:
    result = found(step, Line, "needle")
    assert isinstance(result, Line)
    return result


def whole(mask: MaskResult, height: int, width: int) -> NDArray[np.bool_]:
    out = np.zeros((height, width), bool)
    if mask.mask is not None:
        x, y = mask.origin_px
        out[y : y + mask.mask.shape[0], x : x + mask.mask.shape[1]] = mask.mask
    return out


def assert_same(a: list[StepResult], b: list[StepResult]) -> None:
    for one, other in zip(a, b, strict=True):
        assert one.flags == other.flags
        assert np.array_equal(whole(mask_of(one), 600, 700), whole(mask_of(other), 600, 700))
        assert [r for r in one.results if not isinstance(r, MaskResult)] == [
            r for r in other.results if not isinstance(r, MaskResult)
        ]


def test_keeps_the_contract_of_a_plugin(folder: Path, registry: Registry) -> None:
    report = check_plugin(folder, lambda m: opener_for(m.id, m.model, Tuning.deterministic(), registry))
    assert report.passed, "\n".join(report.lines())


def test_starts_by_itself_and_says_all_it_has_to(plugin: Plugin, folder: Path, cine: list[NDArray[np.uint8]]) -> None:
    manifest = read_manifest(folder)
    for k, (step, picture) in enumerate(zip(play(plugin, cine, (0, 0, SIDE, SIDE)), cine, strict=True)):
        assert find_result_faults(step, frame_of(picture, (0, 0, SIDE, SIDE), k), manifest) == []
        mask, tip, axis = mask_of(step), tip_of(step), axis_of(step)
        assert mask.mask is not None and tip.tip_px is not None and axis.tip_px is not None
        assert mask.mask.any(axis=0).all() and mask.mask.any(axis=1)[[0, -1]].all(), "cut to its bounding box"
        true = (80.0 + 2.8 * k, 70.0 + 1.05 * k)
        assert math.dist(tip.tip_px, true) < 12.0
        assert tip.box == tip_box_px(tip.tip_px, (0, 0, SIDE, SIDE)) and tip.radius90_px and tip.radius90_px > 0
        assert axis.tip_px == tip.tip_px and axis.entry_px is not None and axis.entry_px[0] == pytest.approx(-0.5)
        assert axis.angle_deg == pytest.approx(math.degrees(math.atan2(1.05, 2.8)), abs=2.0)
        assert axis.sigma_deg is not None and 0 < axis.sigma_deg < 5
        inserted = found(step, Measure, "inserted")
        assert isinstance(inserted, Measure) and inserted.unit == "mm"
        assert inserted.value == pytest.approx(0.2 * math.dist(axis.entry_px, tip.tip_px), abs=1e-6)


def test_the_mask_lies_on_the_needle(plugin: Plugin, cine: list[NDArray[np.uint8]]) -> None:
    step = play(plugin, cine, (0, 0, SIDE, SIDE))[-1]
    rows, columns = np.mgrid[0:SIDE, 0:SIDE]
    k = len(cine) - 1
    x, y = 2.8 / math.hypot(2.8, 1.05), 1.05 / math.hypot(2.8, 1.05)
    across = -(columns - 80.0) * y + (rows - 70.0) * x
    along = (columns - 80.0 - 2.8 * k) * x + (rows - 70.0 - 1.05 * k) * y
    mask = whole(mask_of(step), SIDE, SIDE)
    assert mask[(np.abs(across) > 14) | (along > 14)].sum() == 0
    assert mask[(np.abs(across) < 2) & (along < -14)].mean() > 0.9


def test_everything_moves_with_the_region_and_nothing_outside_it_counts(
    plugin: Plugin, cine: list[NDArray[np.uint8]]
) -> None:
    plain = play(plugin, cine, (0, 0, SIDE, SIDE))
    screens = []
    for k, picture in enumerate(cine):
        screen = np.full((SIDE + 60, SIDE + 90), (k * 37) % 255, np.uint8)
        screen[21 : 21 + SIDE, 37 : 37 + SIDE] = picture
        screens.append(screen)
    moved = play(plugin, screens, (37, 21, SIDE, SIDE))
    for a, b in zip(plain, moved, strict=True):
        assert np.array_equal(whole(mask_of(a), SIDE, SIDE), whole(mask_of(b), SIDE + 60, SIDE + 90)[21:-39, 37:-53])
        ta, tb = tip_of(a).tip_px, tip_of(b).tip_px
        assert ta is not None and tb == pytest.approx((ta[0] + 37, ta[1] + 21), abs=1e-9)


def test_grey_and_rgb_agree_and_runs_repeat_to_the_bit(plugin: Plugin, cine: list[NDArray[np.uint8]]) -> None:
    box = (0, 0, SIDE, SIDE)
    first = play(plugin, cine, box)
    assert_same(first, play(plugin, cine, box))
    assert_same(first, play(plugin, [np.repeat(p[..., None], 3, axis=2) for p in cine], box))


def test_repeated_frames_change_no_answer(plugin: Plugin, cine: list[NDArray[np.uint8]]) -> None:
    box = (0, 0, SIDE, SIDE)
    once = play(plugin, cine[:6], box)
    plugin.reset(ResetReason.OPENED)
    again = [
        plugin.step(frame_of(p, box, 2 * k + c, t_ns=k * FRAME_NS + c * FRAME_NS // 2), {})
        for k, p in enumerate(cine[:6]) for c in range(2)
    ]
    assert_same(again[::2], once)
    assert_same(again[1::2], once)


@pytest.mark.parametrize(("width", "height"), [(300, 330), (512, 400), (150, 160)])
def test_any_size_gives_the_same_place(
    plugin: Plugin, cine: list[NDArray[np.uint8]], width: int, height: int
) -> None:
    plain = play(plugin, cine, (0, 0, SIDE, SIDE))
    how = cv2.INTER_AREA if width < SIDE else cv2.INTER_LINEAR
    plugin.reset(ResetReason.OPENED)
    mm = (0.2 * SIDE / width, 0.2 * SIDE / height)
    shown = [
        plugin.step(frame_of(cv2.resize(p, (width, height), interpolation=how), (0, 0, width, height), k, mm), {})
        for k, p in enumerate(cine)
    ]
    for a, b in zip(plain, shown, strict=True):
        ta, tb = tip_of(a).tip_px, tip_of(b).tip_px
        assert ta is not None and tb is not None
        there = ((tb[0] + 0.5) * SIDE / width - 0.5, (tb[1] + 0.5) * SIDE / height - 0.5)
        assert math.dist(ta, there) < 8.0
        share = whole(mask_of(b), height, width).mean() / whole(mask_of(a), SIDE, SIDE).mean()
        assert 0.8 < share < 1.25


def test_a_mirrored_picture_gives_the_mirrored_needle(plugin: Plugin, cine: list[NDArray[np.uint8]]) -> None:
    box = (0, 0, SIDE, SIDE)
    plain = play(plugin, cine, box)
    mirrored = play(plugin, [np.ascontiguousarray(p[:, ::-1]) for p in cine], box)
    for a, b in zip(plain, mirrored, strict=True):
        ta, tb = tip_of(a).tip_px, tip_of(b).tip_px
        assert ta is not None and tb is not None and math.dist(ta, (SIDE - 1 - tb[0], tb[1])) < 6.0


def test_a_picture_upside_down_is_turned_back(
    folder: Path, registry: Registry, plugin: Plugin, cine: list[NDArray[np.uint8]]
) -> None:
    box = (0, 0, SIDE, SIDE)
    plain = play(plugin, cine, box)
    turned = play(made(folder, registry, {"upside_down": True}), [np.ascontiguousarray(p[::-1]) for p in cine], box)
    for a, b in zip(plain, turned, strict=True):
        ta, tb = tip_of(a).tip_px, tip_of(b).tip_px
        assert ta is not None and tb == pytest.approx((ta[0], SIDE - 1 - ta[1]), abs=1e-6)
        assert np.array_equal(whole(mask_of(a), SIDE, SIDE), whole(mask_of(b), SIDE, SIDE)[::-1])


@pytest.mark.parametrize("shape", [(48, 64), (131, 517), (700, 333), (256, 256, 3)])
def test_takes_any_size_and_invents_nothing_in_black_or_flat_pictures(plugin: Plugin, shape: tuple[int, ...]) -> None:
    for level in (0, 128):
        for step in play(plugin, [np.full(shape, level, np.uint8)] * 3, None):
            assert mask_of(step).mask is None and mask_of(step).reason == "the picture is empty"
            assert tip_of(step).tip_px is None and axis_of(step).tip_px is None
            assert Flag.TRACK_LOST not in step.flags, "what was never there is not lost"


def test_a_needle_that_fades_out_is_lost_with_a_reason_and_no_mask(
    plugin: Plugin, cine: list[NDArray[np.uint8]]
) -> None:
    box = (0, 0, SIDE, SIDE)
    play(plugin, cine, box)
    last = (80.0 + 2.8 * 13, 70.0 + 1.05 * 13)
    fading = [
        needled((0, 40), last, seed=200 + k, size=SIDE, width=9.0, brightness=150.0 * 0.5**k) for k in range(1, 9)
    ]
    steps = [plugin.step(frame_of(p, box, 14 + k), {}) for k, p in enumerate(fading)]
    assert mask_of(steps[0]).mask is not None, "half as bright it is still there"
    gone = steps[-1]
    assert mask_of(gone).mask is None and mask_of(gone).certainty is Certainty.LOST and mask_of(gone).reason
    assert {Flag.TRACK_LOST, Flag.LOW_CONFIDENCE} <= gone.flags
    later = plugin.step(frame_of(bare(0), box, 14 + 80), {})
    assert Flag.TRACK_LOST not in later.flags, "after two seconds it is absent"


def test_a_needle_free_stream_gets_no_mask(plugin: Plugin) -> None:
    steps = play(plugin, [bare(k) for k in range(10)], (0, 0, SIDE, SIDE))
    assert all(mask_of(s).mask is None and mask_of(s).reason for s in steps)


def two_needles() -> NDArray[np.uint8]:
    bright = needled((0, 40), (160, 100), seed=1, size=SIDE, width=10.0, brightness=170.0)
    return np.maximum(bright, needled((255, 90), (70, 235), seed=2, size=SIDE, width=10.0, brightness=120.0))


@pytest.mark.parametrize("prompt", [
    ScribblePrompt(((255.0, 90.0), (160.0, 164.0), (70.0, 235.0))), BoxPrompt((66.0, 110.0, 189.0, 130.0)),
])
def test_takes_a_prompt_on_its_frame(plugin: Plugin, prompt: Prompt) -> None:
    assert isinstance(plugin, Promptable)
    picture, box = two_needles(), (0, 0, SIDE, SIDE)
    plugin.reset(ResetReason.OPENED)
    before = plugin.step(frame_of(picture, box, 0), {})
    assert tip_of(before).tip_px is not None and tip_of(before).tip_px[1] < 150  # type: ignore[index]
    plugin.prompt(prompt)
    asked = tip_of(plugin.step(frame_of(picture, box, 0), {}))
    assert asked.tip_px is not None and math.dist(asked.tip_px, (70, 235)) < 15


def test_a_prompt_outside_the_region_is_passed_over(plugin: Plugin, cine: list[NDArray[np.uint8]]) -> None:
    box = (0, 0, SIDE, SIDE)
    plain = play(plugin, cine[:3], box)
    plugin.reset(ResetReason.OPENED)
    steps = []
    for k, picture in enumerate(cine[:3]):
        plugin.prompt(ScribblePrompt(((900.0, 900.0), (950.0, 950.0))))  # type: ignore[attr-defined]
        steps.append(plugin.step(frame_of(picture, box, k), {}))
    assert_same(steps, plain)


def upstream_of(tip: Pair, certainty: Certainty) -> dict[str, PluginOutput]:
    detection = Detection("needle_tip", tip_box_px(tip, (0, 0, SIDE, SIDE)), tip, 0.9, certainty=certainty)
    return {"needle-tip": PluginOutput("needle-tip", 0, (detection, Line("needle", (0.0, 40.0), tip, 0.9)))}


def faint() -> NDArray[np.uint8]:
    return needled((0, 40), (160, 100), seed=1, size=SIDE, width=9.0, brightness=62.0)


def test_begins_from_an_upstream_tip_only_where_that_is_sure(folder: Path, registry: Registry, plugin: Plugin) -> None:
    picture, box = faint(), (0, 0, SIDE, SIDE)

    def presence(one: Plugin, upstream: dict[str, PluginOutput]) -> float:
        one.reset(ResetReason.OPENED)
        return mask_of(one.step(frame_of(picture, box), upstream)).score

    alone = presence(plugin, {})
    assert presence(plugin, upstream_of((160.0, 100.0), Certainty.SURE)) > alone
    assert presence(plugin, upstream_of((160.0, 100.0), Certainty.UNCERTAIN)) == alone
    off = made(folder, registry, {"start_from_tip": False})
    assert presence(off, upstream_of((160.0, 100.0), Certainty.SURE)) == alone


def test_the_throw_is_drawn_ahead_of_the_tip_where_there_are_millimetres(
    folder: Path, registry: Registry, cine: list[NDArray[np.uint8]]
) -> None:
    plugin, box = made(folder, registry, {"throw_mm": 15}), (0, 0, SIDE, SIDE)
    plugin.reset(ResetReason.OPENED)
    step = plugin.step(frame_of(cine[0], box, mm=(0.2, 0.2)), {})
    thrown, axis = found(step, Line, THROW_LABEL), axis_of(step)
    assert isinstance(thrown, Line) and thrown.entry_px == axis.tip_px and thrown.tip_px and axis.entry_px
    assert 0.2 * math.dist(thrown.entry_px or (0, 0), thrown.tip_px) == pytest.approx(15.0, abs=1e-6)
    ahead = (thrown.tip_px[0] - axis.entry_px[0], thrown.tip_px[1] - axis.entry_px[1])
    assert math.atan2(ahead[1], ahead[0]) == pytest.approx(math.radians(axis.angle_deg or 0), abs=1e-6)
    plugin.reset(ResetReason.OPENED)
    assert found(plugin.step(frame_of(cine[0], box, mm=None), {}), Line, THROW_LABEL) is None
    assert isinstance(plugin, Configurable)
    plugin.configure({**read_manifest(folder).merge_options(), "throw_mm": 0})
    assert found(plugin.step(frame_of(cine[1], box, 1), {}), Line, THROW_LABEL) is None


def test_without_calibration_it_says_so_and_measures_in_pixels(plugin: Plugin, cine: list[NDArray[np.uint8]]) -> None:
    plugin.reset(ResetReason.OPENED)
    step = plugin.step(frame_of(cine[0], (0, 0, SIDE, SIDE), mm=None), {})
    assert Flag.UNCALIBRATED in step.flags
    inserted = found(step, Measure, "inserted")
    assert isinstance(inserted, Measure) and inserted.unit == "px" and inserted.value is not None
    assert inserted.value == pytest.approx(math.dist((0, 40), (80, 70)), abs=12)
    tip = tip_of(step)
    assert tip.radius90_px is not None and tip.radius90_px < 40


def test_backwards_is_just_another_stream(plugin: Plugin, cine: list[NDArray[np.uint8]]) -> None:
    box = (0, 0, SIDE, SIDE)
    forwards = play(plugin, cine, box)
    plugin.reset(ResetReason.SEEK)
    backwards = [plugin.step(frame_of(cine[k], box, k), {}) for k in reversed(range(len(cine)))][::-1]
    for a, b in zip(forwards[2:-2], backwards[2:-2], strict=True):
        ta, tb = tip_of(a).tip_px, tip_of(b).tip_px
        assert ta is not None and tb is not None and math.dist(ta, tb) < 20.0


def test_reset_forgets(plugin: Plugin, cine: list[NDArray[np.uint8]]) -> None:
    box = (0, 0, SIDE, SIDE)
    fresh = play(plugin, cine[8:], box)
    play(plugin, cine[:8], box)
    assert_same(play(plugin, cine[8:], box), fresh)


def test_a_region_that_is_found_a_pixel_off_does_not_begin_anew(
    plugin: Plugin, cine: list[NDArray[np.uint8]]
) -> None:
    framed = [np.pad(p, 20) for p in cine]
    plugin.reset(ResetReason.OPENED)
    steps = [
        plugin.step(frame_of(p, (20 + k % 2, 20, SIDE - k % 2, SIDE), k), {}) for k, p in enumerate(framed)
    ]
    for a, b in zip(play(plugin, framed, (20, 20, SIDE, SIDE)), steps, strict=True):
        ta, tb = tip_of(a).tip_px, tip_of(b).tip_px
        assert ta is not None and tb is not None and math.dist(ta, tb) < 6.0
