"""What every window must keep: no word is cut, and whatever can be used has a name."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractButton, QAbstractSlider, QComboBox, QLabel, QLineEdit, QWidget

from puncta.gui.panels.parts import ElidedLabel


def cut_labels(window: QWidget) -> list[str]:
    """Words that need more room than they have. What shortens itself on purpose is left out."""
    cut: list[str] = []
    for widget in window.findChildren(QWidget):
        if not widget.isVisible() or isinstance(widget, ElidedLabel):
            continue
        if isinstance(widget, QLabel) and widget.text():
            if widget.wordWrap():
                wanted = widget.heightForWidth(widget.width())
                fits = widget.height() >= wanted
            else:
                fits = widget.width() >= widget.sizeHint().width() and widget.height() >= widget.sizeHint().height() - 1
        elif isinstance(widget, QAbstractButton | QComboBox):
            fits = widget.width() >= widget.minimumSizeHint().width() - 1
        else:
            continue
        if not fits:
            words = widget.text() if isinstance(widget, QLabel | QAbstractButton) else widget.accessibleName()
            cut.append(f"{words!r} has {widget.width()}x{widget.height()}, wants {widget.sizeHint().toTuple()}")
    return cut


def nameless(root: QWidget) -> list[str]:
    """Interactive widgets that a screen reader cannot name."""
    kinds = (QAbstractButton, QAbstractSlider, QComboBox, QLineEdit)
    found = [w for w in root.findChildren(QWidget) if isinstance(w, kinds) or w.focusPolicy() & Qt.FocusPolicy.TabFocus]
    own = [w for w in found if not w.objectName().startswith("qt_") and type(w).__module__ != "x"]
    return [
        f"{type(w).__name__} {w.objectName()!r} in {type(w.parent()).__name__}"
        for w in own
        if not (w.accessibleName() or (isinstance(w, QAbstractButton) and w.text()))
        and not isinstance(w.parent(), QAbstractSlider | QComboBox)
        and type(w).__name__ not in {"QScrollBar", "QScrollArea", "QListView", "QKeySequenceEdit_Line"}
        and not (isinstance(w, QLineEdit) and w.parent() is not None and w.parent().accessibleName())
    ]
