"""Folders of pictures: natural order, one size, plain refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from puncta.core.errors import SourceError, UserError
from puncta.sources.image_folder import list_image_folder, natural_key, open_image_folder


def picture(value: int, size: tuple[int, int] = (20, 30), colour: bool = False) -> np.ndarray:
    grey = np.random.default_rng(value).integers(0, 255, size).astype(np.uint8)
    return np.stack([grey, grey // 2, grey // 3], axis=-1) if colour else grey


def test_frames_come_in_natural_order_at_25_a_second(tmp_path: Path):
    names = ["frame10.png", "frame2.png", "Frame1.png", "frame2b.png"]
    for i, name in enumerate(names):
        Image.fromarray(picture(i)).save(tmp_path / name)
    (tmp_path / ".hidden.png").write_bytes(b"x")
    (tmp_path / "notes.txt").write_text("x")
    assert [p.name for p in list_image_folder(tmp_path)] == ["Frame1.png", "frame2.png", "frame2b.png", "frame10.png"]
    source = open_image_folder(tmp_path)
    frames = list(iter(source.read, None))
    source.close()
    for frame, number in zip(frames, (2, 1, 3, 0), strict=True):
        np.testing.assert_array_equal(frame.pixels, picture(number))
    assert source.info.times_ns.tolist() == [0, 40_000_000, 80_000_000, 120_000_000]
    assert any("no times" in note for note in source.info.geometry.notes)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif"])
@pytest.mark.parametrize("colour", [False, True])
def test_lossless_kinds_give_their_samples_back(tmp_path: Path, suffix: str, colour: bool):
    Image.fromarray(picture(1, colour=colour)).save(tmp_path / f"a.{suffix}")
    source = open_image_folder(tmp_path)
    frame = source.read()
    source.close()
    np.testing.assert_array_equal(frame.pixels, picture(1, colour=colour))


def test_one_coloured_picture_makes_all_of_them_rgb(tmp_path: Path):
    Image.fromarray(picture(1)).save(tmp_path / "1.png")
    Image.fromarray(picture(2, colour=True)).save(tmp_path / "2.png")
    source = open_image_folder(tmp_path)
    shapes = [f.pixels.shape for f in iter(source.read, None)]
    source.close()
    assert shapes == [(20, 30, 3), (20, 30, 3)]


def test_twelve_bits_in_sixteen_are_not_black(tmp_path: Path):
    deep = np.linspace(0, 4095, 600).astype(np.uint16).reshape(20, 30)
    Image.fromarray(deep).save(tmp_path / "1.png")
    Image.fromarray(deep // 2).save(tmp_path / "2.png")
    source = open_image_folder(tmp_path)
    first, second = (f for f in iter(source.read, None))
    source.close()
    assert first.pixels.max() == 255 and 126 <= second.pixels.max() <= 128
    np.testing.assert_array_equal(first.planes[0], deep)


def test_palette_and_transparent_pictures_are_shown(tmp_path: Path):
    Image.fromarray(picture(1, colour=True)).convert("P").save(tmp_path / "1.png")
    Image.fromarray(picture(1, colour=True)).convert("RGBA").save(tmp_path / "2.png")
    source = open_image_folder(tmp_path)
    assert [f.pixels.shape for f in iter(source.read, None)] == [(20, 30, 3)] * 2
    source.close()


def test_another_size_is_refused_by_name(tmp_path: Path):
    Image.fromarray(picture(1)).save(tmp_path / "1.png")
    Image.fromarray(picture(2, (10, 12))).save(tmp_path / "2.png")
    with pytest.raises(UserError, match=r"^2\.png has 12 x 10 pixels but 1\.png has 30 x 20"):
        open_image_folder(tmp_path)


def test_a_folder_without_pictures_is_refused(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(UserError, match="holds no pictures"):
        open_image_folder(tmp_path)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89PNG\r\n\x1a\n" + b"\0" * 30])
def test_a_file_that_is_no_picture_is_named(tmp_path: Path, content: bytes):
    Image.fromarray(picture(1)).save(tmp_path / "1.png")
    (tmp_path / "2.png").write_bytes(content)
    with pytest.raises(UserError, match=r"^2\.png is not a picture"):
        open_image_folder(tmp_path)


def test_a_picture_that_breaks_off_is_named_when_it_is_reached(tmp_path: Path):
    for number in range(20):
        Image.fromarray(picture(number)).save(tmp_path / f"{number}.png")
    source = open_image_folder(tmp_path)
    broken = tmp_path / "5.png"
    broken.write_bytes(broken.read_bytes()[:200])
    with pytest.raises(SourceError, match=r"^5\.png is not a picture"):
        while source.read() is not None:
            pass
    source.close()


def test_natural_keys():
    assert sorted(["a10", "a9", "A1", "b", "a"], key=natural_key) == ["a", "A1", "a9", "a10", "b"]
