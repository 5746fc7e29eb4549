"""Starts Puncta: without an argument the window, otherwise the command line. The only file that knows both."""

from __future__ import annotations

import os
import sys
from types import SimpleNamespace
from typing import Any

from puncta.cli import main as command_line
from puncta.core.errors import UserError


def main() -> int:
    """Run and return the exit status."""
    windows: Any = SimpleNamespace(open_window=_open_window, bench_window=_bench_window)
    return command_line.main(windows=windows)


def _open_window(uri: str | None) -> int:
    _need_screen()
    from puncta.gui.app import run_window  # the toolkit is loaded only when a window is wanted

    return run_window(uri)


def _bench_window(*, steer: bool = False, hour: bool = False, **request: Any) -> dict:
    if hour:
        from puncta.gui.bench_hour import measure_hour

        return measure_hour(**request)
    if steer:
        from puncta.gui.bench_steering import measure_steering

        return measure_steering(**request)
    from puncta.gui.bench import measure_window

    return measure_window(**request)


def _need_screen() -> None:
    if not sys.platform.startswith("linux") or os.environ.get("QT_QPA_PLATFORM"):
        return
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise UserError(
            "There is no screen here, so the window cannot open; 'puncta run SOURCE --out x.mp4' does the same job "
            "without one."
        )


if __name__ == "__main__":
    sys.exit(main())
