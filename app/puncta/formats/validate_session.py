"""Checks a session folder: manifest, frames, results and events fit together, and every frame is accounted for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from puncta.core.errors import UserError
from puncta.formats import schemas
from puncta.formats.frames_log import FramesIndex, read_index
from puncta.formats.jsontext import read_json
from puncta.formats.session import open_session
from puncta.formats.validate_folders import Findings, check_file, check_lines, counted

FRAME_CODECS = ("magicyuv", "raw")


def check_session(path: Path) -> Findings:
    """Check a session folder: manifest, every file's size and hash, frames, results, and that all refers to streams.

    Nothing is written: a recording that never closed is checked as it would be put right on opening.
    """
    manifest_path = path / "session.json" if path.is_dir() else path
    folder = manifest_path.parent
    d = read_json(manifest_path)
    found = Findings(schemas.check("session", d))
    if found.problems:
        return found
    unfinished = not d["closed"] and not d.get("repaired")
    if unfinished:
        try:
            session = open_session(folder, repair=False)
        except UserError as error:
            return Findings([str(error).rstrip(".")])
        d = {**session.manifest, "files": []}
        found.notes.append(session.notes[0] if session.notes else "the recording is still under way")
    for n, entry in enumerate(d["files"]):
        found.problems += check_file(folder, entry["path"], entry["sha256"], entry["bytes"], f"files[{n}]")
    listed = {entry["path"] for entry in d["files"]}
    if not unfinished:
        _check_listed(d, folder, listed, found)
    ids = {stream["id"] for stream in d["streams"]}
    names = {stream["stream"] for stream in d["streams"]}
    for n, gap in enumerate(d["gaps"]):
        if gap["stream"] not in ids:
            found.problems.append(f"gaps[{n}].stream: there is no stream '{gap['stream']}'")
        if gap["to_ns"] < gap["from_ns"]:
            found.problems.append(f"gaps[{n}]: it ends before it begins")
    found.problems += _check_keys(d, names)
    for n, stream in enumerate(d["streams"]):
        if stream["codec"] in FRAME_CODECS and (folder / stream["file"]).is_file() and not found.problems:
            found.problems += _check_frames(stream, folder, f"streams[{n}]")
    found.problems += _check_accounting(d)
    found.notes += _notes(d)
    return found


def _check_listed(d: Mapping[str, Any], folder: Path, listed: set[str], found: Findings) -> None:
    for part in ("streams", "results"):
        for n, entry in enumerate(d[part]):
            if entry["file"] not in listed:
                found.problems.append(f"{part}[{n}].file: {entry['file']} is not among the files with a hash")
            elif part == "results" and (folder / entry["file"]).is_file():
                lines = check_lines("results", folder / entry["file"])
                found.problems += [f"{entry['file']}, {problem}" for problem in lines.problems]
    events = d.get("events")
    if events is None:
        return
    if events not in listed:
        found.problems.append(f"events: {events} is not among the files with a hash")
    elif (folder / events).is_file():
        found.problems += [f"{events}, {p}" for p in check_lines("session-event", folder / events).problems]


def _check_frames(stream: Mapping[str, Any], folder: Path, place: str) -> list[str]:
    try:
        index = read_index(folder / stream["file"], check_all=True)
    except UserError as error:
        return [f"{place}.file: {str(error).rstrip('.')}"]
    problems = []
    if len(index.records) != stream["frames"]:
        problems.append(f"{place}.frames: the manifest says {stream['frames']}, {len(index.records)} can be read")
    problems += _check_head(stream, index, place)
    pts = [record.pts_ns for record in index.records]
    if any(later <= earlier for earlier, later in zip(pts, pts[1:])):
        problems.append(f"{place}: the times of its frames do not grow")
    return problems


def _check_head(stream: Mapping[str, Any], index: FramesIndex, place: str) -> list[str]:
    head = index.head
    return [
        f"{place}.{name}: the manifest says {stream[name]}, {stream['file']} {getattr(head, name)}"
        for name in ("codec", "pixel_format", "width", "height")
        if stream[name] != getattr(head, name)
    ]


def _check_accounting(d: Mapping[str, Any]) -> list[str]:
    accounting = d.get("accounting")
    if accounting is None:
        return []
    problems = []
    received, stored, lost = (accounting[name] for name in ("received", "stored", "lost"))
    if received != stored + lost:
        problems.append(f"accounting: {received} received are not {stored} stored and {lost} lost")
    if stored != sum(stream["frames"] for stream in d["streams"]):
        problems.append(f"accounting.stored: {stored} are not the frames of the streams")
    declared = sum(gap["frames"] or 0 for gap in d["gaps"])
    if lost != declared:
        problems.append(f"accounting.lost: {lost} frames were lost, the gaps declare {declared}")
    return problems


def _check_keys(d: Mapping[str, Any], names: set[str]) -> list[str]:
    keys = [(f"markers[{n}].key", marker["key"]) for n, marker in enumerate(d["markers"])]
    for n, attempt in enumerate(d["attempts"]):
        keys += [(f"attempts[{n}].{end}", attempt[end]) for end in ("first", "last")]
    problems = [f"{place}: there is no stream '{key['stream']}'" for place, key in keys if key["stream"] not in names]
    problems += [f"attempts[{n}]: it ends before it begins" for n, attempt in enumerate(d["attempts"])
                 if attempt["last"]["index"] < attempt["first"]["index"]]
    return problems


def _notes(d: Mapping[str, Any]) -> list[str]:
    notes = [f"{counted(stream['frames'], 'frame')} in '{stream['id']}' ({stream['codec']})" for stream in d["streams"]]
    lost = sum(gap["frames"] or 0 for gap in d["gaps"])
    if d["gaps"]:
        notes.append(f"{counted(len(d['gaps']), 'gap')}, {counted(lost, 'frame')} counted as lost")
        causes = sorted({gap["cause"] for gap in d["gaps"]})
        notes.append(f"lost because: {'; '.join(causes)}")
    if d.get("repaired"):
        notes.append(d["repaired"]["says"])
    elif not d["closed"]:
        notes.append("the recording ended without closing")
    if any(stream.get("kept") == "whole picture" for stream in d["streams"]):
        notes.append("the whole picture was kept: names on the screen may be in it")
    if d["simulated"]:
        notes.append("simulated")
    return notes
