"""Differences of two readings, thing by thing: a needle's mask, line and tip are one question, answered by one key.

`differences` tells slot by slot; here they are put together for whoever adjudicates, with what each answer writes into
the consensus layer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from puncta.annotation.adjudicate import USUAL, Difference, Tolerance, answered, differences, roots
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
    names : tuple of str
        What it is about: a category, flag or phase without ".line"; a needle that is in dispute takes its tip along,
        since the mean of two tips would lie on neither needle. The first names it.
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
    names: tuple[str, ...]
    number: int
    parts: tuple[Difference, ...]
    a: tuple[Label, ...]
    b: tuple[Label, ...]
    amount: float
    text: str

    @property
    def name(self) -> str:
        """What it is called by."""
        return self.names[0]

    @property
    def one_sided(self) -> bool:
        """Only one of the two has judged it."""
        return not self.a or not self.b

    @property
    def slots(self) -> tuple[Slot, ...]:
        """Where the thing stands: slots of its names and of their lines."""
        return tuple(Slot(self.index, n + end, self.number) for n in self.names for end in ("", LINE_SUFFIX))

    def settled(self, board: Board) -> bool:
        """Tell whether the consensus layer has an answer to every part."""
        return all(answered(board.get, part.slot) for part in self.parts)


def disputes(
    case: Case, a: Iterable[Label], b: Iterable[Label], tolerance: Tolerance = USUAL
) -> tuple[Dispute, ...]:
    """Return what two raters differ on, largest difference first; what only one has judged stands last."""
    a, b = list(a), list(b)
    sides = _by_thing(a), _by_thing(b)
    parts: dict[_Thing, list[Difference]] = {}
    for difference in differences(case, a, b, tolerance):
        slot = difference.slot
        parts.setdefault((slot.index, slot.category, slot.number), []).append(difference)
    known: dict[tuple[int, int], set[str]] = {}
    for index, name, number in {*sides[0], *sides[1]}:
        known.setdefault((index, number), set()).add(name)
    found = []
    for (index, name, number), mine in sorted(parts.items()):
        if any((index, root, number) in parts for root in roots(name)):
            continue  # a tip whose needle is in dispute goes with that
        names = (name, *(other for other in sorted(known[index, number]) if name in roots(other)))
        own = list(mine)
        for other in names[1:]:
            own += parts.get((index, other, number)) or _withheld(sides, (index, other, number))
        worst = max(own, key=lambda d: (d.amount, d.slot.category == name, not d.slot.name.endswith(LINE_SUFFIX)))
        labels = [tuple(x for n in names for x in side.get((index, n, number), ())) for side in sides]
        amount = worst.amount if labels[0] and labels[1] else 0.0
        found.append(Dispute(index, names, number, tuple(own), labels[0], labels[1], amount, worst.text))
    return tuple(sorted(found, key=_rank))


_Thing = tuple[int, str, int]
"""Frame, category, number."""


def _withheld(sides: tuple[Mapping[_Thing, list[Label]], ...], thing: _Thing) -> list[Difference]:
    """What the two agree on, but whose main thing is in dispute: it waits for the same answer."""
    both = [{x.slot: x for x in side.get(thing, ())} for side in sides]
    text = "goes with the rest"
    return [Difference(slot, both[0].get(slot), both[1].get(slot), 0.0, text) for slot in sorted({*both[0], *both[1]})]


def waiting_slots(found: Iterable[Dispute]) -> frozenset[Slot]:
    """Return the slots that wait for an answer, so that none is taken over by itself."""
    return frozenset(part.slot for dispute in found for part in dispute.parts)


def _rank(d: Dispute) -> tuple[bool, float, bool, float, int, str, int]:
    """Largest first; of those that differ wholly, what only one of them sees, then what lies farthest apart.

    Two masks that do not meet differ wholly, however far away they are: there all parts of the thing count.
    """
    hidden = [isinstance(side[0].value, NotVisible) for side in (d.a, d.b) if side]
    parts = sum(part.amount for part in d.parts)
    return d.one_sided, -d.amount, len(set(hidden)) < 2, -parts, d.index, d.name, d.number


def agreeing(a: Iterable[Label], b: Iterable[Label], found: Iterable[Dispute]) -> int:
    """Return how many labels two raters agree on that wait for no answer; notes are not compared."""
    waiting = waiting_slots(found)
    return sum(slot.name != NOTE and slot not in waiting for slot, _x, _y in paired(a, b))


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
        entries = []
        for name in dispute.names:
            known = next((x for x in (*dispute.a, *dispute.b) if x.slot.category == name), None)
            value = None if known is None else _absent(known.value)
            if known is not None and value is not None:
                entries.append((replace(known, name=name, value=value), ""))
        return _written(board, dispute, entries, by, "Settle as absent", Kind.PERSON) if entries else None
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
        # What was taken over by itself, or drawn, becomes an answer that is given, though its value stands already.
        same = before is not None and then is not None and _said(before) == _said(then)
        if not same and before != then:
            changes.append(Change(slot, before, then))
    return Command(title, board.case_id, board.rater, tuple(changes), dispute.index) if changes else None


def _said(label: Label) -> tuple[Value, State, Kind, str]:
    """What an answer says: the rest is who has given it, and when."""
    return label.value, label.state, label.made.kind, label.made.base
