"""What the timeline shows of a source: the confidence of each analysed frame, and what was said of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
from numpy.typing import NDArray

from puncta.core.results import Analysis
from puncta.session.confidence_track import ConfidenceTrack
from puncta.session.flag_ribbons import FlagRibbons

PLACES, FLAGS = "detection", "class"
"""Kinds of results that have a track, and that have a ribbon."""


class Timeline:
    """The tracks and ribbons of one source. Safe from any thread."""

    def __init__(self) -> None:
        self._track, self._ribbons = ConfidenceTrack(), FlagRibbons()

    def clear(self, kinds: Collection[str] = (PLACES, FLAGS)) -> None:
        """Forget what was found of these kinds: another source comes, or another model."""
        if PLACES in kinds:
            self._track.clear()
        if FLAGS in kinds:
            self._ribbons.clear()

    def note(self, analysis: Analysis) -> None:
        """Keep what was found on one frame."""
        self._track.note(analysis)
        self._ribbons.note(analysis)

    def tracks(self) -> Mapping[str, NDArray[np.float32]]:
        """Confidence by frame, one array a track ("tip", ...); NaN where not analysed yet."""
        return self._track.arrays()

    def ribbons(self) -> Mapping[str, NDArray[np.uint8]]:
        """What was said of each frame, one array of `RIBBON_CODES` a finding."""
        return self._ribbons.arrays()
