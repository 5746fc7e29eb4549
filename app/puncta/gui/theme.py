"""Colours, sizes, fonts and icons of the window, all from `resources/styles/tokens.toml` and one style sheet."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from PySide6.QtCore import QByteArray, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontDatabase, QIcon, QPainter, QPalette, QPixmap
from PySide6.QtSvg import QSvgRenderer
from PySide6.QtWidgets import QApplication

from puncta import paths

BODY_PX = 13
"""Height of body text at a font scale of 1 [display px]."""
TOUCH_PX = 44
"""Least height of a control in touch size [display px]."""
CONTROL_PX = 28
SMALLEST_TARGET = 20
"""Design sizes from here on are things to be hit; smaller ones are parts of them, such as icons."""
FAMILY = "Inter"


@dataclass(frozen=True, slots=True)
class Theme:
    """Tokens resolved for one theme, font scale and control size.

    Attributes
    ----------
    name : str
        "dark" or "light".
    scale : float
        Font scale, 1 to 2.
    touch : bool
        Controls are at least 44 px high.
    colours, picture_colours : mapping of str
        Colours of the surfaces, and of what is drawn on the picture, by token.
    """

    name: str
    scale: float
    touch: bool
    colours: Mapping[str, str]
    picture_colours: Mapping[str, str]

    def font_px(self, size: float) -> int:
        """Size of text [display px] for a design size at a scale of 1."""
        return round(size * self.scale)

    def control_px(self, size: float) -> int:
        """Size of a control [display px]: grows with the text, and is at least what a finger needs in touch size."""
        grown = size * (1.0 + (self.scale - 1.0) * 0.7)
        if self.touch:
            least = TOUCH_PX if size >= SMALLEST_TARGET else size * TOUCH_PX / CONTROL_PX
            grown = max(grown, least)
        return round(grown)

    def colour(self, token: str, opacity: float = 1.0) -> QColor:
        """Colour of a surface or text."""
        colour = QColor(self.colours[token])
        colour.setAlphaF(opacity)
        return colour

    def on_picture(self, token: str, opacity: float = 1.0) -> QColor:
        """Colour of what is drawn over the picture, which is dark in both themes."""
        colour = QColor(self.picture_colours.get(token, self.picture_colours["text1"]))
        colour.setAlphaF(opacity)
        return colour

    def font(self, size: float, weight: QFont.Weight = QFont.Weight.Normal) -> QFont:
        """Font of the program at a design size, with tabular figures."""
        return make_font(self.font_px(size), weight)

    def icon(self, name: str, token: str = "text2") -> QIcon:
        """Icon tinted by token; paler while its control is disabled."""
        icon = QIcon()
        for mode, tint in ((QIcon.Mode.Normal, token), (QIcon.Mode.Disabled, "line_strong")):
            for edge in (16, 20, 24, 32, 48):
                icon.addPixmap(draw_icon(name, self.colours[tint], edge), mode)
        return icon

    def icon_size(self) -> QSize:
        """Size of an icon in a control."""
        edge = self.control_px(16)
        return QSize(edge, edge)

    def style_sheet(self) -> str:
        """The one style sheet with its tokens filled in."""
        folder = paths.resources_dir() / "styles"
        sheet = (folder / "puncta.qss").read_text(encoding="utf-8")
        sheet = re.sub(r"/\*.*?\*/", "", sheet, flags=re.DOTALL)
        sheet = re.sub(r"@file\(([\w-]+)\)", lambda m: (folder / f"{m[1]}-{self.name}.svg").as_posix(), sheet)
        sheet = re.sub(r"\b(\d+)f\b", lambda m: f"{self.font_px(int(m[1]))}px", sheet)
        sheet = re.sub(r"\b(\d+)c\b", lambda m: f"{self.control_px(int(m[1]))}px", sheet)
        return re.sub(r"@(\w+)", lambda m: self.colours[m[1]], sheet)

    def palette(self) -> QPalette:
        """Palette for what the style sheet does not reach, such as text selections and file dialogs."""
        palette = QPalette()
        roles = QPalette.ColorRole
        for role, token in (
            (roles.Window, "panel"),
            (roles.WindowText, "text1"),
            (roles.Base, "ground"),
            (roles.AlternateBase, "raised"),
            (roles.Text, "text1"),
            (roles.Button, "raised"),
            (roles.ButtonText, "text1"),
            (roles.ToolTipBase, "raised"),
            (roles.ToolTipText, "text1"),
            (roles.PlaceholderText, "text2"),
            (roles.Highlight, "accent"),
            (roles.HighlightedText, "on_accent"),
            (roles.Link, "accent"),
        ):
            palette.setColor(role, self.colour(token))
        for role in (roles.WindowText, roles.Text, roles.ButtonText):
            palette.setColor(QPalette.ColorGroup.Disabled, role, self.colour("text3"))
        return palette


def make_theme(name: str, scale: float = 1.0, touch: bool = False) -> Theme:
    """Read the tokens of a theme.

    Parameters
    ----------
    name : str
        "dark" or "light".
    scale : float
        Font scale, clipped to 0.75 .. 2.
    """
    tokens = _read_tokens()
    return Theme(name, min(2.0, max(0.75, scale)), touch, tokens[name], tokens["on_picture"])


@lru_cache(maxsize=1)
def _read_tokens() -> dict[str, dict[str, str]]:
    file = paths.resources_dir() / "styles" / "tokens.toml"
    return tomllib.loads(file.read_text(encoding="utf-8"))


def load_fonts() -> bool:
    """Make the font that ships with the program known to Qt; False where it cannot be read."""
    loaded = [
        QFontDatabase.addApplicationFont(str(file)) for file in sorted((paths.resources_dir() / "fonts").glob("*.ttf"))
    ]
    return bool(loaded) and min(loaded) >= 0


def make_font(size_px: int, weight: QFont.Weight = QFont.Weight.Normal) -> QFont:
    """Return the program's font at a size [display px] with tabular figures."""
    font = QFont(FAMILY)
    font.setPixelSize(max(1, size_px))
    font.setWeight(weight)
    font.setFeature(QFont.Tag("tnum"), 1)
    return font


def apply_theme(app: QApplication, theme: Theme) -> None:
    """Give the whole program its fonts, palette and style sheet."""
    app.setFont(make_font(theme.font_px(BODY_PX)))
    app.setPalette(theme.palette())
    app.setStyleSheet(theme.style_sheet())


@lru_cache(maxsize=32)
def _read_icon(name: str) -> str:
    return (paths.resources_dir() / "icons" / f"{name}.svg").read_text(encoding="utf-8")


@lru_cache(maxsize=1024)
def draw_icon(name: str, colour: str, edge_px: int) -> QPixmap:
    """Draw an icon of the set in one colour, ``edge_px`` wide and high [device px]."""
    renderer = QSvgRenderer(QByteArray(_read_icon(name).replace("currentColor", colour).encode("utf-8")))
    pixmap = QPixmap(edge_px, edge_px)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    renderer.render(painter, QRectF(0, 0, edge_px, edge_px))
    painter.end()
    return pixmap
