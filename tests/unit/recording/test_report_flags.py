"""A run's report tells findings on whole pictures: shares, a ribbon in time, nothing of a needle nobody looked for."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from puncta.core.frame import Frame, FrameKey, ImageGeometry, SourceInfo, SourceKind
from puncta.core.overlay import compose
from puncta.core.results import Analysis, ClassResult, Detection, PluginOutput, Result
from puncta.recording.report import ReportWriter


def analysis(source: SourceInfo, index: int, results: tuple[Result, ...], plugin: str = "infant-lp") -> Analysis:
    key = FrameKey("s", index, index * 100_000_000)
    frame = Frame(key, 0, index, 0, 0, np.zeros((48, 64), np.uint8), source.geometry, source)
    return Analysis(frame, (PluginOutput(plugin, index, results, model="lp 0.1"),) if results else ())


@pytest.fixture
def source() -> SourceInfo:
    return SourceInfo("s", "s", "a spine", SourceKind.FILE, ImageGeometry(64, 48), simulated=True)


def page(path: Path, source: SourceInfo, frames: list[tuple[Result, ...]]) -> str:
    writer = ReportWriter(path, source)
    for index, results in enumerate(frames):
        one = analysis(source, index, results)
        writer.put(one, compose(one))
    writer.finish()
    writer.close()
    return path.read_text(encoding="utf-8")


def test_findings_are_counted_and_drawn_and_no_tip_is_spoken_of(tmp_path: Path, source: SourceInfo) -> None:
    said: list[bool | None] = [True, True, True, None, None, False]
    frames = [(ClassResult("csf", value, 0.97 if value else 0.4),) for value in said]
    text = page(tmp_path / "a.html", source, [*frames, (), ()])
    assert "<th>CSF</th><td>● yes 38 %, ○ no 12 %, ◆ cannot tell 25 %, not looked at 25 % of 8 frames</td>" in text
    assert "Needle tip" not in text and "needle tip" not in text
    assert "Findings over time" in text
    drawn = re.findall(r"<rect[^>]*><title>([a-z ]+)</title>", text)
    assert drawn == ["yes", "cannot tell", "no"]
    assert "CSF yes</figcaption>" in text


def test_a_run_of_a_tip_stays_as_it_was_and_both_stand_side_by_side(tmp_path: Path, source: SourceInfo) -> None:
    tip = Detection("needle_tip", (8.0, 8.0, 4.0, 4.0), (10.0, 10.0), 0.9, 2.0)
    only = page(tmp_path / "tip.html", source, [(tip,)] * 4)
    assert "Needle tip found" in only and "Findings over time" not in only and "confidence 0.90" in only
    both = page(tmp_path / "both.html", source, [(tip, ClassResult("cord", False, 0.02))] * 4)
    assert "Needle tip found" in both and "○ no 100 %" in both


def test_where_nothing_was_found_the_report_still_tells_of_the_tip(tmp_path: Path, source: SourceInfo) -> None:
    assert "0 of 3 frames" in page(tmp_path / "none.html", source, [()] * 3)
