"""The review queue of a rater: frames that models doubt, that models disagree on, or that would teach most.

A queue comes of what one rater asked the models, so nobody else sees it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from puncta.annotation.labels import TRUSTED_STATES
from puncta.annotation.tables import LABELS, SUGGESTIONS

DOUBT, DISAGREEMENT, TEACHES = "doubt", "disagreement", "teaches"
MODELS_JOIN = " + "
"""Stands between the models of a source."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A frame to look at.

    Attributes
    ----------
    index : int
    reason : str
        "doubt", "disagreement" or "teaches".
    score : float
        0..1, higher first; comparable between reasons.
    text : str
        One plain phrase, e.g. "two models place the tip 9 mm apart".
    source : str
        The model or comparison it comes from.
    """

    index: int
    reason: str
    score: float
    text: str = ""
    source: str = ""

    @property
    def models(self) -> tuple[str, ...]:
        """The models it comes from, each with its version; the choice of frames that teach is none."""
        return () if self.reason == TEACHES or not self.source else tuple(self.source.split(MODELS_JOIN))


def write(connection: Connection, case_id: str, rater: str, source: str, suggestions: Iterable[Suggestion]) -> None:
    """Replace a source's suggestions to a rater; of several for one frame and reason the highest stays."""
    c = SUGGESTIONS.c
    connection.execute(sa.delete(SUGGESTIONS).where(c.case_id == case_id, c.rater == rater, c.source == source))
    best: dict[tuple[int, str], Suggestion] = {}
    for s in suggestions:
        if (s.index, s.reason) not in best or best[s.index, s.reason].score < s.score:
            best[s.index, s.reason] = s
    if best:
        connection.execute(
            sa.insert(SUGGESTIONS),
            [
                {
                    "case_id": case_id,
                    "rater": rater,
                    "source": source,
                    "frame_index": s.index,
                    "reason": s.reason,
                    "score": float(s.score),
                    "text": s.text,
                }
                for s in best.values()
            ],
        )


def _rank(suggestion: Suggestion) -> tuple[bool, float, str]:
    """Of several for one frame the one that teaches stands, then the highest."""
    return suggestion.reason == TEACHES, suggestion.score, suggestion.reason


def read(connection: Connection, case_id: str, rater: str, names: Iterable[str] | None) -> tuple[Suggestion, ...]:
    """Return one suggestion a frame, highest first, without frames on which the rater has confirmed the names."""
    done: dict[int, set[str]] = {}
    query = sa.select(LABELS.c.frame_index, LABELS.c.name).where(
        LABELS.c.case_id == case_id, LABELS.c.rater == rater, LABELS.c.state.in_([str(s) for s in TRUSTED_STATES])
    )
    for index, name in connection.execute(query):
        done.setdefault(index, set()).add(name)
    wanted = None if names is None else set(names)
    best: dict[int, Suggestion] = {}
    columns = (
        SUGGESTIONS.c.frame_index,
        SUGGESTIONS.c.reason,
        SUGGESTIONS.c.score,
        SUGGESTIONS.c.text,
        SUGGESTIONS.c.source,
    )
    own = sa.select(*columns).where(SUGGESTIONS.c.case_id == case_id, SUGGESTIONS.c.rater == rater)
    for row in connection.execute(own):
        found = Suggestion(*row)
        confirmed = done.get(found.index, set())
        if confirmed if wanted is None else wanted <= confirmed:
            continue
        have = best.get(found.index)
        if have is None or _rank(found) > _rank(have):
            texts = found.text if have is None or have.text in {"", found.text} else f"{found.text}; {have.text}"
            best[found.index] = replace(found, text=texts)
    return tuple(sorted(best.values(), key=lambda s: (-s.score, s.index)))
