"""Receives a stream of datagrams as a file that FFmpeg reads, so that every wait can be ended from outside."""

from __future__ import annotations

import errno
import ipaddress
import socket
import struct
import threading
import time

from puncta.core.errors import SourceError, SourceLost
from puncta.sources.live_address import NetworkAddress

BUFFER_BYTES = 4 * 1024 * 1024
LARGEST_DATAGRAM = 65_536
TURN_S = 0.1


class DatagramFile:
    """What arrives at a UDP port, read in order.

    Parameters
    ----------
    silent_words : str
        The sentence raised when nothing has come for ``patience_s`` [s].
    """

    def __init__(self, address: NetworkAddress, stop: threading.Event, silent_words: str, patience_s: float) -> None:
        self._stop, self._silent_words = stop, silent_words
        self.patience_s = patience_s
        self._rest = b""
        self._link = _listen(address)

    def read(self, size: int) -> bytes:
        """Return up to ``size`` bytes; b"" once stopped.

        Raises
        ------
        SourceLost
            Nothing has come for too long.
        """
        deadline_s = time.monotonic() + self.patience_s
        while not self._rest:
            if self._stop.is_set():
                return b""
            try:
                self._rest = self._link.recv(LARGEST_DATAGRAM)
            except TimeoutError:
                if time.monotonic() > deadline_s:
                    raise SourceLost(self._silent_words) from None
            except OSError as error:
                if error.errno != errno.ECONNREFUSED:
                    raise SourceLost(self._silent_words) from error
        part, self._rest = self._rest[:size], self._rest[size:]
        return part

    def close(self) -> None:
        """Close the port."""
        self._link.close()


def _listen(address: NetworkAddress) -> socket.socket:
    place = f"{address.host or 'this computer'}, port {address.port}"
    try:
        found = socket.getaddrinfo(address.host or "0.0.0.0", address.port, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError) as error:
        raise SourceError(f"The name {address.host} is not known in this network; check the address.") from error
    family, kind, protocol, _name, target = found[0]
    link = socket.socket(family, kind, protocol)
    try:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        group = ipaddress.ip_address(target[0])
        if group.is_multicast:
            link.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            _join(link, group, address.port)
        else:
            link.bind(target)
    except OSError as error:
        link.close()
        if error.errno == errno.EADDRINUSE:
            raise SourceLost(f"Another program listens at {place}; close it or choose another port.") from error
        if error.errno == errno.EADDRNOTAVAIL:
            raise SourceError(
                f"{address.host} is no address of this computer; write udp://@:{address.port} to listen everywhere."
            ) from error
        if error.errno in {errno.EACCES, errno.EPERM}:
            raise SourceError(f"Listening at {place} is not allowed here; choose a port above 1023.") from error
        raise SourceLost(f"Listening at {place} does not work ({error.strerror}); check the network.") from error
    link.settimeout(TURN_S)
    return link


def _join(link: socket.socket, group: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int) -> None:
    link.bind(("", port))
    if group.version == 4:
        member = struct.pack("4s4s", group.packed, socket.inet_aton("0.0.0.0"))
        link.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
    else:
        link.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, struct.pack("16sI", group.packed, 0))
