"""Thresholds of a finished training are set again from its tune clips, and its head knows the new table."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="training needs torch, which is in the `train` extra")

from puncta.core.errors import UserError  # noqa: E402
from puncta.imaging.filtering import TipFilterSettings  # noqa: E402
from puncta.imaging.tip_scoring import TipScoring  # noqa: E402
from puncta.training import recalibrate as module  # noqa: E402
from puncta.training.calibrate import Calibration  # noqa: E402
from puncta.training.folder import CALIBRATION, GRAPH, HEAD, TABLE  # noqa: E402


def test_a_folder_without_a_finished_training_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no finished training"):
        module.recalibrate(tmp_path, [])
    assert not list(tmp_path.iterdir())


def test_calibration_table_and_head_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Calibration(TipFilterSettings(), TipScoring(show=1.25), {"ece": 0.0125})
    head = {"config": {"model": {"input": {"size": 96}}}, "files": {"table": {"path": TABLE, "sha256": "0" * 64}}}
    (tmp_path / HEAD).write_text(json.dumps(head), encoding="utf-8")
    asked = []
    monkeypatch.setattr(module, "open_exported", lambda path: path)
    monkeypatch.setattr(module, "calibrate", lambda *args: asked.append(args) or made)
    assert module.recalibrate(tmp_path, []) is made
    assert asked == [(tmp_path / GRAPH, [], 96, None)]
    kept = json.loads((tmp_path / CALIBRATION).read_text(encoding="utf-8"))
    assert kept["calibration"]["show"] == 1.25 and kept["figures"] == {"ece": 0.0125}
    assert "| ece | 0.0125 |" in (tmp_path / TABLE).read_text(encoding="utf-8")
    told = json.loads((tmp_path / HEAD).read_text(encoding="utf-8"))["files"]["table"]["sha256"]
    assert told == hashlib.sha256((tmp_path / TABLE).read_bytes()).hexdigest()
