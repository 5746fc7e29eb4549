"""Checks of formats that consist of several files or many lines: what belongs together has to fit together."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from puncta.core.errors import UserError
from puncta.formats import schemas
from puncta.formats.atomic import plain_os_error
from puncta.formats.coco_own import says_puncta
from puncta.formats.dataset import Dataset, dataset_file, dataset_from_json, is_plain_coco
from puncta.formats.dataset_checks import check_files, check_references, check_splits, machines_by_split
from puncta.formats.jsontext import parse_json, read_json
from puncta.formats.label_sets import find_label_set
from puncta.formats.results_lines import find_line_faults, read_json_lines
from puncta.formats.truth_pictures import read_flow_map, read_label_map

_CHUNK = 1 << 20
PACK_MANIFEST = "manifest.json"


@dataclass(slots=True)
class Findings:
    """Problems and notes while a check goes on; ``kind`` where the check found a closer one."""

    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    kind: str | None = None


def counted(number: int, thing: str) -> str:
    """Return a number with its thing: "1 gap", "2 gaps"."""
    return f"{number} {thing}{'' if number == 1 else 's'}"


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, read in parts; raises UserError where it cannot be read."""
    digest = hashlib.sha256()
    try:
        with Path(path).open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
    except OSError as error:
        raise plain_os_error(error, Path(path), "read") from error
    return digest.hexdigest()


def check_file(folder: Path, name: str, sha256: str | None, size: int | None, place: str) -> list[str]:
    path = folder / name
    if not path.is_file():
        return [f"{place}: {name} does not exist"]
    if size is not None and path.stat().st_size != size:
        return [f"{place}: {name} has {path.stat().st_size} bytes, not {size}"]
    if sha256 is not None and hash_file(path) != sha256:
        return [f"{place}: {name} has another hash; it was changed or damaged"]
    return []


def check_lines(kind: str, path: Path) -> Findings:
    """Check every line of a JSON-lines file; a line that is no JSON ends the check."""
    found = Findings()
    seen: dict[int, str] = {}
    count = 0
    try:
        for number, document in read_json_lines(path):
            count += 1
            problems = schemas.check(kind, document)
            found.problems += [f"line {number}: {problem}" for problem in problems]
            if not problems and kind == "results":
                found.problems += [f"line {number}: {fault}" for fault in find_line_faults(document)]
            if problems or "key" not in document:
                continue
            key = document["key"]
            if seen.setdefault(key["index"], key["sha256"]) != key["sha256"]:
                found.problems.append(f"line {number}: frame {key['index']} has another hash than in a line before")
    except UserError as error:
        found.problems.append(str(error).rstrip("."))
    if seen:
        frames = f"frames {min(seen)} to {max(seen)}" if len(seen) > 1 else f"frame {min(seen)}"
        found.notes.append(f"{counted(count, 'line')}, {frames}")
        if len(seen) < count and not found.problems:
            found.notes.append(f"{counted(count - len(seen), 'line')} for frames that already stood there")
    else:
        found.notes.append(counted(count, "line"))
    return found


def check_truth(path: Path) -> Findings:
    """Check a truth folder: the head, then the lines that it counts and hashes."""
    head_path = path / "truth.json" if path.is_dir() else path
    head = read_json(head_path)
    problems = schemas.check("truth", head)
    if problems:
        return Findings(problems)
    found = Findings(check_file(head_path.parent, head["lines"], head["lines_sha256"], None, "lines"))
    if found.problems:
        return found
    lines = check_lines("truth-line", head_path.parent / head["lines"])
    found.problems += [f"{head['lines']}, {problem}" for problem in lines.problems]
    if not lines.problems:
        count = 0
        for number, line in read_json_lines(head_path.parent / head["lines"]):
            count += 1
            for name in ("labels", "flow"):
                if line.get(name):
                    found.problems += _check_map(head, head_path.parent, line[name], f"line {number}: {name}")
        if count != head["frames"]:
            found.problems.append(f"frames: the head says {head['frames']}, {head['lines']} holds {count}")
    if head.get("contents"):
        found.notes.append(f"with {', '.join(head['contents'])}")
    found.notes += [*lines.notes, "simulated"]
    return found


def _check_map(head: Mapping[str, Any], folder: Path, entry: Mapping[str, str], place: str) -> list[str]:
    """Check a map of a truth folder: there, unchanged, readable, as large as the picture."""
    problems = check_file(folder, entry["file"], entry["sha256"], None, place)
    if problems:
        return problems
    try:
        read = read_label_map if place.endswith("labels") else read_flow_map
        height, width = read(folder / entry["file"]).shape[:2]
    except UserError as error:
        return [f"{place}: {str(error).rstrip('.')}"]
    if (width, height) != (head["width"], head["height"]):
        said = f"{head['width']} x {head['height']}"
        return [f"{place}: {entry['file']} has {width} x {height} pixels, not {said} as the head says"]
    return []


def check_dataset(path: Path) -> Findings:
    """Check a dataset folder or file: schema, references, splits, label set, pictures."""
    file = dataset_file(path)
    document = read_json(file)
    found = Findings()
    plain = isinstance(document, dict) and is_plain_coco(document) and bool(document.get("images"))
    own = plain and says_puncta(document)
    if plain:
        found.kind = "coco"
    if plain and not own:
        found.notes.append("plain COCO without review and labelled: every frame counts as confirmed")
    found.problems += schemas.check("coco" if plain else "dataset", document)
    if found.problems:
        return found
    dataset = dataset_from_json(document, file.name)
    if own:
        states = Counter(str(image.review) for image in dataset.images)
        listed = ", ".join(f"{count} {state}" for state, count in states.most_common())
        found.notes.append(f"COCO written by Puncta, which keeps what was confirmed: {listed}")
    found.problems += check_references(dataset) + check_splits(dataset)
    if not plain:
        _check_against_label_set(dataset, file.parent, found)
    problems, notes = check_files(dataset, file.parent)
    found.problems += problems
    frames, annotations = counted(len(dataset.images), "frame"), counted(len(dataset.annotations), "annotation")
    found.notes += [f"{frames}, {annotations}", *notes]
    machines = machines_by_split(dataset)
    for split in machines:
        shared = sorted(set(machines[split]) & set(machines.get("train", ()))) if split != "train" else []
        if shared:
            found.notes.append(f"train and {split} share the machines {', '.join(shared)}")
    if dataset.info.simulated:
        found.notes.append("simulated")
    return found


def _check_against_label_set(dataset: Dataset, folder: Path, found: Findings) -> None:
    try:
        label_set = find_label_set(dataset.info.label_set, folder)
    except UserError as error:
        found.problems.append(str(error).rstrip("."))
        return
    if label_set is None:
        found.notes.append(f"the label set '{dataset.info.label_set}' is not here, so names were not checked")
        return
    for n, category in enumerate(dataset.categories):
        if label_set.category(category.name) is None:
            found.problems.append(f"categories[{n}].name: '{category.name}' is not in the label set '{label_set.id}'")
    for n, image in enumerate(dataset.images):
        for name, value in image.flags.items():
            flag = label_set.flag(name)
            if flag is None:
                found.problems.append(f"images[{n}].flags: '{name}' is not in the label set '{label_set.id}'")
            elif value is not None and value > flag.highest:
                found.problems.append(f"images[{n}].flags.{name}: {value} is more than {flag.highest}")


def check_training(path: Path) -> Findings:
    """Check a training folder: head, files and their hashes, log."""
    head_path = path / "training.json" if path.is_dir() else path
    folder = head_path.parent
    d = read_json(head_path)
    found = Findings(schemas.check("training-folder", d))
    if found.problems:
        return found
    for name in ("weights", "onnx", "table"):
        entry = d["files"][name]
        if entry is not None:
            found.problems += check_file(folder, entry["path"], entry["sha256"], None, f"files.{name}")
    log = d["files"]["log"]
    if (folder / log).is_file():
        found.problems += [f"{log}, {problem}" for problem in check_lines("training-log", folder / log).problems]
    else:
        found.problems.append(f"files.log: {log} does not exist")
    parity = d.get("parity")
    if parity is not None and parity["max_abs"] > parity["tolerance"]:
        found.problems.append(f"parity: outputs differ by {parity['max_abs']}, more than {parity['tolerance']}")
    found.notes.append(f"state {d['state']}, {counted(d['samples'], 'sample')}")
    if d["simulated"]:
        found.notes.append("trained on simulated pictures")
    return found


def check_models(table: Mapping[str, Any], folder: Path) -> list[str]:
    """Check that each registered model's file has its hash, its card is there, and no model stands twice."""
    problems: list[str] = []
    seen: set[tuple[str, str]] = set()
    for n, model in enumerate(table.get("models", ())):
        place = f"models[{n}] ({model['id']} {model['version']})"
        if (model["id"], model["version"]) in seen:
            problems.append(f"{place}: stands twice")
        seen.add((model["id"], model["version"]))
        problems += check_file(folder, model["file"], model["sha256"], None, place)
        problems += check_file(folder, model["card"], None, None, place)
        for variant in model.get("variants", ()):
            problems += check_file(folder, variant["file"], variant["sha256"], None, place)
    return problems


def check_pack(archive: zipfile.ZipFile) -> list[str]:
    """Check a case pack: manifest, and that exactly the files it lists are there, with size and hash."""
    entries = {entry.filename: entry for entry in archive.infolist() if not entry.is_dir()}
    unsafe = [name for name in entries if _is_unsafe(name)]
    if unsafe:
        return [f"'{unsafe[0]}' points outside the pack"]
    if PACK_MANIFEST not in entries:
        return [f"{PACK_MANIFEST} is missing"]
    try:
        manifest = parse_json(archive.read(PACK_MANIFEST).decode("utf-8"), PACK_MANIFEST)
    except (UserError, UnicodeDecodeError) as error:
        return [f"{PACK_MANIFEST} cannot be read: {error}"]
    problems = schemas.check("case-pack", manifest)
    if problems:
        return [f"{PACK_MANIFEST}, {problem}" for problem in problems]
    for n, item in enumerate(manifest["contents"]):
        problems += _check_packed(archive, entries.get(item["path"]), item, f"contents[{n}]")
    listed = {item["path"] for item in manifest["contents"]} | {PACK_MANIFEST}
    problems += [f"'{name}' is in the pack but not in its manifest" for name in sorted(set(entries) - listed)]
    return problems


def _is_unsafe(name: str) -> bool:
    return "\\" in name or ":" in name or name.startswith("/") or ".." in PurePosixPath(name).parts


def _check_packed(archive: zipfile.ZipFile, entry: zipfile.ZipInfo | None, item: Mapping[str, Any],
                  place: str) -> Sequence[str]:
    if entry is None:
        return [f"{place}: {item['path']} is missing"]
    # The stated size bounds what is unpacked, so a crafted archive cannot fill the memory.
    if entry.file_size != item["bytes"]:
        return [f"{place}: {item['path']} has {entry.file_size} bytes, not {item['bytes']}"]
    digest = hashlib.sha256()
    try:
        with archive.open(entry) as stream:
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, zlib.error) as error:
        return [f"{place}: {item['path']} cannot be unpacked ({error})"]
    return [] if digest.hexdigest() == item["sha256"] else [f"{place}: {item['path']} has another hash"]
