"""Maps of a truth folder as PNG pictures: kinds of tissue, and optical flow.

Both have the size of the source picture. A label map is 8-bit grey, one kind of tissue a number. A flow map is 16-bit
RGB: red is the way to the right and green the way down, each (way [px]) * 64 + 32768; blue is 1 where the flow is known
and 0 elsewhere.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from puncta.core.errors import BugError, UserError
from puncta.formats.atomic import AtomicFile, plain_os_error

FLOW_STEPS_PER_PX = 64
FLOW_ZERO = 32768
_FAST_PNG = [cv2.IMWRITE_PNG_COMPRESSION, 3]


def write_label_map(path: Path, labels: NDArray[np.uint8]) -> None:
    """Write a label map of shape (H, W), whole or not at all; raises UserError where that fails."""
    _write_png(path, np.asarray(labels, np.uint8))


def read_label_map(path: Path) -> NDArray[np.uint8]:
    """Read a label map; raises UserError where it is missing or is no 8-bit grey picture."""
    labels = _read_png(path)
    if labels.ndim != 2 or labels.dtype != np.uint8:
        raise UserError(f"{path} is not an 8-bit grey picture, as label maps are.")
    return np.asarray(labels, np.uint8)


def write_flow_map(
    path: Path, flow_px: NDArray[np.float32], size_px: tuple[int, int], origin_px: tuple[int, int]
) -> None:
    """Write the flow of a region of the picture, whole or not at all.

    Parameters
    ----------
    flow_px : ndarray of float32, shape (h, w, 2)
        Way (right, down) of each pixel to the next frame [px]; NaN where it is not known.
    size_px, origin_px : (width, height), (x0, y0)
        Size of the picture and place of the region's first pixel in it [px].
    """
    height, width = flow_px.shape[:2]
    canvas = np.zeros((size_px[1], size_px[0], 3), np.uint16)
    x0, y0 = origin_px
    known = np.asarray(np.isfinite(flow_px).all(axis=-1))
    steps = np.rint(np.where(known[..., None], flow_px, 0.0) * FLOW_STEPS_PER_PX) + FLOW_ZERO
    if steps.size and (steps.min() < 0 or steps.max() > 65535):
        raise BugError(f"a flow of {np.abs(np.nan_to_num(flow_px)).max():.0f} px does not fit the format")
    part = canvas[y0 : y0 + height, x0 : x0 + width]
    part[..., 2], part[..., 1] = steps[..., 0], steps[..., 1]  # OpenCV stores blue, green, red
    part[..., 0] = known
    part[~known] = 0
    _write_png(path, canvas)


def read_flow_map(path: Path) -> NDArray[np.float32]:
    """Read the flow (right, down) of each pixel to the next frame [px], shape (H, W, 2); NaN where it is not known.

    Raises
    ------
    UserError
        The file is missing or is no 16-bit RGB picture.
    """
    stored = _read_png(path)
    if stored.ndim != 3 or stored.shape[2] != 3 or stored.dtype != np.uint16:
        raise UserError(f"{path} is not a 16-bit RGB picture, as flow maps are.")
    flow = (stored[..., 2:0:-1].astype(np.float32) - FLOW_ZERO) / FLOW_STEPS_PER_PX
    flow[stored[..., 0] == 0] = np.nan
    return np.asarray(flow, np.float32)


def _write_png(path: Path, picture: NDArray) -> None:
    done, data = cv2.imencode(".png", picture, _FAST_PNG)
    if not done:
        raise BugError(f"OpenCV cannot encode a picture of shape {picture.shape}")
    with AtomicFile(path, binary=True) as file:
        file.write(data.tobytes())


def _read_png(path: Path) -> NDArray:
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise plain_os_error(error, Path(path), "read") from error
    picture = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if data.size else None
    if picture is None:
        raise UserError(f"{path} is not a readable PNG picture.")
    return picture
