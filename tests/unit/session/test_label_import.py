"""Labels of a file go to the case whose frames they were made on, and to no other."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from label_maker import do

from puncta.annotation.cases import Case, case_of_source
from puncta.annotation.commands import Board, draw
from puncta.annotation.labels import TipLabel
from puncta.annotation.store import AnnotationStore
from puncta.core.errors import UserError
from puncta.session.label_exchange import export_labels
from puncta.session.label_import import OTHER_VIDEO, ImportDone, import_labels
from puncta.sources.factory import open_source

Change = Callable[[dict[str, Any]], None]
FILES = {"dataset": "dataset.json", "coco": "annotations.json"}


@pytest.fixture(params=[0, 3], ids=["grey", "colour"])
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Case:
    """Two cases of four pictures each in this user's store; the first one, which has tips of anna."""
    added = []
    for name, level in (("one", 40), ("two", 90)):
        folder = tmp_path / name
        folder.mkdir()
        for n in range(4):
            picture = np.full((48, 64, 3) if request.param else (48, 64), level + n, np.uint8)
            cv2.line(picture, (5, 5), (20 + 3 * n, 15 + 2 * n), (200, 100, 50) if request.param else 200, 2)
            cv2.imwrite(str(folder / f"{n:03d}.png"), picture)
        source = open_source(str(folder))
        at = [frame.hashed_key() for frame in iter(source.read, None)]
        with AnnotationStore.open() as store:
            made = store.add_case(case_of_source(source.info, "needle-tip"))
            board = Board(made.id, "anna")
            for n in range(4):
                do(store, board, draw(board, "needle_tip", at[n], TipLabel((20 + 3 * n, 15.0 + 2 * n))))
        source.close()
        added.append(made)
    return added[0]


def exported(out: Path, kind: str, cases: int, change: Change) -> Path:
    """Write the labels of the first cases as files, with what a foreign program would have written otherwise."""
    with AnnotationStore.open() as store:
        export_labels(store, out, kind, sorted(store.cases(), key=lambda c: c.title)[:cases])
    file = out / FILES[kind]
    document = json.loads(file.read_text())
    change(document)
    file.write_text(json.dumps(document))
    return out


def take(case: Case, path: Path, rater: str = "bert") -> ImportDone:
    with AnnotationStore.open() as store:
        return import_labels(store, case, path, rater=rater)


def labels_of(case: Case, rater: str = "bert") -> int:
    with AnnotationStore.open() as store:
        return len(store.labels(case.id, rater=rater))


def own(image: dict[str, Any]) -> dict[str, Any]:
    return image.get("puncta", image)


def without_keys(document: dict[str, Any]) -> None:
    for image in document["images"]:
        own(image).pop("key")


def without_hashes(document: dict[str, Any]) -> None:
    without_keys(document)
    for image in document["images"]:
        own(image)["sha256"] = None


def nameless(document: dict[str, Any]) -> None:
    without_hashes(document)
    for n, video in enumerate(document["videos"]):
        video["name"] = f"video {n}"
        video.pop("case", None)
        video.pop("stream", None)


def with_other_pixels(document: dict[str, Any]) -> None:
    without_keys(document)
    own(document["images"][2])["sha256"] = "ab" * 32


def with_other_size(document: dict[str, Any]) -> None:
    without_hashes(document)
    for image in document["images"]:
        image["width"], image["height"] = 128, 96


def other_size_of_the_first(document: dict[str, Any]) -> None:
    without_hashes(document)
    for image in document["images"][:4]:
        image["width"] = 66


def as_folders(document: dict[str, Any]) -> None:
    nameless(document)
    document["videos"] = []
    for image in document["images"]:
        image["video_id"] = None


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize(
    ("cases", "change", "words"),
    [
        (1, with_other_pixels, "not of one: frame 2 shows other pixels than the clip's"),
        (1, with_other_size, "not of one: its frames have 128 x 96 px, the case has 64 x 48"),
        (2, nameless, r"holds several videos \(video 0, video 1\), and none of them is known to be one"),
        (2, other_size_of_the_first, "holds several videos"),
        (2, as_folders, "holds several videos"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_labels_of_another_clip_are_refused(
    case: Case, tmp_path: Path, kind: str, cases: int, change: Change, words: str
) -> None:
    path = exported(tmp_path / "out", kind, cases, change)
    with pytest.raises(UserError, match=words):
        take(case, path)
    assert labels_of(case) == 0


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("change", [lambda document: None, without_keys, without_hashes], ids=["all", "hash", "name"])
def test_of_several_videos_the_one_of_the_case_is_taken(
    case: Case, tmp_path: Path, kind: str, change: Change
) -> None:
    done = take(case, exported(tmp_path / "out", kind, 2, change))
    assert done.labels == 4 == labels_of(case) and done.left_out == {OTHER_VIDEO: 4}


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("change", [without_keys, nameless], ids=["hash", "nothing"])
def test_one_video_that_fits_is_taken(case: Case, tmp_path: Path, kind: str, change: Change) -> None:
    done = take(case, exported(tmp_path / "out", kind, 1, change))
    assert done.labels == 4 and done.left_out == {}
