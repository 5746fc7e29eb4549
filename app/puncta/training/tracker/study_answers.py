"""How rows of the mask study answer on whole clips, with the true first mask and on their own, and how fast."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from puncta.imaging.mask_line import fit_mask_line
from puncta.training.nets.needle_track import NeedleTrack
from puncta.training.nets.stcn import MemoryBank, Stcn
from puncta.training.tracker.study_clips import Pack, standardise
from puncta.training.tracker.study_ours import ShortHistory
from puncta.training.tracker.study_rows import OverClip

GIVEN, ALONE = "given", "alone"
MODES = (GIVEN, ALONE)
"""With the true mask of the first frame that has a needle, and without."""
LEVEL = 0.5
ODDS = 3.0
"""Log odds that a pixel of a mask stands for where a line is laid through it."""
START_LENGTH = 0.15
"""Share of the side from which on a mask found by the starting row is a needle to follow."""
_BATCH = 16

First = tuple[int, NDArray[np.bool_]]
"""Frame number and mask that a tracker is given."""


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What a row said on a set.

    Attributes
    ----------
    masks : ndarray of bool, shape (N, S, S)
    given : ndarray of bool, shape (N,)
        Frames whose true mask was handed over.
    tip_px, begin_px : ndarray, shape (N, 2)
        Ends of the line through the mask; NaN where there is none.
    """

    masks: NDArray[np.bool_]
    given: NDArray[np.bool_]
    tip_px: NDArray[np.float64]
    begin_px: NDArray[np.float64]


def answer_clip(net: OverClip, frames: NDArray[np.uint8], first: First | None) -> NDArray[np.bool_]:
    """Masks of a clip's frames, shape (T, S, S); on the frame of ``first`` the given mask stands.

    A row that needs a first mask says nothing before it.
    """
    out = np.zeros(frames.shape, bool)
    where = next(net.parameters()).device
    with torch.no_grad():
        if net.kind == "frame":
            images = torch.from_numpy(standardise(frames)).to(where)
            for start in range(0, len(images), _BATCH):
                logits = net.net(images[start : start + _BATCH, None])[:, 0]
                out[start : start + _BATCH] = (torch.sigmoid(logits) >= LEVEL).cpu().numpy()
        else:
            step = _step_of(net, frames.shape[-1])
            for at, frame in enumerate(frames):
                mask = torch.from_numpy(first[1]).float().to(where) if first is not None and first[0] == at else None
                answer = step(frame, mask)
                if answer is not None:
                    out[at] = (answer >= LEVEL).cpu().numpy()
    if first is not None:
        out[first[0]] = first[1]
    return out


Step = Callable[[NDArray[np.uint8], Tensor | None], Tensor | None]
"""(grey frame, its mask where that is handed over) -> probabilities (S, S), or None as long as nothing can be said."""


def _step_of(net: OverClip, side: int) -> Step:
    """What a row does with the next frame of one stream."""
    where = next(net.parameters()).device

    def image(frame: NDArray[np.uint8]) -> Tensor:
        return torch.from_numpy(standardise(frame)).to(where)

    if net.kind == "track":
        return OurStep(net, side)
    if net.kind == "previous":
        previous = _previous_step(net)
        return lambda frame, mask: previous(image(frame), mask)
    if net.kind == "memory":
        assert isinstance(net.net, Stcn)
        bank = MemoryBank(net.net)
        return lambda frame, mask: bank.step(image(frame), mask)
    return lambda frame, _mask: net.net(image(frame)[None, None])[0, 0]


def _previous_step(net: OverClip) -> Callable[[Tensor, Tensor | None], Tensor]:
    last: list[Tensor] = []

    def step(image: Tensor, mask: Tensor | None) -> Tensor:
        before = last.pop() if last else torch.zeros_like(image)
        found = torch.sigmoid(net.net(torch.stack([image, before])[None]))[0, 0] if mask is None else mask
        last.append(found)
        return found

    return step


class OurStep:
    """Ours, frame by frame as the plugin runs it, with one half for its thresholds.

    A mask that is handed over takes the place of all it remembers. A frame that only repeats the one before is no step.
    Motion channels look back no further than in training.
    """

    def __init__(self, net: OverClip, side: int) -> None:
        assert isinstance(net.net, NeedleTrack)
        self.net, self.side = net.net, side
        self.history = ShortHistory(side)
        self.answer: Tensor | None = None
        self._where = next(net.parameters()).device
        self._forget(torch.zeros(side, side, device=self._where))

    def _forget(self, prior: Tensor) -> None:
        self.states = [torch.zeros(shape, device=self._where) for shape in self.net.state_shapes(self.side)]
        self.prior = prior[None, None]

    def __call__(self, frame: NDArray[np.uint8], mask: Tensor | None) -> Tensor:
        """Take the next frame."""
        fresh = self.history.push(frame)
        if not fresh and mask is None and self.answer is not None:
            return self.answer
        if mask is not None:
            self._forget(mask)
        channels = torch.from_numpy(self.history.channels())[None].to(self._where)
        logits, presence, _, self.states = self.net.step(channels, self.prior, self.states)
        found = torch.sigmoid(logits)
        self.prior = found if mask is None else mask[None, None]
        shown = mask is not None or float(torch.sigmoid(presence)) >= LEVEL
        self.answer = self.prior[0, 0] if shown else torch.zeros_like(self.prior[0, 0])
        return self.answer


def first_of(pack: Pack, clip: int) -> First | None:
    """First frame of a clip whose needle has a mask, with it; None where there is none."""
    rows = pack.rows_of(clip)
    asked = np.flatnonzero(pack.in_plane()[rows])
    if not len(asked):
        return None
    at = int(asked[0])
    return at, np.array(pack.masks[rows.start + at]).astype(bool)


def start_of(masks: NDArray[np.bool_]) -> First | None:
    """First frame on which the starting row's mask is long enough to be a needle; None where none is."""
    for at, mask in enumerate(masks):
        if mask.any():
            line = fit_mask_line(np.where(mask, ODDS, -ODDS))
            if line is not None and line.length >= START_LENGTH * mask.shape[0]:
                return at, mask
    return None


def answer_set(
    answer: Callable[[int, NDArray[np.uint8], First | None], NDArray[np.bool_]], pack: Pack, mode: str,
    starts: Answers | None = None, watch: Callable[[int, int], None] | None = None,
) -> Answers:
    """Answer on every clip of a set, from its first frame on.

    Parameters
    ----------
    answer : callable
        (number of the clip, frames, first) -> masks.
    starts : Answers or None
        What the starting row found on its own: where given, a row on its own begins with its first needle.
    """
    masks = np.zeros(pack.frames.shape, bool)
    given = np.zeros(len(pack.clip), bool)
    for clip in range(pack.clips):
        rows = pack.rows_of(clip)
        true_first = first_of(pack, clip)
        first = true_first if mode == GIVEN else start_of(starts.masks[rows]) if starts is not None else None
        masks[rows] = answer(clip, np.array(pack.frames[rows]), first)
        if mode == GIVEN and true_first is not None:
            given[rows.start + true_first[0]] = True
        if watch:
            watch(clip + 1, pack.clips)
    return _with_lines(pack, masks, given)


def _with_lines(pack: Pack, masks: NDArray[np.bool_], given: NDArray[np.bool_]) -> Answers:
    """Lay a line through every mask of a frame with a needle in the plane."""
    tips, begins = np.full((len(masks), 2), np.nan), np.full((len(masks), 2), np.nan)
    for at in np.flatnonzero(pack.in_plane() & masks.any((1, 2))):
        mm = pack.mm_per_px[pack.clip[at]]
        scale = (float(mm[0]), float(mm[1])) if np.isfinite(mm).all() else (1.0, 1.0)
        line = fit_mask_line(np.where(masks[at], ODDS, -ODDS), scale)
        if line is not None:
            tips[at], begins[at] = line.tip, line.begin
    return Answers(masks, given, tips, begins)


def ms_per_frame(net: OverClip, pack: Pack, frames: int = 40) -> float:
    """Mean time of one step on one thread [ms]: the network, its memory and what it makes of a picture; no lines."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        clip = next((c for c in range(pack.clips) if first_of(pack, c) is not None), 0)
        rows = pack.rows_of(clip)
        pictures = np.array(pack.frames[rows])
        step = _step_of(net, pack.size)
        took = []
        with torch.no_grad():
            for k in range(frames):
                mask = torch.from_numpy(np.array(pack.masks[rows.start])).float() if k == 0 else None
                began = time.perf_counter()
                step(pictures[k % len(pictures)], mask)
                took.append(time.perf_counter() - began)
    finally:
        torch.set_num_threads(threads)
    # The first frames are given or warm up. A mean, since every fifth frame of a memory costs more.
    return 1000 * float(np.mean(took[5:]))


def save_answers(path: Path, answers: Answers, made_for: str) -> None:
    """Write answers whole or not at all; masks take a bit a pixel."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.npz")
    np.savez_compressed(
        temporary, masks=np.packbits(answers.masks.reshape(len(answers.masks), -1), axis=1),
        side=answers.masks.shape[1], given=answers.given, tip_px=answers.tip_px.astype(np.float32),
        begin_px=answers.begin_px.astype(np.float32), made_for=made_for,
    )
    os.replace(temporary, path)


def load_answers(path: Path) -> Answers:
    """Read what `save_answers` wrote."""
    with np.load(path) as held:
        side = int(held["side"])
        masks = np.unpackbits(held["masks"], axis=1, count=side * side).astype(bool).reshape(-1, side, side)
        return Answers(masks, held["given"], held["tip_px"].astype(float), held["begin_px"].astype(float))


def made_for(path: Path) -> str:
    """What answers were made for (weights and set); empty where there are none."""
    if not path.exists():
        return ""
    with np.load(path) as held:
        return str(held["made_for"])
