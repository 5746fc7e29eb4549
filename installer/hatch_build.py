"""Build hook: a wheel carries resources, models and plugins as `puncta/_share`; an editable install reads the clone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ShareFolders(BuildHookInterface):  # type: ignore[type-arg]
    """Adds the three folders outside `app/` that `puncta.paths` looks for."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the folders to a wheel; `version` is "editable" or "standard"."""
        if version == "editable":
            return
        for name in ("resources", "models", "plugins"):
            folder = Path(self.root) / name
            if folder.is_dir():
                build_data["force_include"][str(folder)] = f"puncta/_share/{name}"
