"""EVERY_FRAME runs without a window: decoding, the plugins and the consumer overlap, in exact order.

A plugin that comes in parts (`puncta.sdk.plugin.Staged`) works on three successive frames at once, in three threads.
The result is deterministic: every frame is analysed, none is dropped, and the consumer sees them in order.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar

from puncta.core.channels import BoundedFifo, ChannelClosed
from puncta.core.frame import Frame, SourceKind
from puncta.core.ports import Clock, FrameSource, SystemClock, as_live
from puncta.core.results import Analysis
from puncta.pipeline.host import PluginHost
from puncta.pipeline.stages import Begun, Step
from puncta.sdk.plugin import ResetReason, Staged

T = TypeVar("T")

_QUEUE_FRAMES = 8
_AHEAD_FRAMES = 2
"""Frames that wait between two parts of a plugin."""


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
    prepared: BoundedFifo[Step] = BoundedFifo("prepared", _AHEAD_FRAMES)
    inferred: BoundedFifo[Step] = BoundedFifo("inferred", _AHEAD_FRAMES)
    begun_anew: BoundedFifo[Step] = BoundedFifo("begun anew", 1)
    done: BoundedFifo[Analysis] = BoundedFifo("analysed", _QUEUE_FRAMES)
    failures: list[Exception] = []

    def decode() -> None:
        for frame in frames:
            wanted = hashed and frame.key.index >= first
            decoded.put(replace(frame, key=frame.hashed_key()) if wanted else frame)

    def prepare() -> None:
        epoch: int | None = None
        staged: dict[str, Staged] = {}
        for frame in _taken(decoded):
            if frame.epoch != epoch:
                # Plugins are created and begin anew with no frame under way, so this one is stepped on by itself.
                reason = ResetReason.OPENED if epoch is None else ResetReason.GAP
                (prepared if staged else inferred).put(Step(frame, reset=reason))
                next(_taken(begun_anew))
                epoch, staged = frame.epoch, host.staged()
                continue
            begun = {plugin_id: Begun(plugin) for plugin_id, plugin in staged.items()}
            for work in begun.values():
                work.prepare(frame)
            # Without a plugin in parts the thread between would only cost a wait.
            (prepared if staged else inferred).put(Step(frame, begun))

    def infer() -> None:
        for step in _taken(prepared):
            for work in step.begun.values():
                work.infer()
            inferred.put(step)

    def finish() -> None:
        for step in _taken(inferred):
            if step.reset is not None:
                host.reset(step.reset)
            analysis = host.step(step.frame, begun=step.begun)
            if step.reset is not None:
                begun_anew.put(step)
            if step.frame.key.index >= first:
                done.put(analysis)

    parts = [
        ("capture", decode, (decoded,)),
        ("prepare", prepare, (decoded, prepared)),
        ("infer", infer, (prepared, inferred)),
        ("inference", finish, (inferred, begun_anew, done)),
    ]
    threads = [
        threading.Thread(target=_run, args=(work, closed, failures), name=f"puncta-{name}")
        for name, work, closed in parts
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


def _taken(channel: BoundedFifo[T]) -> Iterator[T]:
    """Yield what a channel brings until it is closed, which is raised."""
    while True:
        value = channel.take()
        if value is not None:
            yield value


def _drain(done: BoundedFifo[Analysis], failures: list[Exception]) -> Iterator[Analysis]:
    try:
        yield from _taken(done)
    except ChannelClosed:
        if failures:
            raise failures[0] from None
