"""What the user asked for: the state, target, range and rate of one source in play, under one lock.

Commands come from other threads and return at once; the capture thread (`hub`) carries them out between frames.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

from puncta.core.channels import LatestSlot
from puncta.core.events import PlayState
from puncta.core.frame import Calibration, Frame, SourceInfo, SourceKind
from puncta.core.ports import Clock
from puncta.pipeline.pacing import Pacer
from puncta.pipeline.policy import Delivery, Job
from puncta.sdk.plugin import ResetReason

GAP_NS = 1_000_000_000
"""After this long [ns] without a frame a live picture is another one, and the plugins begin anew."""


@dataclass(frozen=True, slots=True)
class HubStatus:
    """A snapshot of the capture thread."""

    state: PlayState
    info: SourceInfo | None
    index: int
    epoch: int
    played: int
    drops: tuple[tuple[str, int], ...]
    message: str


class Transport:
    """Commands and their state. The next frame (`_next`) and the last one (`_last`) belong to the capture thread."""

    def __init__(
        self,
        jobs: LatestSlot[Job],
        clock: Clock,
        *,
        first_epoch: int,
        delivery: Delivery,
        paused: bool,
        start_index: int,
        rate: float,
        repeat: bool,
    ) -> None:
        self._jobs = jobs
        self._clock = clock
        self._condition = threading.Condition()
        self._closing = False
        self._info: SourceInfo | None = None
        self._own_calibration: Calibration | None = None
        self._override: Calibration | None = None
        self._state = PlayState.OPENING
        self._message = ""
        self._epoch, self._reason = first_epoch, ResetReason.OPENED
        self._valid_from = first_epoch
        self._delivery, self._repeat = delivery, repeat
        self._pacer = Pacer(clock, rate)
        self._loop: tuple[int, int] | None = None
        self._target: int | None = start_index or None
        # Where the user wants to be, from the command until its frame is handed out.
        self._aim = self._target
        self._interval_ns = 40_000_000
        self._refresh = False
        self._play_after_open = not paused
        self._index, self._played = -1, 0
        self._connection = 0
        self._next: Frame | None = None
        self._last: Frame | None = None
        self._drops: Counter[str] = Counter()

    def play(self) -> None:
        """Play on; from the start when the end was reached."""
        with self._condition:
            if self._state is PlayState.ENDED and self._seekable():
                self._go_to(self._loop[0] if self._loop else 0)
                self._state = PlayState.PLAYING
            elif self._state is PlayState.PAUSED:
                self._state = PlayState.PLAYING
            elif self._state is PlayState.OPENING:
                self._play_after_open = True
            self._pacer.release()
            self._condition.notify_all()

    def pause(self) -> None:
        """Hold the picture."""
        with self._condition:
            if self._state is PlayState.PLAYING:
                self._state = PlayState.PAUSED
            elif self._state is PlayState.OPENING:
                self._play_after_open = False
            self._condition.notify_all()

    def seek(self, index: int) -> None:
        """Go to a frame; a newer seek replaces one that waits. The epoch grows at once, so older results are void."""
        with self._condition:
            if self._info is not None and not self._seekable():
                return
            self._go_to(max(0, index))
            if self._state is PlayState.ENDED:
                self._state = PlayState.PAUSED
            self._condition.notify_all()

    def step(self, delta: int) -> None:
        """Pause and go ``delta`` frames on or back."""
        with self._condition:
            if self._state is PlayState.PLAYING:
                self._state = PlayState.PAUSED
            base = self._aim if self._aim is not None else self._index
            if delta == 1 and self._target is None and not self._at_end(base + 1) and self._follows(base):
                # The very next frame needs no new epoch: the plugins' history runs on.
                self._target, self._aim = -1, base + 1
                self._condition.notify_all()
                return
        self.seek(min(base + delta, self._last_index()))

    def refresh(self, reason: ResetReason) -> None:
        """Analyse the shown frame again (a plugin was switched, a calibration or a model changed).

        While it plays, the next frame begins the new epoch.
        """
        with self._condition:
            if self._info is None or self._index < 0:
                return
            if reason is ResetReason.MODEL_CHANGED and (self._state is not PlayState.PLAYING or self._aim is not None):
                # The frames before it come by again, so the other plugins begin anew with them.
                reason = ResetReason.SEEK
            self._new_epoch(reason)
            if self._seekable() and (self._aim is not None or self._state is not PlayState.PLAYING):
                # A seek that is not done yet stays the user's wish.
                self._target = self._aim = self._index if self._aim is None else self._aim
            else:
                self._refresh = self._state is not PlayState.PLAYING
            self._condition.notify_all()

    def judge_held(self) -> None:
        """Have the frame that is held judged by the plugins that passed over it; memories and seeks are left alone."""
        with self._condition:
            held = self._state in {PlayState.PAUSED, PlayState.ENDED}
            if held and self._seekable() and self._last is not None and self._target is None and self._aim is None:
                self._refresh = True
                self._condition.notify_all()

    def set_rate(self, rate: float) -> None:
        """Set the playback rate, 0.1 .. 4."""
        with self._condition:
            self._pacer.set_rate(rate)
            self._condition.notify_all()

    def set_loop(self, span: tuple[int, int] | None) -> None:
        """Loop over a half-open range of frames, or over nothing."""
        with self._condition:
            self._loop = span = self._possible_loop(span)
            if span is not None and not span[0] <= self._index < span[1] and self._seekable():
                self._go_to(span[0])
            self._condition.notify_all()

    def set_repeat(self, on: bool) -> None:
        """Start again at the end."""
        with self._condition:
            self._repeat = on

    def set_delivery(self, delivery: Delivery) -> None:
        """Choose between dropping late frames and waiting for every one."""
        with self._condition:
            self._delivery = delivery
            self._pacer.release()

    def set_calibration(self, calibration: Calibration | None) -> None:
        """Put the user's calibration in place of the source's, or take it away."""
        with self._condition:
            self._override = calibration
            if self._info is not None:
                geometry = self._info.geometry.with_calibration(calibration or self._own_calibration)
                self._info = replace(self._info, geometry=geometry)
        self.refresh(ResetReason.GEOMETRY_CHANGED)

    def status(self) -> HubStatus:
        """Return a snapshot."""
        with self._condition:
            drops = Counter(self._drops) + Counter(self._jobs.drops)
            drops.pop("outdated", None)  # thrown away on purpose: the user went elsewhere
            index = self._aim if self._aim is not None else max(0, self._index)
            counted = tuple(drops.items())
            return HubStatus(self._state, self._info, index, self._epoch, self._played, counted, self._message)

    @property
    def epoch(self) -> int:
        """The current epoch; results of an older one are void."""
        return self._epoch

    @property
    def valid_from(self) -> int:
        """The first epoch whose results may still be shown; a repeat begins an epoch and voids nothing."""
        return self._valid_from

    @property
    def loop(self) -> tuple[int, int] | None:
        """The looped half-open range of frames."""
        return self._loop

    def _follow_source(
        self, frame: Frame, connection: int, calibration_of: Callable[[SourceInfo], Calibration | None]
    ) -> None:
        """Begin an epoch where a frame does not continue the one before; the caller holds the lock."""
        last, info = self._last, self._info
        before, self._connection = self._connection, connection
        if last is None or info is None:
            return
        live = info.kind is SourceKind.LIVE
        resized = last.pixels.shape != frame.pixels.shape
        if resized or (live and last.geometry != frame.geometry):
            if live:
                self._take_geometry(frame, calibration_of)
            self._new_epoch(ResetReason.GEOMETRY_CHANGED)
        elif connection != before or (live and frame.t_ns - last.t_ns > max(GAP_NS, 3 * self._interval_ns)):
            self._new_epoch(ResetReason.GAP)

    def _take_geometry(self, frame: Frame, calibration_of: Callable[[SourceInfo], Calibration | None]) -> None:
        """Take a live source's new size or scale. A ruler laid on the old one goes; one known for this size comes."""
        info = self._info
        assert info is not None
        geometry = frame.geometry
        resized = (info.geometry.width_px, info.geometry.height_px) != (geometry.width_px, geometry.height_px)
        self._own_calibration = geometry.calibration
        self._override = calibration_of(replace(info, geometry=geometry)) if resized else None
        self._info = replace(info, geometry=geometry.with_calibration(self._override or self._own_calibration))

    def _new_epoch(self, reason: ResetReason) -> None:
        """Begin an epoch; the caller holds the lock."""
        self._epoch += 1
        self._valid_from = self._epoch
        self._reason = reason
        self._jobs.clear("outdated")

    def _new_round(self) -> None:
        """Begin an epoch at a repeat: plugins forget, but the last frames before it are still to be shown."""
        self._epoch += 1
        self._reason = ResetReason.SEEK

    def _go_to(self, index: int) -> None:
        """Aim at a frame in a new epoch; the caller holds the lock."""
        self._target = self._aim = index
        self._new_epoch(ResetReason.SEEK)

    def _follows(self, index: int) -> bool:
        """Whether the frame after ``index`` comes next anyway."""
        if not self._seekable():
            return self._info is not None
        upcoming = self._next
        return self._aim is None and upcoming is not None and upcoming.key.index == index + 1

    def _possible_loop(self, span: tuple[int, int] | None) -> tuple[int, int] | None:
        """Keep a looped range inside the source; None where there is nothing to loop."""
        if span is None or (self._info is not None and not self._seekable()):
            return None
        first, end = max(0, span[0]), min(span[1], self._last_index() + 1)
        return (first, end) if end > first else None

    def _wait_until_due(self, frame: Frame) -> bool:
        """Wait for a frame's moment; False when a command came first."""
        with self._condition:
            due = self._wait_until(self._pacer.due_ns(frame.key.pts_ns))
            if due:
                self._pacer.shown(frame.key.pts_ns)
            return due

    def _wait_until(self, moment_ns: int) -> bool:
        """Wait for a monotonic moment [ns]; False when a command came first. The caller holds the lock."""
        while True:
            if self._closing or self._target is not None or self._state is not PlayState.PLAYING:
                return False
            if not self._pacer.anchored:
                return False  # the rate changed: the moment must be computed anew
            left_ns = moment_ns - self._clock.now_ns()
            if left_ns <= 0:
                return True
            self._condition.wait(left_ns / 1e9)

    def _seekable(self) -> bool:
        return self._info is not None and self._info.seekable

    def _last_index(self) -> int:
        count = self._info.frame_count if self._info else None
        return count - 1 if count else 2**31

    def _at_end(self, index: int) -> bool:
        if self._loop is not None:
            return index >= self._loop[1]
        return index > self._last_index()
