"""How models, trainings and their figures are told: plain words, a unit with every figure, a doubt with its size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from PySide6.QtCore import QDate, QDateTime, QLocale, QTime

from puncta.formats.tune_words import FIGURES, KINDS, name_figure, value_of
from puncta.gui.i18n import numbers, tr

STATE_WORDS = {
    "waiting": "Waiting",
    "making data": "Making data",
    "running": "Running",
    "paused": "Paused",
    "interrupted": "Interrupted",
    "cancelled": "Cancelled",
    "failed": "Failed",
    "done": "Done",
}
STATE_MARKS = {
    "waiting": ("clock", "neutral"),
    "making data": ("clock", "accent"),
    "running": ("circle", "accent"),
    "paused": ("square", "caution"),
    "interrupted": ("square", "caution"),
    "cancelled": ("cross", "neutral"),
    "failed": ("cross", "bad"),
    "done": ("ring", "good"),
}
"""Shape and tone of a training's state."""
UNDER_WAY = ("waiting", "making data", "running")
HELD = ("paused", "interrupted")
PAUSE, CANCEL = "pause", "cancel"
ASKED_WORDS = {PAUSE: "Pausing…", CANCEL: "Cancelling…"}
"""What a training was asked to do and has not done yet."""

ORIGIN_WORDS = {"shipped": "comes with Puncta", "user": "made or installed here", "plugin": "comes with the plugin"}
ORIGIN_SHORT = {"shipped": "comes with Puncta", "user": "added here", "plugin": "from its plugin"}
"""The same in the list, whose rows are narrow; what is added was made here or installed from a file."""
KIND_WORDS = {
    "fine-tune": "goes on from a model",
    "lora": "adds a small adapter to a model",
    "scratch": "begins from nothing",
    "pretrain": "learns from frames without labels first",
}
VERDICT_WORDS = {"better": "better", "worse": "worse", "no clear difference": "no clear difference"}
VERDICT_MARKS = {
    "better": ("triangle", "good"),
    "worse": ("diamond", "bad"),
    "no clear difference": ("ring", "neutral"),
}

SHARE, MM, PX, DEG, PLAIN = "%", "mm", "px", "°", ""
SHARES = (SHARE, "share")
"""Units of values of 0..1 that are told in per cent."""
DEGREES = (DEG, "deg")
NO_BREAK = "\N{NO-BREAK SPACE}"

FIGURE_WORDS: Mapping[str, tuple[str, str]] = {
    "tip_within_2mm": ("Tips found within 2 mm", SHARE),
    "tip_within_3mm": ("Tips found within 3 mm", SHARE),
    "tip_error_mm": ("Tip error, median", MM),
    "tip_error_px": ("Tip error, median", PX),
    "miss_rate": ("Missed", SHARE),
    "false_alarm_rate": ("False alarms", SHARE),
    "shown_of_tips": ("Tips shown", SHARE),
    "close_of_shown": ("Shown tips within 2 mm", SHARE),
    "median_error_mm": ("Tip error, median", MM),
    "shown_without_tip": ("Shown where there is no tip", SHARE),
    "coverage90": ("Tips inside their 90 % circle", SHARE),
    "shown_of_needles": ("Needles shown", SHARE),
    "iou": ("Overlap of the mask (IoU)", SHARE),
    "iou_of_shown": ("Overlap of shown masks (IoU)", SHARE),
    "false_masks": ("Masks where there is no needle", SHARE),
    "median_tip_error_px": ("Tip error, median", PX),
    "median_angle_error_deg": ("Angle error, median", DEG),
    "f1": ("Flags, F1", SHARE),
    "exact": ("Frames with all flags right", SHARE),
    "right_quality": ("Quality right", SHARE),
    "right_cord": ("Cord right", SHARE),
    "right_csf": ("CSF right", SHARE),
    "decided": ("Flags decided", SHARE),
    "wrong_of_decided": ("Wrong among the decided", SHARE),
    "ece": ("Error of the confidence (ECE)", SHARE),
    "flicker_per_minute": ("Changes of a flag a minute", PLAIN),
    "within_5_percent": ("Tips within 5 % of the picture", SHARE),
    "presence_auc": ("Tells needle from none (AUC)", SHARE),
    "pointing": ("Maps that point right", SHARE),
}
"""Title and unit of the figures that a page leads with, in this order; the others stand under "All figures"."""

SET_WORDS: Mapping[str, str] = {
    "held_out": "Held out subjects",
    "site": "This site, held out",
    "same_machine": "New cases, machines it has learnt from",
    "unseen_machine": "Machines it has never seen",
    "tune": "Tune frames, which set its thresholds",
}
"""Sets of frames, the most telling first: the prefixes of the figures in a card."""
SET_NAMES: Mapping[str, str] = {
    "held_out": "held out subjects", "site": "this site", "same_machine": "machines it knows",
    "unseen_machine": "machines new to it", "tune": "tune frames",
}
"""The same, short."""


@dataclass(frozen=True, slots=True)
class FigureTable:
    """Figures of a card in rows, the sets of frames they are of in columns.

    Attributes
    ----------
    sets : tuple of str
        Which frames, translated.
    rows : tuple of (str, tuple of str)
        Title, and a value with its unit for each set; "" where the card has none.
    """

    sets: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]


def figure_table(metrics: Mapping[str, object]) -> FigureTable:
    """Sort a card's figures by the frames they are of, and say them in words; unknown ones are left out."""
    there = [p for p in SET_WORDS if any(f"{p}_{name}" in metrics for name in FIGURE_WORDS)]
    rows = []
    for name, (words, unit) in FIGURE_WORDS.items():
        values = [metrics.get(f"{prefix}_{name}") for prefix in there]
        said = tuple(number_words(float(v), unit) if isinstance(v, int | float) else "" for v in values)
        if any(said):
            rows.append((tr(words), said))
    return FigureTable(tuple(tr(SET_WORDS[prefix]) for prefix in there), tuple(rows))


def plain_figures(metrics: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
    """Every figure of a card in words, with the frames that it was measured on."""
    return tuple(_told_figure(name, value) for name, value in metrics.items() if isinstance(value, int | float | str))


def _told_figure(key: str, value: float | str) -> tuple[str, str]:
    prefix = next((p for p in SET_NAMES if key.startswith(f"{p}_")), "") if key not in FIGURES else ""
    name = key.removeprefix(f"{prefix}_") if prefix else key
    plain = name.removeprefix("baseline_")
    if plain in FIGURE_WORDS:
        words, unit = FIGURE_WORDS[plain]
        said = tr(words) if plain == name else f"{tr(KINDS['baseline_'])}: {tr(words)}"
        told = number_words(float(value), unit) if not isinstance(value, str) else value
    else:
        said, told = name_figure(name, tr), value if isinstance(value, str) else numbers(value_of(name, value, tr))
    said = f"{said[:1].upper()}{said[1:]}"
    return f"{said} ({tr(SET_NAMES[prefix])})" if prefix else said, told


def number_words(value: float | None, unit: str, *, named: bool = True) -> str:
    """Return a figure, with its unit unless it is not to be ``named``; shares of 0..1 in per cent."""
    if value is None:
        return "–"
    if unit in SHARES:
        return _minus(value * 100, 1) + (" %" if named else "")
    if unit in DEGREES:
        return _minus(value, 1) + ("°" if named else "")
    return _minus(value, 2) + (f" {unit}" if named and unit else "")


def _minus(value: float, places: int) -> str:
    text = f"{value:.{places}f}"
    return numbers(text.replace("-", "\N{MINUS SIGN}") if float(text) else f"{0:.{places}f}")


def difference_words(value: float | None, low: float | None, high: float | None, unit: str) -> str:
    """Return a difference with its 95 % interval, "+3.2 (1.0 to 5.4) points"."""
    if value is None:
        return tr("cannot be told")
    factor, places, name = (100.0, 1, tr("points")) if unit in SHARES else (1.0, 2, "°" if unit in DEGREES else unit)

    def one(x: float) -> str:
        return ("+" if round(x * factor, places) > 0 else "") + _minus(x * factor, places)

    inside = "" if low is None or high is None else f" ({tr('{low} to {high}').format(low=one(low), high=one(high))})"
    return f"{one(value)}{inside} {name}".rstrip()


def time_words(seconds: float | None) -> str:
    """Return a duration in the words people use: "40 s", "6 min", "2 h 10 min"."""
    if seconds is None:
        return ""
    if seconds < 90:
        return tr("{count} s").format(count=max(1, round(seconds)))
    minutes = round(seconds / 60)
    return tr("{count} min").format(count=minutes) if minutes < 100 else _hours(minutes)


def _hours(minutes: int) -> str:
    return tr("{hours} h {minutes} min").format(hours=minutes // 60, minutes=minutes % 60)


def minutes_words(low: float, high: float) -> str:
    """Return a range of durations, "8 to 14 min"."""
    first, last = max(1, round(low)), max(1, round(high))
    if first == last:
        return tr("about {count} min").format(count=first)
    if last < 100:
        return tr("{low} to {high} min").format(low=first, high=last)
    low_words = tr("{count} min").format(count=first) if first < 60 else _hours(first)
    return tr("{low} to {high}").format(low=low_words, high=_hours(last))


def moment_words(at_utc: str) -> str:
    """Return a UTC time of a file in this machine's time and form; the text itself where it is none."""
    try:
        at = datetime.fromisoformat(at_utc).astimezone()
    except ValueError:
        return at_utc
    moment = QDateTime(QDate(at.year, at.month, at.day), QTime(at.hour, at.minute))
    return QLocale().toString(moment, QLocale.FormatType.ShortFormat)


def list_words(names: Sequence[str], most: int = 6) -> str:
    """Return names in a row, the rest as a count."""
    shown = ", ".join(names[:most])
    rest = len(names) - most
    return tr("{names} and {count} more").format(names=shown, count=rest) if rest > 0 else shown
