"""`puncta evaluate`: a plugin on a labelled dataset, stepped through the host as in the program, and its figures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from puncta.core.errors import UserError
from puncta.core.flags import Flag
from puncta.core.frame import UltrasoundRegion
from puncta.core.geometry import tip_box_px
from puncta.core.results import Box, Certainty, Detection, Line, PluginOutput, Point
from puncta.formats.dataset import (
    NEEDLE_CATEGORY,
    TIP_CATEGORY,
    Annotation,
    Dataset,
    Image,
    Visibility,
    annotations_by_image,
    is_judged,
    is_true_negative,
    load_dataset,
)
from puncta.formats.evaluation import Evaluation
from puncta.inference.session import Tuning
from puncta.metrics.frames import FrameAnswer, FrameLabels, JudgedFrame
from puncta.metrics.intervals import Estimate
from puncta.metrics.summary import compare, summarise, summarise_groups
from puncta.pipeline.discover import Discovery, discover
from puncta.pipeline.host import PluginHost
from puncta.sdk.manifest import PluginManifest
from puncta.sdk.plugin import ResetReason
from puncta.session.dataset_source import DatasetClip, clips_of, frames_of_clip
from puncta.session.plugins import hosted_plugins, models_by_plugin

VISIBLE = frozenset({Visibility.CLEAR, Visibility.UNCERTAIN})
LINE_PAD_PX = 2.0
"""Half width given to a line without a box of its own [px]."""
DEFAULT_SPLIT = "test"

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
    """What a plugin said on every judged frame of a dataset."""

    plugin: str
    model: str | None
    model_sha256: str | None
    frames: tuple[JudgedFrame, ...]
    faults: int


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
    if folder.is_dir() and not (folder / "dataset.json").is_file():
        raise UserError(f"The folder {folder} holds no dataset.json, so it is not a dataset.")
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
    timings: bool = True,
    progress: Progress = lambda _done, _total: None,
    discovery: Discovery | None = None,
) -> Run:
    """Step a plugin over every clip, in order, on the CPU with the precision of the model's card.

    Parameters
    ----------
    model : str or None
        Id in the registry; None takes the plugin's own.
    timings : bool
        False leaves times out, so that two runs give the same.

    Raises
    ------
    UserError
        No such plugin or model, a picture that cannot be read, no judged frame, or a plugin that fails three times in
        a row.
    """
    discovery = discovery or discover()
    models = models_by_plugin([model]) if model else {}
    if models and plugin_id not in models:
        raise UserError(f'The model "{model}" belongs to the plugin {next(iter(models))}, not to {plugin_id}.')
    hosted = hosted_plugins([plugin_id], models=models, tuning=Tuning.deterministic(), discovery=discovery)
    found = discovery.get(plugin_id)
    if found is None:  # hosted_plugins has said so already
        raise UserError(f'There is no plugin "{plugin_id}".')
    labels = Labels(data.dataset, found.manifest)
    host = PluginHost(hosted)
    judged: list[JudgedFrame] = []
    faults = 0
    try:
        for number, clip in enumerate(data.clips):
            host.reset(ResetReason.SOURCE_CHANGED)
            for frame, image in frames_of_clip(clip, data.folder):
                output = host.step(frame).output(plugin_id)
                status = host.statuses()[0]
                if status.breaker_open or output is None:
                    raise UserError(status.message or f'The plugin "{plugin_id}" gave no output.')
                faults += output.fault is not None
                truth = labels.of(image, clip.mm_per_px) if image is not None else None
                if truth is not None and image is not None:
                    answer = answer_from_output(output, frame.geometry.region, timings)
                    judged.append(
                        JudgedFrame(number, truth, answer, clip.machine, difficulty_of(image), image.id)
                    )
            progress(number + 1, len(data.clips))
        identity, sha256 = hosted[-1].identity()
    finally:
        host.close()
    if not judged:
        raise UserError(
            f'The dataset {data.name} has no confirmed label of what the plugin "{plugin_id}" finds; '
            "confirm labels first, or choose another dataset or split."
        )
    return Run(plugin_id, identity or None, sha256 or None, tuple(judged), faults)


def evaluation_of(run: Run, data: LabelledData) -> Evaluation:
    """Return a run's figures, whole, by machine and by difficulty, each with its interval."""
    return Evaluation(
        plugin=run.plugin,
        model=run.model,
        model_sha256=run.model_sha256,
        data=data.name,
        split=data.split,
        frames=len(run.frames),
        metrics=summarise(run.frames),
        per_machine=summarise_groups(run.frames, "machine"),
        per_difficulty=summarise_groups(run.frames, "difficulty"),
    )


def differences(run: Run, other: Run) -> dict[str, Estimate]:
    """Return the run's figures minus the other's, paired by clip, on what both plugins find.

    Raises
    ------
    UserError
        The two plugins find nothing of the same kind.
    """
    try:
        return compare(run.frames, other.frames)
    except ValueError as error:
        raise UserError(
            f'The plugins "{run.plugin}" and "{other.plugin}" find nothing of the same kind, '
            "so their figures cannot be compared."
        ) from error


class Labels:
    """Reads what is labelled on a frame, as far as a plugin speaks about it.

    Parameters
    ----------
    dataset : Dataset
    manifest : PluginManifest
        Kinds of results it does not emit are not judged.
    """

    def __init__(self, dataset: Dataset, manifest: PluginManifest) -> None:
        emitted = {emits.label for emits in manifest.results}
        self._annotations = annotations_by_image(dataset)
        self._tip = dataset.category(TIP_CATEGORY) if TIP_CATEGORY in emitted else None
        self._needle = dataset.category(NEEDLE_CATEGORY) if NEEDLE_CATEGORY in emitted else None

    def of(self, image: Image, mm_per_px: tuple[float, float] | None) -> FrameLabels | None:
        """Return the labels of a frame; None where nothing on it is judged."""
        annotations = self._annotations.get(image.id, ())
        tip_judged = needle_judged = False
        tip = needle = None
        if self._tip is not None and is_judged(image, TIP_CATEGORY):
            tip = _visible(annotations, self._tip.id)
            tip_judged = tip is not None or is_true_negative(image, annotations, self._tip)
        if self._needle is not None and is_judged(image, NEEDLE_CATEGORY):
            needle = _visible(annotations, self._needle.id)
            needle_judged = needle is not None or is_true_negative(image, annotations, self._needle)
        if not tip_judged and not needle_judged:
            return None
        tip_px = axis = None
        if tip is not None and tip.bbox is not None:
            x0, y0, w, h = tip.bbox
            tip_px = tip.tip_px or (x0 + w / 2, y0 + h / 2)
        if needle is not None and needle.tip_px is not None and needle.entry_px is not None:
            axis = (needle.entry_px, needle.tip_px)
        return FrameLabels(
            tip_judged,
            tip_px,
            tip.bbox if tip is not None else None,
            needle_judged,
            needle.bbox if needle is not None else None,
            axis,
            mm_per_px,
        )


def _visible(annotations: Iterable[Annotation], category_id: int) -> Annotation | None:
    such = (a for a in annotations if a.category_id == category_id and a.visibility in VISIBLE and a.bbox is not None)
    return next(such, None)


def difficulty_of(image: Image) -> str | None:
    """Return "hard" or "easy", or None where it is not known."""
    hard = (image.difficulty or {}).get("hard")
    return None if hard is None else ("hard" if hard else "easy")


def answer_from_output(output: PluginOutput, region: UltrasoundRegion, timings: bool = True) -> FrameAnswer:
    """Return what a plugin said about tip and needle; a fault says nothing.

    Of several tips the one with the best score counts. A detection marked lost gives no tip, whatever it holds.
    """
    tips: list[Detection | Point] = [
        r for r in output.results if isinstance(r, Detection | Point) and r.label == TIP_CATEGORY
    ]
    given = [r for r in tips if _tip_of(r) is not None]
    best = max(given, key=lambda r: r.score, default=None)
    scores = [r.score for r in (given or tips)]
    lines = [
        r
        for r in output.results
        if isinstance(r, Line) and r.label == NEEDLE_CATEGORY and r.tip_px is not None and r.entry_px is not None
    ]
    line = max(lines, key=lambda r: r.score, default=None)
    return FrameAnswer(
        tip_px=_tip_of(best) if best is not None else None,
        score=max(scores) if scores else None,
        radius90_px=best.radius90_px if isinstance(best, Detection) else None,
        withheld=best is None and any(r.reason for r in tips),
        unfamiliar=Flag.OUT_OF_DISTRIBUTION in output.flags,
        tip_boxes=tuple((r.score, _tip_box(r, region)) for r in given),
        needle_boxes=_needle_boxes(output, lines),
        axis=(line.entry_px, line.tip_px) if line is not None and line.entry_px and line.tip_px else None,
        elapsed_ns=output.elapsed_ns if timings else None,
    )


def _tip_of(result: Detection | Point) -> tuple[float, float] | None:
    if isinstance(result, Point):
        return result.point_px
    return None if result.certainty is Certainty.LOST or result.box is None else result.tip_px


def _tip_box(result: Detection | Point, region: UltrasoundRegion) -> Box:
    if isinstance(result, Detection) and result.box is not None:
        return result.box
    tip_px = _tip_of(result)
    assert tip_px is not None
    return tip_box_px(tip_px, region.box)


def _needle_boxes(output: PluginOutput, lines: Sequence[Line]) -> tuple[tuple[float, Box], ...]:
    """Boxes of needles as the plugin gives them; of a line the hull, padded."""
    boxes = tuple(
        (r.score, r.box)
        for r in output.results
        if isinstance(r, Detection)
        and r.label == NEEDLE_CATEGORY
        and r.box is not None
        and r.certainty is not Certainty.LOST
    )
    if boxes:
        return boxes
    hulls = []
    for line in lines:
        if line.entry_px is not None and line.tip_px is not None:
            (ax, ay), (bx, by) = line.entry_px, line.tip_px
            x0, y0 = min(ax, bx) - LINE_PAD_PX, min(ay, by) - LINE_PAD_PX
            hulls.append((line.score, (x0, y0, abs(ax - bx) + 2 * LINE_PAD_PX, abs(ay - by) + 2 * LINE_PAD_PX)))
    return tuple(hulls)
