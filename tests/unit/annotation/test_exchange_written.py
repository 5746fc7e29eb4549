"""Labels as other tools take them: YOLO, MOT, masks and tables hold what was labelled, with the frame's key."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from exchange_labels import CASE, EVERYTHING, dataset_from, needle_mask

from puncta.annotation.exchange_dataset import CasePart, picture_name
from puncta.annotation.exchange_write import csv_of, write_mot, write_png_masks, write_yolo
from puncta.annotation.label_json import value_from_json
from puncta.annotation.labels import (
    Kind,
    Label,
    PolygonLabel,
    Provenance,
    State,
    mask_of,
)
from puncta.core.frame import FrameKey


def frames_in(folder: Path) -> dict[str, FrameKey]:
    with (folder / "frames.csv").open(newline="") as table:
        return {
            r["file"]: FrameKey(r["stream"], int(r["frame_index"]), int(r["pts_ns"]), r["sha256"] or None)
            for r in csv.DictReader(table)
        }


def test_yolo_holds_the_boxes_and_outlines(tmp_path: Path) -> None:
    write_yolo(dataset_from(EVERYTHING), tmp_path / "boxes")
    frames = frames_in(tmp_path / "boxes")
    assert {k.index: k for k in frames.values()} == {x.key.index: x.key for x in EVERYTHING}
    found = {}
    for name, at in frames.items():
        for line in (tmp_path / "boxes" / name).read_text().splitlines():
            category, cx, cy, w, h = (float(v) for v in line.split())
            found.setdefault((at.index, int(category)), []).append(
                (cx * 64 - 0.5 - w * 32, cy * 48 - 0.5 - h * 24, w * 64, h * 48)
            )
    assert found[7, 2][0] == pytest.approx((30.0, 20.0, 12.5, 9.25), abs=1e-4)
    assert found[0, 0][0][:2] == pytest.approx((20.125 - 2.2, 11.5 - 0.8), abs=1e-4)
    assert (3, 0) not in found and (tmp_path / "boxes" / next(n for n, k in frames.items() if k.index == 3)).exists()
    write_yolo(dataset_from(EVERYTHING), tmp_path / "outlines", segments=True)
    name = next(n for n, k in frames_in(tmp_path / "outlines").items() if k.index == 0)
    (line,) = (tmp_path / "outlines" / name).read_text().splitlines()
    values = np.array([float(v) for v in line.split()[1:]]).reshape(-1, 2) * (64, 48)
    filled = mask_of(PolygonLabel((48, 64), (tuple((x - 0.5, y - 0.5) for x, y in values),)))
    assert np.array_equal(filled, mask_of(needle_mask()))
    assert "0: needle_tip" in (tmp_path / "boxes" / "data.yaml").read_text()


def test_mot_holds_the_boxes_as_tracks(tmp_path: Path) -> None:
    write_mot(dataset_from(EVERYTHING), tmp_path)
    (folder,) = [p for p in tmp_path.iterdir() if p.is_dir()]
    rows = [[float(v) for v in line.split(",")] for line in (folder / "gt" / "gt.txt").read_text().splitlines()]
    cysts = sorted(r for r in rows if r[7] == 3)
    assert [r[:2] for r in cysts] == [[8, 300], [8, 301]], "frames count from 1, two things are two tracks"
    assert cysts[0][2:6] == pytest.approx([31.5, 21.5, 12.5, 9.25])
    assert {r[0] for r in rows} == {1, 8, 10}
    assert {k.index for k in frames_in(tmp_path).values()} == {0, 3, 7, 8, 9}
    assert "seqLength=10" in (folder / "seqinfo.ini").read_text()


def test_png_masks_hold_every_pixel_and_what_is_absent(tmp_path: Path) -> None:
    assert write_png_masks(dataset_from(EVERYTHING), tmp_path) == 3
    frames = frames_in(tmp_path)
    found = {
        (k.index, name.split("/")[1]): cv2.imread(str(tmp_path / name), cv2.IMREAD_UNCHANGED)
        for name, k in frames.items()
    }
    assert set(found) == {(0, "needle"), (3, "needle"), (7, "needle")}
    assert np.array_equal(found[0, "needle"] == 255, mask_of(needle_mask())) and not found[3, "needle"].any()
    assert frames[next(n for n, k in frames.items() if k.index == 0)].sha256 == "ab" * 32


def test_csv_holds_everything(tmp_path: Path) -> None:
    part = CasePart(CASE, EVERYTHING, lambda i: picture_name(CASE, i))
    rows = list(csv.DictReader(csv_of([part]).splitlines(keepends=True)))
    got = set()
    for row in rows:
        at = FrameKey(row["stream"], int(row["frame_index"]), int(row["pts_ns"]), row["sha256"] or None)
        kind, by = row["made_by"].split(":")
        confidence = 0.7 if by == "needle-tip" else None
        made = Provenance(Kind(kind), by, row["version"], row["base"], row["made_utc"], confidence)
        got.add(
            Label(
                row["name"],
                at,
                row["rater"],
                value_from_json(json.loads(row["content"])),
                made,
                State(row["state"]),
                int(row["number"]),
            )
        )
    assert got == set(EVERYTHING)
