"""Which frames of a file are those of a case: a label of another clip is never taken for one of this."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from puncta.annotation.cases import Case
from puncta.annotation.exchange_dataset import key_in
from puncta.annotation.exchange_found import Found, index_in_name
from puncta.core.errors import UserError
from puncta.core.frame import FrameKey
from puncta.formats.dataset_values import Dataset, Image, Video

NAMED_MOST = 3
"""So many videos are named in a refusal."""


@dataclass(frozen=True, slots=True)
class _Clip:
    """Frames of a file that belong together: those of one video, or those of none."""

    video: Video | None
    name: str
    images: tuple[Image, ...]


def indices_of(dataset: Dataset, found: Iterable[Found]) -> dict[int, int | None]:
    """Return the frame number of each image that has a label, by the image's id; None where nothing tells it."""
    out: dict[int, int | None] = {}
    for entry in found:
        if entry.place not in out:
            out[entry.place] = entry.index if entry.index is not None else index_in_name(entry.file_name)
    for image in dataset.images:
        key = key_in(image)
        if key is not None and image.id in out:
            out[image.id] = key.index
    return out


def hash_wanted(image: Image, case: Case) -> bool:
    """Return whether the clip's own frame has to be looked at to tell if the image is one of it."""
    key = key_in(image)
    if key is not None and key.stream != case.stream:
        return False
    return image.sha256 is not None or (key is not None and key.sha256 is not None)


def images_of_case(
    dataset: Dataset,
    found: Sequence[Found],
    case: Case,
    keys: Callable[[int], FrameKey | None],
    hashes: Mapping[int, Collection[str]],
    place: str,
) -> frozenset[int]:
    """Return the ids of the images that are of the case's clip.

    Parameters
    ----------
    keys : callable
        Frame key of an index of the case's clip, or None.
    hashes : mapping
        Hashes that a picture of a frame of the clip may have, by frame, where the clip was looked at.
    place : str
        The file, for the sentences.

    Raises
    ------
    UserError
        The frames are of another size or show other pixels, or there are several videos and none is the case's.
    """
    index = indices_of(dataset, found)
    clips = _clips(dataset, index)
    reasons = {n: _against(clip, case, index, keys, hashes) for n, clip in enumerate(clips)}
    fitting = [clip for n, clip in enumerate(clips) if not reasons[n]]
    if not clips:
        return frozenset()
    if len(clips) == 1 and len(dataset.videos) <= 1:
        if not fitting:
            raise UserError(f"{place} is not of {case.title}: {reasons[0]}.")
        return frozenset(image.id for clip in fitting for image in clip.images)
    sure = [clip for clip in fitting if _is_of(clip, case, index, hashes)]
    if not sure:
        named = [clip for clip in fitting if _named_as(clip, case)]
        sure = named if len(named) == 1 else []
    if not sure:
        names = [clip.name for clip in clips]
        more = f" and {len(names) - NAMED_MOST} more" if len(names) > NAMED_MOST else ""
        raise UserError(
            f"{place} holds several videos ({', '.join(names[:NAMED_MOST])}{more}), and none of them is known to be "
            f"{case.title}; give a file of that video alone."
        )
    return frozenset(image.id for clip in sure for image in clip.images)


def _clips(dataset: Dataset, index: Mapping[int, int | None]) -> list[_Clip]:
    videos = {video.id: video for video in dataset.videos}
    groups: dict[int | None, list[Image]] = defaultdict(list)
    for image in dataset.images:
        if image.id in index:
            groups[image.video_id if image.video_id in videos else None].append(image)
    out = [_Clip(videos[n], videos[n].name, tuple(images)) for n, images in groups.items() if n is not None]
    single = groups.get(None, [])
    # A file without videos may hold several clips all the same, a folder each: then frame numbers come again.
    counts = Counter(index[image.id] for image in single)
    if any(count > 1 for number, count in counts.items() if number is not None):
        folders: dict[str, list[Image]] = defaultdict(list)
        for image in single:
            folders[PurePosixPath(image.file_name.replace("\\", "/")).parent.name].append(image)
        out += [_Clip(None, name or "pictures", tuple(images)) for name, images in folders.items()]
    elif single:
        out.append(_Clip(None, "single pictures", tuple(single)))
    return out


def _against(
    clip: _Clip,
    case: Case,
    index: Mapping[int, int | None],
    keys: Callable[[int], FrameKey | None],
    hashes: Mapping[int, Collection[str]],
) -> str:
    """Say why frames are not of the case, "" where nothing speaks against it."""
    streams = {key.stream for image in clip.images if (key := key_in(image)) is not None}
    if streams and case.stream not in streams:
        return f"its frames are of another clip, {min(streams)}"
    for image in clip.images:
        if (image.width, image.height) != (case.width_px, case.height_px):
            return (
                f"its frames have {image.width} x {image.height} px, the case has {case.width_px} x {case.height_px}"
            )
        number = index[image.id]
        key = key_in(image)
        if number is None or (key is not None and key.stream != case.stream):
            continue
        here = keys(number)
        known = set(hashes.get(number, ())) | ({here.sha256} if here is not None and here.sha256 else set())
        told = {image.sha256, key.sha256 if key is not None else None} - {None}
        if known and told and not told & known and (number in hashes or key is not None):
            return f"frame {number} shows other pixels than the clip's"
    return ""


def _is_of(
    clip: _Clip, case: Case, index: Mapping[int, int | None], hashes: Mapping[int, Collection[str]]
) -> bool:
    """Return whether the file says that a video is the case's clip: by its stream, the case, or its pixels."""
    told = {} if clip.video is None else clip.video.more
    if case.id == told.get("case") or case.stream == told.get("stream"):
        return True
    for image in clip.images:
        key = key_in(image)
        if key is not None and key.stream == case.stream:
            return True
        number = index[image.id]
        if number is not None and image.sha256 is not None and image.sha256 in hashes.get(number, ()):
            return True
    return False


def _named_as(clip: _Clip, case: Case) -> bool:
    names = {case.title, case.stream, PurePosixPath(case.uri.replace("\\", "/")).name}
    return clip.name in names or PurePosixPath(clip.name).stem in {PurePosixPath(n).stem for n in names if n}
