"""How far two readings agree, in figures that say what they are and over how many frames."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtWidgets import QVBoxLayout, QWidget

from puncta.annotation.agreement import Agreement, Kappa
from puncta.gui.annotate.right_panel import FactCard
from puncta.gui.i18n import tr
from puncta.gui.panels.parts import text_label


class AgreementCard(QWidget):
    """Kappa, Dice, outlines and distances; hidden while nobody compares."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 10)
        column.setSpacing(8)
        column.addWidget(text_label(tr("Agreement").upper(), "head"))
        self._box = QVBoxLayout()
        self._box.setSpacing(8)
        column.addLayout(self._box)
        self.cards: dict[str, FactCard] = {}
        self.note = text_label(role="small")
        self.note.setWordWrap(True)
        column.addWidget(self.note)
        self.hide()

    def show_agreement(self, found: Agreement, titles: Mapping[str, str]) -> None:
        """Show the figures of two readings; titles by the name of what was labelled."""
        cards = facts_of(found)
        for name, facts in cards.items():
            if name not in self.cards:
                self.cards[name] = FactCard(titles.get(name, tr(name.capitalize())))
                self._box.addWidget(self.cards[name])
            self.cards[name].show_facts(facts)
        for name, card in self.cards.items():
            card.setVisible(name in cards)
        words = tr("{frames} frames that both have judged.").format(frames=found.frames)
        if found.proposals:
            words = f"{words} {tr('The raters could see what models propose: they are not independent.')}"
        self.note.setText(words)


def facts_of(found: Agreement) -> dict[str, list[tuple[str, str]]]:
    """Return name and value of every figure, by what was labelled."""
    cards: dict[str, list[tuple[str, str]]] = {}
    for mask in found.masks:
        facts = cards.setdefault(mask.name, [])
        facts.append(("Dice", f"{mask.dice_mean:.2f}, {tr('least')} {mask.dice_least:.2f}"))
        if mask.boundary is not None:
            facts.append((tr("Outlines apart"), f"{mask.boundary:.2f} {mask.unit}"))
    for gap in found.distances:
        name = gap.name.removesuffix(".line")
        what = tr("Angle") if gap.unit == "deg" else tr("Ends apart") if gap.name.endswith(".line") else tr("Apart")
        unit = "°" if gap.unit == "deg" else f" {gap.unit}"
        cards.setdefault(name, []).append((what, f"{gap.median:.1f}{unit}, p95 {gap.p95:.1f}{unit}"))
    for kappa in found.visible:
        if not kappa.name.endswith(".line"):
            cards.setdefault(kappa.name, []).append((tr("Seen or not"), _kappa(kappa)))
    for kappa in found.flags:
        what = tr("Weighted kappa") if "quadratic" in kappa.method else "Kappa"
        cards.setdefault(kappa.name, []).append((what, _kappa(kappa)))
    return cards


def _kappa(kappa: Kappa) -> str:
    if kappa.value is None:
        return tr("always the same, n {n}").format(n=kappa.n)
    return f"κ {kappa.value:.2f}, n {kappa.n}"
