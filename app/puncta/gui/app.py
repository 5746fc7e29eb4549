"""Starts the window: application, event loop, player, first case; and stops them in order."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import Callable
from signal import SIGINT, SIGTERM
from types import TracebackType
from typing import TYPE_CHECKING

import qasync
from PySide6.QtCore import QEvent, Qt, QTimer
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QApplication

from puncta import paths
from puncta.gui.bridge import Bridge, Jobs
from puncta.gui.consent import ConsentAsker
from puncta.gui.desk import Desk
from puncta.gui.garbage import GarbageSearch
from puncta.gui.i18n import install_language, tr
from puncta.gui.main_window import MainWindow, first_sources
from puncta.gui.preferences import Preferences
from puncta.gui.remembered import remembered_ruler
from puncta.gui.theme import apply_theme, draw_icon, load_fonts, make_theme
from puncta.settings import Settings, load_settings

if TYPE_CHECKING:
    from puncta.session.player import Player

log = logging.getLogger(__name__)

SWITCH_INTERVAL_S = 0.001
"""A busy Python thread gives way after this time [s]; the usual 5 ms would be a third of a picture's time."""


class Parts:
    """Everything that runs while the window is open, made in order and stopped in the other order."""

    def __init__(
        self,
        settings: Settings,
        make_player: Callable[[Bridge, Preferences], Player] | None = None,
        *,
        keep: bool = True,
    ) -> None:
        self.garbage = GarbageSearch()
        self.bridge, self.jobs = Bridge(), Jobs()
        self.preferences = Preferences(settings, self.jobs, keep=keep)
        self.player = (make_player or _make_player)(self.bridge, self.preferences)
        self.desk = Desk(self.player, self.preferences, self.bridge)
        self.window = MainWindow(self.desk, self.preferences, self.jobs)

    def stop(self) -> None:
        """Stop order: wakes, player (source, channels, inference), recorder, jobs; then the settings are saved."""
        self.bridge.close()
        self.desk.close()
        self.player.close()
        self.window.recording.close()
        self.window.annotator.close()
        self.window.modeller.close()
        self.jobs.close()
        self.preferences.save_now()
        self.garbage.close()
        # What the other threads knew must end here, in the GUI thread, whoever lets go of it last.
        for part in (self.bridge, self.jobs, self.garbage):
            part.deleteLater()


def run_window(
    uri: str | None = None,
    *,
    argv: list[str] | None = None,
    quit_after_s: float | None = None,
    on_ready: Callable[[Parts], None] | None = None,
    keep_settings: bool = True,
) -> int:
    """Open the window and return when it is closed.

    Parameters
    ----------
    uri : str or None
        What to open: a path or an address such as ``sim:breast?seed=1``. None opens the last case, or the sample.
    argv : list of str or None
        Arguments for Qt.
    quit_after_s : float or None
        Close the window after this time [s], for smoke tests and `puncta bench`.
    on_ready : callable or None
        Called in the GUI thread, once the window is shown, with everything that runs.
    keep_settings : bool
        False uses defaults and writes none, for measuring.

    Returns
    -------
    int
        0, or 1 where an error of our own came up while the window was open.
    """
    app = _application(argv)
    app.setQuitOnLastWindowClosed(False)  # the loop below ends when the window has closed
    settings, warnings = load_settings() if keep_settings else (Settings(first_start_done=True), [])
    translators = install_language(app, settings.language)
    load_fonts()
    apply_theme(app, make_theme(settings.theme, settings.font_scale, settings.touch_size))
    app.setWindowIcon(draw_icon("puncta", "#56b4e9", 128))
    loop = qasync.QEventLoop(app)
    asyncio.set_event_loop(loop)
    parts = Parts(settings, keep=keep_settings)
    faults = _Faults(parts.window)
    hook, sys.excepthook = sys.excepthook, faults.take
    # Ctrl+C in the terminal closes the window properly; the poll of the desk lets Python see the signal.
    signals = {number: signal.signal(number, lambda *_: parts.window.close()) for number in (SIGINT, SIGTERM)}
    interval = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    try:
        for words in warnings:
            parts.window.stage.banners.say("settings", "caution", words)
        parts.window.stage.try_card.want(not settings.first_start_done)
        closed = loop.create_future()
        parts.window.closed.connect(lambda: closed.done() or closed.set_result(None))
        first, *others = first_sources(uri, settings.last_source)
        parts.window.open_uri(first, fallbacks=tuple(others))
        parts.window.show()
        # What is there now stays: the collector need not walk a hundred thousand objects while pictures come.
        gc.freeze()
        asker = ConsentAsker(parts.window)
        asker.look()
        if quit_after_s is not None:
            QTimer.singleShot(round(quit_after_s * 1000), parts.window.close)
        if on_ready is not None:
            QTimer.singleShot(0, lambda: on_ready(parts))
        loop.run_until_complete(closed)
        # The three things to try belong to the first start, however it ends.
        parts.preferences.set("first_start_done", True)
    finally:
        gc.unfreeze()
        sys.excepthook = hook
        sys.setswitchinterval(interval)
        for number, handler in signals.items():
            signal.signal(number, handler)
        parts.stop()
        parts.window.deleteLater()
        app.sendPostedEvents()
        app.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        loop.close()
        asyncio.set_event_loop(None)
        del translators, loop
        closed = None
        gc.collect()  # the loop is a ring with a timer in it, which has to end in this thread
    return 1 if faults.count else 0


def _application(argv: list[str] | None) -> QApplication:
    existing = QApplication.instance()
    if isinstance(existing, QApplication):
        return existing
    # Qt would hand larger shapes and scaled rows to threads of its own and wait for them, a dozen times a picture: that
    # takes longer than painting them, and tens of milliseconds while something else has the cores.
    os.environ.setdefault("QT_NO_GUI_THREADPOOL", "1")
    QGuiApplication.setHighDpiScaleFactorRoundingPolicy(Qt.HighDpiScaleFactorRoundingPolicy.PassThrough)
    app = QApplication(argv if argv is not None else ["puncta"])
    app.setApplicationName("Puncta")
    app.setDesktopFileName("puncta")
    app.setStyle("Fusion")  # the same on every system; the style sheet does the rest
    return app


def _make_player(bridge: Bridge, preferences: Preferences) -> Player:
    from puncta.session.player import Player, Presentation

    settings = preferences.settings
    return Player(
        wake=bridge.wake,
        enabled_plugins=tuple(settings.enabled_plugins),
        every_frame=settings.every_frame,
        presentation=Presentation(settings.presentation),
        repeat=settings.repeat,
        calibration_of=lambda info: remembered_ruler(preferences, info),
        options=settings.plugin_options,
    )


class _Faults:
    """Our own faults in the GUI thread: logged with their traceback, told in one sentence, never a crash."""

    def __init__(self, window: MainWindow) -> None:
        self._window = window
        self.count = 0

    def take(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        """Stand in for `sys.excepthook`."""
        self.count += 1
        log.error("an error in the window", exc_info=(kind, error, trace))
        words = tr("Something went wrong inside Puncta. Your work is not touched. The log is in {folder}.")
        self._window.stage.banners.say("fault", "bad", words.format(folder=paths.user_log_dir()))
