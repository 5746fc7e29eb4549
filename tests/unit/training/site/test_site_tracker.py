"""Adapting the tracker to a site's masks, in seconds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs PyTorch; install the train extra")

from made_site import tiny, write_site  # noqa: E402

from puncta.core.errors import UserError  # noqa: E402
from puncta.formats.experiment_files import read_table  # noqa: E402
from puncta.inference.registry import Registry  # noqa: E402
from puncta.training.experiment import experiment_from, find_experiment  # noqa: E402
from puncta.training.register import register_training  # noqa: E402
from puncta.training.site.tracker_data import build_labelled_masks, told_frames  # noqa: E402
from puncta.training.site.tracker_run import TrackShare, adapt_tracker, choose_track_share, read_thresholds  # noqa: E402
from puncta.training.tracker.masks import IN_PLANE, NONE, UNKNOWN  # noqa: E402
from puncta.training.tracker.run import train_tracker  # noqa: E402

NO_STILLS = {"backgrounds": [], "composites": 0, "still_cines": 0, "tune_still_cines": 0, "tune_empty_stills": 0}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    subjects = {"s1": "train", "s2": "train", "s3": "tune"}
    return write_site(tmp_path_factory.mktemp("sets") / "here", subjects, frames=24, every=3, masks=True)


@pytest.fixture(scope="module")
def tracker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("tracker")
    table = tiny(
        read_table(find_experiment("track_cpu")), data=NO_STILLS | {"datasets": []}, model={"memory": 8},
        training={"samples": 24, "length": 3, "batch": 6},
    )
    train_tracker(experiment_from(table), home / "base", cache=home / "cache")
    return home / "base"


def test_masks_of_labelled_frames_alone(site: Path, tmp_path: Path) -> None:
    clips = build_labelled_masks(site, "train", tmp_path, lambda *_: None)
    assert len(clips) == 4 and told_frames(clips) == 32
    needle, empty = clips[0], clips[1]
    assert (needle.plane[::3] == IN_PLANE).all() and (empty.plane[::3] == NONE).all()
    assert all((np.delete(c.plane, np.arange(0, 24, 3)) == UNKNOWN).all() for c in clips)
    masks = needle.masks([0, 1])
    assert masks[0].any() and not masks[1].any()


def test_adapts_with_the_thresholds_of_before(tracker: Path, site: Path, tmp_path: Path) -> None:
    table = tiny(
        read_table(find_experiment("track_site")), data={"datasets": ["here"]}, model={"memory": 8},
        training={"samples": 24, "length": 3, "batch": 6},
    )
    where = {"data_root": site.parent, "cache": tracker.parent / "cache", "start_from": tracker}
    head = adapt_tracker(experiment_from(table), tmp_path / "out", **where)
    assert json.loads(head.read_text())["state"] == "done"
    kept = json.loads((tmp_path / "out" / "calibration.json").read_text())
    before = read_thresholds(tracker)
    assert kept["calibration"]["show"] == pytest.approx(before.scoring.show, abs=1e-6)
    assert kept["presence_scale"] == before.scale and kept["familiar_before"] is True
    assert kept["learnt_from"] == "32 labelled frames of here (2 subjects, machine F, simulated)"
    register_training(tmp_path / "out", tmp_path / "models")
    card = Registry.load(shipped=tmp_path / "models", user=tmp_path / "none").cards[0]
    assert (card.id, card.default) == ("needle-track-site", False) and "here" in card.training_data


def test_a_share_that_costs_known_machines_is_not_kept() -> None:
    none = TrackShare(0.0, 0.50, 0.0, 0.40)
    dear, cheap = TrackShare(1.0, 0.49, 0.0, 0.6), TrackShare(0.4, 0.50, 0.0, 0.5)
    assert choose_track_share([none, dear, cheap], 0.005).share == 0.4
    assert choose_track_share([none, TrackShare(1.0, 0.50, 0.02, 0.6)], 0.005).share == 0.0


def test_plain_sentences(tracker: Path, tmp_path: Path) -> None:
    table = tiny(read_table(find_experiment("track_site")), data={"datasets": ["here"]})
    few = write_site(tmp_path / "few" / "here", {"s1": "train"}, clips=1, frames=8, masks=True)
    with pytest.raises(UserError, match="has 2 frames"):
        adapt_tracker(experiment_from(table), tmp_path / "c", data_root=few.parent, start_from=tracker)
    with pytest.raises(UserError, match="no thresholds"):
        (tmp_path / "empty").mkdir()
        torch.save({}, tmp_path / "empty" / "weights.pt")
        adapt_tracker(experiment_from(table), tmp_path / "d", data_root=few.parent, start_from=tmp_path / "empty")
