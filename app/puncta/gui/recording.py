"""Recording in Live: the key R, what the recorder says, and what went wrong in one sentence."""

from __future__ import annotations

import datetime
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer

from puncta import paths
from puncta.core.frame import Frame
from puncta.core.geometry import PointPx
from puncta.core.results import Analysis
from puncta.gui.i18n import tr
from puncta.gui.panels.source_panel import words_of
from puncta.recording.begun import NeverBegan, take_never_began
from puncta.recording.kept_region import NO_REGION
from puncta.recording.recorder import Recorder, RecorderState, RecordingStatus
from puncta.sources.native_layout import layout_of

if TYPE_CHECKING:
    from puncta.gui.main_window import MainWindow

LOOK_MS = 250
PRE_ROLL_S = 10.0


class Recording(QObject):
    """Joins the recorder to one window. A recorder runs only while a live source is open."""

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self._window = window
        self._recorder: Recorder | None = None
        self._closing: list[Recorder] = []
        self._whole = False
        self._told = 0
        self._look = QTimer(self)
        self._look.setInterval(LOOK_MS)
        self._look.timeout.connect(self.show_status)
        self._target_px: PointPx | None = None
        self._plan_px: PointPx | None = None
        window.desk.target_changed.connect(self._mark_target)
        QTimer.singleShot(0, self.tell_never_began)

    @property
    def status(self) -> RecordingStatus:
        """What the recorder does."""
        return self._recorder.status() if self._recorder is not None else RecordingStatus()

    def tell_never_began(self) -> None:
        """Say which recordings of an earlier run ended before anything of them was stored; files are read elsewhere."""
        self._window.jobs.run(take_never_began, self._say_never_began)

    def _say_never_began(self, missing: list[NeverBegan]) -> None:
        if not missing:
            return
        words = tr(
            "A recording asked for on {when} ended with the program before its first picture was stored: {name} is not "
            "there."
        )
        last = missing[-1]
        self._window.stage.banners.say("begun", "caution", words.format(when=last.when, name=last.folder.name))

    def take_source(self) -> None:
        """Another source is open: what was recorded of the last one ends."""
        self._stop()
        self._whole = False
        if self._window.desk.is_live:
            self._start()

    def _start(self) -> None:
        self._recorder = Recorder(layout_of, whole=self._whole, pre_roll_s=PRE_ROLL_S)
        recorder, player = self._recorder, self._window.desk.player

        def hear(frame: Frame) -> None:
            recorder.put(frame)
            for name, matrix, t_ns in player.take_transforms():
                recorder.put_transform(name, matrix, t_ns)

        def take(analysis: Analysis) -> None:
            fix, plan_px = analysis.target, self._window.guidance.plan_px
            if fix is not None and plan_px is not None:
                analysis = replace(analysis, target=fix.with_plan(plan_px))
            recorder.put_analysis(analysis)

        player.listen(hear, take)
        self._told = 0
        self._look.start()

    def _stop(self) -> None:
        recorder, self._recorder = self._recorder, None
        self._look.stop()
        if recorder is None:
            return
        self._window.desk.player.listen(lambda _frame: None, lambda _analysis: None)
        # Closing brings the last frames to the disk; the picture does not wait for it.
        going = recorder.status().state is RecorderState.RECORDING
        recorder.end("Another source was opened.")
        self._closing.append(recorder)

        def closed(_none: object) -> None:
            self._closing.remove(recorder)
            if going:
                self._say_ended(recorder.status())

        self._window.jobs.run(recorder.close, closed)

    def toggle(self) -> None:
        """Record, or stop recording."""
        recorder = self._recorder
        if recorder is None:
            self._window.status_line.say(tr("There is no live picture to record."))
        elif recorder.status().state is RecorderState.RECORDING:
            recorder.end()
        else:
            for topic in ("record", "begun"):
                self._window.stage.banners.hush(topic)
            recorder.begin(self._new_folder())
        self.show_status()

    def _mark_target(self) -> None:
        """Mark in the session where target and path were set or removed; where they go stands with each frame."""
        target_px, plan_px = self._window.desk.target_px, self._window.guidance.plan_px
        target_new, plan_new = target_px != self._target_px, plan_px != self._plan_px
        self._target_px, self._plan_px = target_px, plan_px
        if self._recorder is None:
            return
        if target_new:
            self._recorder.mark("target", "set" if target_px is not None else "removed", target_px)
        if plan_new:
            self._recorder.mark("target", "path removed" if plan_px is None else "path planned", self._entry_px())

    def _entry_px(self) -> PointPx | None:
        """Where the planned path enters on the picture that is shown [px]."""
        analysis, plan_px = self._window.desk.analysis, self._window.guidance.plan_px
        fix = analysis.target if analysis is not None else None
        return fix.with_plan(plan_px).entry_px if fix is not None else None

    def save_last(self) -> None:
        """Save what just happened."""
        if self._recorder is None:
            self._window.status_line.say(tr("There is no live picture to record."))
        else:
            self._recorder.save_last(self._new_folder())

    def record_whole(self) -> None:
        """Record the whole picture, after somebody has seen that it shows no names."""
        self._stop()
        self._whole = True
        self._start()
        self.toggle()

    def _new_folder(self) -> Path:
        title = re.sub(r"[^A-Za-z0-9]+", "-", words_of(self._window.desk.uri)[0]).strip("-").lower() or "live"
        stem = f"{datetime.datetime.now():%Y-%m-%d-%H%M%S}-{title[:40]}"
        top = paths.user_sessions_dir()
        folder, number = top / stem, 2
        while folder.exists():
            folder, number = top / f"{stem}-{number}", number + 1
        return folder

    def show_status(self) -> None:
        """Follow the recorder."""
        status = self.status
        self._window.live.show_recording(status)
        if status.told > self._told:
            self._told = status.told
            self._say_ended(status)

    def _say_ended(self, status: RecordingStatus) -> None:
        window, folder = self._window, status.folder
        if status.failed:
            whole = (tr("Record the whole picture"), self.record_whole) if status.message == NO_REGION else None
            window.stage.banners.say("record", "bad", status.message, whole)
        elif folder is not None:
            words = tr("Saved as {name} in {folder}").format(name=folder.name, folder=folder.parent)
            window.status_line.say(words, (tr("Open it"), lambda: window.open_uri(str(folder))))

    def close(self) -> None:
        """End what is recorded, and wait until it is on the disk."""
        self._look.stop()
        if self._recorder is not None:
            self._closing.append(self._recorder)
            self._recorder = None
        for recorder in self._closing:
            recorder.close()  # a second call does nothing
