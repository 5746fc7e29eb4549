"""What two readers say of a thing, and what became of it, in as few words as will do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from puncta.annotation.commands import Board
from puncta.annotation.consensus_count import ConsensusCount
from puncta.annotation.disputes import Answer, Dispute
from puncta.annotation.labels import NOTE, FlagLabel, Label, NotVisible, PhaseLabel, State
from puncta.gui.annotate.said import told
from puncta.gui.i18n import tr


def both_drawn(dispute: Dispute) -> bool:
    """Both point at it, so that a figure tells how far they part."""
    values = [side[0].value for side in (dispute.a, dispute.b) if side]
    return len(values) == 2 and not any(isinstance(v, NotVisible | FlagLabel | PhaseLabel) for v in values)


def figure(dispute: Dispute) -> str:
    """What a line of the list says of a difference, in as few words as will do."""
    if dispute.one_sided:
        return tr("only {rater}").format(rater=(dispute.a or dispute.b)[0].rater)
    if both_drawn(dispute):
        return told(dispute.text.partition(",")[0])
    a, b = dispute.a[0].value, dispute.b[0].value
    if isinstance(a, FlagLabel | PhaseLabel):
        return f"{value_words(dispute.a[0])} / {value_words(dispute.b[0])}"
    if isinstance(a, NotVisible) and isinstance(b, NotVisible):
        return tr("why not seen")
    return tr("seen or not")


def said(labels: Sequence[Label], reading: Board, dispute: Dispute) -> str:
    """What a reader says of a thing, in a word or two; one who turned down a proposal has drawn nothing."""
    if not labels:
        there = (reading.get(slot) for slot in dispute.slots)
        turned_down = any(x is not None and x.state is State.REJECTED for x in there)
        return tr("proposal rejected") if turned_down else tr("not judged")
    return value_words(labels[0])


def value_words(label: Label) -> str:
    value = label.value
    if isinstance(value, FlagLabel):
        return tr("no") if value.value == 0 else tr("yes") if value.value == 1 else str(value.value)
    if isinstance(value, PhaseLabel):
        return value.phase
    return tr("not visible") if isinstance(value, NotVisible) else tr("drawn")


def answered(label: Label | None) -> str:
    if label is None:
        return tr("none")
    by = label.made.base or label.made.by
    return tr("{words} by {rater}").format(words=value_words(label), rater=by)


def why_not(given: Answer, raters: tuple[str, str]) -> str:
    """Why an answer cannot be given."""
    if given is Answer.ABSENT:
        return tr("A phase is never absent: take one of the two.")
    words = tr("{rater} has not judged this. Take the other one, draw your own, or say that it is absent.")
    return words.format(rater=raters[0] if given is Answer.A else raters[1])


def not_shown(dispute: Dispute) -> str:
    """Why an answer waits: the difference that is named lies on a frame that nobody sees yet."""
    return tr("Frame {index} is not on the screen yet. Look at it, then answer.").format(index=f"{dispute.index:03d}")


def judged_alone(disputes: Iterable[Dispute], readings: Iterable[Board], consensus: Board) -> set[int]:
    """Return the frames that wait and on which one of two readers has judged nothing at all."""
    found = {d.index for d in disputes if d.one_sided and not d.settled(consensus)}
    judged = [{i for i in found if any(x.trusted and x.name != NOTE for x in r.on_frame(i))} for r in readings]
    return found - set.intersection(*judged)


def frames_in_words(frames: Iterable[int], most: int = 6) -> str:
    """Name frames shortly: "003, 010-019, 027", and no more than ``most`` of these."""
    runs: list[list[int]] = []
    for index in sorted(frames):
        if runs and index == runs[-1][1] + 1:
            runs[-1][1] = index
        else:
            runs.append([index, index])
    words = [f"{first:03d}" if first == last else f"{first:03d}-{last:03d}" for first, last in runs[:most]]
    return ", ".join(words + ["…"] * (len(runs) > most))


def waiting_words(count: ConsensusCount) -> str:
    """What an export leaves out, "" for nothing."""
    if not count.waiting:
        return ""
    one = tr("1 of {total} labelled frames still waits for an answer; it stays out, also what agrees on it.")
    many = tr("{count} of {total} labelled frames still wait for an answer; they stay out, also what agrees on them.")
    return (one if len(count.waiting) == 1 else many).format(count=len(count.waiting), total=count.total)
