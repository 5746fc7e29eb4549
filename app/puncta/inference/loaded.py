"""What every runtime's session has in common: its facts, its settings, and the check of what it is fed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from puncta.inference.registry import ModelCard
from puncta.sdk.context import TensorSpec


@dataclass(frozen=True, slots=True)
class Tuning:
    """How a session computes. Spinning is always off: it would starve the window's timer.

    Attributes
    ----------
    threads : int
        Threads inside an operator.
    provider : str
        "cpu" or "openvino".
    precision : str or None
        Which of the model's files; None is the reference file of its card.
    repeatable : bool
        Ask the runtime for kernels whose results repeat to the last bit.
    """

    threads: int = 1
    provider: str = "cpu"
    precision: str | None = None
    repeatable: bool = False

    @classmethod
    def deterministic(cls) -> Tuning:
        """Settings of `run` and `evaluate`: one thread, CPU, the card's precision; results repeat byte for byte."""
        return cls(threads=1, repeatable=True)

    def words(self) -> str:
        """Say it in a few words, "cpu, 2 threads, fp32"."""
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        return f"{self.provider}, {threads}, {self.precision or 'reference file'}"


class LoadedModel(ABC):
    """A verified model, ready to run; implements ``puncta.sdk.context.ModelSession``. Used by one thread at a time."""

    def __init__(
        self,
        card: ModelCard,
        sha256: str,
        tuning: Tuning,
        inputs: Mapping[TensorSpec, type[np.generic]],
        outputs: tuple[TensorSpec, ...],
    ) -> None:
        self._card = card
        self._sha256 = sha256
        self.tuning = tuning
        self._inputs = tuple(inputs)
        self._outputs = outputs
        self._dtypes = {spec.name: dtype for spec, dtype in inputs.items()}

    @abstractmethod
    def _compute(self, feeds: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """Run once on checked, contiguous feeds; return the outputs in the order of ``outputs``."""

    @property
    def identity(self) -> str:
        """Identity and version, "tip-ut 0.1"."""
        return self._card.identity

    @property
    def sha256(self) -> str:
        """Hash of the file that was loaded."""
        return self._sha256

    @property
    def spec(self) -> Mapping[str, Any]:
        """The registry's `input` table of the model."""
        return self._card.input

    @property
    def card(self) -> ModelCard:
        """All that the registry says about the model."""
        return self._card

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """Inputs of the graph."""
        return self._inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """Outputs of the graph."""
        return self._outputs

    def dtype_of(self, input_name: str) -> type[np.generic]:
        """Element type of an input of the graph."""
        return self._dtypes[input_name]

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        """Run once; outputs of floating type come as float32.

        Raises
        ------
        ValueError
            A feed's name, type or shape does not fit the graph.
        """
        self._check(feeds)
        values = self._compute({name: np.ascontiguousarray(value) for name, value in feeds.items()})
        return {
            spec.name: value.astype(np.float32, copy=False) if value.dtype.kind == "f" else value
            for spec, value in zip(self._outputs, values)
        }

    def _check(self, feeds: Mapping[str, NDArray[Any]]) -> None:
        wanted = {i.name for i in self._inputs}
        if set(feeds) != wanted:
            given = ", ".join(sorted(feeds)) or "nothing"
            raise ValueError(f"the model {self.identity} takes {', '.join(sorted(wanted))}, not {given}")
        for spec in self._inputs:
            value = feeds[spec.name]
            dtype = self._dtypes[spec.name]
            if not isinstance(value, np.ndarray) or value.dtype != dtype:
                kind = value.dtype if isinstance(value, np.ndarray) else type(value).__name__
                raise ValueError(f"{spec.name} of {self.identity} must be an array of {np.dtype(dtype)}, not {kind}")
            fits = len(value.shape) == len(spec.shape) and all(w in {-1, h} for w, h in zip(spec.shape, value.shape))
            if not fits:
                raise ValueError(f"{spec.name} of {self.identity} must have shape {spec.shape}, not {value.shape}")
