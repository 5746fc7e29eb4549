"""Records 1920 x 1080 at 30 frames/s while plugins run, and compares every stored frame with the source.

    PYTHONPATH=app:tests/support python tests/bench/record_1080p.py [--seconds 60] [--plugins A,B] [--json FILE]

The pictures are noise, the worst case of any codec. The figures stand in resources/docs/results/recording.md.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
from paced_source import PacedSource, number_of

from puncta.formats.validate import validate
from puncta.session.record import RecordRequest, record_case
from puncta.sources.factory import open_source

SIZE_PX = (1920, 1080)


def main() -> int:
    """Record, compare, print; 1 where a frame is not accounted for or differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--fps", type=float, default=30.0)
    parser.add_argument("--plugins", default="needle-tip", help="by commas; none for pictures alone")
    parser.add_argument("--folder", type=Path, help="on the disk that is to be measured")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    names = () if args.plugins == "none" else tuple(args.plugins.split(","))
    with tempfile.TemporaryDirectory(dir=args.folder) as top:
        source = PacedSource(SIZE_PX, args.fps)
        process, begun = psutil.Process(), time.monotonic()
        load_before = os.getloadavg()[0]
        summary = record_case(
            RecordRequest("paced", Path(top) / "s", args.seconds, names), opener=lambda _uri: source
        )
        took, cpu = time.monotonic() - begun, process.cpu_times()
        status = summary.status
        wrong = compare(Path(top) / "s")
        problems = validate(Path(top) / "s").problems
    received = status.stored + status.lost
    asked = round(args.seconds * args.fps)
    found = {
        "size_px": SIZE_PX,
        "seconds": args.seconds,
        "fps": args.fps,
        "plugins": names,
        "asked": asked,
        "received": received,
        "stored": status.stored,
        "lost_declared": status.lost,
        "stored_share": status.stored / max(1, received),
        "analysed": summary.analysed,
        "differ": wrong,
        "problems": problems,
        "mb_per_s": status.bytes / 1e6 / max(1e-9, status.seconds),
        "cpu_share": (cpu.user + cpu.system) / took,
        "load_before": load_before,
    }
    print(json.dumps(found, indent=1))
    if args.json:
        args.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 1 if wrong or problems or received < asked - 1 else 0


def compare(folder: Path) -> int:
    """Count stored frames whose pixels are not those of the source."""
    made = PacedSource(SIZE_PX)
    x0, y0, w, h = made.info.geometry.region.box
    session = open_source(str(folder))
    wrong = 0
    try:
        while (frame := session.read()) is not None:
            picture = made.pixels(number_of(frame.pixels, (x0, y0)))
            wrong += not np.array_equal(picture[y0 : y0 + h, x0 : x0 + w], frame.pixels)
    finally:
        session.close()
    return wrong


if __name__ == "__main__":
    raise SystemExit(main())
