"""Making the clips of a cache in several processes: each makes every n-th clip, so the same clips come out."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, ProcessPoolExecutor, wait
from pathlib import Path
from typing import Any

from puncta.training.data import Report, cache_name
from puncta.training.stopping import is_orphan

WORTH_IT = 24
"""Fewer missing clips than this are made in this process: starting others takes seconds."""
AT_ONCE = 8
"""Clips, about, that a process makes before it looks for more: whoever asks for a pause waits no longer than that."""
_LOOKED_S = 0.5


def build_together(
    build: Callable[..., Path], what: str, spec: Any, cache: Path, report: Report, root: Path | None = None,
    jobs: int | None = None,
) -> Path:
    """Make the clips that a cache lacks, in as many processes as there are cores; return their folder.

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
        What ``build`` raises.
    """
    places = (cache,) if root is None else (root, cache)
    folder = cache / cache_name(spec)
    jobs = jobs or os.cpu_count() or 1
    if jobs < 2 or spec.clips - _count(folder) < WORTH_IT:
        return build(spec, *places, report)
    # Listing and hashing stills takes a while, so there each process gets one large part.
    count = jobs if root is not None else jobs * max(1, spec.clips // (jobs * AT_ONCE))
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        parts = [pool.submit(build, spec, *places, _end_if_orphan, part=(k, count)) for k in range(count)]
        left = set(parts)
        try:
            while left:
                done, left = wait(left, _LOOKED_S, FIRST_EXCEPTION)
                if any(part.exception() for part in done):
                    break
                report(what, min(_count(folder), spec.clips), spec.clips)
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
        if left:
            pool.shutdown(wait=True, cancel_futures=True)
        for part in parts:
            if not part.cancelled():
                part.result()
    return folder


def _count(folder: Path) -> int:
    return sum(1 for _ in folder.glob("[!.]*.json")) if folder.is_dir() else 0


def _end_if_orphan(_what: str, _done: int, _total: int) -> None:
    """Called in a process of the pool after every clip: where whoever began it was killed, nobody wants the rest."""
    if is_orphan():
        os._exit(1)
