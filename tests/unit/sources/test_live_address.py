"""Addresses of live sources."""

from __future__ import annotations

import pytest

from puncta.core.errors import UserError
from puncta.sources.live_address import (
    is_live,
    parse_camera,
    parse_igtl,
    parse_rtsp,
    parse_screen,
    parse_udp,
    without_secret,
)


def test_a_password_is_never_shown() -> None:
    assert without_secret("rtsp://nurse:p@ss@host:554/live") == "rtsp://host:554/live"
    assert without_secret("rtsp://host/live") == "rtsp://host/live"
    assert without_secret("udp://@:5000") == "udp://@:5000"


@pytest.mark.parametrize("uri", ["rtsp://nurse:secret@", "rtsp://nurse:secret@host:99999/x", "rtsp://u:secret@[::1/x"])
def test_a_refusal_holds_no_password(uri: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_rtsp(uri)
    assert "secret" not in str(caught.value)


def test_what_is_live() -> None:
    assert all(is_live(uri) for uri in ("camera:0", "RTSP://h/x", "udp://@:1", "igtl://h", "screen:0,0,64,64"))
    assert not any(is_live(uri) for uri in ("sim:breast", "clip.mp4", "C:\\clip.mp4", "", "rtsp"))


def test_addresses_are_read() -> None:
    camera = parse_camera("camera:2?size=1280x720&fps=29.97&format=YUYV")
    assert (camera.number, camera.size_px, camera.fps, camera.pixel_format) == (2, (1280, 720), 29.97, "YUYV")
    assert parse_camera(camera.uri) == camera
    assert parse_screen("screen:-10,20,800,600") == (-10, 20, 800, 600)
    assert (parse_igtl("igtl://host").port, parse_igtl("igtl://h:1?device=A").device) == (18944, "A")
    assert parse_udp("udp://@:5000").host == "" and parse_udp("udp://239.1.1.1:5000").host == "239.1.1.1"
    assert parse_rtsp("rtsp://host/live").port == 554


@pytest.mark.parametrize(
    "uri",  # fmt: skip
    ["camera:", "camera:x", "camera:0?size=0x5", "camera:0?size=640", "camera:0?fps=-1", "camera:0?format=TOOLONG",
     "camera:0?zoom=2"],
)
def test_what_is_no_camera_is_refused_in_a_sentence(uri: str) -> None:
    with pytest.raises(UserError, match=r"^[^\n!]+\.$"):
        parse_camera(uri)


@pytest.mark.parametrize("uri", ["screen:", "screen:1,2,3", "screen:a,b,c,d", "screen:0,0,5,5"])
def test_what_is_no_region_is_refused_in_a_sentence(uri: str) -> None:
    with pytest.raises(UserError, match=r"^[^\n!]+\.$"):
        parse_screen(uri)
