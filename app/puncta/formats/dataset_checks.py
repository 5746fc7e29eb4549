"""What a schema cannot say about a dataset: references, splits, files, pictures."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

import cv2
import numpy as np

from puncta.core.frame import hash_planes
from puncta.formats.dataset_values import Dataset, Image

PICTURE_SUFFIXES = (".png",)


def check_references(dataset: Dataset) -> list[str]:
    """Return duplicate numbers, dangling references, double frames and names in ``labelled`` that mean nothing."""
    problems: list[str] = []
    for name, numbers in (
        ("videos", [v.id for v in dataset.videos]), ("images", [i.id for i in dataset.images]),
        ("categories", [c.id for c in dataset.categories]), ("annotations", [a.id for a in dataset.annotations]),
    ):
        problems += [f"{name}: id {n} stands {count} times" for n, count in Counter(numbers).items() if count > 1]
    videos = {v.id: v for v in dataset.videos}
    images = {i.id for i in dataset.images}
    categories = {c.id for c in dataset.categories}
    names = {c.name for c in dataset.categories}
    frames: set[tuple[str, int]] = set()
    for n, image in enumerate(dataset.images):
        place = f"images[{n}]"
        if image.video_id is not None and image.video_id not in videos:
            problems.append(f"{place}.video_id: there is no video {image.video_id}")
        elif image.video_id is not None and image.split != (split := videos[image.video_id].split):
            problems.append(f"{place}.split: '{image.split}' differs from '{split}' of its video")
        if (image.file_name, image.frame_index) in frames:
            problems.append(f"{place}: frame {image.frame_index} of {image.file_name} stands twice")
        frames.add((image.file_name, image.frame_index))
        problems += [f"{place}.labelled: '{name}' is neither a category nor a flag of this frame"
                     for name in image.labelled if name not in names and name not in image.flags]
        problems += _check_region(image, place)
    for n, annotation in enumerate(dataset.annotations):
        if annotation.image_id not in images:
            problems.append(f"annotations[{n}].image_id: there is no image {annotation.image_id}")
        if annotation.category_id not in categories:
            problems.append(f"annotations[{n}].category_id: there is no category {annotation.category_id}")
    return problems


def _check_region(image: Image, place: str) -> list[str]:
    if image.region is None:
        return []
    x0, y0, w, h = image.region
    # A region holds the whole pixels x0 .. x0 + w - 1.
    inside = x0 >= 0 and y0 >= 0 and x0 + w <= image.width and y0 + h <= image.height and w > 0 and h > 0
    return [] if inside else [f"{place}.region: {list(image.region)} lies outside the picture of "
                              f"{image.width} x {image.height} pixels"]


def is_split_by_case(dataset: Dataset) -> bool:
    """Tell whether a dataset was split by whole cases for want of subjects, so that a subject may be on both sides."""
    return dataset.info.more.get("split_by") == "case"


def check_splits(dataset: Dataset) -> list[str]:
    """Return each subject that stands in more than one split. A subject never may; frames without one are left out."""
    splits: defaultdict[str, set[str]] = defaultdict(set)
    pairs = [(v.subject, v.split) for v in dataset.videos] + [(i.subject, i.split) for i in dataset.images]
    for subject, split in pairs:
        if subject is not None and split is not None:
            splits[subject].add(split)
    return [f"subject '{subject}' stands in the splits {' and '.join(sorted(found))}; a subject has one split"
            for subject, found in sorted(splits.items()) if len(found) > 1]


def machines_by_split(dataset: Dataset) -> dict[str, tuple[str, ...]]:
    """Return the machines of each split, sorted."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for image in dataset.images:
        if image.split is not None and image.machine is not None:
            found[image.split].add(image.machine)
    return {split: tuple(sorted(machines)) for split, machines in sorted(found.items())}


def shared_machines(dataset: Dataset, split: str, other: str = "train") -> tuple[str, ...]:
    """Return the machines that two splits share: none means that ``split`` is a test on unseen machines."""
    machines = machines_by_split(dataset)
    return tuple(sorted(set(machines.get(split, ())) & set(machines.get(other, ()))))


def split_of_subjects(subjects: Iterable[str], shares: Mapping[str, float], seed: int = 0) -> dict[str, str]:
    """Deal subjects out to splits, the same way on every machine.

    Subjects are ordered by the hash of seed and name, then cut by the cumulated shares.

    Parameters
    ----------
    shares : mapping of split name to share
        Need not add up to 1.
    """
    ordered = sorted(set(subjects), key=lambda s: hashlib.sha256(f"{seed}/{s}".encode()).digest())
    total = sum(shares.values())
    ends = np.round(np.cumsum([share / total for share in shares.values()]) * len(ordered)).astype(int)
    dealt: dict[str, str] = {}
    start = 0
    for split, end in zip(shares, ends):
        dealt.update(dict.fromkeys(ordered[start:end], split))
        start = int(end)
    return dealt


def check_files(dataset: Dataset, folder: Path) -> tuple[list[str], list[str]]:
    """Check that each picture exists, is 8-bit grey of the stated size and has the stated hash.

    Clips are only looked for: whoever can decode them checks their frames.

    Returns
    -------
    problems, notes : lists of str
    """
    problems: list[str] = []
    clips: set[str] = set()
    for n, image in enumerate(dataset.images):
        path = Path(folder) / image.file_name
        if not path.is_file():
            problems.append(f"images[{n}].file_name: {image.file_name} does not exist")
        elif PurePosixPath(image.file_name).suffix.lower() in PICTURE_SUFFIXES:
            problems += _check_picture(image, path, f"images[{n}]")
        else:
            clips.add(image.file_name)
    notes = []
    if clips:
        notes = ["1 clip exists; its frames were not decoded" if len(clips) == 1
                 else f"{len(clips)} clips exist; their frames were not decoded"]
    return problems, notes


def _check_picture(image: Image, path: Path, place: str) -> Sequence[str]:
    pixels = cv2.imdecode(np.fromfile(path, dtype=np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        return [f"{place}.file_name: {image.file_name} is not a readable picture"]
    if pixels.ndim != 2 or pixels.dtype != np.uint8:
        return [f"{place}.file_name: {image.file_name} is not an 8-bit grey picture"]
    if pixels.shape != (image.height, image.width):
        return [f"{place}: {image.file_name} has {pixels.shape[1]} x {pixels.shape[0]} pixels, "
                f"not {image.width} x {image.height}"]
    if image.sha256 is not None and hash_planes((pixels,)) != image.sha256:
        return [f"{place}.sha256: the pixels of {image.file_name} have another hash"]
    return []
