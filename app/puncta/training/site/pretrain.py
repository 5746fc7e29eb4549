"""Pre-trains a finished tip network on one site's recordings without a needle: needles are drawn into their frames.

All else is as in adapting to labels (`puncta.training.site.run`): simulated cines keep what was known, statistics and
thresholds stay, and in the end as much is taken back as the machines known before ask for. Its tune clips have drawn
needles, so they choose how much is kept and set no threshold.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path

from puncta.core.errors import UserError
from puncta.formats.atomic import write_text_atomic
from puncta.formats.dataset import TIP_CATEGORY, Dataset, Image, is_dataset, is_judged, load_dataset
from puncta.formats.dataset_checks import is_split_by_case
from puncta.formats.jsontext import read_json
from puncta.session.retrain import data_of_recordings, make_dataset, plan_split, recordings_of_folder
from puncta.session.retrain_data import check_split
from puncta.session.retrain_recipes import DRAWN, is_needle_free, left_out_of
from puncta.training.building import build_together
from puncta.training.data import Clip, load_clips
from puncta.training.dataset_reading import build_labelled_clips
from puncta.training.experiment import Experiment
from puncta.training.run import Progress, Tell, reporter
from puncta.training.site.drawn_needles import DrawnSpec, build_drawn
from puncta.training.site.run import SiteSplits, adapt_tip, simulated_clips

MADE = "needle-free"
"""Folder of the datasets that a training makes of recordings, in its own."""
LEAST_FRAMES = 48
"""Needle-free frames below which pre-training is refused; a program asks for more."""
TRAIN_SEED, TUNE_SEED = 1, 2
MOST_BARE = 20
"""Needle-free tune clips, at most: with the drawn ones they are judged in a minute."""


def pretrain_tip(
    experiment: Experiment,
    out: Path,
    *,
    data_root: Path | None = None,
    cache: Path | None = None,
    resume: bool = False,
    start_from: Path | None = None,
    tell: Tell | None = None,
    stop_after: int | None = None,
) -> Path:
    """Pre-train, take back what costs other machines, export; return the path of the head.

    Parameters and errors as of `puncta.training.site.run.adapt_tip`.
    """
    return adapt_tip(
        experiment, out, data_root=data_root, cache=cache, resume=resume, start_from=start_from, tell=tell,
        stop_after=stop_after, gather=functools.partial(gather_needle_free, made=out / MADE),
    )


def gather_needle_free(
    experiment: Experiment, data_root: Path | None, cache: Path, tell: Tell, *, made: Path
) -> SiteSplits:
    """Make or read every clip that the experiment names.

    Parameters
    ----------
    made : Path
        Where datasets of recordings are made.

    Raises
    ------
    UserError
        The recordings are not there, are too few, or one of them surely shows a needle.
    """
    data = experiment.section("data")
    names = tuple(data["datasets"])
    if not names or data_root is None:
        raise UserError(
            "Pre-training needs recordings without a needle; say in which folder their folder is with --data DIR."
        )
    report = reporter(tell)
    places = [needle_free_dataset(data_root / name, made / name, tell) for name in names]
    datasets = [load_dataset(place) for place in places]
    notes = tuple(words for dataset in datasets for words in notes_of(dataset))
    frames = sum(len(taught_images(dataset)) for dataset in datasets)
    for words in notes:  # before minutes go into clips
        tell(Progress("needle-free frames", frames, frames, {}, words=words))
    if frames < LEAST_FRAMES:
        raise UserError(
            f"The recordings {', '.join(names)} have {frames} needle-free frames to learn from; give {LEAST_FRAMES} or "
            "more, of several persons."
        )
    frames_each = int(data["frames"])

    def clips_of(side: str, count: int, seed: int) -> tuple[list[Clip], list[Clip]]:
        """Needle-free clips of a side, and those with drawn needles."""
        free: list[Clip] = []
        needles: list[Clip] = []
        each = max(1, count // len(places))
        for place, dataset in zip(places, datasets, strict=True):
            if not count or not any(image.split == side for image in dataset.images):
                continue
            folder = build_labelled_clips(place, side, cache, report)
            free += load_clips(folder)
            spec = DrawnSpec(folder.name, each, frames_each, seed)
            needles += load_clips(
                build_together(build_drawn, "needles drawn into recordings", spec, cache, report, folder.parent)
            )[:each]
        return free, needles

    bare, drawn = clips_of("train", int(data["drawn"]), TRAIN_SEED)
    tune_bare, tune_drawn = clips_of("tune", int(data["tune_drawn"]), TUNE_SEED)
    known, tune_known = simulated_clips(experiment, cache, report)
    bare_share = float(data["bare_share"])
    step = max(1, -(-len(tune_bare) // MOST_BARE))
    words = "; ".join(words_of(name, dataset) for name, dataset in zip(names, datasets, strict=True))
    return SiteSplits(
        bare, known, tune_known, [*tune_drawn, *tune_bare[::step]], words,
        (((1 - bare_share) / max(bare_share, 1e-6), drawn),), notes,
    )


def needle_free_dataset(place: Path, made: Path, tell: Tell) -> Path:
    """Return the dataset of needle-free frames: a folder that is one, or what is made of a folder of recordings.

    Raises
    ------
    UserError
        It holds labels or no recording, a subject is on two sides, or nothing is left of it.
    """
    if is_dataset(place):
        dataset = load_dataset(place)
        if not is_needle_free(dataset):
            raise UserError(
                f"{place.name} is a dataset of labels; pre-training takes recordings without a needle, as a folder or "
                "as Models mode makes a dataset of them."
            )
        if not is_split_by_case(dataset):
            check_split(dataset, f"the dataset {place.name}")
        return place
    sources = made.with_name(f"{made.name}-sources.json")
    if is_dataset(made):
        if place.is_dir() and sources.is_file() and read_json(sources) != _files_in(place):
            raise UserError(
                f"The training folder {made.parent.parent} holds frames of other recordings than {place} does now; "
                "name another folder with --out."
            )
    else:
        recordings, wrong = recordings_of_folder(
            place, lambda done, total: tell(Progress("recordings", done, total, {}))
        )
        data = data_of_recordings(recordings, place.name, str(place), wrong)
        split = plan_split(data)
        make_dataset(None, data, split, made, tell=lambda what, done, total: tell(Progress(what, done, total, {})))
        write_text_atomic(sources, json.dumps(_files_in(place)))
    return made


def _files_in(place: Path) -> list[list[object]]:
    """Names and sizes of the files of a folder of recordings: another file, or another one by a name, is told by it."""
    return [[str(p.relative_to(place)), p.stat().st_size] for p in sorted(place.rglob("*")) if p.is_file()]


def taught_images(dataset: Dataset) -> list[Image]:
    """Return the needle-free frames that teach."""
    return [i for i in dataset.images if i.split == "train" and is_judged(i, TIP_CATEGORY)]


def words_of(name: str, dataset: Dataset) -> str:
    """Say in words what was learnt from: "312 needle-free frames of 9 recordings of 7 subjects (ward-7, machine F)"."""
    images = taught_images(dataset)
    recordings = {i.video_id for i in images}
    subjects = {i.subject for i in images if i.subject}
    machines = sorted({i.machine for i in images if i.machine})
    who = f"{len(subjects)} subject{'' if len(subjects) == 1 else 's'}" if subjects else "subjects not stated"
    where = f", machine {' and '.join(machines)}" if machines else ""
    kind = "simulated" if dataset.info.simulated else "not simulated"
    count = f"{len(recordings)} recording{'' if len(recordings) == 1 else 's'}"
    return f"{len(images):,} needle-free frames of {count} of {who} ({name}{where}, {kind}), needles drawn into them"


def notes_of(dataset: Dataset) -> list[str]:
    """Return what a dataset of recordings says of itself: its split, and what was left out."""
    more = dataset.info.more
    drawn = sum(DRAWN in video.more for video in dataset.videos)
    found = [f"Split by {more.get('split_by', 'subject')}: {more['split']}."] if more.get("split") else []
    found += [str(more["split_warning"])] if more.get("split_warning") else []
    found += [f"Into {drawn} clips of those held out a needle is drawn."] if drawn else []
    return [*found, *left_out_of(dataset)]
