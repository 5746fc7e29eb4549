"""The ways a model is trained again on labels of one's own: what each teaches, what it needs, how long it takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from puncta.core.errors import UserError
from puncta.formats.dataset import NEEDLE_CATEGORY, TIP_CATEGORY, Dataset, Image, is_judged

Kind = Literal["fine-tune", "lora", "scratch", "pretrain"]

LP_FLAGS = ("quality", "cord", "csf")
"""Flags of an infant lumbar puncture that have to be told together."""


@dataclass(frozen=True, slots=True)
class RetrainRecipe:
    """One way to train a model again.

    Attributes
    ----------
    id : str
    plugin : str
        Whose model it makes.
    title, what : str
        For people: a name, and a sentence of what it does.
    experiment : str
        The experiment that it extends, among those that ship.
    kind : str
        "fine-tune", "lora", "scratch" or "pretrain".
    needs : str
        Which labels, in words.
    least_frames : int
        Labelled frames of the split "train" below which it is refused.
    model : str
        Id of the model it makes; its version counts up.
    needs_base : bool
        Begins with the weights of a finished model.
    guess : mapping
        What it takes on two cores of a plain server before anything was measured: "clips" and "finish" [s], "samples"
        [s for all of them].
    changes : mapping
        What it changes in its experiment, by section.
    """

    id: str
    plugin: str
    title: str
    what: str
    experiment: str
    kind: Kind
    needs: str
    least_frames: int
    model: str
    needs_base: bool
    guess: Mapping[str, float]
    changes: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: MappingProxyType({}))


_NO_STILLS = MappingProxyType({
    "data": MappingProxyType({
        "backgrounds": [], "composites": 0, "tune_composites": 0, "still_cines": 0, "tune_still_cines": 0,
        "tune_empty_stills": 0,
    }),
})
"""Whoever trains has not the stills that the shipped models saw."""

RECIPES: tuple[RetrainRecipe, ...] = (
    RetrainRecipe(
        "tip_site", "needle-tip", "Needle tip: adapt to one site",
        "Goes on from a finished model, learns the labelled frames and keeps close to what the model said before on "
        "simulated cines of other machines and on frames without a label.",
        "tip_site", "fine-tune", "tips, or 'not visible', on single frames; frames in between may stay open", 60,
        "needle-tip-site", True, MappingProxyType({"clips": 110.0, "samples": 600.0, "finish": 150.0}),
    ),
    RetrainRecipe(
        "tip_site_pre", "needle-tip", "Needle tip: learn this machine's pictures without labels",
        "Goes on from a finished model: needles are drawn into recordings of your machine that show none, beside "
        "simulated cines of other machines. It learns how the machine draws tissue, not how your needles look in it; "
        "adapt the new model to labels afterwards.",
        "tip_site_pre", "pretrain", "recordings of this machine without any needle", 120,
        "needle-tip-pre", True, MappingProxyType({"clips": 220.0, "samples": 420.0, "finish": 170.0}),
    ),
    RetrainRecipe(
        "tip_own", "needle-tip", "Needle tip: train from nothing",
        "Trains a new network on 1,800 simulated cines and the labelled frames. Takes long, and knows no picture of "
        "other sites.",
        "tip_cpu", "scratch", "tips, or 'not visible', on single frames", 300,
        "needle-tip-own", False, MappingProxyType({"clips": 900.0, "samples": 2800.0, "finish": 150.0}), _NO_STILLS,
    ),
    RetrainRecipe(
        "track_site", "breast-biopsy", "Needle mask and tracking: adapt to one site",
        "Goes on from a finished tracker and learns the labelled masks beside simulated cines of other machines.",
        "track_site", "fine-tune", "needle masks, or 'no needle', on successive frames", 60,
        "needle-track-site", True, MappingProxyType({"clips": 200.0, "samples": 480.0, "finish": 180.0}),
    ),
    RetrainRecipe(
        "lp_site", "infant-lp", "Infant landmarks: adapt to one site",
        "Low-rank adapters on a finished network learn the labelled frames beside simulated infants of other machines; "
        "they are added into its weights at the end.",
        "lp_site", "lora", "all three flags (quality, cord, CSF) on single frames", 32,
        "lp-landmarks-site", True, MappingProxyType({"clips": 90.0, "samples": 60.0, "finish": 60.0}),
    ),
)


MADE_FOR, PRETRAINING = "made_for", "pre-training"
"""What the head of a dataset of needle-free recordings says."""
LEFT_OUT = "left_out"
"""Sentences in that head: what was left out of it, and why."""
DRAWN = "drawn_needle"
"""A video that says so has a needle drawn into a frame of the recording whose number it gives."""


def is_needle_free(dataset: Dataset) -> bool:
    """Tell whether a dataset was made of recordings that somebody states to show no needle."""
    return dataset.info.more.get(MADE_FOR) == PRETRAINING


def left_out_of(dataset: Dataset) -> tuple[str, ...]:
    """Return what such a dataset says was left out of it, a sentence each."""
    told = dataset.info.more.get(LEFT_OUT)
    return tuple(str(words) for words in told) if isinstance(told, list) else ()


def find_recipe(name: str) -> RetrainRecipe:
    """Return a recipe by its id.

    Raises
    ------
    UserError
        There is none of this name.
    """
    for recipe in RECIPES:
        if recipe.id == name:
            return recipe
    raise UserError(f'There is no recipe "{name}"; there are: {", ".join(r.id for r in RECIPES)}.')


def teaches(image: Image) -> tuple[str, ...]:
    """Return the plugins that a frame's confirmed labels can teach."""
    out = []
    if is_judged(image, TIP_CATEGORY):
        out.append("needle-tip")
    if is_judged(image, NEEDLE_CATEGORY):
        out.append("breast-biopsy")
    if all(is_judged(image, n) and image.flags.get(n) is not None for n in LP_FLAGS):
        out.append("infant-lp")
    return tuple(out)
