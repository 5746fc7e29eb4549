"""What the figures of a tune split are called, and their values with a unit, for cards, reports and the window."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Say = Callable[[str], str]
"""Returns words in the reader's language."""

FIGURES = {
    "within_5_percent": "tip within 5 % of the side",
    "presence_auc": "tip there or not, AUC",
    "frames": "frames judged",
    "site_frames": "labelled frames of the site that it learnt from",
    "usefulness": "usefulness: close tips that are shown, less what false alarms cost",
    "usefulness_unfiltered": "usefulness, every frame alone",
    "usefulness_sample_alone": "usefulness on a sample, every frame alone",
    "usefulness_sample_filtered": "usefulness on a sample, with the filter",
    "shown_of_tips": "tips that are shown",
    "close_of_shown": "close, of those shown",
    "predicted_of_shown": "carried on by the filter, of those shown",
    "false_alarms": "false alarms, of frames without a tip",
    "shown_without_tip": "frames without a tip on which one is shown",
    "median_error_mm": "tip error, median",
    "median_tip_error_px": "tip error, median",
    "median_angle_error_deg": "angle error, median",
    "median_depth_error_cells": "depth error, median",
    "median_radius_cells": "radius of the circle around a tip, median",
    "coverage90": "tips in their 90 % circle",
    "tip_in_circle": "tips in their circle",
    "ece": "calibration error",
    "unfamiliar": "frames called unfamiliar",
    "unfamiliar_familiar": "familiar pictures called unfamiliar",
    "unfamiliar_familiar_looks": "familiar pictures of other looks called unfamiliar",
    "unfamiliar_site": "pictures of the site called unfamiliar",
    "unfamiliar_stills": "stills of other organs called unfamiliar",
    "unfamiliar_organs": "simulated pictures of other organs called unfamiliar",
    "not_ultrasound": "frames called no ultrasound",
    "threshold_raised": "threshold for showing a tip raised by, in log odds",
    "circle_widened": "circles widened, times",
    "share_kept": "kept of what was learnt",
    "known_hits": "tips shown within 2 mm, machines known before",
    "known_alarms": "false alarms, machines known before",
    "known_iou": "overlap of the mask (IoU), machines known before",
    "site_loss": "loss at the site",
    "site_iou": "overlap of the mask (IoU), this site",
    "iou": "overlap of the mask (IoU)",
    "iou_of_shown": "overlap of shown masks (IoU)",
    "shown_of_needles": "needles that are shown",
    "false_masks": "masks where there is no needle",
    "f1": "flags, F1",
    "exact": "frames with all flags right",
    "decided": "flags decided",
    "wrong_of_decided": "wrong among the decided",
    "filtered_withheld": "flags withheld by the filter",
    "filtered_wrong_of_decided": "wrong among the decided, with the filter",
    "flicker_per_minute": "changes of a flag a minute",
    "flicker_unfiltered": "changes of a flag a minute, every frame alone",
    "pointing": "heat maps that point right",
    "level": "level that keeps its risk on a machine left out",
    "int8_speed": "8-bit variant: speed, times that of the full one",
    "int8_ap50_change": "8-bit variant: change of AP50",
    "int8_tip_error_change_mm": "8-bit variant: change of the tip error",
    "int8_deviation": "8-bit variant: largest deviation of its answers",
}
KINDS = {
    "simulated_": "simulated pictures",
    "stills_": "needles in stills",
    "looks_": "other looks",
    "breast_train_": "breast",
    "empty_stills_": "stills without a needle",
    "wrong_left_out_": "wrong where this machine is left out",
    "right_": "right answers",
    "ece_": "calibration error",
    "baseline_": "a method without learning",
}
"""Beginnings of names: the kind of frames that a figure is of, or the figure, and what follows says of what."""
TIMES = {"_before": "before adapting", "_after": "after it"}

COUNTS = ("frames", "site_frames", "known_alarms_before", "known_alarms_after")
PLAIN = (
    "usefulness", "usefulness_unfiltered", "usefulness_sample_alone", "usefulness_sample_filtered", "threshold_raised",
    "circle_widened", "level", "flicker_per_minute", "flicker_unfiltered", "site_loss_before", "site_loss_after",
    "int8_speed", "int8_deviation",
)
"""Values that are no shares, whatever their size."""
CELLS = "cells of the map"
UNITS = {"mm": " mm", "px": " px", "deg": "°", "cells": f" {CELLS}"}


def name_figure(name: str, say: Say = str) -> str:
    """Return a figure's name in words, which ``say`` may translate."""
    if name in FIGURES:
        return say(FIGURES[name])
    for ending, words in TIMES.items():
        if name.endswith(ending):
            return f"{name_figure(name.removesuffix(ending), say)}, {say(words)}"
    for prefix, words in KINDS.items():
        if name.startswith(prefix):
            return f"{say(words)}: {name_figure(name.removeprefix(prefix), say)}"
    return say("CSF") if name == "csf" else say(name.replace("_", " "))


def value_of(name: str, value: Any, say: Say = str) -> str:
    """Return a figure with its unit, which its name tells; what names none is a share."""
    if not isinstance(value, int | float):
        return "-"
    if name in COUNTS:
        return f"{value:,.0f}"
    for unit, words in UNITS.items():
        if name.endswith(f"_{unit}"):
            return f"{value:.3g}{words.replace(CELLS, say(CELLS))}"
    return f"{value:.3g}" if name in PLAIN or "auc" in name or not -1 <= value <= 1 else f"{100 * value:.1f} %"
