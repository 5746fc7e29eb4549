"""Flags of an evaluation: what the dataset says of the whole frame, and what a plugin said."""

from __future__ import annotations

from puncta.core.flags import Flag
from puncta.core.results import ClassResult, PluginOutput
from puncta.formats.dataset import Dataset, Image, is_judged
from puncta.metrics.classification import FlagDecision, FlagFrame
from puncta.sdk.manifest import PluginManifest
from puncta.session.dataset_source import DatasetClip


class FlagLabels:
    """Reads the flags of a dataset, as far as a plugin speaks about them.

    Parameters
    ----------
    dataset : Dataset
    manifest : PluginManifest
        Flags that it does not emit as findings of the whole frame are not judged.
    """

    def __init__(self, dataset: Dataset, manifest: PluginManifest) -> None:
        emitted = [r.label for r in manifest.results if r.type == "class"]
        known = {name for image in dataset.images for name in image.flags}
        self.names = tuple(name for name in emitted if name in known)

    def of(self, image: Image) -> dict[str, bool]:
        """Return the judged flags of a frame; a grade above 0 counts as present."""
        values = {name: image.flags.get(name) for name in self.names if is_judged(image, name)}
        return {name: value > 0 for name, value in values.items() if value is not None}


def decision_of(output: PluginOutput, name: str, true: bool) -> FlagDecision:
    """Return what a plugin said about a flag; a fault, or no word about it, withholds the answer."""
    said = next((r for r in output.results if isinstance(r, ClassResult) and r.label == name), None)
    return FlagDecision(true, None) if said is None else FlagDecision(true, said.value, said.probability)


def judge_frame(
    output: PluginOutput,
    true: dict[str, bool],
    image: Image,
    clip: DatasetClip,
    *,
    number: int,
    difficulty: str | None,
    timings: bool,
) -> FlagFrame:
    """Lay what a plugin said beside the truth of a frame."""
    return FlagFrame(
        clip=number,
        decisions={name: decision_of(output, name, value) for name, value in true.items()},
        t_ns=image.pts_ns,
        unfamiliar=Flag.OUT_OF_DISTRIBUTION in output.flags,
        machine=clip.machine,
        difficulty=difficulty,
        image=image.id,
        elapsed_ns=output.elapsed_ns if timings else None,
    )
