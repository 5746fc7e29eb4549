"""Where the parts of Annotate stand in the window, and which of them are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout

from puncta.annotation.store_open import StoreAbsent, StoreDamaged
from puncta.core.errors import UserError
from puncta.formats.label_sets import label_sets_dir, read_label_set, shipped_label_sets
from puncta.gui.actions import ANNOTATE_GROUP as GROUP
from puncta.gui.annotate.adjudication_scene import CONSENSUS_TOKEN
from puncta.gui.annotate.blind import nothing_proposed_words
from puncta.gui.i18n import tr

if TYPE_CHECKING:
    from puncta.gui.annotate.annotator import Annotator


def assemble(annotator: Annotator) -> None:
    """Put the parts into the window, each beside what it stands in for."""
    a, window = annotator, annotator.window
    for part, other in ((a.left, window.sources), (a.right, window.inspector)):
        around = other.parentWidget()
        beside = around.layout() if around is not None else None
        assert isinstance(beside, QVBoxLayout)
        beside.insertWidget(0, part)
        if part is a.left:
            beside.insertWidget(1, a.adjudication.panel)
    a.left.add_first(a.work.panel)
    a.right.add_first(a.adjudication.card)
    window.bottom.addWidget(a.bar)
    stage, top = window.stage.layout(), window.top.layout()
    assert isinstance(stage, QVBoxLayout) and isinstance(top, QHBoxLayout)
    stage.addWidget(a.strip)
    top.insertWidget(top.indexOf(window.top.calibration), a.status)
    for own in (a.left, a.right, a.strip, a.status):
        own.hide()


def show_adjudication(annotator: Annotator) -> None:
    """Show what belongs to adjudicating, or what belongs to labelling alone; the keys follow."""
    a, window = annotator, annotator.window
    on = a.adjudication.on
    a.left.setVisible(a.on and not on)
    a.adjudication.panel.setVisible(a.on and on)
    a.adjudication.card.setVisible(a.on and on)
    a.right.set_proposing(not on)
    a.strip.show_legend(a.adjudication.sides if on else None)
    a.scene.readings = a.adjudication.items
    a.scene.own_token = CONSENSUS_TOKEN if on else ""
    a.status.show_rater(window.preferences.settings.rater, consensus=on)
    if a.on:
        window.keyboard.set_mode(a.key_mode)
        window.status_line.set_hints(window.keyboard.hints(a.key_mode))
        window.room.restyle()


def show_shut(annotator: Annotator, shut: bool, blind: bool) -> None:
    """Leave nothing that looks as if it could be pressed where it can do nothing, or bring it back.

    Parameters
    ----------
    shut : bool
        Nothing can be labelled.
    blind : bool
        Models may propose nothing.
    """
    a, window = annotator, annotator.window
    for part in (a.left, a.right, a.status):
        part.set_shut(shut)
    a.right.set_blind(nothing_proposed_words() if blind else "")
    kept_off = frozenset(a.right.buttons) if blind else frozenset()
    window.keyboard.idle = frozenset({GROUP}) if shut else kept_off
    if a.on:
        window.status_line.set_hints(window.keyboard.hints(a.key_mode))


def known_label_sets() -> list[tuple[str, str]]:
    """Return id and title of the label sets that ship."""
    found = []
    for name in shipped_label_sets():
        try:
            found.append((name, read_label_set(label_sets_dir() / f"{name}.json").title))
        except UserError:
            continue
    return found


def trouble_words(trouble: Exception | None, words: str) -> tuple[str, bool]:
    """Say what is wrong with the store, and whether an empty one may be begun on a press."""
    if isinstance(trouble, StoreAbsent):
        told = tr("There is no store of labels at {path}. Look at the name, or begin an empty one there.")
        return told.format(path=trouble.path), True
    return words, isinstance(trouble, StoreDamaged)
