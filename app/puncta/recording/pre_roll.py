"""The last seconds, coded and bounded in time and memory: what happened before somebody asked to record."""

from __future__ import annotations

from collections import deque

import psutil

from puncta.recording.session_parts import Coded, Found

Entry = tuple[int, Coded, list[Found]]
"""Number of a frame inside the run, the frame, and what was found on it."""
Beside = tuple[int, str, list[float]]
"""A transform: moment of arrival [ns, monotonic], name, matrix row by row [mm]."""
MOST_BESIDE = 20_000


class PreRoll:
    """Remembers coded frames and what was found on them. Used by one thread.

    Parameters
    ----------
    seconds : float
        The oldest go once the newest arrived this much later [s].
    limit_bytes : int
        The oldest go as soon as the coded frames take more than this [B], or an eighth of the machine's memory.
    """

    BYTES = 512 << 20

    def __init__(self, seconds: float, limit_bytes: int = BYTES) -> None:
        self.seconds_kept = seconds
        self._limit = min(limit_bytes, psutil.virtual_memory().total // 8)
        self._entries: deque[Entry] = deque()
        self._by_id: dict[int, Entry] = {}
        self._beside: deque[Beside] = deque(maxlen=MOST_BESIDE)
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def seconds(self) -> float:
        """Time from the oldest to the newest frame [s]."""
        return (self._entries[-1][1].t_ns - self._entries[0][1].t_ns) / 1e9 if self._entries else 0.0

    def put(self, frame_id: int, coded: Coded) -> None:
        """Remember a frame; forget the oldest beyond the bounds."""
        if self.seconds_kept <= 0:
            return
        entry: Entry = (frame_id, coded, [])
        self._entries.append(entry)
        self._by_id[frame_id] = entry
        self.bytes += len(coded.payload)
        oldest_ns = coded.t_ns - round(self.seconds_kept * 1e9)
        while self._entries and (self.bytes > self._limit or self._entries[0][1].t_ns < oldest_ns):
            old_id, old, _found = self._entries.popleft()
            self._by_id.pop(old_id, None)
            self.bytes -= len(old.payload)

    def put_transform(self, t_ns: int, name: str, matrix: list[float]) -> None:
        """Remember a transform that came beside the frames."""
        if self.seconds_kept <= 0:
            return
        self._beside.append((t_ns, name, matrix))
        while self._beside[0][0] < t_ns - round(self.seconds_kept * 1e9):
            self._beside.popleft()

    def transforms(self, since_ns: int) -> deque[Beside]:
        """Return the remembered transforms that came at a moment [ns] or later, oldest first."""
        return deque(entry for entry in self._beside if entry[0] >= since_ns)

    def entry(self, frame_id: int) -> Entry | None:
        """Return a remembered frame, so that what was found on it is added."""
        return self._by_id.get(frame_id)

    def all(self) -> list[Entry]:
        """Return what is remembered, oldest first."""
        return list(self._entries)

    def take_all(self) -> list[Entry]:
        """Return the remembered frames and forget them."""
        entries = self.all()
        self._forget_frames()
        return entries

    def clear(self) -> None:
        """Forget everything."""
        self._forget_frames()
        self._beside.clear()

    def _forget_frames(self) -> None:
        self._entries.clear()
        self._by_id.clear()
        self.bytes = 0
