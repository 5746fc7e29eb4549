"""The menu behind the button at the left of the top bar."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from PySide6.QtGui import QAction
from PySide6.QtWidgets import QMenu, QWidget

from puncta.gui.i18n import tr
from puncta.gui.panels.source_panel import words_of
from puncta.gui.preferences import Preferences


def make_menu(
    window: QWidget,
    actions: Mapping[str, QAction],
    preferences: Preferences,
    open_uri: Callable[[str], None],
) -> QMenu:
    """Return the menu; its recent list is filled when it opens."""
    menu = QMenu(window)
    for name in ("open", "open_folder", "open_live", "open_simulator"):
        menu.addAction(actions[name])
    recent = menu.addMenu(tr("Recent"))

    def fill() -> None:
        recent.clear()
        for uri in preferences.settings.recent:
            title, second = words_of(uri)
            recent.addAction(f"{title}   {second}".replace("&", "&&"), partial(open_uri, uri))
        recent.setEnabled(bool(preferences.settings.recent))

    menu.aboutToShow.connect(fill)
    menu.addSeparator()
    for name in ("snapshot", "snapshot_raw", "needle_here", "needle_forget", "ruler", "target_clear"):
        menu.addAction(actions[name])
    menu.addSeparator()
    for name in ("export", "compare"):
        menu.addAction(actions[name])
    menu.addSeparator()
    for name in ("panel_left", "panel_right", "full_screen"):
        menu.addAction(actions[name])
    menu.addSeparator()
    for name in ("settings", "keys"):
        menu.addAction(actions[name])
    menu.addSeparator()
    menu.addAction(actions["quit"])
    return menu
