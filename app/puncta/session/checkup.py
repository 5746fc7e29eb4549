"""`puncta doctor`: is everything in place on this machine? Each check says what is wrong and what to do."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from puncta import __version__, paths
from puncta.core.errors import PunctaError
from puncta.pipeline.batch import analyse, frames_of
from puncta.pipeline.consent import is_granted
from puncta.pipeline.discover import discover
from puncta.pipeline.host import PluginHost
from puncta.session.plugins import all_models, hosted_plugins
from puncta.settings import load_settings
from puncta.sources.factory import open_source

_LIBRARIES = ("numpy", "onnxruntime", "av", "opencv-python-headless", "pydicom", "PySide6-Essentials", "pyqtgraph")


class Verdict(StrEnum):
    """GOOD; NOTE works but is worth knowing; BAD must be mended."""

    GOOD = "good"
    NOTE = "note"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor's report."""

    name: str
    verdict: Verdict
    text: str


def check_machine() -> Iterator[Finding]:
    """Yield findings about the installation, one a check; a check that breaks is a finding, not a crash."""
    checks: list[tuple[str, Callable[[], Iterator[Finding]]]] = [
        ("Puncta", _program),
        ("libraries", _libraries),
        ("folders", _folders),
        ("settings", _settings),
        ("screen", _screen),
        ("models", _models),
        ("plugins", _plugins),
        ("sample case", _sample),
    ]
    for name, check in checks:
        try:
            yield from check()
        except PunctaError as error:
            yield Finding(name, Verdict.BAD, str(error))
        except Exception as error:  # noqa: BLE001 - the doctor reports every failure as a finding
            yield Finding(name, Verdict.BAD, f"The check itself failed: {type(error).__name__}: {error}.")


def _program() -> Iterator[Finding]:
    where = "frozen program" if getattr(sys, "frozen", False) else "Python " + platform.python_version()
    yield Finding("Puncta", Verdict.GOOD, f"{__version__}, {where}, {platform.system()} {platform.machine()}")


def _libraries() -> Iterator[Finding]:
    there, missing = [], []
    for name in _LIBRARIES:
        try:
            there.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    if missing and not getattr(sys, "frozen", False):
        text = f"{', '.join(missing)} not installed; run 'python3 installer/bootstrap.py run'."
        yield Finding("libraries", Verdict.BAD, text)
    yield Finding("libraries", Verdict.GOOD, ", ".join(there))


def _folders() -> Iterator[Finding]:
    for name, folder in (
        ("settings folder", paths.user_config_dir()),
        ("data folder", paths.user_data_dir()),
        ("cache folder", paths.user_cache_dir()),
        ("log folder", paths.user_log_dir()),
    ):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                yield Finding(name, Verdict.GOOD, str(folder))
        except OSError as error:
            text = f"{folder} cannot be written ({error.strerror}); make it writable or set PUNCTA_HOME."
            yield Finding(name, Verdict.BAD, text)


def _settings() -> Iterator[Finding]:
    _, warnings = load_settings()
    for warning in warnings:
        yield Finding("settings", Verdict.NOTE, warning)
    if not warnings:
        yield Finding("settings", Verdict.GOOD, "readable")


def _screen() -> Iterator[Finding]:
    linux = sys.platform.startswith("linux")
    if linux and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        yield Finding("screen", Verdict.NOTE, "none here; 'puncta run' works without one, the window does not")
    else:
        yield Finding("screen", Verdict.GOOD, "there is one")


def _models() -> Iterator[Finding]:
    registry = all_models()
    for problem in registry.problems:
        yield Finding("models", Verdict.BAD, problem)
    for card in registry.cards:
        try:
            registry.verify(card)
            yield Finding("model", Verdict.GOOD, f"{card.identity} matches its recorded hash")
        except PunctaError as error:
            yield Finding("model", Verdict.BAD, str(error))
    if not registry.cards:
        yield Finding("models", Verdict.BAD, "No model is registered; install Puncta again.")


def _plugins() -> Iterator[Finding]:
    found = discover()
    for problem in found.problems:
        yield Finding("plugins", Verdict.NOTE, problem)
    for plugin in found.found:
        if is_granted(plugin):
            yield Finding("plugin", Verdict.GOOD, f"{plugin.id} {plugin.manifest.version} ({plugin.origin})")
        else:
            text = f"{plugin.id} ({plugin.origin}) waits for your consent: 'puncta plugins allow {plugin.id}'."
            yield Finding("plugin", Verdict.NOTE, text)


def _sample() -> Iterator[Finding]:
    """Play the first frames of the sample through the pipeline: the main job in small."""
    sample: Path = paths.sample_case()
    source = open_source(str(sample))
    host = PluginHost(hosted_plugins(["needle-tip"]))
    try:
        with analyse(frames_of(source, 0, 10), host) as analyses:
            frames = sum(1 for _ in analyses)
        faults = [s.message for s in host.statuses() if s.message]
    finally:
        host.close()
        source.close()
    if faults:
        yield Finding("sample case", Verdict.BAD, faults[0])
    else:
        yield Finding("sample case", Verdict.GOOD, f"{sample.name}: {frames} frames played and analysed")
