from __future__ import annotations

import gc
import logging
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from plugin_folder import CODE, write_plugin

from puncta.core.errors import UserError
from puncta.sdk.context import PluginContext
from puncta.sdk.loading import PluginLoadError, create_plugin, find_forbidden_imports, read_tree
from puncta.sdk.manifest import read_manifest


def no_model(model_id: str | None = None) -> Any:
    raise UserError("There is no model here.")


def context(folder: Path) -> PluginContext:
    return PluginContext("middle", folder, no_model, {}, logging.getLogger("test"))


def create(folder: Path) -> Any:
    return create_plugin(read_tree(folder), read_manifest(folder), context(folder))


def test_a_plugin_is_created_and_leaves_the_search_path_alone(tmp_path: Path) -> None:
    path = list(sys.path)
    plugin = create(write_plugin(tmp_path / "p"))
    assert plugin.context.plugin_id == "middle"
    assert sys.path == path
    assert type(plugin).__module__.startswith("puncta_plugin_middle_")


def test_two_loads_share_no_module_and_a_module_goes_with_its_plugin(tmp_path: Path) -> None:
    folder = write_plugin(tmp_path / "p")
    finders = len(sys.meta_path)
    first, second = create(folder), create(folder)
    assert type(first) is not type(second)
    name = type(first).__module__
    assert name in sys.modules
    del first, second
    gc.collect()
    assert name not in sys.modules
    assert len(sys.meta_path) == finders


def test_compiled_caches_are_neither_read_nor_written(tmp_path: Path) -> None:
    """A planted cache would run code that nobody saw or hashed."""
    import py_compile

    folder = write_plugin(tmp_path / "p")
    create(folder)
    assert not (folder / "__pycache__").exists()
    evil = tmp_path / "evil.py"
    evil.write_text("raise SystemExit('the cache ran')", encoding="utf-8")
    stat = (folder / "plugin.py").stat()
    text = evil.read_text(encoding="utf-8").ljust(stat.st_size)
    evil.write_text(text, encoding="utf-8")
    os.utime(evil, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    import importlib.util

    py_compile.compile(str(evil), cfile=importlib.util.cache_from_source(str(folder / "plugin.py")))
    assert create(folder) is not None


def test_a_plugin_may_have_several_files(tmp_path: Path) -> None:
    code = CODE.replace("from puncta.core", "from .parts import lines\nfrom .parts.deep import DEPTH\nfrom puncta.core")
    files = {
        "parts/__init__.py": "from . import lines\n",
        "parts/lines.py": "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        "@dataclass(frozen=True, slots=True)\nclass Line:\n    x: float = 1.0\n",
        "parts/deep.py": "DEPTH = 7\n",
    }
    code += "\ndef later():\n    from . import late\n    return late.WORD\n"
    folder = write_plugin(tmp_path / "p", code, {**files, "late.py": "WORD = 'late'\n"})
    plugin = create(folder)
    module = sys.modules[type(plugin).__module__]
    assert module.DEPTH == 7
    assert module.later() == "late"


def test_what_was_read_is_what_runs(tmp_path: Path) -> None:
    """The files change after they were read: the load uses what was read."""
    folder = write_plugin(tmp_path / "p", CODE + "\nfrom . import word\n", {"word.py": "WORD = 'seen'\n"})
    tree = read_tree(folder)
    (folder / "word.py").write_text("WORD = 'swapped'\n", encoding="utf-8")
    (folder / "plugin.py").write_text("raise RuntimeError('swapped')\n", encoding="utf-8")
    plugin = create_plugin(tree, read_manifest(folder), context(folder))
    assert sys.modules[type(plugin).__module__].word.WORD == "seen"


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "plugin.py").write_text(CODE + "\n", encoding="utf-8"),
        lambda folder: (folder / "data.bin").write_bytes(b"new"),
        lambda folder: (folder / "README.md").rename(folder / "LIESMICH.md"),
        lambda folder: (folder / "README.md").unlink(),
    ],
)
def test_any_change_changes_the_hash(tmp_path: Path, change: Any) -> None:
    folder = write_plugin(tmp_path / "p")
    before = read_tree(folder).sha256
    change(folder)
    assert read_tree(folder).sha256 != before


def test_caches_and_the_place_do_not_change_the_hash(tmp_path: Path) -> None:
    first, second = write_plugin(tmp_path / "a"), write_plugin(tmp_path / "b")
    (second / "__pycache__").mkdir()
    (second / "__pycache__" / "plugin.cpython-311.pyc").write_bytes(b"x")
    assert read_tree(first).sha256 == read_tree(second).sha256


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("raise ValueError('too early')", "fails while it is imported: ValueError: too early"),
        ("import PySide6", "imports PySide6, which belongs to the window"),
        ("x = 1", "has no function create"),
        ("def create(context):\n    raise KeyError('what')", "fails while it is created: KeyError"),
        ("def create(context):\n    return object()", "without reset and step and close"),
        ("def create(:", "not valid Python"),
    ],
)
def test_a_plugin_that_does_not_load_says_why(tmp_path: Path, code: str, words: str) -> None:
    folder = write_plugin(tmp_path / "p", code)
    before = set(sys.modules)
    with pytest.raises(PluginLoadError) as caught:
        create(folder)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not [name for name in set(sys.modules) - before if name.startswith("puncta_plugin")]


def test_a_missing_model_is_passed_on_as_it_is(tmp_path: Path) -> None:
    folder = write_plugin(tmp_path / "p", "def create(context):\n    return context.open_model()")
    with pytest.raises(UserError, match=r"^There is no model here\.$"):
        create(folder)


def test_an_absent_entry_module_is_told(tmp_path: Path) -> None:
    folder = write_plugin(tmp_path / "p", entry="other:create")
    with pytest.raises(PluginLoadError, match=r"holds no other\.py"):
        create(folder)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("import PySide6.QtWidgets", "belongs to the window"),
        ("from PySide6 import QtCore", "belongs to the window"),
        ("import socket", "reaches for the network"),
        ("from urllib.request import urlopen", "reaches for the network"),
        ("import http.client as web", "reaches for the network"),
        ("import subprocess", "starts other programs"),
        ("import ctypes", "reaches past Python"),
        ("import importlib", "cannot be seen"),
        ("import onnxruntime", "context.open_model"),
        ("import torch", "not listed under `requires`"),
        ("from puncta.gui import app", "not open to plugins"),
        ("from puncta import pipeline", "not open to plugins"),
        ("import puncta.inference.session", "not open to plugins"),
        ("import parts", "write `from .parts import ...`"),
        ("x = __import__('socket')", "hides what runs"),
        ("eval('1')", "hides what runs"),
        ("def late():\n    import socket", "reaches for the network"),
    ],
)
def test_imports_that_are_refused(tmp_path: Path, line: str, reason: str) -> None:
    folder = write_plugin(tmp_path / "p", CODE + f"\n{line}\n", {"parts.py": ""})
    found = find_forbidden_imports(read_tree(folder), read_manifest(folder))
    assert len(found) == 1 and reason in found[0]
    assert found[0].startswith("plugin.py")


def test_imports_that_are_open(tmp_path: Path) -> None:
    lines = """
        from __future__ import annotations
        import math, json, pathlib, collections.abc, threading
        import numpy as np
        import cv2
        import torch.nn
        from puncta import core, sdk, imaging
        from puncta.imaging import motion_history
        from puncta.core.frame import Frame
        from . import parts
    """
    code = "\n".join(line.strip() for line in lines.splitlines())
    folder = write_plugin(
        tmp_path / "p",
        code,
        {"parts.py": "import socket", "tests/test_it.py": "import pytest"},
        requires=["torch", "socket"],
    )
    assert find_forbidden_imports(read_tree(folder), read_manifest(folder)) == ()


def test_a_linked_folder_is_not_part_of_a_plugin(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "late.py").write_text("WORD = 1", encoding="utf-8")
    folder = write_plugin(tmp_path / "p", CODE + "\nfrom .linked import late\n")
    (folder / "linked").symlink_to(outside, target_is_directory=True)
    with pytest.raises(PluginLoadError, match="No module named"):
        create(folder)
