"""Files that this program wrote and can write again, told from files that are somebody's own."""

from __future__ import annotations

from pathlib import Path

LOOKED_AT = 1 << 20
"""So much is read from either end [bytes]: a film's notice stands at its end, everything else's at its beginning."""
_NOTICES = (b"Simulation and training only", b'"format": "puncta-', b"puncta simulator")
_RESULTS = b'{"key":{"index":'
"""How a file of results begins."""


def is_our_output(path: Path) -> bool:
    """Tell whether a file is empty, or an output of this program that the same command makes again.

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
    return start.startswith(_RESULTS) or any(notice in part for notice in _NOTICES for part in (start, end))
