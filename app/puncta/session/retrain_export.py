"""Makes the dataset that a training learns from: confirmed labels, their split, and the frames in between.

A network that answers with a memory has to be shown what came before a labelled frame. Those frames go along without a
label, as nobody has seen them: a frame between two labels says neither that there is a needle nor that there is none.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from puncta.annotation.cases import Case
from puncta.annotation.exchange_dataset import picture_name
from puncta.annotation.store import AnnotationStore
from puncta.core.errors import UserError
from puncta.core.frame import Frame, grey_from_pixels
from puncta.formats.atomic import plain_os_error
from puncta.formats.dataset import Dataset, Image, Review, Video, load_dataset, save_dataset
from puncta.formats.dataset_checks import PICTURE_SUFFIXES
from puncta.session.dataset_source import read_grey_picture
from puncta.session.label_exchange import export_labels, frames_of_case, write_picture
from puncta.session.retrain_data import PICTURES, TEST, TrainingData, cases_of, check_split
from puncta.session.retrain_needle_free import Found, Look, make_needle_free
from puncta.session.retrain_recipes import DRAWN
from puncta.session.retrain_split import SplitPlan
from puncta.sources.factory import open_source

HISTORY = 16
"""Frames before a labelled one that go along: what the tip network looks back on, and a few to begin its memory."""

Tell = Callable[[str, int, int], None]
"""Called with (what, done, total)."""


@dataclass(frozen=True, slots=True)
class MadeDataset:
    """A dataset that was made to learn from.

    Attributes
    ----------
    frames, between : int
        Labelled or needle-free frames, and frames without a label that go along.
    left_out : tuple of str
        What was left out, a sentence each.
    """

    folder: Path
    frames: int
    between: int
    left_out: tuple[str, ...] = ()


def make_dataset(
    store: AnnotationStore | None,
    data: TrainingData,
    split: SplitPlan,
    out: Path,
    *,
    rater: str | None = None,
    tell: Tell | None = None,
    cancelled: Callable[[], bool] | None = None,
    look: Look | None = None,
    found: Found | None = None,
) -> MadeDataset:
    """Make a dataset v1 folder of confirmed and bulk labels, or of recordings without a needle, with their split.

    It is made whole or not at all.

    Parameters
    ----------
    store : AnnotationStore or None
        Of labels made here; a dataset needs none.
    rater : str or None
        Whose labels; None takes the consensus, else the only person's.
    cancelled : callable or None
        Asked again and again; True stops and leaves nothing.
    look : callable or None
        Says where a tip surely shows in recordings that are stated to show no needle; None asks the present model.
    found : callable or None
        Told how many frames of each such recording the look has left.

    Raises
    ------
    UserError
        The folder is there already, nothing is labelled, a clip is not what was labelled, or a picture is missing or
        cannot be read.
    """
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} is there already; name a new folder.")
    say = _Steps(tell, cancelled)
    temporary = out.with_name(f".{out.name}.making")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.parent.mkdir(parents=True, exist_ok=True)
        if data.path is None and data.needle_free:
            frames, said = make_needle_free(data, split, temporary, say.at, look, found)
            made = MadeDataset(temporary, frames, 0, said)
        elif data.path is not None:
            made = _of_dataset(data.path, split, temporary, say)
        elif store is None:
            raise UserError("Labels made here are in the store of labels; open it first.")
        else:
            made = _of_store(store, data, split, temporary, rater, say)
        if out.exists():
            out.rmdir()
        temporary.rename(out)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise plain_os_error(error, out, "make") from error
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return replace(made, folder=out)


class _Steps:
    """Tells how far it is, and stops where it was asked to."""

    def __init__(self, tell: Tell | None, cancelled: Callable[[], bool] | None) -> None:
        self._tell, self._cancelled = tell, cancelled

    def at(self, what: str, done: int, total: int) -> None:
        if self._cancelled is not None and self._cancelled():
            raise UserError("Stopped; no dataset was made.")
        if self._tell is not None:
            self._tell(what, done, total)


def _of_store(
    store: AnnotationStore, data: TrainingData, split: SplitPlan, folder: Path, rater: str | None, say: _Steps
) -> MadeDataset:
    cases = [replace(case, split=split.side.get(case.id)) for case in cases_of(store, data) if case.id in split.side]
    done = export_labels(
        store, folder, "dataset", cases, rater=rater, tell=lambda n, total: say.at("labelled frames", n, total)
    )
    dataset = load_dataset(folder)
    by_id = {case.id: case for case in cases}
    further: list[Image] = []
    number = max(image.id for image in dataset.images)
    for done_cases, video in enumerate(dataset.videos, start=1):
        case = by_id[str(video.more["case"])]
        there = {image.frame_index: image for image in dataset.images if image.video_id == video.id}
        like = next(iter(there.values()))
        for frame in frames_of_case(case, frames_between(there)):
            number += 1
            further.append(_unseen(frame, number, like, case, folder))
            say.at("frames in between", len(further), 0)
        say.at("cases", done_cases, len(dataset.videos))
    images = tuple(sorted((*dataset.images, *further), key=lambda i: (i.video_id or 0, i.frame_index)))
    info = replace(dataset.info, more={**dataset.info.more, "split_by": split.by})
    whole = replace(dataset, images=images, info=info)
    check_split_of(whole, split)
    save_dataset(whole, folder)
    return MadeDataset(folder, done.frames, len(further))


def frames_between(labelled: Mapping[int, object], history: int = HISTORY) -> list[int]:
    """Return the frames that go along with labelled ones: those just before them that have no label, in order."""
    wanted = {index - back for index in labelled for back in range(1, history + 1)}
    return sorted(i for i in wanted if i >= 0 and i not in labelled)


def _unseen(frame: Frame, number: int, like: Image, case: Case, folder: Path) -> Image:
    name = picture_name(case, frame.key.index)
    sha256 = write_picture(frame, folder / name)
    grey = grey_from_pixels(frame.pixels)
    return replace(
        like, id=number, file_name=name, frame_index=frame.key.index, pts_ns=frame.key.pts_ns, sha256=sha256,
        width=grey.shape[1], height=grey.shape[0], review=Review.UNSEEN, labelled=(), flags={}, difficulty=None,
        more={},
    )


def _of_dataset(path: Path, split: SplitPlan, folder: Path, say: _Steps) -> MadeDataset:
    """Copy a dataset with another split; pictures are linked where the file system can, else copied."""
    dataset = load_dataset(path)
    videos = tuple(replace(v, split=_side_of(v, split)) for v in dataset.videos)
    sides = {v.id: v.split for v in videos}
    single = _sides_of_pictures(split)

    def side_of(image: Image) -> str | None:
        if image.video_id is not None:
            return sides.get(image.video_id)
        return single.get((image.subject, image.split, image.machine))

    images = tuple(replace(i, split=side_of(i)) for i in dataset.images if side_of(i) is not None)
    kept = {i.id for i in images}
    named = {i.video_id for i in images}
    whole = Dataset(
        replace(dataset.info, more={**dataset.info.more, "split_by": split.by}),
        tuple(v for v in videos if v.id in named), images, dataset.categories,
        tuple(a for a in dataset.annotations if a.image_id in kept),
    )
    check_split_of(whole, split)
    files = {i.file_name: i for i in images}
    home = path if path.is_dir() else path.parent
    for done, name in enumerate(sorted(files), start=1):
        _check_file(home / name, files[name])
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(home / name, target)
        except OSError:  # another disk, or a file system without links
            shutil.copyfile(home / name, target)
        say.at("pictures", done, len(files))
    save_dataset(whole, folder)
    labelled = sum(split.frames.values())
    return MadeDataset(folder, labelled, sum(i.review is Review.UNSEEN for i in images))


def _side_of(video: Video, split: SplitPlan) -> str | None:
    """The side of a clip; one with a drawn needle judges where its recording does, and has no side elsewhere."""
    if DRAWN not in video.more:
        return split.side.get(str(video.id))
    return TEST if split.side.get(str(video.more[DRAWN])) == TEST else None


def _check_file(path: Path, image: Image) -> None:
    """See to it that a picture or a clip of a dataset is there and can be read."""
    if PurePosixPath(image.file_name).suffix.lower() in PICTURE_SUFFIXES:
        read_grey_picture(path, image)
        return
    if not path.is_file():
        raise UserError(f"The dataset names {image.file_name}, which is not there; copy the dataset again.")
    open_source(str(path)).close()


def _sides_of_pictures(split: SplitPlan) -> dict[tuple[str | None, str | None, str | None], str]:
    return {
        (case.subject, case.split, case.machine): split.side[case.id]
        for case in split.cases
        if case.id.startswith(PICTURES)
    }


def check_split_of(dataset: Dataset, split: SplitPlan) -> None:
    """See to it that a split by subject holds in a dataset; one by case says itself that it is weaker."""
    if split.by == "subject":
        check_split(dataset)
