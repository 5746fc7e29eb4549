"""Simulated needles on real stills: truth, motion, halves of the stills, and what the manifest says."""

from __future__ import annotations

import hashlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from puncta.core.errors import UserError
from puncta.formats.dataset import annotations_by_image, is_true_negative
from puncta.formats.dataset_checks import check_files, check_references, check_splits
from puncta.sim.composite import CompositeGenerator
from puncta.sim.composite_stills import (
    Still,
    list_stills,
    measure_look,
    read_still,
    shade_db,
    stills_of_split,
    without_margins,
)
from puncta.sim.dataset_spec import spec_from_table
from puncta.sim.datasets import build_dataset


def speckle(rng: np.random.Generator, size_px: tuple[int, int], sigma: tuple[float, float], db: float) -> np.ndarray:
    """A picture of plain tissue: log-compressed Rayleigh speckle of a known size on a 55 dB display."""
    pairs = rng.standard_normal((size_px[1], size_px[0], 2)).astype(np.float32)
    field = cv2.GaussianBlur(pairs, (0, 0), sigma[0], sigmaY=sigma[1])
    level = 20 * np.log10(np.hypot(field[..., 0], field[..., 1]) / field.std() / 1.41)
    return np.clip(np.rint(200 + (level + db) * 255 / 55), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def still() -> np.ndarray:
    rng = np.random.default_rng(1)
    picture = speckle(rng, (360, 300), (2.0, 1.1), -22.0)
    for y in (40, 90, 170):
        cv2.line(picture, (0, y), (360, y + 12), 200, 2, cv2.LINE_AA)
    return picture


def clean_frame(still: np.ndarray, seed: int, **wishes: object) -> tuple[CompositeGenerator, np.ndarray, object]:
    """The first frame without receiver noise on which the tip is clear and well inside; None where there is none."""
    generator = CompositeGenerator(still, seed, steps=12, size_px=(192, 160), noise=False, **wishes)  # type: ignore[arg-type]
    for _ in range(12):
        pixels, truth = generator.next_frame()
        inside = truth.tip_px is not None and 12 < truth.tip_px[0] < 180 and 12 < truth.tip_px[1] < 148
        if inside and truth.visibility == "clear" and truth.visible_px > 30:
            return generator, pixels, truth
    return generator, pixels, None


def test_truth_lies_on_what_the_needle_changes_within_a_pixel(still: np.ndarray):
    """The twin shows the same frame without the needle, so their difference is the needle alone."""
    across, ends, seen = [], [], 0
    for seed in range(40):
        generator, pixels, truth = clean_frame(still, seed, approach="in-plane")
        if truth is None or truth.in_plane_offset_mm is None or abs(truth.in_plane_offset_mm) > 0.3:
            continue
        look, at = generator.look, generator.placement
        scale = look.grey_per_db * 20
        brighter = 10 ** ((pixels.astype(float) - 255) / scale) - 10 ** ((generator.twin.astype(float) - 255) / scale)
        brighter = np.maximum(brighter, 0)
        tip, entry = np.array(truth.tip_px), np.array(truth.entry_px)
        along = (tip - entry) / np.hypot(*(tip - entry))
        normal = np.array([-along[1], along[0]])
        # Centroid of the difference across the axis, a little behind the tip, from the points of the axis itself.
        last = np.flatnonzero(at.inside)[-1]
        point = np.array([at.x_px[last - 10], at.y_px[last - 10]])
        offsets = np.arange(-4, 4.01, 0.25)
        steps = np.arange(-6, 1)
        profile = sum(sampled(brighter, point + s * along + offsets[:, None] * normal) for s in steps)
        if profile.max() < 0.02:
            continue
        seen += 1
        across.append(abs((profile * offsets).sum() / profile.sum()))
        # The difference ends at the tip: half of it is gone there, up to the point spread's width.
        ways = np.arange(-12, 12.01, 0.25)
        line = sum(sampled(brighter, tip + ways[:, None] * along + o * normal) for o in (-1, 0, 1))
        behind = np.median(line[(ways > -8) & (ways < -3)])
        past = ways[np.flatnonzero(line > 0.5 * max(behind, 0.5 * line.max()))[-1]]
        ends.append(past)
    assert seen >= 8
    assert np.median(across) < 0.5
    assert max(across) < 1.6
    assert abs(np.median(ends)) < 1.0


def sampled(picture: np.ndarray, points: np.ndarray) -> np.ndarray:
    at = points.astype(np.float32)
    return cv2.remap(picture.astype(np.float32), at[:, :1], at[:, 1:], cv2.INTER_LINEAR)[:, 0]


def test_a_still_moves_and_a_frame_repeats(still: np.ndarray):
    def frames() -> list[np.ndarray]:
        generator = CompositeGenerator(still, 5, steps=6, size_px=(96, 80))
        return [generator.next_frame()[0] for _ in range(6)]

    first, second = frames(), frames()
    assert all((a == b).all() for a, b in zip(first, second))
    assert all((a != b).any() for a, b in zip(first, first[1:]))


def test_without_a_needle_nothing_differs_from_the_twin(still: np.ndarray):
    generator = CompositeGenerator(still, 6, steps=5, size_px=(96, 80), needle=False)
    for _ in range(5):
        pixels, truth = generator.next_frame()
        assert (pixels == generator.twin).all()
        assert (truth.visibility, truth.tip_px, truth.shaft_polygon) == ("absent", None, ())
        assert generator.difficulty(truth) is None
        assert not generator.masks(truth)[0].any()
    with pytest.raises(UserError, match="all were taken"):
        generator.next_frame()


def test_far_from_the_needle_the_picture_is_the_still(still: np.ndarray):
    generator, pixels, truth = clean_frame(still, 2, approach="in-plane")
    for seed in range(3, 40):
        if truth is not None:
            break
        generator, pixels, truth = clean_frame(still, seed, approach="in-plane")
    whole, _ = generator.masks(truth)
    above = np.zeros_like(whole)
    top = np.flatnonzero(whole.any(axis=1))[0]
    above[: max(0, top - 15)] = True
    assert (pixels[above] == generator.twin[above]).all()


def test_out_of_plane_shows_a_dot_at_the_crossing(still: np.ndarray):
    found = 0
    for seed in range(30):
        generator = CompositeGenerator(still, seed, steps=8, size_px=(160, 160), approach="out-of-plane", noise=False)
        for _ in range(8):
            pixels, truth = generator.next_frame()
        if truth.crossing_px is None or truth.visible_px < 2:
            continue
        found += 1
        change = np.abs(pixels.astype(float) - generator.twin)
        ys, xs = np.mgrid[0:160, 0:160]
        near = np.hypot(xs - truth.crossing_px[0], ys - truth.crossing_px[1]) < 18
        # Only what brightens is the dot; the shadow below darkens.
        brighter = np.maximum(pixels.astype(float) - generator.twin, 0)
        assert brighter[near].sum() > 0.6 * brighter.sum() or change.max() < 12
        assert truth.plane_angle_deg > 15
    assert found >= 3


def test_the_look_is_measured_from_speckle_of_known_size():
    rng = np.random.default_rng(3)
    small = measure_look(speckle(rng, (256, 256), (1.6, 0.9), -20.0))
    large = measure_look(speckle(rng, (256, 256), (3.2, 1.4), -20.0))
    assert small.sigma_px[0] < large.sigma_px[0]
    assert small.sigma_px[1] < large.sigma_px[1]
    assert 0.35 * 1.6 < small.sigma_px[0] < 1.6
    assert 45 <= 255 / small.grey_per_db <= 62
    assert measure_look(speckle(rng, (256, 256), (1.6, 0.9), -30.0)).tissue_db < small.tissue_db + 3


def test_a_shadow_hides_a_needle_and_a_vessel_does_not():
    picture = speckle(np.random.default_rng(4), (200, 200), (1.5, 1.0), -20.0)
    picture[80:, 20:60] = 2
    cv2.circle(picture, (140, 110), 18, 2, -1)
    shade = shade_db(picture, measure_look(picture))
    assert shade[150, 40] < -10
    assert shade[110, 140] > -4


def folder_of(place: Path, count: int) -> Path:
    place.mkdir(parents=True)
    for n in range(count):
        cv2.imwrite(str(place / f"{n}.png"), speckle(np.random.default_rng(n), (96, 96), (1.5, 1.0), -20.0))
    return place


def test_halves_are_disjoint_stable_and_follow_the_file_alone(tmp_path: Path):
    folder_of(tmp_path / "a", 40)
    stills = list_stills(tmp_path, ("a",))
    parts = {split: {s.sha256 for s in stills_of_split(stills, split)} for split in ("train", "tune", "test")}
    assert sum(map(len, parts.values())) == len(stills) == 40
    assert len(set().union(*parts.values())) == 40
    assert {s.half for s in stills if s.sha256 in parts["test"]} == {"false-alarm"}
    # The name and the folder do not matter, nor who else is there.
    renamed = tmp_path / "b" / "other.png"
    renamed.parent.mkdir()
    renamed.write_bytes(stills[7].path.read_bytes())
    (moved,) = list_stills(tmp_path, ("b",))
    assert (moved.half, moved.kept_to_tune) == (stills[7].half, stills[7].kept_to_tune)
    assert len(list_stills(tmp_path, ("a", "b"))) == 40
    # Fixed for good: the first byte's last bit decides, as models that were trained before rely on.
    assert Still(Path("x"), "00" + "f" * 62, "x").half == "background"
    assert Still(Path("x"), "01" + "f" * 62, "x").half == "false-alarm"
    assert Still(Path("x"), "0010" + "f" * 60, "x").kept_to_tune


def test_real_stills_fall_into_two_halves(shared_data: Path):
    stills = list_stills(shared_data, ("usgra_seg/images", "femoral_nerve/trainset/images"))
    halves = [s.half for s in stills]
    assert len(stills) > 600
    assert 0.4 < halves.count("background") / len(halves) < 0.6
    picture = read_still(stills[0].path)
    generator = CompositeGenerator(picture, 1, steps=2, size_px=(128, 128))
    assert generator.next_frame()[0].shape == (128, 128)
    assert 0.04 < generator.mm_per_px < 0.6


def table_of(**part: object) -> dict:
    common = {"kind": "composite", "seeds": [0, 4], "frames": 5, "sizes_px": [[96, 80]], "folders": ["a"]}
    return {"name": "real", "description": "Real.", "part": [{**common, "split": "test", **part}]}


def test_a_composite_dataset_says_what_it_is(tmp_path: Path):
    folder_of(tmp_path / "stills" / "a", 12)
    spec = spec_from_table(table_of(needle_free=0.5, late=0.0, masks=True))
    dataset = build_dataset(spec, tmp_path / "data", stills=tmp_path / "stills")
    assert check_references(dataset) == [] and check_splits(dataset) == []
    assert check_files(dataset, tmp_path / "data") == ([], [])
    assert dataset.info.simulated is True
    assert dataset.info.more["content"] == "real background, simulated needle"
    assert {v.more["content"] for v in dataset.videos} == {
        "real background, simulated needle", "real background, no needle"
    }
    assert all(v.mm_per_px is None for v in dataset.videos)
    assert {v.machine for v in dataset.videos} == {"still-a"}
    half = {s.sha256 for s in list_stills(tmp_path / "stills", ("a",)) if s.half == "false-alarm"}
    assert {v.more["still_sha256"] for v in dataset.videos} <= half
    with_tip = [i for i in dataset.images if i.difficulty]
    assert with_tip
    assert all(10 < i.difficulty["assumed_depth_mm"] < 51 for i in with_tip)
    by_image = annotations_by_image(dataset)
    free = {v.id for v in dataset.videos if not v.more["needle"]}
    assert len(free) == 2
    for image in dataset.images:
        if image.video_id in free:
            assert all(is_true_negative(image, by_image.get(image.id, ()), c) for c in dataset.categories)


def test_every_still_is_used_before_one_is_used_twice(tmp_path: Path):
    folder_of(tmp_path / "stills" / "a", 12)
    half = [s.sha256 for s in list_stills(tmp_path / "stills", ("a",)) if s.half == "false-alarm"]
    spec = spec_from_table(table_of(seeds=[0, len(half)], frames=1, needle_free=1.0))
    dataset = build_dataset(spec, tmp_path / "data", stills=tmp_path / "stills")
    assert sorted(v.more["still_sha256"] for v in dataset.videos) == sorted(half)


def test_missing_or_unusable_stills_are_one_sentence(tmp_path: Path):
    spec = spec_from_table(table_of())
    with pytest.raises(UserError, match="needs real stills.*--stills"):
        build_dataset(spec, tmp_path / "x")
    with pytest.raises(UserError, match="There is no folder of stills"):
        build_dataset(spec, tmp_path / "x", stills=tmp_path)
    (tmp_path / "a").mkdir()
    with pytest.raises(UserError, match="holds no picture"):
        build_dataset(spec, tmp_path / "x", stills=tmp_path)
    name = next(n for n in range(99) if hashlib.sha256(f"no picture {n}".encode()).digest()[0] % 2)
    (tmp_path / "a" / "broken.png").write_text(f"no picture {name}")
    with pytest.raises(UserError, match="cannot be read; take it out"):
        build_dataset(spec, tmp_path / "x", stills=tmp_path)
    with pytest.raises(UserError, match="shows less than 64 x 64 pixels"):
        without_margins(np.zeros((200, 200), np.uint8))
    assert not list((tmp_path / "x" / "images").glob("0*"))


def test_other_stills_are_refused_in_a_begun_folder(tmp_path: Path):
    folder_of(tmp_path / "stills" / "a", 8)
    spec = spec_from_table(table_of(seeds=[0, 1], frames=1))
    build_dataset(spec, tmp_path / "data", stills=tmp_path / "stills")
    cv2.imwrite(str(tmp_path / "stills" / "a" / "new.png"), speckle(np.random.default_rng(99), (96, 96), (2, 1), -20))
    with pytest.raises(UserError, match="on other stills"):
        build_dataset(spec, tmp_path / "data", stills=tmp_path / "stills")
