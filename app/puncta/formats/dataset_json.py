"""Dataset v1 as JSON values, in both directions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from enum import StrEnum
from typing import Any

from puncta.core.errors import UserError
from puncta.formats.coco_own import says_puncta, with_own, without_own
from puncta.formats.dataset_values import Annotation, Category, Dataset, Image, Info, Review, Video, Visibility
from puncta.formats.jsontext import PX_DECIMALS, json_line, rounded

VERSION = 1

# Reading. The parser checks what it needs, quickly: a schema check of 50,000 frames takes a minute, this a second.

_MISSING = object()
_NAMES: dict[type, frozenset[str]] = {}


def _get(members: Mapping[str, Any], name: str, types: type | tuple[type, ...], place: str,
         default: Any = _MISSING) -> Any:
    value = members.get(name, default)
    if value is _MISSING:
        raise UserError(f"{place}: '{name}' is missing.")
    allowed = types if isinstance(types, tuple) else (types,)
    if value is default or (isinstance(value, allowed) and not (isinstance(value, bool) and bool not in allowed)):
        return value
    raise UserError(f"{place}.{name}: {value!r} does not belong there.")


def _enum(kind: type[StrEnum], members: Mapping[str, Any], name: str, place: str, default: str) -> Any:
    value = members.get(name, default)
    try:
        return kind(value)
    except ValueError as error:
        raise UserError(f"{place}.{name}: {value!r} is not one of {', '.join(kind)}.") from error


def _numbers(value: Any, lengths: tuple[int, ...], place: str) -> tuple[float, ...] | None:
    if value is None:
        return None
    fits = isinstance(value, list) and len(value) in lengths and all(
        isinstance(v, int | float) and not isinstance(v, bool) for v in value)
    if not fits:
        raise UserError(f"{place}: {value!r} is not a list of {' or '.join(str(n) for n in lengths)} numbers.")
    return tuple(float(v) for v in value)


def _more(members: Mapping[str, Any], known: type) -> dict[str, Any]:
    names = _NAMES.setdefault(known, frozenset(f.name for f in fields(known)))
    return {name: value for name, value in members.items() if name not in names}


_TEXT = (str, type(None))


def _video(d: Mapping[str, Any], place: str) -> Video:
    scale = d.get("mm_per_px")
    pair = [scale, scale] if isinstance(scale, int | float) and not isinstance(scale, bool) else scale
    mm_per_px = _numbers(pair, (2,), f"{place}.mm_per_px")
    if mm_per_px is not None and not all(v > 0 for v in mm_per_px):
        raise UserError(f"{place}.mm_per_px: {scale!r} is not above 0.")
    return Video(
        _get(d, "id", int, place), _get(d, "name", str, place), float(_get(d, "fps", (int, float), place)),
        mm_per_px,  # type: ignore[arg-type]
        _get(d, "machine", _TEXT, place, None), _get(d, "subject", _TEXT, place, None),
        _get(d, "split", _TEXT, place, None), _more(d, Video),
    )


def _image(d: Mapping[str, Any], place: str, plain: bool, all_names: tuple[str, ...]) -> Image:
    flags = _get(d, "flags", dict, place, {})
    labelled = _get(d, "labelled", list, place, list(all_names) if plain else _MISSING)
    if not plain and "review" not in d:
        raise UserError(f"{place}: 'review' is missing.")
    return Image(
        id=_get(d, "id", int, place),
        file_name=_get(d, "file_name", str, place),
        width=_get(d, "width", int, place),
        height=_get(d, "height", int, place),
        video_id=_get(d, "video_id", (int, type(None)), place, None),
        frame_index=_get(d, "frame_index", int, place, 0),
        pts_ns=_get(d, "pts_ns", int, place, 0),
        sha256=_get(d, "sha256", _TEXT, place, None),
        region=_numbers(d.get("region"), (4,), f"{place}.region"),  # type: ignore[arg-type]
        machine=_get(d, "machine", _TEXT, place, None),
        subject=_get(d, "subject", _TEXT, place, None),
        split=_get(d, "split", _TEXT, place, None),
        review=_enum(Review, d, "review", place, Review.CONFIRMED),
        labelled=tuple(labelled),
        flags={name: _get(flags, name, (int, type(None)), f"{place}.flags") for name in flags},
        difficulty=_get(d, "difficulty", (dict, type(None)), place, None),
        more=_more(d, Image),
    )


def _annotation(d: Mapping[str, Any], place: str) -> Annotation:
    return Annotation(
        id=_get(d, "id", int, place),
        image_id=_get(d, "image_id", int, place),
        category_id=_get(d, "category_id", int, place),
        bbox=_numbers(d.get("bbox"), (4,), f"{place}.bbox"),  # type: ignore[arg-type]
        area=float(_get(d, "area", (int, float), place, 0.0)),
        iscrowd=_get(d, "iscrowd", int, place, 0),
        segmentation=d.get("segmentation") or None,
        keypoints=_numbers(d.get("keypoints") or [], tuple(range(0, 301, 3)), f"{place}.keypoints") or (),
        visibility=_enum(Visibility, d, "visibility", place, Visibility.CLEAR),
        rater=_get(d, "rater", _TEXT, place, None),
        source=_get(d, "source", _TEXT, place, None),
        more=_more(d, Annotation),
    )


def is_plain_coco(document: Mapping[str, Any]) -> bool:
    """Tell whether no image has `review` or `labelled`: such a file is read as fully confirmed, but for our own."""
    images = (image for image in document.get("images", ()) if isinstance(image, Mapping))
    return not any("review" in image or "labelled" in image for image in images)


def dataset_from_json(document: Any, place: str = "dataset") -> Dataset:
    """Return the typed dataset of a parsed dataset.json or plain COCO file.

    Raises
    ------
    UserError
        Something needed is missing or of the wrong kind; the sentence starts with ``place``.
    """
    if not isinstance(document, dict):
        raise UserError(f"{place}: the file does not hold an object.")
    parts: dict[str, list[Mapping[str, Any]]] = {}
    for name in ("videos", "images", "categories", "annotations"):
        parts[name] = _get(document, name, list, place, [] if name == "videos" else _MISSING)
        for number, entry in enumerate(parts[name]):
            if not isinstance(entry, dict):
                raise UserError(f"{place}: {name}[{number}] is not an object.")
    plain = is_plain_coco(document)
    if plain and says_puncta(document):  # our own export: who confirmed what is kept, not taken for granted
        found = with_own(dataset_from_json(without_own(document), place), document)
        known = document.get("info", {})
        licence = next((entry.get("name", "") for entry in document.get("licenses", ())), "")
        own = Info(str(known.get("label_set", "")), licence, bool(known.get("simulated", False)), {})
        numbered = tuple(replace(a, id=n) for n, a in enumerate(found.annotations, start=1))
        return replace(found, info=own, annotations=numbered)
    info = _get(document, "info", dict, place, {})
    default = "" if plain else _MISSING
    categories = tuple(
        Category(_get(d, "id", int, f"{place}: categories[{n}]"), _get(d, "name", str, f"{place}: categories[{n}]"),
                 _more(d, Category))
        for n, d in enumerate(parts["categories"])
    )
    names = tuple(category.name for category in categories)
    return Dataset(
        info=Info(
            _get(info, "label_set", str, f"{place}: info", default),
            _get(info, "license", str, f"{place}: info", default),
            _get(info, "simulated", bool, f"{place}: info", False if plain else _MISSING),
            {name: value for name, value in _more(info, Info).items() if name != "version"},
        ),
        videos=tuple(_video(d, f"{place}: videos[{n}]") for n, d in enumerate(parts["videos"])),
        images=tuple(_image(d, f"{place}: images[{n}]", plain, names) for n, d in enumerate(parts["images"])),
        categories=categories,
        annotations=tuple(_annotation(d, f"{place}: annotations[{n}]") for n, d in enumerate(parts["annotations"])),
    )


# Writing.


def _px(values: tuple[float, ...] | None, what: str) -> list[float] | None:
    return None if values is None else [rounded(v, PX_DECIMALS, what) for v in values]


def _json_from_video(video: Video) -> dict[str, Any]:
    return {
        "id": video.id, "name": video.name, "fps": video.fps,
        "mm_per_px": None if video.mm_per_px is None else list(video.mm_per_px),
        "machine": video.machine, "subject": video.subject, "split": video.split, **video.more,
    }


def _json_from_image(image: Image) -> dict[str, Any]:
    return {
        "id": image.id, "video_id": image.video_id, "frame_index": image.frame_index, "file_name": image.file_name,
        "width": image.width, "height": image.height, "pts_ns": image.pts_ns, "sha256": image.sha256,
        "region": _px(image.region, f"region of image {image.id}"), "machine": image.machine, "subject": image.subject,
        "split": image.split, "review": str(image.review), "labelled": list(image.labelled), "flags": dict(image.flags),
        "difficulty": None if image.difficulty is None else dict(image.difficulty), **image.more,
    }


def _json_from_annotation(annotation: Annotation) -> dict[str, Any]:
    what = f"annotation {annotation.id}"
    return {
        "id": annotation.id, "image_id": annotation.image_id, "category_id": annotation.category_id,
        "bbox": _px(annotation.bbox, what), "area": rounded(annotation.area, PX_DECIMALS, what),
        "iscrowd": annotation.iscrowd, "segmentation": annotation.segmentation,
        "keypoints": _px(annotation.keypoints, what), "visibility": str(annotation.visibility),
        "rater": annotation.rater, "source": annotation.source, **annotation.more,
    }


def _json_from_category(category: Category) -> dict[str, Any]:
    return {"id": category.id, "name": category.name, **category.more}


def json_from_dataset(dataset: Dataset) -> dict[str, Any]:
    """Return a dataset as plain JSON values in the order of the format; raises BugError on NaN."""
    info = dataset.info
    return {
        "info": {"version": VERSION, "label_set": info.label_set, "license": info.license, "simulated": info.simulated,
                 **info.more},
        "videos": [_json_from_video(v) for v in dataset.videos],
        "images": [_json_from_image(i) for i in dataset.images],
        "categories": [_json_from_category(c) for c in dataset.categories],
        "annotations": [_json_from_annotation(a) for a in dataset.annotations],
    }


def text_from_dataset(dataset: Dataset) -> str:
    """Return dataset.json as text: one line an entry, so that files can be read and compared."""
    parts = []
    for name, value in json_from_dataset(dataset).items():
        if isinstance(value, list):
            entries = ",\n  ".join(json_line(entry) for entry in value)
            parts.append(f' "{name}": [\n  {entries}\n ]' if value else f' "{name}": []')
        else:
            parts.append(f' "{name}": {json_line(value)}')
    return "{\n" + ",\n".join(parts) + "\n}\n"
