"""What a machine's own compression leaves of a screen: JPEG picture by picture, or an H.264 stream that is played back.

The stream starts anew every `GROUP_FRAMES` frames, so a frame depends only on those of its own group before it, and a
cine that is entered in the middle shows the same bytes as one that is played from its beginning.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from puncta.core.errors import BugError

GROUP_FRAMES = 12
"""Frames of a stream from one whole picture to the next."""
Screen = NDArray[np.uint8]


class Compression(Protocol):
    """Sends screens through a codec and back, in order."""

    def pass_through(self, screen: Screen, index: int) -> Screen:
        """Return what is left of frame ``index``; same shape."""
        ...


class Untouched:
    """No compression."""

    def pass_through(self, screen: Screen, index: int) -> Screen:
        """Return the screen itself."""
        return screen


class Jpeg:
    """Each picture by itself.

    Parameters
    ----------
    quality : int
        1 to 100.
    """

    def __init__(self, quality: int) -> None:
        self.options = [cv2.IMWRITE_JPEG_QUALITY, quality]

    def pass_through(self, screen: Screen, index: int) -> Screen:
        """Return what is left of the screen."""
        decoded = cv2.imdecode(cv2.imencode(".jpg", screen, self.options)[1], cv2.IMREAD_GRAYSCALE)
        return np.asarray(decoded, np.uint8)


class H264:
    """A live stream without delay, encoded and decoded with one thread each, which keeps its bytes the same.

    Parameters
    ----------
    fps : float
        Nominal rate of the stream.
    quality : float
        Constant rate factor: 18 is hardly visible, 32 blocky.
    """

    def __init__(self, fps: float, quality: float) -> None:
        self.rate = Fraction(max(1, round(fps)), 1)
        self.options = {
            "preset": "ultrafast", "tune": "zerolatency", "crf": f"{quality:.1f}",
            "x264-params": f"threads=1:keyint={GROUP_FRAMES}:min-keyint={GROUP_FRAMES}:scenecut=0",
        }
        self.group = -1
        self.encoder: Any = None
        self.decoder: Any = None

    def _start(self, width: int, height: int) -> None:
        import av  # machines with JPEG never need it

        self.encoder = av.CodecContext.create("libx264", "w")
        self.encoder.width, self.encoder.height = width, height
        self.encoder.pix_fmt = "yuv420p"
        self.encoder.time_base, self.encoder.framerate = 1 / self.rate, self.rate
        self.encoder.options = self.options
        self.encoder.thread_count = 1
        self.decoder = av.CodecContext.create("h264", "r")
        self.decoder.thread_count = 1

    def pass_through(self, screen: Screen, index: int) -> Screen:
        """Return what is left of frame ``index``; frames of a group must come in order."""
        import av

        h, w = screen.shape
        even = cv2.copyMakeBorder(screen, 0, h % 2, 0, w % 2, cv2.BORDER_REPLICATE) if h % 2 or w % 2 else screen
        if index // GROUP_FRAMES != self.group or self.encoder is None:
            self.group = index // GROUP_FRAMES
            self._start(even.shape[1], even.shape[0])
        # Grey is the stream's brightness alone; its colours stay neutral.
        planes = np.full((even.shape[0] * 3 // 2, even.shape[1]), 128, np.uint8)
        planes[: even.shape[0]] = _TO_VIDEO[even]
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        frame.pts = index
        for packet in self.encoder.encode(frame):
            for shown in self.decoder.decode(packet):
                bright = shown.to_ndarray()[:h, :w]
                return np.ascontiguousarray(cv2.LUT(bright, _FROM_VIDEO))
        raise BugError("the video codec held a frame back")


def choose_compression(video: bool, jpeg_quality: int, fps: float) -> Compression:
    """The codec of a machine; a stream's constant rate factor follows from the quality that JPEG would have."""
    return H264(fps, 40.0 - 0.2 * jpeg_quality) if video else Jpeg(jpeg_quality)


# Video keeps brightness between 16 and 235.
_LEVELS = np.arange(256)
_TO_VIDEO = np.rint(16 + _LEVELS * (219.0 / 255.0)).astype(np.uint8)
_FROM_VIDEO = np.clip(np.rint((_LEVELS - 16) * (255.0 / 219.0)), 0, 255).astype(np.uint8)
