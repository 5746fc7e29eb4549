"""Carries a needle on from one frame, forwards or backwards: what annotation proposes from a label somebody has made.

Backwards is just another stream to a tracker, so both directions go through the same host and the same `step`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace

from puncta.core.errors import UserError
from puncta.core.frame import Frame
from puncta.core.ports import FrameSource
from puncta.core.prompts import Prompt
from puncta.core.results import Analysis
from puncta.pipeline.host import PluginHost
from puncta.sdk.plugin import ResetReason

CHUNK_FRAMES = 24
"""Frames held at a time while a file is read backwards: files are decoded forwards only."""


def frames_between(source: FrameSource, first: int, last: int) -> Iterator[Frame]:
    """Yield the frames from ``first`` to ``last``, both included; backwards where ``last`` lies before ``first``."""
    if last >= first:
        source.seek(first)
        yield from _read(source, first, last)
        return
    at = first
    while at >= last:
        begin = max(last, at - CHUNK_FRAMES + 1)
        source.seek(begin)
        yield from reversed(list(_read(source, begin, at)))
        at = begin - 1


def _read(source: FrameSource, first: int, last: int) -> Iterator[Frame]:
    while True:
        frame = source.read()
        if frame is None:
            return
        if frame.key.index >= first:
            yield frame
        if frame.key.index >= last:
            return


def propagate(
    source: FrameSource,
    host: PluginHost,
    plugin_id: str,
    *,
    start: int,
    end: int,
    prompt: Prompt | None = None,
    stop: threading.Event | None = None,
) -> Iterator[Analysis]:
    """Track a needle from one frame to another and yield what is found, each frame once, in the order of the way.

    Parameters
    ----------
    source : FrameSource
        Seekable; left where the last frame was read.
    host : PluginHost
        Reset first; `close` is the caller's.
    start, end : int
        Frames, both included; ``end`` before ``start`` goes backwards. The frames before the start, as far as the
        plugins' history reaches, are stepped too, so that what moves is known from the first frame on.
    prompt : Prompt or None
        Holds for the frame ``start``; None lets the tracker begin by itself.
    stop : Event
        Ends the way after the frame under way.

    Raises
    ------
    UserError
        The source cannot be sought, a frame is not in it, or the plugin takes no prompts.
    """
    count = source.info.frame_count
    if count is None:
        raise UserError("A stream without an end cannot be gone through forwards and backwards; record it first.")
    for index in (start, end):
        if not 0 <= index < count:
            title = source.info.title
            raise UserError(f"{title} has {count} frames, 0 to {count - 1}; frame {index} is not among them.")
    way = 1 if end >= start else -1
    begin = min(count - 1, max(0, start - way * host.history_frames))
    host.reset(ResetReason.OPENED)
    if prompt is not None:
        host.prompt(plugin_id, prompt, start)
    try:
        for number, frame in enumerate(frames_between(source, begin, end)):
            if stop is not None and stop.is_set():
                return
            analysis = host.step(replace(frame, frame_id=number))
            if (frame.key.index - start) * way >= 0:
                yield analysis
    finally:
        if prompt is not None:
            host.prompt(plugin_id, None, start)
