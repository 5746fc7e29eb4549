"""The record of one attempt in a simulation (attempt.json): what happened when, and its figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from puncta.core.errors import UserError
from puncta.formats import schemas
from puncta.formats.jsontext import PX_DECIMALS, read_json, rounded, write_json

FORMAT, VERSION = "puncta-attempt", 1
EVENT_KINDS: tuple[str, ...] = (
    "contact", "enter", "pop", "target", "target-left", "hit", "through", "fired", "injected", "withdrawn", "done",
)
"""First skin contact, a kind of tissue entered, a layer given way, the target reached and left, something forbidden (or
bone) hit, the far wall gone through, the gun fired, fluid injected, the needle back outside, the end."""

PointMm = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class AttemptEvent:
    """Something that happened.

    Attributes
    ----------
    kind : str
        One of `EVENT_KINDS`.
    index, t_ns : int
        The frame that first contains it, and its time [ns].
    tissue : str or None
        Kind of tissue concerned, in small letters.
    bad : bool
        It should not have happened.
    tip_mm : (x, y, z) or None
        Tissue at the tip, where it lies at rest [mm].
    way_mm : float or None
        Needle past the skin [mm].
    ml : float or None
        Fluid injected without a break [ml].
    """

    kind: str
    index: int
    t_ns: int
    tissue: str | None = None
    bad: bool = False
    tip_mm: PointMm | None = None
    way_mm: float | None = None
    ml: float | None = None


@dataclass(frozen=True, slots=True)
class AttemptSummary:
    """Figures of an attempt; None where they mean nothing.

    Attributes
    ----------
    seconds, seconds_to_target : float or None
        From first skin contact to its end, and until the target was first reached [s].
    reached, end_in_target : bool
        The tip was in the target; it was there at the end.
    nearest_mm, end_distance_mm : float or None
        Smallest and last distance of the tip from the target's centre [mm].
    path_mm, deepest_mm : float
        Way of the tip through tissue, and longest piece of needle in it [mm].
    insertions, withdrawals, shots : int
        ``withdrawals`` counts turns back by 2 mm or more inside tissue too.
    hits : mapping
        Times that each forbidden kind of tissue, or bone, was hit.
    injected_ml : mapping
        Fluid by the kind of tissue it went into [ml].
    """

    seconds: float | None
    seconds_to_target: float | None
    reached: bool
    end_in_target: bool
    nearest_mm: float | None
    end_distance_mm: float | None
    path_mm: float
    deepest_mm: float
    insertions: int
    withdrawals: int
    shots: int
    hits: Mapping[str, int] = field(default_factory=dict)
    injected_ml: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """An attempt: where it took place, what happened, its figures.

    Attributes
    ----------
    stream : str
        Which picture it belongs to: the URI of a simulator or a file.
    target : str
    target_mm : (x, y, z)
        Its centre at rest [mm].
    radius_mm : float
    done : bool
        The trainee declared it finished.
    """

    stream: str
    procedure: str
    machine: str
    seed: int
    target: str
    target_mm: PointMm
    radius_mm: float
    done: bool
    events: tuple[AttemptEvent, ...]
    summary: AttemptSummary


def json_from_attempt(record: AttemptRecord) -> dict[str, Any]:
    """Return the document of a record; raises BugError on NaN."""

    def number(value: float | None, what: str) -> float | None:
        return None if value is None else rounded(value, PX_DECIMALS, what)

    def event(e: AttemptEvent) -> dict[str, Any]:
        return {"kind": e.kind, "index": e.index, "t_ns": e.t_ns, "tissue": e.tissue, "bad": e.bad,
                "tip_mm": None if e.tip_mm is None else [number(v, "tip_mm") for v in e.tip_mm],
                "way_mm": number(e.way_mm, "way_mm"), "ml": number(e.ml, "ml")}

    s = record.summary
    return {
        "format": FORMAT, "version": VERSION, "simulated": True, "stream": record.stream,
        "procedure": record.procedure, "machine": record.machine, "seed": record.seed,
        "target": {"name": record.target, "centre_mm": [number(v, "centre_mm") for v in record.target_mm],
                   "radius_mm": number(record.radius_mm, "radius_mm")},
        "done": record.done,
        "events": [event(e) for e in record.events],
        "summary": {
            "seconds": number(s.seconds, "seconds"), "seconds_to_target": number(s.seconds_to_target, "seconds"),
            "reached": s.reached, "end_in_target": s.end_in_target, "nearest_mm": number(s.nearest_mm, "nearest_mm"),
            "end_distance_mm": number(s.end_distance_mm, "end_distance_mm"), "path_mm": number(s.path_mm, "path_mm"),
            "deepest_mm": number(s.deepest_mm, "deepest_mm"), "insertions": s.insertions,
            "withdrawals": s.withdrawals, "shots": s.shots, "hits": {k: s.hits[k] for k in sorted(s.hits)},
            "injected_ml": {k: number(s.injected_ml[k], "ml") for k in sorted(s.injected_ml)},
        },
    }


def attempt_from_json(document: Any, place: str = "the attempt") -> AttemptRecord:
    """Return the record of a document.

    Raises
    ------
    UserError
        It is no record of an attempt.
    """
    problems = schemas.check("attempt", document)
    if problems:
        raise UserError(f"{place} does not fit: {problems[0]}.")
    target = document["target"]
    events = tuple(
        AttemptEvent(**{**e, "tip_mm": None if e["tip_mm"] is None else tuple(e["tip_mm"])})
        for e in document["events"]
    )
    return AttemptRecord(
        document["stream"], document["procedure"], document["machine"], document["seed"], target["name"],
        tuple(target["centre_mm"]), target["radius_mm"], document["done"], events,
        AttemptSummary(**document["summary"]),
    )


def write_attempt(path: Path, record: AttemptRecord) -> None:
    """Write a record; the file is whole or not there."""
    write_json(path, json_from_attempt(record))


def read_attempt(path: Path) -> AttemptRecord:
    """Read a record; raises UserError."""
    return attempt_from_json(read_json(path), str(path))
