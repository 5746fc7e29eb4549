"""Labels from other tools: CVAT and labelme as those write them, what they would not write, and names of frames."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from exchange_labels import back
from label_maker import key

from puncta.annotation.exchange_cvat import found_in_cvat
from puncta.annotation.exchange_found import index_in_name
from puncta.annotation.exchange_labelme import found_in_labelme
from puncta.annotation.labels import (
    BoxLabel,
    FlagLabel,
    LineLabel,
    MaskLabel,
    NotVisible,
    PolygonLabel,
    TipLabel,
    mask_of,
)
from puncta.core.errors import UserError
from puncta.formats.dataset_values import Visibility
from puncta.session.label_import import read_found

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
