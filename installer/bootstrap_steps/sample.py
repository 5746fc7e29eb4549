"""The sample case without a window: an annotated video, its results, and one screen that says what was done."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

SAFETY_LINE = "Simulation and training only, not for clinical use."
OUT = "puncta-out"
_POSITIONS = ("tip_px", "point_px", "box")


@dataclass(frozen=True, slots=True)
class Tally:
    """What results.jsonl says: frames in all, and frames on which each plugin places a needle tip."""

    frames: int
    tips: Mapping[str, int]


def run_sample(python: Path, root: Path, environ: Mapping[str, str]) -> int:
    """Analyse the sample case into `puncta-out` and print the summary; return the exit status."""
    asked = subprocess.run(
        [str(python), "-P", "-c", "from puncta import paths; print(paths.sample_case())"],
        capture_output=True, text=True, env=dict(environ), check=False,
    )  # fmt: skip
    sample = Path(asked.stdout.strip())
    if asked.returncode != 0 or not sample.is_file():
        print("The sample case is missing from this copy of Puncta: get a complete copy and start again.")
        return 2
    video, results = root / OUT / "sample.mp4", root / OUT / "sample.jsonl"
    video.parent.mkdir(exist_ok=True)
    print("No display here: the sample case is analysed without a window.", flush=True)
    command = [
        str(python), "-P", "-m", "puncta", "run", str(sample),
        "--out", str(video), "--results", str(results), "--force",
    ]  # fmt: skip
    # What the command says of itself on stdout is on the screen below; progress and errors come by stderr.
    status = subprocess.run(command, env=dict(environ), cwd=root, stdout=subprocess.DEVNULL, check=False).returncode
    if status == 0:
        with results.open(encoding="utf-8") as lines:
            print(write_summary(sample, video, results, count_tips(lines)), flush=True)
    return status


def count_tips(lines: Iterable[str]) -> Tally:
    """Count the frames of a results file, and those on which each plugin gives a needle tip a place."""
    frames = 0
    tips: dict[str, int] = {}
    for line in lines:
        frames += 1
        for plugin, output in json.loads(line).get("outputs", {}).items():
            results = output.get("results", []) if isinstance(output, dict) else output
            about_tips = [result for result in results if "tip" in str(result.get("label", ""))]
            if about_tips:
                tips.setdefault(plugin, 0)
                tips[plugin] += any(result.get(key) is not None for result in about_tips for key in _POSITIONS)
    return Tally(frames, tips)


def write_summary(sample: Path, video: Path, results: Path, tally: Tally) -> str:
    """Return one screen of text: what was done, what was found, where it is and what to try next."""
    found = [
        f"  {plugin:<16} finds the tip on {count} of {tally.frames} frames" for plugin, count in tally.tips.items()
    ]
    rows = [
        "",
        f"Puncta has analysed its sample case: {tally.frames} simulated frames of {sample.name}",
        *(found or ["  no plugin speaks about a needle tip"]),
        "",
        f"  the video with its overlay   {video}",
        f"  the results, a frame a line  {results}",
        "",
        "Next:",
        "  python3 installer/bootstrap.py run            on a machine with a display: the window",
        "  python3 installer/bootstrap.py run run CLIP.mp4 --out a.mp4 --results a.jsonl",
        "  python3 installer/bootstrap.py run doctor     what this machine has",
        "  python3 installer/bootstrap.py run --help     all commands",
        "",
        SAFETY_LINE,
    ]
    return "\n".join(rows)
