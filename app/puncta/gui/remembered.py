"""What the user told about a source and what is remembered of it: a ruler, a confirmed region."""

from __future__ import annotations

import numpy as np

from puncta.core.frame import Calibration, CalibrationOrigin, SourceInfo
from puncta.gui.preferences import Preferences
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
