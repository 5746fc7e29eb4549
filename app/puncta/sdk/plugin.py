"""The protocol a plugin implements. It is ready for another process: inputs and outputs serialise, state is reset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

from puncta.core.flags import Flag
from puncta.core.frame import Frame
from puncta.core.prompts import Prompt
from puncta.core.results import PluginOutput, Result


class ResetReason(StrEnum):
    """Why a plugin must forget what it has seen."""

    OPENED = "opened"
    SEEK = "seek"
    SOURCE_CHANGED = "source changed"
    GEOMETRY_CHANGED = "geometry changed"
    GAP = "gap"
    MODEL_CHANGED = "model changed"
    ENABLED = "enabled"


@dataclass(frozen=True, slots=True)
class StepResult:
    """What `step` returns: typed results of this frame, and flags."""

    results: tuple[Result, ...] = ()
    flags: frozenset[Flag] = field(default=frozenset())


@runtime_checkable
class Plugin(Protocol):
    """One object a stream, used by one thread at a time.

    A plugin's module (the manifest's ``entry``) exposes ``create(context) -> Plugin``.
    """

    def reset(self, reason: ResetReason) -> None:
        """Forget all state; the next frame starts a new stream."""
        ...

    def step(self, frame: Frame, upstream: Mapping[str, PluginOutput]) -> StepResult:
        """Analyse one frame.

        Parameters
        ----------
        frame : Frame
            Its pixels are read-only; its geometry says where the ultrasound region is.
        upstream : mapping of plugin id to PluginOutput
            Outputs of the plugins named in the manifest's ``after``, of the *same* frame.
        """
        ...

    def close(self) -> None:
        """Release everything."""
        ...


@runtime_checkable
class Promptable(Protocol):
    """A plugin that can be told where to look; its manifest says ``prompts = true``."""

    def prompt(self, prompt: Prompt) -> None:
        """Take what a user has drawn; it holds for the frame that the next `step` gets."""
        ...


@runtime_checkable
class Configurable(Protocol):
    """What a plugin may implement too, to take changed options while it runs; any other is created anew."""

    def configure(self, options: Mapping[str, Any]) -> None:
        """Take over options, all of them, between two frames; what was seen so far is kept."""
        ...


@runtime_checkable
class Staged(Protocol):
    """What a plugin may implement too, so that its work on successive frames overlaps where a recording is run through.

    `step` then comes in three parts that run in three threads: one frame is prepared while the one before is inferred
    and the one before that is finished. Each part gets every frame, in order, and keeps to itself what it remembers;
    what a later part has to know travels in the value that is passed on. The three parts, one after the other, give
    what `step` gives. `reset` and `close` come only while no frame is under way.
    """

    def prepare(self, frame: Frame) -> Any:
        """Do what comes before the network."""
        ...

    def infer(self, prepared: Any) -> Any:
        """Run the network on what `prepare` returned."""
        ...

    def finish(self, frame: Frame, inferred: Any, upstream: Mapping[str, PluginOutput]) -> StepResult:
        """Return the frame's results from what `infer` returned."""
        ...
