"""A needle's tip against tissue: resistance, tenting before tough layers and the snap on giving way, bone, friction."""

from __future__ import annotations

import math
from collections.abc import Callable

from puncta.sim.pose import NeedlePose
from puncta.sim.probing import kind_at
from puncta.sim.subject import PointMm, Subject
from puncta.sim.tissue_kinds import FACTS, Tissue

STEP_MM = 0.2
"""The tip looks this far ahead at a time [mm]."""
DRAG_AT_TIP = 0.7
"""Share of the shaft's drag that tissue at the tip follows (`Deformation`)."""
HOLD_S = 1.4
"""Dragged tissue creeps back with this time [s]."""
SNAP_LEFT = 0.2
"""Share of the drag that is left after a layer gave way."""
HOLLOW = frozenset({Tissue.ARTERY, Tissue.VEIN, Tissue.VESSEL_WALL})
THECAL = frozenset({Tissue.CSF, Tissue.CORD, Tissue.CAUDA_EQUINA, Tissue.DURA})


class Puncture:
    """Advances one tip through a subject.

    Attributes
    ----------
    kind : Tissue
        What the tip is in.
    tent_mm : float
        How far the layer ahead is pushed in [mm].
    drag_mm : float
        How far tissue at the shaft is carried along the axis [mm].
    blocked : bool
        Bone stopped the last push.
    """

    def __init__(self, subject: Subject, gauge_mm: float) -> None:
        self.subject = subject
        self.thickness = 0.55 + 0.4 * gauge_mm  # thick needles tent more before they cut in
        self.slack_mm = 0.35 + 0.35 * gauge_mm
        self.kind = Tissue.OUTSIDE
        self.layer: Tissue | None = None
        self.tent_mm = 0.0
        self.drag_mm = 0.0
        self.blocked = False

    def move(self, pose_at: Callable[[float], NeedlePose], way_mm: float, by_mm: float,
             shift_mm: tuple[float, float] = (0.0, 0.0), *, sharp: bool = False) -> float:
        """Move the tip along its axis; returns the new way [mm].

        Parameters
        ----------
        pose_at : callable
            The needle at a way [mm].
        by_mm : float
            What the hand wants [mm]; tissue resists, so the needle may go less far.
        shift_mm : (x, z)
            How far the tissue at the tip is displaced by all but this needle [mm].
        sharp : bool
            A gun's throw: neither resistance nor tenting, only bone stops it.
        """
        self.blocked = False
        left = by_mm
        while abs(left) > 1e-9:
            hand = math.copysign(min(abs(left), STEP_MM), left)
            left -= hand
            step = hand if sharp or hand < 0 or way_mm < 0 else hand / FACTS[self.kind].drag
            if step < 0:
                way_mm = self._withdraw(pose_at, way_mm, step, shift_mm)
            elif FACTS[self._kind(pose_at(way_mm + step + STEP_MM), shift_mm)].solid:
                self.blocked = True
                break
            else:
                way_mm += step
                self._advance(pose_at, way_mm, step, shift_mm, sharp)
            self._grip(step)
        return way_mm

    def relax(self, dt_s: float) -> None:
        """Let dragged tissue creep back for a time [s]."""
        self.drag_mm *= math.exp(-dt_s / HOLD_S)

    def solid_at(self, pose: NeedlePose, shift_mm: tuple[float, float]) -> bool:
        """Tell whether a pose's tip would lie in bone."""
        return FACTS[self._kind(pose, shift_mm)].solid

    def place(self, pose: NeedlePose, shift_mm: tuple[float, float]) -> PointMm:
        """Where the tissue at the tip lies at rest [mm]."""
        x, y, z = pose.tip_mm
        pull = DRAG_AT_TIP * self.drag_mm
        flat = pull * math.cos(pose.angle_rad)
        return (x - shift_mm[0] - flat * math.cos(pose.azimuth_rad), y,
                z - shift_mm[1] - pull * math.sin(pose.angle_rad))

    def _kind(self, pose: NeedlePose, shift_mm: tuple[float, float]) -> Tissue:
        return Tissue.OUTSIDE if pose.way_mm <= 0 else kind_at(self.subject, self.place(pose, shift_mm))

    def _advance(self, pose_at: Callable[[float], NeedlePose], way_mm: float, step: float,
                 shift_mm: tuple[float, float], sharp: bool) -> None:
        if self.layer is not None:
            self.tent_mm += step
            if sharp or self.tent_mm >= self._pop_mm(self.layer):
                self.layer, self.tent_mm = None, 0.0
                self.drag_mm *= SNAP_LEFT
                self.kind = self._kind(pose_at(way_mm), shift_mm)
            return
        ahead = self._kind(pose_at(way_mm), shift_mm)
        if ahead is self.kind:
            return
        if not sharp and self._pop_mm(ahead) > 0:
            self.layer, self.tent_mm = ahead, step
        else:
            self.kind = ahead

    def _withdraw(self, pose_at: Callable[[float], NeedlePose], way_mm: float, step: float,
                  shift_mm: tuple[float, float]) -> float:
        way_mm += step
        if self.layer is not None:
            self.tent_mm = max(0.0, self.tent_mm + step)
            if self.tent_mm == 0.0:
                self.layer = None
        if self.layer is None:
            self.kind = self._kind(pose_at(way_mm), shift_mm)
        if way_mm <= 0:
            self.layer, self.tent_mm, self.drag_mm = None, 0.0, 0.0
        return way_mm

    def _pop_mm(self, kind: Tissue) -> float:
        """How far a layer tents before it gives way [mm]."""
        pop = FACTS[kind].pop_mm
        if kind in (Tissue.ARTERY, Tissue.VEIN) and self.kind not in HOLLOW:
            pop = FACTS[Tissue.VESSEL_WALL].pop_mm  # a wall too thin to be painted still tents
        elif kind is Tissue.CSF and self.kind not in THECAL:
            pop = FACTS[Tissue.DURA].pop_mm
        return pop * self.thickness

    def _grip(self, step: float) -> None:
        self.drag_mm += FACTS[self.kind].grip * step
        if abs(self.drag_mm) > self.slack_mm:
            self.drag_mm = 0.35 * math.copysign(self.slack_mm, self.drag_mm)
