"""Stores to test on: a SQLite file, and a real PostgreSQL server where one can be started."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pg_server
import pytest
import sqlalchemy as sa

from puncta.annotation.store import AnnotationStore


def without_waiting_for_the_disk(store: AnnotationStore) -> AnnotationStore:
    """Take out what only a power cut would show; tests that kill a process open their store as it ships."""
    if store.engine.dialect.name == "sqlite":
        store.engine.dispose()
        sa.event.listen(store.engine, "connect", lambda link, _r: link.execute("PRAGMA synchronous=OFF").close())
    return store


@pytest.fixture(scope="module")
def lasting_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AnnotationStore]:
    """One SQLite store for all examples of a test."""
    store = without_waiting_for_the_disk(AnnotationStore.open(tmp_path_factory.mktemp("lasting") / "labels.sqlite"))
    yield store
    store.close()


@pytest.fixture(scope="session")
def postgres() -> Iterator[pg_server.Server]:
    """A PostgreSQL server, started once."""
    missing = pg_server.missing_part()
    if missing:
        pytest.skip(missing)
    with pg_server.running_server() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """Where a new store is to be."""
    if request.param == "sqlite":
        return tmp_path / "labels.sqlite"
    return request.getfixturevalue("postgres").make_store(f"t{uuid.uuid4().hex}")


@pytest.fixture
def open_store(place: Path | str) -> Iterator[Callable[[], AnnotationStore]]:
    """Open the same store any number of times; all are closed at the end."""
    opened: list[AnnotationStore] = []

    def open_one() -> AnnotationStore:
        opened.append(without_waiting_for_the_disk(AnnotationStore.open(place)))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


@pytest.fixture
def store(open_store: Callable[[], AnnotationStore]) -> AnnotationStore:
    """A new store."""
    return open_store()
