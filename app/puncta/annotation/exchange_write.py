"""Datasets written as YOLO, MOT, PNG masks and CSV; a table of frame keys goes along with each."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import cv2
import numpy as np

from puncta.annotation.exchange_dataset import CasePart, slug, usable
from puncta.annotation.label_json import json_from_value
from puncta.annotation.labels import LineLabel, MaskLabel, PolygonLabel
from puncta.annotation.outlines import mask_of_rings, rings_of_mask, signed_area
from puncta.formats.atomic import AtomicFile, write_text_atomic
from puncta.formats.dataset import annotations_by_image
from puncta.formats.dataset_values import Dataset, Image
from puncta.formats.exports import FRAMES_TABLE, YOLO_FILE
from puncta.formats.jsontext import json_line
from puncta.formats.rle import mask_from_rle


def table_text(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return CSV text, quoted where it has to be, one line end everywhere."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(["" if value is None else value for value in row] for row in rows)
    return out.getvalue()


def frames_table(dataset: Dataset, names: Sequence[str]) -> str:
    """Return the table that ties files of an export to frame keys.

    Parameters
    ----------
    names : sequence of str
        The export's file of each image, in their order.
    """
    rows = []
    for image, name in zip(dataset.images, names):
        key = image.more.get("key", {})
        rows.append((name, key.get("stream"), image.frame_index, image.pts_ns, key.get("sha256")))
    return table_text(("file", "stream", "frame_index", "pts_ns", "sha256"), rows)


def write_yolo(dataset: Dataset, folder: Path, *, segments: bool = False) -> None:
    """Write YOLO: one text file an image, boxes (or outlines) as shares of the picture from its outer corner.

    A frame on which nothing was found gets an empty file, as YOLO wants it, only where a category was judged there.
    """
    names = [c.name for c in sorted(dataset.categories, key=lambda c: c.id)]
    number = {c.id: names.index(c.name) for c in dataset.categories}
    found = annotations_by_image(dataset)
    files = []
    (folder / "labels").mkdir(parents=True, exist_ok=True)
    for image in dataset.images:
        lines = []
        for a in found.get(image.id, ()):
            if a.bbox is None:
                continue
            if segments:
                lines += [_yolo_line(number[a.category_id], ring, image) for ring in _outlines(a.segmentation)]
            elif a.bbox[2] > 0 and a.bbox[3] > 0:
                x, y, w, h = a.bbox
                middle = ((x + w / 2 + 0.5) / image.width, (y + h / 2 + 0.5) / image.height)
                lines.append(_numbers(number[a.category_id], (*middle, w / image.width, h / image.height)))
        name = f"labels/{PurePosixPath(image.file_name).stem if image.video_id is None else flat_name(image)}.txt"
        files.append(name)
        write_text_atomic(folder / name, "".join(f"{line}\n" for line in lines))
    listed = "".join(f"  {n}: {name}\n" for n, name in enumerate(names))
    write_text_atomic(folder / YOLO_FILE, f"path: .\ntrain: images\nval: images\nnames:\n{listed}")
    write_text_atomic(folder / FRAMES_TABLE, frames_table(dataset, files))


def flat_name(image: Image) -> str:
    """Return a name without folders that no other image of the dataset has."""
    stem = image.file_name.removeprefix("images/").removesuffix(".png")
    stem = stem.replace("/", "_")
    return stem if image.file_name.startswith("images/") else f"{stem}_{image.frame_index:06d}"


def _numbers(category: int, values: Iterable[float]) -> str:
    return " ".join([str(category), *(f"{v:.8f}" for v in values)])


def _yolo_line(category: int, ring: Sequence[tuple[float, float]], image: Image) -> str:
    shares = [v for x, y in ring for v in ((x + 0.5) / image.width, (y + 0.5) / image.height)]
    return _numbers(category, (min(1.0, max(0.0, v)) for v in shares))


def _outlines(segmentation: Any) -> list[list[tuple[float, float]]]:
    if isinstance(segmentation, list):
        return [list(zip(ring[0::2], ring[1::2])) for ring in segmentation]
    if not isinstance(segmentation, dict):
        return []
    # YOLO knows no holes: the outer outlines only.
    return [ring for ring in rings_of_mask(mask_from_rle(segmentation)) if signed_area(ring) > 0]


def write_mot(dataset: Dataset, folder: Path) -> None:
    """Write MOTChallenge folders, one a case: gt/gt.txt (frames and pixels from 1), gt/labels.txt, seqinfo.ini."""
    names = [c.name for c in sorted(dataset.categories, key=lambda c: c.id)]
    number = {c.id: names.index(c.name) + 1 for c in dataset.categories}
    found = annotations_by_image(dataset)
    files = [""] * len(dataset.images)
    for video in dataset.videos:
        name = f"{video.id:03d}-{''.join(c if c.isalnum() else '-' for c in video.name)[:40]}"
        own = [(n, image) for n, image in enumerate(dataset.images) if image.video_id == video.id]
        lines = []
        for n, image in own:
            files[n] = f"{name}/gt/gt.txt#{image.frame_index + 1}"
            for a in found.get(image.id, ()):
                if a.bbox is None:
                    continue
                # One thing of a category keeps its track through the clip; numbers tell several apart.
                track = number[a.category_id] * 100 + int(a.more.get("number", 0))
                seen = {"clear": 1.0, "uncertain": 0.5}.get(str(a.visibility), 0.0)
                x, y, w, h = a.bbox
                values = ",".join(f"{v:.3f}" for v in (x + 1.5, y + 1.5, w, h))
                lines.append(f"{image.frame_index + 1},{track},{values},1,{number[a.category_id]},{seen:g}\n")
        (folder / name / "gt").mkdir(parents=True, exist_ok=True)
        write_text_atomic(folder / name / "gt" / "gt.txt", "".join(lines))
        write_text_atomic(folder / name / "gt" / "labels.txt", "".join(f"{n}\n" for n in names))
        last = max((image.frame_index for _n, image in own), default=-1)
        size = (own[0][1].width, own[0][1].height) if own else (0, 0)
        write_text_atomic(
            folder / name / "seqinfo.ini",
            (
                f"[Sequence]\nname={name}\nimDir=img1\nframeRate={video.fps:g}\nseqLength={last + 1}\n"
                f"imWidth={size[0]}\nimHeight={size[1]}\nimExt=.png\n"
            ),
        )
    write_text_atomic(folder / FRAMES_TABLE, frames_table(dataset, files))


def write_png_masks(dataset: Dataset, folder: Path) -> int:
    """Write one 8-bit PNG a frame and category, 255 where it is; return how many.

    A frame on which a category was judged and is not there gets an empty mask; a frame on which it was not judged, or
    is marked by another shape, gets none.
    """
    names = {c.id: c.name for c in dataset.categories}
    rows, count = [], 0
    masks: dict[tuple[int, str], np.ndarray] = {}
    found = annotations_by_image(dataset)
    for image in dataset.images:
        for a in found.get(image.id, ()):
            key = (image.id, names[a.category_id])
            empty = np.zeros((image.height, image.width), bool)
            if isinstance(a.segmentation, dict):
                masks[key] = masks.get(key, empty) | mask_from_rle(a.segmentation)
            elif a.segmentation:
                rings = [list(zip(ring[0::2], ring[1::2])) for ring in a.segmentation]
                masks[key] = masks.get(key, empty) | mask_of_rings(rings, (image.height, image.width))
            elif a.bbox is None:
                masks.setdefault(key, empty)
    drawn = {name for (_i, name), mask in masks.items() if mask.any()}
    by_number = {image.id: image for image in dataset.images}
    for (number, name), mask in sorted(masks.items()):
        if name not in drawn:
            continue
        image = by_number[number]
        file = f"masks/{name}/{flat_name(image)}.png"
        (folder / "masks" / name).mkdir(parents=True, exist_ok=True)
        _good, data = cv2.imencode(".png", mask.astype(np.uint8) * 255)
        with AtomicFile(folder / file, binary=True) as out:
            out.write(data.tobytes())
        key = image.more.get("key", {})
        rows.append((file, key.get("stream"), image.frame_index, image.pts_ns, key.get("sha256")))
        count += 1
    write_text_atomic(folder / FRAMES_TABLE, table_text(("file", "stream", "frame_index", "pts_ns", "sha256"), rows))
    return count


CSV_HEAD = (
    "case",
    "title",
    "stream",
    "frame_index",
    "pts_ns",
    "sha256",
    "rater",
    "name",
    "number",
    "state",
    "type",
    "visibility",
    "x_px",
    "y_px",
    "entry_x_px",
    "entry_y_px",
    "box_x0_px",
    "box_y0_px",
    "box_w_px",
    "box_h_px",
    "area_px",
    "value",
    "made_by",
    "version",
    "base",
    "made_utc",
    "content",
)


def csv_of(parts: Sequence[CasePart], *, unconfirmed: bool = False) -> str:
    """Return a table with one row a label; ``content`` holds the value whole, as JSON."""
    rows = []
    for part in parts:
        case = part.case
        for label in usable(part.labels, unconfirmed=unconfirmed):
            d = json_from_value(label.value)
            tip = d.get("tip_px") or (None, None)
            entry = d.get("entry_px") if isinstance(label.value, LineLabel) else None
            box = d.get("box") or (None,) * 4
            area = label.value.area_px if isinstance(label.value, MaskLabel) else None
            if isinstance(label.value, PolygonLabel):
                area = int(mask_of_rings(label.value.rings, label.value.size).sum())
            value = d.get("value", d.get("phase", d.get("text")))
            made = label.made
            rows.append(
                (
                    slug(case),
                    case.title,
                    label.key.stream,
                    label.key.index,
                    label.key.pts_ns,
                    label.key.sha256,
                    label.rater,
                    label.name,
                    label.number,
                    str(label.state),
                    d["type"],
                    d.get("visibility"),
                    *tip,
                    *(entry or (None, None)),
                    *box,
                    area,
                    value,
                    f"{made.kind}:{made.by}",
                    made.version,
                    made.base,
                    made.made_utc,
                    json_line(d),
                )
            )
    return table_text(CSV_HEAD, rows)
