"""A tip network on one stream: motion channels in, maps out, and its memory of older frames kept in between."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from puncta.imaging.motion_history import CHANNELS, MotionHistory
from puncta.sdk.context import ModelSession

STATE = "state_"
"""Inputs whose names begin so hold the memory; each comes back as the output of that name and `NEXT`."""
NEXT = "_next"


@dataclass(frozen=True, slots=True, eq=False)
class TipAnswer:
    """What the network said about one distinct frame.

    Attributes
    ----------
    maps : ndarray, shape (6, h, w)
        Tip (logit), offset x and y [cells], direction x and y to the entry, shaft (logit).
    presence : float
        Logit of "a tip is in the picture", not calibrated.
    strangeness : float or None
        How far the picture lies from those of training; None where the graph does not tell.
    """

    maps: NDArray[np.floating]
    presence: float
    strangeness: float | None = None


class TipNetwork:
    """Feeds a network with one stream's frames.

    Parameters
    ----------
    model : ModelSession
        Its spec names `size`, `channels` and `stride`.

    Attributes
    ----------
    size : int
        Side of the square pictures it takes [px].
    stride : int
        Input pixels per cell of its maps.

    Raises
    ------
    ValueError
        The model wants other channels than the motion history gives, or has inputs nobody can fill.
    """

    def __init__(self, model: ModelSession) -> None:
        spec = model.spec
        self.size = int(spec["size"][0])
        self.stride = int(spec.get("stride", 4))
        if int(spec["channels"]) != len(CHANNELS):
            raise ValueError(f"the model {model.identity} wants {spec['channels']} channels, not {len(CHANNELS)}")
        fed = [i.name for i in model.inputs if not i.name.startswith(STATE)]
        if len(fed) != 1:
            raise ValueError(f"the model {model.identity} wants {', '.join(fed)}; one picture input is known")
        self._model = model
        self._input = fed[0]
        self._shapes = {i.name: i.shape for i in model.inputs if i.name.startswith(STATE)}
        there = {o.name for o in model.outputs}
        if missing := [name + NEXT for name in self._shapes if name + NEXT not in there]:
            raise ValueError(f"the model {model.identity} takes a memory and does not give {', '.join(missing)} back")
        self._strange = "strangeness" in there
        self._history = MotionHistory(self.size)
        self._free: list[NDArray[np.float32]] = []
        self._states: dict[str, NDArray[np.float32]] = {}
        self.clear()

    def clear(self) -> None:
        """Forget all frames."""
        self.clear_history()
        self.clear_memory()

    def clear_history(self) -> None:
        """Forget the frames that `prepare` has seen."""
        self._history.clear()

    def clear_memory(self) -> None:
        """Forget what `infer` has seen; an empty memory is all zero."""
        self._states = {name: np.zeros(shape, np.float32) for name, shape in self._shapes.items()}

    def step(self, grey: NDArray[np.uint8]) -> TipAnswer | None:
        """Run on the next frame; None where it only repeats the one before, which moves neither history nor memory.

        Parameters
        ----------
        grey : ndarray of uint8, shape (size, size)
        """
        channels = self.prepare(grey)
        return None if channels is None else self.infer(channels)

    def prepare(self, grey: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        """Do the part of `step` before the network; another thread may meanwhile `infer` on earlier frames.

        Returns
        -------
        ndarray of float32, shape (1, channels, size, size), or None
            For `infer`, once.
        """
        if not self._history.push(grey):
            return None
        # Fresh arrays of this size cost page faults, so those that the network is done with come back.
        channels = self._free.pop() if self._free else np.empty((1, len(CHANNELS), self.size, self.size), np.float32)
        self._history.channels(channels[0])
        return channels

    def infer(self, channels: NDArray[np.float32]) -> TipAnswer:
        """Run the network on what `prepare` returned."""
        outputs = self._model.run({self._input: channels, **self._states})
        self._free.append(channels)
        self._states = {name: outputs[name + NEXT] for name in self._shapes}
        strangeness = float(outputs["strangeness"].reshape(-1)[0]) if self._strange else None
        return TipAnswer(outputs["maps"][0], float(outputs["presence"].reshape(-1)[0]), strangeness)
