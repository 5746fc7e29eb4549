"""What a host knows of a plugin: what its manifest says and how to create it, and its place while it runs."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from puncta.core.events import PluginStatus
from puncta.core.prompts import Prompt
from puncta.core.results import PluginOutput
from puncta.pipeline.options import PluginOptions
from puncta.sdk.plugin import Plugin


@dataclass(frozen=True, slots=True)
class HostedPlugin:
    """A plugin the host may run: what its manifest says, and how to create it.

    Attributes
    ----------
    create : callable
        Returns the plugin; called in the inference thread on first use. Raises UserError with a plain sentence.
    identity : callable
        Returns (model identity, sha256) once created; empty strings without a model.
    after : tuple of str
        Upstream plugins whose outputs of the same frame it sees.
    every : int
        Runs on every n-th frame; its last output is carried forward in between and keeps its own frame. Older than
        100 ms of the frames' time it is flagged STALE.
    budget_ms : float or None
        Time it promises to keep; judged only in live delivery, so that results stay repeatable.
    history_frames : int
        Earlier frames its result may depend on.
    prompts : bool
        It takes a user's prompts.
    options : PluginOptions or None
        What the user may change while it runs; `create` reads them too.
    emits : tuple of str
        Kinds of results that it may give.
    rebuild : callable or None
        Returns the same plugin as it would be hosted now, with the model that is in use now; its options stay shared.
        Raises UserError with a plain sentence.
    """

    plugin_id: str
    title: str
    create: Callable[[], Plugin]
    identity: Callable[[], tuple[str, str]] = lambda: ("", "")
    after: tuple[str, ...] = ()
    every: int = 1
    budget_ms: float | None = None
    history_frames: int = 0
    prompts: bool = False
    options: PluginOptions | None = None
    emits: tuple[str, ...] = ()
    rebuild: Callable[[], HostedPlugin] | None = None


@dataclass(slots=True)
class Slot:
    """A plugin's place in a host, with what it said last and how it fares."""

    spec: HostedPlugin
    enabled: bool
    plugin: Plugin | None = None
    faults: int = 0
    breaker_open: bool = False
    message: str = ""
    fresh: bool = False
    renew: bool = False
    since_run: int = 0
    last: PluginOutput | None = None
    times_ms: deque[float] = field(default_factory=lambda: deque(maxlen=300))
    prompts: dict[int | None, Prompt] = field(default_factory=dict)
    incoming: tuple[HostedPlugin, Plugin] | None = None

    def take_in(self) -> Plugin | None:
        """Put what is to come in the place of what runs, with nothing left of that; return the plugin that goes."""
        if self.incoming is None:
            return None
        gone = self.plugin
        (self.spec, self.plugin), self.incoming = self.incoming, None
        self.faults, self.breaker_open, self.message = 0, False, ""
        self.fresh = self.renew = False
        self.since_run, self.last = 0, None
        self.times_ms.clear()
        return gone


def status_of(slot: Slot) -> PluginStatus:
    """Take a snapshot of a plugin, for the inspector."""
    times = list(slot.times_ms)
    p50, p95 = (float(v) for v in np.percentile(times, (50, 95))) if times else (None, None)
    model = slot.spec.identity()[0] if slot.plugin is not None else ""
    return PluginStatus(
        slot.spec.plugin_id,
        slot.spec.title,
        slot.enabled,
        model,
        slot.faults,
        slot.breaker_open,
        slot.message,
        p50,
        p95,
        slot.spec.options.offers() if slot.spec.options is not None else (),
        slot.spec.emits,
    )
