"""Closes the loop once, whole: 300 labelled frames of a site, retraining, and what that did to it and to others.

    PYTHONPATH=app python tests/bench/site_loop.py --machine F|G --out DIR [--sets DIR]
        [--step sets|site|full|evaluate|table] [--cache DIR] [--stills DIR]

Five steps, each taken up where it was stopped: simulated sets are built; the recipe tip_site learns from 300 labelled
frames of the machine (train and tune together), through the jobs of the program; what it is compared with learns from
thirty times as many; the shipped model and both are judged on other subjects of that machine and on machines A to E;
and the table is written to resources/docs/results, site-loop.md for F and site-loop-g.md for G. Without --step all
run. Nothing is chosen on what judges.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from site_loop_words import FIGURES, SITES, TITLES, head_of, told

REPO = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPO / "app"))

BASE = "needle-tip-ut 0.5"
LABELLED = 300
PER_CLIP = 15
"""Labelled frames of a clip: every second one of 30."""
SUBJECTS = LABELLED // PER_CLIP
TUNE_SUBJECTS = 4
PROCEDURES = ["breast", "nerve", "vessel"]
SIZES = [[320, 256], [256, 256], [384, 320]]
HELD_OUT, FULL = 96, 400
MORE_SAMPLES = 134_400
SETS = ("tip-same-machine", "tip-unseen-machine", "no-needle")


def part(machine: str, split: str, seeds: tuple[int, int], frames: int, every: int) -> dict[str, Any]:
    """A part of a dataset's specification on a machine."""
    return {"split": split, "procedures": PROCEDURES, "machines": [machine], "seeds": list(seeds), "frames": frames,
            "every": every, "sizes_px": SIZES, "needle_free": 0.15, "late": 0.25}


def specs(machine: str) -> dict[str, list[dict[str, Any]]]:
    """Specifications of the sets of a machine; every clip is a subject of its own."""
    train, low = SUBJECTS - TUNE_SUBJECTS, machine.lower()

    def of(split: str, first: int, clips: int, frames: int, every: int = 1) -> dict[str, Any]:
        return part(machine, split, (first, first + clips), frames, every)

    return {
        f"{low}-site-all": [
            of("train", 890_000, train, 2 * PER_CLIP), of("tune", 890_500, TUNE_SUBJECTS, 2 * PER_CLIP),
        ],
        f"{low}-full": [of("train", 892_000, FULL, 24), of("tune", 893_000, 48, 24)],
        f"{low}-held-out": [of("test", 891_000, HELD_OUT, 24, 2)],
    }


class Bench:
    """The run in one folder.

    Parameters
    ----------
    machine : str
        The site: F or G.
    out, sets, cache : Path
        Everything it makes; test sets that may be there already; simulated clips that trainings share.
    stills : Path or None
        Needle-free stills; with them two sets on real stills judge as well.
    samples : int or None
        For a first look on fewer samples; the table says nothing of them, so it is not written.
    """

    def __init__(
        self, machine: str, out: Path, sets: Path, cache: Path, stills: Path | None = None, samples: int | None = None
    ) -> None:
        self.machine, self.low, self.held_out = machine, machine.lower(), f"{machine.lower()}-held-out"
        self.out, self.sets, self.cache, self.stills, self.samples = out, sets, cache, stills, samples
        out.mkdir(parents=True, exist_ok=True)
        # Models, trainings and their pace lie here and not with the user's own.
        os.environ["PUNCTA_HOME"] = str(out / "home")

    def step(self, name: str) -> None:
        """Take one step."""
        began = time.monotonic()
        getattr(self, f"step_{name}")()
        print(f"{name}: {time.monotonic() - began:.0f} s", flush=True)

    # Sets.

    def place(self, name: str) -> Path:
        """Folder of a set: one that is there already, else one of ours."""
        there = self.sets / name
        return there if (there / "dataset.json").is_file() else self.out / "sets" / name

    def home_of(self, name: str) -> Path:
        """Folder of a set to learn from."""
        return self.place(name) if name != f"{self.low}-site" else self.out / "sets" / name

    def step_sets(self) -> None:
        """Build what judges and the 300 frames, as far as they are missing."""
        self.build((f"{self.low}-site-all", self.held_out), self.judges()[1:])
        self.thin(self.place(f"{self.low}-site-all"), self.out / "sets" / f"{self.low}-site")

    def build(self, own: Sequence[str], shipped: Sequence[str] = ()) -> None:
        """Build sets of the machine and sets whose specification ships, as far as they are missing."""
        import tomli_w

        from puncta.paths import resources_dir
        from puncta.sim.dataset_spec import read_spec
        from puncta.sim.datasets import build_dataset

        folder = self.out / "specs"
        folder.mkdir(exist_ok=True)
        wanted = {name: resources_dir() / "datasets" / f"{name}.toml" for name in shipped}
        for name in own:
            parts = specs(self.machine)[name]
            wanted[name] = folder / f"{name}.toml"
            table = {"name": name, "description": f"Simulated punctures on machine {self.machine}."}
            table["license"] = "CC0-1.0"
            wanted[name].write_text(tomli_w.dumps({**table, "part": parts}), encoding="utf-8")
        for name, path in wanted.items():
            target = self.place(name)
            if (target / "dataset.json").is_file() and not (target / ".build.json").is_file():
                continue
            print(f"building {name}", flush=True)
            build_dataset(read_spec(path), target, os.cpu_count() or 1, lambda _done, _all: None, self.stills)

    @staticmethod
    def thin(whole: Path, target: Path) -> None:
        """Label every second frame alone; those in between stay without a label, as somebody in a hurry leaves them."""
        from puncta.formats.dataset import Review, load_dataset, save_dataset

        if (target / "dataset.json").is_file():
            return
        dataset = load_dataset(whole)
        images = tuple(
            i if i.frame_index % 2 == 1 else replace(i, review=Review.UNSEEN, labelled=(), difficulty=None)
            for i in dataset.images
        )
        told = {i.id for i in images if i.labelled}
        target.mkdir(parents=True, exist_ok=True)
        link = target / "images"
        if not link.exists():
            link.symlink_to((whole / "images").resolve(), target_is_directory=True)
        notes = tuple(a for a in dataset.annotations if a.image_id in told)
        info = replace(dataset.info, more={**dataset.info.more, "name": target.name})
        save_dataset(replace(dataset, info=info, images=images, annotations=notes), target)
        assert len(told) == LABELLED, f"{len(told)} frames are labelled"

    # Trainings.

    def step_site(self) -> None:
        """Retrain on the 300 frames."""
        few: dict[str, Any] = {}
        if self.samples:
            # Beside other work one thread does more than two that wait for one another.
            few = {"samples": self.samples, "stages": [{"size": 192, "samples": self.samples // 2}], "threads": 1}
        self.train("site", f"{self.low}-site", {"training": few} if few else {})

    def step_full(self) -> None:
        """Train what the other is compared with: the same recipe on all of it, longer, nothing held back."""
        self.build((f"{self.low}-full",))
        self.train("full", f"{self.low}-full", {
            "data": {"site_share": 0.75},
            "training": {
                "samples": MORE_SAMPLES, "stages": [{"size": 192, "samples": MORE_SAMPLES // 2}],
                "learning_rate": 6e-4, "distil": 0.2, "mix_back": False,
            },
        })

    def train(self, name: str, data: str, changes: Mapping[str, Mapping[str, Any]]) -> None:
        """Run a training as a job of the program, or go on with it."""
        from puncta.session.retrain import RetrainJobs, RetrainPlan, estimate

        note = self.out / f"{name}.json"
        kept = json.loads(note.read_text()) if note.exists() else {}
        if kept.get("state") == "done":
            return
        jobs = RetrainJobs(cache=self.cache)
        try:
            if not kept:
                plan = RetrainPlan(name, "tip_site", self.home_of(data), BASE, changes=changes)
                print(f"estimated: {estimate(plan, cache=self.cache).in_words()}", flush=True)
                kept = {"job": jobs.start(plan)}
                note.write_text(json.dumps(kept))
            elif jobs.status(kept["job"]).state not in ("waiting", "making data", "running", "done"):
                jobs.resume(kept["job"])
            last = ""
            while (status := jobs.status(kept["job"])).active or status.state == "waiting":
                if status.stage != last:
                    last = status.stage
                    print(f"  {status.elapsed_s:5.0f} s  {status.stage}", flush=True)
                time.sleep(1.0)
            card = jobs.result(kept["job"])
            if card is None:
                raise SystemExit(f"{name}: {status.state}: {status.message}")
            stages = json.loads((status.folder / "job.json").read_text())["stages"]
            kept |= {"state": "done", "model": card.identity, "seconds": status.elapsed_s, "stages": stages,
                     "metrics": dict(card.metrics)}
            note.write_text(json.dumps(kept, indent=2))
        finally:
            jobs.close()

    # Judging.

    def judges(self) -> tuple[str, ...]:
        """Names of the sets that judge."""
        sets = (self.held_out, *SETS)
        return sets if self.stills is None else (*sets, "tip-real-background", "real-background-negatives")

    def models(self) -> dict[str, str]:
        """Identity of each model by what it is called in the table."""
        out = {"before": BASE}
        for name in ("site", "full"):
            note = self.out / f"{name}.json"
            kept = json.loads(note.read_text()) if note.exists() else {}
            if kept.get("state") == "done":
                out[name] = kept["model"]
        return out

    def answers(self, data: str, model: str) -> Path:
        """File of a model's answers to a set."""
        return self.out / "answers" / f"{data}-{model.replace(' ', '-')}.pickle"

    def step_evaluate(self) -> None:
        """Run every model over every set that it has not seen yet."""
        from puncta.session.evaluate import open_labelled_data, run_plugin

        (self.out / "answers").mkdir(exist_ok=True)
        for data in self.judges():
            opened = None
            for model in self.models().values():
                target = self.answers(data, model)
                if target.exists():
                    continue
                opened = opened or open_labelled_data(self.place(data), "test")
                print(f"  {model} on {data}", flush=True)
                run = run_plugin("needle-tip", opened, model=model.replace(" ", "@"), timings=False)
                temporary = target.with_suffix(".part")
                temporary.write_bytes(pickle.dumps(run))
                temporary.replace(target)

    # The table.

    def step_table(self) -> None:
        """Write the table from the answers that are there."""
        text = self.markdown()
        name = "site-loop.md" if self.machine == "F" else f"site-loop-{self.low}.md"
        path = REPO / "resources" / "docs" / "results" / name
        if self.samples is None:
            path.write_text(text, encoding="utf-8")
        print(text)

    def markdown(self) -> str:
        """Return the table."""
        from puncta.metrics.summary import compare, summarise

        models = self.models()
        lines = head_of(self.machine, BASE).splitlines()
        titles, names = {**TITLES, self.held_out: f"{self.machine}, other subjects"}, self.names()
        for data in self.judges():
            runs = {
                name: pickle.loads(self.answers(data, model).read_bytes())  # noqa: S301 - our own file
                for name, model in models.items()
                if self.answers(data, model).exists()
            }
            if "before" not in runs:
                continue
            found = {name: summarise(run.frames) for name, run in runs.items()}
            apart = {name: compare(run.frames, runs["before"].frames) for name, run in runs.items() if name != "before"}
            clips = len({f.clip for f in runs["before"].frames})
            frames = len(runs["before"].frames)
            lines += ["", f"## {titles[data]}", "", f"`{data}`, {clips} clips, {frames} frames.", ""]
            heads = [names[name] for name in runs]
            lines.append("| figure | " + " | ".join(heads) + "".join(f" | {names[n]}: change" for n in apart) + " |")
            lines.append("| --- |" + " --- |" * (len(heads) + len(apart)))
            for key, title, scale in FIGURES:
                cells = [told(found[n].get(key), scale) for n in runs] + [told(apart[n].get(key), scale) for n in apart]
                if any(c != "-" for c in cells):
                    lines.append(f"| {title} | " + " | ".join(cells) + " |")
            if data == self.held_out and {"site", "full"} <= runs.keys():
                lines += ["", self.way({n: runs[n].frames for n in ("before", "site", "full")})]
        return "\n".join([*lines, "", *self.told_trainings()]) + "\n"

    def names(self) -> dict[str, str]:
        """What the models are called in the table."""
        return {"before": "shipped", "site": f"300 frames of {self.machine}", "full": f"all of {self.machine}"}

    def way(self, frames: Mapping[str, Sequence[Any]]) -> str:
        """Say how much of the way to a model trained on all of it the 300 frames went, with its interval over clips."""
        import numpy as np

        from puncta.metrics.intervals import draw_resamples
        from puncta.metrics.summary import statistics_of

        numbers = {clip: n for n, clip in enumerate(sorted({f.clip for f in frames["before"]}))}
        weights = np.concatenate([np.ones((1, len(numbers))), draw_resamples(len(numbers))])
        values = {
            name: statistics_of([replace(f, clip=numbers[f.clip]) for f in some], len(numbers))["tip_within_2mm"]
            .values(weights)
            for name, some in frames.items()
        }
        gained, whole = values["site"] - values["before"], values["full"] - values["before"]
        if not whole[0] > 0:
            return (
                f"**The model trained on all of {self.machine} is no better on it than the shipped one** "
                f"({100 * whole[0]:+.1f} points of tips within 2 mm), the one of 300 frames changes by "
                f"{100 * gained[0]:+.1f}: there is no way of which a share could be gone."
            )
        share = (gained / np.where(whole > 0.002, whole, np.nan))[1:]
        low, high = np.nanpercentile(share, [2.5, 97.5])
        gone = f"{100 * gained[0] / whole[0]:.0f} % of the way to a model trained on all of {self.machine}"
        return (
            f"**300 frames go {gone}** (tips within 2 mm: {100 * gained[0]:+.1f} of {100 * whole[0]:+.1f} points; 95 % "
            f"interval over clips {100 * low:.0f} to {100 * high:.0f} %)."
        )

    def told_trainings(self) -> list[str]:
        """Say how long the trainings took and what they kept."""
        lines = ["## Trainings", "", "| | model | time | clips made | training | end | share kept |",
                 "| --- | --- | --- | --- | --- | --- | --- |"]
        for name in ("site", "full"):
            note = self.out / f"{name}.json"
            kept = json.loads(note.read_text()) if note.exists() else {}
            if kept.get("state") != "done":
                continue
            stages = dict(kept["stages"])
            samples = stages.pop("samples", 0.0)
            end = stages.pop("clips tuned on", 0.0)
            share = kept["metrics"].get("tune_share_kept", 1.0)
            took = f"{kept['seconds'] / 60:.1f} min | {sum(stages.values()):.0f} s | {samples:.0f} s | {end:.0f} s"
            lines.append(f"| {self.names()[name]} | {kept['model']} | {took} | {100 * share:.0f} % |")
        return lines


def main() -> int:
    """Run the steps."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--machine", choices=sorted(SITES), default="F")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sets", type=Path, help="where test sets may lie already")
    parser.add_argument("--cache", type=Path, help="simulated clips that trainings share")
    parser.add_argument("--stills", type=Path, help="needle-free stills, for two further sets")
    parser.add_argument("--samples", type=int, help="a first look on fewer samples; the table is printed alone")
    parser.add_argument("--step", action="append", choices=["sets", "site", "full", "evaluate", "table"])
    args = parser.parse_args()
    out = args.out.resolve()
    bench = Bench(args.machine, out, (args.sets or out / "sets").resolve(), (args.cache or out / "cache").resolve(),
                  args.stills, args.samples)
    for name in args.step or ["sets", "site", "full", "evaluate", "table"]:
        bench.step(name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
