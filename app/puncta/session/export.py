"""Export of a case, usually a recorded session: films, single pictures, a table, a DICOM cine.

Findings come from the session's own results, or from another analysis of it; nothing is analysed here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from puncta.core.errors import UserError
from puncta.core.frame import Calibration, Frame, SourceInfo, SourceKind
from puncta.core.guidance import Guide, compose_guided
from puncta.core.last_seen import TipMemory
from puncta.core.overlay import OverlayStyle
from puncta.core.ports import FrameSource
from puncta.core.results import Analysis, PluginOutput, flags_of_frame
from puncta.dicom.write import RECORDED_REGION, RECORDED_WHOLE, SIMULATED, Codec, Labels, write_cine
from puncta.formats.results_lines import ResultLine, read_results
from puncta.formats.session import RESULTS_FILE, SESSION_FILE
from puncta.pipeline.batch import frames_of
from puncta.recording.picture_folder import PictureFolder
from puncta.recording.results_table import ResultsTable
from puncta.recording.sheet import draw_sheet
from puncta.recording.video_writer import VideoWriter, timescale_of
from puncta.sources.factory import open_source

Progress = Callable[[int, int | None], None]


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """What to export, and where to.

    Attributes
    ----------
    results : Path or None
        Another analysis than the session's own.
    span : tuple of (int, int or None)
        Half-open range of frames.
    raw, burned : Path or None
        Films without and with the overlay.
    pictures : Path or None
        A new folder of single pictures.
    replace : bool
        Files that are there already are written over; else they are refused.
    """

    uri: str
    results: Path | None = None
    span: tuple[int, int | None] = (0, None)
    raw: Path | None = None
    burned: Path | None = None
    dicom: Path | None = None
    codec: Codec = "rle"
    pictures: Path | None = None
    table: Path | None = None
    replace: bool = False

    @property
    def targets(self) -> tuple[Path, ...]:
        """Everything that is asked for."""
        return tuple(p for p in (self.raw, self.burned, self.dicom, self.pictures, self.table) if p is not None)


@dataclass(frozen=True, slots=True)
class ExportSummary:
    """What came of it."""

    info: SourceInfo
    frames: int
    with_findings: int
    written: tuple[Path, ...]


class ExportStopped(Exception):
    """Stopped before its end; nothing was written."""


class _Sink(Protocol):
    def finish(self) -> None: ...
    def close(self) -> None: ...
    def discard(self) -> None: ...


def export_case(
    request: ExportRequest, *, stop: threading.Event | None = None, progress: Progress = lambda _done, _total: None
) -> ExportSummary:
    """Export; either everything asked for is whole afterwards, or nothing of it is there.

    Raises
    ------
    UserError
        A wrong source, range or target, or findings that are not of these pictures.
    ExportStopped
    """
    stop = stop or threading.Event()
    _check_targets(request)
    # The pictures first: where there are none, that is what is wrong, and not that they have no findings.
    source = open_source(request.uri)
    try:
        needed = request.burned is not None or request.table is not None
        lines = findings_of(request.uri, request.results, needed=needed)
        if source.info.kind is not SourceKind.FILE:
            raise UserError(f"{source.info.title} has no end; record it first, then export the session.")
        return _Export(request, source, lines, stop, progress).run()
    finally:
        source.close()


def findings_of(uri: str, results: Path | None, *, needed: bool = True) -> dict[int, ResultLine]:
    """Return the lines of a session's own results, or of another file, by frame.

    Raises
    ------
    UserError
        There are none and some are needed, or they cannot be read.
    """
    file = results or own_results(uri)
    if file is None:
        if needed:
            raise UserError("These pictures have no findings; run 'puncta run' with --results and name the file here.")
        return {}
    return {line.key.index: line for line in read_results(file)}


def own_results(uri: str) -> Path | None:
    """The results that were recorded with a session; None where there are none, or it is no session."""
    folder = session_folder(uri)
    file = folder / RESULTS_FILE if folder is not None else None
    return file if file is not None and file.is_file() else None


def session_folder(uri: str) -> Path | None:
    """The folder of a session that an address names; None where it names something else."""
    path = Path(uri)
    folder = path.parent if path.name == SESSION_FILE else path
    return folder if (folder / SESSION_FILE).is_file() else None


Made = TypeVar("Made", bound=_Sink)


class _Export:
    """One export under way."""

    def __init__(
        self,
        request: ExportRequest,
        source: FrameSource,
        lines: Mapping[int, ResultLine],
        stop: threading.Event,
        progress: Progress,
    ) -> None:
        self._request, self._source, self._lines = request, source, lines
        self._stop, self._progress = stop, progress
        self._memory = TipMemory()
        self._done = self._with_findings = 0
        first, end = request.span
        count = source.info.frame_count or 0
        self._last = count if end is None else min(end, count)
        if first >= self._last:
            raise UserError(f"{source.info.title} has {count} frames; the range asked for holds none of them.")
        self._passes = 1 + (request.dicom is not None)

    def run(self) -> ExportSummary:
        """Make everything; names appear at the very end."""
        info, request = self._source.info, self._request
        ticks = timescale_of(info.times_ns) if info.times_ns is not None else 90_000
        self._sinks: list[_Sink] = []
        try:
            raw = self._kept(VideoWriter(request.raw, ticks, simulated=info.simulated) if request.raw else None)
            burned = self._kept(
                VideoWriter(request.burned, ticks, simulated=info.simulated) if request.burned else None
            )
            pictures = self._kept(
                PictureFolder(request.pictures, simulated=info.simulated) if request.pictures else None
            )
            table = self._kept(ResultsTable(request.table, simulated=info.simulated) if request.table else None)
            for frame in self._frames():
                line = self._line(frame)
                analysis = analysis_from_line(frame, line)
                if raw:
                    raw.put(draw_sheet(analysis, None), frame.key.pts_ns)
                if burned:
                    scene = compose_guided(analysis, OverlayStyle(), Guide(), lost=self._memory.take(analysis))
                    burned.put(draw_sheet(analysis, scene), frame.key.pts_ns)
                if pictures:
                    pictures.put(frame)
                if table:
                    known = line or ResultLine(frame.hashed_key(), {}, frozenset(flags_of_frame(frame)))
                    table.put(known, frame.geometry.calibration)
            for sink in self._sinks:
                sink.finish()
            if request.dicom is not None:
                self._write_dicom(request.dicom)
            for sink in self._sinks:
                sink.close()
        except BaseException:
            for sink in self._sinks:
                sink.discard()
            raise
        frames = self._last - request.span[0]
        return ExportSummary(info, frames, self._with_findings, request.targets)

    def _kept(self, sink: Made | None) -> Made | None:
        if sink is not None:
            self._sinks.append(sink)
        return sink

    def _frames(self) -> Iterator[Frame]:
        first = self._request.span[0]
        self._source.seek(first)
        total = self._passes * (self._last - first)
        for frame in frames_of(self._source, first, self._last, stop=self._stop):
            yield frame
            self._done += 1
            self._progress(self._done, total)
        if self._stop.is_set():
            raise ExportStopped

    def _line(self, frame: Frame) -> ResultLine | None:
        """The findings of a frame; refuses those of other pictures."""
        line = self._lines.get(frame.key.index)
        if line is None:
            return None
        if line.key.sha256 != frame.digest():
            raise UserError(
                f"The findings are not of these pictures: frame {frame.key.index} differs; name the file that belongs."
            )
        self._with_findings += 1
        return line

    def _write_dicom(self, path: Path) -> None:
        info, calibrations = self._source.info, set()
        times: list[int] = []

        def pixels() -> Iterator:
            for frame in self._frames():
                times.append(frame.key.pts_ns)
                calibrations.add(_spacing(frame.geometry.calibration))
                if len(calibrations) > 1:
                    raise UserError(
                        f"The scale changes at frame {frame.key.index}, and a DICOM cine holds one; export the parts."
                    )
                yield frame.pixels

        region = info.geometry.region
        spacing = _spacing(self._first_calibration())
        write_cine(
            path,
            pixels(),
            frame_times_ns=times,
            mm_per_px=spacing,
            region=None if region.origin == "whole picture" else region.box,
            codec=self._request.codec,
            title=f"{'Simulated' if info.simulated else 'Training'} cine",
            model_name="Puncta simulator" if info.simulated else "Puncta recording",
            labels=_labels(info),
        )

    def _first_calibration(self) -> Calibration | None:
        self._source.seek(self._request.span[0])
        frame = self._source.read()
        return frame.geometry.calibration if frame is not None else None


def _spacing(calibration: Calibration | None) -> tuple[float, float] | None:
    return None if calibration is None else calibration.mm_per_px


def _labels(info: SourceInfo) -> Labels:
    if info.simulated:
        return SIMULATED
    region_alone = ("Kept", "ultrasound region") in info.details
    return RECORDED_REGION if region_alone else RECORDED_WHOLE


def analysis_from_line(frame: Frame, line: ResultLine | None) -> Analysis:
    """Return a frame with what a line says of it, as if it had just been analysed."""
    flags = frozenset(flags_of_frame(frame))
    if line is None:
        return Analysis(frame, (), flags)
    outputs = tuple(
        PluginOutput(name, frame.frame_id, results, frame_t_ns=frame.t_ns, frame_key=frame.key)
        for name, results in line.outputs.items()
        if name not in line.carried  # found on an earlier picture: not of this one
    )
    return Analysis(frame, outputs, flags | line.flags, target=line.target)


def _check_targets(request: ExportRequest) -> None:
    targets = request.targets
    if not targets:
        raise UserError("Nothing is asked for; give at least one of --raw, --burned, --dicom, --png and --csv.")
    if len({path.resolve() for path in targets}) < len(targets):
        raise UserError("Two outputs have the same name; give each its own.")
    folder = session_folder(request.uri)
    for path in targets:
        if not path.absolute().parent.is_dir():
            raise UserError(f"The folder {path.parent} does not exist; make it first or name another place.")
        if path is not request.pictures and path.is_dir():
            raise UserError(f"{path} is a folder; name a file to write.")
        if folder is not None and path.resolve().is_relative_to(folder.resolve()):
            raise UserError(f"{path} lies in the session itself, which stays as it is; name another place.")
        if path is not request.pictures and path.is_file() and not request.replace:
            raise UserError(f"{path} is there already; give another name, or --force to write over it.")
    for file, ending in ((request.raw, ".mp4"), (request.burned, ".mp4"), (request.dicom, ".dcm")):
        if file is not None and file.suffix.lower() != ending:
            raise UserError(f"{file} does not end in {ending}.")
