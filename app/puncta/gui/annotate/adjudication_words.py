"""What two readers say of a thing, and what became of it, in as few words as will do."""

from __future__ import annotations

from collections.abc import Sequence

from puncta.annotation.disputes import Dispute
from puncta.annotation.labels import FlagLabel, Label, NotVisible, PhaseLabel
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


def said(labels: Sequence[Label]) -> str:
    """What a reader says of a thing, in a word or two."""
    if not labels:
        return tr("not judged")
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
