"""Labels between key frames: a person has drawn a straight needle on two frames; what lies in between is proposed.

Tip and angle go evenly from one to the other at first; then the needle is followed by its own echo (`needle_follow`).
On twelve simulated clips of machines A, B and C (100 frames, four or five key frames, a hand with .6 px of noise) .98
of the frames then have a mask of an overlap of .7 and a tip within 2 mm, against .79 for the even motion alone.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import puncta
from puncta.annotation.labels import (
    LINE_SUFFIX,
    Kind,
    Label,
    LineLabel,
    MaskLabel,
    NotVisible,
    PolygonLabel,
    Provenance,
    TipLabel,
    Value,
    mask_label,
    mask_of,
    utc_now,
)
from puncta.core.frame import Frame, FrameKey, grey_from_pixels
from puncta.core.geometry import PointPx, clip_segment
from puncta.core.ports import FrameSource
from puncta.imaging.needle_follow import (
    REACH_MM,
    across_band,
    along,
    along_strip,
    beside,
    follow_across,
    follow_tip,
)
from puncta.imaging.needle_pose import NeedlePose, at_edge, mask_of_pose, pose_between, pose_of_mask, reaching_edge
from puncta.session.propagate import frames_between

NEEDLE, TIP = "needle", "needle_tip"
USUAL_MM = 0.15
"""Scale of a picture without a calibration, for reaches that are lengths [mm/px]."""
TOOL = "between key frames"
HALF_FRAMES = 25.0
"""So far from the nearest key frame half of the confidence is gone [frames]."""
MOTION_MM = 6.0
"""So much motion of the tip between two key frames takes half of it away [mm]."""


@dataclass(frozen=True, slots=True)
class KeyPose:
    """A needle that a person has drawn or confirmed on a frame; None says that there is none to be seen."""

    index: int
    pose: NeedlePose | None


def pose_of_labels(line: Value | None, mask: Value | None, tip: Value | None = None) -> NeedlePose | None:
    """Return the straight needle of a frame's labels: its line, with the width of its mask; None without either."""
    drawn = mask_of(mask) if isinstance(mask, MaskLabel | PolygonLabel) else None
    tip_px = tip.tip_px if isinstance(tip, TipLabel) else None
    if not isinstance(line, LineLabel):
        return None if drawn is None else pose_of_mask(drawn, tip_px)
    width = 0.0
    if drawn is not None:
        height, across = drawn.shape
        inside = clip_segment(line.tip_px, line.entry_px, (0, 0, across, height))
        length = math.dist(*inside) if inside is not None else 0.0
        width = float(drawn.sum()) / length if length > 1.0 else 0.0
    return NeedlePose(line.tip_px, line.entry_px, width)


def needle_values(pose: NeedlePose, size: tuple[int, int], names: Sequence[str]) -> dict[str, Value]:
    """Return what a drawn needle says, by name: line, mask and tip, as far as the label set knows them.

    Parameters
    ----------
    size : (h, w) [px]
    names : sequence of str
        Categories of the label set.
    """
    values: dict[str, Value] = {}
    if NEEDLE in names:
        values[NEEDLE + LINE_SUFFIX] = LineLabel(pose.entry_px, pose.tip_px)
        mask = mask_of_pose(pose, size)
        if mask.any():
            values[NEEDLE] = mask_label(mask)
    if TIP in names:
        values[TIP] = TipLabel(pose.tip_px)
    return values


def fill_between(
    source: FrameSource,
    keys: Sequence[KeyPose],
    wanted: Sequence[int],
    names: Sequence[str],
    *,
    stop: threading.Event | None = None,
) -> Iterator[list[Label]]:
    """Yield proposals for the wanted frames that lie between two key frames, frame by frame.

    Parameters
    ----------
    source : FrameSource
        Seekable; read here, closed by the caller.
    keys : sequence of KeyPose
    wanted : sequence of int
        Frames in order; those outside all key frames are left out.
    names : sequence of str
        Categories of the label set.
    stop : Event
        Ends the work after the frame under way.
    """
    ordered = sorted(keys, key=lambda k: k.index)
    open_frames = set(wanted)
    for a, b in zip(ordered, ordered[1:]):
        frames = [i for i in range(a.index + 1, b.index) if i in open_frames]
        if stop is not None and stop.is_set():
            return
        if not frames or (a.pose is None) != (b.pose is None):
            continue  # between a needle and none nobody knows when it came
        if a.pose is None or b.pose is None:
            yield from _hidden(source, a.index, b.index, open_frames, names, stop)
        else:
            yield from _followed(source, a.index, b.index, (a.pose, b.pose), open_frames, names, stop)


def _hidden(
    source: FrameSource, first: int, last: int, wanted: set[int], names: Sequence[str], stop: threading.Event | None
) -> Iterator[list[Label]]:
    """Between two frames that show none there is none."""
    for frame in frames_between(source, first + 1, last - 1):
        if stop is not None and stop.is_set():
            return
        if frame.key.index in wanted:
            values = {name: NotVisible() for name in (NEEDLE, TIP) if name in names}
            yield _labels(frame, first, last, values, confidence_between(frame.key.index, first, last, 0.0))


def _followed(
    source: FrameSource,
    first: int,
    last: int,
    ends: tuple[NeedlePose, NeedlePose],
    wanted: set[int],
    names: Sequence[str],
    stop: threading.Event | None,
) -> Iterator[list[Label]]:
    """The needle between two that are known; the frames are read twice, so that none has to be kept."""
    poses: list[NeedlePose] = []
    bands = []
    region, scale = (0, 0, 1, 1), (USUAL_MM, USUAL_MM)
    for frame in frames_between(source, first, last):
        if stop is not None and stop.is_set():
            return
        region, scale = frame.geometry.region.box, _scale_of(frame)
        pose = pose_between(*ends, (frame.key.index - first) / (last - first), region)
        poses.append(pose)
        bands.append(across_band(grey_from_pixels(frame.pixels), pose))
    if len(poses) != last - first + 1:
        return  # the file breaks off in between
    offsets, apart = follow_across(bands, (ends[0].width_px + ends[1].width_px) / 2)
    reaches = all(at_edge(pose.entry_px, region) for pose in ends)
    poses = [beside(pose, way) for pose, way in zip(poses, offsets)]
    poses = [reaching_edge(pose, region) if reaches else pose for pose in poses]
    mm = math.sqrt(scale[0] * scale[1])
    reach = max(1, int(REACH_MM / mm))
    strips, known, keys = [], [], []
    for frame, pose in zip(frames_between(source, first, last), poses):
        if stop is not None and stop.is_set():
            return
        grey = grey_from_pixels(frame.pixels)
        strips.append(along_strip(grey, pose, reach))
        keys.append(frame.hashed_key())
        size = (frame.pixels.shape[0], frame.pixels.shape[1])
        if frame.key.index in {first, last}:
            known.append(along_strip(grey, pose, 0))
    ways = follow_tip(strips, known[0], known[1], reach, mm)
    moved = _moved_mm(ends[0].tip_px, ends[1].tip_px, scale)
    for at in range(1, last - first):
        if first + at in wanted:
            pose = along(poses[at], float(ways[at]))
            sure = confidence_between(first + at, first, last, moved, apart[at] / max(2.0, pose.width_px / 3))
            yield _labels(keys[at], first, last, needle_values(pose, size, names), sure)


def _labels(frame: Frame | FrameKey, first: int, last: int, values: Mapping[str, Value], sure: float) -> list[Label]:
    key = frame.hashed_key() if isinstance(frame, Frame) else frame
    made = Provenance(Kind.INTERPOLATED, TOOL, puncta.__version__, f"frames {first} and {last}", utc_now(), sure)
    return [Label(name, key, "", value, made) for name, value in values.items()]


def _scale_of(frame: Frame) -> tuple[float, float]:
    calibration = frame.geometry.calibration
    return calibration.mm_per_px if calibration is not None else (USUAL_MM, USUAL_MM)


def confidence_between(index: int, first: int, last: int, moved_mm: float, apart: float = 0.0) -> float:
    """Return how sure a frame between two key frames is, 0..1.

    Less so in the middle of long gaps, with much motion of the tip, and where the ways from both sides part.
    """
    near = min(index - first, last - index)
    far = near / HALF_FRAMES + (near / (last - first)) * moved_mm / MOTION_MM + apart
    return round(1.0 / (1.0 + far), 3)


def _moved_mm(a: PointPx, b: PointPx, scale: tuple[float, float]) -> float:
    return math.hypot((a[0] - b[0]) * scale[0], (a[1] - b[1]) * scale[1])
