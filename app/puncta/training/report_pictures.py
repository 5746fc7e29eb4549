"""Validation pictures: the same frames of the tune split at every look, what is true on them, and the answer so far.

The frames reach the network as in the program, one after another through the motion history, a network with a memory
stepping along; the tip is the best cell of the map alone, without filter and threshold, which are set after training.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from puncta.core.geometry import PointPx
from puncta.imaging.motion_history import CHANNELS, HISTORY_FRAMES, MotionHistory
from puncta.imaging.preprocess import resample_region
from puncta.recording.tiles import Row, Tile
from puncta.training.augment import STRIDE
from puncta.training.data import Clip

COLUMNS = 6
SIMULATED, COMPOSED = 18, 6
"""Pictures of the simulator, and of other sources (needles on real stills, datasets)."""
SIMULATOR = "simulator"
"""Source of clips that are simulated through and through; only their pictures are handed on with a model."""
DATASET = "dataset"
"""Source of clips of a dataset that the experiment names: those of a site, with or without needles drawn into them."""
OWN_DATA = "Pictures of the data that it was given"
FOUND_MM = 2.0
MEMORY_FRAMES = 8
"""Frames that a network with a memory steps through before the one that is shown."""

Point = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """A frame that is looked at again and again."""

    clip: Clip
    frame: int


@dataclass(frozen=True, slots=True, eq=False)
class TuneAnswer:
    """What the network says about a chosen frame.

    Attributes
    ----------
    tip_px, entry_px : tuple of float
        Best cell of the map and a point towards the entry [px of the clip's frames].
    presence : float
        0..1; from 0.5 on the tip counts as given.
    """

    chosen: Chosen
    tip_px: PointPx
    entry_px: PointPx
    presence: float

    @property
    def has_tip(self) -> bool:
        """A visible tip is there."""
        return bool(self.chosen.clip.judged[self.chosen.frame] == 1)

    @property
    def error_mm(self) -> float | None:
        """Distance of the best cell to the tip [mm]; None without a tip or a scale."""
        mm = self.chosen.clip.mm_per_px
        if mm is None or not self.has_tip:
            return None
        true = self.chosen.clip.tip_px[self.chosen.frame]
        return math.hypot((self.tip_px[0] - true[0]) * mm[0], (self.tip_px[1] - true[1]) * mm[1])

    @property
    def error_share(self) -> float | None:
        """The same as a share of the picture's side."""
        if not self.has_tip:
            return None
        true = self.chosen.clip.tip_px[self.chosen.frame]
        return math.dist(self.tip_px, true) / self.chosen.clip.frames.shape[1]

    @property
    def harm(self) -> float:
        """How bad the answer is, 0..1: a far tip given surely is worst, then a false alarm, then a miss."""
        share = self.error_share
        if share is None:
            return 0.8 * self.presence
        return self.presence * min(1.0, share / 0.1) + (1 - self.presence) * 0.6


def choose_frames(
    groups: Sequence[Sequence[Clip]], simulated: int = SIMULATED, composed: int = COMPOSED
) -> list[Chosen]:
    """Choose the frames, always the same: clips spread over the tune split, a late judged frame of each."""
    clips = [clip for group in groups for clip in group if (clip.judged >= 0).any()]
    out: list[Chosen] = []
    for wanted, made_up in ((simulated, True), (composed, False)):
        some = [c for c in clips if (c.source == SIMULATOR) is made_up]
        for k in np.unique(np.linspace(0, max(0, len(some) - 1), min(wanted, len(some))).astype(int)):
            usable = np.flatnonzero(some[k].judged >= 0)
            # Not every time the last frame, where needles lie deepest; a third to the whole of the way in.
            late = usable[len(usable) // 3 :]
            out.append(Chosen(some[k], int(late[np.random.default_rng([7, int(k)]).integers(len(late))])))
    return out


def answer_chosen(net: Any, chosen: Sequence[Chosen], size: int) -> list[TuneAnswer]:
    """Run the network on the chosen frames, all of them at once."""
    if not chosen:
        return []
    device = next(net.parameters()).device
    remembers = hasattr(net, "step") and bool(net.state_shapes(size))
    steps = MEMORY_FRAMES if remembers else 1
    inputs = np.stack([_channels(c, size, steps) for c in chosen], axis=1)
    with torch.no_grad():
        if hasattr(net, "step"):  # without a memory the list of states is empty
            states: Any = [torch.zeros(len(chosen), *s[1:], device=device) for s in net.state_shapes(size)]
            for number in range(steps):
                maps, presence, _, states = net.step(torch.from_numpy(inputs[number]).to(device), states)
        else:
            maps, presence = net(torch.from_numpy(inputs[-1]).to(device))[:2]
    values = maps.float().cpu().numpy()
    surety = torch.sigmoid(presence.detach().float().reshape(-1)).cpu().numpy()
    return [_read(c, m, float(p), size) for c, m, p in zip(chosen, values, surety)]


def _channels(chosen: Chosen, size: int, steps: int) -> NDArray[np.float32]:
    """Inputs of the last ``steps`` frames up to the chosen one; before the clip's begin the first stands still."""
    history = MotionHistory(size)
    side = chosen.clip.frames.shape[1]
    begin = max(0, chosen.frame - steps - HISTORY_FRAMES)
    stack: list[NDArray[np.float32]] = []
    for frame in chosen.clip.frames[begin : chosen.frame + 1]:
        history.push(resample_region(frame, (0, 0, side, side), (size, size))[0])
        stack.append(history.channels())
        del stack[:-steps]
    stack = [stack[0]] * (steps - len(stack)) + stack
    assert stack[0].shape[0] == len(CHANNELS)
    return np.stack(stack)


def _read(chosen: Chosen, maps: NDArray[np.float32], presence: float, size: int) -> TuneAnswer:
    row, column = np.unravel_index(int(maps[0].argmax()), maps[0].shape)
    scale = chosen.clip.frames.shape[1] / size

    def to_clip(*cell: float) -> PointPx:
        x, y = ((v * STRIDE + (STRIDE - 1) / 2 + 0.5) * scale - 0.5 for v in cell)
        return x, y

    x, y = column + float(maps[1, row, column]), row + float(maps[2, row, column])
    unit = maps[3:5, row, column] / max(1e-6, float(np.hypot(*maps[3:5, row, column])))
    return TuneAnswer(chosen, to_clip(x, y), to_clip(x + 12 * float(unit[0]), y + 12 * float(unit[1])), presence)


def lay_rows(answers: Sequence[TuneAnswer], simulated: bool) -> list[Row]:
    """Return the rows of a sheet: pictures of the simulator alone, or the others, whose tissue may be real.

    Raises
    ------
    ValueError
        A picture of the other kind is among them.
    """
    if any((a.chosen.clip.source == SIMULATOR) is not simulated for a in answers):
        raise ValueError("simulated pictures and others go on sheets of their own")
    rows = []
    for own in (False, True):
        some = [a for a in answers if (a.chosen.clip.source == DATASET) is own]
        heading = "Simulated pictures" if simulated else "Simulated needles on other pictures"
        if some:
            rows.append(_lay_row(OWN_DATA if own else heading, some))
    return rows


def _lay_row(heading: str, answers: Sequence[TuneAnswer]) -> Row:
    badges = mark_extremes(answers)
    found = sum(a.has_tip and a.presence >= 0.5 and _near(a) for a in answers)
    alarms, empty = (sum(not a.has_tip and a.presence >= p for a in answers) for p in (0.5, 0.0))
    note = (f"{found} of {sum(a.has_tip for a in answers)} tips given and near, "
            f"{alarms} false {'alarm' if alarms == 1 else 'alarms'} on {empty} pictures without a tip")
    return Row(heading, [make_tile(a, badge) for a, badge in zip(answers, badges)], note)


def mark_extremes(answers: Sequence[TuneAnswer], worst: int = 3, best: int = 3) -> list[str]:
    """Return "best", "worst" or "" for each answer; nothing right is ever "worst", nothing wrong ever "best"."""
    badges = [""] * len(answers)
    order = sorted(range(len(answers)), key=lambda k: answers[k].harm)
    right = [k for k in order if answers[k].has_tip and answers[k].presence >= 0.5 and _near(answers[k])]
    wrong = [k for k in reversed(order) if _verdict(answers[k]) not in ("right", "silent")]
    for k in right[:best]:
        badges[k] = "best"
    for k in wrong[:worst]:
        badges[k] = "worst"
    return badges


def make_tile(answer: TuneAnswer, badge: str) -> Tile:
    """Make the tile of an answer, with words that say how it went."""
    clip, at = answer.chosen.clip, answer.chosen.frame
    true, entry = (_point(p[at]) if answer.has_tip else None for p in (clip.tip_px, clip.entry_px))
    given = answer.presence >= 0.5
    error = _distance(answer)
    words = {
        "right": f"tip off by {error}", "far": f"wrong by {error}", "missed": "missed",
        "alarm": "false alarm", "silent": "silent, no tip there",
    }[_verdict(answer)]
    place = "real still" if clip.source == "composite" else f"machine {clip.machine or 'unknown'}"
    return Tile(
        picture=np.ascontiguousarray(clip.frames[at]),
        caption=(words, f"{place}, presence {answer.presence:.2f}"),
        true_tip_px=true,
        true_entry_px=entry,
        tip_px=answer.tip_px if given else None,
        entry_px=answer.entry_px if given else None,
        origin={"composite": "simulated needle", SIMULATOR: "simulated", DATASET: "data given"}.get(
            clip.source, clip.source
        ),
        badge=badge,
    )


def _verdict(answer: TuneAnswer) -> str:
    if not answer.has_tip:
        return "alarm" if answer.presence >= 0.5 else "silent"
    if answer.presence < 0.5:
        return "missed"
    return "right" if _near(answer) else "far"


def _near(answer: TuneAnswer) -> bool:
    if answer.error_mm is not None:
        return answer.error_mm <= FOUND_MM
    return (answer.error_share or 0.0) <= 0.05


def _distance(answer: TuneAnswer) -> str:
    if answer.error_mm is not None:
        return f"{answer.error_mm:.1f} mm"
    return f"{100 * (answer.error_share or 0.0):.1f} % of the side"


def _point(p: Point) -> PointPx | None:
    return None if np.isnan(p).any() else (float(p[0]), float(p[1]))
