"""From found plugins to hosted ones: the registry's models, the measured settings and the manifests come together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from puncta.core.errors import UserError
from puncta.inference.opener import opener_for
from puncta.inference.registry import ModelCard, Registry
from puncta.inference.session import Tuning
from puncta.pipeline.consent import is_granted
from puncta.pipeline.discover import Discovery, FoundPlugin, discover, load
from puncta.pipeline.host import HostedPlugin
from puncta.pipeline.options import PluginOptions
from puncta.sdk.context import ModelSession
from puncta.sdk.plugin import Plugin


def hosted_plugins(
    plugin_ids: Sequence[str] | None,
    *,
    models: Mapping[str, str] | None = None,
    tuning: Tuning | None = None,
    discovery: Discovery | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    lenient: bool = False,
) -> tuple[HostedPlugin, ...]:
    """Return the named plugins in dependency order, ready for a host; none of their code has run yet.

    Parameters
    ----------
    plugin_ids : sequence of str or None
        None takes every plugin that is allowed to run and is no mere reference.
    models : mapping of plugin id to model id
        Models to use instead of the plugins' default ones.
    tuning : Tuning or None
        Session settings for every model; None takes what was measured on this machine, or careful defaults.
    options : mapping of plugin id to mapping of option to value
        Changes to the plugins' options.
    lenient : bool
        An option that does not fit is left out and logged: it was kept from an older version.

    Raises
    ------
    UserError
        A plugin or a model is not there, an option does not fit, or plugins wait for each other in a circle.
    """
    discovery = discovery or discover()
    registry = Registry.load()
    if plugin_ids is None:
        plugin_ids = [f.id for f in discovery.found if is_granted(f) and not f.manifest.reference]
    return tuple(
        _hosted(
            found, registry, (models or {}).get(found.id), tuning,
            PluginOptions(found.manifest, (options or {}).get(found.id), lenient=lenient),
        )
        for found in discovery.select(plugin_ids)
    )


def options_by_plugin(
    words: Sequence[str], plugin_ids: Sequence[str], discovery: Discovery | None = None
) -> dict[str, dict[str, Any]]:
    """Sort `--option plugin.name=value` arguments by plugin, each value of its option's kind.

    Raises
    ------
    UserError
        Not of that form, a plugin that does not run, no such option, or a value that does not fit.
    """
    found = {f.id: f.manifest for f in (discovery or discover()).select(plugin_ids)}
    chosen: dict[str, dict[str, Any]] = {}
    for text in words:
        place, equals, value = text.partition("=")
        plugin_id, dot, name = place.strip().partition(".")
        if not (equals and dot and plugin_id and name):
            raise UserError(f"'{text}' is not an option; write plugin.name=value, for example infant-lp.weight_kg=4.")
        if plugin_id not in found:
            near = get_close_matches(plugin_id, found, 1, 0.5)
            there = f"did you mean {near[0]}?" if near else f"those that run are {', '.join(found)}."
            raise UserError(f"'{text}' is for a plugin that does not run here; {there}")
        values = chosen.setdefault(plugin_id, {})
        values[name] = found[plugin_id].option_from_text(name, value.strip())
    return chosen


def models_by_plugin(
    model_ids: Sequence[str], plugin_ids: Sequence[str] | None = None, registry: Registry | None = None
) -> dict[str, str]:
    """Sort `--model ID` arguments by the plugin each model belongs to.

    Parameters
    ----------
    plugin_ids : sequence of str or None
        The plugins that run; None where any may be meant.

    Raises
    ------
    UserError
        No such model, two models of one plugin, or a model of a plugin that does not run.
    """
    registry = registry or all_models()
    running = None if plugin_ids is None else {found.id for found in discover().select(plugin_ids)}
    chosen: dict[str, str] = {}
    for model_id in model_ids:
        card = registry.find(model_id)
        if card.plugin in chosen:
            raise UserError(
                f"Two models are named for the plugin {card.plugin} ({chosen[card.plugin]} and {model_id}); name one."
            )
        if running is not None and card.plugin not in running:
            raise UserError(
                f"The model {model_id} is for the plugin {card.plugin}, which does not run here; add --plugins "
                f"{','.join([*(plugin_ids or ()), card.plugin])}."
            )
        chosen[card.plugin] = model_id
    return chosen


def all_models(discovery: Discovery | None = None) -> Registry:
    """Return every registered model, also those that plugins bring in their folders, and which ones are in use."""
    registry, plugins = Registry.load(), (discovery or discover()).found
    for found in plugins:
        registry = registry.with_plugin_models(found.folder)
    return registry.with_manifest_models({f.id: f.manifest.model for f in plugins if f.manifest.model})


def promoted_here(identities: Mapping[str, str], registry: Registry | None = None) -> frozenset[str]:
    """Return the plugins, of a mapping of plugin to model, whose model is in use because it was promoted."""
    registry = registry or all_models()
    newest = {plugin: kept[-1] for plugin, kept in registry.promotions.items() if kept}
    return frozenset(p for p, model in identities.items() if p in newest and newest[p].model == model)


def try_model(card: ModelCard, discovery: Discovery | None = None) -> None:
    """Start a model's plugin with it once and close it again, so that nothing is promoted that cannot run.

    Raises
    ------
    UserError
        The plugin is not there or may not run, or it cannot start with the model.
    """
    discovery = discovery or discover()
    if discovery.get(card.plugin) is None:
        raise UserError(f'The model "{card.identity}" is for the plugin "{card.plugin}", which is not here.')
    try:
        models = {card.plugin: card.identity}
        plugin = hosted_plugins([card.plugin], models=models, tuning=Tuning(), discovery=discovery)[0].create()
    except UserError as error:
        raise UserError(f'The plugin "{card.plugin}" cannot start with the model "{card.identity}": {error}') from error
    plugin.close()


def _hosted(
    found: FoundPlugin, registry: Registry, model_id: str | None, tuning: Tuning | None, options: PluginOptions
) -> HostedPlugin:
    manifest = found.manifest
    opened: list[ModelSession] = []
    models = registry.with_plugin_models(found.folder)
    opener = opener_for(found.id, model_id, tuning, models, manifest.model)

    def open_model(model_id: str | None = None) -> ModelSession:
        session = opener(model_id)
        opened.append(session)
        return session

    def create() -> Plugin:
        opened.clear()
        return load(found, open_model, options.values())

    def identity() -> tuple[str, str]:
        return (opened[0].identity, opened[0].sha256) if opened else ("", "")

    return HostedPlugin(
        plugin_id=found.id,
        title=manifest.title,
        create=create,
        identity=identity,
        after=tuple(manifest.after),
        every=manifest.every,
        budget_ms=manifest.budget_ms,
        history_frames=manifest.history_frames,
        prompts=manifest.prompts,
        options=options,
        emits=tuple(sorted({entry.type for entry in manifest.results})),
        rebuild=lambda: _hosted(found, Registry.load(), None, tuning, options),
    )
