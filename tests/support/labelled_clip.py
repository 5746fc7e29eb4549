"""Simulated clips that a simulated person labels in the real window, by events alone, and how good the labels are.

The person sees the truth: the hand goes to the true ends of the needle on the frame in view, with noise, and to whole
pixels of the screen. What is measured is the help between those gestures, not how well people see needles.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from annotate_window import SHIFT, Hand
from numpy.typing import NDArray
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from qt_waiting import wait_ms

from puncta.annotation.labels import FlagLabel, MaskLabel, NotVisible, PolygonLabel, Slot, TipLabel, mask_of
from puncta.core.events import PlayState
from puncta.core.frame import (
    Calibration,
    CalibrationOrigin,
    Frame,
    FrameKey,
    ImageGeometry,
    SourceInfo,
    SourceKind,
    UltrasoundRegion,
)
from puncta.imaging.needle_pose import GAUGES_MM
from puncta.sim.cine import CineGenerator
from puncta.sim.controls import STILL, Controls

SIZE_PX = (320, 256)
NOISE_PT = 1.5
"""Deviation of the hand on the screen [display points]."""
MOST_PRESSES = 10
GOOD_IOU, GOOD_MM = 0.7, 2.0
FLAGS = ("quality", "cord", "csf")


@dataclass(frozen=True, slots=True, eq=False)
class KnownClip:
    """Frames with what is true of them.

    Attributes
    ----------
    masks : ndarray of bool, shape (n, h, w)
        The whole needle in the image plane; empty on a frame where it is not in the plane.
    ends : ndarray, shape (n, 4)
        Tip and entry [px]; NaN where there is none.
    flags : ndarray of int8, shape (n, 3)
        -1 where the rules of the simulator do not judge.
    """

    name: str
    frames: NDArray[np.uint8]
    masks: NDArray[np.bool_]
    ends: NDArray[np.float64]
    flags: NDArray[np.int8]
    times_ns: NDArray[np.int64]
    mm_per_px: float
    gauge_mm: float
    region: tuple[int, int, int, int]

    @property
    def in_plane(self) -> NDArray[np.bool_]:
        """Frames with a needle in the plane."""
        return self.masks.any(axis=(1, 2))


class KnownSource:
    """A known clip as a source of the window."""

    def __init__(self, clip: KnownClip) -> None:
        self._clip, self._next = clip, 0
        height, width = clip.frames.shape[1:3]
        scale = Calibration((clip.mm_per_px, clip.mm_per_px), CalibrationOrigin.SIMULATED, "simulated")
        geometry = ImageGeometry(width, height, (UltrasoundRegion(clip.region, "simulated", scale),))
        self.info = SourceInfo(
            clip.name, clip.name, clip.name, SourceKind.FILE, geometry, len(clip.frames), clip.times_ns, simulated=True
        )

    def read(self) -> Frame | None:
        """The next frame."""
        index = self._next
        if index >= len(self._clip.frames):
            return None
        self._next += 1
        key = FrameKey(self.info.stream, index, int(self._clip.times_ns[index]))
        pixels = self._clip.frames[index].copy()
        return Frame(key, 0, index, key.pts_ns, 0, pixels, self.info.geometry, self.info)

    def seek(self, index: int) -> None:
        """Read on from a frame."""
        self._next = index

    def close(self) -> None:
        """Nothing stays open."""


def simulate_clip(
    procedure: str, machine: str, seed: int, count: int, keep: Path | None = None, least_in_plane: float = 0.95
) -> KnownClip | None:
    """Simulate a clip with its truth; None where a needle is asked for and lies in the plane on too few frames."""
    file = keep / f"{procedure}-{machine}-{seed}-{count}.npz" if keep is not None else None
    if file is not None and file.is_file():
        with np.load(file) as kept:
            fields = {name: kept[name] for name in kept.files}
        if not fields["use"]:
            return None
        return _clip_of(fields)
    needle = procedure != "infant-lp"
    maker = CineGenerator(
        procedure, machine, seed, size_px=SIZE_PX, furniture=False, needle=needle,
        start="inside" if needle else "any", approach="in-plane" if needle else None, steered=not needle,
    )  # fmt: skip
    rng = np.random.default_rng(seed)
    swing, beat = rng.uniform(4.0, 9.0), rng.uniform(60.0, 120.0)
    frames, masks, ends, flags, times = [], [], [], [], []
    gauge = 0.0
    for index in range(count):
        # A spine is looked at with a probe that goes to and fro across it, so that its landmarks come and go.
        step = swing * (math.sin(2 * math.pi * (index + 1) / beat) - math.sin(2 * math.pi * index / beat))
        pixels, truth = maker.next_frame(STILL if needle else Controls(sweep_mm=step))
        frames.append(pixels)
        mask = maker.maps.physical_mask(maker.view) if needle else np.zeros(pixels.shape[:2], bool)
        if truth.visibility in {"absent", "out_of_plane"}:
            mask = np.zeros_like(mask)
        masks.append(mask)
        tip, entry = truth.tip_px or (math.nan, math.nan), truth.entry_px or (math.nan, math.nan)
        ends.append((*tip, *entry))
        flags.append([-1 if truth.flags.get(name) is None else int(truth.flags[name]) for name in FLAGS])
        times.append(truth.t_ns)
        gauge = truth.gauge_mm or gauge
        missing = sum(not m.any() for m in masks)
        if needle and missing > (1.0 - least_in_plane) * count:
            break
    use = not needle or len(frames) == count
    fields = {
        "name": np.array(f"{procedure}-{machine}-{seed}"), "frames": np.stack(frames), "masks": np.stack(masks),
        "ends": np.array(ends), "flags": np.array(flags, np.int8), "times_ns": np.array(times, np.int64),
        "mm_per_px": np.array(maker.scan.layout.mm_per_px), "gauge_mm": np.array(gauge),
        "region": np.array(maker.scan.layout.region), "use": np.array(use),
    }  # fmt: skip
    if file is not None:
        np.savez_compressed(file, **fields)
    return _clip_of(fields) if use else None


def _clip_of(fields: dict[str, NDArray]) -> KnownClip:
    x, y, w, h = (int(v) for v in fields["region"])
    return KnownClip(
        str(fields["name"]), fields["frames"], fields["masks"].astype(bool), fields["ends"], fields["flags"],
        fields["times_ns"], float(fields["mm_per_px"]), float(fields["gauge_mm"]), (x, y, w, h),
    )  # fmt: skip


def preset_clips(
    machine: str, first_seed: int, wanted: int, count: int, keep: Path | None = None
) -> Iterator[KnownClip]:
    """Yield the first clips from a seed on whose needle lies in the plane nearly all the time."""
    seed, found = first_seed, 0
    while found < wanted:
        clip = simulate_clip("breast", machine, seed, count, keep)
        seed += 1
        if clip is not None:
            found += 1
            yield clip


class KnowingHand:
    """Draws the needle that is there."""

    def __init__(self, hand: Hand, clip: KnownClip, seed: int = 0) -> None:
        self.hand, self.clip = hand, clip
        self._rng = np.random.default_rng(seed)

    def draw(self) -> None:
        """Drag along the needle of the frame in view, from where it comes in to its tip."""
        index = self.hand.parts.desk.shown_index()
        noise = self._rng.normal(0.0, NOISE_PT / self.hand.notes.scale(), 4)
        x, y, ex, ey = self.clip.ends[index] + noise
        height, width = self.clip.frames.shape[1:3]
        entry = (min(max(ex, 0.0), width - 1.0), min(max(ey, 0.0), height - 1.0))
        self.hand.drag(entry, (min(max(x, 0.0), width - 1.0), min(max(y, 0.0), height - 1.0)))
        self.hand.calm()

    def choose_gauge(self) -> None:
        """Press "-" until the needle in hand is as wide as this one."""
        for _ in range(len(GAUGES_MM)):
            if abs(GAUGES_MM[self.hand.notes.width.gauge] - self.clip.gauge_mm) < 0.15:
                break
            self.hand.key(Qt.Key.Key_Minus)
        self.hand.calm()

    def label_needle(self, most: int = MOST_PRESSES, *, models: bool = False) -> None:
        """Label the whole clip: first frame, then last frame or models, then what the queue shows; accept the range."""
        hand, last = self.hand, len(self.clip.frames) - 1
        self.draw()
        self.choose_gauge()
        if models:
            hand.key(Qt.Key.Key_F)
            hand.wait(lambda: not hand.notes.jobs.running, 300.0)
            hand.calm()
        else:
            hand.key(Qt.Key.Key_End)
            hand.shows(last)
            self.draw()
        while hand.presses + 3 <= most:
            before = hand.parts.desk.shown_index()
            if not [doubt for doubt in hand.notes.queue if doubt.index != before]:
                break
            hand.key(Qt.Key.Key_N)
            hand.wait(lambda before=before: hand.parts.desk.shown_index() != before)
            wait_ms(20)
            self.draw()
        hand.key(Qt.Key.Key_V, SHIFT)
        hand.calm()

    def hold_flags(self) -> None:
        """Play the clip once with a digit held for each flag: alone for yes, with Shift for no."""
        hand, keys = self.hand, (Qt.Key.Key_1, Qt.Key.Key_2, Qt.Key.Key_3)
        desk = hand.parts.desk
        held: dict[int, int] = {}
        hand.go(0)
        self._follow(keys, held)
        hand.key(Qt.Key.Key_Space)
        hand.wait(lambda: desk.status.state is PlayState.PLAYING)
        while desk.status.state is PlayState.PLAYING:
            wait_ms(4)
            self._follow(keys, held)
        wait_ms(150)
        for place in list(held):
            QTest.keyRelease(hand.view, keys[place], SHIFT if held[place] == 0 else Qt.KeyboardModifier.NoModifier)
        hand.calm()

    def _follow(self, keys: tuple[Qt.Key, ...], held: dict[int, int]) -> None:
        index = self.hand.parts.desk.shown_index()
        for place, key in enumerate(keys):
            value = int(self.clip.flags[index][place])
            if held.get(place, -1) == value:
                continue
            if place in held:
                was = held.pop(place)
                QTest.keyRelease(self.hand.view, key, SHIFT if was == 0 else Qt.KeyboardModifier.NoModifier)
            if value >= 0:
                self.hand.presses += 1
                QTest.keyPress(self.hand.view, key, SHIFT if value == 0 else Qt.KeyboardModifier.NoModifier)
                held[place] = value


@dataclass(frozen=True, slots=True)
class Goodness:
    """How good the confirmed labels of a clip are: shares of its frames."""

    name: str
    presses: int
    good: float
    mask_good: float
    tip_good: float
    iou: float
    tip_mm: float
    frames: int


def judge_needle(hand: Hand, clip: KnownClip, presses: int) -> Goodness:
    """Lay the confirmed labels beside the truth; where no needle is in the plane, "not visible" is right."""
    board = hand.notes.desk.board
    assert board is not None
    masks, tips, overlaps, errors = [], [], [], []
    for index in range(len(clip.frames)):
        mask, tip = board.get(Slot(index, "needle")), board.get(Slot(index, "needle_tip"))
        mask = mask if mask is not None and mask.trusted else None
        tip = tip if tip is not None and tip.trusted else None
        true = clip.masks[index]
        if not true.any():
            masks.append(mask is not None and isinstance(mask.value, NotVisible))
            tips.append(tip is not None and isinstance(tip.value, NotVisible))
            continue
        overlap, error = 0.0, math.inf
        if mask is not None and isinstance(mask.value, MaskLabel | PolygonLabel):
            drawn = mask_of(mask.value)
            overlap = float((drawn & true).sum() / (drawn | true).sum())
        if tip is not None and isinstance(tip.value, TipLabel):
            error = math.dist(tip.value.tip_px, tuple(clip.ends[index][:2])) * clip.mm_per_px
        masks.append(overlap >= GOOD_IOU)
        tips.append(error <= GOOD_MM)
        overlaps.append(overlap)
        errors.append(error)
    good = float(np.mean(np.array(masks) & np.array(tips)))
    return Goodness(
        clip.name, presses, good, float(np.mean(masks)), float(np.mean(tips)), float(np.median(overlaps)),
        float(np.median(errors)), len(clip.frames),
    )  # fmt: skip


def changes_of(clip: KnownClip) -> int:
    """How often a flag changes in a clip."""
    return int((np.diff(clip.flags.astype(np.int16), axis=0) != 0).sum())


def judge_flags(hand: Hand, clip: KnownClip) -> tuple[float, float]:
    """Return the share of judged frames and flags that have a label, and that have the right one."""
    board = hand.notes.desk.board
    assert board is not None
    there = right = total = 0
    for index in range(len(clip.frames)):
        for place, name in enumerate(FLAGS):
            true = int(clip.flags[index][place])
            if true < 0:
                continue
            total += 1
            label = board.get(Slot(index, name))
            if label is not None and label.trusted and isinstance(label.value, FlagLabel):
                there += 1
                right += label.value.value == true
    return there / max(1, total), right / max(1, total)
