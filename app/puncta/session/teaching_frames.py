"""Which frames of a clip would teach most: where models doubt or part, and what is unlike the frames labelled so far.

Frames are chosen one after the other: after each choice what lies near it in time, or looks like it, counts less. So
the choice is spread over the clip and over what is to be seen in it, and is never ten neighbours of one frame.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from puncta.annotation.store_suggestions import TEACHES, Suggestion
from puncta.core.errors import UserError
from puncta.core.frame import Frame, grey_from_pixels
from puncta.core.ports import FrameSource
from puncta.pipeline.host import PluginHost
from puncta.sdk.plugin import ResetReason
from puncta.session.propagate import frames_between
from puncta.session.proposing import FAR_MM, doubts_of

USUAL_COUNT = 8
LEAST_SPAN = 4
"""So many frames of a range for each one that is chosen of it."""
MOST_LOOKS = 300
"""Of a longer clip evenly spaced frames are looked at."""
THUMB = (24, 18)
UNSURE, UNLIKE, LEAST = 0.5, 0.5, 0.05
"""What doubt and unlikeness count for, and any frame at all."""
FAR_SHARE = 0.7
"""What is so far from every labelled frame, of the clip's most different ones, is wholly unlike them."""
NEAR_SHARE = 1.0
"""A frame counts in full from so many times the even spacing of the choice on."""
SOURCE = "frames that teach"


@dataclass(frozen=True, slots=True, eq=False)
class FrameLook:
    """What is known of one frame before anybody labels it.

    Attributes
    ----------
    doubt : float
        How unsure the models are, 0..1.
    apart_mm : float or None
        How far two models place the tip from each other.
    thumb : ndarray of float32, shape (n,)
        The picture, small, with its brightness and contrast taken out.
    """

    index: int
    doubt: float
    apart_mm: float | None
    thumb: NDArray[np.float32]

    @property
    def unsure(self) -> float:
        """Doubt or disagreement, whichever is larger, 0..1."""
        return max(self.doubt, min(1.0, (self.apart_mm or 0.0) / FAR_MM))


def thumb_of(frame: Frame) -> NDArray[np.float32]:
    """Return a frame's region in small, with mean 0 and spread 1."""
    x, y, w, h = (round(v) for v in frame.geometry.region.box)
    grey = grey_from_pixels(frame.pixels)[max(0, y) : y + h, max(0, x) : x + w]
    small = cv2.resize(grey, THUMB, interpolation=cv2.INTER_AREA).astype(np.float32)
    small = cv2.GaussianBlur(small, (0, 0), 0.8)
    return ((small - small.mean()) / max(1e-3, float(small.std()))).reshape(-1)


def look_over(
    source: FrameSource,
    host: PluginHost,
    first: int,
    last: int,
    *,
    keep: Iterable[int] = (),
    stop: threading.Event | None = None,
) -> Iterator[FrameLook]:
    """Yield a look at the frames of a range, those to keep always among them.

    Raises
    ------
    UserError
        The source has no end.
    """
    if source.info.frame_count is None:
        raise UserError("A stream without an end cannot be gone through; record it first.")
    step = max(1, -(-(last - first + 1) // MOST_LOOKS))
    kept = set(keep)
    host.reset(ResetReason.OPENED)
    for number, frame in enumerate(frames_between(source, first, last)):
        if stop is not None and stop.is_set():
            return
        index = frame.key.index
        if (index - first) % step and index not in kept:
            continue
        doubt, apart = doubts_of(host.step(replace(frame, frame_id=number)))
        yield FrameLook(index, doubt, apart, thumb_of(frame))


def teaching_frames(
    looks: Sequence[FrameLook], labelled: Iterable[int], count: int = USUAL_COUNT
) -> tuple[Suggestion, ...]:
    """Return the frames to label next, the one that teaches most first.

    Parameters
    ----------
    looks : sequence of FrameLook
        Those of labelled frames too: they tell what is known already.
    labelled : iterable of int
        Frames that somebody has labelled; never chosen.
    count : int
        The most; of a short range fewer.
    """
    count = min(count, max(1, len(looks) // LEAST_SPAN))
    done = set(labelled)
    open_looks = [look for look in looks if look.index not in done]
    if not open_looks:
        return ()
    thumbs = np.stack([look.thumb for look in open_looks])
    indices = np.array([look.index for look in open_looks], np.float64)
    unsure = np.array([look.unsure for look in open_looks])
    usual = _far_apart(thumbs)
    unlike, away = np.ones(len(open_looks)), np.ones(len(open_looks))
    reach = max(1.0, NEAR_SHARE * (indices.max() - indices.min() + 1) / (count + 1))
    for look in looks:
        if look.index in done:
            unlike = np.minimum(unlike, _distances(thumbs, look.thumb) / usual)
    for index in done:
        away = np.minimum(away, np.abs(indices - index) / reach)
    chosen: list[Suggestion] = []
    taken = np.zeros(len(open_looks), bool)
    for _ in range(min(count, len(open_looks))):
        worth = away * (UNSURE * unsure + UNLIKE * unlike + LEAST)
        worth[taken] = -1.0
        best = int(np.argmax(worth))
        if worth[best] <= 0.0:
            break
        look = open_looks[best]
        why = _why(look, float(unlike[best]))
        chosen.append(Suggestion(look.index, TEACHES, round(min(1.0, float(worth[best])), 3), why, SOURCE))
        taken[best] = True
        unlike = np.minimum(unlike, _distances(thumbs, look.thumb) / usual)
        away = np.minimum(away, np.abs(indices - look.index) / reach)
    return tuple(chosen)


def _distances(thumbs: NDArray[np.float32], thumb: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.asarray(np.sqrt(np.square(thumbs - thumb).mean(axis=1)), np.float64)


def _far_apart(thumbs: NDArray[np.float32]) -> float:
    """How unlike the most different frames of this clip are, or nearly: what is that far from all labelled counts."""
    some = thumbs[:: max(1, len(thumbs) // 60)]
    apart = max((float(_distances(some, thumb).max()) for thumb in some), default=1.0)
    return max(1e-3, FAR_SHARE * apart)


def _why(look: FrameLook, unlike: float) -> str:
    if look.apart_mm is not None and look.apart_mm / FAR_MM >= max(look.doubt, UNLIKE * unlike):
        return "teaches, disputed"
    if look.doubt >= 0.5:
        return "teaches, doubted"
    return "teaches, unlike" if unlike >= 0.5 else "teaches, a gap"
