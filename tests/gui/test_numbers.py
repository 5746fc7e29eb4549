"""Panels write numbers as the language of the window does; what is typed, and English, stay as they are."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from PySide6.QtCore import QCoreApplication

from puncta.core.events import Percentiles, PipelineStatus, PlayState
from puncta.core.frame import Calibration, CalibrationOrigin
from puncta.core.overlay import ReadOut
from puncta.gui.i18n import install_language, remove_language
from puncta.gui.panels.latency import LatencyButton
from puncta.gui.panels.read_outs import ReadOutTile
from puncta.gui.panels.timeline import tip_words
from puncta.gui.panels.top_bar import calibration_words
from puncta.gui.theme import make_theme
from puncta.gui.video.layers.label import translate_label
from puncta.session.latency import LatencySnapshot


@pytest.fixture(params=["en", "de"])
def point(request, qapp: QCoreApplication) -> Iterator[str]:
    """The decimal point of the window's language."""
    kept = install_language(qapp, request.param)
    yield {"en": ".", "de": ","}[request.param]
    remove_language(qapp, kept)
    install_language(qapp, "en")


def test_the_table_of_the_latency_meter_has_the_point_of_the_language(qtbot, point) -> None:
    button = LatencyButton(make_theme("dark"))
    qtbot.addWidget(button)
    figures = LatencySnapshot(Percentiles(8.25, 9.5, 1234.5, 5), None, 19.7, 1)
    button.show_values(PipelineStatus(PlayState.PAUSED), figures, stalled=False, figures=False)
    button._open()
    told = [value.text() for _key, value in button.details._labels]
    assert [f"9{point}5 ms", f"1234{point}5 ms", f"19{point}7"] == told[1:4]
    button.details.close()


def test_a_confidence_has_the_point_of_the_language(point) -> None:
    assert tip_words(np.array([0.87], np.float32), 0).endswith(f"0{point}87")


def test_a_read_out_has_the_point_of_the_language(qtbot, point) -> None:
    tile = ReadOutTile()
    qtbot.addWidget(tile)
    tile.show_read_out(ReadOut("To target", 12.3, None, "mm", ""), "To target", "false")
    assert f"12{point}" in tile._value.text() and "12." in tile.accessibleName()


def test_calibration_and_labels_on_the_picture_have_the_point_of_the_language(point) -> None:
    words = calibration_words(Calibration((0.172, 0.172), CalibrationOrigin.SIMULATED))
    assert words.startswith(f"0{point}172 mm/px")
    assert translate_label("tip, unsure 0.55").endswith(f" 0{point}55")
