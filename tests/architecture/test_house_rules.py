"""Rules of the house that no linter knows."""

from __future__ import annotations

import ast
import functools
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
PACKAGE = REPO / "app" / "puncta"
MODULES = sorted(PACKAGE.rglob("*.py"))

TOP_LEVEL = {"pyproject.toml", "README.md", "LICENSE", "app", "resources", "models", "plugins", "tests", "installer"}
MADE_ON_THE_WAY = {"puncta-out", "build", "dist"}

MOST_LINES = 400
# Longer modules and why each is better in one piece.
LONGER: dict[str, str] = {}

# Plain values a signal may carry; anything else may be, or hold, a picture.
SIGNAL_VALUES = {"str", "int", "float", "bool"}


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def test_the_top_level_is_as_asked() -> None:
    there = {entry.name for entry in REPO.iterdir() if not entry.name.startswith(".")}
    assert there - MADE_ON_THE_WAY == TOP_LEVEL


def test_there_is_one_package_under_app() -> None:
    assert {entry.name for entry in (REPO / "app").iterdir()} == {"puncta"}


def test_modules_stay_short() -> None:
    lengths = {name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    too_long = {name: count for name, count in lengths.items() if count > MOST_LINES and name not in LONGER}
    assert too_long == {}
    short_again = {name for name in LONGER if lengths.get(name, 0) <= MOST_LINES}
    assert short_again == set(), "take these out of LONGER"


def test_the_linter_has_nothing_to_say() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--no-cache", "--output-format", "concise", "."],
        cwd=REPO, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_file_knows_one_machine() -> None:
    """Paths of the machine that a file was written on have no place in the project."""
    home = re.compile(r"(?<![\w.:/-])/(?:root|work|home/\w+|Users/\w+)/")
    texts = {".py", ".toml", ".md", ".json", ".txt", ".jsonl", ".qss", ".yml", ".ts"}
    files = [path for top in TOP_LEVEL for path in (REPO / top).rglob("*") if path.suffix in texts]
    files += [REPO / "pyproject.toml", REPO / "README.md", REPO / ".ci" / "run"]
    own = Path(__file__)
    found = [
        f"{path.relative_to(REPO)}:{number}"
        for path in files
        if path.is_file() and path != own
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if home.search(line)
    ]
    assert found == []


def test_no_catch_all_names() -> None:
    banned = {"utils.py", "util.py", "misc.py", "helpers.py", "helper.py", "common.py", "manager.py"}
    assert [name_of(path) for path in MODULES if path.name in banned] == []


@functools.cache
def parse_modules() -> tuple[tuple[str, ast.Module], ...]:
    """Name and tree of every module, read once."""
    return tuple((name_of(path), ast.parse(path.read_text(encoding="utf-8"), str(path))) for path in MODULES)


def test_annotations_are_lazy_everywhere() -> None:
    missing = [
        name
        for name, tree in parse_modules()
        if tree.body
        and not any(isinstance(node, ast.ImportFrom) and node.module == "__future__" for node in tree.body)
        and not (len(tree.body) == 1 and isinstance(tree.body[0], ast.Expr))  # a docstring alone
    ]
    assert missing == []


def test_nothing_swallows_every_error() -> None:
    found = [
        f"{name}:{node.lineno}"
        for name, tree in parse_modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler) and node.type is None
    ]
    assert found == []


def test_no_thread_is_a_daemon() -> None:
    found = [
        f"{name}:{node.lineno}"
        for name, tree in parse_modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.keyword)
        and node.arg == "daemon"
        and not (isinstance(node.value, ast.Constant) and node.value.value is False)
    ]
    assert found == []


def test_the_window_never_spins_its_own_event_loop() -> None:
    found = [
        f"{name}:{node.lineno}"
        for name, tree in parse_modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr == "processEvents"
    ]
    assert found == []


def find_signals(tree: ast.Module) -> Iterator[tuple[str, ast.Call]]:
    """Yield name and declaration of each Qt signal of a module."""
    for node in ast.walk(tree):
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        value = getattr(node, "value", None)
        if isinstance(value, ast.Call) and isinstance(target, ast.Name):
            called = value.func
            if (isinstance(called, ast.Name) and called.id in {"Signal", "pyqtSignal"}) or (
                isinstance(called, ast.Attribute) and called.attr == "Signal"
            ):
                yield target.id, value


def find_heavy_signals(tree: ast.Module) -> list[str]:
    """Return the signals that could carry a picture."""
    heavy = []
    for name, call in find_signals(tree):
        carried = {ast.unparse(argument) for argument in call.args}
        if not carried <= SIGNAL_VALUES or (name == "wake" and carried):
            heavy.append(f"{name}({', '.join(sorted(carried))})")
    return heavy


@pytest.mark.skipif(not (PACKAGE / "gui").is_dir(), reason="the window is not built yet")
def test_no_signal_carries_pixels() -> None:
    trees = {name: tree for name, tree in parse_modules() if name.startswith("gui/")}
    assert {name: found for name, tree in trees.items() if (found := find_heavy_signals(tree))} == {}
    wakes = [call for name, tree in trees.items() if name == "gui/bridge.py" for _, call in find_signals(tree)]
    assert wakes, "gui/bridge.py crosses from the pipeline's threads into Qt and declares the signal that wakes it"
    assert all(not call.args for call in wakes)


def test_the_signal_rule_finds_planted_pixels() -> None:
    planted = ast.parse(
        "class A(QObject):\n"
        "    fine = Signal(str, int)\n"
        "    wake = Signal()\n"
        "    frame = Signal(object)\n"
        "    image = QtCore.Signal(QImage)\n"
        "    array: Signal = Signal(np.ndarray)\n"
    )
    assert find_heavy_signals(planted) == ["frame(object)", "image(QImage)", "array(np.ndarray)"]
    assert find_heavy_signals(ast.parse("class A:\n    wake = Signal(int)\n")) == ["wake(int)"]
