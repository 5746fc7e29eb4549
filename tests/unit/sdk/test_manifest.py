from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tomli_w
from plugin_folder import manifest

from puncta.core.errors import UserError
from puncta.sdk.manifest import parse_manifest, read_manifest


def parse(**changes: Any):  # noqa: ANN201
    return parse_manifest(tomli_w.dumps(manifest(**changes)))


def test_defaults() -> None:
    made = parse()
    assert (made.entry_module, made.entry_function) == ("plugin", "create")
    assert (made.every, made.history_frames, made.after, made.requires, made.model) == (1, 0, (), (), None)


def test_everything_can_be_said() -> None:
    made = parse(
        entry="main:make",
        requires=["scipy"],
        after=["needle-tip"],
        every=3,
        budget_ms=12,
        history_frames=8,
        model="tip-ut@0.1",
        layers=["tip", "heat map"],
        options={"threshold": 0.3, "mode": {"default": "a", "choices": ["a", "b"]}},
    )
    assert made.budget_ms == 12.0
    assert made.results[0].label == "middle"
    assert made.merge_options() == {"threshold": 0.3, "mode": "a"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"id": None}, "`id` is missing"),
        ({"id": "Needle Tip"}, "`id` must be small letters"),
        ({"title": ""}, "`title` must not be empty"),
        ({"version": 1}, "`version` must be text"),
        ({"version": "one"}, "`version` must be a version"),
        ({"api": 2}, "`api` is 2, but this program speaks version 1"),
        ({"api": "1"}, "`api` must be a whole number"),
        ({"entry": "plugin.py"}, "`entry` must be a module and a function"),
        ({"entry": "../evil:create"}, "`entry` must be a module and a function"),
        ({"requires": ["PySide6"]}, "no plugin may import"),
        ({"requires": ["onnxruntime"]}, "no plugin may import"),
        ({"requires": "scipy"}, "`requires` must be a list"),
        ({"after": ["middle"]}, "names the plugin itself"),
        ({"every": 0}, "`every` must be at least 1"),
        ({"every": True}, "`every` must be a whole number"),
        ({"budget_ms": -1.0}, "`budget_ms` must be more than 0"),
        ({"budget_ms": float("nan")}, "`budget_ms` must be a finite number"),
        ({"history_frames": 1.5}, "`history_frames` must be a whole number"),
        ({"model": "Tip UT"}, "`model` must be a model"),
        ({"results": []}, "`results` must not be empty"),
        ({"results": [{"type": "hologram", "label": "x"}]}, "`results.0.type` must be"),
        ({"results": [{"type": "point"}]}, "`results.0.label` is missing"),
        (
            {"layers": ["tip", "hologram"]},
            "`layers.1` must be an overlay layer: heat map, needle mask, path, throw, tip, target",
        ),
        ({"colour": "red"}, "`colour` is not a known key"),
        ({"options": {"threshold": {"default": 2.0, "max": 1.0}}}, "its default must be at most 1"),
        ({"options": {"threshold": [1, 2]}}, "must be a number, text, true or false"),
        ({"description": None, "licence": None}, "`description` is missing; `licence` is missing"),
    ],
)
def test_a_broken_manifest_is_told_with_its_key(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError) as caught:
        parse(**changes)
    assert words in str(caught.value)
    assert str(caught.value).startswith("The manifest plugin.toml needs a change: ")
    assert "\n" not in str(caught.value)


def test_no_toml_no_text_and_no_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not valid TOML"):
        parse_manifest("id = ")
    with pytest.raises(UserError, match=r"holds no plugin\.toml"):
        read_manifest(tmp_path)
    (tmp_path / "plugin.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match="not UTF-8"):
        read_manifest(tmp_path)


OPTIONS = {
    "threshold": {"default": 0.5, "min": 0.0, "max": 1.0},
    "count": 3,
    "mode": {"default": "fast", "choices": ["fast", "slow"]},
    "smooth": True,
}


def test_options_take_the_users_changes() -> None:
    merged = parse(options=OPTIONS).merge_options({"threshold": 1, "mode": "slow", "smooth": False})
    assert merged == {"threshold": 1, "count": 3, "mode": "slow", "smooth": False}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"nope": 1}, 'has no option "nope"; it has count, smooth, threshold, mode'),
        ({"threshold": 1.5}, "must be at most 1"),
        ({"threshold": -0.1}, "must be at least 0"),
        ({"threshold": float("nan")}, "must be a finite number"),
        ({"threshold": "high"}, "must be a number"),
        ({"threshold": True}, "must be a number"),
        ({"mode": 3}, "must be text"),
        ({"mode": "medium"}, "must be one of fast, slow"),
        ({"smooth": 1}, "must be true or false"),
    ],
)
def test_options_that_do_not_fit(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        parse(options=OPTIONS).merge_options(changes)
