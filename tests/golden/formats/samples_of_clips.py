"""Writes the golden samples of pictures and what is known of them: keys, results, datasets, truth, sessions, cases."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import cv2
import numpy as np
from sample_parts import NEEDLE_BOX, PROGRAM, TIP_BOX, WHEN, draw_frame, sha_of_file, sha_of_text

from puncta.core.flags import Flag
from puncta.core.frame import Calibration, CalibrationOrigin, FrameKey, hash_planes
from puncta.core.results import Certainty, ClassResult, Detection, HeatMap, Line, MaskResult, Measure, Point, Result
from puncta.core.target import TargetFix, TargetLoss
from puncta.formats.attempt import AttemptEvent, AttemptRecord, AttemptSummary, write_attempt
from puncta.formats.dataset import Annotation, Category, Dataset, Image, Info, Review, Video, Visibility, save_dataset
from puncta.formats.frames_log import FrameRecord, FramesHead, head_bytes, record_bytes
from puncta.formats.jsontext import json_document, json_line
from puncta.formats.moves import Move, MoveScript, write_moves
from puncta.formats.results_lines import ResultLine, ResultsWriter
from puncta.formats.truth import MapFile, NeedleTruth, TargetTruth, TruthHead, TruthLine, write_truth
from puncta.formats.truth_pictures import write_flow_map, write_label_map


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
