"""Connects to a computer without ever hanging: every wait looks at a stop event."""

from __future__ import annotations

import errno
import os
import select
import socket
import threading
import time

from puncta.core.errors import SourceLost

TURN_S = 0.1
CONNECT_S = 3.0


def connect_tcp(host: str, port: int, stop: threading.Event, timeout_s: float = CONNECT_S) -> socket.socket:
    """Return a connected socket with a short time-out.

    Raises
    ------
    SourceLost
        Nobody answers; the sentence says what to check.
    """
    place = f"{host}:{port}"
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise SourceLost(f"The name {host} is not known in this network; check the address.") from error
    words = f"Nothing answers at {place}; start the sender there or check the address."
    for family, kind, protocol, _name, address in found:
        link = socket.socket(family, kind, protocol)
        link.setblocking(False)
        try:
            code = _connect(link, address, stop, time.monotonic() + timeout_s)
        except OSError as error:
            code = error.errno or errno.EINVAL
        if code == 0:
            link.settimeout(TURN_S)
            return link
        link.close()
        if code in {errno.ENETUNREACH, errno.EHOSTUNREACH}:
            words = f"{host} cannot be reached from here ({os.strerror(code)}); check cable, network and address."
        elif code in {errno.EACCES, errno.EPERM}:
            words = f"Connecting to {place} is not allowed here; a firewall may stand in the way."
    raise SourceLost(words)


def _connect(link: socket.socket, address: object, stop: threading.Event, deadline_s: float) -> int:
    """Return 0 once connected, else the system's error number."""
    code = link.connect_ex(address)  # type: ignore[arg-type]
    if code not in {0, errno.EINPROGRESS, errno.EWOULDBLOCK, getattr(errno, "WSAEWOULDBLOCK", 0)}:
        return code
    while not stop.is_set() and time.monotonic() < deadline_s:
        # Windows tells a refusal in the third set.
        _read, ready, failed = select.select([], [link], [link], TURN_S)
        if ready or failed:
            return link.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    return errno.ETIMEDOUT
