"""Recognises a file or folder of any of our formats and checks it: the work behind `puncta doctor FILE`."""

from __future__ import annotations

import tomllib
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from puncta.core.errors import UserError
from puncta.formats import schemas, validate_folders, validate_session
from puncta.formats.atomic import read_text
from puncta.formats.dataset import COCO_FILE
from puncta.formats.dataset_specs import check_dataset_spec
from puncta.formats.experiment_files import read_table
from puncta.formats.exports import WRITTEN_ONLY, kind_of_labels
from puncta.formats.jsontext import parse_json, read_json
from puncta.formats.label_sets import doubled_entries
from puncta.formats.moves import check_moves
from puncta.formats.validate_folders import Findings, check_lines

MOST_PROBLEMS = 50
"""A report lists no more problems than this; a note counts the others."""

UNFINISHED_FILE = ".build.json"
"""Stands in a dataset's folder until its build is finished."""

_NAMES = {
    "dataset.json": "dataset",
    "session.json": "session",
    "training.json": "training-folder",
    "truth.json": "truth",
    "truth.jsonl": "truth-line",
    "events.jsonl": "session-event",
    "plugin.toml": "plugin-manifest",
    "registry.toml": "model-registry",
    "label-set.json": "label-set",
    "moves.toml": "moves",
    "attempt.json": "attempt",
    "promoted.json": "promotions",
}
_FOLDER_HEADS = ("dataset.json", "session.json", "training.json", "truth.json", "plugin.toml", "registry.toml")
_FORMATS = {
    "puncta-label-set": "label-set",
    "puncta-truth": "truth",
    "puncta-session": "session",
    "puncta-training": "training-folder",
    "puncta-bench": "bench",
    "puncta-attempt": "attempt",
    "puncta-moves": "moves",
    "puncta-comparison": "comparison",
    "puncta-promotions": "promotions",
}
_LINE_KINDS = {
    "results": {"key", "outputs"},
    "truth-line": {"key", "needle"},
    "session-event": {"type", "t_ns", "after_index"},
    "training-log": {"step", "samples"},
    "progress": {"task", "state"},
}
_JSON_KINDS = {
    "dataset": {"images", "annotations", "categories"},
    "evaluation": {"plugin", "metrics", "frames"},
    "frame-key": {"stream", "index", "pts_ns"},
}
_TOML_KINDS = {
    "plugin-manifest": {"id", "api"},
    "experiment": {"plugin", "data", "training"},
    "study-mask": {"kind", "starter", "runs", "sets"},
    "study-flags": {"kind", "model", "training", "runs", "sets"},
    "study": {"runs", "sets"},
    "model-registry": {"models"},
    "dataset-spec": {"name", "part"},
}
TITLES = {
    "results": "results",
    "dataset": "dataset",
    "coco": "plain COCO file",
    "dataset-spec": "dataset spec",
    "label-set": "label set",
    "truth": "truth of a simulated case",
    "truth-line": "truth of a simulated case",
    "session": "session",
    "session-event": "events of a session",
    "experiment": "experiment",
    "study": "study",
    "study-mask": "study of trackers",
    "study-flags": "study of flags",
    "training-folder": "training folder",
    "training-log": "training log",
    "progress": "progress lines",
    "evaluation": "evaluation",
    "plugin-manifest": "plugin manifest",
    "model-registry": "model registry",
    "promotions": "promoted models",
    "comparison": "comparison of two models",
    "bench": "bench figures",
    "moves": "script of moves",
    "attempt": "record of an attempt",
    "case-pack": "case pack",
    "frame-key": "frame key",
}
"""What a screen calls each kind."""


@dataclass(frozen=True, slots=True)
class Report:
    """What `validate` found.

    Attributes
    ----------
    kind : str
        Name of the schema that was applied.
    problems : tuple of str
        What does not fit, one plain sentence each, with its place; empty means that the file is sound.
    notes : tuple of str
        Facts worth knowing that are no problem.
    """

    kind: str
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """True where nothing is wrong."""
        return not self.problems


def identify(path: Path) -> str | None:
    """Return the kind of a file or folder, the name of its schema; None where it is none of our formats.

    Raises
    ------
    UserError
        Nothing is there, or it cannot be read.
    """
    path = Path(path)
    if path.is_dir():
        named = next((_NAMES[name] for name in _FOLDER_HEADS if (path / name).is_file()), None)
        return identify(path / COCO_FILE) if named is None and (path / COCO_FILE).is_file() else named
    if not path.exists():
        raise UserError(f"{path} does not exist.")
    if path.name in _NAMES:
        return _NAMES[path.name]
    suffix = path.suffix.lower()
    if suffix == ".puncta":
        return "case-pack"
    if suffix == ".jsonl":
        return _kind_of_members(_first_line(path), _LINE_KINDS)
    if suffix == ".toml":
        table = read_toml(path)
        # One that extends another may leave out every member by which an experiment is known.
        if "extends" in table:
            return "experiment"
        return _FORMATS.get(str(table.get("format"))) or _kind_of_members(table, _TOML_KINDS)
    if suffix == ".json":
        document = read_json(path)
        named = _FORMATS.get(str(document.get("format"))) if isinstance(document, dict) else None
        return named or _kind_of_members(document, _JSON_KINDS)
    return None


def _kind_of_members(document: Any, kinds: dict[str, set[str]]) -> str | None:
    if not isinstance(document, dict):
        return None
    return next((kind for kind, members in kinds.items() if members <= set(document)), None)


def _first_line(path: Path) -> Any:
    for line in read_text(path).splitlines():
        if line.strip():
            return parse_json(line, f"{path}, line 1,")
    raise UserError(f"{path} is empty.")


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises
    ------
    UserError
        It cannot be read or is not TOML.
    """
    try:
        return tomllib.loads(read_text(path))
    except tomllib.TOMLDecodeError as error:
        text = str(error)
        raise UserError(f"{path} is not TOML: {text[:1].lower() + text[1:]}.") from error


def validate(path: Path) -> Report:
    """Check a file or folder of any of our formats.

    Raises
    ------
    UserError
        Nothing is there, it cannot be read at all, or it is none of our formats.
    """
    path = Path(path)
    if path.is_dir() and (path / UNFINISHED_FILE).is_file():
        return Report("dataset", ("its build is not finished; run the same 'puncta dataset build' again to finish it",))
    kind = identify(path)
    if kind is None:
        written = kind_of_labels(path) if path.is_dir() else None
        if written in WRITTEN_ONLY:
            raise UserError(
                f"{path} is an export as {written}, which Puncta writes for other programs and does not check; "
                "check the dataset or the COCO export of these labels."
            )
        if path.is_dir():
            raise UserError(
                f"{path} is no folder that Puncta checks: no session, dataset, COCO export, truth, training, plugin or "
                "models folder; name the files in it to check those."
            )
        if path.stat().st_size == 0:
            raise UserError(f"{path} is empty.")
        raise UserError(f"{path} is none of the formats that Puncta checks: {', '.join(sorted(set(TITLES.values())))}.")
    found = _CHECKS[kind](path)
    problems = tuple(found.problems)
    notes = list(found.notes)
    if len(problems) > MOST_PROBLEMS:
        notes.append(f"{len(problems) - MOST_PROBLEMS} more problems are not listed")
    return Report(found.kind or kind, problems[:MOST_PROBLEMS], tuple(notes))


def _json_check(kind: str) -> Callable[[Path], Findings]:
    def check(path: Path) -> Findings:
        return Findings(schemas.check(kind, read_json(path)))

    return check


def _line_check(kind: str) -> Callable[[Path], Findings]:
    def check(path: Path) -> Findings:
        return check_lines(kind, path)

    return check


def _check_label_set(path: Path) -> Findings:
    document = read_json(path)
    return Findings(schemas.check("label-set", document) or doubled_entries(document))


def _check_plugin(path: Path) -> Findings:
    file = path / "plugin.toml" if path.is_dir() else path
    table = read_toml(file)
    problems = schemas.check("plugin-manifest", table)
    if not problems:
        module = str(table.get("entry", "plugin:create")).partition(":")[0]
        if not (file.parent / f"{module}.py").is_file() and not (file.parent / module / "__init__.py").is_file():
            problems.append(f"entry: there is no {module}.py beside the manifest")
    return Findings(problems)


def _check_registry(path: Path) -> Findings:
    file = path / "registry.toml" if path.is_dir() else path
    table = read_toml(file)
    problems = schemas.check("model-registry", table)
    return Findings(problems) if problems else Findings(validate_folders.check_models(table, file.parent))


def _check_promotions(path: Path) -> Findings:
    document = read_json(path)
    problems = schemas.check("promotions", document)
    if problems:
        return Findings(problems)
    used = [f"{plugin} uses {kept[-1]['model']}" for plugin, kept in sorted(document["plugins"].items()) if kept]
    return Findings([], used or ["nothing is promoted"])


def _check_dataset_spec(path: Path) -> Findings:
    return Findings(check_dataset_spec(read_toml(path)))


def _check_experiment(path: Path) -> Findings:
    """The experiment with all that it takes over from the one it extends."""
    try:
        table = read_table(path)
    except UserError as error:
        return Findings([str(error)])
    return Findings(schemas.check("experiment", table))


def _check_study(path: Path) -> Findings:
    """The study, the experiments it names, and its claims' names of sets."""
    table = read_toml(path)
    problems = schemas.check("study", table)
    if not problems:
        problems += [f"runs: there is no {name} beside the study" for name in table["runs"]
                     if not (path.parent / name).is_file()]
        sets = {s["name"] for s in table["sets"]}
        named = [claim[k] for claim in table.get("claims", ()) for k in ("set", "beyond") if k in claim]
        problems += [f"claims: there is no set '{name}'" for name in dict.fromkeys(named) if name not in sets]
    return Findings(problems)


def _check_mask_study(path: Path) -> Findings:
    return Findings(schemas.check("study-mask", read_toml(path)))


def _check_flag_study(path: Path) -> Findings:
    return Findings(schemas.check("study-flags", read_toml(path)))


def _check_script(path: Path) -> Findings:
    return Findings(check_moves(read_toml(path)))


def _check_pack(path: Path) -> Findings:
    try:
        with zipfile.ZipFile(path) as archive:
            return Findings(validate_folders.check_pack(archive))
    except (zipfile.BadZipFile, OSError) as error:
        raise UserError(f"{path} is not a case pack: it is not a readable zip file.") from error


_CHECKS: dict[str, Callable[[Path], Findings]] = {
    "results": _line_check("results"),
    "training-log": _line_check("training-log"),
    "progress": _line_check("progress"),
    "truth": validate_folders.check_truth,
    "truth-line": _line_check("truth-line"),
    "dataset": validate_folders.check_dataset,
    "session": validate_session.check_session,
    "session-event": _line_check("session-event"),
    "training-folder": validate_folders.check_training,
    "label-set": _check_label_set,
    "evaluation": _json_check("evaluation"),
    "frame-key": _json_check("frame-key"),
    "comparison": _json_check("comparison"),
    "bench": _json_check("bench"),
    "attempt": _json_check("attempt"),
    "moves": _check_script,
    "experiment": _check_experiment,
    "study": _check_study,
    "study-mask": _check_mask_study,
    "study-flags": _check_flag_study,
    "plugin-manifest": _check_plugin,
    "model-registry": _check_registry,
    "promotions": _check_promotions,
    "dataset-spec": _check_dataset_spec,
    "case-pack": _check_pack,
}
