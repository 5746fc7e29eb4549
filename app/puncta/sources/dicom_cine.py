"""DICOM images of one or more frames as a source."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from puncta.core.errors import SourceError, UserError
from puncta.core.frame import ImageGeometry, SourceInfo, SourceKind, UltrasoundRegion
from puncta.core.ports import Clock
from puncta.dicom.read import CineFile, open_cine
from puncta.dicom.read_codecs import Stored
from puncta.dicom.read_display import Display, make_display
from puncta.dicom.read_geometry import read_regions, read_spacing, read_times_ns
from puncta.sources.frame_cache import CACHE_BYTES, FrameCache
from puncta.sources.recorded import Picture, RecordedSource
from puncta.sources.region_guess import SAMPLE_COUNT, geometry_with_guess


def _picture_bytes(picture: Picture) -> int:
    return picture.pixels.nbytes + sum(plane.nbytes for plane in picture.planes)


class DicomReader:
    """Reads and converts one frame at a time. Implements ``PictureReader``.

    Compressed frames are kept in a bounded cache, for JPEG 2000 decodes slower than a cine plays; uncompressed ones
    are read again, which costs less than keeping them.
    """

    def __init__(self, cine: CineFile, display: Display, geometry: ImageGeometry, limit_bytes: int) -> None:
        self._cine = cine
        self._display = display
        self._geometry = geometry
        self._cache: FrameCache[Picture] = FrameCache(_picture_bytes, limit_bytes)

    @property
    def held_frames(self) -> int:
        """Number of decoded frames held in memory."""
        return len(self._cache)

    def picture(self, index: int) -> Picture:
        """Return planes (stored samples) and pixels of one frame."""
        held = self._cache.get(index)
        if held is not None:
            return held
        stored = self._cine.stored(index)
        pixels = self._display.pixels(stored)
        height, width = pixels.shape[:2]
        geometry = None
        if (width, height) != (self._geometry.width_px, self._geometry.height_px):
            geometry = ImageGeometry(width, height, notes=("the picture changes its size within the file",))
        picture = Picture(pixels, (stored.samples,), geometry)
        if self._cine.table.encapsulated:
            self._cache.put(index, picture)
        return picture

    def close(self) -> None:
        """Release the file and the frames held."""
        self._cache.clear()
        self._cine.close()


def open_dicom(
    path: Path, uri: str | None = None, clock: Clock | None = None, limit_bytes: int = CACHE_BYTES
) -> RecordedSource:
    """Open a DICOM image.

    Raises
    ------
    UserError
        The file is no DICOM image that can be read.
    """
    cine = open_cine(path)
    try:
        stored = _samples(cine)
        try:
            display = make_display(cine.header, cine.layout, stored, cine.little_endian)
        except SourceError as error:
            raise UserError(f"{path.name} cannot be shown: {error}; choose another copy of the file.") from error
        shown = [display.pixels(s) for s in stored]
        height, width = shown[0].shape[:2]
        count, stated = cine.frame_count, cine.table.stated
        times_ns, time_note = read_times_ns(cine.header, count, stated)
        notes = () if count == 1 or "not stated" not in time_note else (f"times: {time_note}",)
        geometry = _geometry(cine, width, height, [p for p in shown if p.shape[:2] == (height, width)], notes)
    except BaseException:
        cine.close()
        raise
    ends_early = None
    if count < stated:
        ends_early = f"{path.name} is cut off: only {count} of its {stated} frames are there, get a complete copy."
    info = SourceInfo(
        uri=uri or str(path),
        stream=path.name,
        title=path.stem,
        kind=SourceKind.FILE,
        geometry=geometry,
        frame_count=count,
        times_ns=times_ns,
        simulated=_says_simulated(cine),
        details=_details(cine, width, height, time_note),
    )
    return RecordedSource(info, DicomReader(cine, display, geometry, limit_bytes), ends_early, clock)


def _samples(cine: CineFile) -> list[Stored]:
    spread = np.unique(np.linspace(0, cine.frame_count - 1, SAMPLE_COUNT).round().astype(int))
    samples: list[Stored] = []
    for index in spread:
        try:
            samples.append(cine.stored(int(index)))
        except SourceError:
            if not samples:
                raise
    return samples


def _geometry(cine: CineFile, width: int, height: int, shown: list, notes: tuple[str, ...]) -> ImageGeometry:
    stated = read_regions(cine.header, width, height)
    notes = (*stated.notes, *notes)
    if stated.has_picture:
        return ImageGeometry(width, height, stated.regions, notes)
    guessed = geometry_with_guess(width, height, shown, read_spacing(cine.header), notes)
    others: tuple[UltrasoundRegion, ...] = stated.regions
    return ImageGeometry(width, height, (*guessed.regions, *others), notes)


def _says_simulated(cine: CineFile) -> bool:
    """Tell whether the file was written by a simulator that says so in a field that describes the picture."""
    header = cine.header
    fields = [header.get(k) for k in ("ImageType", "DerivationDescription", "ImageComments", "ManufacturerModelName")]
    return any(re.search(r"\bsimulat(ed|or)\b", str(value), re.IGNORECASE) for value in fields if value)


def _details(cine: CineFile, width: int, height: int, time_note: str) -> tuple[tuple[str, str], ...]:
    layout, header = cine.layout, cine.header
    facts = [
        ("Format", "DICOM"),
        ("Transfer syntax", cine.transfer_syntax),
        ("Stored as", f"{layout.photometric}, {layout.samples} x {layout.stored} bits"),
        ("Size", f"{width} x {height} px"),
        ("Frames", str(cine.frame_count)),
    ]
    if cine.frame_count > 1:
        facts.append(("Times", time_note))
    machine = " ".join(str(header.get(k) or "").strip() for k in ("Manufacturer", "ManufacturerModelName")).strip()
    if machine:
        facts.append(("Machine", machine))
    if header.get("Modality"):
        facts.append(("Modality", str(header.get("Modality"))))
    return tuple(facts)
