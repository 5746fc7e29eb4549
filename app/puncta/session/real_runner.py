"""One plugin over one real case after another, as `puncta run` runs it, and what it said about every frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from puncta.core.errors import UserError
from puncta.core.flags import Flag
from puncta.core.ports import FrameSource
from puncta.core.results import ClassResult, PluginOutput
from puncta.inference.registry import Registry
from puncta.inference.session import Tuning
from puncta.metrics.frames import FrameAnswer
from puncta.metrics.mask import Mask
from puncta.pipeline.batch import analyse, frames_of
from puncta.pipeline.discover import Discovery
from puncta.pipeline.host import PluginHost
from puncta.sdk.manifest import PluginManifest
from puncta.session.evaluate_masks import mask_from_output
from puncta.session.evaluate_tips import answer_from_output
from puncta.session.plugins import hosted_plugins, models_by_plugin

STRANGENESS_OUTPUT = "strangeness"
"""Output of a model's graph that measures how far a picture lies from those it has learnt from."""


class Gives(StrEnum):
    """What a plugin mainly gives, and so what it is looked at for."""

    TIP = "tip"
    MASK = "mask"
    FLAGS = "flags"


GIVES_WORDS = {
    Gives.TIP: "a tip",
    Gives.MASK: "a mask of a needle",
    Gives.FLAGS: "an answer to any flag and no word that the picture is unfamiliar",
}


def what_is_given(manifest: PluginManifest) -> Gives:
    """Return what a plugin gives, by its manifest; a mask goes before the tip that comes with it."""
    kinds = {result.type for result in manifest.results}
    return Gives.MASK if "mask" in kinds else Gives.FLAGS if "class" in kinds else Gives.TIP


@dataclass(frozen=True, slots=True, eq=False)
class FoundMask:
    """The part of the picture that holds a mask.

    Attributes
    ----------
    mask : ndarray of bool, shape (h, w)
    origin_px : tuple of int
        (x, y) [px] of its first pixel in the picture.
    """

    mask: Mask
    origin_px: tuple[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """What the plugin said about one frame.

    Attributes
    ----------
    shown : bool
        It gave what it is looked at for, see `GIVES_WORDS`.
    mask : FoundMask or None
    """

    index: int
    answer: FrameAnswer
    unfamiliar: bool
    shown: bool
    mask: FoundMask | None = None


def said_of(output: PluginOutput, frame: Any, gives: Gives) -> Said:
    """Return what an output says about its frame."""
    geometry = frame.geometry
    answer = answer_from_output(output, geometry.region, timings=False)
    unfamiliar = Flag.OUT_OF_DISTRIBUTION in output.flags
    mask = _cropped(mask_from_output(output, (geometry.height_px, geometry.width_px))) if gives is Gives.MASK else None
    shown = {
        Gives.TIP: answer.tip_px is not None,
        Gives.MASK: mask is not None,
        Gives.FLAGS: not unfamiliar
        and any(isinstance(r, ClassResult) and r.value is not None for r in output.results),
    }[gives]
    return Said(frame.key.index, answer, unfamiliar, shown, mask)


def _cropped(mask: Mask | None) -> FoundMask | None:
    if mask is None:
        return None
    rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    part = mask[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1].copy()
    return FoundMask(part, (int(cols[0]), int(rows[0])))


@dataclass(frozen=True, slots=True)
class CaseRun:
    """All frames of one case.

    Attributes
    ----------
    region : tuple of int
        [x0, y0, w, h] [px] that the plugin saw.
    region_from : str
        "dicom", "detected" or "whole picture".
    """

    name: str
    picture_px: tuple[int, int]
    region: tuple[int, int, int, int]
    region_from: str
    frames: tuple[Said, ...]

    @property
    def shown(self) -> int:
        """Frames on which it gave what it is looked at for."""
        return sum(f.shown for f in self.frames)

    @property
    def unfamiliar(self) -> int:
        """Frames flagged as unlike what the model has learnt from."""
        return sum(f.unfamiliar for f in self.frames)


class Runner:
    """One plugin in a host, used for one case after another; each begins with an empty memory."""

    def __init__(
        self, plugin_id: str, host: PluginHost, identity: Callable[[], tuple[str, str]], manifest: PluginManifest
    ) -> None:
        self.plugin_id = plugin_id
        self.identity = identity
        self.manifest = manifest
        self.gives = what_is_given(manifest)
        self.options: dict[str, Any] = manifest.merge_options()
        self._host = host

    def run(self, source: FrameSource, name: str, span: tuple[int, int | None] = (0, None)) -> CaseRun:
        """Step the plugin over a source as `puncta run` does, and close the source.

        Raises
        ------
        UserError
            The source gave no frame, or the plugin is switched off by its failures.
        """
        said: list[Said] = []
        first, end = span
        try:
            frames = frames_of(source, first, end, pre_roll=self._host.history_frames)
            with analyse(frames, self._host, first=first, hashed=False) as analyses:
                for analysis in analyses:
                    output = analysis.output(self.plugin_id)
                    status = self._host.statuses()[-1]
                    if output is None or status.breaker_open:
                        raise UserError(status.message or f'The plugin "{self.plugin_id}" gave no output.')
                    said.append(said_of(output, analysis.frame, self.gives))
            geometry = source.info.geometry
        finally:
            source.close()
        if not said:
            raise UserError(f"{name} gave no frame in the range asked for.")
        region = geometry.region
        return CaseRun(name, (geometry.width_px, geometry.height_px), region.box, region.origin, tuple(said))


@contextmanager
def hosted_runner(plugin_id: str, model: str | None, discovery: Discovery) -> Iterator[Runner]:
    """Host a plugin on the CPU with the precision of its model's card, and release it at the end.

    Raises
    ------
    UserError
        No such plugin or model.
    """
    models = models_by_plugin([model]) if model else {}
    if models and plugin_id not in models:
        raise UserError(f'The model "{model}" belongs to the plugin {next(iter(models))}, not to {plugin_id}.')
    hosted = hosted_plugins([plugin_id], models=models, tuning=Tuning.deterministic(), discovery=discovery)
    found = discovery.get(plugin_id)
    if found is None:  # hosted_plugins has said so already
        raise UserError(f'There is no plugin "{plugin_id}".')
    host = PluginHost(hosted)
    try:
        yield Runner(plugin_id, host, hosted[-1].identity, found.manifest)
    finally:
        host.close()


def measures_strangeness(identity: str) -> bool:
    """Whether a registered model says how unlike its training a picture is; False for one that is not registered."""
    try:
        return STRANGENESS_OUTPUT in Registry.load().find(identity).outputs
    except UserError:
        return False
