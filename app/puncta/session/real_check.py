"""A plugin on real pictures: marked recordings, stills moved as cines, recordings without a needle, made pictures.

Every case runs through the host as `puncta run` runs it: every frame in order, the region looked for where the file
states none, no hint about a needle. What comes out is reported case by case, and nothing is tuned on it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from puncta.core.errors import UserError
from puncta.core.geometry import PointPx
from puncta.core.ports import FrameSource
from puncta.formats.dataset import load_dataset
from puncta.formats.real_cases import Holds, MarkedCase, RealCases, RecordedCase, SimulatedCase, StillsCase
from puncta.formats.tip_marks import Lure, TipMarks, read_tip_marks
from puncta.formats.validate_folders import hash_file
from puncta.metrics.frames import FrameLabels, JudgedFrame
from puncta.metrics.marks import AgreedMark, Standing, TipOffset, agree, lies_on, offset_of
from puncta.metrics.tip import axis_difference_deg
from puncta.pipeline.discover import Discovery, discover
from puncta.session.dataset_source import DatasetClip, PictureSource, clips_of, frames_of_clip
from puncta.session.evaluate_tips import Labels
from puncta.session.made_pictures import made_pictures, source_of_pictures
from puncta.session.real_masks import MaskOnShaft, lay_on_shaft, lies_on_lure
from puncta.session.real_runner import CaseRun, Gives, Runner, Said, hosted_runner, measures_strangeness
from puncta.session.restyle import RestyledSource, read_styles
from puncta.sim.dataset_digest import read_build
from puncta.sim.dataset_spec import DatasetSpec, read_spec
from puncta.sim.datasets import build_dataset
from puncta.sources.factory import open_source

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class MarkedRow:
    """One marked frame: what the passes agree on, what was said, and how far apart that is; ``mask`` where one was."""

    frame: int
    agreed: AgreedMark
    said: Said
    offset: TipOffset | None
    angle_deg: float | None
    in_circle: bool | None
    mask: MaskOnShaft | None = None


@dataclass(frozen=True, slots=True)
class MarkedResult:
    """A marked recording; ``on_lure`` counts frames of the whole run whose tip (or mask) lies on each lure."""

    marks: TipMarks
    run: CaseRun
    rows: tuple[MarkedRow, ...]
    on_lure: dict[str, int]


@dataclass(frozen=True, slots=True)
class StillsResult:
    """A set of cines made of real stills, with the labels of its frames; ``shown`` belongs to ``judged``."""

    name: str
    digest: str
    subjects: tuple[str, ...]
    runs: tuple[CaseRun, ...]
    judged: tuple[JudgedFrame, ...]
    shown: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class SimulatedResult:
    """A simulated set beside the real cases; ``style`` names the stills whose look it was given, or nothing."""

    name: str
    digest: str
    shows: str
    style: str
    runs: tuple[CaseRun, ...]


@dataclass(frozen=True, slots=True)
class PlainResult:
    """A recording or made cine without a needle."""

    holds: Holds
    shows: str
    sha256: str | None
    run: CaseRun


@dataclass(frozen=True, slots=True)
class RealResult:
    """Everything of one check.

    Attributes
    ----------
    model_measures_strangeness : bool
        The model has an output by which it can flag unfamiliar pictures; without it a plugin's own checks have to.
    absent : tuple of str
        Files of the list that are not there.
    """

    plugin: str
    plugin_version: str
    model: str | None
    model_sha256: str | None
    model_measures_strangeness: bool
    options: dict[str, Any]
    cases: str
    marked: tuple[MarkedResult, ...]
    stills: tuple[StillsResult, ...]
    recorded: tuple[PlainResult, ...]
    made: tuple[PlainResult, ...]
    absent: tuple[str, ...]
    gives: Gives = Gives.TIP
    simulated: tuple[SimulatedResult, ...] = ()


def run_real_check(
    plugin_id: str,
    cases: RealCases,
    data: Path,
    find_spec: Callable[[str], Path],
    *,
    model: str | None = None,
    sets: Path | None = None,
    progress: Progress = lambda _done, _total: None,
    discovery: Discovery | None = None,
) -> RealResult:
    """Run a plugin over all cases of a list that are there.

    Parameters
    ----------
    data : Path
        Place that holds the folders of recordings and stills.
    find_spec : callable
        Returns the file of a spec that ships.
    sets : Path or None
        Where sets of stills are built and kept; None builds them in a folder that is removed again.

    Raises
    ------
    UserError
        No such plugin or model, none of the files is there, a recording is another than the marked one, a file cannot
        be read, or the plugin fails three times in a row.
    """
    if not data.is_dir():
        raise UserError(f"There is no folder {data}; name the place of the recordings with --data.")
    with hosted_runner(plugin_id, model, discovery or discover()) as runner:
        there, absent = _sort(cases, data)
        total = len(there) + len(cases.stills) + len(cases.simulated) + bool(cases.made_frames)
        if not total:
            raise UserError(
                f"None of the {len(absent)} files of {cases.name} is in {data}; name their place with --data."
            )
        done = 0
        marked, recorded, stills = [], [], []
        for case in there:
            progress(done, total)
            if isinstance(case, MarkedCase):
                marked.append(check_marked(runner, case, data))
            else:
                recorded.append(_check_recorded(runner, case, data))
            done += 1
        for still in cases.stills:
            progress(done, total)
            stills.append(_check_stills(runner, still, cases, data, find_spec, sets))
            done += 1
        simulated = []
        for twin in cases.simulated:
            progress(done, total)
            simulated.append(_check_simulated(runner, twin, cases, data, find_spec, sets))
            done += 1
        made = _check_made(runner, cases.made_frames) if cases.made_frames else ()
        progress(total, total)
        identity, sha256 = runner.identity()
        return RealResult(
            plugin_id, runner.manifest.version, identity or None, sha256 or None, measures_strangeness(identity),
            runner.options, cases.name, tuple(marked), tuple(stills), tuple(recorded), made, tuple(absent),
            runner.gives, tuple(simulated),
        )


def _sort(cases: RealCases, data: Path) -> tuple[list[MarkedCase | RecordedCase], list[str]]:
    """Tell the cases whose file is there from the names of the others."""
    both: list[MarkedCase | RecordedCase] = [*cases.marked, *cases.recorded]
    return [c for c in both if (data / c.file).is_file()], [c.file for c in both if not (data / c.file).is_file()]


def check_marked(runner: Runner, case: MarkedCase, data: Path) -> MarkedResult:
    """Run the plugin over a marked recording and lay its answers beside the marks.

    Raises
    ------
    UserError
        The marks cannot be read, or the recording is not the one they were made on.
    """
    marks = read_tip_marks(case.marks)
    path = data / case.file
    if hash_file(path) != marks.clip_sha256:
        raise UserError(f"{path.name} is not the recording that {case.marks.name} was made on; its hash differs.")
    run = runner.run(open_source(str(path)), case.file, case.span)
    said_of = {said.index: said for said in run.frames}
    rows = [
        _marked_row(frame, agreed, said_of[frame], marks, run)
        for frame, agreed in agree(marks).items()
        if frame in said_of
    ]
    on_lure = {lure.name: sum(_on_lure(f, lure, marks) for f in run.frames) for lure in marks.lures}
    return MarkedResult(marks, run, tuple(rows), on_lure)


def _on_lure(said: Said, lure: Lure, marks: TipMarks) -> bool:
    """Whether the mask lies on a lure, or the tip where the plugin gives no masks."""
    if said.mask is not None:
        return lies_on_lure(said.mask, said.index, lure, marks.mm_per_px)
    tip = said.answer.tip_px
    return tip is not None and lies_on(tip, said.index, lure, marks.mm_per_px)


def _marked_row(frame: int, agreed: AgreedMark, said: Said, marks: TipMarks, run: CaseRun) -> MarkedRow:
    tip, mask = said.answer.tip_px, None
    counted = agreed.standing is Standing.COUNTED
    if counted and said.mask is not None and agreed.axis is not None:
        mask = lay_on_shaft(said.mask, agreed.axis, marks.mm_per_px, run.region)
    angle = None
    if agreed.axis is not None and said.answer.axis is not None:
        angle = axis_difference_deg(agreed.axis, said.answer.axis, marks.mm_per_px)
    if tip is None or not counted:
        return MarkedRow(frame, agreed, said, None, angle, None, mask)
    offset = offset_of(tip, agreed, marks.mm_per_px)
    radius, inside = said.answer.radius90_px, None
    if radius is not None:
        inside = _distance_px(tip, agreed.tip_px) <= radius
    return MarkedRow(frame, agreed, said, offset, angle, inside, mask)


def _distance_px(a: PointPx, b: PointPx | None) -> float:
    return float("inf") if b is None else float(np.hypot(a[0] - b[0], a[1] - b[1]))


def _check_recorded(runner: Runner, case: RecordedCase, data: Path) -> PlainResult:
    path = data / case.file
    return PlainResult(case.holds, case.shows, hash_file(path), runner.run(open_source(str(path)), case.file))


def _check_made(runner: Runner, frames: int) -> tuple[PlainResult, ...]:
    results = []
    for made in made_pictures(frames):
        run = runner.run(source_of_pictures(made.name, made.frames), made.name)
        results.append(PlainResult(Holds.NO_ULTRASOUND, made.shows, None, run))
    return tuple(results)


def _check_stills(
    runner: Runner, case: StillsCase, cases: RealCases, data: Path, find_spec: Callable[[str], Path], sets: Path | None
) -> StillsResult:
    beside = cases.folder / case.spec
    spec = read_spec(beside if beside.is_file() else find_spec(case.spec))
    if sets is not None:
        return _run_set(runner, spec, sets / spec.name, data)
    with tempfile.TemporaryDirectory(prefix="puncta-") as folder:
        return _run_set(runner, spec, Path(folder) / spec.name, data)


def _check_simulated(
    runner: Runner, case: SimulatedCase, cases: RealCases, data: Path, find_spec: Callable[[str], Path],
    sets: Path | None,
) -> SimulatedResult:
    beside = cases.folder / case.spec
    spec = read_spec(beside if beside.is_file() else find_spec(case.spec))
    if sets is not None:
        return _run_simulated(runner, case, spec, sets / spec.name, data)
    with tempfile.TemporaryDirectory(prefix="puncta-") as folder:
        return _run_simulated(runner, case, spec, Path(folder) / spec.name, data)


def _run_simulated(runner: Runner, case: SimulatedCase, spec: DatasetSpec, folder: Path, data: Path) -> SimulatedResult:
    """Build a set where it is not built yet, and step the plugin over its clips, each in the look of another still."""
    build_dataset(spec, folder, 1, None, data)
    styles = read_styles(data, case.styles)
    runs = []
    for number, clip in enumerate(clips_of(load_dataset(folder), None)):
        source: FrameSource = PictureSource(clip, folder)
        if styles:
            source = RestyledSource(source, styles[number % len(styles)], number)
        runs.append(runner.run(source, clip.name))
    digest = str(read_build(folder)["sha256"])
    return SimulatedResult(spec.name, digest, case.shows, ", ".join(case.styles), tuple(runs))


def _run_set(runner: Runner, spec: DatasetSpec, folder: Path, data: Path) -> StillsResult:
    """Build a set where it is not built yet, and step the plugin over its cines with the region looked for."""
    build_dataset(spec, folder, 1, None, data)
    dataset = load_dataset(folder)
    labels = Labels(dataset, runner.manifest)
    runs: list[CaseRun] = []
    judged: list[JudgedFrame] = []
    shown: list[bool] = []
    subjects: list[str] = []
    for number, clip in enumerate(clips_of(dataset, None)):
        frames, images = zip(*((f.pixels, i) for f, i in frames_of_clip(clip, folder) if i is not None))
        run = runner.run(source_of_pictures(clip.name, np.stack(frames)), clip.name)
        runs.append(run)
        subjects.append(clip.video.subject if clip.video and clip.video.subject else clip.name)
        for said, image in zip(run.frames, images):
            truth: FrameLabels | None = labels.of(image, _assumed_scale(clip))
            if truth is not None:
                judged.append(JudgedFrame(number, truth, said.answer, clip.machine, None, image.id))
                shown.append(said.shown)
    digest = str(read_build(folder)["sha256"])
    return StillsResult(spec.name, digest, tuple(subjects), tuple(runs), tuple(judged), tuple(shown))


def _assumed_scale(clip: DatasetClip) -> tuple[float, float] | None:
    """Scale [mm/px] by the depth that a composite was made for: stills state none, so it is a guess and no measure."""
    region, depth = clip.images[0].region, clip.video.more.get("assumed_depth_mm") if clip.video else None
    if region is None or not isinstance(depth, int | float):
        return None
    return (depth / region[3], depth / region[3])
