"""A maker of clips that takes its time, importable by the processes that make clips."""

from __future__ import annotations

import os
import time
from pathlib import Path

from puncta.training.data import CompositeSpec, Report, cache_name


def slow(spec: CompositeSpec, root: Path, cache: Path, report: Report, part: tuple[int, int] = (0, 1)) -> Path:
    """Make a clip every tenth of a second, and tell its process."""
    folder = cache / cache_name(spec)
    folder.mkdir(parents=True, exist_ok=True)
    for k in range(part[0], spec.clips, part[1]):
        (folder / f"{k:05d}.json").write_text(str(os.getpid()))
        time.sleep(0.1)
        report("clips", k + 1, spec.clips)
    return folder
