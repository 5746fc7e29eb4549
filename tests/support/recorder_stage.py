"""Records pictures into a session folder and reads them back."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from paced_source import PacedSource

from puncta.core.frame import Frame
from puncta.core.results import Analysis, Certainty, Detection, MaskResult, PluginOutput
from puncta.recording.recorder import Recorder
from puncta.sources.factory import open_source


def frames(count: int, **options: object) -> list[Frame]:
    source = PacedSource(count=count, **options)
    return [replace(source.read(), frame_id=n) for n in range(count)]


def record(recorder: Recorder, pictures: list[Frame], folder: Path) -> dict:
    recorder.begin(folder)
    for frame in pictures:
        recorder.put_wait(frame)
    recorder.end()
    assert recorder.wait_idle()
    return json.loads((folder / "session.json").read_text())


def read_back(folder: Path) -> list[Frame]:
    source = open_source(str(folder))
    found = []
    while (frame := source.read()) is not None:
        found.append(frame)
    source.close()
    return found


def analysis_of(frame: Frame) -> Analysis:
    x0, y0, *_ = frame.geometry.region.box
    tip = Detection("needle_tip", (x0 + 5.0, y0 + 6.0, 4.0, 2.0), (x0 + 7.0, y0 + 7.0), 0.9, 2.0)
    mask = MaskResult("needle", np.ones((2, 3), bool), (x0 + 1, y0 + 2), 0.5, Certainty.SURE)
    output = PluginOutput("needle-tip", frame.frame_id, (tip, mask), model="tip 1", model_sha256="a" * 64)
    return Analysis(frame, (output,), timings_ns=(("needle-tip", 1000),))


def at_times(pictures: list[Frame], step_ms: float) -> list[Frame]:
    return [replace(f, t_ns=1_000_000_000 + round(n * step_ms * 1e6)) for n, f in enumerate(pictures)]
