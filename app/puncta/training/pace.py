"""How fast a training goes and how long it still takes, also where its input grows on the way."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

WINDOW_S = 45.0
"""Time that the speed is measured over [s]."""

Stages = Sequence[tuple[int, int]]
"""(size [px], samples) one after another."""


def stages_of(config: Mapping[str, Any]) -> list[tuple[int, int]]:
    """Return all stages of an experiment, the last at the full size; one stage where the size never changes."""
    training = config.get("training", {})
    stages = [(int(s["size"]), int(s["samples"])) for s in training.get("stages", ())]
    rest = int(training.get("samples", 0)) - sum(samples for _, samples in stages)
    size = int(config.get("model", {}).get("input", {}).get("size", 0) or 1)
    return [*stages, (size, rest)] if rest > 0 else stages


def work_of(stages: Stages, samples: float) -> float:
    """Return the work in so many samples, in samples of the last stage: cost grows with the picture's area."""
    if not stages:
        return samples
    full = stages[-1][0]
    work = 0.0
    for size, count in stages:
        part = min(samples, count)
        work += part * (size / full) ** 2
        samples -= part
    return work + samples


class Pace:
    """Measures speed over the last while.

    Parameters
    ----------
    stages : sequence of (size, samples)
    total : int
        Samples in all.
    """

    def __init__(self, stages: Stages, total: int) -> None:
        self._stages, self._total = stages, total
        self._seen: deque[tuple[float, int]] = deque()

    def note(self, samples: int, now_s: float) -> tuple[float | None, float | None]:
        """Take in how far the training is; return samples a second and the time left [s], None where not yet known."""
        self._seen.append((now_s, samples))
        while len(self._seen) > 2 and now_s - self._seen[1][0] >= WINDOW_S:
            self._seen.popleft()
        then_s, before = self._seen[0]
        took_s = now_s - then_s
        done = work_of(self._stages, samples)
        worked = done - work_of(self._stages, before)
        if took_s <= 0 or worked <= 0:
            return None, None
        left_s = (work_of(self._stages, self._total) - done) * took_s / worked
        return (samples - before) / took_s, max(0.0, left_s)
