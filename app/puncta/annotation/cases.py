"""A case: a clip with what belongs to it. What the store keeps about it, and how a source becomes one."""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass, field
from pathlib import Path

from puncta.annotation.labels import utc_now
from puncta.core.frame import SourceInfo
from puncta.core.results import Box


@dataclass(frozen=True, slots=True)
class Case:
    """A clip to label.

    Attributes
    ----------
    id : str
        For good, the same in every store.
    stream : str
        As in the frame keys of its labels.
    label_set : str
        Id of its label set.
    uri : str
        Where the clip is for this user; may hold a path, so it is never exported.
    frame_count : int or None
    width_px, height_px : int
    fps : float
        Mean rate [1/s]; 0 where unknown.
    region : tuple of float or None
        Ultrasound region [x0, y0, w, h] [px].
    mm_per_px : tuple of float or None
        (x, y) [mm/px].
    revision : int
        Grows by one at every change of its labels.
    """

    title: str
    stream: str
    label_set: str
    width_px: int
    height_px: int
    uri: str = ""
    frame_count: int | None = None
    fps: float = 0.0
    region: Box | None = None
    mm_per_px: tuple[float, float] | None = None
    machine: str | None = None
    subject: str | None = None
    split: str | None = None
    simulated: bool = False
    licence: str = ""
    tags: tuple[str, ...] = ()
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    created_utc: str = field(default_factory=utc_now)
    revision: int = 0

    @property
    def region_or_picture(self) -> Box:
        """The ultrasound region, or the whole picture."""
        return self.region or (0.0, 0.0, float(self.width_px), float(self.height_px))


def is_at(case: Case, name: str) -> bool:
    """Tell whether a name leads to the source of a case: its address, or any path to its file or folder.

    The file need not be there any more.
    """
    if not case.uri or not name:
        return False
    same_path = "://" not in case.uri and os.path.abspath(name) == os.path.normpath(case.uri)
    return name == case.uri or same_path


def case_of_source(
    info: SourceInfo,
    label_set: str,
    *,
    title: str = "",
    machine: str | None = None,
    subject: str | None = None,
    split: str | None = None,
    tags: tuple[str, ...] = (),
) -> Case:
    """Return a new case for an opened source."""
    x0, y0, w, h = info.geometry.region.box
    known = bool(info.geometry.regions)
    calibration = info.geometry.calibration
    interval = info.interval_ns
    place = Path(info.uri)
    uri = str(place.absolute()) if "://" not in info.uri and place.exists() else info.uri
    return Case(
        title or info.title,
        info.stream,
        label_set,
        info.geometry.width_px,
        info.geometry.height_px,
        uri,
        info.frame_count,
        round(1e9 / interval, 3) if interval else 0.0,
        (float(x0), float(y0), float(w), float(h)) if known else None,
        None if calibration is None else calibration.mm_per_px,
        machine,
        subject,
        split,
        info.simulated,
        tags=tags,
    )
