"""Everything below the window works on a machine that has neither Qt nor torch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

APP = Path(__file__).resolve().parents[2] / "app"

BLOCK = """
import sys

ABSENT = {"PySide6", "shiboken6", "pyqtgraph", "qasync", "torch", "onnxscript", "onnx"}

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ABSENT:
            raise ModuleNotFoundError(f"{name} is not on this machine", name=name)

sys.meta_path.insert(0, Absent())
"""

IMPORT_ALL = """
import importlib, pkgutil
import puncta

def fail(name):
    raise

seen = []
for room in pkgutil.iter_modules(puncta.__path__, "puncta."):
    if room.name in {"puncta.gui", "puncta.training"}:
        continue
    seen.append(room.name)
    importlib.import_module(room.name)
    if room.ispkg:
        package = sys.modules[room.name]
        for module in pkgutil.walk_packages(package.__path__, room.name + ".", onerror=fail):
            importlib.import_module(module.name)
            seen.append(module.name)
assert not ABSENT & {name.split(".")[0] for name in sys.modules}
print("\\n".join(seen))
"""


def run_blocked(code: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "PYTHONPATH": str(APP)}
    return subprocess.run(
        [sys.executable, "-c", BLOCK + code], env=environ, capture_output=True, text=True, check=False, timeout=120
    )


def test_the_block_blocks() -> None:
    done = run_blocked("import PySide6")
    assert done.returncode == 1
    assert "PySide6 is not on this machine" in done.stderr


def test_all_rooms_below_the_window_import() -> None:
    done = run_blocked(IMPORT_ALL)
    assert done.returncode == 0, done.stderr
    seen = set(done.stdout.split())
    # As files, so that a module that pkgutil steps over is noticed.
    files = {
        ".".join(path.relative_to(APP).with_suffix("").parts).removesuffix(".__init__")
        for path in (APP / "puncta").rglob("*.py")
    }
    below = {name for name in files if name.split(".")[1:2] not in (["gui"], ["training"])} - {"puncta"}
    assert seen == below


def test_the_command_line_answers_without_qt() -> None:
    done = run_blocked("sys.argv = ['puncta', '--help']\nfrom puncta.__main__ import main\nsys.exit(main())")
    assert done.returncode == 0, done.stderr
    assert "run" in done.stdout
