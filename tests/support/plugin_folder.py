"""Makes plugin folders for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tomli_w

CODE = '''
from puncta.core.results import Point
from puncta.sdk.plugin import StepResult


class Middle:
    """Answers with the middle of the region."""

    def __init__(self, context):
        self.context = context

    def reset(self, reason):
        pass

    def step(self, frame, upstream):
        x0, y0, w, h = frame.geometry.region.box
        return StepResult((Point("middle", (x0 + (w - 1) / 2, y0 + (h - 1) / 2), 1.0),))

    def close(self):
        pass


def create(context):
    return Middle(context)
'''


def manifest(**changes: Any) -> dict[str, Any]:
    """Return a manifest that holds; a change to None takes the key away."""
    table: dict[str, Any] = {
        "id": "middle",
        "title": "Middle",
        "version": "0.1.0",
        "api": 1,
        "description": "Answers with the middle of the region.",
        "licence": "Apache-2.0",
        "author": "A test",
        "results": [{"type": "point", "label": "middle"}],
    }
    table.update(changes)
    return {key: value for key, value in table.items() if value is not None}


def write_plugin(folder: Path, code: str = CODE, files: dict[str, str] | None = None, **changes: Any) -> Path:
    """Write a plugin's folder and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "plugin.toml").write_text(tomli_w.dumps(manifest(**changes)), encoding="utf-8")
    (folder / "plugin.py").write_text(code, encoding="utf-8")
    (folder / "README.md").write_text("# Middle\n", encoding="utf-8")
    for name, text in (files or {}).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder
