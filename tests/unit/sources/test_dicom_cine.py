"""DICOM as a source: bounded memory, regions or a guess, simulated material marked for good."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dicom_maker import make_dicom, region_item
from pydicom.sequence import Sequence

from puncta.core.errors import UserError
from puncta.core.frame import SourceKind
from puncta.dicom.read import CineFile
from puncta.dicom.write import write_cine
from puncta.sources.dicom_cine import open_dicom

FRAMES = np.random.default_rng(3).integers(0, 255, (12, 48, 64)).astype(np.uint8)
ONE_PICTURE = 2 * 48 * 64
"""Pixels and planes [bytes]."""


@pytest.mark.parametrize("syntax", ["jpeg-ls", "rle", "explicit"])
def test_frames_held_are_bounded_by_bytes(tmp_path: Path, syntax: str):
    source = open_dicom(make_dicom(tmp_path / "a.dcm", FRAMES, syntax), limit_bytes=3 * ONE_PICTURE)
    held = set()
    for frame in iter(source.read, None):
        np.testing.assert_array_equal(frame.pixels, FRAMES[frame.key.index])
        held.add(source._reader.held_frames)
    source.close()
    assert max(held) == (0 if syntax == "explicit" else 3)


def test_compressed_frames_near_the_playhead_are_not_decoded_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    source = open_dicom(make_dicom(tmp_path / "a.dcm", FRAMES, "jpeg-2000"))
    for _ in range(6):
        source.read()
    monkeypatch.setattr(CineFile, "stored", lambda *_: pytest.fail("decoded again"))
    source.seek(2)
    np.testing.assert_array_equal(source.read().pixels, FRAMES[2])
    source.close()


def test_a_stated_region_is_used_as_it_is(tmp_path: Path):
    regions = Sequence([region_item((10, 5, 59, 44))])
    source = open_dicom(make_dicom(tmp_path / "a.dcm", FRAMES, SequenceOfUltrasoundRegions=regions, FrameTime="20"))
    source.close()
    assert source.info.geometry.region.box == (10, 5, 50, 40)
    assert source.info.geometry.calibration.mm_per_px == pytest.approx((0.2, 0.2))
    assert source.info.interval_ns == 20_000_000 and source.info.kind is SourceKind.FILE


def test_without_one_it_is_looked_for_and_has_no_millimetres(tmp_path: Path):
    screen = np.zeros((4, 300, 400), np.uint8)
    screen[:, 40:260, 90:310] = np.random.default_rng(1).integers(20, 200, (4, 220, 220))
    source = open_dicom(make_dicom(tmp_path / "a.dcm", screen))
    source.close()
    region = source.info.geometry.region
    assert region.origin == "detected" and region.calibration is None
    assert np.abs(np.array(region.box) - (90, 40, 220, 220)).max() <= 6


def test_our_own_simulated_files_stay_marked(tmp_path: Path):
    path = tmp_path / "sim.dcm"
    write_cine(path, FRAMES, frame_times_ns=[i * 50_000_000 for i in range(12)], mm_per_px=(0.1, 0.1), region=None)
    source = open_dicom(path)
    source.close()
    assert source.info.simulated and source.info.frame_count == 12
    assert np.diff(source.info.times_ns).tolist() == [50_000_000] * 11


@pytest.mark.parametrize("comment", ["", "Simulation and training only, not for clinical use", "dissimulated"])
def test_recorded_files_are_not_called_simulated(tmp_path: Path, comment: str):
    source = open_dicom(make_dicom(tmp_path / "a.dcm", FRAMES, ImageComments=comment))
    source.close()
    assert not source.info.simulated


def test_uneven_times_come_from_the_vector(tmp_path: Path):
    vector = ["0", *["10"] * 6, *["35.5"] * 5]
    source = open_dicom(make_dicom(tmp_path / "a.dcm", FRAMES, FrameTimeVector=vector))
    keys = [f.key.pts_ns for f in iter(source.read, None)]
    source.close()
    assert keys[:3] == [0, 10_000_000, 20_000_000] and keys[-1] == 60_000_000 + 5 * 35_500_000


def test_a_palette_without_data_is_refused_by_name(tmp_path: Path):
    path = make_dicom(tmp_path / "a.dcm", FRAMES, PhotometricInterpretation="PALETTE COLOR")
    with pytest.raises(UserError, match=r"^a\.dcm cannot be shown: its colour palette is missing; .*\.$"):
        open_dicom(path)
