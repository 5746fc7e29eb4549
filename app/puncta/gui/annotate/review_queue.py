"""The review queue of a clip: which frames a person should look at, the most doubtful first."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from puncta.annotation.labels import FlagLabel, Kind, Label, PhaseLabel, State
from puncta.annotation.store_suggestions import TEACHES, Suggestion

APART = 4
"""So near to each other, frames are seen at one look [frames]."""
LEAST = 0.05
"""A proposal with less doubt than this waits for the range, not for a look."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """A frame to look at: how much it is doubted (0..1), and why, in a few words."""

    index: int
    score: float
    words: str
    teaches: bool = False
    """It would teach most: such frames stand first."""
    makers: tuple[str, ...] = ()
    """The models behind it, each with its version."""


Queue = tuple[Doubt, ...]


def makers_of(labels: Iterable[Label]) -> tuple[str, ...]:
    """Return the models or tools behind labels, each with its version; what lies between key frames is none of them."""
    made = (label.made for label in labels if label.made.kind not in {Kind.PERSON, Kind.INTERPOLATED})
    return tuple(dict.fromkeys(f"{m.by} {m.version}".rstrip() for m in made))


def doubt_of(labels: Iterable[Label]) -> Doubt | None:
    """Return the worst doubt of one frame's proposals; None where nothing is proposed. Flags and phases stay out."""
    worst: tuple[float, Label] | None = None
    proposed: list[Label] = []
    for label in labels:
        if label.state is State.PROPOSED and not isinstance(label.value, FlagLabel | PhaseLabel):
            proposed.append(label)
            score = 1.0 - (label.made.confidence if label.made.confidence is not None else 0.5)
            if worst is None or score > worst[0]:
                worst = score, label
    if worst is None:
        return None
    score, label = worst
    return Doubt(label.key.index, score, f"{1.0 - score:.2f}", makers=makers_of(proposed))


def ordered(doubts: Mapping[int, Doubt], confirmed: Container[int], suggestions: Iterable[Suggestion]) -> Queue:
    """Return the frames to look at, the most doubtful first; a model's suggestion speaks for frames still open.

    Parameters
    ----------
    doubts : mapping of frame to Doubt
    confirmed : container of int
        Frames with something confirmed: out, unless something is still proposed there.
    """
    worst = dict(doubts)
    for suggestion in suggestions:
        there, teaches = worst.get(suggestion.index), suggestion.reason == TEACHES
        if suggestion.index in confirmed and (there is None or teaches):
            continue
        if there is None or (teaches, suggestion.score) > (there.teaches, there.score):
            words = suggestion.text or suggestion.reason
            made = there.makers if there is not None else ()
            makers = tuple(dict.fromkeys((*suggestion.models, *made)))
            worst[suggestion.index] = Doubt(suggestion.index, suggestion.score, words, teaches, makers)
    telling = [d for d in worst.values() if d.score >= LEAST or d.teaches]
    first = sorted((d for d in telling if d.teaches), key=lambda d: (-d.score, d.index))
    return (*first, *_spread([d for d in telling if not d.teaches]))


def _spread(frames: list[Doubt]) -> Queue:
    """Put the most doubtful first; frames beside one that stands higher come last: one look tells of both."""
    if not frames:
        return ()
    indices = np.array([d.index for d in frames])
    order = np.lexsort((indices, -np.array([d.score for d in frames])))
    taken = bytearray(int(indices.max()) + 2 * APART + 1)  # from APART before the first frame on
    near = b"\1" * (2 * APART + 1)
    first: list[Doubt] = []
    later: list[Doubt] = []
    for at in order.tolist():
        doubt = frames[at]
        if taken[doubt.index + APART]:
            later.append(doubt)
        else:
            first.append(doubt)
            taken[doubt.index : doubt.index + len(near)] = near
    return (*first, *later)


def next_in(queue: Queue, current: int) -> int | None:
    """Return the frame to look at next: the one after the current one in the queue, else the most doubtful; or None."""
    order = [doubt.index for doubt in queue]
    if not order:
        return None
    if current in order:
        return order[(order.index(current) + 1) % len(order)]
    return order[0]
