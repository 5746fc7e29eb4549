"""A tracking network on one stream: motion channels and the last mask in, the next mask out, memory kept in between."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from puncta.imaging.motion_history import CHANNELS, MotionHistory
from puncta.sdk.context import ModelSession

CHANNELS_INPUT, PRIOR_INPUT = "channels", "prior"
STATE, NEXT = "state_", "_next"
"""Inputs whose names begin so hold the memory; each comes back as the output of that name and `NEXT`."""


@dataclass(frozen=True, slots=True, eq=False)
class MaskAnswer:
    """What the network said about one distinct frame.

    Attributes
    ----------
    logits : ndarray of float32, shape (S, S)
        Log odds of "needle" at each pixel.
    presence : float
        Log odds of "a needle lies in the plane".
    strangeness : float or None
        How far the picture lies from those of training; None where the graph does not tell.
    """

    logits: NDArray[np.float32]
    presence: float
    strangeness: float | None = None


class MaskNetwork:
    """Feeds a network with one stream's frames.

    Parameters
    ----------
    model : ModelSession
        Its spec names `size` and `channels`; its graph takes `channels` and `prior`, and may hold states of fixed
        size, so that its memory is bounded by a number.

    Attributes
    ----------
    size : int
        Side of the square pictures it takes [px].

    Raises
    ------
    ValueError
        The graph wants other inputs than can be filled, or does not give its memory back.
    """

    def __init__(self, model: ModelSession) -> None:
        spec = model.spec
        self.size = int(spec["size"][0])
        if int(spec.get("channels", len(CHANNELS))) != len(CHANNELS):
            raise ValueError(f"the model {model.identity} wants {spec['channels']} channels, not {len(CHANNELS)}")
        fed = {i.name for i in model.inputs if not i.name.startswith(STATE)}
        if fed != {CHANNELS_INPUT, PRIOR_INPUT}:
            wanted = ", ".join(sorted(fed))
            raise ValueError(f"the model {model.identity} wants {wanted}; a tracker has channels and prior")
        self._shapes = {i.name: i.shape for i in model.inputs if i.name.startswith(STATE)}
        if free := [name for name, shape in self._shapes.items() if min(shape, default=1) < 1]:
            raise ValueError(f"the memory {', '.join(free)} of the model {model.identity} has no fixed size")
        there = {o.name for o in model.outputs}
        wanted_back = {"mask", "presence", *(name + NEXT for name in self._shapes)}
        if missing := sorted(wanted_back - there):
            raise ValueError(f"the model {model.identity} does not give {', '.join(missing)}")
        self._model = model
        self._strange = "strangeness" in there
        self._history = MotionHistory(self.size)
        self._channels = np.empty((1, len(CHANNELS), self.size, self.size), np.float32)
        self.states: dict[str, NDArray[np.float32]] = {}
        self.forget()

    def clear(self) -> None:
        """Forget all frames and the memory."""
        self._history.clear()
        self.forget()

    def forget(self) -> None:
        """Empty the memory; an empty one is all zero. The last pictures stay."""
        self.states = {name: np.zeros(shape, np.float32) for name, shape in self._shapes.items()}

    def push(self, grey: NDArray[np.uint8]) -> bool:
        """Take the next frame; False where it only repeats the one before.

        Parameters
        ----------
        grey : ndarray of uint8, shape (size, size)
        """
        return self._history.push(grey)

    def step(self, prior: NDArray[np.float32]) -> MaskAnswer:
        """Run on the newest frame.

        Parameters
        ----------
        prior : ndarray of float32, shape (size, size)
            0..1: the last frame's mask, a prompt, or zeros.
        """
        self._history.channels(self._channels[0])
        outputs = self._model.run({CHANNELS_INPUT: self._channels, PRIOR_INPUT: prior[None, None], **self.states})
        self.states = {name: outputs[name + NEXT] for name in self._shapes}
        strangeness = float(outputs["strangeness"].reshape(-1)[0]) if self._strange else None
        logits = np.asarray(outputs["mask"][0, 0], dtype=np.float32)
        return MaskAnswer(logits, float(outputs["presence"].reshape(-1)[0]), strangeness)
