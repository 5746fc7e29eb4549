"""What `evaluate --json` writes: metrics of one plugin and model on one split, each with its interval."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from puncta.core.errors import BugError, UserError
from puncta.formats import schemas
from puncta.formats.jsontext import read_json, rounded, write_json

VERSION = 1
METRIC_NAMES = (
    "tip_error_px", "tip_error_mm", "tip_error_mm_p95", "tip_within_2mm", "tip_within_3mm", "tip_ap50", "tip_ap10_50",
    "needle_ap50", "needle_ap70", "needle_iou", "angle_error_deg", "miss_rate", "false_alarm_rate", "abstain_rate",
    "unfamiliar_rate", "mask_iou", "mask_dice", "mask_precision", "mask_recall", "mask_f1", "mask_boundary_mm",
    "mask_miss_rate", "mask_vanished_iou", "mask_vanished_recall", "false_mask_rate", "out_of_plane_mask_rate",
    "start_delay_frames", "start_within_10", "flag_f1", "flag_accuracy", "flag_precision", "flag_recall",
    "flag_exact_match", "flag_jaccard", "flag_hamming", "flag_risk", "cannot_tell_rate", "flicker_per_min",
    "pointing_game", "ece", "coverage90", "ms_per_frame",
)
"""All names but those of single flags, in the order of the product page."""
FLAG_PREFIX = "flag_f1_"
"""The F1 of a flag by itself is named after the flag, as in `flag_f1_cord`; these names come last, in order."""
_FLAG_NAME = re.compile(r"flag_f1_[a-z][a-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure with its 95 % interval; None where nothing could be measured. ``n`` counts what it is computed from."""

    value: float | None
    low: float | None
    high: float | None
    n: int


class Figure(Protocol):
    """Anything with the four members of a metric; what `puncta.metrics` computes fits."""

    @property
    def value(self) -> float | None: ...
    @property
    def low(self) -> float | None: ...
    @property
    def high(self) -> float | None: ...
    @property
    def n(self) -> int: ...


Metrics = Mapping[str, Figure]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One evaluation.

    Attributes
    ----------
    model, model_sha256 : str or None
        None for a method without a model.
    data : str
        Name of the dataset, never a path of a machine.
    split : str or None
        None means all splits.
    prompt : str or None
        "first_mask" where the true mask of each clip's first frame with a needle was given to the plugin.
    """

    plugin: str
    model: str | None
    model_sha256: str | None
    data: str
    split: str | None
    frames: int
    metrics: Metrics
    per_machine: Mapping[str, Metrics] = field(default_factory=dict)
    per_difficulty: Mapping[str, Metrics] = field(default_factory=dict)
    prompt: str | None = None


def _json_from_metrics(metrics: Metrics) -> dict[str, Any]:
    def number(value: float | None, name: str) -> float | None:
        return None if value is None else rounded(value, 6, name)

    single = sorted(name for name in metrics if _FLAG_NAME.fullmatch(name))
    unknown = set(metrics) - set(METRIC_NAMES) - set(single)
    if unknown:
        raise BugError(f"{', '.join(sorted(unknown))} are no metric names of this format")
    ordered = [name for name in METRIC_NAMES if name in metrics] + single
    return {
        name: {"value": number(m.value, name), "low": number(m.low, name), "high": number(m.high, name), "n": int(m.n)}
        for name, m in ((name, metrics[name]) for name in ordered)
    }


def json_from_evaluation(evaluation: Evaluation) -> dict[str, Any]:
    """Return an evaluation as plain JSON values, metrics in the order of the product page; raises BugError on NaN."""
    machines, difficulties = evaluation.per_machine, evaluation.per_difficulty
    return {
        "version": VERSION,
        "plugin": evaluation.plugin,
        "model": evaluation.model,
        "model_sha256": evaluation.model_sha256,
        "data": evaluation.data,
        "split": evaluation.split,
        "frames": int(evaluation.frames),
        **({} if evaluation.prompt is None else {"prompt": evaluation.prompt}),
        "metrics": _json_from_metrics(evaluation.metrics),
        "per_machine": {k: _json_from_metrics(machines[k]) for k in sorted(machines)},
        "per_difficulty": {k: _json_from_metrics(difficulties[k]) for k in sorted(difficulties)},
    }


def write_evaluation(evaluation: Evaluation, path: Path) -> None:
    """Write `evaluate --json FILE`, whole or not at all."""
    write_json(path, json_from_evaluation(evaluation))


def evaluation_from_json(document: Any, place: str = "evaluation") -> Evaluation:
    """Return the typed evaluation of parsed JSON; raises UserError where it does not fit the schema."""
    problems = schemas.check("evaluation", document)
    if problems:
        raise UserError(f"{place}: {problems[0]}.")

    def metrics(group: Mapping[str, Any]) -> dict[str, Metric]:
        return {name: Metric(m["value"], m["low"], m["high"], m["n"]) for name, m in group.items()}

    d = document
    return Evaluation(
        d["plugin"], d["model"], d["model_sha256"], d["data"], d["split"], d["frames"], metrics(d["metrics"]),
        {name: metrics(group) for name, group in d["per_machine"].items()},
        {name: metrics(group) for name, group in d["per_difficulty"].items()},
        d.get("prompt"),
    )


def read_evaluation(path: Path) -> Evaluation:
    """Read and check an evaluation file; raises UserError."""
    return evaluation_from_json(read_json(path), str(path))
