"""A live source: what it says when it opens, is lost, changes and comes back; and that nothing of it stays."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from file_capture import Bench
from live_peers import wait_for

from puncta.core.errors import SourceError, UserError
from puncta.core.events import LinkState, SourceProblem
from puncta.core.frame import Frame, SourceKind, UltrasoundRegion
from puncta.sources.camera import open_camera
from puncta.sources.live import QUEUE_FRAMES, LiveSource


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def camera(bench: Bench) -> Iterator[LiveSource]:
    source = open_camera("camera:0", open_it=bench.open)
    yield source
    bench.flowing.set()
    source.close()


def next_frame(source: LiveSource) -> Frame:
    """The next frame, however long it takes."""

    def look() -> Frame | None:
        try:
            return source.read()
        except TimeoutError:
            return None

    frame = wait_for(look)
    assert isinstance(frame, Frame)
    return frame


def test_frames_carry_their_arrival_and_run_on(camera: LiveSource) -> None:
    assert camera.info.kind is SourceKind.LIVE and not camera.info.seekable
    assert (camera.info.geometry.width_px, camera.info.geometry.height_px) == (64, 48)
    frames = [next_frame(camera) for _ in range(5)]
    assert [f.key.index for f in frames] == sorted({f.key.index for f in frames})
    assert all(a.key.pts_ns < b.key.pts_ns and a.t_ns < b.t_ns for a, b in zip(frames, frames[1:], strict=False))
    assert all(f.key.stream == "Camera 0" and not f.pixels.flags.writeable for f in frames)
    with pytest.raises(UserError, match="cannot be sought"):
        camera.seek(0)


def test_what_is_asked_for_is_set_and_what_is_given_is_said(bench: Bench) -> None:
    source = open_camera("camera:1?size=1280x720&fps=30&format=mjpg", open_it=bench.open)
    try:
        facts = dict(source.info.details)
        assert bench.asked[cv2.CAP_PROP_FRAME_WIDTH] == 1280 and bench.asked[cv2.CAP_PROP_FPS] == 30
        assert bench.asked[cv2.CAP_PROP_FOURCC] == cv2.VideoWriter.fourcc(*"MJPG")
        assert facts["Asked for"] == "1280 x 720 at 30 a second" and facts["Gives"] == "64 x 48 at 100 a second"
    finally:
        source.close()


def test_a_camera_that_is_not_there_says_so(bench: Bench) -> None:
    bench.plugged = False
    source = open_camera("camera:0", open_it=bench.open)
    with pytest.raises(SourceError, match=r"Camera 0 does not open; plug it in.*\."):
        _ = source.info
    source.close()


def test_a_stall_is_lost_at_once_and_comes_back_without_help(bench: Bench, camera: LiveSource) -> None:
    next_frame(camera)
    wait_for(camera.flowing)
    bench.flowing.clear()
    last_ns = time.monotonic_ns()
    wait_for(lambda: not camera.flowing())
    health = camera.health()
    assert health.link in {LinkState.SILENT, LinkState.RECONNECTING} and health.problem is SourceProblem.LOST
    assert health.message.endswith(".") and "Camera 0" in health.message
    assert health.silent_ms is not None and health.silent_ms <= (time.monotonic_ns() - last_ns) / 1e6 + 100
    bench.flowing.set()
    wait_for(camera.flowing)
    assert next_frame(camera).pixels.shape == (48, 64, 3)
    assert camera.health().message == ""


def test_a_device_that_dies_is_opened_again_and_its_frames_are_another_connection(
    bench: Bench, camera: LiveSource
) -> None:
    next_frame(camera)
    first, opened = camera.connection, bench.opened
    bench.plugged = False
    wait_for(lambda: camera.health().link is LinkState.RECONNECTING and camera.health().attempts >= 2)
    assert "Camera 0" in camera.health().message
    bench.plugged = True
    wait_for(camera.flowing)
    wait_for(lambda: next_frame(camera) and camera.connection > first)
    assert bench.opened > opened + 1 and camera.health().connections == 2
    assert bench.released >= bench.opened - 1, "each opening before the present one is closed"


def test_a_damaged_picture_is_counted_with_its_cause(bench: Bench, camera: LiveSource) -> None:
    next_frame(camera)
    bench.damaged = 2
    wait_for(lambda: next_frame(camera) and dict(camera.health().drops).get("damaged on the way", 0))
    assert camera.health().connections == 1, "two damaged pictures end no connection"


def test_a_region_given_before_the_first_picture_is_read_holds_until_the_size_changes(
    bench: Bench, camera: LiveSource
) -> None:
    assert camera.info.geometry.width_px == 64
    camera.set_region(UltrasoundRegion((4, 6, 40, 30), "user"))
    assert [region.origin for region in next_frame(camera).geometry.regions] == ["user"]
    bench.size_px = (80, 60)
    wait_for(lambda: next_frame(camera).pixels.shape == (60, 80, 3))
    assert not next_frame(camera).geometry.regions, "a region of another picture size holds no more"


def test_a_change_of_size_goes_through(bench: Bench, camera: LiveSource) -> None:
    next_frame(camera)
    bench.size_px = (80, 60)
    wait_for(lambda: next_frame(camera).pixels.shape == (60, 80, 3))
    assert camera.health().connections == 1, "a change of size ends no connection"


def test_a_reader_that_is_away_loses_the_oldest_and_it_is_counted(camera: LiveSource) -> None:
    next_frame(camera)
    wait_for(lambda: dict(camera.health().drops).get("program busy", 0) > 3)
    frames = [next_frame(camera) for _ in range(QUEUE_FRAMES)]
    assert frames[0].skipped > 0
    assert frames[-1].key.index - frames[0].key.index >= QUEUE_FRAMES - 1


def test_closing_lets_a_waiting_reader_go_and_leaves_no_thread(bench: Bench) -> None:
    bench.flowing.clear()
    source = open_camera("camera:0", open_it=bench.open)
    refused: list[str] = []

    def wait_for_info() -> None:
        try:
            _ = source.info
        except SourceError as error:
            refused.append(str(error))

    waiter = threading.Thread(target=wait_for_info)
    waiter.start()
    source.interrupt()
    waiter.join(5)
    assert not waiter.is_alive() and refused
    bench.flowing.set()
    source.close()
    assert source.read() is None if source._info else True
    wait_for(lambda: not any(t.name == "puncta-grab" and t.is_alive() for t in threading.enumerate()))


def test_a_fault_of_ours_ends_in_a_sentence_not_in_a_dead_thread(bench: Bench, camera: LiveSource) -> None:
    next_frame(camera)
    opened, bench.open = bench.open, lambda _number: None  # type: ignore[method-assign, assignment]
    assert opened is not None
    broken = open_camera("camera:0", open_it=bench.open)
    with pytest.raises(SourceError, match="stopped working; the log has the details"):
        _ = broken.info
    broken.close()


def test_pixels_are_rgb(bench: Bench, camera: LiveSource) -> None:
    frame = next_frame(camera)
    assert frame.pixels.dtype == np.uint8 and frame.pixels.shape[2] == 3
