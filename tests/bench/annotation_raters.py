"""Four raters edit one case at once on a PostgreSQL server that is started here; the connection is cut in the middle.

PYTHONPATH=app:tests/support python tests/bench/annotation_raters.py --seconds 60 [--cut]
"""

from __future__ import annotations

import argparse
import random
import tempfile
import threading
import time
from pathlib import Path

import pg_server
from label_maker import do, key, make_case

from puncta.annotation.commands import Board, draw, set_flag
from puncta.annotation.labels import Slot, TipLabel
from puncta.annotation.shared import SharedStore
from puncta.annotation.store import AnnotationStore

NAMES = ("anna", "bert", "cleo", "dora")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--cut", action="store_true", help="through copies; the server is gone for the middle third")
    args = parser.parse_args()
    missing = pg_server.missing_part()
    if missing:
        print(missing)
        return 2
    with pg_server.running_server() as server, tempfile.TemporaryDirectory() as folder:
        address = server.make_store("raters")
        kind = (
            (lambda n: SharedStore.open(address, folder=Path(folder) / n))
            if args.cut
            else (lambda _n: AnnotationStore.open(address))
        )
        stores = [kind(name) for name in NAMES]
        case = stores[0].add_case(make_case())
        for store in stores:
            if isinstance(store, SharedStore):
                store.sync()
                store.start(0.1, 1.0)
        counts, problems = [0] * 4, []
        boards = [Board(case.id, name) for name in NAMES]
        end = time.monotonic() + args.seconds

        def work(n: int) -> None:
            chance = random.Random(n)
            try:
                while time.monotonic() < end:
                    frame = chance.randrange(100)
                    if chance.random() < 0.2:
                        done = stores[n].undo(case.id, NAMES[n], frame)
                        boards[n].apply(done.changes if done else ())
                        counts[n] += done is not None
                        continue
                    command = draw(boards[n], "needle_tip", key(frame), TipLabel((chance.random() * 60, n)))
                    if chance.random() < 0.3:
                        command = set_flag(
                            boards[n], "csf", chance.randrange(2), [key(i) for i in range(frame, frame + 9)]
                        )
                    if command is not None:
                        do(stores[n], boards[n], command)
                        counts[n] += 1
            except BaseException as error:  # noqa: BLE001
                problems.append(f"{NAMES[n]}: {type(error).__name__}: {error}")

        threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        if args.cut:
            time.sleep(args.seconds / 3)
            server.stop()
            time.sleep(args.seconds / 3)
            print(f"while the server was gone: {[s.waiting for s in stores]} gestures waiting")
            server.start()
        for thread in threads:
            thread.join()
        deadline = time.monotonic() + 120
        if args.cut:
            for store in stores:
                while store.waiting and time.monotonic() < deadline:
                    time.sleep(0.2)
        with AnnotationStore.open(address) as there:
            found: dict[str, dict[Slot, object]] = {name: {} for name in NAMES}
            for label in there.labels(case.id):
                found[label.rater][label.slot] = label
            lost = sum(found[n] != dict(board.snapshot()) for n, board in zip(NAMES, boards))
        refused = sum(len(s.refused) for s in stores) if args.cut else 0
        for store in stores:
            store.close()
        print(
            f"{sum(counts)} gestures of 4 raters in {args.seconds:g} s ({counts}); errors {len(problems)}, "
            f"raters whose labels differ from what they did {lost}, refused {refused}"
        )
        for line in problems:
            print(f"  {line}")
        return 1 if problems or lost or refused else 0


if __name__ == "__main__":
    raise SystemExit(main())
