"""Watches an attempt, from first skin contact to "done": what the needle enters, hits and reaches."""

from __future__ import annotations

import math
from dataclasses import replace

from puncta.formats.attempt import AttemptEvent, AttemptRecord, AttemptSummary
from puncta.sim.controls import STILL, Controls
from puncta.sim.deform import Deformation
from puncta.sim.frame_view import Displacement
from puncta.sim.pose import NeedlePose, SceneState
from puncta.sim.probing import fluid_at, kind_at, rest_of
from puncta.sim.puncture import HOLLOW, THECAL
from puncta.sim.subject import PointMm, Subject
from puncta.sim.tissue_kinds import FACTS, Tissue

STEP_MM = 0.2
"""Tissue is looked up this close along the tip's path [mm]."""
BONE_AHEAD_MM = 0.6
"""A tip stops this far before bone at most [mm]."""
AGAIN_MM = 1.5
"""A structure is hit again when the tip was away from it for this way [mm]."""
LEAVE_MM = 0.5
"""The target is left when the tip is this far outside it [mm]."""
TURN_MM = 2.0
"""Going back this far counts as a withdrawal [mm]."""
SOFT_SNAP_MM = 0.15
"""Tenting below this gives way without a pop [mm]."""
JUST_MM = 0.3
"""A layer entered less than this ago is the one that gave way [mm]."""
BEHIND = {Tissue.VEIN: HOLLOW, Tissue.ARTERY: HOLLOW, Tissue.CSF: THECAL}
"""Spaces with a far wall, and what still belongs to them."""


class AttemptLog:
    """Events and figures of one attempt; give it every frame, in order.

    Attributes
    ----------
    events : list of AttemptEvent
    started, done : bool
        The needle touched the skin; the trainee declared the end (nothing is watched after it).
    tissue : Tissue or None
        Where the tip is; None while it is outside.
    distance_mm : float or None
        Of the tip from the target's centre [mm]; None while the needle is outside.
    in_target, reached : bool
        The tip is, and was, in the target.
    """

    def __init__(self, subject: Subject, deformation: Displacement | None = None) -> None:
        self.subject = subject
        self.deformation: Displacement = deformation or Deformation(subject)
        self.events: list[AttemptEvent] = []
        self.started = self.done = self.in_target = self.reached = False
        self.tissue: Tissue | None = None
        self.distance_mm: float | None = None
        self._target_group = next((BEHIND[k] for k in BEHIND if k in subject.target.inside), None)
        self._was_within = False
        self._start_ns = self._last_ns = 0
        self._reached_ns: int | None = None
        self._last_index = 0
        self._tip: PointMm | None = None
        self._way = 0.0
        self._tent = 0.0
        self._met: set[Tissue] = set()
        self._since = 0.0
        self._away: dict[Tissue, float] = {}
        self._nearest: float | None = None
        self._path = self._deepest = 0.0
        self._turn_top = 0.0
        self._turned = False
        self._insertions = self._withdrawals = self._shots = 0
        self._hits: dict[str, int] = {}
        self._injected: dict[str, float] = {}
        self._flow: int | None = None

    @property
    def shots(self) -> int:
        """Throws of the biopsy gun."""
        return self._shots

    @property
    def fluid_ml(self) -> float:
        """Fluid injected so far [ml]."""
        return sum(self._injected.values())

    @property
    def nearest_mm(self) -> float | None:
        """Smallest distance of the tip from the target's centre so far [mm]."""
        return self._nearest

    @property
    def seconds(self) -> float | None:
        """Since first skin contact [s], up to the end; None before it."""
        return (self._last_ns - self._start_ns) / 1e9 if self.started else None

    def step(
        self, index: int, t_ns: int, state: SceneState, controls: Controls = STILL, *,
        injected_ml: float | None = None, blocked: bool = False,
    ) -> tuple[AttemptEvent, ...]:
        """Watch one frame; returns what happened on it.

        Parameters
        ----------
        controls : Controls
            Of this frame; ``done`` ends the attempt.
        injected_ml : float or None
            Fluid that really left the needle, as hands know it; None takes the controls' word.
        blocked : bool
            Hands felt bone.
        """
        if self.done:
            return ()
        first = len(self.events)
        self._last_index = index
        if self.started:
            self._last_ns = t_ns
        needle = state.needle
        if needle is not None and needle.way_mm > 0:
            self._watch(index, t_ns, state, needle, controls, injected_ml, blocked)
        elif self._tip is not None:
            self._leave_skin(index, t_ns)
        if controls.done:
            self.done = True
            self._note("done", index, t_ns, needle)
        return tuple(self.events[first:])

    def summary(self) -> AttemptSummary:
        """Figures so far."""
        reached_s = None if self._reached_ns is None else (self._reached_ns - self._start_ns) / 1e9
        return AttemptSummary(
            seconds=self.seconds, seconds_to_target=reached_s, reached=self.reached, end_in_target=self.in_target,
            nearest_mm=self._nearest, end_distance_mm=self.distance_mm, path_mm=self._path, deepest_mm=self._deepest,
            insertions=self._insertions, withdrawals=self._withdrawals, shots=self._shots, hits=dict(self._hits),
            injected_ml=dict(self._injected),
        )

    def record(self, stream: str, machine: str) -> AttemptRecord:
        """The attempt as it is stored; ``stream`` names the picture it belongs to."""
        s, target = self.subject, self.subject.target
        return AttemptRecord(stream, s.procedure, machine, s.seed, target.name, target.centre_mm, target.radius_mm,
                             self.done, tuple(self.events), self.summary())

    def _watch(self, index: int, t_ns: int, state: SceneState, needle: NeedlePose, controls: Controls,
               injected_ml: float | None, blocked: bool) -> None:
        if not self.started:
            self.started, self._start_ns, self._last_ns = True, t_ns, t_ns
            self._note("contact", index, t_ns, needle)
        fresh = self._tip is None
        if fresh:
            self._insertions += 1
            self._met, self._turn_top = set(), 0.0
        x, y, z = rest_of(self.deformation, state, *needle.tip_mm)
        tip: PointMm = (float(x), float(y), float(z))
        if state.fired:
            self._shots += 1
            self._note("fired", index, t_ns, needle, tip=tip)
        snapped = self._tent >= SOFT_SNAP_MM and state.tent_mm < 0.3 * self._tent and needle.way_mm > self._way
        before = self._tip if self._tip is not None else needle.entry_mm
        if state.tent_mm > 0.05:
            # The tip pushes tissue along without having entered it; what it passed is told when it gives way.
            tip = before
        else:
            self._pass(index, t_ns, state, needle, before, tip, snapped)
        self._look_for_bone(index, t_ns, needle, tip, blocked)
        self._measure(index, t_ns, needle, before, tip)
        self._take_fluid(index, t_ns, needle, tip, controls.inject_ml if injected_ml is None else injected_ml)
        self._count_turns(needle.way_mm)
        self._tip, self._way, self._tent = tip, needle.way_mm, state.tent_mm
        self._deepest = max(self._deepest, needle.way_mm)

    def _pass(self, index: int, t_ns: int, state: SceneState, needle: NeedlePose, before: PointMm, tip: PointMm,
              snapped: bool) -> None:
        """Tell what the tip went through between two frames, kind by kind."""
        length = math.dist(before, tip)
        count = max(1, math.ceil(length / STEP_MM))
        inwards = needle.way_mm >= self._way
        popped = snapped
        if popped and self.tissue is not None and self._since < JUST_MM and FACTS[self.tissue].pop_mm > 0:
            popped = False  # by a hair the tip lay in the layer already
            self._note("pop", index, t_ns, needle, self.tissue, tip=before)
        for k in range(1, count + 1):
            at = _between(before, tip, k / count)
            kind = kind_at(self.subject, at)
            self._since += length / count
            for other in self._away:
                self._away[other] += length / count
            if kind is self.tissue or kind is Tissue.OUTSIDE:
                if kind in self._away:
                    self._away[kind] = 0.0
                continue
            self.tissue, self._since = kind, 0.0
            if popped and FACTS[kind].pop_mm > 0:
                popped = False
                self._note("pop", index, t_ns, needle, kind, tip=at)
            if inwards and kind not in self._met:
                self._met.add(kind)
                self._note("enter", index, t_ns, needle, kind, tip=at)
            if kind in self.subject.forbidden:
                self._hit(index, t_ns, needle, kind, at)
            self._watch_far_wall(index, t_ns, needle, kind, at, inwards)
        if popped:  # a wall too thin to be in the block
            self._note("pop", index, t_ns, needle, self.tissue, tip=tip)
        if state.boluses and float(fluid_at(state, *needle.tip_mm)) > 0.5:
            self.tissue = Tissue.FLUID

    def _watch_far_wall(self, index: int, t_ns: int, needle: NeedlePose, kind: Tissue, at: PointMm,
                        inwards: bool) -> None:
        group = self._target_group
        if group is None:
            return
        if kind in self.subject.target.inside:
            self._was_within = True
        elif kind not in group:
            if self._was_within and inwards:
                inside = next(k for k in BEHIND if k in self.subject.target.inside)
                self._note("through", index, t_ns, needle, inside, bad=True, tip=at)
            self._was_within = False

    def _look_for_bone(self, index: int, t_ns: int, needle: NeedlePose, tip: PointMm, blocked: bool) -> None:
        if needle.way_mm < self._way:
            return
        flat = BONE_AHEAD_MM * math.cos(needle.angle_rad)
        ahead = (tip[0] + flat * math.cos(needle.azimuth_rad), tip[1] + flat * math.sin(needle.azimuth_rad),
                 tip[2] + BONE_AHEAD_MM * math.sin(needle.angle_rad))
        if blocked or kind_at(self.subject, ahead) is Tissue.BONE:
            self._hit(index, t_ns, needle, Tissue.BONE, tip)

    def _hit(self, index: int, t_ns: int, needle: NeedlePose, kind: Tissue, at: PointMm) -> None:
        again = self._away.get(kind)
        self._away[kind] = 0.0
        if again is not None and again < AGAIN_MM:
            return
        name = _name(kind)
        self._hits[name] = self._hits.get(name, 0) + 1
        self._note("hit", index, t_ns, needle, kind, bad=kind in self.subject.forbidden, tip=at)

    def _measure(self, index: int, t_ns: int, needle: NeedlePose, before: PointMm, tip: PointMm) -> None:
        """Distances; a fast throw counts as having been wherever it passed."""
        target = self.subject.target
        self._path += math.dist(before, tip)
        self.distance_mm = math.dist(tip, target.centre_mm)
        hit_at: PointMm | None = None
        count = max(1, math.ceil(math.dist(before, tip) / (2 * STEP_MM)))
        for k in range(1, count + 1):
            at = _between(before, tip, k / count)
            distance = math.dist(at, target.centre_mm)
            if self._nearest is None or distance < self._nearest:
                self._nearest = distance
            if hit_at is None and distance <= target.radius_mm and self._counts(kind_at(self.subject, at)):
                hit_at = at
        if hit_at is not None and not self.in_target:
            self.reached = True
            if self._reached_ns is None:
                self._reached_ns = t_ns
            self.in_target = True
            self._note("target", index, t_ns, needle, kind_at(self.subject, hit_at), tip=hit_at)
        inside = self.distance_mm <= target.radius_mm and self._counts(kind_at(self.subject, tip))
        gone = self.distance_mm > target.radius_mm + LEAVE_MM or not self._counts(kind_at(self.subject, tip))
        if self.in_target and not inside and gone:
            self.in_target = False
            self._note("target-left", index, t_ns, needle, tip=tip)

    def _counts(self, kind: Tissue) -> bool:
        return not self.subject.target.inside or kind in self.subject.target.inside

    def _take_fluid(self, index: int, t_ns: int, needle: NeedlePose, tip: PointMm, ml: float) -> None:
        if ml <= 0:
            self._flow = None
            return
        name = _name(kind_at(self.subject, tip))
        self._injected[name] = self._injected.get(name, 0.0) + ml
        if self._flow is not None and self.events[self._flow].tissue == name:
            event = self.events[self._flow]
            self.events[self._flow] = replace(event, ml=(event.ml or 0.0) + ml)
            return
        bad = Tissue[name.upper().replace(" ", "_")] in self.subject.forbidden
        self._flow = len(self.events)
        self.events.append(AttemptEvent("injected", index, t_ns, name, bad, tip, needle.way_mm, ml))

    def _count_turns(self, way_mm: float) -> None:
        """Count going back, once for each time."""
        if way_mm > self._turn_top or (self._turned and way_mm > self._way):
            self._turn_top, self._turned = way_mm, False
        elif not self._turned and way_mm < self._turn_top - TURN_MM:
            self._withdrawals += 1
            self._turned = True

    def _leave_skin(self, index: int, t_ns: int) -> None:
        if not self._turned and self._turn_top > 0:
            self._withdrawals += 1
        self._note("withdrawn", index, t_ns, None)
        if self.in_target:
            self.in_target = False
        self._tip, self.tissue, self.distance_mm, self._flow = None, None, None, None
        self._way = self._tent = self._turn_top = 0.0
        self._turned = self._was_within = False
        self._away = dict.fromkeys(self._away, AGAIN_MM)

    def _note(self, what: str, index: int, t_ns: int, needle: NeedlePose | None, kind: Tissue | None = None, *,
              bad: bool = False, tip: PointMm | None = None) -> None:
        way = None if needle is None else needle.way_mm
        self.events.append(AttemptEvent(what, index, t_ns, None if kind is None else _name(kind), bad,
                                        tip if tip is not None else self._tip, way))


def _name(kind: Tissue) -> str:
    return kind.name.lower().replace("_", " ")


def _between(a: PointMm, b: PointMm, share: float) -> PointMm:
    return (a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1]), a[2] + share * (b[2] - a[2]))
