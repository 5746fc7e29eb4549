from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from plugin_folder import CODE, write_plugin

from puncta.core.errors import UserError
from puncta.sdk.frames import built_in_cases
from puncta.sdk.testing import CheckReport, check_plugin

STEP = '        return StepResult((Point("middle", (x0 + (w - 1) / 2, y0 + (h - 1) / 2), 1.0),))'
ALL_TYPES = [{"type": t, "label": "middle"} for t in ("point", "line", "detection", "mask", "class")]


def no_models(manifest: Any) -> Any:
    def open_model(model_id: str | None = None) -> Any:
        raise UserError("There is no model.")

    return open_model


def check(folder: Path, code: str = CODE, **changes: Any) -> CheckReport:
    return check_plugin(write_plugin(folder, code, **changes), no_models)


def faults_of(report: CheckReport) -> str:
    return "\n".join(fault for c in report.checks for fault in c.faults)


def with_step(*lines: str, head: str = "") -> str:
    body = "\n".join(f"        {line}" for line in lines)
    assert STEP in CODE
    return f"import numpy as np\nfrom puncta.core.results import *\n{head}\n{CODE.replace(STEP, body)}"


def test_a_good_plugin_passes_and_is_timed(tmp_path: Path) -> None:
    report = check(tmp_path / "p")
    assert faults_of(report) == ""
    assert report.passed
    assert len(report.ms_per_frame) == sum(len(c.frames) for c in built_in_cases())
    text = "\n".join(report.lines())
    assert "The plugin keeps the contract." in text
    assert "not judged" in text


def test_the_built_in_frames_are_what_they_say() -> None:
    cases = {c.name: c for c in built_in_cases(history_frames=20)}
    assert len(cases["grey, moving spot"].frames) >= 23
    assert all(len(c.frames) >= 6 for c in cases.values())
    assert cases["RGB, region not at the origin"].frames[0].pixels.ndim == 3
    assert cases["RGB, region not at the origin"].frames[0].geometry.region.box[:2] == (83, 41)
    assert max(cases["tiny picture"].frames[0].pixels.shape) < 10
    assert not cases["all black"].frames[0].pixels.any()
    change = cases["geometry changes on the way"]
    (at,) = change.resets
    assert change.frames[at].epoch == change.frames[at - 1].epoch + 1
    assert change.frames[at].pixels.shape != change.frames[at - 1].pixels.shape
    again = {c.name: c for c in built_in_cases(history_frames=20)}
    for name, case in cases.items():
        for a, b in zip(case.frames, again[name].frames):
            np.testing.assert_array_equal(a.pixels, b.pixels)
            assert not a.pixels.flags.writeable


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("return None", "step returns NoneType, not a StepResult"),
        ("return StepResult([Point('middle', (1.0, 1.0), 1.0)])", "not a tuple"),
        ("return StepResult(({'x': 1},))", "a result is a dict"),
        ("return StepResult((Point('other', (x0, y0), 1.0),))", "not declared under `results`"),
        ("return StepResult((Point('middle', None, 0.0),))", "lost without a reason"),
        ("return StepResult((Point('middle', (float('nan'), 1.0), 0.5),))", "not a tuple of two finite numbers"),
        ("return StepResult((Point('middle', (-3.0, 1.0), 0.5),))", "outside the picture"),
        ("return StepResult((Point('middle', (1.0, 1.0), 7.0),))", "not a number from 0 to 1"),
        ("return StepResult((Line('middle', (0.0, 0.0), (1.0, 9999.0), 0.5),))", "tip_px (1.0, 9999.0) lies outside"),
        ("return StepResult((Line('middle', (0.0, 0.0), (1.0, 1.0), 0.5, float('inf')),))", "its angle_deg is inf"),
        ("return StepResult((Detection('middle', (1.0, 1.0, 0.0, 2.0), (1.0, 1.0), 0.5),))", "must be more than 0"),
        ("return StepResult((Detection('middle', [1.0, 1.0, 2.0, 2.0], None, 0.5),))", "not a tuple of four"),
        ("return StepResult((MaskResult('middle', np.ones((2, 2)), (0, 0), 0.5),))", "array of bool"),
        ("return StepResult((MaskResult('middle', np.ones((2, 9999), bool), (0, 0), 0.5),))", "reaches outside"),
        ("return StepResult((ClassResult('middle', 1, 0.5),))", "must be True, False, or None"),
        ("return StepResult((ClassResult('middle', None, 0.5),))", "lost without a reason"),
        ("return StepResult((), {'odd'})", "flags must be a frozenset"),
        ("raise RuntimeError('broken inside')", "step raises RuntimeError: broken inside"),
        ("frame.pixels[0, 0] = 0", "work on a copy"),
        (
            "frame.pixels.flags.writeable = True; frame.pixels[...] += 1; return StepResult()",
            "changes the frame's pixels",
        ),
        ("frame.pixels.flags.writeable = True; return StepResult()", "makes the frame's pixels writable"),
        (
            "return StepResult((Point('middle', (float(np.random.rand()), 0.0), 0.5),))",
            "random numbers need a fixed seed",
        ),
        ("assert x0 == 0; return StepResult()", "step raises AssertionError"),
    ],
)
def test_what_a_plugin_does_wrong_is_found(tmp_path: Path, line: str, words: str) -> None:
    report = check(tmp_path / "p", with_step("x0, y0, w, h = frame.geometry.region.box", line), results=ALL_TYPES)
    assert not report.passed
    assert words in faults_of(report)
    assert "mend the lines marked FAIL" in report.lines()[-1]


def test_state_that_outlives_reset_is_found(tmp_path: Path) -> None:
    code = with_step(
        "self.n = getattr(self, 'n', 0) + 1", "return StepResult((Point('middle', None, 0.0, str(self.n)),))"
    )
    assert "reset must forget everything" in faults_of(check(tmp_path / "p", code))


def test_state_shared_between_plugin_objects_is_no_fault_of_reset(tmp_path: Path) -> None:
    """Each load has a module of its own, so a module's counter starts anew with a new plugin object."""
    code = with_step("SEEN.append(1)", "return StepResult((Point('middle', None, 0.0, 'nothing'),))", head="SEEN = []")
    assert check(tmp_path / "p", code).passed


def test_a_thread_left_running_is_found(tmp_path: Path) -> None:
    # The plugin starts a thread that waits for an event; the test sets it so that nothing outlives the test.
    code = CODE.replace(
        "        self.context = context",
        "        import threading\n"
        "        stop = threading.Event()\n"
        "        left = threading.Thread(target=stop.wait, name='left over')\n"
        "        left.stop = stop\n"
        "        left.start()",
    )
    try:
        report = check(tmp_path / "p", code)
    finally:
        for thread in threading.enumerate():
            if thread.name == "left over":
                thread.stop.set()
                thread.join()
    assert 'the thread "left over" still runs after close' in faults_of(report)


@pytest.mark.parametrize("line", ["from PySide6 import QtWidgets", "import socket", "import onnxruntime"])
def test_a_forbidden_import_stops_the_check_before_code_runs(tmp_path: Path, line: str) -> None:
    mark = tmp_path / "ran"
    code = f"from pathlib import Path\nPath({str(mark)!r}).touch()\n{line}\n{CODE}"
    report = check(tmp_path / "p", code)
    assert [c.name for c in report.checks if not c.passed] == ["imports"]
    assert not mark.exists()


def test_a_broken_manifest_ends_the_check(tmp_path: Path) -> None:
    report = check(tmp_path / "p", every=0)
    assert [(c.name, c.passed) for c in report.checks] == [("manifest", False)]
    assert "`every` must be at least 1" in faults_of(report)


def test_a_missing_readme_is_told(tmp_path: Path) -> None:
    folder = write_plugin(tmp_path / "p")
    (folder / "README.md").unlink()
    report = check_plugin(folder, no_models)
    assert [c.name for c in report.checks if not c.passed] == ["README.md"]


def test_a_missing_model_is_told(tmp_path: Path) -> None:
    report = check(tmp_path / "p", "def create(context):\n    return context.open_model()")
    assert "There is no model." in faults_of(report)


def test_upstream_plugins_are_there_with_nothing_to_say(tmp_path: Path) -> None:
    code = with_step("assert upstream['needle-tip'].results == ()", "return StepResult()")
    assert check(tmp_path / "p", code, after=["needle-tip"]).passed


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="There is no plugin folder"):
        check_plugin(tmp_path / "nowhere", no_models)
