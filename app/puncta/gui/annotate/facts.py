"""What the cards and the strip say about a frame's labels, in words."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from puncta.annotation.labels import (
    LINE_SUFFIX,
    MACHINE_KINDS,
    BoxLabel,
    Kind,
    Label,
    LineLabel,
    MaskLabel,
    NoteLabel,
    NotVisible,
    PolygonLabel,
    State,
    TipLabel,
    mask_of,
)
from puncta.core.frame import Calibration
from puncta.gui.annotate.review_queue import Doubt, makers_of
from puncta.gui.annotate.said import told
from puncta.gui.i18n import tr
from puncta.session.between_keys import NEEDLE, TIP

STATE_WORDS = {
    State.PROPOSED: "Proposed",
    State.CONFIRMED: "Confirmed",
    State.BULK: "Confirmed in a range",
    State.REJECTED: "Rejected",
}
VISIBILITY_WORDS = {
    "clear": "clear",
    "uncertain": "uncertain",
    "absent": "not visible",
    "out_of_plane": "out of the plane",
    "shadowed": "in a shadow",
}

Facts = list[tuple[str, str]]


def tip_facts(labels: Sequence[Label]) -> Facts:
    """Lines about the tip."""
    label = _named(labels, TIP)
    if label is None:
        return []
    facts: Facts = [(tr("State"), tr(STATE_WORDS[label.state]))]
    if isinstance(label.value, TipLabel):
        x, y = label.value.tip_px
        facts.append((tr("Place"), f"{x:.0f}, {y:.0f} px"))
    elif isinstance(label.value, NotVisible):
        facts.append((tr("Place"), tr(VISIBILITY_WORDS[str(label.value.visibility)])))
    if label.made.confidence is not None and not label.trusted:
        facts.append((tr("Confidence"), f"{label.made.confidence:.2f}"))
    return facts


def needle_facts(labels: Sequence[Label], before: Sequence[Label], calibration: Calibration | None) -> Facts:
    """Lines about the needle: its length, its width, and how much its mask is that of the frame before."""
    mask, line = _named(labels, NEEDLE), _named(labels, NEEDLE + LINE_SUFFIX)
    if mask is None and line is None:
        return []
    main = mask or line
    assert main is not None
    facts: Facts = [(tr("State"), tr(STATE_WORDS[main.state]))]
    if isinstance(main.value, NotVisible):
        facts.append((tr("Place"), tr(VISIBILITY_WORDS[str(main.value.visibility)])))
    if line is not None and isinstance(line.value, LineLabel):
        facts.append((tr("Length"), _length(line.value, calibration)))
    last = _named(before, NEEDLE)
    if mask is not None and isinstance(mask.value, MaskLabel | PolygonLabel):
        there = last.value if last is not None else None
        if last is not None and isinstance(there, MaskLabel | PolygonLabel) and there.size == mask.value.size:
            a, b = mask_of(mask.value), mask_of(there)
            both = int((a & b).sum())
            dice = 2.0 * both / max(1, int(a.sum()) + int(b.sum()))
            index = f"{last.key.index:03d}"
            facts.append((tr("Against frame {index}").format(index=index), f"Dice {dice:.2f}"))
    if main.made.confidence is not None and not main.trusted:
        facts.append((tr("Confidence"), f"{main.made.confidence:.2f}"))
    return facts


def thing_facts(labels: Sequence[Label], name: str, calibration: Calibration | None) -> Facts:
    """Lines about a thing other than needle and tip, such as the target: where it is and how large."""
    label = _named(labels, name) or _named(labels, name + LINE_SUFFIX)
    if label is None:
        return []
    facts: Facts = [(tr("State"), tr(STATE_WORDS[label.state]))]
    value = label.value
    if isinstance(value, NotVisible):
        facts.append((tr("Place"), tr(VISIBILITY_WORDS[str(value.visibility)])))
    elif isinstance(value, LineLabel):
        facts.append((tr("Length"), _length(value, calibration)))
    elif isinstance(value, TipLabel):
        facts.append((tr("Place"), f"{value.tip_px[0]:.0f}, {value.tip_px[1]:.0f} px"))
    elif isinstance(value, BoxLabel):
        x, y, w, h = value.box
        facts += _extent((x + w / 2, y + h / 2), (w, h), None, calibration)
    elif isinstance(value, MaskLabel | PolygonLabel):
        mask = mask_of(value)
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if len(rows):
            centre = ((columns[0] + columns[-1]) / 2, (rows[0] + rows[-1]) / 2)
            size = (float(columns[-1] - columns[0] + 1), float(rows[-1] - rows[0] + 1))
            facts += _extent(centre, size, int(mask.sum()), calibration)
    if label.made.confidence is not None and not label.trusted:
        facts.append((tr("Confidence"), f"{label.made.confidence:.2f}"))
    return facts


def _extent(
    centre: tuple[float, float], size: tuple[float, float], pixels: int | None, calibration: Calibration | None
) -> Facts:
    facts: Facts = [(tr("Place"), f"{centre[0]:.0f}, {centre[1]:.0f} px")]
    if calibration is None:
        facts.append((tr("Size"), f"{size[0]:.0f} × {size[1]:.0f} px"))
        return facts if pixels is None else [*facts, (tr("Area"), f"{pixels} px")]
    sx, sy = calibration.mm_per_px
    facts.append((tr("Size"), f"{size[0] * sx:.1f} × {size[1] * sy:.1f} mm"))
    return facts if pixels is None else [*facts, (tr("Area"), f"{pixels * sx * sy:.0f} mm²")]


def note_of(labels: Sequence[Label]) -> str:
    """The frame's note."""
    return next((a.value.text for a in labels if isinstance(a.value, NoteLabel)), "")


def state_of(
    labels: Sequence[Label], rater: str, asked: Doubt | None = None, *, named: bool = True
) -> tuple[str, str, str, bool]:
    """Return words, shape and tone of the frame's state, and whether something is proposed.

    Parameters
    ----------
    asked : Doubt or None
        Why the frame stands in the queue, if it does.
    named : bool
        Say which models made the labels; not to somebody who reads blind.
    """
    placed = [a for a in labels if a.state is not State.REJECTED and not isinstance(a.value, NoteLabel)]
    proposed = [a for a in placed if a.state is State.PROPOSED]
    if proposed:
        made = proposed[0].made
        models = ", ".join(makers_of(proposed)) if named else ""
        if made.kind is Kind.INTERPOLATED:
            words = tr("Proposed between key frames: {base}").format(base=made.base)
            words = f"{words}, {models}" if models else words
        elif not named:
            words = tr("Proposed")
        else:
            base = made.base or tr("the clip itself")
            words = tr("Proposed by {model} from {base}").format(model=models or made.by, base=base)
        sure = made.confidence
        if sure is not None:
            words = f"{words}, {tr('Confidence').lower()} {sure:.2f}"
        return words, "ring", "accent", True
    if placed:
        label = placed[0]
        by = label.rater or rater
        words = tr("Confirmed by {rater}").format(rater=by)
        if label.made.kind is Kind.INTERPOLATED:
            words = tr("Confirmed by {rater}, proposed between key frames").format(rater=by)
        elif named and label.made.kind in MACHINE_KINDS:
            words = f"{words}, {label.made.by} {label.made.version}".rstrip()
        return words, "circle", "good", False
    if any(a.state is State.REJECTED for a in labels):
        return tr("Rejected. The frame is open."), "cross", "caution", False
    words = tr("Open. Nothing is labelled on this frame.")
    if named and asked is not None and asked.makers:
        words = f"{words}  {told(asked.words)}: {', '.join(asked.makers)}"
    return words, "square", "neutral", False


def _named(labels: Sequence[Label], name: str) -> Label | None:
    return next((a for a in labels if a.name == name and a.state is not State.REJECTED), None)


def _length(line: LineLabel, calibration: Calibration | None) -> str:
    (ax, ay), (bx, by) = line.entry_px, line.tip_px
    if calibration is None:
        return f"{math.hypot(ax - bx, ay - by):.0f} px"
    sx, sy = calibration.mm_per_px
    return f"{math.hypot((ax - bx) * sx, (ay - by) * sy):.1f} mm"
