"""Keys of the window: one Qt action for each row of the table, and one filter for keys that are held down."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QAction, QKeyEvent, QKeySequence
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractSlider,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QLineEdit,
    QWidget,
)

from puncta.gui.actions import ACTIONS, SPECS, key_words, keys_of
from puncta.gui.i18n import tr

_MOVES = {
    Qt.Key.Key_Left,
    Qt.Key.Key_Right,
    Qt.Key.Key_Up,
    Qt.Key.Key_Down,
    Qt.Key.Key_Home,
    Qt.Key.Key_End,
    Qt.Key.Key_PageUp,
    Qt.Key.Key_PageDown,
}


class Keyboard(QObject):
    """Runs actions by their keys.

    Parameters
    ----------
    window : QWidget
        Whose keys these are.
    run : callable
        Called with the id of an action.
    hold : callable
        Called with the id of a held action and whether it is held.
    """

    def __init__(self, window: QWidget, run: Callable[[str], None], hold: Callable[[str, bool], None]) -> None:
        super().__init__(window)
        self._window, self._hold = window, hold
        self._held: dict[int, str] = {}
        self._mode = ""
        self.keys: dict[str, str] = {}
        self.pedals: dict[str, str] = {}
        self.actions: dict[str, QAction] = {}
        self.idle: frozenset[str] = frozenset()
        """Actions, by heading or id, that can do nothing for now; the status line does not offer them."""
        for spec in ACTIONS:
            action = QAction(tr(spec.words), window)
            action.setObjectName(f"action_{spec.id}")
            action.setAutoRepeat(spec.repeats)
            action.setShortcutContext(Qt.ShortcutContext.WindowShortcut)
            if not spec.hold:
                action.triggered.connect(lambda _checked=False, name=spec.id: run(name))
                window.addAction(action)
            self.actions[spec.id] = action
        application = QApplication.instance()
        assert application is not None
        application.installEventFilter(self)

    def set_keys(self, key_set: str, own: Mapping[str, str], pedals: Mapping[str, str] | None = None) -> None:
        """Give every action its key, and those that a foot pedal sends (key to action)."""
        self.keys = keys_of(key_set, own)
        self.pedals = {key: name for key, name in (pedals or {}).items() if name in SPECS}
        for name, key in self.keys.items():
            sequences = [QKeySequence(key)] if key else []
            if key == "Return":
                sequences.append(QKeySequence("Enter"))
            sequences += [QKeySequence(pedal) for pedal, does in self.pedals.items() if does == name]
            if SPECS[name].hold:
                continue
            self.actions[name].setShortcuts(sequences)

    def set_mode(self, mode: str) -> None:
        """Switch off what does nothing in this mode."""
        if mode != self._mode:
            self.release()
        self._mode = mode
        for spec in ACTIONS:
            self.actions[spec.id].setEnabled(not spec.modes or mode in spec.modes)

    @property
    def held(self) -> frozenset[str]:
        """Ids of the actions whose keys are held down."""
        return frozenset(self._held.values())

    def words(self) -> dict[str, str]:
        """Keys as the keyboard names them, by action."""
        return {name: key_words(key) for name, key in self.keys.items()}

    def hints(self, mode: str) -> list[tuple[str, str]]:
        """Keys that work in a mode, for the status line."""
        shown = [
            spec for spec in ACTIONS if spec.hint and self.keys.get(spec.id) and (not spec.modes or mode in spec.modes)
        ]
        shown = [spec for spec in shown if not self.idle & {spec.group, spec.id}]
        own = [spec for spec in shown if spec.modes == (mode,)]
        if len(own) > 3:  # a mode with many keys of its own says those first
            shown = own + [spec for spec in shown if spec.modes != (mode,)]
        return [(key_words(self.keys[spec.id]), tr(spec.hint)) for spec in shown]

    def release(self) -> None:
        """Let all held keys go: the window lost the focus, so their release will not be seen."""
        held, self._held = self._held, {}
        for name in held.values():
            self._hold(name, False)

    def close(self) -> None:
        """Stop listening."""
        application = QApplication.instance()
        if application is not None:
            application.removeEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Leave keys to widgets that need them, and follow keys that are held down."""
        kind = event.type()
        if kind is QEvent.Type.ApplicationDeactivate or (
            kind is QEvent.Type.WindowDeactivate and watched is self._window
        ):
            self.release()
        elif isinstance(event, QKeyEvent) and isinstance(watched, QWidget) and watched.window() is self._window:
            if kind is QEvent.Type.ShortcutOverride and needs_key(watched, event):
                event.accept()
                return True
            if kind is QEvent.Type.KeyPress and self._press(watched, event):
                return True
            if kind is QEvent.Type.KeyRelease and self._let_go(event):
                return True
        return False

    def _press(self, watched: QWidget, event: QKeyEvent) -> bool:
        name = self._hold_action(event)
        if name is None or needs_key(watched, event):
            return False
        if not event.isAutoRepeat() and event.key() not in self._held:
            self._held[event.key()] = name
            self._hold(name, True)
        return True

    def _let_go(self, event: QKeyEvent) -> bool:
        # A modifier let go first makes another sequence of the same key, so only the key counts.
        if event.key() not in self._held:
            return False
        if not event.isAutoRepeat():
            name = self._held.pop(event.key())
            self._hold(name, False)
        return True

    def _hold_action(self, event: QKeyEvent) -> str | None:
        pressed = QKeySequence(event.keyCombination())
        for spec in ACTIONS:
            works = spec.hold and (not spec.modes or self._mode in spec.modes)
            if works and self.keys.get(spec.id) and QKeySequence(self.keys[spec.id]) == pressed:
                return spec.id
        return None


def needs_key(widget: QWidget, event: QKeyEvent) -> bool:
    """Tell whether a widget with the focus needs a key for itself: text fields, sliders, buttons reached by Tab."""
    plain = event.modifiers() in {Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ShiftModifier}
    if isinstance(widget, QLineEdit | QAbstractSpinBox):
        return plain and event.key() != Qt.Key.Key_Escape
    if isinstance(widget, QComboBox):
        return plain and (event.key() in _MOVES or event.key() == Qt.Key.Key_Space)
    if isinstance(widget, QAbstractSlider):
        return plain and event.key() in _MOVES
    if isinstance(widget, QAbstractButton):
        return plain and event.key() == Qt.Key.Key_Space
    return False
