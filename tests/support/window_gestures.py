"""Times gestures in the real window on a case with many labels: how long the window itself is busy with each."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

import numpy as np
from annotate_window import CONTROL, MM, SHIFT, Hand, annotating
from PySide6.QtCore import Qt

from puncta.annotation.cases import case_of_source
from puncta.annotation.commands import Board, propose
from puncta.annotation.labels import Kind, Label, LineLabel, Provenance, State, TipLabel, Value, mask_label
from puncta.annotation.store import AnnotationStore
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
from puncta.imaging.needle_pose import NeedlePose, mask_of_pose

WIDTH, HEIGHT = 640, 480
KEYS = 20
"""Every so many frames there is a key frame; what lies between has been proposed between the two."""
FRAME, KINDS = "frame", ("frame", "50", "300")
"""Gestures on single frames, and on ranges of so many."""
Figures = dict[str, tuple[list[float], list[float]]]


class LongClip:
    """One picture of speckle for thousands of frames."""

    def __init__(self, uri: str, count: int) -> None:
        self._next = 0
        region = UltrasoundRegion(
            (0, 0, WIDTH, HEIGHT), "simulated", Calibration((MM, MM), CalibrationOrigin.SIMULATED, "test")
        )
        times = (np.arange(count) * 40e6).astype(np.int64)
        self.info = SourceInfo(
            uri, uri, uri, SourceKind.FILE, ImageGeometry(WIDTH, HEIGHT, (region,)), count, times, simulated=True
        )
        self._pixels = np.random.default_rng(1).integers(20, 60, (HEIGHT, WIDTH)).astype(np.uint8)

    def read(self) -> Frame | None:
        index = self._next
        if index >= (self.info.frame_count or 0):
            return None
        self._next += 1
        assert self.info.times_ns is not None
        key = FrameKey(self.info.stream, index, int(self.info.times_ns[index]))
        return Frame(key, 0, index, key.pts_ns, 0, self._pixels, self.info.geometry, self.info)

    def seek(self, index: int) -> None:
        self._next = index

    def close(self) -> None:
        """Nothing stays open."""


def pose_at(index: int) -> NeedlePose:
    """A needle that goes to and fro, the same every 60 frames."""
    way = abs(30 - index % 60)
    return NeedlePose((300.0 - 2 * way, 240.0 + way), (639.0, 60.0), 10.0)


def made_between(index: int) -> Provenance:
    """Where a frame's labels come from."""
    first = index // KEYS * KEYS
    if index == first:
        return Provenance(Kind.PERSON, "T", made_utc="2026-01-01T00:00:00Z")
    base = f"frames {first} and {first + KEYS}"
    return Provenance(Kind.INTERPOLATED, "between key frames", "0.1", base, "2026-01-01T00:00:00Z", 0.8)


def fill(store: AnnotationStore, source: LongClip, labels: int) -> None:
    """Labels of needle, line, tip and target on a quarter as many frames: proposed, confirmed in ranges, key frames."""
    case = store.add_case(case_of_source(source.info, "needle"))
    board, count = Board(case.id, "T"), source.info.frame_count or 0
    masks = [mask_label(mask_of_pose(pose_at(i), (HEIGHT, WIDTH))) for i in range(60)]
    square = np.zeros((HEIGHT, WIDTH), bool)
    square[300:360, 200:280] = True
    target = mask_label(square)
    for first in range(0, labels // 4, 250):
        for state in (State.PROPOSED, State.BULK, State.CONFIRMED):
            batch: list[Label] = []
            for i in range(first, min(first + 250, labels // 4)):
                open_half = State.PROPOSED if i < count // 2 else State.BULK
                mine = State.CONFIRMED if i % KEYS == 0 else open_half
                if mine is not state:
                    continue
                key = FrameKey(source.info.stream, i, i * 40_000_000)
                pose = pose_at(i)
                values: dict[str, Value] = {
                    "needle": masks[i % 60],
                    "needle.line": LineLabel(pose.entry_px, pose.tip_px),
                    "needle_tip": TipLabel(pose.tip_px),
                    "target": target,
                }
                made = made_between(i)
                batch += [Label(name, key, "T", value, made, state) for name, value in values.items()]
            command = propose(board, batch, state=state)
            if command is not None:
                board.apply(command)
                store.apply(command)


def opened(stage, bot, labels: int, frames: int) -> Hand:  # noqa: ANN001
    """A window in Annotate on a clip of so many frames, with so many labels on its first ones; nothing is under way."""
    with AnnotationStore.open() as store:
        fill(store, LongClip("long", frames), labels)
    hand = annotating(stage, bot, "long", opener=lambda uri: LongClip(uri, frames))
    calm(hand)
    assert len(hand.notes.desk.board) == labels
    return hand


def calm(hand: Hand) -> None:
    """Wait until nothing is under way: what lies between key frames, and the store."""
    hand.wait(lambda: not hand.notes.jobs.running and not hand.notes.desk.unsaved, 600.0)


def measure_window(stage, bot, labels: int, times: int, kinds: Collection[str] = KINDS) -> Figures:  # noqa: ANN001
    """Time the window's own work for each gesture, with panels, ribbons and picture; wall and processor [ms].

    Between two gestures the window waits until what followed from the last one is done, which takes longer than they.
    """
    count = labels // 4
    hand = opened(stage, bot, labels, count)
    figures: Figures = {}

    def time_it(name: str, action: Callable[[], object]) -> None:
        calm(hand)
        wall, cpu = time.perf_counter(), time.thread_time()
        action()
        hand.notes.refresh()
        hand.view.repaint()
        hand.notes.bar.timeline.repaint()
        walls, cpus = figures.setdefault(name, ([], []))
        walls.append((time.perf_counter() - wall) * 1e3)
        cpus.append((time.thread_time() - cpu) * 1e3)
        calm(hand)

    def mark(first: int, last: int) -> None:
        for which, index in ((0, first), (1, last)):
            hand.go(index)
            hand.parts.desk.mark_loop(which)

    begun = time.monotonic()
    for i in range(times if FRAME in kinds else 0):
        at = 3 + 7 * i
        hand.go(at)
        time_it("accept", lambda: hand.key(Qt.Key.Key_V))
        hand.go(at + 1)
        time_it("reject", lambda: hand.key(Qt.Key.Key_X))
        hand.go(at + 2)
        pose = pose_at(at + 2)
        time_it("draw a needle", lambda pose=pose: hand.drag(pose.entry_px, (pose.tip_px[0], pose.tip_px[1] - 30)))
        time_it("undo", lambda: hand.key(Qt.Key.Key_Z, CONTROL))
        hand.go(at + 3)
        time_it("not visible", lambda: hand.key(Qt.Key.Key_0))
        time_it("erase", lambda: hand.key(Qt.Key.Key_Delete))
        time_it("next in the queue", lambda: hand.key(Qt.Key.Key_N))
        time_it("next labelled frame", lambda: hand.key(Qt.Key.Key_Period))
        time_it("another frame", lambda at=at: hand.go(at))
        if i % 10 == 9:
            print(f"  {i + 1} of {times} rounds of single frames after {time.monotonic() - begun:.0f} s", flush=True)
    for span in (int(kind) for kind in kinds if kind != FRAME):
        for i in range(max(3, times // 4)):
            first = 400 + i * (span + 5) + (0 if span == 50 else 600)
            if first + span >= count // 2:
                break
            mark(first, first + span - 1)
            time_it(f"accept {span} frames", lambda: hand.key(Qt.Key.Key_V, SHIFT))
            time_it(f"undo over {span} frames", lambda: hand.key(Qt.Key.Key_Z, CONTROL))
            time_it(f"reject {span} frames", lambda: hand.key(Qt.Key.Key_X, SHIFT))
            time_it(f"undo over {span} frames", lambda: hand.key(Qt.Key.Key_Z, CONTROL))
        print(f"  ranges of {span} frames after {time.monotonic() - begun:.0f} s", flush=True)
    return figures
