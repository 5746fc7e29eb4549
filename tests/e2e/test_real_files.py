"""Real recordings of many machines: they open, play, and agree with decoders that are not ours."""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from puncta.core.errors import SourceError, UserError
from puncta.core.frame import CalibrationOrigin
from puncta.core.geometry import box_iou
from puncta.sources.factory import open_source

FFMPEG, FFPROBE, DCM2PNM = (shutil.which(name) for name in ("ffmpeg", "ffprobe", "dcmj2pnm"))
VIDEOS = (
    "needle_inplane_video/ph_1_3_1.mp4",
    "pocus_screens/butterfly-ocular-phantom.mp4",
    "pocus_screens/clarius-ocular-short.mp4",
    "pocus_screens/sonosite-anon-eye1-video.mp4",
)
US_DICOM = 17
MALFORMED_THAT_PLAY = {
    "J2K_pixelrep_mismatch.dcm",
    "JLSL_RGB_ILV1.dcm",
    "JLSN_RGB_ILV0.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
    "SC_rgb_jls_lossy_line.dcm",
    "SC_rgb_small_odd_jpeg.dcm",
    "badVR.dcm",
    "bad_sequence.dcm",
    "emri_small_jpeg_2k_lossless_too_short.dcm",
    "image_dfl.dcm",
}
SEQUENCES = {
    "BoneUltrasound_L14.igs.mha": 21,
    "NrrdSample.igs.nrrd": 1,
    "NwirePhantomFreehand.igs.mha": 97,
    "Prostate10_video.igs.mhd": 10,
    "SegmentationTest_BKMedical_RandomStepperMotionData2_Trimmed_Anonymized.igs.mha": 6,
    "SpinePhantomFreehand.igs.mha": 21,
    "UltrasonixCurvilinearScanConvertedData.igs.mha": 5,
    "WaterTankBottomTranslationVideoBuffer.igs.mha": 201,
}
# Read off the pictures by eye, with a grid drawn over them; the last figure is how near the finder must come (IoU).
REGIONS_BY_EYE = {
    "pocus_screens/butterfly-ocular-phantom.mp4": ((78, 202, 614, 690), 0.95),
    "pocus_screens/clarius-ocular-short.mp4": ((263, 86, 757, 789), 0.95),
    "pocus_screens/sonosite-anon-eye1-video.mp4": ((386, 40, 338, 600), 0.95),
    "pocus_screens/interson-image.jpg": ((387, 60, 528, 790), 0.95),
    "plus_sequences/SpinePhantomFreehand.igs.mha": ((187, 10, 445, 590), 0.95),
    "plus_sequences/Prostate10_video.igs.mhd": ((0, 38, 640, 402), 0.7),
    "dicom_us/us/US1_UNCR.dcm": ((14, 108, 610, 228), 0.85),
    "needle_inplane_video/ph_1_3_1.mp4": ((0, 0, 1080, 860), 0.95),
}


@pytest.fixture(scope="module")
def data(shared_data: Path) -> Callable[[str], Path]:
    """Path of one recording; the test is skipped where that one is absent."""

    def find(name: str) -> Path:
        path = shared_data / name
        if not path.exists():
            pytest.skip(f"the recording {name} is absent")
        return path

    return find


def play(path: Path) -> list:
    source = open_source(str(path))
    try:
        return list(iter(source.read, None))
    finally:
        source.close()


@pytest.mark.skipif(not (FFMPEG and FFPROBE), reason="the independent decoder ffmpeg is not installed")
@pytest.mark.parametrize("name", VIDEOS)
def test_index_time_and_hash_of_every_frame_match_an_independent_decode(data, name: str):
    path = data(name)
    listed = subprocess.run(
        [FFMPEG, "-v", "error", "-i", path, "-map", "0:v:0", "-fps_mode", "passthrough", "-f", "framehash"]
        + ["-hash", "sha256", "-"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    hashes = [line.split(",")[5].strip() for line in listed.splitlines() if line and not line.startswith("#")]
    shown = subprocess.run(
        [
            FFPROBE,
            "-v",
            "error",
            "-select_streams",
            "v:0",
            "-show_entries",
            "stream=time_base:frame=pts",
            "-of",
            "csv=p=0",
        ]
        + [path],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    base = next(Fraction(t.strip(",")) for t in shown if "/" in t)
    times = [round(int(t.strip(",")) * base * 10**9) for t in shown if "/" not in t]
    ours = []
    source = open_source(str(path))
    while (frame := source.read()) is not None:
        ours.append((frame.key.index, frame.key.pts_ns, frame.digest()))
    source.close()
    assert ours == list(zip(range(len(hashes)), times, hashes, strict=True))


@pytest.mark.parametrize("name", VIDEOS[::2])
def test_random_seeks_give_the_bytes_of_plain_playing(data, name: str):
    path = data(name)
    source = open_source(str(path))
    played = {f.key.index: f.digest() for f in iter(source.read, None)}
    rng = random.Random(7)
    for _ in range(25):
        index = rng.randrange(len(played))
        source.seek(index)
        frame = source.read()
        assert (frame.key.index, frame.digest()) == (index, played[index])
    source.close()


def test_the_needle_clip_is_grey_whole_and_uncalibrated(data):
    source = open_source(str(data(VIDEOS[0])))
    frame = source.read()
    source.close()
    assert source.info.frame_count == 448 and frame.pixels.shape == (860, 1080)
    assert source.info.geometry.region.origin == "whole picture" and source.info.geometry.calibration is None


def test_every_ultrasound_dicom_opens_and_plays(data):
    files = sorted(data("dicom_us/us").glob("*.dcm"))
    assert len(files) == US_DICOM
    for path in files:
        frames = play(path)
        assert frames and all(f.pixels.std() > 1 for f in frames), f"{path.name} shows nothing"


def test_malformed_files_play_or_are_refused_by_one_sentence(data):
    files = sorted(data("dicom_us/malformed").glob("*.dcm"))
    assert len(files) >= 23
    played = set()
    for path in files:
        try:
            if play(path):
                played.add(path.name)
        except UserError as error:
            text = str(error)
            assert text.startswith(path.name) and text.endswith(".") and "\n" not in text
    assert played == MALFORMED_THAT_PLAY


@pytest.mark.parametrize("name", sorted(SEQUENCES))
def test_every_tracked_sequence_opens_and_plays(data, name: str):
    path = data(f"plus_sequences/{name}")
    frames = play(path)
    assert len(frames) == SEQUENCES[name]
    assert any(f.pixels.max() > 50 for f in frames)


def test_sequence_times_are_those_of_the_header(data):
    path = data("plus_sequences/BoneUltrasound_L14.igs.mha")
    text = path.read_bytes().split(b"ElementDataFile")[0].decode("latin-1")
    stamps = [line.split("=")[1].strip() for line in text.splitlines() if "_Timestamp =" in line]
    frames = play(path)
    assert [f.key.pts_ns for f in frames] == [round(Fraction(s) * 10**9) for s in stamps]


def test_sequences_have_millimetres_only_where_a_spacing_is_stated(data):
    for name in SEQUENCES:
        source = open_source(str(data(f"plus_sequences/{name}")))
        calibration = source.info.geometry.calibration
        source.close()
        assert (calibration is not None) == name.startswith("Prostate10"), name
    assert calibration is None or calibration.origin is CalibrationOrigin.FILE


@pytest.mark.skipif(DCM2PNM is None, reason="the independent decoder DCMTK is not installed")
@pytest.mark.parametrize(
    "name",
    [
        "OBXXXX1A.dcm",
        "OBXXXX1A_2frame.dcm",
        "OBXXXX1A_expb_2frame.dcm",
        "OBXXXX1A_rle_2frame.dcm",
        "examples_palette.dcm",
        "examples_rgb_color.dcm",
        "examples_ybr_color.dcm",
        "ExplVR_BigEnd.dcm",
        "US1_UNCR.dcm",
        "color-pl.dcm",
        "color-px.dcm",
    ],
)
def test_pictures_match_an_independent_decoder(data, tmp_path: Path, name: str):
    path = data(f"dicom_us/us/{name}")
    command = [DCM2PNM, "--all-frames", "--write-raw-pnm", str(path), str(tmp_path / "f")]
    subprocess.run(command, check=True, capture_output=True)
    written = sorted(tmp_path.glob("f*.p?m"), key=lambda p: [int(n) for n in p.stem.split(".")[1:]])
    frames = play(path)
    assert len(written) == len(frames)
    for file, frame in zip(written, frames, strict=True):
        theirs = cv2.imread(str(file), cv2.IMREAD_COLOR_RGB).astype(int)
        ours = frame.pixels if frame.pixels.ndim == 3 else np.repeat(frame.pixels[..., None], 3, axis=2)
        assert np.abs(ours.astype(int) - theirs).max() <= 1


def test_the_big_endian_palette_file_holds_a_picture(data):
    """It looked black to a quick decoder: its palette words are big-endian. Its twin in little-endian is the same."""
    big = play(data("dicom_us/us/OBXXXX1A_expb_2frame.dcm"))
    little = play(data("dicom_us/us/OBXXXX1A_2frame.dcm"))
    assert len(big) == 2 and all(f.pixels.max() == 255 and (f.pixels > 30).mean() > 0.03 for f in big)
    for a, b in zip(big, little, strict=True):
        np.testing.assert_array_equal(a.pixels, b.pixels)
        assert a.digest() == b.digest()


def test_a_region_stated_for_another_picture_gives_no_millimetres(data):
    """Its region reaches to column 595 of a picture of 320: lengths would be wrong by a factor of two."""
    source = open_source(str(data("dicom_us/us/examples_ybr_color.dcm")))
    frame = source.read()
    source.close()
    geometry = source.info.geometry
    assert geometry.calibration is None and all(r.calibration is None for r in geometry.regions)
    assert any("outside the 320 x 240 picture" in note for note in geometry.notes)
    assert source.info.frame_count == 30 and np.diff(source.info.times_ns).tolist() == [33_333_000] * 29
    assert frame.pixels.shape == (240, 320, 3)


def test_stated_regions_come_with_their_millimetres(data):
    source = open_source(str(data("dicom_us/us/gdcm-US-ALOKA-16.dcm")))
    source.close()
    first, second = source.info.geometry.regions
    assert (first.box, second.box) == ((32, 24, 304, 392), (336, 24, 304, 392))
    assert first.calibration.mm_per_px == pytest.approx((0.3826530650, 0.3826530650))
    assert first.calibration.origin is CalibrationOrigin.REGION


def test_the_two_byte_orders_of_a_segmented_palette_agree(data):
    (little,) = play(data("dicom_us/us/gdcm-US-ALOKA-16.dcm"))
    (big,) = play(data("dicom_us/us/gdcm-US-ALOKA-16_big.dcm"))
    np.testing.assert_array_equal(little.pixels, big.pixels)
    assert little.pixels.std() > 20


@pytest.mark.parametrize("name", ["sonoque_anechoic-3mm-3mm.dcm", "sonoque_axial-lateral-resolution-2020.dcm"])
def test_wrong_colour_tag_and_invalid_character_set(data, name: str):
    """The header says RGB, the stream says luma and chroma: taken by its word the whole picture would be tinted."""
    source = open_source(str(data(f"pocus_screens/{name}")))
    pixels = source.read().pixels.astype(int)
    source.close()
    tissue = pixels[500:1300, 500:1600].reshape(-1, 3)
    assert np.abs(tissue - tissue[:, 1:2]).mean() < 3
    assert source.info.geometry.calibration.mm_per_px == pytest.approx((0.0291, 0.0291))


@pytest.mark.parametrize("name", sorted(REGIONS_BY_EYE))
def test_the_ultrasound_picture_is_found_in_real_screens(data, name: str):
    box, reach = REGIONS_BY_EYE[name]
    source = open_source(str(data(name)))
    source.close()
    found = source.info.geometry.region
    assert box_iou(found.box, box) >= reach, found


@pytest.mark.parametrize("name", VIDEOS[:2])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.97])
def test_cut_off_real_videos_play_what_is_there_or_are_refused(data, tmp_path: Path, name: str, share: float):
    whole = data(name)
    path = tmp_path / "cut.mp4"
    with whole.open("rb") as file:
        path.write_bytes(file.read(int(whole.stat().st_size * share)))
    try:
        source = open_source(str(path))
    except UserError as error:
        assert str(error).startswith("cut.mp4 is not a video")
        return
    count = 0
    with pytest.raises(SourceError, match=r"^cut\.mp4 .*\.$"):
        while source.read() is not None:
            count += 1
    source.close()
    assert count > 0


def test_nothing_about_a_person_is_told(data):
    words = ("ANON", "Anon", "Patient", "WESTWAY", "Westway", "BAPTIST", "CompressedSamples")
    for path in sorted(data("dicom_us/us").glob("*.dcm")):
        source = open_source(str(path))
        source.close()
        told = repr(source.info.details) + repr(source.info.geometry)
        assert not any(word in told for word in words), path.name
