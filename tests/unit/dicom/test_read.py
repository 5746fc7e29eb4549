"""DICOM images: every coding gives back the picture that went in, one frame at a time."""

from __future__ import annotations

import io
import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_maker import blank, encode_frame, make_dicom, put_encoded, put_native, write
from PIL import Image

from puncta.core.errors import SourceError, UserError
from puncta.dicom.read import open_cine
from puncta.dicom.read_codecs import read_jpeg_head
from puncta.sources.dicom_cine import open_dicom

DCMCJPEG = shutil.which("dcmcjpeg")
needs_dcmtk = pytest.mark.skipif(DCMCJPEG is None, reason="DCMTK, which encodes lossless JPEG, is not installed")
LOSSLESS = ("implicit", "explicit", "big-endian", "deflated", "rle", "jpeg-ls", "jpeg-2000")


def pictures(
    count: int, *, colour: bool = False, dtype: type = np.uint8, size: tuple[int, int] = (37, 53)
) -> np.ndarray:
    """Pictures of speckle over a ramp, each different."""
    rng = np.random.default_rng(4)
    shape = (count, *size, 3) if colour else (count, *size)
    info = np.iinfo(dtype)
    low, high = max(info.min, -1500), min(info.max, 4000)
    ramp = np.linspace(low, high, size[1]).astype(np.int64)
    ramp = ramp[None, None, :, None] if colour else ramp[None, None]
    return np.clip(ramp + rng.integers(-60, 60, shape), info.min, info.max).astype(dtype)


@pytest.mark.parametrize("syntax", LOSSLESS)
@pytest.mark.parametrize(("colour", "dtype"), [(False, np.uint8), (True, np.uint8), (False, np.uint16)])
def test_lossless_codings_give_the_stored_values_back(tmp_path: Path, syntax: str, colour: bool, dtype: type):
    frames = pictures(4, colour=colour, dtype=dtype)
    cine = open_cine(make_dicom(tmp_path / "a.dcm", frames, syntax))
    for index in (2, 0, 3, 1):
        stored = cine.stored(index).samples
        assert stored.dtype == dtype
        np.testing.assert_array_equal(stored, frames[index])
    cine.close()


@pytest.mark.parametrize("syntax", ["explicit", "big-endian", "rle", "jpeg-ls", "jpeg-2000"])
def test_signed_values_keep_their_sign(tmp_path: Path, syntax: str):
    frames = pictures(2, dtype=np.int16)
    assert frames.min() < 0
    coded = frames.view(np.uint16) if syntax == "jpeg-ls" else frames
    d = blank(frames, syntax)
    if syntax in ("explicit", "big-endian"):
        put_native(d, frames, big_endian=syntax == "big-endian")
    else:
        put_encoded(d, [encode_frame(f, syntax) for f in coded])
    cine = open_cine(write(d, tmp_path / "a.dcm", syntax))
    np.testing.assert_array_equal(cine.stored(1).samples, frames[1])
    cine.close()


@pytest.mark.parametrize("colour", [False, True])
def test_jpeg_gives_the_picture_back_within_its_loss(tmp_path: Path, colour: bool):
    smooth = np.add.outer(np.arange(40), np.arange(64)).astype(np.uint8)
    frames = np.stack([smooth, smooth[::-1]])
    if colour:
        frames = np.stack([frames, frames // 2, 255 - frames], axis=-1)
    path = make_dicom(
        tmp_path / "a.dcm", frames, "jpeg", PhotometricInterpretation="YBR_FULL_422" if colour else "MONOCHROME2"
    )
    source = open_dicom(path)
    shown = source.read().pixels
    source.close()
    assert shown.shape == frames[0].shape
    assert np.abs(shown.astype(int) - frames[0].astype(int)).mean() < 4


def test_a_jpeg_that_says_ybr_itself_overrules_the_header(tmp_path: Path):
    """As some handheld machines write: photometric RGB over a JFIF stream, which holds luma and chroma."""
    red = np.zeros((1, 32, 32, 3), np.uint8)
    red[..., 0] = 200
    path = make_dicom(tmp_path / "a.dcm", red, "jpeg", PhotometricInterpretation="RGB")
    source = open_dicom(path)
    frame = source.read()
    source.close()
    assert np.abs(frame.pixels.reshape(-1, 3).astype(int) - [200, 0, 0]).max() <= 4
    assert abs(int(frame.planes[0][0, 0, 0]) - 60) <= 3, "planes hold luma and chroma as coded"


def test_a_jpeg_without_markers_follows_the_header(tmp_path: Path):
    frames = np.zeros((1, 32, 32, 3), np.uint8)
    frames[..., 0] = 200
    out = io.BytesIO()
    Image.fromarray(frames[0]).save(out, "JPEG", quality=95, subsampling=0)
    stream = out.getvalue()
    at = stream.index(b"\xff\xe0")
    bare = stream[:at] + stream[at + 2 + struct.unpack(">H", stream[at + 2 : at + 4])[0] :]
    head = read_jpeg_head(bare)
    assert not head.jfif and not head.subsampled
    d = blank(frames, "jpeg", PhotometricInterpretation="RGB")
    put_encoded(d, [bare])
    source = open_dicom(write(d, tmp_path / "a.dcm", "jpeg"))
    pixels = source.read().pixels
    source.close()
    assert abs(int(pixels[0, 0, 0]) - 60) <= 3, "the samples are taken as red, green and blue, as the header says"


@needs_dcmtk
@pytest.mark.parametrize("option", ["+e1", "+el"])
@pytest.mark.parametrize(
    ("colour", "dtype"), [(False, np.uint8), (True, np.uint8), (False, np.uint16), (False, np.int16)]
)
def test_lossless_jpeg_gives_the_stored_values_back(tmp_path: Path, option: str, colour: bool, dtype: type):
    frames = pictures(3, colour=colour, dtype=dtype)
    frames[1, 0, 0] = 0  # the difference 32768 at 16 bits
    plain = make_dicom(tmp_path / "plain.dcm", frames, "explicit")
    packed = tmp_path / "packed.dcm"
    subprocess.run([DCMCJPEG, option, "-cs", str(plain), str(packed)], check=False, capture_output=True)
    if not packed.is_file():
        subprocess.run([DCMCJPEG, option, str(plain), str(packed)], check=True, capture_output=True)
    cine = open_cine(packed)
    assert cine.table.encapsulated
    for index in (1, 2, 0):
        np.testing.assert_array_equal(cine.stored(index).samples, frames[index])
    cine.close()


@pytest.mark.parametrize("planar", [0, 1])
@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL"])
def test_colour_layouts_show_the_same_picture(tmp_path: Path, planar: int, photometric: str):
    frames = pictures(2, colour=True)
    stored = np.moveaxis(frames, -1, 1) if planar else frames
    d = blank(frames, "explicit", PlanarConfiguration=planar, PhotometricInterpretation=photometric)
    put_native(d, np.ascontiguousarray(stored))
    source = open_dicom(write(d, tmp_path / "a.dcm", "explicit"))
    frame = source.read()
    source.close()
    np.testing.assert_array_equal(frame.planes[0], frames[0])
    expected = frames[0] if photometric == "RGB" else pydicom.pixels.convert_color_space(frames[0], "YBR_FULL", "RGB")
    assert np.abs(frame.pixels.astype(int) - expected.astype(int)).max() <= 1


def test_uncompressed_422_is_doubled_along_rows(tmp_path: Path):
    d = blank(np.zeros((1, 2, 4, 3), np.uint8), "explicit", PhotometricInterpretation="YBR_FULL_422")
    pairs = np.array([[10, 20, 128, 128, 30, 40, 90, 200], [50, 60, 128, 128, 70, 80, 128, 128]], np.uint8)
    d.PixelData = pairs.tobytes()
    d["PixelData"].VR = "OB"
    cine = open_cine(write(d, tmp_path / "a.dcm", "explicit"))
    samples = cine.stored(0).samples
    cine.close()
    assert samples[0, :, 0].tolist() == [10, 20, 30, 40]
    assert samples[0, 2].tolist() == [30, 90, 200] and samples[0, 3].tolist() == [40, 90, 200]


@pytest.mark.parametrize("syntax", ["rle", "jpeg-ls", "jpeg-2000"])
@pytest.mark.parametrize(("fragments", "offset_table"), [(1, True), (1, False), (3, True)])
def test_fragments_are_assigned_to_their_frames(tmp_path: Path, syntax: str, fragments: int, offset_table: bool):
    frames = pictures(5)
    path = make_dicom(tmp_path / "a.dcm", frames, syntax, fragments=fragments, offset_table=offset_table)
    cine = open_cine(path)
    assert cine.frame_count == 5
    for index in (4, 0, 2):
        np.testing.assert_array_equal(cine.stored(index).samples, frames[index])
    cine.close()


def test_split_frames_without_any_table_are_told_by_their_start_markers(tmp_path: Path):
    frames = pictures(4)
    path = make_dicom(tmp_path / "a.dcm", frames, "jpeg-2000", fragments=3, offset_table=False)
    cine = open_cine(path)
    for index in range(4):
        np.testing.assert_array_equal(cine.stored(index).samples, frames[index])
    cine.close()


def test_an_extended_offset_table_is_used(tmp_path: Path):
    frames = pictures(3)
    streams = [encode_frame(f, "jpeg-ls") for f in frames]
    d = blank(frames, "jpeg-ls")
    d.PixelData, d.ExtendedOffsetTable, d.ExtendedOffsetTableLengths = pydicom.encaps.encapsulate_extended(streams)
    d["PixelData"].VR = "OB"
    d["PixelData"].is_undefined_length = True
    cine = open_cine(write(d, tmp_path / "a.dcm", "jpeg-ls"))
    np.testing.assert_array_equal(cine.stored(2).samples, frames[2])
    cine.close()


def test_the_stream_tells_its_codec_even_under_a_wrong_transfer_syntax(tmp_path: Path):
    frames = pictures(2)
    d = blank(frames, "jpeg")
    put_encoded(d, [encode_frame(f, "jpeg-ls") for f in frames])
    cine = open_cine(write(d, tmp_path / "a.dcm", "jpeg"))
    np.testing.assert_array_equal(cine.stored(1).samples, frames[1])
    cine.close()


def test_only_the_frame_asked_for_is_read(tmp_path: Path):
    frames = pictures(40, size=(64, 64))
    cine = open_cine(make_dicom(tmp_path / "a.dcm", frames, "explicit"))
    seen: list[int] = []
    stream = cine._stream

    class Counting:
        def seek(self, *args: int) -> int:
            return stream.seek(*args)

        def read(self, size: int = -1) -> bytes:
            seen.append(size)
            return stream.read(size)

        def close(self) -> None:
            stream.close()

    cine._stream = Counting()  # type: ignore[assignment]
    cine.stored(17)
    cine.close()
    assert seen == [64 * 64]


@pytest.mark.parametrize("syntax", ["explicit", "big-endian", "rle", "jpeg-ls", "jpeg-2000", "deflated", "jpeg"])
@pytest.mark.parametrize("share", [0.95, 0.6, 0.3])
def test_a_truncated_file_plays_whole_frames_or_is_refused(tmp_path: Path, syntax: str, share: float):
    frames = pictures(6, size=(64, 64))
    whole = make_dicom(tmp_path / "whole.dcm", frames, syntax)
    path = tmp_path / "cut.dcm"
    path.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * share)])
    try:
        source = open_dicom(path)
    except UserError as error:
        assert str(error).startswith("cut.dcm") and str(error).endswith(".")
        return
    count = 0
    with pytest.raises(SourceError, match=r"^cut\.dcm .*\.$"):
        while (frame := source.read()) is not None:
            if syntax != "jpeg":
                np.testing.assert_array_equal(frame.planes[0], frames[count])
            count += 1
    source.close()
    assert 1 <= count < 6


@pytest.mark.parametrize("size", [1, 100, 132, 140, 200, 300, 420])
def test_a_file_cut_inside_its_header_is_refused(tmp_path: Path, size: int):
    whole = make_dicom(tmp_path / "whole.dcm", pictures(2), "explicit")
    path = tmp_path / "cut.dcm"
    path.write_bytes(whole.read_bytes()[:size])
    with pytest.raises(UserError, match=r"^cut\.dcm .*\.$"):
        open_dicom(path)


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"Rows": 0}, "53 x 0 pixels"),
        ({"Columns": 65535}, "65535 x 37 pixels"),
        ({"BitsAllocated": 1, "BitsStored": 1}, "not supported"),
        ({"BitsStored": 99}, "not supported"),
        ({"SamplesPerPixel": 7}, "not supported"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "palette"),
        ({"NumberOfFrames": "99999999"}, None),
    ],
)
def test_odd_headers_are_refused_or_survive(tmp_path: Path, fields: dict, word: str | None):
    path = make_dicom(tmp_path / "a.dcm", pictures(2), "explicit", **fields)
    if word is None:
        source = open_dicom(path)
        assert source.info.frame_count == 2
        source.close()
        return
    with pytest.raises(UserError, match=word):
        open_dicom(path)


def test_random_damage_never_ends_in_a_traceback(tmp_path: Path):
    rng = np.random.default_rng(8)
    path = tmp_path / "a.dcm"
    for syntax in ("explicit", "implicit", "rle", "jpeg", "jpeg-ls", "jpeg-2000"):
        good = make_dicom(tmp_path / "good.dcm", pictures(2, size=(40, 40)), syntax).read_bytes()
        for _ in range(25):
            data = bytearray(good)
            for at in rng.integers(132, len(data), 6):
                data[at] = rng.integers(0, 256)
            path.write_bytes(data)
            try:
                source = open_dicom(path)
            except UserError:
                continue
            try:
                while source.read() is not None:
                    pass
            except SourceError:
                pass
            finally:
                source.close()


def test_mpeg_inside_dicom_is_refused_plainly(tmp_path: Path):
    d = blank(pictures(1), "jpeg")
    d.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.102"
    put_encoded(d, [b"\0" * 100])
    with pytest.raises(UserError, match="MPEG"):
        open_dicom(write(d, tmp_path / "a.dcm", "jpeg"))


def test_no_patient_data_leaves_the_reader(tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys):
    path = make_dicom(
        tmp_path / "a.dcm",
        pictures(2),
        "explicit",
        InstitutionName="Secret Clinic",
        PatientBirthDate="19700101",
        ManufacturerModelName="M9",
        Manufacturer="Maker",
    )
    source = open_dicom(path)
    source.read()
    source.close()
    told = repr(source.info) + caplog.text + "".join(capsys.readouterr())
    assert "Secret" not in told and "19700101" not in told and "SECRET-ID" not in told
    assert ("Machine", "Maker M9") in source.info.details
