"""Does help stop where the tracker follows something else than the drawn needle, and only there?

    QT_QPA_PLATFORM=offscreen PYTHONPATH=app:tests/support:tests/gui python tests/bench/leaving_tracker.py \
        [--machines A B C] [--count 3] [--onward 50] [--keep DIR]

On each simulated clip the needle of one frame is given to the tracker twice: as it truly is, and drawn where there is
none, as somebody draws who sees a needle that the tracker cannot see. The first should go on to the end and stay on the
needle; the second should bring no proposals.
"""

from __future__ import annotations

import argparse
import os
import sys
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
    parser.add_argument("--onward", type=int, default=50)
    parser.add_argument("--keep", type=Path, help="a folder that keeps the simulated clips")
    args = parser.parse_args()
    from labelled_clip import preset_clips

    from puncta.imaging.needle_pose import NeedlePose, mask_of_pose
    from puncta.session.proposing import open_models

    host = open_models()
    total = {"frames": 0, "proposed": 0, "on": 0, "stopped": 0, "clips": 0, "wrong proposed": 0, "wrong stopped": 0}
    for machine in args.machines:
        for clip in preset_clips(machine, args.seed, args.count, args.frames, args.keep):
            inside = np.flatnonzero(clip.in_plane)
            start = int(inside[len(inside) // 4])
            end = min(len(clip.frames) - 1, start + args.onward)
            proposed, on, why = follow(host, clip, start, end, clip.masks[start])
            print(f"{clip.name}: {proposed} of {end - start} proposed, {on} on the needle {why}", flush=True)
            height, width = clip.frames.shape[1:3]
            tip_x, tip_y = clip.ends[start, :2]
            low = min(height - 20.0, float(tip_y) + 40.0)
            pose = NeedlePose((width - float(tip_x), low), (width - 1.0, low - 30.0), 8.0)
            wrong, _on, told = follow(host, clip, start, end, mask_of_pose(pose, (height, width)))
            print(f"  drawn where there is none: {wrong} proposed {told}", flush=True)
            for name, count in (("frames", end - start), ("proposed", proposed), ("on", on), ("stopped", bool(why)),
                                ("clips", 1), ("wrong proposed", wrong), ("wrong stopped", bool(told))):  # fmt: skip
                total[name] += int(count)
    host.close()
    print(total, "simulated clips")
    return 0


def follow(host, clip, start: int, end: int, mask) -> tuple[int, int, str]:  # noqa: ANN001
    """Frames with a proposed needle, those of them that lie on the true one by half of either, and why it stopped."""
    from labelled_clip import KnownSource

    from puncta.annotation.labels import MaskLabel, mask_of
    from puncta.core.prompts import MaskPrompt
    from puncta.session.proposing import Strayed, propose_by_models

    proposed = on = 0
    try:
        for proposal in propose_by_models(
            KnownSource(clip), host, ("needle", "needle_tip"), start=start, end=end, prompt=MaskPrompt(mask)
        ):
            values = [label.value for label in proposal.labels if label.name == "needle"]
            if values and isinstance(values[0], MaskLabel):
                mine, true = mask_of(values[0]), clip.masks[proposal.index]
                proposed += 1
                on += int((mine & true).sum() >= 0.5 * max(1, min(mine.sum(), true.sum())))
    except Strayed as error:
        return proposed, on, f"({error})"
    return proposed, on, ""


if __name__ == "__main__":
    sys.exit(main())
