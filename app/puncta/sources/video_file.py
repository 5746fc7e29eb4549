"""Video files (mp4, mov, mkv, avi, ...) by PyAV, told apart by their stored presentation times.

A container seeks to a key frame and no nearer, and not always to the one asked for. So a picture counts as found only
when the decoder hands out a frame with exactly the time that the table names; otherwise an earlier key frame is tried.
"""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np

from puncta.core.errors import SourceError, UserError
from puncta.core.frame import ImageGeometry, SourceInfo, SourceKind
from puncta.core.ports import Clock
from puncta.sources.frame_cache import CACHE_BYTES, FrameCache
from puncta.sources.recorded import Picture, PictureMissing, RecordedSource
from puncta.sources.region_guess import SAMPLE_COUNT, geometry_with_guess
from puncta.sources.video_index import PtsIndex, index_by_decoding, index_packets, table_holds
from puncta.sources.video_pixels import display_pixels, is_grey, native_planes

_KEYS_TRIED = 3
_SAMPLE_REACH = 100
"""Without key frames to jump to, samples come from the first so many pictures: decoding a long file takes too long."""


def _frame_bytes(frame: av.VideoFrame) -> int:
    return sum(plane.buffer_size for plane in frame.planes)


class VideoReader:
    """Reads single pictures of one video stream by index. Implements ``PictureReader``.

    Decoding uses one thread: on real cine (1080 x 860 H.264) it runs at 1,600 pictures/s, frame threads add a tenth,
    hold several pictures back after each seek, and would compete with inference for the cores.

    Parameters
    ----------
    path : Path
    limit_bytes : int
        Bound of the cache of decoded frames [bytes].

    Raises
    ------
    UserError
        The file is not a video that can be read.
    """

    def __init__(self, path: Path, limit_bytes: int = CACHE_BYTES) -> None:
        self._path = path
        self.grey = False
        self.geometry: ImageGeometry | None = None
        self._cache: FrameCache[av.VideoFrame] = FrameCache(_frame_bytes, limit_bytes)
        self._decoded: deque[av.VideoFrame] = deque()
        self._at: int | None = 0
        self._trusted_from: int | None = None
        self._missing: set[int] = set()
        self._open()
        try:
            index = index_packets(self._container, self._stream)
            if index is not None:
                self._reopen()
                if not table_holds(self._container, self._stream, index):
                    index = None
            if index is None:
                self._reopen()
                index = index_by_decoding(self._container, self._stream)
        except av.FFmpegError as error:
            self._container.close()
            raise unreadable_video(path, error) from error
        if len(index.pts) == 0:
            self._container.close()
            raise UserError(f"{path.name} holds no picture that can be decoded, choose another file.")
        self.index: PtsIndex = index
        self._reopen()

    @property
    def stream(self) -> av.VideoStream:
        """The stream that is read."""
        return self._stream

    @property
    def container(self) -> av.container.InputContainer:
        """The open file."""
        return self._container

    @property
    def held_frames(self) -> int:
        """Number of decoded frames held in memory."""
        return len(self._cache) + len(self._decoded)

    def frame(self, index: int) -> av.VideoFrame:
        """Return the decoded frame with this index.

        Raises
        ------
        PictureMissing
            The stream decodes, but never to this picture.
        SourceError
            The stream cannot be decoded here.
        """
        held = self._cache.get(index)
        if held is not None:
            return held
        if self._at is None or index < self._at or self._key_lies_between(self._at, index):
            return self._frame_after_seek(index)
        found = self._roll_to(index)
        return found if found is not None else self._frame_after_seek(index)

    def picture(self, index: int) -> Picture:
        """Return planes and pixels of one picture."""
        frame = self.frame(index)
        planes = native_planes(frame)
        pixels = display_pixels(frame, planes, self.grey)
        known = self.geometry
        if known is None or (frame.width, frame.height) == (known.width_px, known.height_px):
            return Picture(pixels, planes)
        note = "the picture changes its size within the file"
        return Picture(pixels, planes, ImageGeometry(frame.width, frame.height, notes=(note,)))

    def close(self) -> None:
        """Release the file and the frames held."""
        self._cache.clear()
        self._decoded.clear()
        self._container.close()

    def _open(self) -> None:
        try:
            self._container = av.open(str(self._path), metadata_errors="replace")
        except (av.FFmpegError, OSError) as error:
            raise unreadable_video(self._path, error) from error
        streams = [s for s in self._container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
        if not streams:
            self._container.close()
            raise UserError(f"{self._path.name} holds no video stream, choose a file with pictures.")
        self._stream = max(streams, key=lambda s: s.width * s.height)
        self._stream.thread_type = "NONE"
        self._stream.codec_context.thread_count = 1
        self._packets: Iterator[av.Packet] = self._container.demux(self._stream)

    def _reopen(self) -> None:
        self._container.close()
        self._decoded.clear()
        self._open()
        self._at = 0
        self._trusted_from = None

    def _key_lies_between(self, at: int, index: int) -> bool:
        if self.index.by_count:
            return False
        key = self.index.key_before(index)
        return at < len(self.index.pts) and key is not None and key > int(self.index.pts[at])

    def _frame_after_seek(self, index: int) -> av.VideoFrame:
        # Inside a run of missing pictures one try is enough: decoding from the start each time would take for ever.
        in_a_run = index - 1 in self._missing
        if not self.index.by_count:
            for earlier in range(_KEYS_TRIED):
                key = self.index.key_before(index, earlier)
                if key is None:
                    break
                if not self._seek_to_key(key):
                    continue
                found = self._roll_to(index)
                if found is not None:
                    return found
                if in_a_run:
                    break
        if not in_a_run or self.index.by_count:
            self._reopen()
            found = self._roll_to(index)
            if found is not None:
                return found
        self._missing.add(index)
        raise PictureMissing(f"picture {index} of {self._path.name} is listed but never decoded")

    def _seek_to_key(self, key_pts: int) -> bool:
        """Bring the decoder to a key frame at or before this time; tell whether that worked."""
        self._decoded.clear()
        self._at = None
        try:
            self._container.seek(key_pts, stream=self._stream, backward=True, any_frame=False)
            self._packets = self._container.demux(self._stream)
            for packet in self._packets:
                if packet.size == 0:
                    return False
                if packet.is_keyframe and packet.pts is not None:
                    if packet.pts > key_pts:
                        return False
                    # Pictures shown before this key frame lean on ones that were not decoded: they never count.
                    self._trusted_from = packet.pts
                    self._decoded.extend(packet.decode())
                    return True
        except av.FFmpegError:
            return False
        return False

    def _roll_to(self, index: int) -> av.VideoFrame | None:
        """Decode forwards until a picture comes out; None when the decoder passes it by or ends."""
        wanted = int(self.index.pts[index])
        while (frame := self._next_frame()) is not None:
            place = self._place(frame)
            if place is None:
                continue
            self._at = place + 1
            self._cache.put(place, frame)
            if place == index:
                return frame
            if int(self.index.pts[place]) > wanted:
                break
        self._at = None
        return None

    def _place(self, frame: av.VideoFrame) -> int | None:
        """Index of a decoded frame, or None for one that is not shown or not to be trusted.

        A decoder patches damaged pictures with parts of others and marks them corrupt: these are never shown.
        """
        if self.index.by_count:
            at = self._at
            if at is None or at >= len(self.index.pts):
                return None
            if frame.is_corrupt:
                self._at = at + 1
                return None
            return at
        if frame.is_corrupt:
            return None
        if frame.pts is None or (self._trusted_from is not None and frame.pts < self._trusted_from):
            return None
        pts = self.index.pts
        if self._at is not None and self._at < len(pts) and int(pts[self._at]) == frame.pts:
            return self._at  # also tells repeated times apart
        place = int(np.searchsorted(pts, frame.pts))
        return place if place < len(pts) and int(pts[place]) == frame.pts else None

    def _next_frame(self) -> av.VideoFrame | None:
        while not self._decoded:
            try:
                packet = next(self._packets, None)
                if packet is None:
                    return None
                self._decoded.extend(packet.decode())
            except av.EOFError:
                return None
            except av.FFmpegError as error:
                at = "the beginning" if not self._at else f"frame {self._at}"
                self._at = None
                raise SourceError(
                    f"{self._path.name} is damaged near {at}: what comes before it plays, the rest cannot be read; "
                    "get another copy."
                ) from error
        return self._decoded.popleft()


def open_video(
    path: Path, uri: str | None = None, clock: Clock | None = None, limit_bytes: int = CACHE_BYTES
) -> RecordedSource:
    """Open a video file.

    Parameters
    ----------
    path : Path
    uri : str or None
        What the user named; the path where None.
    limit_bytes : int
        Bound of the cache of decoded frames [bytes].

    Raises
    ------
    UserError
        The file is not a video that can be read.
    """
    reader = VideoReader(path, limit_bytes)
    try:
        samples = _sample_frames(reader)
    except (SourceError, PictureMissing) as error:
        reader.close()
        raise UserError(f"{path.name} holds no picture that can be decoded, choose another file.") from error
    reader.grey = all(is_grey(frame) for frame in samples)
    first = samples[0]
    reader.geometry = geometry_with_guess(
        first.width,
        first.height,
        [display_pixels(f, native_planes(f), reader.grey) for f in samples],
    )
    count = len(reader.index.pts)
    ends_early = _says_more(reader, path.name)
    info = SourceInfo(
        uri=uri or str(path),
        stream=path.name,
        title=path.stem,
        kind=SourceKind.FILE,
        geometry=reader.geometry,
        frame_count=count,
        times_ns=reader.index.times_ns(),
        simulated=_says_simulated(reader.container),
        details=_details(reader, first),
    )
    return RecordedSource(info, reader, ends_early, clock)


def _sample_frames(reader: VideoReader) -> list[av.VideoFrame]:
    """Return up to eight frames spread over the file: key frames, for they are cheap, and some of the first ones."""
    count = len(reader.index.pts)
    wanted: set[int] = {0}
    if not reader.index.by_count:
        keys = np.unique(np.searchsorted(reader.index.pts, reader.index.key_pts))
        keys = keys[keys < count]
        if len(keys):
            spread = np.unique(np.linspace(0, len(keys) - 1, SAMPLE_COUNT).round().astype(int))
            wanted |= {int(keys[i]) for i in spread}
    lacking = SAMPLE_COUNT - len(wanted)
    if lacking > 0:
        wanted |= {int(i) for i in np.linspace(0, min(count, _SAMPLE_REACH) - 1, lacking + 1).round()[1:]}
    frames = []
    for index in sorted(wanted):
        try:
            frames.append(reader.frame(index))
        except (SourceError, PictureMissing):
            if not frames:
                raise
    same_size = [f for f in frames if (f.width, f.height) == (frames[0].width, frames[0].height)]
    return same_size[:SAMPLE_COUNT]


def _says_more(reader: VideoReader, name: str) -> str | None:
    """Return a sentence for a file whose header promises more than is there."""
    index, container = reader.index, reader.container
    kinds = container.format.name.split(",")
    count = len(index.pts)
    # An edit list hides frames, so that fewer are shown than the file lists.
    edited = bool(np.any(~np.isin(index.key_pts, index.pts)))
    # Only mp4 and mov list their frames; others (AVI) state a count that follows from the duration.
    if "mp4" in kinds and not index.decoded and not edited and reader.stream.frames > count:
        return f"{name} is cut off: only {count} of its {reader.stream.frames} frames are there, get a complete copy."
    if "matroska" in kinds and len(container.streams) == 1 and container.duration:
        times = index.times_ns()
        slack = max(1_000_000_000, 10 * int(np.diff(times).max(initial=0)))
        if container.duration * 1000 > int(times[-1]) + slack:
            seconds = (times[-1] / 1e9, container.duration / 1e6)
            return f"{name} is cut off: it ends at {seconds[0]:.1f} of {seconds[1]:.1f} s, get a complete copy."
    return None


def _says_simulated(container: av.container.InputContainer) -> bool:
    return any("simulated" in str(value).lower() for value in container.metadata.values())


def _details(reader: VideoReader, first: av.VideoFrame) -> tuple[tuple[str, str], ...]:
    stream, index = reader.stream, reader.index
    times = index.times_ns()
    steps = np.diff(times)
    facts = [
        ("Container", reader.container.format.long_name or reader.container.format.name),
        ("Codec", f"{stream.codec_context.name}, {first.format.name}"),
        ("Size", f"{first.width} x {first.height} px"),
        ("Frames", str(len(index.pts))),
    ]
    if len(steps) and steps.max() > 0:
        mean = 1e9 * len(steps) / float(times[-1] - times[0]) if times[-1] > times[0] else 0.0
        steady = int(steps.max()) - int(steps.min()) <= int(np.median(steps)) // 10
        facts.append(("Rate", f"{mean:.2f} frames/s, {'steady' if steady else 'variable'}"))
    if len(index.key_pts) > 1 and not index.by_count:
        facts.append(("Key frames", f"every {len(index.pts) / len(index.key_pts):.0f} frames"))
    if first.rotation:
        facts.append(("Rotation", f"the file asks for {first.rotation} degrees; pixels are kept as stored"))
    if index.by_count:
        facts.append(("Times", "not stored in the file; spaced by its rate"))
    return tuple(facts)


def unreadable_video(path: Path, error: Exception) -> UserError:
    """Turn a failure to open a video into one plain sentence."""
    code = getattr(error, "errno", None)
    if code == errno.ENOENT:
        return UserError(f"{path.name} does not exist, check the name and the folder.")
    if code in (errno.EACCES, errno.EPERM):
        return UserError(f"{path.name} cannot be read: permission denied, change its permissions or copy it.")
    return UserError(
        f"{path.name} is not a video that can be read, or it is damaged; choose another file or copy it again."
    )
