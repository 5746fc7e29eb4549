"""Cards of plugins that look for the same needle do not contradict what is drawn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtWidgets import QApplication, QLabel

from puncta.core.events import PluginStatus
from puncta.core.frame import Frame, FrameKey, ImageGeometry, SourceInfo, SourceKind, UltrasoundRegion
from puncta.core.results import Analysis, Certainty, Detection, MaskResult, PluginOutput, Result
from puncta.gui.panels.inspector import Inspector
from puncta.gui.theme import make_theme

GEOMETRY = ImageGeometry(200, 150, (UltrasoundRegion((10, 20, 180, 120), "dicom", None),))
INFO = SourceInfo("u", "s", "t", SourceKind.FILE, GEOMETRY, 6)
TIP = Detection("needle_tip", (92.0, 77.0, 16.0, 6.0), (100.0, 80.0), 0.5, 12.0)
NO_TIP = replace(TIP, box=None, tip_px=None, score=0.125, certainty=Certainty.LOST, reason="gone")
MASK = MaskResult("needle", np.ones((12, 40), bool), (60, 66), 0.75)
NO_MASK = replace(MASK, mask=None, certainty=Certainty.LOST, reason="gone")

SEEN = ((NO_TIP,), (MASK, TIP), "Seen by another plugin", "Found")
LOST_BY_TRACKER = ((TIP,), (NO_MASK, NO_TIP), "Found", "Seen by another plugin")
NOBODY = ((NO_TIP,), (NO_MASK, NO_TIP), "No tip in sight", "No tip in sight")


@pytest.mark.parametrize(("finder", "tracker", "of_finder", "of_tracker"), [SEEN, LOST_BY_TRACKER, NOBODY])
def test_a_card_says_no_tip_only_where_none_is_drawn(
    qapp: QApplication, finder: tuple[Result, ...], tracker: tuple[Result, ...], of_finder: str, of_tracker: str
) -> None:
    inspector = Inspector(make_theme("dark"), lambda *_: None, lambda *_: None)
    inspector.show_plugins([PluginStatus(n, n, True) for n in ("needle-tip", "breast-biopsy")], figures=False)
    frame = Frame(FrameKey("s", 3, 0), 2, 5, 1000, 0, np.full((150, 200), 90, np.uint8), GEOMETRY, INFO)
    made = (("needle-tip", finder), ("breast-biopsy", tracker))
    outputs = tuple(PluginOutput(n, 5, r, frame_t_ns=500, frame_key=frame.key) for n, r in made)
    inspector.show_analysis(Analysis(frame, outputs))
    words = [inspector.cards[n]._chip.words.text() for n in ("needle-tip", "breast-biopsy")]
    assert words == [of_finder, of_tracker]
    inspector.show_analysis(Analysis(frame, outputs[:1]))
    alone = inspector.cards["needle-tip"]._chip.words.text()
    assert alone == ("Found" if finder[0] is TIP else "No tip in sight")


def test_where_nothing_can_be_opened_the_cards_wait_for_no_picture_and_the_reason_stands_above(stage, qtbot) -> None:
    parts = stage.open()
    inspector = parts.window.inspector
    parts.window.open_uri("missing-bad.dcm")
    qtbot.waitUntil(lambda: "open" in parts.window.stage.banners.texts())
    words = [label.text() for label in inspector.findChildren(QLabel) if label.isVisible()]
    assert "missing-bad.dcm does not exist, check the name and the folder." in words
    assert "No picture" in words and "Waiting for a picture" not in words
    parts.window.open_uri("case-a")
    qtbot.waitUntil(lambda: parts.desk.analysis is not None)
    qtbot.waitUntil(lambda: not any("missing" in label.text() for label in inspector.findChildren(QLabel)))
    assert "No picture" not in [label.text() for label in inspector.findChildren(QLabel)]
