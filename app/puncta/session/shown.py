"""Which picture of an open source is shown next: with its own findings, bare, or with those of a picture before it."""

from __future__ import annotations

import time
from collections.abc import Callable

from puncta.core.frame import Frame
from puncta.core.overlay import STALE_LIMIT_NS
from puncta.core.results import Analysis, flags_of_frame
from puncta.pipeline.policy import Presentation


class Shown:
    """Remembers what came last and what was shown last, so that each picture is shown once.

    Attributes
    ----------
    newest : Analysis or None
        The last picture that was analysed.
    newest_preview : Frame or None
        The last picture, analysed or not.
    """

    def __init__(self) -> None:
        self.newest: Analysis | None = None
        self.newest_preview: Frame | None = None
        self._taken_id, self._taken_own = -1, False
        self._bare_id = -1

    def choose(
        self,
        analysis: Analysis | None,
        preview: Frame | None,
        presentation: Presentation,
        stalled: Callable[[], bool],
    ) -> Analysis | None:
        """Return what is to be shown of what has come since the last time, or None where that is nothing new.

        Parameters
        ----------
        analysis, preview : Analysis or None, Frame or None
            The newest analysis and the newest picture, where there is one since the last time.
        presentation : Presentation
            COHERENT or LOW_LATENCY.
        stalled : callable
            Whether pictures come without analyses.
        """
        if analysis is not None:
            self.newest = analysis
        if preview is not None:
            self.newest_preview = preview
        low_latency = presentation is Presentation.LOW_LATENCY
        return self._low_latency() if low_latency else self._coherent(analysis, stalled)

    def bare(self) -> Analysis | None:
        """Return the last picture without what was found on it, once: while a source is lost, nothing may look live."""
        frame = self.newest_preview or (self.newest.frame if self.newest is not None else None)
        if frame is None or self._bare_id == frame.frame_id:
            return None
        self._bare_id = self._taken_id = frame.frame_id
        self._taken_own = False
        return Analysis(frame, (), frozenset(flags_of_frame(frame)), time.monotonic_ns())

    def _coherent(self, analysis: Analysis | None, stalled: Callable[[], bool]) -> Analysis | None:
        if analysis is not None:
            self._taken_id, self._taken_own = analysis.frame.frame_id, True
            return analysis
        preview = self.newest_preview
        if preview is None or preview.frame_id <= self._taken_id or not stalled():
            return None
        self._taken_id, self._taken_own = preview.frame_id, False
        return Analysis(preview, (), frozenset(flags_of_frame(preview)), time.monotonic_ns())

    def _low_latency(self) -> Analysis | None:
        preview, newest = self.newest_preview, self.newest
        if preview is None:
            return None
        if newest is not None and newest.frame.epoch != preview.epoch:
            newest = None
        own = newest is not None and newest.frame.frame_id == preview.frame_id
        if (preview.frame_id, own) == (self._taken_id, self._taken_own):
            return None
        self._taken_id, self._taken_own = preview.frame_id, own
        if own:
            return newest
        outputs = newest.outputs if newest is not None else ()
        flags = flags_of_frame(preview).union(newest.flags if newest is not None else ())
        # Tissue moves on: a place found on an older picture is shown for a moment, like everything found there.
        fresh = newest is not None and preview.t_ns - newest.frame.t_ns <= STALE_LIMIT_NS
        target = newest.target if newest is not None and fresh else None
        return Analysis(preview, outputs, frozenset(flags), time.monotonic_ns(), target=target)
