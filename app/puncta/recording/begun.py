"""Remembers that a recording was asked for until its session is on the disk, so that one that never began is told.

A kill before the first picture leaves no session folder, and without this nobody would hear of it.
"""

from __future__ import annotations

import contextlib
import datetime
import itertools
import json
import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from puncta import paths
from puncta.formats.jsontext import json_document
from puncta.formats.session import SESSION_FILE, lock, utc_now

log = logging.getLogger(__name__)

PLACE = "recordings-begun"
CUT_OFF_S = 60.0
"""A note that cannot be read is being written, or was cut off when it is as old as this [s]."""
_COUNT = itertools.count()


@dataclass(frozen=True, slots=True)
class NeverBegan:
    """A recording that was asked for and of which nothing is there.

    Attributes
    ----------
    folder : Path
        Where its session was to be.
    when : str
        Date and time of day here at which it was asked for.
    """

    folder: Path
    when: str

    @property
    def words(self) -> str:
        """One plain sentence."""
        return (
            f"The recording into {self.folder}, asked for on {self.when}, ended with the program before its first "
            "picture was stored; nothing of it is there."
        )


class Begun:
    """One recording that was asked for; the file behind it is this program's until `done`, or until a kill."""

    def __init__(self, file: IO[bytes] | None = None, path: Path | None = None) -> None:
        self._file, self._path = file, path

    def done(self) -> None:
        """Its session is on the disk, or it was said why there is none. A second call does nothing."""
        file, self._file = self._file, None
        if file is not None and self._path is not None:
            file.close()
            with contextlib.suppress(OSError):
                self._path.unlink()


def note_begun(folder: Path) -> Begun:
    """Note that a recording into a folder was asked for; a disk that takes no note holds up no recording."""
    place = paths.user_data_dir() / PLACE
    path = place / f"{time.time_ns()}-{os.getpid()}-{next(_COUNT)}.json"
    document = {"folder": str(Path(folder).absolute()), "utc": utc_now()}
    try:
        place.mkdir(parents=True, exist_ok=True)
        file = path.open("xb", buffering=0)
    except OSError as error:
        log.warning("the beginning of a recording was not noted: %s", error)
        return Begun()
    begun = Begun(file, path)
    try:
        lock(file)
        file.write(json_document(document).encode())
    except OSError as error:
        log.warning("the beginning of a recording was not noted: %s", error)
        begun.done()
    return begun


def take_never_began() -> list[NeverBegan]:
    """Return the recordings that were asked for and never began, each once; those of running programs stay."""
    found = []
    place = paths.user_data_dir() / PLACE
    for path in sorted(place.glob("*.json")) if place.is_dir() else ():
        # Whoever asked for it holds the file; on Windows it cannot be removed then.
        with contextlib.suppress(OSError), path.open("rb") as file:
            if not lock(file):
                continue
            try:
                document = json.loads(file.read())
                asked = datetime.datetime.strptime(document["utc"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=datetime.UTC)
                folder = Path(document["folder"])
            except (ValueError, KeyError, TypeError):
                # A kill cut it off, or whoever writes it just now has not come to its lock.
                if time.time() - os.fstat(file.fileno()).st_mtime < CUT_OFF_S:
                    continue
                log.warning("the note %s of a recording that was asked for is cut off and says nothing", path.name)
                document = None
            if os.name == "nt":
                file.close()
            path.unlink()
            if document is not None and not (folder / SESSION_FILE).is_file():
                found.append(NeverBegan(folder, f"{asked.astimezone():%Y-%m-%d %H:%M}"))
    return found
