"""Plugins that give masks and flags, on hand-made datasets: what is judged, what is given, and what follows."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from toy_kinds import FLAG_NAMES, toy_kinds

from puncta import paths
from puncta.cli.evaluate_tables import markdown_of, table_of
from puncta.cli.main import main
from puncta.core.errors import UserError
from puncta.core.results import Certainty, MaskResult, PluginOutput
from puncta.formats.dataset import (
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
from puncta.formats.evaluation import evaluation_from_json, json_from_evaluation, read_evaluation
from puncta.formats.rle import rle_from_mask
from puncta.formats.schemas import check
from puncta.session.evaluate import differences, evaluation_of, open_labelled_data, run_plugin
from puncta.session.evaluate_masks import mask_from_output

SIZE = 64
REGION = (4.0, 4.0, 56.0, 56.0)
NEEDLE = Category(2, "needle")
# What each frame of a mask clip holds: "." no needle, "#" shows in full, "h" shows half, "v" in the plane but dark,
# "o" out of the plane, "x" no needle but something bright.
CLIPS = ("..##h", "##vvvvvv", "..xo")


def needle_mask(part: float = 1.0) -> np.ndarray:
    mask = np.zeros((SIZE, SIZE), bool)
    mask[30:34, 10 : 10 + round(40 * part)] = True
    return mask


def write_frame(folder: Path, name: str, pixels: np.ndarray) -> None:
    (folder / "images").mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / name), pixels)


def write_masks(folder: Path) -> Path:
    """Clips as `CLIPS` says, on machines A and B."""
    videos, images, annotations = [], [], []
    for clip, kinds in enumerate(CLIPS):
        videos.append(Video(clip + 1, f"clip{clip}", 25.0, (0.5, 0.5), "AB"[clip % 2], f"s{clip}", "test"))
        for index, kind in enumerate(kinds):
            name, number = f"images/{clip}-{index}.png", len(images) + 1
            pixels = np.full((SIZE, SIZE), 30, np.uint8)
            shown = {"#": needle_mask(), "h": needle_mask(0.5), "x": needle_mask(0.2)}.get(kind)
            if shown is not None:
                pixels[shown] = 255
            write_frame(folder, name, pixels)
            difficulty = None if kind in ".x" else {"hard": kind in "vo", "offset_sigma": 3.0 if kind == "o" else 0.1}
            images.append(Image(number, name, SIZE, SIZE, clip + 1, index, 40_000_000 * index, None, REGION,
                                "AB"[clip % 2], f"s{clip}", "test", Review.CONFIRMED, ("needle",), {}, difficulty))
            if kind not in ".x":
                visible = rle_from_mask(shown) if shown is not None else None
                visibility = Visibility.CLEAR if kind in "#h" else Visibility.OUT_OF_PLANE
                annotations.append(Annotation(
                    len(annotations) + 1, number, 2, (10.0, 30.0, 40.0, 4.0) if visible else None, 160.0,
                    segmentation=visible, visibility=visibility, keypoints=(49.0, 31.5, 2.0, 10.0, 31.5, 2.0),
                    more={"physical_segmentation": rle_from_mask(needle_mask())},
                ))
    info = Info("needle", "CC0-1.0", True, {"name": "made-masks"})
    save_dataset(Dataset(info, tuple(videos), tuple(images), (NEEDLE,), tuple(annotations)), folder)
    return folder


def test_masks_are_compared_with_the_whole_needle(tmp_path: Path):
    data = open_labelled_data(write_masks(tmp_path / "data"))
    run = run_plugin("toy-mask", data, discovery=toy_kinds(tmp_path / "plugins"))
    evaluation = evaluation_of(run, data)
    figures = evaluation.metrics
    overlaps = [1, 1, 0.5, 1, 1, 0, 0, 0, 0, 0, 0]
    assert figures["mask_iou"].value == pytest.approx(sum(overlaps) / len(overlaps))
    assert figures["mask_iou"].n == len(overlaps)
    assert figures["mask_precision"].value == pytest.approx(5 / 11)
    assert figures["mask_recall"].value == figures["mask_iou"].value  # nothing lies outside the needle
    p, r = 5 / 11, sum(overlaps) / 11
    assert figures["mask_f1"].value == pytest.approx(2 * p * r / (p + r))
    assert figures["mask_vanished_iou"].value == 0.0 and figures["mask_vanished_iou"].n == 2  # dark for 5 and for 6
    assert figures["false_mask_rate"].value == pytest.approx(1 / 5)
    assert figures["out_of_plane_mask_rate"].value == 0.0 and figures["out_of_plane_mask_rate"].n == 1
    assert figures["start_delay_frames"].value == 0.0 and figures["start_within_10"].n == 2
    assert figures["mask_boundary_mm"].n == 5
    assert figures["angle_error_deg"].value == 0.0  # the fitted line stands in the same table
    assert evaluation.frames == 17 and set(evaluation.per_machine) == {"A", "B"}
    assert evaluation.per_difficulty["hard"]["mask_iou"].value == 0.0
    assert "flag_f1" not in figures


def test_a_given_first_mask_counts_nowhere_and_helps_afterwards(tmp_path: Path):
    data = open_labelled_data(write_masks(tmp_path / "data"))
    found = toy_kinds(tmp_path / "plugins")
    given = run_plugin("toy-mask", data, first_mask=True, discovery=found)
    evaluation = evaluation_of(given, data)
    assert evaluation.prompt == "first_mask"
    assert evaluation.metrics["mask_iou"].n == 9  # eleven, less one of each clip with a needle in the plane
    assert evaluation.metrics["mask_iou"].value == 1.0  # the toy holds on to what it was given
    assert evaluation.metrics["start_within_10"].n == 0
    assert evaluation.metrics["false_mask_rate"].n == 5
    document = json_from_evaluation(evaluation)
    assert check("evaluation", document) == [] and document["prompt"] == "first_mask"
    assert evaluation_from_json(document).prompt == "first_mask"
    alone = run_plugin("toy-mask", data, discovery=found)
    gaps = differences(given, alone)
    assert gaps["mask_iou"].value == pytest.approx(1 - 2.5 / 9) and gaps["mask_iou"].n == 9
    assert "prompt" not in json_from_evaluation(evaluation_of(alone, data))
    text = markdown_of([evaluation, evaluation_of(alone, data)], gaps, True, 3, "puncta evaluate toy-mask")
    assert "physical_segmentation" in text and "was given; that frame counts nowhere" in text
    assert "| mask IoU, mean [%] | 100.0 [100.0 .. 100.0] | 40.9 [" in text
    assert "mask IoU, mean [%]" in table_of(evaluation, True, 3)


def test_a_plugin_without_prompts_refuses_a_first_mask(tmp_path: Path):
    data = open_labelled_data(write_masks(tmp_path / "data"))
    with pytest.raises(UserError, match="takes no prompts"):
        run_plugin("toy-mask-deaf", data, first_mask=True, discovery=toy_kinds(tmp_path / "plugins"))


def test_a_mask_is_laid_into_the_picture_where_it_belongs():
    corner = MaskResult("needle", np.ones((3, 4), bool), (-1, 2), 0.9)
    lost = MaskResult("needle", np.ones((2, 2), bool), (5, 5), 0.1, Certainty.LOST)
    other = MaskResult("lesion", np.ones((2, 2), bool), (5, 5), 0.9)
    whole = mask_from_output(PluginOutput("x", 0, (corner, lost, other)), (4, 8))
    expected = np.zeros((4, 8), bool)
    expected[2:4, 0:3] = True
    np.testing.assert_array_equal(whole, expected)
    assert mask_from_output(PluginOutput("x", 0, (lost, other)), (4, 8)) is None


def write_flags(folder: Path, rows: list[tuple[str, str, bool]]) -> Path:
    """One clip of 1 frame a second; a row is (truth of the three flags, answers "+-?" or " ", unfamiliar)."""
    images = []
    for index, (truth, said, strange) in enumerate(rows):
        pixels = np.full((SIZE, SIZE), 30, np.uint8)
        for k, answer in enumerate(said):
            pixels[4, 4 + k] = {"+": 255, "-": 0, "?": 150}[answer]
        pixels[5, 4] = 255 if strange else 0
        write_frame(folder, f"images/{index}.png", pixels)
        flags = {name: {"1": 1, "0": 0, "n": None}[t] for name, t in zip(FLAG_NAMES, truth)}
        images.append(Image(index + 1, f"images/{index}.png", SIZE, SIZE, 1, index, 10**9 * index, None, REGION, "D",
                            "s", "test", Review.CONFIRMED, FLAG_NAMES, flags))
    video = Video(1, "clip", 1.0, None, "D", "s", "test")
    save_dataset(Dataset(Info("infant-lp", "CC0-1.0", True, {"name": "made-flags"}), (video,), tuple(images)), folder)
    return folder


def test_flags_of_whole_frames(tmp_path: Path):
    rows = [
        ("101", "+-+", False),
        ("101", "+--", False),  # csf is missed, and the shown flag has changed
        ("101", "???", False),  # cannot tell; would say yes to all three
        ("0n1", "-++", True),  # nobody knows about the cord; unfamiliar
    ]
    data = open_labelled_data(write_flags(tmp_path / "data", rows))
    run = run_plugin("toy-flags", data, discovery=toy_kinds(tmp_path / "plugins"), timings=False)
    evaluation = evaluation_of(run, data)
    figures = evaluation.metrics
    assert evaluation.frames == 4 and run.frames == () and run.masks == ()
    assert figures["flag_f1"].n == 11
    tp, fp, fn = 2 + 1 + 2 + 1, 1, 1
    assert figures["flag_f1"].value == pytest.approx(2 * tp / (2 * tp + fp + fn))
    assert figures["flag_exact_match"].value == pytest.approx(2 / 4)
    assert figures["flag_hamming"].value == pytest.approx(2 / 11)
    assert figures["abstain_rate"].value == pytest.approx(3 / 11)
    assert figures["flag_risk"].value == pytest.approx(1 / 8)
    assert figures["cannot_tell_rate"].value == pytest.approx(2 / 4)
    # One change to "cannot tell" of quality and of cord in 2 s each, of csf two in 3 s: nothing shows when unfamiliar.
    assert figures["flicker_per_min"].value == pytest.approx(60 * (1 / 2 + 1 / 2 + 2 / 3))
    assert figures["ms_per_frame"].n == 0
    assert figures["flag_f1_csf"].value == pytest.approx(2 * 3 / (2 * 3 + 1))
    assert "mask_iou" not in figures and "tip_error_px" not in figures
    document = json_from_evaluation(evaluation)
    assert check("evaluation", document) == [] and list(document["metrics"])[-1] == "flag_f1_quality"
    assert "withheld answer" in table_of(evaluation, True, 1)


def test_plugins_of_unlike_kinds_cannot_be_compared(tmp_path: Path):
    found = toy_kinds(tmp_path / "plugins")
    flagged = open_labelled_data(write_flags(tmp_path / "f", [("111", "+++", False)]))
    flags = run_plugin("toy-flags", flagged, discovery=found)
    masks = run_plugin("toy-mask", open_labelled_data(write_masks(tmp_path / "m")), discovery=found)
    with pytest.raises(UserError, match="nothing of the same kind"):
        differences(flags, masks)
    with pytest.raises(UserError, match="no confirmed label"):
        run_plugin("toy-flags", open_labelled_data(tmp_path / "m"), discovery=found)


def test_the_command_gives_the_first_mask_and_writes_both_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    toy_kinds(paths.user_plugins_dir())
    assert main(["plugins", "allow", "toy-mask"]) == 0
    data, out = write_masks(tmp_path / "data"), tmp_path / "out.md"
    capsys.readouterr()
    asked = ["evaluate", "toy-mask", "--data", str(data), "--no-timings", "--markdown", str(out)]
    assert main([*asked, "--first-mask", "--compare", "toy-mask", "--json", str(tmp_path / "out.json")]) == 0
    shown = capsys.readouterr().out
    assert "was given; that frame counts nowhere" in shown and "minus" in shown and "mask IoU, mean" in shown
    text = out.read_text()
    assert "puncta evaluate toy-mask --data data --compare toy-mask --first-mask" in text and str(tmp_path) not in text
    assert "difference [95 %]" in text and "By machine" in text
    assert read_evaluation(tmp_path / "out.json").prompt == "first_mask"
    first = out.read_bytes()
    assert main([*asked, "--first-mask", "--compare", "toy-mask"]) == 0
    assert out.read_bytes() == first
    assert main(["evaluate", "toy-mask", "--data", str(data), "--real", "x.toml", "--first-mask"]) == 2
    assert "--first-mask does not go with --real" in capsys.readouterr().err
    assert main([*asked[:-1], str(tmp_path / "none" / "x.md")]) == 2
    assert "does not exist" in capsys.readouterr().err
