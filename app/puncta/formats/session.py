"""The session folder: names of its files, its manifest, its lines of events, and what is put right on opening.

`session.json` is written first, with `closed` false, and again at the end with the hashes of all files. Where the end
never came, everything it would say is found in the other files; `open_session` writes it down then.
"""

from __future__ import annotations

import contextlib
import datetime
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from puncta import __version__
from puncta.core.errors import UserError
from puncta.core.frame import Calibration, CalibrationOrigin
from puncta.formats import schemas
from puncta.formats.frames_log import FramesIndex, read_index
from puncta.formats.jsontext import parse_json, read_json, write_json
from puncta.formats.validate_folders import counted, hash_file

SESSION_FILE = "session.json"
FRAMES_FILE = "frames.pfr"
RESULTS_FILE = "results.jsonl"
EVENTS_FILE = "events.jsonl"
PROGRAM = f"puncta {__version__}"


@dataclass(frozen=True, slots=True, eq=False)
class Session:
    """An open session folder.

    Attributes
    ----------
    manifest : mapping
        As in session.json; after a repair, as it has become.
    index : FramesIndex
        The frames that are there.
    notes : tuple of str
        What was put right or is missing, one plain sentence each.
    """

    folder: Path
    manifest: Mapping[str, Any]
    index: FramesIndex
    notes: tuple[str, ...] = ()

    @property
    def stream(self) -> Mapping[str, Any]:
        """The stream of frames."""
        return self.manifest["streams"][0]

    @property
    def frames_file(self) -> Path:
        """Where the frames are."""
        return self.folder / self.stream["file"]


def utc_now() -> str:
    """Return the time of day as the manifest writes it."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def json_from_calibration(calibration: Calibration | None) -> dict[str, Any] | None:
    """Return a calibration as JSON values; None where millimetres are not known."""
    if calibration is None or calibration.origin is CalibrationOrigin.NONE:
        return None
    return {
        "mm_per_px": [float(v) for v in calibration.mm_per_px],
        "origin": str(calibration.origin),
        "note": calibration.note,
    }


def calibration_from_json(document: Mapping[str, Any] | None) -> Calibration | None:
    """Return the calibration of checked JSON values."""
    if document is None:
        return None
    x, y = document["mm_per_px"]
    return Calibration((float(x), float(y)), CalibrationOrigin(document["origin"]), document.get("note", ""))


def open_session(folder: Path, *, repair: bool = True) -> Session:
    """Open a session folder and, where its recording never closed, put it right and say so.

    Parameters
    ----------
    repair : bool
        Write down what was put right; False only says it (a check, a folder that must stay as it is).

    Raises
    ------
    UserError
        It is no session folder, or nothing of it can be read.
    """
    folder = Path(folder)
    manifest = read_json(folder / SESSION_FILE)
    problems = schemas.check("session", manifest)
    if problems:
        version = manifest.get("version") if isinstance(manifest, dict) else None
        if isinstance(version, int) and version > 1:
            raise UserError(f"{folder.name} is a session of version {version}; update Puncta to open it.")
        raise UserError(f"{folder.name} is not a session that can be opened: {problems[0]}.")
    frames_path = folder / manifest["streams"][0]["file"]
    if not frames_path.is_file():
        raise UserError(f"{folder.name} is not whole: {manifest['streams'][0]['file']} is missing.")
    if manifest["closed"] or manifest.get("repaired"):
        return Session(folder, manifest, *_whole(manifest, read_index(frames_path, check_tail=False)))
    return _open_unclosed(folder, manifest, frames_path, repair)


def _whole(manifest: Mapping[str, Any], index: FramesIndex) -> tuple[FramesIndex, tuple[str, ...]]:
    notes = []
    promised = manifest["streams"][0]["frames"]
    if manifest.get("repaired"):
        notes.append(manifest["repaired"]["says"])
    if len(index.records) != promised:
        here, all_of_them = len(index.records), counted(promised, "frame")
        notes.append(f"The session is damaged: {here} of its {all_of_them} can be read; get another copy.")
    return index, tuple(notes)


def _open_unclosed(folder: Path, manifest: Mapping[str, Any], frames_path: Path, repair: bool) -> Session:
    with open_locked(frames_path) as file:
        index = read_index(frames_path)
        mended, says = _mended(folder, manifest, index)
        if file is None and _being_written(frames_path):
            under_way = "The session is still being recorded; this is what is there so far."
            return Session(folder, mended, index, (under_way,))
        if file is None or not repair:
            return Session(folder, mended, index, (says,))
        try:
            if index.torn_bytes:
                file.truncate(index.end)
                os.fsync(file.fileno())
            for name in (RESULTS_FILE, EVENTS_FILE):
                _cut_lines(folder / name, len(index.records))
            for spare in folder.glob(".spare*"):
                spare.unlink(missing_ok=True)
            mended = {**mended, "files": list_files(folder), "repaired": {"utc": utc_now(), "says": says}}
            write_json(folder / SESSION_FILE, mended)
        except (OSError, UserError):
            # A folder that cannot be written is played as it is; the next one who can write puts it right.
            return Session(folder, {**mended, "repaired": None}, index, (says,))
    return Session(folder, mended, replace(index, bytes=index.end), (says,))


def _mended(folder: Path, manifest: Mapping[str, Any], index: FramesIndex) -> tuple[dict[str, Any], str]:
    """What the manifest would say, and the sentence that tells of it."""
    records = index.records
    events = [line for line, _ in whole_lines(folder / EVENTS_FILE)]
    plugins: set[str] = set()
    for line, _ in whole_lines(folder / RESULTS_FILE):
        plugins.update(line["outputs"] if line["key"]["index"] < len(records) else ())
    stream = {
        **manifest["streams"][0],
        "frames": len(records),
        "first_pts_ns": records[0].pts_ns if records else None,
        "last_pts_ns": records[-1].pts_ns if records else None,
    }
    gaps = [gap_from_event(event, stream["id"]) for event in events if event["type"] == "gap"]
    lost = sum(gap["frames"] or 0 for gap in gaps)
    mended = {
        **manifest,
        "streams": [stream],
        "results": results_entry(events, plugins),
        "gaps": gaps,
        "markers": [event["marker"] for event in events if event["type"] == "marker"],
        "calibrations": calibration_changes(events),
        **transforms_entry(Counter(event["name"] for event in events if event["type"] == "transform")),
        "accounting": {"received": len(records) + lost, "stored": len(records), "lost": lost},
        "ended": "The recording ended without closing.",
    }
    seconds = (records[-1].pts_ns - records[0].pts_ns) / 1e9 if records else 0.0
    waiting = records[-1].waiting if records else 0
    queued = f"{counted(waiting, 'frame')} that waited for the disk and what came after"
    missing = queued if waiting else "the last moment"
    torn = f"; a torn piece of {index.torn_bytes} bytes at the end was cut off" if index.torn_bytes else ""
    says = (
        f"The recording ended without closing (a crash, a kill or a power loss): {counted(len(records), 'frame')}, "
        f"{seconds:.1f} s, are here; {missing} may be missing{torn}."
    )
    return mended, says


def transforms_entry(counts: Mapping[str, int]) -> dict[str, Any]:
    """Return the manifest's member `transforms`, or no member where none came."""
    if not counts:
        return {}
    return {"transforms": [{"name": name, "count": counts[name]} for name in sorted(counts)]}


def results_entry(events: Sequence[Mapping[str, Any]], plugins: set[str]) -> list[dict[str, Any]]:
    """Return the manifest's `results` from lines of events; empty where no plugin has a result."""
    if not plugins:
        return []
    # One that comes back after another has an event each time and stands here once.
    models = {(e["plugin"], e["id"], e["sha256"]): None for e in events if e["type"] == "model"}
    listed = [{"id": name, "sha256": sha256} for _plugin, name, sha256 in models]
    return [{"file": RESULTS_FILE, "plugins": sorted(plugins), "models": listed}]


def gap_from_event(event: Mapping[str, Any], stream: str) -> dict[str, Any]:
    """Return a line's gap as the manifest holds it."""
    members = ("after_index", "frames", "from_ns", "to_ns", "cause")
    return {"stream": stream, **{name: event[name] for name in members}}


def calibration_changes(events: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the manifest's `calibrations` from lines of events."""
    return [
        {"from_index": event["after_index"] + 1, "calibration": event["calibration"]}
        for event in events
        if event["type"] == "calibration"
    ]


def whole_lines(path: Path) -> Iterator[tuple[Any, bytes]]:
    """Yield what each whole line of a file of JSON lines says, and its bytes; a torn last line ends it silently."""
    if not path.is_file():
        return
    with path.open("rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                return
            try:
                document = parse_json(line.decode("utf-8"), path.name)
            except (UserError, UnicodeDecodeError):
                return  # zeros or half a block that a power loss left behind
            yield document, line


def _cut_lines(path: Path, frames: int) -> None:
    """Cut a torn last line off, and lines of frames that are not there."""
    if not path.is_file():
        return
    kept = [
        line
        for document, line in whole_lines(path)
        if (document["key"]["index"] if "key" in document else document["after_index"]) < frames
    ]
    data = b"".join(kept)
    if len(data) < path.stat().st_size:
        _replace(path, data)


def _replace(path: Path, data: bytes) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    part.write_bytes(data)
    os.replace(part, path)


def list_files(folder: Path) -> list[dict[str, Any]]:
    """Return size and hash of every file of a session but its manifest."""
    files = [p for p in sorted(folder.iterdir()) if p.is_file() and p.name != SESSION_FILE and p.name[0] != "."]
    return [{"path": p.name, "bytes": p.stat().st_size, "sha256": hash_file(p)} for p in files]


@contextlib.contextmanager
def open_locked(path: Path) -> Iterator[IO[bytes] | None]:
    """Open a file for writing and keep other programs off it; None where it may not be written or is taken."""
    try:
        file = path.open("r+b")
    except OSError:
        yield None
        return
    with file:
        yield file if lock(file) else None


def _being_written(path: Path) -> bool:
    try:
        with path.open("r+b") as file:
            return not lock(file)
    except OSError:
        return False


def lock(file: IO[bytes]) -> bool:
    """Take the file for this program until it is closed, also by a kill; False where another one has it."""
    try:
        import fcntl
    except ImportError:  # Windows refuses to truncate a file that another program writes
        return True
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
