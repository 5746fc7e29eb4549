"""A real PostgreSQL server of its own for tests: started in a temporary folder, stopped and gone afterwards."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def find_programs() -> Path | None:
    """Return the folder of initdb and postgres, or None where there are none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)
    on_path = shutil.which("initdb")
    for initdb in [*found, *([Path(on_path)] if on_path else [])]:
        if (initdb.parent / "postgres").exists():
            return initdb.parent
    return None


def missing_part() -> str | None:
    """Return what keeps a server from being started here, in words; None where nothing does."""
    if os.name != "posix":
        return "a PostgreSQL server is started on POSIX systems only"
    if find_programs() is None:
        return "no PostgreSQL server is installed (Debian: apt install postgresql)"
    try:
        import psycopg  # noqa: F401
    except ImportError:
        return "psycopg is not installed"
    return None


class Server:
    """A running server; `stop` and `start` cut and mend the connection of everybody."""

    def __init__(self, folder: Path, programs: Path, port: int) -> None:
        self.folder = folder
        self.port = port
        self._programs = programs
        self._process: subprocess.Popen | None = None
        self._who: dict = {}
        if os.getuid() == 0:  # PostgreSQL refuses to run as root
            user = next((u for u in ("postgres", "nobody") if _exists(u)), "nobody")
            entry = pwd.getpwnam(user)
            os.chown(folder, entry.pw_uid, entry.pw_gid)
            self._who = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}

    def initialise(self) -> None:
        """Make the server's files."""
        subprocess.run(
            [self._programs / "initdb", "-D", self.folder / "data", "-U", "puncta", "-A", "trust", "-E", "UTF8",
             "--locale=C", "--no-sync"],
            check=True, capture_output=True, cwd=self.folder, **self._who,
        )  # fmt: skip

    def start(self) -> None:
        """Start it and wait until it answers."""
        import psycopg

        log = (self.folder / "log").open("ab")
        self._process = subprocess.Popen(
            [self._programs / "postgres", "-D", self.folder / "data", "-p", str(self.port), "-k", self.folder,
             "-c", "listen_addresses=127.0.0.1", "-c", "max_connections=60", "-c", "fsync=off"],
            stdout=log, stderr=log, cwd=self.folder, **self._who,
        )  # fmt: skip
        log.close()
        for _ in range(300):
            try:
                psycopg.connect(f"host=127.0.0.1 port={self.port} user=puncta dbname=postgres").close()
                return
            except psycopg.OperationalError:
                if self._process.poll() is not None:
                    break
                time.sleep(0.1)
        raise RuntimeError((self.folder / "log").read_text(errors="replace")[-2000:])

    def stop(self, *, for_good: bool = False) -> None:
        """Stop it at once: every connection breaks. ``for_good`` leaves files behind that nobody reads again."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT if for_good else signal.SIGINT)
            self._process.wait(60)
            self._process = None

    def start_again(self) -> None:
        """Start it where it is stopped."""
        if self._process is None:
            self.start()

    def make_store(self, name: str) -> str:
        """Make room for a store, a schema of its own; return its address."""
        import psycopg

        with psycopg.connect(f"host=127.0.0.1 port={self.port} user=puncta dbname=postgres", autocommit=True) as link:
            link.execute(f'CREATE SCHEMA "{name}"')
        return f"postgresql://puncta@127.0.0.1:{self.port}/postgres?options=-csearch_path%3D{name}"


def _exists(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True


@contextmanager
def running_server() -> Iterator[Server]:
    """Run a server for the time of the block."""
    programs = find_programs()
    assert programs is not None
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = Path(tempfile.mkdtemp(prefix="puncta-pg-"))
    server = Server(folder, programs, port)
    try:
        server.initialise()
        server.start()
        yield server
    finally:
        server.stop(for_good=True)
        shutil.rmtree(folder, ignore_errors=True)
