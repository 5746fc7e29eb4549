"""Addresses of live sources: what they look like, and what of them may be shown and stored."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qs, urlsplit

from puncta.core.errors import UserError

NETWORK_SCHEMES = ("rtsp", "rtsps", "udp", "igtl", "clarius")
LIVE_SCHEMES = ("camera", "screen", *NETWORK_SCHEMES)
IGTL_PORT = 18944
CLARIUS_PORT = 5828
CLARIUS_SIZE_PX = (640, 480)
LARGEST_PORT = 65535


def scheme_of(uri: str) -> str:
    """Return the kind of an address, "camera"; "" for what has none (also for a Windows drive)."""
    scheme, colon, _rest = uri.strip().partition(":")
    return scheme.lower() if colon and len(scheme) > 1 else ""


def is_live(uri: str) -> bool:
    """Tell whether an address names a live source: a camera, a screen region, a network stream."""
    return scheme_of(uri) in LIVE_SCHEMES


def without_secret(uri: str) -> str:
    """Return an address without the name and password in it, for screens, logs and files.

    Examples
    --------
    >>> without_secret("rtsp://nurse:secret@10.0.0.5:554/live")
    'rtsp://10.0.0.5:554/live'
    """
    if not is_live(uri) or "@" not in uri or "://" not in uri:
        return uri
    scheme, _mark, rest = uri.partition("://")
    place, slash, path = rest.partition("/")
    if scheme.lower() == "udp":
        return uri  # udp://@:5000 holds no name
    return f"{scheme}://{place.rpartition('@')[2]}{slash}{path}"


@dataclass(frozen=True, slots=True)
class CameraAddress:
    """``camera:0?size=1280x720&fps=30&format=MJPG``; what is not asked for is left to the driver."""

    number: int
    size_px: tuple[int, int] | None = None
    fps: float | None = None
    pixel_format: str | None = None

    @property
    def uri(self) -> str:
        """The address that asks for this."""
        asked = []
        if self.size_px:
            asked.append(f"size={self.size_px[0]}x{self.size_px[1]}")
        if self.fps:
            asked.append(f"fps={self.fps:g}")
        if self.pixel_format:
            asked.append(f"format={self.pixel_format}")
        return f"camera:{self.number}" + ("?" + "&".join(asked) if asked else "")


def parse_camera(uri: str) -> CameraAddress:
    """Read a camera's address.

    Raises
    ------
    UserError
        It is not understood.
    """
    place, _mark, query = uri.strip().partition(":")[2].partition("?")
    keys = _keys(uri, query, {"size", "fps", "format"})
    if not (place.isascii() and place.isdigit()) or len(place) > 3:
        raise UserError(f"{uri} names no camera; write camera:0 for the first one ('puncta open --list' shows them).")
    size = None
    if "size" in keys:
        size = _whole_numbers(uri, keys["size"].lower().split("x"), "size is written as 1280x720")
        if len(size) != 2:
            raise UserError(f"{uri} is not understood: size is written as 1280x720.")
    fps = None
    if "fps" in keys:
        try:
            fps = float(keys["fps"])
        except ValueError:
            fps = 0.0
        if not 0 < fps <= 1000:
            raise UserError(f"{uri} is not understood: fps is a number of pictures a second, for example 30.")
    code = keys.get("format")
    if code is not None and not (code.isascii() and len(code) == 4):
        raise UserError(f"{uri} is not understood: format is a code of four letters, for example MJPG or YUYV.")
    return CameraAddress(int(place), (size[0], size[1]) if size else None, fps, code.upper() if code else None)


def parse_screen(uri: str) -> tuple[int, int, int, int]:
    """Return left, top, width and height [px] of ``screen:x,y,w,h``.

    Raises
    ------
    UserError
        It is not understood, or the region is too small for a picture.
    """
    words = uri.strip().partition(":")[2].split(",")
    hint = "a screen region is written as screen:x,y,w,h in pixels, for example screen:100,80,800,600"
    if len(words) != 4:
        raise UserError(f"{uri} is not understood: {hint}.")
    try:
        x, y, w, h = (int(word) for word in words)
    except ValueError as error:
        raise UserError(f"{uri} is not understood: {hint}.") from error
    if w < 16 or h < 16:
        raise UserError(f"{uri} is too small; a screen region has at least 16 x 16 pixels.")
    return x, y, w, h


@dataclass(frozen=True, slots=True)
class NetworkAddress:
    """Host and port of a network source."""

    host: str
    port: int
    device: str = ""


def parse_igtl(uri: str) -> NetworkAddress:
    """Read ``igtl://host:18944?device=NAME``; without a port it is 18944, without a device the first that sends.

    Raises
    ------
    UserError
        It is not understood.
    """
    parts = _split(uri)
    keys = _keys(uri, parts.query, {"device"})
    if not parts.hostname:
        raise UserError(f"{uri} names no computer; write igtl://HOST:{IGTL_PORT}.")
    return NetworkAddress(parts.hostname, _port(uri, IGTL_PORT), keys.get("device", ""))


@dataclass(frozen=True, slots=True)
class ClariusAddress:
    """Host and port of a probe, and the size its pictures are to have [px]."""

    host: str
    port: int
    size_px: tuple[int, int] = CLARIUS_SIZE_PX


def parse_clarius(uri: str) -> ClariusAddress:
    """Read ``clarius://192.168.1.1:5828?size=800x600``; the port is shown in the Clarius App, 5828 for research.

    Raises
    ------
    UserError
        It is not understood.
    """
    parts = _split(uri)
    keys = _keys(uri, parts.query, {"size"})
    if not parts.hostname:
        raise UserError(f"{uri} names no probe; write clarius://HOST:{CLARIUS_PORT} as the Clarius App shows it.")
    size = CLARIUS_SIZE_PX
    if "size" in keys:
        numbers = _whole_numbers(uri, keys["size"].lower().split("x"), "size is written as 800x600")
        if len(numbers) != 2:
            raise UserError(f"{uri} is not understood: size is written as 800x600.")
        size = (numbers[0], numbers[1])
    return ClariusAddress(parts.hostname, _port(uri, CLARIUS_PORT), size)


def parse_udp(uri: str) -> NetworkAddress:
    """Read ``udp://@:5000`` or ``udp://239.1.1.1:5000``: where this computer listens for MPEG-TS.

    Raises
    ------
    UserError
        It is not understood.
    """
    parts = _split(uri)
    port = _port(uri, 0)
    if not port:
        raise UserError(f"{without_secret(uri)} names no port; write udp://@:5000 to listen at port 5000.")
    return NetworkAddress(parts.hostname or "", port)


def parse_rtsp(uri: str) -> NetworkAddress:
    """Return host and port of an ``rtsp://`` address.

    Raises
    ------
    UserError
        It is not understood.
    """
    parts = _split(uri)
    if not parts.hostname:
        raise UserError(f"{without_secret(uri)} names no computer; write rtsp://HOST:554/NAME.")
    return NetworkAddress(parts.hostname, _port(uri, 322 if parts.scheme == "rtsps" else 554))


def _split(uri: str) -> SplitResult:
    try:
        return urlsplit(uri.strip())
    except ValueError as error:
        raise UserError(f"{without_secret(uri)} is no address; write it as KIND://HOST:PORT.") from error


def _port(uri: str, default: int) -> int:
    try:
        port = urlsplit(uri.strip()).port
    except ValueError as error:
        raise UserError(f"{without_secret(uri)} has no port from 1 to {LARGEST_PORT}; check the number.") from error
    return default if port is None else port


def _keys(uri: str, query: str, known: set[str]) -> dict[str, str]:
    keys = {name: values[-1] for name, values in parse_qs(query, keep_blank_values=True).items()}
    unknown = sorted(set(keys) - known)
    if unknown:
        there = ", ".join(sorted(known))
        raise UserError(f"{without_secret(uri)} has the unknown key {unknown[0]}; there are {there}.")
    return keys


def _whole_numbers(uri: str, words: list[str], hint: str) -> list[int]:
    try:
        numbers = [int(word) for word in words]
    except ValueError as error:
        raise UserError(f"{uri} is not understood: {hint}.") from error
    if any(not 0 < number <= 16384 for number in numbers):
        raise UserError(f"{uri} is not understood: {hint}.")
    return numbers
