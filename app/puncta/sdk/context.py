"""What the host hands to a plugin when it creates it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Name and shape of a model's input or output; -1 stands for a free dimension."""

    name: str
    shape: tuple[int, ...]


class ModelSession(Protocol):
    """A loaded, verified model. `run` maps input names to arrays and returns output names to arrays."""

    @property
    def identity(self) -> str:
        """Identity and version, "tip-ut 0.1"."""
        ...

    @property
    def sha256(self) -> str:
        """Hash of the file that was loaded."""
        ...

    @property
    def spec(self) -> Mapping[str, Any]:
        """The registry's `input` table of the model: size, channels, normalisation, history."""
        ...

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """Inputs of the graph."""
        ...

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """Outputs of the graph."""
        ...

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        """Run once.

        Raises
        ------
        ValueError
            A feed's name or shape does not fit the graph.
        """
        ...


class SessionOpener(Protocol):
    """Opens a model by its id in the registry, or the plugin's default for None."""

    def __call__(self, model_id: str | None = None) -> ModelSession:
        """Return a verified session.

        Raises
        ------
        UserError
            No such model, or its file does not match its hash.
        """
        ...


@dataclass(frozen=True, slots=True)
class PluginContext:
    """The host's services for one plugin.

    Attributes
    ----------
    folder : Path
        The plugin's own folder, read-only by custom.
    open_model : SessionOpener
    options : mapping
        The manifest's `options` with the user's changes.
    log : logging.Logger
    """

    plugin_id: str
    folder: Path
    open_model: SessionOpener
    options: Mapping[str, Any] = field(default_factory=dict)
    log: logging.Logger = field(default_factory=lambda: logging.getLogger("puncta.plugin"))
