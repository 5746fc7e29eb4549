"""What the user allowed: a plugin that did not come with the program runs only while its bytes are the ones allowed."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from puncta import paths
from puncta.core.errors import UserError

if TYPE_CHECKING:
    from puncta.pipeline.discover import FoundPlugin

_VERSION = 1


def _file() -> Path:
    return paths.user_config_dir() / "plugin_consent.json"


def _read() -> dict[str, str]:
    """Return the allowed hashes by plugin id; a damaged file allows nothing."""
    try:
        content = json.loads(_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    allowed = content.get("allowed") if isinstance(content, dict) and content.get("version") == _VERSION else None
    if not isinstance(allowed, dict):
        return {}
    return {str(k): v for k, v in allowed.items() if isinstance(v, str)}


def _write(allowed: dict[str, str]) -> None:
    path = _file()
    text = json.dumps({"version": _VERSION, "allowed": dict(sorted(allowed.items()))}, indent=2) + "\n"
    temporary = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=path.name, suffix=".tmp", dir=path.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            out.write(text)
        os.replace(temporary, path)
    except OSError as error:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        raise UserError(f"The consent cannot be kept in {path}: {error.strerror or error}.") from error


def is_needed(found: FoundPlugin) -> bool:
    """Tell whether a plugin needs the user's consent at all; what ships with the program does not."""
    return found.origin != "shipped"


def is_granted(found: FoundPlugin) -> bool:
    """Tell whether a plugin may run: it ships with the program, or exactly these bytes were allowed."""
    return not is_needed(found) or _read().get(found.manifest.id) == found.tree_sha256


def is_outdated(found: FoundPlugin) -> bool:
    """Tell whether another state of this plugin was allowed, so that the user can be told that it changed."""
    return is_needed(found) and _read().get(found.manifest.id) not in {None, found.tree_sha256}


def grant(found: FoundPlugin) -> None:
    """Remember that the user allows this plugin in its present state.

    Raises
    ------
    UserError
        The file of consents cannot be written.
    """
    _write({**_read(), found.manifest.id: found.tree_sha256})


def withdraw(plugin_id: str) -> bool:
    """Forget a consent; return whether there was one.

    Raises
    ------
    UserError
        The file of consents cannot be written.
    """
    allowed = _read()
    if allowed.pop(plugin_id, None) is None:
        return False
    _write(allowed)
    return True
