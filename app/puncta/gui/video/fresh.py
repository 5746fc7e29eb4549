"""Tells a new picture from one that is shown once more."""

from __future__ import annotations

from puncta.core.results import Analysis


def differ(before: Analysis | None, now: Analysis) -> bool:
    """Tell whether a frame, or what was found on it, is new, and not covered, uncovered or drawn once more."""
    if before is None:
        return True
    one, other = before.frame, now.frame
    return (one.source.uri, one.epoch, one.frame_id, before.t_done_ns) != (
        other.source.uri, other.epoch, other.frame_id, now.t_done_ns
    )
