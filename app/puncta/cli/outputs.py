"""Files that a command writes at its end, looked at before it begins."""

from __future__ import annotations

import os
from pathlib import Path

from puncta.core.errors import UserError


def check_output(path: Path) -> None:
    """Refuse a file that cannot be written, before minutes go into what it is to hold."""
    if path.is_dir():
        raise UserError(f"{path} is a folder; name a file to write.")
    if not path.absolute().parent.is_dir():
        raise UserError(f"The folder {path.parent} does not exist; make it first or name another place.")
    if path.exists() and not path.is_file():
        raise UserError(f"{path} is no ordinary file; name another one to write.")
    if not os.access(path.absolute().parent, os.W_OK):
        raise UserError(f"The folder {path.absolute().parent} may not be written; name another place.")
