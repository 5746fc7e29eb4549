"""Frames, their keys, their geometry, and what is known about where they come from.

Coordinates are source-image pixels: x right, y down, pixel centres at integers. A region's box is [x0, y0, w, h] and
holds the whole pixels x0 .. x0 + w - 1, so its outline runs from x0 - 0.5 to x0 + w - 0.5.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class FrameKey:
    """What results, labels, comments and markers store to name a frame for good.

    Attributes
    ----------
    stream : str
        Identifies the stream inside a case (a file name, a URI); never a path of a machine.
    index : int
        Number of the decoded frame in presentation order, from 0.
    pts_ns : int
        Stored presentation time [ns], ``round(pts * time_base * 1e9)``; raw, so it need not start at 0.
    sha256 : str or None
        Hash over the decoded pixels as stored (native planes, row-major, no padding); None until asked for.
    """

    stream: str
    index: int
    pts_ns: int
    sha256: str | None = None


class CalibrationOrigin(StrEnum):
    """Where millimetres come from. NONE means: show pixels and say so."""

    REGION = "ultrasound region"
    FILE = "file spacing"
    VENDOR = "vendor"
    RULER = "two-point ruler"
    TICKS = "depth ticks"
    SIMULATED = "simulated"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Calibration:
    """Millimetres per pixel along x and y of one region, with provenance.

    Attributes
    ----------
    mm_per_px : tuple of float
        (x, y) [mm/px], both > 0.
    origin : CalibrationOrigin
        Where the figures come from.
    note : str
        One plain phrase for the screen, e.g. "DICOM region 1".
    """

    mm_per_px: tuple[float, float]
    origin: CalibrationOrigin
    note: str = ""

    def __post_init__(self) -> None:
        if not all(np.isfinite(v) and v > 0 for v in self.mm_per_px):
            raise ValueError(f"mm_per_px must be positive and finite, not {self.mm_per_px}")


@dataclass(frozen=True, slots=True)
class UltrasoundRegion:
    """A part of the picture that shows ultrasound, and nothing of the machine's furniture.

    Attributes
    ----------
    box : tuple of int
        [x0, y0, w, h] [px], inside the picture.
    origin : str
        "dicom", "detected", "simulated", "user", "vendor" or "whole picture".
    calibration : Calibration or None
        None hides millimetres.
    """

    box: tuple[int, int, int, int]
    origin: str
    calibration: Calibration | None = None

    def contains(self, x_px: float, y_px: float) -> bool:
        """Tell whether a point [px] lies in the region."""
        x0, y0, w, h = self.box
        return x0 - 0.5 <= x_px <= x0 + w - 0.5 and y0 - 0.5 <= y_px <= y0 + h - 0.5


@dataclass(frozen=True, slots=True)
class ImageGeometry:
    """Size of the picture and its ultrasound regions; the first region is the one that models see."""

    width_px: int
    height_px: int
    regions: tuple[UltrasoundRegion, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def region(self) -> UltrasoundRegion:
        """The region that models see; the whole picture where none is known."""
        if self.regions:
            return self.regions[0]
        return UltrasoundRegion((0, 0, self.width_px, self.height_px), "whole picture")

    @property
    def calibration(self) -> Calibration | None:
        """Calibration of the first region, or None."""
        return self.region.calibration

    def with_calibration(self, calibration: Calibration | None) -> ImageGeometry:
        """Return the same geometry with another calibration of the first region."""
        first = replace(self.region, calibration=calibration)
        return replace(self, regions=(first, *self.regions[1:]))


class SourceKind(StrEnum):
    """Files end and can be sought; live sources and the simulator run on."""

    FILE = "file"
    LIVE = "live"
    SIMULATED = "simulated"


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What is known about a source when it opens.

    Attributes
    ----------
    uri : str
        What the user named; may hold a path, so it is never written into results.
    stream : str
        Name used in frame keys (file name without folder, or the URI of a simulator).
    title : str
        Short name for the screen.
    kind : SourceKind
    geometry : ImageGeometry
        Geometry of the first frame.
    frame_count : int or None
        None for a source without an end.
    times_ns : ndarray of int64, shape (frame_count,), or None
        Stored presentation times [ns] by index; strictly the file's own.
    simulated : bool
        True marks everything derived from it as simulated, also a recorded simulation.
    details : tuple of (str, str)
        Facts for "About this source": codec, transfer syntax, machine. Holds no patient data.
    frame_rate : float or None
        Nominal rate of a source without a table of times [frames/s].
    """

    uri: str
    stream: str
    title: str
    kind: SourceKind
    geometry: ImageGeometry
    frame_count: int | None = None
    times_ns: NDArray[np.int64] | None = None
    simulated: bool = False
    details: tuple[tuple[str, str], ...] = ()
    frame_rate: float | None = None

    @property
    def seekable(self) -> bool:
        """A source with a table of times can be sought by index."""
        return self.frame_count is not None

    @property
    def interval_ns(self) -> int:
        """Median time between frames [ns]; that of the nominal rate, or 40 ms, where no times are known."""
        if self.times_ns is None or len(self.times_ns) < 2:
            return round(1e9 / self.frame_rate) if self.frame_rate else 40_000_000
        steps = np.diff(self.times_ns)
        steps = steps[steps > 0]
        return int(np.median(steps)) if len(steps) else 40_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture on its way through the program; immutable, its pixels read-only.

    Attributes
    ----------
    key : FrameKey
    epoch : int
        Grows at seek, source change and geometry change; results of an older epoch are discarded.
    frame_id : int
        Running number inside this run; never leaves it.
    t_ns : int
        Monotonic time of arrival [ns].
    skipped : int
        Frames the source knows it lost or dropped just before this one.
    pixels : ndarray of uint8, shape (H, W) or (H, W, 3)
        Grey or RGB, for display and models.
    geometry : ImageGeometry
    source : SourceInfo
    planes : tuple of ndarray
        Native planes as stored in the file, the ground of the hash and of lossless recording; empty means that
        ``pixels`` is native.
    """

    key: FrameKey
    epoch: int
    frame_id: int
    t_ns: int
    skipped: int
    pixels: NDArray[np.uint8]
    geometry: ImageGeometry
    source: SourceInfo
    planes: tuple[NDArray, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        self.pixels.flags.writeable = False
        for plane in self.planes:
            plane.flags.writeable = False

    def digest(self) -> str:
        """Return the hash of the native planes, computing it where the key does not hold it yet."""
        return self.key.sha256 or hash_planes(self.planes or (self.pixels,))

    def hashed_key(self) -> FrameKey:
        """Return the key with its hash filled in."""
        return self.key if self.key.sha256 else replace(self.key, sha256=self.digest())


def hash_planes(planes: Sequence[NDArray]) -> str:
    """Hash native planes in order, row-major without padding, 16-bit samples little-endian.

    Returns
    -------
    str
        Hexadecimal SHA-256.
    """
    digest = hashlib.sha256()
    for plane in planes:
        little = plane.astype(plane.dtype.newbyteorder("<"), copy=False)
        digest.update(np.ascontiguousarray(little).data)
    return digest.hexdigest()


def grey_from_pixels(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the luma (BT.601, rounded) of an (H, W, 3) RGB picture, or a grey picture as it is."""
    if pixels.ndim == 2:
        return pixels
    weighted = pixels[..., 0].astype(np.uint32) * 19595 + pixels[..., 1].astype(np.uint32) * 38470
    weighted += pixels[..., 2].astype(np.uint32) * 7471 + 32768
    return (weighted >> 16).astype(np.uint8)
