"""Masks of an evaluation: what the dataset says the needle's mask is, and what a plugin gave."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from puncta.core.prompts import MaskPrompt
from puncta.core.results import Certainty, MaskResult, PluginOutput
from puncta.formats.dataset import NEEDLE_CATEGORY, Dataset, Image, annotations_by_image
from puncta.metrics.mask import Mask, MaskFrame, Plane, hidden_runs, judge_mask
from puncta.metrics.mask_truth import MaskTruth, mask_truth
from puncta.sdk.manifest import PluginManifest
from puncta.session.dataset_source import DatasetClip


@dataclass(frozen=True, slots=True, eq=False)
class FrameMask:
    """The truth of one frame, and for how long its needle has been hidden [frames]."""

    truth: MaskTruth
    hidden_frames: int

    @property
    def in_plane(self) -> bool:
        """There is a true mask."""
        return self.truth.plane is Plane.IN_PLANE

    def as_prompt(self) -> MaskPrompt:
        """The true mask as a prompt.

        Raises
        ------
        ValueError
            There is none.
        """
        if self.truth.mask is None:
            raise ValueError("this frame has no true mask")
        return MaskPrompt(self.truth.mask)


class MaskLabels:
    """Reads the needle's masks of a dataset, as far as a plugin gives masks.

    Parameters
    ----------
    dataset : Dataset
    manifest : PluginManifest
        A plugin that emits no mask of the needle is not judged by masks.
    """

    def __init__(self, dataset: Dataset, manifest: PluginManifest) -> None:
        emits = any(r.type == "mask" and r.label == NEEDLE_CATEGORY for r in manifest.results)
        self._needle = dataset.category(NEEDLE_CATEGORY) if emits else None
        self._annotations = annotations_by_image(dataset) if self._needle else {}
        self._masks = self._needle is not None and any(
            a.segmentation for found in self._annotations.values() for a in found if a.category_id == self._needle.id
        )

    def of_clip(self, clip: DatasetClip) -> dict[int, FrameMask]:
        """Return the truth of a clip's judged frames by the number of the picture; empty without masks in the dataset.

        Raises
        ------
        UserError
            A mask of the dataset cannot be read.
        """
        if self._needle is None or not self._masks:
            return {}
        truths = [mask_truth(image, self._annotations.get(image.id, ()), self._needle) for image in clip.images]
        hidden = hidden_runs([None if t is None else t.shows for t in truths])
        frames = zip(clip.images, truths, hidden)
        return {image.id: FrameMask(truth, run) for image, truth, run in frames if truth is not None}


def mask_from_output(output: PluginOutput, shape: tuple[int, int]) -> Mask | None:
    """Return the needle's mask that a plugin gave, shape (h, w) of the picture; None where it gave none or lost it."""
    whole: Mask | None = None
    for result in output.results:
        if not isinstance(result, MaskResult) or result.label != NEEDLE_CATEGORY or result.mask is None:
            continue
        if result.certainty is Certainty.LOST:
            continue
        if whole is None:
            whole = np.zeros(shape, bool)
        (x0, y0), (h, w) = result.origin_px, result.mask.shape
        left, top = max(0, x0), max(0, y0)
        right, bottom = min(shape[1], x0 + w), min(shape[0], y0 + h)
        if right > left and bottom > top:
            whole[top:bottom, left:right] |= result.mask[top - y0 : bottom - y0, left - x0 : right - x0]
    return whole if whole is not None and whole.any() else None


def judge_frame(
    output: PluginOutput,
    given: FrameMask,
    image: Image,
    clip: DatasetClip,
    *,
    number: int,
    index: int,
    prompted: bool,
    difficulty: str | None,
) -> MaskFrame:
    """Lay what a plugin gave beside the truth of a frame, see `judge_mask`."""
    return judge_mask(
        mask_from_output(output, (image.height, image.width)),
        given.truth.mask,
        clip=number,
        index=index,
        plane=given.truth.plane,
        mm_per_px=clip.mm_per_px,
        hidden_frames=given.hidden_frames,
        prompted=prompted,
        machine=clip.machine,
        difficulty=difficulty,
        image=image.id,
    )
