"""A sheet of tune pictures with the maps of cord and fluid over them, where both lie, and what was answered.

The map is tinted orange where it speaks for the flag, its peak is a yellow cross; the lit structure by the simulator's
label map has a blue outline. Right answers first, then wrong ones, a subject a picture. Everything shown is simulated.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from puncta.core.errors import UserError
from puncta.recording.tiles import ANSWER, TRUTH, WORST, Row, Tile, draw_tile
from puncta.training.folder import GRAPH, read_weights
from puncta.training.landmarks.augment import Sample, make_sample
from puncta.training.landmarks.data import FLAGS, Shot
from puncta.training.landmarks.export import CAM, LOGITS
from puncta.training.landmarks.quantise import answers_of
from puncta.training.landmarks.run import gather_data, tuned_experiment
from puncta.training.parity import open_exported
from puncta.training.report import write_bytes
from puncta.training.run import Tell

SHEET = "maps.png"
COLUMNS, TILE_PX, GAP = 6, (224, 224), 8
SHOWN = ("cord", "csf")
Picture = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class _Case:
    sample: Sample
    flag: int
    chance: float
    cam: NDArray[np.float32]
    machine: str

    @property
    def right(self) -> bool:
        return (self.chance > 0.5) == (self.sample.flags[self.flag] == 1)


def overlay(picture: Picture, cam: NDArray[np.float32], part: NDArray[np.float32]) -> Picture:
    """Lay a map and a structure's outline over a grey picture, (S, S) -> (S, S, 3) RGB."""
    size = picture.shape[::-1]
    heat = np.maximum(cv2.resize(np.asarray(cam, np.float32), size, interpolation=cv2.INTER_LINEAR), 0)
    heat = 0.6 * heat / max(float(heat.max()), 1e-6)
    shown = cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB).astype(np.float32)
    shown = shown * (1 - heat[..., None]) + heat[..., None] * np.array(WORST, np.float32)
    canvas = np.clip(shown, 0, 255).astype(np.uint8)
    mask = (cv2.resize(np.asarray(part, np.float32), size, interpolation=cv2.INTER_LINEAR) > 0.5).astype(np.uint8)
    lines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(canvas, lines, -1, TRUTH, 1)
    row, column = np.unravel_index(int(cam.argmax()), cam.shape)
    at = (int((column + 0.5) * size[0] / cam.shape[1]), int((row + 0.5) * size[1] / cam.shape[0]))
    cv2.drawMarker(canvas, at, ANSWER, cv2.MARKER_CROSS, 11, 1)
    return canvas


def draw_maps(graph: Path, shots: Sequence[Shot], rows: int = 2) -> Picture:
    """Draw the sheet: for cord and CSF, a few right yes and all kinds of wrong answers, one a subject."""
    session = open_exported(graph)
    size = int(session.spec["size"][0])
    rng = np.random.default_rng(0)
    samples = [make_sample(s, 0, size, rng) for s in shots]
    answers = answers_of(session, [s.picture for s in samples])
    bands = []
    for name in SHOWN:
        k = FLAGS.index(name)
        chances = 1 / (1 + np.exp(-answers[LOGITS][:, k]))
        cases = [_Case(s, k, float(p), cam[k], shot.machine)
                 for s, p, cam, shot in zip(samples, chances, answers[CAM], shots, strict=True)]
        right = [c for c in cases if c.right and c.sample.flags[k] == 1]
        wrong = sorted((c for c in cases if not c.right), key=lambda c: -abs(c.chance - 0.5))
        count = COLUMNS * rows
        bands.append(_band(Row(f"{name}: right yes", (), f"{len(right)} of {len(cases)} subjects"), right[:count]))
        bands.append(_band(Row(f"{name}: wrong", (), f"{len(wrong)} of {len(cases)}, the surest first"),
                           wrong[:COLUMNS]))
    return np.vstack(bands)


def _band(row: Row, cases: Sequence[_Case]) -> Picture:
    width = COLUMNS * (TILE_PX[0] + GAP) + GAP
    head = np.full((30, width, 3), 255, np.uint8)
    cv2.putText(head, f"{row.heading} ({row.note}), simulated", (GAP, 21), cv2.FONT_HERSHEY_SIMPLEX, 0.55, (20, 24, 29),
                1, cv2.LINE_AA)
    parts = [head]
    for start in range(0, len(cases), COLUMNS):
        tiles = [_tile(case) for case in cases[start : start + COLUMNS]]
        band = np.full((tiles[0].shape[0] + GAP, width, 3), 255, np.uint8)
        for n, tile in enumerate(tiles):
            x = GAP + n * (TILE_PX[0] + GAP)
            band[: tile.shape[0], x : x + TILE_PX[0]] = tile
        parts.append(band)
    return np.vstack(parts)


def _tile(case: _Case) -> Picture:
    truth = "yes" if case.sample.flags[case.flag] == 1 else "no"
    words = (f"{FLAGS[case.flag]} {100 * case.chance:.0f} %, true: {truth}", f"machine {case.machine}")
    tile = draw_tile(Tile(case.sample.picture, words), TILE_PX).copy()
    shown = overlay(case.sample.picture, case.cam, case.sample.parts[case.flag])
    tile[: TILE_PX[1]] = cv2.resize(shown, TILE_PX, interpolation=cv2.INTER_AREA)
    return tile


def picture_finished(out: Path, data_root: Path | None, cache: Path | None, tell: Tell | None = None) -> None:
    """Draw the sheet of a finished training from its tune split into its folder.

    Raises
    ------
    UserError
        The folder holds no finished training of a landmark network.
    """
    experiment = tuned_experiment(out)
    read_weights(out)
    if not (out / GRAPH).exists():
        raise UserError(f"The training in {out} is not finished; go on with it by --resume.")
    splits = gather_data(experiment, data_root, cache or out / "cache", tell or (lambda _progress: None), False)
    with_maps = [s for s in splits.tune.spines if s.maps is not None]
    sheet = draw_maps(out / GRAPH, with_maps)
    file = io.BytesIO()
    Image.fromarray(sheet).quantize(128, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    write_bytes(out / SHEET, file.getvalue())
