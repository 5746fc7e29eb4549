"""A recorded session as a source: exact times, frames byte for byte, losses told where they were."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from puncta.core.errors import SourceError, UserError
from puncta.core.frame import Frame, ImageGeometry, SourceInfo, SourceKind, UltrasoundRegion
from puncta.core.ports import Clock
from puncta.core.target import TargetFix
from puncta.formats.results_lines import target_from_json
from puncta.formats.session import RESULTS_FILE, Session, calibration_from_json, open_session
from puncta.recording.kept_region import Layout
from puncta.recording.plane_codec import KNOWN_CODECS, PlaneDecoder
from puncta.sources.frame_cache import CACHE_BYTES, FrameCache
from puncta.sources.native_layout import pixels_of
from puncta.sources.recorded import Picture, RecordedSource

TARGET_MARK = b'"target":{'


class SessionReader:
    """Reads single frames of a session. Implements ``PictureReader``."""

    def __init__(self, session: Session, geometry: ImageGeometry, limit_bytes: int = CACHE_BYTES) -> None:
        self._session, self._records = session, session.index.records
        head = session.index.head
        self._layout = Layout(head.pixel_format, head.grey, head.full_range)
        self._decoder = PlaneDecoder(head)
        self._geometry = geometry
        self._changes = [
            (entry["from_index"], geometry.with_calibration(calibration_from_json(entry["calibration"])))
            for entry in session.manifest.get("calibrations", ())
        ]
        self._cache: FrameCache[Picture] = FrameCache(_picture_bytes, limit_bytes)
        self._file = session.frames_file.open("rb")

    def picture(self, index: int) -> Picture:
        """Return planes and pixels of one frame."""
        held = self._cache.get(index)
        if held is not None:
            return held
        record = self._records[index]
        try:
            self._file.seek(record.end - record.size)
            payload = self._file.read(record.size)
        except OSError as error:
            why = (error.strerror or "unknown").lower()
            raise SourceError(f"Frame {index} of the session cannot be read: {why}.") from error
        if len(payload) != record.size:
            raise SourceError(f"The session is cut off at frame {index}; get another copy.")
        planes = self._decoder.decode(payload, record.raw)
        pixels = pixels_of(planes, self._layout)
        native = planes if self._layout.pixel_format not in ("gray8", "rgb24") else ()
        picture = Picture(pixels, native, self._geometry_at(index))
        self._cache.put(index, picture)
        return picture

    def _geometry_at(self, index: int) -> ImageGeometry | None:
        """The geometry where the calibration changed on the way; None for the first one."""
        geometry = None
        for first, changed in self._changes:
            geometry = changed if first <= index else geometry
        return geometry

    def close(self) -> None:
        """Release the file and the frames held."""
        self._cache.clear()
        self._file.close()


class SessionSource(RecordedSource):
    """A session that plays; its frames say how many were lost just before them."""

    def __init__(
        self,
        info: SourceInfo,
        reader: SessionReader,
        session: Session,
        clock: Clock | None = None,
        targets: Mapping[int, TargetFix] | None = None,
    ) -> None:
        super().__init__(info, reader, clock=clock)
        self._targets = dict(targets or {})
        self._lost = [record.lost for record in session.index.records]

    def target_at(self, index: int) -> TargetFix | None:
        """Where the target was on a frame when it was recorded; None where none was chosen then."""
        return self._targets.get(index)

    def _frame(self, index: int, picture: Picture, skipped: int) -> Frame:
        return super()._frame(index, picture, skipped + self._lost[index])


def open_session_folder(path: Path, uri: str | None = None, clock: Clock | None = None) -> RecordedSource:
    """Open a session folder; one whose recording never closed is put right, and says so.

    Raises
    ------
    UserError
        It is no session, or holds no frame.
    """
    session = open_session(path)
    records, stream = session.index.records, session.stream
    if not records:
        why = session.notes[0] if session.notes else "the recording ended before its first frame"
        raise UserError(f"{path.name} holds no frame: {why[:1].lower() + why[1:].rstrip('.')}.")
    head = session.index.head
    if head.codec not in KNOWN_CODECS:
        raise UserError(f"{path.name} is coded as {head.codec}, which this Puncta cannot read; update the program.")
    calibration = calibration_from_json(session.manifest["calibration"])
    regions: tuple[UltrasoundRegion, ...] = ()
    if stream["region"] is not None:
        x0, y0, width, height = (int(v) for v in stream["region"])
        regions = (UltrasoundRegion((x0, y0, width, height), stream.get("region_origin", "user"), calibration),)
    geometry = ImageGeometry(head.width, head.height, regions, session.notes)
    times_ns = np.array([record.pts_ns for record in records], np.int64)
    gaps = session.manifest["gaps"]
    lost = sum(gap["frames"] or 0 for gap in gaps)
    targets = read_targets(session.folder / RESULTS_FILE)
    info = SourceInfo(
        uri=uri or str(path),
        stream=stream["stream"],
        title=path.name,
        kind=SourceKind.FILE,
        geometry=geometry,
        frame_count=len(records),
        times_ns=times_ns,
        simulated=bool(session.manifest["simulated"]),
        details=(
            ("Format", f"recorded session, {stream['title']}"),
            ("Codec", f"{head.codec}, {head.pixel_format}, lossless"),
            ("Size", f"{head.width} x {head.height} px"),
            ("Frames", str(len(records))),
            ("Kept", str(stream.get("kept", "whole picture"))),
            ("Lost", f"{lost}: {'; '.join(sorted({gap['cause'] for gap in gaps}))}" if gaps else "none"),
            *_transform_facts(session),
            *_target_facts(targets),
            *(("Recording", note) for note in session.notes),
        ),
    )
    return SessionSource(info, SessionReader(session, geometry), session, clock, targets)


def read_targets(path: Path) -> dict[int, TargetFix]:
    """Return the target by frame as it was recorded; lines that say nothing of it, or are damaged, are passed over."""
    targets: dict[int, TargetFix] = {}
    try:
        with path.open("rb") as file:
            # An hour of masks is hundreds of megabytes: only lines that can hold a target are read as JSON.
            for line in file:
                if TARGET_MARK not in line:
                    continue
                with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):
                    document = json.loads(line)
                    fix = target_from_json(document.get("target"))
                    if fix is not None:
                        targets[int(document["key"]["index"])] = fix
    except OSError:
        return targets
    return targets


def _target_facts(targets: Mapping[int, TargetFix]) -> tuple[tuple[str, str], ...]:
    if not targets:
        return ()
    seen = sum(fix.point_px is not None for fix in targets.values())
    path = ", with a planned path" if any(fix.entry_px is not None for fix in targets.values()) else ""
    return (("Target", f"on {seen} frames{path}; lost on {len(targets) - seen}"),)


def _transform_facts(session: Session) -> tuple[tuple[str, str], ...]:
    entries = session.manifest.get("transforms", ())
    if not entries:
        return ()
    return (("Transforms", "; ".join(f"{entry['count']} of {entry['name']}" for entry in entries)),)


def _picture_bytes(picture: Picture) -> int:
    return picture.pixels.nbytes + sum(plane.nbytes for plane in picture.planes)
