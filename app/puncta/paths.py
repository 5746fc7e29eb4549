"""Where things are: a clone, an installed wheel or a frozen program. The only path arithmetic of the project."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import platformdirs

_APP = "puncta"


def root_dir() -> Path:
    """Return the folder that holds `resources`, `models` and `plugins`.

    A frozen program unpacks them beside itself; a clone has them two folders above the package; a wheel carries them
    as `puncta/_share`.
    """
    if getattr(sys, "frozen", False):
        return Path(getattr(sys, "_MEIPASS", Path(sys.executable).parent))
    shared = Path(__file__).resolve().parent / "_share"
    return shared if shared.is_dir() else Path(__file__).resolve().parents[2]


def resources_dir() -> Path:
    """Icons, styles, schemas, sample cases, documents."""
    return root_dir() / "resources"


def models_dir() -> Path:
    """The models that ship: registry.toml, cards, *.onnx."""
    return root_dir() / "models"


def plugins_dir() -> Path:
    """The plugins that ship, one folder each."""
    return root_dir() / "plugins"


def experiments_dir() -> Path:
    """The experiments that ship: how their models are trained."""
    return Path(__file__).resolve().parent / "training" / "experiments"


def sample_case() -> Path:
    """The case a first start opens on."""
    return resources_dir() / "samples" / "breast-sample.dcm"


def _user(kind: str, default: str) -> Path:
    home = os.environ.get("PUNCTA_HOME")
    return Path(home) / kind if home else Path(default)


def user_config_dir() -> Path:
    """Settings and consents of this user; `PUNCTA_HOME` moves all user folders (tests, portable use)."""
    return _user("config", platformdirs.user_config_dir(_APP, appauthor=False))


def user_data_dir() -> Path:
    """Cases, sessions and installed models of this user."""
    return _user("data", platformdirs.user_data_dir(_APP, appauthor=False))


def user_cache_dir() -> Path:
    """What can be made again: thumbnails, measured session settings, optimised graphs."""
    return _user("cache", platformdirs.user_cache_dir(_APP, appauthor=False))


def user_log_dir() -> Path:
    """Log files."""
    return _user("log", platformdirs.user_log_dir(_APP, appauthor=False))


def user_plugins_dir() -> Path:
    """Plugins this user added by hand."""
    return user_data_dir() / "plugins"


def user_sessions_dir() -> Path:
    """Where recordings go that the window makes."""
    return user_data_dir() / "sessions"


def user_pictures_dir() -> Path:
    """Where snapshots go."""
    return _user("pictures", str(Path(platformdirs.user_pictures_dir()) / "Puncta"))
