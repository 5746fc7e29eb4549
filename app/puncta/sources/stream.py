"""Video from the network: MPEG-TS by UDP, and RTSP; decoded by FFmpeg with as little waiting as it allows."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import av
import av.error
from av.codec.context import Flags

from puncta.core.errors import SourceError, SourceLost
from puncta.core.ports import Clock, SystemClock
from puncta.sources.datagrams import DatagramFile
from puncta.sources.live import FIRST_PICTURE_S, GIVE_UP_S, LiveSource
from puncta.sources.live_address import parse_rtsp, parse_udp, scheme_of, without_secret
from puncta.sources.live_device import DeviceFacts, Grab
from puncta.sources.tcp import connect_tcp
from puncta.sources.video_pixels import display_pixels, is_grey, native_planes

LOW_DELAY = {
    "fflags": "nobuffer",
    "flags": "low_delay",
    "probesize": "500000",
    "analyzeduration": "1000000",
    "max_delay": "0",
}
RTSP_OPEN_S = 3.0
LARGEST_RATE = 240.0
MISSING_INTERVALS = 1.6
"""A step of more than so many intervals in the sender's times means that pictures are missing."""
RESTART_S = 2.0
"""A step of more than this [s] in the sender's times is another beginning."""
HEAL_S = 2.0
"""After damage pictures are withheld until the next whole one, but no longer than this [s]: some streams have none."""
LOOK_FOR_COLOUR = 30
STRICT_TRIES = 5
"""A sender of JPEG pictures none of the first of which is by the book is read as it is."""


class StreamDevice:
    """One connection to a video stream. Implements ``LiveDevice``.

    Parameters
    ----------
    uri : str
        ``udp://...`` or ``rtsp://...``.
    silent_words : str
        What to say when nothing comes.
    """

    def __init__(self, uri: str, silent_words: str, clock: Clock) -> None:
        self._uri, self._shown, self._silent_words, self._clock = uri, without_secret(uri), silent_words, clock
        self._file: DatagramFile | None = None
        self._container: av.container.InputContainer | None = None
        self._packets: Iterator[av.Packet] = iter(())
        self._frames: list[av.VideoFrame] = []
        self._arrivals: dict[int, int] = {}
        self._rate: float | None = None
        self._last_s: float | None = None
        self._damaged_since_ns: int | None = None
        self._withheld = 0
        self.damage = 0
        self._strict: av.VideoCodecContext | None = None
        self._grey: bool | None = None
        self._count = 0

    def open(self, stop: threading.Event) -> DeviceFacts:
        """Connect and find the video in the stream."""
        try:
            container = self._open(stop)
        except av.error.FFmpegError as error:
            raise _say(error, self._shown, self._silent_words) from error
        self._container = container
        if not container.streams.video:
            raise SourceError(f"{self._shown} holds no video; choose another address.")
        stream = container.streams.video[0]
        # Threads that work on several pictures at once hold each of them back.
        stream.thread_type = "SLICE"
        stream.codec_context.flags |= Flags.low_delay
        if stream.codec_context.name == "mjpeg":
            # FFmpeg shows a broken JPEG picture as a smear unless it is told to be strict.
            self._strict = av.CodecContext.create("mjpeg", "r")
            self._strict.options = {"err_detect": "explode"}
        self._packets = container.demux(stream)
        rate = float(stream.guessed_rate or stream.average_rate or 0)
        self._rate = rate if 0 < rate <= LARGEST_RATE else None
        if self._file is not None:
            self._file.patience_s = GIVE_UP_S
        details = (("Kind", scheme_of(self._uri).upper()), ("Codec", stream.codec_context.name))
        return DeviceFacts(details, self._rate)

    def _open(self, stop: threading.Event) -> av.container.InputContainer:
        if scheme_of(self._uri) == "udp":
            self._file = DatagramFile(parse_udp(self._uri), stop, self._silent_words, FIRST_PICTURE_S)
            return av.open(self._file, "r", format="mpegts", options=LOW_DELAY, buffer_size=8 * 188)
        place = parse_rtsp(self._uri)
        # FFmpeg's own connecting cannot be ended from outside; this one can, and says more.
        connect_tcp(place.host, place.port, stop).close()
        options = LOW_DELAY | {"rtsp_transport": "tcp", "reorder_queue_size": "0"}
        return av.open(self._uri, "r", options=options, timeout=(RTSP_OPEN_S, GIVE_UP_S))

    def grab(self) -> Grab | None:
        """Return the next whole picture; None where a packet gave none."""
        if not self._frames:
            self._frames = self._decode()
        return self._take(self._frames.pop(0)) if self._frames else None

    def close(self) -> None:
        """Close the connection."""
        if self._container is not None:
            self._container.close()
        if self._file is not None:
            self._file.close()

    def _decode(self) -> list[av.VideoFrame]:
        try:
            packet = next(self._packets, None)
            if packet is None or (packet.size == 0 and packet.dts is None):
                raise SourceLost(f"{self._shown} ended; see whether the sender still runs.")
        except av.error.FFmpegError as error:
            raise _say(error, self._shown, self._silent_words) from error
        t_ns = self._clock.now_ns()
        if packet.pts is not None:
            self._arrivals[packet.pts] = t_ns
            while len(self._arrivals) > 64:
                self._arrivals.pop(next(iter(self._arrivals)))
        if packet.is_corrupt:
            # Before the first picture this is only the part of one that was joined half-way.
            if self._count:
                self._note_damage(t_ns)
            self._withhold()
            return []
        try:
            frames = self._strict.decode(packet) if self._strict is not None else packet.decode()
        except av.error.FFmpegError:
            self._note_damage(t_ns)
            self._withhold()
            if self._strict is not None and not self._count and self._withheld >= STRICT_TRIES:
                self._strict = None
            return []
        return [frame for frame in frames if isinstance(frame, av.VideoFrame)]

    def _note_damage(self, t_ns: int) -> None:
        if self._damaged_since_ns is None:
            self._damaged_since_ns = t_ns

    def _withhold(self) -> None:
        """Count a picture that came and cannot be shown; before the first one it only waits for a whole one."""
        self._withheld += 1
        if self._count:
            self.damage += 1

    def _take(self, frame: av.VideoFrame) -> Grab | None:
        t_ns = self._arrivals.pop(frame.pts, None) if frame.pts is not None else None
        t_ns = self._clock.now_ns() if t_ns is None else t_ns
        if frame.is_corrupt:
            self._note_damage(t_ns)
        if self._damaged_since_ns is not None:
            healed = frame.key_frame and not frame.is_corrupt
            if not healed and t_ns - self._damaged_since_ns < HEAL_S * 1e9:
                self._withhold()
                return None
            self._damaged_since_ns = None
        lost = [("damaged on the way", self._withheld)] if self._withheld else []
        missing, fresh = self._step(frame.time)
        if missing > self._withheld:
            lost.append(("missing in the stream", missing - self._withheld))
        self._withheld = 0
        planes = native_planes(frame)
        pixels = display_pixels(frame, planes, self._is_grey(frame))
        # Where the native plane is the picture itself, it is kept once.
        planes = () if len(planes) == 1 and planes[0].shape == pixels.shape else planes
        sent_ns = None if frame.time is None else round(frame.time * 1e9)
        return Grab(pixels, t_ns, tuple(lost), fresh=fresh, sent_ns=sent_ns, planes=planes)

    def _step(self, time_s: float | None) -> tuple[int, bool]:
        """Return how many pictures are missing before this one, and whether the sender began anew."""
        last, self._last_s = self._last_s, time_s
        if time_s is None or last is None:
            return 0, False
        step_s = time_s - last
        if step_s < 0 or step_s > RESTART_S:
            return 0, True
        if self._rate is None or step_s * self._rate < MISSING_INTERVALS:
            return 0, False
        return round(step_s * self._rate) - 1, False

    def _is_grey(self, frame: av.VideoFrame) -> bool:
        """Tell the layout: grey until colour is seen, for a machine may show its colours later."""
        if self._grey is not False and self._count % LOOK_FOR_COLOUR == 0:
            self._grey = is_grey(frame)
        self._count += 1
        return bool(self._grey)


def _say(error: av.error.FFmpegError, shown: str, silent_words: str) -> SourceError:
    """Put FFmpeg's error into one sentence."""
    if isinstance(error, av.error.HTTPUnauthorizedError | av.error.HTTPForbiddenError):
        return SourceLost(f"{shown} wants a name and a password; write rtsp://NAME:PASSWORD@HOST/STREAM.")
    if isinstance(error, av.error.HTTPNotFoundError):
        return SourceLost(f"{shown} is not there: the computer answers but has no such stream; check the name.")
    if isinstance(error, av.error.InvalidDataError):
        return SourceLost(f"{shown} sends no video that can be read; check what is sent there.")
    if isinstance(error, av.error.ExitError | av.error.TimeoutError):
        return SourceLost(silent_words)
    return SourceLost(f"{shown} broke off; see whether the sender still runs.")


def open_stream(uri: str, clock: Clock | None = None) -> LiveSource:
    """Open an RTSP or UDP/MPEG-TS stream as a source.

    Raises
    ------
    UserError
        The address is not understood.
    """
    shown = without_secret(uri)
    if scheme_of(uri) == "udp":
        port = parse_udp(uri).port
        silent = f"Nothing arrives at port {port}; start the sender and let it send MPEG-TS to this computer."
    else:
        parse_rtsp(uri)
        silent = f"{shown} sends nothing; see whether the sender still runs."
    clock = clock or SystemClock()
    return LiveSource(uri, shown, lambda: StreamDevice(uri, silent, clock), silent, clock)
