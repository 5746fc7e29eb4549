"""Labels out into every format and back in: equal labels, equal frame keys."""

from __future__ import annotations

import csv
import json
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from label_maker import MODEL, STREAM, key, make_case

from puncta.annotation.cases import Case
from puncta.annotation.exchange_coco import coco_from_dataset, found_in_coco
from puncta.annotation.exchange_cvat import found_in_cvat
from puncta.annotation.exchange_dataset import CasePart, dataset_of, found_in_dataset, picture_name
from puncta.annotation.exchange_found import Found, Imported, index_in_name, labels_from_found
from puncta.annotation.exchange_labelme import found_in_labelme
from puncta.annotation.exchange_write import csv_of, write_mot, write_png_masks, write_yolo
from puncta.annotation.label_json import value_from_json
from puncta.annotation.labels import (
    BoxLabel,
    FlagLabel,
    Kind,
    Label,
    LineLabel,
    MaskLabel,
    NoteLabel,
    NotVisible,
    PhaseLabel,
    PolygonLabel,
    Provenance,
    State,
    TipLabel,
    Value,
    mask_label,
    mask_of,
    mask_of_stroke,
)
from puncta.core.errors import UserError
from puncta.core.frame import FrameKey
from puncta.formats import schemas
from puncta.formats.dataset import Dataset, is_true_negative, load_dataset, save_dataset
from puncta.formats.dataset_checks import check_references
from puncta.formats.dataset_json import json_from_dataset
from puncta.formats.dataset_values import Visibility
from puncta.formats.label_sets import LabelCategory, LabelFlag, LabelPhase, LabelSet
from puncta.session.label_import import read_found

SET = LabelSet(
    "made", "Made",
    (LabelCategory(1, "needle_tip", "Tip", "point", ("tip", "entry")),
     LabelCategory(2, "needle", "Needle", "mask", ("tip", "entry")), LabelCategory(3, "cyst", "Cyst", "box"),
     LabelCategory(4, "axis", "Axis", "line")),
    (LabelFlag("csf", "CSF"), LabelFlag("shadow", "Shadow", ("none", "some", "most"))),
    phases=(LabelPhase("advance", "Advance"), LabelPhase("hold", "Hold")),
)  # fmt: skip
PERSON = Provenance(Kind.PERSON, "anna", "0.1.0", "model:tip 0.2", "2026-01-01T00:00:00Z")
CASE = make_case(title="Clip one", id="c" * 32, label_set="made")


def label(
    name: str,
    index: int,
    value: Value,
    *,
    state: State = State.CONFIRMED,
    made: Provenance = PERSON,
    number: int = 0,
    sha256: str | None = None,
) -> Label:
    return Label(name, key(index, sha256), "anna", value, made, state, number)


def needle_mask(angle: float = 0.4, width: float = 3.0) -> MaskLabel:
    end = (30 + 25 * float(np.cos(angle)), 10 + 25 * float(np.sin(angle)))
    return mask_label(mask_of_stroke([(10, 10), end], width, (48, 64)))


EVERYTHING = (
    label("needle_tip", 0, TipLabel((20.125, 11.5)), sha256="ab" * 32),
    label("needle", 0, needle_mask(), state=State.BULK, made=MODEL, sha256="ab" * 32),
    label("needle.line", 0, LineLabel((10.0, 10.0), (20.1, 11.4)), sha256="ab" * 32),
    label("csf", 0, FlagLabel(1), sha256="ab" * 32),
    label("shadow", 0, FlagLabel(2), state=State.BULK, made=MODEL, sha256="ab" * 32),
    label("phase", 0, PhaseLabel("advance"), sha256="ab" * 32),
    label("note", 0, NoteLabel('bright "band", see 3\nand 4'), sha256="ab" * 32),
    label("needle_tip", 3, NotVisible(Visibility.OUT_OF_PLANE)),
    label("needle", 3, NotVisible(Visibility.ABSENT)),
    label("csf", 3, FlagLabel(0)),
    label("needle_tip", 7, TipLabel((5.0, 5.0), (1.0, 2.0, 8.0, 6.0), Visibility.UNCERTAIN)),
    label("needle", 7, PolygonLabel((48, 64), (((1.5, 2.25), (20.0, 2.0), (20.0, 9.5)),
                                               ((30.0, 30.0), (40.0, 30.0), (40.0, 41.0), (30.0, 41.0))))),
    label("cyst", 7, BoxLabel((30.0, 20.0, 12.5, 9.25))),
    label("cyst", 7, BoxLabel((3.0, 20.0, 2.5, 9.25)), number=1),
    label("axis", 7, LineLabel((1.0, 2.0), (30.0, 20.0))),
    label("phase", 8, PhaseLabel("hold")),
    label("needle.line", 9, LineLabel((1.0, 2.0), (30.0, 20.0), Visibility.UNCERTAIN)),
    label("needle", 9, BoxLabel((1.0, 2.0, 29.0, 18.0))),
)  # fmt: skip


def keys(index: int) -> FrameKey | None:
    return key(index) if 0 <= index < 100 else None


def dataset_from(labels: tuple[Label, ...], case: Case = CASE, **how: Any) -> Dataset:
    return dataset_of([CasePart(case, labels, lambda i: picture_name(case, i))], SET, **how)


def back(found: list, names: Mapping[str, str] | None = None, source: str = "test x.json") -> Imported:
    return labels_from_found(found, SET, "anna", keys, stream=STREAM, source=source, names=names)


def test_dataset_v1_there_and_back_gives_equal_labels(tmp_path: Path) -> None:
    dataset = dataset_from(EVERYTHING)
    assert schemas.check("dataset", json.loads(json.dumps(json_from_dataset(dataset)))) == []
    assert check_references(dataset) == []
    save_dataset(dataset, tmp_path)
    got = back(found_in_dataset(load_dataset(tmp_path)))
    assert got.left_out == {}
    assert set(got.labels) == set(EVERYTHING)
    assert {x.slot: x.key for x in got.labels} == {x.slot: x.key for x in EVERYTHING}


def test_dataset_v1_tells_what_was_judged(tmp_path: Path) -> None:
    dataset = dataset_from(EVERYTHING)
    by_frame = {image.frame_index: image for image in dataset.images}
    assert str(by_frame[0].review) == "bulk" and str(by_frame[3].review) == "confirmed"
    assert by_frame[3].labelled == ("needle_tip", "needle", "csf")
    assert by_frame[0].flags == {"csf": 1, "shadow": 2} and by_frame[0].region == CASE.region
    needle = dataset.category("needle")
    assert needle is not None
    assert is_true_negative(by_frame[3], dataset.annotations, needle)
    assert not is_true_negative(by_frame[0], dataset.annotations, needle)
    tip = next(a for a in dataset.annotations if a.image_id == by_frame[0].id and a.category_id == 1)
    assert tip.bbox == pytest.approx((20.125 - 0.044 * 50, 11.5 - 0.02 * 40, 0.088 * 50, 0.04 * 40))
    mask = next(a for a in dataset.annotations if a.image_id == by_frame[0].id and a.category_id == 2)
    assert mask.tip_px == (20.1, 11.4) and mask.entry_px == (10.0, 10.0) and mask.area == needle_mask().area_px
    assert mask.source == "model:needle-tip 0.2" and tip.source == "human" and mask.rater == "anna"


def test_only_confirmed_labels_go_out_unless_asked() -> None:
    labels = (
        label("needle_tip", 1, TipLabel((1, 1)), state=State.PROPOSED, made=MODEL),
        label("needle_tip", 2, TipLabel((2, 2)), state=State.REJECTED, made=MODEL),
        label("needle_tip", 3, TipLabel((3, 3))),
    )
    assert [i.frame_index for i in dataset_from(labels).images] == [3]
    asked = dataset_from(labels, unconfirmed=True)
    assert [(i.frame_index, str(i.review), i.labelled) for i in asked.images] == [
        (1, "proposed", ()),
        (3, "confirmed", ("needle_tip",)),
    ]
    assert set(back(found_in_dataset(asked)).labels) == {labels[0], labels[2]}


def test_coco_there_and_back_gives_equal_labels() -> None:
    document = json.loads(json.dumps(coco_from_dataset(dataset_from(EVERYTHING))))
    got = back(found_in_coco(document))
    assert got.left_out == {}
    assert set(got.labels) == set(EVERYTHING)


def test_pycocotools_fills_an_outline_as_we_do() -> None:
    masks = pytest.importorskip("pycocotools.mask")
    case = replace(CASE, width_px=640, height_px=480)
    ring = ((100.3, 80.2), (420.7, 150.4), (415.2, 290.9), (250.1, 400.6), (90.8, 220.3))
    value = PolygonLabel((480, 640), (ring,))
    (a,) = coco_from_dataset(dataset_from((label("needle", 1, value),), case))["annotations"]
    theirs = masks.decode(masks.merge(masks.frPyObjects(a["segmentation"], 480, 640))).astype(bool)
    ours = mask_of(value)
    assert (theirs & ours).sum() / (theirs | ours).sum() >= 0.98
    assert a["area"] == ours.sum()


@settings(max_examples=15)
@given(data=st.data())
def test_any_labels_survive_dataset_and_coco(data: st.DataObject) -> None:
    number = st.floats(0, 40).map(lambda v: round(v, 3))
    point = st.tuples(number, number)
    tips = st.builds(
        TipLabel,
        point,
        st.none() | st.tuples(number, number, st.floats(1, 9), st.floats(1, 9)),
        st.sampled_from([Visibility.CLEAR, Visibility.UNCERTAIN]),
    )
    hidden = st.builds(NotVisible, st.sampled_from([Visibility.ABSENT, Visibility.SHADOWED]))
    masks = (
        st.lists(st.booleans(), min_size=48 * 4, max_size=48 * 4)
        .filter(any)
        .map(lambda v: mask_label(np.pad(np.reshape(v, (48, 4)), ((0, 0), (20, 40)))))
    )
    lines = st.builds(LineLabel, point, point)
    flags = st.builds(FlagLabel, st.integers(0, 1))
    kinds = {
        "needle_tip": tips | hidden,
        "needle": masks | hidden,
        "needle.line": lines,
        "csf": flags,
        "axis": lines | hidden,
    }
    states = st.sampled_from([State.CONFIRMED, State.BULK])
    labels = tuple(
        label(name, index, data.draw(kinds[name]), state=data.draw(states))
        for index in range(3)
        for name in sorted(kinds)
        if data.draw(st.booleans())
    )
    # A line of a needle that is not visible has no place to stand in.
    gone = {x.slot.index for x in labels if x.name == "needle" and isinstance(x.value, NotVisible)}
    labels = tuple(x for x in labels if not (x.name == "needle.line" and x.slot.index in gone))
    dataset = dataset_from(labels)
    assert set(back(found_in_dataset(dataset)).labels) == set(labels)
    assert set(back(found_in_coco(json.loads(json.dumps(coco_from_dataset(dataset))))).labels) == set(labels)


def test_pycocotools_reads_what_we_write_as_we_mean_it(tmp_path: Path) -> None:
    coco_api = pytest.importorskip("pycocotools.coco")
    (tmp_path / "a.json").write_text(json.dumps(coco_from_dataset(dataset_from(EVERYTHING))))
    coco = coco_api.COCO(str(tmp_path / "a.json"))
    images = {i["frame_index"]: i["id"] for i in coco.loadImgs(coco.getImgIds())}
    assert sorted(images) == [0, 3, 7, 8, 9]

    def masks_on(frame: int) -> list[np.ndarray]:
        found = coco.loadAnns(coco.getAnnIds(imgIds=[images[frame]], catIds=[2]))
        return [coco.annToMask(a).astype(bool) for a in found]

    (mask,) = masks_on(0)
    assert np.array_equal(mask, mask_of(needle_mask()))
    (polygon,) = masks_on(7)
    ours = mask_of(EVERYTHING[11].value)  # type: ignore[arg-type]
    assert abs(int(polygon.sum()) - int(ours.sum())) < 0.1 * ours.sum()
    tip = coco.loadAnns(coco.getAnnIds(imgIds=[images[0]], catIds=[1]))[0]
    assert tip["keypoints"][:2] == [20.625, 12.0], "from the outer corner of the first pixel"
    assert coco.getAnnIds(imgIds=[images[3]]) == []


def test_coco_of_another_program_is_read_as_confirmed_and_says_nothing_of_what_is_absent(tmp_path: Path) -> None:
    document = {
        "images": [
            {"id": 4, "file_name": "clip_000012.png", "width": 64, "height": 48},
            {"id": 5, "file_name": "clip_000013.png", "width": 64, "height": 48},
        ],
        "categories": [{"id": 9, "name": "Needle"}],
        "annotations": [
            {
                "id": 1,
                "image_id": 4,
                "category_id": 9,
                "bbox": [2.5, 3.5, 10, 5],
                "area": 50,
                "iscrowd": 0,
                "segmentation": [[2.5, 3.5, 12.5, 3.5, 12.5, 8.5]],
            }
        ],
    }
    got = back(found_in_coco(document), {"Needle": "needle"}, "coco a.json")
    (one,) = got.labels
    assert one.key == key(12) and one.state is State.CONFIRMED and one.made.in_words() == "import:coco a.json"
    assert one.value == PolygonLabel((48, 64), (((2.0, 3.0), (12.0, 3.0), (12.0, 8.0)),))
    assert back(found_in_coco(document)).left_out == {"Needle is not in the label set": 1}
    with pytest.raises(UserError, match="not a COCO file"):
        found_in_coco({"images": []})
    with pytest.raises(UserError, match="import it as a dataset"):
        found_in_coco(json_from_dataset(dataset_from(EVERYTHING)))


def test_compressed_masks_of_coco_are_read() -> None:
    masks = pytest.importorskip("pycocotools.mask")
    mask = mask_of(needle_mask())
    packed = masks.encode(np.asfortranarray(mask.astype(np.uint8)))
    document = {
        "images": [{"id": 1, "file_name": "a_0001.png", "width": 64, "height": 48}],
        "categories": [{"id": 2, "name": "needle"}],
        "annotations": [
            {
                "id": 1,
                "image_id": 1,
                "category_id": 2,
                "bbox": [0, 0, 1, 1],
                "segmentation": {"size": packed["size"], "counts": packed["counts"].decode()},
            }
        ],
    }
    assert back(found_in_coco(document)).labels[0].value == needle_mask()


def test_frames_of_another_clip_are_left_out() -> None:
    moved = replace(CASE, stream="other.mp4")
    other = tuple(replace(x, key=replace(x.key, stream="other.mp4")) for x in EVERYTHING)
    got = back(found_in_dataset(dataset_from(other, moved)))
    assert got.labels == () and got.left_out == {"frame of another clip, other.mp4": len(EVERYTHING)}
    late = tuple(replace(x, key=replace(x.key, index=x.key.index + 200)) for x in EVERYTHING[:1])
    assert back(found_in_dataset(dataset_from(late))).left_out == {"frame 200 is not in the clip": 1}
    shifted = tuple(replace(x, key=replace(x.key, pts_ns=5)) for x in EVERYTHING[:1])
    assert back(found_in_dataset(dataset_from(shifted))).left_out == {
        "frame of other content or time than the clip's": 1
    }


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


WRITTEN = Path(__file__).resolve().parents[2] / "data" / "exchange"
"""Files in the exact form in which CVAT 2 and labelme 4 and 5 write them, with labels made up for these tests."""


def test_cvat_for_images() -> None:
    got = {(x.key.index, x.name, x.number): x for x in back(found_in_cvat(WRITTEN / "cvat-images.xml")).labels}
    assert got[12, "cyst", 0].value == BoxLabel((10.0, 3.5, 10.0, 5.0), Visibility.UNCERTAIN)
    assert got[12, "needle", 0].value == PolygonLabel((48, 64), (((2.0, 3.0), (12.0, 3.0), (12.0, 8.0)),))
    assert got[12, "needle_tip", 0].value == TipLabel((12.0, 8.0))
    assert got[12, "axis", 0].value == LineLabel((2.0, 3.0), (12.0, 8.0))
    assert got[12, "csf", 0].value == FlagLabel(1) and got[13, "csf", 0].value == FlagLabel(0)
    mask = mask_of(got[13, "needle", 0].value)  # type: ignore[arg-type]
    assert sorted(zip(*np.nonzero(mask))) == [(6, 7), (6, 8), (6, 9), (7, 9)]
    ellipse, turned = (mask_of(got[14, "needle", n].value) for n in (0, 1))  # type: ignore[arg-type]
    rows, columns = np.nonzero(ellipse)
    edges = (rows.min() - 16, 24 - rows.max(), columns.min() - 20, 40 - columns.max())
    assert all(0 <= off <= 1 for off in edges), "its outermost points lie on pixel centres"
    assert abs(int(ellipse.sum()) - np.pi * 40) < 8
    rows, columns = np.nonzero(turned)
    tall, wide = int(rows.max() - rows.min()), int(columns.max() - columns.min())
    assert 9 <= tall <= 10 and 3 <= wide <= 4, "a box on its side"
    assert len(got) == 9


def test_cvat_for_video() -> None:
    got = {(x.key.index, x.name, x.number): x.value for x in back(found_in_cvat(WRITTEN / "cvat-video.xml")).labels}
    assert got[4, "needle", 0] == PolygonLabel((48, 64), (((1.0, 1.0), (9.0, 1.0), (9.0, 5.0)),))
    assert isinstance(got[5, "needle", 0], PolygonLabel) and isinstance(got[5, "needle", 1], MaskLabel)
    assert got[6, "needle", 0] == NotVisible(), "a track that leaves says so"
    # A shape of one frame is a track that ends on the next: nothing is said of that, and the tip keeps its number.
    assert got[4, "needle_tip", 0] == TipLabel((9.0, 5.0)) and got[5, "needle_tip", 0] == TipLabel((9.0, 6.0))
    assert len(got) == 6


def test_cvat_hands_out_archives(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "task.zip", "w") as archive:
        archive.write(WRITTEN / "cvat-video.xml", "annotations.xml")
        archive.writestr("images/frame_000004.png", b"no picture is read here")
    assert found_in_cvat(tmp_path / "task.zip") == found_in_cvat(WRITTEN / "cvat-video.xml")
    assert read_found(tmp_path / "task.zip", None)[0] == "cvat"
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("labels.xml", "<annotations/>")
    with pytest.raises(UserError, match=r"annotations\.xml is not in it once"):
        found_in_cvat(tmp_path / "other.zip")
    locked = bytearray((tmp_path / "task.zip").read_bytes())
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # the flag that says: a password is needed
        locked[locked.index(mark) + at] |= 1
    (tmp_path / "locked.zip").write_bytes(locked)
    with pytest.raises(UserError, match="cannot be read"):
        found_in_cvat(tmp_path / "locked.zip")


@pytest.mark.parametrize(("text", "words"), [
    ("<a>", "is not XML"), ("<a/>", "its root is <a>"),
    ('<!DOCTYPE x [<!ENTITY a "b">]><annotations/>', "declares entities"),
    ('<annotations><image id="0" name="1" width="4" height="4"><box label="a"/></image></annotations>', "as CVAT"),
    ('<annotations><image id="0" name="1" width="4" height="4"><mask label="a" rle="3" left="0" top="0" width="2" '
     'height="2"/></image></annotations>', "runs for 3"),
])  # fmt: skip
def test_what_cvat_would_not_write_is_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "a.xml").write_text(text)
    with pytest.raises(UserError, match=words):
        found_in_cvat(tmp_path / "a.xml")


def labelme_file(folder: Path) -> Path:
    path = folder / "labelme_000012.json"
    path.write_bytes((WRITTEN / path.name).read_bytes())
    return path


def test_labelme(tmp_path: Path) -> None:
    labelme_file(tmp_path)
    (tmp_path / "labelme_000013.json").write_bytes((WRITTEN / "labelme_000013.json").read_bytes())
    every = {(x.key.index, x.name, x.number): x for x in back(found_in_labelme(tmp_path)).labels}
    assert every.pop((13, "axis", 0)).value == LineLabel((2.0, 3.0), (12.0, 8.0)), "as labelme 4 writes"
    got = {(name, number): x for (_index, name, number), x in every.items()}
    assert {x.key for x in got.values()} == {key(12)}
    assert got["needle", 0].value == PolygonLabel((48, 64), (((2.0, 3.0), (12.0, 3.0), (12.0, 8.0)),))
    assert got["cyst", 0].value == BoxLabel((10.0, 3.5, 10.0, 5.0))
    assert got["needle_tip", 0].value == TipLabel((12.0, 8.0))
    assert got["axis", 0].value == LineLabel((2.0, 3.0), (12.0, 8.0))
    assert got["csf", 0].value == FlagLabel(1) and got["shadow", 0].value == FlagLabel(0)
    circle = mask_of(got["needle", 1].value)  # type: ignore[arg-type]
    assert abs(int(circle.sum()) - np.pi * 36) < 8 and circle[20, 30] and not circle[20, 38]
    mask = mask_of(got["needle", 2].value)  # type: ignore[arg-type]
    assert sorted(zip(*np.nonzero(mask))) == [(6, 7), (6, 8), (6, 9), (7, 9)]
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(UserError, match="no labelme file"):
        found_in_labelme(empty)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"shapes": [{"label": "needle", "shape_type": "point", "points": []}]}, "shape 1 does not read"),
        ({"imageHeight": None}, "size of its picture"),
        ({"shapes": None}, "is not a labelme file"),
    ],
)
def test_what_labelme_would_not_write_is_refused(tmp_path: Path, change: dict, words: str) -> None:
    path = labelme_file(tmp_path)
    document = {
        k: v for k, v in {**json.loads(path.read_text()), **change}.items() if not (k == "shapes" and v is None)
    }
    path.write_text(json.dumps(document))
    with pytest.raises(UserError, match=words):
        found_in_labelme(path)


@pytest.mark.parametrize(
    ("name", "number"),
    [("frame_000012.PNG", 12), ("a/b-7.png", 7), ("clip2.png", 2), ("x\\y_0003_mask.png", 3), ("tip.png", None)],
)
def test_numbers_of_frames_in_names(name: str, number: int | None) -> None:
    assert index_in_name(name) == number


def test_what_does_not_fit_the_label_set_is_left_out_and_counted() -> None:
    labels = (
        label("csf", 1, FlagLabel(2)),
        label("phase", 1, PhaseLabel("fly")),
        label("needle_tip", 1, needle_mask()),
        label("needle", 2, TipLabel((1, 1))),
        label("axis", 2, needle_mask()),
        label("moon", 2, FlagLabel(1)),
    )
    found = [Found(0, "", x.key.index, None, x.name, 0, x.value) for x in labels]
    assert back(found).left_out == {
        "flag csf has no grade 2": 1,
        "phase fly is not in the label set": 1,
        "needle_tip is a point in the label set": 1,
        "needle is no point in the label set": 1,
        "axis is a line in the label set": 1,
        "flag moon is not in the label set": 1,
    }
    box = Found(0, "", 1, None, "needle_tip", 0, BoxLabel((2.0, 3.0, 4.0, 6.0)))
    assert back([box]).labels[0].value == TipLabel((4.0, 6.0), (2.0, 3.0, 4.0, 6.0))
