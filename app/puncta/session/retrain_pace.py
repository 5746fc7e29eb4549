"""How long a training takes here: measured on earlier ones, guessed before there was any."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from puncta.core.errors import UserError
from puncta.formats.atomic import write_text_atomic
from puncta.formats.experiment_files import read_table, shipped_experiments
from puncta.session.retrain_recipes import RetrainRecipe

PACE = "pace.json"
SAMPLES = "samples"
"""The stage that trains."""
GUESSED_ON = 2
"""Cores that the guesses of the recipes hold for."""
LOW, HIGH = 0.85, 1.25
"""What a measured time may be off by."""
GUESS_LOW, GUESS_HIGH = 0.6, 2.0
NEWEST = 0.5
"""Weight of the newest measurement against those before."""


@dataclass(frozen=True, slots=True)
class Estimated:
    """How long a training will take [min]; ``measured_here`` is False for a guess."""

    minutes_low: float
    minutes_high: float
    measured_here: bool

    def in_words(self) -> str:
        """Say it: "8 to 12 minutes", with "guessed" where nothing was measured."""
        low, high = max(1, round(self.minutes_low)), max(1, round(self.minutes_high))
        if high >= 120:
            text = f"{self.minutes_low / 60:.1f} to {self.minutes_high / 60:.1f} hours"
        else:
            unit = "minute" if high == 1 else "minutes"
            text = f"{low} {unit}" if low == high else f"{low} to {high} {unit}"
        return text if self.measured_here else f"{text} (a guess; none of this kind has run here yet)"


def work_in(experiment: Mapping[str, Any]) -> float:
    """Return an experiment's work in samples of its full size: cost grows with the picture's area."""
    training = experiment.get("training", {})
    total = float(training.get(SAMPLES, 0))
    full = float(experiment.get("model", {}).get("input", {}).get("size", 0) or 256)
    work, left = 0.0, total
    for stage in training.get("stages", ()):
        part = min(left, float(stage[SAMPLES]))
        work += part * (float(stage["size"]) / full) ** 2
        left -= part
    return work + left


def shipped_work(recipe: RetrainRecipe) -> float:
    """Return the work of a recipe's experiment as it ships."""
    return work_in(read_table(shipped_experiments()[recipe.experiment]))


class PaceTable:
    """Times of earlier trainings, by recipe and stage, in a small file.

    Parameters
    ----------
    folder : Path
        Where `PACE` lies.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / PACE

    def read(self, recipe: str) -> dict[str, float]:
        """Return what was measured: "clips" and "finish" [s], "work" [s for each sample of full size]."""
        return {k: float(v) for k, v in self._all().get(recipe, {}).items() if isinstance(v, int | float)}

    def note(self, recipe: str, measured: Mapping[str, float]) -> None:
        """Take in a finished training."""
        table = self._all()
        old = table.get(recipe, {})
        table[recipe] = {
            **old,
            **{k: round(v if k not in old else NEWEST * v + (1 - NEWEST) * old[k], 6) for k, v in measured.items()},
        }
        write_text_atomic(self._path, json.dumps(table, indent=2) + "\n")

    def _all(self) -> dict[str, dict[str, float]]:
        try:
            found = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):  # not yet there, or damaged: it is measured again
            return {}
        return found if isinstance(found, dict) else {}


def parts_of(recipe: RetrainRecipe, pace: PaceTable, work: float, clips_there: bool) -> tuple[dict[str, float], bool]:
    """Return the seconds that clips, samples and the end will take, and whether they were measured here."""
    known = pace.read(recipe.id)
    cores = max(1, os.cpu_count() or 1)
    slower = max(0.25, GUESSED_ON / cores)
    shipped = max(1.0, shipped_work(recipe))
    clips = known.get("clips", recipe.guess["clips"] * slower)
    each = known.get("work", recipe.guess[SAMPLES] * slower / shipped)
    finish = known.get("finish", recipe.guess["finish"] * slower)
    # Needles are drawn into the recordings of each training anew.
    there = clips_there and recipe.kind != "pretrain"
    return {"clips": 0.0 if there else clips, SAMPLES: each * work, "finish": finish}, "work" in known


def estimate_parts(parts: Mapping[str, float], measured: bool) -> Estimated:
    """Turn seconds into a range of minutes."""
    total = sum(parts.values()) / 60
    low, high = (LOW, HIGH) if measured else (GUESS_LOW, GUESS_HIGH)
    return Estimated(total * low, total * high, measured)


def samples_within(
    recipe: RetrainRecipe, pace: PaceTable, minutes: float, clips_there: bool, batch: int = 48
) -> int:
    """Return how many samples fit into a time.

    Raises
    ------
    UserError
        Not even a short training fits.
    """
    table = read_table(shipped_experiments()[recipe.experiment])
    whole = int(table["training"][SAMPLES])
    parts, _ = parts_of(recipe, pace, work_in(table), clips_there)
    left_s = minutes * 60 - parts["clips"] - parts["finish"]
    share = left_s / max(1e-6, parts[SAMPLES])
    if share < 0.1:
        least = (parts["clips"] + parts["finish"] + 0.1 * parts[SAMPLES]) / 60
        raise UserError(f"{minutes:g} minutes are too few for {recipe.title}; give it {least:.0f} or more.")
    return max(batch, int(whole * min(share, 1.0)) // batch * batch)


def measured_from(stages: Iterable[tuple[str, float]], work: float) -> dict[str, float]:
    """Return what a whole training took, from its stages in order with their seconds."""
    clips = samples = finish = 0.0
    trained = False
    for stage, seconds in stages:
        if stage == SAMPLES:
            trained = True
            samples += seconds
        elif trained:
            finish += seconds
        else:
            clips += seconds
    out = {"finish": finish} if finish else {}
    # Clips that were there already tell nothing of making them.
    out |= {"clips": clips} if clips > 5.0 else {}
    return out | ({"work": samples / work} if samples > 0 and work > 0 else {})
