"""The labels of a frame as overlay: solid what is confirmed, dashed what is proposed, dotted the frame before."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from puncta.annotation.labels import (
    BoxLabel,
    Label,
    LineLabel,
    MaskLabel,
    PolygonLabel,
    State,
    TipLabel,
    mask_of,
)
from puncta.core.geometry import PointPx
from puncta.core.last_seen import LostTip
from puncta.core.overlay import Dash, Fill, Layer, OverlayItem, OverlayScene, OverlayStyle, Ring, Stroke
from puncta.core.results import Analysis
from puncta.gui.annotate.label_desk import LabelDesk
from puncta.gui.annotate.things import TOKENS

KEPT_MASKS = 48
CROSS_PT, GAP_PT, HANDLE_PT = 11.0, 4.0, 4.5
PROPOSED_FILL, CONFIRMED_FILL, GHOST = 0.14, 0.28, 0.4
LAYERS = {"needle_tip": Layer.TIP, "needle": Layer.MASK, "target": Layer.TARGET}


class Draft(Protocol):
    """What the hand is drawing."""

    def items(self, point_px: float) -> Sequence[OverlayItem]:
        """Its overlay; ``point_px`` is a display point in source pixels."""
        ...

    @property
    def hides(self) -> frozenset[str]:
        """Names whose labels on the frame it stands for."""
        ...


class LabelScene:
    """Composes the overlay of Annotate; stands in for `compose` of a view.

    Parameters
    ----------
    desk : LabelDesk
    scale : callable
        Display points to a source pixel, as the view shows it now.
    draft : callable
        What the hand is drawing, or None.
    """

    def __init__(self, desk: LabelDesk, scale: Callable[[], float], draft: Callable[[], Draft | None]) -> None:
        self._desk, self._scale, self._draft = desk, scale, draft
        self.ghost = True
        self.handles_of: str | None = None
        """The category whose ends can be dragged: the one in hand."""
        self.own_token = ""
        """Colour of all own labels, where they have to be told from those of others; else each thing has its own."""
        self.readings: Callable[[int, float], Sequence[OverlayItem]] = lambda _index, _point: ()
        """What others say of a frame, where it is to be compared; it lies below one's own."""
        self._masks: OrderedDict[int, tuple[object, NDArray[np.bool_], tuple[int, int]]] = OrderedDict()

    def compose(
        self,
        analysis: Analysis,
        style: OverlayStyle | None = None,
        _now_ns: int | None = None,
        _lost: Sequence[LostTip] = (),
    ) -> OverlayScene:
        """Return the labels of this very frame."""
        frame, board = analysis.frame, self._desk.board
        index = frame.key.index
        items: list[OverlayItem] = []
        point = 1.0 / max(1e-6, self._scale())
        draft = self._draft()
        if board is not None and self._desk.info is not None and frame.key.stream == self._desk.info.stream:
            hidden = draft.hides if draft is not None else frozenset()
            own = [a for a in board.on_frame(index) if a.state is not State.REJECTED and a.name not in hidden]
            others = self.readings(index, point)
            items += others
            if self.ghost and draft is None and index > 0 and not others:
                there = {label.slot.category for label in own}
                before = [a for a in board.on_frame(index - 1) if a.trusted and a.slot.category not in there]
                items += self._items(before, point, ghost=True)
            items += self._items(own, point)
        if draft is not None:
            items += draft.items(point)
        shown = style.visible if style is not None else {}
        kept = tuple(item for item in items if shown.get(item.layer, True))
        return OverlayScene(frame.key, frame.epoch, frame.frame_id, kept)

    def _items(self, labels: Sequence[Label], point: float, *, ghost: bool = False) -> list[OverlayItem]:
        items: list[OverlayItem] = []
        for label in sorted(labels, key=lambda a: isinstance(a.value, TipLabel)):
            category = label.slot.category
            dash = Dash.DOTTED if ghost else Dash.SOLID if label.trusted else Dash.DASHED
            opacity = GHOST if ghost else 1.0
            token, layer = self.own_token or TOKENS.get(category, "accent"), LAYERS.get(category, Layer.MASK)
            value = label.value
            if isinstance(value, MaskLabel | PolygonLabel):
                mask, origin = self.mask_at(value)
                if mask.size:
                    fill = 0.0 if ghost else CONFIRMED_FILL if label.trusted else PROPOSED_FILL
                    items.append(Fill(layer, mask, origin, token, fill, opacity, dash))
            elif isinstance(value, LineLabel):
                if ghost:
                    items.append(Stroke(layer, (value.entry_px, value.tip_px), token, 1.2, dash, opacity))
                elif category == self.handles_of:
                    items += handles((value.tip_px, value.entry_px), token, point, layer)
            elif isinstance(value, TipLabel):
                items += cross(value.tip_px, token, point, dash, opacity)
            elif isinstance(value, BoxLabel):
                items.append(box_stroke(value.box, token, dash, opacity, layer))
        return items

    def mask_at(self, value: MaskLabel | PolygonLabel) -> tuple[NDArray[np.bool_], tuple[int, int]]:
        """The mask, cut to its box; decoding takes longer than drawing, so the last ones are kept."""
        known = self._masks.get(id(value))
        if known is not None and known[0] is value:
            self._masks.move_to_end(id(value))
            return known[1], known[2]
        whole = mask_of(value)
        rows, columns = np.flatnonzero(whole.any(axis=1)), np.flatnonzero(whole.any(axis=0))
        if len(rows):
            cut = np.ascontiguousarray(whole[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
            found = (value, cut, (int(columns[0]), int(rows[0])))
        else:
            found = (value, np.zeros((0, 0), bool), (0, 0))
        self._masks[id(value)] = found
        while len(self._masks) > KEPT_MASKS:
            self._masks.popitem(last=False)
        return found[1], found[2]


def cross(at: PointPx, token: str, point: float, dash: Dash, opacity: float = 1.0) -> list[OverlayItem]:
    """A cross with an open middle, so that the tip itself stays to be seen."""
    far, near = CROSS_PT * point, GAP_PT * point
    arms = ((1, 0), (-1, 0), (0, 1), (0, -1))
    return [
        Stroke(
            Layer.TIP,
            ((at[0] + x * near, at[1] + y * near), (at[0] + x * far, at[1] + y * far)),
            token,
            2.0,
            Dash.SOLID if dash is Dash.DASHED else dash,
            opacity * (0.7 if dash is Dash.DASHED else 1.0),
        )
        for x, y in arms
    ]


def handles(ends: Sequence[PointPx], token: str, point: float, layer: Layer = Layer.PATH) -> list[OverlayItem]:
    """Small rings where something can be dragged."""
    return [Ring(layer, end, HANDLE_PT * point, token, 1.6) for end in ends]


def box_stroke(
    box: tuple[float, float, float, float], token: str, dash: Dash, opacity: float = 1.0, layer: Layer = Layer.MASK
) -> Stroke:
    """The outline of a box."""
    x, y, w, h = box
    return Stroke(layer, ((x, y), (x + w, y), (x + w, y + h), (x, y + h), (x, y)), token, 1.8, dash, opacity)
