"""What was said of each frame, flag by flag, for the timeline: yes, no, cannot tell, or not seen yet."""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray

from puncta.core.findings import RIBBON_CODES
from puncta.core.flags import Flag
from puncta.core.results import Analysis, ClassResult


class FlagRibbons:
    """One array of `RIBBON_CODES` a finding. Safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._arrays: dict[str, NDArray[np.uint8]] = {}

    def clear(self) -> None:
        """Forget everything: another source comes."""
        with self._lock:
            self._arrays = {}

    def note(self, analysis: Analysis) -> None:
        """Keep what was said of one frame; what is too old for it says nothing of it.

        Sources without an end have no ribbon.
        """
        count, index = analysis.frame.source.frame_count, analysis.frame.key.index
        if count is None or index >= count:
            return
        for output in analysis.outputs:
            if Flag.STALE in output.flags:
                continue
            for result in output.results:
                if isinstance(result, ClassResult):
                    with self._lock:
                        ribbon = self._arrays.get(result.label)
                        if ribbon is None or len(ribbon) != count:
                            ribbon = self._arrays[result.label] = np.zeros(count, np.uint8)
                        ribbon[index] = RIBBON_CODES[result.value]

    def arrays(self) -> dict[str, NDArray[np.uint8]]:
        """Return the ribbons by the findings' labels."""
        with self._lock:
            return dict(self._arrays)
