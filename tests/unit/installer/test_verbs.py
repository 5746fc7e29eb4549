"""What `run` and `test` do with their words, and what they say when they cannot."""

from __future__ import annotations

import ast
import errno
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bootstrap_steps import sample, system, verbs
from bootstrap_steps.environment import TO_RUN, TO_TEST, Environment, Purpose
from bootstrap_steps.stop import StopInstalling

ABSENT = system.Library("libnot-there.so.1", "not-there", "not-there", "not-there")


class Seen:
    """What was prepared and which command line was started."""

    def __init__(self) -> None:
        self.prepared: list[tuple[Purpose, str | None]] = []
        self.called: list[list[str]] = []
        self.environ: dict[str, str] = {}
        self.peers: list[Path] = []


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    """Take down what the verbs do, with nothing installed and nothing started."""
    log = Seen()

    def call(
        environment: Environment, arguments: list[str], environ: dict[str, str], folder: Path | None = None
    ) -> int:
        log.called.append(arguments)
        log.environ = environ
        return 7

    monkeypatch.setattr(Environment, "prepare", lambda self, purpose, index=None: log.prepared.append((purpose, index)))
    monkeypatch.setattr(verbs, "_call", call)
    monkeypatch.setattr(verbs, "_install_test_tools", lambda: None)
    monkeypatch.setattr(Environment, "add_peers", lambda self: log.peers.append(self.folder))
    monkeypatch.setattr(system, "install_missing_libraries", lambda environ: [])
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "PUNCTA_HEADLESS"):
        monkeypatch.delenv(name, raising=False)
    return log


def test_a_display_opens_the_window(seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "has_display", lambda environ: True)
    assert verbs.start(["run"]) == 7
    assert seen.prepared == [(TO_RUN, None)]
    assert seen.called == [["-m", "puncta"]]


def test_no_display_runs_the_sample(seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "has_display", lambda environ: False)
    monkeypatch.setattr(system, "install_missing_libraries", lambda environ: [ABSENT])
    monkeypatch.setattr(sample, "run_sample", lambda python, root, environ: 0)
    assert verbs.start(["run"]) == 0
    assert seen.called == []


def test_a_window_without_its_libraries_stops_with_the_line(
    seen: Seen, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(system, "has_display", lambda environ: True)
    monkeypatch.setattr(system, "install_missing_libraries", lambda environ: [ABSENT])
    monkeypatch.setattr(system, "find_package_manager", lambda: system.PackageManager("dnf", None))
    assert verbs.start(["run"]) == 2
    said = capsys.readouterr().err
    assert "sudo dnf install -y not-there" in said
    assert "PUNCTA_HEADLESS=1" in said
    assert seen.called == []


def test_words_after_run_are_the_programs(seen: Seen) -> None:
    assert verbs.start(["run", "run", "a.mp4", "--help"]) == 7
    assert seen.called == [["-m", "puncta", "run", "a.mp4", "--help"]]


def test_words_after_test_are_pytests(seen: Seen) -> None:
    assert verbs.start(["test", "-k", "frame", "--torch-index", "https://index.example", "tests/unit"]) == 7
    assert seen.prepared == [(TO_TEST, "https://index.example")]
    shared = ["-n", "2", "--dist", "loadfile", "--max-worker-restart", "0"]
    assert seen.called == [["-m", "pytest", "-rs", *shared, "-k", "frame", "tests/unit"]]
    assert seen.environ["QT_QPA_PLATFORM"] == "offscreen"


@pytest.mark.parametrize("own", ["-n0", "--numprocesses=4", "--pdb"])
def test_own_workers_are_left_alone(seen: Seen, own: str) -> None:
    verbs.start(["test", own])
    assert seen.called == [["-m", "pytest", "-rs", own]]


def test_tests_without_qts_libraries_stop_with_the_line(
    seen: Seen, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(system, "install_missing_libraries", lambda environ: [ABSENT])
    monkeypatch.setattr(system, "find_package_manager", lambda: system.PackageManager("apt", None))
    assert verbs.start(["test"]) == 2
    assert "sudo apt-get install" in capsys.readouterr().err
    assert seen.called == []


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"]])
def test_help_names_both_verbs(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert verbs.start(words) == 0
    said = capsys.readouterr().out
    assert "bootstrap.py run" in said
    assert "bootstrap.py test" in said
    assert max(len(line) for line in said.splitlines()) <= 80


def test_another_verb_is_refused_in_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert verbs.start(["install"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "'install'" in said


def raise_it(error: BaseException) -> Callable[..., None]:
    def fail(*_: object) -> None:
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (StopInstalling("Do this first."), 2, "Do this first."),
        (KeyboardInterrupt(), 130, "goes on from here"),
        (OSError(errno.ENOSPC, "No space left on device", "some/file"), 2, "some/file cannot be written"),
        (PermissionError(errno.EACCES, "Permission denied", "some/file"), 2, "some/file cannot be written"),
    ],
)
def test_what_stops_an_installation_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException, status: int, said: str
) -> None:
    monkeypatch.setattr(Environment, "prepare", raise_it(error))
    assert verbs.start(["run"]) == status
    printed = capsys.readouterr().err
    assert said in printed
    assert "Traceback" not in printed


def test_our_own_faults_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Environment, "prepare", raise_it(OSError(errno.EBADF, "Bad file descriptor")))
    with pytest.raises(OSError, match="Bad file descriptor"):
        verbs.start(["run"])


def test_an_old_python_gets_one_sentence(repo_root: Path) -> None:
    script = repo_root / "installer" / "bootstrap.py"
    code = (
        "import runpy, sys; sys.version_info = (3, 9, 2); sys.argv = ['x', 'run']; "
        f"runpy.run_path({str(script)!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        "Puncta needs Python 3.11 or newer, and this is 3.9: install a newer one and start again with it.\n"
    )


def test_an_old_python_can_read_the_first_file(repo_root: Path) -> None:
    tree = ast.parse((repo_root / "installer" / "bootstrap.py").read_text("utf-8"), feature_version=(3, 4))
    for node in ast.walk(tree):
        assert not isinstance(node, ast.JoinedStr), "an f-string"
        assert not (isinstance(node, ast.ImportFrom) and node.module == "__future__")
    # What needs a newer Python is imported only after the question for its version.
    assert not any(isinstance(node, ast.ImportFrom) for node in tree.body)


def test_only_tests_bring_their_peers(seen: Seen) -> None:
    assert verbs.start(["run", "--help"]) == 7 and seen.peers == []
    assert verbs.start(["test"]) == 7 and len(seen.peers) == 1


class Manager:
    """A package manager that knows some packages."""

    name, prefix = "apt", ()

    def __init__(self, known: set[str]) -> None:
        self.known, self.there = known, set()

    def install(self, packages: list[str]) -> bool:
        if set(packages) <= self.known:
            self.there |= set(packages)
        return set(packages) <= self.known

    def install_alone(self, package: str) -> bool:
        self.there |= {package} & self.known
        return package in self.known


@pytest.mark.parametrize("known", [{"postgresql", "xvfb"}, {"postgresql", "moon"}, set()])
def test_a_server_for_the_store_is_installed_where_that_can_be(
    known: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = Manager(known)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(verbs.shutil, "which", lambda program: None if program == "Xvfb" else f"/usr/bin/{program}")
    monkeypatch.setattr(verbs.glob, "glob", lambda path: [] if "postgresql" in path else [path])
    monkeypatch.setattr(system, "find_package_manager", lambda: manager)
    verbs._install_test_tools()  # never fails, whatever is known here
    assert manager.there == known & {"postgresql", "xvfb"}
    monkeypatch.setattr(system, "find_package_manager", lambda: None)
    verbs._install_test_tools()


@pytest.mark.parametrize("works", [True, False])
def test_peers_are_added_where_that_works_and_nothing_stops_where_not(
    works: bool, tmp_path: Path, repo_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = Environment(tmp_path)
    asked: list[tuple[str, ...]] = []

    def pip(_self: Environment, *words: str) -> None:
        asked.append(words)
        if not works:
            raise StopInstalling("there is no network")
        (tmp_path / ".venv" / "lib" / "python3.11" / "site-packages" / "pyigtl").mkdir(parents=True)

    monkeypatch.setattr(Environment, "_pip", pip)
    assert environment.add_peers() is works
    assert len(asked) == 1 and "--require-hashes" in asked[0]
    assert environment.add_peers() is works and len(asked) == (1 if works else 2)
    listed = (repo_root / "installer" / "lock" / "peers.txt").read_text("utf-8")
    assert all("--hash=sha256:" in line for line in listed.splitlines() if not line.startswith("#"))
