"""A stranger's way, as the manual tells it: copy the template, rename it, check it, allow it, run it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from puncta import paths
from puncta.cli.main import main
from puncta.core.results import Detection
from puncta.inference.opener import opener_for
from puncta.pipeline.discover import PluginLoadError, discover, load
from puncta.sdk.frames import built_in_cases
from puncta.sdk.plugin import ResetReason


@pytest.fixture
def copied() -> Path:
    folder = paths.user_plugins_dir() / "my-spot"
    shutil.copytree(paths.plugins_dir() / "_template", folder, ignore=shutil.ignore_patterns("__pycache__"))
    manifest = folder / "plugin.toml"
    text = manifest.read_text(encoding="utf-8")
    assert 'id = "brightest-change"' in text
    text = text.replace('id = "brightest-change"', 'id = "my-spot"')
    manifest.write_text(text.replace('title = "Brightest change"', 'title = "My spot"'), encoding="utf-8")
    return folder


def test_the_template_itself_is_not_offered() -> None:
    assert discover().get("brightest-change") is None


def test_from_copy_to_result(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins", "check", str(copied)]) == 0
    found = discover().get("my-spot")
    assert found is not None and found.origin == "user"
    with pytest.raises(PluginLoadError, match="not allowed yet"):
        load(found, opener_for(found.id))

    assert main(["plugins", "allow", "my-spot"]) == 0
    assert "may run from" in capsys.readouterr().out
    plugin = load(found, opener_for(found.id), {"least_change": 10.0})
    case = built_in_cases()[1]  # the region is not at the origin
    plugin.reset(ResetReason.OPENED)
    results = [plugin.step(frame, {}).results[0] for frame in case.frames]
    plugin.close()
    assert isinstance(results[0], Detection) and results[0].box is None and results[0].reason
    for result, frame in zip(results[1:], case.frames[1:]):
        assert isinstance(result, Detection) and result.tip_px is not None
        # The made spot is the brightest thing in its frame, so the answer is known.
        row, column = np.unravel_index(int(frame.pixels[..., 0].argmax()), frame.pixels.shape[:2])
        assert np.hypot(result.tip_px[0] - column, result.tip_px[1] - row) <= 3.0

    assert main(["plugins", "forbid", "my-spot"]) == 0
    with pytest.raises(PluginLoadError):
        load(found, opener_for(found.id))


def test_one_edit_needs_a_new_permission(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins", "allow", "my-spot"]) == 0
    code = copied / "plugin.py"
    code.write_text(code.read_text(encoding="utf-8") + "# one more line\n", encoding="utf-8")
    capsys.readouterr()
    assert main(["plugins", "list"]) == 0
    assert "changed since it was allowed" in capsys.readouterr().out
    assert main(["plugins", "allow", "my-spot"]) == 0
    found = discover().get("my-spot")
    assert found is not None
    load(found, opener_for(found.id)).close()
