"""What each figure of an evaluation is called on screens and in tables, and which way is better."""

from __future__ import annotations

ROWS = (
    ("tip_error_px", "tip error, median [px]", 1.0, "{:.1f}", -1),
    ("tip_error_mm", "tip error, median [mm]", 1.0, "{:.2f}", -1),
    ("tip_error_mm_p95", "tip error, 95 % below [mm]", 1.0, "{:.2f}", -1),
    ("tip_within_2mm", "tip within 2 mm [%]", 100.0, "{:.1f}", 1),
    ("tip_within_3mm", "tip within 3 mm [%]", 100.0, "{:.1f}", 1),
    ("miss_rate", "misses [%]", 100.0, "{:.1f}", -1),
    ("false_alarm_rate", "false alarms [%]", 100.0, "{:.1f}", -1),
    ("abstain_rate", "abstentions [%]", 100.0, "{:.1f}", 0),
    ("unfamiliar_rate", "called unfamiliar [%]", 100.0, "{:.1f}", 0),
    ("tip_ap50", "tip AP50 [%]", 100.0, "{:.1f}", 1),
    ("tip_ap10_50", "tip AP10..50 [%]", 100.0, "{:.1f}", 1),
    ("coverage90", "tips in their 90 % circle [%]", 100.0, "{:.1f}", 0),
    ("ece", "calibration error [%]", 100.0, "{:.1f}", -1),
    ("needle_ap50", "needle AP50 [%]", 100.0, "{:.1f}", 1),
    ("needle_ap70", "needle AP70 [%]", 100.0, "{:.1f}", 1),
    ("needle_iou", "needle overlap, mean [%]", 100.0, "{:.1f}", 1),
    ("angle_error_deg", "needle angle error, median [deg]", 1.0, "{:.1f}", -1),
    ("mask_iou", "mask IoU, mean [%]", 100.0, "{:.1f}", 1),
    ("mask_dice", "mask Dice, mean [%]", 100.0, "{:.1f}", 1),
    ("mask_precision", "mask precision, mean [%]", 100.0, "{:.1f}", 1),
    ("mask_recall", "mask recall, mean [%]", 100.0, "{:.1f}", 1),
    ("mask_f1", "mask F1 of these means [%]", 100.0, "{:.1f}", 1),
    ("mask_boundary_mm", "mask outline off by, mean [mm]", 1.0, "{:.2f}", -1),
    ("mask_miss_rate", "needle without a mask [%]", 100.0, "{:.1f}", -1),
    ("mask_vanished_iou", "IoU, vanished for 5 frames [%]", 100.0, "{:.1f}", 1),
    ("mask_vanished_recall", "recall, vanished for 5 frames [%]", 100.0, "{:.1f}", 1),
    ("false_mask_rate", "masks without a needle [%]", 100.0, "{:.1f}", -1),
    ("out_of_plane_mask_rate", "masks, needle out of plane [%]", 100.0, "{:.1f}", -1),
    ("start_delay_frames", "start after entry, median [frames]", 1.0, "{:.1f}", -1),
    ("start_within_10", "started within 10 frames [%]", 100.0, "{:.1f}", 1),
    ("flag_f1", "flags, micro F1 [%]", 100.0, "{:.1f}", 1),
    ("flag_f1_quality", "F1 of quality [%]", 100.0, "{:.1f}", 1),
    ("flag_f1_cord", "F1 of cord [%]", 100.0, "{:.1f}", 1),
    ("flag_f1_csf", "F1 of csf [%]", 100.0, "{:.1f}", 1),
    ("flag_accuracy", "flags, accuracy [%]", 100.0, "{:.1f}", 1),
    ("flag_precision", "flags, precision [%]", 100.0, "{:.1f}", 1),
    ("flag_recall", "flags, recall [%]", 100.0, "{:.1f}", 1),
    ("flag_exact_match", "images with all flags right [%]", 100.0, "{:.1f}", 1),
    ("flag_jaccard", "Jaccard of an image, mean [%]", 100.0, "{:.1f}", 1),
    ("flag_hamming", "wrong flags (Hamming) [%]", 100.0, "{:.1f}", -1),
    ("flag_risk", "wrong among the decided [%]", 100.0, "{:.1f}", -1),
    ("cannot_tell_rate", "images it cannot tell [%]", 100.0, "{:.1f}", 0),
    ("flicker_per_min", "flag changes, truth constant [1/min]", 1.0, "{:.1f}", -1),
    ("pointing_game", "heat map peaks on the structure [%]", 100.0, "{:.1f}", 1),
    ("ms_per_frame", "time a frame, median [ms]", 1.0, "{:.2f}", -1),
)
"""Name, words, factor, format, and +1 where more is better, -1 where less is, 0 where neither."""
GROUP_ROWS = (
    "tip_error_mm", "tip_error_mm_p95", "tip_within_2mm", "tip_within_3mm", "miss_rate", "false_alarm_rate",
    "abstain_rate", "unfamiliar_rate", "tip_ap50", "coverage90", "ece", "mask_iou", "mask_recall", "mask_f1",
    "mask_vanished_iou", "false_mask_rate", "start_within_10", "flag_f1", "flag_exact_match", "flag_risk",
    "cannot_tell_rate", "flicker_per_min",
)
"""What is told of each machine and difficulty."""


def title_and_unit(name: str) -> tuple[str, str]:
    """Return a figure's words without its unit, and the unit of its value in files: "share" for what lies in 0..1."""
    words, factor = next((words, factor) for known, words, factor, _form, _better in ROWS if known == name)
    title, _, unit = words.rstrip("]").partition(" [")
    return title, "share" if factor == 100.0 else unit


def in_figures(value: float, form: str) -> str:
    """Return a number in its format; one that is rounded to nothing has no sign of less."""
    text = form.format(value)
    return form.format(0.0) if float(text) == 0.0 else text


def count_of(number: int, what: str) -> str:
    """Return a number with its noun: 1 subject, 2 subjects."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"
