"""Flags by held keys: what is held while the clip plays is labelled on every frame of that time, dropped ones too."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

LATCH_S = 0.35
"""A tap is no longer than this, and a second one this soon after it latches the key [s]."""


@dataclass(slots=True)
class Held:
    """A flag being held: its value, the frame since when, and whether it is latched."""

    name: str
    value: int
    since: int
    at_s: float
    latched: bool = False


class FlagHold:
    """Follows the keys of flags.

    Parameters
    ----------
    index : callable
        Number of the frame on the screen.
    count : callable
        Number of frames of the clip.
    commit : callable
        Takes name, value, first and last frame, both included.
    """

    def __init__(
        self, index: Callable[[], int], count: Callable[[], int], commit: Callable[[str, int, int, int], None]
    ) -> None:
        self._index, self._count, self._commit = index, count, commit
        self._held: dict[str, Held] = {}
        self._tapped: dict[tuple[str, int], float] = {}
        self._before = -1

    @property
    def held(self) -> Held | None:
        """The flag that was pressed last and is still held."""
        return next(reversed(self._held.values()), None)

    def press(self, name: str, value: int, now_s: float | None = None) -> None:
        """A flag's key went down."""
        now = time.monotonic() if now_s is None else now_s
        there = self._held.get(name)
        if there is not None:
            if not there.latched:
                return
            self._finish(name)  # a latched key ends at its next press
            if there.value == value:
                return
        latched = now - self._tapped.get((name, value), -1e9) <= LATCH_S
        self._held[name] = Held(name, value, self._index(), now, latched)
        self._before = self._index()

    def release(self, name: str, now_s: float | None = None) -> None:
        """A flag's key came up; a latched one stays."""
        now = time.monotonic() if now_s is None else now_s
        held = self._held.get(name)
        if held is None or held.latched:
            return
        if now - held.at_s <= LATCH_S:
            self._tapped[name, held.value] = now
        self._finish(name)

    def follow(self) -> None:
        """Another picture is on the screen: a clip that begins anew ends what was held at its last frame."""
        index = self._index()
        if index < self._before:
            for held in self._held.values():
                if held.since <= self._before:
                    self._commit(held.name, held.value, held.since, self._count() - 1)
                    held.since = 0
        self._before = index

    def drop(self) -> None:
        """End everything that is held: another case, another mode."""
        for name in list(self._held):
            self._finish(name)

    def forget(self) -> None:
        """Forget what is held without a label."""
        self._held.clear()

    def _finish(self, name: str) -> None:
        held = self._held.pop(name)
        now = self._index()
        self._commit(name, held.value, min(held.since, now), max(held.since, now))
