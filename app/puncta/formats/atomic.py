"""Files that are either whole or not there: text goes to a temporary name beside the target, then replaces it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from types import TracebackType
from typing import IO

from puncta.core.errors import UserError


def plain_os_error(error: OSError, path: Path, verb: str) -> UserError:
    """Turn an operating-system error about a path into one plain sentence."""
    why = error.strerror or type(error).__name__
    return UserError(f"Cannot {verb} {path}: {why[:1].lower() + why[1:]}.")


class AtomicFile:
    """A file under a temporary name beside its target until `commit`.

    Used as a context manager it commits at a clean end and discards after an exception.

    Raises
    ------
    UserError
        The folder cannot be written, or the disk is full.
    """

    def __init__(self, path: Path, binary: bool = False) -> None:
        self.path = Path(path)
        self._temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}.tmp")
        self._placed = False
        try:
            if binary:
                self._stream: IO = self._temporary.open("wb")
            else:
                self._stream = self._temporary.open("w", encoding="utf-8", newline="\n")
        except OSError as error:
            raise plain_os_error(error, self.path, "write") from error

    def write(self, data: str | bytes) -> None:
        """Append text or bytes."""
        try:
            self._stream.write(data)
        except OSError as error:
            raise plain_os_error(error, self.path, "write") from error

    def finish(self) -> None:
        """Bring everything to the disk, still under the temporary name; what can fail, fails here."""
        if self._stream.closed:
            return
        try:
            self._stream.flush()
            os.fsync(self._stream.fileno())
            self._stream.close()
        except OSError as error:
            self.discard()
            raise plain_os_error(error, self.path, "write") from error

    def commit(self) -> None:
        """Finish and put the file in its place; a second call does nothing."""
        if self._placed:
            return
        self.finish()
        try:
            os.replace(self._temporary, self.path)
        except OSError as error:
            self.discard()
            raise plain_os_error(error, self.path, "write") from error
        self._placed = True

    def discard(self) -> None:
        """Leave nothing behind. Does nothing after `commit`."""
        self._placed = True
        try:
            self._stream.close()
        except OSError:  # A full disk makes close fail as well; the file goes either way.
            pass
        with contextlib.suppress(OSError):  # A disk that has become read-only keeps it.
            self._temporary.unlink(missing_ok=True)

    def __enter__(self) -> AtomicFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if kind is None:
            self.commit()
        else:
            self.discard()


def write_text_atomic(path: Path, text: str) -> None:
    """Write a text file (UTF-8, newlines as they are) that is whole or not there."""
    with AtomicFile(path) as file:
        file.write(text)


def read_text(path: Path) -> str:
    """Read a UTF-8 text file.

    Raises
    ------
    UserError
        The file cannot be read or is not UTF-8 text.
    """
    try:
        return Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text.") from error
    except IsADirectoryError as error:
        raise UserError(f"{path} is a folder; name a file.") from error
    except OSError as error:
        raise plain_os_error(error, Path(path), "read") from error
