"""Runs the plugins on a frame: in dependency order, each in its own `try`, with a breaker a plugin.

The host belongs to one inference thread. Only `set_enabled`, `close_breaker` and `statuses` may be called from another.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from puncta.core.errors import PunctaError, UserError
from puncta.core.events import PluginStatus
from puncta.core.flags import Flag
from puncta.core.frame import Frame
from puncta.core.results import Analysis, PluginOutput, flags_of_frame
from puncta.pipeline.policy import FAULTS_TO_OPEN
from puncta.sdk.plugin import Plugin, ResetReason, StepResult
from puncta.sdk.result_checks import find_result_faults

log = logging.getLogger(__name__)


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
        Runs on every n-th frame; its last output is carried forward in between.
    budget_ms : float or None
        Time it promises to keep; judged only in live delivery, so that results stay repeatable.
    history_frames : int
        Earlier frames its result may depend on.
    """

    plugin_id: str
    title: str
    create: Callable[[], Plugin]
    identity: Callable[[], tuple[str, str]] = lambda: ("", "")
    after: tuple[str, ...] = ()
    every: int = 1
    budget_ms: float | None = None
    history_frames: int = 0


@dataclass(slots=True)
class _Slot:
    spec: HostedPlugin
    enabled: bool
    plugin: Plugin | None = None
    faults: int = 0
    breaker_open: bool = False
    message: str = ""
    fresh: bool = False
    since_run: int = 0
    last: PluginOutput | None = None
    times_ms: deque[float] = field(default_factory=lambda: deque(maxlen=300))


class PluginHost:
    """Steps all enabled plugins over a stream of frames.

    Parameters
    ----------
    plugins : sequence of HostedPlugin
        In dependency order.
    enabled : collection of plugin ids
        None enables all.
    live : bool
        In live delivery a plugin over its budget is flagged.
    """

    def __init__(
        self, plugins: Sequence[HostedPlugin], enabled: Sequence[str] | None = None, *, live: bool = False
    ) -> None:
        self._slots = [_Slot(p, enabled is None or p.plugin_id in enabled) for p in plugins]
        self._live = live
        self._lock = threading.Lock()

    @property
    def history_frames(self) -> int:
        """Most earlier frames that an enabled plugin's result may depend on."""
        with self._lock:
            return max((s.spec.history_frames for s in self._slots if s.enabled), default=0)

    def set_enabled(self, plugin_id: str, on: bool) -> None:
        """Switch a plugin on or off; switching on also closes its breaker.

        Raises
        ------
        UserError
            No such plugin.
        """
        with self._lock:
            slot = self._find(plugin_id)
            slot.enabled = on
            if on:
                slot.breaker_open, slot.faults, slot.message = False, 0, ""
                slot.fresh = True

    def reset(self, reason: ResetReason) -> None:
        """Empty the plugins' memory; outputs of before are not carried over."""
        for slot in self._slots:
            slot.last, slot.since_run = None, 0
            if slot.plugin is not None:
                self._guard(slot, lambda s=slot: s.plugin.reset(reason))

    def prepare(self) -> None:
        """Create the enabled plugins now (models load), instead of on the first frame."""
        for slot in self._active():
            self._ensure(slot)

    def step(self, frame: Frame) -> Analysis:
        """Run the enabled plugins on a frame and return what they said.

        One plugin's failure costs that plugin's output alone.
        """
        outputs: dict[str, PluginOutput] = {}
        timings: list[tuple[str, int]] = []
        for slot in self._active():
            output = self._step_one(slot, frame, outputs)
            if output is not None:
                outputs[slot.spec.plugin_id] = output
                timings.append((slot.spec.plugin_id, output.elapsed_ns))
        flags = flags_of_frame(frame).union(*(o.flags for o in outputs.values()))
        return Analysis(frame, tuple(outputs.values()), frozenset(flags), time.monotonic_ns(), tuple(timings))

    def close(self) -> None:
        """Close every plugin; a failure in one is logged and does not keep the others open."""
        for slot in self._slots:
            if slot.plugin is not None:
                plugin, slot.plugin = slot.plugin, None
                try:
                    plugin.close()
                except Exception:
                    log.exception("plugin %s failed to close", slot.spec.plugin_id)

    def statuses(self) -> tuple[PluginStatus, ...]:
        """One snapshot a plugin, for the inspector."""
        with self._lock:
            return tuple(_status(slot) for slot in self._slots)

    def _active(self) -> Iterator[_Slot]:
        return (s for s in self._slots if s.enabled and not s.breaker_open)

    def _find(self, plugin_id: str) -> _Slot:
        for slot in self._slots:
            if slot.spec.plugin_id == plugin_id:
                return slot
        known = ", ".join(s.spec.plugin_id for s in self._slots) or "none"
        raise UserError(f"There is no plugin '{plugin_id}'; the plugins here are: {known}.")

    def _ensure(self, slot: _Slot) -> bool:
        if slot.plugin is not None:
            return True
        try:
            slot.plugin = slot.spec.create()
            slot.plugin.reset(ResetReason.OPENED)
            slot.fresh = False
            return True
        except Exception as error:
            # A plugin that cannot be created will not come right by itself on the next frame: open the breaker at once.
            if not isinstance(error, PunctaError):
                log.exception("plugin %s cannot be created", slot.spec.plugin_id)
            with self._lock:
                slot.plugin, slot.breaker_open = None, True
                slot.message = (
                    str(error)
                    if isinstance(error, PunctaError)
                    else (f"{slot.spec.title} could not start and is switched off; the log has the details.")
                )
            return False

    def _step_one(self, slot: _Slot, frame: Frame, outputs: Mapping[str, PluginOutput]) -> PluginOutput | None:
        spec = slot.spec
        if not self._ensure(slot):
            return PluginOutput(
                spec.plugin_id, frame.frame_id, flags=frozenset({Flag.PLUGIN_FAULT}), fault=slot.message
            )
        if slot.fresh:
            slot.fresh, slot.last = False, None  # what it said before it was switched off is old
            self._guard(slot, lambda: slot.plugin.reset(ResetReason.ENABLED))
        if slot.last is not None and slot.since_run + 1 < spec.every:
            slot.since_run += 1
            return slot.last
        upstream = MappingProxyType({name: outputs[name] for name in spec.after if name in outputs})
        begun = time.perf_counter_ns()
        result = self._guard(slot, lambda: _checked(slot.plugin.step(frame, upstream), frame))
        elapsed = time.perf_counter_ns() - begun
        if result is None:
            slot.last = None
            return PluginOutput(
                spec.plugin_id,
                frame.frame_id,
                flags=frozenset({Flag.PLUGIN_FAULT}),
                frame_t_ns=frame.t_ns,
                elapsed_ns=elapsed,
                fault=slot.message,
            )
        slot.faults, slot.since_run = 0, 0
        slot.times_ms.append(elapsed / 1e6)
        flags = result.flags
        if self._live and spec.budget_ms is not None and elapsed > spec.budget_ms * 1e6:
            flags = flags | {Flag.OVER_BUDGET}
        model, sha256 = spec.identity()
        slot.last = PluginOutput(
            spec.plugin_id, frame.frame_id, result.results, flags, frame.t_ns, elapsed, model, sha256
        )
        return slot.last

    def _guard(self, slot: _Slot, call: Callable[[], StepResult | None]) -> StepResult | None:
        """Call into a plugin; a failure is logged, counted, and opens the breaker the third time in a row."""
        try:
            return call()
        except Exception as error:
            with self._lock:
                slot.faults += 1
                title = slot.spec.title
                if slot.faults >= FAULTS_TO_OPEN:
                    slot.breaker_open = True
                    slot.message = (
                        f"{title} failed {slot.faults} times in a row ({_reason(error)}) and is switched off."
                    )
                else:
                    slot.message = f"{title} failed on a frame ({_reason(error)})."
            log.exception("plugin %s failed (%d in a row)", slot.spec.plugin_id, slot.faults)
            return None


def _reason(error: Exception) -> str:
    """Kind and words of an error, short enough for a banner."""
    words = " ".join(str(error).split())
    return f"{type(error).__name__}: {words[:117]}..." if len(words) > 120 else f"{type(error).__name__}: {words}"


def _status(slot: _Slot) -> PluginStatus:
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
    )


def _checked(result: StepResult, frame: Frame) -> StepResult:
    """Refuse what could not be drawn or written: wrong types, NaN, a loss without a reason, points off the picture."""
    faults = find_result_faults(result, frame)
    if faults:
        raise ValueError("; ".join(faults))
    return result
