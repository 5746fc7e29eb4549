"""Beside a live picture: what it is set up for, how the target stands, the planned path, sounds, second screen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QComboBox, QFrame, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from puncta.core.aiming import circle_doubt, unit_scale
from puncta.core.frame import UltrasoundRegion
from puncta.core.geometry import PointPx
from puncta.core.guidance import plan_figures
from puncta.core.target import LOSS_WORDS, TargetFix
from puncta.gui.i18n import numbers, tr
from puncta.gui.panels.parts import ShapeMark, Switch, text_label
from puncta.gui.theme import Theme


def fix_words(fix: TargetFix | None, region: UltrasoundRegion | None) -> tuple[str, str, str]:
    """Say how a target stands: words, tone and shape."""
    if fix is None or region is None:
        return tr("No target is set."), "neutral", "ring"
    if fix.point_px is None:
        why = LOSS_WORDS.get(fix.loss, "")
        return tr("Target lost: {why}.").format(why=tr(why)), "caution", "diamond"
    if fix.true:
        return tr("Followed by the simulation's truth."), "good", "circle"
    calibrated = region.calibration is not None
    doubt = circle_doubt(fix.doubt_px, unit_scale(region.calibration))
    figure = numbers(f"{doubt:.1f} mm") if calibrated else f"{doubt:.0f} px"
    return tr("Follows the tissue, ± {doubt}.").format(doubt=figure), "good", "circle"


class ProcedurePanel(QWidget):
    """One card; hidden where nothing is live or somebody steers."""

    def __init__(
        self, theme: Theme, run: Callable[[str], None], choose: Callable[[str], None], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._names: list[str] = []
        card = QFrame()
        card.setObjectName("card")
        card.setAccessibleName(tr("Procedure"))
        self.choice = QComboBox()
        self.choice.setAccessibleName(tr("Procedure"))
        self.choice.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.choice.activated.connect(lambda place: choose(self._names[place]))
        self.advice = text_label(role="small")
        self.advice.setWordWrap(True)
        self._mark = ShapeMark(theme, "ring", "neutral")
        self.state = text_label(role="strong")
        self.state.setWordWrap(True)
        state = QHBoxLayout()
        state.setSpacing(8)
        state.addWidget(self._mark, 0, Qt.AlignmentFlag.AlignTop)
        state.addWidget(self.state, 1)
        self.target = self._button(tr("Set the target"), lambda: run("target_tool"))
        self.clear = self._button(tr("Remove"), lambda: run("target_clear"))
        self.planned = text_label(role="quiet")
        self.planned.setWordWrap(True)
        self.plan = self._button(tr("Plan a path"), lambda: run("plan"))
        self.no_plan = self._button(tr("Remove"), lambda: run("plan_clear"))
        self.sounds = Switch(tr("Sounds"), theme)
        self.sounds.clicked.connect(lambda: run("sounds"))
        self.second = self._button(tr("Second screen"), lambda: run("second_screen"))
        column = QVBoxLayout(card)
        column.setContentsMargins(12, 10, 12, 12)
        column.setSpacing(7)
        column.addWidget(self.choice)
        column.addLayout(state)
        column.addWidget(self.advice)
        column.addLayout(_row(self.target, self.clear))
        column.addWidget(self.planned)
        column.addLayout(_row(self.plan, self.no_plan))
        below = QHBoxLayout()
        below.addWidget(text_label(tr("Sounds"), "quiet"), 1)
        below.addWidget(self.sounds)
        column.addLayout(below)
        column.addWidget(self.second)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(14, 14, 14, 0)
        outer.setSpacing(10)
        outer.addWidget(text_label(tr("Procedure").upper(), "head"))
        outer.addWidget(card)
        self.hide()

    def show_choices(self, procedures: Sequence[tuple[str, str]], chosen: str) -> None:
        """Fill the list with (id, title)."""
        self._names = [name for name, _title in procedures]
        self.choice.clear()
        self.choice.addItems([tr(title) for _name, title in procedures])
        self.choice.setCurrentIndex(self._names.index(chosen))

    def show_procedure(self, chosen: str, advice: str) -> None:
        """Show what is chosen, and what its target is."""
        self.choice.setCurrentIndex(self._names.index(chosen))
        _say(self.advice, advice)

    def show_target(
        self,
        fix: TargetFix | None,
        region: UltrasoundRegion | None,
        plan_px: PointPx | None,
        word: str,
        *,
        waits: bool = False,
    ) -> None:
        """Follow target and plan on the picture that is shown."""
        words, tone, shape = fix_words(fix, region)
        if fix is None and waits:
            words = tr("The target waits for a picture.")
        _say(self.state, words)
        self._mark.set_mark(shape, tone)
        self.advice.setVisible(fix is None and not waits)
        self.clear.setVisible(fix is not None)
        _say(self.target, tr("Set the target") if fix is None else tr("Set it again"))
        figures = plan_figures(plan_px, region) if plan_px is not None and region is not None else None
        self.planned.setVisible(figures is not None)
        self.no_plan.setVisible(figures is not None)
        self.plan.setEnabled(fix is not None and fix.point_px is not None)
        if figures is not None:
            angle, length, unit = figures
            text = tr("Planned: {angle}° to the horizontal, {length} to the {target}.")
            _say(self.planned, text.format(angle=f"{angle:.0f}", length=f"{length:.0f} {unit}", target=word))

    def set_keys(self, words: Mapping[str, str]) -> None:
        """Name the keys in the tool tips."""
        pairs = ((self.target, "target"), (self.clear, "target_clear"), (self.plan, "plan"),
                 (self.no_plan, "plan_clear"), (self.sounds, "sounds"), (self.second, "second_screen"))
        for widget, action in pairs:
            widget.setToolTip(words.get(action, ""))

    def _button(self, words: str, act: Callable[[], None]) -> QPushButton:
        button = QPushButton(words)
        button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        button.clicked.connect(lambda: act())
        return button


def _row(first: QWidget, second: QWidget) -> QHBoxLayout:
    row = QHBoxLayout()
    row.setSpacing(8)
    row.addWidget(first, 1)
    row.addWidget(second)
    return row


def _say(label: QWidget, text: str) -> None:
    if label.text() != text:  # type: ignore[attr-defined]
        label.setText(text)  # type: ignore[attr-defined]
