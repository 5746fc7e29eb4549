"""Why there is nothing to accept or to reject, and what would bring something."""

from __future__ import annotations

from typing import TYPE_CHECKING

from puncta.annotation.commands import Board
from puncta.annotation.labels import State
from puncta.gui.annotate.help_jobs import BETWEEN, ONWARD
from puncta.gui.i18n import tr
from puncta.session.between_keys import NEEDLE

if TYPE_CHECKING:
    from puncta.gui.annotate.annotator import Annotator


def nothing_here(annotator: Annotator, index: int) -> str:
    """Say why nothing is proposed on a frame."""
    return f"{tr('Nothing is proposed on this frame.')} {_why(annotator, index, index)}".strip()


def nothing_in_range(annotator: Annotator, first: int, last: int) -> str:
    """Say why nothing is proposed in a range."""
    return f"{tr('Nothing is proposed in this range.')} {_why(annotator, first, last)}".strip()


def _why(a: Annotator, first: int, last: int) -> str:
    board = a.desk.board
    if board is None:
        return ""
    if a.jobs.running in {BETWEEN, ONWARD}:
        return tr("The frames are still being looked at.")
    if all(any(label.trusted for label in board.on_frame(index)) for index in range(first, last + 1)):
        return tr("It is confirmed already.") if first == last else tr("Every frame of it is confirmed already.")
    waiting = sorted({label.key.index for label in board if label.state is State.PROPOSED})
    if waiting:
        if len(waiting) == 1:
            return tr("A proposal waits on frame {index}.").format(index=waiting[0])
        return tr("Proposals wait on frames {first} to {last}.").format(first=waiting[0], last=waiting[-1])
    return _how_to_get_some(a, board) if NEEDLE in a.names else ""


def _how_to_get_some(a: Annotator, board: Board) -> str:
    keys = sorted({x.key.index for x in board if x.name == NEEDLE and x.state is State.CONFIRMED})
    may = a.work.stand is not None and a.work.stand.may_propose
    key = a.key_words("propagate_on")
    if len(keys) > 1:
        return tr("{key} carries the needle on from this frame.").format(key=key) if may else ""
    if keys:
        words = tr("The needle is drawn on frame {index} alone; draw it on a second one.")
        if may:
            words = tr("The needle is drawn on frame {index} alone; draw it on a second one, or press {key}.")
        return words.format(index=keys[0], key=key)
    if may:
        return tr("No needle is drawn yet; draw it on two frames, or press {key}.").format(key=key)
    return tr("No needle is drawn yet; draw it on two frames.")
