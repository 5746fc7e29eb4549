"""Time every kind of gesture on a case with 20,000 labels, as the store ships (SQLite, every commit on the disk).

    PYTHONPATH=app:tests/support python tests/bench/annotation_gestures.py [--postgres]
    QT_QPA_PLATFORM=offscreen PYTHONPATH=app:tests/support:tests/gui python tests/bench/annotation_gestures.py --window

The store alone, or the window with all it shows: what a gesture keeps the window busy with, while the store's own
thread writes it. Wall time is what a user waits for; the processor's time beside it tells how busy the machine was
with other things.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

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
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    if args.window:
        tell(args, in_window(args.labels, args.times))
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


def in_window(labels: int, times: int) -> dict[str, tuple[list[float], list[float]]]:
    """Measure in a real window, in a home of its own."""
    import os

    from annotate_clips import _NoBot
    from PySide6.QtWidgets import QApplication
    from window_gestures import measure_window

    from conftest import Stage
    from puncta.gui.theme import load_fonts

    app = QApplication([])
    app.setStyle("Fusion")
    load_fonts()
    with tempfile.TemporaryDirectory() as home:
        os.environ["PUNCTA_HOME"] = home
        stage = Stage(app)
        figures = measure_window(stage, _NoBot(), labels, times)
        for parts in list(stage.made):
            stage.close(parts)
    return figures


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
