"""Whether the window's toolkit finds what it needs of an X11 system; without, it ends the program in its own words.

The wheels bring the toolkit but not these libraries of the system, and a fresh Linux often lacks one of them.
"""

from __future__ import annotations

import ctypes
import importlib
import re
import sys
from collections.abc import Callable, Mapping

from puncta.core.errors import UserError

X11_LIBRARIES = {
    "libX11-xcb.so.1": "libx11-xcb1",
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-image.so.0": "libxcb-image0",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-randr.so.0": "libxcb-randr0",
    "libxcb-render-util.so.0": "libxcb-render-util0",
    "libxcb-shape.so.0": "libxcb-shape0",
    "libxcb-sync.so.1": "libxcb-sync1",
    "libxcb-util.so.1": "libxcb-util1",
    "libxcb-xfixes.so.0": "libxcb-xfixes0",
    "libxcb-xkb.so.1": "libxcb-xkb1",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
}
"""What the toolkit loads for an X11 screen, and the package of Debian and Ubuntu that holds it."""


def uses_x11(environ: Mapping[str, str], platform: str = sys.platform) -> bool:
    """Tell whether the toolkit would open its window by X11: not by Wayland, nor by a platform that was asked for."""
    if not platform.startswith("linux"):
        return False
    asked = environ.get("QT_QPA_PLATFORM", "")
    if asked:
        return asked.partition(";")[0].partition(":")[0] == "xcb"
    return bool(environ.get("DISPLAY")) and not environ.get("WAYLAND_DISPLAY")


def check_screen_libraries(
    environ: Mapping[str, str], platform: str = sys.platform, load: Callable[[str], object] = ctypes.CDLL
) -> None:
    """Look for the libraries of an X11 window; nothing where none would be opened by X11.

    Raises
    ------
    UserError
        Some cannot be loaded; the sentence names them and how to install them.
    """
    missing = [name for name in X11_LIBRARIES if not _loads(name, load)] if uses_x11(environ, platform) else []
    if missing:
        what = "a library of this system that is" if len(missing) == 1 else "libraries of this system that are"
        packages = " ".join(X11_LIBRARIES[name] for name in missing)
        raise UserError(
            f"The window needs {what} missing: {', '.join(missing)}; install what is missing (on Debian and Ubuntu: "
            f"sudo apt install {packages}), then try again."
        )


def check_toolkit(load: Callable[[str], object] = importlib.import_module) -> None:
    """Load the toolkit's widgets, which need libraries of the system whatever screen there is.

    Raises
    ------
    UserError
        A library is missing; the sentence names it.
    """
    try:
        load("PySide6.QtWidgets")
    except ImportError as error:
        missing = re.match(r"(\S+): cannot open shared object file", str(error))
        if missing is None:
            raise
        raise UserError(
            f"The window needs a library of this system that is missing: {missing[1]}; install the package that holds "
            "it (python3 installer/bootstrap.py run finds and installs all that are missing), then try again."
        ) from error


def _loads(name: str, load: Callable[[str], object]) -> bool:
    try:
        load(name)
    except OSError:
        return False
    return True
