"""The hand on the picture in Annotate: what a press, a drag and a letting-go mean with the thing in hand."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import Qt

from puncta.annotation.commands import draw
from puncta.annotation.labels import (
    BoxLabel,
    LineLabel,
    MaskLabel,
    PolygonLabel,
    Slot,
    State,
    TipLabel,
    Value,
    mask_label,
    mask_of,
    mask_of_rings,
    mask_of_stroke,
)
from puncta.core.frame import Frame, grey_from_pixels
from puncta.core.geometry import PointPx
from puncta.gui.annotate.drafts import AnyDraft, BrushDraft, DragDraft, NeedleDraft, PolygonDraft, TipDraft
from puncta.gui.annotate.label_desk import joined
from puncta.gui.annotate.things import Shape
from puncta.gui.i18n import tr
from puncta.imaging.needle_pose import NeedlePose, at_edge, reaching_edge, snap_pose
from puncta.session.between_keys import TIP, needle_values

if TYPE_CHECKING:
    from puncta.gui.annotate.annotator import Annotator

GRAB_PT = 10.0
"""An end this near to the press is taken in hand [display points]."""
BESIDE_PT = 4.0
"""A press so near beside the picture means its edge, where needles come in [display points]."""


class LabelHands:
    """Draws with the mouse. Whatever is drawn belongs to the frame on which the button went down."""

    def __init__(self, annotator: Annotator) -> None:
        self._annotator = annotator
        self.draft: AnyDraft | None = None
        self.snaps = True
        self._frame: Frame | None = None

    # --- the mouse, as `VideoView` asks for it -----------------------------------------------------------------

    def press(self, point_px: PointPx, button: Qt.MouseButton) -> bool:
        """A button went down; False leaves it to the view, which pans."""
        annotator = self._annotator
        analysis = annotator.view.analysis
        thing, shape = annotator.thing, annotator.shape
        if analysis is None or annotator.desk.board is None or thing is None or shape is None:
            return False
        if button not in {Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton}:
            return False
        height, width = analysis.frame.pixels.shape[:2]
        reach = 0.5 + BESIDE_PT / max(1e-6, annotator.scale())
        if not (-reach <= point_px[0] <= width - 1 + reach and -reach <= point_px[1] <= height - 1 + reach):
            return False
        annotator.hold_picture()
        if isinstance(self.draft, PolygonDraft):
            return self._next_corner(point_px, button)
        if button is Qt.MouseButton.RightButton and shape is not Shape.BRUSH:
            return False
        self._frame = analysis.frame
        self.draft = self._begin(self._inside(point_px), erase=button is Qt.MouseButton.RightButton)
        annotator.redraw()
        return True

    def move(self, point_px: PointPx, _modifiers: Qt.KeyboardModifier) -> bool:
        """The mouse moved."""
        self._annotator.look_at(point_px)
        if self.draft is None:
            return False
        self.draft.move(self._inside(point_px))
        self._annotator.redraw()
        return not isinstance(self.draft, PolygonDraft)

    def release(self) -> bool:
        """The button went up."""
        draft = self.draft
        if draft is None or isinstance(draft, PolygonDraft):
            return False
        self.draft = None
        self._commit(draft)
        self._annotator.redraw()
        return True

    def wheel(self, _notches: float) -> bool:
        """The wheel magnifies, as everywhere."""
        return False

    def put_down(self) -> bool:
        """Forget what is being drawn; whether there was something."""
        held, self.draft = self.draft is not None, None
        if held:
            self._annotator.redraw()
        return held

    def close_polygon(self) -> bool:
        """End the polygon under way; whether there was one."""
        draft = self.draft
        if not isinstance(draft, PolygonDraft):
            return False
        self.draft = None
        self._commit(draft)
        self._annotator.redraw()
        return True

    # --- beginning ---------------------------------------------------------------------------------------------

    def _begin(self, at: PointPx, *, erase: bool) -> AnyDraft:
        annotator = self._annotator
        thing, shape = annotator.thing, annotator.shape
        assert thing is not None and self._frame is not None
        if shape is Shape.POINT:
            return TipDraft(thing, at)
        if shape is Shape.NEEDLE:
            tip_name = TIP if TIP in annotator.names else ""
            held = self._grabbed(at)
            if held is not None:
                return NeedleDraft(thing, held[0], held[1], at, tip_name, held[0])
            return NeedleDraft(thing, NeedlePose(at, at, annotator.width_px()), "tip", at, tip_name)
        if shape is Shape.POLYGON:
            return PolygonDraft(thing, [at], at, self._frame.key.index)
        if shape is Shape.BRUSH:
            return BrushDraft(thing, annotator.brush_px(), erase, [at])
        return DragDraft(thing, shape or Shape.BOX, at, at)

    def _grabbed(self, at: PointPx) -> tuple[NeedlePose, str] | None:
        """The needle of this frame and the part of it under the hand."""
        annotator = self._annotator
        assert annotator.thing is not None and self._frame is not None and annotator.desk.board is not None
        pose = annotator.pose_on(self._frame.key.index)
        if pose is None:
            return None
        mask = annotator.desk.board.get(Slot(self._frame.key.index, annotator.thing.name))
        if pose.width_px <= 0 or mask is None or not mask.trusted:
            # A model's mask may be thinner than the needle; who fixes it has chosen the gauge.
            pose = NeedlePose(pose.tip_px, pose.entry_px, annotator.width_px())
        near = GRAB_PT / max(1e-6, annotator.scale())
        for part, end in (("tip", pose.tip_px), ("entry", pose.entry_px)):
            if math.dist(at, end) <= near:
                return pose, part
        (x, y), by = pose.direction, (at[0] - pose.tip_px[0], at[1] - pose.tip_px[1])
        along, across = by[0] * x + by[1] * y, abs(by[1] * x - by[0] * y)
        middle = 0.2 * pose.length_px <= along <= 0.8 * pose.length_px
        return (pose, "all") if middle and across <= max(near / 2, pose.width_px / 2) else None

    def _next_corner(self, at: PointPx, button: Qt.MouseButton) -> bool:
        draft = self.draft
        assert isinstance(draft, PolygonDraft)
        analysis = self._annotator.view.analysis
        if analysis is None or analysis.frame.key.index != draft.frame_index:
            self.put_down()
            return True
        if button is Qt.MouseButton.RightButton or draft.closes(at, 1.0 / max(1e-6, self._annotator.scale())):
            return self.close_polygon()
        draft.corners.append(self._inside(at))
        self._annotator.redraw()
        return True

    def _inside(self, at: PointPx) -> PointPx:
        if self._frame is None:
            return at
        height, width = self._frame.pixels.shape[:2]
        return (min(max(at[0], -0.5), width - 0.5), min(max(at[1], -0.5), height - 0.5))

    # --- what was drawn ----------------------------------------------------------------------------------------

    def _commit(self, draft: AnyDraft) -> None:
        frame, board = self._frame, self._annotator.desk.board
        if frame is None or board is None:
            return
        values = self._values(draft, frame)
        key = self._annotator.desk.key_of(frame.key.index, frame)
        title = draft.thing.title
        commands = [draw(board, name, key, value) for name, value in values.items()]
        if self._annotator.desk.do(joined(title, commands, key.index)):
            self._annotator.help.drawn(set(values))

    def _values(self, draft: AnyDraft, frame: Frame) -> dict[str, Value]:
        """Labels by name of what was drawn; empty where it was a slip of the hand."""
        size = (frame.pixels.shape[0], frame.pixels.shape[1])
        name = draft.thing.name
        if isinstance(draft, TipDraft):
            return {name: TipLabel(draft.at)}
        if isinstance(draft, NeedleDraft):
            return self._needle(draft, frame, size) if draft.worth else {}
        if isinstance(draft, PolygonDraft):
            if not draft.worth:
                return {}
            if mask_of_rings((draft.corners,), size).any():
                return {name: PolygonLabel(size, (tuple(draft.corners),))}
            return {}
        if isinstance(draft, BrushDraft):
            return self._brushed(draft, frame.key.index, size)
        if not draft.worth:
            return {}
        if draft.shape is Shape.BOX:
            return {name: BoxLabel(draft.box)}
        return {name: LineLabel(draft.begin, draft.end)}

    def _needle(self, draft: NeedleDraft, frame: Frame, size: tuple[int, int]) -> dict[str, Value]:
        pose, region = draft.pose, frame.geometry.region.box
        if at_edge(pose.entry_px, region):
            pose = reaching_edge(pose, region)
        if self.snaps:
            pose = snap_pose(grey_from_pixels(frame.pixels), pose, region)
        return needle_values(pose, size, self._annotator.names)

    def _brushed(self, draft: BrushDraft, index: int, size: tuple[int, int]) -> dict[str, Value]:
        board = self._annotator.desk.board
        assert board is not None
        there = np.zeros(size, bool)
        for label in board.on_frame(index):
            shown = label.name == draft.thing.name and label.state is not State.REJECTED
            if shown and isinstance(label.value, MaskLabel | PolygonLabel):
                there |= mask_of(label.value)
        stroke = mask_of_stroke(draft.points, draft.width_px, size)
        mask = there & ~stroke if draft.takes else there | stroke
        if not mask.any():
            self._annotator.say(tr("Nothing of the mask is left. Say that it is not visible, or take it back."))
            return {}
        return {draft.thing.name: mask_label(mask)}
