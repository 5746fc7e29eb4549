"""`puncta evaluate`: a plugin on a labelled dataset, stepped through the host as in the program, and its figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from puncta.core.errors import UserError
from puncta.core.frame import UltrasoundRegion
from puncta.core.results import PluginOutput
from puncta.formats.dataset import NO_DATASET, Dataset, Image, is_dataset, load_dataset
from puncta.formats.evaluation import Evaluation
from puncta.inference.session import Tuning
from puncta.metrics.classification import FlagFrame, compare_flags, summarise_flag_groups, summarise_flags
from puncta.metrics.frames import JudgedFrame
from puncta.metrics.intervals import Estimate
from puncta.metrics.mask import MaskFrame, compare_masks, summarise_mask_groups, summarise_masks
from puncta.metrics.summary import compare, summarise, summarise_groups
from puncta.pipeline.discover import Discovery, discover
from puncta.pipeline.host import PluginHost
from puncta.sdk.manifest import PluginManifest
from puncta.sdk.plugin import ResetReason
from puncta.session import evaluate_flags, evaluate_masks
from puncta.session.dataset_source import DatasetClip, clips_of, frames_of_clip
from puncta.session.evaluate_tips import Labels, answer_from_output
from puncta.session.plugins import hosted_plugins, models_by_plugin

DEFAULT_SPLIT = "test"
FIRST_MASK = "first_mask"
"""Name of the prompt that gives the true mask of a clip's first frame with a needle in the plane."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class LabelledData:
    """A dataset's part that an evaluation runs on.

    Attributes
    ----------
    name : str
        Name of the dataset, never a path.
    split : str or None
        None means all splits.
    """

    folder: Path
    name: str
    split: str | None
    dataset: Dataset
    clips: tuple[DatasetClip, ...]

    @property
    def simulated(self) -> bool:
        """True where the dataset is simulated."""
        return self.dataset.info.simulated


@dataclass(frozen=True, slots=True)
class Run:
    """What a plugin said on every judged frame of a dataset.

    Attributes
    ----------
    frames : tuple of JudgedFrame
        Frames judged for tips and needles.
    masks : tuple of MaskFrame
        Frames judged for the needle's mask.
    flags : tuple of FlagFrame
        Frames judged for flags.
    faults : int
        Frames on which the plugin failed.
    prompt : str or None
        `FIRST_MASK` where the true mask of each clip's first frame with a needle was given to the plugin; those frames
        are judged for nothing.
    """

    plugin: str
    model: str | None
    model_sha256: str | None
    frames: tuple[JudgedFrame, ...]
    faults: int
    masks: tuple[MaskFrame, ...] = ()
    flags: tuple[FlagFrame, ...] = ()
    prompt: str | None = None

    @property
    def judged(self) -> int:
        """Number of frames judged for anything."""
        masks = {f.image for f in self.masks if not f.prompted}
        return len({f.image for f in self.frames} | masks | {f.image for f in self.flags})


def open_labelled_data(folder: Path, split: str | None = None) -> LabelledData:
    """Open a dataset for evaluation.

    Parameters
    ----------
    split : str or None
        None takes the split "test" where there is one and else everything; "all" takes everything.

    Raises
    ------
    UserError
        Not a dataset, or no frame in the split.
    """
    folder = Path(folder)
    if not folder.exists():
        raise UserError(f"There is no folder {folder}; name a dataset folder with --data.")
    if folder.is_dir() and not is_dataset(folder):
        raise UserError(NO_DATASET.format(folder=folder))
    dataset = load_dataset(folder)
    splits = sorted({image.split for image in dataset.images if image.split is not None})
    if split == "all" or (split is None and DEFAULT_SPLIT not in splits):
        wanted = None
    else:
        wanted = split or DEFAULT_SPLIT
    clips = clips_of(dataset, wanted)
    if not clips:
        there = f"its splits are: {', '.join(splits)}" if splits else "it has no splits"
        what = "no frame" if wanted is None else f'no frame in the split "{wanted}"'
        raise UserError(f"The dataset {folder} has {what}; {there}.")
    home = folder if folder.is_dir() else folder.parent
    name = dataset.info.more.get("name")
    return LabelledData(home, name if isinstance(name, str) else home.resolve().name, wanted, dataset, clips)


def run_plugin(
    plugin_id: str,
    data: LabelledData,
    *,
    model: str | None = None,
    first_mask: bool = False,
    timings: bool = True,
    progress: Progress = lambda _done, _total: None,
    discovery: Discovery | None = None,
) -> Run:
    """Step a plugin over every clip, in order, on the CPU with the precision of the model's card.

    Parameters
    ----------
    model : str or None
        Id in the registry; None takes the plugin's own.
    first_mask : bool
        Give the plugin the true mask of each clip's first frame with a needle in the plane.
    timings : bool
        False leaves times out, so that two runs give the same.

    Raises
    ------
    UserError
        No such plugin or model, a picture that cannot be read, no judged frame, a plugin that takes no prompt, or one
        that fails three times in a row.
    """
    discovery = discovery or discover()
    models = models_by_plugin([model]) if model else {}
    if models and plugin_id not in models:
        raise UserError(f'The model "{model}" belongs to the plugin {next(iter(models))}, not to {plugin_id}.')
    hosted = hosted_plugins([plugin_id], models=models, tuning=Tuning.deterministic(), discovery=discovery)
    # A dataset's frames are thinned already: each is answered by itself, never with the answer of one before.
    hosted = tuple(replace(h, every=1) for h in hosted)
    found = discovery.get(plugin_id)
    if found is None:  # hosted_plugins has said so already
        raise UserError(f'There is no plugin "{plugin_id}".')
    judges = _Judges(data.dataset, found.manifest, timings)
    host = PluginHost(hosted)
    faults = 0
    try:
        for number, clip in enumerate(data.clips):
            host.reset(ResetReason.SOURCE_CHANGED)
            masks = judges.masks.of_clip(clip)
            prompt_at = next((i.id for i in clip.images if i.id in masks and masks[i.id].in_plane), None)
            for index, (frame, image) in enumerate(frames_of_clip(clip, data.folder)):
                prompted = first_mask and image is not None and image.id == prompt_at
                if prompted and image is not None:
                    host.prompt(plugin_id, masks[image.id].as_prompt())
                output = host.step(frame).output(plugin_id)
                if output is None or output.fault is not None:
                    faults += 1
                    status = next(s for s in host.statuses() if s.plugin_id == plugin_id)
                    if status.breaker_open or output is None:
                        raise UserError(status.message or f'The plugin "{plugin_id}" gave no output.')
                if image is not None:
                    place = _Place(clip, number, index, frame.geometry.region, prompted)
                    judges.judge(output, image, masks.get(image.id), place)
            progress(number + 1, len(data.clips))
        identity, sha256 = hosted[-1].identity()
    finally:
        host.close()
    if not (judges.tips or judges.masked or judges.flagged):
        raise UserError(
            f'The dataset {data.name} has no confirmed label of what the plugin "{plugin_id}" finds; '
            "confirm labels first, or choose another dataset or split."
        )
    if first_mask and not any(f.prompted for f in judges.masked):
        raise UserError(f"The dataset {data.name} has no mask of a needle, so none can be given to the plugin.")
    return Run(
        plugin_id, identity or None, sha256 or None, tuple(judges.tips), faults, tuple(judges.masked),
        tuple(judges.flagged), FIRST_MASK if first_mask else None,
    )


@dataclass(frozen=True, slots=True)
class _Place:
    clip: DatasetClip
    number: int
    index: int
    region: UltrasoundRegion
    prompted: bool


class _Judges:
    """Lays a plugin's outputs beside the labels of each kind that it speaks about."""

    def __init__(self, dataset: Dataset, manifest: PluginManifest, timings: bool) -> None:
        self.masks = evaluate_masks.MaskLabels(dataset, manifest)
        self.tips: list[JudgedFrame] = []
        self.masked: list[MaskFrame] = []
        self.flagged: list[FlagFrame] = []
        self._labels = Labels(dataset, manifest)
        self._flags = evaluate_flags.FlagLabels(dataset, manifest)
        self._timings = timings

    def judge(
        self, output: PluginOutput, image: Image, mask: evaluate_masks.FrameMask | None, at: _Place
    ) -> None:
        """Keep what follows from one frame; one whose mask was given says nothing of tip and axis either."""
        difficulty = difficulty_of(image)
        truth = self._labels.of(image, at.clip.mm_per_px)
        if truth is not None and not at.prompted:
            answer = answer_from_output(output, at.region, self._timings)
            self.tips.append(JudgedFrame(at.number, truth, answer, at.clip.machine, difficulty, image.id))
        if mask is not None:
            self.masked.append(
                evaluate_masks.judge_frame(
                    output, mask, image, at.clip, number=at.number, index=at.index, prompted=at.prompted,
                    difficulty=difficulty,
                )
            )
        flags = self._flags.of(image)
        if flags:
            self.flagged.append(
                evaluate_flags.judge_frame(
                    output, flags, image, at.clip, number=at.number, difficulty=difficulty, timings=self._timings
                )
            )


def evaluation_of(run: Run, data: LabelledData) -> Evaluation:
    """Return a run's figures, whole, by machine and by difficulty, each with its interval."""
    return Evaluation(
        plugin=run.plugin,
        model=run.model,
        model_sha256=run.model_sha256,
        data=data.name,
        split=data.split,
        frames=run.judged,
        metrics=figures_of(run),
        per_machine=_groups(run, "machine"),
        per_difficulty=_groups(run, "difficulty"),
        prompt=run.prompt,
    )


def figures_of(run: Run) -> dict[str, Estimate]:
    """Return a run's figures, each with its interval over clips."""
    return _merged(
        summarise(run.frames) if run.frames else {},
        summarise_masks(run.masks) if run.masks else {},
        summarise_flags(run.flags) if run.flags else {},
    )


def _groups(run: Run, key: str) -> dict[str, Mapping[str, Estimate]]:
    kinds = (
        summarise_groups(run.frames, key), summarise_mask_groups(run.masks, key), summarise_flag_groups(run.flags, key)
    )
    return {name: _merged(*(k.get(name, {}) for k in kinds)) for name in sorted({n for k in kinds for n in k})}


def _merged(*kinds: Mapping[str, Estimate]) -> dict[str, Estimate]:
    """Join the figures of several kinds; where two have one name, the first that speaks of a frame counts."""
    out: dict[str, Estimate] = {}
    for figures in kinds:
        for name, figure in figures.items():
            if name not in out or out[name].n == 0:
                out[name] = figure
    return out


def differences(run: Run, other: Run) -> dict[str, Estimate]:
    """Return the run's figures minus the other's, paired by clip, on what both plugins find.

    Raises
    ------
    UserError
        The two plugins find nothing of the same kind.
    """
    kinds: list[Mapping[str, Estimate]] = []
    try:
        if run.frames and other.frames:
            kinds.append(compare(*_same_images(run, other)))
        if run.masks and other.masks:
            kinds.append(compare_masks(run.masks, other.masks))
        if run.flags and other.flags:
            kinds.append(compare_flags(run.flags, other.flags))
    except ValueError as error:
        raise _no_common_ground(run, other) from error
    if not kinds:
        raise _no_common_ground(run, other)
    return _merged(*kinds)


def _same_images(run: Run, other: Run) -> tuple[list[JudgedFrame], list[JudgedFrame]]:
    """Leave out the frames that one of the runs was given the mask of."""
    shared = {f.image for f in run.frames} & {f.image for f in other.frames}
    return [f for f in run.frames if f.image in shared], [f for f in other.frames if f.image in shared]


def _no_common_ground(run: Run, other: Run) -> UserError:
    return UserError(
        f'The plugins "{run.plugin}" and "{other.plugin}" find nothing of the same kind, '
        "so their figures cannot be compared."
    )


def difficulty_of(image: Image) -> str | None:
    """Return "hard" or "easy", or None where it is not known."""
    hard = (image.difficulty or {}).get("hard")
    return None if hard is None else ("hard" if hard else "easy")
