"""Plugins are data before they are code: found by manifest, put in order, and loaded only when asked and allowed."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any, Literal

from puncta import paths
from puncta.core.errors import UserError
from puncta.pipeline import consent
from puncta.sdk.context import PluginContext, SessionOpener
from puncta.sdk.loading import PluginLoadError, create_plugin, read_tree
from puncta.sdk.manifest import MANIFEST_NAME, PluginManifest, read_manifest
from puncta.sdk.plugin import Plugin

__all__ = ["Discovery", "FoundPlugin", "PluginLoadError", "dependency_order", "discover", "load"]

ENTRY_POINT_GROUP = "puncta.plugins"

Origin = Literal["shipped", "user", "entry point"]


@dataclass(frozen=True, slots=True)
class FoundPlugin:
    """A plugin that is there, not loaded yet.

    Attributes
    ----------
    manifest : PluginManifest
    folder : Path
    origin : "shipped", "user" or "entry point"
    tree_sha256 : str
        Over the paths and bytes of its files; consent is bound to it.
    """

    manifest: PluginManifest
    folder: Path
    origin: Origin
    tree_sha256: str

    @property
    def id(self) -> str:
        """The manifest's id."""
        return self.manifest.id


@dataclass(frozen=True, slots=True)
class Discovery:
    """All plugins that are there, by id, and one sentence for each folder that does not hold."""

    found: tuple[FoundPlugin, ...]
    problems: tuple[str, ...] = ()

    def get(self, plugin_id: str) -> FoundPlugin | None:
        """Return one plugin, or None."""
        return next((f for f in self.found if f.id == plugin_id), None)

    def select(self, plugin_ids: Iterable[str]) -> tuple[FoundPlugin, ...]:
        """Return the plugins of these ids, each once, in dependency order.

        Raises
        ------
        UserError
            One is not there.
        """
        chosen: list[FoundPlugin] = []
        for plugin_id in dict.fromkeys(plugin_ids):
            found = self.get(plugin_id)
            if found is None:
                there = ", ".join(f.id for f in self.found) or "none"
                left_out = f" Left out: {' '.join(self.problems)}" if self.problems else ""
                raise UserError(f'There is no plugin "{plugin_id}"; there are: {there}.{left_out}')
            chosen.append(found)
        return dependency_order(chosen)


def discover(shipped: Path | None = None, user: Path | None = None, entry_points: bool = True) -> Discovery:
    """Find plugins by their manifests; imports none of their code.

    Where two plugins have one id the shipped one wins, then the user's, then the one of an entry point.

    Parameters
    ----------
    shipped, user : Path or None
        Folders that hold plugin folders; None takes the program's and the user's. Names that begin with "_" or "."
        are passed over.
    entry_points : bool
        Look at installed packages of the entry-point group ``puncta.plugins`` too.
    """
    found: dict[str, FoundPlugin] = {}
    problems: list[str] = []
    for folder, origin in _candidates(shipped, user, entry_points, problems):
        try:
            manifest = read_manifest(folder)
            plugin = FoundPlugin(manifest, folder, origin, read_tree(folder).sha256)
        except UserError as error:
            problems.append(str(error))
            continue
        first = found.setdefault(manifest.id, plugin)
        if first is not plugin:
            problems.append(
                f'Two plugins have the id "{manifest.id}"; the one in {first.folder} ({first.origin}) is taken, '
                f"the one in {folder} ({origin}) is left out."
            )
    return Discovery(tuple(found[i] for i in sorted(found)), tuple(problems))


def _candidates(
    shipped: Path | None, user: Path | None, entry_points: bool, problems: list[str]
) -> Iterator[tuple[Path, Origin]]:
    places: list[tuple[Path, Origin]] = [
        (shipped if shipped is not None else paths.plugins_dir(), "shipped"),
        (user if user is not None else paths.user_plugins_dir(), "user"),
    ]
    for place, origin in places:
        try:
            entries = sorted(place.iterdir(), key=lambda p: p.name) if place.is_dir() else []
        except OSError as error:
            problems.append(f"The plugin folder {place} cannot be read: {error.strerror or error}.")
            continue
        yield from ((e, origin) for e in entries if e.is_dir() and not e.name.startswith(("_", ".")))
    if not entry_points:
        return
    for point in sorted(importlib.metadata.entry_points(group=ENTRY_POINT_GROUP), key=lambda p: (p.name, p.value)):
        folder = _package_folder(point.value.partition(":")[0].strip())
        if folder is None or not (folder / MANIFEST_NAME).is_file():
            problems.append(
                f'The entry point "{point.name}" names the package {point.value}, which holds no {MANIFEST_NAME}.'
            )
            continue
        yield folder, "entry point"


def _package_folder(name: str) -> Path | None:
    """Return the folder of an installed package without importing it or its parents."""
    top, *rest = name.split(".")
    try:
        spec = importlib.util.find_spec(top)
        full = top
        for part in rest:
            # find_spec("a.b") would import a, so the search path is walked by hand.
            if spec is None or spec.submodule_search_locations is None:
                return None
            full = f"{full}.{part}"
            spec = PathFinder.find_spec(full, list(spec.submodule_search_locations))
    except (ImportError, ValueError, AttributeError):
        return None
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations)))


def dependency_order(found: Sequence[FoundPlugin]) -> tuple[FoundPlugin, ...]:
    """Sort plugins so that each comes behind those named in its ``after``; otherwise the given order stays.

    An upstream plugin that is not among them is no error: the plugin then sees no output of it.

    Raises
    ------
    UserError
        Plugins wait for each other in a circle.
    """
    by_id = {f.id: f for f in found}
    ordered: dict[str, FoundPlugin] = {}

    def visit(plugin_id: str, waiting: tuple[str, ...]) -> None:
        if plugin_id in ordered:
            return
        if plugin_id in waiting:
            circle = [*waiting[waiting.index(plugin_id) :], plugin_id]
            raise UserError(
                f"These plugins wait for each other in a circle: {' after '.join(circle)}; switch one of them off."
            )
        for upstream in by_id[plugin_id].manifest.after:
            if upstream in by_id:
                visit(upstream, (*waiting, plugin_id))
        ordered[plugin_id] = by_id[plugin_id]

    for plugin_id in by_id:
        visit(plugin_id, ())
    return tuple(ordered.values())


def load(
    found: FoundPlugin,
    open_model: SessionOpener,
    options: Mapping[str, Any] | None = None,
    log: logging.Logger | None = None,
) -> Plugin:
    """Load a plugin and let it create itself.

    Parameters
    ----------
    open_model : callable
        See ``puncta.inference.opener.opener_for``.
    options : mapping or None
        The user's changes to the manifest's options.

    Raises
    ------
    PluginLoadError
        It lacks the user's consent, changed since it was found, or fails while it is imported or created.
    UserError
        An option does not fit, or a model that it asks for is not there or was changed.
    """
    if not consent.is_granted(found):
        changed = "changed since it was allowed" if consent.is_outdated(found) else "is not allowed yet"
        raise PluginLoadError(
            f'The plugin "{found.id}" did not come with Puncta and {changed}; '
            f"look at {found.folder}, then allow it with `puncta plugins allow {found.id}`."
        )
    tree = read_tree(found.folder)
    if tree.sha256 != found.tree_sha256:
        raise PluginLoadError(f'The files of the plugin "{found.id}" changed while Puncta runs; start Puncta again.')
    context = PluginContext(
        plugin_id=found.id,
        folder=found.folder,
        open_model=open_model,
        options=found.manifest.merge_options(options),
        log=log or logging.getLogger(f"puncta.plugin.{found.id}"),
    )
    return create_plugin(tree, found.manifest, context)
