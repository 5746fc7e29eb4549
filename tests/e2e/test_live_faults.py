"""Live peers behind a line that is damaged, slow or silent for a while; by the order of events, never by the clock."""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from live_peers import Peer, cpp_igtl_server, free_port, pyigtl_server, rtsp_server, udp_sender, wait_for, wait_for_port
from live_relay import Line, Relay

from puncta.core.errors import SourceError
from puncta.core.events import SourceProblem
from puncta.core.frame import Frame
from puncta.sources.camera_listing import list_cameras
from puncta.sources.factory import open_source
from puncta.sources.live import LiveSource

SLOW_MACHINE_S = 90.0


@contextlib.contextmanager
def behind_relay(kind: str, folder: Path) -> Iterator[tuple[Relay, LiveSource]]:
    """A peer, a relay before it, and a source that has shown its first picture; no thread of them may be left."""
    port = free_port(socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)
    relay = Relay(port, udp=kind == "udp")
    peer, uri = _peer(kind, relay, port, folder)
    with relay:
        peer.start()
        try:
            if kind != "udp":
                wait_for_port(port, SLOW_MACHINE_S)
            source = _opened(uri)
            try:
                yield relay, source
            finally:
                source.close()
                wait_for(lambda: not [t for t in threading.enumerate() if t.name == "puncta-grab"], SLOW_MACHINE_S)
        finally:
            peer.kill()
    assert not [t for t in threading.enumerate() if t.name == "relay"]


def _peer(kind: str, relay: Relay, port: int, folder: Path) -> tuple[Peer, str]:
    if kind == "udp":
        return udp_sender(relay.port), f"udp://@:{port}"
    if kind == "rtsp":
        return rtsp_server(port), f"rtsp://127.0.0.1:{relay.port}/live"
    if kind == "pyigtl":
        return pyigtl_server(port), f"igtl://127.0.0.1:{relay.port}?device=Probe"
    return cpp_igtl_server(port, folder, rate=20.0), f"igtl://127.0.0.1:{relay.port}"


def _opened(uri: str) -> LiveSource:
    """Open as soon as the peer sends."""

    def attempt() -> LiveSource | None:
        source = open_source(uri)
        assert isinstance(source, LiveSource)
        try:
            _ = source.info
        except SourceError:
            source.close()
            return None
        return source

    source = wait_for(attempt, SLOW_MACHINE_S)
    assert isinstance(source, LiveSource)
    return source


def next_frame(source: LiveSource) -> Frame:
    def look() -> Frame | None:
        try:
            return source.read()
        except TimeoutError:
            return None

    frame = wait_for(look, SLOW_MACHINE_S)
    assert isinstance(frame, Frame)
    return frame


PEERS = ["udp", "rtsp", "pyigtl", "cpp"]


@pytest.mark.parametrize("kind", PEERS)
def test_a_damaged_line_is_told_and_heals_without_help(kind: str, tmp_path: Path) -> None:
    with behind_relay(kind, tmp_path) as (relay, source):
        first = next_frame(source)
        relay.line = Line.DAMAGED

        def told() -> bool:
            with contextlib.suppress(TimeoutError):
                source.read()
            health = source.health()
            return bool(health.drops) or health.problem is SourceProblem.LOST or health.connections > 1

        wait_for(told, SLOW_MACHINE_S)
        assert relay.spoilt > 0
        relay.line = Line.GOOD
        _goes_on(source)
        # What the damage smeared may stay coloured up to the next whole picture.
        assert next_frame(source).pixels.shape[:2] == first.pixels.shape[:2]


@pytest.mark.parametrize("kind", PEERS)
def test_a_silent_line_is_told_and_heals_without_help(kind: str, tmp_path: Path) -> None:
    with behind_relay(kind, tmp_path) as (relay, source):
        next_frame(source)
        relay.line = Line.SILENT
        wait_for(lambda: not source.flowing(), SLOW_MACHINE_S)
        health = source.health()
        assert health.problem is SourceProblem.LOST and health.message.endswith(".")
        relay.line = Line.GOOD
        _goes_on(source)


@pytest.mark.parametrize("kind", PEERS)
def test_a_slow_line_gives_fewer_pictures_and_the_rate_says_so(kind: str, tmp_path: Path) -> None:
    with behind_relay(kind, tmp_path) as (relay, source):
        wait_for(lambda: next_frame(source) and source.health().rate is not None, SLOW_MACHINE_S)
        usual = source.health().rate
        assert usual is not None
        relay.line = Line.SLOW

        def told() -> bool:
            with contextlib.suppress(TimeoutError):
                source.read()
            health = source.health()
            return not health.flowing or health.rate is None or health.rate < 0.6 * usual

        wait_for(told, SLOW_MACHINE_S)
        relay.line = Line.GOOD
        _goes_on(source)


def _goes_on(source: LiveSource) -> None:
    """Pictures come again, and nothing is said against them."""
    _until(source, source.flowing)
    _until(source, lambda: source.health().problem is SourceProblem.NONE)


def _until(source: LiveSource, condition: Callable[[], bool]) -> None:
    def step() -> bool:
        with contextlib.suppress(TimeoutError):
            source.read()
        return condition()

    wait_for(step, SLOW_MACHINE_S)


def test_a_real_capture_device_gives_pictures() -> None:
    cameras = [camera for camera in list_cameras() if camera.modes] if sys.platform.startswith("linux") else []
    if not cameras:
        pytest.skip("this machine has no capture device (V4L2: /dev/video0; vivid and v4l2loopback make one)")
    source = open_source(cameras[0].addresses()[0][1])
    assert isinstance(source, LiveSource)
    try:
        frames = [next_frame(source) for _ in range(5)]
        assert [f.key.index for f in frames] == sorted(f.key.index for f in frames)
    finally:
        source.close()
