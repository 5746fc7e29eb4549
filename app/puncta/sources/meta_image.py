"""Sequences of pictures in MetaImage and NRRD files, with the times that PLUS stores for each frame."""

from __future__ import annotations

import re
import tempfile
import zlib
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from puncta.core.errors import SourceError, UserError
from puncta.core.frame import Calibration, CalibrationOrigin, SourceInfo, SourceKind
from puncta.core.ports import Clock
from puncta.sources.image_folder import is_neutral
from puncta.sources.recorded import Picture, RecordedSource
from puncta.sources.region_guess import SAMPLE_COUNT, geometry_with_guess
from puncta.sources.stack_header import StackHeader, read_stack_header

NOMINAL_INTERVAL_NS = 40_000_000
_SANE_MM_PER_PX = (0.002, 2.0)
_CHUNK = 1 << 20
_TIME_KEY = re.compile(r"seq_frame(\d+)_timestamp$")


class StackReader:
    """Cuts single pictures out of one mapped array; nothing is kept. Implements ``PictureReader``.

    Parameters
    ----------
    name : str
        File name for messages.
    frames : ndarray, shape (count, H, W) or (count, H, W, channels)
        A view of the mapped file.
    """

    def __init__(self, name: str, frames: NDArray) -> None:
        self._name = name
        self._frames: NDArray | None = frames
        self.limits = (0.0, 255.0)
        self.grey = frames.ndim == 3

    def stored(self, index: int) -> NDArray:
        """Copy the samples of one picture, little-endian."""
        if self._frames is None:
            raise SourceError(f"{self._name} is closed, open it again.")
        frame = self._frames[index]
        return np.ascontiguousarray(frame.astype(frame.dtype.newbyteorder("<")))

    def shown(self, stored: NDArray) -> NDArray[np.uint8]:
        """Convert samples to 8 bits: as they are, or from the range of the file's samples."""
        eight = stored
        if stored.dtype != np.uint8:
            low, high = self.limits
            scaled = (stored.astype(np.float64) - low) * (255.0 / max(high - low, 1e-9))
            eight = np.clip(np.rint(np.nan_to_num(scaled)), 0, 255).astype(np.uint8)
        if eight.ndim == 3:
            eight = eight[..., :3] if eight.shape[2] >= 3 else eight[..., 0]
        if eight.ndim == 3 and self.grey:
            eight = eight[..., 1]
        return np.ascontiguousarray(eight)

    def picture(self, index: int) -> Picture:
        """Return samples and pixels of one picture."""
        stored = self.stored(index)
        return Picture(self.shown(stored), (stored,))

    def close(self) -> None:
        """Release the mapped file."""
        self._frames = None


def open_stack(path: Path, uri: str | None = None, clock: Clock | None = None) -> RecordedSource:
    """Open a .mha, .mhd, .nrrd or .nhdr file.

    Raises
    ------
    UserError
        The file is damaged, cut off before its first picture, or uses something that is not supported.
    """
    header = read_stack_header(path)
    frames, stated = _mapped_frames(path, header)
    reader = StackReader(path.name, frames)
    spread = np.unique(np.linspace(0, len(frames) - 1, SAMPLE_COUNT).round().astype(int))
    stored = [reader.stored(int(i)) for i in spread]
    if header.dtype != np.dtype(np.uint8):
        reader.limits = (min(float(np.nanmin(s)) for s in stored), max(float(np.nanmax(s)) for s in stored))
    shown = [reader.shown(s) for s in stored]
    if shown[0].ndim == 3 and all(is_neutral(s) for s in shown):
        reader.grey = True
        shown = [np.ascontiguousarray(s[..., 1]) for s in shown]
    height, width = shown[0].shape[:2]
    times_ns, time_note = _times_ns(header, len(frames), stated)
    notes = [f"times: {time_note}"] if time_note.startswith("not") and len(frames) > 1 else []
    orientation = header.fields.get("ultrasoundimageorientation", header.fields.get("ultrasound image orientation", ""))
    if orientation and not orientation.upper().startswith("MF"):
        notes.append(f"orientation {orientation}: the picture is shown as stored, not turned to MF")
    ends_early = None
    if len(frames) < stated:
        ends_early = (
            f"{path.name} is cut off: only {len(frames)} of its {stated} frames are there, get a complete copy."
        )
    info = SourceInfo(
        uri=uri or str(path),
        stream=path.name,
        title=path.name.split(".")[0] or path.name,
        kind=SourceKind.FILE,
        geometry=geometry_with_guess(width, height, shown, _calibration(header), tuple(notes)),
        frame_count=len(frames),
        times_ns=times_ns,
        simulated="simulated" in header.fields.get("comment", "").lower(),
        details=_details(header, width, height, len(frames), time_note, orientation),
    )
    return RecordedSource(info, reader, ends_early, clock)


def _mapped_frames(path: Path, header: StackHeader) -> tuple[NDArray, int]:
    """Map the pixels and bring the axes into the order frames, rows, columns, colours.

    Returns
    -------
    tuple
        The frames that are wholly there, and how many the header states.
    """
    stated = header.size_of("frame")
    flat = _mapped_bytes(path, header)
    axis_last = header.roles[-1] == "frame" or stated == 1
    there = len(flat)
    if there < header.data_bytes:
        # Frames at the end are missing. Where the frame axis is not the slowest, no frame is whole.
        slowest = header.sizes[-1] if header.roles[-1] == "frame" else 1
        block = header.data_bytes // slowest
        whole = there // block if axis_last and block else 0
        if whole == 0:
            raise UserError(f"{path.name} is cut off: not one whole frame is there, get a complete copy.")
        sizes = (*header.sizes[:-1], whole) if header.roles[-1] == "frame" else header.sizes
    else:
        sizes, whole = header.sizes, stated
    count = int(np.prod(sizes, dtype=np.int64))
    samples = flat[: count * header.dtype.itemsize].view(header.dtype)
    array = samples.reshape(sizes[::-1])
    roles = header.roles[::-1]
    frame_axes = [i for i, role in enumerate(roles) if role == "frame"]
    order = [*frame_axes, roles.index("y"), roles.index("x"), *(i for i, r in enumerate(roles) if r == "colour")]
    turned = array.transpose(order)
    shape = (-1, *turned.shape[len(frame_axes) :])
    frames = turned.reshape(shape)
    return (frames[..., 0] if frames.ndim == 4 and frames.shape[-1] == 1 else frames), stated


def _mapped_bytes(path: Path, header: StackHeader) -> NDArray[np.uint8]:
    """Map the pixel data as bytes; packed data is unpacked into a temporary file piece by piece."""
    try:
        size = header.data_file.stat().st_size
        if header.packing == "raw":
            offset = header.data_offset if header.data_offset is not None else max(0, size - header.data_bytes)
            length = min(size - offset, header.data_bytes)
            if length <= 0:
                raise UserError(f"{path.name} is cut off: not one whole frame is there, get a complete copy.")
            return np.memmap(header.data_file, np.uint8, "r", offset, (length,))
        inflater = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
        # The mapping keeps the temporary file alive; the system removes it with the mapping.
        with tempfile.TemporaryFile() as plain, header.data_file.open("rb") as packed:
            packed.seek(header.data_offset or 0)
            _inflate(packed, inflater, plain, header.data_bytes)
            length = min(plain.tell(), header.data_bytes)
            if length == 0:
                raise UserError(f"{path.name} is damaged: its pixels cannot be unpacked, copy it again.")
            plain.flush()
            return np.memmap(plain, np.uint8, "r", 0, (length,))
    except PermissionError as error:
        raise UserError(f"{path.name} cannot be read: permission denied, change its permissions.") from error
    except OSError as error:
        raise UserError(f"{path.name} cannot be unpacked: {error.strerror}, make room on the disk.") from error


def _inflate(packed: BinaryIO, inflater: Any, plain: IO[bytes], limit: int) -> None:
    written = 0
    try:
        while written < limit and (chunk := packed.read(_CHUNK)):
            while chunk and written < limit:
                written += plain.write(inflater.decompress(chunk, _CHUNK))
                chunk = inflater.unconsumed_tail
    except zlib.error:
        return  # cut off or damaged: the whole frames before it are used


def _times_ns(header: StackHeader, count: int, stated: int) -> tuple[NDArray[np.int64], str]:
    nominal = np.arange(count, dtype=np.int64) * NOMINAL_INTERVAL_NS
    stamps: dict[int, int] = {}
    for key, text in header.fields.items():
        match = _TIME_KEY.match(key)
        if match:
            try:
                stamps[int(match[1])] = int((Decimal(text) * 1_000_000_000).to_integral_value())
            except (InvalidOperation, ValueError, OverflowError):
                continue
    note = "time stamps of the file"
    if all(i in stamps for i in range(count)):
        times = [stamps[i] for i in range(count)]
    elif len(stamps) == stated:
        times = [stamps[i] for i in sorted(stamps)][:count]
        note = "time stamps of the file, whose numbers have gaps"
    else:
        return nominal, "not stated, played at 25 frames/s"
    if any(b < a for a, b in zip(times, times[1:])) or max(map(abs, times)) >= 2**62:
        return nominal, "not usable, for they run backwards; played at 25 frames/s"
    return np.array(times, dtype=np.int64), note


def _calibration(header: StackHeader) -> Calibration | None:
    """Return the stated spacing; 1 x 1 is the default of writers that do not know it."""
    if header.spacing is None or header.spacing == (1.0, 1.0):
        return None
    if not all(_SANE_MM_PER_PX[0] <= v <= _SANE_MM_PER_PX[1] for v in header.spacing):
        return None
    return Calibration(header.spacing, CalibrationOrigin.FILE, f"{header.form} spacing")


def _details(
    header: StackHeader, width: int, height: int, count: int, time_note: str, orientation: str
) -> tuple[tuple[str, str], ...]:
    facts = [
        ("Format", f"{header.form}, {'packed' if header.packing == 'deflated' else 'raw'}"),
        ("Stored as", f"{header.size_of('colour')} x {8 * header.dtype.itemsize} bits"),
        ("Size", f"{width} x {height} px"),
        ("Frames", str(count)),
    ]
    if count > 1:
        facts.append(("Times", time_note))
    if orientation:
        facts.append(("Orientation", f"{orientation}, shown as stored"))
    kind = header.fields.get("ultrasoundimagetype", header.fields.get("ultrasound image type", ""))
    if kind:
        facts.append(("Image type", kind))
    invalid = sum(
        1 for key, text in header.fields.items() if key.endswith(("_imagestatus", "_status")) and text.upper() != "OK"
    )
    if invalid:
        facts.append(("Frames marked invalid", str(invalid)))
    return tuple(facts)
