"""A folder of plain COCO is offered, planned and gone on with, as the command line takes it."""

from __future__ import annotations

from pathlib import Path

import pytest
from site_models import make_dataset

from puncta.core.errors import UserError
from puncta.formats.dataset import COCO_FILE, DATASET_FILE
from puncta.inference.registry import Registry
from puncta.session import retrain_plans
from puncta.session.retrain import RetrainJobs, RetrainPlan, datasets_at_hand
from puncta.session.retrain_records import JobRecord

TIP = "needle-tip-ut 0.5"


@pytest.fixture
def coco(user_home: Path) -> Path:
    folder = make_dataset("ward", 6, 30, stated=True)
    (folder / DATASET_FILE).rename(folder / COCO_FILE)
    return folder


def test_a_coco_folder_is_offered_planned_and_gone_on_with(
    coco: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (found,) = datasets_at_hand(None)
    assert found.path == coco and found.frames_labelled > 0 and not found.problems
    monkeypatch.setattr(retrain_plans.importlib.util, "find_spec", lambda _name: object())
    registry = Registry.load(user=tmp_path / "models")
    recipe, _start = retrain_plans.check_plan(RetrainPlan("one", "tip_site", coco, TIP), registry)
    assert recipe.id == "tip_site"
    jobs = RetrainJobs(tmp_path / "trainings", models=tmp_path / "models", cache=tmp_path / "clips")
    record = JobRecord("a", "a", "tip_site", "needle-tip", TIP, str(coco), "m 1", "")
    command = jobs._command(record)
    assert command[command.index("--data") + 1] == str(coco.parent)
    (coco / COCO_FILE).unlink()
    with pytest.raises(UserError, match="is not there any more"):
        jobs._command(record)
    with pytest.raises(UserError, match=r"holds no dataset\.json, and no annotations\.json of COCO"):
        retrain_plans.check_plan(RetrainPlan("one", "tip_site", coco, TIP), registry)
