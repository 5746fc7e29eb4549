"""From frames to a tip: the one owner of every step, for the plugin that runs and for the calibration that tunes it.

`TipReader` puts a network and the watch for unfamiliar pictures in front of `TipFollower`, which takes the network's
answers, and finds the line behind the tip.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from puncta.imaging.axis import AxisFit, line_evidence, part_behind, refine_axis, search_axis
from puncta.imaging.filtering import TipFilterSettings
from puncta.imaging.heatmap import point_from_cell, sigmoid
from puncta.imaging.kalman import TrackState
from puncta.imaging.tip_follower import Pair, TipFollower
from puncta.imaging.tip_network import TipAnswer, TipNetwork
from puncta.imaging.tip_scoring import scoring_from_spec
from puncta.imaging.unfamiliar import PictureWatch
from puncta.sdk.context import ModelSession

UNCALIBRATED_HEIGHT_MM = 40.0
"""Height a region is taken to have where nobody knows its millimetres."""
GAP_NS = 2_000_000_000
"""Frames farther apart than this do not belong to one stream."""
STRANGE_SHARE = 0.3
"""Weight of the newest frame in the strangeness that is judged: one odd frame is no odd stream."""

SAME_SCALE = 0.02
"""A scale that differs by less than this share is the same one."""
LINE_STRENGTH_LEAST = 0.3
LINE_OFFSET_MOST_PX = 6.0
LINE_OFFSET_SIGMA_MOST_PX = 1.5
"""A tip is moved onto the line behind it where that line is seen, near, and well known."""
NOT_SEEN = "no tip is seen clearly enough"


@dataclass(frozen=True, slots=True)
class LineBehind:
    """The needle behind a tip, in the pixels of the network's input.

    Attributes
    ----------
    axis : AxisFit
    tip : tuple of float or None
        The tip moved onto the line; None where the line is not known well enough for that.
    """

    axis: AxisFit
    tip: Pair | None


def find_line(
    grey: NDArray[np.uint8], shaft: NDArray[np.floating], tip: Pair, towards: Pair
) -> LineBehind | None:
    """Find the line behind a tip on the picture itself.

    Parameters
    ----------
    shaft : ndarray, shape (h, w)
        The network's map of the shaft (logit).
    tip : (x, y) [px]
    towards : (x, y)
        The network's guess of the direction to the entry.
    """
    part = part_behind(tip, towards, (grey.shape[1], grey.shape[0]))
    evidence = line_evidence(grey, sigmoid(shaft), part)
    within = (tip[0] - part[0], tip[1] - part[1])
    axis = search_axis(evidence, within, towards)
    if axis is None:
        return None
    fine = refine_axis(evidence, within, axis) if axis.strength >= LINE_STRENGTH_LEAST else None
    if fine is None:
        return LineBehind(axis, None)
    known = abs(fine.offset_px) <= LINE_OFFSET_MOST_PX and fine.offset_sigma_px <= LINE_OFFSET_SIGMA_MOST_PX
    moved = (fine.tip[0] + part[0], fine.tip[1] + part[1]) if known else None
    return LineBehind(AxisFit(fine.direction, fine.sigma_rad, axis.strength), moved)


def direction_at(maps: NDArray[np.floating], cell_xy: Pair) -> Pair:
    """Return the network's guess of the direction to the entry at a place in its map (x, y) [cells]."""
    row, column = (int(np.clip(round(v), 0, n - 1)) for v, n in zip(cell_xy[::-1], maps.shape[1:]))
    return (float(maps[3, row, column]), float(maps[4, row, column]))


@dataclass(frozen=True, slots=True)
class TipReading:
    """What is said about one frame, in the pixels of the network's input.

    Attributes
    ----------
    presence : float
        Calibrated chance that a tip is in the picture.
    tip : tuple of float or None
        (x, y); None where no tip is shown, and ``reason`` says why.
    radius : float
        Radius of the circle meant to hold the tip 9 times in 10.
    predicted : bool
    axis : AxisFit or None
        From the tip to the entry.
    unfamiliar : bool
        The picture is not of the kind the network knows: frozen, without ultrasound, or strange.
    reason : str or None
    track : TrackState or None
    strangeness : float or None
    """

    presence: float = 0.0
    tip: Pair | None = None
    radius: float = 0.0
    predicted: bool = False
    axis: AxisFit | None = None
    unfamiliar: bool = False
    reason: str | None = None
    track: TrackState | None = None
    strangeness: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class TipInput:
    """A frame that is ready for the network.

    Attributes
    ----------
    grey : ndarray of uint8, shape (size, size)
    t_ns : int
        When the frame was taken [ns].
    pixel_mm : (x, y)
        Width and height of a pixel [mm].
    channels : ndarray or None
        The network's input; None where the frame repeats the one before or must not be read.
    stream, scale : int
        Where ``stream`` is another than that of the frame before, everything of before is to be forgotten; where
        ``scale`` is, what is known in millimetres. Numbers, since a mark on one frame is lost where that frame fails.
    why : str or None
        Why the picture must not be read.
    frozen, empty : bool
        What it is instead.
    """

    grey: NDArray[np.uint8]
    t_ns: int
    pixel_mm: Pair
    channels: NDArray[np.float32] | None
    stream: int
    scale: int
    why: str | None = None
    frozen: bool = False
    empty: bool = False


class TipReader:
    """Reads one stream.

    `read` takes a frame at a time. Its three parts may run in three threads, each on another frame, in order.

    Parameters
    ----------
    model : ModelSession
        A tip network with its `filter` and `calibration` tables.
    """

    def __init__(self, model: ModelSession) -> None:
        spec = model.spec
        self.network = TipNetwork(model)
        self.follower = TipFollower(
            scoring_from_spec(spec.get("calibration", {})), TipFilterSettings(**spec.get("filter", {}))
        )
        # Known to `prepare` alone:
        self._watch = PictureWatch()
        self._t_ns: int | None = None
        self._pixel_mm: Pair | None = None
        self._streams = self._scales = 0
        # Known to `infer` alone:
        self._inferred_stream = 0
        # Known to `finish` alone:
        self._read_stream = self._read_scale = 0
        self._reading: TipReading | None = None
        self._strangeness: float | None = None

    @property
    def size(self) -> int:
        """Side of the square pictures it takes [px]."""
        return self.network.size

    def clear(self) -> None:
        """Forget all frames; none may be under way."""
        self._clear_input()
        self.network.clear_memory()
        self._forget()

    def _clear_input(self) -> None:
        self.network.clear_history()
        self._watch.clear()
        self._t_ns = self._pixel_mm = None

    def _forget(self) -> None:
        self.follower.clear()
        self._reading = None
        self._strangeness = None

    def read(self, grey: NDArray[np.uint8], t_ns: int, pixel_mm: Pair) -> TipReading:
        """Take the next frame.

        Parameters
        ----------
        grey : ndarray of uint8, shape (size, size)
        t_ns : int
            When the frame was taken [ns].
        pixel_mm : (x, y)
            Width and height of a pixel of ``grey`` [mm].
        """
        ready = self.prepare(grey, t_ns, pixel_mm)
        return self.finish(ready, self.infer(ready))

    def prepare(
        self, grey: NDArray[np.uint8], t_ns: int, pixel_mm: Pair, *, begins: bool = False
    ) -> TipInput:
        """First part of `read`: what comes before the network.

        Parameters
        ----------
        begins : bool
            Forget everything of before.
        """
        if begins or (self._t_ns is not None and not 0 <= t_ns - self._t_ns <= GAP_NS):
            self._streams += 1
            self._clear_input()
        self._t_ns = t_ns
        known = self._pixel_mm
        # A region that is found a pixel off is no new scale; a ruler laid on the picture is.
        if known is None or any(abs(n - o) > SAME_SCALE * o for n, o in zip(pixel_mm, known)):
            self._pixel_mm = known = pixel_mm
            self._scales += 1
        numbers = (self._streams, self._scales)
        if (why := self._watch.look(grey, t_ns)) is not None:
            self.network.clear_history()
            return TipInput(grey, t_ns, known, None, *numbers, why, self._watch.frozen, self._watch.empty)
        return TipInput(grey, t_ns, known, self.network.prepare(grey), *numbers)

    def infer(self, ready: TipInput) -> TipAnswer | None:
        """Second part of `read`: the network; None where there is nothing new to see."""
        if ready.stream != self._inferred_stream or ready.why is not None:
            self.network.clear_memory()
        self._inferred_stream = ready.stream
        return None if ready.channels is None else self.network.infer(ready.channels)

    def finish(self, ready: TipInput, answer: TipAnswer | None) -> TipReading:
        """Third part of `read`: what comes after the network."""
        if ready.stream != self._read_stream:
            self._forget()
        elif ready.scale != self._read_scale:
            self.follower.clear_track()
        self._read_stream, self._read_scale = ready.stream, ready.scale
        if ready.why is not None:
            presence = self._reading.presence if self._reading is not None and ready.frozen else 0.0
            self._forget()
            reading = TipReading(presence=presence, unfamiliar=not ready.empty, reason=ready.why)
            # What was believed of the tip when the picture froze stays all that is known of it.
            self._reading = reading if ready.frozen else None
            return reading
        if answer is None and self._reading is not None:
            return self._reading
        if answer is None:  # the first frame failed, and this one repeats it
            return TipReading(reason=NOT_SEEN)
        self._reading = self._say(ready.grey, answer, ready.t_ns, ready.pixel_mm)
        return self._reading

    def _say(self, grey: NDArray[np.uint8], answer: TipAnswer, t_ns: int, pixel_mm: Pair) -> TipReading:
        stride = self.network.stride
        found = self.follower.update(answer, t_ns, (pixel_mm[0] * stride, pixel_mm[1] * stride))
        self._strangeness = _smoothed(self._strangeness, answer.strangeness)
        reading = TipReading(presence=found.presence, track=found.track, strangeness=self._strangeness)
        if self._strangeness is not None and self._strangeness > self.follower.scoring.strangeness_most:
            return replace(reading, unfamiliar=True, reason="the picture is unlike those the model was made with")
        if not found.shown:
            return replace(reading, reason=NOT_SEEN)
        tip = point_from_cell(found.cell_xy, stride)
        line = find_line(grey, answer.maps[5], tip, direction_at(answer.maps, found.cell_xy))
        if line is not None and line.tip is not None and self.follower.scoring.on_line and not found.predicted:
            tip = line.tip
        return replace(
            reading, tip=tip, radius=found.radius_cells * stride, predicted=found.predicted,
            axis=line.axis if line is not None else None,
        )


def _smoothed(old: float | None, new: float | None) -> float | None:
    if new is None or old is None:
        return new
    return old + STRANGE_SHARE * (new - old)


def pixel_mm_of(box: tuple[int, int, int, int], mm_per_px: Pair | None, size: int) -> Pair:
    """Return width and height [mm] of a pixel of a region stretched to ``size`` x ``size``.

    Parameters
    ----------
    box : tuple of int
        The region [x0, y0, w, h] [px].
    mm_per_px : (x, y) or None
        None takes the region to be 40 mm high, with square pixels.
    """
    x, y = mm_per_px or (UNCALIBRATED_HEIGHT_MM / box[3],) * 2
    return (x * box[2] / size, y * box[3] / size)
