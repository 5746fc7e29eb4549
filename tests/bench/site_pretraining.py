"""Pre-trains on needle-free recordings of one simulated machine and measures what that did to it and to others.

    PYTHONPATH=app python tests/bench/site_pretraining.py --out DIR [--machine F|E] [--cache DIR] [--samples N]
        [--step recordings|train|sets|evaluate|table]

A stand-in, simulated: the machine is a site that has recordings without a needle and no label. Five steps, each taken
up where it was stopped: its needle-free recordings become a dataset as Models mode makes it; the recipe tip_site_pre
learns from it through the jobs of the program; sets of other subjects are built; the shipped model and the new one are
judged on them; and DIR/site-pretraining-MACHINE.md is written. Without --step all run. Nothing is chosen on them.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import sys
import time
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPO / "app"), str(Path(__file__).parent)]

from site_loop import FIGURES, told  # noqa: E402

BASE = "needle-tip-ut 0.5"
STEPS = ("recordings", "train", "sets", "evaluate", "table")
PROCEDURES = ("breast", "nerve", "vessel")
FRAMES = 48
"""Frames of a recording: two runs."""
FIRST_SEED = {"F": 896_000, "E": 897_000}
"""Subjects of the recordings; none of them is in a set that judges, of this bench or shipped."""
MOST_SAMPLES = 14_400
"""Less than half of the recipe's own, so that the whole takes a quarter of an hour on two cores."""
HEADER = """# Pre-training on needle-free recordings of machine {machine}

Everything here is simulated. Machine {machine} stands for a site that has recordings without a needle and no label:
{counts}. `tip_site_pre` goes on from the shipped model, {samples:,} samples, {minutes:.1f} minutes in all, of what it
learnt {share:.0f} % was kept. {left_out}Judged on other subjects; intervals are 95 %, over clips, changes are paired. A
silent frame with a tip counts as not within 2 mm.

`PYTHONPATH=app python tests/bench/site_pretraining.py --machine {machine} --out DIR`
"""


def part(machines: list[str], seeds: tuple[int, int], **more: Any) -> dict[str, Any]:
    """A part of a set that judges."""
    return {
        "split": "test", "procedures": list(PROCEDURES), "machines": machines, "seeds": list(seeds), "frames": 24,
        "every": 2, "sizes_px": [[320, 256], [256, 256], [384, 320]], "late": 0.25, **more,
    }


class Bench:
    """The run in one folder.

    Parameters
    ----------
    machine : str
        The site.
    cache : Path
        Simulated clips that trainings share.
    samples, recordings, clips : int
        Of the training, to learn from, and of each set that judges.
    """

    def __init__(self, out: Path, machine: str, cache: Path, samples: int, recordings: int, clips: int) -> None:
        self.out, self.machine, self.cache, self.samples = out, machine, cache, samples
        self.recordings, self.clips = recordings, clips
        out.mkdir(parents=True, exist_ok=True)
        # Models, trainings and their pace lie here and not with the user's own.
        os.environ["PUNCTA_HOME"] = str(out / "home")

    @property
    def data(self) -> Path:
        """The dataset of needle-free recordings."""
        return self.out / f"free-{self.machine}"

    @property
    def note(self) -> Path:
        """What is known of the training."""
        return self.out / f"train-{self.machine}.json"

    def sets(self) -> dict[str, tuple[str, dict[str, Any]]]:
        """Sets that judge: title and specification by name."""
        m, low, n = self.machine, FIRST_SEED[self.machine], self.clips
        return {
            f"held-out-{m}": (f"{m}, other subjects", part([m], (low + 300, low + 300 + n), needle_free=0.15)),
            f"silent-{m}": (f"{m}, other subjects without a needle",
                            part([m], (low + 500, low + 500 + n // 2), needle_free=1.0)),
            "known": ("A, B and C", part(["A", "B", "C"], (898_000, 898_000 + n), needle_free=0.15)),
        }

    def step_recordings(self) -> None:
        """Make the dataset of needle-free recordings, by the program's own way."""
        from dataclasses import replace

        from puncta.session.retrain import data_of_recordings, make_dataset, plan_split, recording_of_file

        if (self.data / "dataset.json").is_file():
            return
        found = []
        for k in range(self.recordings):
            # Two recordings a subject: one person lies on one side of the split.
            seed = FIRST_SEED[self.machine] + k // 2
            procedure = PROCEDURES[(k // 2) % len(PROCEDURES)]
            size = ("320x256", "384x320")[k % 2]
            uri = f"sim:{procedure}?seed={seed}&machine={self.machine}&frames={FRAMES}&size={size}&needle=no"
            recording = recording_of_file(uri, f"{procedure}-{seed}", self.machine)
            found.append(replace(recording, title=f"recording {k + 1}"))
        data = data_of_recordings(found)
        split = plan_split(data)
        print(f"  {data.counts}; {split.shows}", flush=True)
        made = make_dataset(None, data, split, self.data)
        for words in made.left_out:
            print(f"  {words}", flush=True)

    def step_train(self) -> None:
        """Pre-train as a job of the program, or go on with it."""
        from puncta.session.retrain import RetrainJobs, RetrainPlan

        kept = json.loads(self.note.read_text()) if self.note.exists() else {}
        if kept.get("state") == "done":
            return
        jobs = RetrainJobs(cache=self.cache)
        try:
            if not kept:
                share = 3 * self.samples // 7
                changes: dict[str, Any] = {
                    "training": {"samples": self.samples, "stages": [{"size": 192, "samples": share}]}
                }
                if self.samples < 1000:  # a look at whether it runs
                    changes["data"] = {"clips": 6, "tune_clips": 6, "frames": 6, "drawn": 12, "tune_drawn": 6}
                plan = RetrainPlan(f"machine {self.machine}", "tip_site_pre", self.data, BASE, changes=changes)
                kept = {"job": jobs.start(plan)}
                self.note.write_text(json.dumps(kept))
            elif jobs.status(kept["job"]).state not in ("waiting", "making data", "running", "done"):
                jobs.resume(kept["job"])
            last = ""
            while (status := jobs.status(kept["job"])).active or status.state == "waiting":
                if status.stage != last:
                    last = status.stage
                    print(f"  {status.elapsed_s:5.0f} s  {last}", flush=True)
                time.sleep(1.0)
            card = jobs.result(kept["job"])
            if card is None:
                raise SystemExit(f"{status.state}: {status.message}")
            kept |= {"state": "done", "model": card.identity, "seconds": status.elapsed_s}
            kept["metrics"] = dict(card.metrics)
            self.note.write_text(json.dumps(kept, indent=2))
        finally:
            jobs.close()

    def step_sets(self) -> None:
        """Build what judges, as far as it is missing."""
        import tomli_w

        from puncta.sim.dataset_spec import read_spec
        from puncta.sim.datasets import build_dataset

        for name, (_title, parts) in self.sets().items():
            target = self.out / "sets" / name
            if (target / "dataset.json").is_file() and not (target / ".build.json").is_file():
                continue
            file = self.out / f"{name}.toml"
            table = {"name": name.lower(), "description": "Simulated punctures.", "license": "CC0-1.0"}
            file.write_text(tomli_w.dumps({**table, "part": [parts]}), encoding="utf-8")
            print(f"  building {name}", flush=True)
            build_dataset(read_spec(file), target, os.cpu_count() or 1, lambda _done, _all: None, None)

    def models(self) -> dict[str, str]:
        """Identity of each model by what it is called in the table."""
        return {"shipped": BASE, "pre-trained": json.loads(self.note.read_text())["model"]}

    def answers(self, data: str, model: str) -> Path:
        """File of a model's answers to a set."""
        place = f"{self.machine}-" if model != BASE else ""
        return self.out / "answers" / f"{data}-{place}{model.replace(' ', '-')}.pickle"

    def step_evaluate(self) -> None:
        """Run both models over every set."""
        from puncta.session.evaluate import open_labelled_data, run_plugin

        (self.out / "answers").mkdir(exist_ok=True)
        for name in self.sets():
            opened = open_labelled_data(self.out / "sets" / name, "test")
            for model in self.models().values():
                target = self.answers(name, model)
                if not target.exists():
                    print(f"  {model} on {name}", flush=True)
                    run = run_plugin("needle-tip", opened, model=model.replace(" ", "@"), timings=False)
                    temporary = target.with_suffix(".part")
                    temporary.write_bytes(pickle.dumps(run))
                    temporary.replace(target)

    def step_table(self) -> None:
        """Write the table from the answers that are there."""
        from puncta.metrics.summary import compare, summarise
        from puncta.session.retrain import open_training_data

        kept, data = json.loads(self.note.read_text()), open_training_data(self.data)
        lines = [HEADER.format(
            machine=self.machine, counts=data.counts, samples=self.samples, minutes=kept["seconds"] / 60,
            share=100 * kept["metrics"].get("tune_share_kept", 1.0),
            left_out="".join(f"{words} " for words in data.problems),
        )]
        for name, (title, _parts) in self.sets().items():
            runs = [pickle.loads(self.answers(name, m).read_bytes()) for m in self.models().values()]  # noqa: S301
            frames = [run.frames for run in runs]
            found, apart = [summarise(some) for some in frames], compare(frames[1], frames[0])
            clips = len({f.clip for f in frames[0]})
            lines += [f"## {title}", "", f"{clips} clips, {len(frames[0])} frames.", "",
                      "| figure | shipped | pre-trained | change |", "| --- | --- | --- | --- |"]
            for key, words, scale in FIGURES:
                cells = [told(each.get(key), scale) for each in (*found, apart)]
                if any(cell != "-" for cell in cells):
                    lines.append(f"| {words} | {' | '.join(cells)} |")
            lines.append("")
        text = "\n".join(lines)
        (self.out / f"site-pretraining-{self.machine}.md").write_text(text, encoding="utf-8")
        print(text)


def main() -> int:
    """Run the steps."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--machine", choices=sorted(FIRST_SEED), default="F")
    parser.add_argument("--cache", type=Path, help="simulated clips that trainings share")
    parser.add_argument("--samples", type=int, default=MOST_SAMPLES)
    parser.add_argument("--recordings", type=int, default=18, help="needle-free recordings to learn from")
    parser.add_argument("--clips", type=int, default=40, help="clips of each set that judges")
    parser.add_argument("--step", action="append", choices=STEPS)
    args = parser.parse_args()
    out = args.out.resolve()
    bench = Bench(out, args.machine, (args.cache or out / "cache").resolve(), args.samples, args.recordings, args.clips)
    for name in args.step or STEPS:
        began = time.monotonic()
        getattr(bench, f"step_{name}")()
        print(f"{name}: {time.monotonic() - began:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
