"""The timeline's confidence is that of the plugin whose needle is drawn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from puncta.core.frame import Frame, FrameKey, ImageGeometry, SourceInfo, SourceKind, UltrasoundRegion
from puncta.core.results import Analysis, Certainty, Detection, MaskResult, PluginOutput, Result
from puncta.session.confidence_track import ConfidenceTrack

GEOMETRY = ImageGeometry(200, 150, (UltrasoundRegion((10, 20, 180, 120), "dicom", None),))
INFO = SourceInfo("u", "s", "t", SourceKind.FILE, GEOMETRY, 6)
TIP = Detection("needle_tip", (92.0, 77.0, 16.0, 6.0), (100.0, 80.0), 0.5, 12.0)
TRACKED = replace(TIP, score=0.75)
NO_TIP = replace(TIP, box=None, tip_px=None, score=0.125, certainty=Certainty.LOST, reason="gone")
MASK = MaskResult("needle", np.ones((12, 40), bool), (60, 66), 0.75)
NO_MASK = replace(MASK, mask=None, certainty=Certainty.LOST, reason="gone")


def analysis(index: int, *outputs: tuple[str, tuple[Result, ...]]) -> Analysis:
    pixels = np.full((150, 200), 90, np.uint8)
    frame = Frame(FrameKey("s", index, 0), 2, 5, 1000, 0, pixels, GEOMETRY, INFO)
    return Analysis(frame, tuple(PluginOutput(name, 5, results, frame_t_ns=500) for name, results in outputs))


@pytest.mark.parametrize("tracker_first", [True, False])
def test_a_tip_that_one_plugin_misses_and_the_tracker_shows_is_in_sight(tracker_first: bool) -> None:
    track = ConfidenceTrack()
    cases = [
        (("needle-tip", (NO_TIP,)), ("breast-biopsy", (MASK, TRACKED)), 0.75),
        (("needle-tip", (TIP,)), ("breast-biopsy", (MASK, TRACKED)), 0.75),
        (("needle-tip", (TIP,)), ("breast-biopsy", (NO_MASK, NO_TIP)), 0.5),
        (("needle-tip", (NO_TIP,)), ("breast-biopsy", (NO_MASK, NO_TIP)), 0.0),
    ]
    for index, (finder, tracker, _) in enumerate(cases):
        track.note(analysis(index, *((tracker, finder) if tracker_first else (finder, tracker))))
    tip = track.arrays()["tip"]
    assert tip[: len(cases)].tolist() == [wanted for *_, wanted in cases]
    assert np.isnan(tip[len(cases) :]).all(), "frames that nobody looked at stay unknown"
