"""Dataset v1: both directions, plain COCO, true negatives, splits, files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from puncta.core.errors import BugError, UserError
from puncta.formats import schemas
from puncta.formats.dataset import (
    Annotation,
    Category,
    Dataset,
    Image,
    Info,
    Review,
    Video,
    Visibility,
    annotations_by_image,
    is_true_negative,
    load_dataset,
    save_dataset,
    usable_images,
)
from puncta.formats.dataset_checks import (
    check_files,
    check_references,
    check_splits,
    machines_by_split,
    shared_machines,
    split_of_subjects,
)
from puncta.formats.dataset_json import json_from_dataset

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "formats"
TIP = Category(1, "needle_tip")
INFO = Info("needle", "CC0-1.0", True)


def make_image(number: int, **members: object) -> Image:
    return replace(
        Image(number, f"images/{number}.png", 8, 6, review=Review.CONFIRMED, labelled=("needle_tip",)), **members
    )


def test_golden_is_loaded_and_saved_the_same(tmp_path: Path) -> None:
    dataset = load_dataset(GOLDEN / "dataset")
    save_dataset(dataset, tmp_path)
    assert (tmp_path / "dataset.json").read_bytes() == (GOLDEN / "dataset" / "dataset.json").read_bytes()
    assert [p.name for p in tmp_path.iterdir()] == ["dataset.json"]


def test_values_are_typed() -> None:
    dataset = load_dataset(GOLDEN / "dataset" / "dataset.json")
    tip, needle, proposed = dataset.annotations
    assert tip.tip_px == (20.0, 13.0) and tip.entry_px == (2.0, 4.0)
    assert needle.segmentation == [[2.0, 3.5, 20.0, 12.5, 20.0, 13.5, 2.0, 4.5]]
    assert proposed.visibility is Visibility.UNCERTAIN
    assert dataset.videos[0].mm_per_px == (0.1, 0.1) and dataset.videos[1].mm_per_px is None
    assert dataset.images[1].review is Review.BULK
    assert set(annotations_by_image(dataset)) == {1, 3}


def test_plain_coco_counts_as_fully_confirmed() -> None:
    dataset = load_dataset(GOLDEN / "coco")
    assert all(image.review is Review.CONFIRMED for image in dataset.images)
    category = dataset.category("needle")
    assert category is not None
    assert [is_true_negative(image, dataset.annotations, category) for image in dataset.images] == [False, True]
    assert len(usable_images(dataset)) == 2


def test_one_review_makes_it_a_dataset_that_needs_all(tmp_path: Path) -> None:
    document = json.loads((GOLDEN / "coco" / "dataset.json").read_text())
    document["info"] = {"label_set": "needle", "license": "CC0-1.0", "simulated": False}
    document["images"][0].update(review="confirmed", labelled=["needle"])
    (tmp_path / "dataset.json").write_text(json.dumps(document))
    with pytest.raises(UserError, match=r"images\[1\]: 'labelled' is missing\.$"):
        load_dataset(tmp_path)


@pytest.mark.parametrize(
    ("review", "labelled", "visibility", "expected"),
    [
        (Review.CONFIRMED, ("needle_tip",), None, True),
        (Review.BULK, ("needle_tip",), None, True),
        (Review.PROPOSED, ("needle_tip",), None, False),
        (Review.UNSEEN, ("needle_tip",), None, False),
        (Review.CONFIRMED, ("needle",), None, False),
        (Review.CONFIRMED, (), None, False),
        (Review.CONFIRMED, ("needle_tip",), Visibility.CLEAR, False),
        (Review.CONFIRMED, ("needle_tip",), Visibility.OUT_OF_PLANE, False),
        (Review.CONFIRMED, ("needle_tip",), Visibility.ABSENT, True),
    ],
)
def test_true_negative_rule(
    review: Review, labelled: tuple[str, ...], visibility: Visibility | None, expected: bool
) -> None:
    image = make_image(1, review=review, labelled=labelled)
    other = [Annotation(1, 2, 1, (0, 0, 1, 1)), Annotation(2, 1, 2, (0, 0, 1, 1))]
    own = [] if visibility is None else [Annotation(3, 1, 1, None, visibility=visibility)]
    assert is_true_negative(image, other + own, TIP) is expected


def test_unseen_and_proposed_frames_are_left_out_unless_asked() -> None:
    images = tuple(make_image(n, review=r, split="train" if n < 3 else "test") for n, r in enumerate(Review))
    dataset = Dataset(INFO, images=images)
    assert [i.id for i in usable_images(dataset)] == [2, 3]
    assert [i.id for i in usable_images(dataset, "train")] == [2]
    assert [i.id for i in usable_images(dataset, unconfirmed=True)] == [0, 1, 2, 3]


numbers = st.floats(-1e4, 1e4).map(lambda v: round(v, 3) + 0.0)
sizes = st.floats(0, 1e4).map(lambda v: round(v, 3))
boxes = st.tuples(numbers, numbers, sizes, sizes)
names = st.none() | st.text(min_size=1, max_size=8)
images = st.builds(
    Image,
    st.integers(0, 99),
    st.just("images/a.png"),
    st.integers(1, 999),
    st.integers(1, 999),
    st.none() | st.integers(0, 9),
    st.integers(0, 999),
    st.integers(-(10**12), 10**12),
    st.just("ab" * 32) | st.none(),
    st.none() | boxes,
    names,
    names,
    st.sampled_from([None, "train", "test"]),
    st.sampled_from(Review),
    st.just(("needle_tip",)),
    st.dictionaries(st.sampled_from(["csf", "cord"]), st.none() | st.integers(0, 3)),
    st.none() | st.just({"hard": True}),
    st.dictionaries(st.just("license"), st.integers(0, 9)),
)
annotations = st.builds(
    Annotation,
    st.integers(0, 99),
    st.integers(0, 99),
    st.integers(1, 3),
    boxes,
    sizes,
    st.integers(0, 1),
    st.none() | st.just([[0.0, 0.0, 1.0, 0.0, 1.0, 1.0]]) | st.just({"size": [2, 2], "counts": [1, 3]}),
    st.just(()) | st.just((1.0, 2.0, 2.0, 0.0, 0.0, 0.0)),
    st.sampled_from(Visibility),
    names,
    names,
)


@given(st.lists(images, min_size=1, max_size=3), st.lists(annotations, max_size=3))
def test_any_dataset_survives_the_way_to_json_and_back(some: list[Image], marks: list[Annotation]) -> None:
    from puncta.formats.dataset import dataset_from_json

    video = Video(1, "v", 25.0, (0.1, 0.2), None, "s", "train")
    dataset = Dataset(INFO, (video,), tuple(some), (TIP,), tuple(marks))
    document = json.loads(json.dumps(json_from_dataset(dataset)))
    assert schemas.check("dataset", document) == []
    assert dataset_from_json(document) == dataset


def test_nan_never_reaches_a_file(tmp_path: Path) -> None:
    broken = Dataset(
        INFO,
        images=(make_image(1),),
        categories=(TIP,),
        annotations=(Annotation(1, 1, 1, (0.0, float("nan"), 1.0, 1.0)),),
    )
    with pytest.raises(BugError, match="annotation 1"):
        save_dataset(broken, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("part", "change", "words"),
    [
        ("images", {"width": "8"}, r"images\[0\]\.width: '8' does not belong there"),
        ("images", {"id": True}, r"images\[0\]\.id: True does not belong there"),
        ("images", {"review": "done"}, r"'done' is not one of unseen, proposed, confirmed, bulk"),
        ("images", {"region": [0, 0, 5]}, r"images\[0\]\.region: \[0, 0, 5\] is not a list of 4 numbers"),
        ("annotations", {"bbox": "x"}, r"annotations\[0\]\.bbox"),
        ("annotations", {"keypoints": [1, 2]}, r"annotations\[0\]\.keypoints"),
        ("videos", {"mm_per_px": [0, 1]}, r"videos\[0\]\.mm_per_px: \[0, 1\] is not above 0"),
    ],
)
def test_loader_names_the_place(tmp_path: Path, part: str, change: dict, words: str) -> None:
    document = json.loads((GOLDEN / "dataset" / "dataset.json").read_text())
    document[part][0].update(change)
    (tmp_path / "dataset.json").write_text(json.dumps(document))
    with pytest.raises(UserError, match=words):
        load_dataset(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"images": 3}', '{"images": [], "images": []}', "\x00"])
def test_odd_files_are_refused_in_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "dataset.json").write_text(text)
    with pytest.raises(UserError) as caught:
        load_dataset(tmp_path)
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)


def test_references_are_checked() -> None:
    dataset = Dataset(
        INFO,
        (Video(1, "v", 25.0, split="train"),),
        (make_image(1, video_id=1, split="test"), make_image(1, video_id=7, labelled=("x",), region=(0, 0, 9, 6))),
        (TIP,),
        (Annotation(1, 5, 9, (0, 0, 1, 1)),),
    )
    assert check_references(dataset) == [
        "images: id 1 stands 2 times",
        "images[0].split: 'test' differs from 'train' of its video",
        "images[1].video_id: there is no video 7",
        "images[1]: frame 0 of images/1.png stands twice",
        "images[1].labelled: 'x' is neither a category nor a flag of this frame",
        "images[1].region: [0, 0, 9, 6] lies outside the picture of 8 x 6 pixels",
        "annotations[0].image_id: there is no image 5",
        "annotations[0].category_id: there is no category 9",
    ]


def test_a_subject_has_one_split() -> None:
    def entry(n: int, subject: str | None, split: str | None, machine: str = "A") -> Image:
        return make_image(n, subject=subject, split=split, machine=machine)

    good = Dataset(
        INFO, images=(entry(1, "a", "train"), entry(2, "a", None), entry(3, None, "test", "D"), entry(4, None, "train"))
    )
    assert check_splits(good) == []
    assert machines_by_split(good) == {"test": ("D",), "train": ("A",)}
    assert shared_machines(good, "test") == ()
    leaking = Dataset(INFO, (Video(1, "v", 25.0, subject="a", split="test"),), (entry(1, "a", "train"),))
    assert check_splits(leaking) == ["subject 'a' stands in the splits test and train; a subject has one split"]


@given(st.sets(st.text(min_size=1, max_size=5), max_size=40), st.integers(0, 9))
def test_dealing_subjects_is_complete_and_repeats(subjects: set[str], seed: int) -> None:
    shares = {"train": 0.7, "tune": 0.1, "test": 0.2}
    dealt = split_of_subjects(subjects, shares, seed)
    assert set(dealt) == subjects
    assert dealt == split_of_subjects(sorted(subjects, reverse=True), shares, seed)
    count = sum(split == "train" for split in dealt.values())
    assert abs(count - 0.7 * len(subjects)) <= 0.5


def test_pictures_are_checked(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    grey = np.arange(48, dtype=np.uint8).reshape(6, 8)
    cv2.imwrite(str(tmp_path / "images/1.png"), grey)
    cv2.imwrite(str(tmp_path / "images/2.png"), np.dstack([grey] * 3))
    cv2.imwrite(str(tmp_path / "images/3.png"), grey[:5])
    (tmp_path / "images/4.png").write_bytes(b"text")
    cv2.imwrite(str(tmp_path / "images/6.png"), grey)
    (tmp_path / "clip.mp4").write_bytes(b"")
    found = [make_image(n) for n in range(1, 6)]
    found += [make_image(6, sha256="0" * 64), make_image(7, file_name="clip.mp4")]
    problems, notes = check_files(Dataset(INFO, images=tuple(found)), tmp_path)
    assert problems == [
        "images[1].file_name: images/2.png is not an 8-bit grey picture",
        "images[2]: images/3.png has 8 x 5 pixels, not 8 x 6",
        "images[3].file_name: images/4.png is not a readable picture",
        "images[4].file_name: images/5.png does not exist",
        "images[5].sha256: the pixels of images/6.png have another hash",
    ]
    assert notes == ["1 clip exists; its frames were not decoded"]
