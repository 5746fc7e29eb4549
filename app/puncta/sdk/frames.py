"""A small set of made frames on which every plugin has to hold: the shapes and moments that real sources bring."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from puncta.core.frame import (
    Calibration,
    CalibrationOrigin,
    Frame,
    FrameKey,
    ImageGeometry,
    SourceInfo,
    SourceKind,
    UltrasoundRegion,
)
from puncta.sdk.plugin import ResetReason

_INTERVAL_NS = 40_000_000
_MOST_FRAMES = 120
_SHORT_CASE = 12


@dataclass(frozen=True, slots=True)
class CheckCase:
    """A short stream; `resets` names the frames before which the host resets the plugin."""

    name: str
    frames: tuple[Frame, ...]
    resets: Mapping[int, ResetReason] = field(default_factory=dict)


def built_in_cases(history_frames: int = 0) -> tuple[CheckCase, ...]:
    """Return the cases; the first is long enough to fill a plugin's history. The same call gives the same frames.

    Parameters
    ----------
    history_frames : int
        As in the manifest.
    """
    full = min(_MOST_FRAMES, max(6, history_frames + 3))
    n = min(_SHORT_CASE, full)
    whole = UltrasoundRegion((0, 0, 320, 240), "whole picture")
    inset = UltrasoundRegion(
        (83, 41, 401, 333), "dicom", Calibration((0.12, 0.1), CalibrationOrigin.REGION, "made for a check")
    )
    tiny = UltrasoundRegion((0, 0, 9, 7), "whole picture")
    return (
        _case("grey, moving spot", _moving_spot(full, whole, (320, 240), seed=1), (whole,)),
        _case("RGB, region not at the origin", _rgb(_moving_spot(n, inset, (640, 480), seed=2)), (inset,)),
        _case("tiny picture", _moving_spot(n, tiny, (9, 7), seed=3), ()),
        _case("all black", [np.zeros((240, 320), np.uint8) for _ in range(n)], (whole,)),
        _case("all white", [np.full((240, 320), 255, np.uint8) for _ in range(n)], (whole,)),
        _case("frozen picture", [_speckle((320, 240), np.random.default_rng(4))] * n, (whole,)),
        _new_epoch(n),
    )


def _case(name: str, pictures: list[NDArray[np.uint8]], regions: tuple[UltrasoundRegion, ...]) -> CheckCase:
    return CheckCase(name, _frames(name, pictures, regions, epoch=0, first=0))


def _new_epoch(n: int) -> CheckCase:
    """The geometry changes on the way: another size and region, a new epoch, a reset before it."""
    before = UltrasoundRegion((0, 0, 320, 240), "detected")
    after = UltrasoundRegion((20, 30, 180, 150), "detected")
    name = "geometry changes on the way"
    frames = (
        *_frames(name, _moving_spot(n, before, (320, 240), seed=5), (before,), epoch=0, first=0),
        *_frames(name, _moving_spot(n, after, (256, 200), seed=6), (after,), epoch=1, first=n),
    )
    return CheckCase(name, frames, {n: ResetReason.GEOMETRY_CHANGED})


def _frames(
    name: str, pictures: list[NDArray[np.uint8]], regions: tuple[UltrasoundRegion, ...], epoch: int, first: int
) -> tuple[Frame, ...]:
    height, width = pictures[0].shape[:2]
    geometry = ImageGeometry(width, height, regions)
    info = SourceInfo(
        uri=f"check:{name}",
        stream=f"check:{name}",
        title=name,
        kind=SourceKind.SIMULATED,
        geometry=geometry,
        frame_count=None,
        simulated=True,
    )
    return tuple(
        Frame(
            key=FrameKey(info.stream, first + i, (first + i) * _INTERVAL_NS),
            epoch=epoch,
            frame_id=first + i,
            t_ns=(first + i) * _INTERVAL_NS,
            skipped=0,
            pixels=picture.copy(),
            geometry=geometry,
            source=info,
        )
        for i, picture in enumerate(pictures)
    )


def _speckle(size_px: tuple[int, int], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Rayleigh-distributed grey, as speckle has it before log compression."""
    return np.clip(rng.rayleigh(28.0, (size_px[1], size_px[0])), 0, 200).astype(np.uint8)


def _moving_spot(n: int, region: UltrasoundRegion, size_px: tuple[int, int], seed: int) -> list[NDArray[np.uint8]]:
    """Speckle inside the region, black furniture around it, and a bright spot that moves through."""
    rng = np.random.default_rng(seed)
    x0, y0, w, h = region.box
    background = np.zeros((size_px[1], size_px[0]), np.uint8)
    background[y0 : y0 + h, x0 : x0 + w] = _speckle((w, h), rng)
    ys, xs = np.mgrid[0 : size_px[1], 0 : size_px[0]]
    pictures = []
    for i in range(n):
        share = (i + 1) / (n + 1)
        x, y = x0 + share * (w - 1), y0 + (0.2 + 0.6 * share) * (h - 1)
        spot = 255.0 * np.exp(-((xs - x) ** 2 + (ys - y) ** 2) / (2 * max(1.0, w / 100) ** 2))
        picture = np.maximum(background, spot.astype(np.uint8))
        outside = np.ones_like(picture, dtype=bool)
        outside[y0 : y0 + h, x0 : x0 + w] = False
        picture[outside] = 0
        pictures.append(picture)
    return pictures


def _rgb(pictures: list[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
    return [np.stack([p, p, (p * 0.9).astype(np.uint8)], axis=2) for p in pictures]
