"""From what a user names to a source: the one place that knows all kinds."""

from __future__ import annotations

import os
from difflib import get_close_matches
from pathlib import Path

from puncta.core.errors import UserError
from puncta.core.ports import Clock, FrameSource
from puncta.sources.image_folder import IMAGE_SUFFIXES, list_image_folder
from puncta.sources.live_address import LIVE_SCHEMES

__all__ = ["FILE_SUFFIXES", "check_source_name", "list_image_folder", "open_source"]

VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".wmv")
DICOM_SUFFIXES = (".dcm", ".dicom", ".ima")
STACK_SUFFIXES = (".mha", ".mhd", ".nrrd", ".nhdr")
FILE_SUFFIXES = (*DICOM_SUFFIXES, *VIDEO_SUFFIXES, *STACK_SUFFIXES, *IMAGE_SUFFIXES)
"""Endings that a file dialogue offers. The content decides what a file is."""

_UNKNOWN_SCHEMES = ("rtp", "tcp", "http", "https", "srt", "rtmp")
_HEAD_BYTES = 4096


def open_source(uri: str, clock: Clock | None = None) -> FrameSource:
    """Open a file, a folder of pictures, a ``sim:`` address or a live source.

    Parameters
    ----------
    uri : str
        A path, ``file://`` address or source address of the product page.
    clock : Clock or None
        Stamps arrival; the machine's clock where None.

    Raises
    ------
    UserError
        Nothing usable is there; the sentence says what to do.
    """
    text, scheme = _text_and_scheme(uri)
    if scheme == "sim":
        from puncta.sources.simulated import SimulatedSource

        return SimulatedSource(text)
    if scheme in LIVE_SCHEMES and not Path(text).exists():
        from puncta.sources.live_open import open_live

        return open_live(text, clock)
    path = _path_of(text, scheme)
    if path.name == "session.json" and path.is_file():
        path = path.parent  # a session is its folder
    if path.is_dir():
        return _open_folder(path, uri, clock)
    return _open_file(path, uri, clock)


def check_source_name(uri: str) -> None:
    """Tell whether a name leads to something, without opening it: an address is well written, a file is there.

    Raises
    ------
    UserError
        It names nothing that could be opened; the sentence is the one that `open_source` would say.
    """
    text, scheme = _text_and_scheme(uri)
    if scheme == "sim":
        from puncta.sources.simulated_address import parse_simulation

        parse_simulation(text)
    elif scheme in LIVE_SCHEMES and not Path(text).exists():
        from puncta.sources.live_open import check_address

        check_address(text)
    else:
        _path_of(text, scheme)


def _text_and_scheme(uri: str) -> tuple[str, str]:
    text = uri.strip()
    if not text:
        raise UserError("No source is named, give a file, a folder of pictures or an address such as sim:breast.")
    return text, text.split(":", 1)[0].lower() if ":" in text else ""


def _path_of(text: str, scheme: str) -> Path:
    if scheme in _UNKNOWN_SCHEMES and not Path(text).exists():
        raise UserError(
            f"Streams of the kind {scheme} are not read; let the sender use rtsp:// or udp:// (MPEG-TS) instead."
        )
    if scheme == "file":
        from urllib.parse import unquote, urlsplit
        from urllib.request import url2pathname

        text = url2pathname(unquote(urlsplit(text).path))
    try:
        path = Path(text).expanduser()
        exists = path.exists()
    except PermissionError as error:
        raise UserError(f"{text} cannot be read: permission denied, change the permissions of its folder.") from error
    except (OSError, ValueError, RuntimeError) as error:
        raise UserError(f"{text!r} is no name a file can have, check it.") from error
    if not exists:
        if len(scheme) > 1 and "//" in text:
            raise UserError(f"{text} has an address of an unknown kind, give a file, a folder or sim:breast.")
        hint = _meant(text, scheme)
        raise UserError(f"{path} does not exist, check the name and the folder{hint}.")
    return path


def _meant(text: str, scheme: str) -> str:
    """Say which address somebody may have meant whose kind is nearly one that is known; "" where none comes near."""
    near = get_close_matches(scheme, ("sim", *LIVE_SCHEMES), 1, 0.7) if len(scheme) > 1 else []
    return f", or did you mean {near[0]}{text[len(scheme):]}" if near else ""


def _open_folder(path: Path, uri: str, clock: Clock | None) -> FrameSource:
    from puncta.sources.image_folder import open_image_folder

    if (path / "session.json").is_file():
        from puncta.sources.session_folder import open_session_folder

        return open_session_folder(path, uri, clock)
    return open_image_folder(path, uri, clock)


def _open_file(path: Path, uri: str, clock: Clock | None) -> FrameSource:
    head = _head(path)
    kind = kind_of_file(head, path.suffix.lower())
    if kind == "dicom":
        from puncta.sources.dicom_cine import open_dicom

        return open_dicom(path, uri, clock)
    if kind == "stack":
        from puncta.sources.meta_image import open_stack

        return open_stack(path, uri, clock)
    if kind == "image":
        from puncta.sources.image_folder import open_image_folder

        return open_image_folder(path, uri, clock)
    if kind == "video":
        from puncta.sources.video_file import open_video

        return open_video(path, uri, clock)
    raise UserError(
        f"{path.name} is no picture sequence the program knows, "
        "choose a DICOM file, a video, an .mha, .mhd or .nrrd file, or a folder of pictures."
    )


def _head(path: Path) -> bytes:
    if not path.is_file():
        raise UserError(f"{path.name} is neither a file nor a folder, choose one of these.")
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except PermissionError as error:
        raise UserError(f"{path.name} cannot be read: permission denied, change its permissions or copy it.") from error
    except OSError as error:
        raise UserError(
            f"{path.name} cannot be read: {os.strerror(error.errno or 5)}, copy it to a disk first."
        ) from error
    if not head:
        raise UserError(f"{path.name} is empty, copy it again from where it came.")
    return head


def kind_of_file(head: bytes, suffix: str) -> str | None:
    """Tell a file's kind by its first bytes, and by its ending only where they say nothing.

    Returns
    -------
    str or None
        "dicom", "stack", "image", "video" or None.
    """
    if head[128:132] == b"DICM":
        return "dicom"
    if head.startswith(b"NRRD000") or _is_meta_image(head):
        return "stack"
    if head.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"BM", b"II*\0", b"MM\0*")) and suffix != ".mjpeg":
        return "image"
    if _is_video(head):
        return "video"
    if suffix in DICOM_SUFFIXES or _is_bare_dicom(head):
        return "dicom"
    if suffix in STACK_SUFFIXES:
        return "stack"
    if suffix in IMAGE_SUFFIXES:
        return "image"
    return "video" if suffix in VIDEO_SUFFIXES else None


def _is_meta_image(head: bytes) -> bool:
    keys = [line.split(b"=", 1)[0].strip() for line in head.split(b"\n") if b"=" in line]
    return b"ObjectType" in keys or (b"NDims" in keys and b"DimSize" in keys)


def _is_video(head: bytes) -> bool:
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
        return True
    if head.startswith(
        (b"\x1a\x45\xdf\xa3", b"\0\0\x01\xba", b"\0\0\x01\xb3", b"\x30\x26\xb2\x75", b"FLV\x01", b"OggS")
    ):
        return True
    if head.startswith(b"RIFF") and head[8:12] == b"AVI ":
        return True
    return len(head) > 376 and head[0] == head[188] == head[376] == 0x47


def _is_bare_dicom(head: bytes) -> bool:
    """Tell whether bytes look like a data set without preamble: group 2 or 8 first, then a value representation."""
    little, big = head[:2] in (b"\x08\x00", b"\x02\x00"), head[:2] in (b"\x00\x08", b"\x00\x02")
    if not (little or big) or len(head) < 8:
        return False
    explicit = head[4:6].isalpha() and head[4:6].isupper()
    return explicit or (little and head[6:8] == b"\0\0")
