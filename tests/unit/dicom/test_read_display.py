"""Palettes, windows and inverted greys."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dicom_maker import blank, make_dicom, put_native, write

from puncta.core.errors import SourceError
from puncta.dicom.read_display import expand_segmented
from puncta.sources.dicom_cine import open_dicom


def shown(path: Path) -> np.ndarray:
    source = open_dicom(path)
    try:
        return source.read().pixels
    finally:
        source.close()


def palette_file(path: Path, *, bits: int, entries: int, first: int, big_endian: bool, packed: bool = False) -> Path:
    """A picture of all indices, whose red, green and blue rise, fall and zigzag."""
    indices = (np.arange(16 * 16) % entries + first).astype(np.uint8 if first + entries <= 256 else np.uint16)
    frames = indices.reshape(1, 16, 16)
    syntax = "big-endian" if big_endian else "explicit"
    d = blank(frames, syntax, PhotometricInterpretation="PALETTE COLOR")
    for name, column in zip(("Red", "Green", "Blue"), columns(entries), strict=True):
        values = column * 257 if bits == 16 else column
        if packed:
            raw = values.astype(np.uint8).tobytes()
            raw = np.frombuffer(raw, "<u2").astype(">u2").tobytes() if big_endian else raw
        else:
            raw = values.astype(">u2" if big_endian else "<u2").tobytes()
        setattr(d, f"{name}PaletteColorLookupTableDescriptor", [entries % 65536, first, bits])
        setattr(d, f"{name}PaletteColorLookupTableData", raw)
    put_native(d, frames, big_endian=big_endian)
    return write(d, path, syntax)


def columns(entries: int) -> list[np.ndarray]:
    rise = np.linspace(0, 255, entries).astype(np.int64)
    return [rise, rise[::-1].copy(), (np.arange(entries) * 37) % 256]


@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize(
    ("bits", "entries", "first", "packed"),
    [(16, 256, 0, False), (8, 256, 0, False), (8, 256, 0, True), (16, 100, 20, False), (16, 1000, 300, False)],
)
def test_palettes_of_every_layout(tmp_path: Path, bits: int, entries: int, first: int, packed: bool, big_endian: bool):
    path = palette_file(
        tmp_path / "a.dcm", bits=bits, entries=entries, first=first, big_endian=big_endian, packed=packed
    )
    at = np.arange(256) % entries
    expected = np.stack([c[at] for c in columns(entries)], axis=-1).reshape(16, 16, 3)
    np.testing.assert_array_equal(shown(path), expected)


def test_indices_outside_the_palette_take_its_ends(tmp_path: Path):
    frames = np.array([[[0, 10, 11, 12, 200]]], np.uint8)
    d = blank(frames, "explicit", PhotometricInterpretation="PALETTE COLOR")
    for name, values in (("Red", [1, 2, 3]), ("Green", [50, 60, 70]), ("Blue", [9, 9, 9])):
        setattr(d, f"{name}PaletteColorLookupTableDescriptor", [3, 10, 16])
        setattr(d, f"{name}PaletteColorLookupTableData", (np.array(values, "<u2") * 257).tobytes())
    put_native(d, frames)
    assert shown(write(d, tmp_path / "a.dcm", "explicit"))[0, :, 1].tolist() == [50, 50, 60, 70, 70]


def test_a_16_bit_palette_that_holds_8_bits_is_not_black(tmp_path: Path):
    frames = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    d = blank(frames, "explicit", PhotometricInterpretation="PALETTE COLOR")
    for name in ("Red", "Green", "Blue"):
        setattr(d, f"{name}PaletteColorLookupTableDescriptor", [256, 0, 16])
        setattr(d, f"{name}PaletteColorLookupTableData", np.arange(256, dtype="<u2").tobytes())
    put_native(d, frames)
    np.testing.assert_array_equal(shown(write(d, tmp_path / "a.dcm", "explicit")), frames[0])


@pytest.mark.parametrize("big_endian", [False, True])
def test_segmented_palettes_are_expanded(tmp_path: Path, big_endian: bool):
    # 2 discrete entries, then 4 on a line to 6 * 256, then both again by reference to the segment at byte 0.
    words = [0, 2, 0, 512, 1, 4, 1536, 2, 2, 0, 0]
    frames = np.arange(12, dtype=np.uint8).reshape(1, 3, 4)
    syntax = "big-endian" if big_endian else "explicit"
    d = blank(frames, syntax, PhotometricInterpretation="PALETTE COLOR")
    for name in ("Red", "Green", "Blue"):
        setattr(d, f"{name}PaletteColorLookupTableDescriptor", [12, 0, 16])
        raw = np.array(words, ">u2" if big_endian else "<u2").tobytes()
        setattr(d, f"Segmented{name}PaletteColorLookupTableData", raw)
    put_native(d, frames, big_endian=big_endian)
    half = [0, 2, 3, 4, 5, 6]
    assert shown(write(d, tmp_path / "a.dcm", syntax)).ravel().tolist() == half + half


@pytest.mark.parametrize("words", [[3, 1, 0], [0, 9, 1], [2, 1, 0], [1]])
def test_damaged_segments_are_refused(words: list[int]):
    with pytest.raises(SourceError, match="palette"):
        expand_segmented(np.array(words, np.int64), 16)


def test_monochrome1_is_inverted(tmp_path: Path):
    frames = np.array([[[0, 100, 255]]], np.uint8)
    path = make_dicom(tmp_path / "a.dcm", frames, PhotometricInterpretation="MONOCHROME1")
    assert shown(path).tolist() == [[255, 155, 0]]


@pytest.mark.parametrize("dtype", [np.uint16, np.int16])
def test_sixteen_bits_without_a_window_span_the_range_of_the_cine(tmp_path: Path, dtype: type):
    low = -500 if dtype is np.int16 else 100
    frames = np.linspace(low, 2100, 3 * 8 * 8).astype(dtype).reshape(3, 8, 8)
    source = open_dicom(make_dicom(tmp_path / "a.dcm", frames))
    first, second, third = (f.pixels for f in iter(source.read, None))
    source.close()
    assert first.min() == 0 and third.max() == 255
    assert abs(int(second.mean()) - 127) <= 2, "one range for all frames: the cine does not flicker"


@pytest.mark.parametrize(
    ("function", "expected"),
    [("LINEAR", [0, 0, 64, 127, 191, 255, 255]), ("LINEAR_EXACT", [0, 0, 64, 128, 191, 255, 255])],
)
def test_windows_are_applied(tmp_path: Path, function: str, expected: list[int]):
    frames = np.array([[[0, 1000, 1250, 1500, 1750, 2000, 4000]]], np.uint16)
    path = make_dicom(tmp_path / "a.dcm", frames, WindowCenter="1500", WindowWidth="1000", VOILUTFunction=function)
    assert np.abs(shown(path).ravel().astype(int) - expected).max() <= 1


def test_rescale_comes_before_the_window(tmp_path: Path):
    frames = np.array([[[0, 1024, 2048]]], np.uint16)
    fields = {"RescaleSlope": "1", "RescaleIntercept": "-1024", "WindowCenter": "0", "WindowWidth": "2048"}
    assert (
        np.abs(shown(make_dicom(tmp_path / "a.dcm", frames, **fields)).ravel().astype(int) - [0, 128, 255]).max() <= 1
    )


@pytest.mark.parametrize("window", [("abc", "1"), ("0", "0"), ("0", "-5"), ("nan", "nan")])
def test_unusable_windows_fall_back_to_the_range(tmp_path: Path, window: tuple[str, str]):
    frames = np.array([[[0, 100, 255]]], np.uint16)
    d = blank(frames, "explicit")
    try:
        d.WindowCenter, d.WindowWidth = window
    except ValueError:
        pytest.skip("pydicom does not write this value")
    put_native(d, frames)
    try:
        path = write(d, tmp_path / "a.dcm", "explicit")
    except ValueError:
        pytest.skip("pydicom does not write this value")
    assert shown(path).ravel().tolist() == [0, 100, 255]


def test_bits_above_the_stored_ones_are_not_shown(tmp_path: Path):
    """Old files keep a drawn overlay in the unused upper bits."""
    frames = np.array([[[0x0000, 0x0800, 0xF800, 0xFFF]]], np.uint16)
    path = make_dicom(tmp_path / "a.dcm", frames, BitsStored=12, HighBit=11, WindowCenter="2048", WindowWidth="4096")
    pixels = shown(path).ravel()
    assert pixels[1] == pixels[2]


def test_grey_colour_pictures_become_grey_and_coloured_ones_stay(tmp_path: Path):
    grey = np.repeat(np.arange(64, dtype=np.uint8).reshape(1, 8, 8, 1), 3, axis=-1)
    assert shown(make_dicom(tmp_path / "grey.dcm", grey)).shape == (8, 8)
    tinted = grey.copy()
    tinted[0, 0, 0] = (200, 0, 0)
    assert shown(make_dicom(tmp_path / "tinted.dcm", tinted)).shape == (8, 8, 3)
