"""What every test gets: its own user folders, real data where it is there, and a guard against leaks."""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

# Before anything imports Qt. A test that needs a real screen starts a process with its own setting.
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
# Two busy OpenMP processes on two cores make each other many times slower.
os.environ.setdefault("OMP_NUM_THREADS", "1")

REPO = Path(__file__).resolve().parents[1]
SHARED_DATA = REPO.parent / "shared" / "data"
GRACE_S = 2.0

# No test is a measurement of time, and a busy machine may stop for a second anywhere.
hypothesis.settings.register_profile("puncta", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("puncta")

# Qt keeps one tool tip for the whole program.
KEPT_BY_QT = {"QTipLabel"}

_call_failed = pytest.StashKey[bool]()


@pytest.fixture(scope="session")
def repo_root() -> Path:
    """The top folder of the project."""
    return REPO


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real recordings beside the project; the test is skipped where they are absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip("real recordings are absent: there is no ../shared/data beside the project")
    return SHARED_DATA


@pytest.fixture(autouse=True)
def user_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Settings, data, cache and logs of this one test, so that no test sees those of the user or of another."""
    home = tmp_path_factory.mktemp("user")
    monkeypatch.setenv("PUNCTA_HOME", str(home))
    return home


@pytest.fixture(autouse=True)
def leak_guard(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that leaves a thread running or a top-level widget behind.

    Both get a grace time, since closing is often asynchronous: threads are joined for up to `GRACE_S`, widgets get
    their deferred deletion and one garbage collection. Fixtures of a wider scope may keep what they started.
    """
    threads = set(threading.enumerate())
    widgets = list_top_level_widgets()  # held, so that no new widget gets the identity of one that is gone
    yield
    if "torch" in sys.modules:
        # Training sets this for its whole process; other tests of this process need small numbers to stay numbers.
        sys.modules["torch"].set_flush_denormal(False)
    if request.node.stash.get(_call_failed, False):
        return  # the traceback of the failure keeps its frames, and with them windows and threads, alive
    left = [f"thread {name!r}" for name in join_new_threads(threads)]
    left += [f"top-level widget {name}" for name in find_new_widgets(widgets)]
    if left:
        pytest.fail(f"this test leaves behind: {', '.join(left)}", pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> object:
    report = yield
    if call.when == "call":
        item.stash[_call_failed] = call.excinfo is not None
    return report


def join_new_threads(before: set[threading.Thread]) -> list[str]:
    """Return the names of the Python threads that are not in `before` and still run after the grace time."""
    # A dummy stands for a thread that a C library made; Python cannot tell when it has ended.
    new = [t for t in threading.enumerate() if t not in before and not isinstance(t, threading._DummyThread)]
    deadline = time.monotonic() + GRACE_S
    for thread in new:
        thread.join(max(0.0, deadline - time.monotonic()))
    return [thread.name for thread in new if thread.is_alive()]


def list_top_level_widgets() -> list[object]:
    """Return all widgets without a parent; none where nothing has imported Qt's widgets or made the application."""
    qt = sys.modules.get("PySide6.QtWidgets")
    if qt is None or not isinstance(qt.QApplication.instance(), qt.QApplication):
        return []
    return [w for w in qt.QApplication.topLevelWidgets() if w.parent() is None]


def find_new_widgets(before: list[object]) -> list[str]:
    """Return class and name of each top-level widget that is not in `before` and survives its deferred deletion."""

    known = {id(widget) for widget in before}

    def describe_new() -> list[str]:
        return [
            f"{type(w).__name__}({w.objectName()!r}, {'visible' if w.isVisible() else 'hidden'})"
            for w in list_top_level_widgets()
            if id(w) not in known and w.metaObject().className() not in KEPT_BY_QT
        ]

    if not describe_new():
        return []
    core = sys.modules["PySide6.QtCore"]
    gc.collect()
    core.QCoreApplication.sendPostedEvents(None, core.QEvent.Type.DeferredDelete)
    core.QCoreApplication.processEvents()
    return describe_new()
