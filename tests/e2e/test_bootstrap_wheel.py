"""A wheel carries what a clone has beside the package, so that `puncta.paths` finds it there."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

BUILD = "import sys; from hatchling.build import build_wheel; build_wheel(sys.argv[1])"


def test_a_wheel_holds_resources_models_and_plugins(repo_root: Path, tmp_path: Path) -> None:
    pytest.importorskip("hatchling", reason="the build backend is not installed here")
    built = subprocess.run(
        [sys.executable, "-c", BUILD, str(tmp_path)], cwd=repo_root, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("puncta-*-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    site = tmp_path / "site"
    assert {path.name for path in site.iterdir() if not path.name.endswith(".dist-info")} == {"puncta"}
    ask = (
        f"import sys; sys.path.insert(0, {str(site)!r})\n"
        "from puncta import paths\n"
        "print(paths.__file__); print(paths.root_dir())\n"
        "print(all(p.is_dir() for p in (paths.resources_dir(), paths.models_dir(), paths.plugins_dir())))\n"
        "print(paths.sample_case().is_file())"
    )
    # -P and no PYTHONPATH: neither the clone nor an editable install of it may answer.
    said = subprocess.run(
        [sys.executable, "-B", "-P", "-c", ask], cwd=tmp_path, env={}, capture_output=True, text=True, check=False
    )
    lines = said.stdout.splitlines()
    assert lines[0].startswith(str(site)), said.stdout + said.stderr
    assert lines[1:] == [str(site / "puncta" / "_share"), "True", "True"]
    assert not list(site.rglob("__pycache__"))
