"""A source that lives: one thread holds the device, stamps what arrives, and connects again when it is lost.

Device calls may hang (a driver, a handshake), so they never run in the thread that reads: `LiveSource.read` waits half
a second at most and `health` never waits at all. What a kind of device has to offer is the small port `LiveDevice`.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable

from puncta.core.errors import SourceError, SourceLost, UserError
from puncta.core.events import LinkState, SourceHealth, SourceProblem
from puncta.core.frame import Frame, FrameKey, ImageGeometry, SourceInfo, SourceKind, UltrasoundRegion
from puncta.core.ports import Clock, SystemClock
from puncta.sources.health import DAMAGED_WORDS, HealthMeter, words_of_problem
from puncta.sources.live_device import DeviceFacts, Grab, LiveDevice
from puncta.sources.transforms import Transform, TransformBox

log = logging.getLogger(__name__)

QUEUE_FRAMES = 8
"""So many pictures may wait for the reader; the oldest gives way, counted."""
READ_S = 0.5
BACKOFF_S = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0)
"""Pauses between attempts to connect again [s]; the last one repeats."""
GIVE_UP_S = 1.5
"""A connection without a picture for this long [s], or for five intervals, is closed and opened afresh."""
FIRST_PICTURE_S = 8.0
"""A connection may take this long [s] until its first picture: a stream shows one only at its next key picture."""
HEALING_S = 3.0
"""A connection over which damage still comes is given this long [s] to heal: opening it afresh takes longer."""
CLOCKS_APART_NS = 1_000_000_000
"""A sender's time that is further than this [ns] from the arrival is laid on the arrival anew."""
PARTING_S = 0.5
"""Closing waits this long [s] for the device's thread; a call that hangs longer ends by its own time-out."""


class LiveSource:
    """Plays a device for as long as anybody wants. Implements ``LiveFrameSource``.

    Making one starts its thread and returns at once; `info` waits for the first picture.

    Parameters
    ----------
    uri : str
        What the user named; may hold a password.
    title : str
        Short name for the screen, and the stream's name in frame keys; holds no password.
    make_device : callable
        Makes a new `LiveDevice` for each connection.
    silent_words : str
        The sentence for a device that is connected and gives no picture.
    """

    def __init__(
        self,
        uri: str,
        title: str,
        make_device: Callable[[], LiveDevice],
        silent_words: str,
        clock: Clock | None = None,
        backoff_s: tuple[float, ...] = BACKOFF_S,
    ) -> None:
        self._uri, self._title, self._silent_words = uri, title, silent_words
        self._make_device = make_device
        self._clock = clock or SystemClock()
        self._backoff_s = backoff_s
        self._meter = HealthMeter()
        self._condition = threading.Condition()
        self._stop = threading.Event()
        self._queue: deque[tuple[int, int, int, Grab]] = deque()
        self._info: SourceInfo | None = None
        self._refusal = ""
        self._words, self._rests = "", ""
        self._facts = DeviceFacts()
        self._open_now = False
        self._connections, self._attempts = 0, 0
        self._retry_ns: int | None = None
        self._begun_ns, self._index = 0, 0
        self._pts_ns = -1
        self._sent_offset_ns: int | None = None
        self._skipped = 0
        self.connection = 0
        self._transforms = TransformBox()
        self._region: tuple[UltrasoundRegion, tuple[int, int]] | None = None
        self._size_px = (0, 0)
        self._thread = threading.Thread(target=self._work, name="puncta-grab")
        self._thread.start()

    # --- for the reader --------------------------------------------------------------------------------------------

    @property
    def info(self) -> SourceInfo:
        """Facts about the source; waits for its first picture.

        Raises
        ------
        SourceError
            It gives none; the sentence says why.
        """
        with self._condition:
            self._condition.wait_for(lambda: self._info is not None or self._refusal or self._stop.is_set())
            if self._info is not None:
                return self._info
            raise SourceError(self._refusal or f"{self._title} was closed before its first picture came.")

    def read(self) -> Frame | None:
        """Return the next frame; None once closed.

        Raises
        ------
        TimeoutError
            None has come for half a second.
        """
        info = self.info if self._info is None else self._info
        with self._condition:
            self._condition.wait_for(lambda: self._queue or self._stop.is_set(), READ_S)
            if self._stop.is_set():
                return None
            if not self._queue:
                raise TimeoutError
            connection, index, pts_ns, grab = self._queue.popleft()
            skipped, self._skipped = self._skipped, 0
            self.connection = connection
        height, width = grab.pixels.shape[:2]
        return Frame(
            key=FrameKey(info.stream, index, pts_ns),
            epoch=0,
            frame_id=index,
            t_ns=grab.t_ns,
            skipped=skipped + sum(count for _cause, count in grab.lost),
            pixels=grab.pixels,
            geometry=grab.geometry or self._geometry_of(width, height),
            source=info,
            planes=grab.planes,
        )

    def seek(self, index: int) -> None:
        """Refuse: a live source has no past."""
        raise UserError(f"{self._title} is live and cannot be sought; record it and open the recording.")

    def take_transforms(self) -> list[Transform]:
        """Return what came beside the pictures since the last call: name, matrix and arrival. Safe from any thread."""
        return self._transforms.take()

    def set_region(self, region: UltrasoundRegion | None) -> None:
        """Give the frames from now on a region that a person has confirmed; a picture of another size has none."""
        self._region = None if region is None else (region, self._size_px)

    def _geometry_of(self, width: int, height: int) -> ImageGeometry:
        self._size_px = (width, height)
        region, size_px = self._region or (None, None)
        return ImageGeometry(width, height, (region,) if region is not None and size_px == self._size_px else ())

    def interrupt(self) -> None:
        """Let whoever waits in `info` or `read` go; returns at once. `close` has to follow."""
        self._stop.set()
        with self._condition:
            self._condition.notify_all()

    def close(self) -> None:
        """Stop; may be called twice and from another thread. A device call that hangs ends by its own time-out."""
        self.interrupt()
        if threading.current_thread() is not self._thread:
            self._thread.join(PARTING_S)

    def health(self) -> SourceHealth:
        """Return how the source fares now; never waits for the device."""
        now_ns = self._clock.now_ns()
        seen = self._meter.snapshot(now_ns)
        gone = self._meter.silent(now_ns)
        with self._condition:
            if self._info is None:
                link = LinkState.CONNECTING
            elif not self._open_now:
                link = LinkState.RECONNECTING
            else:
                link = LinkState.SILENT if gone else LinkState.STREAMING
            words = self._words if link is LinkState.RECONNECTING else self._rests or self._silence(seen.spoilt)
            retry = max(0.0, (self._retry_ns - now_ns) / 1e9) if self._retry_ns is not None else None
            attempts, connections, promised = self._attempts, self._connections, self._facts.frame_rate
        problem = SourceProblem.LOST if link in {LinkState.SILENT, LinkState.RECONNECTING} else seen.problem
        if link is LinkState.STREAMING:
            words = words_of_problem(seen, promised)
        return SourceHealth(
            link,
            SourceProblem.NONE if link is LinkState.CONNECTING else problem,
            words if link is not LinkState.CONNECTING else "",
            seen.rate if link is LinkState.STREAMING else None,
            promised,
            seen.jitter_ms,
            None if seen.silent_ns is None else seen.silent_ns / 1e6,
            seen.drops,
            connections,
            attempts,
            retry,
            self._transforms.rates(now_ns),
        )

    def _silence(self, spoilt: bool) -> str:  # noqa: FBT001
        """Return why no picture comes: something does arrive, or nothing."""
        return DAMAGED_WORDS if spoilt else self._silent_words

    def flowing(self) -> bool:
        """Tell whether pictures come; True before the first one."""
        with self._condition:
            if self._info is None:
                return True
            return self._open_now and not self._meter.silent(self._clock.now_ns())

    # --- the device's thread ---------------------------------------------------------------------------------------

    def _work(self) -> None:
        while not self._stop.is_set():
            words = self._connect_once()
            if self._stop.is_set():
                return
            with self._condition:
                self._open_now, self._words = False, words
                if self._info is None:
                    self._refusal = words
                    self._condition.notify_all()
                    return
                self._queue.clear()
                pause_s = self._backoff_s[min(self._attempts, len(self._backoff_s) - 1)]
                self._attempts += 1
                self._retry_ns = self._clock.now_ns() + round(pause_s * 1e9)
            if self._attempts == 1:
                log.warning("%s is lost: %s", self._title, words)
            self._stop.wait(pause_s)
            self._retry_ns = None

    def _connect_once(self) -> str:
        """Connect and play until the connection is lost; return the sentence that says why."""
        device: LiveDevice | None = None
        try:
            device = self._make_device()
            facts = device.open(self._stop)
            self._play(device, facts)
        except UserError as error:
            return str(error)
        except Exception:
            log.exception("%s failed", self._title)
            return f"{self._title} stopped working; the log has the details."
        finally:
            if device is not None:
                device.close()
        return ""

    def _play(self, device: LiveDevice, facts: DeviceFacts) -> None:
        self._facts = facts
        waited_ns = self._clock.now_ns()
        self._meter.begin(waited_ns, facts.frame_rate)
        allowed_ns = round(FIRST_PICTURE_S * 1e9)
        first, damage = True, 0
        while not self._stop.is_set():
            grab = device.grab()
            now_ns = self._clock.now_ns()
            found, damage = getattr(device, "damage", 0) - damage, getattr(device, "damage", 0)
            if found > 0:
                self._meter.damaged(now_ns, found)
                allowed_ns = max(allowed_ns, round(HEALING_S * 1e9))
            self._rests = "" if grab is not None else getattr(device, "rests", "")
            if grab is None:
                if self._rests:
                    waited_ns = now_ns
                elif now_ns - waited_ns > allowed_ns:
                    raise SourceLost(self._silence(self._meter.snapshot(now_ns).spoilt))
                continue
            waited_ns = now_ns
            allowed_ns = max(round(GIVE_UP_S * 1e9), 2 * self._meter.patience_ns)
            self._take(grab, first=first)
            first = False

    def _take(self, grab: Grab, *, first: bool) -> None:
        grab.pixels.flags.writeable = False
        self._meter.arrived(grab.t_ns, grab.pixels)
        for cause, count in grab.lost:
            self._meter.lost(cause, count)
        self._meter.lost("damaged transform", grab.damaged_transforms)
        self._transforms.put(grab.transforms)
        with self._condition:
            if self._info is None:
                self._begun_ns = grab.t_ns
                # A region may be given as soon as the source is described, before anybody reads its first picture.
                self._size_px = (grab.pixels.shape[1], grab.pixels.shape[0])
                self._info = self._describe(grab)
            if first or grab.fresh:
                if self._connections and first:
                    log.info("%s is back", self._title)
                self._connections += 1
                self._attempts = 0
                self._queue.clear()
            self._open_now = True
            if len(self._queue) >= QUEUE_FRAMES:
                self._queue.popleft()
                self._skipped += 1
                self._meter.lost("program busy", 1)
            self._queue.append((self._connections, self._index, self._time_of(grab), grab))
            self._index += 1
            self._condition.notify_all()

    def _time_of(self, grab: Grab) -> int:
        """Return a picture's time since the first one [ns]: the sender's steps where it has a clock that runs forward.

        Arrivals jitter, the sender's own times do not; where they jump, they are laid on the arrival anew.
        """
        arrived_ns = grab.t_ns - self._begun_ns
        if grab.sent_ns is None:
            self._sent_offset_ns = None
            pts_ns = arrived_ns
        else:
            pts_ns = arrived_ns if self._sent_offset_ns is None else grab.sent_ns + self._sent_offset_ns
            if abs(pts_ns - arrived_ns) > CLOCKS_APART_NS:
                pts_ns = arrived_ns
            self._sent_offset_ns = pts_ns - grab.sent_ns
        pts_ns = max(pts_ns, self._pts_ns + 1)
        self._pts_ns = pts_ns
        return pts_ns

    def _describe(self, grab: Grab) -> SourceInfo:
        height, width = grab.pixels.shape[:2]
        return SourceInfo(
            uri=self._uri,
            stream=self._title,
            title=self._title,
            kind=SourceKind.LIVE,
            geometry=grab.geometry or ImageGeometry(width, height),
            details=self._facts.details,
            frame_rate=self._facts.frame_rate,
        )
