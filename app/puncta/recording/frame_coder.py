"""From a frame to what is stored of it: the kept part, coded and hashed."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable

from puncta.core.frame import Frame, hash_planes
from puncta.formats.frames_log import FramesHead
from puncta.recording.kept_region import Keeping, Layout, check_region, cut_planes, keeping_of, same_place
from puncta.recording.plane_codec import CODEC, PlaneEncoder
from puncta.recording.session_parts import Coded, SessionFacts

log = logging.getLogger(__name__)


class FrameCoder:
    """Codes frames of one kind: one source, one size, one ultrasound region. Used by one thread.

    Parameters
    ----------
    first : Frame
        Decides layout and region.
    layout_of : callable
        Tells how a frame's native planes are stored.
    whole : bool
        Keep the whole picture.

    Raises
    ------
    UserError
        No ultrasound region is known, and the whole picture was not asked for.
    """

    def __init__(
        self, first: Frame, layout_of: Callable[[Frame, Keeping | None], Layout], *, whole: bool = False
    ) -> None:
        if not whole:
            check_region(first)  # before the layout is tried out, which takes time, frame after frame
        layout = layout_of(first, None)
        self.keeping = keeping_of(first, layout, whole=whole)
        self._layout = layout = layout_of(first, self.keeping)
        _x0, _y0, width, height = self.keeping.box
        self._encoder = PlaneEncoder(layout.pixel_format, width, height)
        self._size_px = (first.geometry.width_px, first.geometry.height_px)
        self._shape = layout.planes_of(first)[0].shape
        extradata = self._encoder.extradata.hex()
        head = FramesHead(CODEC, layout.pixel_format, width, height, extradata, layout.grey, layout.full_range)
        source = first.source
        self._stream = source.stream
        self.facts = SessionFacts(source.stream, source.title, source.simulated, head, self.keeping)

    def fits(self, frame: Frame) -> bool:
        """Tell whether a frame is of the same kind as the first."""
        if frame.source.stream != self._stream or not same_place(frame, self.keeping, self._size_px):
            return False
        planes = self._layout.planes_of(frame)
        return bool(planes) and planes[0].shape == self._shape

    def code(self, frame: Frame, lost: Counter[str]) -> Coded | None:
        """Return what is stored of a frame; None where it cannot be coded.

        Parameters
        ----------
        lost : Counter
            Frames lost just before it, by cause; emptied where the frame takes them along.
        """
        planes = cut_planes(self._layout.planes_of(frame), self._layout, self.keeping)
        try:
            payload, raw = self._encoder.encode(planes)
        except Exception:
            log.exception("a frame could not be coded")
            return None
        causes = tuple(lost.items())
        lost.clear()
        return Coded(
            frame.key.index,
            frame.key.pts_ns,
            frame.t_ns,
            payload,
            raw,
            hash_planes(planes),
            sum(count for _cause, count in causes),
            causes,
            frame.geometry.calibration,
        )
