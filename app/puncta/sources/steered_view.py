"""What a steered frame tells the window: where probe, needle and target are, and how the attempt stands."""

from __future__ import annotations

import math

import numpy as np

from puncta.sim.cine import CineGenerator
from puncta.sim.pose import NeedlePose, ProbePose
from puncta.sim.scan import Scan
from puncta.sim.subject import PointMm, Subject
from puncta.sim.truth import FrameTruth
from puncta.sources.steering import AttemptView, NeedleView, PointPx, SteeredView, TargetView

LIFTED_MM = -0.3
"""Pressed less than this, the probe's face has left the skin [mm]."""


def describe_steered(generator: CineGenerator, truth: FrameTruth) -> SteeredView:
    """Say where everything is on the frame that was rendered last."""
    state, subject, scan = generator.state, generator.subject, generator.scan
    needle = state.needle
    tip_mm = needle.tip_mm if needle is not None and needle.way_mm > 0 else None
    layout = scan.layout
    return SteeredView(
        index=truth.index,
        t_ns=truth.t_ns,
        state=state,
        mm_per_px=layout.mm_per_px,
        region=layout.region,
        target=_target(subject, state.probe, scan, tip_mm, getattr(truth, "target_px", None)),
        needle=None if needle is None else _needle(needle, state.probe, scan, truth),
        tissue=None,
        pushed=False,
        tenting_mm=state.tent_mm,
        lost_contact=state.probe.press_mm < LIFTED_MM,
        attempt=AttemptView(),
    )


def _target(
    subject: Subject, probe: ProbePose, scan: Scan, tip_mm: PointMm | None, seen_px: PointPx | None
) -> TargetView:
    target = subject.target
    at_px, behind_mm = project(target.centre_mm, probe, scan)
    from_tip = None if tip_mm is None else math.dist(tip_mm, target.centre_mm)
    return TargetView(
        name=target.name,
        centre_px=seen_px or at_px,
        radius_px=target.radius_mm / scan.layout.mm_per_px,
        radius_mm=target.radius_mm,
        behind_mm=behind_mm,
        from_tip_mm=from_tip,
    )


def _needle(needle: NeedlePose, probe: ProbePose, scan: Scan, truth: FrameTruth) -> NeedleView:
    entry_px, entry_behind = project(needle.entry_mm, probe, scan)
    inwards = NeedlePose(needle.entry_mm, needle.angle_rad, needle.azimuth_rad, 10.0).tip_mm
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
    )


def project(point_mm: PointMm, probe: ProbePose, scan: Scan) -> tuple[PointPx, float]:
    """A tissue point's projection onto the image plane [px], and its distance behind the plane [mm]."""
    x, y, z = probe.probe_from_tissue(*(np.asarray(v, float) for v in point_mm))
    px, py = scan.px_from_mm(float(x), float(z))
    return (float(px), float(py)), float(y)
