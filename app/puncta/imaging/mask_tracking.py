"""A needle's mask through a stream: one object a stream, one `step` a frame, a memory bounded by a number.

Its verbs are those of a tracker with a memory (the way of Cutie, Cheng et al., CVPR 2024): `step` takes a frame, with a
prompt where somebody has drawn one; `forget` empties the memory, `clear` begins a new stream; `remember` and `recall`
take the memory out and put it back. It starts by itself with no prompt at all. Frames may come in either order of
time: a stream played backwards is just another stream.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from puncta.imaging.heatmap import sigmoid
from puncta.imaging.mask_line import MaskLine, fit_mask_line, mask_along
from puncta.imaging.mask_network import MaskNetwork
from puncta.imaging.mask_scoring import MaskScoring, mask_scoring_from_spec
from puncta.imaging.trajectory import PathState, PathTracker
from puncta.imaging.unfamiliar import PictureWatch
from puncta.sdk.context import ModelSession

Pair = tuple[float, float]

GAP_NS = 2_000_000_000
"""Frames farther apart than this do not belong to one stream."""
STRANGE_SHARE = 0.3
"""Weight of the newest frame in the strangeness that is judged: one odd frame is no odd stream."""
ENTER_NS = 1_000_000_000
"""A needle has just come in where there was none within this time."""
SURE_SUPPORT = 0.5
"""Mean probability along the axis from which on a needle may be called sure."""
SAME_SCALE = 0.02
"""A scale that differs by less than this share is the same one."""

NOTHING = "no needle is seen in the picture"
NO_LINE = "what is seen is no line"
STRANGE = "the picture is unlike those the model was made with"


@dataclass(frozen=True, slots=True, eq=False)
class MaskReading:
    """What is said about one frame, in the pixels of the network's picture.

    Attributes
    ----------
    presence : float
        Calibrated chance that a needle lies in the plane.
    logits : ndarray of float32, shape (S, S), or None
        The map the mask was taken from, log odds; None where no mask is shown.
    mask : ndarray of bool, shape (S, S), or None
        None where no needle is shown, and ``reason`` says why.
    line : MaskLine or None
        As this frame shows it.
    path : PathState or None
        Tip and way ahead, smoothed over time [unit of the scale].
    sure : bool
    unfamiliar : bool
        The picture is not of the kind the network knows: frozen, without ultrasound, or strange.
    reason : str or None
    strangeness : float or None
    """

    presence: float = 0.0
    logits: NDArray[np.float32] | None = None
    mask: NDArray[np.bool_] | None = None
    line: MaskLine | None = None
    path: PathState | None = None
    sure: bool = False
    unfamiliar: bool = False
    reason: str | None = None
    strangeness: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class TrackMemory:
    """What a tracker knows of the needle, taken out of it. Its arrays are never written to.

    Attributes
    ----------
    states : dict of str to ndarray
        The network's memory.
    prior : ndarray of float32, shape (S, S)
        The last mask, as probability.
    shown : bool
    way : (x, y) or None
        Where the needle pointed.
    """

    states: dict[str, NDArray[np.float32]]
    prior: NDArray[np.float32]
    shown: bool
    way: Pair | None


class MaskTracker:
    """Tracks one stream's needle.

    Parameters
    ----------
    model : ModelSession
        A tracking network with its `calibration` table.
    scoring : MaskScoring or None
        In place of the model's own.
    """

    def __init__(self, model: ModelSession, scoring: MaskScoring | None = None) -> None:
        self.network = MaskNetwork(model)
        self.scoring = scoring or mask_scoring_from_spec(model.spec.get("calibration", {}))
        self._watch = PictureWatch()
        self._path = PathTracker()
        self._prior = self._no_prior()
        self._prompt: NDArray[np.float32] | None = None
        self._reading: MaskReading | None = None
        self._shown = False
        self._way: Pair | None = None
        self._strangeness: float | None = None
        self._t_ns: int | None = None
        self._clock_ns = 0
        self._calm_ns: int | None = None
        self._scale: Pair | None = None

    # --- the memory's verbs ----------------------------------------------------------------------------------------

    def clear(self) -> None:
        """Begin a new stream: forget pictures, memory and prompt."""
        self.network.clear()
        self._watch.clear()
        self._prompt = None
        self._t_ns, self._clock_ns, self._scale = None, 0, None
        self._calm_ns = None
        self._strangeness = None
        self._forget_needle()

    def forget(self) -> None:
        """Empty the memory of the needle; the last pictures stay, since what moved in them is no memory of a needle."""
        self.network.forget()
        self._forget_needle()

    def remember(self) -> TrackMemory:
        """Take the memory out, to go on from here again: forwards, backwards, or after a prompt that was wrong."""
        return TrackMemory(dict(self.network.states), self._prior, self._shown, self._way)

    def recall(self, memory: TrackMemory) -> None:
        """Put a memory back; the next frame goes on from it."""
        self.network.states = dict(memory.states)
        self._prior, self._shown, self._way = memory.prior, memory.shown, memory.way
        self._reading = None
        self._path.clear()

    def prompt(self, prior: NDArray[np.float32]) -> None:
        """Say where the needle is on the frame that comes next.

        It takes the place of what the tracker believed: a user knows better.

        Parameters
        ----------
        prior : ndarray of float32, shape (size, size)
            0..1, as `puncta.imaging.mask_prompt` draws it.
        """
        if prior.shape != (self.size, self.size):
            raise ValueError(f"a prompt has the size {self.size} x {self.size}, not {prior.shape}")
        self._prompt = np.asarray(prior, np.float32)

    @property
    def size(self) -> int:
        """Side of the square pictures it takes [px]."""
        return self.network.size

    @property
    def tracking(self) -> bool:
        """Whether the last frame showed a needle."""
        return self._shown

    @property
    def memory_bytes(self) -> int:
        """Size of what it remembers of the needle; it never grows."""
        return int(self._prior.nbytes + sum(state.nbytes for state in self.network.states.values()))

    # --- frames ----------------------------------------------------------------------------------------------------

    def step(self, grey: NDArray[np.uint8], t_ns: int, scale: Pair = (1.0, 1.0)) -> MaskReading:
        """Take the next frame.

        Parameters
        ----------
        grey : ndarray of uint8, shape (size, size)
        t_ns : int
            When the frame was taken [ns]; it may run backwards.
        scale : (x, y)
            Width and height of a pixel of ``grey`` [mm, or any one unit].
        """
        self._take_time(t_ns)
        if self._scale is None or any(abs(n - o) > SAME_SCALE * o for n, o in zip(scale, self._scale)):
            self._path.clear()
            self._scale = scale
        if (why := self._watch.look(grey, self._clock_ns)) is not None:
            return self._refuse(why)
        fresh = self.network.push(grey)
        if not fresh and self._prompt is None and self._reading is not None:
            return self._reading
        if self._prompt is not None:
            self.forget()
            self._prior, self._prompt, self._shown = self._prompt, None, True
        self._reading = self._read(scale)
        return self._reading

    def _read(self, scale: Pair) -> MaskReading:
        s = self.scoring
        answer = self.network.step(self._prior)
        self._prior = np.asarray(sigmoid(answer.logits), dtype=np.float32)
        presence = float(sigmoid(np.float64(answer.presence)))
        if answer.strangeness is not None:
            old = self._strangeness
            new = answer.strangeness
            self._strangeness = new if old is None else old + STRANGE_SHARE * (new - old)
        reading = MaskReading(presence=presence, strangeness=self._strangeness)
        if self._strangeness is not None and self._strangeness > s.strangeness_most:
            return self._without(replace(reading, unfamiliar=True, reason=STRANGE))
        asked = s.keep if self._shown else self._asked_to_begin()
        if presence < s.calm:
            self._calm_ns = self._clock_ns
        if presence < asked:
            return self._without(replace(reading, reason=NOTHING))
        line = fit_mask_line(answer.logits, scale, self._way)
        if line is None:
            return self._without(replace(reading, reason=NO_LINE))
        mask = mask_along(self._prior, line, scale, s.mask_level)
        side = self.size * float(np.sqrt(scale[0] * scale[1]))
        if not mask.any() or line.length < s.least_length * side:
            return self._without(replace(reading, reason=NO_LINE))
        self._shown, self._way = True, line.direction
        tip = (line.tip[0] * scale[0], line.tip[1] * scale[1])
        path = self._path.update(
            self._clock_ns, tip, line.way_ahead, line.sigma_rad * s.angle_factor, line.tip_sigma, line.across_sigma
        )
        sure = presence >= s.sure and line.support > SURE_SUPPORT
        return replace(reading, logits=answer.logits, mask=mask, line=line, path=path, sure=sure)

    def _asked_to_begin(self) -> float:
        """Chance from which on a needle is shown that was not shown before."""
        came_in = self._calm_ns is not None and self._clock_ns - self._calm_ns <= ENTER_NS
        return min(self.scoring.show, self.scoring.enter) if came_in else self.scoring.show

    def _without(self, reading: MaskReading) -> MaskReading:
        self._shown = False
        self._path.miss(self._clock_ns)
        return reading

    def _refuse(self, why: str) -> MaskReading:
        """Answer for a picture that no network needs to see."""
        presence = self._reading.presence if self._reading is not None and self._watch.frozen else 0.0
        self.forget()
        self._prompt = None
        reading = MaskReading(presence=presence, unfamiliar=not self._watch.empty, reason=why)
        self._reading = reading if self._watch.frozen else None
        return reading

    def _forget_needle(self) -> None:
        self._prior = self._no_prior()
        self._path.clear()
        self._reading = None
        self._shown, self._way = False, None

    def _take_time(self, t_ns: int) -> None:
        """Let the stream's own clock run on, whichever way the frames' times go; a gap begins a new stream."""
        passed = 0 if self._t_ns is None else abs(t_ns - self._t_ns)
        if passed > GAP_NS:
            prompt = self._prompt
            self.clear()
            self._prompt = prompt
            passed = 0
        self._t_ns = t_ns
        self._clock_ns += passed

    def _no_prior(self) -> NDArray[np.float32]:
        return np.zeros((self.size, self.size), np.float32)
