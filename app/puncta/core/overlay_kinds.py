"""What an overlay is made of, as pure data: items over the picture, chips beside it, the viewer's choice, the scene.

Places are in source-image pixels, widths in display points, colours by a token's name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from puncta.core.frame import FrameKey
from puncta.core.geometry import PointPx
from puncta.core.readings import ReadOut
from puncta.core.results import Box


class Layer(StrEnum):
    """Layers in default order, lowest first. Each has visibility and opacity in the style."""

    HEAT_MAP = "heat map"
    MASK = "needle mask"
    PATH = "path"
    THROW = "throw"
    TIP = "tip"
    TARGET = "target"


class Dash(StrEnum):
    """Line patterns; shape says what colour says."""

    SOLID = "solid"
    DASHED = "dashed"
    DOTTED = "dotted"


@dataclass(frozen=True, slots=True)
class Stroke:
    """A line through points [px]; ``width_pt`` in display points; ``colour`` is a token's name."""

    layer: Layer
    points_px: tuple[PointPx, ...]
    colour: str
    width_pt: float = 2.0
    dash: Dash = Dash.SOLID
    opacity: float = 1.0


@dataclass(frozen=True, slots=True)
class Ring:
    """A circle [px]; in pixels of x, since the picture is shown with square pixels."""

    layer: Layer
    centre_px: PointPx
    radius_px: float
    colour: str
    width_pt: float = 1.6
    dash: Dash = Dash.SOLID
    opacity: float = 1.0


@dataclass(frozen=True, slots=True)
class Area:
    """A translucent polygon without an outline [px]: where something may be, in one glance."""

    layer: Layer
    points_px: tuple[PointPx, ...]
    colour: str
    fill_opacity: float = 0.12
    opacity: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Fill:
    """A translucent mask with an outline; ``mask`` bool (h, w), its first pixel at ``origin_px``."""

    layer: Layer
    mask: NDArray[np.bool_]
    origin_px: tuple[int, int]
    colour: str
    fill_opacity: float = 0.3
    opacity: float = 1.0
    dash: Dash = Dash.SOLID


@dataclass(frozen=True, slots=True)
class Label:
    """Short text near a point [px], shifted away from ``avoid_px`` so that it never covers the tip."""

    layer: Layer
    text: str
    at_px: PointPx
    avoid_px: PointPx
    colour: str
    opacity: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Heat:
    """A map of evidence over a box [px]: the stronger, the more opaque; ``values`` float32 (h, w), 0.5 is neutral."""

    layer: Layer
    values: NDArray[np.float32]
    box_px: Box
    colour: str
    opacity: float = 1.0


OverlayItem = Stroke | Ring | Area | Fill | Label | Heat


@dataclass(frozen=True, slots=True)
class Chip:
    """A fact in words with a shape: a flag or a finding.

    Attributes
    ----------
    figure : str
        Confidence of a finding, where it has one.
    finding : bool
        A finding of a plugin, which its card shows too.
    advice : bool
        It follows from findings, and is worded as training feedback.
    dim : bool
        It is of an older frame.
    """

    text: str
    tone: str
    shape: str
    figure: str = ""
    finding: bool = False
    advice: bool = False
    dim: bool = False

    def words(self) -> str:
        """Text and figure in one line."""
        return f"{self.text} {self.figure}".rstrip()


@dataclass(frozen=True, slots=True)
class OverlayStyle:
    """What the viewer chose.

    Attributes
    ----------
    visible, opacity : mapping of Layer
        Missing layers are visible at 1.
    order : tuple of Layer
        Lowest first.
    target_px : point or None
        The chosen target [px].
    """

    visible: Mapping[Layer, bool] = field(default_factory=dict)
    opacity: Mapping[Layer, float] = field(default_factory=dict)
    order: tuple[Layer, ...] = tuple(Layer)
    target_px: PointPx | None = None
    show_confidence: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class OverlayScene:
    """All that is drawn for one frame; it carries the frame's key, so that it can be proved to belong to it."""

    key: FrameKey
    epoch: int
    frame_id: int
    items: tuple[OverlayItem, ...] = ()
    read_outs: tuple[ReadOut, ...] = ()
    chips: tuple[Chip, ...] = ()
