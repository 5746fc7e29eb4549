"""The recorder: a thread of its own that codes frames, remembers the last seconds, and writes sessions.

Whoever hands frames in never waits: `put` places them in a queue bounded in bytes, and what does not fit is counted and
declared in the session as lost, with its cause.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from puncta.core.channels import ChannelClosed
from puncta.core.errors import UserError
from puncta.core.frame import Frame, SourceKind
from puncta.core.results import Analysis
from puncta.formats.frames_log import FrameRecord
from puncta.recording.begun import Begun, note_begun
from puncta.recording.disk_watch import DiskSeen, DiskWatch
from puncta.recording.frame_coder import FrameCoder
from puncta.recording.intake import QUEUE_BYTES, Intake, Offered
from puncta.recording.kept_region import Keeping, Layout
from puncta.recording.pre_roll import Entry, PreRoll
from puncta.recording.recording_status import RecorderState, RecordingStatus
from puncta.recording.session_parts import Coded, found_of
from puncta.recording.session_writer import DiskFull, SessionWriter

__all__ = ["Recorder", "RecorderState", "RecordingStatus"]

log = logging.getLogger(__name__)

LOOK_S = 1.0
"""The disk is looked at this often [s]."""
RESULTS_HELD = 512
"""So many frames back a result still finds its frame."""

FULL = "the recorder could not keep up"
SOURCE_LOST = "lost by the source"
PASSED_OVER = "passed over by playback"
FAULT = "the frame could not be coded"
DISK_FULL = "the disk took no more"


class Recorder:
    """See the module's text.

    Parameters
    ----------
    layout_of : callable
        Tells how a frame's native planes are stored.
    whole : bool
        Keep the whole picture instead of the ultrasound region.
    pre_roll_s : float
        Remember this many seconds [s]; 0 remembers nothing and codes nothing while no session is under way.
    pre_roll_bytes : int
        Bound of what is remembered [B].
    on_change : callable
        Called in the recorder's thread when a session began or ended.
    """

    def __init__(
        self,
        layout_of: Callable[[Frame, Keeping | None], Layout],
        *,
        whole: bool = False,
        pre_roll_s: float = 10.0,
        pre_roll_bytes: int = PreRoll.BYTES,
        queue_bytes: int = QUEUE_BYTES,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self._layout_of, self._whole, self._on_change = layout_of, whole, on_change
        self._intake = Intake(queue_bytes)
        self._ring = PreRoll(pre_roll_s, pre_roll_bytes)
        self._wanted_flag = threading.Event()
        self._status_lock = threading.Lock()
        self._status = RecordingStatus()
        self._message, self._failed, self._told = "", False, 0
        self._folder: Path | None = None
        # All below belongs to the recorder's thread.
        self._writer: SessionWriter | None = None
        self._coder: FrameCoder | None = None
        self._wanted: Path | None = None
        self._pending: Counter[str] = Counter()
        self._records: dict[int, FrameRecord] = {}
        self._begun = Begun()
        self._next_look, self._watch = 0.0, DiskWatch()
        self._disk: DiskSeen | None = None
        self._thread = threading.Thread(target=self._work, name="puncta-recorder")
        self._thread.start()

    # --- called by any thread ------------------------------------------------------------------------------------

    def put(self, frame: Frame) -> None:
        """Hand a frame in; never waits. Called by one thread at a time."""
        if self._listening:
            self._intake.put(frame)

    def put_wait(self, frame: Frame) -> None:
        """Hand a frame in and wait for room: for sources that can wait, so that none is lost."""
        self._intake.put_wait(frame)

    def put_analysis(self, analysis: Analysis) -> None:
        """Hand in what was found on a frame; never waits. Without its frame in the session it is dropped."""
        if self._listening:
            self._intake.say(analysis)

    def put_transform(self, name: str, matrix: Sequence[float], t_ns: int) -> None:
        """Store a 4 x 4 transform (row by row, mm) that arrived at a monotonic time [ns]; never waits."""
        values = [float(v) for v in matrix]
        if self._listening:
            self._intake.say(lambda: self._take_transform(t_ns, name, values))

    def mark(self, kind: str, text: str = "", point_px: tuple[float, float] | None = None) -> None:
        """Mark the newest stored frame; the point is in the source's pixels [px]."""
        self._intake.say(lambda: self._mark(kind, text, point_px))

    def begin(self, folder: Path) -> None:
        """Start a session in a new folder, with what is remembered of the last seconds before it."""
        self._wanted_flag.set()
        begun = note_begun(folder)
        self._intake.say(lambda: self._begin(Path(folder), begun))

    def end(self, why: str = "The recording was stopped.") -> None:
        """End the session after the frames handed in so far."""
        self._wanted_flag.clear()
        refused = self._intake.take_refused()
        self._intake.say(lambda: self._end(why, refused=refused))

    def save_last(self, folder: Path) -> None:
        """Save what is remembered of the last seconds as a session of its own."""
        self._intake.say(lambda: self._save_last(Path(folder)))

    def forget(self, why: str = "The source was closed.") -> None:
        """End the session and forget the last seconds: another source comes."""
        self._wanted_flag.clear()
        refused = self._intake.take_refused()
        self._intake.say(lambda: self._forget(why, refused))

    def close(self) -> None:
        """End what is under way and stop the thread."""
        self.end()
        self._intake.close()
        self._thread.join()

    def status(self) -> RecordingStatus:
        """Return a snapshot."""
        with self._status_lock:
            return replace(self._status, waiting=self._intake.waiting)

    def wait_idle(self, timeout_s: float = 30.0) -> bool:
        """Wait until everything handed in so far is done; False when the time is over first."""
        done = threading.Event()
        self._intake.say(done.set)
        return done.wait(timeout_s)

    @property
    def _listening(self) -> bool:
        return self._ring.seconds_kept > 0 or self._wanted_flag.is_set()

    # --- the recorder's thread -----------------------------------------------------------------------------------

    def _work(self) -> None:
        while True:
            try:
                item = self._intake.take(0.25)
            except ChannelClosed:
                return
            try:
                if isinstance(item, Offered):
                    self._take(item)
                elif isinstance(item, Analysis):
                    self._take_analysis(item)
                elif item is not None:
                    item()
                self._keep_safe()
            except DiskFull:
                self._stop("The disk is full. The recording has ended; everything up to here is kept.")
            except OSError as error:
                log.warning("the recording stopped: %s", error)
                why = (error.strerror or type(error).__name__).lower()
                self._stop(f"The recording cannot be written ({why}) and has ended; what was written is kept.")
            except Exception:
                log.exception("the recorder failed")
                self._stop("The recorder failed and has ended the recording; the log has the details.")

    def _take(self, offered: Offered) -> None:
        frame = offered.frame
        if offered.refused:
            self._pending[FULL] += offered.refused
        if frame.skipped:
            live = frame.source.kind is SourceKind.LIVE
            self._pending[SOURCE_LOST if live else PASSED_OVER] += frame.skipped
        if self._wanted is None and self._writer is None and self._ring.seconds_kept <= 0:
            self._pending.clear()
            return
        try:
            coded = self._code(frame)
        except UserError as error:
            self._pending.clear()
            if self._wanted is not None:
                self._wanted = None
                self._wanted_flag.clear()
                self._tell(str(error), failed=True)
            return
        if coded is None:
            self._pending[FAULT] += 1
            return
        if self._wanted is not None and self._writer is None:
            self._open_session(self._ring.take_all())
        if self._writer is not None:
            self._store(frame.frame_id, coded)
        else:
            self._ring.put(frame.frame_id, coded)
        self._show()

    def _code(self, frame: Frame) -> Coded | None:
        if self._coder is not None and not self._coder.fits(frame):
            self._change("The picture changed its size or its ultrasound region. The recording has ended.")
        if self._coder is None:
            self._coder = FrameCoder(frame, self._layout_of, whole=self._whole)
        return self._coder.code(frame, self._pending)

    def _change(self, why: str) -> None:
        """Another kind of picture comes: what was begun for the last kind ends."""
        if self._writer is not None:
            self._finish(why, failed=True)
            self._wanted_flag.clear()
        self._ring.clear()
        self._coder = None

    def _begin(self, folder: Path, begun: Begun) -> None:
        if self._writer is not None or self._wanted is not None:
            begun.done()
            return
        self._message, self._failed = "", False
        self._wanted, self._begun = folder, begun
        if self._ring and self._coder is not None:
            # What is remembered is stored at once: a source that gives no further frame loses nothing of it.
            self._open_session(self._ring.take_all())
        self._show()

    def _open_session(self, remembered: Sequence[Entry]) -> None:
        folder, self._wanted = self._wanted, None
        assert folder is not None and self._coder is not None
        try:
            self._writer = SessionWriter(folder, self._coder.facts)
        except UserError as error:
            self._wanted_flag.clear()
            self._tell(str(error), failed=True)
            return
        self._folder, self._records = folder, {}
        self._watch = DiskWatch()
        self._store_all(self._writer, remembered)
        self._next_look = time.monotonic() + LOOK_S
        self._on_change()

    def _store_all(self, writer: SessionWriter, remembered: Sequence[Entry]) -> None:
        beside = self._ring.transforms(remembered[0][1].t_ns) if remembered else deque()
        for number, (frame_id, coded, all_found) in enumerate(remembered):
            while beside and number and beside[0][0] < coded.t_ns:
                t_ns, name, matrix = beside.popleft()
                writer.add_event("transform", t_ns, name=name, matrix=matrix)
            # What was lost before the first frame belongs to no session.
            record = writer.add(replace(coded, lost=0, causes=()) if number == 0 else coded)
            self._records[frame_id] = record
            for found in all_found:
                writer.add_results(record, found)
        for t_ns, name, matrix in beside:
            writer.add_event("transform", t_ns, name=name, matrix=matrix)
        writer.tally.pre_roll = len(remembered)

    def _store(self, frame_id: int, coded: Coded) -> None:
        writer = self._writer
        assert writer is not None
        if writer.frames == 0:
            coded = replace(coded, lost=0, causes=())
        try:
            self._records[frame_id] = writer.add(coded, self._intake.waiting)
        except (DiskFull, OSError):
            self._pending[DISK_FULL] += 1
            raise
        for old in [k for k in self._records if k <= frame_id - RESULTS_HELD]:
            del self._records[old]

    def _take_analysis(self, analysis: Analysis) -> None:
        frame_id = analysis.frame.frame_id
        record, entry = self._records.get(frame_id), self._ring.entry(frame_id)
        if self._coder is None:
            return
        by_px = self._coder.keeping.box[:2]
        if self._writer is not None and record is not None:
            self._writer.add_results(record, found_of(analysis, record.sha256, by_px))
        elif self._writer is None and entry is not None:
            entry[2].append(found_of(analysis, entry[1].sha256, by_px))

    def _take_transform(self, t_ns: int, name: str, matrix: list[float]) -> None:
        if self._writer is not None:
            self._writer.add_event("transform", t_ns, name=name, matrix=matrix)
        else:
            self._ring.put_transform(t_ns, name, matrix)

    def _mark(self, kind: str, text: str, point_px: tuple[float, float] | None) -> None:
        if self._writer is None or not self._records or self._coder is None:
            return
        x0, y0 = self._coder.keeping.box[:2]
        point = [point_px[0] - x0, point_px[1] - y0] if point_px is not None else None
        self._writer.add_marker(self._records[max(self._records)], kind, text, point)

    def _keep_safe(self) -> None:
        """About once a second: see whether all comes to the disk, and end before the disk is full."""
        if self._wanted is None:
            self._begun.done()
        writer, now = self._writer, time.monotonic()
        if writer is None or now < self._next_look:
            return
        self._next_look = now + LOOK_S
        writer.check()
        self._disk = seen = self._watch.look(writer.folder, writer.written)
        if seen.free < 2 * LOOK_S * seen.rate:
            kept = f"{seen.reserve / 1e6:.0f} MB"
            self._stop(f"The disk is nearly full ({kept} stay free). The recording has ended and is kept.")
        self._show()

    def _end(self, why: str, *, refused: int = 0) -> None:
        if refused:
            self._pending[FULL] += refused
        if self._wanted is not None:
            self._wanted = None
            self._tell("Nothing was recorded: no picture came.", failed=True)
        if self._writer is not None:
            self._finish(why, failed=False)

    def _forget(self, why: str, refused: int) -> None:
        self._end(why, refused=refused)
        self._ring.clear()
        self._coder = None
        self._show()

    def _save_last(self, folder: Path) -> None:
        if not self._ring or self._coder is None or self._writer is not None:
            self._tell("There is nothing to save yet.", failed=True)
            return
        writer = SessionWriter(folder, self._coder.facts)
        self._folder, self._records = folder, {}
        self._store_all(writer, self._ring.all())
        seconds = writer.seconds
        writer.finish("The last seconds were saved.")
        self._tell(f"The last {seconds:.1f} s are saved.", failed=False)

    def _stop(self, why: str) -> None:
        """End by ourselves, after a failure; playing goes on."""
        self._wanted = None
        self._wanted_flag.clear()
        if self._writer is not None:
            self._finish(why, failed=True)
        else:
            self._tell(why, failed=True)

    def _finish(self, why: str, *, failed: bool) -> None:
        writer, self._writer = self._writer, None
        assert writer is not None
        lost = tuple(self._pending.items())
        self._pending.clear()
        try:
            writer.finish(why, lost)
        except UserError as error:
            log.warning("the session was not closed: %s", error)
            why = f"{why} It is put right when it is opened."
        self._tell(why, failed=failed, writer=writer)
        self._on_change()

    def _tell(self, message: str, *, failed: bool, writer: SessionWriter | None = None) -> None:
        self._message, self._failed, self._told = message, failed, self._told + 1
        self._show(writer)
        self._on_change()

    def _show(self, ended: SessionWriter | None = None) -> None:
        writer, disk = self._writer or ended, self._disk
        status = RecordingStatus(
            RecorderState.RECORDING if self._writer is not None or self._wanted is not None else RecorderState.IDLE,
            writer.seconds if writer else 0.0,
            writer.frames if writer else 0,
            writer.tally.lost if writer else 0,
            0,
            writer.written if writer else 0,
            disk.left_s if disk is not None and self._writer is not None else None,
            disk.free if disk is not None else None,
            self._ring.seconds,
            self._ring.bytes,
            self._message,
            self._told,
            self._failed,
            self._folder,
        )
        with self._status_lock:
            self._status = status
