"""What the window works on: the player, the picture it shows, the case that is open. No widgets here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, QTimer, Signal

from puncta.core.events import PipelineStatus, PlayState
from puncta.core.frame import Calibration, CalibrationOrigin, SourceInfo
from puncta.core.geometry import PointPx
from puncta.core.results import Analysis
from puncta.gui.bridge import Bridge
from puncta.gui.chores import Chore
from puncta.gui.i18n import tr
from puncta.gui.preferences import Preferences
from puncta.gui.remembered import ruler_identity
from puncta.gui.seeking import BackwardPlay, HeldPicture, OneSeek, next_faster
from puncta.gui.veil import Veil

if TYPE_CHECKING:
    from puncta.session.latency import LatencySnapshot
    from puncta.session.player import Player

POLL_MS = 100
SPEEDS = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0)
AT_WORK = (PlayState.PLAYING, PlayState.PAUSED, PlayState.ENDED)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a case was left, so that it can be opened again there."""

    uri: str
    index: int
    playing: bool


class Desk(QObject):
    """Joins the player to the window.

    Signals carry no picture. After `pictured` read `analysis`; after `status_changed` read `status`.
    """

    pictured = Signal()
    status_changed = Signal()
    source_changed = Signal()
    target_changed = Signal()
    loop_changed = Signal()
    failed = Signal(str)
    model_switched = Signal(str, str, str)
    """The end of a switch: plugin, the model it runs with now, and why nothing changed (empty where it did)."""

    def __init__(self, player: Player, preferences: Preferences, bridge: Bridge, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.player, self.preferences = player, preferences
        self.analysis: Analysis | None = None
        self.veil = Veil()
        self.status: PipelineStatus = player.status()
        self.stalled = self._failure_said = False
        self.target_px: PointPx | None = None
        self.loop_marks: list[int | None] = [None, None]
        self._left: dict[str, tuple[PointPx | None, list[int | None]]] = {}
        self._opening: str | None = None
        self._before: Place | None = None
        self._current: str = ""
        self._fallbacks: list[str] = []
        self._epoch = -1
        self._seeks, self._held = OneSeek(player.seek), HeldPicture(player.judge_held)
        self._backward = BackwardPlay(self._go_back, self)
        self.looking = Chore(self, POLL_MS, self._look)
        self.looking.again(pictures=False)
        bridge.woken.connect(self.take)

    # --- what is open ------------------------------------------------------------------------------------------

    @property
    def info(self) -> SourceInfo | None:
        """Facts about the open case."""
        return self.status.info

    @property
    def uri(self) -> str:
        """What is open, or about to be."""
        return self._opening or self._current

    @property
    def is_live(self) -> bool:
        """Whether the open source has no end, so that it cannot be sought."""
        return self.info is not None and not self.info.seekable

    def open(self, uri: str, *, fallbacks: tuple[str, ...] = (), start_index: int = 0) -> None:
        """Open a source. Where that fails, the case that was open comes back, or the first fallback that opens."""
        state = self.player.status().state
        if self._opening is None and self._current and state in AT_WORK:
            self._before = Place(self._current, self.shown_index(), state is PlayState.PLAYING)
        self._fallbacks = list(fallbacks)
        self._start(uri, start_index)

    def close(self) -> None:
        """Stop listening to the player. Its owner closes it."""
        self.looking.stop()
        self._backward.stop()

    def _start(self, uri: str, start_index: int = 0) -> None:
        if self._current and self._opening is None:
            self._left[self._current] = (self.target_px, list(self.loop_marks))
        self._opening = uri
        # Nobody who has no name reads anything blind; of all others it is not known yet.
        self.veil.settle(None if self.preferences.settings.rater else False)
        self._backward.stop()
        self.loop_marks = [None, None]
        self._seeks.forget()
        self.player.set_loop(None)
        self.player.open(uri, start_index=start_index)
        self.loop_changed.emit()
        self._look()

    # --- what the player says ----------------------------------------------------------------------------------

    def take(self) -> None:
        """Take the newest picture. A picture of an older epoch is never shown."""
        if self.take_raw():
            self._seeks.note_picture()
            self.looking.follow_picture()
        if self._opening is not None:
            self._look()
        self._seeks.send()

    def _look(self) -> None:
        """Read the status, ten times a second and whenever something is being opened."""
        self.looking.done()
        try:
            self.status = self.player.status()
        finally:  # whatever it fails by, it is looked at again
            self.looking.again(pictures=self.status.state is PlayState.PLAYING)
        if self._opening is not None:
            self._follow_opening()
        self._follow_failure()
        self._held.look(self.status, self.analysis)
        self.stalled = self.status.state is PlayState.PLAYING and self.player.stalled()
        if self.stalled or self.status.state is PlayState.RECONNECTING:
            self.take_raw()
        self._seeks.send()
        self.status_changed.emit()
        for switch in self.player.take_switches():
            self.model_switched.emit(switch.plugin, switch.model, switch.message)

    def take_raw(self) -> bool:
        """Take what is there; during a stall these are raw pictures. True when one came."""
        analysis = self.player.take()
        if analysis is None or analysis.frame.epoch < self._epoch:
            return False
        self._epoch, self.analysis = analysis.frame.epoch, self.veil.cover(analysis)
        self.pictured.emit()
        return True

    def _follow_opening(self) -> None:
        if self.status.state in AT_WORK and self.status.info is not None:
            uri, self._opening = self._opening or "", None
            restored = self._before is not None and self._before.uri == uri and self._current == uri
            self._current, self._before = uri, None
            self._drop_other_picture()
            if self.is_live:
                self.target_px = None  # the tissue is another one, or was away
                self._left.pop(uri, None)
            if not restored:
                # What was set on this case before, in this session, is still there.
                self.target_px, self.loop_marks = self._left.pop(uri, (None, [None, None]))
                self.preferences.remember_source(uri)
                self.target_changed.emit()
                self.loop_changed.emit()
            self.source_changed.emit()
        elif self.status.state is PlayState.FAILED:
            message, uri = self.status.message, self._opening or ""
            self._opening = None
            self.preferences.forget_source(uri)
            self.failed.emit(message or tr("This source cannot be opened."))
            self._recover()

    def _drop_other_picture(self) -> None:
        """Take the last picture of another case away, so that it never stands under this case's name."""
        info = self.status.info
        if self.analysis is not None and info is not None and self.analysis.frame.source.uri != info.uri:
            self.analysis = None
            self.pictured.emit()

    def _follow_failure(self) -> None:
        """Say once that a source that was open has failed; its last picture stays."""
        failed = self._opening is None and self.status.state is PlayState.FAILED and bool(self._current)
        if failed and not self._failure_said:
            self.failed.emit(self.status.message or tr("The source stopped."))
        self._failure_said = failed

    def _recover(self) -> None:
        if self._fallbacks:
            self._start(self._fallbacks.pop(0))
        elif self._before is not None:
            place = self._before
            self._opening = place.uri
            self.player.open(place.uri, paused=not place.playing, start_index=place.index)
            if place.uri != self._current:  # the case that was open cannot be opened either: end there
                self._before = None

    # --- transport ---------------------------------------------------------------------------------------------

    def toggle(self) -> None:
        """Play or pause."""
        self._backward.stop()
        self.player.toggle()
        self._look()

    def step(self, delta: int) -> None:
        """Pause and go frames on or back."""
        self._backward.stop()
        self.player.step(delta)
        self._look()

    def seek(self, index: int) -> None:
        """Go to a frame. While one seek is under way, only the newest wish is kept."""
        info = self.info
        if info is None or info.frame_count is None:
            return
        self._seeks.want(max(0, min(info.frame_count - 1, index)))

    def seek_end(self) -> None:
        """Go to the last frame."""
        if self.info is not None and self.info.frame_count:
            self.seek(self.info.frame_count - 1)

    def set_rate(self, rate: float) -> None:
        """Choose the playback speed."""
        self.player.set_rate(rate)
        self._look()

    def nudge_rate(self, by: int) -> None:
        """Choose the next faster or slower speed."""
        place = int(np.argmin([abs(np.log(speed / self.status.rate)) for speed in SPEEDS]))
        self.set_rate(SPEEDS[max(0, min(len(SPEEDS) - 1, place + by))])

    def shuttle(self, direction: int) -> None:
        """Play backwards (-1), hold (0) or play forwards (1); again is faster."""
        if direction == 0:
            self._backward.stop()
            self.player.pause()
        elif direction > 0:
            again = self.status.state is PlayState.PLAYING and not self._backward.rate
            self._backward.stop()
            self.player.set_rate(next_faster(self.status.rate) if again else 1.0)
            self.player.play()
        elif self.info is not None and self.info.seekable:
            self.player.pause()
            self._backward.faster()
        self._look()

    @property
    def reverse_rate(self) -> float:
        """Speed of backward play; 0 while it does not run."""
        return self._backward.rate

    def _go_back(self, seconds: float) -> bool:
        info = self.info
        if info is None or not info.seekable or self.status.index <= 0:
            return False
        base = self._seeks.wanted if self._seeks.wanted is not None else self.shown_index()
        self.seek(base - max(1, round(seconds * 1e9 / info.interval_ns)))
        return base > 0

    def shown_index(self) -> int:
        """Number of the frame on the screen."""
        return self.analysis.frame.key.index if self.analysis is not None else 0

    def aimed_index(self) -> int:
        """Number of the frame where a held picture is going, so that quick keys do not mark the frame before."""
        if self._seeks.wanted is not None:
            return self._seeks.wanted
        status = self.player.status()
        return self.shown_index() if status.state is PlayState.PLAYING else status.index

    def shown_time_s(self) -> float:
        """Time of the frame on the screen, from the start of the case [s]."""
        if self.analysis is None:
            return 0.0
        key, info = self.analysis.frame.key, self.analysis.frame.source
        start = int(info.times_ns[0]) if info.times_ns is not None and len(info.times_ns) else 0
        return (key.pts_ns - start) / 1e9

    # --- range -------------------------------------------------------------------------------------------------

    def mark_loop(self, end: int) -> None:
        """Set the first (0) or last (1) frame of the range at the frame on the screen."""
        if self.info is None or not self.info.seekable:
            return
        self.loop_marks[end] = self.aimed_index()
        first, last = self.loop_marks
        if first is not None and last is not None and first > last:
            self.loop_marks[1 - end] = None
        self.loop_changed.emit()

    def apply_loop(self) -> None:
        """Loop over the marked range; where a range is looped already, stop looping."""
        if self.status.loop is not None:
            self.clear_loop()
            return
        if self.info is None or self.info.frame_count is None:
            return
        first, last = self.loop_marks
        if first is None and last is None:
            return
        first = 0 if first is None else first
        last = self.info.frame_count - 1 if last is None else last
        self.loop_marks = [first, last]
        self.player.set_loop((first, last + 1))
        self.player.play()
        self._look()
        self.loop_changed.emit()

    def clear_loop(self) -> None:
        """Forget the range."""
        self.loop_marks = [None, None]
        self.player.set_loop(None)
        self._look()
        self.loop_changed.emit()

    # --- target and calibration --------------------------------------------------------------------------------

    def set_target(self, point_px: PointPx | None) -> None:
        """Choose what the needle is to reach: tissue on a picture without an end, else a point; or nothing."""
        self.target_px = point_px
        if self.is_live and self.analysis is not None:
            fix = self.player.set_target(point_px, self.analysis.frame)
            # A held picture shows it at once; a running one with its next analysis.
            self.analysis = replace(self.analysis, target=fix)
            self.pictured.emit()
        self.target_changed.emit()

    @property
    def fixed_target_px(self) -> PointPx | None:
        """The target of a picture that can be sought [px]; followed tissue stands in each analysis."""
        return None if self.is_live else self.target_px

    @property
    def calibration(self) -> Calibration | None:
        """Calibration of the picture on the screen."""
        if self.analysis is not None:
            return self.analysis.frame.geometry.calibration
        return self.info.geometry.calibration if self.info is not None else None

    def set_ruler(self, mm_per_px: float) -> None:
        """Calibrate the open case by a two-point ruler and remember it."""
        if self.info is None:
            return
        self.preferences.settings.rulers[ruler_identity(self.info)] = [mm_per_px, mm_per_px]
        self.preferences.touch("rulers")
        self.player.set_calibration(Calibration((mm_per_px, mm_per_px), CalibrationOrigin.RULER))

    def clear_ruler(self) -> None:
        """Go back to the calibration of the file itself."""
        if self.info is not None and ruler_identity(self.info) in self.preferences.settings.rulers:
            del self.preferences.settings.rulers[ruler_identity(self.info)]
            self.preferences.touch("rulers")
        self.player.set_calibration(None)

    # --- plugins -----------------------------------------------------------------------------------------------

    def reload_plugin(self, plugin_id: str) -> None:
        """Let a plugin take the model that is in use now, while the pictures go on; `model_switched` tells the end."""
        self.player.reload_plugin(plugin_id)

    def set_blind(self, blind: bool | None) -> None:
        """Hide what plugins find from somebody who reads the open case blind, or may (None), or show it again."""
        self.veil.settle(blind)
        if self.veil.is_due and self.analysis is not None and self.veil.whole is not None:
            self.analysis = self.veil.cover(self.veil.whole)
            if self.veil.on:
                self.veil.cover_now(self.pictured.emit)
            else:  # a source that is being taken over is laid out first: a picture is painted at once
                QTimer.singleShot(0, self, self.pictured.emit)
        self.status_changed.emit()

    # --- measurements ------------------------------------------------------------------------------------------

    def painted(self, analysis: Analysis, t_ns: int) -> None:
        """Tell the player when the paint event of a picture ended [ns, monotonic]."""
        self.player.painted(analysis, t_ns)

    def latency(self) -> LatencySnapshot:
        """What the latency meter shows."""
        return self.player.latency()

    def tracks(self) -> dict[str, NDArray[np.float32]]:
        """Confidence by frame, one array a track; NaN where a frame is not analysed yet."""
        return {} if self.veil.on else dict(self.player.track())

    def ribbons(self) -> dict[str, NDArray[np.uint8]]:
        """What was said of each frame, one array a finding; 0 where a frame is not seen yet."""
        return {} if self.veil.on else dict(self.player.ribbons())
