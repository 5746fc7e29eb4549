"""Headers of MetaImage (.mha, .mhd) and NRRD (.nrrd, .nhdr) files, as PLUS and 3D Slicer write them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from puncta.core.errors import UserError

_LINE_LIMIT = 1 << 16
_HEADER_LIMIT = 64 << 20
_NRRD_SUFFIXES = (".nrrd", ".nhdr")
_META_TYPES = {
    "MET_UCHAR": "u1", "MET_CHAR": "i1", "MET_USHORT": "u2", "MET_SHORT": "i2", "MET_UINT": "u4", "MET_INT": "i4",
    "MET_ULONG": "u4", "MET_LONG": "i4", "MET_FLOAT": "f4", "MET_DOUBLE": "f8",
}  # fmt: skip
_NRRD_TYPES = {
    **dict.fromkeys(("uchar", "unsigned char", "uint8", "uint8_t"), "u1"),
    **dict.fromkeys(("signed char", "int8", "int8_t"), "i1"),
    **dict.fromkeys(("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"), "u2"),
    **dict.fromkeys(("short", "short int", "signed short", "signed short int", "int16", "int16_t"), "i2"),
    **dict.fromkeys(("uint", "unsigned int", "uint32", "uint32_t"), "u4"),
    **dict.fromkeys(("int", "signed int", "int32", "int32_t"), "i4"),
    "float": "f4",
    "double": "f8",
}
_COLOUR_KINDS = frozenset({"rgb-color", "rgba-color", "3-color", "4-color", "vector", "xyz-color", "hsv-color"})
_SPATIAL_KINDS = frozenset({"domain", "space"})
_UNIT_MM = {"mm": 1.0, "cm": 10.0, "m": 1000.0, "um": 0.001}


@dataclass(frozen=True, slots=True)
class StackHeader:
    """What both kinds of header say.

    Attributes
    ----------
    sizes : tuple of int
        Length of each axis, the fastest first.
    roles : tuple of str
        "x", "y", "colour" or "frame" for each axis.
    dtype : numpy.dtype
        Of one sample, with its byte order.
    data_file : Path
    data_offset : int or None
        First byte of the pixels; None means that they are the last bytes of the file.
    packing : str
        "raw" or "deflated" (zlib or gzip).
    spacing : tuple of float or None
        (x, y) [mm], where stated.
    fields : dict
        All keys, in lower case, with their text.
    form : str
        "MetaImage" or "NRRD".
    """

    sizes: tuple[int, ...]
    roles: tuple[str, ...]
    dtype: np.dtype
    data_file: Path
    data_offset: int | None
    packing: str
    spacing: tuple[float, float] | None
    fields: dict[str, str]
    form: str

    def size_of(self, role: str) -> int:
        """Product of the axes with this role; 1 where there is none."""
        product = 1
        for size, axis in zip(self.sizes, self.roles):
            if axis == role:
                product *= size
        return product

    @property
    def data_bytes(self) -> int:
        """Size of the unpacked pixels [bytes]."""
        return int(np.prod(self.sizes, dtype=np.int64)) * self.dtype.itemsize


def read_stack_header(path: Path) -> StackHeader:
    """Read the header of a file of either kind.

    Raises
    ------
    UserError
        The header is damaged or uses something that is not supported.
    """
    with path.open("rb") as file:
        is_nrrd = file.read(4) == b"NRRD"
        file.seek(0)
        try:
            return _read_nrrd(path, file) if is_nrrd else _read_meta(path, file)
        except (ValueError, KeyError, IndexError, ZeroDivisionError) as error:
            raise UserError(f"{path.name} has a header that cannot be read, choose another file.") from error


def _read_meta(path: Path, file: BinaryIO) -> StackHeader:
    fields: dict[str, str] = {}
    while file.tell() < _HEADER_LIMIT:
        line = file.readline(_LINE_LIMIT)
        if not line:
            break
        key, separator, value = line.decode("utf-8", "replace").partition("=")
        if not separator:
            continue
        fields[key.strip().lower()] = value.strip()
        if key.strip().lower() == "elementdatafile":
            break
    if "elementdatafile" not in fields or "dimsize" not in fields:
        if path.suffix.lower() in _NRRD_SUFFIXES:
            raise UserError(
                f"{path.name} does not begin as an NRRD file does; it is damaged or of another kind, take another one."
            )
        raise UserError(f"{path.name} has no complete MetaImage header, choose another file.")
    sizes = _sizes(fields["dimsize"].split())
    channels = int(fields.get("elementnumberofchannels", "1"))
    roles = tuple("xy"[i] if i < 2 else "frame" for i in range(len(sizes)))
    if channels > 1:
        sizes, roles = (channels, *sizes), ("colour", *roles)
    msb = fields.get("elementbyteordermsb", fields.get("binarydatabyteordermsb", "false")).lower() == "true"
    dtype = _dtype(path, _META_TYPES, fields.get("elementtype", "").upper(), big_endian=msb)
    named = fields["elementdatafile"]
    if named.upper() == "LOCAL":
        data_file, offset = path, file.tell()
    else:
        data_file, offset = _beside(path, named), int(fields.get("headersize", "0"))
    packed = fields.get("compresseddata", "false").lower() == "true"
    if fields.get("binarydata", "true").lower() == "false":
        raise UserError(f"{path.name} stores its pixels as text, which is not supported; save it as binary data.")
    spacing = _two_numbers(fields.get("elementspacing", fields.get("elementsize", "")).split())
    return StackHeader(
        sizes=sizes,
        roles=roles,
        dtype=dtype,
        data_file=data_file,
        data_offset=None if offset < 0 else offset,
        packing="deflated" if packed else "raw",
        spacing=spacing,
        fields=fields,
        form="MetaImage",
    )


def _read_nrrd(path: Path, file: BinaryIO) -> StackHeader:
    fields: dict[str, str] = {}
    file.readline(_LINE_LIMIT)
    while file.tell() < _HEADER_LIMIT:
        line = file.readline(_LINE_LIMIT)
        if not line.strip():
            break  # an empty line, or the end of a detached header
        if line.startswith(b"#"):
            continue
        key, _, value = line.decode("utf-8", "replace").partition(":")
        fields[key.strip().lower()] = value.removeprefix("=").strip()
    sizes = _sizes(fields["sizes"].split())
    kinds = [k.lower() for k in fields.get("kinds", "").split()] or ["???"] * len(sizes)
    roles = _nrrd_roles(kinds, len(sizes))
    big = fields.get("endian", "little").lower() == "big"
    dtype = _dtype(path, _NRRD_TYPES, fields.get("type", "").lower(), big_endian=big)
    encoding = fields.get("encoding", "").lower()
    if encoding not in ("raw", "gzip", "gz"):
        raise UserError(f"{path.name} stores its pixels as {encoding or 'nothing known'}; save it as raw or gzip.")
    named = fields.get("data file", fields.get("datafile"))
    data_file, offset = (_beside(path, named), 0) if named else (path, file.tell())
    skip = int(fields.get("byte skip", fields.get("byteskip", "0")))
    if int(fields.get("line skip", fields.get("lineskip", "0"))):
        raise UserError(f"{path.name} skips lines before its pixels, which is not supported; save it attached.")
    return StackHeader(
        sizes=sizes,
        roles=roles,
        dtype=dtype,
        data_file=data_file,
        data_offset=None if skip < 0 else offset + skip,
        packing="raw" if encoding == "raw" else "deflated",
        spacing=_nrrd_spacing(fields, roles),
        fields=fields,
        form="NRRD",
    )


def _nrrd_roles(kinds: list[str], count: int) -> tuple[str, ...]:
    names = iter("xy")
    roles = []
    any_spatial = sum(k in _SPATIAL_KINDS for k in kinds) >= 2
    for kind in (kinds + ["???"] * count)[:count]:
        if kind in _COLOUR_KINDS:
            roles.append("colour")
        elif kind in _SPATIAL_KINDS or not any_spatial:
            roles.append(next(names, "frame"))
        else:
            roles.append("frame")
    return tuple(roles)


def _nrrd_spacing(fields: dict[str, str], roles: tuple[str, ...]) -> tuple[float, float] | None:
    named = fields.get("space units") or fields.get("units", "")
    units = re.findall(r'"([^"]*)"', named) or named.split()
    scale = _UNIT_MM.get(units[0].lower(), 1.0) if units else 1.0
    if "space directions" in fields:
        vectors = re.findall(r"\([^)]*\)|none", fields["space directions"])
        if len(vectors) != len(roles):
            vectors = [v for v in vectors if v != "none"]
            spatial = vectors[:2]
        else:
            spatial = [v for v, role in zip(vectors, roles) if role in ("x", "y")]
        lengths = [float(np.linalg.norm([float(n) for n in v.strip("()").split(",")])) for v in spatial if v != "none"]
        return (lengths[0] * scale, lengths[1] * scale) if len(lengths) == 2 else None
    spacings = fields.get("spacings", "").split()
    if len(spacings) == len(roles):
        pair = _two_numbers([s for s, role in zip(spacings, roles) if role in ("x", "y")])
        return (pair[0] * scale, pair[1] * scale) if pair else None
    return None


def _sizes(texts: list[str]) -> tuple[int, ...]:
    sizes = tuple(int(t) for t in texts)
    if len(sizes) < 2 or min(sizes) < 1:
        raise ValueError("sizes")
    return sizes


def _two_numbers(texts: list[str]) -> tuple[float, float] | None:
    try:
        return (abs(float(texts[0])), abs(float(texts[1])))
    except (IndexError, ValueError):
        return None


def _dtype(path: Path, known: dict[str, str], name: str, *, big_endian: bool) -> np.dtype:
    code = known.get(name)
    if code is None:
        raise UserError(f"{path.name} stores its pixels as {name or 'nothing known'}, which is not supported; save it "
                        "with 8 or 16 bits.")  # fmt: skip
    return np.dtype((">" if big_endian else "<") + code)


def _beside(path: Path, named: str) -> Path:
    if named.upper().startswith("LIST") or "%" in named:
        raise UserError(f"{path.name} spreads its pixels over many files, which is not supported; save it as one file.")
    data_file = path.parent / named.replace("\\", "/")
    if not data_file.is_file():
        raise UserError(f"{path.name} needs the file {Path(named).name} beside it, copy that one too.")
    return data_file
