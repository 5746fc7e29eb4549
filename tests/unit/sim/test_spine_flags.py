"""The label rules of the infant's spine on drawn pictures whose every figure is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from puncta.formats.label_sets import label_sets_dir, read_label_set
from puncta.sim.anatomy import SubjectOptions
from puncta.sim.anatomy.infant_lp import build_infant
from puncta.sim.cine import CineGenerator
from puncta.sim.pose import ProbePose
from puncta.sim.spine_flags import SpineFlags, judge_spine, levels_of_greys, midline_offset
from puncta.sim.tissue_kinds import Tissue

MM = 0.2
WIDTH, HEIGHT = 150, 180
"""30 x 36 mm."""
ROW = {"dura": 50, "floor": 92}
GREY = {Tissue.FAT: 110, Tissue.CSF: 8, Tissue.CORD: 60, Tissue.DURA: 190, Tissue.BONE: 200, Tissue.CAUDA_EQUINA: 80}


@dataclass
class Scene:
    """A longitudinal picture with dura, fluid and perhaps cord."""

    label: np.ndarray
    picture: np.ndarray

    def judge(self, **more: object) -> SpineFlags:
        options = {"view": "longitudinal", "midline_offset_mm": 0.3, "motion_mm": 0.1, "lateral_mm": 0.5} | more
        return judge_spine(self.label, self.picture, MM, **options)  # type: ignore[arg-type]


def longitudinal(cord_mm: float = 0.0, cord_rows: tuple[int, int] = (60, 82), lines: bool = True) -> Scene:
    label = np.full((HEIGHT, WIDTH), int(Tissue.FAT), np.uint8)
    label[ROW["dura"] - 2 : ROW["dura"]] = int(Tissue.DURA)
    label[ROW["dura"] : ROW["floor"]] = int(Tissue.CSF)
    label[ROW["floor"] :] = int(Tissue.BONE)
    columns = round(cord_mm / MM)
    label[cord_rows[0] : cord_rows[1], :columns] = int(Tissue.CORD)
    noise = np.random.default_rng(0).normal(0, 9, label.shape)
    picture = np.zeros(label.shape)
    for kind, grey in GREY.items():
        picture[label == int(kind)] = grey
    picture += noise
    if lines:
        for row in (cord_rows[0], cord_rows[1] - 1, sum(cord_rows) // 2):
            picture[row, :columns] = 170
    picture[ROW["dura"] - 2 : ROW["dura"]] = 190
    return Scene(label, np.clip(picture, 0, 255).astype(np.uint8))


def test_fluid_alone_is_good_and_has_no_cord() -> None:
    flags = longitudinal().judge()
    assert (flags.quality, flags.csf, flags.cord) == (1, 1, 0)
    assert flags.failed == ()
    assert flags.reasons["csf_area_mm2"] == pytest.approx(WIDTH * 42 * MM * MM, rel=0.02)
    assert flags.reasons["csf_length_mm"] == pytest.approx(30.0, abs=0.3)
    assert flags.reasons["csf_contrast_db"] > 20


def test_cord_counts_from_five_millimetres_on() -> None:
    assert longitudinal(4.6).judge().cord == 0
    flags = longitudinal(5.4).judge()
    assert flags.cord == 1 and flags.csf == 1
    assert flags.reasons["cord_length_mm"] == pytest.approx(5.4, abs=0.21)


def test_cord_without_any_line_is_not_named() -> None:
    with_lines, without = longitudinal(20.0).judge(), longitudinal(20.0, lines=False).judge()
    assert with_lines.reasons["pia_cnr"] > 1.5 > without.reasons["centre_cnr"]
    assert (with_lines.cord, without.cord) == (1, 0)


def test_roots_alone_are_no_cord() -> None:
    scene = longitudinal()
    scene.label[75 : ROW["floor"]] = int(Tissue.CAUDA_EQUINA)
    flags = scene.judge()
    assert (flags.csf, flags.cord) == (1, 0)


def test_space_of_less_than_a_millimetre_is_no_fluid() -> None:
    narrow = longitudinal(30.0, cord_rows=(ROW["dura"] + 4, ROW["floor"] - 4)).judge()
    assert narrow.csf == 0 and narrow.reasons["csf_area_mm2"] == 0.0
    wide = longitudinal(30.0, cord_rows=(ROW["dura"] + 6, ROW["floor"] - 4)).judge()
    assert wide.csf == 1


def test_shadows_take_what_lies_below_them() -> None:
    scene = longitudinal(20.0)
    scene.label[20:24] = int(Tissue.BONE)
    flags = scene.judge()
    assert (flags.quality, flags.csf, flags.cord) == (0, 0, 0)
    assert "dura_share" in flags.failed
    # The same from an attenuation map, which counts before the labels do.
    dark = np.where(np.arange(HEIGHT)[:, None] > 40, -30.0, 0.0) * np.ones((1, WIDTH))
    assert longitudinal(20.0).judge(residual_db=dark.astype(np.float32)).csf == 0
    assert scene.judge(residual_db=np.zeros((HEIGHT, WIDTH), np.float32)).csf == 1


def test_windows_between_bones_are_too_short_for_fluid() -> None:
    scene = longitudinal()
    for start in range(0, WIDTH, 40):
        scene.label[20:24, start : start + 20] = int(Tissue.BONE)
    flags = scene.judge()
    assert flags.csf == 0
    assert flags.reasons["csf_length_mm"] == pytest.approx(4.0, abs=0.2)


@pytest.mark.parametrize(
    ("change", "name"),
    [({"midline_offset_mm": 2.4}, "midline_offset_mm"), ({"motion_mm": 0.8}, "blur_resolutions")],
)
def test_offset_and_motion_take_quality_alone(change: dict[str, float], name: str) -> None:
    flags = longitudinal(20.0).judge(**change)
    assert flags.failed == (name,)
    assert (flags.quality, flags.csf, flags.cord) == (0, 1, 1)


def test_gain_too_high_and_too_low_take_quality() -> None:
    bright, dark = longitudinal(), longitudinal()
    bright.picture[:] = np.where(bright.label == int(Tissue.BONE), 255, bright.picture)
    dark.picture[:] = np.where(dark.label == int(Tissue.CSF), dark.picture, 2)
    assert "clipped_share" in bright.judge().failed
    assert "black_share" in dark.judge().failed


def test_no_canal_in_view_is_nothing() -> None:
    scene = longitudinal()
    scene.label[:] = int(Tissue.MUSCLE)
    flags = scene.judge()
    assert (flags.quality, flags.csf, flags.cord) == (0, 0, 0)


def test_half_the_contour_makes_a_cord_across() -> None:
    zz, xx = np.mgrid[0:HEIGHT, 0:WIDTH]
    sac, cord = (np.hypot(xx - 75, zz - 75) < r for r in (20, 11))
    label = np.full((HEIGHT, WIDTH), int(Tissue.FAT), np.uint8)
    label[np.hypot(xx - 75, zz - 75) < 22] = int(Tissue.DURA)
    label[sac], label[cord] = int(Tissue.CSF), int(Tissue.CORD)
    picture = np.select([cord, sac, label == int(Tissue.DURA)], [60, 8, 190], 110).astype(float)
    picture += np.random.default_rng(1).normal(0, 9, picture.shape)
    picture[cord & (np.abs(np.hypot(xx - 75, zz - 75) - 10.5) < 0.8)] = 170
    picture[74:77, 74:77] = 170
    shown = np.clip(picture, 0, 255).astype(np.uint8)

    def judge(shadow_from: int) -> SpineFlags:
        residual = np.where(xx >= shadow_from, -30.0, 0.0).astype(np.float32)
        return judge_spine(label, shown, MM, view="transverse", residual_db=residual)

    whole = judge(WIDTH)
    assert (whole.quality, whole.csf, whole.cord) == (1, 1, 1)
    assert judge(79).cord == 1
    assert judge(70).cord == 0
    assert judge(70).reasons["cord_contour_share"] < 0.5


def test_coarse_labels_give_nearly_the_same_figures() -> None:
    scene = longitudinal(20.0)
    fine = scene.judge()
    coarse = judge_spine(scene.label[::2, ::2], scene.picture, 2 * MM, view="longitudinal", motion_mm=0.1)
    assert (coarse.quality, coarse.csf, coarse.cord) == (fine.quality, fine.csf, fine.cord)
    assert coarse.reasons["csf_area_mm2"] == pytest.approx(fine.reasons["csf_area_mm2"], rel=0.1)


def test_midline_offset_follows_the_probe() -> None:
    along = build_infant(3, SubjectOptions(view="longitudinal", condition="clear"), 0.5)
    middle = float(along.facts["midline_mm"])
    assert midline_offset(along, ProbePose(sweep_mm=middle)) == pytest.approx(0.0, abs=1e-6)
    assert midline_offset(along, ProbePose(sweep_mm=middle + 2.5)) == pytest.approx(2.5, abs=1e-6)
    assert midline_offset(along, ProbePose(sweep_mm=middle, tilt_rad=0.15)) > 1.5
    across = build_infant(3, SubjectOptions(view="transverse", condition="clear"), 0.5)
    middle = float(across.facts["midline_mm"])
    assert midline_offset(across, ProbePose(slide_mm=middle - 3.0)) == pytest.approx(3.0, abs=1e-6)


def test_grey_map_is_undone() -> None:
    straight = levels_of_greys(np.arange(256, dtype=np.uint8), 60.0)
    assert straight[0] == pytest.approx(-60.0) and straight[255] == pytest.approx(0.0)
    bent = np.rint(255 * (np.arange(256) / 255) ** 1.4).astype(np.uint8)
    assert levels_of_greys(bent, 60.0)[int(bent[128])] == pytest.approx(straight[128], abs=0.5)


@pytest.mark.parametrize("view", ["longitudinal", "transverse"])
@pytest.mark.parametrize(
    ("level", "condition", "expected"),
    [("L5-S1", "clear", {"quality": 1, "csf": 1, "cord": 0}), ("T12-L1", "clear", {"quality": 1, "csf": 1, "cord": 1}),
     ("L4-L5", "off-midline", {"quality": 0}), ("L4-L5", "bone", {"csf": 0})],
)
def test_rendered_subjects_carry_the_flags_that_were_asked_for(
    view: str, level: str, condition: str, expected: dict[str, int]
) -> None:
    options = SubjectOptions(view=view, level=level, condition=condition, weight_kg=3.5)
    agree = 0
    for seed in range(3):
        generator = CineGenerator("infant-lp", "B", seed, size_px=(200, 200), needle=False, options=options)
        _, truth = generator.next_frame()
        agree += all(truth.flags[name] == value for name, value in expected.items())
    assert agree >= 2


def test_the_protocol_sheet_asks_of_people_what_is_true_here() -> None:
    sheet = " ".join(read_label_set(label_sets_dir() / "infant-lp.json").protocol)
    beside = longitudinal(20.0).judge(midline_offset_mm=2.4)
    assert (beside.quality, beside.csf, beside.cord) == (0, 1, 1)
    assert "Poor quality does not make cord and CSF absent" in sheet
    hidden = longitudinal(20.0)
    hidden.label[10:14] = int(Tissue.BONE)
    assert (hidden.judge().csf, hidden.judge().cord) == (0, 0)
    assert "a canal that is shadowed, too narrow or out of the picture has neither cord nor CSF" in sheet
