"""Without a screen `puncta open` says so in a sentence; what is wrong with the file it names is said first."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Opened = Callable[..., str]

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems always have a screen")


@pytest.fixture
def opened(repo_root: Path, user_home: Path) -> Opened:
    """Run `puncta open`; returns the one sentence it says."""

    def call(*arguments: object, **more: str) -> str:
        env = {**os.environ, "PYTHONPATH": str(repo_root / "app"), "PUNCTA_HOME": str(user_home)}
        for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
            env.pop(name, None)
        command = [sys.executable, "-m", "puncta", "open", *map(str, arguments)]
        result = subprocess.run(command, check=False, capture_output=True, text=True, env=env | more, timeout=120)
        assert result.returncode == 2, (result.returncode, result.stderr)
        (line,) = result.stderr.strip().splitlines()
        return line

    return call


def test_a_file_that_is_not_there_or_not_a_clip_is_named_without_a_screen_too(opened: Opened, tmp_path: Path) -> None:
    assert "nothere.dcm does not exist" in opened(tmp_path / "nothere.dcm")
    bad = tmp_path / "notes.txt"
    bad.write_text("no clip")
    assert "notes.txt is no picture sequence" in opened(bad)


def test_a_good_file_and_a_live_source_want_a_screen(opened: Opened, repo_root: Path) -> None:
    for source in (repo_root / "resources" / "samples" / "breast-sample.dcm", "camera:7"):
        assert "There is no screen here" in opened(source)


def test_a_screen_that_does_not_answer_is_no_screen(opened: Opened, tmp_path: Path) -> None:
    assert "There is no screen here" in opened(DISPLAY=":4711")
    assert "does not exist" in opened(tmp_path / "nothere.dcm", DISPLAY="127.0.0.1:4711")


def test_a_name_that_leads_nowhere_ends_at_once_with_a_screen_too(opened: Opened, tmp_path: Path) -> None:
    screen = {"QT_QPA_PLATFORM": "offscreen"}
    assert "nothere.mp4 does not exist" in opened(tmp_path / "nothere.mp4", **screen)
    assert "the nearest is breast" in opened("sim:brest", **screen)
    assert "names no camera" in opened("camera:first", **screen)
