"""Line charts of a training, laid out once and drawn twice: as SVG for the page and as PNG for the folder.

Lines are named at their ends, differ in dash as well as in colour, and use colours that colour-blind readers tell apart
(Okabe and Ito, 2008), the light ones left out because the ground is white.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from puncta.recording.raster import font, rgb_from_hex

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#aa4a86", "#14181d", "#8a6d00")
DASHES: tuple[tuple[float, ...], ...] = ((), (7.0, 3.0), (2.0, 3.0), (9.0, 3.0, 2.0, 3.0), (), (4.0, 3.0))
INK, QUIET, FAINT = "#14181d", "#4a5562", "#dfe4e9"
_LEFT, _RIGHT, _TOP, _BOTTOM = 52.0, 138.0, 40.0, 34.0
_LABEL_PX = 15.0
_OVERSAMPLED = 2


@dataclass(frozen=True, slots=True)
class Series:
    """One line: values over samples."""

    name: str
    x: Sequence[float]
    y: Sequence[float]


@dataclass(frozen=True, slots=True)
class Chart:
    """What a chart shows.

    Attributes
    ----------
    span : (low, high) or None
        Fixed range of y; None takes what the lines need.
    logarithmic : bool
        For values whose sizes differ by a factor of ten and more.
    percent : bool
        Values are shares and read as percent.
    end : float
        Right end of the x axis, in samples.
    marks : tuple of (x, word)
        Dashed uprights, each with a word.
    """

    title: str
    series: Sequence[Series]
    end: float
    span: tuple[float, float] | None = None
    logarithmic: bool = False
    percent: bool = False
    marks: tuple[tuple[float, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Stroke:
    """A polyline."""

    points: tuple[tuple[float, float], ...]
    colour: str
    width: float = 1.0
    dash: tuple[float, ...] = ()
    dot: bool = False


@dataclass(frozen=True, slots=True)
class Text:
    """A text at a point; anchor is "start", "middle" or "end" of its line, vertically in its middle."""

    at: tuple[float, float]
    text: str
    colour: str = QUIET
    size: int = 11
    anchor: str = "start"
    bold: bool = False


Item = Stroke | Text


def short_count(value: float) -> str:
    """Return a number of samples as it stands on an axis: 500, 20k, 1.5M."""
    for limit, letter in ((1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:.4g}{letter}"
    return f"{value:g}"


def lay_chart(chart: Chart, width: float, height: float) -> list[Item]:
    """Lay a chart out in a box of ``width`` times ``height`` points."""
    right, bottom = width - _RIGHT, height - _BOTTOM
    low, high, ticks = _scale(chart)
    end = max(chart.end, 1.0)

    def at(x: float, y: float) -> tuple[float, float]:
        if chart.logarithmic:
            y, bottom_value, top_value = math.log10(max(y, 1e-9)), math.log10(low), math.log10(high)
        else:
            bottom_value, top_value = low, high
        share = min(1.0, max(0.0, (y - bottom_value) / (top_value - bottom_value)))
        return _LEFT + (right - _LEFT) * x / end, bottom - (bottom - _TOP) * share

    items: list[Item] = [Text((2, 13), chart.title, INK, 13, bold=True)]
    for tick in ticks:
        y = at(0, tick)[1]
        items += [Stroke(((_LEFT, y), (right, y)), FAINT), Text((_LEFT - 7, y), _number(tick, chart), anchor="end")]
    for tick in _steps(0.0, end, 6):
        x = at(tick, low)[0]
        items += [Stroke(((x, bottom), (x, bottom + 4)), QUIET),
                  Text((x, bottom + 13), short_count(tick), anchor="middle")]
    items += [Stroke(((_LEFT, bottom), (right, bottom)), QUIET),
              Text((right, height - 6), "samples seen", anchor="end")]
    for x, word in chart.marks:
        place = at(x, low)[0]
        items += [Stroke(((place, _TOP - 6), (place, bottom)), "#9aa7b5", 1.0, (2.0, 3.0)),
                  Text((place + 4, _TOP - 8), word, size=10)]
    ends: list[tuple[float, str, str]] = []
    for k, series in enumerate(chart.series):
        points = tuple(at(x, y) for x, y in zip(series.x, series.y) if math.isfinite(y))
        if not points:
            continue
        colour = COLOURS[k % len(COLOURS)]
        items.append(Stroke(points, colour, 1.8, DASHES[k % len(DASHES)], dot=len(points) < 25))
        last = next(y for y in reversed(list(series.y)) if math.isfinite(y))
        ends.append((points[-1][1], colour, f"{series.name} {_number(last, chart, exact=True)}"))
    items += [Text((right + 8, y), text, colour, 12, bold=True) for y, colour, text in _apart(ends, _TOP, bottom)]
    if not ends:
        items.append(Text(((_LEFT + right) / 2, (_TOP + bottom) / 2), "nothing yet", size=12, anchor="middle"))
    return items


def _apart(ends: list[tuple[float, str, str]], top: float, bottom: float) -> list[tuple[float, str, str]]:
    """Move labels apart so that none lies on another, and keep them in the box."""
    ordered = sorted(ends)
    places = [y for y, _, _ in ordered]
    for k in range(1, len(places)):
        places[k] = max(places[k], places[k - 1] + _LABEL_PX)
    if places and places[-1] > bottom:
        places[-1] = bottom
        for k in range(len(places) - 2, -1, -1):
            places[k] = min(places[k], places[k + 1] - _LABEL_PX)
    return [(max(top - 10, y), colour, text) for y, (_, colour, text) in zip(places, ordered)]


def _scale(chart: Chart) -> tuple[float, float, list[float]]:
    values = [y for s in chart.series for y in s.y if math.isfinite(y) and (y > 0 or not chart.logarithmic)]
    if not values:
        low, high = chart.span or ((0.1, 1.0) if chart.logarithmic else (0.0, 1.0))
    elif chart.logarithmic:
        # The first values of an untrained network would press everything that follows into a corner.
        low, high = min(values) * 0.8, float(np.quantile(values, 0.99)) * 1.3
        high = max(high, low * 4)
    else:
        low, high = chart.span or (min(0.0, *values), max(values) * 1.05)
    if chart.span is not None:
        low, high = chart.span
    if high <= low:
        high = low + 1.0
    if not chart.logarithmic:
        return low, high, _steps(low, high, 5)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [t for p in powers for m in (1, 2, 5) if low <= (t := m * 10.0**p) <= high]
    return low, high, ticks if len(ticks) <= 8 else [t for t in ticks if f"{t:.0e}"[0] == "1"]


def _steps(low: float, high: float, most: int) -> list[float]:
    """Round numbers between two values, at most ``most`` + 1 of them."""
    raw = (high - low) / most
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(size * m for m in (1, 2, 2.5, 5, 10) if size * m >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [k * step for k in range(first, math.floor(high / step + 1e-9) + 1)]


def _number(value: float, chart: Chart, exact: bool = False) -> str:
    if chart.percent:
        return f"{100 * value:.1f} %" if exact else f"{100 * value:g} %"
    if value and abs(value) < 1e-4:
        return f"{value:.1e}".replace("e-0", "e-")
    return f"{value:.3g}"


def svg_from_chart(chart: Chart, width: float = 560, height: float = 300) -> str:
    """Return a chart as an SVG element for a page."""
    parts = []
    for item in lay_chart(chart, width, height):
        if isinstance(item, Text):
            weight = ' font-weight="600"' if item.bold else ""
            parts.append(f'<text x="{item.at[0]:.1f}" y="{item.at[1] + item.size * 0.36:.1f}" font-size="{item.size}" '
                         f'fill="{item.colour}" text-anchor="{item.anchor}"{weight}>{html.escape(item.text)}</text>')
            continue
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in item.points)
        dash = f' stroke-dasharray="{" ".join(f"{d:g}" for d in item.dash)}"' if item.dash else ""
        parts.append(f'<polyline points="{points}" fill="none" stroke="{item.colour}" '
                     f'stroke-width="{item.width:g}" stroke-linejoin="round"{dash}/>')
        if item.dot:
            parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.4" fill="{item.colour}"/>' for x, y in item.points]
    return (f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{html.escape(describe_chart(chart))}">'
            f"{''.join(parts)}</svg>")


def describe_chart(chart: Chart) -> str:
    """Say in words what a chart shows, for those who do not see it."""
    lines = [f"{s.name} from {_number(s.y[0], chart, True)} to {_number(s.y[-1], chart, True)}"
             for s in chart.series if len(s.y)]
    return f"{chart.title}: {'; '.join(lines) or 'nothing yet'}"


def draw_chart(chart: Chart, width: int = 560, height: int = 300) -> NDArray[np.uint8]:
    """Draw a chart at twice its size; shape (2 height, 2 width, 3), RGB."""
    scale = 2 * _OVERSAMPLED
    items = lay_chart(chart, width, height)
    image = Image.new("RGB", (width * scale, height * scale), "white")
    draw = ImageDraw.Draw(image)
    for item in items:
        if isinstance(item, Stroke):
            thick = max(1, round(item.width * scale))
            for piece in _dashed(item):
                draw.line([(x * scale, y * scale) for x, y in piece], rgb_from_hex(item.colour), thick, joint="curve")
            if item.dot:
                for x, y in item.points:
                    box = [(v + d) * scale for d in (-2.4, 2.4) for v in (x, y)]
                    draw.ellipse(box, fill=rgb_from_hex(item.colour))
    image = image.reduce(_OVERSAMPLED)
    draw = ImageDraw.Draw(image)
    for item in items:
        if isinstance(item, Text):
            face = font(2 * item.size, "SemiBold" if item.bold else "Medium")
            draw.text((2 * item.at[0], 2 * item.at[1]), item.text, rgb_from_hex(item.colour), face,
                      anchor={"start": "lm", "middle": "mm", "end": "rm"}[item.anchor])
    return np.asarray(image)


def _dashed(stroke: Stroke) -> list[list[tuple[float, float]]]:
    if not stroke.dash or len(stroke.points) < 2:
        return [list(stroke.points)] if len(stroke.points) > 1 else []
    line = np.array(stroke.points)
    lengths = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    pieces, begin, k = [], 0.0, 0
    while begin < lengths[-1]:
        end = min(begin + stroke.dash[k % len(stroke.dash)], lengths[-1])
        if k % 2 == 0:
            cuts = np.array([begin, *lengths[(lengths > begin) & (lengths < end)], end])
            pieces.append([(float(np.interp(c, lengths, line[:, 0])), float(np.interp(c, lengths, line[:, 1])))
                           for c in cuts])
        begin, k = end, k + 1
    return pieces
