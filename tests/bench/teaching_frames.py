"""Do the frames that "would teach most" help more than evenly spaced ones, ones at random, or neighbours of one?

    QT_QPA_PLATFORM=offscreen PYTHONPATH=app:tests/support:tests/gui python tests/bench/teaching_frames.py \
        [--machines A B C] [--count 3] [--chosen 4] [--keep DIR] [--json FILE]

On each simulated clip the first and the last frame with a needle are labelled by the truth, and so many frames besides,
chosen in each of four ways; what lies between is then proposed between key frames. What is told is the share of the
other frames whose mask (overlap .7) and tip (2 mm) are good: the help that labelling these very frames brings at once.
How much a network would learn from them is not measured here.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import numpy as np


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--machines", nargs="+", default=["A", "B", "C"], help="D and E are kept for tests")
    parser.add_argument("--count", type=int, default=3, help="clips a machine")
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--seed", type=int, default=715000)
    parser.add_argument("--chosen", type=int, default=4)
    parser.add_argument("--keep", type=Path, help="a folder that keeps the simulated clips")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    from labelled_clip import KnownSource, preset_clips

    from puncta.session.proposing import open_models
    from puncta.session.teaching_frames import look_over, teaching_frames

    rows: dict[str, list[float]] = {"teaching": [], "even": [], "random": [], "neighbours": []}
    host = open_models()
    for machine in args.machines:
        for clip in preset_clips(machine, args.seed, args.count, args.frames, args.keep):
            inside = np.flatnonzero(clip.in_plane)
            first, last = int(inside[0]), int(inside[-1])
            looks = list(look_over(KnownSource(clip), host, first, last, keep=(first, last)))
            teaching = [s.index for s in teaching_frames(looks, (first, last), args.chosen)]
            even = np.linspace(first, last, args.chosen + 2).round().astype(int)[1:-1].tolist()
            beside = [teaching[0] + n - args.chosen // 2 for n in range(args.chosen)]
            draws = [np.random.default_rng(seed).choice(inside[1:-1], args.chosen, False) for seed in range(3)]
            rows["teaching"].append(good_share(clip, (first, last, *teaching)))
            rows["even"].append(good_share(clip, (first, last, *even)))
            rows["neighbours"].append(good_share(clip, (first, last, *beside)))
            rows["random"].append(float(np.mean([good_share(clip, (first, last, *draw.tolist())) for draw in draws])))
            told = ", ".join(f"{name} {values[-1]:.0%}" for name, values in rows.items())
            print(f"{clip.name}: {told}; frames {sorted(teaching)}", flush=True)
    host.close()
    for name, values in rows.items():
        print(f"{name}: mean {np.mean(values):.1%}, least {min(values):.0%}, of {len(values)} simulated clips")
    if args.json is not None:
        args.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return 0


def good_share(clip, labelled: Sequence[int]) -> float:  # noqa: ANN001
    """Share of the open frames with a needle whose proposal between these key frames is good."""
    from labelled_clip import GOOD_IOU, GOOD_MM, KnownSource

    from puncta.annotation.labels import MaskLabel, TipLabel, mask_of
    from puncta.imaging.needle_pose import NeedlePose
    from puncta.session.between_keys import KeyPose, fill_between

    width_px = clip.gauge_mm / clip.mm_per_px
    count = len(clip.frames)
    keys = []
    for index in sorted({i for i in labelled if 0 <= i < count}):
        tip_x, tip_y, entry_x, entry_y = (float(v) for v in clip.ends[index])
        seen = bool(clip.in_plane[index])
        keys.append(KeyPose(index, NeedlePose((tip_x, tip_y), (entry_x, entry_y), width_px) if seen else None))
    done = {key.index for key in keys}
    wanted = [int(i) for i in np.flatnonzero(clip.in_plane) if int(i) not in done]
    good = 0
    for labels in fill_between(KnownSource(clip), keys, wanted, ("needle", "needle_tip")):
        by_name = {label.name: label for label in labels}
        mask, tip = by_name.get("needle"), by_name.get("needle_tip")
        if mask is None or tip is None or not isinstance(mask.value, MaskLabel) or not isinstance(tip.value, TipLabel):
            continue
        index = mask.key.index
        true, mine = clip.masks[index], mask_of(mask.value)
        overlap = (true & mine).sum() / max(1, (true | mine).sum())
        off = np.hypot(*(np.array(tip.value.tip_px) - clip.ends[index, :2])) * clip.mm_per_px
        good += bool(overlap >= GOOD_IOU and off <= GOOD_MM)
    return good / max(1, len(wanted))


if __name__ == "__main__":
    sys.exit(main())
