"""results.jsonl: one canonical line a frame, from typed results and back.

A line holds `key{index,pts_ns,sha256}`, `outputs{plugin: [typed results]}`, `flags` and, unless left out, `timings_ns`.
Where a plugin runs on every n-th frame only, `carried{plugin: index}` names the frame its results were computed from.
Where somebody chose a target in Live, `target` says where it is on this frame.
Members stand in one fixed order and numbers are rounded (pixels and degrees to 3 decimals, scores to 4), so that two
runs that compute the same write the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from puncta.core.errors import BugError, UserError
from puncta.core.flags import Flag
from puncta.core.frame import FrameKey
from puncta.core.results import (
    Analysis,
    Certainty,
    ClassResult,
    Detection,
    HeatMap,
    Line,
    MaskResult,
    Measure,
    Point,
    Result,
)
from puncta.core.target import TargetFix, TargetLoss
from puncta.formats import schemas
from puncta.formats.atomic import AtomicFile, plain_os_error
from puncta.formats.jsontext import PX_DECIMALS, SCORE_DECIMALS, json_line, parse_json, rounded
from puncta.formats.rle import mask_from_rle, rle_from_mask

HEAT_DECIMALS = 2
"""A heat map is a picture for the eye; two decimals keep its lines short."""


def _px(values: tuple[float, ...] | None, what: str) -> list[float] | None:
    return None if values is None else [rounded(v, PX_DECIMALS, what) for v in values]


def _number(value: float | None, what: str) -> float | None:
    return None if value is None else rounded(value, PX_DECIMALS, what)


def _share(value: float, what: str) -> float:
    share = rounded(value, SCORE_DECIMALS, what)
    if not 0.0 <= share <= 1.0:
        raise BugError(f"{what} is {share}; it has to lie in 0..1")
    return share


def _heat(value: float, what: str) -> float:
    share = rounded(float(value), HEAT_DECIMALS, what)
    if not 0.0 <= share <= 1.0:
        raise BugError(f"a value of {what} is {share}; it has to lie in 0..1")
    return share


def _reason(result: Result, lost: bool) -> str | None:
    if lost and not result.reason:
        raise BugError(f"{result.type} '{result.label}' is None without a reason")
    return result.reason


def json_from_result(result: Result) -> dict[str, Any]:
    """Return a typed result as plain JSON values, members in the order of the format.

    Raises
    ------
    BugError
        A number is NaN or infinite, a score lies outside 0..1, or a lost result has no reason.
    """
    head: dict[str, Any] = {"type": result.type, "label": result.label}
    what = f"{result.type} '{result.label}'"
    body: dict[str, Any]
    match result:
        case Point():
            body = {"point_px": _px(result.point_px, what), "score": _share(result.score, f"score of {what}")}
            lost = result.point_px is None
        case Line():
            body = {
                "entry_px": _px(result.entry_px, what),
                "tip_px": _px(result.tip_px, what),
                "score": _share(result.score, f"score of {what}"),
                "angle_deg": _number(result.angle_deg, what),
                "sigma_deg": _number(result.sigma_deg, what),
            }
            lost = result.tip_px is None
        case Detection():
            body = {
                "box": _px(result.box, what),
                "tip_px": _px(result.tip_px, what),
                "score": _share(result.score, f"score of {what}"),
                "radius90_px": _number(result.radius90_px, what),
                "certainty": str(result.certainty),
                "predicted": bool(result.predicted),
            }
            lost = result.box is None
        case MaskResult():
            body = {
                "mask": None if result.mask is None else rle_from_mask(result.mask),
                "origin_px": [int(result.origin_px[0]), int(result.origin_px[1])],
                "score": _share(result.score, f"score of {what}"),
                "certainty": str(result.certainty),
            }
            lost = result.mask is None
        case ClassResult():
            body = {
                "value": None if result.value is None else bool(result.value),
                "probability": _share(result.probability, f"probability of {what}"),
            }
            lost = result.value is None
        case HeatMap():
            values = None if result.values is None else np.asarray(result.values, dtype=np.float64)
            body = {
                "box": _px(result.box_px, what),
                "size": None if values is None else [int(values.shape[0]), int(values.shape[1])],
                "values": None if values is None else [_heat(v, what) for v in values.ravel()],
            }
            lost = values is None
        case Measure():
            body = {
                "value": _number(result.value, what),
                "doubt": _number(result.doubt, what),
                "unit": result.unit,
                "basis": result.basis,
            }
            lost = result.value is None
        case _:
            raise BugError(f"{type(result).__name__} is not a typed result")
    return {**head, **body, "reason": _reason(result, lost)}


def result_from_json(document: Mapping[str, Any]) -> Result:
    """Return the typed result of a checked JSON object (see schema "results")."""
    d = dict(document)
    kind, label, reason = d["type"], d["label"], d["reason"]
    match kind:
        case "point":
            return Point(label, _tuple(d["point_px"]), d["score"], reason)
        case "line":
            return Line(
                label, _tuple(d["entry_px"]), _tuple(d["tip_px"]), d["score"], d["angle_deg"], d["sigma_deg"], reason
            )
        case "detection":
            return Detection(
                label,
                _tuple(d["box"]),
                _tuple(d["tip_px"]),
                d["score"],
                d["radius90_px"],
                Certainty(d["certainty"]),
                d["predicted"],
                reason,
            )
        case "mask":
            mask = None if d["mask"] is None else mask_from_rle(d["mask"])
            origin = (int(d["origin_px"][0]), int(d["origin_px"][1]))
            return MaskResult(label, mask, origin, d["score"], Certainty(d["certainty"]), reason)
        case "class":
            return ClassResult(label, d["value"], d["probability"], reason)
        case "heatmap":
            box = _tuple(d["box"])
            if d["values"] is None:
                return HeatMap(label, None, box, reason)
            height, width = (int(v) for v in d["size"])
            if height * width != len(d["values"]):
                raise UserError(f"A heat map of {height} x {width} cells holds {len(d['values'])} values.")
            return HeatMap(label, np.array(d["values"], np.float32).reshape(height, width), box, reason)
        case "measure":
            return Measure(label, d["value"], d["unit"], d["doubt"], d["basis"], reason)
    raise UserError(f"'{kind}' is not a type of result that this version knows.")


def _tuple(values: list[float] | None) -> Any:
    return None if values is None else tuple(float(v) for v in values)


@dataclass(frozen=True, slots=True)
class ResultLine:
    """One line of results.jsonl.

    Attributes
    ----------
    key : FrameKey
        Its ``stream`` is not stored in the line; a reader fills in what it was told.
    outputs : mapping of plugin id to tuple of results
    timings_ns : mapping of str to int, or None
        Named stages and their duration [ns]; None where they were left out.
    carried : mapping of plugin id to int
        Index of the frame that a plugin's results were computed from, where it is not this one.
    target : TargetFix or None
        The target on this frame; None where none was chosen.
    """

    key: FrameKey
    outputs: Mapping[str, tuple[Result, ...]]
    flags: frozenset[Flag] = frozenset()
    timings_ns: Mapping[str, int] | None = field(default=None)
    carried: Mapping[str, int] = field(default_factory=dict)
    target: TargetFix | None = None


def line_from_analysis(analysis: Analysis, timings: bool = True) -> ResultLine:
    """Return the line of an analysed frame: the frame's hashed key, all outputs, the flags of frame and outputs.

    Without timings the flag OVER_BUDGET goes too: it is a timing, and two runs may differ in it.
    """
    flags = analysis.flags.union(*(output.flags for output in analysis.outputs))
    if not timings:
        flags = flags - {Flag.OVER_BUDGET}
    return ResultLine(
        key=analysis.frame.hashed_key(),
        outputs={output.plugin_id: output.results for output in analysis.outputs},
        flags=frozenset(flags),
        timings_ns=dict(analysis.timings_ns) if timings else None,
        carried={
            output.plugin_id: output.frame_key.index
            for output in analysis.outputs
            if output.frame_key is not None and output.frame_id != analysis.frame.frame_id
        },
        target=analysis.target,
    )


def json_from_line(line: ResultLine) -> dict[str, Any]:
    """Return a line as plain JSON values; plugins and flags in alphabetical order.

    Raises
    ------
    BugError
        The key has no hash, or a result does not fit the format.
    """
    if line.key.sha256 is None:
        raise BugError(f"frame {line.key.index} has no hash; results store it")
    document: dict[str, Any] = {
        "key": {"index": int(line.key.index), "pts_ns": int(line.key.pts_ns), "sha256": line.key.sha256},
        "outputs": {name: [json_from_result(r) for r in line.outputs[name]] for name in sorted(line.outputs)},
        "flags": sorted(str(flag) for flag in line.flags),
    }
    if line.carried:
        document["carried"] = {name: int(line.carried[name]) for name in sorted(line.carried)}
    if line.target is not None:
        document["target"] = _json_from_target(line.target)
    if line.timings_ns is not None:
        document["timings_ns"] = {name: int(line.timings_ns[name]) for name in sorted(line.timings_ns)}
    return document


def _json_from_target(fix: TargetFix) -> dict[str, Any]:
    lost = fix.point_px is None
    path = {} if lost or fix.entry_px is None else {"entry_px": _px(fix.entry_px, "path's entry")}
    return {
        "point_px": _px(fix.point_px, "target"),
        "doubt_px": rounded(fix.doubt_px, PX_DECIMALS, "doubt of the target"),
        "true": bool(fix.true),
        "reason": str(fix.loss or TargetLoss.SOURCE) if lost else None,
        **path,
    }


def target_from_json(document: Mapping[str, Any] | None) -> TargetFix | None:
    """Return the target of a checked line's member `target`; None where the line has none."""
    if document is None:
        return None
    loss, entry_px = TargetLoss(document["reason"] or ""), _tuple(document.get("entry_px"))
    return TargetFix(_tuple(document["point_px"]), float(document["doubt_px"]), loss, bool(document["true"]), entry_px)


def text_from_line(line: ResultLine) -> str:
    """Return the canonical text of a line, with its newline."""
    return json_line(json_from_line(line)) + "\n"


def line_from_json(document: Mapping[str, Any], stream: str = "") -> ResultLine:
    """Return the typed line of a checked JSON object."""
    key = document["key"]
    return ResultLine(
        key=FrameKey(stream, key["index"], key["pts_ns"], key["sha256"]),
        outputs={name: tuple(result_from_json(r) for r in found) for name, found in document["outputs"].items()},
        flags=frozenset(Flag(flag) for flag in document["flags"]),
        timings_ns=document.get("timings_ns"),
        carried=document.get("carried", {}),
        target=target_from_json(document.get("target")),
    )


def find_line_faults(document: Mapping[str, Any]) -> list[str]:
    """Return what its schema cannot see: cells that do not fit their size, a wrong carried frame."""
    faults: list[str] = []
    for name, results in document["outputs"].items():
        for number, result in enumerate(results):
            if result["type"] != "heatmap":
                continue
            if (result["values"] is None) != (result["size"] is None):
                faults.append(f"outputs.{name}[{number}]: size and values must both be there, or neither")
            elif result["values"] is not None and result["size"][0] * result["size"][1] != len(result["values"]):
                height, width = result["size"]
                faults.append(
                    f"outputs.{name}[{number}]: {height} x {width} cells want {height * width} values, "
                    f"not {len(result['values'])}"
                )
    target = document.get("target")
    if target is not None and target["point_px"] is None and "entry_px" in target:
        faults.append("target.entry_px: a path leads to a target, and this one is lost; leave it out")
    for name, index in document.get("carried", {}).items():
        if name not in document["outputs"]:
            faults.append(f"carried.{name}: there are no outputs of this plugin on the line")
        elif index == document["key"]["index"]:
            faults.append(f"carried.{name}: it names the line's own frame; leave it out")
    return faults


class ResultsWriter:
    """Writes results.jsonl under a temporary name and puts it in place at `close`. An `AnalysisSink`.

    Parameters
    ----------
    path : Path
    timings : bool
        False leaves `timings_ns` out, so that two runs are byte-identical.
    """

    def __init__(self, path: Path, timings: bool = True) -> None:
        self._file = AtomicFile(Path(path))
        self._timings = timings
        self.lines = 0

    def put(self, analysis: Analysis) -> None:
        """Append one analysed frame."""
        self.put_line(line_from_analysis(analysis, self._timings))

    def put_line(self, line: ResultLine) -> None:
        """Append one line."""
        self._file.write(text_from_line(line))
        self.lines += 1

    def finish(self) -> None:
        """Bring everything to the disk, still under the temporary name; what can fail, fails here."""
        self._file.finish()

    def close(self) -> None:
        """Put the file in its place. A second call does nothing."""
        self._file.commit()

    def discard(self) -> None:
        """Give up: leave no file behind. `close` does nothing afterwards."""
        self._file.discard()

    def __enter__(self) -> ResultsWriter:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()


def read_results(path: Path, stream: str = "") -> Iterator[ResultLine]:
    """Yield the lines of a results file, each checked against the schema.

    Parameters
    ----------
    stream : str
        Goes into the keys, since a line does not store it.

    Raises
    ------
    UserError
        The file cannot be read, or a line does not fit; the sentence names file, line and place.
    """
    for number, document in read_json_lines(path):
        problems = schemas.check("results", document)
        if problems:
            raise UserError(f"{path}, line {number}: {problems[0]}.")
        yield line_from_json(document, stream)


def read_json_lines(path: Path) -> Iterator[tuple[int, Any]]:
    """Yield (line number from 1, parsed line) of a JSON-lines file without holding it whole; raises UserError."""
    try:
        with Path(path).open(encoding="utf-8") as stream:
            for number, text in enumerate(stream, start=1):
                if text.strip():
                    yield number, parse_json(text, f"{path}, line {number},")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text.") from error
    except OSError as error:
        raise plain_os_error(error, Path(path), "read") from error
