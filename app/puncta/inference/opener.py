"""Opens models for plugins: a plugin gets its sessions from its context and nowhere else."""

from __future__ import annotations

from puncta.inference.registry import ModelCard, Registry
from puncta.inference.session import LoadedModel, open_session
from puncta.inference.tuning import Tuning, tuning_for
from puncta.sdk.context import SessionOpener


def choose_card(
    registry: Registry, plugin_id: str, model_id: str | None = None, manifest_model: str | None = None
) -> ModelCard:
    """Return the model that a plugin uses: the one named, else the promoted one, else the manifest's.

    Raises
    ------
    UserError
        There is no such model.
    """
    return registry.find(model_id) if model_id else registry.default_for(plugin_id, manifest_model)


def opener_for(
    plugin_id: str,
    model_override: str | None = None,
    tuning: Tuning | None = None,
    registry: Registry | None = None,
    manifest_model: str | None = None,
) -> SessionOpener:
    """Return what a plugin's context offers as ``open_model``.

    Parameters
    ----------
    model_override : str or None
        The model that ``open_model()`` opens, where the plugin names none itself: what the user named for this run.
        None is the promoted model, else the manifest's.
    tuning : Tuning or None
        None takes what was measured on this machine for the model, or careful defaults; it never measures here.
    registry : Registry or None
        None reads the registries when the first model is asked for.
    manifest_model : str or None
        The model in the plugin's manifest.
    """

    def open_model(model_id: str | None = None) -> LoadedModel:
        known = registry if registry is not None else Registry.load()
        card = choose_card(known, plugin_id, model_id or model_override, manifest_model)
        return open_session(card, tuning if tuning is not None else tuning_for(card))

    return open_model
