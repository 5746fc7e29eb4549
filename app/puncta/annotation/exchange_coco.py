"""COCO out and in. COCO counts from the outer corner of the first pixel, so points and boxes move by half a pixel.

Puncta's own members lie under ``puncta`` on images and annotations; other programs pass over them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from puncta.annotation.exchange_dataset import found_in_dataset
from puncta.annotation.exchange_found import Found
from puncta.core.errors import UserError
from puncta.core.geometry import coco_from_box
from puncta.formats.coco_own import with_own, without_own
from puncta.formats.dataset import annotations_by_image
from puncta.formats.dataset_json import dataset_from_json, is_plain_coco
from puncta.formats.dataset_values import Annotation, Dataset, Image
from puncta.formats.jsontext import PX_DECIMALS, rounded

KEYPOINTS = ["tip", "entry"]


def coco_from_dataset(dataset: Dataset) -> dict[str, Any]:
    """Return a COCO document: detection, segmentation and keypoints in one, as pycocotools reads it."""
    hidden: dict[int, dict[str, str]] = {}
    names = {c.id: c.name for c in dataset.categories}
    annotations = []
    of_image = annotations_by_image(dataset)
    for a in dataset.annotations:
        if a.bbox is None:
            hidden.setdefault(a.image_id, {})[names[a.category_id]] = str(a.visibility)
        annotations += [_annotation(a)] if a.bbox is not None else []
    return {
        "info": {
            "description": "Labels made with Puncta",
            "label_set": dataset.info.label_set,
            "simulated": dataset.info.simulated,
            "coordinates": "from the outer corner of the first pixel [px]",
        },
        "licenses": [{"id": 1, "name": dataset.info.license or "not stated", "url": ""}],
        "videos": [{"id": v.id, "name": v.name, "fps": v.fps} for v in dataset.videos],
        "images": [_image(i, hidden.get(i.id, {}), of_image.get(i.id, ())) for i in dataset.images],
        "categories": [
            {"id": c.id, "name": c.name, "supercategory": "", "keypoints": KEYPOINTS, "skeleton": [[1, 2]]}
            for c in dataset.categories
        ],
        "annotations": annotations,
    }


def _image(image: Image, hidden: Mapping[str, str], annotations: Sequence[Annotation]) -> dict[str, Any]:
    own = {
        **image.more,
        "review": str(image.review),
        "labelled": list(image.labelled),
        "flags": dict(image.flags),
        "region": None if image.region is None else list(image.region),
        "sha256": image.sha256,
        "machine": image.machine,
        "subject": image.subject,
        "split": image.split,
        "not_visible": dict(hidden),
        "not_visible_made": [
            {"category_id": a.category_id, **a.more, "rater": a.rater, "visibility": str(a.visibility)}
            for a in annotations
            if a.bbox is None
        ],
    }
    return {
        "id": image.id,
        "file_name": image.file_name,
        "width": image.width,
        "height": image.height,
        "license": 1,
        "video_id": image.video_id,
        "frame_index": image.frame_index,
        "pts_ns": image.pts_ns,
        "puncta": own,
    }


def _up(values: tuple[float, ...] | list[float]) -> list[float]:
    return [rounded(v, PX_DECIMALS, "coordinate") for v in values]


def _annotation(a: Annotation) -> dict[str, Any]:
    assert a.bbox is not None
    segmentation: Any = a.segmentation
    if isinstance(segmentation, list):
        segmentation = [_up([v + 0.5 for v in ring]) for ring in segmentation]
    keypoints = [v + 0.5 if n % 3 < 2 and a.keypoints[3 * (n // 3) + 2] > 0 else v for n, v in enumerate(a.keypoints)]
    keypoints = keypoints or [0.0] * (3 * len(KEYPOINTS))
    return {
        "id": a.id,
        "image_id": a.image_id,
        "category_id": a.category_id,
        "bbox": _up(coco_from_box(a.bbox)),
        "area": rounded(a.area, PX_DECIMALS, "area"),
        "iscrowd": 0,
        "segmentation": segmentation or [],
        "keypoints": _up(keypoints),
        "num_keypoints": sum(v > 0 for v in keypoints[2::3]),
        "puncta": {**a.more, "visibility": str(a.visibility), "rater": a.rater, "source": a.source},
    }


def dataset_in_coco(document: Any, place: str = "the COCO file") -> Dataset:
    """Return a COCO document, made by Puncta or another program, as a dataset.

    Raises
    ------
    UserError
        It is no COCO document, or it is a dataset of Puncta's own.
    """
    if not isinstance(document, dict) or not {"images", "annotations", "categories"} <= set(document):
        raise UserError(f"{place} is not a COCO file: images, annotations and categories belong in it.")
    if not is_plain_coco(document):
        raise UserError(f"{place} is a dataset of Puncta; import it as a dataset.")
    return with_own(dataset_from_json(without_own(document), place), document)


def found_in_coco(document: Any, place: str = "the COCO file") -> list[Found]:
    """Return what a COCO document says, made by Puncta or another program; raises UserError where it is none."""
    dataset = dataset_in_coco(document, place)
    found = found_in_dataset(dataset)
    stated = any("frame_index" in image for image in document["images"])
    return found if stated else [replace(f, index=None) for f in found]
