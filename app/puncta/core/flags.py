"""Flags an analysed frame can carry. Their values are what files and screens show."""

from __future__ import annotations

from enum import StrEnum


class Flag(StrEnum):
    """One fact about a frame or a plugin's output on it."""

    SIMULATED = "simulated"
    UNCALIBRATED = "uncalibrated"
    FRAMES_SKIPPED = "frames_skipped"
    STALE = "stale"
    LOW_CONFIDENCE = "low_confidence"
    OUT_OF_DISTRIBUTION = "out_of_distribution"
    TRACK_LOST = "track_lost"
    PLUGIN_FAULT = "plugin_fault"
    OVER_BUDGET = "over_budget"


FLAG_WORDS: dict[Flag, str] = {
    Flag.SIMULATED: "Simulated",
    Flag.UNCALIBRATED: "Uncalibrated",
    Flag.FRAMES_SKIPPED: "Frames skipped",
    Flag.STALE: "Old result",
    Flag.LOW_CONFIDENCE: "Low confidence",
    Flag.OUT_OF_DISTRIBUTION: "Unfamiliar picture",
    Flag.TRACK_LOST: "Lost",
    Flag.PLUGIN_FAULT: "Plugin fault",
    Flag.OVER_BUDGET: "Too slow",
}
