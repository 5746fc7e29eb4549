"""Clips made by several processes are those that one process makes."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest
import slow_clips

from puncta.core.errors import UserError
from puncta.training import building
from puncta.training.data import CompositeSpec, build_composites, cache_name
from puncta.training.stopping import Paused


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


def makers_of(folder: Path) -> list[psutil.Process]:
    there = []
    for pid in {int(p.read_text() or 0) for p in folder.glob("*/*.json")}:
        try:
            there.append(psutil.Process(pid))
        except psutil.Error:
            continue
    return [p for p in there if p.status() != psutil.STATUS_ZOMBIE]


def test_a_pause_ends_all_processes_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "WORTH_IT", 2)

    def report(_what: str, done: int, _total: int) -> None:
        if done:
            raise Paused

    with pytest.raises(Paused):
        wanted = CompositeSpec(("x",), 10_000)
        building.build_together(slow_clips.slow, "clips", wanted, tmp_path, report, tmp_path, jobs=2)
    assert makers_of(tmp_path) == []
    assert 0 < len(list(tmp_path.glob("*/*.json"))) < 10_000


KILLED = """
import sys
from pathlib import Path
from puncta.training import building
from puncta.training.data import CompositeSpec
from slow_clips import slow
if __name__ == "__main__":
    building.WORTH_IT = 2
    there = Path(sys.argv[1])
    building.build_together(slow, "clips", CompositeSpec(("x",), 10_000), there, lambda *_: None, there, jobs=2)
"""


def test_a_killed_training_leaves_no_process_behind(tmp_path: Path) -> None:
    script = tmp_path / "begin.py"
    script.write_text(KILLED, encoding="utf-8")
    places = [str(Path(building.__file__).parents[2]), str(Path(slow_clips.__file__).parent)]
    began = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(places)},
    )
    try:
        until = time.monotonic() + 240
        while len({p.read_text() for p in tmp_path.glob("*/*.json")} - {""}) < 2 and time.monotonic() < until:
            assert began.poll() is None
            time.sleep(0.1)
        assert time.monotonic() < until, "its processes never began, so nothing would be tested"
    finally:
        began.kill()
        began.wait()
    left = makers_of(tmp_path)
    _gone, alive = psutil.wait_procs(left, timeout=60)
    assert alive == []
