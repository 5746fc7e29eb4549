"""Runs the parts of a staged plugin ahead of its turn: prepared and inferred before the host steps on the frame."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from puncta.core.frame import Frame
from puncta.core.results import PluginOutput
from puncta.sdk.plugin import ResetReason, Staged, StepResult


@dataclass(slots=True, eq=False)
class Begun:
    """A plugin's work on one frame, under way.

    Attributes
    ----------
    plugin : Staged
    elapsed_ns : int
        Time that the parts done so far took.
    """

    plugin: Staged
    elapsed_ns: int = 0
    _value: Any = None
    _error: Exception | None = None

    def prepare(self, frame: Frame) -> None:
        """Do the first part."""
        self._do(partial(self.plugin.prepare, frame))

    def infer(self) -> None:
        """Do the second part."""
        self._do(partial(self.plugin.infer, self._value))

    def finish(self, frame: Frame, upstream: Mapping[str, PluginOutput]) -> StepResult:
        """Do the third part; a failure of the first two is raised here, where the host counts a plugin's failures."""
        if self._error is not None:
            raise self._error
        return self.plugin.finish(frame, self._value, upstream)

    def _do(self, part: Callable[[], Any]) -> None:
        if self._error is not None:
            return
        begun = time.perf_counter_ns()
        try:
            self._value = part()
        except Exception as error:  # noqa: BLE001 - raised again by `finish`
            self._error = error
        self.elapsed_ns += time.perf_counter_ns() - begun


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """A frame on its way through the threads of a run.

    Attributes
    ----------
    begun : mapping of plugin id to Begun
    reset : ResetReason or None
        The plugins begin anew on this frame.
    """

    frame: Frame
    begun: Mapping[str, Begun] = field(default_factory=dict)
    reset: ResetReason | None = None
