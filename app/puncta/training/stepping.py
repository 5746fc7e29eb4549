"""Feeds an exported graph frame by frame and carries its memory from one frame to the next."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from puncta.imaging.tip_network import NEXT, STATE
from puncta.inference.loaded import LoadedModel

__all__ = ["NEXT", "STATE", "SteppedGraph"]


class SteppedGraph:
    """A graph whose inputs ``state_0``, ``state_1``, .. take what ``state_0_next``, .. gave on the frame before.

    A graph without such inputs is stepped just the same.

    Parameters
    ----------
    session : LoadedModel
        Of its inputs that are no states, the first takes the frame.
    """

    def __init__(self, session: LoadedModel) -> None:
        self.session = session
        self.input = next(spec.name for spec in session.inputs if not spec.name.startswith(STATE))
        self._zeros = {
            spec.name: np.zeros(spec.shape, np.float32) for spec in session.inputs if spec.name.startswith(STATE)
        }
        self._states: dict[str, NDArray[np.float32]] = dict(self._zeros)

    def reset(self) -> None:
        """Forget all frames."""
        self._states = dict(self._zeros)

    def feeds(self, frame: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        """Everything the graph takes for a frame, (1, C, S, S), without running it."""
        return {self.input: frame, **self._states}

    def step(self, frame: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Run one frame, (1, C, S, S); returns the outputs that are no states."""
        out = self.session.run(self.feeds(frame))
        self._states = {name: out.pop(name + NEXT) for name in self._zeros}
        return out
