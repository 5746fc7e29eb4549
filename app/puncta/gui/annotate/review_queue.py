"""The review queue of a clip: which frames a person should look at, the most doubtful first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from puncta.annotation.labels import FlagLabel, Kind, Label, PhaseLabel, State
from puncta.annotation.store_suggestions import Suggestion

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


def queue_of(labels: Iterable[Label], suggestions: Iterable[Suggestion] = ()) -> tuple[Doubt, ...]:
    """Return the frames with proposals, the most doubtful first; a model's suggestion speaks for frames still open.

    Frames on which nothing is proposed any more are out, also where a suggestion stands.
    """
    worst: dict[int, Doubt] = {}
    trusted: set[int] = set()
    for label in labels:
        index = label.key.index
        if label.trusted:
            trusted.add(index)
        if label.state is not State.PROPOSED or isinstance(label.value, FlagLabel | PhaseLabel):
            continue
        score = 1.0 - (label.made.confidence if label.made.confidence is not None else 0.5)
        if index not in worst or score > worst[index].score:
            worst[index] = Doubt(index, score, _words(label, score))
    for suggestion in suggestions:
        there = worst.get(suggestion.index)
        if there is None and suggestion.index in trusted:
            continue
        if there is None or suggestion.score > there.score:
            worst[suggestion.index] = Doubt(suggestion.index, suggestion.score, suggestion.text or suggestion.reason)
    ordered = sorted((d for d in worst.values() if d.score >= LEAST), key=lambda d: (-d.score, d.index))
    return _spread(ordered)


def _spread(ordered: list[Doubt]) -> tuple[Doubt, ...]:
    """Put frames beside one that stands higher behind all others: one look there tells of them too."""
    first: list[Doubt] = []
    later: list[Doubt] = []
    taken: set[int] = set()
    for doubt in ordered:
        if doubt.index in taken:
            later.append(doubt)
        else:
            first.append(doubt)
            taken.update(range(doubt.index - APART, doubt.index + APART + 1))
    return (*first, *later)


def _words(label: Label, score: float) -> str:
    if label.made.kind is Kind.INTERPOLATED:
        return f"{1.0 - score:.2f}"
    return f"{label.made.by} {1.0 - score:.2f}"


def next_in(queue: tuple[Doubt, ...], current: int) -> int | None:
    """Return the frame to look at next: the one after the current one in the queue, else the most doubtful; or None."""
    order = [doubt.index for doubt in queue]
    if not order:
        return None
    if current in order:
        return order[(order.index(current) + 1) % len(order)]
    return order[0]


def counted(labels: Iterable[Label], names: Mapping[str, object]) -> tuple[dict[str, int], int]:
    """Return how many frames each name is confirmed on, and on how many frames anything is."""
    by_name: dict[str, set[int]] = {name: set() for name in names}
    any_one: set[int] = set()
    for label in labels:
        if label.trusted and label.name in by_name:
            by_name[label.name].add(label.key.index)
            any_one.add(label.key.index)
    return {name: len(found) for name, found in by_name.items()}, len(any_one)
