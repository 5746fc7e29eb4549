"""DICOM cines we write are read back by pydicom with the same pixels, times and spacing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import UltrasoundMultiFrameImageStorage

from puncta.core.errors import UserError
from puncta.dicom.write import write_cine

TIMES = [0, 50_000_001, 98_000_000, 150_000_000]


def _frames(colour: bool = False) -> list[np.ndarray]:
    rng = np.random.default_rng(5)
    ramp = np.linspace(0, 200, 49, dtype=np.uint8)[None, :] + np.zeros((33, 1), np.uint8)
    frames = [np.clip(ramp + rng.integers(0, 40, ramp.shape), 0, 255).astype(np.uint8) for _ in TIMES]
    return [np.dstack([f, f // 2, 255 - f]) for f in frames] if colour else frames


@pytest.mark.parametrize("codec", ["jpeg-ls", "rle"])
@pytest.mark.parametrize("colour", [False, True])
def test_lossless_codecs_keep_every_pixel(tmp_path: Path, codec: str, colour: bool) -> None:
    path = tmp_path / "a.dcm"
    frames = _frames(colour)
    count = write_cine(path, iter(frames), frame_times_ns=TIMES, mm_per_px=(0.1, 0.2), region=(3, 4, 30, 20),
                       codec=codec)
    data = pydicom.dcmread(path)
    assert count == len(frames)
    assert np.array_equal(data.pixel_array, np.stack(frames))
    assert data.LossyImageCompression == "00"


def test_jpeg_is_close_and_says_that_it_is_lossy(tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    smooth = [np.tile(np.arange(64, dtype=np.uint8) * 3, (48, 1)) + k for k in range(4)]
    write_cine(path, smooth, frame_times_ns=TIMES, mm_per_px=None, region=None, codec="jpeg", quality=95)
    data = pydicom.dcmread(path)
    assert np.abs(data.pixel_array.astype(int) - np.stack(smooth)).max() <= 4
    assert data.LossyImageCompression == "01"
    assert float(data.LossyImageCompressionRatio) > 1
    assert "SequenceOfUltrasoundRegions" not in data


def test_times_regions_and_the_word_simulated_are_stored(tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    write_cine(path, _frames(), frame_times_ns=TIMES, mm_per_px=(0.1, 0.2), region=(3, 4, 30, 20), codec="rle")
    data = pydicom.dcmread(path)
    assert data.SOPClassUID == UltrasoundMultiFrameImageStorage
    assert data.FrameIncrementPointer == 0x00181065
    stored = np.cumsum([round(float(v) * 1e6) for v in data.FrameTimeVector])
    assert stored.tolist() == TIMES
    region = data.SequenceOfUltrasoundRegions[0]
    assert (region.RegionLocationMinX0, region.RegionLocationMinY0) == (3, 4)
    assert (region.RegionLocationMaxX1, region.RegionLocationMaxY1) == (32, 23)
    assert region.PhysicalUnitsXDirection == 3
    assert (region.PhysicalDeltaX, region.PhysicalDeltaY) == pytest.approx((0.01, 0.02))
    assert str(data.PatientName).startswith("SIMULATED")
    assert "not for clinical use" in data.ImageComments
    assert data.PatientBirthDate == "" and data.PatientIdentityRemoved == "YES"


def test_an_even_rate_is_stored_as_frame_time(tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    write_cine(path, _frames(), frame_times_ns=[0, 40_000_000, 80_000_000, 120_000_000], mm_per_px=None, region=None)
    data = pydicom.dcmread(path)
    assert data.FrameIncrementPointer == 0x00181063
    assert float(data.FrameTime) == 40.0
    assert data.CineRate == 25


def test_the_same_cine_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.dcm", "b.dcm"):
        write_cine(tmp_path / name, _frames(), frame_times_ns=TIMES, mm_per_px=None, region=None, codec="jpeg-ls")
    assert (tmp_path / "a.dcm").read_bytes() == (tmp_path / "b.dcm").read_bytes()


def test_a_failure_on_the_way_leaves_nothing_behind(tmp_path: Path) -> None:
    def broken():
        yield _frames()[0]
        raise RuntimeError("camera gone")

    with pytest.raises(RuntimeError):
        write_cine(tmp_path / "a.dcm", broken(), frame_times_ns=TIMES, mm_per_px=None, region=None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("frames", "times"),
    [([], []), (_frames(), TIMES[:2]), ([np.zeros((8, 8), np.uint8), np.zeros((8, 9), np.uint8)], TIMES[:2]),
     (_frames(), TIMES[::-1])],
)
def test_bad_input_is_refused_and_leaves_nothing_behind(tmp_path: Path, frames: list, times: list) -> None:
    with pytest.raises(UserError):
        write_cine(tmp_path / "a.dcm", frames, frame_times_ns=times, mm_per_px=None, region=None)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Cannot write"):
        write_cine(tmp_path / "none" / "a.dcm", _frames(), frame_times_ns=TIMES, mm_per_px=None, region=None)
