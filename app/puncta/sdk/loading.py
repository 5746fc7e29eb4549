"""From a plugin's folder to a running plugin.

The folder is read once: the bytes that are hashed (for the user's consent) are the bytes that run. Nothing of it is
put on ``sys.path``, compiled caches are neither read nor written, and each load gets a module name of its own, so two
plugins, or two versions of one, never share a module.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import importlib.abc
import importlib.util
import itertools
import sys
import threading
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from puncta.core.errors import UserError
from puncta.sdk.context import PluginContext
from puncta.sdk.manifest import NEVER_ALLOWED, PluginManifest
from puncta.sdk.plugin import Plugin

_SKIPPED_FOLDERS = {"__pycache__", ".git", ".mypy_cache", ".ruff_cache", ".pytest_cache"}
_ALWAYS = {"numpy", "cv2"}
_ROOMS = {"puncta.sdk", "puncta.core", "puncta.imaging"}
_CLOSED_STDLIB: dict[str, str] = {
    **dict.fromkeys(
        ("socket", "socketserver", "ssl", "http", "urllib", "ftplib", "smtplib", "poplib", "imaplib", "nntplib")
        + ("telnetlib", "xmlrpc", "asyncio", "select", "selectors", "webbrowser", "wsgiref", "asyncore"),
        "reaches for the network",
    ),
    **dict.fromkeys(("subprocess", "multiprocessing", "pty", "_posixsubprocess"), "starts other programs"),
    **dict.fromkeys(("tkinter", "turtle", "curses", "idlelib"), "opens windows of its own"),
    **dict.fromkeys(("ctypes", "_ctypes"), "reaches past Python"),
    **dict.fromkeys(("importlib", "imp", "runpy", "pkgutil", "zipimport"), "imports code that cannot be seen here"),
}
_CLOSED_CALLS = {"__import__", "exec", "eval"}
_numbers = itertools.count(1)


class PluginLoadError(UserError):
    """A plugin cannot be loaded; the message says why in one sentence."""


@dataclass(frozen=True, slots=True)
class PluginTree:
    """A plugin's folder as it was read.

    Attributes
    ----------
    sha256 : str
        Over the relative paths and bytes of all files, without compiled caches.
    sources : mapping of relative path to bytes
        The Python files.
    """

    folder: Path
    sha256: str
    sources: Mapping[str, bytes] = field(repr=False)


def read_tree(folder: Path) -> PluginTree:
    """Read and hash a plugin's folder.

    Raises
    ------
    UserError
        A file cannot be read.
    """
    digest = hashlib.sha256()
    sources: dict[str, bytes] = {}
    try:
        for path in _files(folder):
            name = path.relative_to(folder).as_posix()
            data = path.read_bytes()
            digest.update(f"{len(name.encode())}:{name}:{len(data)}:".encode())
            digest.update(hashlib.sha256(data).digest())
            if path.suffix == ".py":
                sources[name] = data
    except OSError as error:
        raise UserError(f"The plugin folder {folder} cannot be read: {error.strerror or error}.") from error
    return PluginTree(folder, digest.hexdigest(), sources)


def _files(folder: Path) -> list[Path]:
    found: list[Path] = []
    # A linked folder is not followed: what cannot be hashed is not loaded either.
    for entry in sorted(folder.iterdir(), key=lambda p: p.name):
        if entry.is_dir() and not entry.is_symlink():
            if entry.name not in _SKIPPED_FOLDERS:
                found += _files(entry)
        elif entry.is_file():
            found.append(entry)
    return found


def find_forbidden_imports(tree: PluginTree, manifest: PluginManifest) -> tuple[str, ...]:
    """Name every import that a plugin may not make, each as one phrase with its file and line.

    This is a look at the source, not a sandbox: it keeps honest plugins portable. Trust comes from the user's consent.
    """
    own = {name.partition("/")[0].removesuffix(".py") for name in tree.sources}
    found: list[str] = []
    for name, source in sorted(tree.sources.items()):
        if name.partition("/")[0] in {"tests", "test"}:
            continue
        try:
            module = ast.parse(source, filename=name)
        except (SyntaxError, ValueError) as error:
            line = getattr(error, "lineno", None)
            found.append(f"{name}{f':{line}' if line else ''} is not valid Python ({getattr(error, 'msg', error)})")
            continue
        for node in ast.walk(module):
            for wanted in _imported(node):
                reason = _refusal(wanted, manifest.requires)
                if reason is None:
                    continue
                if wanted.partition(".")[0] in own and wanted.partition(".")[0] not in sys.stdlib_module_names:
                    reason = f"is a file of the plugin; write `from .{wanted} import ...`"
                found.append(f"{name}:{node.lineno} imports {wanted}, which {reason}")  # type: ignore[attr-defined]
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _CLOSED_CALLS:
                found.append(f"{name}:{node.lineno} calls {node.func.id}, which hides what runs")
    return tuple(found)


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
        # "from puncta import sdk" names a room in its second half.
        if node.module == "puncta":
            return [f"puncta.{alias.name}" for alias in node.names]
        return [node.module]
    return []


def _refusal(wanted: str, requires: Sequence[str]) -> str | None:
    top = wanted.partition(".")[0]
    if top == "puncta":
        room = ".".join(wanted.split(".")[:2])
        return None if room in _ROOMS else "is not open to plugins; they see puncta.sdk, puncta.core and puncta.imaging"
    if top in NEVER_ALLOWED:
        return "models come through context.open_model" if top == "onnxruntime" else "belongs to the window"
    if top in requires or top in _ALWAYS:
        return None
    if top in _CLOSED_STDLIB:
        return f"{_CLOSED_STDLIB[top]}; leave it out, or list it under `requires` so that the user sees it"
    if top in sys.stdlib_module_names:
        return None
    return "is not listed under `requires` in the manifest"


class _SnapshotFinder(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Finds and loads the modules of one plugin from the bytes that were hashed."""

    def __init__(self, root: str, entry_module: str, tree: PluginTree) -> None:
        self.root = root
        self.tree = tree
        self.entry = f"{entry_module}.py"

    def _file_of(self, fullname: str) -> str | None:
        if fullname == self.root:
            return self.entry
        stem = fullname.removeprefix(f"{self.root}.").replace(".", "/")
        return next((n for n in (f"{stem}.py", f"{stem}/__init__.py") if n in self.tree.sources), None)

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if fullname != self.root and not fullname.startswith(f"{self.root}."):
            return None
        name = self._file_of(fullname)
        if name is None:
            return None
        spec = importlib.util.spec_from_loader(
            fullname, self, origin=str(self.tree.folder / name), is_package=self.is_package(fullname)
        )
        if spec is not None:
            spec.has_location = True
            spec.cached = None
        return spec

    def is_package(self, fullname: str) -> bool:
        return fullname == self.root or (self._file_of(fullname) or "").endswith("/__init__.py")

    def get_source(self, fullname: str) -> str | None:
        name = self._file_of(fullname)
        return None if name is None else importlib.util.decode_source(self.tree.sources[name])

    def get_code(self, fullname: str) -> Any:
        name = self._file_of(fullname)
        if name is None:
            raise ImportError(f"no module {fullname}", name=fullname)
        return compile(self.tree.sources[name], str(self.tree.folder / name), "exec", dont_inherit=True)


_import_lock = threading.Lock()


def import_plugin_module(tree: PluginTree, manifest: PluginManifest) -> ModuleType:
    """Run a plugin's entry module under a unique name and return it.

    Raises
    ------
    PluginLoadError
        The module is absent, imports what it may not, or fails while it is imported.
    """
    if f"{manifest.entry_module}.py" not in tree.sources:
        raise PluginLoadError(
            f'The plugin "{manifest.id}" names the module {manifest.entry_module} as its entry, '
            f"but its folder holds no {manifest.entry_module}.py."
        )
    forbidden = find_forbidden_imports(tree, manifest)
    if forbidden:
        raise PluginLoadError(f'The plugin "{manifest.id}" is not loaded: {forbidden[0]}.')
    root = f"puncta_plugin_{manifest.id.replace('-', '_')}_{tree.sha256[:8]}_{next(_numbers)}"
    finder = _SnapshotFinder(root, manifest.entry_module, tree)
    with _import_lock:
        # The finder stays: a plugin may import its own files late, inside a function.
        sys.meta_path.insert(0, finder)
        try:
            return importlib.import_module(root)
        except Exception as error:
            unload_plugin_module(root)
            raise PluginLoadError(f'The plugin "{manifest.id}" fails while it is imported: {_words(error)}.') from error


def unload_plugin_module(root: str) -> None:
    """Forget a plugin's modules and its finder."""
    sys.meta_path[:] = [f for f in sys.meta_path if not (isinstance(f, _SnapshotFinder) and f.root == root)]
    for name in [n for n in list(sys.modules) if n == root or n.startswith(f"{root}.")]:
        sys.modules.pop(name, None)


def create_plugin(tree: PluginTree, manifest: PluginManifest, context: PluginContext) -> Plugin:
    """Import a plugin and let it create itself.

    Raises
    ------
    PluginLoadError
        It cannot be imported, its entry is absent or fails, or what it returns is no plugin.
    UserError
        What the plugin asks for (a model) is not there; passed on as it is.
    """
    module = import_plugin_module(tree, manifest)
    create = getattr(module, manifest.entry_function, None)
    if not callable(create):
        unload_plugin_module(module.__name__)
        raise PluginLoadError(
            f'The plugin "{manifest.id}" has no function {manifest.entry_function} in {manifest.entry_module}.py.'
        )
    try:
        plugin = create(context)
    except UserError:
        unload_plugin_module(module.__name__)
        raise
    except Exception as error:
        unload_plugin_module(module.__name__)
        raise PluginLoadError(f'The plugin "{manifest.id}" fails while it is created: {_words(error)}.') from error
    missing = [name for name in ("reset", "step", "close") if not callable(getattr(plugin, name, None))]
    if missing:
        unload_plugin_module(module.__name__)
        raise PluginLoadError(
            f'The plugin "{manifest.id}" returns an object without {" and ".join(missing)}; '
            "a plugin needs reset, step and close."
        )
    # A plugin is created anew for each stream; its module goes when it goes. An object with slots but no __weakref__
    # cannot be watched and keeps its module.
    with contextlib.suppress(TypeError):
        weakref.finalize(plugin, unload_plugin_module, module.__name__)
    return plugin


def _words(error: BaseException) -> str:
    text = " ".join(str(error).split()).rstrip(".")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
