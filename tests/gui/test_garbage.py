"""Rings of references are looked for in the GUI thread alone while a window is open."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator

import pytest
from PySide6.QtCore import QObject
from shiboken6 import Shiboken

from puncta.gui.garbage import GarbageSearch, no_search


@pytest.fixture
def searched() -> Iterator[list[threading.Thread]]:
    """Threads that searched, in order."""
    seen: list[threading.Thread] = []

    def take(phase: str, _info: dict[str, int]) -> None:
        if phase == "start":
            seen.append(threading.current_thread())

    gc.callbacks.append(take)
    yield seen
    gc.callbacks.remove(take)


@pytest.fixture(autouse=True)
def searching() -> Iterator[None]:
    """Python searches, as it does where the tests of this room do not forbid it."""
    gc.enable()
    yield
    gc.disable()


@pytest.fixture
def search(qapp: object) -> Iterator[GarbageSearch]:
    """A search as an open window has it."""
    search = GarbageSearch()
    yield search
    search.close()
    search.deleteLater()


class _Ended(QObject):
    """Part of a ring; says in which thread it ends."""

    def __init__(self, told: list[threading.Thread]) -> None:
        super().__init__()
        self.me = self
        self.told = told

    def __del__(self) -> None:
        self.told.append(threading.current_thread())


def make_many(stop: Callable[[], bool]) -> None:
    """Make rings until told to stop, as busy jobs do."""
    while not stop():
        for _ in range(2000):
            ring: list[object] = []
            ring.append(ring)


def test_a_busy_thread_ends_no_qt_object(qtbot, searched, search) -> None:
    """Without the search in the GUI thread, the thread that makes most objects ends it."""
    ended: list[threading.Thread] = []
    _Ended(ended)
    searched.clear()
    done = threading.Event()
    busy = threading.Thread(target=make_many, args=(done.is_set,))
    busy.start()
    try:
        qtbot.waitUntil(lambda: bool(ended))
    finally:
        done.set()
        busy.join()
    assert ended == [threading.main_thread()]
    assert searched and set(searched) == {threading.main_thread()}


def test_python_searches_again_after_the_last_window(search) -> None:
    second = GarbageSearch()
    assert not gc.isenabled()
    search.close()
    assert not gc.isenabled(), "one window is still open"
    second.close()
    second.close()
    assert gc.isenabled()
    second.deleteLater()


def test_nothing_is_searched_where_there_is_nothing_new(searched, search) -> None:
    gc.collect()
    searched.clear()
    search.look()
    assert searched == []


def test_the_search_waits_while_labels_are_read(searched, search) -> None:
    """Also the timer does."""
    with no_search():
        made = [[] for _ in range(5000)]
        searched.clear()
        search.look()
        assert searched == []
    search.look()
    assert len(searched) == 1 and len(made) == 5000


def test_of_two_that_read_the_last_one_gives_the_search_back() -> None:
    """In whatever order they end: readers are threads of their own."""
    first, second = no_search(), no_search()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert not gc.isenabled()
    second.__exit__(None, None, None)
    assert gc.isenabled()


def test_a_closed_window_leaves_nothing_for_other_threads_to_end(stage) -> None:
    """The ring of a window and its player holds these three; who finds the ring finds them ended."""
    parts = stage.open()
    assert not gc.isenabled()
    stage.close(parts)
    assert not any(Shiboken.isValid(part) for part in (parts.bridge, parts.jobs, parts.garbage))
    parts.bridge.wake()
    parts.jobs.run(lambda: None)
    assert gc.isenabled()
