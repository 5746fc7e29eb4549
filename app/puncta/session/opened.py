"""One open source with its threads and channels; thrown away at the next source."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from puncta.core.channels import LatestSlot
from puncta.core.events import PipelineStatus, PlayState
from puncta.core.frame import Frame
from puncta.core.ports import FrameSource, as_live
from puncta.core.results import Analysis
from puncta.pipeline.host import PluginHost
from puncta.pipeline.hub import Hub
from puncta.pipeline.policy import STALL_NS, Job, Presentation
from puncta.pipeline.worker import InferenceWorker
from puncta.session.shown import Shown

log = logging.getLogger(__name__)


class Opened:
    """A source between its opening and its closing.

    Parameters
    ----------
    hub : Hub
    worker : InferenceWorker
    host : PluginHost
    jobs : LatestSlot of Job
        From capture to inference.
    screen : LatestSlot of Analysis
        From inference to the screen.
    preview : LatestSlot of Frame
        From capture to the screen.
    """

    def __init__(
        self,
        hub: Hub,
        worker: InferenceWorker,
        host: PluginHost,
        jobs: LatestSlot[Job],
        screen: LatestSlot[Analysis],
        preview: LatestSlot[Frame],
    ) -> None:
        self.hub, self.worker, self.host = hub, worker, host
        self._jobs, self._screen, self._preview = jobs, screen, preview
        self._shown = Shown()

    def start(self) -> None:
        """Begin to read and to analyse."""
        self.worker.start()
        self.hub.start()

    def stop(self) -> None:
        """Stop order: source, channels, inference."""
        for channel in (self._jobs, self._screen, self._preview):
            channel.close()
        if not self.hub.stop():
            log.error("the capture thread did not stop in time")
        if not self.worker.join(5.0):
            log.error("the inference thread did not stop in time")

    def take(self, presentation: Presentation) -> Analysis | None:
        """Return the newest picture to show, once; None when there is nothing new."""
        analysis, preview = self._screen.take_nowait(), self._preview.take_nowait()
        valid_from = self.hub.valid_from
        if self._lost():
            return self._shown.bare()
        if analysis is not None and analysis.frame.epoch < valid_from:
            analysis = None
        if preview is not None and preview.epoch < valid_from:
            preview = None
        return self._shown.choose(analysis, preview, presentation, self.stalled)

    def stalled(self) -> bool:
        """Tell whether frames come but no analysis has come for 250 ms."""
        busy_since_ns = self.worker.busy_since_ns
        if not busy_since_ns or (self._shown.newest_preview is None and not self._preview.full):
            return False
        return time.monotonic_ns() - busy_since_ns > STALL_NS

    def status(self, rate: float) -> PipelineStatus:
        """Return a snapshot of the whole run at a playback rate."""
        hub, live = self.hub.status(), as_live(self.hub.source)
        health = live.health() if live is not None else None
        lost = health is not None and not health.flowing and hub.state is PlayState.PLAYING
        return PipelineStatus(
            PlayState.RECONNECTING if lost else hub.state,
            hub.info,
            hub.index,
            hub.played,
            self.worker.analysed,
            hub.drops,
            rate,
            self.hub.loop,
            hub.message or (health.message if health is not None else ""),
            self.host.statuses(),
            health,
        )

    def _lost(self) -> bool:
        """Whether a live source that should be running gives nothing."""
        live = as_live(self.hub.source)
        return live is not None and self._shown.newest is not None and not live.flowing()


def open_run(
    open_source: Callable[[], FrameSource],
    host: PluginHost,
    deliver: Callable[[Hub, LatestSlot[Analysis], Analysis], None],
    **capture: Any,
) -> Opened:
    """Join a source, a host and the channels between them; nothing runs before `start`.

    Parameters
    ----------
    deliver : callable
        Takes the capture side, the slot to the screen and each analysis, in the inference thread.
    **capture
        Further parameters of `Hub`.
    """
    jobs: LatestSlot[Job] = LatestSlot("infer")
    preview: LatestSlot[Frame] = LatestSlot("preview")
    # Its own slot: an analysis that comes too late for its source never reaches the next one's screen.
    screen: LatestSlot[Analysis] = LatestSlot("screen")
    hub = Hub(open_source, jobs, preview, history_frames=lambda: host.history_frames, **capture)
    worker = InferenceWorker(
        host, jobs, lambda analysis: deliver(hub, screen, analysis), lambda epoch: epoch < hub.valid_from
    )
    return Opened(hub, worker, host, jobs, screen, preview)
