"""Makes the dataset that pre-training learns from: frames of needle-free recordings, cropped to their ultrasound.

A recording that holds a needle would teach that needles are background. So the present model looks at every run first:
frames at which it is sure of a tip are left out with those beside them, and a recording with many of them is left out
whole and named. Into a few of the frames that judge a needle is drawn, so that a comparison tells misses too; those
that teach get theirs when the clips of a training are made.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from puncta.core.errors import UserError
from puncta.core.frame import Frame, grey_from_pixels, hash_planes
from puncta.core.results import Detection
from puncta.formats.atomic import AtomicFile
from puncta.formats.dataset import (
    NEEDLE_CATEGORY,
    TIP_CATEGORY,
    Annotation,
    Category,
    Dataset,
    Image,
    Info,
    Review,
    Video,
    save_dataset,
)
from puncta.pipeline.host import PluginHost
from puncta.sdk.plugin import ResetReason
from puncta.session.plugins import hosted_plugins
from puncta.session.retrain_data import NOT_STATED, SIDES, TEST, TRAIN, TUNE, TrainingData, check_split
from puncta.session.retrain_recipes import DRAWN, LEFT_OUT, MADE_FOR, PRETRAINING
from puncta.session.retrain_recordings import PLUGIN, Recording
from puncta.session.retrain_split import SplitPlan
from puncta.sim.composite import CompositeGenerator
from puncta.sim.composite_stills import without_margins
from puncta.sim.dataset_labels import annotations_of
from puncta.sources.factory import open_source

SURE = 0.8
"""A tip with a chance of so much, as the present model says it, also where its filter bridges a frame."""
BESIDE = 3
"""Frames beside such a one that are left out with it: a needle does not vanish at once."""
MANY, LEAST_MANY = 0.2, 3
"""A recording with a larger share of such frames, and so many, is taken to show a needle."""
DRAWN_CLIPS, DRAWN_FRAMES = 24, 24
DRAWN_SIDE_PX = 320
"""Clips with a drawn needle that judge, at most; their frames; their longer side [px]."""
LEAST_SIDE_PX = 32
EMPTIED = {
    TRAIN: "Nothing is left of the recordings that teach; add recordings of other persons, and make it again.",
    TUNE: "Nothing is left of the recordings that tune; how much is kept is not tried on this machine.",
    TEST: "Nothing is left of the recordings that are held out, so no honest comparison is possible; add recordings of "
    "other persons, and make it again.",
}
"""Said where a side had recordings and the present model sees needles on them all."""
CATEGORIES = (Category(1, TIP_CATEGORY), Category(2, NEEDLE_CATEGORY))

Say = Callable[[str, int, int], None]
"""Called with (what, done, total)."""
Found = Callable[[Mapping[str, int]], None]
"""Called with the frames that are left of each recording, by its id; 0 where it is left out whole."""


class Look(Protocol):
    """Says on which frames of a run a tip surely shows."""

    def __call__(self, run: Sequence[Frame]) -> list[bool]: ...  # noqa: D102


class ModelLook(AbstractContextManager["ModelLook"]):
    """The present tip model, for `Look`; close it in the end.

    Raises
    ------
    UserError
        The plugin or its model is not there, or it fails on a frame: a frame that nobody looked at is not needle-free.
    """

    def __init__(self) -> None:
        self._host = PluginHost(hosted_plugins((PLUGIN,)))

    def __call__(self, run: Sequence[Frame]) -> list[bool]:
        """Say on which frames of a run a tip surely shows."""
        self._host.reset(ResetReason.OPENED)
        out = []
        for number, frame in enumerate(run):
            output = self._host.step(replace(frame, frame_id=number)).output(PLUGIN)
            if output is None or output.fault:
                why = output.fault if output is not None else "It gave no answer."
                raise UserError(
                    f"The present model could not look for needles, so no frame is taken. {why} Check the plugin "
                    f"{PLUGIN} and its model, then begin again."
                )
            out.append(any(_is_sure(result) for result in output.results))
        return out

    def __exit__(self, *_wrong: object) -> None:
        self._host.close()


def _is_sure(result: object) -> bool:
    return (
        isinstance(result, Detection) and result.label == TIP_CATEGORY and result.tip_px is not None
        and result.score >= SURE
    )


@dataclass(frozen=True, slots=True)
class Looked:
    """What came of looking at a recording's frames.

    Attributes
    ----------
    runs : tuple of tuple of Frame
        Those that may be taken, each in order and without a gap.
    looked, sure, beside : int
        Frames looked at, those with a sure tip, and those left out with them.
    """

    runs: tuple[tuple[Frame, ...], ...]
    looked: int
    sure: int
    beside: int

    @property
    def shows_needle(self) -> bool:
        """The present model sees a tip so often that it is taken for one."""
        return self.sure >= LEAST_MANY and self.sure > MANY * self.looked


def look_at(recording: Recording, look: Look) -> Looked:
    """Read the frames of a recording that would be taken, and leave out those near a sure tip.

    Raises
    ------
    UserError
        It cannot be read, or has other frames than before.
    """
    kept: list[tuple[Frame, ...]] = []
    looked = sure = beside = 0
    for run in frames_of(recording):
        told = look(run)
        near = np.convolve(np.array(told, int), np.ones(2 * BESIDE + 1, int), mode="full")[BESIDE : BESIDE + len(run)]
        looked += len(run)
        sure += sum(told)
        beside += int((near > 0).sum()) - sum(told)
        part: list[Frame] = []
        for frame, shut in zip([*run, None], [*(near > 0), True], strict=True):
            if not shut and frame is not None:
                part.append(frame)
            elif part:
                kept.append(tuple(part))
                part = []
    return Looked(tuple(kept), looked, sure, beside)


def frames_of(recording: Recording) -> Iterator[list[Frame]]:
    """Yield the runs of a recording that would be taken, frame by frame of the clip as it is.

    Raises
    ------
    UserError
        It cannot be read, or has other frames than before.
    """
    source = open_source(recording.uri)
    try:
        for wanted in recording.runs:
            found: list[Frame] = []
            source.seek(wanted[0])
            frame = source.read()
            while frame is not None and frame.key.index <= wanted[-1]:
                if frame.key.index == wanted[len(found)]:
                    found.append(frame)
                if len(found) == len(wanted):
                    break
                frame = source.read()
            if len(found) < len(wanted):
                raise UserError(f"{recording.title} has no frame {wanted[len(found)]}; the recording is another one.")
            yield found
    finally:
        source.close()


def make_needle_free(
    data: TrainingData, split: SplitPlan, folder: Path, say: Say, look: Look | None = None,
    found: Found | None = None,
) -> tuple[int, tuple[str, ...]]:
    """Write the dataset of recordings that show no needle; return its frames and what was left out, in sentences.

    Parameters
    ----------
    look : callable or None
        None asks the present tip model.
    found : callable or None
        Told what the look has left, before anything is refused.

    Raises
    ------
    UserError
        A recording cannot be read, or nothing is left of them.
    """
    if look is None:
        with ModelLook() as present:
            return make_needle_free(data, split, folder, say, present, found)
    chosen = [recording for recording in data.recordings if recording.id in split.side]
    writer = _Writer(folder)
    said: list[str] = []
    lost: list[str] = []
    sure = beside = 0
    total = sum(recording.frames for recording in chosen)
    done = 0
    taken: dict[str, int] = {}
    for recording in chosen:
        seen = look_at(recording, look)
        done += recording.frames
        say("needle-free frames", done, total)
        if seen.shows_needle:
            said.append(
                f"{recording.who} is left out: on {seen.sure} of {seen.looked} frames the present model is sure of a "
                "needle's tip. Look at it; if it shows a needle, label it instead."
            )
            continue
        sure, beside = sure + seen.sure, beside + seen.beside
        if seen.sure:
            lost.append(f"{recording.who} {seen.sure + seen.beside} / {seen.looked}")
        if seen.runs:
            taken[recording.id] = sum(len(run) for run in seen.runs)
            writer.add(recording, split.side[recording.id], seen.runs)
    if found is not None:
        found({recording.id: taken.get(recording.id, 0) for recording in chosen})
    if sure:
        said.append(
            f"{sure} frame{'' if sure == 1 else 's'} at which the present model is sure of a needle's tip, and "
            f"{beside} beside them, are left out: {', '.join(lost)}."
        )
    said += list(data.problems)
    if not writer.images:
        raise UserError("\n".join(("Nothing is left of the recordings to learn from.", *said)))
    frames = len(writer.images)
    planned, split = split, after_look(split, chosen, taken)
    said += [words for side, words in EMPTIED.items() if planned.frames.get(side, 0) and not split.frames[side]]
    writer.draw_needles(say)
    writer.save(any(r.simulated for r in chosen), split, said)
    return frames, tuple(said)


def after_look(split: SplitPlan, chosen: Sequence[Recording], taken: Mapping[str, int]) -> SplitPlan:
    """Return a split as it is once the present model has looked.

    Parameters
    ----------
    taken : mapping of str to int
        Frames that were taken of each recording, by its id; what was left out whole is not in it.
    """
    frames = dict.fromkeys(SIDES, 0)
    names: dict[str, set[str]] = {side: set() for side in SIDES}
    for recording in chosen:
        if count := taken.get(recording.id, 0):
            side = split.side[recording.id]
            frames[side] += count
            names[side].add((recording.subject or NOT_STATED) if split.by == "subject" else recording.title)
    train, tune, held_out = (tuple(sorted(names[side])) for side in SIDES)
    return replace(
        split, train=train, tune=tune, held_out=held_out, frames=frames,
        side={name: side for name, side in split.side.items() if name in taken},
        honest=split.honest and bool(held_out),
    )


class _Writer:
    """Writes pictures of recordings and gathers what the dataset says of them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.videos: list[Video] = []
        self.images: list[Image] = []
        self._notes: list[Annotation] = []
        self._judging: list[tuple[Video, NDArray[np.uint8], str]] = []

    def add(self, recording: Recording, side: str, runs: Sequence[Sequence[Frame]]) -> None:
        """Take runs of a recording."""
        calibration = runs[0][0].geometry.calibration
        mm = calibration.mm_per_px if calibration is not None else recording.mm_per_px
        number = len(self.videos) + 1
        fps = round(recording.fps / recording.step, 3)
        self.videos.append(Video(number, recording.title, fps, mm, recording.machine, recording.subject, side))
        slug = _slug(recording.title, number)
        for run in runs:
            for frame in run:
                name = f"images/{slug}/{frame.key.index:06d}.png"
                self._write(name, _region_of(frame), number, frame.key.index, frame.key.pts_ns, (TIP_CATEGORY,))
            middle = _region_of(run[len(run) // 2])
            if side == TEST and min(middle.shape) >= 2 * LEAST_SIDE_PX:
                self._judging.append((self.videos[number - 1], middle, f"{slug}-{run[0].key.index:06d}"))

    def _write(
        self, name: str, grey: NDArray[np.uint8], video: int, index: int, pts_ns: int, judged: tuple[str, ...]
    ) -> Image:
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        _good, data = cv2.imencode(".png", grey)
        with AtomicFile(path, binary=True) as out:
            out.write(data.tobytes())
        height, width = grey.shape
        of = self.videos[video - 1]
        image = Image(
            len(self.images) + 1, name, width, height, video, index, pts_ns, hash_planes((grey,)),
            (0.0, 0.0, float(width), float(height)), of.machine, of.subject, of.split, Review.BULK, judged,
        )
        self.images.append(image)
        return image

    def draw_needles(self, say: Say) -> None:
        """Draw needles into some of the frames that judge, each bent into a clip of its own."""
        picked = np.unique(np.linspace(0, len(self._judging) - 1, min(DRAWN_CLIPS, len(self._judging))).round())
        for done, k in enumerate(picked.astype(int), start=1):
            self._draw(*self._judging[k])
            say("needles drawn to judge by", done, len(picked))

    def _draw(self, of: Video, still: NDArray[np.uint8], name: str) -> None:
        try:
            still = without_margins(still, of.name)
        except UserError:  # next to nothing is seen on it
            return
        height, width = still.shape
        share = DRAWN_SIDE_PX / max(height, width)
        size = (max(LEAST_SIDE_PX, round(width * share)), max(LEAST_SIDE_PX, round(height * share)))
        # The name alone decides, so that the same choice gives the same needles.
        generator = CompositeGenerator(
            still, zlib.crc32(name.encode()), steps=DRAWN_FRAMES, size_px=size, approach="in-plane"
        )
        number = len(self.videos) + 1
        more = {DRAWN: of.id, "assumed_depth_mm": round(generator.depth_mm, 1)}
        # A drawn depth is no measurement, so no millimetres are stated.
        self.videos.append(Video(
            number, f"{of.name}, needle drawn", generator.fps, None, of.machine, of.subject, TEST, more,
        ))
        for index in range(DRAWN_FRAMES):
            picture, truth = generator.next_frame()
            image = self._write(
                f"images/drawn-{name}/{index:06d}.png", picture, number, index, truth.t_ns,
                (TIP_CATEGORY, NEEDLE_CATEGORY),
            )
            self._notes += annotations_of(truth, image.id, len(self._notes) + 1)

    def save(self, simulated: bool, split: SplitPlan, said: Sequence[str]) -> None:
        """Write dataset.json."""
        more = {"name": self._folder.name.removeprefix(".").removesuffix(".making"), "split_by": split.by,
                MADE_FOR: PRETRAINING, LEFT_OUT: list(said), "split": split.shows, "split_warning": split.warning}
        dataset = Dataset(
            Info("needle-tip", "not stated", simulated, more), tuple(self.videos), tuple(self.images), CATEGORIES,
            tuple(self._notes),
        )
        if split.by == "subject":
            check_split(dataset)
        save_dataset(dataset, self._folder)


def _region_of(frame: Frame) -> NDArray[np.uint8]:
    """The ultrasound of a frame in grey: the machine's furniture, and a name beside it, stay behind."""
    grey = grey_from_pixels(frame.pixels)
    x, y, w, h = frame.geometry.region.box
    return np.ascontiguousarray(grey[max(0, y) : y + h, max(0, x) : x + w])


def _slug(title: str, number: int) -> str:
    name = "".join(c if c.isalnum() and c.isascii() else "-" for c in PurePosixPath(title).stem.lower()).strip("-")
    return f"{number:04d}-{name[:32] or 'recording'}"
