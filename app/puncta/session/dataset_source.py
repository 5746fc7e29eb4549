"""Clips of a dataset as frame sources, so that a plugin meets them as it meets any recording."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
from numpy.typing import NDArray

from puncta.core.errors import UserError
from puncta.core.frame import (
    Calibration,
    CalibrationOrigin,
    Frame,
    FrameKey,
    ImageGeometry,
    SourceInfo,
    SourceKind,
    UltrasoundRegion,
)
from puncta.formats.dataset import Dataset, Image, Video
from puncta.formats.dataset_checks import PICTURE_SUFFIXES


@dataclass(frozen=True, slots=True)
class DatasetClip:
    """The frames of one video in order; a picture without a video is a clip of its own.

    Attributes
    ----------
    name : str
    images : tuple of Image
        In order of time.
    video : Video or None
    simulated : bool
    """

    name: str
    images: tuple[Image, ...]
    video: Video | None
    simulated: bool

    @property
    def machine(self) -> str | None:
        """The machine, from the frame where the video names none."""
        return (self.video.machine if self.video else None) or self.images[0].machine

    @property
    def mm_per_px(self) -> tuple[float, float] | None:
        """(x, y) [mm/px], or None."""
        return self.video.mm_per_px if self.video else None


def clips_of(dataset: Dataset, split: str | None) -> tuple[DatasetClip, ...]:
    """Return the clips of a split (None: all), in the order of the dataset."""
    videos = dataset.videos_by_id()
    groups: dict[tuple[str, int], list[Image]] = {}
    for image in dataset.images:
        if split is None or image.split == split:
            key = ("image", image.id) if image.video_id is None else ("video", image.video_id)
            groups.setdefault(key, []).append(image)
    clips = []
    for (kind, number), images in groups.items():
        video = videos.get(number) if kind == "video" else None
        ordered = tuple(sorted(images, key=lambda i: (i.pts_ns, i.frame_index)))
        clips.append(DatasetClip(video.name if video else images[0].file_name, ordered, video, dataset.info.simulated))
    return tuple(clips)


def geometry_of(image: Image, clip: DatasetClip) -> ImageGeometry:
    """Return a frame's geometry: region from the dataset (else the whole picture), calibration from the video."""
    calibration = None
    if clip.mm_per_px is not None:
        origin = CalibrationOrigin.SIMULATED if clip.simulated else CalibrationOrigin.FILE
        calibration = Calibration(clip.mm_per_px, origin, "dataset")
    box, kind = (0, 0, image.width, image.height), "whole picture"
    if image.region is not None:
        x0, y0, w, h = (round(v) for v in image.region)
        box, kind = (x0, y0, w, h), "simulated" if clip.simulated else "dataset"
    return ImageGeometry(image.width, image.height, (UltrasoundRegion(box, kind, calibration),))


def frames_of_clip(clip: DatasetClip, folder: Path) -> Iterator[tuple[Frame, Image | None]]:
    """Yield a clip's frames in order, each with its entry in the dataset.

    Pictures come as they are listed. Of a clip file every frame up to the last listed one comes, since a plugin may
    need those in between; they have no entry.

    Raises
    ------
    UserError
        A file is missing, cannot be decoded, or has another size than the dataset says.
    """
    name = clip.images[0].file_name
    if PurePosixPath(name).suffix.lower() in PICTURE_SUFFIXES:
        source = PictureSource(clip, folder)
        for image in clip.images:
            frame = source.read()
            if frame is not None:
                yield frame, image
        return
    yield from _frames_of_file(clip, folder / name)


class PictureSource:
    """A clip of pictures as a `FrameSource`.

    Parameters
    ----------
    clip : DatasetClip
    folder : Path
        The dataset's folder.
    """

    def __init__(self, clip: DatasetClip, folder: Path) -> None:
        self._clip = clip
        self._folder = folder
        self._next = 0
        self._info = SourceInfo(
            uri=clip.name,
            stream=clip.name,
            title=clip.name,
            kind=SourceKind.FILE,
            geometry=geometry_of(clip.images[0], clip),
            frame_count=len(clip.images),
            times_ns=np.array([image.pts_ns for image in clip.images], dtype=np.int64),
            simulated=clip.simulated,
        )

    @property
    def info(self) -> SourceInfo:
        """Facts about the clip."""
        return self._info

    def read(self) -> Frame | None:
        """Return the next frame, or None at the end.

        Raises
        ------
        UserError
            The picture is missing, is not 8-bit grey, or has another size than the dataset says.
        """
        if self._next >= len(self._clip.images):
            return None
        image = self._clip.images[self._next]
        pixels = read_grey_picture(self._folder / image.file_name, image)
        key = FrameKey(self._clip.name, image.frame_index, image.pts_ns, image.sha256)
        geometry = geometry_of(image, self._clip)
        frame = Frame(key, 0, self._next, image.pts_ns, 0, pixels, geometry, self._info)
        self._next += 1
        return frame

    def seek(self, index: int) -> None:
        """Make `read` return the clip's frame ``index`` next."""
        self._next = index

    def close(self) -> None:
        """Nothing stays open."""


def read_grey_picture(path: Path, image: Image) -> NDArray[np.uint8]:
    """Read an 8-bit grey picture of a dataset.

    Raises
    ------
    UserError
        It is missing, is not 8-bit grey, or has another size than the dataset says.
    """
    if not path.is_file():
        raise UserError(f"The dataset names {image.file_name}, which is not there; build or copy the dataset again.")
    packed = np.fromfile(path, dtype=np.uint8)
    pixels = cv2.imdecode(packed, cv2.IMREAD_UNCHANGED) if packed.size else None
    if pixels is None or pixels.ndim != 2 or pixels.dtype != np.uint8:
        raise UserError(f"{image.file_name} is not a readable 8-bit grey picture; build or copy the dataset again.")
    if pixels.shape != (image.height, image.width):
        size = f"{pixels.shape[1]} x {pixels.shape[0]}"
        raise UserError(f"{image.file_name} has {size} pixels, not {image.width} x {image.height} as the dataset says.")
    return np.asarray(pixels, dtype=np.uint8)


def _frames_of_file(clip: DatasetClip, path: Path) -> Iterator[tuple[Frame, Image | None]]:
    from puncta.sources.factory import open_source

    if not path.is_file():
        raise UserError(f"The dataset names {clip.images[0].file_name}, which is not there; copy the dataset again.")
    listed = {image.frame_index: image for image in clip.images}
    source = open_source(str(path))
    try:
        number = 0
        while (frame := source.read()) is not None and frame.key.index <= max(listed):
            image = listed.get(frame.key.index)
            geometry = geometry_of(image or clip.images[0], clip)
            if (geometry.width_px, geometry.height_px) != (frame.geometry.width_px, frame.geometry.height_px):
                raise UserError(f"{clip.images[0].file_name} has another picture size than the dataset says.")
            yield replace(frame, frame_id=number, geometry=geometry), image
            number += 1
    finally:
        source.close()
