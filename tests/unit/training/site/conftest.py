"""One base training of seconds for all tests of adapting."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from made_site import tiny  # noqa: E402


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished tip training of seconds; its clips lie in ``cache`` beside it."""
    pytest.importorskip("torch", reason="training needs PyTorch; install the train extra")
    from puncta.formats.experiment_files import read_table
    from puncta.training.experiment import experiment_from, find_experiment
    from puncta.training.run import train_experiment

    home = tmp_path_factory.mktemp("base")
    table = read_table(find_experiment("tip_cpu"))
    none = {"backgrounds": [], "composites": 0, "tune_composites": 0, "still_cines": 0, "tune_still_cines": 0,
            "tune_empty_stills": 0}
    table = tiny(table, data=none | {"clips": 3, "tune_clips": 3, "frames": 6}, training={"samples": 32})
    train_experiment(experiment_from(table), home / "base", cache=home / "cache")
    return home / "base"
