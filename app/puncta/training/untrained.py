"""Tip finders without training: the brightest point, differences of frames, and what is new against older frames.

They set the mark that training has to beat. Smoothing and history of each are chosen on the tune split, so that none is
beaten by a poor setting.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from puncta.training.data import Clip
from puncta.training.family import AnswerFrames, Answers, Truth, answer_clips

Kind = str
SMOOTHING_SHARES = (0.004, 0.008, 0.016)
"""Sigmas tried, as shares of the picture's side."""
HISTORIES = {"brightest": (0,), "difference": (1, 3), "history": (3, 6, 12)}
"""Older frames tried for each kind: none; the one before or the third before; the largest value of that many."""


@dataclass(frozen=True, slots=True)
class Untrained:
    """A tip finder.

    Attributes
    ----------
    kind : {"brightest", "difference", "history"}
    history : int
        Frames back.
    smoothing : float
        Sigma as a share of the picture's side.
    """

    kind: Kind
    history: int
    smoothing: float


def rise_of(how: Untrained, frames: NDArray[np.uint8], now: int) -> NDArray[np.float32]:
    """Map whose highest point is taken for the tip; without an older frame it is the picture itself."""
    rise = frames[now].astype(np.float32)
    if how.kind == "difference" and now:
        rise -= frames[max(0, now - how.history)]
    elif how.kind == "history" and now:
        rise -= frames[max(0, now - how.history) : now].max(axis=0)
    return cv2.GaussianBlur(rise, (0, 0), how.smoothing * len(rise))


def finder(how: Untrained) -> AnswerFrames:
    """Answer with the highest point; its height over the map's spread is the score. Knows no axis."""

    def answer(frames: NDArray[np.uint8], asked: NDArray[np.intp]) -> Answers:
        scores, tips = [], []
        for now in asked:
            rise = rise_of(how, frames, int(now))
            row, column = divmod(int(rise.argmax()), rise.shape[1])
            height = max(0.0, float(rise[row, column] - rise.mean())) / (float(rise.std()) + 1e-6)
            scores.append(height / (height + 5.0))
            tips.append((float(column), float(row)))
        return Answers(np.array(scores), np.array(tips).reshape(-1, 2), np.full((len(asked), 2), np.nan))

    return answer


def choose(
    kind: Kind, clips: Sequence[Clip], truth: Truth, share_found: Callable[[Answers], float]
) -> tuple[Untrained, Answers]:
    """Return the best setting of a kind on tune clips, with its answers there.

    Raises
    ------
    ValueError
        There is no such kind.
    """
    if kind not in HISTORIES:
        raise ValueError(f"there is no tip finder {kind!r}")
    tried = [Untrained(kind, h, s) for h, s in itertools.product(HISTORIES[kind], SMOOTHING_SHARES)]
    answers = [answer_clips(finder(how), clips, truth) for how in tried]
    best = max(range(len(tried)), key=lambda k: share_found(answers[k]))
    return tried[best], answers[best]
