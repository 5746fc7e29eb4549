"""The mask study in small: cut, trained, stopped and gone on with, answered in both modes, told in a table."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="training needs PyTorch; install the train extra")

import json  # noqa: E402
from pathlib import Path  # noqa: E402

import cv2  # noqa: E402
import numpy as np  # noqa: E402

from puncta.cli.main import main  # noqa: E402
from puncta.core.errors import UserError  # noqa: E402
from puncta.formats.dataset import (  # noqa: E402
    Annotation,
    Category,
    Dataset,
    Image,
    Info,
    Review,
    Video,
    Visibility,
    save_dataset,
)
from puncta.formats.rle import rle_from_mask  # noqa: E402
from puncta.formats.schemas import check  # noqa: E402
from puncta.formats.validate import validate  # noqa: E402
from puncta.training.study import find_study, shipped_studies  # noqa: E402
from puncta.training.tracker.study import read_study  # noqa: E402
from puncta.training.tracker.study_answers import (  # noqa: E402
    ALONE,
    GIVEN,
    Answers,
    answer_set,
    first_of,
    load_answers,
    save_answers,
    start_of,
)
from puncta.training.tracker.study_clips import WindowPool, make_window, pack_dataset, stack_windows  # noqa: E402
from puncta.training.tracker.study_figures import draw_figures  # noqa: E402
from puncta.training.tracker.study_files import Places  # noqa: E402
from puncta.training.tracker.study_run import run_study  # noqa: E402
from puncta.training.tracker.study_table import last_gain  # noqa: E402
from puncta.training.tracker.study_train import MaskSettings, mask_loss  # noqa: E402

FRAMES = 8
STUDY = """
version = 1
kind = "mask"
name = "small"
title = "A small study"
seed = 1
starter = "unet"
resamples = 40
[data]
train = "toy"
size = 64
[training]
clips = 4
batch = 2
learning_rate = 1e-3
gaps = [1, 2]
checkpoint_every = 1
examine_every = 1
[[runs]]
name = "unet"
title = "UNet"
net = "unet"
[[runs]]
name = "previous"
title = "UNet + previous mask"
net = "unet-previous"
[[runs]]
name = "stnan"
title = "STNAN"
net = "stnan"
window = 5
[[sets]]
name = "toy"
title = "toys"
[[pools]]
name = "gone"
title = "vanished"
of = ["toy"]
vanished = true
[[claims]]
id = "S1"
says = "one beats the other"
set = "toy"
figure = "iou"
better = "stnan"
than = "unet"
at_least = 1.0
[[claims]]
id = "S3"
says = "one is faster"
set = "toy"
figure = "fps"
better = "unet"
than = "stnan"
at_least = 0.0
[[claims]]
id = "S4"
says = "recall gains more"
set = "toy"
figure = "recall"
minus = "precision"
better = "stnan"
than = "unet"
at_least = 0.0
"""


def a_dataset(folder: Path, clips: int = 5) -> Path:
    """Clips of a bright line that grows; the first two of each split show it, the needle of the last is not there."""
    rng = np.random.default_rng(0)
    (folder / "images").mkdir(parents=True)
    images, notes, videos = [], [], []
    for number in range(3 * clips):
        split = ("train", "tune", "test")[number % 3]
        videos.append(Video(number + 1, f"v{number}", fps=10.0, mm_per_px=(0.5, 0.5), machine="A", split=split))
        for k in range(FRAMES):
            picture = rng.integers(10, 60, (80, 96)).astype(np.uint8)
            mask = np.zeros((80, 96), np.uint8)
            end = (30 + 5 * k, 20 + 4 * k + number)
            cv2.line(mask, (0, 10 + number), end, 1, 4)
            empty = number // 3 == clips - 1
            faint = k >= 2 and number // 3 == 1
            if not empty:
                picture[mask > 0] = 90 if faint else 220
            name = f"images/{number}-{k}.png"
            cv2.imwrite(str(folder / name), picture)
            at = len(images) + 1
            images.append(Image(at, name, 96, 80, number + 1, k, region=(0.0, 0.0, 96.0, 80.0), machine="A",
                                split=split, review=Review.CONFIRMED, labelled=("needle_tip", "needle"),
                                difficulty={"offset_sigma": 0.1}))
            if not empty:
                points = (*map(float, end), 2.0, 0.0, 10.0 + number, 2.0)
                look = Visibility.UNCERTAIN if faint else Visibility.CLEAR
                notes += [
                    Annotation(2 * at, at, 1, (end[0] - 3.0, end[1] - 3.0, 6.0, 6.0), keypoints=points,
                               visibility=look),
                    Annotation(2 * at + 1, at, 2, (0.0, 0.0, 50.0, 50.0), keypoints=points, visibility=look,
                               segmentation=rle_from_mask(mask > 0),
                               more={"physical_segmentation": rle_from_mask(mask > 0)}),
                ]
    save_dataset(
        Dataset(info=Info("needle", "CC0-1.0", True),
                categories=(Category(1, "needle_tip"), Category(2, "needle")), videos=tuple(videos),
                images=tuple(images), annotations=tuple(notes)), folder,
    )
    return folder


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("sets")
    a_dataset(root / "toy")
    return root


@pytest.fixture
def study(tmp_path: Path) -> Path:
    file = tmp_path / "study.toml"
    file.write_text(STUDY, encoding="utf-8")
    return file


class TestPack:
    def test_masks_points_and_scale_are_those_of_the_square(self, sets: Path, tmp_path: Path) -> None:
        pack = pack_dataset(sets / "toy", "test", 64, tmp_path)
        assert pack.frames.shape == (5 * FRAMES, 64, 64)
        assert pack.mm_per_px[0] == pytest.approx((0.5 * 96 / 64, 0.5 * 80 / 64))
        assert pack.in_plane().sum() == 4 * FRAMES
        rows = pack.rows_of(0)
        tip = pack.tip_px[rows.stop - 1]
        assert tip == pytest.approx(((65 + 0.5) * 64 / 96 - 0.5, (50 + 0.5) * 64 / 80 - 0.5))
        assert pack.masks[rows.stop - 1, int(tip[1]), int(tip[0]) - 1] == 1
        assert pack.hidden[pack.rows_of(1)].tolist() == [0, 0, 1, 2, 3, 4, 5, 6]
        again = pack_dataset(sets / "toy", "test", 64, tmp_path)
        assert (np.array(again.masks) == np.array(pack.masks)).all()

    def test_windows_depend_on_seed_and_number_alone_and_run_both_ways(self, sets: Path, tmp_path: Path) -> None:
        pack = pack_dataset(sets / "toy", "train", 64, tmp_path)
        pool = WindowPool(pack, 5, (1, 5), seed=3)
        drawn = [pool.draw(n)[0] for n in range(60)]
        assert all((a == pool.draw(n)[0]).all() for n, a in enumerate(drawn))
        steps = np.array([np.diff(rows) for rows in drawn])
        assert {1, -1} <= set(np.sign(steps).ravel().tolist())
        assert (np.sign(steps) == np.sign(steps[:, :1])).all()
        assert all(len(set(pack.clip[rows])) == 1 for rows in drawn)
        assert np.mean([pack.in_plane()[rows[0]] for rows in drawn]) > 0.85
        with pytest.raises(UserError, match="long enough"):
            WindowPool(pack, 5, (2, 5), seed=3)

    def test_augmentation_moves_picture_and_mask_together(self, sets: Path, tmp_path: Path) -> None:
        pack = pack_dataset(sets / "toy", "train", 64, tmp_path)
        rows = np.arange(5)
        window = make_window(pack, rows, np.random.default_rng(2), augment=True)
        inside, outside = window.images[window.masks > 0].mean(), window.images[window.masks == 0].mean()
        assert inside > outside + 1.5
        batch = stack_windows([window, window])
        assert batch.channels.images.shape == (2, 5, 64, 64)
        assert batch.targets.masks.shape == (2, 4, 64, 64)

    def test_a_missing_dataset_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="no dataset"):
            pack_dataset(tmp_path / "none", "test", 64, tmp_path)


class TestLoss:
    def test_paper_is_bce_alone_and_out_of_plane_frames_count_in_neither(self) -> None:
        from puncta.training.tracker.study_clips import ClipTargets

        masks = torch.zeros(1, 2, 8, 8)
        masks[:, 0, :, 2:4] = 1
        good = torch.where(masks > 0, 8.0, -8.0)
        bad_second = good.clone()
        bad_second[:, 1] = 8.0
        heard, deaf = (ClipTargets(masks, torch.tensor([[1.0, w]])) for w in (1.0, 0.0))
        assert float(mask_loss(bad_second, heard, False)[0]) > 3
        assert float(mask_loss(bad_second, deaf, False)[0]) < 0.01
        both = mask_loss(torch.zeros_like(good), heard, True)
        assert float(both[0]) == pytest.approx(both[1]["bce"] + both[1]["dice"])
        assert float(mask_loss(good, heard, True)[0]) < 0.05

    def test_papers_rate_falls_to_a_fifth_twice(self) -> None:
        settings = MaskSettings(samples=500, batch=5, learning_rate=1e-5, weight_decay=0, ema=0.9, warm_up=0.1, seed=1,
                                size=64, length=5, schedule="paper")
        assert [settings.rate(s) for s in (0, 59, 60, 84, 85, 99)] == pytest.approx(
            [1e-5, 1e-5, 2e-6, 2e-6, 4e-7, 4e-7])


class TestAnswers:
    def test_given_masks_stand_and_their_frames_are_not_judged(self, sets: Path, tmp_path: Path) -> None:
        pack = pack_dataset(sets / "toy", "test", 64, tmp_path)
        seen = []

        def perfect(clip: int, frames: np.ndarray, first: object) -> np.ndarray:
            seen.append(first)
            return np.array(pack.masks[pack.rows_of(clip)]).astype(bool)

        given = answer_set(perfect, pack, GIVEN)
        alone = answer_set(perfect, pack, ALONE)
        assert given.given.sum() == 4
        assert not alone.given.any()
        assert seen[0][0] == first_of(pack, 0)[0] == 0
        assert seen[4] is None
        weights = np.ones((3, pack.clips))
        figures = draw_figures(pack, given, GIVEN, weights)
        assert figures["iou"].value == 1.0
        assert figures["iou"].n == 4 * (FRAMES - 1)
        assert figures["false_mask_rate"].value == 0.0
        assert figures["vanished_iou"].n == 2
        assert figures["tip_mm"].value < 1.6
        assert figures["angle_deg"].value < 3.0
        assert draw_figures(pack, alone, ALONE, weights)["start_within_10"].value == 1.0

    def test_rows_with_a_memory_start_with_the_first_long_mask(self) -> None:
        masks = np.zeros((4, 64, 64), bool)
        masks[1, 10:12, 10:14] = True
        masks[2, 20:23, 5:50] = True
        assert start_of(masks)[0] == 2
        assert start_of(masks[:2]) is None

    def test_answers_come_back_as_they_were_kept(self, tmp_path: Path) -> None:
        rng = np.random.default_rng(1)
        kept = Answers(rng.random((3, 33, 33)) > 0.5, np.array([True, False, False]), np.full((3, 2), np.nan),
                       np.ones((3, 2)))
        save_answers(tmp_path / "a.npz", kept, "x")
        back = load_answers(tmp_path / "a.npz")
        assert (back.masks == kept.masks).all()
        assert (back.given == kept.given).all()


class TestStudy:
    def test_trains_answers_and_goes_on_where_it_stopped(self, sets: Path, study: Path, tmp_path: Path) -> None:
        places = Places(tmp_path / "out", None, tmp_path / "cache", sets)
        told = []
        run_study(study, places, only=["unet"], stop_after=1, tell=lambda p: told.append(p.stage))
        assert (tmp_path / "out/rows/unet/checkpoint.pt").is_file()
        assert not (tmp_path / "out/rows/unet/weights.pt").exists()
        with pytest.raises(UserError, match="--resume"):
            run_study(study, places)
        table = run_study(study, places, resume=True)
        text = table.read_text(encoding="utf-8")
        assert "Toys, with the true first mask" in text
        assert "Toys, on its own" in text
        found = json.loads((tmp_path / "out/table.json").read_text(encoding="utf-8"))
        assert list(found["rows"]) == ["unet", "previous", "stnan"]
        assert found["missing"] == []
        assert {c["id"]: c["word"] != "not measured" for c in found["claims"]} == {"S1": True, "S3": True, "S4": True}
        assert found["rows"]["stnan"]["parameters"] > 100_000
        assert found["rows"]["unet"]["fps"] > 0
        assert [p["clips"] for p in found["rows"]["stnan"]["curve"]] == [2, 4]
        given = found["rows"]["stnan"]["sets"]["toy"]["given"]["iou"]
        assert given["n"] == 4 * (FRAMES - 1)
        assert not validate(tmp_path / "out/rows/stnan").problems
        before = {p: p.stat().st_mtime_ns for p in (tmp_path / "out/rows").rglob("*.npz")}
        run_study(study, places, resume=True)
        assert before == {p: p.stat().st_mtime_ns for p in (tmp_path / "out/rows").rglob("*.npz")}

    def test_the_command_knows_the_kind_and_makes_a_table_anew(self, sets: Path, study: Path, tmp_path: Path) -> None:
        places = Places(tmp_path / "out", None, tmp_path / "out/cache", sets)
        run_study(study, places, only=["unet"])
        assert main(["train", str(study), "--out", str(tmp_path / "out"), "--sets", str(sets), "--table"]) == 0
        assert "Not there yet: previous, stnan" in (tmp_path / "out/table.md").read_text(encoding="utf-8")

    @pytest.mark.parametrize(
        ("old", "new", "told"),
        [
            ('starter = "unet"', 'starter = "stnan"', "starting row"),
            ('better = "stnan"', 'better = "nobody"', "nobody"),
            ('name = "previous"', 'name = "unet"', "twice"),
            ("size = 64", "size = 65", "multiple of 32"),
            ('net = "unet-previous"', 'net = "shipped"', "id of its model"),
            ('kind = "mask"', 'kind = "masks"', "does not fit"),
        ],
    )
    def test_a_study_that_does_not_hold_is_refused(self, study: Path, old: str, new: str, told: str) -> None:
        study.write_text(STUDY.replace(old, new, 1), encoding="utf-8")
        with pytest.raises(UserError, match=told):
            read_study(study)

    def test_shipped_studies_fit_and_hold_the_papers_presets(self) -> None:
        small, full = (read_study(find_study(name)) for name in ("stnan", "stnan_gpu"))
        assert {"stnan", "stnan_gpu"} <= set(shipped_studies())
        assert {row.net for row in small.rows} == {row.net for row in full.rows}
        assert {row.window for row in small.rows if row.net == "stnan"} == {5, 9, 11}
        assert {row.window for row in full.rows if row.net == "stnan"} == {5, 7, 9, 11}
        assert [row.depths for row in full.rows if row.net == "stcn-ct"] == [
            (2, 2, 6, 2), (2, 2, 10, 2), (3, 3, 12, 3), (3, 3, 16, 3)]
        assert full.settings.schedule == "paper"
        assert full.settings.learning_rate == 1e-5
        assert all(row.size == "full" for row in full.rows if row.trained)
        assert not validate(find_study("stnan")).problems

    def test_last_quarter_of_a_curve(self) -> None:
        curve = [{"clips": 25 * k, "iou": v} for k, v in enumerate((0.1, 0.3, 0.35, 0.4, 0.405))]
        assert last_gain(curve) == pytest.approx(0.5)
        assert last_gain(curve[:2]) is None

    def test_schema_refuses_an_unknown_key(self) -> None:
        assert check("study-mask", {"version": 1, "kind": "mask", "more": 1})
