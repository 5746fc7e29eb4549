"""The leak guard of conftest.py fails a test that leaks, and lets a clean one pass."""

from __future__ import annotations

from pathlib import Path

import pytest

CONFTEST = Path(__file__).resolve().parents[1] / "conftest.py"


def run_inner(pytester: pytest.Pytester, source: str, *, qt: bool = False) -> pytest.RunResult:
    """Run `source` as a test file under the project's conftest, in a process of its own."""
    pytester.makeconftest(CONFTEST.read_text(encoding="utf-8"))
    pytester.makepyfile(source)
    arguments = ["-p", "no:cacheprovider", "-p", "no:xdist"]
    if not qt:
        arguments += ["-p", "no:pytest-qt"]
    return pytester.runpytest_subprocess(*arguments)


def test_threads_that_stay_alive_fail_their_test_and_only_theirs(pytester: pytest.Pytester) -> None:
    result = run_inner(
        pytester,
        """
        import threading

        gate = threading.Event()

        def test_leaks_daemon():
            threading.Thread(target=gate.wait, name="stray-daemon", daemon=True).start()

        def test_clean():
            pass

        def test_leaks_plain():
            thread = threading.Thread(target=gate.wait, args=(10,), name="stray-plain")
            thread.start()

        def test_opens_the_gate():
            gate.set()
        """,
    )
    result.assert_outcomes(passed=4, errors=2)
    result.stdout.fnmatch_lines(["*leaves behind: thread 'stray-daemon'*", "*leaves behind: thread 'stray-plain'*"])


def test_a_thread_that_ends_within_the_grace_time_is_no_leak(pytester: pytest.Pytester) -> None:
    result = run_inner(
        pytester,
        """
        import threading
        import pytest

        @pytest.fixture(scope="module")
        def shared_worker():
            gate = threading.Event()
            thread = threading.Thread(target=gate.wait)
            thread.start()
            yield
            gate.set()
            thread.join()

        def test_ends_soon():
            threading.Timer(0.2, lambda: None).start()

        def test_uses_a_thread_of_the_module(shared_worker):
            pass

        def test_fails_by_itself():
            threading.Thread(target=threading.Event().wait, daemon=True).start()
            assert False, "its own reason"
        """,
    )
    # The last one is reported once, with its own reason, and not a second time for its thread.
    result.assert_outcomes(passed=2, failed=1)


def test_top_level_widgets_that_survive_fail_their_test(pytester: pytest.Pytester) -> None:
    pytest.importorskip("PySide6.QtWidgets", exc_type=ImportError, reason="Qt cannot be loaded on this machine")
    result = run_inner(
        pytester,
        """
        from PySide6.QtWidgets import QApplication, QLabel, QWidget

        kept = []

        def test_leaves_a_window(qapp):
            window = QWidget()
            window.setObjectName("stray")
            window.show()
            kept.append(window)

        def test_leaves_a_hidden_window(qapp):
            kept.append(QLabel("never shown"))

        def test_closes_its_window(qapp):
            window = QWidget()
            window.show()
            window.close()
            window.deleteLater()
            kept.append(window)

        def test_gives_its_window_to_qtbot(qtbot):
            window = QWidget()
            qtbot.addWidget(window)
            window.show()
        """,
        qt=True,
    )
    result.assert_outcomes(passed=4, errors=2)
    result.stdout.fnmatch_lines(
        ["*leaves behind: top-level widget QWidget('stray', visible)*", "*top-level widget QLabel('', hidden)*"]
    )


def test_each_test_has_its_own_user_folders(user_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from puncta import paths

    folders = [paths.user_config_dir(), paths.user_data_dir(), paths.user_cache_dir(), paths.user_log_dir()]
    assert all(folder.is_relative_to(user_home) for folder in folders)
    assert len(set(folders)) == len(folders)
