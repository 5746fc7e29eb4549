"""What a training folder tells: its head, the lines of its log, how far and how fast it is, what it learnt from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from puncta.core.errors import UserError
from puncta.formats.progress import say_time
from puncta.training.pace import Pace, stages_of
from puncta.training.recipes import function_at, recipe_of


@dataclass(frozen=True, slots=True)
class Story:
    """What a training folder tells.

    Attributes
    ----------
    head : dict
        training.json.
    train, tune : list of dict
        Lines of the log.
    calibration : dict or None
    legs : tuple of str
        Names of the trainings that this one goes on from, oldest first.
    """

    head: dict[str, Any]
    train: list[dict[str, Any]]
    tune: list[dict[str, Any]]
    calibration: dict[str, Any] | None
    legs: tuple[str, ...] = ()

    @property
    def config(self) -> dict[str, Any]:
        """The experiment with its defaults."""
        return self.head.get("config", {})

    @property
    def seen(self) -> int:
        """Samples seen so far."""
        return int(max([self.head.get("samples", 0), *(line["samples"] for line in self.train[-1:])]))

    @property
    def total(self) -> int:
        """Samples in all; what was seen, where the experiment does not say."""
        settings = self.config.get("training", {})
        return int(settings.get("samples") or self.seen or 1)

    @property
    def elapsed_s(self) -> float:
        """Time spent in the loop [s]."""
        return float(self.train[-1]["elapsed_s"]) if self.train else float(self.head.get("elapsed_s", 0.0))

    @property
    def left_s(self) -> float | None:
        """Time left [s], as fast as of late; larger pictures take longer."""
        pace = Pace(stages_of(self.config), self.total)
        for line in self.train[-2:]:
            found = pace.note(int(line["samples"]), float(line["elapsed_s"]))
        return found[1] if len(self.train) > 1 else None

    @property
    def rate(self) -> float | None:
        """Samples a second of late."""
        rates = speeds(self.train)
        return rates[-1][1] if rates else None


def read_story(folder: Path) -> Story:
    """Read what a training folder tells.

    Raises
    ------
    UserError
        No training is there, or a file of it cannot be read.
    """
    try:
        head = json.loads((folder / "training.json").read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"The folder {folder} holds no training; name a folder that puncta train has made.") from error
    except json.JSONDecodeError as error:
        raise UserError(f"The file training.json in {folder} cannot be read, so there is nothing to report.") from error
    calibration = folder / "calibration.json"
    try:
        found = json.loads(calibration.read_text(encoding="utf-8")) if calibration.exists() else None
    except json.JSONDecodeError:
        found = None
    lines = _log_lines(folder / "log.jsonl")
    legs = [p.name.partition("-")[2] for p in sorted((folder / "legs").glob("*")) if p.is_dir()]
    return Story(
        head, [v for v in lines if v["split"] == "train"], [v for v in lines if v["split"] == "tune"], found,
        tuple(legs),
    )


def _log_lines(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            line = json.loads(text)
        except json.JSONDecodeError:
            continue  # A run that was killed may leave half a line at the end.
        if {"split", "samples", "elapsed_s"} <= line.keys():
            lines.append(line)
    return lines


def speeds(lines: Sequence[Mapping[str, Any]]) -> list[tuple[float, float]]:
    """Return (samples, samples a second) between lines of the log; a pause between two runs is no time spent."""
    out = []
    for a, b in zip(lines, lines[1:]):
        took = float(b["elapsed_s"]) - float(a["elapsed_s"])
        if took > 0 and b["samples"] > a["samples"]:
            out.append((float(b["samples"]), (b["samples"] - a["samples"]) / took))
    return out


def tell_state(story: Story) -> str:
    """Say in one sentence how far the training is."""
    state = story.head.get("state")
    seen, total = f"{story.seen:,}", f"{story.total:,}"
    spent = say_time(story.elapsed_s)
    where = story.head.get("device", "cpu")
    threads = story.head.get("threads")
    on = f"on {where}" + (f", {threads} {'thread' if threads == 1 else 'threads'}" if threads else "")
    if state == "done":
        return f"Done: {seen} samples in {spent} {on}."
    if state == "running":
        left = f", about {say_time(story.left_s)} left" if story.left_s is not None else ""
        speed = f", {story.rate:.0f} samples a second" if story.rate else ""
        return f"Running {on}: {seen} of {total} samples after {spent}{speed}{left}."
    word = "Stopped" if state == "cancelled" else "Failed"
    # A line of the log comes with each checkpoint.
    further = "goes on from the last checkpoint" if story.train else "begins anew, for there is no checkpoint yet"
    return f"{word} after {seen} of {total} samples and {spent} {on}; --resume {further}."


def describe_data(config: Mapping[str, Any]) -> list[str]:
    """Say in words what an experiment trains on."""
    described = recipe_of(config).described
    if described is not None:
        return list(function_at(described)(config))
    data = config.get("data", {})
    parts = []
    if data.get("clips"):
        parts.append(f"{data['clips']:,} simulated cines of machines {', '.join(data.get('machines', ()))}, "
                     f"{', '.join(data.get('procedures', ()))}")
    if data.get("backgrounds") and data.get("composites"):
        parts.append(f"{data['composites']:,} cines of drawn needles on needle-free stills "
                     f"({', '.join(data['backgrounds'])})")
    if data.get("backgrounds") and data.get("still_cines"):
        parts.append(f"{data['still_cines']:,} cines of simulated needles in such stills")
    if data.get("backgrounds") and data.get("steady_cines"):
        parts.append(f"{data['steady_cines']:,} cines of drawn needles at rest in such stills")
    if data.get("coarse_cines"):
        parts.append(f"{data['coarse_cines']:,} cines of made speckle as coarse probes show it")
    if data.get("datasets"):
        parts.append(f"the datasets {', '.join(data['datasets'])}")
    return parts
