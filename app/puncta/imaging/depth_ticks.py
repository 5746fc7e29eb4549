"""Reads the depth scale of a captured screen from its marks and the figures beside them, where that is sure.

A row of even marks alone does not say whether it counts millimetres or half centimetres. A scale is therefore stated
only where figures say it: numbers beside the marks that count on evenly (1, 2, 3 are centimetres, 10, 20, 30
millimetres on every machine for tissue), or the depth written out ("4 cm") where it agrees with the region's height.
Anything else is left to a person with a ruler.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from puncta.imaging.digits import Glyph, find_glyphs, liken
from puncta.imaging.tick_comb import Box, TickComb, find_combs, static_grey

DEPTHS_MM = (12.0, 320.0)
"""Depths of the region that any probe for tissue shows [mm]."""
STEPS_MM = (1.0, 2.0, 2.5, 5.0, 10.0, 20.0, 50.0)
LEAST_LABELS = 2
TOP_SHARE = 0.12
"""Depth zero lies this near to the region's upper side, as a share of its height."""
WHOLE_ROUNDING, TENTH_ROUNDING = 0.56, 0.1
"""How far a written depth may be off [cm], by its rounding."""


@dataclass(frozen=True, slots=True)
class TickReading:
    """What the marks say.

    Attributes
    ----------
    comb : TickComb or None
        The marks; None where there are none.
    mm_per_px : float or None
        None where no figure says what the marks mean.
    says : str
        One phrase: on what the scale rests, or why there is none.
    """

    comb: TickComb | None
    mm_per_px: float | None
    says: str


@dataclass(frozen=True, slots=True)
class _Label:
    mark: int
    value: int
    glyphs: int


def read_depth_scale(frames: Sequence[NDArray[np.uint8]], region: Box) -> TickReading:
    """Read the depth scale beside or inside an ultrasound region.

    Parameters
    ----------
    frames : sequence of ndarray of uint8, shape (H, W) or (H, W, 3)
        Some frames of one layout.
    region : [x, y, w, h] [px]
    """
    grey = static_grey(frames)
    combs = find_combs(grey, region)
    if not combs:
        return TickReading(None, None, "no depth marks are seen")
    readings = [reading for comb in combs if (reading := _read(grey, comb, region)) is not None]
    if not readings:
        return TickReading(combs[0], None, "no figure beside the depth marks can be read")
    scales = [reading.mm_per_px for reading in readings if reading.mm_per_px is not None]
    if max(scales) > 1.02 * min(scales):
        return TickReading(combs[0], None, "the depth marks contradict each other")
    return readings[0]


def _read(grey: NDArray[np.uint8], comb: TickComb, region: Box) -> TickReading | None:
    by_labels = _step_by_labels(grey, comb, region)
    written = _written_depth(grey, comb, region)
    by_depth = _step_by_depth(comb, region, written)
    if by_labels is not None and written is not None:
        depth_cm = by_labels * region[3] / comb.pitch_px / 10.0
        # A fan's box is a little higher than its depth; the label and the text must not contradict each other.
        if abs(depth_cm - written[0]) > 0.12 * written[0] + _rounding(written):
            return None
    step = by_labels or by_depth
    if step is None or not DEPTHS_MM[0] <= step * region[3] / comb.pitch_px <= DEPTHS_MM[1]:
        return None
    if by_labels is not None:
        words = f"{comb.count} depth marks, {step:g} mm apart by the figures beside them"
    else:
        words = f"{comb.count} depth marks, {step:g} mm apart by the depth written on the screen"
    return TickReading(comb, step / comb.pitch_px, words)


# --- numbers beside the marks -----------------------------------------------------------------------------------------


def _step_by_labels(grey: NDArray[np.uint8], comb: TickComb, region: Box) -> float | None:
    """Millimetres from one mark to the next, by the numbers on one side of the marks; None where they do not say."""
    steps = []
    for side in (-1, 1):
        labels = _labels(grey, comb, region, side)
        step = _even_step(labels, comb, region)
        if step is not None:
            steps.append(step)
    return steps[0] if len(steps) == 1 else None


def _even_step(labels: list[_Label], comb: TickComb, region: Box) -> float | None:
    """The step that all labels but one in six agree on, with its zero at the top of the region."""
    if len(labels) < LEAST_LABELS:
        return None
    best: tuple[int, float, int] | None = None
    for first in labels:
        for second in labels:
            marks, values = second.mark - first.mark, second.value - first.value
            if marks <= 0 or values not in (1, 2, 5, 10, 20):
                continue
            slope = values / marks
            agree = sum(abs(first.value + slope * (label.mark - first.mark) - label.value) < 1e-6 for label in labels)
            if best is None or agree > best[0]:
                best = (agree, slope, values)
                zero = comb.y_px(0) + (first.mark - first.value / slope) * comb.pitch_px
    if best is None or best[0] < max(LEAST_LABELS, 5 / 6 * len(labels)):
        return None
    agree, slope, _ = best
    if abs(zero - region[1]) > TOP_SHARE * region[3]:
        return None
    # 1, 2, 3 count centimetres; 10, 20, 30 millimetres. 5, 10, 15 may be either, and two numbers of one digit each
    # need a third witness: the mark at zero.
    spread = _label_spread(labels, slope)
    if spread == 1:
        unit = 10.0
    elif spread == 10:
        unit = 1.0
    else:
        return None
    return _known_step(slope * unit)


def _label_spread(labels: list[_Label], slope: float) -> int:
    """From one number to the next."""
    marks = np.diff(sorted({label.mark for label in labels}))
    return round(float(marks.min()) * slope) if len(marks) else 0


def _labels(grey: NDArray[np.uint8], comb: TickComb, region: Box, side: int) -> list[_Label]:
    """Numbers that stand on one side, each in line with a mark."""
    scale = max(0.6, grey.shape[0] / 960.0)
    heights = (6.0, 30.0 * scale)
    majors = np.array([comb.y_px(k) for k in range(comb.count)])
    widest = max(e[2] for e in comb.extents_px), min(e[0] for e in comb.extents_px)
    reach = round(46 * scale)
    x = widest[0] if side > 0 else widest[1] - reach
    top, bottom = round(majors[0] - comb.pitch_px), round(majors[-1] + comb.pitch_px)
    glyphs = find_glyphs(grey, (x, top, reach, bottom - top), heights)
    found: list[_Label] = []
    for group in _in_column(_words(glyphs), side):
        middle = float(np.mean([glyph.box[1] + (glyph.box[3] - 1) / 2 for glyph in group]))
        mark = int(np.argmin(np.abs(majors - middle)))
        height = max(glyph.box[3] for glyph in group)
        # A number that stands between two marks belongs to neither.
        if abs(majors[mark] - middle) > max(3.0, min(0.45 * comb.pitch_px, 0.55 * height)):
            continue
        text = "".join(liken(glyph).best or "?" for glyph in group)
        if text.isdigit() and len(text) <= 3:
            found.append(_Label(mark, int(text), len(text)))
    return found


def _in_column(words: list[list[Glyph]], side: int) -> list[list[Glyph]]:
    """Those of one size that stand in one column, the one nearest to the marks: other text is none of the scale's."""

    def place(word: list[Glyph]) -> float:
        return word[0].box[0] if side > 0 else -float(word[-1].box[0] + word[-1].box[2])

    best: list[list[Glyph]] = []
    for word in sorted(words, key=place):
        tall = max(glyph.box[3] for glyph in word)
        same = [
            other
            for other in words
            if abs(max(g.box[3] for g in other) - tall) <= 0.2 * tall + 1
            and abs(place(other) - place(word)) <= 0.8 * tall
        ]
        if len(best) >= LEAST_LABELS and place(word) > max(map(place, best)) + 0.5 * tall:
            break
        if len(same) > len(best):
            best = same
    return best


def _words(glyphs: list[Glyph]) -> list[list[Glyph]]:
    """Glyphs side by side on one line, from left to right."""
    words: list[list[Glyph]] = []
    for glyph in glyphs:
        x, y, _w, h = glyph.box
        for word in words:
            lx, ly, lw, lh = word[-1].box
            level = abs((y + h) - (ly + lh)) <= 0.25 * max(h, lh)
            if level and -1 <= x - (lx + lw) <= 0.45 * max(h, lh):
                word.append(glyph)
                break
        else:
            words.append([glyph])
    return words


# --- the depth written out --------------------------------------------------------------------------------------------


def _written_depth(grey: NDArray[np.uint8], comb: TickComb, region: Box) -> tuple[float, bool] | None:
    """A depth such as "4 cm" or "4.5 cm" near the marks [cm], and whether it has a tenth; None where there is none."""
    scale = max(0.6, grey.shape[0] / 960.0)
    x, y, w, h = region
    left = round(min(x + w / 2, comb.x_px - 200 * scale))
    right = round(max(x + w, comb.x_px + 120 * scale))
    area = (left, round(y + 0.8 * h), right - left, grey.shape[0] - round(y + 0.8 * h))
    found: set[tuple[float, bool]] = set()
    for group in _phrases(find_glyphs(grey, area, (2.0, 40.0 * scale))):
        value = _centimetres(group)
        if value is not None:
            found.add(value)
    return found.pop() if len(found) == 1 else None


def _phrases(glyphs: list[Glyph]) -> list[list[Glyph]]:
    """Glyphs on one base line with at most a space between them."""
    phrases: list[list[Glyph]] = []
    for glyph in glyphs:
        x, y, _w, h = glyph.box
        for phrase in phrases:
            lx, ly, lw, lh = phrase[-1].box
            tall = max(g.box[3] for g in phrase)
            if abs((y + h) - (ly + lh)) <= 0.2 * max(tall, h) and -1 <= x - (lx + lw) <= 1.2 * max(tall, h):
                phrase.append(glyph)
                break
        else:
            phrases.append([glyph])
    return phrases


def _centimetres(phrase: list[Glyph]) -> tuple[float, bool] | None:
    """The number before "cm" in a phrase [cm]."""
    tall = max(glyph.box[3] for glyph in phrase)
    text = ""
    for glyph in phrase:
        _x, _y, w, h = glyph.box
        if h <= 0.3 * tall:
            text += "." if w <= 0.35 * tall else "?"
        else:
            text += liken(glyph).best or "?"
    if not text.endswith("cm"):
        return None
    number = text[:-2]
    whole, point, tenth = number.partition(".")
    if not whole.isdigit() or len(whole) > 2 or (point and not (tenth.isdigit() and len(tenth) == 1)):
        return None
    value = float(number)
    return (value, bool(point)) if value > 0 else None


def _rounding(written: tuple[float, bool]) -> float:
    return TENTH_ROUNDING if written[1] else WHOLE_ROUNDING


def _step_by_depth(comb: TickComb, region: Box, written: tuple[float, bool] | None) -> float | None:
    """The one step of `STEPS_MM` with which the region is as deep as is written; None where none or several are."""
    if written is None:
        return None
    marks = region[3] / comb.pitch_px
    fitting = [s for s in STEPS_MM if abs(s * marks / 10.0 - written[0]) <= _rounding(written) + 0.02 * written[0]]
    if len(fitting) != 1:
        return None
    # Longer marks stand at whole or half centimetres.
    major = fitting[0] * comb.every
    return fitting[0] if comb.every == 1 or major in (5.0, 10.0, 20.0, 50.0) else None


def _known_step(step: float) -> float | None:
    near = min(STEPS_MM, key=lambda s: abs(s - step))
    return near if abs(near - step) < 1e-3 * near else None
