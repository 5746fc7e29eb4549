"""A recorded session with known findings, made without any model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from paced_source import PacedSource

from puncta.core.frame import Frame
from puncta.core.results import Analysis, Certainty, ClassResult, Detection, MaskResult, PluginOutput
from puncta.core.target import TargetFix
from puncta.recording.recorder import Recorder
from puncta.sources.native_layout import layout_of

Finder = Callable[[Frame], tuple]


def found_on(frame: Frame) -> tuple:
    """A tip that moves by a pixel a frame, a mask, a flag; nothing on frame 3."""
    index = frame.frame_id
    x0, y0, *_ = frame.geometry.region.box
    if index == 3:
        return (Detection("needle_tip", None, None, 0.1, reason="no tip is seen"),)
    tip = (x0 + 40.0 + index, y0 + 30.0)
    mask = np.zeros((6, 20), bool)
    mask[2:4] = True
    return (
        Detection("needle_tip", (tip[0] - 4, tip[1] - 2, 8.0, 4.0), tip, 0.9, 5.0),
        MaskResult("needle", mask, (x0 + 20 + index, y0 + 28), 0.8, Certainty.SURE),
        ClassResult("csf", True, 0.8),
    )


def make_session(
    folder: Path, count: int = 8, *, find: Finder = found_on, target: TargetFix | None = None, **options: object
) -> Path:
    """Record some frames with what is found on them."""
    source = PacedSource(count=count, **options)
    recorder = Recorder(layout_of, pre_roll_s=0.0)
    try:
        recorder.begin(folder)
        for number in range(count):
            frame = replace(source.read(), frame_id=number)
            recorder.put_wait(frame)
            found = (PluginOutput("needle-tip", number, find(frame)),)
            recorder.put_analysis(Analysis(frame, found, target=target))
        recorder.end()
        assert recorder.wait_idle()
    finally:
        recorder.close()
    return folder
