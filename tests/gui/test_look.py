"""Tokens, contrast, fonts and icons; and where labels and tracks are drawn."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PySide6.QtCore import QRectF
from PySide6.QtGui import QColor, QFont, QFontInfo, QImage, QPainter

from puncta.core.frame import ImageGeometry, SourceInfo, SourceKind
from puncta.core.geometry import ViewTransform
from puncta.core.overlay import Fill, Label, Layer, Ring, Stroke
from puncta.gui.panels.timeline import Timeline, bin_track, clock_words, draw_bars, find_gaps, tick_step, tip_words
from puncta.gui.theme import draw_icon, make_theme
from puncta.gui.video.layers import draw_scene
from puncta.gui.video.layers.canvas import Canvas
from puncta.gui.video.layers.fill import trace_outline
from puncta.gui.video.layers.label import clear_spots, draw_label, translate_label


def luminance(colour: QColor) -> float:
    parts = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in colour.getRgbF()[:3]]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def contrast(a: QColor, b: QColor) -> float:
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("name", ["dark", "light"])
def test_text_can_be_read_on_every_surface(name: str) -> None:
    theme = make_theme(name)
    for surface in ("ground", "panel", "raised"):
        for text in ("text1", "text2", "safety"):
            assert contrast(theme.colour(text), theme.colour(surface)) >= 4.5, (text, surface)
    assert contrast(theme.colour("on_accent"), theme.colour("accent")) >= 4.5


@pytest.mark.parametrize("name", ["dark", "light"])
def test_the_style_sheet_is_filled_in_and_its_files_are_there(name: str, repo_root: Path) -> None:
    theme = make_theme(name, 1.5, touch=True)
    sheet = theme.style_sheet()
    assert "@" not in sheet
    assert re.search(r"(?<![#\w])\d+[fc]\b", sheet) is None
    files = re.findall(r"url\(([^)]+)\)", sheet)
    assert files
    for file in files:
        words = Path(file).read_text(encoding="utf-8")
        token = "text2" if "chevron" in file else "on_accent"
        assert theme.colours[token] in words
    assert theme.font_px(13) == 20
    assert theme.control_px(28) >= 44


def test_the_font_that_ships_is_used_with_tabular_figures(fonts: None) -> None:
    font = make_theme("dark").font(13, QFont.Weight.DemiBold)
    assert QFontInfo(font).family() == "Inter"
    assert font.featureValue(QFont.Tag("tnum")) == 1


def test_icons_take_their_colour_from_a_token(qapp) -> None:
    image = draw_icon("play", "#ff0000", 32).toImage()
    seen = {
        QColor(image.pixelColor(x, y)).red()
        for x in range(32)
        for y in range(32)
        if image.pixelColor(x, y).alpha() > 200
    }
    assert seen == {255}


def canvas_of(width: int = 400, height: int = 300, scale: float = 1.0) -> Canvas:
    theme = make_theme("dark")
    return Canvas(ViewTransform(scale, (0.0, 0.0)), QRectF(0, 0, width, height), theme, theme.font(12))


@settings(max_examples=60, deadline=None)
@given(st.floats(60, 340), st.floats(60, 240), st.floats(5, 70), st.floats(0.3, 1.5), st.booleans(), st.booleans())
def test_a_label_never_covers_the_tip(
    fonts, x: float, y: float, radius: float, share: float, right: bool, below: bool
) -> None:
    canvas = canvas_of()
    half = radius * share
    ring = Ring(Layer.TIP, (x, y), radius, "tip")
    at = (x + half if right else x - half, y + half if below else y - half)
    label = Label(Layer.TIP, "tip, unsure 0.55", at, (x, y), "tip")
    near = Label(Layer.TARGET, "target", (x + 3, y + 18), (x + 3, y), "target")
    image = QImage(400, 300, QImage.Format.Format_RGB32)
    painter = QPainter(image)
    spots = clear_spots((ring,), canvas)
    taken = list(spots)
    for item in (label, near):
        box = draw_label(painter, item, canvas, taken)
        assert canvas.bounds.contains(box)
        assert not any(box.intersects(spot) for spot in spots)
        taken.append(box)
    painter.end()


def test_a_mask_is_drawn_where_it_lies(fonts) -> None:
    mask = np.zeros((20, 30), bool)
    mask[5:15, 10:20] = True
    fill = Fill(Layer.MASK, mask, (100, 50), "accent")
    box = trace_outline(fill).boundingRect()
    assert (box.left(), box.top(), box.right(), box.bottom()) == pytest.approx((10, 5, 19, 14))
    from puncta.core.frame import FrameKey
    from puncta.core.overlay import OverlayScene

    image = QImage(400, 300, QImage.Format.Format_RGB32)
    image.fill(QColor("black"))
    painter = QPainter(image)
    draw_scene(painter, OverlayScene(FrameKey("a", 0, 0), 0, 0, (fill,)), canvas_of(scale=2.0))
    painter.end()
    assert image.pixelColor(230, 120).blue() > 40  # source (114.5, 59.5), inside
    assert image.pixelColor(210, 110).blue() == 0  # source (104.5, 54.5), outside


def test_lines_carry_a_dark_halo(fonts) -> None:
    from puncta.core.frame import FrameKey
    from puncta.core.overlay import OverlayScene

    image = QImage(100, 40, QImage.Format.Format_RGB32)
    image.fill(QColor("white"))
    painter = QPainter(image)
    stroke = Stroke(Layer.PATH, ((10.0, 19.5), (90.0, 19.5)), "tip", 2.0)
    draw_scene(painter, OverlayScene(FrameKey("a", 0, 0), 0, 0, (stroke,)), canvas_of(100, 40))
    painter.end()
    column = [image.pixelColor(50, y).lightness() for y in range(40)]
    assert min(column[16:24]) < 130 < column[10]
    assert image.pixelColor(50, 20).red() > 180  # the line itself keeps its colour
    assert image.pixelColor(50, 20).blue() < 120


def test_labels_are_translated_without_their_figure() -> None:
    assert translate_label("target 15 mm") == "target 15 mm"
    assert translate_label("tip, unsure 0.55") == "tip, unsure 0.55"
    assert translate_label("target") == "target"


def test_gaps_are_steps_that_are_too_long() -> None:
    times = np.array([0, 10, 20, 60, 70, 80], np.int64) * 1_000_000
    assert find_gaps(times).tolist() == [3]
    assert find_gaps(None).size == 0
    assert find_gaps(np.array([0, 10], np.int64)).size == 0


def test_tracks_shrink_without_inventing_confidence() -> None:
    values = np.full(1000, np.nan, np.float32)
    values[500:] = 0.8
    columns = bin_track(values, 100)
    assert np.isnan(columns[:50]).all()
    assert columns[50:] == pytest.approx(0.8)
    assert bin_track(values[:10], 30).shape == (30,)
    assert bin_track(np.empty(0, np.float32), 10).size == 0


def test_times_and_ticks_are_round() -> None:
    assert clock_words(102.0) == "01:42"
    assert clock_words(102.5, tenths=True) == "01:42.50"
    assert tick_step(7.4, 8) == 1.0
    assert tick_step(0.0, 8) == 0.0
    assert 3600 / tick_step(3600, 10) <= 10


def test_the_timeline_scrubs_to_the_frame_under_the_cursor(qtbot, fonts) -> None:
    from PySide6.QtCore import QPoint, Qt
    from PySide6.QtTest import QTest

    times = np.arange(60, dtype=np.int64) * 40_000_000
    info = SourceInfo("a", "a", "a", SourceKind.FILE, ImageGeometry(64, 48), 60, times)
    timeline = Timeline(make_theme("dark"))
    qtbot.addWidget(timeline)
    timeline.resize(700, 90)
    timeline.set_source(info)
    timeline.set_tracks({"tip": np.linspace(0, 1, 60, dtype=np.float32)})
    assert [timeline.index_at(timeline.x_of(i)) for i in range(60)] == list(range(60))
    gone: list[int] = []
    timeline.scrubbed.connect(gone.append)
    QTest.mousePress(timeline, Qt.MouseButton.LeftButton, pos=QPoint(round(timeline.x_of(20)), 20))
    QTest.mouseMove(timeline, QPoint(round(timeline.x_of(30)), 20))
    QTest.mouseRelease(timeline, Qt.MouseButton.LeftButton, pos=QPoint(round(timeline.x_of(30)), 20))
    assert gone[0] == 20
    assert gone[-1] in {20, 30}
    image = timeline.grab().toImage()
    assert image.pixelColor(round(timeline.x_of(59)), 14).red() > 100  # high confidence at the end of the track


def test_bars_say_confidence_by_height_and_doubt_by_hatching() -> None:
    columns = np.array([np.nan, 1.0, 0.25, 0.25, 0.0], np.float32)
    bars = draw_bars(columns, 8, 0xFF112233, 0xFFAA0000)
    assert (bars > 0).sum(axis=0).tolist() == [0, 8, 2, 0, 1]  # column 3 is left out by the hatching
    assert bars[-1, 4] == 0xFFAA0000
    assert bars[-1, 1] & 0xFFFFFF == 0x112233
    assert bars[-1, 1] >> 24 > bars[-1, 2] >> 24


def test_a_chip_is_as_wide_as_its_word_at_once(qtbot, fonts) -> None:
    from puncta.gui.panels.parts import ChipLabel

    chip = ChipLabel(make_theme("dark"), "Lost")
    qtbot.addWidget(chip)
    chip.show()
    narrow = chip.width()
    chip.set_chip("Found", "good", "circle")
    assert chip.width() == chip.sizeHint().width() > narrow
    assert chip.words.width() >= chip.words.sizeHint().width()


def test_an_area_is_tinted_and_has_no_line(fonts) -> None:
    from puncta.core.frame import FrameKey
    from puncta.core.overlay import Area, OverlayScene

    image = QImage(100, 60, QImage.Format.Format_RGB32)
    image.fill(QColor("black"))
    painter = QPainter(image)
    area = Area(Layer.PATH, ((10.0, 10.0), (80.0, 10.0), (80.0, 50.0), (10.0, 50.0)), "text1", fill_opacity=0.2)
    draw_scene(painter, OverlayScene(FrameKey("a", 0, 0), 0, 0, (area,)), canvas_of(100, 60))
    painter.end()
    inside = {image.pixelColor(x, y).lightness() for x in (15, 40, 75) for y in (15, 45)}
    assert len(inside) == 1 and 30 < inside.pop() < 60
    assert image.pixelColor(5, 30).lightness() == 0 and image.pixelColor(45, 55).lightness() == 0


def test_the_timeline_says_of_a_frame_whether_a_tip_is_found_lost_or_not_looked_for() -> None:
    track = np.array([0.934, 0.0, np.nan], np.float32)
    assert [tip_words(track, k) for k in range(4)] == [
        "Tip 0.93", "No tip in sight", "Not analysed yet", "Not analysed yet",
    ]
    assert tip_words(None, 0) == "Not analysed yet"
