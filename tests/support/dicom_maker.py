"""Small DICOM files of every coding, made from given arrays with encoders that the reader does not use."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openjpeg
from numpy.typing import NDArray
from PIL import Image
from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
    UltrasoundMultiFrameImageStorage,
)

SYNTAXES = {
    "implicit": ImplicitVRLittleEndian,
    "explicit": ExplicitVRLittleEndian,
    "big-endian": ExplicitVRBigEndian,
    "deflated": DeflatedExplicitVRLittleEndian,
    "rle": RLELossless,
    "jpeg-ls": JPEGLSLossless,
    "jpeg-2000": JPEG2000Lossless,
    "jpeg": JPEGBaseline8Bit,
}


def blank(frames: NDArray, syntax: str, **fields: Any) -> Dataset:
    """Return a data set that describes frames, shape (n, H, W) or (n, H, W, 3), without their pixels."""
    d = Dataset()
    d.file_meta = FileMetaDataset()
    d.file_meta.TransferSyntaxUID = SYNTAXES[syntax]
    d.file_meta.MediaStorageSOPClassUID = UltrasoundMultiFrameImageStorage
    d.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    d.SOPClassUID, d.SOPInstanceUID = UltrasoundMultiFrameImageStorage, "1.2.3.4"
    d.Modality = "US"
    d.PatientName, d.PatientID = "Secret^Person", "SECRET-ID"
    d.Rows, d.Columns = frames.shape[1:3]
    d.SamplesPerPixel = 3 if frames.ndim == 4 else 1
    d.PhotometricInterpretation = "RGB" if frames.ndim == 4 else "MONOCHROME2"
    if frames.ndim == 4:
        d.PlanarConfiguration = 0
    bits = 8 * frames.dtype.itemsize
    d.BitsAllocated = d.BitsStored = bits
    d.HighBit = bits - 1
    d.PixelRepresentation = 1 if frames.dtype.kind == "i" else 0
    d.NumberOfFrames = len(frames)
    for key, value in fields.items():
        setattr(d, key, value)
    return d


def make_dicom(
    path: Path,
    frames: NDArray,
    syntax: str = "explicit",
    *,
    fragments: int = 1,
    offset_table: bool = True,
    **fields: Any,
) -> Path:
    """Write frames in one of ``SYNTAXES``; ``fragments`` splits each compressed frame."""
    d = blank(frames, syntax, **fields)
    if syntax in ("implicit", "explicit", "big-endian", "deflated"):
        put_native(d, frames, big_endian=syntax == "big-endian")
    else:
        put_encoded(d, [encode_frame(f, syntax) for f in frames], fragments, offset_table)
    return write(d, path, syntax)


def put_native(d: Dataset, frames: NDArray, *, big_endian: bool = False) -> None:
    """Put uncompressed pixels into a data set; 8-bit ones as 16-bit words in big-endian, as old machines do."""
    data = frames.astype(frames.dtype.newbyteorder(">" if big_endian else "<")).tobytes()
    data += b"\0" * (len(data) % 2)
    if big_endian and frames.dtype.itemsize == 1:
        data = np.frombuffer(data, "<u2").astype(">u2").tobytes()
    d.PixelData = data
    d["PixelData"].VR = "OW"


def put_encoded(d: Dataset, streams: Sequence[bytes], fragments: int = 1, offset_table: bool = True) -> None:
    """Put compressed frames into a data set."""
    d.PixelData = encapsulate(list(streams), fragments_per_frame=fragments, has_bot=offset_table)
    d["PixelData"].VR = "OB"
    d["PixelData"].is_undefined_length = True


def write(d: Dataset, path: Path, syntax: str) -> Path:
    """Write a data set with a preamble."""
    d.preamble = b"\0" * 128
    implicit, little = syntax == "implicit", syntax != "big-endian"
    dcmwrite(path, d, implicit_vr=implicit, little_endian=little, enforce_file_format=False)
    return path


def encode_frame(frame: NDArray, syntax: str) -> bytes:
    """Compress one frame."""
    if syntax == "rle":
        return _rle(frame)
    if syntax == "jpeg-ls":
        import jpeg_ls

        return bytes(jpeg_ls.encode_array(np.ascontiguousarray(frame), 0, 2 if frame.ndim == 3 else 0))
    if syntax == "jpeg-2000":
        return bytes(openjpeg.utils.encode_array(frame, photometric_interpretation=1 if frame.ndim == 3 else 2))
    out = io.BytesIO()
    Image.fromarray(frame).save(out, "JPEG", quality=95)
    return out.getvalue()


def _rle(frame: NDArray) -> bytes:
    """Encode with literal runs only: PS3.5 annex G, the most significant byte of each sample first."""
    planes = [frame] if frame.ndim == 2 else [frame[..., i] for i in range(3)]
    segments = []
    for plane in planes:
        raw = plane.astype(plane.dtype.newbyteorder(">")).tobytes()
        for byte in range(plane.dtype.itemsize):
            line = raw[byte :: plane.dtype.itemsize]
            runs = [line[i : i + 128] for i in range(0, len(line), 128)]
            data = b"".join(bytes([len(run) - 1]) + run for run in runs)
            segments.append(data + b"\0" * (len(data) % 2))
    offsets, at = [], 64
    for segment in segments:
        offsets.append(at)
        at += len(segment)
    header = struct.pack("<16L", len(segments), *offsets, *[0] * (15 - len(offsets)))
    return header + b"".join(segments)


def region_item(
    box: tuple[int, int, int, int],
    *,
    delta_cm: tuple[float, float] = (0.02, 0.02),
    units: tuple[int, int] = (3, 3),
    form: int = 1,
    data: int = 1,
) -> Dataset:
    """Return one item of the Sequence of Ultrasound Regions; ``box`` is [x0, y0, x1, y1]."""
    item = Dataset()
    item.RegionSpatialFormat, item.RegionDataType, item.RegionFlags = form, data, 0
    item.RegionLocationMinX0, item.RegionLocationMinY0 = box[:2]
    item.RegionLocationMaxX1, item.RegionLocationMaxY1 = box[2:]
    item.PhysicalUnitsXDirection, item.PhysicalUnitsYDirection = units
    item.PhysicalDeltaX, item.PhysicalDeltaY = delta_cm
    return item
