"""Folders of pictures, and single pictures, as a sequence."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from puncta.core.errors import SourceError, UserError
from puncta.core.frame import SourceInfo, SourceKind
from puncta.core.ports import Clock
from puncta.sources.recorded import Picture, RecordedSource
from puncta.sources.region_guess import SAMPLE_COUNT, geometry_with_guess

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
NOMINAL_INTERVAL_NS = 40_000_000
NOMINAL_NOTE = "the pictures carry no times; they play at 25 frames/s"
_NEUTRAL = 4


def natural_key(name: str) -> tuple[tuple[int, int | str], ...]:
    """Sort key that puts frame2 before frame10, whatever the case of the letters."""
    parts = re.split(r"(\d+)", name.casefold())
    return tuple((0, int(p)) if p.isdecimal() else (1, p) for p in parts if p)


def list_image_folder(folder: Path) -> list[Path]:
    """List the pictures of a folder in natural order; hidden files and other kinds are left out."""
    try:
        found = [p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith(".")]
    except PermissionError as error:
        raise UserError(f"{folder.name} cannot be read: permission denied, change its permissions.") from error
    return sorted((p for p in found if p.is_file()), key=lambda p: (natural_key(p.name), p.name))


class ImageFolderReader:
    """Reads one picture at a time; nothing is kept. Implements ``PictureReader``."""

    def __init__(self, files: list[Path]) -> None:
        self.files = files
        self.grey = False
        self.bits = 8

    def picture(self, index: int) -> Picture:
        """Return one picture; its only plane holds the samples as stored."""
        stored = _read(self.files[index])
        pixels = _to_8_bit(stored, self.bits)
        if self.grey and pixels.ndim == 3:
            pixels = np.ascontiguousarray(pixels[..., 1])
        elif not self.grey and pixels.ndim == 2:
            pixels = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB), np.uint8)
        return Picture(pixels, (stored,))

    def close(self) -> None:
        """Nothing stays open."""


def open_image_folder(path: Path, uri: str | None = None, clock: Clock | None = None) -> RecordedSource:
    """Open a folder of pictures, or a single picture.

    Raises
    ------
    UserError
        There is no picture, one cannot be read, or one has another size than the first.
    """
    files = list_image_folder(path) if path.is_dir() else [path]
    if not files:
        raise UserError(
            f"{path.name or path} holds no pictures ({', '.join(IMAGE_SUFFIXES)}), choose a folder with pictures."
        )
    width, height = _size(files[0])
    for file in files[1:]:
        if _size(file) != (width, height):
            other = "{} x {}".format(*_size(file))
            raise UserError(
                f"{file.name} has {other} pixels but {files[0].name} has {width} x {height}; "
                "put pictures of one size into a folder of their own."
            )
    reader = ImageFolderReader(files)
    spread = np.unique(np.linspace(0, len(files) - 1, SAMPLE_COUNT).round().astype(int))
    stored = [_read(files[i]) for i in spread]
    reader.bits = max(8, *(int(s.max()).bit_length() for s in stored))
    samples = [_to_8_bit(s, reader.bits) for s in stored]
    reader.grey = all(is_neutral(s) for s in samples)
    geometry = geometry_with_guess(width, height, samples, notes=(NOMINAL_NOTE,) if len(files) > 1 else ())
    info = SourceInfo(
        uri=uri or str(path),
        stream=path.name,
        title=path.stem if path.is_file() else path.name,
        kind=SourceKind.FILE,
        geometry=geometry,
        frame_count=len(files),
        times_ns=np.arange(len(files), dtype=np.int64) * NOMINAL_INTERVAL_NS,
        details=(
            ("Format", f"pictures, {files[0].suffix.lstrip('.').lower()}"),
            ("Size", f"{width} x {height} px"),
            ("Frames", str(len(files))),
            ("Rate", NOMINAL_NOTE if len(files) > 1 else "a single picture"),
        ),
    )
    return RecordedSource(info, reader, clock=clock)


def is_neutral(pixels: NDArray[np.uint8]) -> bool:
    """Tell whether an RGB or grey picture has no colour beyond rounding."""
    if pixels.ndim == 2:
        return True
    wide = pixels.astype(np.int16)
    return int(np.abs(wide - wide[..., 1:2]).max()) <= _NEUTRAL


def _size(file: Path) -> tuple[int, int]:
    try:
        with Image.open(file) as image:
            return image.size
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError) as error:
        raise _unreadable(file, error) from error


def _read(file: Path) -> NDArray:
    """Decode a picture to the samples it stores: (H, W) or (H, W, channels), uint8 or uint16."""
    try:
        with Image.open(file) as image:
            if image.mode in ("1", "F"):
                stored = np.array(image.convert("L"))
            elif image.mode in ("P", "PA", "CMYK", "YCbCr", "LAB", "HSV"):
                stored = np.array(image.convert("RGB"))
            else:
                stored = np.array(image)
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise _unreadable(file, error) from error
    return stored.astype(np.uint16) if stored.dtype == np.int32 else stored


def _to_8_bit(stored: NDArray, bits: int) -> NDArray[np.uint8]:
    if stored.dtype == np.uint16:
        # The bits a 16-bit picture uses differ from one exporter to the next: 12 of 16 would look black.
        return np.minimum(stored >> (bits - 8), 255).astype(np.uint8)
    if stored.ndim == 3 and stored.shape[2] == 2:
        return np.ascontiguousarray(stored[..., 0])
    if stored.ndim == 3:
        return np.ascontiguousarray(stored[..., :3])
    return stored


def _unreadable(file: Path, error: Exception) -> SourceError:
    if isinstance(error, PermissionError):
        return SourceError(f"{file.name} cannot be read: permission denied, change its permissions.")
    if isinstance(error, FileNotFoundError):
        return SourceError(f"{file.name} does not exist any more, open the folder again.")
    return SourceError(f"{file.name} is not a picture that can be read, or it is damaged; remove or replace it.")
