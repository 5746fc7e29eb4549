"""Judges from moments of arrival alone whether a source has fallen silent, slow or damaged, well within a second.

A figure on show is measured over two seconds and is late by half of that. What is asked here is something else: does
what comes now still fit what came before? A stream that comes in bursts, or with pauses now and then, is no fault, so
each judgement is made on the source's own habits: its usual rate, and the pauses it has already made.

Not safe from several threads; whoever holds it has a lock.
"""

from __future__ import annotations

import itertools
import statistics
from collections import deque

import numpy as np

QUIET_NS = 500_000_000
"""Without a picture for this long [ns] a source counts as lost, if it makes no pauses."""
SILENT_NS = 800_000_000
"""The same [ns] for one that pauses, or that is not known yet; a person reads it before a second is over."""
PAUSE_FACTOR = 2
"""Silence has to be longer than so many times the longest pause of late."""
PAUSES_KEPT_NS = 30_000_000_000
KNOWN = 8
"""A source is known after so many pictures."""
INTERVALS = 3
"""A slow source gets this many of its intervals before it counts as lost."""

SHORT_NS = 750_000_000
"""A rate that falls is seen in this time [ns]."""
SAMPLE_NS = 250_000_000
HABIT_SAMPLES = 40
"""The usual rate is the median of so many samples: a new rate is the usual one after some five seconds."""
HABIT_NS = 1_000_000_000
"""Each sample counts the pictures of this time [ns]."""
LEAST_RATE = 4.0
"""Below this many pictures a second three quarters of a second say nothing about a rate."""
FALLEN, RISEN = 0.6, 0.75
"""Below the first share of the usual rate a source has fallen behind; above the second it has caught up."""
HABITS_KNOWN = 5
LATEST = 5
STRETCHED, TORN = 1.5, 3.0
"""Most of the latest intervals have to be the first number of times the usual one, or the last two of them the second
number of times: after a pause and a burst they are not."""

DAMAGE_NS = 1_000_000_000
DAMAGED_PIECES, DAMAGED_SHARE = 2, 0.1
"""A line is damaged with so many spoilt pieces in a second, and this share of all; one alone is only counted."""


class Pace:
    """The rhythm of one source; times are monotonic [ns] and never go back."""

    def __init__(self) -> None:
        self._arrivals_ns: deque[int] = deque(maxlen=600)
        self._pauses: deque[tuple[int, int]] = deque()
        self._habit: deque[float] = deque(maxlen=HABIT_SAMPLES)
        self._damage: deque[tuple[int, int]] = deque()
        self._connected_ns = self._sampled_ns = 0
        self._step_ns = 0
        self._usual: float | None = None
        self._behind = self._spoilt = False

    def begin(self, t_ns: int) -> None:
        """Begin a connection; the pauses a source makes are its own and stay known."""
        self._arrivals_ns.clear()
        self._habit.clear()
        self._usual = None
        self._connected_ns = self._sampled_ns = t_ns
        self._behind = False

    def arrived(self, t_ns: int) -> None:
        """Take the moment of a picture."""
        if self._arrivals_ns:
            pause = t_ns - self._arrivals_ns[-1]
            # What was longer than any patience was a loss, and teaches nothing.
            if SAMPLE_NS // 2 < pause <= SILENT_NS:
                self._pauses.append((t_ns, pause))
        while self._pauses and t_ns - self._pauses[0][0] > PAUSES_KEPT_NS:
            self._pauses.popleft()
        self._arrivals_ns.append(t_ns)
        self._behind = self._fallen(t_ns)
        if t_ns - self._sampled_ns < SAMPLE_NS:
            return
        self._sampled_ns = t_ns
        steps = np.diff(np.array(self._arrivals_ns, np.int64))
        self._step_ns = int(np.median(steps[-60:])) if len(steps) else 0
        if t_ns - self._connected_ns > HABIT_NS:
            self._habit.append(self._count(t_ns, HABIT_NS) / HABIT_NS * 1e9)
        if len(self._habit) >= HABITS_KNOWN:
            self._usual = float(np.median(self._habit))

    def damaged(self, t_ns: int, pieces: int) -> None:
        """Take the moment at which something came that could not be used."""
        if pieces > 0:
            self._damage.append((t_ns, pieces))

    @property
    def times_ns(self) -> list[int]:
        """Moments of arrival since the connection began [ns]."""
        return list(self._arrivals_ns)

    @property
    def step_ns(self) -> int:
        """The usual interval [ns], as it was at the last look; 0 where nothing is known."""
        return self._step_ns

    @property
    def patience_ns(self) -> int:
        """Silence longer than this [ns] means that the source is gone."""
        longest = max((pause for _t, pause in self._pauses), default=0)
        known = len(self._arrivals_ns) >= KNOWN
        wait = min(SILENT_NS, max(QUIET_NS, PAUSE_FACTOR * longest)) if known else SILENT_NS
        return max(wait, INTERVALS * self._step_ns)

    def usual_rate(self) -> float | None:
        """Pictures a second that are usual of late; None where that is not known yet."""
        return self._usual

    def rate_now(self, now_ns: int) -> float:
        """Pictures a second over the last three quarters of a second."""
        return self._count(now_ns, SHORT_NS) / SHORT_NS * 1e9

    def fallen_behind(self, now_ns: int) -> bool:
        """Tell whether fewer pictures come than a moment ago."""
        self._behind = self._fallen(now_ns)
        return self._behind

    def spoilt(self, now_ns: int) -> bool:
        """Tell whether what comes is damaged again and again; over once a second has passed without damage."""
        while self._damage and now_ns - self._damage[0][0] > DAMAGE_NS:
            self._damage.popleft()
        pieces = sum(count for _t, count in self._damage)
        share = pieces / (pieces + self._count(now_ns, DAMAGE_NS)) if pieces else 0.0
        self._spoilt = pieces > 0 and (self._spoilt or (pieces >= DAMAGED_PIECES and share >= DAMAGED_SHARE))
        return self._spoilt

    def _count(self, now_ns: int, span_ns: int) -> int:
        return sum(1 for _ in itertools.takewhile(lambda t: t > now_ns - span_ns, reversed(self._arrivals_ns)))

    def _fallen(self, now_ns: int) -> bool:
        usual = self.usual_rate()
        if usual is None or usual < LEAST_RATE:
            return False
        if self._behind:
            return self.rate_now(now_ns) < RISEN * usual
        if self.rate_now(now_ns) >= FALLEN * usual:
            return False
        usual_ns = 1e9 / usual
        times = list(itertools.islice(reversed(self._arrivals_ns), LATEST + 1))[::-1]
        steps = [b - a for a, b in zip(times, times[1:], strict=False)]
        # The interval that is not over yet counts as soon as it is longer than the usual one.
        if now_ns - times[-1] > usual_ns:
            steps.append(now_ns - times[-1])
        return statistics.median(steps[-LATEST:]) > STRETCHED * usual_ns or min(steps[-2:]) > TORN * usual_ns
