"""What a run's report tells of findings on whole pictures: how often each was yes, no or not told, and when."""

from __future__ import annotations

import html
from collections.abc import Sequence

from puncta.core.findings import RIBBON_CODES, STATE_SIGNS, STATE_WORDS, finding_name, finding_words
from puncta.core.results import Analysis, ClassResult

_LEFT, _RIGHT, _ROW = 160, 880, 26
_SHAPES: dict[bool | None, tuple[int, str]] = {True: (16, "#0072b2"), None: (8, "#b58900"), False: (3, "#4a5562")}
"""Height [px] and colour of a state in the ribbon: yes is tall, no is a thin line, as in the program's timeline."""


class FlagTimeline:
    """Collects findings frame by frame."""

    def __init__(self) -> None:
        self._times: list[float] = []
        self._said: dict[str, list[int]] = {}

    @property
    def empty(self) -> bool:
        """No frame had a finding."""
        return not self._said

    def put(self, analysis: Analysis) -> tuple[ClassResult, ...]:
        """Take a frame; return its findings."""
        found = tuple(r for o in analysis.outputs for r in o.results if isinstance(r, ClassResult))
        self._times.append(analysis.frame.key.pts_ns / 1e9)
        for result in found:
            states = self._said.setdefault(result.label, [])
            states += [0] * (len(self._times) - 1 - len(states))
            states.append(RIBBON_CODES[result.value])
        return found

    def rows(self) -> list[tuple[str, str]]:
        """(name, how often what was said) of every finding."""
        out = []
        for label, states in self._whole():
            shares = [
                f"{STATE_SIGNS[value]} {word} {100 * states.count(RIBBON_CODES[value]) / len(states):.0f} %"
                for value, word in STATE_WORDS.items()
            ]
            unseen = states.count(0)
            shares += [f"not looked at {100 * unseen / len(states):.0f} %"] if unseen else []
            out.append((finding_name(label), ", ".join(shares) + f" of {len(states)} frames"))
        return out

    def charts(self) -> str:
        """Inline SVG: a ribbon of every finding over time; empty where there is none."""
        if self.empty or len(self._times) < 2:
            return ""
        first, last = self._times[0], self._times[-1]
        span = (last - first) or 1.0
        parts = []
        for number, (label, states) in enumerate(self._whole()):
            middle = 16 + number * _ROW
            parts.append(f'<text x="{_LEFT - 10}" y="{middle + 4}" text-anchor="end" font-size="12" '
                         f'fill="#4a5562">{html.escape(finding_name(label))}</text>')
            for begin, end, code in _runs(states):
                value = next((v for v, c in RIBBON_CODES.items() if c == code), None)
                if code == 0:
                    continue
                height, colour = _SHAPES[value]
                x0, x1 = (_LEFT + (_RIGHT - _LEFT) * (self._times[min(k, len(states) - 1)] - first) / span
                          for k in (begin, end))
                parts.append(f'<rect x="{x0:.1f}" y="{middle - height / 2:.1f}" width="{max(0.8, x1 - x0):.1f}" '
                             f'height="{height}" fill="{colour}"><title>{STATE_WORDS[value]}</title></rect>')
        bottom = 16 + len(self._said) * _ROW + 8
        parts.append(f'<text x="{_LEFT}" y="{bottom}" font-size="11" fill="#4a5562">{first:.1f} s</text>'
                     f'<text x="{_RIGHT}" y="{bottom}" text-anchor="end" font-size="11" '
                     f'fill="#4a5562">{last:.1f} s</text>')
        return (f'<svg viewBox="0 0 900 {bottom + 8}" role="img" aria-label="findings over time">{"".join(parts)}</svg>'
                "<p>Tall: yes. Thin line: no. Between: cannot tell.</p>")

    def _whole(self) -> list[tuple[str, list[int]]]:
        """Findings with a state for every frame."""
        return [(label, states + [0] * (len(self._times) - len(states))) for label, states in self._said.items()]


def words_of(found: Sequence[ClassResult]) -> str:
    """The findings of a picture in words, for its caption."""
    told = ((finding_name(r.label), *finding_words(r, found)) for r in found)
    return ", ".join(f"{name} {state} ({poor})" if poor else f"{name} {state}" for name, state, poor in told)


def _runs(states: Sequence[int]) -> list[tuple[int, int, int]]:
    """(first, one past the last, code) of stretches of the same state."""
    out: list[tuple[int, int, int]] = []
    for index, code in enumerate(states):
        if out and out[-1][2] == code:
            out[-1] = (out[-1][0], index + 1, code)
        else:
            out.append((index, index + 1, code))
    return out
