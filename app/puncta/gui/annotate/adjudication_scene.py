"""Two readings of a frame over the picture: one solid and blue, the other dashed and orange, tips as + and as x."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from puncta.annotation.labels import BoxLabel, Label, LineLabel, MaskLabel, PolygonLabel, TipLabel
from puncta.core.geometry import PointPx
from puncta.core.overlay import Dash, Fill, Layer, OverlayItem, Ring, Stroke
from puncta.gui.annotate.scene import CROSS_PT, GAP_PT, LAYERS, box_stroke, cross

A_TOKEN, B_TOKEN, CONSENSUS_TOKEN = "accent", "caution", "good"
A_MARK, B_MARK = "circle", "diamond"
"""Shapes of the two readers wherever they are named, so that colour alone never tells."""
DONE_OPACITY = 0.35
"""What has an answer steps back behind it."""
RING_PT = 7.0

Masks = Callable[[MaskLabel | PolygonLabel], tuple[NDArray[np.bool_], tuple[int, int]]]


class Shown(StrEnum):
    """Whose labels lie over the picture."""

    BOTH = "both"
    A = "a"
    B = "b"


def reading_items(
    labels: Sequence[Label], first: bool, point: float, mask_of: Masks, settled: frozenset[str]
) -> list[OverlayItem]:
    """Return one reader's labels of a frame.

    Parameters
    ----------
    first : bool
        Reader A, else B.
    point : float
        A display point in source pixels.
    mask_of : callable
        Mask cut to its box, and its first pixel.
    settled : frozenset of str
        Categories that have an answer.
    """
    token = A_TOKEN if first else B_TOKEN
    dash = Dash.SOLID if first else Dash.DASHED
    masked = {label.slot.category for label in labels if isinstance(label.value, MaskLabel | PolygonLabel)}
    items: list[OverlayItem] = []
    for label in sorted(labels, key=lambda a: isinstance(a.value, TipLabel)):
        category, value = label.slot.category, label.value
        opacity = DONE_OPACITY if category in settled else 1.0
        layer = LAYERS.get(category, Layer.MASK)
        if isinstance(value, MaskLabel | PolygonLabel):
            mask, origin = mask_of(value)
            if mask.size:
                items.append(Fill(layer, mask, origin, token, 0.14 if first else 0.0, opacity, dash))
        elif isinstance(value, LineLabel):
            if category not in masked:
                items.append(Stroke(layer, (value.entry_px, value.tip_px), token, 2.0, dash, opacity))
        elif isinstance(value, TipLabel):
            items += cross(value.tip_px, token, point, Dash.SOLID, opacity) if first else []
            items += [] if first else _saltire(value.tip_px, token, point, opacity)
            items.append(Ring(Layer.TIP, value.tip_px, RING_PT * point, token, 1.4, dash, opacity))
        elif isinstance(value, BoxLabel):
            items.append(box_stroke(value.box, token, dash, opacity, layer))
    return items


def _saltire(at: PointPx, token: str, point: float, opacity: float) -> list[OverlayItem]:
    """A cross that stands on its feet, with an open middle."""
    near, far = GAP_PT * point * 0.7, CROSS_PT * point * 0.8
    return [
        Stroke(
            Layer.TIP,
            ((at[0] + x * near, at[1] + y * near), (at[0] + x * far, at[1] + y * far)),
            token,
            2.0,
            Dash.SOLID,
            opacity,
        )
        for x in (-1, 1)
        for y in (-1, 1)
    ]
