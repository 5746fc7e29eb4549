"""What a steered frame tells the window: where probe, needle and target are, and how the attempt stands."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from puncta.core.errors import BugError
from puncta.sim.attempt import AttemptLog
from puncta.sim.cine import CineGenerator
from puncta.sim.controls import Controls
from puncta.sim.pose import NeedlePose, ProbePose
from puncta.sim.scan import Scan
from puncta.sim.steered import SteeredHands
from puncta.sim.subject import PointMm, Subject
from puncta.sim.truth import FrameTruth
from puncta.sources.steering import AttemptView, NeedleView, PointPx, SteeredView, TargetView

ALONG_PLANE = 0.17
"""A needle whose axis leaves the image plane by less than this sine (10 deg) runs along it."""
LIFTED_MM = -0.3
"""Pressed less than this, the probe's face has left the skin [mm]."""


def describe_steered(generator: CineGenerator, truth: FrameTruth, log: AttemptLog) -> SteeredView:
    """Say where everything is on the frame that was rendered last, and how the attempt stands on it."""
    state, subject, scan = generator.state, generator.subject, generator.scan
    needle = state.needle
    hands = _hands(generator)
    inside = needle is not None and needle.way_mm > 0
    layout = scan.layout
    return SteeredView(
        index=truth.index,
        t_ns=truth.t_ns,
        state=state,
        mm_per_px=layout.mm_per_px,
        region=layout.region,
        target=_target(subject, state.probe, scan, truth),
        needle=None if needle is None else _needle(needle, state.probe, scan, truth),
        tissue=hands.tip_kind if inside else None,
        pushed=inside and hands.blocked,
        tenting_mm=state.tent_mm,
        lost_contact=state.probe.press_mm < LIFTED_MM,
        attempt=describe_attempt(log),
    )


def _hands(generator: CineGenerator) -> SteeredHands:
    hands = generator.hands
    if not isinstance(hands, SteeredHands):
        raise BugError("only a steered simulation has hands that tell what they feel")
    return hands


def watch(log: AttemptLog, generator: CineGenerator, truth: FrameTruth, controls: Controls) -> None:
    """Let an attempt's log see the frame that was rendered last."""
    hands = _hands(generator)
    log.step(truth.index, truth.t_ns, generator.state, controls, injected_ml=hands.injected_ml, blocked=hands.blocked)


def describe_attempt(log: AttemptLog) -> AttemptView:
    """Say how an attempt stands now."""
    contact = next((event for event in log.events if event.kind == "contact"), None)
    return AttemptView(
        seconds=log.seconds,
        start_ns=contact.t_ns if contact is not None else 0,
        done=log.done,
        in_target=log.in_target,
        reached=log.reached,
        events=tuple(log.events),
        summary=log.summary() if log.done else None,
    )


def _target(subject: Subject, probe: ProbePose, scan: Scan, truth: FrameTruth) -> TargetView:
    """The truth knows where the target appears and how far it is; at rest it lies where the subject says."""
    target = subject.target
    at_px, behind_mm = project(target.centre_mm, probe, scan)
    return TargetView(
        name=target.name,
        centre_px=truth.target_px or at_px,
        radius_px=target.radius_mm / scan.layout.mm_per_px,
        radius_mm=target.radius_mm,
        behind_mm=behind_mm if truth.target_offset_mm is None else truth.target_offset_mm,
        from_tip_mm=truth.distance_to_target_mm,
    )


def _needle(needle: NeedlePose, probe: ProbePose, scan: Scan, truth: FrameTruth) -> NeedleView:
    entry_px, entry_behind = project(needle.entry_mm, probe, scan)
    inwards = replace(needle, way_mm=10.0, bend_mm=0.0).tip_mm
    inner_px, _ = project(inwards, probe, scan)
    dx, dy = inner_px[0] - entry_px[0], inner_px[1] - entry_px[1]
    length = math.hypot(dx, dy)
    tip_px, tip_behind = (None, entry_behind)
    if needle.way_mm > 0:
        tip_px, tip_behind = project(needle.tip_mm, probe, scan)
        tip_px = truth.tip_px or tip_px
    return NeedleView(
        entry_px=entry_px,
        towards=(dx / length, dy / length) if length > 1e-6 else (0.0, 0.0),
        angle_deg=math.degrees(needle.angle_rad),
        azimuth_deg=math.degrees(math.remainder(needle.azimuth_rad, 2.0 * math.pi)),
        way_mm=needle.way_mm,
        tip_px=tip_px,
        tip_behind_mm=tip_behind,
        entry_behind_mm=entry_behind,
        crossing_px=_crossing(needle, probe, scan, entry_behind),
    )


def _crossing(needle: NeedlePose, probe: ProbePose, scan: Scan, entry_behind_mm: float) -> PointPx | None:
    leaves = float(probe.axes()[1] @ np.subtract(replace(needle, way_mm=1.0, bend_mm=0.0).tip_mm, needle.entry_mm))
    if abs(leaves) < ALONG_PLANE or entry_behind_mm * leaves >= 0:
        return None
    way_mm = -entry_behind_mm / leaves
    return project(replace(needle, way_mm=way_mm, bend_mm=0.0).tip_mm, probe, scan)[0]


def project(point_mm: PointMm, probe: ProbePose, scan: Scan) -> tuple[PointPx, float]:
    """A tissue point's projection onto the image plane [px], and its distance behind the plane [mm]."""
    x, y, z = probe.probe_from_tissue(*(np.asarray(v, float) for v in point_mm))
    px, py = scan.px_from_mm(float(x), float(z))
    return (float(px), float(py)), float(y)
