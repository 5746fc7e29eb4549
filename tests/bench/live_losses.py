"""Measures in the real window how soon a loss is told and how soon pictures are back (resources/docs/results/live.md).

    QT_QPA_PLATFORM=offscreen PYTHONPATH=app:tests/support python tests/bench/live_losses.py [--rounds 3] [--json FILE]
    ... --healthy 30      instead leaves each peer in peace for so long [s] and counts the sentences against it

Each peer is killed and started again, held where it stands, and put behind a line that is silent, damaged and slow.
"told" ends when the dot says it, the sentence stands there and nothing found before is drawn; for a damaged or slow
line when the sentence stands there. "back" ends with the first picture that plugins have looked at again, without a
sentence against it (which goes a second after the last damage). Exit status 1 where something is not told or does
not come back.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from file_capture import Bench
from live_peers import Peer, cpp_igtl_server, free_port, pyigtl_server, rtsp_server, udp_sender, wait_for_port
from live_relay import Line, Relay
from pipeline_stage import EchoPlugin, hosted
from PySide6.QtCore import QCoreApplication
from PySide6.QtWidgets import QApplication

from puncta.core.errors import SourceError
from puncta.core.events import SourceProblem
from puncta.core.frame import Frame
from puncta.core.results import Detection, PluginOutput
from puncta.gui.app import Parts
from puncta.gui.theme import apply_theme, load_fonts, make_theme
from puncta.sdk.plugin import StepResult
from puncta.session.player import Player
from puncta.settings import Settings
from puncta.sources.camera import open_camera
from puncta.sources.factory import open_source

PATIENCE_S = 90.0
SETTLE_S = 3.5
"""A rate is measured over two seconds, and a loss counts as healed only once it is."""
THREADS = ("puncta-grab", "puncta-capture", "puncta-inference", "relay")


class Middle(EchoPlugin):
    """Finds a tip in the middle of every picture, so that an old overlay would be seen."""

    def step(self, frame: Frame, upstream: Mapping[str, PluginOutput]) -> StepResult:
        x, y = frame.geometry.width_px / 2, frame.geometry.height_px / 2
        return StepResult((Detection("needle_tip", (x - 2, y - 2, 4.0, 4.0), (x, y), 0.9, 3.0),))


class Scene:
    """The window on one live source."""

    def __init__(self, app: QApplication, uri: str, opener: Callable[[str], Any]) -> None:
        settings = Settings(first_start_done=True, enabled_plugins=["echo"])
        apply_theme(app, make_theme(settings.theme, settings.font_scale, settings.touch_size))
        self.parts = Parts(
            settings,
            lambda bridge, _preferences: Player(
                wake=bridge.wake, enabled_plugins=("echo",), plugins=(hosted(Middle()),), opener=opener
            ),
            keep=False,
        )
        self.parts.window.resize(1000, 700)
        self.parts.window.show()
        self.parts.window.open_uri(uri)

    def wait(self, condition: Callable[[], object]) -> float:
        """Serve the window until a condition holds; return how long it took [s], or infinity."""
        begun = time.monotonic()
        while time.monotonic() - begun < PATIENCE_S:
            QCoreApplication.processEvents()
            if condition():
                return time.monotonic() - begun
            time.sleep(0.002)
        return float("inf")

    def rest(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        self.wait(lambda: time.monotonic() > end)

    def well(self) -> bool:
        """Pictures come, plugins look at them, and nothing is said against the source."""
        desk = self.parts.desk
        health = desk.status.health
        fresh = desk.analysis is not None and bool(desk.analysis.outputs)
        return (
            fresh and health is not None and health.problem is SourceProblem.NONE and "source" not in self.sentences()
        )

    def lost(self) -> bool:
        """The dot and a sentence say so, and no overlay is drawn."""
        window = self.parts.window
        scene = window.stage.view.scene
        bare = scene is None or not scene.items
        return window.top.latency.word == "lost" and "source" in self.sentences() and bare

    def spoilt(self) -> bool:
        """A sentence says what is wrong; a figure that has changed would not be enough."""
        health = self.parts.desk.status.health
        return health is not None and health.problem is not SourceProblem.NONE and "source" in self.sentences()

    def sentences(self) -> dict[str, str]:
        return self.parts.window.stage.banners.texts()

    def close(self) -> None:
        self.parts.window.close()
        self.parts.stop()
        self.parts.window.deleteLater()
        QCoreApplication.processEvents()


def wait_for_peer(uri: str) -> None:
    """Wait until a source opens at all."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        source = open_source(uri)
        try:
            _ = source.info
            return
        except SourceError:
            time.sleep(0.2)
        finally:
            source.close()
    raise SystemExit(f"{uri} never sends")


Cause, Mend = Callable[[], None], Callable[[], None]


@contextlib.contextmanager
def peer_of(kind: str, folder: Path) -> Iterator[tuple[str, Callable[[str], Any], dict[str, tuple[Cause, Mend]]]]:
    """A running peer: its address, how it is opened, and what can be done to it and undone."""
    if kind == "capture":
        bench = Bench(rate=30.0, size_px=(320, 240))

        def plug(there: bool) -> None:
            bench.plugged = there

        def open_it(_uri: str) -> Any:
            return open_camera("camera:0", open_it=bench.open)

        faults = {
            "killed": (lambda: plug(False), lambda: plug(True)),
            "held": (bench.flowing.clear, bench.flowing.set),
        }
        try:
            yield "camera:0", open_it, faults
        finally:
            bench.flowing.set()
        return
    udp = kind == "udp"
    port = free_port(socket.SOCK_DGRAM if udp else socket.SOCK_STREAM)
    with Relay(port, udp=udp) as relay:
        peer, uri = peer_and_address(kind, relay, port, folder)
        peer.start()
        try:
            if not udp:
                wait_for_port(port, PATIENCE_S)
            wait_for_peer(uri)

            def set_line(line: Line) -> Cause:
                return lambda: setattr(relay, "line", line)

            good = set_line(Line.GOOD)
            faults = {
                "held": (peer.hold, peer.go_on),
                "silent line": (set_line(Line.SILENT), good),
                "damaged line": (set_line(Line.DAMAGED), good),
                "slow line": (set_line(Line.SLOW), good),
            }
            if kind != "OpenIGTLink, C++":  # its port stays taken for a minute after a kill
                faults["killed"] = (peer.kill, peer.start)
            yield uri, open_source, faults
        finally:
            peer.kill()


def peer_and_address(kind: str, relay: Relay, port: int, folder: Path) -> tuple[Peer, str]:
    if kind == "udp":
        return udp_sender(relay.port), f"udp://@:{port}"
    if kind == "rtsp":
        return rtsp_server(port), f"rtsp://127.0.0.1:{relay.port}/live"
    if kind == "OpenIGTLink, pyigtl":
        return pyigtl_server(port), f"igtl://127.0.0.1:{relay.port}?device=Probe"
    return cpp_igtl_server(port, folder, rate=20.0), f"igtl://127.0.0.1:{relay.port}"


KINDS = ("OpenIGTLink, C++", "OpenIGTLink, pyigtl", "udp", "rtsp", "capture")


def measure(app: QApplication, kind: str, rounds: int, folder: Path) -> list[dict[str, Any]]:
    """Return one row a fault of one peer."""
    rows = []
    with peer_of(kind, folder) as (uri, opener, faults):
        for fault, (cause, mend) in faults.items():
            told, back = [], []
            for _ in range(rounds):
                scene = Scene(app, uri, opener)
                try:
                    if scene.wait(scene.well) == float("inf"):
                        raise SystemExit(f"{kind} does not play")
                    scene.rest(SETTLE_S)
                    cause()
                    hard = fault in ("killed", "held", "silent line")
                    told.append(scene.wait(scene.lost if hard else scene.spoilt))
                    mend()
                    back.append(scene.wait(scene.well))
                finally:
                    scene.close()
            left = sorted({t.name for t in threading.enumerate() if t.name.startswith(THREADS[:3])})
            rows.append({"peer": kind, "fault": fault, "told_s": told, "back_s": back, "threads_left": left})
            print(row_words(rows[-1]), flush=True)
    return rows


def watch_healthy(app: QApplication, kind: str, seconds: float, folder: Path) -> dict[str, Any]:
    """Leave one peer in peace; return every sentence that was said against it, and how long any stood there."""
    with peer_of(kind, folder) as (uri, opener, _faults):
        scene = Scene(app, uri, opener)
        try:
            if scene.wait(scene.well) == float("inf"):
                raise SystemExit(f"{kind} does not play")
            scene.rest(SETTLE_S)
            said: list[str] = []
            stood_s, before, last = 0.0, "", time.monotonic()
            end = last + seconds
            while time.monotonic() < end:
                scene.rest(0.02)
                words, now = scene.sentences().get("source", ""), time.monotonic()
                stood_s += now - last if words else 0.0
                if words and not before:
                    said.append(words)
                before, last = words, now
        finally:
            scene.close()
    row = {"peer": kind, "seconds": seconds, "said": said, "stood_s": round(stood_s, 2)}
    print(f"| {kind} | {seconds:.0f} s | {len(said)} | {stood_s:.1f} s | {'; '.join(sorted(set(said)))} |", flush=True)
    return row


def row_words(row: dict[str, Any]) -> str:
    told, back = row["told_s"], row["back_s"]
    figures = [f"{value:.2f}" for times in (told, back) for value in (statistics.median(times), max(times))]
    cells = (row["peer"], row["fault"], *figures, ", ".join(row["threads_left"]) or "none")
    return "| " + " | ".join(cells) + " |"


def main() -> int:
    """Measure, print; 1 where something was not told, did not come back, or left a thread."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", default=",".join(k.replace(", ", " ") for k in KINDS), help="by commas")
    parser.add_argument("--healthy", type=float, help="leave each peer in peace for so long [s]")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    app = QApplication.instance() or QApplication(sys.argv[:1])
    app.setStyle("Fusion")  # type: ignore[attr-defined]
    app.setQuitOnLastWindowClosed(False)  # type: ignore[attr-defined]
    load_fonts()
    load_before = os.getloadavg()[0]
    wanted = set(args.peers.split(","))
    if args.healthy:
        print("| peer | left in peace for | sentences against it | standing for | which |\n|---|---|---|---|---|")
    else:
        print("| peer | fault | told, median [s] | most | back, median [s] | most | threads left |")
        print("|---|---|---|---|---|---|---|")
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as top:
        for kind in KINDS:
            if kind.replace(", ", " ") in wanted:
                try:
                    if args.healthy:
                        rows.append(watch_healthy(app, kind, args.healthy, Path(top)))  # type: ignore[arg-type]
                    else:
                        rows += measure(app, kind, args.rounds, Path(top))  # type: ignore[arg-type]
                except BaseException as error:
                    if type(error).__name__ != "Skipped":
                        raise
                    print(f"| {kind} | not here: {error} |")
    if args.json:
        document = {"load_before": load_before, "cores": os.cpu_count(), "rows": rows}
        args.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    if args.healthy:
        return 0
    bad = [r for r in rows if r["threads_left"] or float("inf") in r["told_s"] + r["back_s"]]
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
