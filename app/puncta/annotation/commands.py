"""Every gesture as a command that knows its inverse: which slots it changes, from what to what.

Commands are made from a `Board`, the labels of one rater as they are on the screen, and are applied to the board at
once and to the store in order. A command whose *before* is no longer what stands there is refused (`LabelConflict`),
so nothing is ever overwritten unseen. What machines propose is made by `propose`, which passes confirmed labels over.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from puncta.annotation.labels import (
    LINE_SUFFIX,
    NOTE,
    PHASE,
    FlagLabel,
    Kind,
    Label,
    NoteLabel,
    NotVisible,
    PhaseLabel,
    Provenance,
    Slot,
    State,
    Value,
    by_person,
)
from puncta.core.errors import UserError
from puncta.core.frame import FrameKey
from puncta.formats.dataset_values import Visibility


class GestureRefused(UserError):
    """A store does not take a gesture for what it says; nothing was changed, and sending it again changes nothing."""


class LabelConflict(GestureRefused):
    """What a command starts from has changed meanwhile; nothing was changed. Refresh and try again."""


class OtherClip(GestureRefused):
    """What a command labels is another clip than the one that the store's case is about."""


@dataclass(frozen=True, slots=True)
class Change:
    """One slot from ``before`` to ``after``; None means that nothing stands there."""

    slot: Slot
    before: Label | None
    after: Label | None

    @property
    def key(self) -> FrameKey:
        """The frame's key."""
        label = self.after or self.before
        assert label is not None
        return label.key

    def inverse(self) -> Change:
        """Return the way back."""
        return Change(self.slot, self.after, self.before)


@dataclass(frozen=True, slots=True)
class Command:
    """One gesture of one rater on one case.

    Attributes
    ----------
    title : str
        A short phrase for "Undo ..." in menus.
    frame : int or None
        The frame in view when it was made.
    automatic : bool
        Made by a machine or an import: the store passes over slots whose label is confirmed.
    uid : str
        Names the gesture for good, also where it is sent twice.
    """

    title: str
    case_id: str
    rater: str
    changes: tuple[Change, ...]
    frame: int | None = None
    automatic: bool = False
    uid: str = field(default_factory=lambda: uuid.uuid4().hex)

    def inverse(self) -> Command:
        """Return the command that takes this one back."""
        return replace(
            self, changes=tuple(c.inverse() for c in reversed(self.changes)), automatic=False, uid=uuid.uuid4().hex
        )

    @property
    def frames(self) -> tuple[int, ...]:
        """The frames it touches, in order."""
        return tuple(sorted({c.slot.index for c in self.changes}))


class Board:
    """One rater's labels of one case in memory: what gestures are made from, and where they show at once.

    Parameters
    ----------
    case_id, rater : str
    labels : iterable of Label
        Of that rater.
    author : str
        Whose hand draws, where that is not the rater: an adjudicator in the layer of the consensus.
    """

    def __init__(self, case_id: str, rater: str, labels: Iterable[Label] = (), *, author: str = "") -> None:
        self.case_id = case_id
        self.rater = rater
        self.author = author or rater
        self._labels: dict[Slot, Label] = {}
        self._frames: dict[int, dict[Slot, Label]] = {}
        for label in labels:
            self.set(label.slot, label)

    def __len__(self) -> int:
        return len(self._labels)

    def __iter__(self) -> Iterator[Label]:
        return iter(self._labels.values())

    def get(self, slot: Slot) -> Label | None:
        """Return what stands in a slot."""
        return self._labels.get(slot)

    def on_frame(self, index: int) -> tuple[Label, ...]:
        """Return the labels of a frame, in order of name and number."""
        found = self._frames.get(index, {})
        return tuple(found[slot] for slot in sorted(found))

    def labelled_frames(self) -> tuple[int, ...]:
        """Return the frames with a label, in order."""
        return tuple(sorted(index for index, found in self._frames.items() if found))

    def set(self, slot: Slot, label: Label | None) -> None:
        """Put a label into a slot, or empty it."""
        frame = self._frames.setdefault(slot.index, {})
        if label is None:
            self._labels.pop(slot, None)
            frame.pop(slot, None)
        else:
            self._labels[slot] = frame[slot] = label

    def apply(self, changes: Command | Iterable[Change]) -> None:
        """Make changes in memory, as the store has made them or is about to."""
        for change in changes.changes if isinstance(changes, Command) else changes:
            self.set(change.slot, change.after)

    def snapshot(self) -> Mapping[Slot, Label]:
        """Return a copy of everything."""
        return dict(self._labels)


def _command(
    board: Board, title: str, after: Mapping[Slot, Label | None], frame: int | None, automatic: bool = False
) -> Command | None:
    pairs = ((slot, board.get(slot), label) for slot, label in after.items())
    changes = tuple(Change(slot, before, label) for slot, before, label in pairs if before != label)
    return Command(title, board.case_id, board.rater, changes, frame, automatic) if changes else None


def draw(
    board: Board,
    name: str,
    key: FrameKey,
    value: Value,
    *,
    title: str = "",
    number: int = 0,
    made: Provenance | None = None,
) -> Command | None:
    """Return the gesture that draws, moves or answers one thing on one frame; None where nothing changes.

    What stands there already becomes its base in the provenance where something else than a person had made it.
    """
    slot = Slot(key.index, name, number)
    before = board.get(slot)
    if before is not None and before.value == value and before.trusted:
        return None
    base = (
        ""
        if before is None
        else before.made.base or ("" if before.made.kind is Kind.PERSON else before.made.in_words())
    )
    label = Label(name, key, board.rater, value, made or by_person(board.author, base=base), State.CONFIRMED, number)
    return _command(board, title or f"Label {name}", {slot: label}, key.index)


def not_visible(board: Board, category: str, key: FrameKey, why: Visibility = Visibility.ABSENT) -> Command | None:
    """Return the gesture that says a thing cannot be pointed at; its line on the frame goes with it."""
    slot, line = Slot(key.index, category), Slot(key.index, category + LINE_SUFFIX)
    label = Label(category, key, board.rater, NotVisible(why), by_person(board.author), State.CONFIRMED)
    before = board.get(slot)
    same = before is not None and before.trusted and before.value == label.value
    after: dict[Slot, Label | None] = {} if same else {slot: label}
    return _command(board, f"{category} not visible", {**after, line: None}, key.index)


def erase(board: Board, slots: Iterable[Slot], *, frame: int | None = None, title: str = "Erase") -> Command | None:
    """Return the gesture that empties slots."""
    return _command(board, title, dict.fromkeys(slots), frame)


def set_flag(
    board: Board, name: str, value: int | None, keys: Iterable[FrameKey], *, frame: int | None = None
) -> Command | None:
    """Return the gesture that sets a flag on frames, e.g. those played while its key was held; None: not assessed.

    One frame is confirmed, several are confirmed as a range (`bulk`).
    """
    keys = list(keys)
    content = None if value is None else FlagLabel(value)
    return _over_frames(board, name, content, keys, frame, f"Flag {name}")


def set_phase(board: Board, phase: str | None, keys: Iterable[FrameKey], *, frame: int | None = None) -> Command | None:
    """Return the gesture that sets the procedure's phase on frames; None takes it away."""
    content = None if phase is None else PhaseLabel(phase)
    return _over_frames(board, PHASE, content, list(keys), frame, "Phase")


def set_note(board: Board, key: FrameKey, text: str) -> Command | None:
    """Return the gesture that writes a frame's note; empty text takes it away."""
    if text.strip():
        return draw(board, NOTE, key, NoteLabel(text.strip()), title="Note")
    return erase(board, [Slot(key.index, NOTE)], frame=key.index, title="Note")


def _over_frames(
    board: Board, name: str, content: Value | None, keys: list[FrameKey], frame: int | None, title: str
) -> Command | None:
    state = State.CONFIRMED if len(keys) == 1 else State.BULK
    made = by_person(board.author)
    after: dict[Slot, Label | None] = {}
    for key in keys:
        slot = Slot(key.index, name)
        before = board.get(slot)
        if content is not None and before is not None and before.value == content and before.trusted:
            continue
        after[slot] = None if content is None else Label(name, key, board.rater, content, made, state)
    at = frame if frame is not None else (keys[-1].index if keys else None)
    return _command(board, title, after, at)


def _decide(
    board: Board, frames: Iterable[int], names: Iterable[str] | None, state: State, frame: int | None, title: str
) -> Command | None:
    """Return the gesture that gives what is proposed on frames (all names, or some) another state."""
    wanted = None if names is None else set(names)
    changes: list[Change] = []
    for index in frames:
        for a in board.on_frame(index):
            if a.state is State.PROPOSED and (wanted is None or a.name in wanted):
                # Written out: `replace` takes four times as long, and a range has a thousand of them.
                after = Label(a.name, a.key, a.rater, a.value, a.made, state, a.number)
                changes.append(Change(a.slot, a, after))
    return Command(title, board.case_id, board.rater, tuple(changes), frame) if changes else None


def accept(board: Board, frame: int, names: Iterable[str] | None = None) -> Command | None:
    """Return the gesture that confirms what is proposed on a frame (all names, or some); its maker stays."""
    return _decide(board, [frame], names, State.CONFIRMED, frame, "Accept")


def accept_range(
    board: Board, first: int, last: int, *, frame: int | None = None, names: Iterable[str] | None = None
) -> Command | None:
    """Return the gesture that confirms what is proposed from ``first`` to ``last`` (both included), as `bulk`."""
    return _decide(board, range(first, last + 1), names, State.BULK, frame, "Accept range")


def reject(
    board: Board, first: int, last: int | None = None, *, frame: int | None = None, names: Iterable[str] | None = None
) -> Command | None:
    """Return the gesture that rejects what is proposed on a frame or a range."""
    frames = range(first, (first if last is None else last) + 1)
    return _decide(board, frames, names, State.REJECTED, frame if frame is not None else first, "Reject")


def propose(
    board: Board,
    labels: Iterable[Label],
    *,
    title: str = "Propose",
    frame: int | None = None,
    state: State = State.PROPOSED,
) -> Command | None:
    """Return the command that lays proposals into the board: propagation, interpolation, a model, an import.

    Confirmed labels are passed over here and once more in the store, should one be confirmed meanwhile.
    """
    after: dict[Slot, Label | None] = {}
    for label in labels:
        before = board.get(label.slot)
        if before is None or not before.trusted:
            after[label.slot] = replace(label, rater=board.rater, state=state)
    return _command(board, title, after, frame, automatic=True)
