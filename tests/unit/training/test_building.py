"""Clips made by several processes are those that one process makes."""

from __future__ import annotations

import hashlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from puncta.core.errors import UserError
from puncta.training import building
from puncta.training.data import CompositeSpec, build_composites, cache_name


def stills(folder: Path) -> Path:
    (folder / "stills").mkdir(parents=True)
    for k in range(6):
        noise = np.random.default_rng(k).integers(0, 200, (80, 90)).astype(np.uint8)
        cv2.imwrite(str(folder / "stills" / f"{k}.png"), cv2.GaussianBlur(noise, (0, 0), 2))
    return folder


def test_two_processes_make_the_same_clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "WORTH_IT", 2)
    root, spec = stills(tmp_path / "data"), CompositeSpec(("stills",), 5, 6, 3)
    one = build_composites(spec, root, tmp_path / "one", lambda *_: None)
    told: list[tuple[str, int, int]] = []
    two = building.build_together(build_composites, "composites", spec, tmp_path / "two", lambda *t: told.append(t),
                                  root, jobs=2)
    assert two.name == one.name == cache_name(spec)

    def digests(folder: Path) -> dict[str, str]:
        return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}

    assert digests(one) == digests(two) and len(digests(two)) == 10
    assert told[-1] == ("composites", 5, 5)


def test_what_a_process_complains_of_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "WORTH_IT", 2)
    with pytest.raises(UserError, match="is not in"):
        building.build_together(build_composites, "composites", CompositeSpec(("nowhere",), 5), tmp_path / "cache",
                                lambda *_: None, tmp_path, jobs=2)
