"""Small widgets that several panels use. Each takes another theme by `set_theme`, and has an accessible name."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QBrush, QColor, QFontMetrics, QIcon, QPainter, QPaintEvent, QPen, QPolygonF, QResizeEvent
from PySide6.QtWidgets import QAbstractButton, QFrame, QHBoxLayout, QLabel, QSizePolicy, QToolButton, QWidget

from puncta.gui.theme import Theme


def text_label(text: str = "", role: str = "", parent: QWidget | None = None) -> QLabel:
    """Return a label with a role of the style sheet."""
    label = QLabel(text, parent)
    if role:
        label.setProperty("role", role)
    label.setTextFormat(Qt.TextFormat.PlainText)
    return label


def set_property(widget: QWidget, name: str, value: object) -> None:
    """Set a property that the style sheet asks for, and style the widget again where it changed."""
    if widget.property(name) == value:
        return
    widget.setProperty(name, value)
    widget.style().unpolish(widget)
    widget.style().polish(widget)


class ElidedLabel(QLabel):
    """A line that gives way: what does not fit is cut in the middle, or at the end, and shown as a tool tip."""

    def __init__(
        self, text: str = "", role: str = "", parent: QWidget | None = None, *, at_end: bool = False
    ) -> None:
        super().__init__(parent)
        self._mode = Qt.TextElideMode.ElideRight if at_end else Qt.TextElideMode.ElideMiddle
        if role:
            self.setProperty("role", role)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self._full = ""
        self.set_full(text)

    def set_full(self, text: str) -> None:
        """Show a text as far as it fits."""
        if text != self._full or not self.text():
            self._full = text
            self.setAccessibleName(text)
            self._fit()

    def full(self) -> str:
        """The whole text."""
        return self._full

    def minimumSizeHint(self) -> QSize:
        """As narrow as the layout wants."""
        return QSize(24, super().minimumSizeHint().height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Fit again."""
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        metrics = QFontMetrics(self.font())
        shown = metrics.elidedText(self._full, self._mode, max(8, self.width()))
        self.setText(shown)
        self.setToolTip("" if shown == self._full else self._full)


class IconButton(QToolButton):
    """A flat button with an icon of the set. It takes the focus by Tab only, so that a click leaves the keys alone."""

    def __init__(self, icon: str, name: str, theme: Theme, parent: QWidget | None = None, key: str = "") -> None:
        super().__init__(parent)
        self.setProperty("flat", True)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self._icon_name = icon
        self._token = "text2"
        self._name = ""
        self.set_name(name, key)
        self.set_theme(theme)

    def set_name(self, name: str, key: str = "") -> None:
        """Say what the button does, and by which key."""
        self._name = name
        self.setAccessibleName(name)
        self.setToolTip(f"{name}  ({key})" if key else name)

    def set_key(self, key: str) -> None:
        """Change the key that the tool tip names."""
        self.set_name(self._name, key)

    def set_icon(self, icon: str, theme: Theme) -> None:
        """Show another icon."""
        if icon != self._icon_name:
            self._icon_name = icon
            self.set_theme(theme)

    def set_theme(self, theme: Theme) -> None:
        """Tint the icon by the theme."""
        icon = theme.icon(self._icon_name, self._token)
        if self.isCheckable():
            for edge in (16, 24, 32):
                icon.addPixmap(
                    theme.icon(self._icon_name, "accent").pixmap(edge, edge), QIcon.Mode.Normal, QIcon.State.On
                )
        self.setIcon(icon)
        self.setIconSize(theme.icon_size())


class Switch(QAbstractButton):
    """An on/off switch."""

    def __init__(self, name: str, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setCheckable(True)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setAccessibleName(name)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self._theme = theme

    def set_theme(self, theme: Theme) -> None:
        """Take over another theme."""
        self._theme = theme
        self.updateGeometry()
        self.update()

    def sizeHint(self) -> QSize:
        """Grows with the control size; the touch target is the whole widget."""
        return QSize(self._theme.control_px(34), self._theme.control_px(20))

    def minimumSizeHint(self) -> QSize:
        """Never smaller than it wants to be."""
        return self.sizeHint()

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Paint track and knob; the knob's side says what the colour says."""
        theme = self._theme
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        height = min(self.height(), theme.control_px(18)) - 2.0
        width = min(self.width() - 2.0, height * 1.8)
        track = QRectF(self.width() - width - 1.0, (self.height() - height) / 2, width, height)
        on = self.isChecked()
        painter.setPen(QPen(theme.colour("accent" if self.hasFocus() or on else "line_strong"), 1.4))
        painter.setBrush(theme.colour("accent") if on else theme.colour("ground"))
        painter.drawRoundedRect(track, height / 2, height / 2)
        if self.hasFocus():
            painter.setPen(QPen(theme.colour("text1"), 1.4))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(track, height / 2, height / 2)
        knob = height - 5.0
        left = track.right() - knob - 2.5 if on else track.left() + 2.5
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor("#ffffff") if on else theme.colour("text2"))
        painter.drawEllipse(QRectF(left, track.top() + 2.5, knob, knob))


class Bar(QWidget):
    """A share of one as a bar."""

    def __init__(self, name: str, theme: Theme, token: str = "accent", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName(name)
        self._name, self._theme, self._token = name, theme, token
        self._value: float | None = None
        self.setFixedHeight(5)

    def set_theme(self, theme: Theme) -> None:
        """Take over another theme."""
        self._theme = theme
        self.update()

    def set_value(self, value: float | None) -> None:
        """Show a share of 0..1; None shows an empty bar."""
        if value != self._value:
            self._value = value
            self.setAccessibleDescription("" if value is None else f"{value:.2f}")
            self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Paint the groove and the share."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self._theme.colour("line"))
        painter.drawRoundedRect(QRectF(self.rect()), 2.5, 2.5)
        if self._value:
            painter.setBrush(self._theme.colour(self._token))
            painter.drawRoundedRect(
                QRectF(0, 0, max(5.0, self.width() * min(1.0, self._value)), self.height()), 2.5, 2.5
            )


class ShapeMark(QWidget):
    """A small shape whose form says what its colour says: circle, diamond, square, cross, clock, ring."""

    def __init__(
        self, theme: Theme, shape: str = "circle", tone: str = "neutral", parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._theme, self.shape, self.tone = theme, shape, tone
        self.set_theme(theme)

    def set_theme(self, theme: Theme) -> None:
        """Take over another theme."""
        self._theme = theme
        edge = theme.font_px(10)
        self.setFixedSize(edge, edge)
        self.update()

    def set_mark(self, shape: str, tone: str) -> None:
        """Show another shape or colour."""
        if (shape, tone) != (self.shape, self.tone):
            self.shape, self.tone = shape, tone
            self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Paint the shape."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        draw_mark(painter, QRectF(self.rect()).adjusted(1, 1, -1, -1), self.shape, tone_colour(self._theme, self.tone))


def tone_colour(theme: Theme, tone: str) -> QColor:
    """Colour of a tone: good, caution, bad, accent, tip; anything else is neutral."""
    return theme.colour(tone if tone in {"good", "caution", "bad", "accent", "tip", "safety"} else "text2")


def draw_mark(painter: QPainter, box: QRectF, shape: str, colour: QColor) -> None:
    """Draw a shape into a box."""
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QBrush(colour))
    centre, half = box.center(), box.width() / 2
    if shape == "diamond":
        corners = ((0, -half), (half, 0), (0, half), (-half, 0))
        painter.drawPolygon(QPolygonF([centre + QPointF(x, y) for x, y in corners]))
    elif shape == "square":
        painter.drawRect(box.adjusted(half * 0.2, half * 0.2, -half * 0.2, -half * 0.2))
    elif shape == "triangle":
        painter.drawPolygon(QPolygonF([centre + QPointF(x, y) for x, y in ((0, -half), (half, half), (-half, half))]))
    elif shape in {"cross", "clock", "ring"}:
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(colour, max(1.4, half * 0.45)))
        if shape == "cross":
            inset = box.adjusted(half * 0.2, half * 0.2, -half * 0.2, -half * 0.2)
            painter.drawLine(inset.topLeft(), inset.bottomRight())
            painter.drawLine(inset.topRight(), inset.bottomLeft())
        else:
            painter.drawEllipse(box.adjusted(0.5, 0.5, -0.5, -0.5))
            if shape == "clock":
                painter.drawLine(centre, centre + QPointF(0, -half * 0.6))
                painter.drawLine(centre, centre + QPointF(half * 0.4, 0))
    else:
        painter.drawEllipse(box)


class ChipLabel(QFrame):
    """A fact in words with a shape before it."""

    def __init__(
        self, theme: Theme, text: str = "", tone: str = "neutral", shape: str = "square", parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.mark = ShapeMark(theme, shape, tone)
        self.words = text_label(text, "small")
        self._row = row = QHBoxLayout(self)
        row.setContentsMargins(8, 3, 9, 3)
        row.setSpacing(6)
        row.addWidget(self.mark, 0, Qt.AlignmentFlag.AlignVCenter)
        row.addWidget(self.words)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self._theme = theme
        self.setAccessibleName(text)

    def set_theme(self, theme: Theme) -> None:
        """Take over another theme."""
        self._theme = theme
        self.update()

    def set_chip(self, text: str, tone: str, shape: str) -> None:
        """Show another fact."""
        self.mark.set_mark(shape, tone)
        if self.words.text() != text:
            self.words.setText(text)
            self.setAccessibleName(text)
            # The layouts above follow events later; until then a longer word would show cut ("Lost" to "Found").
            self._row.invalidate()
            self.resize(self._row.sizeHint())

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Paint the frame in the chip's tone."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        box = QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5)
        edge = tone_colour(self._theme, self.mark.tone)
        edge.setAlphaF(0.6)
        painter.setPen(QPen(edge if self.mark.tone != "neutral" else self._theme.colour("line_strong"), 1.0))
        painter.setBrush(self._theme.colour("raised"))
        painter.drawRoundedRect(box, 6, 6)


def restyle_all(root: QWidget, theme: Theme) -> None:
    """Hand a theme to every widget below ``root`` that paints by it."""
    for widget in root.findChildren(QWidget):
        set_theme = getattr(widget, "set_theme", None)
        if callable(set_theme):
            set_theme(theme)
