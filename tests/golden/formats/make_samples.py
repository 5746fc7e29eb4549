"""Writes the golden samples: small, hand-made, all labelled simulated or made up. Run from the project's top folder."""

from __future__ import annotations

import hashlib
import sys
import zipfile
import zlib
from pathlib import Path

import cv2
import numpy as np
import tomli_w

from puncta.core.flags import Flag
from puncta.core.frame import Calibration, CalibrationOrigin, FrameKey, hash_planes
from puncta.core.results import (
    Certainty,
    ClassResult,
    Detection,
    HeatMap,
    Line,
    MaskResult,
    Measure,
    Point,
    Result,
)
from puncta.core.target import TargetFix, TargetLoss
from puncta.formats.attempt import AttemptEvent, AttemptRecord, AttemptSummary, write_attempt
from puncta.formats.dataset import Annotation, Category, Dataset, Image, Info, Review, Video, Visibility, save_dataset
from puncta.formats.evaluation import Evaluation, Metric, write_evaluation
from puncta.formats.frames_log import FrameRecord, FramesHead, head_bytes, record_bytes
from puncta.formats.jsontext import json_document, json_line
from puncta.formats.moves import Move, MoveScript, write_moves
from puncta.formats.progress import Progress, TaskState, text_from_progress
from puncta.formats.results_lines import ResultLine, ResultsWriter
from puncta.formats.truth import MapFile, NeedleTruth, TargetTruth, TruthHead, TruthLine, write_truth
from puncta.formats.truth_pictures import write_flow_map, write_label_map

WHEN = "2026-01-31T12:00:00Z"
PROGRAM = "puncta 0.1.0"
NEEDLE_PX = np.array([[2.0, 4.0], [20.0, 13.0]])
NEEDLE_BOX = (2.0, 4.0, 18.0, 9.0)
# Centred on the tip, 8.8 % x 4.0 % of a region of 32 x 24 pixels.
TIP_BOX = (18.592, 12.52, 2.816, 0.96)


def sha_of_text(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def sha_of_file(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def draw_frame(number: int, needle: bool) -> np.ndarray:
    """A 32 x 24 picture: noise with a bright line where a needle is."""
    pixels = np.random.default_rng(number).integers(20, 70, size=(24, 32), dtype=np.uint8)
    if needle:
        entry, tip = NEEDLE_PX.astype(int)
        cv2.line(pixels, tuple(map(int, entry)), tuple(map(int, tip)), 230, 1)
    return pixels


def make_frame_key(folder: Path) -> None:
    key = {"stream": "case.mp4", "index": 12, "pts_ns": 480_000_000, "sha256": hash_planes((draw_frame(12, True),))}
    (folder / "frame-key.json").write_text(json_document(key), encoding="utf-8")


def make_results(folder: Path) -> None:
    shaft = np.zeros((3, 4), bool)
    shaft[1, 1:3] = True
    found = (
        Detection("needle_tip", TIP_BOX, (20.0, 13.0), 0.9312, 2.5),
        Line("needle", (2.0, 4.0), (20.0, 13.0), 0.88, 26.565, 0.8),
        Point("target", (27.0, 20.0), 1.0),
        MaskResult("needle", shaft, (2, 4), 0.75),
        ClassResult("csf", True, 0.91),
    )
    lost = (
        Detection("needle_tip", None, None, 0.08, certainty=Certainty.LOST, reason="no tip since 0.5 s"),
        Line("needle", None, None, 0.0, reason="no straight line found"),
        Point("target", None, 0.0, reason="no target chosen"),
        MaskResult("needle", None, (0, 0), 0.0, Certainty.LOST, "no needle found"),
        ClassResult("csf", None, 0.5, "picture quality is too low"),
    )
    cells = np.array([[0.1, 0.25, 0.5], [0.4, 0.9, 0.75]], np.float32)
    depth = Measure("csf_depth", 12.4, "mm", 1.9, "middle of the csf heat map")
    judged = (ClassResult("cord", False, 0.04), HeatMap("csf", cells, (1.5, 1.5, 28.0, 20.0)), depth)
    withheld = (
        ClassResult("cord", None, 0.41, "between the thresholds"),
        HeatMap("csf", None, (1.5, 1.5, 28.0, 20.0), "unfamiliar picture"),
        Measure("csf_depth", None, "mm", reason="no csf in sight"),
    )
    rows: tuple[tuple[dict[str, tuple[Result, ...]], set[Flag], dict[str, int]], ...] = (
        ({"needle-tip": found, "infant-lp": judged}, {Flag.SIMULATED}, {}),
        ({"needle-tip": lost, "infant-lp": judged, "made-plugin": withheld}, {Flag.SIMULATED, Flag.TRACK_LOST},
         {"infant-lp": 0}),
    )
    with ResultsWriter(folder / "results.jsonl") as writer:
        for number, (outputs, flags, carried) in enumerate(rows):
            key = FrameKey("made.mp4", number, number * 40_000_000, hash_planes((draw_frame(number, not number),)))
            timings = {name: 3_100_000 for name in outputs if name not in carried}
            planned = TargetFix((27.0, 20.0), 1.25, entry_px=(3.0, 2.0))
            target = planned if number == 0 else TargetFix(None, 9.0, TargetLoss.PLANE)
            writer.put_line(ResultLine(key, outputs, frozenset(flags), timings, carried, target))


def make_dataset(folder: Path) -> None:
    images = []
    (folder / "images").mkdir()
    for number, (needle, review) in enumerate(
        ((True, Review.CONFIRMED), (False, Review.BULK), (True, Review.PROPOSED))
    ):
        pixels = draw_frame(number, needle)
        cv2.imwrite(str(folder / f"images/{number:03d}.png"), pixels)
        test = number == 2
        images.append(
            Image(
                id=number + 1,
                video_id=2 if test else 1,
                frame_index=0 if test else number,
                file_name=f"images/{number:03d}.png",
                width=32,
                height=24,
                pts_ns=0 if test else number * 40_000_000,
                sha256=hash_planes((pixels,)),
                region=(0.0, 0.0, 32.0, 24.0),
                machine="D" if test else "A",
                subject=f"made-{2 if test else 1}",
                split="test" if test else "train",
                review=review,
                labelled=() if test else ("needle_tip", "needle"),
                difficulty={"hard": False, "tip_cnr": 5.2},
            )
        )
    polygon = [[2.0, 3.5, 20.0, 12.5, 20.0, 13.5, 2.0, 4.5]]
    keypoints = (20.0, 13.0, 2.0, 2.0, 4.0, 2.0)
    annotations = (
        Annotation(1, 1, 1, TIP_BOX, 2.703, keypoints=keypoints, rater="AB", source="human"),
        Annotation(2, 1, 2, NEEDLE_BOX, 18.0, segmentation=polygon, keypoints=keypoints, rater="AB", source="human"),
        Annotation(
            3,
            3,
            1,
            TIP_BOX,
            2.703,
            keypoints=keypoints,
            visibility=Visibility.UNCERTAIN,
            source="model:tip-ut 0.1",
        ),
    )
    videos = (
        Video(1, "made 1", 25.0, (0.1, 0.1), "A", "made-1", "train"),
        Video(2, "made 2", 25.0, None, "D", "made-2", "test"),
    )
    save_dataset(
        Dataset(
            Info("needle", "CC0-1.0", True),
            videos,
            tuple(images),
            (Category(1, "needle_tip"), Category(2, "needle")),
            annotations,
        ),
        folder,
    )


def make_coco(folder: Path) -> None:
    (folder / "images").mkdir()
    cv2.imwrite(str(folder / "images/a.png"), draw_frame(0, True))
    cv2.imwrite(str(folder / "images/b.png"), draw_frame(1, False))
    images = [
        {"id": n, "file_name": f"images/{name}.png", "width": 32, "height": 24} for n, name in ((1, "a"), (2, "b"))
    ]
    document = {
        "images": images,
        "categories": [{"id": 1, "name": "needle", "supercategory": "tool"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [2, 4, 18, 9], "area": 162, "iscrowd": 0}],
    }
    (folder / "dataset.json").write_text(json_document(document), encoding="utf-8")


def make_label_set(folder: Path) -> None:
    document = {
        "format": "puncta-label-set",
        "version": 1,
        "id": "made",
        "title": "Made-up label set",
        "categories": [
            {
                "id": 1,
                "name": "needle_tip",
                "title": "Needle tip",
                "shape": "point",
                "keypoints": ["tip", "entry"],
                "colour": "#f0e442",
                "meaning": "The far end of the bevel.",
            }
        ],
        "flags": [
            {"name": "csf", "title": "CSF", "key": "3", "meaning": "Fluid is in view."},
            {"name": "shadow", "title": "Shadow", "grades": ["none", "some", "most"], "key": "4"},
        ],
        "phases": [
            {"name": "advance", "title": "Advance", "key": "1", "meaning": "The needle moves forward."},
            {"name": "withdraw", "title": "Withdraw", "key": "2"},
        ],
        "protocol": ["Mark the far end of the bevel.", "Say absent only where no needle is in the tissue."],
    }
    (folder / "label-set.json").write_text(json_document(document), encoding="utf-8")


def make_truth(folder: Path) -> None:
    shaft = np.zeros((24, 32), bool)
    shaft[4:14, 2:21] = np.eye(10, 19, dtype=bool)
    needle = NeedleTruth(
        Visibility.CLEAR,
        (20.0, 13.0),
        (2.0, 4.0),
        TIP_BOX,
        NEEDLE_BOX,
        ((2.0, 3.5), (20.0, 12.5), (20.0, 13.5), (2.0, 4.5)),
        20.125,
        (20.0, 13.0),
        (0.45, 1.35),
        1.35,
        0.1,
        26.565,
        "left",
        0.91,
        3.0,
        5.2,
        6.1,
        None,
        shaft,
        plane_angle_deg=2.0,
        tip_tissue="fat",
    )
    maps = []
    for number in range(2):
        (folder / "labels").mkdir(exist_ok=True)
        labels = np.full((24, 32), 3, np.uint8)
        labels[12 + number :] = 6
        write_label_map(folder / f"labels/{number:06d}.png", labels)
        maps.append(MapFile(f"labels/{number:06d}.png", sha_of_file(folder / f"labels/{number:06d}.png")))
    (folder / "flow").mkdir()
    flow = np.zeros((24, 32, 2), np.float32)
    flow[..., 1] = 1.0
    write_flow_map(folder / "flow/000000.png", flow, (32, 24), (0, 0))
    lines = [
        TruthLine(
            FrameKey("made.dcm", 0, 0, hash_planes((draw_frame(0, True),))),
            needle,
            {"csf": None},
            {"hard": False},
            {"target": np.zeros((24, 32), bool)},
            TargetTruth("lesion centre", (24.0, 16.0), 0.4, 0.812),
            maps[0],
            MapFile("flow/000000.png", sha_of_file(folder / "flow/000000.png")),
        ),
        TruthLine(FrameKey("made.dcm", 1, 40_000_000, hash_planes((draw_frame(1, False),))), None, {"csf": 0},
                  labels=maps[1]),
    ]
    calibration = Calibration((0.1, 0.1), CalibrationOrigin.SIMULATED, "simulated probe")
    head = TruthHead(
        "breast",
        "A",
        1,
        "puncta-sim 0.1",
        "made.dcm",
        32,
        24,
        (0.0, 0.0, 32.0, 24.0),
        calibration,
        "needle",
        {"f0_mhz": 7.5, "dynamic_range_db": 60.0},
        ("masks", "labels", "flow"),
        {3: "fat", 6: "muscle"},
    )
    write_truth(folder, head, lines)


def make_session(folder: Path) -> None:
    data = head_bytes(FramesHead("raw", "gray8", 32, 24))
    for n in (0, 1):
        pixels = draw_frame(n, not n)
        payload, sha = pixels.tobytes(), hash_planes((pixels,))
        crc = zlib.crc32(payload)
        record = FrameRecord(n, 2 * n, n * 40_000_000, n * 40_100_000, n, 0, len(payload), crc, sha, raw=True)
        data += record_bytes(record) + payload
    (folder / "frames.pfr").write_bytes(data)
    make_results(folder)
    gap = {"after_index": 0, "frames": 1, "from_ns": 0, "to_ns": 40_000_000, "cause": "the recorder could not keep up"}
    matrix = [1.0, 0.0, 0.0, 12.5, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0]
    keys = [
        {"stream": "made.mp4", "index": n, "pts_ns": n * 40_000_000, "sha256": hash_planes((draw_frame(n, not n),))}
        for n in (0, 1)
    ]
    marker = {"key": keys[0], "kind": "comment", "text": "tip enters", "author": "AB", "point_px": [20.0, 13.0]}
    calibration = {"mm_per_px": [0.1, 0.1], "origin": "simulated", "note": "simulated probe"}
    events = (
        {"type": "calibration", "t_ns": 0, "after_index": -1, "calibration": calibration},
        {"type": "model", "t_ns": 0, "after_index": 0, "plugin": "needle-tip", "id": "tip-ut 0.1",
         "sha256": sha_of_text("made up")},
        {"type": "marker", "t_ns": 0, "after_index": 0, "marker": marker},
        {"type": "transform", "t_ns": 20_000_000, "after_index": 0, "name": "ProbeToTracker", "matrix": matrix},
        {"type": "gap", "t_ns": 40_100_000, **gap},
    )
    (folder / "events.jsonl").write_text("".join(json_line(e) + "\n" for e in events), encoding="utf-8")
    document = {
        "format": "puncta-session",
        "version": 1,
        "id": "made-session-1",
        "created_utc": WHEN,
        "program": PROGRAM,
        "simulated": True,
        "closed": True,
        "streams": [
            {
                "id": "main",
                "title": "Made-up stream",
                "stream": "made.mp4",
                "file": "frames.pfr",
                "codec": "raw",
                "pixel_format": "gray8",
                "lossless": True,
                "width": 32,
                "height": 24,
                "frames": 2,
                "first_pts_ns": 0,
                "last_pts_ns": 40_000_000,
                "region": [0, 0, 32, 24],
                "region_origin": "user",
                "kept": "ultrasound region",
                "origin_px": [60, 20],
            }
        ],
        "results": [
            {
                "file": "results.jsonl",
                "plugins": ["needle-tip"],
                "models": [{"id": "tip-ut 0.1", "sha256": sha_of_text("made up")}],
            }
        ],
        "gaps": [{"stream": "main", **gap}],
        "markers": [marker],
        "attempts": [
            {"id": "attempt-1", "first": keys[0], "last": keys[1], "exercise": None, "trainee": "T1", "overlay": "on"}
        ],
        "calibration": calibration,
        "calibrations": [{"from_index": 0, "calibration": calibration}],
        "transforms": [{"name": "ProbeToTracker", "count": 1}],
        "events": "events.jsonl",
        "accounting": {"received": 3, "stored": 2, "lost": 1, "pre_roll": 0},
        "ended": "The recording was stopped.",
        "files": [
            {"path": name, "bytes": (folder / name).stat().st_size, "sha256": sha_of_file(folder / name)}
            for name in ("events.jsonl", "frames.pfr", "results.jsonl")
        ],
    }
    (folder / "session.json").write_text(json_document(document), encoding="utf-8")


def make_training(folder: Path) -> None:
    log = [
        {
            "step": 100,
            "samples": 3200,
            "split": "train",
            "elapsed_s": 12.5,
            "learning_rate": 0.002,
            "losses": {"focal": 0.81},
        },
        {"step": 100, "samples": 3200, "split": "tune", "elapsed_s": 13.0, "metrics": {"tip_within_2mm": 0.42}},
    ]
    (folder / "log.jsonl").write_text("".join(json_line(line) + "\n" for line in log), encoding="utf-8")
    (folder / "table.md").write_text("Made-up table.\n", encoding="utf-8")
    document = {
        "format": "puncta-training",
        "version": 1,
        "state": "done",
        "simulated": True,
        "config": {"name": "made", "plugin": "needle-tip", "seed": 1},
        "created_utc": WHEN,
        "device": "cpu",
        "threads": 2,
        "versions": {"torch": "2.13.0", "numpy": "2.4.6"},
        "samples": 3200,
        "parameters": 546328,
        "elapsed_s": 13.0,
        "best": {"step": 100, "metric": "tip_within_2mm", "value": 0.42},
        "parity": {"max_abs": 1.2e-5, "tolerance": 1e-3, "inputs": 16},
        "files": {
            "log": "log.jsonl",
            "weights": None,
            "onnx": None,
            "table": {"path": "table.md", "sha256": sha_of_file(folder / "table.md")},
        },
    }
    (folder / "training.json").write_text(json_document(document), encoding="utf-8")


def make_experiment(folder: Path) -> None:
    table = {
        "version": 1,
        "name": "made",
        "title": "Made-up experiment",
        "plugin": "needle-tip",
        "seed": 1,
        "data": {"source": "sim", "label_set": "needle", "machines": ["A", "B", "C"]},
        "model": {"id": "tip-ut", "version": "0.1", "net": "tip_ut", "input": {"size": [256, 256], "history": 3}},
        "training": {"samples": 3200, "batch": 32, "learning_rate": 0.002},
        "augment": {"flip": True},
        "export": {"tolerance": 0.001},
        "evaluation": {"machines": ["D", "E"], "baselines": ["max-of-older-frames"]},
    }
    (folder / "made.toml").write_text(tomli_w.dumps(table), encoding="utf-8")


def make_study(folder: Path) -> None:
    for name, kind in (("plain", "2d"), ("moving", "3d")):
        run = {
            "version": 1, "name": name, "plugin": "needle-tip", "seed": 1, "data": {"source": "study"},
            "model": {"net": "ultratiny", "kind": kind, "input": {"size": 192}},
            "training": {"samples": 3200, "batch": 32, "learning_rate": 0.002, "augment": True},
            "loss": {"focal_gamma": 1.5, "pose_constraints": True},
        }
        (folder / f"{name}.toml").write_text(tomli_w.dumps(run), encoding="utf-8")
    table = {
        "version": 1,
        "name": "made",
        "title": "Made-up study",
        "runs": ["plain.toml", "moving.toml"],
        "untrained": ["brightest"],
        "tune_every": 3,
        "resamples": 2000,
        "data": {"machines": ["A", "B", "C"], "clips": 90, "tune_clips": 9, "frames": 30},
        "sets": [{"name": "tip-easy", "title": "easy"}, {"name": "tip-hard", "title": "hard"}],
        "claims": [
            {"id": "U2", "says": "moving gains more on hard clips", "set": "tip-hard", "beyond": "tip-easy",
             "figure": "needle_ap50", "better": ["moving"], "than": ["plain"], "best": False, "at_least": 0.0,
             "at_most": 50.0},
        ],
    }
    (folder / "study.toml").write_text(tomli_w.dumps(table), encoding="utf-8")


def make_mask_study(folder: Path) -> None:
    table = {
        "version": 1,
        "kind": "mask",
        "name": "made",
        "title": "Made-up study of trackers",
        "seed": 1,
        "starter": "unet",
        "resamples": 2000,
        "data": {"train": "breast-train", "size": 128},
        "training": {"clips": 400, "batch": 4, "learning_rate": 0.001, "schedule": "scratch", "gaps": [1, 5]},
        "runs": [
            {"name": "unet", "title": "UNet", "net": "unet"},
            {"name": "stnan", "title": "STNAN", "net": "stnan", "size": "small", "depths": [1, 1, 2], "window": 9},
            {"name": "ours", "title": "Shipped", "net": "shipped", "model": "needle-track"},
        ],
        "sets": [{"name": "breast-same-machine", "title": "same machines"}],
        "pools": [{"name": "vanished", "title": "vanished", "of": ["breast-same-machine"], "vanished": True}],
        "claims": [
            {"id": "S4", "says": "recall gains more than precision", "set": "vanished", "mode": "given",
             "figure": "recall", "minus": "precision", "better": "stnan", "than": "unet", "at_least": 0.0},
        ],
    }
    (folder / "study.toml").write_text(tomli_w.dumps(table), encoding="utf-8")


def make_flag_study(folder: Path) -> None:
    table = {
        "version": 1,
        "kind": "flags",
        "name": "made",
        "title": "Made-up study of flags",
        "seed": 1,
        "resamples": 2000,
        "data": {
            "first": {"machines": ["A", "B"], "videos": 10, "frames": 339, "seed": 31000},
            "second": {"machines": ["C"], "videos": 3, "frames": 227, "seed": 31100},
            "organs": 450,
        },
        "model": {"size": 112, "shape": "tiny"},
        "training": {"samples": 8000, "batch": 32, "learning_rate": 0.0005},
        "pretraining": [
            {"name": "vit-organs", "title": "other organs", "net": "vit", "on": "organs", "samples": 12000},
            {"name": "resnet18-public", "title": "ImageNet", "net": "resnet18", "weights": "microsoft/resnet-18"},
        ],
        "runs": [
            {"name": "crop8-70", "title": "ResNet18", "table": 1, "net": "resnet18", "start": "resnet18-public",
             "crop": 0.8, "percent": [70, 10, 20]},
            {"name": "vit-16", "title": "ViT", "table": 2, "net": "vit", "start": "vit-organs", "rank": 16,
             "split": "frames"},
        ],
        "sets": [{"name": "lp-unseen-machine", "title": "unseen machines"}],
        "claims": [
            {"id": "L3", "says": "ViT against ResNet18", "figure": "flag_f1", "better": "vit-16", "than": "crop8-70",
             "set": "held out", "at_least": -0.5},
        ],
    }
    (folder / "study.toml").write_text(tomli_w.dumps(table), encoding="utf-8")


def make_dataset_spec(folder: Path) -> None:
    common = {"frames": 4, "sizes_px": [[96, 96], [128, 96]]}
    table = {
        "version": 1,
        "name": "made",
        "description": "A made-up spec: simulated clips to train on, real backgrounds to be tested on.",
        "license": "CC0-1.0",
        "label_set": "needle",
        "part": [
            {"split": "train", "kind": "simulated", "procedures": ["breast", "vessel"], "machines": ["A", "B"],
             "seeds": [0, 8], "views": ["radial", "short-axis"], "approaches": ["in-plane"], "lesions": ["cyst"],
             **common, "every": 2, "needle_free": 0.25, "late": 0.25, "furniture": 0.5, "hard": 0.5, "masks": True},
            {"split": "test", "kind": "composite", "stills": "false-alarm", "folders": ["stills"], "seeds": [0, 4],
             **common, "needle_free": 1.0},
        ],
    }
    (folder / "made.toml").write_text(tomli_w.dumps(table), encoding="utf-8")


def make_progress(folder: Path) -> None:
    lines = [
        Progress("train", TaskState.RUNNING, 120, 480, "steps", 30.0, 90.0, "", {"loss": 0.81}),
        Progress("train", TaskState.DONE, 480, 480, "steps", 121.5, 0.0, "Training is done."),
    ]
    (folder / "progress.jsonl").write_text("".join(text_from_progress(p) for p in lines), encoding="utf-8")


def make_evaluation(folder: Path) -> None:
    metrics = {
        "tip_error_px": Metric(8.2, 7.1, 9.6, 180),
        "tip_error_mm": Metric(0.82, 0.71, 0.96, 180),
        "tip_within_2mm": Metric(0.81, 0.76, 0.86, 200),
        "miss_rate": Metric(0.1, 0.06, 0.14, 200),
        "false_alarm_rate": Metric(None, None, None, 0),
        "mask_iou": Metric(0.74, 0.7, 0.78, 150),
        "start_delay_frames": Metric(3.0, 2.0, 5.0, 20),
        "flag_f1": Metric(0.91, 0.88, 0.94, 300),
        "flag_f1_cord": Metric(0.87, 0.8, 0.92, 100),
        "flicker_per_min": Metric(1.5, 0.6, 2.7, 290),
        "ms_per_frame": Metric(4.1, 4.0, 4.3, 200),
    }
    write_evaluation(
        Evaluation(
            "needle-tip",
            "tip-ut 0.1",
            sha_of_text("made up"),
            "made",
            "test",
            200,
            metrics,
            {"D": {"tip_within_2mm": Metric(0.78, 0.7, 0.85, 100)}},
            {"hard": {"tip_within_2mm": Metric(0.55, 0.45, 0.65, 80)}},
            prompt="first_mask",
        ),
        folder / "evaluation.json",
    )


def make_plugin(folder: Path) -> None:
    table = {
        "id": "made-plugin",
        "title": "Made-up plugin",
        "version": "0.1.0",
        "api": 1,
        "entry": "plugin:create",
        "after": ["needle-tip"],
        "every": 2,
        "budget_ms": 20.0,
        "history_frames": 3,
        "model": "tip-ut@0.1",
        "results": [{"type": "detection", "label": "needle_tip"}],
        "layers": ["tip"],
        "options": {
            "threshold": 0.3,
            "mode": {"default": "fast", "choices": ["fast", "exact"]},
            "weight_kg": {"default": 0.0, "title": "Weight", "unit": "kg", "max": 8.0, "card": True, "per_case": True},
        },
        "description": "Does nothing; shows what a manifest holds.",
        "licence": "Apache-2.0",
        "author": "The Puncta authors",
    }
    (folder / "plugin.toml").write_text(tomli_w.dumps(table), encoding="utf-8")
    (folder / "plugin.py").write_text(
        '"""Stands beside the manifest so that its entry exists; never imported."""\n', encoding="utf-8"
    )


def make_registry(folder: Path) -> None:
    (folder / "made.onnx").write_bytes(b"made up, not a network\n")
    (folder / "made.md").write_text(
        "# Made-up model\n\nNot a network; shows what a registry holds.\n", encoding="utf-8"
    )
    model = {
        "id": "tip-made",
        "version": "0.1",
        "plugin": "needle-tip",
        "file": "made.onnx",
        "sha256": sha_of_file(folder / "made.onnx"),
        "precision": "fp32",
        "licence": "Apache-2.0",
        "input": {"channels": 4, "size": [256, 256], "layout": "NCHW", "normalisation": "zscore", "history": 3},
        "outputs": ["heatmap", "offset"],
        "training_data": "Made up; trained on nothing.",
        "simulated": True,
        "metrics": {"tip_within_2mm": 0.81},
        "card": "made.md",
    }
    (folder / "registry.toml").write_text(tomli_w.dumps({"version": 1, "models": [model]}), encoding="utf-8")


def make_promotions(folder: Path) -> None:
    first = {"model": "tip-made 0.1", "sha256": sha_of_text("made up, not a network"), "at_utc": WHEN}
    second = {"model": "tip-made 0.2", "sha256": sha_of_text("made up anew, not a network"), "at_utc": WHEN}
    document = {
        "format": "puncta-promotions", "version": 1, "plugins": {"infant-lp": [], "needle-tip": [first, second]}
    }
    (folder / "promoted.json").write_text(json_document(document), encoding="utf-8")


def make_comparison(folder: Path) -> None:
    figure = {
        "name": "tip_within_2mm", "title": "tip within 2 mm", "unit": "share", "better": "higher",
        "old": {"value": 0.7, "low": 0.62, "high": 0.77, "n": 200},
        "new": {"value": 0.78, "low": 0.71, "high": 0.84, "n": 200},
        "difference": {"value": 0.08, "low": 0.03, "high": 0.13, "n": 200}, "verdict": "better",
    }
    alone = {**figure, "difference": {"value": 0.08, "low": None, "high": None, "n": 20}}
    document = {
        "format": "puncta-comparison", "version": 1, "plugin": "needle-tip",
        "old": {"model": "tip-made 0.1", "sha256": sha_of_text("made up, not a network")},
        "new": {"model": "tip-made 0.2", "sha256": sha_of_text("made up anew, not a network")},
        "data": "made", "split": "test", "simulated": True, "frames": 220, "clips": 11, "subjects": 11,
        "figures": [figure], "per_machine": {"D": [figure], "E": [{**alone, "verdict": "no clear difference"}]},
        "notes": ["Everything here is simulated: the figures say nothing about real scanners or patients."],
    }
    (folder / "comparison.json").write_text(json_document(document), encoding="utf-8")


def make_bench(folder: Path) -> None:
    document = {
        "format": "puncta-bench",
        "version": 1,
        "program": PROGRAM,
        "created_utc": WHEN,
        "machine": {
            "cpu": "made-up CPU",
            "cores": 2,
            "memory_gib": 8.0,
            "system": "Linux",
            "python": "3.11.2",
            "accelerator": None,
        },
        "figures": [
            {
                "name": "frame_to_painted",
                "title": "Frame in to painted",
                "value": 8.3,
                "unit": "ms",
                "n": 300,
                "p50": 6.1,
                "p95": 8.3,
                "p99": 11.0,
                "reach": "p95 <= 10 ms, p99 <= 16 ms",
                "met": True,
            },
            {
                "name": "pipeline_to_model",
                "title": "Pipeline throughput / raw model throughput",
                "value": 0.94,
                "unit": "ratio",
                "n": 300,
                "reach": ">= 0.9",
                "met": True,
                "ratio": 0.94,
            },
        ],
    }
    (folder / "bench.json").write_text(json_document(document), encoding="utf-8")


def make_moves(folder: Path) -> None:
    script = MoveScript((
        Move("entry", -2.5, at_s=0.0),
        Move("advance", 32.0, at_s=0.5, over_s=4.0),
        Move("tilt", 1.5, at_frame=40, over_s=0.5),
        Move("inject", 0.8, at_s=5.0, over_s=1.0),
        Move("fire", at_frame=180),
        Move("done", at_s=8.0),
    ), "breast", "Made-up moves")
    write_moves(folder / "moves.toml", script)


def make_attempt(folder: Path) -> None:
    tip = (4.2, 0.1, 18.4)
    events = (
        AttemptEvent("contact", 12, 480_000_000, None, False, None, 0.1),
        AttemptEvent("pop", 20, 800_000_000, "skin", False, (-27.0, 0.0, 0.3), 1.6),
        AttemptEvent("enter", 31, 1_240_000_000, "vein", False, tip, 34.0),
        AttemptEvent("target", 33, 1_320_000_000, "vein", False, tip, 34.5),
        AttemptEvent("through", 41, 1_640_000_000, "vein", True, (6.0, 0.1, 21.0), 38.0),
        AttemptEvent("injected", 60, 2_400_000_000, "muscle", False, (6.2, 0.1, 21.2), 38.2, 0.5),
        AttemptEvent("done", 90, 3_600_000_000, None, False, (6.2, 0.1, 21.2), 38.2),
    )
    summary = AttemptSummary(3.12, 0.84, True, False, 0.6, 3.4, 39.5, 38.2, 1, 0, 0, {"bone": 1}, {"muscle": 0.5})
    stream = "sim:vessel?seed=7&machine=A&steer=yes"
    write_attempt(folder / "attempt.json", AttemptRecord(
        stream, "vessel", "A", 7, "vein lumen", (4.0, 0.0, 18.0), 2.0, True, events, summary))


def make_pack(folder: Path) -> None:
    comments = "Made-up comment.\n"
    manifest = {
        "format": "puncta-pack",
        "version": 1,
        "title": "Made-up case",
        "created_utc": WHEN,
        "program": PROGRAM,
        "simulated": True,
        "deidentified": True,
        "licence": "CC0-1.0",
        "contents": [
            {"path": "comments.txt", "kind": "comments", "bytes": len(comments), "sha256": sha_of_text(comments)}
        ],
    }
    with zipfile.ZipFile(folder / "made.puncta", "w") as archive:
        for name, text in (("manifest.json", json_document(manifest)), ("comments.txt", comments)):
            archive.writestr(zipfile.ZipInfo(name), text)


MAKERS = {
    "frame-key": make_frame_key,
    "results": make_results,
    "dataset": make_dataset,
    "coco": make_coco,
    "label-set": make_label_set,
    "truth": make_truth,
    "session": make_session,
    "training-folder": make_training,
    "experiment": make_experiment,
    "study": make_study,
    "study-mask": make_mask_study,
    "study-flags": make_flag_study,
    "dataset-spec": make_dataset_spec,
    "progress": make_progress,
    "evaluation": make_evaluation,
    "plugin-manifest": make_plugin,
    "model-registry": make_registry,
    "promotions": make_promotions,
    "comparison": make_comparison,
    "bench": make_bench,
    "moves": make_moves,
    "attempt": make_attempt,
    "case-pack": make_pack,
}


def main(top: Path) -> None:
    for name, make in MAKERS.items():
        folder = top / name
        folder.mkdir(parents=True, exist_ok=True)
        for old in sorted(folder.rglob("*"), reverse=True):
            old.rmdir() if old.is_dir() else old.unlink()
        make(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent)
