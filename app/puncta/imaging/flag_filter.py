"""Makes steady flags of a stream of logits: yes, no, or "cannot tell", without flicker and without much delay.

A flag is read off the mean of the last `FlagFilterSettings.window_s` of calibrated logits. The first frame is judged by
the thresholds alone, as a still is. From then on a margin lies on both sides (hysteresis): what is said is taken back
only where the mean has gone back over its threshold by `FlagFilterSettings.give`, and what is not yet said is said only
where the mean lies beyond its threshold by `FlagFilterSettings.enter`. A flag that hovers at a threshold so stays what
it was, said or not. The mean bounds the delay by its own length: after a lasting change to a level beyond threshold and
margin, no older frame is left in the mean once the window is over, so it is shown at most ``window_s`` later, at any
frame rate. Time is that of the frames.

Whether a picture is unfamiliar has margins too, and a longer memory: the first picture is judged by the limit alone.
One that was familiar stays so until its strangeness, meant over `FlagFilterSettings.memory_s`, lies beyond the limit by
`FlagFilterSettings.strangeness_enter`, or over the short window beyond `FlagFilterSettings.strangeness_sudden`, which
no picture it is made for reaches. One that was unfamiliar becomes familiar as soon as the short mean lies clearly below
the limit. Who sees that another picture has come altogether calls `FlagFilter.clear`, and it is judged as the first.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

_FILTERING = (
    "window_s", "give", "enter", "most", "strangeness_give", "strangeness_enter", "memory_s", "strangeness_sudden",
)


class FlagState(StrEnum):
    """What is said of a flag."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "cannot tell"


@dataclass(frozen=True, slots=True)
class FlagFilterSettings:
    """When a flag is said.

    Attributes
    ----------
    names : tuple of str
    yes, no : tuple of float
        Calibrated logits of each flag from which on it is said to be there, and up to which it is said not to be;
        between the two nobody can tell. ``no`` lies below ``yes``, or both are one where a flag is always decided.
    window_s : float
        Length of the mean [s], and the most that is added to the delay; 0 takes every frame alone.
    give : float
        How far the mean must go back over a threshold before what was said is taken back.
    enter : float
        How far the mean must lie beyond a threshold before what was not said is said; the first frame needs no margin.
    most : float
        Logits count no further than this: one frame must not outweigh the rest of the window.
    strangeness_most : float
        Strangeness above which a picture is unfamiliar; infinite where none is measured.
    strangeness_give, strangeness_enter : float
        As ``give`` and ``enter``, for the strangeness: how far it must go back below the limit until an unfamiliar
        picture is familiar again, and beyond it until a familiar one is unfamiliar.
    memory_s : float
        Length of the mean by which a familiar picture becomes unfamiliar [s]; not shorter than ``window_s`` counts.
    strangeness_sudden : float
        Strangeness above which the mean over ``window_s`` is enough.
    """

    names: tuple[str, ...]
    yes: tuple[float, ...]
    no: tuple[float, ...]
    window_s: float = 0.2
    give: float = 1.0
    enter: float = 0.0
    most: float = 6.0
    strangeness_most: float = math.inf
    strangeness_give: float = 0.1
    strangeness_enter: float = 0.0
    memory_s: float = 0.0
    strangeness_sudden: float = math.inf

    def __post_init__(self) -> None:
        if not len(self.names) == len(self.yes) == len(self.no):
            raise ValueError("there must be one threshold for yes and one for no of every flag")
        if any(low > high for low, high in zip(self.no, self.yes)):
            raise ValueError("a flag's threshold for no must not lie above that for yes")
        if min(self.window_s, self.memory_s, self.give, self.enter, self.strangeness_give, self.strangeness_enter) < 0:
            raise ValueError("windows and what thresholds give or ask for must not be negative")

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> FlagFilterSettings:
        """Read the tables ``calibration`` and ``filter`` of a model's registry entry."""
        told, filtering = spec["calibration"], spec.get("filter", {})
        return cls(
            tuple(str(name) for name in told["flags"]), tuple(float(v) for v in told["yes"]),
            tuple(float(v) for v in told["no"]), strangeness_most=float(told.get("strangeness_most", math.inf)),
            **{name: float(filtering[name]) for name in _FILTERING if name in filtering},
        )


@dataclass(frozen=True, slots=True)
class FlagReading:
    """What the filter says after a frame.

    Attributes
    ----------
    states : tuple of FlagState
        In the order of the settings' names; all "cannot tell" on an unfamiliar picture.
    probabilities : tuple of float
        That each flag is there, by the mean logit.
    unfamiliar : bool
    strangeness : float
        Mean over the window; NaN where none is measured.
    """

    states: tuple[FlagState, ...]
    probabilities: tuple[float, ...]
    unfamiliar: bool
    strangeness: float


class FlagFilter:
    """Filters one stream."""

    def __init__(self, settings: FlagFilterSettings) -> None:
        self.settings = settings
        self.clear()

    def clear(self) -> None:
        """Forget all frames."""
        self._frames: deque[tuple[int, NDArray[np.float64], float]] = deque()
        self._memory: deque[tuple[int, float]] = deque()
        self._states = [FlagState.UNKNOWN] * len(self.settings.names)
        self._unfamiliar = False
        self._begun = False

    def update(self, logits: Sequence[float] | NDArray[np.floating], t_ns: int, strangeness: float = math.nan,
               ) -> FlagReading:
        """Take the next frame.

        A time that goes back begins anew, as after a seek.

        Parameters
        ----------
        logits : sequence of float
            Calibrated, one a flag.
        t_ns : int
            When the frame was taken [ns].
        strangeness : float
            Of the frame; NaN where the network measures none.
        """
        s = self.settings
        row = np.clip(np.asarray(logits, dtype=np.float64), -s.most, s.most)
        if row.shape != (len(s.names),) or not np.isfinite(row).all():
            raise ValueError(f"{len(s.names)} finite logits are needed")
        if self._frames and t_ns < self._frames[-1][0]:
            self.clear()
        self._frames.append((t_ns, row, strangeness))
        while t_ns - self._frames[0][0] >= s.window_s * 1e9 and len(self._frames) > 1:
            self._frames.popleft()
        mean = np.mean([frame[1] for frame in self._frames], axis=0)
        enter = s.enter if self._begun else 0.0
        self._states = [
            _next(state, float(m), low, high, s.give, enter)
            for state, m, low, high in zip(self._states, mean, s.no, s.yes, strict=True)
        ]
        strange = float(np.mean([frame[2] for frame in self._frames]))
        if not math.isnan(strange):
            self._unfamiliar = self._looks_unfamiliar(t_ns, strangeness, strange)
        self._begun = True
        states = tuple(FlagState.UNKNOWN for _ in s.names) if self._unfamiliar else tuple(self._states)
        chances = tuple(float(1.0 / (1.0 + math.exp(-m))) for m in mean)
        return FlagReading(states, chances, self._unfamiliar, strange)

    def _looks_unfamiliar(self, t_ns: int, now: float, strange: float) -> bool:
        """Tell whether the picture is unfamiliar, from the frame's strangeness and its mean over the window."""
        s = self.settings
        self._memory.append((t_ns, now))
        while t_ns - self._memory[0][0] >= max(s.memory_s, s.window_s) * 1e9 and len(self._memory) > 1:
            self._memory.popleft()
        if not self._begun:
            return strange > s.strangeness_most
        if not self._unfamiliar:
            lasting = float(np.mean([value for _, value in self._memory]))
            return lasting > s.strangeness_most + s.strangeness_enter or strange > s.strangeness_sudden
        if strange > s.strangeness_most - s.strangeness_give:
            return True
        # What was strange is over: it must not count against the picture that is familiar now.
        while len(self._memory) > len(self._frames):
            self._memory.popleft()
        return False


def _next(state: FlagState, mean: float, low: float, high: float, give: float, enter: float) -> FlagState:
    """Return what is said next: a word is kept until the mean goes back by ``give``, a new one takes ``enter``."""
    if mean >= high + (0.0 if state is FlagState.YES else enter):
        return FlagState.YES
    if mean <= low - (0.0 if state is FlagState.NO else enter):
        return FlagState.NO
    if state is FlagState.YES and mean > high - give:
        return FlagState.YES
    if state is FlagState.NO and mean < low + give:
        return FlagState.NO
    return FlagState.UNKNOWN
