"""The environment is filled once, taken up again after an interruption, and made anew when it is broken."""

from __future__ import annotations

import json
import os
import shutil
import sys
import venv
from pathlib import Path

import pytest

from bootstrap_steps import environment as module
from bootstrap_steps.environment import TO_RUN, TO_TEST, Environment, explain_pip
from bootstrap_steps.stop import StopInstalling

PYPROJECT = '[project]\nname = "x"\n[project.optional-dependencies]\ntrain = ["torch==9.9.9", "onnx"]\n'


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment to copy, with an empty package in the place of pip, which takes seconds to install."""
    folder = tmp_path_factory.mktemp("template") / ".venv"
    venv.EnvBuilder(with_pip=False, symlinks=os.name != "nt").create(folder)
    (packages,) = folder.glob("[Ll]ib/**/site-packages")
    (packages / "pip").mkdir()
    (packages / "pip" / "__init__.py").touch()
    return folder


class Calls:
    """What was done to an environment: how often it was made, and pip's arguments."""

    def __init__(self) -> None:
        self.made = 0
        self.pip: list[tuple[str, ...]] = []


@pytest.fixture
def calls(made_once: Path, monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Count what is done, with the copy in place of making and nothing in place of pip."""
    seen = Calls()

    def create(self: venv.EnvBuilder, folder: Path) -> None:
        seen.made += 1
        shutil.copytree(made_once, folder, symlinks=True)

    monkeypatch.setattr(venv.EnvBuilder, "create", create)
    monkeypatch.setattr(Environment, "_pip", lambda self, *arguments: seen.pip.append(arguments))
    return seen


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project with two locks of two packages."""
    (tmp_path / "project" / "installer" / "lock").mkdir(parents=True)
    (tmp_path / "project" / "pyproject.toml").write_text(PYPROJECT, encoding="utf-8")
    for name in ("runtime.txt", "dev.txt"):
        (tmp_path / "project" / "installer" / "lock" / name).write_text(
            "# head\na==1 \\\n  --hash=x\nb==2\n", encoding="utf-8"
        )
    return tmp_path / "project"


def test_the_first_start_fills_and_the_second_does_nothing(root: Path, calls: Calls) -> None:
    assert Environment(root).prepare(TO_RUN) is True
    assert calls.made == 1
    assert calls.pip[0] == (
        "install", "--require-hashes", "--no-deps", "--only-binary", ":all:", "-r",
        str(root / "installer/lock/runtime.txt"),
    )  # fmt: skip
    assert calls.pip[1][-2:] == ("--editable", str(root))
    assert len(calls.pip) == 2
    before = snapshot(root)
    assert Environment(root).prepare(TO_RUN) is False
    assert snapshot(root) == before
    assert (calls.made, len(calls.pip)) == (1, 2)


def snapshot(root: Path) -> dict[str, int]:
    return {str(path): path.lstat().st_mtime_ns for path in root.rglob("*")}


def test_tests_get_torch_and_leave_nothing_to_do_for_run(root: Path, calls: Calls) -> None:
    assert Environment(root).prepare(TO_TEST, "https://index.example/cpu") is True
    assert str(root / "installer/lock/dev.txt") in calls.pip[0]
    assert calls.pip[1][-3:] == ("--index-url", "https://index.example/cpu", "torch==9.9.9")
    assert Environment(root).prepare(TO_RUN) is False
    assert Environment(root).prepare(TO_TEST) is False


def test_run_alone_is_not_enough_for_tests(root: Path, calls: Calls) -> None:
    Environment(root).prepare(TO_RUN)
    assert Environment(root).prepare(TO_TEST) is True
    assert calls.made == 1


@pytest.mark.parametrize("file", ["pyproject.toml", "installer/lock/runtime.txt"])
def test_a_changed_lock_or_project_is_installed_into_what_is_there(root: Path, calls: Calls, file: str) -> None:
    Environment(root).prepare(TO_RUN)
    with (root / file).open("a", encoding="utf-8") as changed:
        changed.write("# one more line\n")
    assert Environment(root).prepare(TO_RUN) is True
    assert calls.made == 1


def test_line_ends_of_a_checkout_do_not_matter(root: Path, calls: Calls) -> None:
    Environment(root).prepare(TO_RUN)
    lock = root / "installer/lock/runtime.txt"
    lock.write_bytes(lock.read_bytes().replace(b"\n", b"\r\n"))
    assert Environment(root).prepare(TO_RUN) is False


def test_an_installation_cut_off_in_the_middle_is_made_anew(
    root: Path, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(self: Environment, *arguments: str) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Environment, "_pip", cut_off)
        with pytest.raises(KeyboardInterrupt):
            Environment(root).prepare(TO_RUN)
    assert not (root / ".venv" / "puncta-run.json").exists()
    (root / ".venv" / "half-written").touch()
    assert Environment(root).prepare(TO_RUN) is True
    assert calls.made == 2
    assert not (root / ".venv" / "half-written").exists()
    assert Environment(root).prepare(TO_RUN) is False


def test_making_cut_off_in_the_middle_is_made_anew(root: Path, calls: Calls) -> None:
    (root / ".venv" / "bin").mkdir(parents=True)
    (root / ".venv" / "pyvenv.cfg").write_text("version = 3.11.0\n", encoding="utf-8")
    assert Environment(root).prepare(TO_RUN) is True
    assert calls.made == 1


@pytest.mark.parametrize("what", ["no python", "no pip", "no cfg", "other version", "a file", "no json"])
def test_a_broken_environment_is_repaired(root: Path, calls: Calls, what: str) -> None:
    Environment(root).prepare(TO_RUN)
    folder = root / ".venv"
    if what == "no python":
        Environment(root).python.unlink()
    elif what == "no pip":
        for pip in folder.glob("[Ll]ib/**/site-packages/pip"):
            shutil.rmtree(pip)
    elif what == "no cfg":
        (folder / "pyvenv.cfg").unlink()
    elif what == "other version":
        text = (folder / "pyvenv.cfg").read_text("utf-8")
        (folder / "pyvenv.cfg").write_text(
            text.replace(f"version = 3.{sys.version_info.minor}", "version = 3.99"), "utf-8"
        )
    elif what == "a file":
        shutil.rmtree(folder)
        folder.touch()
    else:
        (folder / "puncta-run.json").write_text("{", encoding="utf-8")
    assert Environment(root).prepare(TO_RUN) is True
    # A broken stamp alone asks for pip, which finds all in place.
    assert calls.made == (1 if what == "no json" else 2)
    assert Environment(root).prepare(TO_RUN) is False


def test_a_project_that_was_moved_gets_a_new_environment(root: Path, calls: Calls) -> None:
    Environment(root).prepare(TO_RUN)
    moved = root.with_name("moved")
    root.rename(moved)
    assert Environment(moved).prepare(TO_RUN) is True
    assert calls.made == 2


def test_the_stamp_names_all_that_decides(root: Path, calls: Calls) -> None:
    Environment(root).prepare(TO_TEST)
    stamp = json.loads((root / ".venv" / "puncta-test.json").read_text("utf-8"))
    assert stamp["root"] == str(root)
    assert stamp["torch"] == "torch==9.9.9"
    assert stamp["python"].startswith(f"{sys.version_info.major}.{sys.version_info.minor}.")
    assert len(stamp["lock"]) == len(stamp["project"]) == 64


class TestRealPip:
    """pip itself, without an index."""

    @pytest.fixture(autouse=True)
    def no_index(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in [name for name in os.environ if name.startswith("PIP_")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("PIP_NO_INDEX", "1")
        monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
        venv.EnvBuilder(with_pip=True, symlinks=os.name != "nt").create(root / ".venv")

    def test_a_package_that_is_not_to_be_had_stops_with_its_name(self, root: Path) -> None:
        lock = root / "installer" / "lock" / "runtime.txt"
        lock.write_text("not-a-package==1.0 --hash=sha256:" + "0" * 64 + "\n", encoding="utf-8")
        with pytest.raises(StopInstalling, match=r"no ready-made build of not-a-package==1\.0") as stopped:
            Environment(root).prepare(TO_RUN)
        assert "Traceback" not in str(stopped.value)
        assert not (root / ".venv" / "puncta-run.json").exists()
        # Nothing was changed, so the next start goes on in the same environment.
        assert not (root / ".venv" / "puncta-installing").exists()
        assert "not-a-package" in (root / ".venv" / "puncta-install.log").read_text("utf-8")

    def test_a_changed_file_is_refused(self, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        import zipfile

        wheels = tmp_path / "wheels"
        wheels.mkdir()
        with zipfile.ZipFile(wheels / "tiny-1.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr("tiny.py", "")
            wheel.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
            wheel.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr("tiny-1.0.dist-info/RECORD", "")
        monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
        lock = root / "installer" / "lock" / "runtime.txt"
        lock.write_text("tiny==1.0 --hash=sha256:" + "0" * 64 + "\n", encoding="utf-8")
        with pytest.raises(StopInstalling, match="not the one that was tested"):
            Environment(root).prepare(TO_RUN)
        assert list((root / ".venv").rglob("tiny.py")) == []


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("Retrying ... NewConnectionError(... [Errno -3] Temporary failure in name resolution", "cannot be reached"),
        ("Cannot connect to proxy.', OSError('Tunnel connection failed: 407 Proxy Auth')", "proxy refuses"),
        ("SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED]", "certificate"),
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "disk is full"),
        ("ERROR: No matching distribution found for numpy==2.4.6", "no ready-made build of numpy==2.4.6"),
        ("something nobody has seen", "pip reports an error"),
    ],
)
def test_why_pip_failed_is_said_plainly(output: str, said: str) -> None:
    assert said in explain_pip(output)


def test_an_index_out_of_reach_is_not_called_a_missing_package() -> None:
    both = "Connection refused\nERROR: Could not find a version that satisfies the requirement av==18.1.0 (from ...)"
    assert "cannot be reached" in explain_pip(both)


def test_the_project_names_its_one_torch(repo_root: Path) -> None:
    assert Environment(repo_root)._ask_torch() == "torch==2.13.0"
    assert module.TO_TEST.with_torch
