"""Write a cine as an Ultrasound Multi-frame Image, for simulated and training pictures: it carries no patient data.

Attributes follow DICOM PS3.3 A.7 (US Multi-frame Image IOD) with C.8.5.5 (US Region Calibration) and C.7.6.5 (Cine).
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels import get_encoder
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import (
    UID,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
    UltrasoundMultiFrameImageStorage,
    generate_uid,
)

from puncta import __version__
from puncta.core.errors import UserError
from puncta.formats.atomic import AtomicFile

Codec = Literal["jpeg", "jpeg-ls", "rle"]
SIMULATED_COMMENT = "Simulated ultrasound. Simulation and training only, not for clinical use."
RECORDED_COMMENT = "Recorded in simulation and training. Simulation and training only, not for clinical use."
_SYNTAX = {"jpeg": JPEGBaseline8Bit, "jpeg-ls": JPEGLSLossless, "rle": RLELossless}
_VECTOR_LIMIT = 60_000
"""A Frame Time Vector of more characters does not fit the two-byte length of its value representation."""


@dataclass(frozen=True, slots=True)
class Labels:
    """What a file says about itself; each of them says that it is of simulation or training.

    Attributes
    ----------
    patient, study_id, study : str
        Stand where a clinic's file names a patient and a study.
    identity_removed : bool
        No name can stand in the pictures.
    how : str
        Why, in a few words.
    """

    patient: str
    study_id: str
    study: str
    comment: str
    identity_removed: bool
    how: str


SIMULATED = Labels(
    "SIMULATED", "SIM", "Simulated ultrasound, training only", SIMULATED_COMMENT, True,
    "Simulated, never held patient data",
)  # fmt: skip
RECORDED_REGION = Labels(
    "TRAINING", "TRAIN", "Ultrasound in training, not for clinical use", RECORDED_COMMENT, True,
    "Ultrasound region alone was recorded",
)  # fmt: skip
RECORDED_WHOLE = Labels(
    "TRAINING", "TRAIN", "Ultrasound in training, not for clinical use", RECORDED_COMMENT, False,
    "None: whole screen was recorded",
)  # fmt: skip


def write_cine(
    path: Path,
    frames: Iterable[NDArray[np.uint8]],
    *,
    frame_times_ns: Sequence[int] | NDArray[np.int64],
    mm_per_px: tuple[float, float] | None,
    region: tuple[int, int, int, int] | None,
    codec: Codec = "jpeg",
    quality: int = 90,
    title: str = "Simulated cine",
    model_name: str = "Puncta simulator",
    labels: Labels = SIMULATED,
) -> int:
    """Write frames as they come; only their encoded form is held. The same input gives the same bytes.

    Parameters
    ----------
    path : Path
        Target; it is replaced only by a whole file.
    frames : iterable of ndarray of uint8, shape (H, W) or (H, W, 3)
        Grey or RGB, all of one shape.
    frame_times_ns : sequence of int
        Presentation time of each frame [ns]; read after the frames, so it may grow while they are made.
    mm_per_px : (x, y) [mm/px] or None
        None writes no calibrated region.
    region : [x0, y0, w, h] [px] or None
        Ultrasound region; None is the whole picture.
    codec : {"jpeg", "jpeg-ls", "rle"}
        JPEG baseline is lossy, the other two keep every pixel.
    quality : int
        JPEG quality 1..95.
    labels : Labels
        What the file says about itself.

    Returns
    -------
    int
        Number of frames written.

    Raises
    ------
    UserError
        No frames, frames of different shapes, times that do not match, or a file that cannot be written.
    """
    if codec not in _SYNTAX:
        raise UserError(f"{codec} is not a codec for a DICOM cine; choose one of {', '.join(_SYNTAX)}.")
    path = Path(path)
    with AtomicFile(path, binary=True) as file:  # opened first: a folder that cannot be written is refused at once
        encoded: list[bytes] = []
        digest = hashlib.sha256()
        shape: tuple[int, ...] = ()
        for frame in frames:
            if shape and frame.shape != shape:
                raise UserError("The frames of a cine must all have the same size.")
            shape = frame.shape
            encoded.append(_encode(frame, codec, quality))
            digest.update(encoded[-1])
        if not encoded:
            raise UserError("A cine needs at least one frame.")
        times = [int(t) for t in frame_times_ns]
        if len(times) != len(encoded):
            raise UserError(f"A cine of {len(encoded)} frames needs as many times, not {len(times)}.")
        digest.update(repr((times, mm_per_px, region, title)).encode())
        dataset = _dataset(digest.digest(), shape, codec, title, model_name, labels)
        _set_times(dataset, times)
        if mm_per_px is not None:
            dataset.SequenceOfUltrasoundRegions = DicomSequence([_region(mm_per_px, region, shape)])
        if codec == "jpeg":
            dataset.LossyImageCompression = "01"
            dataset.LossyImageCompressionMethod = "ISO_10918_1"
            raw = int(np.prod(shape)) * len(encoded)
            dataset.LossyImageCompressionRatio = f"{raw / sum(map(len, encoded)):.2f}"
        else:
            dataset.LossyImageCompression = "00"
        dataset.PixelData = encapsulate(encoded, has_bot=sum(map(len, encoded)) < 2**31)
        dataset["PixelData"].is_undefined_length = True
        encoded.clear()
        buffer = io.BytesIO()
        dataset.save_as(buffer, enforce_file_format=True)
        file.write(buffer.getvalue())
    return len(times)


def _encode(frame: NDArray[np.uint8], codec: Codec, quality: int) -> bytes:
    frame = np.ascontiguousarray(frame)
    if codec == "jpeg":
        out = io.BytesIO()
        Image.fromarray(frame).save(out, "JPEG", quality=quality, subsampling=1)
        return out.getvalue()
    options = {
        "rows": frame.shape[0],
        "columns": frame.shape[1],
        "samples_per_pixel": 1 if frame.ndim == 2 else 3,
        "bits_allocated": 8,
        "bits_stored": 8,
        "pixel_representation": 0,
        "number_of_frames": 1,
        "photometric_interpretation": "MONOCHROME2" if frame.ndim == 2 else "RGB",
    }
    if frame.ndim == 3:
        options["planar_configuration"] = 0
    return get_encoder(_SYNTAX[codec]).encode(frame, index=None, **options)


def _dataset(
    entropy: bytes, shape: tuple[int, ...], codec: Codec, title: str, model_name: str, labels: Labels
) -> FileDataset:
    """Everything but times, regions and pixels. Identifiers follow from the content, so that files repeat."""

    def uid(what: str) -> UID:
        return generate_uid(prefix="2.25.", entropy_srcs=[entropy.hex(), what])

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UltrasoundMultiFrameImageStorage
    meta.MediaStorageSOPInstanceUID = uid("instance")
    meta.TransferSyntaxUID = _SYNTAX[codec]
    d = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    d.SpecificCharacterSet = "ISO_IR 192"
    d.ImageType = ["DERIVED", "PRIMARY", "SMALL PARTS", "0001"]
    d.SOPClassUID, d.SOPInstanceUID = UltrasoundMultiFrameImageStorage, meta.MediaStorageSOPInstanceUID
    d.StudyInstanceUID, d.SeriesInstanceUID = uid("study"), uid("series")
    d.StudyDate = d.StudyTime = d.AccessionNumber = d.ReferringPhysicianName = ""
    d.StudyID, d.SeriesNumber, d.InstanceNumber = labels.study_id, 1, 1
    d.PatientOrientation = d.Laterality = ""
    d.Modality = "US"
    d.Manufacturer, d.ManufacturerModelName = "Puncta", model_name[:64]
    d.SoftwareVersions = __version__
    d.StudyDescription = labels.study
    d.SeriesDescription = title[:64]
    d.PatientName, d.PatientID = f"{labels.patient}^PUNCTA", labels.patient
    d.PatientBirthDate = d.PatientSex = ""
    d.PatientIdentityRemoved = "YES" if labels.identity_removed else "NO"
    d.DeidentificationMethod = labels.how
    d.QualityControlImage = "YES"
    d.BurnedInAnnotation = "NO" if labels.identity_removed else "YES"
    d.ImageComments = labels.comment
    d.Rows, d.Columns = shape[0], shape[1]
    d.SamplesPerPixel = 1 if len(shape) == 2 else 3
    if len(shape) == 2:
        d.PhotometricInterpretation = "MONOCHROME2"
    else:
        d.PhotometricInterpretation = "YBR_FULL_422" if codec == "jpeg" else "RGB"
        d.PlanarConfiguration = 0
    d.BitsAllocated = d.BitsStored = 8
    d.HighBit, d.PixelRepresentation = 7, 0
    d.UltrasoundColorDataPresent = 0
    return d


def _set_times(d: Dataset, times_ns: list[int]) -> None:
    """Store times to the nanosecond: Frame Time where all steps are equal, else Frame Time Vector (both [ms])."""
    steps = np.diff(np.asarray(times_ns, np.int64))
    if len(steps) and steps.min() < 0:
        raise UserError("The times of a cine must not run backwards.")
    d.NumberOfFrames = len(times_ns)
    mean_ms = float(steps.mean()) / 1e6 if len(steps) else 40.0
    if len(steps) == 0 or int(steps.max()) == int(steps.min()):
        d.FrameTime = f"{mean_ms:.6f}".rstrip("0").rstrip(".")
        d.FrameIncrementPointer = 0x00181063
    else:
        vector = ["0"] + [f"{step / 1e6:.6f}".rstrip("0").rstrip(".") for step in steps.tolist()]
        if sum(map(len, vector)) + len(vector) > _VECTOR_LIMIT:
            raise UserError("This cine has too many frames at an uneven rate for one DICOM file; write fewer frames.")
        d.FrameTimeVector = vector
        d.FrameIncrementPointer = 0x00181065
    if mean_ms > 0:
        d.CineRate = d.RecommendedDisplayFrameRate = max(1, round(1000.0 / mean_ms))


def _region(
    mm_per_px: tuple[float, float], region: tuple[int, int, int, int] | None, shape: tuple[int, ...]
) -> Dataset:
    """One item of the Sequence of Ultrasound Regions: 2-D tissue, centimetres (PS3.3 C.8.5.5)."""
    x0, y0, w, h = region or (0, 0, shape[1], shape[0])
    item = Dataset()
    item.RegionSpatialFormat, item.RegionDataType, item.RegionFlags = 1, 1, 0
    item.RegionLocationMinX0, item.RegionLocationMinY0 = x0, y0
    item.RegionLocationMaxX1, item.RegionLocationMaxY1 = x0 + w - 1, y0 + h - 1
    item.ReferencePixelX0, item.ReferencePixelY0 = w // 2, 0
    item.PhysicalUnitsXDirection = item.PhysicalUnitsYDirection = 3
    item.ReferencePixelPhysicalValueX = item.ReferencePixelPhysicalValueY = 0.0
    item.PhysicalDeltaX, item.PhysicalDeltaY = mm_per_px[0] / 10.0, mm_per_px[1] / 10.0
    return item
