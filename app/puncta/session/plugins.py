"""From found plugins to hosted ones: the registry's models, the measured settings and the manifests come together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from puncta.core.errors import UserError
from puncta.inference.opener import opener_for
from puncta.inference.registry import Registry
from puncta.inference.session import Tuning
from puncta.pipeline.consent import is_granted
from puncta.pipeline.discover import Discovery, FoundPlugin, discover, load
from puncta.pipeline.host import HostedPlugin
from puncta.sdk.context import ModelSession
from puncta.sdk.plugin import Plugin


def hosted_plugins(
    plugin_ids: Sequence[str] | None,
    *,
    models: Mapping[str, str] | None = None,
    tuning: Tuning | None = None,
    discovery: Discovery | None = None,
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

    Raises
    ------
    UserError
        A plugin or a model is not there, or plugins wait for each other in a circle.
    """
    discovery = discovery or discover()
    registry = Registry.load()
    if plugin_ids is None:
        plugin_ids = [f.id for f in discovery.found if is_granted(f) and not f.manifest.reference]
    return tuple(
        _hosted(found, registry, (models or {}).get(found.id), tuning) for found in discovery.select(plugin_ids)
    )


def models_by_plugin(model_ids: Sequence[str], registry: Registry | None = None) -> dict[str, str]:
    """Sort `--model ID` arguments by the plugin each model belongs to.

    Raises
    ------
    UserError
        No such model, or two models of one plugin.
    """
    registry = registry or Registry.load()
    chosen: dict[str, str] = {}
    for model_id in model_ids:
        card = registry.find(model_id)
        if card.plugin in chosen:
            raise UserError(
                f"Two models are named for the plugin {card.plugin} ({chosen[card.plugin]} and {model_id}); name one."
            )
        chosen[card.plugin] = model_id
    return chosen


def _hosted(found: FoundPlugin, registry: Registry, model_id: str | None, tuning: Tuning | None) -> HostedPlugin:
    manifest = found.manifest
    opened: list[ModelSession] = []
    models = registry.with_plugin_models(found.folder)
    opener = opener_for(found.id, model_override=model_id or manifest.model, registry=models, tuning=tuning)

    def open_model(model_id: str | None = None) -> ModelSession:
        session = opener(model_id)
        opened.append(session)
        return session

    def create() -> Plugin:
        opened.clear()
        return load(found, open_model)

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
    )
