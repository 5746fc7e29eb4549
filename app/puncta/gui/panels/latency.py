"""The latency meter: one dot that says live, late or lost; figures for those who want them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from PySide6.QtCore import QPoint, QRectF, Qt
from PySide6.QtGui import QIcon, QPainter, QPixmap
from PySide6.QtWidgets import QFrame, QGridLayout, QPushButton, QVBoxLayout, QWidget

from puncta.core.events import PipelineStatus, PlayState, SourceHealth, SourceProblem
from puncta.gui.i18n import numbers, tr
from puncta.gui.panels.parts import draw_mark, text_label, tone_colour
from puncta.gui.source_said import told
from puncta.gui.theme import Theme

if TYPE_CHECKING:
    from puncta.gui.panels.banners import BannerStack
    from puncta.session.latency import LatencySnapshot

LATE_MS = 50.0
"""A picture painted later than this after it came is late."""
HARMFUL_MS = 100.0
"""Above this, people steer a needle worse; it is told in a sentence."""
CALM_MS = 90.0
"""The sentence goes once the picture is younger than this, so that it does not flicker."""
LOST_NS = 1_000_000_000

DROP_WORDS = {
    "late": "late for its time",
    "replaced by newer": "analysis was busy",
    "source": "lost by the source",
    "program busy": "the program was busy",
    "damaged on the way": "damaged on the way",
    "missing in the stream": "missing in the stream",
    "damaged transform": "damaged transforms",
}


def judge_latency(
    status: PipelineStatus, latency: LatencySnapshot, now_ns: int, *, stalled: bool, since_ns: int = 0
) -> tuple[str, str, str]:
    """Return word, tone and shape of the dot; it has played ``since_ns`` without a pause [ns, monotonic]."""
    if status.state is PlayState.OPENING:
        return tr("opening"), "neutral", "ring"
    if status.state in {PlayState.FAILED, PlayState.RECONNECTING}:
        return tr("lost"), "bad", "cross"
    if status.state is not PlayState.PLAYING:
        return (tr("paused") if status.info is not None else tr("no source")), "neutral", "square"
    patience = max(LOST_NS, round(3 * (status.info.interval_ns if status.info else 0) / max(0.1, status.rate)))
    if stalled or (latency.last_paint_ns and now_ns - max(latency.last_paint_ns, since_ns) > patience):
        return tr("lost"), "bad", "cross"
    if latency.frame_to_painted is not None and latency.frame_to_painted.p95_ms > LATE_MS:
        return tr("late"), "caution", "diamond"
    if status.health is not None and status.health.problem is not SourceProblem.NONE:
        return tr("see the message"), "caution", "diamond"
    return tr("live"), "good", "circle"


def show_source_failure(banners: BannerStack, sentence: str) -> None:
    """Say why a source did not open, or stopped."""
    banners.say("open", "bad", told(sentence))


def show_source_state(banners: BannerStack, status: PipelineStatus, latency: LatencySnapshot) -> None:
    """Say in one sentence what is wrong with a live source, and take it away once it is well."""
    health = status.health
    if health is None or status.state not in {PlayState.PLAYING, PlayState.RECONNECTING}:
        banners.hush("source")
    elif health.problem is SourceProblem.LOST:
        banners.say("source", "bad", f"{told(health.message)} {tr('Puncta tries again by itself.')}")
    elif health.message:
        banners.say("source", "caution", told(health.message))
    else:
        banners.hush("source")
    old = latency.frame_to_painted
    if health is None or old is None or status.state is not PlayState.PLAYING or old.p95_ms < CALM_MS:
        banners.hush("lag")
    elif old.p95_ms > HARMFUL_MS:
        words = tr("The picture is over 100 ms old when it is shown. Choose a smaller one, or close other programs.")
        banners.say("lag", "caution", words)


def source_rows(health: SourceHealth) -> list[tuple[str, str]]:
    """Return the figures of a live source for the table."""
    rows: list[tuple[str, str]] = []
    if health.rate is not None:
        promised = tr("{rate} of {promised} a second")
        words = numbers(f"{health.rate:.1f}")
        if health.promised_rate:
            words = promised.replace("{rate}", words).replace("{promised}", numbers(f"{health.promised_rate:g}"))
        rows.append((tr("Pictures that come"), words))
    if health.jitter_ms is not None:
        rows.append((tr("Jitter, 95 of 100 within"), numbers(f"{health.jitter_ms:.1f} ms")))
    if health.silent_ms is not None and not health.flowing:
        silent = numbers(f"{health.silent_ms / 1e3:.1f}")
        rows.append((tr("Last picture"), tr("{time} s ago").replace("{time}", silent)))
    if health.connections > 1:
        rows.append((tr("Found again"), tr("{count} times").replace("{count}", str(health.connections - 1))))
    for name, rate in health.transforms:
        words = tr("{rate} a second").replace("{rate}", f"{rate:.0f}")
        rows.append((tr("Transform {name}").replace("{name}", name), words))
    if health.attempts and not health.flowing:
        rows.append((tr("Attempts"), str(health.attempts)))
    return rows


def figures_of(status: PipelineStatus, latency: LatencySnapshot) -> str:
    """Return the figures of the meter in one line."""
    if latency.frame_to_painted is None:
        return ""
    drops = sum(count for _cause, count in status.drops + (status.health.drops if status.health else ()))
    values = latency.frame_to_painted
    return f"{latency.fps:.0f} fps   {values.p50_ms:.0f} ms   p95 {values.p95_ms:.0f}   " + tr(
        "{count} dropped"
    ).format(count=drops)


class LatencyDetails(QFrame):
    """All figures; a pop-up that a click elsewhere closes."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        self.setObjectName("popup")
        self.setAccessibleName(tr("Latency"))
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 14, 16, 14)
        column.setSpacing(8)
        column.addWidget(text_label(tr("From frame in to painted"), "strong"))
        self._grid = QGridLayout()
        self._grid.setHorizontalSpacing(28)
        self._grid.setVerticalSpacing(4)
        column.addLayout(self._grid)
        self._labels: list[tuple[QWidget, QWidget]] = []

    def show_values(self, status: PipelineStatus, latency: LatencySnapshot) -> None:
        """Fill the table."""
        values = latency.frame_to_painted
        rows: list[tuple[str, str]] = []
        if values is None:
            rows.append((tr("Nothing is measured yet"), ""))
        else:
            rows += [
                (tr("Median"), numbers(f"{values.p50_ms:.1f} ms")),
                (tr("95 of 100 within"), numbers(f"{values.p95_ms:.1f} ms")),
                (tr("99 of 100 within"), numbers(f"{values.p99_ms:.1f} ms")),
                (tr("Pictures a second"), numbers(f"{latency.fps:.1f}")),
            ]
        overlay = latency.overlay_age
        if overlay is not None:
            words = tr("{median}, 95 of 100 within {most}, 99 within {worst} ms")
            figures = (("median", overlay.p50_ms), ("most", overlay.p95_ms), ("worst", overlay.p99_ms))
            for name, value in figures:
                words = words.replace(f"{{{name}}}", numbers(f"{value:.1f}"))
            rows.append((tr("Age of the overlay"), words))
        rows.append((tr("Analysed"), tr("{done} of {count} frames").format(done=status.analysed, count=status.played)))
        drops = status.drops
        if status.health is not None:
            rows += source_rows(status.health)
            drops += status.health.drops
        rows += [(tr("Dropped: {cause}").format(cause=tr(DROP_WORDS.get(c, c))), str(n)) for c, n in drops]
        for key, value in self._labels:
            key.deleteLater()
            value.deleteLater()
        self._labels = []
        for i, (words, figure) in enumerate(rows):
            key, value = text_label(words, "quiet"), text_label(figure)
            value.setAlignment(Qt.AlignmentFlag.AlignRight)
            self._grid.addWidget(key, i, 0)
            self._grid.addWidget(value, i, 1)
            self._labels.append((key, value))
        self.adjustSize()


class LatencyButton(QPushButton):
    """The dot, with its word or its figures; opens the details."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setToolTip(tr("Latency, drops and age of the overlay"))
        self._theme = theme
        self._mark = ("", "", "")
        self._with_figures = self._wants_figures = False
        self._since_ns = 0
        self._latest: tuple[PipelineStatus, LatencySnapshot] | None = None
        self.details: LatencyDetails | None = None
        self.clicked.connect(self._open)

    def set_theme(self, theme: Theme) -> None:
        """Tint the dot."""
        self._theme = theme
        self.setMinimumWidth(0)
        self._mark = ("", "", "")

    def show_values(
        self, status: PipelineStatus, latency: LatencySnapshot, *, stalled: bool, figures: bool, room: bool = True
    ) -> None:
        """Follow the meter; figures that are wanted wait until there is room."""
        if self._latest is None or self._latest[0].state is not PlayState.PLAYING:
            self._since_ns = time.monotonic_ns()  # a picture was held: the time until now is no loss
        self._latest = (status, latency)
        self._wants_figures = figures and status.state is PlayState.PLAYING
        figures = figures and room
        mark = judge_latency(status, latency, time.monotonic_ns(), stalled=stalled, since_ns=self._since_ns)
        if mark != self._mark:
            self._mark = mark
            self.setIcon(_mark_icon(self._theme, mark[2], mark[1]))
            self.setIconSize(self._theme.icon_size())
        line = figures_of(status, latency) if figures and status.state is PlayState.PLAYING else ""
        text = f"{mark[0]}   {line}" if line else mark[0]
        if text != self.text():
            if bool(line) != self._with_figures:
                self._with_figures = bool(line)
                self.setMinimumWidth(0)
            self.setText(text)
            # Figures change ten times a second; the button only ever grows, so that its neighbours stand still.
            self.setMinimumWidth(max(self.minimumWidth(), self.sizeHint().width()) if line else 0)
            self.setAccessibleName(tr("Latency: {word}").format(word=mark[0]))
        if self.details is not None and self.details.isVisible():
            self.details.show_values(status, latency)

    def width_of(self, *, figures: bool) -> int:
        """Width with the figures, where they are wanted, or with the word alone [display px]."""
        metrics = self.fontMetrics()
        alone = self.minimumSizeHint().width() - metrics.horizontalAdvance(self.text())
        words = metrics.horizontalAdvance(self._mark[0])
        if not figures or not self._wants_figures:
            return alone + words
        usual = "   30 fps   188 ms   p95 188   188 " + tr("{count} dropped").replace("{count}", "").strip()
        return max(alone + words + metrics.horizontalAdvance(usual), self.minimumWidth() if self._with_figures else 0)

    def drop_figures(self) -> None:
        """Say the word alone; the figures come back where `show_values` is asked for them."""
        if self._with_figures:
            self._with_figures = False
            self.setMinimumWidth(0)
            self.setText(self._mark[0])

    @property
    def word(self) -> str:
        """What the dot says."""
        return self._mark[0]

    def _open(self) -> None:
        if self._latest is None:
            return
        if self.details is None:
            self.details = LatencyDetails(self)
        self.details.show_values(*self._latest)
        corner = self.mapToGlobal(QPoint(self.width() - self.details.width(), self.height() + 6))
        self.details.move(corner)
        self.details.show()


def _mark_icon(theme: Theme, shape: str, tone: str) -> QIcon:
    edge = 32
    pixmap = QPixmap(edge, edge)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    draw_mark(painter, QRectF(6, 6, edge - 12, edge - 12), shape, tone_colour(theme, tone))
    painter.end()
    return QIcon(pixmap)
