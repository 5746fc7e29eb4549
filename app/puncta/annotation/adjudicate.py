"""Two readings become one: differences first, one key each; what agrees is taken over by itself.

The result is a layer of its own, that of the consensus rater, made by gestures like any other: each settled difference
can be undone, and every label says from whom it comes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from puncta.annotation.agreement import angle_gap, apart, dice, paired, tip_gap
from puncta.annotation.cases import Case
from puncta.annotation.commands import Board, Change, Command
from puncta.annotation.labels import (
    LINE_SUFFIX,
    MASKS,
    NOTE,
    FlagLabel,
    Kind,
    Label,
    LineLabel,
    NoteLabel,
    NotVisible,
    PhaseLabel,
    Provenance,
    Slot,
    State,
    TipLabel,
    Value,
    is_machine,
    mask_label,
    mask_of,
    utc_now,
)

CONSENSUS = "consensus"
"""The usual name of the layer that adjudication writes."""
TIP_SUFFIX = "_tip"


@dataclass(frozen=True, slots=True)
class Tolerance:
    """Up to where two labels count as the same.

    Attributes
    ----------
    tip : float
        Distance of tips [mm; px where uncalibrated].
    angle_deg : float
    dice : float
    """

    tip: float = 2.0
    angle_deg: float = 3.0
    dice: float = 0.8


USUAL = Tolerance()


@dataclass(frozen=True, slots=True)
class Difference:
    """A slot on which two raters differ, or that only one of them has judged.

    Attributes
    ----------
    amount : float
        0..1; differences are shown from 1 down.
    text : str
        In words, e.g. "4.2 mm apart".
    """

    slot: Slot
    a: Label | None
    b: Label | None
    amount: float
    text: str


def agrees(a: Label, b: Label, case: Case, tolerance: Tolerance) -> bool:
    """Tell whether two labels of one slot count as the same."""
    if isinstance(a.value, MASKS) and isinstance(b.value, MASKS):
        return dice(a.value, b.value) >= tolerance.dice
    gap = tip_gap(a, b, case)
    if gap is None:
        return apart(a, b, case)[0] == 0.0
    turn = angle_gap(a, b, case)
    return gap <= tolerance.tip and (turn is None or turn <= tolerance.angle_deg)


def differences(
    case: Case, a: Iterable[Label], b: Iterable[Label], tolerance: Tolerance = USUAL, settled: Iterable[Label] = ()
) -> tuple[Difference, ...]:
    """Return what two raters differ on, worst first; slots that the consensus has settled are left out.

    What only one of them has judged stands last, since nobody contradicts it.
    """
    a, b = list(a), list(b)
    done = {label.slot for label in settled if label.trusted}
    out = []
    both = paired(a, b)
    for slot, one, other in both:
        if slot in done or slot.name == NOTE or agrees(one, other, case, tolerance):
            continue
        amount, text = apart(one, other, case)
        out.append(Difference(slot, one, other, amount, text))
    seen = {slot for slot, _x, _y in both} | done
    for layer, first in ((a, True), (b, False)):
        for label in layer:
            if label.trusted and label.slot not in seen and label.name != NOTE:
                text = f"only {label.rater} has judged it"
                out.append(Difference(label.slot, label if first else None, None if first else label, 0.0, text))
    return tuple(sorted(out, key=lambda d: (-d.amount, d.slot)))


def unsettled(labels: Iterable[Label]) -> dict[str, frozenset[int]]:
    """Return the frames that wait for an answer of the consensus, by rater who has confirmed something there.

    What is drawn holds its frame back, "not visible" too: without it the frame would teach that the thing is not
    there. A flag or a phase stays out by itself, so it holds back only a frame of which nothing else goes out.

    Parameters
    ----------
    labels : iterable of Label
        Of one case, of every rater. What models say and notes count for nothing.
    """
    of_people = confirmed_by_people(labels)
    settled = {x.slot: x for x in of_people if x.rater == CONSENSUS}
    going_out = {slot.index for slot in settled}
    open_frames: dict[str, set[int]] = {}
    for label in of_people:
        if label.rater == CONSENSUS or not (holds_back(label) or label.slot.index not in going_out):
            continue
        if not answered(settled.get, label.slot):
            open_frames.setdefault(label.rater, set()).add(label.slot.index)
    return {rater: frozenset(frames) for rater, frames in sorted(open_frames.items())}


def waiting_frames(labels: Iterable[Label]) -> frozenset[int]:
    """Return the frames of a case that do not go out, for whomever they wait; labels as of `unsettled`."""
    return frozenset().union(*unsettled(labels).values())


def holds_back(label: Label) -> bool:
    """Tell whether a label without an answer keeps its frame from going out: what is drawn, or not visible."""
    return not isinstance(label.value, FlagLabel | PhaseLabel | NoteLabel)


def left_by_themselves(labels: Iterable[Label]) -> int:
    """Return how many flags and phases the consensus has no answer to, on frames that go out without them."""
    of_people = confirmed_by_people(labels)
    settled = {x.slot: x for x in of_people if x.rater == CONSENSUS}
    waiting = waiting_frames(of_people)
    loose = {x.slot for x in of_people if not holds_back(x) and x.slot.index not in waiting}
    return sum(not answered(settled.get, slot) for slot in loose)


def confirmed_by_people(labels: Iterable[Label]) -> list[Label]:
    """Return what people have confirmed, the consensus too; what models say and notes count for nothing."""
    return [x for x in labels if x.trusted and not is_machine(x.rater) and x.name != NOTE]


def answered(get: Callable[[Slot], Label | None], slot: Slot) -> bool:
    """Tell whether the consensus has an answer to a slot.

    Who answers settles a needle with its line, and by taking a reading or by "not visible" also with its tip: what the
    reading that was taken does not have, it does not have. What was taken over by itself, because it agrees, settles
    itself alone: a mask that two readers share leaves their lines open.

    Parameters
    ----------
    get : callable
        Returns the label of the consensus in a slot.
    """
    label = get(slot)
    if label is not None and label.trusted:
        return True
    for name in (slot.category, slot.category + LINE_SUFFIX):
        other = get(Slot(slot.index, name, slot.number))
        if other is None or not other.trusted:
            continue
        # The line of a needle that is not visible has nothing to say.
        if other.state is not State.BULK or (name == slot.category and isinstance(other.value, NotVisible)):
            return True
    for whole in roots(slot.category):
        for name in (whole, whole + LINE_SUFFIX):
            other = get(Slot(slot.index, name, slot.number))
            hidden = other is not None and isinstance(other.value, NotVisible) and other.state is State.CONFIRMED
            if hidden or (other is not None and _is_taken(other)):
                return True
    tip = get(Slot(slot.index, slot.category + TIP_SUFFIX, slot.number))
    return tip is not None and _is_taken(tip)


def roots(name: str) -> list[str]:
    """What a thing may be part of, by its name: needle_tip is part of needle."""
    words = name.split("_")
    return ["_".join(words[:n]) for n in range(1, len(words))]


def _is_taken(label: Label) -> bool:
    """An adjudicator has taken it from a reading, with all that this reading says of the thing."""
    return label.state is State.CONFIRMED and label.made.kind is Kind.CONSENSUS


def settle(board: Board, difference: Difference, take: str | Value, by: str) -> Command | None:
    """Return the gesture that settles a difference in the consensus layer.

    Parameters
    ----------
    board : Board
        Of the consensus rater.
    take : "a", "b", or a value that the adjudicator has drawn
    by : str
        The adjudicator.
    """
    if isinstance(take, str):
        chosen = {"a": difference.a, "b": difference.b}[take]
        if chosen is None:
            return None
        return _write(board, [(chosen, chosen.value, chosen.rater)], by, f"Take {chosen.rater}")
    known = difference.a or difference.b
    assert known is not None
    return _write(board, [(known, take, "")], by, "Settle", kind=Kind.PERSON)


def agreed(
    board: Board,
    case: Case,
    a: Iterable[Label],
    b: Iterable[Label],
    by: str,
    tolerance: Tolerance = USUAL,
    *,
    waiting: Collection[Slot] = (),
) -> Command | None:
    """Return the gesture that takes over all that two raters agree on: means of tips, lines and outlines.

    Slots that the consensus holds already stay, and so do those that wait for an answer (``waiting``): the tip of a
    needle that is in dispute.
    """
    entries = []
    for slot, one, other in paired(a, b):
        standing = board.get(slot)
        if slot.name == NOTE or slot in waiting or (standing is not None and standing.trusted):
            continue
        if agrees(one, other, case, tolerance):
            entries.append((one, middle(one.value, other.value), f"{one.rater}, {other.rater}"))
    return _write(board, entries, by, "Take over what agrees", state=State.BULK)


def _write(
    board: Board,
    entries: Sequence[tuple[Label, Value, str]],
    by: str,
    title: str,
    *,
    kind: Kind = Kind.CONSENSUS,
    state: State = State.CONFIRMED,
) -> Command | None:
    changes = []
    for source, value, base in entries:
        label = replace(
            source,
            rater=board.rater,
            value=value,
            state=state,
            made=Provenance(kind, by, base=base, made_utc=utc_now()),
        )
        before = board.get(label.slot)
        if before is None or before.value != value or not before.trusted:
            changes.append(Change(label.slot, before, label))
    if not changes:
        return None
    frame = changes[0].slot.index if len({c.slot.index for c in changes}) == 1 else None
    return Command(title, board.case_id, board.rater, tuple(changes), frame)


def middle(a: Value, b: Value) -> Value:
    """Return the value between two that agree: means of points, the mean outline of masks, else the first."""
    if isinstance(a, TipLabel) and isinstance(b, TipLabel):
        return replace(a, tip_px=_mean(a.tip_px, b.tip_px))
    if isinstance(a, LineLabel) and isinstance(b, LineLabel):
        return replace(a, entry_px=_mean(a.entry_px, b.entry_px), tip_px=_mean(a.tip_px, b.tip_px))
    if isinstance(a, MASKS) and isinstance(b, MASKS) and a != b:
        return mask_label(mean_shape([mask_of(a), mask_of(b)]), a.visibility)
    return a


def _mean(a: tuple[float, float], b: tuple[float, float]) -> tuple[float, float]:
    return ((a[0] + b[0]) / 2, (a[1] + b[1]) / 2)


def mean_shape(masks: Sequence[NDArray[np.bool_]]) -> NDArray[np.bool_]:
    """Return the mask whose outline lies between those of the masks: where their mean signed distance is inside.

    Shape-based averaging (Rohlfing and Maurer, IEEE TIP 16, 2007).
    """
    total = np.zeros(masks[0].shape)
    for mask in masks:
        inside = mask.astype(np.uint8)
        if not mask.any():
            total -= np.hypot(*mask.shape)
        elif mask.all():
            total += np.hypot(*mask.shape)
        else:
            total += cv2.distanceTransform(inside, cv2.DIST_L2, 5) - cv2.distanceTransform(1 - inside, cv2.DIST_L2, 5)
    return np.asarray(total > 0)
