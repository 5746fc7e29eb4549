"""The tracker that ships as a row of the mask study: its exported graph, run as the plugin runs it."""

from __future__ import annotations

import time

import cv2
import numpy as np
from numpy.typing import NDArray

from puncta.imaging.mask_tracking import MaskTracker
from puncta.imaging.preprocess import resample_region
from puncta.inference.loaded import Tuning
from puncta.inference.registry import Registry
from puncta.inference.session import open_session
from puncta.training.tracker.study_answers import GIVEN, Answers, first_of
from puncta.training.tracker.study_clips import Pack

DEFAULT_FPS = 15.0
"""Of clips that do not tell theirs."""


class Shipped:
    """A tracker of the registry.

    Parameters
    ----------
    model_id : str

    Raises
    ------
    UserError
        There is no such model.
    """

    def __init__(self, model_id: str) -> None:
        card = Registry.load().find(model_id)
        self._session = open_session(card, Tuning.deterministic())
        self.sha256 = self._session.sha256
        self._tracker = MaskTracker(self._session)

    @property
    def size(self) -> int:
        """Side of the pictures it takes [px]."""
        return self._tracker.size

    def answer_set(self, own: Pack, judged: Pack, mode: str) -> Answers:
        """Answer on every clip; masks and points come in the size that rows are judged at.

        Parameters
        ----------
        own, judged : Pack
            The same clips at the tracker's size, and at the study's.
        """
        masks = np.zeros(judged.frames.shape, bool)
        given = np.zeros(len(judged.clip), bool)
        tips, begins = np.full((len(masks), 2), np.nan), np.full((len(masks), 2), np.nan)
        shrink = judged.size / own.size
        for clip in range(own.clips):
            self._tracker.clear()
            rows = own.rows_of(clip)
            first = first_of(judged, clip) if mode == GIVEN else None
            step_ns, scale = _step_ns(own, clip), _scale(own, clip)
            for at in range(rows.start, rows.stop):
                handed = first is not None and rows.start + first[0] == at
                if handed:
                    self._tracker.prompt(np.asarray(own.masks[at], np.float32))
                reading = self._tracker.step(np.array(own.frames[at]), int((at - rows.start) * step_ns), scale)
                if reading.mask is not None:
                    masks[at] = _smaller(reading.mask, judged.size)
                if reading.line is not None:
                    tips[at] = (np.array(reading.line.tip) + 0.5) * shrink - 0.5
                    begins[at] = (np.array(reading.line.begin) + 0.5) * shrink - 0.5
                if handed and first is not None:
                    given[at], masks[at] = True, first[1]
        return Answers(masks, given, tips, begins)

    def ms_per_frame(self, judged: Pack, frames: int = 40) -> float:
        """Median time of one frame on one thread [ms], with motion channels and the line, without reading pictures."""
        self._tracker.clear()
        rows = judged.rows_of(0)
        pictures = [_larger(judged.frames[at], self.size) for at in range(rows.start, rows.stop)]
        took = []
        for k in range(frames):
            began = time.perf_counter()
            self._tracker.step(pictures[k % len(pictures)], k * 60_000_000)
            took.append(time.perf_counter() - began)
        return 1000 * float(np.median(took[5:]))


def _step_ns(pack: Pack, clip: int) -> float:
    fps = float(pack.fps[clip])
    return 1e9 / (fps if np.isfinite(fps) and fps > 0 else DEFAULT_FPS)


def _scale(pack: Pack, clip: int) -> tuple[float, float]:
    mm = pack.mm_per_px[clip]
    return (float(mm[0]), float(mm[1])) if np.isfinite(mm).all() else (1.0, 1.0)


def _smaller(mask: NDArray[np.bool_], size: int) -> NDArray[np.bool_]:
    return cv2.resize(mask.astype(np.float32), (size, size), interpolation=cv2.INTER_AREA) >= 0.5


def _larger(frame: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    return resample_region(np.asarray(frame), (0, 0, frame.shape[1], frame.shape[0]), (size, size))[0]
