"""MetaImage and NRRD sequences: every layout, exact times, and nothing made up."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np
import pytest

from puncta.core.errors import SourceError, UserError
from puncta.core.frame import CalibrationOrigin
from puncta.sources.meta_image import open_stack

nrrd = pytest.importorskip("nrrd", reason="pynrrd, the other writer, is not installed")
STAMPS = ["232.542071", "232.628014", "232.714071", "0232.800057"]


def stack(count: int = 4, dtype: type = np.uint8, colour: bool = False) -> np.ndarray:
    shape = (count, 30, 40, 3) if colour else (count, 30, 40)
    return np.random.default_rng(2).integers(0, 250, shape).astype(dtype)


def write_mha(path: Path, frames: np.ndarray, *, packed: bool = False, **extra: str) -> Path:
    """Write as PLUS does: header lines, then the pixels."""
    colour = frames.ndim == 4
    types = {"uint8": "MET_UCHAR", "int16": "MET_SHORT", "uint16": "MET_USHORT", "float32": "MET_FLOAT"}
    data = frames.tobytes()
    if packed:
        data = zlib.compress(data)
    lines = {
        "ObjectType": "Image",
        "NDims": "3",
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": "True" if frames.dtype.byteorder == ">" else "False",
        "CompressedData": str(packed),
        "DimSize": f"{frames.shape[2]} {frames.shape[1]}   {frames.shape[0]}",
        "ElementSpacing": "1 1 1",
        "ElementType": types[frames.dtype.newbyteorder("=").name],
        **({"ElementNumberOfChannels": "3"} if colour else {}),
        **extra,
    }
    name = lines.pop("ElementDataFile", "LOCAL")
    header = "".join(f"{key} = {value}\n" for key, value in lines.items()) + f"ElementDataFile = {name}\n"
    if name == "LOCAL":
        path.write_bytes(header.encode() + data)
    else:
        path.write_text(header)
        (path.parent / name).write_bytes(data)
    return path


def stored(path: Path) -> np.ndarray:
    source = open_stack(path)
    try:
        return np.stack([(f.planes[0]) for f in iter(source.read, None)])
    finally:
        source.close()


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("dtype", "colour"), [("u1", False), ("<i2", False), (">u2", False), ("<f4", False), ("u1", True)]
)
def test_meta_images_give_their_samples_back(tmp_path: Path, packed: bool, dtype: str, colour: bool):
    frames = stack(colour=colour).astype(dtype)
    np.testing.assert_array_equal(stored(write_mha(tmp_path / "a.mha", frames, packed=packed)), frames)


@pytest.mark.parametrize("packed", [False, True])
def test_pixels_may_lie_in_a_file_beside(tmp_path: Path, packed: bool):
    frames = stack()
    path = write_mha(tmp_path / "a.mhd", frames, packed=packed, ElementDataFile="a.raw")
    np.testing.assert_array_equal(stored(path), frames)
    (tmp_path / "a.raw").unlink()
    with pytest.raises(UserError, match=r"^a\.mhd needs the file a\.raw beside it"):
        open_stack(path)


def test_header_size_minus_one_means_the_end_of_the_file(tmp_path: Path):
    frames = stack()
    path = write_mha(tmp_path / "a.mhd", frames, ElementDataFile="a.raw", HeaderSize="-1")
    raw = tmp_path / "a.raw"
    raw.write_bytes(b"some other header" + raw.read_bytes())
    np.testing.assert_array_equal(stored(path), frames)


@pytest.mark.parametrize("encoding", ["raw", "gzip"])
@pytest.mark.parametrize("detached", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16])
def test_nrrd_files_of_another_writer(tmp_path: Path, encoding: str, detached: bool, dtype: type):
    frames = stack(dtype=dtype)
    path = tmp_path / ("a.nhdr" if detached else "a.nrrd")
    nrrd.write(str(path), frames, {"encoding": encoding, "kinds": ["domain", "domain", "list"]}, index_order="C")
    np.testing.assert_array_equal(stored(path), frames)


def test_nrrd_colours_and_a_leading_list_axis(tmp_path: Path):
    colour = stack(colour=True)
    nrrd.write(str(tmp_path / "c.nrrd"), colour, {"kinds": ["RGB-color", "domain", "domain", "list"]}, index_order="C")
    np.testing.assert_array_equal(stored(tmp_path / "c.nrrd"), colour)
    frames = stack()
    leading = np.ascontiguousarray(np.moveaxis(frames, 0, -1))  # frames vary fastest, as 3D Slicer's sequences do
    nrrd.write(str(tmp_path / "l.nrrd"), leading, {"kinds": ["list", "domain", "domain"]}, index_order="C")
    np.testing.assert_array_equal(stored(tmp_path / "l.nrrd"), frames)


def test_times_are_exact_to_the_nanosecond(tmp_path: Path):
    extra = {f"Seq_Frame{i:04}_Timestamp": t for i, t in enumerate(STAMPS)}
    source = open_stack(write_mha(tmp_path / "a.mha", stack(), **extra))
    assert source.info.times_ns.tolist() == [232_542_071_000, 232_628_014_000, 232_714_071_000, 232_800_057_000]
    assert source.read().key.pts_ns == 232_542_071_000
    source.close()


@pytest.mark.parametrize(
    ("stamps", "note"),
    [
        ({}, "not stated"),
        ({0: "1.0", 1: "2.0"}, "not stated"),
        ({0: "4", 1: "3", 2: "2", 3: "1"}, "backwards"),
        ({0: "1", 1: "x", 2: "2", 3: "3"}, "not stated"),
    ],
)
def test_unusable_times_are_replaced_and_said(tmp_path: Path, stamps: dict[int, str], note: str):
    extra = {f"Seq_Frame{i:04}_Timestamp": t for i, t in stamps.items()}
    source = open_stack(write_mha(tmp_path / "a.mha", stack(), **extra))
    assert np.diff(source.info.times_ns).tolist() == [40_000_000] * 3
    assert any(note in n for n in source.info.geometry.notes)
    source.close()


@pytest.mark.parametrize(
    ("spacing", "expected"),
    [("0.3 0.2 1", (0.3, 0.2)), ("1 1 1", None), ("0 0 0", None), ("50 50 1", None), ("a b", None)],
)
def test_only_a_real_spacing_gives_millimetres(tmp_path: Path, spacing: str, expected: tuple | None):
    source = open_stack(write_mha(tmp_path / "a.mha", stack(), ElementSpacing=spacing))
    calibration = source.info.geometry.calibration
    source.close()
    assert (calibration and calibration.mm_per_px) == expected
    assert calibration is None or calibration.origin is CalibrationOrigin.FILE


def test_nrrd_spacing_knows_its_units(tmp_path: Path):
    header = {
        "kinds": ["domain", "domain", "list"],
        "spacings": [0.02, 0.03, float("nan")],
        "space units": ["cm", "cm"],
    }
    nrrd.write(str(tmp_path / "a.nrrd"), stack(), header | {"space dimension": 2}, index_order="C")
    source = open_stack(tmp_path / "a.nrrd")
    assert source.info.geometry.calibration.mm_per_px == pytest.approx((0.2, 0.3))
    source.close()


def test_orientation_is_told_and_pixels_stay(tmp_path: Path):
    frames = stack()
    source = open_stack(write_mha(tmp_path / "a.mha", frames, UltrasoundImageOrientation="UN"))
    np.testing.assert_array_equal(source.read().pixels, frames[0])
    assert ("Orientation", "UN, shown as stored") in source.info.details
    assert any("orientation UN" in n for n in source.info.geometry.notes)
    source.close()


def test_sixteen_bits_share_one_range(tmp_path: Path):
    frames = np.linspace(-200, 3000, 4 * 30 * 40).reshape(4, 30, 40).astype(np.int16)
    source = open_stack(write_mha(tmp_path / "a.mha", frames))
    shown = [f.pixels for f in iter(source.read, None)]
    source.close()
    assert shown[0].min() == 0 and shown[-1].max() == 255
    assert shown[0].max() <= shown[1].min() + 1


@pytest.mark.parametrize("packed", [False, True])
def test_a_cut_off_file_plays_whole_frames_then_says_so(tmp_path: Path, packed: bool):
    frames = stack(6)
    path = write_mha(tmp_path / "a.mha", frames, packed=packed)
    path.write_bytes(path.read_bytes()[:-4500])
    source = open_stack(path)
    count = 0
    with pytest.raises(SourceError, match=r"^a\.mha is cut off: only \d of its 6 frames"):
        while (frame := source.read()) is not None:
            np.testing.assert_array_equal(frame.planes[0], frames[count])
            count += 1
    source.close()
    assert 1 <= count < 6


@pytest.mark.parametrize(
    "content",
    [
        b"ObjectType = Image\nNDims = 3\nDimSize = 4 4 4\n",
        b"ObjectType = Image\nDimSize = a b\nElementType = MET_UCHAR\nElementDataFile = LOCAL\n",
        b"ObjectType = Image\nDimSize = 4 4 4\nElementType = MET_WEIRD\nElementDataFile = LOCAL\n" + b"\0" * 64,
        b"ObjectType = Image\nDimSize = 4 4 4\nElementType = MET_UCHAR\nElementDataFile = LOCAL\n",
        b"ObjectType = Image\nDimSize = 4 4 4\nElementType = MET_UCHAR\nElementDataFile = LIST\na\nb\n",
        b"ObjectType = Image\nDimSize = 4 4 4\nElementType = MET_UCHAR\nElementDataFile = img%03d.raw 1 4 1\n",
        b"NRRD0004\ntype: uchar\n\n",
        b"NRRD0004\ntype: uchar\ndimension: 3\nsizes: 4 4 4\nencoding: bzip2\n\nabc",
        b"NRRD0004\ntype: uchar\ndimension: 3\nsizes: 4 4 4\nencoding: gzip\n\nnot packed at all",
        b"NRRD0004\ntype: uchar\ndimension: 3\nsizes: -4 4 4\nencoding: raw\n\nabc",
    ],
)
def test_damaged_headers_are_refused_by_one_sentence(tmp_path: Path, content: bytes):
    path = tmp_path / "a.mha"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"^a\.mha .*\.$"):
        open_stack(path)


def test_gzip_and_zlib_are_told_apart_by_content(tmp_path: Path):
    frames = stack()
    path = write_mha(tmp_path / "a.mhd", frames, packed=True, ElementDataFile="a.zraw")
    (tmp_path / "a.zraw").write_bytes(gzip.compress(frames.tobytes()))
    np.testing.assert_array_equal(stored(path), frames)
