"""Models for Annotate that find the needle of the made-up clip where it is, and lose it where a test wants them to."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from annotate_window import HEIGHT, WIDTH, Hand, pose_at

from puncta.core.frame import Frame
from puncta.core.prompts import Prompt
from puncta.core.results import Certainty, Detection, Line, MaskResult, PluginOutput, Result
from puncta.imaging.needle_pose import NeedlePose, mask_of_pose
from puncta.pipeline.host import HostedPlugin, PluginHost
from puncta.sdk.plugin import ResetReason, StepResult

LOST_FROM, GONE_FROM, APART_AT, COUNT = 24, 27, 12, 30


class KnowingTracker:
    """Finds the needle where it is until it loses it; takes prompts, and may be held up."""

    def __init__(self, label: str) -> None:
        self._label = label
        self.gate: threading.Event | None = None
        self.strays_from = COUNT
        """From here on it follows another bright line."""
        self.finds_from = self.strays_until = 0
        self.detector: KnowingTracker | None = None
        self.prompts: list[Prompt] = []

    def prompt(self, prompt: Prompt) -> None:
        self.prompts.append(prompt)

    def reset(self, reason: ResetReason) -> None:
        """Nothing is remembered."""

    def close(self) -> None:
        """Nothing stays open."""

    def step(self, frame: Frame, upstream: Mapping[str, PluginOutput]) -> StepResult:
        if self.gate is not None:
            self.gate.wait(10.0)
        index = frame.key.index
        pose = pose_at(index, COUNT)
        if self._label == "needle-tip":
            if index >= GONE_FROM:
                return StepResult((Detection("needle_tip", None, None, 0.1, certainty=Certainty.LOST, reason="gone"),))
            off = 40.0 if index == APART_AT else 0.5
            at = (pose.tip_px[0] + off, pose.tip_px[1]) if index < self.strays_from else (199.0, 150.0)
            return StepResult((Detection("needle_tip", (at[0] - 5, at[1] - 3, 10, 6), at, 0.9),))
        if index < self.finds_from:
            return StepResult((MaskResult("needle", None, (0, 0), 0.1, Certainty.LOST, "too faint"),))
        if index >= self.strays_from or index < self.strays_until:
            pose = NeedlePose((200.0, 150.0), (80.0, 155.0), pose.width_px)
            bright = mask_of_pose(pose, (HEIGHT, WIDTH))
            line = Line("needle", pose.entry_px, pose.tip_px, 0.9)
            tip = Detection("needle_tip", (195.0, 145.0, 10, 6), pose.tip_px, 0.9)
            return StepResult((MaskResult("needle", bright, (0, 0), 0.9), line, tip))
        if index >= LOST_FROM:
            return StepResult((MaskResult("needle", None, (0, 0), 0.1, Certainty.LOST, "it has left the plane"),))
        found: tuple[Result, ...] = (
            MaskResult("needle", mask_of_pose(pose, (HEIGHT, WIDTH)), (0, 0), 0.8),
            Line("needle", pose.entry_px, pose.tip_px, 0.8),
            Detection("needle_tip", (pose.tip_px[0] - 5, pose.tip_px[1] - 3, 10, 6), pose.tip_px, 0.8),
        )
        return StepResult(found)


def with_models(hand: Hand) -> KnowingTracker:
    tracker, detector = KnowingTracker("breast-biopsy"), KnowingTracker("needle-tip")
    plugins = (
        HostedPlugin("needle-tip", "Needle tip", lambda: detector, lambda: ("tip-test 1.0", "a" * 64)),
        HostedPlugin("breast-biopsy", "Tracker", lambda: tracker, lambda: ("track-test 2.0", "b" * 64), prompts=True),
    )
    hand.notes.jobs.models = lambda: PluginHost(plugins)
    tracker.detector = detector
    return tracker
