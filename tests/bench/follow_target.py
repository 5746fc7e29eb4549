"""Holds the followed target against the simulation's truth, for resources/docs/results/target.md.

    PYTHONPATH=app python tests/bench/follow_target.py [--subjects 2] [--frames 60] [--json FILE] [--markdown FILE]

A point of simulated tissue is chosen on the first frame and followed by the picture alone, as on a source that is not a
simulation. "Off" is the distance in space between the place that is shown and the tissue itself: within the picture and
across it. What was tuned on machines A, B, C and E is told apart from D and F, which it never saw. All simulated.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from puncta.imaging.tissue_tracking import LIMIT_MM, TissueFollower
from puncta.sim.cine import CineGenerator
from puncta.sim.controls import Controls
from puncta.sim.pinned import pin_tissue, place_of

TUNED = ("A", "B", "C", "E")
UNSEEN = ("D", "F")
PROCEDURES = ("breast", "nerve", "vessel")
FPS = 25.0
SIZE_PX = (320, 240)
POINTS = ((0.5, 0.45), (0.35, 0.3), (0.65, 0.6))
"""Where the target is set, as shares of the region."""
FIRST_SEED = 9000
"""Subjects from here on were used for nothing else."""
NEAR_MM = 0.5


def within(k: int) -> Controls:
    """Hands that slide, press and rock the probe and stay in its plane."""
    return Controls(slide_mm=0.2 * math.cos(k / 9), press_mm=0.06 * math.cos(k / 6), rock_deg=0.1 * math.cos(k / 7))


def tremble(k: int) -> Controls:
    """Hands that hold still as well as hands do."""
    return Controls(
        slide_mm=0.03 * math.cos(k / 2.1), sweep_mm=0.03 * math.cos(k / 3.3), tilt_deg=0.05 * math.cos(k / 2.7)
    )


def across(k: int) -> Controls:
    """A steady sweep off the plane, 3 mm/s."""
    return Controls(sweep_mm=0.12 if k > 5 else 0.0)


def tilt(k: int) -> Controls:
    """A steady tilt, 8 degrees a second."""
    return Controls(tilt_deg=0.32 if k > 5 else 0.0)


def there_and_back(k: int) -> Controls:
    """Off the plane by 4 mm and back again."""
    return Controls(sweep_mm=0.2 if 5 < k <= 25 else -0.2 if 35 < k <= 55 else 0.0)


MOTIONS: dict[str, Callable[[int], Controls]] = {
    "held still": tremble,
    "within the plane": within,
    "sweep off the plane": across,
    "tilt off the plane": tilt,
    "off the plane and back": there_and_back,
}


@dataclass(frozen=True, slots=True)
class Seen:
    """One frame of one target: what is shown, and what is true [mm]."""

    machine: str
    motion: str
    clip: str
    index: int
    shown: bool
    off_mm: float
    doubt_mm: float
    behind_mm: float
    inside: bool


def follow_clip(procedure: str, machine: str, seed: int, motion: str, frames: int) -> Iterator[Seen]:
    """Follow three targets through one simulated clip."""
    cine = CineGenerator(procedure, machine, seed, size_px=SIZE_PX, steered=True, fps=FPS)
    x0, y0, w, h = cine.scan.layout.region
    mm = cine.scan.layout.mm_per_px
    targets: list[tuple[TissueFollower, Any]] = []
    for k in range(frames):
        picture, _truth = cine.next_frame(MOTIONS[motion](k))
        if k == 0:
            for sx, sy in POINTS:
                point = (x0 + sx * w, y0 + sy * h)
                pinned = pin_tissue(point, cine.view, cine.scan, cine.deformation)
                targets.append((TissueFollower(picture, cine.scan.layout.region, point, (mm, mm)), pinned))
            continue
        for number, (follower, pinned) in enumerate(targets):
            fix = follower.step(picture)
            (tx, ty), behind = place_of(pinned, cine.view, cine.scan, cine.deformation)
            off = math.inf
            if fix.point_px is not None:
                off = math.hypot(math.dist(fix.point_px, (tx, ty)) * mm, behind)
            inside = x0 <= tx < x0 + w and y0 <= ty < y0 + h
            clip = f"{procedure} {machine} {seed} target {number}"
            yield Seen(machine, motion, clip, k, fix.point_px is not None, off, fix.doubt_px * mm, abs(behind), inside)


def figures_of(seen: list[Seen]) -> dict[str, Any]:
    """Turn frames into the figures of one row."""
    shown = [s for s in seen if s.shown]
    near = [s for s in seen if s.behind_mm <= NEAR_MM and s.inside]
    offs = np.array([s.off_mm for s in shown])
    first_lost = [min((s for s in clip if not s.shown), key=lambda s: s.index, default=None) for clip in _clips(seen)]
    lost_at = np.array([s.behind_mm for s in first_lost if s is not None])
    ends = [clip[-1] for clip in _clips(seen)]
    return {
        "frames": len(seen),
        "targets": len(ends),
        "shown_share_near": len([s for s in near if s.shown]) / len(near) if near else None,
        "off_median_mm": float(np.median(offs)) if len(offs) else None,
        "off_p95_mm": float(np.percentile(offs, 95)) if len(offs) else None,
        "within_doubt": float(np.mean([s.off_mm <= s.doubt_mm for s in shown])) if shown else None,
        "shown_beyond_3mm": int(sum(s.off_mm > LIMIT_MM for s in shown)),
        "shown": len(shown),
        "worst_shown_mm": float(offs.max()) if len(offs) else None,
        "lost": len(lost_at),
        "lost_at_median_mm": float(np.median(lost_at)) if len(lost_at) else None,
        "lost_at_max_mm": float(lost_at.max()) if len(lost_at) else None,
        "shown_at_end": sum(s.shown for s in ends) / len(ends) if ends else None,
    }


def _clips(seen: list[Seen]) -> list[list[Seen]]:
    clips: dict[tuple[str, str], list[Seen]] = {}
    for s in seen:
        clips.setdefault((s.clip, s.motion), []).append(s)
    return list(clips.values())


HEAD = (
    "| machines | motion | targets | shown, tissue within 0.5 mm of the plane | off, median | 95 of 100 "
    "| off within its doubt | shown while off by more than 3 mm | lost at (median, most) | shown at the end |\n"
    "|---|---|---|---|---|---|---|---|---|---|"
)


def row_words(machines: str, motion: str, f: dict[str, Any]) -> str:
    """One line of the table."""

    def mm(value: float | None) -> str:
        return "-" if value is None else f"{value:.2f} mm"

    def share(value: float | None) -> str:
        return "-" if value is None else f"{100 * value:.0f} %"

    beyond = f"{f['shown_beyond_3mm']} of {f['shown']} frames"
    lost = "-" if not f["lost"] else f"{f['lost_at_median_mm']:.1f}, {f['lost_at_max_mm']:.1f} mm"
    cells = (
        machines, motion, str(f["targets"]), share(f["shown_share_near"]), mm(f["off_median_mm"]), mm(f["off_p95_mm"]),
        share(f["within_doubt"]), beyond, lost, share(f["shown_at_end"]),
    )  # fmt: skip
    return "| " + " | ".join(cells) + " |"


def main() -> int:
    """Follow, print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subjects", type=int, default=2, help="of each procedure and machine")
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--machines", default="".join(sorted(TUNED + UNSEEN)))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path)
    args = parser.parse_args()
    seen: list[Seen] = []
    clips = len(args.machines) * len(PROCEDURES) * args.subjects * len(MOTIONS)
    done = 0
    for machine in args.machines:
        for procedure in PROCEDURES:
            for number in range(args.subjects):
                for motion in MOTIONS:
                    seen += follow_clip(procedure, machine, FIRST_SEED + number, motion, args.frames)
                    done += 1
                    print(f"{done} of {clips} clips", end="\r", file=sys.stderr, flush=True)
    rows = []
    for words, machines in (("tuned on: A B C E", TUNED), ("unseen: D F", UNSEEN)):
        for motion in (*MOTIONS, "all"):
            part = [s for s in seen if s.machine in machines and motion in (s.motion, "all")]
            if part:
                rows.append({"machines": words, "motion": motion, **figures_of(part)})
    table = "\n".join([HEAD, *(row_words(r["machines"], r["motion"], r) for r in rows)])
    print(table)
    if args.json:
        args.json.write_text(json.dumps({"simulated": True, "rows": rows}, indent=1) + "\n", encoding="utf-8")
    if args.markdown:
        args.markdown.write_text(table + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
