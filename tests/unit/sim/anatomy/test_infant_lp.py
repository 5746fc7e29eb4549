"""The infant's spine: sizes by the cited formulas, the same tissue in every block, the structures of each view."""

from __future__ import annotations

import numpy as np
import pytest

from puncta.sim.anatomy import SubjectOptions, build_subject
from puncta.sim.anatomy.infant_lp import build_infant, name_level
from puncta.sim.anatomy.infant_plan import CONUS_RANGE, draw_plan
from puncta.sim.anatomy.options import LEVELS
from puncta.sim.spine_flags import CSF_AP_MM
from puncta.sim.subject import Subject
from puncta.sim.tissue_kinds import Tissue


def slice_at(subject: Subject, y_mm: float = 0.0) -> np.ndarray:
    return subject.label[int(np.argmin(np.abs(subject.lattice.ys - y_mm)))]


def height_mm(subject: Subject, kinds: tuple[Tissue, ...], x_mm: float) -> float:
    column = slice_at(subject)[:, int(np.argmin(np.abs(subject.lattice.xs - x_mm)))]
    return float(np.isin(column, [int(k) for k in kinds]).sum()) * subject.lattice.step_mm[2]


def test_mid_canal_depth_follows_weight() -> None:
    for weight in (2.0, 3.5, 6.0, 8.0):
        depths = [draw_plan(seed, SubjectOptions(weight_kg=weight)).canal_depth_mm for seed in range(80)]
        assert np.mean(depths) == pytest.approx(2.2 * weight + 6.9, abs=0.3)
        assert np.ptp(depths) > 1.0


def test_canal_and_cord_have_the_published_sizes() -> None:
    plans = [draw_plan(seed, SubjectOptions(weight_kg=3.5)) for seed in range(300)]
    canal, cord = np.array([p.canal_ap_mm for p in plans]), np.array([p.cord_ap_mm for p in plans])
    assert canal.mean() == pytest.approx(8.4, abs=0.15) and canal.std() == pytest.approx(0.7, abs=0.12)
    assert cord.mean() == pytest.approx(4.4, abs=0.15) and cord.std() == pytest.approx(0.6, abs=0.12)


def test_conus_lies_about_the_disc_l1_l2_and_never_below_l3() -> None:
    conus = np.array([draw_plan(seed, SubjectOptions()).conus for seed in range(400)])
    assert conus.mean() == pytest.approx(1.15, abs=0.08)
    assert CONUS_RANGE[0] <= conus.min() and conus.max() <= CONUS_RANGE[1]
    assert name_level(1.1) == "L1-L2" and name_level(1.5) == "L2" and name_level(-0.5) == "T12"


def test_the_mix_of_levels_and_conditions_is_the_stated_one() -> None:
    plans = [draw_plan(seed, SubjectOptions()) for seed in range(500)]
    clear = [p for p in plans if p.condition == "clear"]
    assert len(clear) / 500 == pytest.approx(0.80, abs=0.05)
    with_cord = sum(p.tip_mm > -8.1 for p in clear if p.view == "longitudinal")
    with_cord += sum(p.tip_mm > 0 for p in clear if p.view == "transverse")
    assert with_cord / 500 == pytest.approx(0.35, abs=0.06)


@pytest.mark.parametrize("view", ["longitudinal", "transverse"])
def test_thin_and_wide_blocks_hold_the_same_tissue(view: str) -> None:
    options = SubjectOptions(view=view, level="L2-L3")
    thin, wide = build_infant(5, options, 1.0), build_infant(5, options, 6.0)
    inner = [int(np.argmin(np.abs(wide.lattice.ys - y))) for y in thin.lattice.ys]
    assert np.array_equal(thin.label, wide.label[inner])
    assert np.allclose(thin.level_db, wide.level_db[inner], atol=1e-3)
    assert thin.target == wide.target and thin.facts == wide.facts


def test_the_longitudinal_view_shows_cord_then_roots() -> None:
    subject = build_infant(1, SubjectOptions(view="longitudinal", level="L1-L2", condition="clear", weight_kg=3.5), 1.0)
    tip = float(subject.facts["conus_mm"])
    assert height_mm(subject, (Tissue.CORD,), tip - 16.0) == pytest.approx(float(subject.facts["cord_ap_mm"]), abs=0.9)
    assert height_mm(subject, (Tissue.CORD,), tip + 3.0) == 0.0
    assert height_mm(subject, (Tissue.CAUDA_EQUINA,), tip + 10.0) > 1.0
    assert height_mm(subject, (Tissue.CSF,), tip + 10.0) > 1.0
    kinds = set(np.unique(slice_at(subject)).tolist())
    for kind in (Tissue.SKIN, Tissue.FAT, Tissue.LIGAMENT, Tissue.CARTILAGE, Tissue.EPIDURAL_FAT, Tissue.DURA,
                 Tissue.BONE, Tissue.DISC):
        assert int(kind) in kinds, kind.name


def test_spinous_processes_repeat_at_the_pitch() -> None:
    subject = build_infant(4, SubjectOptions(view="longitudinal", level="L2-L3", condition="clear", weight_kg=3.5), 1.0)
    row = int((subject.facts["canal_depth_mm"] - subject.facts["canal_ap_mm"] / 2 - 2.2) / subject.lattice.step_mm[2])
    dark = slice_at(subject, subject.facts["midline_mm"])[row] == int(Tissue.CARTILAGE)
    starts = np.flatnonzero(np.diff(dark.astype(int)) == 1) * subject.lattice.step_mm[0]
    assert len(starts) >= 5
    assert np.diff(starts).mean() == pytest.approx(float(subject.facts["pitch_mm"]), abs=0.5)
    assert 6.8 <= float(subject.facts["pitch_mm"]) <= 9.2


def test_cauda_lies_to_the_front_and_cord_is_round_across() -> None:
    below = build_infant(2, SubjectOptions(view="transverse", level="L4-L5", condition="clear"), 1.0)
    plane = slice_at(below)
    rows = {kind: np.nonzero(plane == int(kind))[0].mean() for kind in (Tissue.CSF, Tissue.CAUDA_EQUINA)}
    assert rows[Tissue.CAUDA_EQUINA] > rows[Tissue.CSF] + 4
    assert not (plane == int(Tissue.CORD)).any()
    above = slice_at(build_infant(2, SubjectOptions(view="transverse", level="T12-L1", condition="clear"), 1.0))
    zz, xx = np.nonzero(above == int(Tissue.CORD))
    assert 0.9 <= (np.ptp(xx) + 1) / (np.ptp(zz) + 1) <= 1.4


def test_bone_stands_in_the_midline_only_where_it_is_asked_for() -> None:
    def bone_above_canal(condition: str) -> int:
        options = SubjectOptions(view="longitudinal", level="L3-L4", condition=condition, weight_kg=4.0)
        subject = build_infant(7, options, 1.0)
        rows = int((subject.facts["canal_depth_mm"] - subject.facts["canal_ap_mm"] / 2) / subject.lattice.step_mm[2])
        return int((slice_at(subject, subject.facts["midline_mm"])[:rows] == int(Tissue.BONE)).sum())

    assert bone_above_canal("clear") == 0
    assert bone_above_canal("bone") > 200


def test_blood_takes_the_place_of_fluid() -> None:
    def area(condition: str, kind: Tissue) -> int:
        subject = build_infant(9, SubjectOptions(view="longitudinal", level="L4-L5", condition=condition), 1.0)
        return int((slice_at(subject) == int(kind)).sum())

    assert area("clear", Tissue.HAEMATOMA) == 0
    assert area("haematoma", Tissue.HAEMATOMA) > 200
    assert area("haematoma", Tissue.CSF) < 0.6 * area("clear", Tissue.CSF)


def test_half_of_the_haematomas_leave_no_column_of_fluid_that_counts() -> None:
    deepest, scarce = [], 0
    for seed in range(24):
        subject = build_infant(seed, SubjectOptions(condition="haematoma"), 0.5)
        scarce += subject.facts["scarce_fluid"] is True
        fluid = (slice_at(subject) == int(Tissue.CSF)).sum(axis=0) * subject.lattice.step_mm[2]
        deepest.append(float(np.quantile(fluid, 0.9)))
    assert 4 <= scarce <= 14
    assert 6 <= sum(depth < CSF_AP_MM for depth in deepest) <= 20


def test_poor_contact_puts_air_under_the_face() -> None:
    subject = build_infant(11, SubjectOptions(view="longitudinal", condition="poor-contact"), 1.0)
    air = (slice_at(subject)[0] == int(Tissue.AIR)).mean()
    assert 0.2 < air < 0.95


def test_the_target_is_fluid_below_the_conus() -> None:
    for seed in range(12):
        subject = build_infant(seed, SubjectOptions(view="longitudinal", condition="clear"), 3.0)
        x, y, z = subject.target.centre_mm
        lattice = subject.lattice
        plane = slice_at(subject, y)
        column = int(np.argmin(np.abs(lattice.xs - x)))
        kind = Tissue(int(plane[int(np.argmin(np.abs(lattice.zs - z))), column]))
        assert kind in subject.target.inside, (seed, kind)
        assert subject.facts["target_below_conus"] is True
        assert x > float(subject.facts["conus_mm"])
        assert not (plane[:, column] == int(Tissue.CORD)).any()
    assert subject.forbidden == {Tissue.CORD, Tissue.BONE}


def test_facts_name_what_was_asked_for() -> None:
    options = SubjectOptions(view="transverse", level="L3-L4", condition="bone", weight_kg=7.25)
    subject = build_subject("infant-lp", 3, options=options, y_half_mm=1.0)
    assert subject.view == "transverse"
    assert (subject.facts["level"], subject.facts["condition"], subject.facts["weight_kg"]) == ("L3-L4", "bone", 7.25)
    assert subject.facts["level"] in LEVELS
    assert subject.pulse_hz[0] >= 2.0 and subject.breath_hz == (0.5, 1.0)
