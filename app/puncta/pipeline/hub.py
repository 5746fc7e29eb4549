"""The capture thread: owns a source, keeps its clock, and hands out frames.

Files and the simulator are paced by their stored times against an absolute anchor, so that playback keeps its rate and
drops rather than slows. Commands (play, seek, ...) arrive from other threads and are taken between frames.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from puncta.core.channels import ChannelClosed, LatestSlot
from puncta.core.errors import UserError
from puncta.core.events import PlayState
from puncta.core.frame import Calibration, Frame, SourceInfo, SourceKind
from puncta.core.ports import Clock, FrameSource, SystemClock, as_live, as_made_on_time
from puncta.pipeline.policy import Delivery, Job
from puncta.pipeline.transport import Transport

log = logging.getLogger(__name__)

REST_MARGIN_NS = 5_000_000
"""Decoding begins this long [ns] before it would have to, so that an ordinary delay makes no frame late."""


class Hub(Transport):
    """Plays one source into two slots: `jobs` for inference, `preview` for the raw picture.

    Parameters
    ----------
    open_source : callable
        Opens the source; called in the capture thread, since files and devices may be slow.
    history_frames : callable
        How many earlier frames the plugins want after a seek.
    on_change : callable
        Called (in the capture thread) when the state changed.
    on_preview : callable
        Called (in the capture thread) when a preview frame came, after inference has been woken for it.
    on_frame : callable
        Takes every frame that is handed out, in the capture thread (a recorder); must never wait.
    first_epoch : int
        Epochs of one player grow over all its sources.
    """

    def __init__(
        self,
        open_source: Callable[[], FrameSource],
        jobs: LatestSlot[Job],
        preview: LatestSlot[Frame],
        *,
        first_epoch: int = 0,
        delivery: Delivery = Delivery.LIVE,
        history_frames: Callable[[], int] = lambda: 0,
        on_change: Callable[[], None] = lambda: None,
        on_preview: Callable[[], None] = lambda: None,
        on_frame: Callable[[Frame], None] = lambda _frame: None,
        paused: bool = False,
        start_index: int = 0,
        rate: float = 1.0,
        repeat: bool = False,
        calibration_of: Callable[[SourceInfo], Calibration | None] = lambda _info: None,
        clock: Clock | None = None,
    ) -> None:
        clock = clock or SystemClock()
        super().__init__(
            jobs,
            clock,
            first_epoch=first_epoch,
            delivery=delivery,
            paused=paused,
            start_index=start_index,
            rate=rate,
            repeat=repeat,
        )
        self._open_source, self._preview = open_source, preview
        self._history_frames, self._on_change, self._on_frame = history_frames, on_change, on_frame
        self._on_preview = on_preview
        self._calibration_of = calibration_of
        self._source: FrameSource | None = None
        self._frame_id, self._following, self._read_ns = 0, 0, 0
        self._thread = threading.Thread(target=self._work, name="puncta-capture")

    @property
    def source(self) -> FrameSource | None:
        """The open source; other threads use only what it says is safe for them."""
        return self._source

    def start(self) -> None:
        """Start the capture thread."""
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> bool:
        """Ask the thread to end and wait for it; True when it has ended."""
        with self._condition:
            self._closing = True
            self._condition.notify_all()
        live = as_live(self._source)
        if live is not None:
            live.interrupt()  # it may be waiting for its first picture
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _work(self) -> None:
        try:
            self._open()
            while self._turn():
                pass
        except ChannelClosed:
            pass  # the player is closing
        except UserError as error:
            self._fail(str(error))
        except Exception:
            log.exception("the capture thread stopped")
            self._fail("The source stopped working; the log has the details.")
        finally:
            if self._source is not None:
                self._source.close()

    def _open(self) -> None:
        # Known before it is asked for its facts: a live source waits for its first picture, and `stop` interrupts it.
        source = self._source = self._open_source()
        live = as_live(source)
        if self._closing and live is not None:
            live.interrupt()
        info = source.info
        with self._condition:
            self._info = info
            self._own_calibration = source.info.geometry.calibration
            self._override = self._calibration_of(source.info)
            if self._override is not None:
                self._info = replace(source.info, geometry=source.info.geometry.with_calibration(self._override))
            self._state = PlayState.PLAYING if self._play_after_open else PlayState.PAUSED
            self._interval_ns = self._info.interval_ns
            self._loop = self._possible_loop(self._loop)
            if not self._seekable():
                self._target, self._aim = (None if self._play_after_open else -1), None
            elif self._target is None and not self._play_after_open:
                self._target = self._aim = 0
        self._on_change()

    def _turn(self) -> bool:
        """Do one thing: a seek, a refresh, the next frame, or wait. False ends the thread."""
        with self._condition:
            if self._closing:
                return False
            target, self._target = self._target, None
            refresh, self._refresh = self._refresh, False
            epoch = self._epoch
            held = target is None and not refresh and self._state is not PlayState.PLAYING
            live = self._info is not None and self._info.kind is SourceKind.LIVE
            if held and not live:
                self._condition.wait(0.5)
                return True
        if held:
            self._pass_by()
            return True
        if target is not None and target >= 0:
            self._show(target, epoch)
        elif target is not None:
            self._show_next(epoch)
        elif refresh:
            if self._last is not None:
                self._hand_out(self._last, epoch)
        else:
            self._play_one(epoch)
        return True

    def _pass_by(self) -> None:
        """Read on while the picture is held: what a live source sends now must not be waiting when it runs again."""
        try:
            if self._take_next() is None:
                self._finish()
        except TimeoutError:
            pass  # nothing came; commands are looked at again

    def _show(self, index: int, epoch: int) -> None:
        """Seek, pre-roll what the plugins want, and hand out the frame."""
        source = self._source
        assert source is not None
        index = min(index, self._last_index())
        begin = max(0, index - self._history_frames())
        source.seek(begin)
        self._next = None
        pre_roll: list[Frame] = []
        frame: Frame | None = None
        for _ in range(begin, index + 1):
            if self._epoch != epoch:
                return  # a newer seek has come; do not finish this one
            frame = source.read()
            if frame is not None and frame.key.index < index:
                pre_roll.append(frame)
        with self._condition:
            if frame is None:
                self._aim = self._aim if self._target is not None else None
                return
            self._pacer.move_to(frame.key.pts_ns)
            self._pacer.shown(frame.key.pts_ns)
        if self._hand_out(frame, epoch, pre_roll=tuple(pre_roll)):
            self._next = source.read()

    def _show_next(self, epoch: int) -> None:
        """Hand out the very next frame without a new epoch."""
        assert self._info is not None
        try:
            frame = self._take_next()
        except TimeoutError:
            with self._condition:
                self._target = -1 if self._target is None else self._target
            return  # a live source without a frame yet; the wish stays
        if frame is None:
            self._finish()
        elif self._seekable() and frame.key.index != self._index + 1:
            # Playback passed over frames just before it was held; the one after the shown frame is wanted.
            with self._condition:
                if self._target is None:
                    self._go_to(self._index + 1)
        elif self._hand_out(frame, epoch) and self._info.kind is not SourceKind.LIVE:
            self._next = self._take_next()

    def _play_one(self, epoch: int) -> None:
        if self._next is None and not self._rest():
            return
        left_out = self._catch_up()
        try:
            frame = self._take_next()
        except TimeoutError:
            return  # a live source without a frame yet; commands are looked at again
        if frame is None or self._at_end(frame.key.index):
            self._wrap()
            return
        skipped = 0
        if left_out:
            frame = replace(frame, skipped=frame.skipped + left_out)
        if self._info is not None and self._info.kind is not SourceKind.LIVE:
            frame, skipped = self._pass_over(frame)
            if frame is None:
                return
            if not self._wait_until_due(frame):
                self._next = frame  # interrupted by a command: the frame is still the next one
                return
        self._hand_out(frame, epoch, skipped)

    def _take_next(self) -> Frame | None:
        frame, self._next = self._next, None
        if frame is None:
            assert self._source is not None
            begun_ns = self._clock.now_ns()
            frame = self._source.read()
            # The slowest of late counts: a key frame now and then must not come too late.
            self._read_ns = max(self._clock.now_ns() - begun_ns, round(0.97 * self._read_ns))
        return frame

    def _rest(self) -> bool:
        """Leave the cores to the inference and painting of the frame just handed out; False when a command came.

        Decoding the next frame at once made that frame's analysis 1 to 2 ms slower on two cores. Where decoding takes
        long there is no rest.
        """
        info = self._info
        if info is None or info.kind is SourceKind.LIVE or self._delivery is Delivery.EVERY_FRAME:
            return True
        with self._condition:
            if not self._pacer.anchored or self._index < 0:
                return True
            following, times = self._following, info.times_ns
            if times is not None and following < len(times):
                due_ns = self._pacer.due_ns(int(times[following]))
            else:
                due_ns = self._pacer.last_due_ns + round(self._interval_ns / self._pacer.rate)
            early_ns = 2 * self._read_ns + REST_MARGIN_NS
            if getattr(self._source, "steering", None) is not None:
                # What a hand does after a frame was begun waits for the next one, and a finished frame that waits for
                # its moment shows old moves: it is begun at its moment and handed out as soon as it is rendered.
                early_ns = 0
            return self._wait_until(due_ns - early_ns)

    def _pass_over(self, frame: Frame) -> tuple[Frame | None, int]:
        """Drop frames that are too late in live delivery; where nothing may be dropped, slow down instead."""
        info = self._info
        assert info is not None and self._source is not None
        with self._condition:
            if not self._pacer.too_late(frame.key.pts_ns, self._interval_ns):
                return frame, 0
            if self._delivery is Delivery.LIVE and as_made_on_time(self._source) is not None:
                return frame, 0  # the next ones make up for it
            if self._delivery is Delivery.EVERY_FRAME or not info.seekable:
                self._pacer.move_to(frame.key.pts_ns)
                return frame, 0
            media_ns = frame.key.pts_ns + round(self._pacer.late_ns(frame.key.pts_ns) * self._pacer.rate)
            end = self._loop[1] if self._loop else self._last_index() + 1
            index = int(np.searchsorted(info.times_ns, media_ns, side="right")) - 1
            skipped = min(max(index, frame.key.index), end - 1) - frame.key.index
            self._drops["late"] += skipped
        if skipped <= 0:
            return frame, 0
        self._source.seek(frame.key.index + skipped)
        return self._source.read(), skipped

    def _catch_up(self) -> int:
        """Let a source that makes its frames by the clock leave out those past their time; return how many.

        Before the next one is made: one that is late already by more than its own interval would only be thrown away.
        """
        maker = as_made_on_time(self._source)
        if maker is None or self._next is not None or self._delivery is Delivery.EVERY_FRAME:
            return 0
        with self._condition:
            if not self._pacer.anchored:
                return 0
            due_now_ns = self._pacer.media_ns(self._clock.now_ns())
        skipped = maker.let_pass(due_now_ns)
        with self._condition:
            self._drops["late"] += skipped
        return skipped

    def _wrap(self) -> None:
        """Reach the end: loop, repeat, or stop. A loop keeps the rate: its first frame is due one interval on."""
        with self._condition:
            if self._target is not None:
                return
            info, loop = self._info, self._loop
            assert info is not None
            # A still picture ends: repeating it would start a new epoch before its analysis is done, again and again.
            still = (loop[1] - loop[0] if loop else info.frame_count) == 1
            if still or (loop is None and not (self._repeat and info.seekable)):
                self._state = PlayState.ENDED
            else:
                first = loop[0] if loop else 0
                self._new_round()
                self._pacer.wrap_to(int(info.times_ns[first]), self._interval_ns)
        if self._state is PlayState.ENDED:
            self._on_change()
            return
        assert self._source is not None
        self._source.seek(first)
        self._next, self._following = None, first

    def _finish(self) -> None:
        with self._condition:
            self._state = PlayState.ENDED
            if self._target is None:
                self._aim = None
        self._on_change()

    def _stamp(self, frame: Frame, epoch: int, skipped: int = 0) -> Frame:
        info = self._info
        assert info is not None
        self._frame_id += 1
        return replace(
            frame,
            epoch=epoch,
            frame_id=self._frame_id,
            t_ns=frame.t_ns if info.kind is SourceKind.LIVE else self._clock.now_ns(),
            skipped=frame.skipped + skipped,
            geometry=frame.geometry.with_calibration(self._override) if self._override else frame.geometry,
            source=info,
        )

    def _hand_out(self, frame: Frame, epoch: int, skipped: int = 0, pre_roll: tuple[Frame, ...] = ()) -> bool:
        """Hand a frame to the preview and to inference; False when a command made it void."""
        with self._condition:
            if self._epoch != epoch:
                self._next = frame if self._target is None else None
                return False
            live = as_live(self._source)
            self._follow_source(frame, live.connection if live is not None else 0, self._calibration_of)
            epoch = self._epoch
            earlier = tuple(self._stamp(f, epoch) for f in pre_roll)
            stamped = self._stamp(frame, epoch, skipped)
            job = Job(stamped, self._reason, earlier, self._state is not PlayState.PLAYING)
            wait = self._delivery is Delivery.EVERY_FRAME and self._state is PlayState.PLAYING
        self._on_frame(stamped)
        self._preview.put(stamped)
        if not wait:
            self._jobs.put(job)
        self._on_preview()
        while wait and not self._jobs.put_wait(job, 0.1):
            with self._condition:
                moved_on = self._target is not None or self._epoch != epoch
                if self._closing or moved_on or self._state is not PlayState.PLAYING:
                    self._next = frame  # the user asked for something else; this frame is still the next one
                    return False
        with self._condition:
            self._last, self._index = frame, frame.key.index
            self._following = frame.key.index + 1
            self._played += 1
            if self._target is None:
                self._aim = None
        return True

    def _fail(self, message: str) -> None:
        with self._condition:
            self._state, self._message = PlayState.FAILED, message
        self._on_change()
