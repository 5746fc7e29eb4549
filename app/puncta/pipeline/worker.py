"""The inference thread: takes the next job, runs the host, passes the analysis on."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from puncta.core.channels import ChannelClosed, LatestSlot
from puncta.core.results import Analysis
from puncta.pipeline.host import PluginHost
from puncta.pipeline.policy import Job
from puncta.sdk.plugin import ResetReason

log = logging.getLogger(__name__)


class InferenceWorker:
    """Owns the host from start to stop.

    Parameters
    ----------
    jobs : LatestSlot of Job
    deliver : callable
        Takes each analysis, in this thread; must not block for long in live delivery.
    outdated : callable
        Tells whether an epoch is no longer the current one, so that a long pre-roll stops early.
    """

    def __init__(
        self,
        host: PluginHost,
        jobs: LatestSlot[Job],
        deliver: Callable[[Analysis], None],
        outdated: Callable[[int], bool] = lambda _epoch: False,
    ) -> None:
        self._host = host
        self._jobs = jobs
        self._deliver = deliver
        self._outdated = outdated
        self._epoch = -1
        self.analysed = 0
        self.busy_since_ns = 0
        self._thread = threading.Thread(target=self._work, name="puncta-inference")

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def join(self, timeout_s: float) -> bool:
        """Wait for the thread, which ends when its channel is closed; True when it has ended."""
        if self._thread.ident is None:
            return True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _work(self) -> None:
        try:
            self._host.prepare()
            while True:
                job = self._jobs.take()
                if job is not None:
                    self._step(job)
        except ChannelClosed:
            pass  # the ordinary end of a run
        except Exception:
            log.exception("the inference thread stopped")
        finally:
            self._host.close()

    def _step(self, job: Job) -> None:
        self.busy_since_ns = time.monotonic_ns()
        if job.frame.epoch != self._epoch:
            # An epoch that never came here began for another reason, which holds too.
            passed_over = job.reason is ResetReason.MODEL_CHANGED and job.frame.epoch != self._epoch + 1
            self._host.reset(ResetReason.SEEK if passed_over else job.reason)
            self._epoch = job.frame.epoch
        for earlier in job.pre_roll:
            if self._outdated(job.frame.epoch):
                self.busy_since_ns = 0
                return
            self._host.step(earlier)
        analysis = self._host.step(job.frame, every=job.held)
        self.analysed += 1
        self.busy_since_ns = 0
        self._deliver(analysis)
