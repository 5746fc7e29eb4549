"""What the needle-tip plugin promises on any picture, with the model that ships."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from pathlib import Path

import cv2
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
from puncta.imaging.region import find_region
from puncta.inference.opener import opener_for
from puncta.inference.registry import Registry
from puncta.inference.session import Tuning
from puncta.sdk.context import PluginContext
from puncta.sdk.loading import create_plugin, read_tree
from puncta.sdk.manifest import read_manifest
from puncta.sdk.plugin import Plugin, ResetReason, Staged, StepResult
from puncta.sim.cine import simulate_cine

Box = tuple[int, int, int, int]


@pytest.fixture(scope="module")
def folder(repo_root: Path) -> Path:
    return repo_root / "plugins" / "needle-tip"


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


@pytest.fixture
def plugin(folder: Path, repo_root: Path, tmp_path: Path) -> Plugin:
    return made_plugin(folder, repo_root, tmp_path)


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


@pytest.fixture(scope="module")
def cine() -> list[NDArray[np.uint8]]:
    made = simulate_cine("breast", "B", 4712, 24, size_px=(256, 256), needle=True, start="inside")
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


SAME_PLACE_MM = 0.5
"""The same needle shown otherwise is found within this (most are within 0.02 mm; a filter may switch a frame later)."""
REGION_MM = (40.0, 44.0)


def shown_as(picture: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    how = cv2.INTER_AREA if width < picture.shape[1] else cv2.INTER_LINEAR
    return cv2.resize(picture, (width, height), interpolation=how)


def places_mm(plugin: Plugin, pictures: list[NDArray[np.uint8]], box: Box) -> list[tuple[float, float] | None]:
    """Tips from the region's upper left corner [mm], of a region that is 40 x 44 mm large however it is shown."""
    mm = (REGION_MM[0] / box[2], REGION_MM[1] / box[3])
    plugin.reset(ResetReason.OPENED)
    found = tips([plugin.step(frame_of(p, box, k, mm), {}) for k, p in enumerate(pictures)])
    return [
        None if d.tip_px is None else ((d.tip_px[0] - box[0] + 0.5) * mm[0], (d.tip_px[1] - box[1] + 0.5) * mm[1])
        for d in found
    ]


def assert_agree(a: list[tuple[float, float] | None], b: list[tuple[float, float] | None]) -> None:
    both = [math.dist(p, q) for p, q in zip(a, b) if p is not None and q is not None]
    assert len(both) >= 12, "too few tips to compare"
    # A chance near the threshold may be shown a few frames later; from then on the two say the same.
    begins = [next(k for k, p in enumerate(places) if p is not None) for places in (a, b)]
    assert abs(begins[0] - begins[1]) <= 4
    late = max(begins)
    assert sum((p is None) != (q is None) for p, q in zip(a[late:], b[late:])) <= 1
    assert float(np.median(both)) <= 0.2 and max(both) <= SAME_PLACE_MM


@pytest.mark.parametrize(("width", "height"), [(300, 330), (512, 563), (640, 420)])
def test_any_window_size_gives_the_same_place(
    plugin: Plugin, cine: list[NDArray[np.uint8]], width: int, height: int
) -> None:
    h, w = cine[0].shape
    plain = places_mm(plugin, cine, (0, 0, w, h))
    scaled = places_mm(plugin, [shown_as(p, width, height) for p in cine], (0, 0, width, height))
    assert_agree(plain, scaled)


def test_a_mirrored_picture_gives_the_mirrored_place(plugin: Plugin, cine: list[NDArray[np.uint8]]) -> None:
    h, w = cine[0].shape
    plain = places_mm(plugin, cine, (0, 0, w, h))
    mirrored = places_mm(plugin, [np.ascontiguousarray(p[:, ::-1]) for p in cine], (0, 0, w, h))
    assert_agree(plain, [None if p is None else (REGION_MM[0] - p[0], p[1]) for p in mirrored])


def test_a_picture_upside_down_is_turned_back_exactly(
    folder: Path, repo_root: Path, tmp_path: Path, plugin: Plugin, cine: list[NDArray[np.uint8]]
) -> None:
    h, w = cine[0].shape
    plain = play(plugin, cine, (0, 0, w, h))
    turned = made_plugin(folder, repo_root, tmp_path, {"upside_down": True})
    flipped = play(turned, [np.ascontiguousarray(p[::-1]) for p in cine], (0, 0, w, h))
    for a, b in zip(plain, flipped):
        (one, line), (other, axis) = a.results, b.results
        assert isinstance(one, Detection) and isinstance(other, Detection) and one.score == other.score
        assert (one.tip_px is None) == (other.tip_px is None)
        if one.tip_px and other.tip_px:
            assert other.tip_px == pytest.approx((one.tip_px[0], h - 1 - one.tip_px[1]), abs=1e-6)
        assert isinstance(line, Line) and isinstance(axis, Line)
        if line.entry_px and axis.entry_px:
            assert axis.entry_px == pytest.approx((line.entry_px[0], h - 1 - line.entry_px[1]), abs=1e-6)
            assert axis.angle_deg == pytest.approx(line.angle_deg)


def test_a_region_found_on_a_machine_s_screen_gives_the_same_place(
    plugin: Plugin, cine: list[NDArray[np.uint8]]
) -> None:
    """What stands round the picture is cut off by the region finder, so the network never sees it."""
    h, w = cine[0].shape
    plain = places_mm(plugin, cine, (0, 0, w, h))
    screens = []
    for k, picture in enumerate(cine):
        screen = np.zeros((480, 640), np.uint8)
        screen[90 : 90 + h, 160 : 160 + w] = picture
        cv2.putText(screen, "DEPTH 4.4  MI 0.9", (20, 40), cv2.FONT_HERSHEY_SIMPLEX, 0.6, 220, 1)
        cv2.putText(screen, f"10:42:{k:02d}", (500, 460), cv2.FONT_HERSHEY_SIMPLEX, 0.6, 220, 1)
        screens.append(screen)
    region = find_region(screens[:8])
    assert region.kind == "found"
    x, y, rw, rh = region.box
    assert abs(x - 160) <= 6 and abs(y - 90) <= 6 and abs(rw - w) <= 8 and abs(rh - h) <= 8
    found = tips([plugin.step(frame_of(s, region.box, k, (REGION_MM[0] / w, REGION_MM[1] / h)), {})
                  for k, s in enumerate(screens)])
    mm = (REGION_MM[0] / w, REGION_MM[1] / h)
    assert_agree(plain, [None if d.tip_px is None else ((d.tip_px[0] - 160 + 0.5) * mm[0],
                                                       (d.tip_px[1] - 90 + 0.5) * mm[1]) for d in found])


def test_a_frozen_picture_keeps_its_tip_for_two_seconds_at_most(
    plugin: Plugin, cine: list[NDArray[np.uint8]]
) -> None:
    h, w = cine[0].shape
    box = (0, 0, w, h)
    moving = play(plugin, cine, box)
    stops = max(k for k, d in enumerate(tips(moving)) if d.tip_px is not None)
    plugin.reset(ResetReason.OPENED)
    for k in range(stops + 1):
        plugin.step(frame_of(cine[k], box, k), {})
    later = [plugin.step(frame_of(cine[stops], box, stops + n), {}) for n in range(1, 60)]
    told = [Flag.OUT_OF_DISTRIBUTION in s.flags for s in later]
    assert told == [n * FRAME_NS > 2_000_000_000 for n in range(1, 60)]
    for step, detection, frozen in zip(later, tips(later), told):
        assert (detection.tip_px is None) == frozen
        assert not frozen or (detection.reason == "the picture is frozen" and Flag.LOW_CONFIDENCE in step.flags)


def test_a_screen_without_ultrasound_is_unfamiliar_and_gets_no_tip(plugin: Plugin) -> None:
    steps = []
    for k in range(6):
        screen = np.full((480, 640), 205, np.uint8)
        for line in range(14):
            cv2.putText(screen, "File  Edit  View  Help 0123", (20 + k, 34 + 32 * line), cv2.FONT_HERSHEY_SIMPLEX, 0.8,
                        30, 2)
        steps.append(plugin.step(frame_of(screen, None, k), {}))
    assert all(Flag.OUT_OF_DISTRIBUTION in s.flags for s in steps)
    assert all(d.tip_px is None and d.reason for d in tips(steps))


def test_a_region_that_is_found_a_pixel_off_does_not_begin_anew(
    plugin: Plugin, cine: list[NDArray[np.uint8]]
) -> None:
    h, w = cine[0].shape
    framed = [placed(p, 20, 20, w + 40, h + 40) for p in cine]
    plugin.reset(ResetReason.OPENED)
    steps = [plugin.step(frame_of(p, (20 + k % 2, 20, w - k % 2, h), k), {}) for k, p in enumerate(framed)]
    plain = tips(play(plugin, framed, (20, 20, w, h)))
    both = [(a.tip_px, b.tip_px) for a, b in zip(tips(steps), plain) if a.tip_px and b.tip_px]
    assert len(both) >= 12 and float(np.median([math.dist(a, b) for a, b in both])) < 2.0


def test_two_streams_do_not_share_a_memory(
    folder: Path, repo_root: Path, tmp_path: Path, plugin: Plugin, cine: list[NDArray[np.uint8]]
) -> None:
    h, w = cine[0].shape
    box = (0, 0, w, h)
    alone = play(plugin, cine[:10], box)
    other = made_plugin(folder, repo_root, tmp_path)
    plugin.reset(ResetReason.OPENED)
    together = []
    for k, picture in enumerate(cine[:10]):
        together.append(plugin.step(frame_of(picture, box, k), {}))
        other.step(frame_of(cine[-1 - k], box, k), {})
    assert together == alone
