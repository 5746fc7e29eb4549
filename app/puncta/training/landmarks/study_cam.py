"""Where a network of the flag study looked: Grad-CAM, the pointing game, and sheets of what it got wrong.

Grad-CAM (Selvaraju et al., ICCV 2017): the maps of a late layer, weighed by the mean gradient of a flag's logit, and of
their sum what is positive. For a network whose logit is the mean of linear maps it is the class activation map but for
a factor.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from puncta.metrics.classification import pointing_hit
from puncta.training.landmarks.data import CORD, CSF, FLAGS
from puncta.training.landmarks.study_data import Frames, as_shown
from puncta.training.landmarks.study_rows import FlagNet

STRUCTURES = (("cord", CORD), ("csf", CSF))
"""Flags that speak of a structure, and its cells of the map; quality has none."""
SHEET_CELL_PX = 176
SHEET_COLUMNS, SHEET_ROWS = 6, 2
_CAPTION_PX = 34


def grad_cam(net: FlagNet, pictures: NDArray[np.float32], label: int) -> NDArray[np.float32]:
    """Return Grad-CAM of one label, (n, h, w), not scaled.

    Parameters
    ----------
    pictures : ndarray of float32, shape (n, 1, S, S)
    label : int
        Number of the flag.
    """
    kept: list[Tensor] = []

    def keep(_module: torch.nn.Module, _given: tuple[Tensor, ...], output: Tensor) -> None:
        output.retain_grad()
        kept.append(output)

    net = net.eval()
    device = next(net.parameters()).device
    hook = net.looked_at.register_forward_hook(keep)
    try:
        # The picture asks for a gradient, so that there is one even where every weight before the layer is frozen.
        given = torch.from_numpy(pictures).to(device).requires_grad_()
        logits = net(given)
        net.zero_grad(set_to_none=True)
        logits[:, label].sum().backward()
    finally:
        hook.remove()
    assert kept[0].grad is not None
    maps, slopes = net.as_maps(kept[0].detach()), net.as_maps(kept[0].grad)
    found = torch.relu((slopes.mean(dim=(2, 3), keepdim=True) * maps).sum(dim=1))
    net.zero_grad(set_to_none=True)
    return found.float().cpu().numpy()


def point(net: FlagNet, frames: Frames, size: int, batch: int = 32) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """Return logits (n, 3), and whether the peak lies on cord and on fluid (n, 2): 1, 0, or -1 where there is none."""
    if frames.maps is None:
        raise ValueError("these frames have no map of cord and fluid")
    logits, hits = [], np.full((len(frames.clip), len(STRUCTURES)), -1, np.int8)
    for start in range(0, len(frames.clip), batch):
        shown = as_shown(frames.pictures[start : start + batch], size)
        with torch.no_grad():
            device = next(net.parameters()).device
            logits.append(net.eval()(torch.from_numpy(shown).to(device)).float().cpu().numpy())
        for k, (name, code) in enumerate(STRUCTURES):
            heat = grad_cam(net, shown, FLAGS.index(name))
            for j in range(len(shown)):
                hit = pointing_hit(heat[j], frames.maps[start + j] == code)
                hits[start + j, k] = -1 if hit is None else int(hit)
    return np.concatenate(logits), hits


def peaks_on_structures(frames: Frames, maps: NDArray[np.float32]) -> NDArray[np.int8]:
    """Whether the peak of a network's own maps, (n, 3, h, w), lies on cord and on fluid; (n, 2) as `point` tells it."""
    if frames.maps is None:
        raise ValueError("these frames have no map of cord and fluid")
    hits = np.full((len(frames.clip), len(STRUCTURES)), -1, np.int8)
    for row, own in enumerate(maps):
        for k, (name, code) in enumerate(STRUCTURES):
            hit = pointing_hit(own[FLAGS.index(name)], frames.maps[row] == code)
            hits[row, k] = -1 if hit is None else int(hit)
    return hits


def worst_rows(frames: Frames, logits: NDArray[np.float32], count: int) -> list[tuple[int, int]]:
    """Return (row, flag) of the surest wrong answers, one a clip at most."""
    wrong = np.where((logits > 0) != (frames.flags == 1), np.abs(logits), -1.0)
    found: list[tuple[int, int]] = []
    seen: set[int] = set()
    for at in np.argsort(-wrong, axis=None):
        row, flag = (int(v) for v in np.unravel_index(at, wrong.shape))
        if wrong[row, flag] < 0 or len(found) == count:
            break
        clip = int(frames.clip[row])
        if clip not in seen:
            seen.add(clip)
            found.append((row, flag))
    return found


def draw_sheet(net: FlagNet, frames: Frames, logits: NDArray[np.float32], size: int, path: Path) -> int:
    """Draw the surest wrong answers with Grad-CAM of the flag that is wrong; return how many there are."""
    chosen = worst_rows(frames, logits, SHEET_COLUMNS * SHEET_ROWS)
    if not chosen:
        return 0
    cells = []
    for row, flag in chosen:
        heat = grad_cam(net, as_shown(frames.pictures[row : row + 1], size), flag)[0]
        cells.append(_cell(frames, row, flag, float(logits[row, flag]), heat))
    blank = np.full_like(cells[0], 24)
    cells += [blank] * (-len(cells) % SHEET_COLUMNS)
    lines = [np.hstack(cells[k : k + SHEET_COLUMNS]) for k in range(0, len(cells), SHEET_COLUMNS)]
    path.parent.mkdir(parents=True, exist_ok=True)
    done, code = cv2.imencode(".png", np.vstack(lines))
    assert done
    path.write_bytes(code.tobytes())
    return len(chosen)


def _cell(frames: Frames, row: int, flag: int, logit: float, heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    side = SHEET_CELL_PX
    grey = cv2.resize(frames.pictures[row], (side, side), interpolation=cv2.INTER_LINEAR)
    share = cv2.resize(heat / max(1e-9, float(heat.max())), (side, side), interpolation=cv2.INTER_CUBIC).clip(0, 1)
    colours = cv2.applyColorMap((share * 255).astype(np.uint8), cv2.COLORMAP_INFERNO).astype(np.float32)
    mixed = grey[..., None] * (1 - 0.55 * share[..., None]) + colours * (0.55 * share[..., None])
    out = np.full((side + _CAPTION_PX, side + 4, 3), 24, np.uint8)
    out[:side, 2:-2] = mixed.clip(0, 255).astype(np.uint8)
    said = "yes" if logit > 0 else "no"
    chance = 1 / (1 + np.exp(-abs(logit)))
    for line, text in enumerate((f"{FLAGS[flag]}: said {said} ({chance:.0%})",
                                 f"truth {'yes' if frames.flags[row, flag] else 'no'}, machine {frames.machine[row]}")):
        cv2.putText(out, text, (4, side + 13 + 15 * line), cv2.FONT_HERSHEY_SIMPLEX, 0.38, (230, 230, 230), 1,
                    cv2.LINE_AA)
    return out
