"""Labels simulated clips in the real window and tells how good the labels are: resources/docs/results/annotate.md.

    QT_QPA_PLATFORM=offscreen PYTHONPATH=app:tests/support:tests/gui python tests/bench/annotate_clips.py \
        [--machine E] [--count 20] [--frames 100] [--seed 880000] [--keep DIR] [--json FILE] [--models] [--flags]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "gui"))
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")


class _NoBot:
    """What `annotating` needs of pytest-qt."""

    @staticmethod
    def waitUntil(done, timeout: int = 5000) -> None:  # noqa: ANN001, N802
        """Let events run until something is true."""
        from qt_waiting import wait_ms

        for _ in range(timeout // 10):
            if done():
                return
            wait_ms(10)
        raise AssertionError("it did not happen in time")


def main() -> int:
    """Label, judge, print; 1 where the median clip misses the mark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--machine", default="E", help="D and E are kept for tests")
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--seed", type=int, default=880000)
    parser.add_argument("--keep", type=Path, help="a folder that keeps the simulated clips")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--models", action="store_true", help="let the models carry the needle on from the first frame")
    parser.add_argument("--flags", action="store_true", help="hold flags over one playing pass of an infant's spine")
    args = parser.parse_args()
    from labelled_clip import (
        KnowingHand,
        KnownSource,
        changes_of,
        judge_flags,
        judge_needle,
        preset_clips,
        simulate_clip,
    )
    from PySide6.QtWidgets import QApplication

    from conftest import Stage
    from puncta.gui.theme import load_fonts

    app = QApplication([])
    app.setStyle("Fusion")
    load_fonts()
    if args.keep is not None:
        args.keep.mkdir(parents=True, exist_ok=True)
    from annotate_window import annotating

    stage, found = Stage(app), []
    if args.flags:
        seeds = range(args.seed, args.seed + args.count)
        made = (simulate_clip("infant-lp", args.machine, seed, args.frames, args.keep) for seed in seeds)
        clips = (clip for clip in made if clip is not None)
    else:
        clips = preset_clips(args.machine, args.seed, args.count, args.frames, args.keep)
    for number, clip in enumerate(clips):
        with tempfile.TemporaryDirectory() as home:
            os.environ["PUNCTA_HOME"] = home
            own = {"annotate": {"label_set": "infant-lp"}} if args.flags else {}
            hand = annotating(stage, _NoBot(), clip.name, opener=lambda _uri, clip=clip: KnownSource(clip), **own)
            knowing = KnowingHand(hand, clip, number)
            if args.flags:
                knowing.hold_flags()
                there, right = judge_flags(hand, clip)
                changes = changes_of(clip)
                row = {"name": clip.name, "changes": changes, "labelled": there, "right": right}
                print(f"{clip.name}: {there:.1%} labelled, {right:.1%} right, {changes} changes of flags", flush=True)
            else:
                knowing.label_needle(models=args.models)
                judged = judge_needle(hand, clip, hand.presses)
                row = asdict(judged)
                shares = f"{judged.good:.0%} good (masks {judged.mask_good:.0%}, tips {judged.tip_good:.0%})"
                middle = f"IoU {judged.iou:.2f}, tip {judged.tip_mm:.2f} mm, {judged.presses} presses"
                print(f"{judged.name}: {shares}, {middle}", flush=True)
            found.append(row)
            stage.close(hand.parts)
    name = "right" if args.flags else "good"
    middle = statistics.median(row[name] for row in found)
    enough = sum(row[name] >= 0.95 for row in found)
    print(f"median {middle:.1%}; {enough} of {len(found)} clips reach 95 %; simulated, machine {args.machine}")
    if args.json is not None:
        args.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0 if middle >= 0.95 else 1


if __name__ == "__main__":
    sys.exit(main())
