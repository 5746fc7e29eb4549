"""What the plugins see: one card each, then the flags of the picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from puncta.core.events import PluginStatus
from puncta.core.findings import GONE_NS, carried_ns
from puncta.core.flags import Flag
from puncta.core.frame import Calibration
from puncta.core.overlay import Chip
from puncta.core.results import Analysis, Certainty, Detection, Line, PluginOutput
from puncta.core.speakers import found_tip, spoken_for
from puncta.gui.i18n import numbers, tr
from puncta.gui.panels.finding_rows import FindingRows, findings_of
from puncta.gui.panels.flow import FlowLayout
from puncta.gui.panels.option_rows import OptionRows
from puncta.gui.panels.parts import Bar, ChipLabel, ElidedLabel, Switch, set_property, text_label
from puncta.gui.theme import Theme


def finding_words(
    output: PluginOutput | None, *, seen_by_other: bool = False, absent: str = ""
) -> tuple[str, str, str]:
    """Return what a plugin sees now: words, tone and shape.

    Parameters
    ----------
    seen_by_other : bool
        Another plugin shows the needle, so this one's silence does not mean that there is none.
    absent : str
        What stands where there is nothing to say and nothing to wait for.
    """
    if output is None:
        return absent or tr("Waiting for a picture"), "neutral", "ring"
    if output.fault:
        return output.fault, "bad", "cross"
    for result in output.results:
        if isinstance(result, Detection):
            if result.tip_px is None or result.certainty is Certainty.LOST:
                if seen_by_other:
                    return tr("Seen by another plugin"), "neutral", "ring"
                if Flag.TRACK_LOST in output.flags:
                    return tr("Lost"), "bad", "cross"
                return tr("No tip in sight"), "neutral", "ring"
            if result.predicted:
                return tr("Expected here, not seen"), "caution", "diamond"
            if result.certainty is Certainty.UNCERTAIN:
                return tr("Unsure"), "caution", "diamond"
            return tr("Found"), "good", "circle"
    if findings_of(output):
        if Flag.OUT_OF_DISTRIBUTION in output.flags:
            return tr("Unfamiliar picture"), "caution", "diamond"
        return tr("Judged"), "good", "circle"
    return tr("Nothing found"), "neutral", "ring"


def confidence_of(output: PluginOutput | None) -> float | None:
    """Confidence 0..1 of a plugin's main finding; None where it found nothing."""
    if output is None:
        return None
    for result in output.results:
        if isinstance(result, Detection):
            return result.score if result.tip_px is not None else None
    return None


def circle_words(output: PluginOutput | None, calibration: Calibration | None) -> str:
    """Radius of the circle that holds the tip 9 times in 10, in mm or, uncalibrated, in px."""
    for result in output.results if output is not None else ():
        if isinstance(result, Detection) and result.radius90_px is not None and result.tip_px is not None:
            if calibration is None:
                return f"± {result.radius90_px:.0f} px"
            return numbers(f"± {result.radius90_px * sum(calibration.mm_per_px) / 2:.1f} mm")
    return "–"


def angle_words(output: PluginOutput | None) -> str:
    """Angle of the needle to the horizontal, with its standard error."""
    for result in output.results if output is not None else ():
        if isinstance(result, Line) and result.angle_deg is not None:
            doubt = f" ± {max(1.0, result.sigma_deg):.0f}" if result.sigma_deg else ""
            return f"{result.angle_deg:.0f}{doubt}°"
    return "–"


class PluginCard(QFrame):
    """One plugin."""

    def __init__(
        self, plugin_id: str, theme: Theme, switch: Callable[[str, bool], None],
        change: Callable[[str, str, Any], None],
    ) -> None:
        super().__init__()
        self.setObjectName("card")
        self.plugin_id = plugin_id
        self._judges = False
        self._title = text_label(role="strong")
        self._title.setWordWrap(True)
        self.switch = Switch(plugin_id, theme)
        self.switch.clicked.connect(lambda on: switch(plugin_id, on))
        self._chip = ChipLabel(theme)
        self._bar = Bar(tr("Confidence"), theme, "tip")
        self._rows: dict[str, tuple[QWidget, ElidedLabel]] = {}
        head = QHBoxLayout()
        head.setSpacing(8)
        head.addWidget(self._title, 1)
        head.addWidget(self.switch, 0, Qt.AlignmentFlag.AlignTop)
        self._grid = QGridLayout()
        self._grid.setHorizontalSpacing(8)
        self._grid.setVerticalSpacing(5)
        self._grid.setColumnStretch(1, 1)
        self._body = QWidget()
        body = QVBoxLayout(self._body)
        body.setContentsMargins(0, 0, 0, 0)
        body.setSpacing(7)
        chips = QWidget()
        self._chips = FlowLayout(chips)
        self._chips.addWidget(self._chip)
        body.addWidget(chips)
        self.findings = FindingRows(theme)
        self.findings.hide()
        body.addWidget(self.findings)
        self.options = OptionRows(theme, lambda name, value: change(plugin_id, name, value))
        self.options.hide()
        for name in ("confidence", "circle", "angle", "model", "time"):
            self._add_row(name)
            if name == "confidence":
                self._grid.addWidget(self._bar, 1, 0, 1, 2)
        body.addWidget(self.options)
        body.addLayout(self._grid)
        self._message = text_label(role="small")
        self._message.setWordWrap(True)
        self._again = QPushButton(tr("Switch on again"))
        self._again.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self._again.clicked.connect(lambda: switch(plugin_id, True))
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 10, 12, 12)
        column.setSpacing(8)
        column.addLayout(head)
        column.addWidget(self._body)
        column.addWidget(self._message)
        column.addWidget(self._again)

    def show_status(self, status: PluginStatus, *, figures: bool) -> None:
        """Show whether it is on, and for other profiles than the trainee's its model and milliseconds."""
        self._title.setText(tr(status.title))
        self.switch.setAccessibleName(tr("{plugin} on or off").format(plugin=tr(status.title)))
        self.switch.setChecked(status.enabled and not status.breaker_open)
        on = status.enabled and not status.breaker_open
        self._body.setVisible(on)
        set_property(self, "off", "false" if on else "true")
        message = status.message if status.breaker_open else ("" if status.enabled else tr("Off"))
        self._message.setText(message)
        self._message.setVisible(bool(message))
        self._again.setVisible(status.breaker_open)
        self._set_row("model", tr("Model"), status.model or "–", visible=figures and bool(status.model))
        time = "–" if status.p50_ms is None else numbers(f"{status.p50_ms:.1f} ms")
        if status.p95_ms is not None:
            time += numbers(f", p95 {status.p95_ms:.1f}")
        self._set_row("time", tr("Time"), time, visible=figures)
        self.options.show_options(status.options)
        # What judges whole pictures has no place, no circle and no angle to show.
        self._judges = self._judges or ("class" in status.emits and "detection" not in status.emits)

    def show_output(
        self,
        output: PluginOutput | None,
        calibration: Calibration | None,
        *,
        seen_by_other: bool = False,
        absent: str = "",
    ) -> None:
        """Show what it says about the picture on the screen."""
        self._chip.set_chip(*finding_words(output, seen_by_other=seen_by_other, absent=absent))
        reasons = [r.reason for r in output.results if r.reason] if output is not None else []
        self._chip.setToolTip(tr(reasons[0]) if reasons else "")
        judged = findings_of(output)
        self._judges = self._judges or bool(judged)
        if self._judges:
            self.findings.show_findings(judged)
        self.findings.setVisible(self._judges)
        self._chip.setVisible(not judged or (output is not None and Flag.OUT_OF_DISTRIBUTION in output.flags))
        confidence = confidence_of(output)
        self._bar.set_value(confidence)
        self._bar.setVisible(not self._judges)
        words = "–" if confidence is None else numbers(f"{confidence:.2f}")
        self._set_row("confidence", tr("Confidence"), words, visible=not self._judges)
        self._set_row("circle", tr("90 % circle"), circle_words(output, calibration), visible=not self._judges)
        has_line = output is not None and any(isinstance(r, Line) for r in output.results)
        self._set_row("angle", tr("Angle"), angle_words(output), visible=has_line)

    def _add_row(self, name: str) -> None:
        place = {"confidence": 0, "circle": 2, "angle": 3, "model": 4, "time": 5}[name]
        key, value = text_label(role="quiet"), ElidedLabel()
        value.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        value.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self._grid.addWidget(key, place, 0)
        self._grid.addWidget(value, place, 1)
        self._rows[name] = (key, value)

    def _set_row(self, name: str, key: str, value: str, *, visible: bool = True) -> None:
        label, shown = self._rows[name]
        label.setText(key)  # type: ignore[attr-defined]
        shown.set_full(value)
        label.setVisible(visible)
        shown.setVisible(visible)


class Inspector(QWidget):
    """All cards and the flags."""

    def __init__(
        self,
        theme: Theme,
        switch: Callable[[str, bool], None],
        change: Callable[[str, str, Any], None],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._theme, self._switch, self._change = theme, switch, change
        self.cards: dict[str, PluginCard] = {}
        self._analysis: Analysis | None = None
        self._absent = ""
        column = QVBoxLayout(self)
        column.setContentsMargins(14, 14, 14, 14)
        column.setSpacing(10)
        column.addWidget(text_label(tr("What it sees").upper(), "head"))
        self._why = text_label(role="strong")
        self._why.setWordWrap(True)
        self._why.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
        self._why.hide()
        column.addWidget(self._why)
        self._cards = QVBoxLayout()
        self._cards.setSpacing(10)
        column.addLayout(self._cards)
        self._empty = text_label(tr("No plugin is installed. Put one into the plugins folder."), "small")
        self._empty.setWordWrap(True)
        column.addWidget(self._empty)
        self._flags_head = text_label(tr("Flags").upper(), "head")
        column.addSpacing(6)
        column.addWidget(self._flags_head)
        chips = QWidget()
        self._flow = FlowLayout(chips)
        self._chips: list[ChipLabel] = []
        column.addWidget(chips)
        self._no_flags = text_label(tr("None on this picture"), "small")
        column.addWidget(self._no_flags)
        column.addStretch(1)

    def set_theme(self, theme: Theme) -> None:
        """New cards take this theme."""
        self._theme = theme

    def show_plugins(self, plugins: Sequence[PluginStatus], *, figures: bool) -> None:
        """Make a card for each plugin, and show how it fares."""
        wanted = {status.plugin_id for status in plugins}
        for gone in [plugin_id for plugin_id in self.cards if plugin_id not in wanted]:
            card = self.cards.pop(gone)
            self._cards.removeWidget(card)
            card.hide()
            card.deleteLater()
        for status in plugins:
            if status.plugin_id not in self.cards:
                card = PluginCard(status.plugin_id, self._theme, self._switch, self._change)
                self.cards[status.plugin_id] = card
                self._cards.addWidget(card)
                card.show_output(None, None, absent=self._absent)
            self.cards[status.plugin_id].show_status(status, figures=figures)
        self._empty.setVisible(not plugins)

    def show_absence(self, why: str, absent: str) -> None:
        """Say above the cards why they have nothing to say, and on each a word; empty texts take that away."""
        if (why, absent) == (self._why.text(), self._absent):
            return
        self._absent = absent
        self._why.setText(why)
        self._why.setVisible(bool(why))
        self.show_analysis(self._analysis)

    def show_analysis(self, analysis: Analysis | None) -> None:
        """Show what the plugins say about the picture on the screen."""
        self._analysis = analysis
        calibration = analysis.frame.geometry.calibration if analysis is not None else None
        silent = spoken_for(analysis) if analysis is not None else frozenset()
        outputs = analysis.outputs if analysis is not None else ()
        shown = any(found_tip(o) is not None for o in outputs if o.plugin_id not in silent)
        for plugin_id, card in self.cards.items():
            output = analysis.output(plugin_id) if analysis is not None else None
            if output is not None and analysis is not None and carried_ns(output, analysis.frame) > GONE_NS:
                output = None
            seen = shown and plugin_id in silent
            card.show_output(output, calibration, seen_by_other=seen, absent=self._absent)

    def show_chips(self, chips: Sequence[Chip]) -> None:
        """Show the flags of the picture on the screen."""
        while len(self._chips) < len(chips):
            chip = ChipLabel(self._theme)
            self._chips.append(chip)
            self._flow.addWidget(chip)
        for i, label in enumerate(self._chips):
            label.setVisible(i < len(chips))
            if i < len(chips):
                label.set_chip(_chip_words(chips[i].text), chips[i].tone, chips[i].shape)
        self._no_flags.setVisible(not chips)


def _chip_words(text: str) -> str:
    name, colon, value = text.partition(": ")
    return f"{tr(name)}: {tr(value)}" if colon else tr(text)
