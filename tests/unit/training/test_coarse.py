"""Cines of made speckle: beams lie where they are shown, the needle where the truth says, and none beyond its tip."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from puncta.training import data
from puncta.training.coarse import (
    BEAMS,
    SAMPLES,
    CoarseCineSpec,
    Tissue,
    build_coarse,
    compose_coarse_cine,
    draw_coarse_needle,
    draw_probe,
    needle_field,
)
from puncta.training.data import cache_name, load_clips

SIZE = 128


@pytest.mark.parametrize("seed", range(12))
def test_beams_lie_where_their_pixels_look(seed: int) -> None:
    probe = draw_probe(np.random.default_rng(seed), SIZE)
    rng = np.random.default_rng(1)
    for _ in range(60):
        beam, sample = int(rng.integers(2, BEAMS - 2)), int(rng.integers(2, SAMPLES - 2))
        x, y = (int(round(float(f[sample, beam]))) for f in (probe.x_px, probe.y_px))
        assert 0 <= x < SIZE and 0 <= y < SIZE
        if probe.inside[y, x]:
            # The rounding to a pixel is worth a few beams near a convex probe's face.
            spread = np.hypot(probe.x_px - x, probe.y_px - y)
            assert spread[int(round(float(probe.sample[y, x]))), int(round(float(probe.beam[y, x])))] < 1.5
    assert probe.inside.mean() > 0.4


def test_the_needle_ends_at_its_tip() -> None:
    seen = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        probe = draw_probe(rng, SIZE)
        tissue = Tissue(rng, probe)
        # Without its repetitions: those of a steep needle lie below its tip.
        needle = replace(draw_coarse_needle(rng, tissue, 6), tails=())
        drawn = np.hypot(*needle_field(needle, probe, 0))
        tip = needle.tip_px(0)
        back = -np.array(needle.direction)
        ahead = -((probe.x_px - tip[0]) * back[0] + (probe.y_px - tip[1]) * back[1])
        assert drawn[ahead > 12].max(initial=0.0) < 0.02 * needle.gain
        near = (ahead < 0) & (ahead > -25) & (np.abs(probe.x_px - tip[0]) < 40)
        seen += bool(drawn[near].max(initial=0.0) > 0.1 * needle.gain)
    assert seen >= 17


def test_tissue_moves_and_other_scatterers_come_in() -> None:
    rng = np.random.default_rng(3)
    probe = draw_probe(rng, SIZE)
    tissue = Tissue(rng, probe)
    tissue.floor_db = -200.0  # noise of the machine, which is fresh on every frame

    def correlation(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.corrcoef(a[probe.inside].astype(float), b[probe.inside].astype(float))[0, 1])

    first = tissue.show((0.0, 0.0), 0.0, None)
    assert np.array_equal(tissue.show((0.0, 0.0), 0.0, None), first)
    assert correlation(tissue.show((0.0, 0.0), 1.5, None), first) < correlation(
        tissue.show((0.0, 0.0), 0.1, None), first
    )
    assert not first[~probe.inside].any()


def test_cines_repeat_and_one_in_a_few_is_empty() -> None:
    cines = [compose_coarse_cine(np.random.default_rng([5, k]), SIZE, 4) for k in range(24)]
    again = compose_coarse_cine(np.random.default_rng([5, 7]), SIZE, 4)
    assert np.array_equal(again.frames, cines[7].frames)
    empty = sum(bool((c.judged == 0).all()) for c in cines)
    assert 2 <= empty <= 13
    told = [c.tip_px[c.judged == 1] for c in cines]
    assert sum(len(t) for t in told) > 30
    assert all(((t > 0) & (t < SIZE)).all() for t in told)


def test_clips_lie_in_the_cache_once(tmp_path: Path) -> None:
    spec = CoarseCineSpec(3, 4, seed=9)
    folder = build_coarse(spec, tmp_path, lambda *_: None)
    before = {p.name: p.stat().st_mtime_ns for p in folder.iterdir()}
    assert len(load_clips(folder)) == 3
    build_coarse(spec, tmp_path, lambda *_: None)
    assert {p.name: p.stat().st_mtime_ns for p in folder.iterdir()} == before


@pytest.mark.parametrize("seed", range(8))
def test_a_point_goes_with_its_tissue(seed: int) -> None:
    rng = np.random.default_rng(seed)
    probe = draw_probe(rng, SIZE)
    for _ in range(20):
        beam, sample = int(rng.integers(20, BEAMS - 20)), int(rng.integers(20, SAMPLES - 20))
        point = np.array([probe.x_px[sample, beam], probe.y_px[sample, beam]], np.float64)
        if not probe.inside[int(round(point[1])), int(round(point[0]))]:
            continue
        there = np.array([probe.x_px[sample + 12, beam + 9], probe.y_px[sample + 12, beam + 9]])
        # Beams lie nearer to each other at a convex face, so the pixel's rounding counts for more there.
        assert np.hypot(*(probe.carry(point, (9.0, 12.0)) - there)) < 1.0


def test_clips_of_an_older_drawing_never_pass_for_todays(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = cache_name(CoarseCineSpec(3))
    assert cache_name(CoarseCineSpec(9)) == before  # more clips of the same kind lie in the same folder
    here = Path(data.__file__).parent
    copy = tmp_path / "training"
    copy.mkdir()
    for name in CoarseCineSpec.drawn_by:
        (copy / name).write_bytes((here / name).read_bytes() + b"# another")
    monkeypatch.setattr(data, "__file__", str(copy / "data.py"))
    assert cache_name(CoarseCineSpec(3)) != before
