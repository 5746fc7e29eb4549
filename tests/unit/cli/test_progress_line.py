"""The line that tells how long work goes, on a terminal and without one; and what Ctrl+C does to it."""

from __future__ import annotations

import io
import os
import signal
import sys

import pytest

from puncta.cli import progress, stop_signals
from puncta.cli.progress import ProgressLine
from puncta.cli.stop_signals import at_stop


class Stderr(io.StringIO):
    """Standard error that is a terminal, or none."""

    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        """As it was made."""
        return self._terminal


class Seconds:
    """A clock that is set by hand."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Seconds:
    seconds = Seconds()
    monkeypatch.setattr(progress, "time", seconds)
    return seconds


def test_without_a_terminal_long_work_writes_a_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch, clock: Seconds
) -> None:
    told, silent = Stderr(False), Stderr(False)
    monkeypatch.setattr(sys, "stderr", told)
    line = ProgressLine("samples", log_s=30.0)
    for done in range(101):
        line.show(done, 1000, note="loss 1.25")
        clock.now += 1.0
    line.clear()
    assert told.getvalue().splitlines() == [
        "samples 0 of 1,000, loss 1.25", "samples 30 of 1,000, 16 min left, loss 1.25",
        "samples 60 of 1,000, 16 min left, loss 1.25", "samples 90 of 1,000, 15 min left, loss 1.25",
    ]  # fmt: skip
    monkeypatch.setattr(sys, "stderr", silent)
    ProgressLine("frame").show(1, 10)
    assert silent.getvalue() == "", "short work stays silent there"


def test_on_a_terminal_one_line_is_written_over_and_taken_away(
    monkeypatch: pytest.MonkeyPatch, clock: Seconds
) -> None:
    told = Stderr(True)
    monkeypatch.setattr(sys, "stderr", told)
    line = ProgressLine("frame", log_s=30.0)
    line.show(1, 10)
    assert told.getvalue() == "\r\033[Kframe 1 of 10", "one step says nothing of the time left"
    clock.now += 2.0
    line.show(5, 10)
    line.clear()
    assert told.getvalue().endswith("frame 5 of 10, 2 s left\r\033[K") and "\n" not in told.getvalue()


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX systems")
def test_the_second_ctrl_c_does_what_it_always_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stop_signals, "AT_ONCE_S", 0.0)
    asked: list[str] = []
    # A program that runs in the background of a shell begins with Ctrl+C ignored.
    begun_with = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        before = signal.getsignal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt), at_stop(lambda: asked.append("once"), once=True):
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
        assert asked == ["once"]
        with at_stop(lambda: asked.append("more")):
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGTERM)
        assert asked == ["once", "more", "more"] and signal.getsignal(signal.SIGINT) is before
    finally:
        signal.signal(signal.SIGINT, begun_with)


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX systems")
def test_signals_that_come_together_are_one_wish(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stop_signals, "AT_ONCE_S", 1e9)
    asked: list[str] = []
    begun_with = signal.signal(signal.SIGTERM, lambda *_: asked.append("ended"))
    try:
        with at_stop(lambda: asked.append("once"), once=True):
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGTERM)  # as `timeout` sends it to the command and to its group
        assert asked == ["once"]
    finally:
        signal.signal(signal.SIGTERM, begun_with)
