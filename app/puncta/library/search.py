"""Finds cases by words and tags."""

from __future__ import annotations

from collections.abc import Iterable

from puncta.annotation.cases import Case
from puncta.annotation.store import AnnotationStore


def search(store: AnnotationStore, text: str = "", tags: Iterable[str] = ()) -> tuple[Case, ...]:
    """Return the cases that hold every word of a text and every tag, in the order in which they were added.

    A word is looked for in title, clip, label set, machine, subject, split and tags, whatever its capitals.
    """
    words = text.casefold().split()
    wanted = {tag.casefold() for tag in tags}
    return tuple(
        case
        for case in store.cases()
        if wanted <= {t.casefold() for t in case.tags} and all(word in _text_of(case) for word in words)
    )


def _text_of(case: Case) -> str:
    parts = (case.title, case.stream, case.label_set, case.machine, case.subject, case.split, *case.tags)
    return " ".join(part for part in parts if part).casefold()


def all_tags(store: AnnotationStore) -> dict[str, int]:
    """Return every tag with the number of its cases, most used first."""
    counts: dict[str, int] = {}
    for case in store.cases():
        for tag in case.tags:
            counts[tag] = counts.get(tag, 0) + 1
    return dict(sorted(counts.items(), key=lambda entry: (-entry[1], entry[0])))
