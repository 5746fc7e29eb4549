"""Which system libraries the window needs, which of them lack, and how this machine installs them.

A library is missing when loading it fails, not when a package is absent: the same library comes in packages of
many names. Only Linux has something to install; on Windows and macOS the wheels bring all.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bootstrap_steps.stop import StopInstalling


@dataclass(frozen=True, slots=True)
class Library:
    """A shared library and the package that holds it on Debian/Ubuntu, Fedora and Arch."""

    soname: str
    apt: str
    dnf: str
    pacman: str


# What Qt's core, widgets and the offscreen platform load.
QT_ITSELF = (
    Library("libEGL.so.1", "libegl1", "libglvnd-egl", "libglvnd"),
    Library("libGL.so.1", "libgl1", "libglvnd-glx", "libglvnd"),
    Library("libxkbcommon.so.0", "libxkbcommon0", "libxkbcommon", "libxkbcommon"),
    Library("libdbus-1.so.3", "libdbus-1-3", "dbus-libs", "dbus"),
    Library("libfontconfig.so.1", "libfontconfig1", "fontconfig", "fontconfig"),
    Library("libfreetype.so.6", "libfreetype6", "freetype", "freetype2"),
    Library("libX11.so.6", "libx11-6", "libX11", "libx11"),
    Library("libgthread-2.0.so.0", "libglib2.0-0", "glib2", "glib2"),
)
# What the X11 platform loads on top of that.
X11_SCREEN = (
    Library("libX11-xcb.so.1", "libx11-xcb1", "libX11-xcb", "libx11"),
    Library("libxcb-cursor.so.0", "libxcb-cursor0", "xcb-util-cursor", "xcb-util-cursor"),
    Library("libxcb-icccm.so.4", "libxcb-icccm4", "xcb-util-wm", "xcb-util-wm"),
    Library("libxcb-image.so.0", "libxcb-image0", "xcb-util-image", "xcb-util-image"),
    Library("libxcb-keysyms.so.1", "libxcb-keysyms1", "xcb-util-keysyms", "xcb-util-keysyms"),
    Library("libxcb-randr.so.0", "libxcb-randr0", "libxcb", "libxcb"),
    Library("libxcb-render-util.so.0", "libxcb-render-util0", "xcb-util-renderutil", "xcb-util-renderutil"),
    Library("libxcb-shape.so.0", "libxcb-shape0", "libxcb", "libxcb"),
    Library("libxcb-sync.so.1", "libxcb-sync1", "libxcb", "libxcb"),
    Library("libxcb-util.so.1", "libxcb-util1", "xcb-util", "xcb-util"),
    Library("libxcb-xfixes.so.0", "libxcb-xfixes0", "libxcb", "libxcb"),
    Library("libxcb-xkb.so.1", "libxcb-xkb1", "libxcb", "libxcb"),
    Library("libxkbcommon-x11.so.0", "libxkbcommon-x11-0", "libxkbcommon-x11", "libxkbcommon-x11"),
)
WAYLAND_SCREEN = (
    Library("libwayland-client.so.0", "libwayland-client0", "libwayland-client", "wayland"),
    Library("libwayland-cursor.so.0", "libwayland-cursor0", "libwayland-cursor", "wayland"),
    Library("libwayland-egl.so.1", "libwayland-egl1", "libwayland-egl", "wayland"),
)

_LOAD = """
import ctypes, sys
for name in sys.argv[1:]:
    try:
        ctypes.CDLL(name)
    except OSError:
        print(name)
"""


def has_display(environ: Mapping[str, str], platform: str = sys.platform) -> bool:
    """Tell whether a window can be shown: not asked to go without, and on Linux a screen is named."""
    if environ.get("PUNCTA_HEADLESS", "") not in {"", "0"}:
        return False
    if platform.startswith("linux"):
        return bool(environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY"))
    return True


def list_needed(environ: Mapping[str, str], platform: str = sys.platform) -> tuple[Library, ...]:
    """Return the libraries that this machine needs for Qt, and for its screen if it has one."""
    if not platform.startswith("linux"):
        return ()
    needed: tuple[Library, ...] = QT_ITSELF
    if has_display(environ, platform):
        needed += X11_SCREEN if environ.get("DISPLAY") else ()
        needed += WAYLAND_SCREEN if environ.get("WAYLAND_DISPLAY") else ()
    return needed


def find_missing(libraries: Sequence[Library]) -> list[Library]:
    """Return those that cannot be loaded, tried in a process of its own: a graphics driver may bring anything."""
    if not libraries:
        return []
    names = [library.soname for library in libraries]
    tried = subprocess.run([sys.executable, "-I", "-c", _LOAD, *names], capture_output=True, text=True, check=False)
    failed = set(tried.stdout.split()) if tried.returncode == 0 else set(names)
    return [library for library in libraries if library.soname in failed]


@dataclass(frozen=True, slots=True)
class PackageManager:
    """The machine's package manager and the words before it that give it the right to install (`sudo -n`, none)."""

    name: str
    prefix: tuple[str, ...] | None

    def names_of(self, libraries: Iterable[Library]) -> list[str]:
        """Return the packages that hold `libraries`, each once, in order."""
        return list(dict.fromkeys(getattr(library, self.name) for library in libraries))

    def install_command(self, packages: Sequence[str]) -> list[str]:
        """Return the command that installs `packages` without a question, with no right added."""
        verb = {
            "apt": ["apt-get", "install", "-y", "--no-install-recommends"],
            "dnf": ["dnf", "install", "-y"],
            "pacman": ["pacman", "-S", "--needed", "--noconfirm"],
        }[self.name]
        return [*verb, *packages]

    def line_for_the_user(self, packages: Sequence[str]) -> str:
        """Return the one line that a person types."""
        line = " ".join(["sudo", *self.install_command(packages)])
        # A fresh Debian knows no package before its list is fetched.
        return f"sudo apt-get update && {line}" if self.name == "apt" else line

    def install(self, packages: Sequence[str]) -> bool:
        """Install `packages`; return whether that worked. Needs `prefix`."""
        if self.prefix is None:
            return False
        environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        # A fresh Debian has no list of packages, and an old list names files that are gone: one more try after
        # fetching it. Arch must not do that without upgrading everything, so a person decides there.
        attempts = [[self.install_command(packages)]]
        if self.name == "apt":
            attempts.append([["apt-get", "update"], self.install_command(packages)])
        for commands in attempts:
            if all(_run_quietly([*self.prefix, *command], environ) for command in commands):
                return True
        return False

    def install_alone(self, package: str) -> bool:
        """Install one package from the lists as they are; return whether that worked. Needs `prefix`."""
        if self.prefix is None:
            return False
        environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        return _run_quietly([*self.prefix, *self.install_command([package])], environ)


def find_package_manager() -> PackageManager | None:
    """Return the package manager of this machine and whether it may be used now; none where none is known."""
    for name, program in (("apt", "apt-get"), ("dnf", "dnf"), ("pacman", "pacman")):
        if shutil.which(program):
            return PackageManager(name, _find_right_to_install())
    return None


def _find_right_to_install() -> tuple[str, ...] | None:
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return ()
    if shutil.which("sudo") and _run_quietly(["sudo", "-n", "true"], dict(os.environ)):
        return ("sudo", "-n")
    return None


def _run_quietly(command: list[str], environ: Mapping[str, str]) -> bool:
    try:
        done = subprocess.run(
            command, env=dict(environ), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            check=False,
        )  # fmt: skip
    except OSError:
        return False
    return done.returncode == 0


def install_missing_libraries(environ: Mapping[str, str]) -> list[Library]:
    """Install what Qt lacks where this is allowed; return what still lacks afterwards."""
    missing = find_missing(list_needed(environ))
    if not missing:
        return []
    manager = find_package_manager()
    if manager is None or manager.prefix is None:
        return missing
    packages = manager.names_of(missing)
    print(f"Installing {len(packages)} system packages: {' '.join(packages)}", flush=True)
    manager.install(packages)
    return find_missing(missing)


def say_what_lacks(missing: Sequence[Library]) -> str:
    """Return plain sentences that name the missing libraries and the line that installs them."""
    manager = find_package_manager()
    if manager is None:
        return (
            "The window needs system libraries that this machine lacks: "
            f"{', '.join(library.soname for library in missing)}. Install them with your system's package manager."
        )
    line = manager.line_for_the_user(manager.names_of(missing))
    return f"The window needs system libraries that this machine lacks. This line installs them:\n  {line}"


def need_venv_support() -> None:
    """Make sure that Python can make a virtual environment with pip in it; Debian keeps that in a package of its own.

    Raises
    ------
    StopInstalling
        When it cannot and may not install it.
    """
    if _can_make_venv():
        return
    package = "python3-venv"
    manager = find_package_manager()
    if manager is not None and manager.name == "apt":
        if manager.prefix is not None:
            print(f"Installing a system package: {package}", flush=True)
            if manager.install([package]) and _can_make_venv():
                return
        line = manager.line_for_the_user([package])
        raise StopInstalling(f"This Python cannot make a virtual environment. This line adds what lacks:\n  {line}")
    raise StopInstalling(
        "This Python cannot make a virtual environment: install its venv and ensurepip modules, or start again with "
        "a complete Python 3.11 or newer."
    )


def _can_make_venv() -> bool:
    # Asked of a new process: this one remembers what it has not found.
    return _run_quietly([sys.executable, "-I", "-c", "import ensurepip, venv"], os.environ)
