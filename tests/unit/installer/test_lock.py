"""The locks fit pyproject.toml, pin everything with hashes, and name no index."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ENVIRONMENTS = [
    {
        "sys_platform": platform,
        "platform_system": system,
        "python_version": version,
        "python_full_version": f"{version}.1",
    }
    for platform, system in (("linux", "Linux"), ("darwin", "Darwin"), ("win32", "Windows"))
    for version in ("3.11", "3.12", "3.13")
]


def read_lock(repo_root: Path, name: str) -> list[tuple[Requirement, list[str]]]:
    """Return each pinned requirement of a lock file with its hashes."""
    text = (repo_root / "installer" / "lock" / name).read_text("utf-8").replace("\\\n", " ")
    entries = []
    for line in text.splitlines():
        if line and not line.startswith("#"):
            requirement, *hashes = re.split(r"\s+--hash=", line.strip())
            entries.append((Requirement(requirement), hashes))
    return entries


def versions_for(entries: list[tuple[Requirement, list[str]]], environment: dict[str, str]) -> dict[str, str]:
    """Return the version of each package on one kind of machine."""
    found: dict[str, str] = {}
    for requirement, _ in entries:
        if requirement.marker is None or requirement.marker.evaluate(environment):
            name = canonicalize_name(requirement.name)
            assert name not in found, f"{name} is pinned twice for {environment}"
            found[name] = next(iter(requirement.specifier)).version
    return found


@pytest.mark.parametrize("name", ["runtime.txt", "dev.txt"])
def test_everything_is_pinned_with_hashes_and_no_index_is_named(repo_root: Path, name: str) -> None:
    entries = read_lock(repo_root, name)
    assert len(entries) > 30
    for requirement, hashes in entries:
        assert [item.operator for item in requirement.specifier] == ["=="], requirement
        assert requirement.url is None
        assert hashes, requirement
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", item) for item in hashes), requirement
    text = (repo_root / "installer" / "lock" / name).read_text("utf-8")
    assert not re.search(r"https?:|file:|--(extra-)?index-url|--find-links", text)
    assert "torch" not in {canonicalize_name(requirement.name) for requirement, _ in entries}


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda e: f"{e['sys_platform']}-{e['python_version']}")
def test_the_locks_satisfy_the_project_on_every_machine(repo_root: Path, environment: dict[str, str]) -> None:
    meta = tomllib.loads((repo_root / "pyproject.toml").read_text("utf-8"))
    extras = meta["project"]["optional-dependencies"]
    asked = {
        "runtime.txt": meta["project"]["dependencies"] + meta["build-system"]["requires"],
        "dev.txt": meta["project"]["dependencies"] + extras["dev"] + [x for x in extras["train"] if "torch" not in x],
    }
    locked = {name: versions_for(read_lock(repo_root, name), environment) for name in asked}
    for name, lines in asked.items():
        for line in lines:
            requirement = Requirement(line)
            version = locked[name][canonicalize_name(requirement.name)]
            assert requirement.specifier.contains(version), f"{name} pins {version} for {line}"
    # Tests run the very versions that users get.
    assert locked["runtime.txt"].items() <= locked["dev.txt"].items()


def test_the_program_itself_needs_no_torch_and_no_scipy(repo_root: Path) -> None:
    names = {canonicalize_name(requirement.name) for requirement, _ in read_lock(repo_root, "runtime.txt")}
    assert names.isdisjoint({"torch", "scipy", "onnx", "onnxscript", "opencv-python", "pylibjpeg-libjpeg", "pytest"})
