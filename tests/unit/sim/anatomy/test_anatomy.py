"""Painted subjects: what lies where, the same wherever a block is cut and in whichever process."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest

from puncta.core.errors import UserError
from puncta.sim.anatomy import SubjectOptions, build_subject
from puncta.sim.subject import Subject
from puncta.sim.tissue_kinds import Tissue

OWN = ("breast", "nerve", "vessel")


def cell(subject: Subject, x: float, y: float, z: float) -> tuple[int, int, int]:
    """Index [y, z, x] of the cell nearest a point [mm]."""
    lattice = subject.lattice
    parts = zip((y, z, x), (1, 2, 0), strict=True)
    index = [round((v - lattice.origin_mm[k]) / lattice.step_mm[k]) for v, k in parts]
    return tuple(int(np.clip(i, 0, n - 1)) for i, n in zip(index, lattice.shape, strict=True))  # type: ignore[return-value]


def kind_at(subject: Subject, x: float, y: float, z: float) -> Tissue:
    return Tissue(int(subject.label[cell(subject, x, y, z)]))


def first_depth(subject: Subject, kinds: set[Tissue], x: float = 0.0) -> float:
    """Depth at which a column of the middle slice first is one of the kinds [mm]."""
    j, _, i = cell(subject, x, 0.0, 0.0)
    found = np.flatnonzero(np.isin(subject.label[j, :, i], [int(k) for k in kinds]))
    return float(subject.lattice.zs[found[0]]) if len(found) else float("inf")


def digest(subject: Subject) -> str:
    parts = [subject.label, subject.level_db, subject.attenuation, subject.streaks.x_mm, subject.streaks.level_db]
    parts += [sheet.level_db for sheet in subject.sheets]
    return hashlib.sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in parts)).hexdigest()


@pytest.mark.parametrize("procedure", OWN)
@pytest.mark.parametrize("seed", range(31))
def test_every_seed_builds_a_sound_subject(procedure: str, seed: int) -> None:
    subject = build_subject(procedure, seed, y_half_mm=0.5)
    assert subject.label.shape == subject.level_db.shape == subject.attenuation.shape == subject.lattice.shape
    assert np.isfinite(subject.level_db).all()
    assert (subject.attenuation >= 0).all()
    assert np.ptp(subject.level_db) < 90
    for sheet in subject.sheets:
        assert np.isfinite(sheet.level_db[np.isfinite(sheet.z_mm)]).all()
    x, y, z = subject.target.centre_mm
    assert abs(x) < 16 and abs(y) < 2.5
    assert 3.0 < z < subject.depth_mm - 2.0
    assert 18.0 <= subject.depth_mm <= 55.0
    # Every column begins with skin, and the tip of a needle at the target hits nothing that is forbidden.
    assert (subject.label[:, 1, :] == int(Tissue.SKIN)).all()
    assert kind_at(subject, x, y, z) not in subject.forbidden


@pytest.mark.parametrize("procedure", OWN)
def test_thin_and_wide_blocks_agree(procedure: str) -> None:
    thin, wide = build_subject(procedure, 7, y_half_mm=2.0), build_subject(procedure, 7, y_half_mm=6.0)
    skip = (wide.lattice.shape[0] - thin.lattice.shape[0]) // 2
    middle = slice(skip, -skip)
    assert np.array_equal(wide.label[middle], thin.label)
    assert np.allclose(wide.level_db[middle], thin.level_db, atol=1e-4)
    assert np.array_equal(wide.attenuation[middle], thin.attenuation)
    assert len(wide.sheets) == len(thin.sheets)
    for a, b in zip(wide.sheets, thin.sheets, strict=True):
        assert np.allclose(a.z_mm[middle], b.z_mm, atol=1e-4, equal_nan=True)
        known = np.isfinite(b.z_mm)
        assert np.allclose(a.level_db[middle][known], b.level_db[known], atol=1e-3)
    assert thin.target == wide.target and thin.vessels == wide.vessels and thin.facts == wide.facts

    def near(s: Subject) -> set[tuple[float, float, float]]:
        pick = np.abs(s.streaks.y_mm) < 2.0
        columns = (s.streaks.x_mm, s.streaks.y_mm, s.streaks.level_db)
        return {tuple(row) for row in np.round(np.stack(columns, 1)[pick], 3).tolist()}

    assert near(thin) == near(wide)


def test_the_same_in_another_process() -> None:
    code = (
        "import sys; sys.path[:0] = eval(sys.argv[1]); import hashlib, numpy as np\n"
        "from puncta.sim.anatomy import build_subject\n"
        "s = build_subject('nerve', 11, y_half_mm=1.0)\n"
        "p = [s.label, s.level_db, s.attenuation, s.streaks.x_mm, s.streaks.level_db]\n"
        "p += [q.level_db for q in s.sheets]\n"
        "print(hashlib.sha256(b''.join(np.ascontiguousarray(v).tobytes() for v in p)).hexdigest())"
    )
    done = subprocess.run([sys.executable, "-c", code, repr(sys.path)], capture_output=True, text=True, check=True,
                          env={**os.environ, "PYTHONHASHSEED": "5"})
    assert done.stdout.strip() == digest(build_subject("nerve", 11, y_half_mm=1.0))


def test_seeds_differ() -> None:
    assert digest(build_subject("vessel", 1, y_half_mm=0.5)) != digest(build_subject("vessel", 2, y_half_mm=0.5))


@pytest.mark.parametrize("seed", range(3))
def test_breast_layers_lie_in_order(seed: int) -> None:
    subject = build_subject("breast", seed, options=SubjectOptions(lesion="none"), y_half_mm=0.5)
    for x in (-15.0, 0.0, 12.0):
        order = [first_depth(subject, {kind}, x) for kind in
                 (Tissue.SKIN, Tissue.FAT, Tissue.GLAND, Tissue.MUSCLE, Tissue.LUNG)]
        assert order == sorted(order)
        assert order[-1] < 70.0
    assert subject.target.name == "point in the gland"


@pytest.mark.parametrize(("lesion", "kind"), [("cyst", Tissue.CYST), ("benign", Tissue.BENIGN_MASS),
                                              ("malignant", Tissue.MALIGNANT_MASS)])
@pytest.mark.parametrize("seed", range(3))
def test_a_lesion_is_where_the_target_is(lesion: str, kind: Tissue, seed: int) -> None:
    subject = build_subject("breast", seed, options=SubjectOptions(lesion=lesion), y_half_mm=12.0)
    x, y, z = subject.target.centre_mm
    assert kind_at(subject, x, y, z) is kind
    assert subject.facts["lesion"] == lesion
    where = np.argwhere(subject.label == int(kind)) * np.array([subject.lattice.step_mm[k] for k in (1, 2, 0)])
    _, high, wide = np.ptp(where, axis=0)
    if lesion == "benign":
        assert wide > high
    if lesion == "malignant":
        assert high > 0.9 * wide
    # Swept past, the lesion is gone.
    assert not (subject.label[[0, -1]] == int(kind)).any()
    inside = subject.level_db[subject.label == int(kind)]
    assert np.median(inside) < np.median(subject.level_db[subject.label == int(Tissue.GLAND)]) - 10


def test_cysts_pass_and_cancers_take_sound() -> None:
    for seed in range(4):
        cyst = build_subject("breast", seed, options=SubjectOptions(lesion="cyst"), y_half_mm=0.5)
        cancer = build_subject("breast", seed, options=SubjectOptions(lesion="malignant"), y_half_mm=0.5)
        gland = float(np.median(cyst.attenuation[cyst.label == int(Tissue.GLAND)]))
        assert cyst.attenuation[cyst.label == int(Tissue.CYST)].max() < gland
        assert cancer.attenuation[cancer.label == int(Tissue.MALIGNANT_MASS)].min() > gland


@pytest.mark.parametrize("procedure", ["nerve", "vessel"])
@pytest.mark.parametrize("seed", range(4))
def test_vessels_run_where_their_tubes_say(procedure: str, seed: int) -> None:
    subject = build_subject(procedure, seed, y_half_mm=5.0)
    if procedure == "vessel":
        assert {v.kind for v in subject.vessels} == {Tissue.VEIN, Tissue.ARTERY}
    for vessel in subject.vessels:
        assert np.linalg.norm(vessel.direction) == pytest.approx(1.0)
        for way in (-4.5, 0.0, 4.5):
            at = np.array(vessel.centre_mm) + way * np.array(vessel.direction)
            assert kind_at(subject, *at) is vessel.kind
            side = at + (0.0, 0.0, vessel.radius_mm[1] * 1.6 + 1.0)
            assert kind_at(subject, *side) is not vessel.kind


@pytest.mark.parametrize("view", ["short-axis", "long-axis"])
@pytest.mark.parametrize("seed", range(3))
def test_the_vein_is_the_target_in_both_views(view: str, seed: int) -> None:
    subject = build_subject("vessel", seed, options=SubjectOptions(view=view), y_half_mm=0.5)
    x, y, z = subject.target.centre_mm
    assert subject.view == view
    assert kind_at(subject, x, y, z) is Tissue.VEIN
    assert subject.target.inside == {Tissue.VEIN} and Tissue.ARTERY in subject.forbidden
    vein = next(v for v in subject.vessels if v.kind is Tissue.VEIN)
    assert abs(vein.direction[0 if view == "long-axis" else 1]) > 0.9
    j, row, _ = cell(subject, 0.0, 0.0, z)
    length = int((subject.label[j, row] == int(Tissue.VEIN)).sum()) * subject.lattice.step_mm[0]
    assert (length > 15) == (view == "long-axis")


@pytest.mark.parametrize("seed", range(5))
def test_the_nerve_is_honeycombed_and_the_target_lies_just_beside_it(seed: int) -> None:
    subject = build_subject("nerve", seed, y_half_mm=0.5)
    x, z = float(subject.facts["nerve_x_mm"]), float(subject.facts["nerve_depth_mm"])
    assert kind_at(subject, x, 0.0, z) is Tissue.NERVE
    inside = subject.level_db[subject.label == int(Tissue.NERVE)]
    assert np.percentile(inside, 90) - np.percentile(inside, 5) > 8.0
    tx, _, tz = subject.target.centre_mm
    zs, xs = np.meshgrid(subject.lattice.zs, subject.lattice.xs, indexing="ij")
    nerve = subject.label[subject.lattice.shape[0] // 2] == int(Tissue.NERVE)
    gap = np.hypot(xs[nerve] - tx, zs[nerve] - tz).min()
    assert 0.5 < gap < 2.6


def test_wishes_that_do_not_fit_are_told_with_the_nearest_name() -> None:
    with pytest.raises(UserError, match="nearest is breast"):
        build_subject("brest", 1)
    with pytest.raises(UserError, match="nearest is malignant"):
        build_subject("breast", 1, options=SubjectOptions(lesion="malignent"))
    with pytest.raises(UserError, match="does not apply to nerve"):
        build_subject("nerve", 1, options=SubjectOptions(lesion="cyst"))
    with pytest.raises(UserError, match="2 to 8 kg"):
        build_subject("infant-lp", 1, options=SubjectOptions(weight_kg=12.0))
