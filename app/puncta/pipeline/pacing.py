"""When a frame is due: stored times against an absolute anchor, so that errors never add up over a minute."""

from __future__ import annotations

from puncta.core.ports import Clock

LATE_FRAMES = 1.5
"""A frame later than this many intervals is passed over in live delivery."""


class Pacer:
    """Maps stored times [ns] to monotonic times [ns] at a playback rate. Its owner holds the lock."""

    def __init__(self, clock: Clock, rate: float) -> None:
        self._clock = clock
        self.rate = rate
        self._anchor: tuple[int, int] | None = None
        self.last_due_ns = clock.now_ns()

    @property
    def anchored(self) -> bool:
        """False after a command that moved the anchor: a waiting frame's moment must be computed anew."""
        return self._anchor is not None

    def release(self) -> None:
        """Let the next frame be due at once (a seek, another rate, play after pause)."""
        self._anchor = None

    def set_rate(self, rate: float) -> None:
        """Change the rate, 0.1 .. 4."""
        self.rate = min(4.0, max(0.1, rate))
        self._anchor = None

    def due_ns(self, pts_ns: int) -> int:
        """Monotonic time [ns] at which a frame of this stored time is to be shown."""
        if self._anchor is None:
            self._anchor = (self._clock.now_ns(), pts_ns)
        t0_ns, pts0_ns = self._anchor
        return t0_ns + round((pts_ns - pts0_ns) / self.rate)

    def media_ns(self, moment_ns: int) -> int:
        """Stored time [ns] that is due at a monotonic moment [ns]; the inverse of `due_ns` once anchored."""
        t0_ns, pts0_ns = self._anchor or (moment_ns, 0)
        return pts0_ns + round((moment_ns - t0_ns) * self.rate)

    def late_ns(self, pts_ns: int) -> int:
        """How late a frame is [ns]; negative when it is early."""
        return self._clock.now_ns() - self.due_ns(pts_ns)

    def too_late(self, pts_ns: int, interval_ns: int) -> bool:
        """Tell whether a frame is past its time by more than `LATE_FRAMES` intervals [ns] of the source."""
        return self.late_ns(pts_ns) > LATE_FRAMES * interval_ns / self.rate

    def move_to(self, pts_ns: int) -> None:
        """Make a frame due now where nothing may be dropped: playback slows instead."""
        self._anchor = (self._clock.now_ns(), pts_ns)

    def shown(self, pts_ns: int) -> None:
        """Remember the moment the last frame was due."""
        self.last_due_ns = self.due_ns(pts_ns)

    def wrap_to(self, pts_ns: int, interval_ns: int) -> None:
        """Make the first frame of a loop due one interval after the last, so that loops keep the rate."""
        due_ns = self.last_due_ns + round(interval_ns / self.rate)
        if self._anchor is None:
            due_ns = max(due_ns, self._clock.now_ns())  # played on after a pause, which is no delay to make up for
        self._anchor = (due_ns, pts_ns)
