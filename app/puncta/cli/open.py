"""`puncta open`: the window on a source."""

from __future__ import annotations

import argparse

from puncta.core.errors import BugError

NAME = "open"
HELP = "open the window on a source"
DESCRIPTION = """\
Open the window on a source and play it. Without SOURCE: the last case, or the sample.

A live source is camera:0 (also camera:0?size=1280x720&fps=30&format=MJPG), rtsp://HOST/NAME, udp://@:5000 (MPEG-TS),
igtl://HOST:18944, clarius://HOST:5828 or screen:x,y,w,h. It connects again by itself when it is lost."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("source", metavar="SOURCE", nargs="?", help="a file, a folder, sim:breast, or a live source")
    parser.add_argument("--list", action="store_true", help="print the cameras and screens that are here, and end")


def run(args: argparse.Namespace) -> int:
    """Open the window and return when it is closed."""
    if getattr(args, "list", False):
        return _print_devices()
    if args.windows is None:
        raise BugError("the command line was started without a window to open")
    return args.windows.open_window(args.source)


def _print_devices() -> int:
    from puncta.sources.camera_listing import list_cameras
    from puncta.sources.screen import list_screens

    cameras, screens = list_cameras(), list_screens()
    for camera in cameras:
        for words, address in camera.addresses():
            print(f"{address:<48} {words}")
    for x, y, w, h in screens:
        print(f"{f'screen:{x},{y},{w},{h}':<48} the whole screen, {w} x {h}")
    if not cameras:
        print("No camera or capture card is here. Plug it in and ask again.")
    if not screens:
        print("No screen can be read here.")
    return 0
