"""Kills recordings at random moments and tells what each session lost, for resources/docs/results/recording.md.

    PYTHONPATH=app:tests/support python tests/bench/record_kills.py [--count 50] [--seed 1] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import asdict
from pathlib import Path

from kill_recordings import kill_many


def main() -> int:
    """Kill, open, print; 1 where a session lost more than a second or says nothing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--longest", type=float, default=6.0, help="latest moment of a kill [s]")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as top:
        found = kill_many(Path(top), args.count, args.seed, args.longest)
    bad = [k for k in found if k.problems or k.missing_s > 1.0 or (k.stored and "without closing" not in k.says)]
    silent = [k for k in found if k.missing_s > 1.0 and k.stored and "waited for the disk" not in k.says]
    missing = sorted(k.missing_s for k in found)
    print(f"{len(found)} recordings killed, {sum(k.stored > 0 for k in found)} hold frames, {len(bad)} fail")
    print(f"missing at the end: median {missing[len(missing) // 2] * 1e3:.0f} ms, most {missing[-1] * 1e3:.0f} ms")
    print(f"{sum(k.missing_s > 1.0 for k in found)} miss more than a second, {len(silent)} of them without saying it")
    print(f"{sum(k.stored for k in found)} frames stored of {sum(k.handed_in for k in found)} handed in")
    for killed in bad:
        print(asdict(killed))
    if args.json:
        args.json.write_text(json.dumps([asdict(k) for k in found], indent=1) + "\n", encoding="utf-8")
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
