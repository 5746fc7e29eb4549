"""Making the clips of a cache in several processes: each makes every n-th clip, so the same clips come out.

A process that was killed leaves nobody behind: the others look after every clip whether whoever began them is there.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from puncta.core.errors import UserError
from puncta.training.data import Report, cache_name
from puncta.training.stopping import is_orphan, pause_if_asked

WORTH_IT = 24
"""Fewer missing clips than this are made in this process: starting others takes seconds."""
_LOOKED_S = 0.5
_PATIENCE_S = 10.0


def build_together(
    build: Callable[..., Path], what: str, spec: Any, cache: Path, report: Report, root: Path | None = None,
    jobs: int | None = None,
) -> Path:
    """Make the clips that a cache lacks, in as many processes as there are cores; return their folder.

    Whatever ``report`` raises ends all of them at once; clips are whole or not there.

    Parameters
    ----------
    build : callable
        (spec, cache, report, part=(k, n)), or (spec, root, cache, report, part=...) where there is a root; a function
        of a module, for the processes import it.
    what : str
        What is counted, for the report.
    jobs : int or None
        Processes; None is one a core.

    Raises
    ------
    UserError
        What ``build`` raises, or that a process was killed.
    """
    places = (cache,) if root is None else (root, cache)
    folder = cache / cache_name(spec)
    jobs = jobs or os.cpu_count() or 1
    if jobs < 2 or spec.clips - _count(folder) < WORTH_IT:
        return build(spec, *places, report)
    context = multiprocessing.get_context("spawn")
    makers, ends = [], []
    try:
        for k in range(jobs):
            here, there = context.Pipe(duplex=False)
            maker = context.Process(target=_make, args=(build, spec, places, (k, jobs), there), name=f"clips-{k}")
            maker.start()
            there.close()
            makers.append(maker)
            ends.append(here)
        while any(maker.exitcode is None for maker in makers):
            multiprocessing.connection.wait([m.sentinel for m in makers if m.exitcode is None], _LOOKED_S)
            if any(maker.exitcode not in (None, 0) for maker in makers):
                break
            report(what, min(_count(folder), spec.clips), spec.clips)
        pause_if_asked()  # what has asked this process to stop has ended the makers, too
        for maker, end in zip(makers, ends):
            if maker.exitcode not in (None, 0):
                raise _complaint(end, maker.exitcode)
        report(what, min(_count(folder), spec.clips), spec.clips)
    finally:
        for maker in makers:
            if maker.exitcode is None:
                maker.terminate()
        for maker in makers:
            maker.join(_PATIENCE_S)
            for left in folder.glob(f".*.{maker.pid}.*"):  # half a clip of one that was stopped
                left.unlink(missing_ok=True)
        for end in ends:
            end.close()
    return folder


def _complaint(end: Any, status: int | None) -> BaseException:
    """What a process that failed has said; of one that was killed that it was."""
    try:
        if end.poll():
            said = end.recv()
            if isinstance(said, BaseException):
                return said
    except (EOFError, OSError):
        pass
    return UserError(
        f"A process that makes clips was ended from outside (status {status}), perhaps because memory ran out; go on "
        "with --resume."
    )


def _make(
    build: Callable[..., Path], spec: Any, places: tuple[Path, ...], part: tuple[int, int], end: Any
) -> None:
    """Make a part of the clips in a process of its own; what goes wrong is sent to whoever began it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C goes to all of a terminal's processes; the first one acts
    try:
        build(spec, *places, _end_if_orphan, part=part)
    except Exception as error:  # noqa: BLE001 - it is raised again where it is wanted
        try:
            end.send(error)
        except (OSError, TypeError, ValueError, AttributeError):  # nobody is there, or it cannot be sent
            pass
        os._exit(1)


def _count(folder: Path) -> int:
    return sum(1 for _ in folder.glob("[!.]*.json")) if folder.is_dir() else 0


def _end_if_orphan(_what: str, _done: int, _total: int) -> None:
    """Called after every clip: where whoever began this process was killed, nobody wants the rest."""
    if is_orphan():
        os._exit(1)
