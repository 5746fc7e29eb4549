"""Runs the plugins on a frame: in dependency order, each in its own `try`, with a breaker a plugin.

The host belongs to one inference thread. Only `set_enabled`, `set_option`, `prompt`, `swap` and `statuses` may be
called from another.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Any

from puncta.core.errors import PunctaError, UserError
from puncta.core.events import PluginStatus
from puncta.core.findings import FRESH_NS, carried_ns
from puncta.core.flags import Flag
from puncta.core.frame import Frame
from puncta.core.prompts import Prompt
from puncta.core.results import Analysis, PluginOutput, flags_of_frame
from puncta.pipeline.hosted import HostedPlugin, Slot, status_of
from puncta.pipeline.policy import FAULTS_TO_OPEN
from puncta.pipeline.stages import Begun
from puncta.sdk.plugin import Configurable, Plugin, Promptable, ResetReason, Staged, StepResult
from puncta.sdk.result_checks import find_result_faults

__all__ = ["HostedPlugin", "PluginHost"]

log = logging.getLogger(__name__)


MOST_PROMPTS = 256
"""Prompts kept a plugin; beyond that the oldest is forgotten."""


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
        self._slots = [Slot(p, enabled is None or p.plugin_id in enabled) for p in plugins]
        self._live = live
        self._lock = threading.Lock()
        self._closed = False

    @property
    def history_frames(self) -> int:
        """Most earlier frames that an enabled plugin's result may depend on."""
        with self._lock:
            return max((s.spec.history_frames for s in self._slots if s.enabled), default=0)

    @property
    def takes_prompts(self) -> tuple[str, ...]:
        """Plugins that take a user's prompts."""
        return tuple(s.spec.plugin_id for s in self._slots if s.spec.prompts)

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

    def prompt(self, plugin_id: str, prompt: Prompt | None, index: int | None = None) -> None:
        """Tell a plugin where to look.

        Parameters
        ----------
        prompt : Prompt or None
            None takes back what was said for that frame.
        index : int or None
            The frame for which it holds, each time that frame comes by, also after a seek; None is the next frame.

        Raises
        ------
        UserError
            No such plugin, or it takes no prompts.
        """
        with self._lock:
            slot = self._find(plugin_id)
            if not slot.spec.prompts:
                raise UserError(f"{slot.spec.title} takes no prompts.")
            slot.prompts.pop(index, None)
            if prompt is not None:
                slot.prompts[index] = prompt
                while len(slot.prompts) > MOST_PROMPTS:
                    del slot.prompts[next(iter(slot.prompts))]

    def prompted(self, plugin_id: str) -> tuple[int, ...]:
        """Return the frames for which a prompt stands, in order."""
        with self._lock:
            return tuple(sorted(i for i in self._find(plugin_id).prompts if i is not None))

    def set_option(self, plugin_id: str, name: str, value: Any) -> bool:
        """Change an option of a plugin, from its next frame on; tell whether that changed anything.

        Raises
        ------
        UserError
            No such plugin or option, or the value does not fit.
        """
        with self._lock:
            slot = self._find(plugin_id)
            options = slot.spec.options
            if options is None:
                raise UserError(f"{slot.spec.title} has no options.")
            changed = options.set(name, value)
            slot.renew = slot.renew or changed
            return changed

    def swap(self, spec: HostedPlugin, plugin: Plugin) -> None:
        """Put another plugin, created already, in the place of the one of its id, between two frames.

        Nothing of the one before is carried over, and a breaker it opened is closed. A newer swap replaces one that
        waits. Where the host is closed already, the plugin is closed too.

        Raises
        ------
        UserError
            There is no such plugin.
        """
        with self._lock:
            slot = self._find(spec.plugin_id)
            unused = plugin if self._closed else (slot.incoming[1] if slot.incoming is not None else None)
            if not self._closed:
                slot.incoming = (spec, plugin)
        if unused is not None:
            _close(spec.plugin_id, unused)

    def reset(self, reason: ResetReason) -> None:
        """Empty the plugins' memory; outputs of before are not carried over.

        Where a model changed, only its own plugin begins anew: the others go on with what they have seen.
        """
        self._take_in()
        if reason is ResetReason.MODEL_CHANGED:
            return
        for slot in self._slots:
            slot.last, slot.since_run = None, 0
            if slot.plugin is not None:
                self._guard(slot, lambda s=slot: s.plugin.reset(reason))

    def prepare(self) -> None:
        """Create the enabled plugins now (models load), instead of on the first frame."""
        for slot in self._active():
            self._ensure(slot)

    def staged(self) -> dict[str, Staged]:
        """Return the plugins whose first parts may run ahead of `step`; ask while no frame is under way."""
        found: dict[str, Staged] = {}
        for slot in self._active():
            plugin: object = slot.plugin
            if isinstance(plugin, Staged) and slot.spec.every == 1 and not slot.spec.prompts:
                found[slot.spec.plugin_id] = plugin
        return found

    def step(self, frame: Frame, *, every: bool = False, begun: Mapping[str, Begun] | None = None) -> Analysis:
        """Run the enabled plugins on a frame and return what they said.

        One plugin's failure costs that plugin's output alone.

        Parameters
        ----------
        every : bool
            Run those too whose turn it is not: a picture that is held is judged itself.
        begun : mapping of plugin id to Begun, or None
            What has been done on this frame already.
        """
        self._take_in()
        outputs: dict[str, PluginOutput] = {}
        timings: list[tuple[str, int]] = []
        for slot in self._active():
            output = self._step_one(slot, frame, outputs, every, (begun or {}).get(slot.spec.plugin_id))
            if output is not None:
                outputs[slot.spec.plugin_id] = output
                timings.append((slot.spec.plugin_id, output.elapsed_ns))
        flags = flags_of_frame(frame).union(*(o.flags for o in outputs.values()))
        return Analysis(frame, tuple(outputs.values()), frozenset(flags), time.monotonic_ns(), tuple(timings))

    def close(self) -> None:
        """Close every plugin; a failure in one is logged and does not keep the others open."""
        with self._lock:
            self._closed = True
            waiting = [(s.spec.plugin_id, s.incoming[1]) for s in self._slots if s.incoming is not None]
            running = [(s.spec.plugin_id, s.plugin) for s in self._slots if s.plugin is not None]
            for slot in self._slots:
                slot.plugin = slot.incoming = None
        for plugin_id, plugin in (*running, *waiting):
            _close(plugin_id, plugin)

    def statuses(self) -> tuple[PluginStatus, ...]:
        """One snapshot a plugin, for the inspector."""
        with self._lock:
            return tuple(status_of(slot) for slot in self._slots)

    def _take_in(self) -> None:
        for slot in self._slots:
            with self._lock:
                if slot.incoming is None:
                    continue
                gone = slot.take_in()
            if gone is not None:
                _close(slot.spec.plugin_id, gone)
            plugin = slot.plugin
            assert plugin is not None
            self._guard(slot, partial(plugin.reset, ResetReason.MODEL_CHANGED))

    def _active(self) -> Iterator[Slot]:
        return (s for s in self._slots if s.enabled and not s.breaker_open)

    def _find(self, plugin_id: str) -> Slot:
        for slot in self._slots:
            if slot.spec.plugin_id == plugin_id:
                return slot
        known = ", ".join(s.spec.plugin_id for s in self._slots) or "none"
        raise UserError(f"There is no plugin '{plugin_id}'; the plugins here are: {known}.")

    def _ensure(self, slot: Slot) -> bool:
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

    def _renew(self, slot: Slot) -> None:
        """Hand changed options over; a plugin that cannot take them while it runs is created anew."""
        with self._lock:
            if not slot.renew:
                return
            slot.renew = False
        slot.last = None
        if slot.plugin is None or slot.spec.options is None:
            return
        if isinstance(slot.plugin, Configurable):
            plugin, values = slot.plugin, slot.spec.options.values()
            self._guard(slot, lambda: plugin.configure(values))
            return
        plugin, slot.plugin = slot.plugin, None
        self._guard(slot, plugin.close)

    def _step_one(
        self, slot: Slot, frame: Frame, outputs: Mapping[str, PluginOutput], every: bool, ahead: Begun | None
    ) -> PluginOutput | None:
        spec = slot.spec
        self._renew(slot)
        if not self._ensure(slot):
            return PluginOutput(
                spec.plugin_id, frame.frame_id, flags=frozenset({Flag.PLUGIN_FAULT}), fault=slot.message
            )
        if slot.fresh:
            slot.fresh, slot.last = False, None  # what it said before it was switched off is old
            self._guard(slot, lambda: slot.plugin.reset(ResetReason.ENABLED))
        if slot.last is not None and slot.since_run + 1 < spec.every and not every:
            slot.since_run += 1
            return _carried(slot.last, frame)
        if every and slot.last is not None and slot.last.frame_key == frame.key:
            # The held frame comes again for the others: what this one said of it stands, and its memory sees it once.
            return replace(slot.last, frame_id=frame.frame_id, frame_t_ns=frame.t_ns)
        self._hand_prompt(slot, frame)
        upstream = MappingProxyType({name: outputs[name] for name in spec.after if name in outputs})
        assert slot.plugin is not None
        step, elapsed = slot.plugin.step, 0
        if ahead is not None and ahead.plugin is slot.plugin:
            step, elapsed = ahead.finish, ahead.elapsed_ns
        begun = time.perf_counter_ns()
        result = self._guard(slot, lambda: _checked(step(frame, upstream), frame))
        elapsed += time.perf_counter_ns() - begun
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
            spec.plugin_id, frame.frame_id, result.results, flags, frame.t_ns, elapsed, model, sha256,
            frame_key=frame.key,
        )
        return slot.last

    def _hand_prompt(self, slot: Slot, frame: Frame) -> None:
        """Hand a plugin what was drawn for this frame; what was drawn for the next one holds once."""
        with self._lock:
            once = slot.prompts.pop(None, None)
            prompt = once if once is not None else slot.prompts.get(frame.key.index)
        if prompt is not None and isinstance(slot.plugin, Promptable):
            slot.plugin.prompt(prompt)

    def _guard(self, slot: Slot, call: Callable[[], StepResult | None]) -> StepResult | None:
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


def _close(plugin_id: str, plugin: Plugin) -> None:
    try:
        plugin.close()
    except Exception:
        log.exception("plugin %s failed to close", plugin_id)


def _carried(output: PluginOutput, frame: Frame) -> PluginOutput:
    """An older output beside a new frame: it cost nothing now, and says so when it is too old for this picture."""
    flags = output.flags | {Flag.STALE} if carried_ns(output, frame) > FRESH_NS else output.flags
    return replace(output, elapsed_ns=0, flags=flags - {Flag.OVER_BUDGET})


def _reason(error: Exception) -> str:
    """Kind and words of an error, short enough for a banner."""
    words = " ".join(str(error).split())
    return f"{type(error).__name__}: {words[:117]}..." if len(words) > 120 else f"{type(error).__name__}: {words}"


def _checked(result: StepResult, frame: Frame) -> StepResult:
    """Refuse what could not be drawn or written: wrong types, NaN, a loss without a reason, points off the picture."""
    faults = find_result_faults(result, frame)
    if faults:
        raise ValueError("; ".join(faults))
    return result
