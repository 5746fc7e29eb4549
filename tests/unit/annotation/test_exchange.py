"""Labels out into every format and back in: equal labels, equal frame keys."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from exchange_labels import CASE, EVERYTHING, back, dataset_from, label, needle_mask
from hypothesis import given, settings
from hypothesis import strategies as st
from label_maker import MODEL, key

from puncta.annotation.exchange_coco import coco_from_dataset, found_in_coco
from puncta.annotation.exchange_dataset import found_in_dataset
from puncta.annotation.exchange_found import Found
from puncta.annotation.labels import (
    BoxLabel,
    FlagLabel,
    LineLabel,
    NotVisible,
    PhaseLabel,
    PolygonLabel,
    State,
    TipLabel,
    mask_label,
    mask_of,
)
from puncta.core.errors import UserError
from puncta.formats import schemas
from puncta.formats.dataset import is_true_negative, load_dataset, save_dataset
from puncta.formats.dataset_checks import check_references
from puncta.formats.dataset_json import json_from_dataset
from puncta.formats.dataset_values import Visibility


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
