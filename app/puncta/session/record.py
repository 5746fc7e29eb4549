"""`puncta record`: a source into a session folder, with what plugins find on its frames.

A live source is never held up: frames go to the recorder as they come, and inference takes the newest. A file or a
simulation waits, so that every frame is stored and analysed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from puncta.core.channels import LatestSlot
from puncta.core.errors import SourceError, UserError
from puncta.core.frame import Frame, SourceInfo, SourceKind
from puncta.core.ports import FrameSource
from puncta.formats.atomic import plain_os_error
from puncta.inference.session import Tuning
from puncta.pipeline.batch import analyse, frames_of
from puncta.pipeline.host import HostedPlugin, PluginHost
from puncta.pipeline.policy import Job
from puncta.pipeline.worker import InferenceWorker
from puncta.recording.recorder import Recorder, RecorderState, RecordingStatus
from puncta.sdk.plugin import ResetReason
from puncta.session.plugins import hosted_plugins
from puncta.sources.factory import open_source
from puncta.sources.native_layout import layout_of

Progress = Callable[[RecordingStatus], None]


@dataclass(frozen=True, slots=True)
class RecordRequest:
    """What to record, and where.

    Attributes
    ----------
    folder : Path
        The session folder; must not exist, or be empty.
    seconds : float or None
        Stop after this much of the source's time [s]; None runs to its end, or until ``stop``.
    plugins : tuple of str
        Empty records pictures alone.
    whole : bool
        Keep the whole picture instead of the ultrasound region.
    """

    uri: str
    folder: Path
    seconds: float | None = None
    plugins: tuple[str, ...] = ("needle-tip",)
    models: Mapping[str, str] = field(default_factory=dict)
    whole: bool = False


@dataclass(frozen=True, slots=True)
class RecordSummary:
    """What came of it.

    Attributes
    ----------
    status : RecordingStatus
        Of the finished session.
    ended_early : str
        Why it ended before it should have; empty where it did not.
    """

    info: SourceInfo
    status: RecordingStatus
    analysed: int
    ended_early: str = ""


def record_case(
    request: RecordRequest,
    *,
    stop: threading.Event | None = None,
    progress: Progress = lambda _status: None,
    opener: Callable[[str], FrameSource] = open_source,
    plugins: tuple[HostedPlugin, ...] | None = None,
) -> RecordSummary:
    """Record a source; the session is closed properly at the end, at ``stop``, and when the disk is nearly full.

    Raises
    ------
    UserError
        A wrong source, folder or plugin, or no frame at all.
    """
    stop = stop or threading.Event()
    _check_folder(request.folder)
    if plugins is None:
        plugins = hosted_plugins(request.plugins, models=request.models, tuning=Tuning.deterministic())
    source = opener(request.uri)
    try:
        recorder = Recorder(layout_of, whole=request.whole, pre_roll_s=0.0)
        run = _Run(request, source, recorder, plugins, stop, progress)
        try:
            recorder.begin(request.folder)
            early = run.play()
        finally:
            recorder.end(run.why)
            recorder.close()
        status = recorder.status()
    finally:
        source.close()
    if status.stored == 0:
        raise UserError(status.message or early or f"{source.info.title} gave no frame; nothing was recorded.")
    return RecordSummary(source.info, status, run.analysed, early or (status.message if status.failed else ""))


class _Run:
    """One recording under way."""

    def __init__(
        self,
        request: RecordRequest,
        source: FrameSource,
        recorder: Recorder,
        plugins: tuple[HostedPlugin, ...],
        stop: threading.Event,
        progress: Progress,
    ) -> None:
        self._request, self._source, self._recorder = request, source, recorder
        self._plugins, self._stop, self._progress = plugins, stop, progress
        self.analysed = 0
        self.why = "The recording was stopped."

    def play(self) -> str:
        """Record to the end; return why it ended early, or nothing."""
        try:
            if self._source.info.kind is SourceKind.LIVE:
                self._live()
            else:
                self._every_frame()
        except SourceError as error:
            self.why = str(error)
            return str(error)
        if not self._stop.is_set():
            self.why = "The source or the time asked for has ended."
        return ""

    def _goes_on(self) -> bool:
        """Show how far it is; False once the recorder has ended by itself."""
        status = self._recorder.status()
        self._progress(status)
        return not (status.failed and status.state is RecorderState.IDLE)

    def _take_transforms(self) -> None:
        take = getattr(self._source, "take_transforms", None)
        if take is not None:
            for name, matrix, t_ns in take():
                self._recorder.put_transform(name, matrix, t_ns)

    def _every_frame(self) -> None:
        if not self._plugins:
            for _frame in self._recorded():
                pass
            return
        host = PluginHost(self._plugins)
        try:
            with analyse(self._recorded(), host, hashed=False) as analyses:
                for analysis in analyses:
                    self.analysed += 1
                    self._recorder.put_analysis(analysis)
        finally:
            host.close()

    def _recorded(self) -> Iterator[Frame]:
        for frame in frames_of(self._source, seconds=self._request.seconds, stop=self._stop):
            self._recorder.put_wait(frame)
            self._take_transforms()
            yield frame
            if not self._goes_on():
                return

    def _live(self) -> None:
        jobs: LatestSlot[Job] = LatestSlot("infer")
        worker = None
        if self._plugins:
            worker = InferenceWorker(PluginHost(self._plugins, live=True), jobs, self._recorder.put_analysis)
            worker.start()
        try:
            for frame in self._arriving():
                self._recorder.put(frame)
                self._take_transforms()
                if worker is not None:
                    jobs.put(Job(frame, ResetReason.OPENED))
                if not self._goes_on():
                    return
        finally:
            jobs.close()
            if worker is not None:
                worker.join(10.0)
                self.analysed = worker.analysed

    def _arriving(self) -> Iterator[Frame]:
        begin_ns: int | None = None
        number = 0
        while not self._stop.is_set():
            try:
                frame = self._source.read()
            except TimeoutError:
                continue  # no frame yet; the stop event is looked at again
            if frame is None:
                return
            begin_ns = frame.t_ns if begin_ns is None else begin_ns
            seconds = self._request.seconds
            if seconds is not None and frame.t_ns - begin_ns >= seconds * 1e9:
                return
            yield replace(frame, frame_id=number)
            number += 1


def _check_folder(folder: Path) -> None:
    try:
        if folder.is_file():
            raise UserError(f"{folder} is a file; name a folder for the session.")
        if folder.is_dir() and any(folder.iterdir()):
            raise UserError(f"{folder} is not empty; name a new folder for the session.")
        if not folder.absolute().parent.is_dir():
            raise UserError(f"The folder {folder.parent} does not exist; make it first or name another place.")
    except OSError as error:
        raise plain_os_error(error, folder, "record into") from error
