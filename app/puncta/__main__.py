"""Starts Puncta: without an argument the window, otherwise the command line. The only file that knows both."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import sys
from types import SimpleNamespace
from typing import Any

from puncta.cli import main as command_line
from puncta.core.errors import UserError

SCREEN_S = 3.0
"""How long a screen on another machine may take to answer [s]."""


def main() -> int:
    """Run and return the exit status."""
    windows: Any = SimpleNamespace(open_window=_open_window, bench_window=_bench_window)
    return command_line.main(windows=windows)


def _open_window(uri: str | None) -> int:
    if uri is not None:
        from puncta.sources.factory import check_source_name

        # A slip in a name is said where it was typed. What is there but cannot be read, the window says: whoever
        # opens a file by a double click sees no terminal.
        check_source_name(uri)
    if not _is_screen_there():
        _check_file(uri)
        raise UserError(
            "There is no screen here, so the window cannot open; 'puncta run SOURCE --out x.mp4' does the same job "
            "without one."
        )
    _check_libraries()
    from puncta.gui.app import run_window  # the toolkit is loaded only when a window is wanted

    return run_window(uri)


def _bench_window(*, steer: bool = False, hour: bool = False, **request: Any) -> dict:
    _check_libraries()
    if hour:
        from puncta.gui.bench_hour import measure_hour

        return measure_hour(**request)
    if steer:
        from puncta.gui.bench_steering import measure_steering

        return measure_steering(**request)
    from puncta.gui.bench import measure_window

    return measure_window(**request)


def _check_libraries() -> None:
    """Say what the toolkit lacks of this system: it would end the program, and in its own words."""
    from puncta.cli.screen_libraries import check_screen_libraries, check_toolkit

    check_toolkit()
    check_screen_libraries(os.environ)


def _check_file(uri: str | None) -> None:
    """Say what is wrong with a file, which would be in the way with a screen, too; live sources are left alone."""
    from puncta.sources.factory import open_source
    from puncta.sources.live_address import is_live

    if uri is not None and not uri.lower().startswith("sim:") and not is_live(uri):
        open_source(uri).close()


def _is_screen_there() -> bool:
    """Tell whether a window can open. The toolkit ends the program where it cannot, so it is asked for before."""
    if not sys.platform.startswith("linux") or os.environ.get("QT_QPA_PLATFORM"):
        return True
    if os.environ.get("WAYLAND_DISPLAY"):
        return True
    display = os.environ.get("DISPLAY", "")
    named = re.fullmatch(r"(?:unix)?([^/:]*):(\d+)(?:\.\d+)?", display)
    return bool(display) if named is None else _answers(named[1], int(named[2]))


def _answers(host: str, number: int) -> bool:
    """Tell whether an X server answers: by its socket on this machine, by its port on another (X(7), display names)."""
    name = f"/tmp/.X11-unix/X{number}"
    places = [(socket.AF_UNIX, name), (socket.AF_UNIX, f"\0{name}")] if not host else []
    places.append((socket.AF_INET, (host or "127.0.0.1", 6000 + number)))
    for family, place in places:
        with contextlib.suppress(OSError, OverflowError), socket.socket(family, socket.SOCK_STREAM) as line:
            line.settimeout(SCREEN_S)
            line.connect(place)
            return True
    return False


if __name__ == "__main__":
    sys.exit(main())
