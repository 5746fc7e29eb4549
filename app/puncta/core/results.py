"""What plugins say about a frame. Typed, frozen, in source-image pixels; no dicts cross the pipeline."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from puncta.core.flags import Flag
from puncta.core.frame import Frame, FrameKey
from puncta.core.target import TargetFix

Box = tuple[float, float, float, float]


class Certainty(StrEnum):
    """How a result is to be drawn: sure, uncertain or lost."""

    SURE = "sure"
    UNCERTAIN = "uncertain"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Point:
    """A named point [px]; ``point_px`` None means lost, and ``reason`` says why."""

    label: str
    point_px: tuple[float, float] | None
    score: float
    reason: str | None = None
    type: Literal["point"] = "point"


@dataclass(frozen=True, slots=True)
class Line:
    """A straight needle: from ``entry_px`` (clipped to the region) to ``tip_px`` [px]; None means lost.

    Attributes
    ----------
    angle_deg : float or None
        Angle of the axis to the picture's horizontal [deg], 0..90, in source pixels (in millimetres when the pixels
        are anisotropic and calibrated).
    sigma_deg : float or None
        Its standard error [deg].
    """

    label: str
    entry_px: tuple[float, float] | None
    tip_px: tuple[float, float] | None
    score: float
    angle_deg: float | None = None
    sigma_deg: float | None = None
    reason: str | None = None
    type: Literal["line"] = "line"


@dataclass(frozen=True, slots=True)
class Detection:
    """A box with its anchor point. For `needle_tip` the box is centred on the tip.

    Attributes
    ----------
    box : tuple of float or None
        [x0, y0, w, h] [px]; None means lost, and ``reason`` says why.
    tip_px : tuple of float or None
        (x, y) [px].
    radius90_px : float or None
        Radius [px] of the circle meant to hold the tip 9 times in 10.
    certainty : Certainty
    predicted : bool
        True when the position comes from the filter alone, without a measurement on this frame.
    """

    label: str
    box: Box | None
    tip_px: tuple[float, float] | None
    score: float
    radius90_px: float | None = None
    certainty: Certainty = Certainty.SURE
    predicted: bool = False
    reason: str | None = None
    type: Literal["detection"] = "detection"


@dataclass(frozen=True, slots=True, eq=False)
class MaskResult:
    """A mask over part of the picture.

    Attributes
    ----------
    mask : ndarray of bool, shape (h, w), or None
        None means lost, and ``reason`` says why.
    origin_px : tuple of int
        (x, y) [px] of the mask's first pixel in the source picture.
    """

    label: str
    mask: NDArray[np.bool_] | None
    origin_px: tuple[int, int]
    score: float
    certainty: Certainty = Certainty.SURE
    reason: str | None = None
    type: Literal["mask"] = "mask"


@dataclass(frozen=True, slots=True)
class ClassResult:
    """One yes/no finding on the whole region; ``value`` None means that the plugin abstains."""

    label: str
    value: bool | None
    probability: float
    reason: str | None = None
    type: Literal["class"] = "class"


@dataclass(frozen=True, slots=True, eq=False)
class HeatMap:
    """Where in the picture the evidence for a finding lies; a map of cells over a box.

    Attributes
    ----------
    label : str
        The finding it belongs to, as in its `ClassResult`.
    values : ndarray of float32, shape (h, w), or None
        0..1; 0.5 speaks neither for nor against the finding. None means withheld, and ``reason`` says why.
    box_px : tuple of float
        [x0, y0, w, h] [px], the outer edges of the cells.
    """

    label: str
    values: NDArray[np.float32] | None
    box_px: Box
    reason: str | None = None
    type: Literal["heatmap"] = "heatmap"


@dataclass(frozen=True, slots=True)
class Measure:
    """A figure that stands beside the picture.

    Attributes
    ----------
    value : float or None
        None means that it is not known, and ``reason`` says why.
    unit : str
        "mm", "px" or another short unit.
    doubt : float or None
        Its standard error, in its unit; None where nobody has stated one.
    basis : str
        What it is measured or calculated from, in a few words.
    """

    label: str
    value: float | None
    unit: str
    doubt: float | None = None
    basis: str = ""
    reason: str | None = None
    type: Literal["measure"] = "measure"


Result = Point | Line | Detection | MaskResult | ClassResult | HeatMap | Measure


@dataclass(frozen=True, slots=True)
class PluginOutput:
    """All that one plugin says about one frame.

    Attributes
    ----------
    frame_id : int
        The frame the results were computed from; older than the analysis's frame when carried forward.
    frame_t_ns : int
        Arrival [ns] of the frame the results were computed from, so that a carried result knows its age.
    model : str
        Identity of the model, "tip-ut 0.1"; empty where no model is used.
    elapsed_ns : int
        Time the plugin took [ns].
    fault : str or None
        A plain phrase when the plugin failed on this frame; results are then empty.
    frame_key : FrameKey or None
        Key of the frame the results were computed from; files store it where the results were carried forward.
    """

    plugin_id: str
    frame_id: int
    results: tuple[Result, ...] = ()
    flags: frozenset[Flag] = frozenset()
    frame_t_ns: int = 0
    elapsed_ns: int = 0
    model: str = ""
    model_sha256: str = ""
    fault: str | None = None
    frame_key: FrameKey | None = None


def flags_of_frame(frame: Frame) -> set[Flag]:
    """What is known of a frame before any plugin has seen it, so that a raw picture says it too."""
    flags: set[Flag] = set()
    if frame.source.simulated:
        flags.add(Flag.SIMULATED)
    if frame.geometry.calibration is None:
        flags.add(Flag.UNCALIBRATED)
    if frame.skipped:
        flags.add(Flag.FRAMES_SKIPPED)
    return flags


@dataclass(frozen=True, slots=True, eq=False)
class Analysis:
    """A frame with everything the plugins said about it, so that picture and overlay cannot part.

    Attributes
    ----------
    t_done_ns : int
        Monotonic time at which the last plugin finished [ns].
    timings_ns : tuple of (str, int)
        Named stages and their duration [ns], e.g. ("needle-tip", 3100000).
    target : TargetFix or None
        Where the chosen tissue is on this very frame; None where none was chosen or nobody follows it.
    """

    frame: Frame
    outputs: tuple[PluginOutput, ...] = ()
    flags: frozenset[Flag] = frozenset()
    t_done_ns: int = 0
    timings_ns: tuple[tuple[str, int], ...] = field(default=())
    target: TargetFix | None = None

    def output(self, plugin_id: str) -> PluginOutput | None:
        """Return the output of one plugin, or None where it did not run."""
        return next((o for o in self.outputs if o.plugin_id == plugin_id), None)
