"""Runs a plugin over a small built-in set of frames and says, check by check, whether it keeps the contract."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from puncta.core.errors import UserError
from puncta.core.frame import Frame
from puncta.core.results import PluginOutput
from puncta.sdk.context import PluginContext, SessionOpener
from puncta.sdk.frames import CheckCase, built_in_cases
from puncta.sdk.loading import PluginTree, create_plugin, find_forbidden_imports, read_tree
from puncta.sdk.manifest import PluginManifest, read_manifest
from puncta.sdk.plugin import Plugin, ResetReason, StepResult
from puncta.sdk.result_checks import find_result_faults, same_result

_FAULTS_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Check:
    """One check: what was looked at, whether it holds, and what to do where it does not."""

    name: str
    passed: bool
    faults: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class CheckReport:
    """All checks of one plugin.

    Attributes
    ----------
    ms_per_frame : tuple of float
        Time [ms] of every step, in order; told, not judged.
    """

    folder: Path
    plugin_id: str
    version: str
    budget_ms: float | None
    checks: tuple[Check, ...]
    ms_per_frame: tuple[float, ...] = field(default=())

    @property
    def passed(self) -> bool:
        """Whether every check holds."""
        return all(check.passed for check in self.checks)

    def lines(self) -> list[str]:
        """The report as readable lines."""
        name = f"{self.plugin_id} {self.version}" if self.plugin_id else self.folder.name
        lines = [f"Plugin {name} in {self.folder}"]
        for check in self.checks:
            lines.append(
                f"  {'ok  ' if check.passed else 'FAIL'}  {check.name}{f': {check.note}' if check.note else ''}"
            )
            lines += [f"          {fault}" for fault in check.faults[:_FAULTS_SHOWN]]
            if len(check.faults) > _FAULTS_SHOWN:
                lines.append(f"          and {len(check.faults) - _FAULTS_SHOWN} more like these")
        if self.ms_per_frame:
            median, most = float(np.median(self.ms_per_frame)), max(self.ms_per_frame)
            frames = len(self.ms_per_frame)
            lines.append(
                f"  time  {median:.2f} ms a frame (median), {most:.2f} ms at most, over {frames} frames; "
                f"the manifest promises {self.budget_ms:g} ms (not judged here)"
            )
        failed = sum(not check.passed for check in self.checks)
        lines.append(
            "The plugin keeps the contract."
            if not failed
            else f"{failed} of {len(self.checks)} checks fail; mend the lines marked FAIL and check again."
        )
        return lines

    def as_json(self) -> dict[str, Any]:
        """The report as plain values."""
        return {
            "plugin": self.plugin_id,
            "version": self.version,
            "passed": self.passed,
            "checks": [
                {"name": c.name, "passed": c.passed, "note": c.note, "faults": list(c.faults)} for c in self.checks
            ],
            "ms_per_frame": {
                "median": float(np.median(self.ms_per_frame)),
                "max": max(self.ms_per_frame),
                "n": len(self.ms_per_frame),
            }
            if self.ms_per_frame
            else None,
            "budget_ms": self.budget_ms,
        }


def check_plugin(folder: Path, open_model: Callable[[PluginManifest], SessionOpener]) -> CheckReport:
    """Check the plugin in a folder. Its code runs.

    Parameters
    ----------
    open_model : callable
        Returns what ``context.open_model`` shall be for a plugin with the given manifest.

    Raises
    ------
    UserError
        The folder is not there or cannot be read. All that the plugin does wrong is in the report instead.
    """
    if not folder.is_dir():
        raise UserError(f"There is no plugin folder {folder}.")
    return _Run(folder.resolve(), open_model).report()


class _Run:
    """One pass over the checks; later ones are left out where an earlier one makes them pointless."""

    def __init__(self, folder: Path, open_model: Callable[[PluginManifest], SessionOpener]) -> None:
        self.folder = folder
        self.open_model = open_model
        self.manifest: PluginManifest | None = None
        self.checks: list[Check] = []
        self.ms: list[float] = []

    def report(self) -> CheckReport:
        self._run()
        manifest = self.manifest
        return CheckReport(
            self.folder,
            manifest.id if manifest else "",
            manifest.version if manifest else "",
            manifest.budget_ms if manifest else None,
            tuple(self.checks),
            tuple(self.ms),
        )

    def _add(self, name: str, faults: list[str], note: str = "") -> bool:
        self.checks.append(Check(name, not faults, tuple(faults), note if not faults else ""))
        return not faults

    def _run(self) -> None:
        try:
            self.manifest = manifest = read_manifest(self.folder)
        except UserError as error:
            self._add("manifest", [str(error)])
            return
        self._add("manifest", [], f'"{manifest.title}", {len(manifest.results)} kinds of result')
        tree = read_tree(self.folder)
        readme = any((self.folder / n).is_file() for n in ("README.md", "readme.md"))
        self._add("README.md", [] if readme else ["add a README.md that says what the plugin finds and where it fails"])
        if not self._add("imports", list(find_forbidden_imports(tree, manifest))):
            return
        threads = set(threading.enumerate())
        plugin = self._create(tree, manifest, "creates a plugin")
        if plugin is None:
            return
        first = self._step_cases(plugin, manifest)
        if first is not None:
            self._repeat(plugin, tree, manifest, first)
        self._close(plugin, threads)

    def _create(self, tree: PluginTree, manifest: PluginManifest, name: str) -> Plugin | None:
        context = PluginContext(
            plugin_id=manifest.id,
            folder=self.folder,
            open_model=self.open_model(manifest),
            options=manifest.merge_options(),
            log=logging.getLogger(f"puncta.plugin.{manifest.id}"),
        )
        try:
            plugin = create_plugin(tree, manifest, context)
        except UserError as error:
            self._add(name, [str(error)])
            return None
        self._add(name, [])
        return plugin

    def _step_cases(self, plugin: Plugin, manifest: PluginManifest) -> list[list[StepResult]] | None:
        """Step through every case; return the results by case, or None where a case raised."""
        all_results: list[list[StepResult]] = []
        broken = False
        for case in built_in_cases(manifest.history_frames):
            faults: list[str] = []
            results: list[StepResult] = []
            for frame, result in self._step_case(plugin, manifest, case, faults, self.ms):
                results.append(result)
                faults += [f"frame {frame.key.index}: {f}" for f in find_result_faults(result, frame, manifest)]
            broken |= len(results) < len(case.frames)
            all_results.append(results)
            given = sum(len(r.results) for r in results if isinstance(r, StepResult))
            self._add(f"frames: {case.name}", faults, f"{len(case.frames)} frames, {given} results")
        return None if broken else all_results

    def _step_case(
        self,
        plugin: Plugin,
        manifest: PluginManifest,
        case: CheckCase,
        faults: list[str],
        ms: list[float] | None = None,
    ) -> Iterator[tuple[Frame, StepResult]]:
        try:
            plugin.reset(ResetReason.OPENED)
        except Exception as error:  # noqa: BLE001 - whatever a plugin raises belongs into its report
            faults.append(f"reset raises {_words(error)}")
            return
        for number, frame in enumerate(case.frames):
            try:
                if number in case.resets:
                    plugin.reset(case.resets[number])
                with _guard_pixels(frame, faults):
                    start = time.perf_counter()
                    result = plugin.step(frame, _empty_upstream(manifest, frame))
                    if ms is not None:
                        ms.append((time.perf_counter() - start) * 1e3)
            except Exception as error:  # noqa: BLE001 - as above
                faults.append(f"frame {number}: step raises {_words(error)}")
                return
            yield frame, result

    def _repeat(
        self, plugin: Plugin, tree: PluginTree, manifest: PluginManifest, first: list[list[StepResult]]
    ) -> None:
        """The same frames give the same results: after a reset, and in a new plugin object."""
        self._compare("same results after reset", plugin, manifest, first)
        second = self._create(tree, manifest, "creates a second plugin beside the first")
        if second is None:
            return
        self._compare("same results in a new plugin object", second, manifest, first)
        with suppress(Exception):
            second.close()

    def _compare(self, name: str, plugin: Plugin, manifest: PluginManifest, first: list[list[StepResult]]) -> None:
        faults: list[str] = []
        for case, before in zip(built_in_cases(manifest.history_frames), first):
            again = [result for _, result in self._step_case(plugin, manifest, case, faults)]
            differing = [n for n, (a, b) in enumerate(zip(before, again)) if not same_result(a, b)]
            if differing:
                faults.append(
                    f"{case.name}: frame {differing[0]} differs; reset must forget everything, "
                    "and random numbers need a fixed seed"
                )
        self._add(name, faults)

    def _close(self, plugin: Plugin, threads: set[threading.Thread]) -> None:
        faults: list[str] = []
        try:
            plugin.close()
        except Exception as error:  # noqa: BLE001 - as above
            faults.append(f"close raises {_words(error)}")
        for thread in threading.enumerate():
            if thread not in threads:
                thread.join(timeout=2.0)
                if thread.is_alive():
                    faults.append(f'the thread "{thread.name}" still runs after close; end it there')
        self._add("close", faults)


@contextmanager
def _guard_pixels(frame: Frame, faults: list[str]) -> Iterator[None]:
    before = frame.pixels.tobytes()
    try:
        yield
    finally:
        if frame.pixels.tobytes() != before:
            faults.append(f"frame {frame.key.index}: the plugin changes the frame's pixels; work on a copy")
        elif frame.pixels.flags.writeable:
            faults.append(f"frame {frame.key.index}: the plugin makes the frame's pixels writable; work on a copy")


def _empty_upstream(manifest: PluginManifest, frame: Frame) -> Mapping[str, PluginOutput]:
    """Upstream plugins that found nothing: what a plugin meets when the picture is empty."""
    return {name: PluginOutput(plugin_id=name, frame_id=frame.frame_id) for name in manifest.after}


def _words(error: BaseException) -> str:
    text = " ".join(str(error).split()).rstrip(".")
    name = type(error).__name__
    if isinstance(error, ValueError) and "read-only" in text:
        return f"{name}: {text} (frames are read-only; work on a copy)"
    return f"{name}: {text}" if text else name
