"""The vendor's Cast library for Clarius probes: an optional part that is not shipped, found, loaded and checked here.

Source: Clarius Cast API version 12, interface and examples in the vendor's repository github.com/clariusdev/cast.
The library and a probe belong together: the vendor checks the firmware on connecting and keeps no compatibility.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Protocol

from puncta import paths
from puncta.core.errors import SourceError

MODULE = "pyclariuscast"
FOLDER_VARIABLE = "PUNCTA_CLARIUS"
VERSION = 12
"""Version of the Cast interface that is written for here."""
PLATFORM_HD3 = 2
_VERSION_BYTES = 64
WRONG_VERSION = (
    f"The Clarius library is not of version {VERSION}, which Puncta knows; install the Cast release that belongs to "
    "your Clarius App."
)


class Caster(Protocol):
    """What is used of ``pyclariuscast.Caster``."""

    def init(self, path: str, width: int, height: int) -> bool:
        """Prepare; ``path`` takes the vendor's security keys, the size [px] is that of the pictures."""
        ...

    def connect(self, address: str, port: int, certificate: str) -> bool:
        """Connect to a probe on which the Clarius App runs."""
        ...

    def disconnect(self) -> bool:
        """Leave the probe."""
        ...

    def destroy(self) -> bool | None:
        """Release everything."""
        ...


@dataclass(frozen=True, slots=True)
class CastLibrary:
    """A library that was loaded.

    Attributes
    ----------
    make : callable
        Makes a `Caster` from six callbacks: picture, raw data, spectrum, motion, freeze, buttons.
    firmware : str
        The firmware that the library belongs to; empty where it does not say.
    """

    make: Callable[..., Caster]
    firmware: str = ""


def library_folder() -> Path:
    """Where the vendor's files are looked for, besides Python's own places."""
    return Path(os.environ.get(FOLDER_VARIABLE) or paths.user_data_dir() / "clarius")


def load_library() -> CastLibrary:
    """Load and check the library.

    Raises
    ------
    SourceError
        It is not there, cannot be loaded, or is of another version; the sentence says what to do.
    """
    folder = library_folder()
    native = _load_native(folder)
    module = _load_module(folder)
    make = getattr(module, "Caster", None)
    if make is None:
        raise SourceError(WRONG_VERSION)
    firmware = _firmware(native)
    major = re.match(r"\d+", firmware)
    if major is not None and int(major.group()) != VERSION:
        raise SourceError(f"{WRONG_VERSION.rstrip('.')} (this one is for firmware {firmware}).")
    return CastLibrary(make, firmware)


def _load_native(folder: Path) -> ctypes.CDLL | None:
    """Load what the module needs; its symbols have to be there for all before the module comes."""
    name = {"linux": "libcast.so", "darwin": "libcast.dylib"}.get(sys.platform, "cast.dll")
    path = folder / name
    if not path.is_file():
        return None
    try:
        return ctypes.CDLL(str(path), getattr(ctypes, "RTLD_GLOBAL", 0))
    except OSError as error:
        raise SourceError(
            f"The Clarius library {path} cannot be loaded ({_short(error)}); install the Cast release for this "
            "computer."
        ) from error


def _load_module(folder: Path) -> ModuleType:
    found = importlib.util.find_spec(MODULE)
    try:
        if found is None and folder.is_dir():
            sys.path.append(str(folder))
            try:
                importlib.invalidate_caches()
                found = importlib.util.find_spec(MODULE)
            finally:
                sys.path.remove(str(folder))
        if found is None or found.loader is None:
            raise SourceError(
                f"Clarius probes need the vendor's Cast library; put pyclariuscast and its files from "
                f"github.com/clariusdev/cast (releases, Python {sys.version_info.major}.{sys.version_info.minor}) "
                f"into {folder}."
            )
        module = sys.modules.get(MODULE)
        if module is None:
            module = importlib.util.module_from_spec(found)
            found.loader.exec_module(module)
            sys.modules[MODULE] = module
    except ImportError as error:
        raise SourceError(
            f"The Clarius library in {folder} cannot be loaded ({_short(error)}); install the Cast release for Python "
            f"{sys.version_info.major}.{sys.version_info.minor}."
        ) from error
    return module


def _firmware(native: ctypes.CDLL | None) -> str:
    """Return the firmware that the library is made for; it says so through its C interface."""
    ask = getattr(native, "castFwVersion", None) if native is not None else None
    if ask is None:
        return ""
    words = ctypes.create_string_buffer(_VERSION_BYTES)
    if ask(ctypes.c_int(PLATFORM_HD3), words, ctypes.c_int(_VERSION_BYTES)) != 0:
        return ""
    return words.value.decode("ascii", "replace").strip()


def _short(error: BaseException) -> str:
    return str(error).splitlines()[0][:120] if str(error) else type(error).__name__
