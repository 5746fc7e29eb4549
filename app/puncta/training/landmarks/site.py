"""Adapts the infant landmarks to a site's machine, and tells what that did to every machine at hand.

`adapt_to_site` is what `puncta train lp_site` runs, for a caller with a dataset of its own (the program's Models mode).
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from puncta.core.errors import UserError
from puncta.formats.dataset import load_dataset, usable_images
from puncta.formats.experiment_files import read_table
from puncta.metrics.intervals import SEED, Estimate, paired_difference
from puncta.training.experiment import experiment_from, find_experiment
from puncta.training.landmarks.data import FLAGS
from puncta.training.landmarks.export import LOGITS
from puncta.training.landmarks.quantise import answers_of
from puncta.training.landmarks.run import train_landmarks
from puncta.training.landmarks.study_data import frames_of_dataset
from puncta.training.landmarks.study_run import save_answers
from puncta.training.landmarks.study_table import Judged, judge
from puncta.training.parity import open_exported
from puncta.training.run import Tell

EXPERIMENT = "lp_site"
LEAST_FRAMES = 32
"""Labelled frames below which adapting is refused: it would learn those by heart."""
F1 = "flag_f1"


def adapt_to_site(
    dataset: Path, start_from: Path, out: Path, *, cache: Path | None = None, resume: bool = False,
    tell: Tell | None = None,
) -> Path:
    """Adapt a finished network to the frames of a dataset's split "train"; return the path of the training's head.

    Parameters
    ----------
    dataset : Path
        Dataset v1 folder with the three flags.
    start_from : Path
        Folder of the finished training to start from, for example ``models/runs/lp-landmarks-0.1.1``.
    out : Path
        Training folder to make.
    tell : callable or None
        Called with a `puncta.training.run.Progress` again and again.

    Raises
    ------
    UserError
        The dataset has too few labelled frames, or one of the folders is not what it should be.
    """
    count = sum(all(i.flags.get(n) is not None for n in FLAGS) for i in usable_images(load_dataset(dataset), "train"))
    if count < LEAST_FRAMES:
        raise UserError(f"The dataset {dataset.name} has {count} frames with all three flags in its split train; label "
                        f"{LEAST_FRAMES} or more before adapting.")
    table = read_table(find_experiment(EXPERIMENT))
    table["data"] = {**table["data"], "datasets": [dataset.name]}
    return train_landmarks(
        experiment_from(table, EXPERIMENT), out, data_root=dataset.parent, cache=cache, resume=resume,
        start_from=start_from, tell=tell,
    )


@dataclass(frozen=True, slots=True)
class MachineRow:
    """F1 of one machine's frames by each model, and by how much the adapted one differs from the one before."""

    machine: str
    clips: int
    frames: int
    f1: Mapping[str, Estimate]
    change: Estimate


def compare_by_machine(
    graphs: Mapping[str, Path], sets: Sequence[tuple[Path, str]], resamples: int = 2000
) -> list[MachineRow]:
    """Judge graphs on the frames of datasets, each frame by itself, machine by machine.

    Parameters
    ----------
    graphs : mapping of str to Path
        The first is the model before, the second the adapted one; others are further models.
    sets : sequence of (folder, split)

    Raises
    ------
    UserError
        A dataset has no frame of its split with the flags.
    """
    before, after = list(graphs)[:2]
    rows = []
    with tempfile.TemporaryDirectory(prefix="puncta-site-") as folder:
        for path, split in sets:
            frames = frames_of_dataset(path, split, _size_of(graphs[before]))
            machines = np.array(frames.machine)
            judged: dict[str, dict[str, Judged]] = {}
            for name, graph in graphs.items():
                logits = answers_of(open_exported(graph), list(frames.pictures))[LOGITS]
                for machine in sorted(set(frames.machine)):
                    mine = np.flatnonzero(machines == machine)
                    kept = Path(folder) / f"{name}-{machine}.npz"
                    save_answers(kept, frames.take(mine), logits[mine])
                    judged.setdefault(machine, {})[name] = judge(kept, resamples, SEED)
            rows += [_row(machine, by_model, before, after) for machine, by_model in judged.items()]
    return rows


def _size_of(graph: Path) -> int:
    return int(open_exported(graph).inputs[0].shape[-1])


def _row(machine: str, judged: Mapping[str, Judged], before: str, after: str) -> MachineRow:
    old, new = judged[before], judged[after]
    change = paired_difference(new.statistics[F1], old.statistics[F1], old.weights)
    return MachineRow(machine, old.clips, old.frames, {n: j.figure(F1) for n, j in judged.items()}, change)


def closed_share(row: MachineRow, before: str, after: str, full: str) -> float | None:
    """Share of the distance between the model before and one trained on all of the machine that adapting closed."""
    low, high, now = (row.f1[name].value for name in (before, full, after))
    if low is None or high is None or now is None or high <= low:
        return None
    return (now - low) / (high - low)


def as_markdown(rows: Sequence[MachineRow]) -> str:
    """Return the rows as a table; figures in percent, 95 % intervals over clips."""
    names = list(rows[0].f1)
    lines = ["| machine | clips | frames | " + " | ".join(f"F1 {n} [%]" for n in names) + " | change [points] |",
             "| --- |" + " --- |" * (len(names) + 3)]
    for row in rows:
        cells = [_told(row.f1[n]) for n in names]
        head = [row.machine, str(row.clips), str(row.frames)]
        lines.append("| " + " | ".join([*head, *cells, _told(row.change)]) + " |")
    return "\n".join(lines) + "\n"


def _told(found: Estimate) -> str:
    if found.value is None:
        return "none"
    if found.low is None or found.high is None:
        return f"{100 * found.value:.1f}"
    return f"{100 * found.value:.1f} [{100 * found.low:.1f} .. {100 * found.high:.1f}]"
