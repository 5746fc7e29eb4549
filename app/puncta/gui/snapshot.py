"""A picture of what is shown, saved as PNG with the safety line in its margin."""

from __future__ import annotations

import contextlib
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QByteArray, QPoint, QRect, QRectF, Qt
from PySide6.QtGui import QFont, QFontMetrics, QImage, QImageWriter, QPainter

from puncta import paths
from puncta.core.errors import UserError
from puncta.core.geometry import ViewTransform
from puncta.core.overlay import OverlayScene
from puncta.core.results import Analysis
from puncta.gui.i18n import tr
from puncta.gui.theme import Theme, make_font
from puncta.gui.video.layers import draw_scene
from puncta.gui.video.layers.canvas import Canvas
from puncta.gui.video.picture import Picture

LEAST_WIDTH = 960
"""A smaller picture is enlarged by a whole number until it is this wide [px]."""


@dataclass(frozen=True, slots=True)
class Caption:
    """Words for the margin below the picture."""

    safety: str
    source: str
    place: str
    calibration: str
    simulated: bool


def render_snapshot(picture: Picture, scene: OverlayScene | None, theme: Theme, caption: Caption) -> QImage:
    """Draw picture, overlay and margin; the whole frame, whatever part of it the view shows."""
    size = picture.image.size()
    factor = max(1, -(-LEAST_WIDTH // max(1, size.width())))
    width, height = size.width() * factor, size.height() * factor
    text_px = max(13, round(width / 64))
    font = make_font(text_px)
    strong = make_font(text_px, QFont.Weight.DemiBold)
    lines = [caption.safety, _second_line(caption)]
    line_height = QFontMetrics(strong).height()
    pad = round(text_px * 0.8)
    flags = int(Qt.TextFlag.TextWordWrap)
    heights = [
        QFontMetrics(f).boundingRect(QRect(0, 0, width - 2 * pad, 10_000), flags, line).height()
        for f, line in ((strong, lines[0]), (font, lines[1]))
    ]
    margin = max(2 * line_height, sum(heights)) + 2 * pad
    image = QImage(width, height + margin, QImage.Format.Format_RGB32)
    image.fill(theme.colour("picture"))
    painter = QPainter(image)
    painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, True)
    painter.drawImage(QRect(0, 0, width, height), picture.image)
    if scene is not None:
        view = ViewTransform(float(factor), (0.0, 0.0))
        point = max(1.0, width / 1000)
        canvas = Canvas(
            view, QRectF(2, 2, width - 4, height - 4), theme, make_font(round(12 * point), QFont.Weight.DemiBold), point
        )
        painter.setClipRect(QRect(0, 0, width, height))
        draw_scene(painter, scene, canvas)
        painter.setClipping(False)
    painter.setFont(strong)
    painter.setPen(theme.on_picture("tip"))
    painter.drawText(QRect(pad, height + pad, width - 2 * pad, heights[0]), flags, lines[0])
    painter.setFont(font)
    painter.setPen(theme.on_picture("text1"))
    painter.drawText(
        QRect(QPoint(pad, height + pad + heights[0]), QPoint(width - pad, height + margin)), flags, lines[1]
    )
    painter.end()
    return image


def _second_line(caption: Caption) -> str:
    words = [caption.source, caption.place, caption.calibration]
    if caption.simulated:
        words.insert(0, tr("Simulated"))
    return "   ".join(word for word in words if word)


def snapshot_name(analysis: Analysis, *, raw: bool) -> str:
    """Return a file name that says which frame this is and when it was saved."""
    stem = re.sub(r"[^\w.-]+", "-", Path(analysis.frame.key.stream).stem).strip("-.")[:60] or "picture"
    kind = "-raw" if raw else ""
    return f"puncta-{stem}-frame{analysis.frame.key.index:06d}{kind}-{time.strftime('%Y%m%d-%H%M%S')}.png"


def write_snapshot(image: QImage, name: str) -> Path:
    """Write a PNG into the user's pictures, whole or not at all; for a job thread.

    Raises
    ------
    UserError
        The folder or the disk does not take it.
    """
    folder = paths.user_pictures_dir()
    file = folder / name
    part = folder / f".{name}.{os.getpid()}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        number = 1
        while file.exists():
            number += 1
            file = folder / f"{Path(name).stem}-{number}.png"
        if not QImageWriter(str(part), QByteArray(b"png")).write(image):
            raise OSError(f"{folder} does not take the file")
        os.replace(part, file)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise UserError(f"The picture cannot be saved in {folder}: {error}") from error
    return file
