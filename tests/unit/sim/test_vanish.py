"""Clips whose needle vanishes for some frames: pictures of the needle-free twin, truth as it was but for what shows."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from puncta.formats.dataset import Dataset
from puncta.formats.dataset_specs import check_dataset_spec
from puncta.metrics.mask import Plane
from puncta.metrics.mask_truth import mask_truth
from puncta.sim.dataset_spec import spec_from_table
from puncta.sim.datasets import build_dataset

SEED = 5
"""A subject whose needle stands out on every frame."""


def table(vanish: list[int] | None, seed: int = 3) -> dict:
    part = {"split": "test", "procedures": ["breast"], "machines": ["A"], "seeds": [seed, seed + 1], "frames": 6,
            "approaches": ["in-plane"], "sizes_px": [[112, 96]], "needle_free": 0.0, "late": 0.0, "masks": True}
    if vanish is not None:
        part["vanish"] = vanish
    return {"name": "made", "description": "For a test.", "part": [part]}


def built(folder: Path, vanish: list[int] | None) -> tuple[Dataset, list[np.ndarray]]:
    dataset = build_dataset(spec_from_table(table(vanish, SEED)), folder)
    return dataset, [cv2.imread(str(folder / i.file_name), cv2.IMREAD_UNCHANGED) for i in dataset.images]


def test_a_needle_vanishes_from_the_pictures_and_stays_in_the_truth(tmp_path: Path):
    plain, seen = built(tmp_path / "plain", None)
    made, shown = built(tmp_path / "made", [2, 4])
    hidden = (2, 3)
    assert [np.array_equal(a, b) for a, b in zip(seen, shown)] == [k not in hidden for k in range(6)]
    needle = made.category("needle")
    assert needle is not None
    for dataset, gone in ((plain, ()), (made, hidden)):
        truths = [mask_truth(i, [a for a in dataset.annotations if a.image_id == i.id], needle) for i in dataset.images]
        assert all(t is not None and t.plane is Plane.IN_PLANE and t.physical for t in truths)
        assert [bool(t and t.shows) for t in truths] == [k not in gone for k in range(6)]
    # The whole needle's mask is that of the clip in which it shows.
    masks = [[a.more["physical_segmentation"] for a in d.annotations if a.category_id == needle.id]
             for d in (plain, made)]
    assert masks[0] == masks[1]
    inside = np.abs(seen[2].astype(int) - shown[2]).astype(float)
    assert inside.max() > 40  # an echo is missing


def test_a_range_that_does_not_fit_is_refused_and_digests_of_older_specs_stay():
    assert check_dataset_spec(table([2, 4])) == []
    assert check_dataset_spec(table([4, 4])) == [
        "part 1: its needles vanish on frames 4 to 4, no half-open range of its 6 frames"
    ]
    assert "vanish" in check_dataset_spec(table([2, 9]))[0]
    plain = spec_from_table(table(None))
    assert plain.digest() != spec_from_table(table([2, 4])).digest()
    # As it was before the key was known.
    assert plain.digest() == "bae7ab8f930ddc24f25bf84c4d67eff27f39ac9f42ffdbb436475d73ec01698f"


@pytest.mark.parametrize("name", ["breast-vanished", "breast-entry", "lp-stream"])
def test_the_sets_that_ship_hold(repo_root: Path, name: str):
    from puncta.sim.dataset_spec import plan_clips, read_spec

    plans = plan_clips(read_spec(repo_root / "resources" / "datasets" / f"{name}.toml"))
    assert len({plan.seed for plan in plans}) == len(plans)
    assert {plan.vanish for plan in plans} == {(16, 30) if name == "breast-vanished" else None}
