"""Live sources against real peers on loopback: each is killed, started again, slowed and damaged."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from live_peers import (
    Peer,
    cpp_igtl_server,
    cpp_tracking_server,
    free_port,
    need_program,
    pyigtl_server,
    rtsp_server,
    running,
    udp_sender,
    wait_for,
    wait_for_port,
)

from puncta.core.errors import SourceError
from puncta.core.events import LinkState, SourceProblem
from puncta.core.frame import Frame
from puncta.core.ports import SystemClock
from puncta.formats.validate import validate
from puncta.recording.recorder import RecordingStatus
from puncta.session.record import RecordRequest, record_case
from puncta.sources.factory import open_source
from puncta.sources.igtl import IgtlDevice
from puncta.sources.igtl_messages import HEADER, crc64, read_header
from puncta.sources.live import LiveSource
from puncta.sources.live_address import parse_igtl

SLOW_MACHINE_S = 60.0


@contextlib.contextmanager
def opened(uri: str) -> Iterator[LiveSource]:
    """Open a source as soon as its peer sends; no thread may be left afterwards."""
    end = time.monotonic() + SLOW_MACHINE_S
    while True:
        source = open_source(uri)
        assert isinstance(source, LiveSource)
        try:
            _ = source.info
            break
        except SourceError:
            source.close()
            if time.monotonic() > end:
                raise
            time.sleep(0.2)
    try:
        yield source
    finally:
        source.close()
        wait_for(lambda: not [t for t in threading.enumerate() if t.name == "puncta-grab"])


def next_frame(source: LiveSource) -> Frame:
    def look() -> Frame | None:
        try:
            return source.read()
        except TimeoutError:
            return None

    frame = wait_for(look, SLOW_MACHINE_S)
    assert isinstance(frame, Frame)
    return frame


def lose_and_find(source: LiveSource, peer: Peer, again: Callable[[], None] | None = None) -> None:
    """Kill the peer: the loss shows within its patience. Start it again: pictures come without help."""
    next_frame(source)
    before = source.connection
    peer.kill()
    wait_for(lambda: not source.flowing())
    health = source.health()
    assert health.problem is SourceProblem.LOST and health.message.endswith(".")
    assert health.link in {LinkState.SILENT, LinkState.RECONNECTING}
    wait_for(lambda: source.health().attempts > 0)
    (again or peer.start)()
    wait_for(source.flowing, SLOW_MACHINE_S)
    wait_for(lambda: next_frame(source) and source.connection > before, SLOW_MACHINE_S)
    assert source.health().connections >= 2


def test_udp_from_ffmpeg_is_lost_and_found() -> None:
    port = free_port(socket.SOCK_DGRAM)
    with running(udp_sender(port)) as peer, opened(f"udp://@:{port}") as source:
        frame = next_frame(source)
        assert frame.pixels.shape == (240, 320, 3) and len(frame.planes) == 3
        assert source.info.frame_rate == pytest.approx(25.0)
        lose_and_find(source, peer)


def test_udp_that_loses_datagrams_shows_no_smeared_picture(tmp_path: Path) -> None:
    """The stream goes through a relay that damages every tenth datagram for a while."""
    ffmpeg = need_program("ffmpeg", "ffmpeg")
    file = tmp_path / "clip.ts"
    command = [ffmpeg, "-nostdin", "-loglevel", "error", "-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25"]
    command += ["-t", "8", "-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "5"]
    command += ["-threads", "1", "-pix_fmt", "yuv420p", "-f", "mpegts", str(file)]
    subprocess.run(command, check=True, timeout=120)
    whole = file.read_bytes()
    port, ended = free_port(socket.SOCK_DGRAM), threading.Event()

    def relay() -> None:
        pieces = [whole[i : i + 1316] for i in range(0, len(whole), 1316)]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
            while not ended.is_set():
                for number, piece in enumerate(pieces):
                    if ended.wait(8.0 / len(pieces)):
                        return
                    if number % 10 == 7:
                        continue
                    link.sendto(piece, ("127.0.0.1", port))

    sender = threading.Thread(target=relay)
    sender.start()
    try:
        with opened(f"udp://@:{port}") as source:
            # Damage is declared with its cause; what comes is whole pictures.
            wait_for(lambda: next_frame(source) and source.health().drops, SLOW_MACHINE_S)
            causes = dict(source.health().drops)
            assert set(causes) & {"damaged on the way", "missing in the stream"}
    finally:
        ended.set()
        sender.join()


def test_rtsp_from_gstreamer_is_lost_and_found() -> None:
    port = free_port()
    with running(rtsp_server(port)) as peer:
        wait_for_port(port, SLOW_MACHINE_S)
        with opened(f"rtsp://127.0.0.1:{port}/live") as source:
            assert next_frame(source).pixels.shape[:2] == (240, 320)
            lose_and_find(source, peer)
        with (
            pytest.raises(SourceError, match="has no such stream"),
            contextlib.closing(open_source(f"rtsp://127.0.0.1:{port}/absent")) as absent,
        ):
            _ = absent.info


def test_an_rtsp_server_that_says_nothing_is_told_and_can_be_left() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        source = open_source(f"rtsp://127.0.0.1:{mute.getsockname()[1]}/live")
        with pytest.raises(SourceError, match=r"\.$"):
            _ = source.info
        source.close()
    wait_for(lambda: not [t for t in threading.enumerate() if t.name == "puncta-grab"])


def test_pyigtl_gives_pictures_with_their_spacing_and_is_found_again_with_another() -> None:
    port = free_port()
    peer = pyigtl_server(port)
    with running(peer):
        wait_for_port(port, SLOW_MACHINE_S)
        with opened(f"igtl://127.0.0.1:{port}?device=Probe") as source:
            calibration = next_frame(source).geometry.calibration
            assert calibration is not None and calibration.mm_per_px == pytest.approx((0.2, 0.25))
            transforms = wait_for(lambda: next_frame(source) and source.take_transforms(), SLOW_MACHINE_S)
            assert isinstance(transforms, list)
            poses = {name: matrix for name, matrix, _t_ns in transforms}
            assert poses["ProbeToTracker"][3::4][:2] == (10.0, 20.0)
            assert dict(source.health().transforms)["ProbeToTracker"] > 0
            deeper = pyigtl_server(port, spacing_mm=0.4)
            try:
                lose_and_find(source, peer, deeper.start)
                calibration = next_frame(source).geometry.calibration
                assert calibration is not None and calibration.mm_per_px == pytest.approx((0.4, 0.4))
            finally:
                deeper.kill()


def test_the_cpp_image_server_is_read_and_found_again(tmp_path: Path) -> None:
    port = free_port()
    with running(cpp_igtl_server(port, tmp_path)) as peer, opened(f"igtl://127.0.0.1:{port}") as source:
        frame = next_frame(source)
        images = Path("/usr/share/doc/openigtlink-examples/examples/Imager/img").glob("*.raw")
        known = [np.frombuffer(f.read_bytes(), np.uint8, 65536).reshape(256, 256) for f in sorted(images)]
        assert any(np.array_equal(frame.pixels, picture) for picture in known), "pixels arrive as they were sent"
        assert frame.geometry.calibration is None, "this server writes 1 mm, which nobody measured"
        peer.hold()
        wait_for(lambda: not source.flowing())
        assert source.health().message
        peer.go_on()
        wait_for(source.flowing, SLOW_MACHINE_S)
        # It hangs up by itself after a hundred pictures; a server that is killed here keeps its port for a minute.
        wait_for(lambda: next_frame(source) and source.connection > 1, SLOW_MACHINE_S)


class Hand:
    """An OpenIGTLink server whose every byte the test chooses."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.settimeout(SLOW_MACHINE_S)
        self.port = self._server.getsockname()[1]
        self.link: socket.socket | None = None
        self.number = 0

    def accept(self) -> None:
        self.hang_up()
        self.link = self._server.accept()[0]

    def send(self, *, spoil: bool = False, width: int = 8) -> None:
        assert self.link is not None
        self.number += 1
        numbers = [0.1, 0, 0, 0, 0.1, 0, 0, 0, 1, 0, 0, 0]
        body = struct.pack(">HBBBB3H12f3H3H", 1, 1, 3, 2, 1, width, 6, 1, *numbers, 0, 0, 0, width, 6, 1)
        body += bytes([self.number % 256]) * (width * 6)
        head = HEADER.pack(1, b"IMAGE", b"Probe", self.number << 32, len(body), crc64(body) ^ (1 if spoil else 0))
        for part in (head[:30], head[30:], body[:40], body[40:]):  # networks cut where they like
            self.link.sendall(part)

    def send_transform(self, x_mm: float, *, spoil: bool = False) -> None:
        assert self.link is not None
        body = struct.pack(">12f", 1, 0, 0, 0, 1, 0, 0, 0, 1, x_mm, 0, 0)
        crc = crc64(body) ^ (1 if spoil else 0)
        self.link.sendall(HEADER.pack(1, b"TRANSFORM", b"ProbeToTracker", 0, len(body), crc) + body)

    def hang_up(self) -> None:
        if self.link is not None:
            self.link.close()
            self.link = None

    def close(self) -> None:
        self.hang_up()
        self._server.close()


def test_damaged_and_foreign_bytes_of_openigtlink_never_become_a_picture() -> None:
    hand = Hand()
    try:
        source = open_source(f"igtl://127.0.0.1:{hand.port}")
        assert isinstance(source, LiveSource)
        hand.accept()
        hand.send()
        assert source.info.geometry.width_px == 8
        assert next_frame(source).pixels[0, 0] == 1
        hand.send(spoil=True)
        hand.send()
        frame = next_frame(source)
        assert frame.pixels[0, 0] == 3 and frame.skipped == 1
        assert dict(source.health().drops) == {"damaged on the way": 1}
        hand.send(width=16)
        assert next_frame(source).geometry.width_px == 16
        assert hand.link is not None
        hand.link.sendall(b"GET / HTTP/1.1\r\n" * 8)
        wait_for(lambda: source.health().link is LinkState.RECONNECTING)
        assert "not OpenIGTLink" in source.health().message
        hand.accept()
        hand.send()
        before = source.connection
        assert next_frame(source).pixels[0, 0] == 5 and source.connection == before + 1
    finally:
        source.close()
        hand.close()


def test_a_cpp_server_that_waits_for_the_question_is_asked_for_its_poses(tmp_path: Path) -> None:
    port = free_port()
    with running(cpp_tracking_server(port, tmp_path)):
        wait_for_port(port, SLOW_MACHINE_S)
        # The look at the port was a client, too; the server takes the next one when it has let that one go.
        device = IgtlDevice(parse_igtl(f"igtl://127.0.0.1:{port}"), SystemClock())
        device.open(threading.Event())
        try:
            wait_for(lambda: device.grab() is None and len(device._transforms) >= 6, SLOW_MACHINE_S)
        finally:
            device.close()
    assert {name for name, _matrix, _t in device._transforms} == {"Channel 0", "Channel 1", "Channel 2"}
    assert device.damage == 0


def test_a_server_that_waits_for_the_question_is_asked_once_and_one_that_sends_by_itself_never() -> None:
    hand = Hand()
    source = open_source(f"igtl://127.0.0.1:{hand.port}?device=Probe")
    try:
        hand.accept()
        assert hand.link is not None
        hand.link.settimeout(SLOW_MACHINE_S)
        asked = b""
        while len(asked) < 2 * HEADER.size + 36:
            asked += hand.link.recv(4096)
        poses, rest = read_header(asked[: HEADER.size]), asked[HEADER.size :]
        body, rest = rest[: poses.body_size], rest[poses.body_size :]
        assert (poses.kind, poses.crc, struct.unpack(">i32s", body)[0]) == ("STT_TDATA", crc64(body), 20)
        pictures = read_header(rest)
        assert (pictures.kind, pictures.device, pictures.body_size) == ("STT_IMAGE", "Probe", 0)
        hand.send()
        assert next_frame(source).pixels[0, 0] == 1
        # The next connection sends by itself within the second: nothing is asked of it.
        hand.accept()
        hand.link.settimeout(3.0)
        for x_mm in range(3):
            hand.send_transform(float(x_mm))
            hand.send()
        with contextlib.suppress(TimeoutError):
            assert hand.link.recv(4096) == b""
    finally:
        source.close()
        hand.close()


def test_transforms_stand_in_the_session_with_their_moment(tmp_path: Path) -> None:
    """A tracker's poses between the pictures, one of them damaged on the way."""
    hand, folder = Hand(), tmp_path / "s"
    request = RecordRequest(f"igtl://127.0.0.1:{hand.port}", folder, plugins=(), whole=True)
    stop = threading.Event()
    seen: list[RecordingStatus] = []
    recording = threading.Thread(target=record_case, args=(request,), kwargs={"stop": stop, "progress": seen.append})
    recording.start()
    try:
        hand.accept()
        for x_mm in (1.0, 2.0, 3.0):
            hand.send_transform(x_mm)
            hand.send_transform(-1.0, spoil=True)
            hand.send()

        def stored() -> bool:
            hand.send()
            return bool(seen) and seen[-1].stored >= 3

        wait_for(stored, SLOW_MACHINE_S)
    finally:
        stop.set()
        recording.join()
        hand.close()
    assert validate(folder).problems == ()
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    poses = [(e["matrix"][3], e["t_ns"]) for e in events if e.get("name") == "ProbeToTracker"]
    assert [x_mm for x_mm, _t in poses] == [1.0, 2.0, 3.0]
    assert [t for _x, t in poses] == sorted(t for _x, t in poses)
    lies = [e["matrix"] for e in events if e.get("name") == "Probe (picture)"]
    assert len(lies) == 1 and lies[0][0] == pytest.approx(0.1), "where the picture lies is told once, as it stays"


def test_nobody_there_is_one_sentence() -> None:
    for uri in (f"igtl://127.0.0.1:{free_port()}", f"rtsp://127.0.0.1:{free_port()}/live"):
        source = open_source(uri)
        with pytest.raises(SourceError, match=r"^Nothing answers at 127.0.0.1:\d+; .*\.$"):
            _ = source.info
        source.close()


SCREEN_SCRIPT = """
import sys
from puncta.formats.validate import validate
from puncta.recording.recorder import RecordingStatus
from puncta.session.record import RecordRequest, record_case
from puncta.sources.factory import open_source
source = open_source("screen:10,20,64,48")
frame = source.read()
print(frame.pixels.shape, source.info.title)
source.close()
far = open_source("screen:5000,0,64,48")
try:
    far.info
except Exception as error:
    print(type(error).__name__, error)
far.close()
"""


def test_a_screen_region_on_a_real_x_server(repo_root: Path) -> None:
    pytest.importorskip("mss", reason="mss is absent (pip: mss)")
    xvfb = need_program("xvfb-run", "xvfb")
    environ = os.environ | {"PYTHONPATH": str(repo_root / "app")}
    done = subprocess.run(
        [xvfb, "-a", "-s", "-screen 0 640x480x24 -noreset", sys.executable, "-c", SCREEN_SCRIPT],
        env=environ, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first == "(48, 64, 3) Screen region 64 x 48 at 10,20"
    assert second.startswith("SourceError The region lies outside the screen, which is 640 x 480")
