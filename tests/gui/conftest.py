"""A real window on a real player, with sources and plugins of known behaviour."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence

import pytest
from pipeline_stage import EchoPlugin, NumberedSource, hosted
from PySide6.QtCore import QCoreApplication, QEvent
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from puncta.core.errors import UserError
from puncta.core.frame import SourceKind
from puncta.core.ports import FrameSource
from puncta.gui.app import Parts
from puncta.gui.i18n import install_language, remove_language
from puncta.gui.remembered import remembered_ruler
from puncta.gui.theme import apply_theme, load_fonts, make_theme
from puncta.pipeline.host import HostedPlugin
from puncta.session.player import Player
from puncta.settings import Settings


class EndlessSource(NumberedSource):
    """A stream without an end, labelled simulated."""

    def __init__(self, name: str) -> None:
        super().__init__(count=100_000, interval_ms=10.0, name=name)
        from dataclasses import replace

        self.full = self.info
        self.info = replace(
            self.info, kind=SourceKind.SIMULATED, simulated=True, frame_count=None, times_ns=None, uri=name, stream=name
        )

    def read(self):  # noqa: ANN201
        live, self.info = self.info, self.full
        try:
            return super().read()
        finally:
            self.info = live


def open_numbered(uri: str) -> FrameSource:
    """Open what a name says: `missing...` is not there, `sim:...` never ends, all else has 60 frames."""
    if "missing" in uri:
        raise UserError(f"{uri} does not exist, check the name and the folder.")
    if uri.startswith("sim:"):
        return EndlessSource(uri)
    return NumberedSource(60, 10.0, uri)


class Stage:
    """Makes windows and takes them away."""

    def __init__(self, app: QApplication) -> None:
        self._app = app
        self.made: list[Parts] = []

    def open(
        self,
        settings: Settings | None = None,
        *,
        plugins: Sequence[HostedPlugin] | None = None,
        opener: Callable[[str], FrameSource] = open_numbered,
        size: tuple[int, int] = (1200, 800),
        keep: bool = True,
    ) -> Parts:
        """Show a window; nothing is open in it yet."""
        settings = settings or Settings(first_start_done=True, enabled_plugins=["echo"])
        apply_theme(self._app, make_theme(settings.theme, settings.font_scale, settings.touch_size))
        known = tuple(plugins) if plugins is not None else (hosted(EchoPlugin()),)
        parts = Parts(
            settings,
            lambda bridge, preferences: Player(
                wake=bridge.wake,
                enabled_plugins=tuple(settings.enabled_plugins),
                repeat=settings.repeat,
                plugins=known,
                opener=opener,
                calibration_of=lambda info: remembered_ruler(preferences, info),
            ),
            keep=keep,
        )
        self.made.append(parts)
        parts.window.resize(*size)
        parts.window.show()
        return parts

    def close(self, parts: Parts) -> None:
        """Close a window and stop what ran for it."""
        self.made.remove(parts)
        parts.window.close()
        parts.stop()
        parts.window.deleteLater()
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


PATIENCE_MS = 120_000
"""No wait for the window gives up before this [ms]: what comes decides, not how busy the machine is."""


@pytest.fixture
def qtbot(qtbot: QtBot) -> QtBot:
    """The bot of pytest-qt, with more patience."""
    wait = qtbot.waitUntil

    def wait_until(callback: Callable[[], object], *, timeout: int = PATIENCE_MS) -> None:
        wait(callback, timeout=max(timeout, PATIENCE_MS))

    qtbot.waitUntil = wait_until
    return qtbot


@pytest.fixture(scope="session")
def fonts(qapp: QApplication) -> None:
    """The font that ships, as the window has it."""
    qapp.setStyle("Fusion")
    assert load_fonts()


@pytest.fixture(autouse=True, scope="module")
def garbage() -> Iterator[None]:
    """Qt objects that a test leaves in a ring end here, in this thread, and not in whichever thread looks next."""
    gc.disable()
    yield
    gc.collect()
    gc.enable()


@pytest.fixture
def german(qapp: QApplication) -> Iterator[None]:
    """The window's language while a test runs."""
    kept = install_language(qapp, "de")
    yield
    remove_language(qapp, kept)
    install_language(qapp, "en")


@pytest.fixture
def stage(qapp: QApplication, fonts: None) -> Iterator[Stage]:
    """Windows of this test; closed at its end."""
    stage = Stage(qapp)
    yield stage
    for parts in list(stage.made):
        stage.close(parts)
