"""How much of a disk is left while a session grows, and for how long."""

from __future__ import annotations

import shutil
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

RESERVE_BYTES = 512 << 20
"""The disk keeps at least this much free [B]; on a small disk a twentieth of it."""
LOOKS = 6


@dataclass(frozen=True, slots=True)
class DiskSeen:
    """One look at the disk.

    Attributes
    ----------
    free : int
        Free beyond the reserve [B].
    rate : float
        How fast the session grows [B/s]; 0 where it is not known yet.
    left_s : float or None
        How long the disk lasts at this pace [s].
    """

    free: int
    reserve: int
    rate: float
    left_s: float | None


class DiskWatch:
    """Follows one session, over its last few looks."""

    def __init__(self) -> None:
        self._pace: deque[tuple[float, int]] = deque(maxlen=LOOKS)

    def look(self, folder: Path, written: int) -> DiskSeen:
        """Look at the disk of a session that has written so much [B]; raises OSError where it is gone."""
        now = time.monotonic()
        free, reserve = free_bytes(folder)
        self._pace.append((now, written))
        begun, before = self._pace[0]
        rate = (written - before) / (now - begun) if now > begun else 0.0
        return DiskSeen(free, reserve, rate, max(0.0, free / rate) if rate > 0 else None)


def free_bytes(folder: Path) -> tuple[int, int]:
    """Return what is free on the disk of a folder beyond the reserve, and the reserve [B]."""
    usage = shutil.disk_usage(folder)
    reserve = min(RESERVE_BYTES, usage.total // 20)
    return usage.free - reserve, reserve
