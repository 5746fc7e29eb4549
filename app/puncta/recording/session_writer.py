"""Writes one session folder, so that a kill loses nothing written and a power loss at most the last second."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import uuid
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

from puncta.core.errors import UserError
from puncta.core.frame import Calibration, FrameKey
from puncta.formats.atomic import plain_os_error
from puncta.formats.frames_log import FrameRecord, head_bytes, record_bytes
from puncta.formats.jsontext import json_line, write_json
from puncta.formats.results_lines import text_from_line
from puncta.formats.session import (
    EVENTS_FILE,
    FRAMES_FILE,
    PROGRAM,
    RESULTS_FILE,
    SESSION_FILE,
    calibration_changes,
    json_from_calibration,
    lock,
    transforms_entry,
    utc_now,
)
from puncta.recording.repeating import Repeating
from puncta.recording.session_parts import Coded, Found, SessionFacts, Tally

SPARE_FILE = ".spare"
SPARE_BYTES = 1 << 20
SYNC_S = 1.0
"""What is older than this [s] is on the disk for good, where the disk is quick enough."""
SILENCE_NS = 1_000_000_000
SILENT = "no picture came: the source was away, or the picture was held"
"""Cause of a gap in which nobody can count frames, longer than the above [ns]."""


class DiskFull(Exception):
    """Nothing more fits; what was written is whole."""


class SessionWriter:
    """Appends to the files of one session. Used by one thread.

    Parameters
    ----------
    folder : Path
        Made here; must not exist, or be empty.
    spare : bool
        Hold back a little of the disk, so that the end can be written on a full one.
    sync_every_s : float or None
        Bring everything to the disk this often [s], in a thread of its own, since a slow disk takes its time; None
        leaves it to `sync`.

    Raises
    ------
    UserError
        The folder is not empty or cannot be written.
    """

    def __init__(
        self, folder: Path, facts: SessionFacts, *, spare: bool = True, sync_every_s: float | None = SYNC_S
    ) -> None:
        self.folder, self.facts = Path(folder), facts
        self.tally = Tally()
        self.written = 0
        self._synced = 0
        self._syncing: Repeating | None = None
        self._begin_ns: int | None = None
        self._last: FrameRecord | None = None
        self._first_pts_ns: int | None = None
        self._offset_ns, self._step_ns = 0, 0
        self._calibration: Calibration | None = None
        self._files: dict[str, Any] = {}
        # Hashed while it is written: reading an hour back at the end would take minutes.
        self._hashes: dict[str, Any] = {}
        self._sizes: dict[str, int] = {}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if any(self.folder.iterdir()):
                raise UserError(f"{self.folder} is not empty; name a new folder for the session.")
            self._document = self._first_manifest()
            write_json(self.folder / SESSION_FILE, self._document)
            for name in (FRAMES_FILE, RESULTS_FILE, EVENTS_FILE):
                self._files[name] = (self.folder / name).open("xb", buffering=0)
                self._hashes[name], self._sizes[name] = hashlib.sha256(), 0
            lock(self._files[FRAMES_FILE])
            if spare:
                (self.folder / SPARE_FILE).write_bytes(bytes(SPARE_BYTES))
            self._append(FRAMES_FILE, head_bytes(facts.head))
            self.sync()
            _sync_folder(self.folder)
            if sync_every_s is not None:
                self._syncing = Repeating(self.sync, sync_every_s, "puncta-recorder-sync")
        except (OSError, DiskFull) as error:
            self._close_files()
            why = error if isinstance(error, OSError) else OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            raise plain_os_error(why, self.folder, "record into") from error

    def _first_manifest(self) -> dict[str, Any]:
        facts, keeping = self.facts, self.facts.keeping
        name = f"session-{uuid.uuid4().hex[:12]}"
        stream = {
            "id": "main",
            "title": facts.title or "recording",
            "stream": name,
            "file": FRAMES_FILE,
            "codec": facts.head.codec,
            "pixel_format": facts.head.pixel_format,
            "lossless": True,
            "width": facts.head.width,
            "height": facts.head.height,
            "frames": 0,
            "first_pts_ns": None,
            "last_pts_ns": None,
            "region": list(keeping.region),
            "region_origin": keeping.region_origin,
            "kept": keeping.words,
            "origin_px": list(keeping.box[:2]),
        }
        return {
            "format": "puncta-session",
            "version": 1,
            "id": name,
            "created_utc": utc_now(),
            "program": PROGRAM,
            "simulated": facts.simulated,
            "closed": False,
            "streams": [stream],
            "results": [],
            "gaps": [],
            "markers": [],
            "attempts": [],
            "calibration": None,
            "events": EVENTS_FILE,
            "files": [],
        }

    @property
    def frames(self) -> int:
        """Frames stored so far."""
        return self.tally.stored

    @property
    def seconds(self) -> float:
        """Time from the first to the last frame stored, by the source's times [s]."""
        if self._last is None or self._first_pts_ns is None:
            return 0.0
        return (self._last.pts_ns - self._first_pts_ns) / 1e9

    def add(self, coded: Coded, waiting: int = 0) -> FrameRecord:
        """Store one frame, and declare what was lost before it; ``waiting`` frames are still to come.

        Raises
        ------
        DiskFull
        OSError
            The disk is gone.
        """
        first = self._begin_ns is None
        if self._begin_ns is None:
            self._begin_ns = coded.t_ns
            self._set_calibration(coded.calibration, first=True)
        pts_ns = self._growing(coded.pts_ns, coded.t_ns)
        if first:
            self._first_pts_ns = pts_ns
        if coded.lost:
            self._declare(coded.causes, pts_ns)
        elif self._last is not None and pts_ns - self._last.pts_ns > max(SILENCE_NS, 5 * self._step_ns):
            self._declare(((SILENT, None),), pts_ns)
        self._step_ns = pts_ns - self._last.pts_ns if self._last is not None else 0
        if not first and coded.calibration != self._calibration:
            self._set_calibration(coded.calibration)
        record = FrameRecord(
            self.tally.stored,
            coded.source_index,
            pts_ns,
            coded.t_ns - self._begin_ns,
            coded.lost,
            self._synced,
            len(coded.payload),
            zlib.crc32(coded.payload),
            coded.sha256,
            coded.raw,
            waiting,
        )
        self._append(FRAMES_FILE, record_bytes(record) + coded.payload)
        self._last = record
        self.tally.stored += 1
        return record

    def _growing(self, pts_ns: int, t_ns: int) -> int:
        """Times in a session always grow: a source that starts again is put behind what there is, by arrival."""
        moved = pts_ns + self._offset_ns
        if self._last is not None and moved <= self._last.pts_ns:
            assert self._begin_ns is not None
            waited = max(1, t_ns - self._begin_ns - self._last.t_ns)
            moved = self._last.pts_ns + waited
            self._offset_ns = moved - pts_ns
            self.add_event("note", text="The source's own times started again; they go on behind the last frame.")
        return moved

    def _declare(self, causes: tuple[tuple[str, int | None], ...], to_ns: int) -> None:
        from_ns = self._last.pts_ns if self._last is not None else to_ns
        gaps = [
            {
                "after_index": self.tally.stored - 1,
                "frames": frames,
                "from_ns": min(from_ns, to_ns),
                "to_ns": to_ns,
                "cause": cause,
            }
            for cause, frames in causes
        ]
        # The manifest tells of them also where the disk takes no further line.
        self.tally.lost += sum(frames or 0 for _cause, frames in causes)
        self.tally.gaps += [{"stream": "main", **gap} for gap in gaps]
        for gap in gaps:
            self._line("gap", gap)

    def _set_calibration(self, calibration: Calibration | None, *, first: bool = False) -> None:
        self._calibration = calibration
        document = json_from_calibration(calibration)
        if first:
            self._document["calibration"] = document
        if not first or document is not None:
            self.add_event("calibration", calibration=document)

    def add_results(self, record: FrameRecord, found: Found) -> None:
        """Append what was found on a stored frame."""
        line = replace(found.line, key=FrameKey("", record.index, record.pts_ns, record.sha256))
        self.tally.plugins.update(line.outputs)
        for plugin, name, sha256 in found.models:
            if self.tally.take_model(plugin, name, sha256):
                self.add_event("model", plugin=plugin, id=name, sha256=sha256)
        self._append(RESULTS_FILE, text_from_line(line).encode())

    def add_marker(self, record: FrameRecord, kind: str, text: str, point_px: list[float] | None = None) -> None:
        """Mark a stored frame."""
        key = {"stream": self._document["streams"][0]["stream"], "index": record.index, "pts_ns": record.pts_ns}
        marker: dict[str, Any] = {"key": {**key, "sha256": record.sha256}, "kind": kind, "text": text, "author": None}
        marker["point_px"] = point_px
        self.tally.markers.append(marker)
        self.add_event("marker", marker=marker)

    def add_event(self, kind: str, t_ns: int | None = None, **members: Any) -> None:
        """Append a line of events; ``t_ns`` is monotonic [ns], the last frame's arrival where None."""
        self._line(kind, members, t_ns)

    def _line(self, kind: str, members: dict[str, Any], t_ns: int | None = None) -> None:
        since = self._last.t_ns if self._last is not None else 0
        if t_ns is not None and self._begin_ns is not None:
            since = t_ns - self._begin_ns
        line = {"type": kind, "t_ns": since, "after_index": self.tally.stored - 1, **members}
        if kind == "calibration":
            self.tally.changes.append(line)
        elif kind == "transform":
            self.tally.transforms[members["name"]] += 1
        self._append(EVENTS_FILE, (json_line(line) + "\n").encode())

    def _append(self, name: str, data: bytes) -> None:
        """Write all of it or nothing: a piece that did not fit is cut off again."""
        file = self._files[name]
        begin, done = file.tell(), 0
        try:
            while done < len(data):
                done += file.write(data[done:] if done else data)
        except OSError as error:
            with contextlib.suppress(OSError):  # the disk is gone altogether: opening cuts the piece off
                file.seek(begin)
                file.truncate(begin)
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise DiskFull from error
            raise
        self.written += done
        self._hashes[name].update(data)
        self._sizes[name] += done

    def sync(self) -> None:
        """Bring everything to the disk for good, however long it takes. Safe beside the thread that writes."""
        whole = self._sizes[FRAMES_FILE]
        for file in self._files.values():
            _sync(file.fileno())
        self._synced = whole

    def check(self) -> None:
        """Raise what went wrong while the files were brought to the disk (OSError)."""
        if self._syncing is not None and self._syncing.failure is not None:
            raise self._syncing.failure

    def finish(self, ended: str, lost: tuple[tuple[str, int], ...] = ()) -> None:
        """Declare what was lost after the last frame, write the manifest with all hashes, and close.

        Raises
        ------
        UserError
            Even the manifest cannot be written; the session is put right when it is opened.
        """
        tally, last = self.tally, self._last
        self._stop_syncing()
        with contextlib.suppress(OSError):  # not there, or the disk is gone, which the next lines find out
            (self.folder / SPARE_FILE).unlink(missing_ok=True)
        try:
            if lost:
                with contextlib.suppress(DiskFull):  # the manifest tells of them
                    self._declare(lost, last.pts_ns if last is not None else 0)
            self.sync()
            stream = {
                **self._document["streams"][0],
                "frames": tally.stored,
                "first_pts_ns": self._first_pts_ns,
                "last_pts_ns": last.pts_ns if last is not None else None,
            }
            results = {"file": RESULTS_FILE, "plugins": sorted(tally.plugins), "models": list(tally.models.values())}
            write_json(
                self.folder / SESSION_FILE,
                {
                    **self._document,
                    "closed": True,
                    "streams": [stream],
                    "results": [results] if tally.plugins else [],
                    "gaps": tally.gaps,
                    "markers": tally.markers,
                    "calibrations": calibration_changes(tally.changes),
                    **transforms_entry(tally.transforms),
                    "accounting": {
                        "received": tally.stored + tally.lost,
                        "stored": tally.stored,
                        "lost": tally.lost,
                        "pre_roll": tally.pre_roll,
                    },
                    "ended": ended,
                    "files": [
                        {"path": name, "bytes": self._sizes[name], "sha256": self._hashes[name].hexdigest()}
                        for name in sorted(self._files)
                    ],
                },
            )
        except OSError as error:
            raise plain_os_error(error, self.folder, "finish the session") from error
        finally:
            self._close_files()

    def abandon(self) -> None:
        """Close without a manifest, after the disk has gone."""
        self._close_files()

    def discard(self) -> None:
        """Take the folder away again: nothing was stored in it."""
        self._close_files()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _stop_syncing(self) -> None:
        if self._syncing is not None:
            self._syncing.stop()

    def _close_files(self) -> None:
        self._stop_syncing()
        for file in self._files.values():
            with contextlib.suppress(OSError):  # a disk that is gone fails here once more
                file.close()


def _sync(descriptor: int) -> None:
    getattr(os, "fdatasync", os.fsync)(descriptor)


def _sync_folder(folder: Path) -> None:
    """Make the new names last; a system that cannot sync a folder keeps them its own way."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
