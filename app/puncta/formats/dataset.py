"""Dataset v1: loaded and saved whole, and the rules about what counts as confirmed and as a true negative."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from puncta.formats.atomic import plain_os_error, write_text_atomic
from puncta.formats.dataset_json import dataset_from_json, is_plain_coco, text_from_dataset
from puncta.formats.dataset_values import (
    NEEDLE_CATEGORY,
    TIP_CATEGORY,
    Annotation,
    Category,
    Dataset,
    Image,
    Info,
    Review,
    Video,
    Visibility,
)
from puncta.formats.jsontext import read_json

__all__ = [
    "COCO_FILE", "DATASET_FILE", "NEEDLE_CATEGORY", "NO_DATASET", "TIP_CATEGORY", "TRUSTED", "Annotation", "Category",
    "Dataset", "Image", "Info", "Review", "Video", "Visibility", "annotations_by_image", "dataset_file",
    "dataset_from_json", "is_dataset", "is_judged", "is_plain_coco", "is_true_negative", "load_dataset", "save_dataset",
    "usable_images",
]

DATASET_FILE = "dataset.json"
COCO_FILE = "annotations.json"
"""What an export as COCO holds in its place."""
NO_DATASET = "The folder {folder} holds no dataset.json, and no annotations.json of COCO, so it is not a dataset."
TRUSTED = frozenset({Review.CONFIRMED, Review.BULK})
"""Reviews that training and export use unless asked for more."""


def annotations_by_image(dataset: Dataset) -> dict[int, tuple[Annotation, ...]]:
    """Return the annotations of each image number; images without any are missing."""
    found: defaultdict[int, list[Annotation]] = defaultdict(list)
    for annotation in dataset.annotations:
        found[annotation.image_id].append(annotation)
    return {image_id: tuple(annotations) for image_id, annotations in found.items()}


def is_judged(image: Image, name: str) -> bool:
    """Tell whether a person judged a category or flag here: confirmed or bulk, and named in ``labelled``."""
    return image.review in TRUSTED and name in image.labelled


def is_true_negative(image: Image, annotations: Iterable[Annotation], category: Category) -> bool:
    """Tell whether a frame is a true negative for a category.

    Only a confirmed or bulk frame whose ``labelled`` names the category and that has no such annotation is one. An
    annotation with visibility `absent` states that the thing is not there, so it counts as none.

    Parameters
    ----------
    annotations : iterable of Annotation
        At least those of this image.
    """
    if not is_judged(image, category.name):
        return False
    such = (a for a in annotations if a.image_id == image.id and a.category_id == category.id)
    return all(a.visibility == Visibility.ABSENT for a in such)


def usable_images(dataset: Dataset, split: str | None = None, *, unconfirmed: bool = False) -> tuple[Image, ...]:
    """Return the frames that training and export use: those of a split (None: all), without unseen and proposed ones.

    Parameters
    ----------
    unconfirmed : bool
        True takes proposed and unseen frames as well, because somebody asked for them.
    """
    return tuple(
        image for image in dataset.images
        if (split is None or image.split == split) and (unconfirmed or image.review in TRUSTED)
    )


def dataset_file(path: Path) -> Path:
    """Return the dataset.json of a folder, or the COCO file of one that holds no other; else the file itself."""
    path = Path(path)
    if not path.is_dir():
        return path
    coco = path / COCO_FILE
    return coco if coco.is_file() and not (path / DATASET_FILE).is_file() else path / DATASET_FILE


def is_dataset(path: Path) -> bool:
    """Tell whether a folder holds a dataset, or a path names the file of one; what it says is not looked at."""
    return dataset_file(path).is_file()


def load_dataset(path: Path) -> Dataset:
    """Read a dataset folder or file (Dataset v1, or plain COCO as fully confirmed); raises UserError."""
    file = dataset_file(path)
    return dataset_from_json(read_json(file), str(file))


def save_dataset(dataset: Dataset, folder: Path) -> Path:
    """Write ``folder/dataset.json`` whole or not at all; return its path. Pictures are the caller's.

    Raises
    ------
    UserError
        The folder cannot be made or written.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise plain_os_error(error, folder, "create") from error
    path = folder / DATASET_FILE
    write_text_atomic(path, text_from_dataset(dataset))
    return path
