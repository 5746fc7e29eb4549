"""A study's folder: begun, gone on with, grown by rows, and kept from becoming another study."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from puncta.core.errors import UserError
from puncta.training.study_folder import STUDY_HEAD, open_study

UNET = {"name": "unet", "net": "unet"}
STCN = {"name": "stcn", "net": "stcn"}
OURS = {"name": "ours", "net": "track"}


def a_study(*rows: Any, **more: Any) -> dict[str, Any]:
    return {"name": "s", "seed": 1, "training": {"clips": 4}, "runs": list(rows), "claims": [], **more}


def test_rows_may_be_added_before_between_and_after_those_that_are_there(tmp_path: Path) -> None:
    out = tmp_path / "out"
    open_study(out, a_study(UNET, STCN), False)
    open_study(out, a_study(UNET, OURS, STCN, {"name": "last", "net": "fcn32"}), True)
    kept = json.loads((out / STUDY_HEAD).read_text(encoding="utf-8"))
    assert [row["name"] for row in kept["runs"]] == ["unet", "ours", "stcn", "last"]
    # What was added has become part of the study.
    with pytest.raises(UserError, match="other runs"):
        open_study(out, a_study(UNET, STCN), True)


@pytest.mark.parametrize(
    ("now", "what"),
    [
        (a_study(UNET), "other runs.*rows may be added, not changed or left out"),
        (a_study({**UNET, "size": "full"}, STCN), "other runs"),
        (a_study({**UNET, "name": "unet-8"}, STCN, OURS), "other runs"),
        (a_study(STCN, UNET), "other runs"),
        (a_study(UNET, STCN, OURS, training={"clips": 8}), "other training"),
        (a_study(UNET, STCN, OURS, seed=2), "other seed"),
    ],
)
def test_other_changes_are_refused_and_change_nothing(tmp_path: Path, now: dict[str, Any], what: str) -> None:
    out = tmp_path / "out"
    open_study(out, a_study(UNET, STCN), False)
    before = (out / STUDY_HEAD).read_bytes()
    with pytest.raises(UserError, match=what):
        open_study(out, now, True)
    assert (out / STUDY_HEAD).read_bytes() == before


def test_rows_that_stand_in_files_of_their_own_grow_with_what_is_in_them(tmp_path: Path) -> None:
    out = tmp_path / "out"
    open_study(out, a_study("a.toml", experiments=[{"name": "a", "lr": 1}]), False)
    changed = [{"name": "a", "lr": 2}, {"name": "b", "lr": 1}]
    with pytest.raises(UserError, match="other experiments"):
        open_study(out, a_study("a.toml", "b.toml", experiments=changed), True)
    open_study(out, a_study("a.toml", "b.toml", experiments=[{"name": "a", "lr": 1}, {"name": "b", "lr": 1}]), True)


def test_claims_and_titles_may_change_and_going_on_is_asked_for(tmp_path: Path) -> None:
    out = tmp_path / "out"
    open_study(out, a_study(UNET), False)
    with pytest.raises(UserError, match="--resume"):
        open_study(out, a_study(UNET), False)
    open_study(out, a_study(UNET, claims=[{"id": "S1"}], title="new"), True)
    assert json.loads((out / STUDY_HEAD).read_text(encoding="utf-8"))["title"] == "new"


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(UserError, match="something else"):
        open_study(tmp_path, a_study(UNET), True)
