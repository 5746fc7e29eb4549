"""Looks for live sources without making anybody wait: cameras, screens and OpenIGTLink servers, all at once."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import Executor

from puncta.sources.live_address import IGTL_PORT, NetworkAddress, parse_igtl, scheme_of

log = logging.getLogger(__name__)

Found = list[tuple[str, str]]
"""Words and address of each source."""
ANSWER_S = 1.5
"""A server that has not answered after this time [s] is not there."""


def igtl_places(recent: Iterable[str]) -> list[NetworkAddress]:
    """Where an OpenIGTLink server may be: on this computer, and where one was opened before."""
    places = [NetworkAddress("127.0.0.1", IGTL_PORT)]
    for uri in recent:
        if scheme_of(uri) == "igtl":
            with contextlib.suppress(ValueError):
                known = parse_igtl(uri)
                places.append(NetworkAddress(known.host, known.port))
    return list(dict.fromkeys(places))


async def discover(
    show: Callable[[Found], None], places: Iterable[NetworkAddress], threads: Executor | None = None
) -> Found:
    """Ask everything at once; `show` is called with all that is known, each time something is found.

    Drivers are asked in ``threads``, servers by the event loop; one that hangs holds nobody else up.
    """
    found: dict[int, Found] = {}
    loop = asyncio.get_running_loop()
    asked: list[Awaitable[Found]] = [loop.run_in_executor(threads, look) for look in (_cameras, _screens)]
    asked += [_server(place) for place in places]

    def so_far() -> Found:
        return [entry for place in sorted(found) for entry in found[place]]

    async def ask(place: int, what: Awaitable[Found]) -> None:
        try:
            entries = await what
        except Exception:
            log.exception("looking for live sources failed")
            return
        if entries:
            found[place] = entries
            show(so_far())

    await asyncio.gather(*(ask(place, what) for place, what in enumerate(asked)))
    return so_far()


async def _server(place: NetworkAddress) -> Found:
    """Tell whether somebody answers there; nothing is sent."""
    try:
        async with asyncio.timeout(ANSWER_S):
            _reader, writer = await asyncio.open_connection(place.host, place.port)
    except (OSError, TimeoutError, UnicodeError):
        return []
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return [("OpenIGTLink", f"igtl://{place.host}:{place.port}")]


def _cameras() -> Found:
    from puncta.sources.camera_listing import list_cameras

    found: Found = []
    for camera in list_cameras():
        for number, (words, address) in enumerate(camera.addresses()):
            found.append((words if number == 0 else f"{camera.name}, {words}", address))
    return found


def _screens() -> Found:
    from puncta.sources.screen import list_screens

    return [(f"{w} x {h}", f"screen:{x},{y},{w},{h}") for x, y, w, h in list_screens()]
