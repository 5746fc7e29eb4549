"""Time every kind of gesture on a case with 20,000 labels, as the store ships (SQLite, every commit on the disk).

    PYTHONPATH=app:tests/support python tests/bench/annotation_gestures.py [--postgres]
    QT_QPA_PLATFORM=offscreen PYTHONPATH=app:tests/support:tests/gui python tests/bench/annotation_gestures.py \
        --window [--kinds frame,50,300] | --playback

The store alone, or the window with all it shows: what a gesture keeps the window busy with, while the store's own
thread writes it. Wall time is what a user waits for; the processor's time beside it tells how busy the machine was
with other things. `--playback` plays a clip in Annotate, without labels and with them, in turn.

In the window, 50 times of all kinds take some minutes: after each gesture it waits until what follows from it is done,
such as the frames between key frames.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pg_server
from label_maker import key, make_case, proposal

from puncta.annotation.commands import (
    Board,
    Command,
    accept,
    accept_range,
    draw,
    not_visible,
    propose,
    reject,
    set_flag,
    set_note,
)
from puncta.annotation.labels import TipLabel, mask_label, mask_of_stroke
from puncta.annotation.store import AnnotationStore

if TYPE_CHECKING:
    from conftest import Stage


def fill(store: AnnotationStore, labels: int) -> Board:
    """A case of so many labels: tips and flags of three raters on 5,000 frames."""
    case = store.add_case(make_case(frame_count=5000, width_px=640, height_px=480))
    boards = [Board(case.id, name) for name in ("anna", "bert", "cleo", "dora")]
    for board in boards:
        for first in range(0, labels // 4, 500):
            batch = [
                proposal("needle_tip", i, TipLabel((i % 640, 100.0)), board.rater)
                for i in range(first, min(first + 500, labels // 4))
            ]
            command = propose(board, batch)
            assert command is not None
            board.apply(command)
            store.apply(command)
    return boards[0]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labels", type=int, default=20_000)
    parser.add_argument("--times", type=int, default=50)
    parser.add_argument("--postgres", action="store_true", help="on a PostgreSQL server that is started here")
    parser.add_argument("--window", action="store_true", help="in the real window")
    parser.add_argument("--kinds", default="frame,50,300", help="with --window: on single frames, on ranges of so many")
    parser.add_argument("--playback", action="store_true", help="play in the real window, with labels and without")
    parser.add_argument("--seconds", type=float, default=20.0, help="with --playback: how long each run plays")
    parser.add_argument("--runs", type=int, default=2, help="with --playback: so many without labels and with them")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    if args.playback:
        play(args)
        return 0
    if args.window:
        tell(args, in_window(args.labels, args.times, args.kinds.split(",")))
        return 0
    with contextlib.ExitStack() as stack:
        if args.postgres:
            place: Path | str = stack.enter_context(pg_server.running_server()).make_store("gestures")
        else:
            place = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "labels.sqlite"
        store = AnnotationStore.open(place)
        board = fill(store, args.labels)
        figures = measure(store, board, args.times)
        store.close()
    tell(args, figures)
    return 0


@contextlib.contextmanager
def windows() -> Iterator[Stage]:
    """Make windows in a home of their own, as the program makes them."""
    import os
    import sys

    from PySide6.QtWidgets import QApplication

    from conftest import Stage
    from puncta.gui.app import SWITCH_INTERVAL_S
    from puncta.gui.theme import load_fonts

    app = QApplication([])
    app.setStyle("Fusion")
    load_fonts()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    with tempfile.TemporaryDirectory() as home:
        os.environ["PUNCTA_HOME"] = home
        stage = Stage(app)
        try:
            yield stage
        finally:  # else the threads of a window keep a run that failed from ending
            for parts in list(stage.made):
                stage.close(parts)


def in_window(labels: int, times: int, kinds: list[str]) -> dict[str, tuple[list[float], list[float]]]:
    """Measure gestures in a real window."""
    from annotate_clips import _NoBot
    from window_gestures import measure_window

    with windows() as stage:
        return measure_window(stage, _NoBot(), labels, times, kinds)


def play(args: argparse.Namespace) -> None:
    """Measure playing in a real window, without labels and with them, in turn."""
    from annotate_clips import _NoBot
    from window_playback import measure_playing

    rows = []
    with windows() as stage:
        for number in range(args.runs):
            for labels in (0, args.labels):
                os_home(f"{number}-{labels}")
                rows.append(measure_playing(stage, _NoBot(), labels, args.labels // 4, args.seconds).row())
                print("  ".join(f"{name} {value:.4g}" for name, value in rows[-1].items()), flush=True)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def os_home(name: str) -> None:
    """Give the next window a home of its own within the one of this run."""
    import os

    root = Path(os.environ["PUNCTA_HOME"])
    home = (root if not root.name.startswith("run-") else root.parent) / f"run-{name}"
    home.mkdir()
    os.environ["PUNCTA_HOME"] = str(home)


def tell(args: argparse.Namespace, figures: dict[str, tuple[list[float], list[float]]]) -> None:
    """Print the figures, and keep them where asked."""
    print(f"{args.labels} labels in a case, {args.times} gestures of each kind")
    print("wall ms: median, p95, most; cpu ms: median")
    for name, (wall, cpu) in figures.items():
        p95 = float(np.percentile(wall, 95))
        print(f"  {name:<22} {np.median(wall):6.1f} {p95:6.1f} {max(wall):6.1f}   {np.median(cpu):6.1f}")
    if args.json:
        args.json.write_text(json.dumps({n: {"wall_ms": w, "cpu_ms": c} for n, (w, c) in figures.items()}, indent=1))


def measure(store: AnnotationStore, board: Board, times: int) -> dict[str, tuple[list[float], list[float]]]:
    mask = [mask_label(mask_of_stroke([(20, 20 + i), (400, 300)], 9.0, (480, 640))) for i in range(4)]
    kinds: dict[str, Callable[[int], Command | None]] = {
        "tip": lambda i: draw(board, "needle_tip", key(i), TipLabel((i, 7.0))),
        "mask": lambda i: draw(board, "needle", key(i), mask[i % 4]),
        "not visible": lambda i: not_visible(board, "needle_tip", key(200 + i)),
        "flag": lambda i: set_flag(board, "csf", 1, [key(i)]),
        "note": lambda i: set_note(board, key(i), f"note {i}"),
        "accept": lambda i: accept(board, 400 + i),
        "reject": lambda i: reject(board, 600 + i),
        "flag, 100 frames": lambda i: set_flag(board, "cord", i % 2, [key(j) for j in range(1000, 1100)]),
        "flag, 300 frames": lambda i: set_flag(board, "quality", i % 2, [key(j) for j in range(1000, 1300)]),
        "accept, 50 frames": lambda i: accept_range(board, 1500 + 50 * i, 1549 + 50 * i),
    }
    figures: dict[str, tuple[list[float], list[float]]] = {}

    def time_it(name: str, action: Callable[[], object]) -> object:
        wall, cpu = time.perf_counter(), time.thread_time()
        done = action()
        walls, cpus = figures.setdefault(name, ([], []))
        walls.append((time.perf_counter() - wall) * 1e3)
        cpus.append((time.thread_time() - cpu) * 1e3)
        return done

    for name, make in kinds.items():
        for i in range(times):
            command = make(i)
            if command is None:
                continue
            board.apply(command)
            time_it(name, lambda command=command: store.apply(command))
    for name, step in (("undo on a frame", store.undo), ("redo on a frame", store.redo)):
        for i in range(times):
            done = time_it(name, lambda step=step, i=i: step(board.case_id, "anna", i))
            board.apply(getattr(done, "changes", ()))
    for i in range(times):
        time_it("poll for changes", lambda: store.revision(board.case_id))
        time_it("labels of a frame", lambda i=i: store.labels(board.case_id, rater="anna", frame=i))
    time_it("all labels of a rater", lambda: store.labels(board.case_id, rater="anna"))
    return figures


if __name__ == "__main__":
    raise SystemExit(main())
