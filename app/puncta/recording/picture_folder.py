"""A case as single pictures: one PNG a frame, without loss, and a table that says which frame each is."""

from __future__ import annotations

import contextlib
import csv
import io
import os
import shutil
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from puncta.core.errors import UserError
from puncta.core.frame import Frame
from puncta.formats.atomic import plain_os_error
from puncta.recording.sheet import SAFETY_LINE

TABLE = "frames.csv"
COLUMNS = ("file", "frame", "pts_ns", "time_s", "sha256")


class PictureFolder:
    """Writes into a folder beside the target, which becomes the target at `close`: it is whole, or not there.

    Parameters
    ----------
    path : Path
        The folder to make; it must not exist, or be empty.

    Raises
    ------
    UserError
        There is something already, or the place cannot be written.
    """

    def __init__(self, path: Path, *, simulated: bool) -> None:
        self.path = Path(path)
        self._part = self.path.with_name(f".{self.path.name}.{os.getpid()}.part")
        self._facts = PngInfo()
        self._facts.add_text("Comment", f"Simulated. {SAFETY_LINE}" if simulated else SAFETY_LINE)
        self._rows = io.StringIO(newline="")
        self._table = csv.writer(self._rows, lineterminator="\n")
        self._table.writerow(COLUMNS)
        try:
            if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
                raise UserError(f"{self.path} is there already; name a new folder for the pictures.")
            self._part.mkdir()
        except OSError as error:
            raise plain_os_error(error, self.path, "write") from error

    def put(self, frame: Frame) -> None:
        """Write one picture."""
        key = frame.hashed_key()
        name = f"frame_{key.index:06d}.png"
        try:
            Image.fromarray(frame.pixels).save(self._part / name, pnginfo=self._facts, compress_level=3)
        except OSError as error:
            self.discard()
            raise plain_os_error(error, self.path / name, "write") from error
        self._table.writerow((name, key.index, key.pts_ns, f"{key.pts_ns / 1e9:.9f}", key.sha256))

    def finish(self) -> None:
        """Write the table; what can fail, fails here."""
        try:
            (self._part / TABLE).write_text(self._rows.getvalue(), encoding="utf-8")
        except OSError as error:
            self.discard()
            raise plain_os_error(error, self.path, "write") from error

    def close(self) -> None:
        """Put the folder in its place."""
        try:
            if self.path.is_dir():
                self.path.rmdir()  # it was empty
            os.replace(self._part, self.path)
        except OSError as error:
            self.discard()
            raise plain_os_error(error, self.path, "write") from error

    def discard(self) -> None:
        """Give up: leave nothing behind. Does nothing after `close`."""
        with contextlib.suppress(OSError):
            shutil.rmtree(self._part)
