"""Plays one source at a time through capture and inference, and hands the newest picture to whoever shows it.

No Qt here: the window gives a `wake` callable, which is called on a foreign thread without a payload and at most once
until `take` is called.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from puncta.core.channels import ChannelClosed, LatestSlot
from puncta.core.errors import UserError
from puncta.core.events import PipelineStatus, PlayState, PluginStatus
from puncta.core.frame import Calibration, Frame, SourceInfo, UltrasoundRegion
from puncta.core.geometry import PointPx
from puncta.core.ports import FrameSource
from puncta.core.prompts import Prompt
from puncta.core.results import Analysis
from puncta.core.target import TargetFix
from puncta.pipeline.host import HostedPlugin, PluginHost
from puncta.pipeline.hub import Hub
from puncta.pipeline.policy import Delivery, Presentation
from puncta.sdk.plugin import Plugin, ResetReason
from puncta.session.latency import LatencyMeter, LatencySnapshot
from puncta.session.model_switch import ModelSwitch, ModelSwitches
from puncta.session.opened import Opened, open_run
from puncta.session.plugins import hosted_plugins
from puncta.session.target import TargetKeeper
from puncta.session.timeline import Timeline
from puncta.sources.factory import open_source
from puncta.sources.steering import Steering

__all__ = ["Player", "Presentation"]


class Player:
    """See the module's text.

    Parameters
    ----------
    wake : callable
        Called when there is something new to take or the state changed; never with a payload.
    enabled_plugins : sequence of str
        Plugins that are on from the start.
    models : mapping of plugin id to model id
    plugins : sequence of HostedPlugin or None
        None hosts all plugins that are found; tests give their own.
    opener : callable
        Opens a source by its URI.
    calibration_of : callable
        The user's remembered calibration of a source, or None.
    options : mapping of plugin id to mapping of option to value
        The user's remembered changes to the plugins' options; those that do not fit any more are left out.
    """

    def __init__(
        self,
        *,
        wake: Callable[[], None] = lambda: None,
        enabled_plugins: Sequence[str] = ("needle-tip",),
        models: Mapping[str, str] | None = None,
        every_frame: bool = False,
        presentation: Presentation = Presentation.COHERENT,
        repeat: bool = False,
        plugins: Sequence[HostedPlugin] | None = None,
        opener: Callable[[str], FrameSource] = open_source,
        calibration_of: Callable[[SourceInfo], Calibration | None] = lambda _info: None,
        options: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self._wake, self._wake_pending = wake, False
        self._enabled = set(enabled_plugins)
        self._plugins = tuple(plugins) if plugins is not None else None
        self._models = dict(models or {})
        self._options = dict(options or {})
        self._uri = ""
        self._delivery = Delivery.EVERY_FRAME if every_frame else Delivery.LIVE
        self._presentation, self._repeat = presentation, repeat
        self._opener, self._calibration_of = opener, calibration_of
        self._rate = 1.0
        self._lock = threading.Lock()
        self._run: Opened | None = None
        self._failed = ""
        self._epoch = 0
        self._meter = LatencyMeter()
        self._timeline, self._target = Timeline(), TargetKeeper()
        # A model is put in either before a source opens with it or after, never in between.
        self._opening = threading.Lock()
        self._switches = ModelSwitches(self._put_model, self._nudge)
        self._on_frame: Callable[[Frame], None] = lambda _frame: None
        self._on_analysis: Callable[[Analysis], None] = lambda _analysis: None

    # --- the source ----------------------------------------------------------------------------------------------

    def open(self, uri: str, *, paused: bool = False, start_index: int = 0) -> None:
        """Open a source in the capture thread and play it; returns at once. What was open is closed first."""
        self.close_source()
        with self._opening:
            self._open(uri, paused, start_index)

    def _open(self, uri: str, paused: bool, start_index: int) -> None:
        try:
            plugins = self._hosted()
        except UserError as error:
            self._failed = str(error)
            self._nudge()
            return
        self._failed = ""
        if uri != self._uri:
            for plugin in plugins:
                if plugin.options is not None:
                    plugin.options.forget_case()
        self._uri = uri
        host = PluginHost(plugins, tuple(self._enabled), live=self._delivery is Delivery.LIVE)
        self._meter.clear()
        self._timeline.clear()
        self._target.clear()
        self._epoch += 1
        self._run = open_run(
            lambda: self._opener(uri),
            host,
            self._deliver,
            first_epoch=self._epoch,
            delivery=self._delivery,
            on_change=self._nudge, on_preview=self._nudge_bare, on_frame=lambda frame: self._on_frame(frame),
            paused=paused, start_index=start_index, rate=self._rate, repeat=self._repeat,
            calibration_of=self._calibration_of,
        )
        self._run.start()

    def close_source(self) -> None:
        """Close what is open; joins its threads."""
        run, self._run = self._run, None
        if run is not None:
            run.stop()
            self._epoch = run.hub.epoch

    def close(self) -> None:
        """Close for good."""
        self._wake = lambda: None
        self._switches.close()
        self.close_source()

    def listen(self, on_frame: Callable[[Frame], None], on_analysis: Callable[[Analysis], None]) -> None:
        """Let a recorder hear every frame and every analysis, in the threads where they arise; it must never wait."""
        self._on_frame, self._on_analysis = on_frame, on_analysis

    def take_transforms(self) -> list[tuple[str, tuple[float, ...], int]]:
        """Return what came beside the pictures, once: name, 4 x 4 matrix [mm], arrival [ns]. Safe from any thread."""
        take = getattr(self._run.hub.source, "take_transforms", None) if self._run is not None else None
        return take() if take is not None else []

    # --- transport -----------------------------------------------------------------------------------------------

    def play(self) -> None:
        """Play on; from the start when the end was reached."""
        if self._run:
            self._run.hub.play()

    def pause(self) -> None:
        """Hold the picture."""
        if self._run:
            self._run.hub.pause()
            self._nudge()

    def toggle(self) -> None:
        """Play or pause."""
        self.pause() if self.status().state is PlayState.PLAYING else self.play()

    def seek(self, index: int) -> None:
        """Go to a frame; only the newest of several quick seeks is carried out."""
        if self._run:
            self._run.hub.seek(index)

    def step(self, delta: int) -> None:
        """Pause and go frames on or back."""
        if self._run:
            self._run.hub.step(delta)

    def set_rate(self, rate: float) -> None:
        """Set the playback rate, 0.1 .. 4; it stays for the next source."""
        self._rate = rate
        if self._run:
            self._run.hub.set_rate(rate)

    def set_loop(self, span: tuple[int, int] | None) -> None:
        """Loop over a half-open range of frames, or over nothing."""
        if self._run:
            self._run.hub.set_loop(span)

    def set_repeat(self, on: bool) -> None:
        """Start again at the end."""
        self._repeat = on
        if self._run:
            self._run.hub.set_repeat(on)

    def set_every_frame(self, on: bool) -> None:
        """Wait for every frame's analysis instead of dropping late frames."""
        self._delivery = Delivery.EVERY_FRAME if on else Delivery.LIVE
        if self._run:
            self._run.hub.set_delivery(self._delivery)

    def set_presentation(self, presentation: Presentation) -> None:
        """Choose between coherent and low-latency pictures."""
        self._presentation = Presentation(presentation)

    def set_plugin_enabled(self, plugin_id: str, on: bool) -> None:
        """Switch a plugin on or off; a held picture is analysed again.

        Raises
        ------
        UserError
            No such plugin.
        """
        (self._enabled.add if on else self._enabled.discard)(plugin_id)
        if self._run:
            self._run.host.set_enabled(plugin_id, on)
            if self.status().state is not PlayState.PLAYING:
                self._run.hub.refresh(ResetReason.ENABLED)

    def set_plugin_option(self, plugin_id: str, name: str, value: Any) -> None:
        """Change an option of a plugin; a held picture is analysed again.

        Raises
        ------
        UserError
            No such plugin or option, or the value does not fit.
        """
        run = self._run
        changed = run is not None and run.host.set_option(plugin_id, name, value)
        if run is not None and changed and self.status().state is not PlayState.PLAYING:
            run.hub.refresh(ResetReason.ENABLED)

    def reload_plugin(self, plugin_id: str) -> None:
        """Load the model that a plugin uses now and put it in between two frames; returns at once.

        Pictures go on with the old one meanwhile. `take_switches` tells when it was put in, or why not; from then on
        nothing is shown that the old one has found, and a held picture is analysed again.

        Raises
        ------
        UserError
            No such plugin.
        """
        self._switches.begin(self._hosted(), plugin_id)

    def take_switches(self) -> tuple[ModelSwitch, ...]:
        """Return how switches of models have ended since the last call."""
        return self._switches.take()

    def promptable(self) -> tuple[str, ...]:
        """Plugins that run now and take prompts."""
        run = self._run
        if run is None:
            return ()
        on = {s.plugin_id for s in run.host.statuses() if s.enabled and not s.breaker_open}
        return tuple(plugin_id for plugin_id in run.host.takes_prompts if plugin_id in on)

    def prompt(self, plugin_id: str, prompt: Prompt | None, index: int | None = None) -> None:
        """Tell a plugin where the needle is on a frame; None takes that back. A held picture is analysed again.

        Parameters
        ----------
        index : int or None
            Number of the frame, for a source that can be sought: it holds whenever that frame comes by. None is the
            next frame.

        Raises
        ------
        UserError
            No such plugin, or it takes no prompts.
        """
        if (run := self._run) is None:
            return
        seekable = (info := self.status().info) is not None and info.seekable
        run.host.prompt(plugin_id, prompt, index if seekable else None)
        if seekable and index is not None and self.status().state is not PlayState.PLAYING:
            run.hub.seek(index)  # with the frames before it, which a refresh would leave out

    def judge_held(self) -> None:
        """Have the frame that is held judged by the plugins that had no time for it while it played."""
        if self._run is not None:
            self._run.hub.judge_held()

    def set_target(self, point_px: PointPx | None, frame: Frame | None) -> TargetFix | None:
        """Follow the tissue at a point [px] of a frame from now on, or nothing; return how it stands on that frame.

        For a source without an end: what is sought jumps, and nobody could say where the tissue went.
        """
        return self._target.set(point_px, frame)

    def set_region(self, region: UltrasoundRegion | None) -> None:
        """Give the pictures of a captured screen the region that a person has confirmed, or take it away."""
        source = self._run.hub.source if self._run is not None else None
        if source is not None and hasattr(source, "set_region"):
            source.set_region(region)

    def set_calibration(self, calibration: Calibration | None) -> None:
        """Put the user's calibration in place of the source's own, or take it away."""
        if self._run:
            self._run.hub.set_calibration(calibration)

    # --- what is shown -------------------------------------------------------------------------------------------

    def take(self) -> Analysis | None:
        """Return the newest picture to show, once; None when there is nothing new.

        COHERENT gives the newest analysed frame with its own outputs. When inference stalls, the raw frame comes
        without outputs. LOW_LATENCY gives the newest frame; outputs of an older frame keep their own frame's number
        and time, so that whoever draws them can dim or drop them.
        """
        with self._lock:
            self._wake_pending = False
        return self._run.take(self._presentation) if self._run is not None else None

    def stalled(self) -> bool:
        """Tell whether frames come but no analysis has come for 250 ms."""
        return (run := self._run) is not None and run.stalled()

    @property
    def steering(self) -> Steering | None:
        """Where the hands of a steered simulation go; None where what is open is not steered."""
        run = self._run
        return getattr(run.hub.source, "steering", None) if run is not None else None

    def painted(self, analysis: Analysis, t_ns: int) -> None:
        """Tell the latency meter that the paint event of a picture ended [ns, monotonic]."""
        self._meter.painted(analysis, t_ns)

    def latency(self) -> LatencySnapshot:
        """Return what the latency meter shows."""
        return self._meter.snapshot()

    def status(self) -> PipelineStatus:
        """Return a snapshot of the whole run."""
        run = self._run
        if run is None:
            state = PlayState.FAILED if self._failed else PlayState.EMPTY
            return PipelineStatus(state, message=self._failed, rate=self._rate, plugins=self._idle_plugins())
        return run.status(self._rate)

    def track(self) -> Mapping[str, NDArray[np.float32]]:
        """Return confidence by frame, one array a track ("tip", "CSF", ...); NaN where not analysed yet."""
        return self._timeline.tracks()

    def ribbons(self) -> Mapping[str, NDArray[np.uint8]]:
        """Return what was said of each frame, one array of `RIBBON_CODES` a finding."""
        return self._timeline.ribbons()

    # --- called in the inference, capture and loading threads ------------------------------------------------------

    def _put_model(self, spec: HostedPlugin, plugin: Plugin) -> None:
        with self._opening:
            self._plugins = tuple(spec if p.plugin_id == spec.plugin_id else p for p in self._plugins or ())
            run = self._run
            if run is None:
                plugin.close()  # it can be loaded; the next source does so
                return
            run.host.swap(spec, plugin)
            run.hub.refresh(ResetReason.MODEL_CHANGED)
        self._timeline.clear(spec.emits)

    def _deliver(self, hub: Hub, screen: LatestSlot[Analysis], analysis: Analysis) -> None:
        fix = self._target.step(analysis.frame, hub.source)
        if fix is not None:
            analysis = replace(analysis, target=fix)
        try:
            screen.put(analysis)
        except ChannelClosed:
            return  # the source is being closed; nobody waits for this picture
        self._on_analysis(analysis)  # before anybody is woken: who stops a recording on this picture has its analysis
        self._nudge()  # before the rest: whoever shows it wakes up while that is done
        if analysis.frame.epoch >= hub.valid_from:
            self._timeline.note(analysis)

    def _nudge(self) -> None:
        with self._lock:
            if self._wake_pending:
                return
            self._wake_pending = True
        self._wake()

    def _nudge_bare(self) -> None:
        """Wake for a picture without its analysis only where it is shown: at low latency and while inference stalls."""
        if self._presentation is Presentation.LOW_LATENCY or self.stalled():
            self._nudge()

    def _hosted(self) -> tuple[HostedPlugin, ...]:
        if self._plugins is None:
            self._plugins = hosted_plugins(None, models=self._models, options=self._options, lenient=True)
        return self._plugins

    def _idle_plugins(self) -> tuple[PluginStatus, ...]:
        plugins = self._plugins or ()
        return tuple(PluginStatus(p.plugin_id, p.title, p.plugin_id in self._enabled) for p in plugins)
