"""The latency meter: ages at paint of the picture and of what is drawn on it."""

from __future__ import annotations

import numpy as np

from puncta.core.frame import Frame, FrameKey, ImageGeometry, SourceInfo, SourceKind
from puncta.core.results import Analysis, PluginOutput
from puncta.session.latency import LatencyMeter

MS = 1_000_000


def analysis_of(t_ns: int, *own_ns: int) -> Analysis:
    """A picture that came at a moment, with outputs of frames that came at others [ns]."""
    geometry = ImageGeometry(8, 6)
    info = SourceInfo("s", "s", "s", SourceKind.LIVE, geometry)
    frame = Frame(FrameKey("s", 0, 0), 0, 1, t_ns, 0, np.zeros((6, 8), np.uint8), geometry, info)
    outputs = tuple(PluginOutput(f"p{n}", 1, (), frame_t_ns=own) for n, own in enumerate(own_ns))
    return Analysis(frame, outputs)


def test_an_old_overlay_is_older_than_its_picture() -> None:
    meter = LatencyMeter()
    for n in range(100):
        now = 1_000 * MS + n * 33 * MS
        meter.painted(analysis_of(now - 8 * MS, now - 8 * MS, now - (100 * MS if n >= 90 else 40 * MS)), now)
    seen = meter.snapshot()
    assert seen.frame_to_painted is not None and seen.overlay_age is not None
    assert seen.frame_to_painted.p95_ms == 8.0
    assert seen.overlay_age.p50_ms == 40.0, "the oldest of what is drawn counts"
    assert seen.overlay_age.p95_ms == 100.0 and seen.overlay_age.n == 100
    assert abs(seen.fps - 1000 / 33) < 0.5


def test_pictures_without_an_overlay_have_no_age_of_one() -> None:
    meter = LatencyMeter()
    meter.painted(analysis_of(1_000 * MS), 1_010 * MS)
    assert meter.snapshot().overlay_age is None
    meter.painted(analysis_of(1_000 * MS, 1_000 * MS), 1_020 * MS)
    assert meter.snapshot().overlay_age is not None
    meter.clear()
    assert meter.snapshot().overlay_age is None and meter.snapshot().frame_to_painted is None
