"""What the user told about a source and what is remembered of it: a ruler, a confirmed region, a layout's scale."""

from __future__ import annotations

import numpy as np

from puncta.core.frame import Calibration, CalibrationOrigin, SourceInfo
from puncta.gui.preferences import Preferences
from puncta.imaging.tick_comb import Box, TickComb
from puncta.sources.identity import fingerprint


def ruler_identity(info: SourceInfo) -> str:
    """Name under which a two-point calibration of a source is remembered: its content and picture size.

    File names repeat (every archive exports an IM0001.dcm), and a ruler of another picture gives wrong millimetres.
    """
    return f"{fingerprint(info.uri)}|{info.geometry.width_px}x{info.geometry.height_px}"


def remembered_ruler(preferences: Preferences, info: SourceInfo) -> Calibration | None:
    """Return the user's two-point calibration of a source, or None."""
    if is_captured(info.uri):
        return None  # the machine behind it may show another depth today
    values = preferences.settings.rulers.get(ruler_identity(info), [])
    if len(values) != 2 or not all(np.isfinite(v) and v > 0 for v in values):
        return None
    return Calibration((values[0], values[1]), CalibrationOrigin.RULER)


CAPTURED = ("camera:", "screen:", "rtsp:", "rtsps:", "udp:")
"""Sources that show a machine's whole screen, and know neither its region nor its scale."""


def is_captured(uri: str) -> bool:
    """Tell whether a source shows a captured screen."""
    return uri.startswith(CAPTURED)


def region_identity(info: SourceInfo) -> str:
    """Name under which a confirmed region is remembered: device and picture size."""
    return f"{fingerprint(info.uri)}|{info.geometry.width_px}x{info.geometry.height_px}"


MOST_LAYOUTS = 16
"""So many layouts of one device are remembered; the oldest goes first."""
SAME_BOX_PX = 2.0


def keep_scale(
    preferences: Preferences, info: SourceInfo, box: Box, comb: TickComb | None, calibration: Calibration
) -> None:
    """Remember the scale of one layout: region, place and distance of its depth marks, millimetres per pixel.

    A row is [x, y, w, h, marks' x, first mark's y, distance of the marks, mm per px, 1 where read from the marks];
    the marks are 0 where the screen shows none. Nothing of the picture itself is kept.
    """
    rows = preferences.settings.scales.setdefault(region_identity(info), [])
    rows[:] = [row for row in rows if not _is_layout(row, box, comb)]
    marks = (0.0, 0.0, 0.0) if comb is None else (comb.x_px, comb.first_px, comb.pitch_px)
    read = float(calibration.origin is CalibrationOrigin.TICKS)
    rows.append([*(float(v) for v in (*box, *marks, calibration.mm_per_px[0])), read])
    del rows[:-MOST_LAYOUTS]
    preferences.touch("scales")


def kept_scale(preferences: Preferences, info: SourceInfo, box: Box, comb: TickComb | None) -> Calibration | None:
    """Return the scale that was confirmed for this layout before, or None."""
    for row in reversed(preferences.settings.scales.get(region_identity(info), [])):
        if _is_layout(row, box, comb) and np.isfinite(row[7]) and row[7] > 0:
            origin = CalibrationOrigin.TICKS if row[8] else CalibrationOrigin.RULER
            return Calibration((row[7], row[7]), origin, "remembered for this device and layout")
    return None


def _is_layout(row: list[float], box: Box, comb: TickComb | None) -> bool:
    """Whether a row is of this layout: the same region, and the same marks or none."""
    if len(row) != 9 or np.abs(np.subtract(row[:4], box)).max() > SAME_BOX_PX:
        return False
    x, first, pitch = row[4:7]
    if comb is None or pitch <= 0:
        return comb is None and pitch <= 0
    return comb.like(TickComb(x, first, pitch, 0, (), 1, 0))
