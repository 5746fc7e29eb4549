"""From the address of a live source to the source."""

from __future__ import annotations

from puncta.core.errors import UserError
from puncta.core.ports import Clock
from puncta.sources.live import LiveSource
from puncta.sources.live_address import (
    parse_camera,
    parse_clarius,
    parse_igtl,
    parse_rtsp,
    parse_screen,
    parse_udp,
    scheme_of,
)


def open_live(uri: str, clock: Clock | None = None) -> LiveSource:
    """Open a camera, a network stream, an OpenIGTLink server or a screen region; returns at once.

    Raises
    ------
    UserError
        The address is not understood. What the device itself has to say comes from the source's ``info``.
    """
    scheme = scheme_of(uri)
    if scheme == "camera":
        from puncta.sources.camera import open_camera

        return open_camera(uri, clock)
    if scheme == "screen":
        from puncta.sources.screen import open_screen

        return open_screen(uri, clock)
    if scheme == "igtl":
        from puncta.sources.igtl import open_igtl

        return open_igtl(uri, clock)
    if scheme == "clarius":
        from puncta.sources.clarius import open_clarius

        return open_clarius(uri, clock)
    if scheme in {"rtsp", "rtsps", "udp"}:
        from puncta.sources.stream import open_stream

        return open_stream(uri, clock)
    raise UserError(f"{uri} is no live source; write camera:0, rtsp://, udp://, igtl://, clarius:// or screen:x,y,w,h.")


def check_address(uri: str) -> None:
    """Read an address without opening anything.

    Raises
    ------
    UserError
        It is not understood; the sentence says how it is written.
    """
    scheme = scheme_of(uri)
    if scheme == "camera":
        parse_camera(uri)
    elif scheme == "screen":
        parse_screen(uri)
    elif scheme == "igtl":
        parse_igtl(uri)
    elif scheme == "clarius":
        parse_clarius(uri)
    elif scheme == "udp":
        parse_udp(uri)
    elif scheme in {"rtsp", "rtsps"}:
        parse_rtsp(uri)
    else:
        raise UserError("An address begins with camera:, rtsp://, udp://, igtl://, clarius:// or screen:.")
