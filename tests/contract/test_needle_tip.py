"""What the needle-tip plugin promises on any picture, with the model that ships."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from needle_tip_stage import FRAME_NS, frame_of, made_plugin, needle_cine, placed, play, tips
from numpy.typing import NDArray

from puncta.core.flags import Flag
from puncta.core.frame import (
    ImageGeometry,
)
from puncta.core.geometry import box_centre_px
from puncta.core.results import Certainty, Detection, Line
from puncta.sdk.plugin import Plugin, ResetReason, Staged, StepResult


@pytest.fixture(scope="module")
def folder(repo_root: Path) -> Path:
    return repo_root / "plugins" / "needle-tip"


@pytest.fixture
def plugin(folder: Path, repo_root: Path, tmp_path: Path) -> Plugin:
    return made_plugin(folder, repo_root, tmp_path)


@pytest.fixture(scope="module")
def cine() -> list[NDArray[np.uint8]]:
    return needle_cine()


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


def test_its_parts_ahead_of_one_another_give_what_steps_give(
    plugin: Plugin, folder: Path, repo_root: Path, tmp_path: Path, cine: list[NDArray[np.uint8]]
) -> None:
    h, w = cine[0].shape
    whole, cut = (0, 0, w, h), (10, 10, w - 40, h - 30)
    dark = np.zeros_like(cine[0])
    # A needle; a repeat; an empty picture; another region; a leap in time; a picture that stands still.
    told = [(p, whole) for p in (*cine[:8], cine[7], *cine[8:12], dark, *cine[12:16])] + [(p, cut) for p in cine[16:22]]
    times = [k * FRAME_NS for k in range(len(told))]
    told += [(p, cut) for p in cine[:6]] + [(cine[5], cut)] * 4
    times += [times[-1] + 5_000_000_000 + k * 700_000_000 for k in range(10)]
    frames = [frame_of(p, box, k, t_ns=t) for k, ((p, box), t) in enumerate(zip(told, times, strict=True))]
    plugin.reset(ResetReason.OPENED)
    wanted = [plugin.step(frame, {}) for frame in frames]
    ahead = made_plugin(folder, repo_root, tmp_path)
    assert isinstance(ahead, Staged)
    ahead.reset(ResetReason.OPENED)
    prepared, inferred, got = {}, {}, []
    for k in range(len(frames) + 4):
        if k < len(frames):
            prepared[k] = ahead.prepare(frames[k])
        if 0 <= k - 2 < len(frames):
            inferred[k - 2] = ahead.infer(prepared.pop(k - 2))
        if k >= 4:
            got.append(ahead.finish(frames[k - 4], inferred.pop(k - 4), {}))
    assert got == wanted
    assert any(Flag.OUT_OF_DISTRIBUTION in s.flags for s in got) and any(t.tip_px is not None for t in tips(got))


@pytest.mark.parametrize("part", ["resampling", "network"])
@pytest.mark.parametrize("change", ["region", "leap in time"])
@pytest.mark.parametrize("repeats", [0, 2])
def test_what_begins_on_a_frame_that_fails_begins_all_the_same(
    folder: Path, repo_root: Path, tmp_path: Path, cine: list[NDArray[np.uint8]], monkeypatch: pytest.MonkeyPatch,
    part: str, change: str, repeats: int,
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("planted")

    h, w = cine[0].shape
    box, ahead_ns = ((10, 10, w - 40, h - 30), 0) if change == "region" else ((0, 0, w, h), 5_000_000_000)
    pictures = [cine[12]] * (1 + repeats) + cine[13:]
    later = [frame_of(p, box, 12 + k, t_ns=ahead_ns + (12 + k) * FRAME_NS) for k, p in enumerate(pictures)]

    def fail_on_the_first(plugin: Plugin) -> list[StepResult]:
        where = (sys.modules[type(plugin).__module__], "resample_region")
        with monkeypatch.context() as planted:
            planted.setattr(*(where if part == "resampling" else (plugin._reader.network, "infer")), fail)
            with pytest.raises(RuntimeError, match="planted"):
                plugin.step(later[0], {})
        return [plugin.step(frame, {}) for frame in later[1:]]

    fresh, used = (made_plugin(folder, repo_root, tmp_path) for _ in range(2))
    assert any(d.tip_px is not None for d in tips(play(used, cine[:12], (0, 0, w, h))))
    assert fail_on_the_first(used) == fail_on_the_first(fresh)


def test_repeated_frames_change_no_answer(plugin: Plugin, cine: list[NDArray[np.uint8]]) -> None:
    h, w = cine[0].shape
    box = (0, 0, w, h)
    once = play(plugin, cine, box)
    plugin.reset(ResetReason.OPENED)
    for k, (picture, wanted) in enumerate(zip(cine, once)):
        for copy in range(3):
            t_ns = k * FRAME_NS + copy * FRAME_NS // 3
            assert plugin.step(frame_of(picture, box, 3 * k + copy, t_ns=t_ns), {}).results == wanted.results


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
    last = plugin.step(frame_of(np.zeros((h, w), np.uint8), (0, 0, w, h), len(cine)), {})
    assert {Flag.TRACK_LOST, Flag.LOW_CONFIDENCE} <= last.flags


def test_an_entry_off_by_rounding_stays_on_the_edge(plugin: Plugin) -> None:
    held = vars(sys.modules[type(plugin).__module__])["_held_inside"]
    assert held((-0.5000000001, 40.0), (0, 0, 256, 256)) == (-0.5, 40.0)
    assert held((300.0, -3.0), (10, 20, 100, 50)) == (109.5, 19.5)
    assert held((50.0, 30.0), (10, 20, 100, 50)) == (50.0, 30.0)
