"""Differences of two readings, thing by thing: a needle's mask and its line are one question, answered by one key.

`differences` tells slot by slot; here they are put together for whoever adjudicates, with what each answer writes into
the consensus layer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from puncta.annotation.adjudicate import USUAL, Difference, Tolerance, differences
from puncta.annotation.agreement import paired
from puncta.annotation.cases import Case
from puncta.annotation.commands import Board, Change, Command
from puncta.annotation.labels import (
    LINE_SUFFIX,
    NOTE,
    FlagLabel,
    Kind,
    Label,
    NotVisible,
    PhaseLabel,
    Provenance,
    Slot,
    State,
    Value,
    utc_now,
)


class Answer(StrEnum):
    """What an adjudicator answers by one key."""

    A = "a"
    B = "b"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Dispute:
    """One thing of one frame on which two readings differ, or that only one of them has judged.

    Attributes
    ----------
    index : int
        Frame.
    name : str
        Category, flag or phase; without ".line".
    parts : tuple of Difference
        Slot by slot.
    a, b : tuple of Label
        All that each of them says about the thing, also where the two agree.
    amount : float
        0..1, of the worst part.
    text : str
        In words, of the worst part.
    """

    index: int
    name: str
    number: int
    parts: tuple[Difference, ...]
    a: tuple[Label, ...]
    b: tuple[Label, ...]
    amount: float
    text: str

    @property
    def one_sided(self) -> bool:
        """Only one of the two has judged it."""
        return not self.a or not self.b

    @property
    def slots(self) -> tuple[Slot, ...]:
        """Where the thing stands: its own slot, then that of its line."""
        return (Slot(self.index, self.name, self.number), Slot(self.index, self.name + LINE_SUFFIX, self.number))

    def settled(self, board: Board) -> bool:
        """Tell whether the consensus layer has an answer."""
        main = board.get(self.slots[0])
        if main is not None and main.trusted and isinstance(main.value, NotVisible):
            return True
        labels = [board.get(part.slot) for part in self.parts]
        return all(label is not None and label.trusted for label in labels)


def disputes(
    case: Case, a: Iterable[Label], b: Iterable[Label], tolerance: Tolerance = USUAL
) -> tuple[Dispute, ...]:
    """Return what two raters differ on, largest difference first; what only one has judged stands last."""
    a, b = list(a), list(b)
    sides = _by_thing(a), _by_thing(b)
    parts: dict[tuple[int, str, int], list[Difference]] = {}
    for difference in differences(case, a, b, tolerance):
        slot = difference.slot
        parts.setdefault((slot.index, slot.category, slot.number), []).append(difference)
    found = []
    for thing, own in parts.items():
        worst = max(own, key=lambda d: (d.amount, not d.slot.name.endswith(LINE_SUFFIX)))
        labels = tuple(tuple(side.get(thing, ())) for side in sides)
        amount = worst.amount if labels[0] and labels[1] else 0.0
        found.append(Dispute(*thing, tuple(own), labels[0], labels[1], amount, worst.text))
    return tuple(sorted(found, key=_rank))


def _rank(d: Dispute) -> tuple[bool, float, bool, float, int, str, int]:
    """Largest first; of those that differ wholly, what only one of them sees, then what lies farthest apart.

    Two masks that do not meet differ wholly, however far away they are: there all parts of the thing count.
    """
    hidden = [isinstance(side[0].value, NotVisible) for side in (d.a, d.b) if side]
    parts = sum(part.amount for part in d.parts)
    return d.one_sided, -d.amount, len(set(hidden)) < 2, -parts, d.index, d.name, d.number


def agreeing(case: Case, a: Iterable[Label], b: Iterable[Label], tolerance: Tolerance = USUAL) -> int:
    """Return on how many slots two raters agree; notes are not compared."""
    a, b = list(a), list(b)
    apart = {d.slot for d in differences(case, a, b, tolerance)}
    return sum(slot.name != NOTE and slot not in apart for slot, _x, _y in paired(a, b))


def _by_thing(labels: Iterable[Label]) -> Mapping[tuple[int, str, int], list[Label]]:
    out: dict[tuple[int, str, int], list[Label]] = {}
    for label in labels:
        if label.trusted and label.name != NOTE:
            out.setdefault((label.slot.index, label.slot.category, label.number), []).append(label)
    return out


def answer(board: Board, dispute: Dispute, given: Answer, by: str) -> Command | None:
    """Return the gesture that writes an answer into the consensus layer; None where there is none to write.

    Parameters
    ----------
    board : Board
        Of the consensus rater.
    by : str
        The adjudicator; the label keeps from whom it was taken as its base.
    """
    if given is Answer.ABSENT:
        known = (dispute.a or dispute.b)[0]
        value = _absent(known.value)
        if value is None:
            return None
        label = replace(known, name=dispute.name, value=value)
        return _written(board, dispute, [(label, "")], by, "Settle as absent", Kind.PERSON)
    side = dispute.a if given is Answer.A else dispute.b
    if not side:
        return None
    return _written(board, dispute, [(x, x.rater) for x in side], by, f"Take {side[0].rater}", Kind.CONSENSUS)


def _absent(value: Value) -> Value | None:
    """What says that a thing is not there; None for a phase, which is never absent."""
    if isinstance(value, FlagLabel):
        return FlagLabel(0)
    return None if isinstance(value, PhaseLabel) else NotVisible()


def _written(
    board: Board, dispute: Dispute, entries: list[tuple[Label, str]], by: str, title: str, kind: Kind
) -> Command | None:
    after: dict[Slot, Label | None] = {
        slot: None for slot in dispute.slots if board.get(slot) is not None
    }
    for source, base in entries:
        made = Provenance(kind, by, base=base, made_utc=utc_now())
        label = replace(source, rater=board.rater, state=State.CONFIRMED, made=made)
        after[label.slot] = label
    changes = []
    for slot, then in after.items():
        before = board.get(slot)
        same = before is not None and then is not None and before.trusted and before.value == then.value
        if not same and before != then:
            changes.append(Change(slot, before, then))
    return Command(title, board.case_id, board.rater, tuple(changes), dispute.index) if changes else None
