"""From the address of a live source to the source."""

from __future__ import annotations

from puncta.core.errors import UserError
from puncta.core.ports import Clock
from puncta.sources.live import LiveSource
from puncta.sources.live_address import scheme_of


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
    if scheme in {"rtsp", "rtsps", "udp"}:
        from puncta.sources.stream import open_stream

        return open_stream(uri, clock)
    raise UserError(f"{uri} is no live source; write camera:0, rtsp://, udp://, igtl:// or screen:x,y,w,h.")
