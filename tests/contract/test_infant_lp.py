"""What the infant-lp plugin promises on any picture, with a network whose answers are known."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from lp_graph import open_lp_graph
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
from puncta.core.results import ClassResult, HeatMap, Measure, Result
from puncta.sdk.context import PluginContext
from puncta.sdk.loading import create_plugin, read_tree
from puncta.sdk.manifest import read_manifest
from puncta.sdk.plugin import Configurable, Plugin, ResetReason, StepResult
from puncta.sdk.result_checks import find_result_faults
from puncta.sdk.testing import check_plugin

Box = tuple[int, int, int, int]
FRAME_NS = 40_000_000
FLAGS = ("quality", "cord", "csf")


@pytest.fixture
def folder(repo_root: Path) -> Path:
    return repo_root / "plugins" / "infant-lp"


@pytest.fixture
def made(folder: Path, tmp_path: Path):
    def make(**options: object) -> Plugin:
        manifest = read_manifest(folder)
        model = open_lp_graph(tmp_path)
        context = PluginContext(manifest.id, folder, lambda _id=None: model, manifest.merge_options(options))
        return create_plugin(read_tree(folder), manifest, context)

    return make


def speckled(level: float, shape: tuple[int, int] = (128, 128), seed: int = 0) -> NDArray[np.uint8]:
    """Speckle of a mean grey level."""
    noise = np.random.default_rng(seed).rayleigh(0.5, shape)
    return np.clip(level * (0.45 + 0.85 * noise), 0, 255).astype(np.uint8)


def spine(seed: int = 0, dark: Box = (10, 60, 108, 20)) -> NDArray[np.uint8]:
    """A picture of middling grey with a dark band; the toy network sees CSF in it and no cord."""
    picture = speckled(60, seed=seed)
    x, y, w, h = dark
    picture[y : y + h, x : x + w] //= 8
    return picture


def frame_of(
    pixels: NDArray[np.uint8], index: int = 0, box: Box | None = None, mm: tuple[float, float] | None = (0.2, 0.3),
    step_ns: int = FRAME_NS,
) -> Frame:
    height, width = pixels.shape[:2]
    calibration = Calibration(mm, CalibrationOrigin.SIMULATED) if mm else None
    region = UltrasoundRegion(box or (0, 0, width, height), "user", calibration)
    geometry = ImageGeometry(width, height, (region,))
    source = SourceInfo("test:", "test", "test", SourceKind.FILE, geometry)
    return Frame(FrameKey("test", index, index * step_ns), 0, index, 0, 0, pixels.copy(), geometry, source)


def play(plugin: Plugin, frames: list[Frame]) -> list[StepResult]:
    plugin.reset(ResetReason.OPENED)
    steps = [plugin.step(frame, {}) for frame in frames]
    for frame, step in zip(frames, steps, strict=True):
        assert find_result_faults(step, frame) == []
    return steps


def one(step: StepResult, kind: type[Result], label: str) -> Result:
    (found,) = [r for r in step.results if isinstance(r, kind) and r.label == label]
    return found


def values(step: StepResult) -> dict[str, bool | None]:
    return {r.label: r.value for r in step.results if isinstance(r, ClassResult)}


def test_it_keeps_the_contract(folder: Path, tmp_path: Path) -> None:
    model = open_lp_graph(tmp_path)
    report = check_plugin(folder, lambda _manifest: lambda _id=None: model)
    assert report.passed, "\n".join(report.lines())


def test_it_says_yes_no_and_names_a_target_interspace_where_all_are_sure(made) -> None:
    step = play(made(), [frame_of(spine(i), i) for i in range(8)])[-1]
    assert values(step) == {"quality": True, "cord": False, "csf": True, "target_interspace": True}
    chance = {r.label: r.probability for r in step.results if isinstance(r, ClassResult)}
    assert chance["target_interspace"] == min(chance["quality"], 1 - chance["cord"], chance["csf"])
    assert Flag.OUT_OF_DISTRIBUTION not in step.flags and Flag.LOW_CONFIDENCE not in step.flags


def test_between_its_thresholds_it_cannot_tell_and_names_nothing(made) -> None:
    step = play(made(), [frame_of(speckled(105, seed=i), i) for i in range(8)])[-1]
    told = values(step)
    assert told["cord"] is None and told["target_interspace"] is not True
    assert all(r.reason for r in step.results if isinstance(r, ClassResult) and r.value is None)
    assert Flag.LOW_CONFIDENCE in step.flags


def test_an_unfamiliar_picture_is_flagged_and_nothing_is_said(made) -> None:
    step = play(made(heat_map="csf"), [frame_of(speckled(170, seed=i), i) for i in range(8)])[-1]
    assert set(values(step).values()) == {None}
    assert Flag.OUT_OF_DISTRIBUTION in step.flags
    heat = one(step, HeatMap, "csf")
    assert heat.values is None and "unlike" in heat.reason
    assert one(step, Measure, "csf_depth").value is None


@pytest.mark.parametrize("picture", [np.zeros((96, 96), np.uint8), np.full((96, 96), 120, np.uint8)])
def test_an_empty_picture_is_no_spine(made, picture: NDArray[np.uint8]) -> None:
    step = play(made(), [frame_of(picture)])[0]
    assert set(values(step).values()) == {None} and Flag.OUT_OF_DISTRIBUTION in step.flags


def test_a_picture_that_stands_still_is_judged(made) -> None:
    still = spine()
    step = play(made(), [frame_of(still, i, step_ns=500_000_000) for i in range(10)])[-1]
    assert values(step)["csf"] is True


def test_one_odd_frame_does_not_turn_a_flag_and_a_lasting_change_shows_within_200_ms(made) -> None:
    clear, bright = [frame_of(spine(i), i) for i in range(10)], 110
    odd = [*clear[:5], frame_of(speckled(bright), 5), *[frame_of(spine(i), i) for i in range(6, 12)]]
    assert all(values(step)["csf"] for step in play(made(), odd)[5:])
    lasting = [*clear, *[frame_of(speckled(bright, seed=i), i) for i in range(10, 20)]]
    after = [values(step)["csf"] for step in play(made(), lasting)[10:]]
    first_ns = next(i for i, value in enumerate(after) if value is False) * FRAME_NS
    assert first_ns <= 200_000_000


def test_what_was_seen_before_a_reset_is_forgotten(made) -> None:
    plugin = made()
    play(plugin, [frame_of(speckled(150, seed=i), i) for i in range(8)])
    fresh = play(plugin, [frame_of(spine(3), 50)])[0]
    assert fresh == play(made(), [frame_of(spine(3), 50)])[0]
    other = plugin.step(frame_of(spine(4, (2, 20, 60, 30))[:90, :70], 51), {})
    assert values(other) == values(play(made(), [frame_of(spine(4, (2, 20, 60, 30))[:90, :70], 51)])[0])


@pytest.mark.parametrize("label", FLAGS)
def test_a_heat_map_comes_on_request_alone_and_lies_on_the_region(made, label: str) -> None:
    box = (30, 14, 128, 128)
    screen = np.full((200, 240), 60, np.uint8)
    screen[14:142, 30:158] = spine()
    frame = frame_of(screen, box=box)
    assert not [r for r in play(made(), [frame])[0].results if isinstance(r, HeatMap)]
    heat = one(play(made(heat_map=label), [frame])[0], HeatMap, label)
    assert heat.values.shape == (8, 8) and heat.values.dtype == np.float32
    assert heat.box_px == (29.5, 13.5, 128.0, 128.0)
    if label == "csf":
        assert heat.values[4].mean() > heat.values[1].mean(), "the dark band speaks for CSF"


def test_options_change_while_it_runs_without_forgetting(made) -> None:
    plugin = made()
    assert isinstance(plugin, Configurable)
    frames = [frame_of(spine(i), i) for i in range(6)]
    play(plugin, frames[:5])
    plugin.configure({"heat_map": "csf", "weight_kg": 4.0})
    step = plugin.step(frames[5], {})
    assert one(step, HeatMap, "csf").values is not None
    assert one(step, Measure, "needle_depth").value == pytest.approx(16.0)
    assert values(step) == values(play(made(), frames)[5])


def test_the_depth_of_the_fluid_is_where_its_evidence_lies(made) -> None:
    frames = [frame_of(spine(i, (10, 64, 108, 16)), i) for i in range(6)]
    depth = one(play(made(), frames)[-1], Measure, "csf_depth")
    assert depth.unit == "mm" and depth.basis
    assert depth.value == pytest.approx((64 + 8) * 0.3, abs=1.0), "the middle of the dark rows, at 0.3 mm a row"
    assert 0.0 < depth.doubt < 8.0 and math.isfinite(depth.doubt)
    bare = one(play(made(), [frame_of(f.pixels, i, mm=None) for i, f in enumerate(frames)])[-1], Measure, "csf_depth")
    assert bare.unit == "px" and bare.value == pytest.approx(72.0, abs=4.0)


def test_the_expected_needle_depth_wants_a_weight_and_millimetres(made) -> None:
    frame = frame_of(spine())
    assert not [r for r in play(made(), [frame])[0].results if r.label == "needle_depth"]
    told = one(play(made(weight_kg=3.4), [frame])[0], Measure, "needle_depth")
    assert told.value == pytest.approx(2.5 * 3.4 + 6.0) and told.unit == "mm"
    assert "± not stated" in told.basis and told.doubt is None
    assert "heavier" in one(play(made(weight_kg=6.5), [frame])[0], Measure, "needle_depth").basis
    assert one(play(made(weight_kg=3.4), [frame_of(spine(), mm=None)])[0], Measure, "needle_depth").value is None


def test_mirrored_grey_or_colour_it_judges_the_same(made) -> None:
    grey = [frame_of(spine(i), i) for i in range(6)]
    colour = [frame_of(np.repeat(f.pixels[..., None], 3, axis=2), i) for i, f in enumerate(grey)]
    assert values(play(made(), grey)[-1]) == values(play(made(), colour)[-1])


def test_a_picture_set_far_too_deep_for_an_infant_is_withheld_where_its_scale_is_known(made) -> None:
    deep = play(made(weight_kg=4.0), [frame_of(spine(i), i, mm=(0.7, 0.7)) for i in range(4)])
    for step in deep:
        assert set(values(step).values()) == {None} and Flag.OUT_OF_DISTRIBUTION in step.flags
        assert all("too deep" in r.reason for r in step.results if isinstance(r, ClassResult))
        assert "too deep" in one(step, Measure, "csf_depth").reason
    for mm in ((0.6, 0.6), None):
        assert values(play(made(), [frame_of(spine(i), i, mm=mm) for i in range(4)])[-1])["csf"] is True


def test_a_structure_deeper_than_any_infant_s_is_no_infant_s(made) -> None:
    low = (10, 96, 108, 20)  # its middle lies 106 px deep
    fine, deep, bare = (
        play(made(heat_map="csf"), [frame_of(spine(i, low), i, mm=mm) for i in range(4)])[-1]
        for mm in ((0.4, 0.4), (0.5, 0.5), None)
    )
    assert values(fine)["csf"] is True and values(bare)["csf"] is True
    assert one(fine, Measure, "csf_depth").value < 45.0
    assert set(values(deep).values()) == {None} and Flag.OUT_OF_DISTRIBUTION in deep.flags
    assert one(deep, HeatMap, "csf").values is None
    assert "deeper" in one(deep, Measure, "csf_depth").reason


def test_a_structure_at_the_deepest_it_may_be_is_not_said_and_unsaid_again(made) -> None:
    steps = play(made(), [frame_of(spine(i, (10, 96 + (-1) ** (i // 6), 108, 20)), i, mm=(0.425, 0.425))
                          for i in range(60)])
    told = [values(step)["csf"] for step in steps]
    assert sum(a is not b for a, b in zip(told, told[1:])) <= 1


def test_another_picture_is_judged_as_the_first_from_its_second_frame_on(made) -> None:
    def other(seed: int) -> NDArray[np.uint8]:
        picture = speckled(100, seed=seed)
        picture[:, :64] //= 3
        return picture

    frames = [*[frame_of(spine(i), i) for i in range(10)], *[frame_of(other(i), i) for i in range(10, 14)]]
    assert play(made(), frames)[11] == play(made(), frames[11:])[0]
    assert play(made(), frames)[10] != play(made(), frames[10:])[0], "one frame may be an odd one"
