"""What an undo or a redo says where it changes more than the frame on the screen: nobody sees that by looking."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from puncta.annotation.commands import Change
from puncta.annotation.labels import State
from puncta.gui.annotate.said import told
from puncta.gui.i18n import tr

if TYPE_CHECKING:
    from puncta.gui.annotate.annotator import Annotator
    from puncta.gui.annotate.label_desk import Gesture

_OPEN = {State.PROPOSED, State.REJECTED}


def follow_step(annotator: Annotator, changes: Sequence[Change], frame: int) -> None:
    """Let the proposals follow the step that the desk has just made on a frame, and say what changes elsewhere."""
    gesture = annotator.desk.history[0]
    words = step_words(gesture, changes, frame, annotator.help.stepped(changes))
    if words:
        annotator.say(words)


def step_words(gesture: Gesture, changes: Sequence[Change], frame: int, following: Iterable[int] = ()) -> str:
    """Return what a step has changed; nothing where that is the labels of one frame, the one it was made on.

    Parameters
    ----------
    following : iterable of int
        Frames whose proposals follow from it.
    """
    frames, behind = sorted({c.slot.index for c in changes}), sorted(following)
    title = told(gesture.title)
    parts = []
    if frames != [frame]:
        sides = [label for c in changes for label in (c.before, c.after) if label is not None]
        proposals = all(label.state in _OPEN for label in sides)
        words = tr("Taken back: {title}, {what}.") if gesture.taken_back else tr("Made again: {title}, {what}.")
        parts.append(words.format(title=title, what=_what(frames, proposals)))
    elif behind:
        words = tr("Taken back: {title}.") if gesture.taken_back else tr("Made again: {title}.")
        parts.append(words.format(title=title))
    if behind:
        words = tr("What lies between key frames follows, {what}.")
        parts.append(words.format(what=_what(behind, True)))
    return " ".join(parts)


def _what(frames: Sequence[int], proposals: bool) -> str:
    if len(frames) == 1:
        words = tr("proposals on frame {index}") if proposals else tr("labels on frame {index}")
        return words.format(index=f"{frames[0]:03d}")
    words = (
        tr("proposals on {count} frames from {first} to {last}")
        if proposals
        else tr("labels on {count} frames from {first} to {last}")
    )
    return words.format(count=len(frames), first=f"{frames[0]:03d}", last=f"{frames[-1]:03d}")
