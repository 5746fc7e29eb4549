"""The rooms import in one direction only, and the contracts that say so do break when they should."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

APP = Path(__file__).resolve().parents[2] / "app"
CONFIG = APP.parent / "pyproject.toml"
LINT = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(sys.argv[1], no_cache=True))"

LAYERS = "Each room imports only rooms below it"
QT, TORCH, ONNX = "Qt only in gui", "torch only in training", "onnxruntime only in inference"
CORE = "core knows no third party but numpy"


# A file, what is written into it, and the contracts that have to break.
PLANTS = [
    ("core/planted.py", "import puncta.sdk", {LAYERS}),
    ("pipeline/planted.py", "def f():\n    from puncta.session import planted", {LAYERS}),
    ("cli/planted.py", "from puncta import gui", {LAYERS}),
    ("inference/planted.py", "import puncta.sim", {LAYERS}),
    ("annotation/planted.py", "import puncta.library.search", {LAYERS}),
    ("library/planted.py", "from PySide6.QtCore import QObject", {QT}),
    ("gui/planted.py", "import puncta.training.data\nimport puncta.__main__", {LAYERS}),
    ("misplaced/__init__.py", "", {LAYERS}),
    ("misplaced.py", "", {LAYERS}),
    ("pipeline/planted.py", "def f():\n    from PySide6.QtCore import QObject", {QT}),
    ("session/planted.py", "import pyqtgraph", {QT}),
    ("cli/planted.py", "import qasync", {QT}),
    ("inference/planted.py", "import torch.nn.functional", {TORCH}),
    ("pipeline/planted.py", "import onnxruntime", {ONNX}),
    ("core/planted.py", "import cv2", {CORE}),
    ("core/planted.py", "from pydantic import BaseModel", {CORE}),
    ("core/planted.py", "from PySide6.QtGui import QImage", {QT, CORE}),
]


def lint(app: Path) -> tuple[int, str]:
    """Run import-linter with the project's contracts over the package in `app`; return status and output."""
    environ = {**os.environ, "PYTHONPATH": str(app), "COLUMNS": "200", "NO_COLOR": "1"}
    done = subprocess.run(
        [sys.executable, "-c", LINT, str(CONFIG)],
        env=environ,
        cwd=app.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def list_broken(output: str) -> set[str]:
    return {line.removesuffix("BROKEN").strip() for line in output.splitlines() if line.endswith("BROKEN")}


def test_contracts_hold() -> None:
    status, output = lint(APP)
    assert status == 0, output
    assert list_broken(output) == set()
    for name in (LAYERS, QT, TORCH, ONNX, CORE):
        assert f"{name} KEPT" in output


def read_settings() -> dict[str, Any]:
    settings: dict[str, Any] = tomllib.loads(CONFIG.read_text(encoding="utf-8"))["tool"]["importlinter"]
    return settings


@pytest.mark.parametrize(("contract", "allowed"), [("qt", "gui"), ("torch", "training"), ("onnxruntime", "inference")])
def test_the_contracts_name_every_room(contract: str, allowed: str) -> None:
    rooms = {path.stem for path in (APP / "puncta").iterdir()} - {"__init__", "__pycache__", allowed}
    if contract == "qt":
        rooms -= {"__main__"}  # it opens the window, so Qt lies below it
    named = next(entry["source_modules"] for entry in read_settings()["contracts"] if entry["id"] == contract)
    assert set(named) == {f"puncta.{room}" for room in rooms}


def test_no_edge_is_ignored() -> None:
    settings = read_settings()
    layers = next(contract for contract in settings["contracts"] if contract["type"] == "layers")
    assert layers["exhaustive"] is True
    assert "exhaustive_ignores" not in layers
    for contract in settings["contracts"]:
        assert "ignore_imports" not in contract, contract["name"]


@pytest.fixture(scope="module")
def copied_app(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package to plant violations in."""
    app = tmp_path_factory.mktemp("planted") / "app"
    shutil.copytree(APP, app, ignore=shutil.ignore_patterns("__pycache__"))
    return app


def test_the_copy_is_clean_before_planting(copied_app: Path) -> None:
    status, output = lint(copied_app)
    assert status == 0, output


@pytest.mark.parametrize(("file", "line", "broken"), PLANTS)
def test_a_planted_violation_breaks_its_contract(copied_app: Path, file: str, line: str, broken: set[str]) -> None:
    planted = copied_app / "puncta" / file
    had_folder = planted.parent.is_dir()
    planted.parent.mkdir(exist_ok=True)
    needs = copied_app / "puncta" / "session" / "planted.py"
    made = [planted] + ([needs] if "session import planted" in line else [])
    try:
        for path in made:
            path.write_text(line if path is planted else "", encoding="utf-8")
        status, output = lint(copied_app)
    finally:
        for path in made:
            path.unlink()
        if not had_folder:
            planted.parent.rmdir()
    assert status == 1, output
    assert list_broken(output) == broken, output


def list_imports(path: Path) -> set[str]:
    """Return the full names of all modules that a file imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively"
            names.add(node.module or "")
    return names


def test_core_imports_the_standard_library_and_numpy_only() -> None:
    # The contract above names the libraries of today; this holds for any.
    allowed = sys.stdlib_module_names | {"numpy", "puncta"}
    for path in (APP / "puncta" / "core").rglob("*.py"):
        assert {name.split(".")[0] for name in list_imports(path)} <= allowed, path


def test_shipped_plugins_import_what_a_stranger_may() -> None:
    allowed_rooms = ("puncta.sdk", "puncta.core", "puncta.imaging")
    files = sorted((APP.parent / "plugins").rglob("*.py"))
    assert files, "there are no plugins to look at"
    for path in files:
        for name in list_imports(path):
            top = name.split(".")[0]
            if top == "puncta":
                assert name.startswith(allowed_rooms), f"{path} imports {name}"
            else:
                siblings = {other.stem for other in path.parent.glob("*.py")}
                assert top in sys.stdlib_module_names | {"numpy", "cv2", "pytest"} | siblings, f"{path} imports {name}"


def test_the_bootstrap_imports_the_standard_library_only() -> None:
    installer = APP.parent / "installer"
    files = [installer / "bootstrap.py", *sorted((installer / "bootstrap_steps").rglob("*.py"))]
    assert len(files) > 3
    for path in files:
        tops = {name.split(".")[0] for name in list_imports(path)}
        assert tops <= sys.stdlib_module_names | {"bootstrap_steps"}, path
