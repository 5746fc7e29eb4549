"""Stands between a live peer and Puncta, and spoils what passes on command: damaged bytes, a slow line, silence."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
import time
from enum import StrEnum

TURN_S = 0.05
SLOW_BYTES_PER_S = 20_000
"""A slow line lets so much through; a picture of the peers here takes some 5,000 to 10,000 bytes coded."""


class Line(StrEnum):
    """What a relay does with what passes."""

    GOOD = "good"
    DAMAGED = "damaged"
    SLOW = "slow"
    SILENT = "silent"


class Relay:
    """Passes a peer's bytes on; used as a context manager. The way back is never spoilt.

    Parameters
    ----------
    peer_port : int
        TCP: where the peer listens. UDP: where to send on to.
    udp : bool
        Datagrams instead of connections.
    """

    def __init__(self, peer_port: int, *, udp: bool = False) -> None:
        self._peer_port, self._udp = peer_port, udp
        self.line = Line.GOOD
        self.spoilt = 0
        self._random = random.Random(7)
        self._ended = threading.Event()
        kind = socket.SOCK_DGRAM if udp else socket.SOCK_STREAM
        self._door = socket.socket(socket.AF_INET, kind)
        self._door.bind(("127.0.0.1", 0))
        self._door.settimeout(TURN_S)
        if not udp:
            self._door.listen(8)
        self.port = int(self._door.getsockname()[1])
        self._threads = [threading.Thread(target=self._pass_datagrams if udp else self._let_in, name="relay")]

    def __enter__(self) -> Relay:
        self._threads[0].start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._ended.set()
        for thread in list(self._threads):
            thread.join(10)
        self._door.close()

    def _let_in(self) -> None:
        while not self._ended.is_set():
            with contextlib.suppress(TimeoutError):
                client, _ = self._door.accept()
                thread = threading.Thread(target=self._serve, args=(client,), name="relay")
                self._threads.append(thread)
                thread.start()

    def _serve(self, client: socket.socket) -> None:
        """One connection, from both sides in turn; a peer that is not there closes it."""
        with client:
            try:
                peer = socket.create_connection(("127.0.0.1", self._peer_port), 1.0)
            except OSError:
                return
            with peer:
                back = threading.Thread(target=self._pass_back, args=(client, peer), name="relay")
                back.start()
                self._pass_on(peer, client)
                for end in (peer, client):
                    with contextlib.suppress(OSError):
                        end.shutdown(socket.SHUT_RDWR)
                back.join(10)

    def _pass_back(self, client: socket.socket, peer: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                peer.sendall(data)

    def _pass_on(self, peer: socket.socket, client: socket.socket) -> None:
        peer.settimeout(TURN_S)
        while not self._ended.is_set():
            if self.line is Line.SILENT:
                self._ended.wait(TURN_S)
                continue
            size = SLOW_BYTES_PER_S // 20 if self.line is Line.SLOW else 65536
            try:
                data = peer.recv(size)
            except TimeoutError:
                continue
            except OSError:
                return
            if not data:
                return
            try:
                client.sendall(self._spoil(data))
            except OSError:
                return

    def _pass_datagrams(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            while not self._ended.is_set():
                try:
                    data = self._door.recv(65536)
                except TimeoutError:
                    continue
                if self.line is not Line.SILENT:
                    out.sendto(self._spoil(data), ("127.0.0.1", self._peer_port))

    def _spoil(self, data: bytes) -> bytes:
        if self.line is Line.SLOW and not self._udp:
            time.sleep(len(data) / SLOW_BYTES_PER_S)
        elif self.line is Line.SLOW and self._random.random() < 0.7:
            return b""  # what a line is too slow for is dropped where datagrams go
        elif self.line is Line.DAMAGED and self._random.random() < 0.4:
            self.spoilt += 1
            spoilt = bytearray(data)
            for _ in range(max(1, len(data) // 600)):
                spoilt[self._random.randrange(len(spoilt))] ^= 1 << self._random.randrange(8)
            return bytes(spoilt)
        return data
