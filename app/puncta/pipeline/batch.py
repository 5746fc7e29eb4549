"""EVERY_FRAME runs without a window: decode, infer and consume overlap in three threads, in exact order.

The result is deterministic: every frame is analysed, none is dropped, and the consumer sees them in order.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from puncta.core.channels import BoundedFifo, ChannelClosed
from puncta.core.frame import Frame, SourceKind
from puncta.core.ports import Clock, FrameSource, SystemClock, as_live
from puncta.core.results import Analysis
from puncta.pipeline.host import PluginHost
from puncta.sdk.plugin import ResetReason

_QUEUE_FRAMES = 8


def frames_of(
    source: FrameSource,
    first: int = 0,
    end: int | None = None,
    *,
    pre_roll: int = 0,
    seconds: float | None = None,
    stop: threading.Event | None = None,
    clock: Clock | None = None,
) -> Iterator[Frame]:
    """Yield frames ``first`` .. ``end`` - 1 of a source in order, stamped with running numbers.

    Parameters
    ----------
    end : int or None
        Half-open; None runs to the end of the source, or until ``stop`` is set.
    pre_roll : int
        Yield up to this many frames before ``first`` too, for the plugins' history alone.
    seconds : float or None
        Stop after this much of the source's own time [s].
    """
    clock = clock or SystemClock()
    stop = stop or threading.Event()
    begin = max(0, first - pre_roll)
    if begin and source.info.seekable:
        source.seek(begin)
    begin_ns: int | None = None
    begun_ns: int | None = None
    live = as_live(source)
    frame_id = 0
    while not stop.is_set():
        try:
            frame = source.read()
        except TimeoutError:
            if seconds is not None and begun_ns is not None and clock.now_ns() - begun_ns >= seconds * 1e9:
                return  # a live source that was lost; the time asked for is over
            continue  # without a frame yet; the stop event is looked at again
        if frame is None:
            return
        if frame.key.index < begin:
            continue
        if begin_ns is None and frame.key.index >= first:
            begin_ns, begun_ns = frame.key.pts_ns, clock.now_ns()
        if end is not None and frame.key.index >= end:
            return
        if seconds is not None and begin_ns is not None and frame.key.pts_ns - begin_ns >= seconds * 1e9:
            return
        t_ns = frame.t_ns if source.info.kind is SourceKind.LIVE else clock.now_ns()
        # A live source that was lost and found again begins anew: its frames are another epoch.
        epoch = live.connection if live is not None else 0
        yield replace(frame, epoch=epoch, frame_id=frame_id, t_ns=t_ns)
        frame_id += 1


@contextmanager
def analyse(
    frames: Iterator[Frame], host: PluginHost, *, first: int = 0, hashed: bool = True
) -> Iterator[Iterator[Analysis]]:
    """Analyse frames in background threads and yield an iterator over the analyses, in order.

    Leaving the context early stops the threads; an error of the source or the host is raised to the caller.

    Parameters
    ----------
    first : int
        Frames before this index only warm up the plugins' history; their analyses are thrown away.
    hashed : bool
        Fill in the frames' hashes (in the decoding thread).
    """
    decoded: BoundedFifo[Frame] = BoundedFifo("decoded", _QUEUE_FRAMES)
    done: BoundedFifo[Analysis] = BoundedFifo("analysed", _QUEUE_FRAMES)
    failures: list[Exception] = []

    def decode() -> None:
        for frame in frames:
            wanted = hashed and frame.key.index >= first
            decoded.put(replace(frame, key=frame.hashed_key()) if wanted else frame)

    def infer() -> None:
        host.reset(ResetReason.OPENED)
        epoch: int | None = None
        while True:
            frame = decoded.take()
            if frame is None:
                continue
            if epoch is not None and frame.epoch != epoch:
                host.reset(ResetReason.GAP)
            epoch = frame.epoch
            analysis = host.step(frame)
            if frame.key.index >= first:
                done.put(analysis)

    threads = [
        threading.Thread(target=_run, args=(decode, (decoded,), failures), name="puncta-capture"),
        threading.Thread(target=_run, args=(infer, (decoded, done), failures), name="puncta-inference"),
    ]
    for thread in threads:
        thread.start()
    try:
        yield _drain(done, failures)
    finally:
        for channel in (decoded, done):
            channel.close()
        for thread in threads:
            thread.join()


def _run(work: Callable[[], None], channels: tuple[BoundedFifo, ...], failures: list[Exception]) -> None:
    """Run a thread's work; its end or its failure closes its channels, so that the others end too."""
    try:
        work()
    except ChannelClosed:
        pass  # the other side has ended
    except Exception as error:  # noqa: BLE001 - raised again in the caller's thread
        failures.append(error)
    finally:
        for channel in channels:
            channel.close()


def _drain(done: BoundedFifo[Analysis], failures: list[Exception]) -> Iterator[Analysis]:
    while True:
        try:
            analysis = done.take()
        except ChannelClosed:
            if failures:
                raise failures[0] from None
            return
        if analysis is not None:
            yield analysis
