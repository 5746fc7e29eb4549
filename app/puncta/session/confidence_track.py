"""The confidence of each analysed frame, for the timeline."""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray

from puncta.core.results import Analysis, Detection
from puncta.core.speakers import spoken_for


class ConfidenceTrack:
    """One array a track ("tip", ...), NaN where a frame is not analysed yet. Safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._arrays: dict[str, NDArray[np.float32]] = {}

    def clear(self) -> None:
        """Forget everything: another source comes."""
        with self._lock:
            self._arrays = {}

    def note(self, analysis: Analysis) -> None:
        """Keep what was found on one frame; a source without an end has no timeline."""
        count, index = analysis.frame.source.frame_count, analysis.frame.key.index
        if count is None or index >= count:
            return
        for name, value in _best(analysis).items():
            with self._lock:
                track = self._arrays.get(name)
                if track is None or len(track) != count:
                    track = self._arrays[name] = np.full(count, np.nan, np.float32)
                track[index] = value

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """Return the tracks by name."""
        with self._lock:
            return dict(self._arrays)


def _best(analysis: Analysis) -> dict[str, float]:
    """Confidence by track on one frame, of the plugin that speaks for the needle where several look for it."""
    silent = spoken_for(analysis)
    found: dict[str, float] = {}
    for output in analysis.outputs:
        for result in output.results:
            if isinstance(result, Detection) and output.plugin_id not in silent:
                name = "tip" if result.label == "needle_tip" else result.label
                found[name] = max(found.get(name, 0.0), result.score if result.tip_px is not None else 0.0)
    return found
