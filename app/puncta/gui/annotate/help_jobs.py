"""Help that takes time, in a thread of its own: the frames between key frames, and what models carry on.

One piece of help runs at a time; a new one ends the one before. Proposals come to the window a few at a time, so that
the ribbon grows while the picture goes on.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from PySide6.QtCore import QObject, Signal

from puncta.annotation.labels import Label
from puncta.annotation.store_suggestions import Suggestion
from puncta.core.errors import PunctaError
from puncta.core.frame import Calibration, Frame
from puncta.core.ports import FrameSource
from puncta.core.prompts import Prompt
from puncta.gui.bridge import Bridge
from puncta.pipeline.host import PluginHost
from puncta.session.between_keys import KeyPose, fill_between
from puncta.session.proposing import Strayed, open_models, propose_by_models
from puncta.session.teaching_frames import FrameLook, look_over, teaching_frames

log = logging.getLogger(__name__)

HAND_OVER_S = 0.25
"""Proposals are handed over this often [s]."""
BETWEEN, ONWARD, TEACH = "between", "onward", "teach"


@dataclass(frozen=True, slots=True)
class Piece:
    """What a piece of help has found so far."""

    kind: str
    case_id: str
    done: int
    total: int
    labels: tuple[Label, ...] = ()
    suggestions: tuple[Suggestion, ...] = ()
    ended: bool = False
    failure: str = ""
    number: int = 0
    cancelled: bool = False
    strayed: Strayed | None = None
    """The tracker has left its needle."""


class Stop(threading.Event):
    """Tells a piece of help to end; ``number`` says which one it is."""

    def __init__(self, number: int = 0) -> None:
        super().__init__()
        self.number = number


class _Calibrated:
    """A source whose frames carry the calibration that the window shows."""

    def __init__(self, source: FrameSource, calibration: Calibration | None) -> None:
        self._source, self._calibration = source, calibration
        self.info = source.info

    def read(self) -> Frame | None:
        frame = self._source.read()
        if frame is None or self._calibration is None or frame.geometry.calibration is not None:
            return frame
        return replace(frame, geometry=frame.geometry.with_calibration(self._calibration))

    def seek(self, index: int) -> None:
        self._source.seek(index)

    def close(self) -> None:
        self._source.close()


class HelpJobs(QObject):
    """Runs help in threads of its own; `came` says that `take` has something."""

    came = Signal()

    def __init__(self, opener: Callable[[str], FrameSource], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.opener = opener
        self.models: Callable[[], PluginHost] = open_models
        self._bridge = Bridge(self)
        self._bridge.woken.connect(self.came.emit)
        self._pieces: deque[Piece] = deque()
        self._thread: threading.Thread | None = None
        self._stop = Stop()
        self._closed = False
        self._number = self._dropped = 0
        self.running = ""
        """The kind of help under way, or nothing."""

    def between(
        self,
        uri: str,
        case_id: str,
        keys: Sequence[KeyPose],
        wanted: Sequence[int],
        names: Sequence[str],
        calibration: Calibration | None,
    ) -> None:
        """Propose the wanted frames that lie between key frames."""

        def work(stop: Stop) -> None:
            source = _Calibrated(self.opener(uri), calibration)
            try:
                found = ((labels, None) for labels in fill_between(source, keys, wanted, names, stop=stop))
                self._tell(BETWEEN, case_id, len(wanted), found, stop)
            finally:
                source.close()

        self._begin(BETWEEN, case_id, work)

    def onward(
        self,
        uri: str,
        case_id: str,
        span: tuple[int, int],
        prompt: Prompt | None,
        names: Sequence[str],
        calibration: Calibration | None,
    ) -> None:
        """Let the models carry the needle on from the first frame of the span to its last, forwards or backwards."""
        start, end = span

        def work(stop: Stop) -> None:
            source = _Calibrated(self.opener(uri), calibration)
            try:
                host = self.models()
                try:
                    found = propose_by_models(source, host, names, start=start, end=end, prompt=prompt, stop=stop)
                    pairs = ((list(p.labels), p.suggestion) for p in found)
                    self._tell(ONWARD, case_id, abs(end - start) + 1, pairs, stop)
                finally:
                    host.close()
            finally:
                source.close()

        self._begin(ONWARD, case_id, work)

    def teach(
        self, uri: str, case_id: str, span: tuple[int, int], labelled: Sequence[int], calibration: Calibration | None
    ) -> None:
        """Look over a range for the frames that would teach most."""
        first, last = span

        def work(stop: Stop) -> None:
            source = _Calibrated(self.opener(uri), calibration)
            try:
                host = self.models()
                try:
                    looks: list[FrameLook] = []
                    told = time.monotonic()
                    inside = [index for index in labelled if first <= index <= last]
                    for look in look_over(source, host, first, last, keep=inside, stop=stop):
                        looks.append(look)
                        if time.monotonic() - told >= HAND_OVER_S:
                            told = time.monotonic()
                            self._put(Piece(TEACH, case_id, look.index - first + 1, last - first + 1), stop)
                    if not stop.is_set():
                        found = teaching_frames(looks, labelled)
                        self._put(Piece(TEACH, case_id, last - first + 1, last - first + 1, (), found), stop)
                finally:
                    host.close()
            finally:
                source.close()

        self._begin(TEACH, case_id, work)

    def cancel(self) -> None:
        """End what is under way after the frame it is at; what was proposed stays."""
        self._stop.set()

    def drop(self) -> None:
        """End what is under way, and throw away what it found and nobody has taken: it was for another."""
        self.cancel()
        self._dropped = self._number
        self.running = ""

    def wait(self) -> None:
        """Wait until the thread under way has ended."""
        thread = self._thread
        if thread is not None:
            thread.join()

    def close(self) -> None:
        """End for good; nothing is delivered any more."""
        self._closed = True
        self._bridge.close()
        self.cancel()
        self.wait()
        self._pieces.clear()

    def take(self) -> list[Piece]:
        """Take what has come."""
        pieces = []
        while self._pieces:
            piece = self._pieces.popleft()
            if piece.number > self._dropped:
                pieces.append(piece)
        if any(piece.ended and piece.number == self._number for piece in pieces):
            self.running = ""
        return pieces

    # in the thread ---------------------------------------------------------------------------------------------

    def _begin(self, kind: str, case_id: str, work: Callable[[Stop], None]) -> None:
        if self._closed:
            return
        self.cancel()
        before = self._thread
        self._number += 1
        stop = self._stop = Stop(self._number)
        self.running = kind

        def run() -> None:
            if before is not None:
                before.join()  # one after the other: two would share the cores with the picture
            failure, strayed = "", None
            try:
                if not stop.is_set():
                    work(stop)
            except Strayed as error:
                failure, strayed = str(error), error
            except PunctaError as error:
                failure = str(error)
            except Exception as error:  # noqa: BLE001 - told in the window, logged with its trace
                log.error("help failed", exc_info=error)
                failure = str(error) or type(error).__name__
            told = Piece(kind, case_id, 0, 0, ended=True, failure=failure, strayed=strayed)
            self._put(replace(told, cancelled=stop.is_set()), stop)

        self._thread = threading.Thread(target=run, name=f"puncta-help-{kind}")
        self._thread.start()

    def _tell(
        self,
        kind: str,
        case_id: str,
        total: int,
        found: Iterator[tuple[list[Label], Suggestion | None]],
        stop: Stop,
    ) -> None:
        labels: list[Label] = []
        suggestions: list[Suggestion] = []
        told, done = time.monotonic(), 0
        try:
            for some, suggestion in found:
                labels += some
                suggestions += [suggestion] if suggestion is not None else []
                done += 1
                if kind == ONWARD and time.monotonic() - told >= HAND_OVER_S and not stop.is_set():
                    self._put(Piece(kind, case_id, done, total, tuple(labels), tuple(suggestions)), stop)
                    labels, suggestions, told = [], [], time.monotonic()
        finally:
            # What was found before help ended, by itself or by a fault, holds.
            if labels or suggestions or kind == ONWARD:
                self._put(Piece(kind, case_id, done, total, tuple(labels), tuple(suggestions)), stop)

    def _put(self, piece: Piece, stop: Stop) -> None:
        if not self._closed:
            self._pieces.append(replace(piece, number=stop.number))
            self._bridge.wake()
