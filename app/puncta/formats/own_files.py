"""Files that this program wrote and can write again, told from files that are somebody's own."""

from __future__ import annotations

from pathlib import Path

LOOKED_AT = 1 << 20
"""So much is read from either end [bytes]: a film's notice stands at its end, everything else's at its beginning."""
_NOTICE = b"simulation and training only"
_RESULTS = b'{"key":{"index":'
"""How a file of results begins."""


def is_our_output(path: Path) -> bool:
    """Tell whether a file is empty, or an output of this program that the same command makes again.

    It has to be of the kind that its name says and to carry the program's notice: a text that quotes it does not.

    Raises
    ------
    OSError
        It cannot be read.
    """
    size = path.stat().st_size
    if size == 0:
        return True
    with path.open("rb") as file:
        start = file.read(LOOKED_AT)
        file.seek(max(0, size - LOOKED_AT))
        end = file.read()
    if start.startswith(_RESULTS):
        return True
    kind = path.suffix.lower()
    if kind in (".json", ".jsonl"):
        return start.lstrip().startswith(b"{") and b'"format": "puncta-' in start[:200].replace(b'":"', b'": "')
    right_kind = {
        ".html": b"<!doctype html" in start[:200].lower(),
        ".mp4": start[4:8] == b"ftyp",
        ".dcm": start[128:132] == b"DICM",
        ".csv": b"," in start.partition(b"\n")[0],
    }.get(kind, False)
    return right_kind and any(_NOTICE in part.lower() for part in (start, end))
