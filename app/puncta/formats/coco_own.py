"""COCO files that Puncta wrote itself: what they say under ``puncta``, and from where they count.

Other programs read them as any COCO file and pass the members over. Read back, they say who labelled what, what was
confirmed and what only proposed, and what was looked for and is not there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from puncta.core.errors import UserError
from puncta.core.geometry import box_from_coco
from puncta.formats.dataset_values import Annotation, Dataset, Image, Visibility


def says_puncta(document: Mapping[str, Any]) -> bool:
    """Tell whether a COCO document is an export of Puncta."""
    images = document.get("images", ())
    return any(isinstance(image, Mapping) and isinstance(image.get("puncta"), Mapping) for image in images)


def without_own(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document as any COCO file, boxes counted from pixel centres as everywhere in Puncta."""
    images = [{k: v for k, v in image.items() if k != "puncta"} for image in document["images"]]
    annotations = []
    for a in document["annotations"]:
        bbox = a.get("bbox")
        kept = {k: v for k, v in a.items() if k != "puncta"}
        annotations.append(
            {**kept, "bbox": list(box_from_coco(bbox)) if bbox else None, "iscrowd": a.get("iscrowd", 0)}
        )
    plain = {**document, "images": images, "annotations": annotations, "info": {}}
    plain.pop("licenses", None)
    return plain


def with_own(dataset: Dataset, document: Mapping[str, Any]) -> Dataset:
    """Return the dataset of `without_own` with what the document says under ``puncta``; points and outlines move.

    Raises
    ------
    UserError
        What it says there is not what Puncta writes.
    """
    told = {image["id"]: image.get("puncta") for image in document["images"]}
    told_of = {a["id"]: a.get("puncta") for a in document["annotations"]}
    try:
        images = tuple(_own_image(image, told[image.id]) for image in dataset.images)
        moved = [_own_annotation(a, told_of.get(a.id)) for a in dataset.annotations]
        return replace(dataset, images=images, annotations=(*moved, *_hidden(told)))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"What the COCO file says under 'puncta' is not what Puncta writes: {error}.") from error


def _own_image(image: Image, told: Any) -> Image:
    if not isinstance(told, Mapping):
        # Of another program nothing is known about what was looked for, so nothing is said to be absent.
        return replace(image, labelled=())
    known = ("key", "phase", "note", "made")
    region = told.get("region")
    return replace(
        image,
        labelled=tuple(told.get("labelled", ())),
        flags=told.get("flags", {}),
        review=type(image.review)(told.get("review", image.review)),
        region=tuple(region) if region else None,
        sha256=told.get("sha256"),
        machine=told.get("machine"),
        subject=told.get("subject"),
        split=told.get("split"),
        more={k: told[k] for k in known if k in told},
    )


def _own_annotation(a: Annotation, told: Any) -> Annotation:
    segmentation = a.segmentation
    if isinstance(segmentation, list):
        segmentation = [[v - 0.5 for v in ring] for ring in segmentation]
    keypoints = tuple(
        v - 0.5 if n % 3 < 2 and a.keypoints[3 * (n // 3) + 2] > 0 else v for n, v in enumerate(a.keypoints)
    )
    moved = replace(a, segmentation=segmentation, keypoints=keypoints)
    if not isinstance(told, Mapping):
        return moved
    more = {k: v for k, v in told.items() if k not in {"visibility", "rater", "source"}}
    seen = Visibility(told.get("visibility", "clear"))
    return replace(moved, more=more, visibility=seen, rater=told.get("rater"), source=told.get("source"))


def _hidden(told: Mapping[int, Any]) -> list[Annotation]:
    out = []
    for image_id, own in told.items():
        for entry in (own or {}).get("not_visible_made", ()):
            more = {k: v for k, v in entry.items() if k not in {"category_id", "rater", "visibility"}}
            seen = Visibility(entry.get("visibility", "absent"))
            out.append(
                Annotation(
                    0, image_id, entry["category_id"], None, visibility=seen, rater=entry.get("rater"), more=more
                )
            )
    return out
