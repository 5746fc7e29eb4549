"""Kill a labelling process at random moments and look what the store holds.

PYTHONPATH=app:tests/support python tests/bench/annotation_kills.py --kills 200
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import asdict
from pathlib import Path

import kill_labelling


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        told = kill_labelling.run(Path(folder), args.kills, args.seed)
    if args.json:
        args.json.write_text(json.dumps(asdict(told), indent=1))
    print(
        f"{told.kills} kills, {told.acknowledged} gestures told to be saved, {told.under_way} more found saved "
        f"before they were told; lost {len(told.lost)}, in part {len(told.torn)}"
    )
    for line in (*told.lost, *told.torn):
        print(f"  {line}")
    return 1 if told.lost or told.torn else 0


if __name__ == "__main__":
    raise SystemExit(main())
