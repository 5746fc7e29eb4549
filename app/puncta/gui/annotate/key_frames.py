"""Key frames of a board, and what lies between them: looked at again only where labels have changed."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Container

from puncta.annotation.commands import Board
from puncta.annotation.labels import LINE_SUFFIX, MACHINE_KINDS, Kind, Label, NotVisible, Slot, State
from puncta.imaging.needle_pose import NeedlePose
from puncta.session.between_keys import NEEDLE, TIP, KeyPose, pose_of_labels

LINE = NEEDLE + LINE_SUFFIX
NAMES = (NEEDLE, LINE, TIP)
Gap = tuple[int, int]
_BASE = re.compile(r"frames (\d+) and (\d+)")


class KeyFrames:
    """Which frames are keys, which wait for a proposal, and which proposals come from keys that are gone."""

    def __init__(self) -> None:
        self._board: Board | None = None
        self._hidden: dict[int, bool] = {}
        """Key frames; whether they say that there is none to be seen."""
        self._closed: set[int] = set()
        """Frames with something confirmed or rejected about the needle."""
        self._bases: dict[int, str] = {}
        """Frames proposed between key frames, and between which."""
        self._modelled: set[int] = set()
        """Frames for which models propose something."""
        self._accepted: set[int] = set()
        """Key frames that nobody has drawn: what was proposed there was accepted as it was."""
        self._poses: dict[int, tuple[tuple[Label | None, ...], NeedlePose | None]] = {}
        self._gaps: set[Gap] = set()
        """Neighbouring key frames with frames between them, as the last look saw them."""
        self._filled: dict[Gap, tuple[NeedlePose | None, NeedlePose | None]] = {}
        """Gaps that proposals can fill, and the needle at either end."""
        self._asked: set[Gap] = set()
        self._put_off: set[Gap] = set()
        """Gaps whose proposals could be finer by now, which is for the next look."""

    def look(
        self,
        board: Board,
        dirty: set[int] | None,
        *,
        unfinished: bool = False,
        unwanted: Container[int] = frozenset(),
    ) -> tuple[list[KeyPose], list[int], list[Slot]]:
        """Return the key frames around the frames to propose, these frames, and proposals to take away.

        A board that is new was just opened. Accepting what is proposed proposes nothing anew, so opening does not
        do it either: such gaps wait until something is drawn. Nor does what was taken back come back by itself.

        Parameters
        ----------
        dirty : set of int or None
            Frames whose labels have changed since the last look; None: any. Only gaps that they touch are looked at.
        unfinished : bool
            What the last look asked for was not done to the end.
        unwanted : container of int
            Frames whose proposals had been taken back before the board was opened, all of a gap's or some.
        """
        opening = board is not self._board
        if opening:
            self._board, dirty = board, None
            self._filled = {}
            self._put_off = set()
        if dirty is None:
            self._hidden, self._closed, self._bases, self._poses, self._gaps = {}, set(), {}, {}, set()
            self._modelled, self._accepted = set(), set()
            dirty = set(board.labelled_frames())
        for index in dirty:
            self._look_at(board, index)
        order = sorted(self._hidden)
        before, self._gaps = self._gaps, {(a, b) for a, b in zip(order, order[1:]) if b - a > 1}
        for gone in self._filled.keys() - self._gaps:
            del self._filled[gone]
        # What was asked for last may not have come, or not all of it.
        changed = (before ^ self._gaps) | (_touched(order, dirty) | self._asked | self._put_off) & self._gaps
        self._put_off = set()
        keys: dict[int, KeyPose] = {}
        expected: dict[int, str] = {}
        wanted: list[int] = []
        asked: set[Gap] = set()
        for a, b in sorted(changed):
            known = self._filled.pop((a, b), None)
            if (a, b) not in self._gaps or self._hidden[a] != self._hidden[b]:
                continue  # between a needle and none nobody knows when it came
            poses = self._pose(board, a), self._pose(board, b)
            if not self._hidden[a] and None in poses:
                continue
            base = f"frames {a} and {b}"
            between = [index for index in range(a + 1, b) if index not in self._closed]
            back = {i for i in between if opening and i in unwanted and i not in self._bases}
            if opening and (back or self._accepted & {a, b}) and self._stay((a, b), set(between) - back):
                expected.update((index, self._bases[index]) for index in between if index in self._bases)
                if back:
                    self._filled[a, b] = poses
                else:
                    self._put_off.add((a, b))
                continue
            expected.update(dict.fromkeys(between, base))
            fresh = known is None and all(self._bases.get(index) == base for index in between)
            if (known != poses and not fresh) or (unfinished and (a, b) in self._asked):
                wanted += between
                asked.add((a, b))
                keys[a], keys[b] = KeyPose(a, poses[0]), KeyPose(b, poses[1])
            self._filled[a, b] = poses
        self._asked = asked
        coming = set(wanted)
        seen = dirty.union(*(range(a + 1, b) for a, b in changed))
        stale = sorted(i for i in seen & self._bases.keys() if expected.get(i) != self._bases[i] and i not in coming)
        slots = [a.slot for index in stale for a in board.on_frame(index) if _between_keys(a)]
        return [keys[index] for index in sorted(keys)], wanted, slots

    def _look_at(self, board: Board, index: int) -> None:
        labels = [board.get(Slot(index, name)) for name in NAMES]
        lines = [a for a in labels[:2] if a is not None and a.state is State.CONFIRMED]
        if lines:
            self._hidden[index] = any(isinstance(a.value, NotVisible) for a in lines)
        else:
            self._hidden.pop(index, None)
        _mark(self._accepted, index, bool(lines) and all(a.made.kind in MACHINE_KINDS for a in lines))
        proposed = (a for a in labels if a is not None and a.state is State.PROPOSED)
        _mark(self._modelled, index, any(a.made.kind in MACHINE_KINDS - {Kind.INTERPOLATED} for a in proposed))
        _mark(self._closed, index, any(a is not None and (a.trusted or a.state is State.REJECTED) for a in labels))
        base = next((a.made.base for a in labels if a is not None and _between_keys(a)), "")
        if base:
            self._bases[index] = base
        else:
            self._bases.pop(index, None)

    def _stay(self, gap: Gap, between: set[int]) -> bool:
        """Whether frames are all proposed, with no more than acceptance between their gap and what they came from."""
        return all(self._stands(index, gap) if index in self._bases else index in self._modelled for index in between)

    def _stands(self, index: int, gap: Gap) -> bool:
        """Whether a frame is proposed between key frames that are still there, and no other was drawn nearer."""
        found = _BASE.fullmatch(self._bases[index])
        ends = (int(found[1]), int(found[2])) if found is not None else (-1, -1)
        return all(end in self._hidden and (at == end or at in self._accepted) for at, end in zip(gap, ends))

    def _pose(self, board: Board, index: int) -> NeedlePose | None:
        """The straight needle of a key frame; decoding a mask takes time, so it is kept."""
        if self._hidden[index]:
            return None
        labels = tuple(board.get(Slot(index, name)) for name in (LINE, NEEDLE, TIP))
        known = self._poses.get(index)
        if known is not None and all(a is b for a, b in zip(known[0], labels)):
            return known[1]
        values = [a.value if a is not None and a.state is not State.REJECTED else None for a in labels]
        pose = pose_of_labels(*values)
        self._poses[index] = (labels, pose)
        return pose


def _mark(marked: set[int], index: int, on: bool) -> None:
    if on:
        marked.add(index)
    else:
        marked.discard(index)


def _touched(order: list[int], dirty: set[int]) -> set[Gap]:
    """The pairs of neighbouring key frames that changed frames lie between, or are themselves."""
    found: set[Gap] = set()
    for index in dirty:
        at = bisect_left(order, index)
        is_key = at < len(order) and order[at] == index
        if at > 0 and at < len(order):
            found.add((order[at - 1], order[at]))
        if is_key and at + 1 < len(order):
            found.add((index, order[at + 1]))
    return found


def _between_keys(label: Label) -> bool:
    return label.name in NAMES and label.state is State.PROPOSED and label.made.kind is Kind.INTERPOLATED
