"""bootstrap.py as a person starts it, with a Python that has nothing installed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import av
import pytest

# The Python below the virtual environment that runs the tests.
BARE_PYTHON = getattr(sys, "_base_executable", sys.executable)


def start(root: Path, *words: str, **changed: str) -> subprocess.CompletedProcess[str]:
    """Start the bootstrap of the project in `root`, without a display."""
    environ = {
        key: value for key, value in os.environ.items() if key not in {"DISPLAY", "WAYLAND_DISPLAY", "PYTHONPATH"}
    }
    environ.update(PUNCTA_HEADLESS="1", **changed)
    command = [BARE_PYTHON, str(root / "installer" / "bootstrap.py"), *words]
    return subprocess.run(command, env=environ, cwd=root, capture_output=True, text=True, check=False, timeout=300)


@pytest.fixture
def installed(repo_root: Path) -> Path:
    """The project itself, where the bootstrap has filled its environment."""
    if not (repo_root / ".venv" / "puncta-run.json").is_file():
        pytest.skip("this environment was not made by installer/bootstrap.py")
    return repo_root


@pytest.fixture
def fresh_copy(repo_root: Path, tmp_path: Path) -> Path:
    """What the bootstrap reads, in a folder without an environment."""
    root = tmp_path / "copy"
    shutil.copytree(repo_root / "installer", root / "installer", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(repo_root / name, root / name)
    return root


def test_the_second_start_changes_nothing(installed: Path) -> None:
    watched = [installed / ".venv" / name for name in ("puncta-run.json", "puncta-install.log", "pyvenv.cfg")]
    watched += list((installed / ".venv").glob("[Ll]ib/**/site-packages"))
    before = {path: path.stat().st_mtime_ns for path in watched}
    done = start(installed, "run", "--help")
    assert done.returncode == 0, done.stderr
    assert "Installing" not in done.stdout
    assert "simulate" in done.stdout or "run" in done.stdout
    assert {path: path.stat().st_mtime_ns for path in watched} == before


def test_without_a_display_the_sample_case_becomes_a_video_and_results(installed: Path) -> None:
    done = start(installed, "run")
    assert done.returncode == 0, done.stdout + done.stderr
    out = installed / "puncta-out"
    lines = (out / "sample.jsonl").read_text("utf-8").splitlines()
    keys = [json.loads(line)["key"]["index"] for line in lines]
    assert keys == list(range(len(lines)))
    with av.open(str(out / "sample.mp4")) as video:
        assert sum(1 for _ in video.decode(video=0)) == len(lines)
    assert f"of {len(lines)} frames" in done.stdout
    assert done.stdout.rstrip().endswith("Simulation and training only, not for clinical use.")


def test_an_index_out_of_reach_is_one_plain_sentence(fresh_copy: Path) -> None:
    nobody = "http://127.0.0.1:9/simple"
    changed = {"PIP_INDEX_URL": nobody, "PIP_EXTRA_INDEX_URL": "", "PIP_FIND_LINKS": "", "PIP_RETRIES": "1"}
    done = start(fresh_copy, "run", PIP_CONFIG_FILE=os.devnull, PIP_NO_CACHE_DIR="1", **changed)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "the package index cannot be reached; check the network or proxy" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (fresh_copy / ".venv" / "puncta-run.json").exists()


def test_an_interrupted_start_is_taken_up_again(fresh_copy: Path) -> None:
    """Killed while pip works; the next start makes the environment anew and gets as far as the index."""
    nobody = "http://127.0.0.1:9/simple"
    changed = {"PIP_INDEX_URL": nobody, "PIP_EXTRA_INDEX_URL": "", "PIP_FIND_LINKS": "", "PIP_RETRIES": "1"}
    killer = (
        "import os, sys; sys.path.insert(0, 'installer'); from bootstrap_steps import environment as e, verbs\n"
        "e.Environment._pip = lambda self, *arguments: os._exit(9)\n"
        "verbs.start(['run'])\n"
    )
    cut = subprocess.run([BARE_PYTHON, "-c", killer], cwd=fresh_copy, capture_output=True, text=True, check=False)
    assert cut.returncode == 9, cut.stderr
    assert (fresh_copy / ".venv" / "puncta-installing").exists()
    done = start(fresh_copy, "run", PIP_CONFIG_FILE=os.devnull, PIP_NO_CACHE_DIR="1", **changed)
    assert "Making" in done.stdout
    assert done.returncode == 2
    assert not (fresh_copy / ".venv" / "puncta-installing").exists()


def test_help_and_wrong_verbs_install_nothing(fresh_copy: Path) -> None:
    assert start(fresh_copy, "--help").returncode == 0
    done = start(fresh_copy, "instal")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert not (fresh_copy / ".venv").exists()
