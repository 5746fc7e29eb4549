"""Whether a found ultrasound region can be trusted: its sides have to end sharply, or a fan has to fit its border.

Deep tissue fades into the screen's own black, and then nobody can tell from the picture where the region ends. So a
box is *sure* only where what lives in the picture ends abruptly on all four sides, or where two straight sides and two
arcs about their common apex carry the border (a convex or sector probe; the box is then that of the whole fan). All
else is for a person to draw.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from puncta.core.geometry import box_iou
from puncta.imaging.region import find_region
from puncta.imaging.region_fan import find_fan
from puncta.imaging.region_life import Box, Life, extend, is_sharp, measure_life, tighten
from puncta.imaging.tick_comb import find_combs, reaches_past, static_grey

HELD = 0.93
"""Share of the box round what lives that a fan has to hold."""
AGREE = 0.96


@dataclass(frozen=True, slots=True)
class RegionProposal:
    """Where the ultrasound picture seems to lie.

    Attributes
    ----------
    box : tuple of int
        [x0, y0, w, h] [px].
    shape : str
        "rectangle", "fan" or "unclear".
    sure : bool
        False: a person has to draw it; the box is a suggestion.
    """

    box: Box
    shape: str
    sure: bool


def propose_region(frames: Sequence[NDArray[np.uint8]]) -> RegionProposal:
    """Find the ultrasound picture in some frames of a captured screen, and judge whether that is sure.

    Parameters
    ----------
    frames : sequence of ndarray of uint8, shape (H, W) or (H, W, 3)
        Frames over some seconds, all of one size.
    """
    finding = find_region(frames)
    if finding.kind == "whole" and finding.confidence == 0.0:
        return RegionProposal(finding.box, "unclear", False)
    life = measure_life(frames)
    box = extend(finding.box, life) if finding.kind == "found" else tighten(life, finding.box)
    proposal = _judged(box, life)
    if proposal.sure:
        # Where tissue goes black at some depth, the machine's own scale still goes on.
        grey = static_grey(frames)
        if any(reaches_past(grey, comb, proposal.box) for comb in find_combs(grey, proposal.box)[:1]):
            return replace(proposal, sure=False)
    return proposal


def _judged(box: Box, life: Life) -> RegionProposal:
    """Rectangle or fan, and whether its sides are sharp."""
    sharp = is_sharp(box, life)
    fan, fan_sure = _fan_of(box, life)
    if fan is not None and fan_sure and not sharp:
        return RegionProposal(fan, "fan", True)
    if sharp:
        # Where both are sharp they have to be the same, or nobody knows which of them is the picture.
        agree = fan is None or not fan_sure or box_iou(fan, box) >= AGREE
        return RegionProposal(box, "rectangle", agree)
    return RegionProposal(box if fan is None else fan, "unclear" if fan is None else "fan", False)


def _fan_of(box: Box, life: Life) -> tuple[Box | None, bool]:
    """Box of a fan that holds what lives, and whether it is sure."""
    found = find_fan(box, life)
    covered = found[0].box(life.size) if found is not None else None
    if found is None or covered is None:
        return None, False
    x, y, w, h = box
    left, top = max(x, covered[0]), max(y, covered[1])
    right, bottom = min(x + w, covered[0] + covered[2]), min(y + h, covered[1] + covered[3])
    share = max(0, right - left) * max(0, bottom - top) / (w * h)
    return (covered, found[1]) if share >= HELD else (None, False)
