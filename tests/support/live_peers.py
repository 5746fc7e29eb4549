"""Real peers for live sources, each a process of its own on loopback; a test is skipped where one is absent."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

SYSTEM_PYTHON = "/usr/bin/python3"
"""GStreamer's bindings come with the system's Python, not with ours."""
EXAMPLES = Path("/usr/share/doc/openigtlink-examples/examples/Imager")


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    """A port of loopback that nobody uses now."""
    with socket.socket(socket.AF_INET, kind) as link:
        link.bind(("127.0.0.1", 0))
        return int(link.getsockname()[1])


def wait_for(condition: Callable[[], object], timeout_s: float = 20.0) -> object:
    """Wait until a condition holds; machines under load are slow, so the time-out is generous."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.005)
    raise AssertionError("the awaited state did not come")


def wait_for_port(port: int, timeout_s: float = 20.0) -> None:
    """Wait until somebody listens."""

    def answers() -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.5):
            return True
        return False

    wait_for(answers, timeout_s)


class Peer:
    """A process that can be killed, stopped and let go on."""

    def __init__(self, command: list[str]) -> None:
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it (again)."""
        self.kill()
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def hold(self) -> None:
        """Stop it where it stands, as a machine that hangs."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it the hard way."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None


@contextlib.contextmanager
def running(peer: Peer) -> Iterator[Peer]:
    """Start a peer and end it."""
    peer.start()
    try:
        yield peer
    finally:
        peer.kill()


def need_program(name: str, package: str) -> str:
    """Path of a program; the test is skipped where it is absent."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is absent (Debian: {package})")
    return found


def udp_sender(port: int, *, rate: int = 25, size: str = "320x240", key_every: int = 5) -> Peer:
    """ffmpeg sends H.264 in MPEG-TS to a port."""
    ffmpeg = need_program("ffmpeg", "ffmpeg")
    command = [ffmpeg, "-nostdin", "-loglevel", "error", "-re"]
    command += ["-f", "lavfi", "-i", f"testsrc2=size={size}:rate={rate}"]
    command += ["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", str(key_every)]
    return Peer(
        [*command, "-threads", "1", "-pix_fmt", "yuv420p", "-f", "mpegts", f"udp://127.0.0.1:{port}?pkt_size=1316"]
    )


RTSP_SERVER = """
import sys, gi
gi.require_version("Gst", "1.0"); gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer
Gst.init(None)
server = GstRtspServer.RTSPServer(); server.set_address("127.0.0.1"); server.set_service(sys.argv[1])
factory = GstRtspServer.RTSPMediaFactory(); factory.set_shared(True)
factory.set_launch("( videotestsrc is-live=true pattern=ball "
                   "! video/x-raw,format=I420,width=320,height=240,framerate=25/1 "
                   "! jpegenc ! rtpjpegpay name=pay0 pt=26 )")
server.get_mount_points().add_factory("/live", factory)
if not server.attach(None):
    sys.exit(3)
GLib.MainLoop().run()
"""


def rtsp_server(port: int) -> Peer:
    """GStreamer's RTSP server with the stream /live."""
    look = "import sys, gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer, Gst; "
    look += "Gst.init(None); sys.exit(not all(map(Gst.ElementFactory.find, ('videotestsrc', 'jpegenc', 'rtpjpegpay'))))"
    there = Path(SYSTEM_PYTHON).exists()
    if not there or subprocess.run([SYSTEM_PYTHON, "-c", look], capture_output=True, check=False).returncode:
        needed = "gir1.2-gst-rtsp-server-1.0 python3-gi gstreamer1.0-plugins-base gstreamer1.0-plugins-good"
        pytest.skip(f"GStreamer's RTSP server is absent (Debian: {needed})")
    return Peer([SYSTEM_PYTHON, "-c", RTSP_SERVER, str(port)])


PYIGTL_SERVER = """
import sys, time
import numpy as np
import pyigtl
server = pyigtl.OpenIGTLinkServer(port=int(sys.argv[1]), local_server=True)
rate, number = float(sys.argv[2]), 0
while True:
    if server.is_connected():
        pixels = np.full((1, 48, 64), number % 200 + 20, np.uint8)
        spacing = [0.2, 0.25, 1.0] if len(sys.argv) < 4 else [float(sys.argv[3])] * 2 + [1.0]
        matrix = np.diag([*spacing, 1.0])
        server.send_message(pyigtl.StringMessage("hello", device_name="Words"))
        pose = np.eye(4)
        pose[:3, 3] = 10.0, 20.0, number
        server.send_message(pyigtl.TransformMessage(pose, device_name="ProbeToTracker"), wait=True)
        server.send_message(pyigtl.ImageMessage(pixels, ijk_to_world_matrix=matrix, device_name="Probe"), wait=True)
        number += 1
    time.sleep(1 / rate)
"""


def pyigtl_server(port: int, rate: float = 25.0, spacing_mm: float | None = None) -> Peer:
    """pyigtl's server with the pictures Probe and the strings Words."""
    # Not in the lock: it needs crcmod, which comes as source text only, and the lock installs wheels only.
    pytest.importorskip("pyigtl", reason="pyigtl is absent (pip install pyigtl)")
    more = [str(spacing_mm)] if spacing_mm is not None else []
    return Peer([sys.executable, "-c", PYIGTL_SERVER, str(port), str(rate), *more])


def cpp_tracking_server(port: int, folder: Path) -> Peer:
    """The C++ tracking server of OpenIGTLink's examples; it sends poses to whoever asks for them."""
    return Peer([str(_compiled("TrackingDataServer", EXAMPLES.parent / "TrackingData", folder)), str(port)])


def cpp_igtl_server(port: int, folder: Path, rate: float = 50.0) -> Peer:
    """The C++ image server of OpenIGTLink's examples; it comes as source text and is compiled here."""
    program = _compiled("ImagerServer", EXAMPLES, folder)
    return Peer([str(program), str(port), str(rate), str(EXAMPLES / "img")])


def _compiled(name: str, examples: Path, folder: Path) -> Path:
    compiler = need_program("g++", "g++")
    source = examples / f"{name}.cxx"
    headers = sorted(Path("/usr/include").glob("igtl*")) + sorted(Path("/usr/include").glob("openigtlink*"))
    headers = [h for h in headers if h.is_dir()]
    if not source.is_file() or not headers:
        pytest.skip("the C++ server is absent (Debian: openigtlink-examples libopenigtlink-dev)")
    program = folder / name
    command = [compiler, "-O1", "-w", *(f"-I{h}" for h in headers), str(source), "-o", str(program)]
    done = subprocess.run([*command, "-lOpenIGTLink", "-lpthread"], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"the C++ server does not compile here: {done.stderr[-300:]}")
    return program
