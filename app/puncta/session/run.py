"""`puncta run`: analyse a source frame by frame and write results, an annotated video and a report.

EVERY_FRAME throughout: decode, infer and write overlap, nothing is dropped, and two runs give the same bytes.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from puncta.core.errors import UserError
from puncta.core.findings import finding_name
from puncta.core.frame import SourceInfo
from puncta.core.last_seen import TipMemory
from puncta.core.overlay import OverlayStyle, compose
from puncta.core.results import Analysis, ClassResult, Detection
from puncta.formats.atomic import plain_os_error
from puncta.formats.own_files import is_our_output
from puncta.formats.results_lines import ResultsWriter
from puncta.formats.session import SESSION_FILE
from puncta.inference.session import Tuning
from puncta.pipeline.batch import analyse, frames_of
from puncta.pipeline.host import PluginHost
from puncta.recording.report import ReportWriter
from puncta.recording.sheet import draw_sheet
from puncta.recording.video_writer import VideoWriter, timescale_of
from puncta.session.plugins import hosted_plugins
from puncta.sources.factory import open_source


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What to analyse and what to write.

    Attributes
    ----------
    span : tuple of (int, int or None)
        Half-open range of decoded frames; plugins see the frames their history needs before it, as after a seek.
    seconds : float or None
        Limit in the source's own time [s].
    options : mapping of plugin id to mapping of option to value
        Changes to the plugins' options.
    replace : bool
        Files of somebody else that are there already are written over; else they are refused. An older output of this
        program is always written over.
    """

    uri: str
    plugins: tuple[str, ...] = ("needle-tip",)
    models: Mapping[str, str] = field(default_factory=dict)
    span: tuple[int, int | None] = (0, None)
    seconds: float | None = None
    video: Path | None = None
    results: Path | None = None
    report: Path | None = None
    timings: bool = True
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    replace: bool = False


@dataclass(slots=True)
class RunSummary:
    """What came of it."""

    info: SourceInfo
    frames: int = 0
    found: dict[str, int] = field(default_factory=dict)
    findings: dict[str, Counter[bool | None]] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)
    written: list[Path] = field(default_factory=list)
    elapsed_s: float = 0.0
    stopped: bool = False
    notes: list[str] = field(default_factory=list)
    models: dict[str, str] = field(default_factory=dict)
    """By plugin: the model that it used."""


class RunStopped(Exception):
    """A run over frames that have an end was stopped before it; nothing is written, since nothing is whole."""

    def __init__(self, done: int, total: int) -> None:
        super().__init__(f"Stopped after {done} of {total} frames; nothing was written.")


Progress = Callable[[int, int | None], None]


def run_case(
    request: RunRequest, *, stop: threading.Event | None = None, progress: Progress = lambda _done, _total: None
) -> RunSummary:
    """Carry out a request; either every file it names is whole afterwards, or none is there.

    Parameters
    ----------
    stop : Event
        Set by Ctrl+C: the run ends after the frame under way. A source without an end closes its files properly; one
        with an end leaves none.

    Raises
    ------
    UserError
        A wrong source, range, plugin, model or output.
    RunStopped
        Stopped before its end.
    """
    _check_outputs(request)
    stop = stop or threading.Event()
    plugins = hosted_plugins(
        request.plugins, models=request.models, tuning=Tuning.deterministic(), options=request.options
    )
    source = open_source(request.uri)
    try:
        first, end, notes = _span(request, source.info)
        summary = RunSummary(source.info, notes=notes)
        host = PluginHost(plugins)
        total = _total(source.info, first, end, request.seconds)
        sinks = _Sinks(request, source.info)
        begun = time.perf_counter()
        try:
            frames = frames_of(
                source, first, end, pre_roll=host.history_frames, seconds=request.seconds, stop=stop
            )
            with analyse(frames, host, first=first) as analyses:
                for analysis in analyses:
                    sinks.put(analysis)
                    _count(summary, analysis)
                    progress(summary.frames, total)
                    _stop_if_dead(host, plugins)
            if stop.is_set() and total is not None and summary.frames < total:
                raise RunStopped(summary.frames, total)
            if summary.frames == 0:
                raise UserError(f"{source.info.title} gave no frame in the range asked for; nothing was written.")
            summary.written = sinks.close()
        except BaseException:
            sinks.discard()
            raise
        finally:
            host.close()
        summary.elapsed_s = time.perf_counter() - begun
        summary.stopped = stop.is_set()
        summary.models = {p.plugin_id: model for p in plugins if (model := p.identity()[0])}
        summary.faults = {s.plugin_id: s.message for s in host.statuses() if s.message}
        return summary
    finally:
        source.close()


class _Sinks:
    """The files of one run; all are put in place together at the end."""

    def __init__(self, request: RunRequest, info: SourceInfo) -> None:
        self._results = self._video = self._report = None
        self._memory = TipMemory()
        try:
            if request.results is not None:
                self._results = ResultsWriter(request.results, request.timings)
            if request.video is not None:
                ticks = timescale_of(info.times_ns) if info.times_ns is not None else 90_000
                self._video = VideoWriter(request.video, ticks, simulated=info.simulated)
            if request.report is not None:
                self._report = ReportWriter(request.report, info)
        except BaseException:
            self.discard()
            raise
        self._files = [p for p in (request.results, request.video, request.report) if p is not None]

    def put(self, analysis: Analysis) -> None:
        if self._results is not None:
            self._results.put(analysis)
        if self._video is None and self._report is None:
            return
        scene = compose(analysis, OverlayStyle(), lost=self._memory.take(analysis))
        if self._video is not None:
            self._video.put(draw_sheet(analysis, scene), analysis.frame.key.pts_ns)
        if self._report is not None:
            self._report.put(analysis, scene)

    def close(self) -> list[Path]:
        sinks = [s for s in (self._video, self._report, self._results) if s is not None]
        # First everything that can fail (a full disk, say), then the names: all files appear, or none.
        for sink in sinks:
            sink.finish()
        for sink in sinks:
            sink.close()
        return self._files

    def discard(self) -> None:
        for sink in (self._video, self._report, self._results):
            if sink is not None:
                sink.discard()


def _check_outputs(request: RunRequest) -> None:
    named = [p for p in (request.video, request.results, request.report) if p is not None]
    for path in named:
        try:
            check_output(path, request.uri, replace=request.replace)
        except OSError as error:  # a name too long, a folder that may not even be looked into
            raise plain_os_error(error, path, "write") from error
    if len({p.resolve() for p in named}) < len(named):
        raise UserError("Two outputs have the same name; give each its own file.")
    if request.video is not None and request.video.suffix.lower() != ".mp4":
        raise UserError(f"{request.video} does not end in .mp4; the annotated video is an MP4 file.")


def check_output(path: Path, uri: str, *, replace: bool = False) -> None:
    """See to it that a file may be written.

    Raises
    ------
    UserError
        Its folder is not there, it is a folder or no ordinary file, it belongs to the source, or what is there is
        somebody else's and must not be replaced.
    """
    if path.is_dir():
        raise UserError(f"{path} is a folder; name a file to write.")
    if not path.absolute().parent.is_dir():
        raise UserError(f"The folder {path.parent} does not exist; make it first or name another place.")
    source = Path(uri)
    folder = source.parent if source.name == SESSION_FILE else source
    own = (folder / SESSION_FILE).is_file() and path.resolve().parent == folder.resolve()
    if own and path.exists():
        raise UserError(f"{path} belongs to the recording, which stays as it is; name another file.")
    if path.exists() and os.path.exists(uri) and path.samefile(uri):
        raise UserError(f"{path} is the source itself; name another file to write.")
    if path.exists() and not path.is_file():
        raise UserError(f"{path} is no ordinary file; name another one to write.")
    if path.exists() and not replace and not is_our_output(path):
        raise UserError(
            f"{path} is there already and no output of this command; give another name, or --force to write over it."
        )


def _span(request: RunRequest, info: SourceInfo) -> tuple[int, int | None, list[str]]:
    first, end = request.span
    count = info.frame_count
    if end is not None and end <= first:
        raise UserError(f"The range {first}:{end} is empty; it is A:B with A < B and counts frames from 0.")
    if count is None:
        return first, end, []
    if first >= count:
        raise UserError(f"{info.title} has {count} frames, 0 to {count - 1}; frame {first} is not among them.")
    if end is not None and end > count:
        return first, count, [f"{info.title} has {count} frames; the range ends there."]
    return first, end, []


def _total(info: SourceInfo, first: int, end: int | None, seconds: float | None) -> int | None:
    last = end if end is not None else info.frame_count
    if seconds is not None:
        by_time = round(seconds * 1e9 / info.interval_ns)
        return by_time if last is None else min(by_time, last - first)
    return None if last is None else last - first


def _count(summary: RunSummary, analysis: Analysis) -> None:
    summary.frames += 1
    for output in analysis.outputs:
        tips = [r for r in output.results if isinstance(r, Detection)]
        if tips:
            seen = any(r.tip_px is not None for r in tips)
            summary.found[output.plugin_id] = summary.found.get(output.plugin_id, 0) + int(seen)
        for result in output.results:
            if isinstance(result, ClassResult):
                name = f"{output.plugin_id}, {finding_name(result.label)}"
                summary.findings.setdefault(name, Counter())[result.value] += 1


def _stop_if_dead(host: PluginHost, plugins: Sequence[object]) -> None:
    """A run whose every plugin is off has nothing left to say: end with the plugin's own sentence."""
    statuses = host.statuses()
    if plugins and all(s.breaker_open for s in statuses):
        raise UserError(statuses[0].message)
