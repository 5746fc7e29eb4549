"""Painting keeps to its own thread and its own pixels: the same picture as before, sooner."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtCore import QObject, QRectF
from PySide6.QtGui import QColor, QImage, QPainter

from puncta.core.frame import Frame, FrameKey, ImageGeometry, SourceInfo, SourceKind
from puncta.core.geometry import ViewTransform
from puncta.core.overlay import Dash, Label, Layer, Stroke
from puncta.core.results import Analysis
from puncta.gui.chores import Chore
from puncta.gui.theme import make_theme
from puncta.gui.video.layers import draw_scene
from puncta.gui.video.layers.canvas import Canvas
from puncta.gui.video.layers.label import draw_label
from puncta.gui.video.layers.words import draw_words
from puncta.gui.video.picture import fit_picture, picture_from_pixels
from puncta.gui.video.view import VideoView


def picture_of(pixels: np.ndarray) -> Analysis:
    height, width = pixels.shape[:2]
    geometry = ImageGeometry(width, height)
    info = SourceInfo("a", "a", "a", SourceKind.FILE, geometry, 10, np.arange(10, dtype=np.int64))
    return Analysis(Frame(FrameKey("a", 0, 0), 0, 0, 0, 0, pixels, geometry, info))


def pixels_of(image: QImage) -> np.ndarray:
    raw = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine() // 4, 4)
    return raw[:, : image.width(), :3].astype(int)


def painted(view: VideoView) -> np.ndarray:
    image = QImage(view.width(), view.height(), QImage.Format.Format_RGB32)
    view.render(image)
    return pixels_of(image)


@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("size", [(942, 613), (333, 250), (320, 240), (251, 400), (145, 112), (97, 71), (61, 47)])
def test_the_picture_lies_where_the_overlay_says(qtbot, fonts, size: tuple[int, int], colour: bool) -> None:  # noqa: FBT001
    view = VideoView(make_theme("dark"))
    qtbot.addWidget(view)
    view.resize(*size)
    for spot in ((40, 30), (160, 120), (290, 215)):
        pixels = np.zeros((240, 320), np.uint8)
        pixels[spot[1] - 4 : spot[1] + 5, spot[0] - 4 : spot[0] + 5] = 255
        view.show_analysis(picture_of(np.repeat(pixels[..., None], 3, axis=2) if colour else pixels))
        bright = painted(view)[..., 0].astype(float)
        ground = QColor(make_theme("dark").colour("picture"))
        bright[bright <= ground.blue() + 2] = 0.0
        y, x = (np.tensordot(bright, at, 2) / bright.sum() for at in np.mgrid[: size[1], : size[0]])
        wanted = view.transform().display_from_image(spot)
        # Widget positions count from a pixel's corner, rows and columns from its middle.
        assert (x + 0.5, y + 0.5) == pytest.approx(wanted, abs=0.1)


@pytest.mark.parametrize("size", [(1, 1), (3, 400), (200, 2), (17, 1)])
def test_the_smallest_widget_shows_the_longest_picture(qtbot, fonts, size: tuple[int, int]) -> None:
    for pixels in (np.full((24, 256), 90, np.uint8), np.full((600, 5, 3), 90, np.uint8), np.full((1, 1), 90, np.uint8)):
        assert fit_picture(picture_from_pixels(pixels), min(size[0] / pixels.shape[1], size[1] / pixels.shape[0]))
        view = VideoView(make_theme("dark"))
        qtbot.addWidget(view)
        view.setMinimumSize(1, 1)
        view.resize(*size)
        view.show_analysis(picture_of(pixels))
        assert 90 in painted(view)


def test_colours_stay_in_their_channels(qtbot, fonts) -> None:
    view = VideoView(make_theme("dark"))
    qtbot.addWidget(view)
    view.resize(330, 240)
    pixels = np.zeros((120, 160, 3), np.uint8)
    pixels[:] = (200, 100, 50)
    view.show_analysis(picture_of(pixels))
    blue, green, red = painted(view)[120, 160]
    assert (red, green, blue) == (200, 100, 50)


def test_a_new_picture_is_not_painted_from_the_one_before(qtbot, fonts) -> None:
    view = VideoView(make_theme("dark"))
    qtbot.addWidget(view)
    view.resize(400, 300)
    for grey in (30, 90, 180):
        view.show_analysis(picture_of(np.full((120, 160), grey, np.uint8)))
        assert painted(view)[150, 200, 0] == grey
    view.set_tone(0.5, 1.0)
    assert painted(view)[150, 200, 0] == 90


def drawn(items: list, ratio: float = 1.0) -> np.ndarray:
    theme = make_theme("dark")
    image = QImage(round(400 * ratio), round(300 * ratio), QImage.Format.Format_RGB32)
    image.setDevicePixelRatio(ratio)
    image.fill(QColor(90, 100, 110))
    canvas = Canvas(ViewTransform(1.0, (0.0, 0.0)), QRectF(0, 0, 400, 300), theme, theme.font(12), ratio=ratio)
    painter = QPainter(image)
    draw_scene(painter, type("Scene", (), {"items": tuple(items)})(), canvas)
    painter.end()
    return pixels_of(image)


@pytest.mark.parametrize("dash", [Dash.SOLID, Dash.DASHED])
@pytest.mark.parametrize("ends", [((20.3, 10.7), (350.2, 280.9)), ((15.0, 200.4), (390.0, 160.1))])
def test_a_line_looks_like_the_path_through_its_points(fonts, dash: Dash, ends: tuple) -> None:
    line = drawn([Stroke(Layer.PATH, ends, "accent", 2.0, dash, 0.7)])
    path = drawn([Stroke(Layer.PATH, (*ends, ends[1]), "accent", 2.0, dash, 0.7)])
    assert np.abs(path - drawn([])).max() > 30
    differs = np.abs(line - path).max(axis=2)
    assert np.percentile(differs, 99.9) <= 4
    assert np.count_nonzero(differs > 4) <= 40  # square ends beside round ones


def test_the_window_keeps_painting_in_its_own_thread() -> None:
    script = "import os; from puncta.gui.app import _application as a; a([]); print(os.environ['QT_NO_GUI_THREADPOOL'])"
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120)
    assert told.stdout.strip() == "1"


def test_a_label_with_another_figure_looks_as_if_it_had_been_drawn_whole(fonts) -> None:
    theme = make_theme("dark")
    canvas = Canvas(ViewTransform(1.0, (0.0, 0.0)), QRectF(0, 0, 400, 300), theme, theme.font(12))
    first = draw_words("tip, expected 0.73", "tip", canvas)
    pieces = len(canvas.words)
    other = draw_words("tip, expected 0.37", "tip", canvas)
    assert len(canvas.words) == pieces + 1  # all its digits were there
    assert draw_words("tip, expected 0.73", "tip", canvas) is first
    assert other.size == first.size or abs(other.size.width() - first.size.width()) < 3
    alone = Canvas(canvas.view, canvas.bounds, theme, theme.font(12))
    again = draw_words("tip, expected 0.37", "tip", alone)
    # Pieces may lie a fraction of a point elsewhere than in one go; another figure is another picture.
    assert _apart(other.rim, again.rim) < 0.5 * _apart(other.rim, first.rim)


def _apart(a, b) -> float:
    """Mean difference of two pictures of one size."""
    one, two = (np.frombuffer(p.toImage().constBits(), np.uint8).astype(float) for p in (a, b))
    return float(np.abs(one - two).mean())


def test_a_word_finds_a_free_place_or_one_inside(fonts) -> None:
    theme = make_theme("dark")
    canvas = Canvas(ViewTransform(1.0, (0.0, 0.0)), QRectF(0, 0, 400, 300), theme, theme.font(12))
    image = QImage(400, 300, QImage.Format.Format_RGB32)
    painter = QPainter(image)
    word = Label(Layer.TIP, "tip 0.98", (390.0, 10.0), (380.0, 20.0), "tip", 1.0)
    box = draw_label(painter, word, canvas, [])
    assert canvas.bounds.contains(box)
    other = draw_label(painter, word, canvas, [box])
    assert canvas.bounds.contains(other) and not other.intersects(box)
    full = draw_label(painter, word, canvas, [canvas.bounds])
    painter.end()
    assert canvas.bounds.contains(full)


def test_a_picture_is_painted_before_anything_else_of_it_is_shown(stage, qtbot) -> None:
    parts = stage.open()
    window = parts.window
    painted_last: list[int] = []
    in_time: list[bool] = []
    report, bar = window.stage.view.on_painted, window._bar.refresh_place

    def painted_now(analysis: Analysis, t_ns: int) -> None:
        painted_last[:] = [analysis.frame.frame_id]
        report(analysis, t_ns)

    def follow() -> None:
        if parts.desk.analysis is not None:
            in_time.append(painted_last == [parts.desk.analysis.frame.frame_id])
        bar()

    window.stage.view.on_painted = painted_now
    window._bar.refresh_place = follow
    window.open_uri("numbered")
    qtbot.waitUntil(lambda: len(in_time) >= 10)
    assert all(in_time[2:])  # the window itself may come after the first


def test_chores_follow_pictures_and_come_round_without_them(qtbot) -> None:
    owner = QObject()
    done: list[str] = []

    def work() -> None:
        chore.done()
        done.append("done")

    assert Chore(owner, 10**15, work).due  # however lately the machine was started
    chore = Chore(owner, 10_000, work)
    assert chore.due
    chore.follow_picture(hold=True)
    qtbot.wait(10)
    assert not done  # held for the next one
    chore.follow_picture()
    qtbot.waitUntil(lambda: done == ["done"])
    assert not chore.due
    chore.follow_picture()
    qtbot.wait(10)
    assert done == ["done"]  # too soon after the last
    quick = Chore(owner, 1, lambda: done.append("quick"))
    quick.again(pictures=False)
    qtbot.waitUntil(lambda: "quick" in done)
    quick.stop()
    quick.again(pictures=False)
    quick.follow_picture()
    count = len(done)
    qtbot.wait(20)
    assert len(done) == count


def test_inference_is_woken_before_the_window() -> None:
    from puncta.core.channels import LatestSlot
    from puncta.pipeline.hub import Hub

    order: list[str] = []

    class Slot(LatestSlot):
        def put(self, value: object) -> object:
            order.append(self.name)
            return super().put(value)

    analysis = picture_of(np.zeros((8, 8), np.uint8))

    class One:
        info = replace(analysis.frame.source, frame_count=1, times_ns=np.zeros(1, np.int64))

        def __init__(self) -> None:
            self.left = 1

        def read(self) -> Frame | None:
            self.left -= 1
            return analysis.frame if self.left >= 0 else None

        def seek(self, index: int) -> None:
            self.left = 1 - index

        def close(self) -> None:
            pass

    hub = Hub(One, Slot("jobs"), Slot("preview"), on_preview=lambda: order.append("woken"))
    hub._open()
    while "woken" not in order:
        hub._turn()
    assert order == ["preview", "jobs", "woken"]


def test_the_playhead_leaves_nothing_behind(qtbot, fonts) -> None:
    from PySide6.QtWidgets import QWidget

    from puncta.gui.panels.timeline import Timeline

    ground = QWidget()
    qtbot.addWidget(ground)
    timeline = Timeline(make_theme("dark"), ground)
    timeline.set_source(picture_of(np.zeros((8, 8), np.uint8)).frame.source)
    ground.resize(500, 120)
    timeline.setGeometry(0, 0, 500, timeline.sizeHint().height())
    with qtbot.waitExposed(ground):
        ground.show()

    def shown() -> np.ndarray | None:
        image = ground.screen().grabWindow(ground.winId()).toImage()
        return None if image.isNull() else pixels_of(image.convertToFormat(QImage.Format.Format_RGB32))

    for index in (0, 4, 5, 9, 3):
        timeline.set_index(index)
        whole = pixels_of(ground.grab().toImage().convertToFormat(QImage.Format.Format_RGB32))
        qtbot.waitUntil(lambda whole=whole: np.array_equal(shown(), whole))
        assert whole[10, int(timeline.x_of(index)), 0] > 200  # the playhead
