"""Sets what the tracker needs besides weights, on the tune split alone: chances, thresholds, the tip's circle.

Every clip of the tune split runs through the very tracker of the plugin with its thresholds open; what it would show
under any thresholds follows from what it says then, for its memory does not depend on them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from puncta.formats.atomic import write_text_atomic
from puncta.imaging.heatmap import sigmoid
from puncta.imaging.mask_line import mask_along
from puncta.imaging.mask_scoring import MaskScoring
from puncta.imaging.mask_tracking import ENTER_NS, MaskReading, MaskTracker
from puncta.imaging.preprocess import resample_region
from puncta.imaging.tip_reading import pixel_mm_of
from puncta.inference.session import LoadedModel
from puncta.training.calibrate import UNFAMILIAR_MOST
from puncta.training.fitting import calibration_error, cross_fit, fit_logistic
from puncta.training.folder import CALIBRATION, TABLE
from puncta.training.tracker.masks import IN_PLANE, NONE, MaskClip

FALSE_MASKS_MOST = 0.007
"""Share of the frames without a needle, of each kind of tune clip, that may get a mask."""
LEVELS = (0.3, 0.4, 0.5, 0.6)
KEEP_SHARES = (1.0, 0.8, 0.6, 0.4)
"""Threshold to keep what is shown, as a share of that to show it."""
SHOW_GRID = np.concatenate([np.linspace(0.2, 0.9, 29), np.linspace(0.91, 0.995, 18)])
ENTER_GRID = (0.7, 0.8, 0.9)
CALM = 0.3
"""Chance below which there is no needle yet; see `MaskScoring`."""
COVERAGE = 0.9
INTERVAL_NS = 40_000_000
Tell = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, eq=False)
class TrackRows:
    """What the tracker said on every frame of the tune split; columns are of one length.

    Attributes
    ----------
    clip : ndarray of int
        Number of the clip; ``kinds`` names its kind.
    logit : ndarray
        Presence.
    strangeness : ndarray
    plane : ndarray of int8
    found, both : ndarray, shape (n, levels)
        Pixels of the mask, and of those that lie in the true one; 0 without a mask.
    true : ndarray
        Pixels of the true mask.
    tip_error, tip_sigma : ndarray
        Of the tip as it is drawn, smoothed over time [px of the network's picture]; NaN without one.
    angle_error, angle_sigma : ndarray
        [rad]
    """

    clip: NDArray[np.int64]
    kinds: tuple[str, ...]
    logit: NDArray[np.float64]
    strangeness: NDArray[np.float64]
    plane: NDArray[np.int8]
    found: NDArray[np.float64]
    both: NDArray[np.float64]
    true: NDArray[np.float64]
    tip_error: NDArray[np.float64]
    tip_sigma: NDArray[np.float64]
    angle_error: NDArray[np.float64]
    angle_sigma: NDArray[np.float64]

    def of_kind(self, kind: str) -> NDArray[np.bool_]:
        """Frames of the clips of a kind."""
        return np.array([self.kinds[c] == kind for c in self.clip], bool)


def read_tune(session: LoadedModel, tune: Mapping[str, Sequence[MaskClip]], tell: Tell | None = None) -> TrackRows:
    """Run the tracker over every clip, thresholds open."""
    tracker = MaskTracker(session, MaskScoring(show=0.0, keep=0.0, mask_level=LEVELS[0]))
    clips = [(kind, clip) for kind, given in tune.items() for clip in given]
    columns: list[list[Any]] = [[] for _ in range(11)]
    for number, (_, clip) in enumerate(clips):
        tracker.clear()
        for row in _read_clip(tracker, clip):
            for column, value in zip(columns, (number, *row), strict=True):
                column.append(value)
        if tell is not None:
            tell(number + 1, len(clips))
    arrays = [np.array(c) for c in columns]
    return TrackRows(
        arrays[0].astype(np.int64),
        tuple(kind for kind, _ in clips),
        arrays[1].astype(float),
        arrays[2].astype(float),
        arrays[3].astype(np.int8),
        *(a.astype(float) for a in arrays[4:]),
    )


def _read_clip(tracker: MaskTracker, clip: MaskClip) -> list[tuple[Any, ...]]:
    size, side = tracker.size, clip.clip.frames.shape[1]
    region = (0, 0, side, side)
    scale = pixel_mm_of(region, clip.clip.mm_per_px, size)
    masks = clip.masks(range(len(clip.plane)))
    rows = []
    for t, frame in enumerate(clip.clip.frames):
        grey, mapping = resample_region(np.asarray(frame), region, (size, size))
        reading = tracker.step(grey, t * INTERVAL_NS, scale)
        true = resample_region(masks[t], region, (size, size))[0] > 127
        # A needle in the plane of which the picture shows nothing is not asked for.
        plane = int(clip.plane[t]) if clip.plane[t] != IN_PLANE or true.any() else -2
        tip, entry = clip.clip.tip_px[t], clip.clip.entry_px[t]
        ends = None
        if not (np.isnan(tip).any() or np.isnan(entry).any()):
            ends = mapping.model_from_image(tip), mapping.model_from_image(entry)
        rows.append(_row(reading, true, plane, ends, scale))
    return rows


def _row(
    reading: MaskReading,
    true: NDArray[np.bool_],
    plane: int,
    ends: tuple[NDArray, NDArray] | None,
    scale: tuple[float, float],
) -> tuple[Any, ...]:
    chance = min(max(reading.presence, 1e-9), 1.0 - 1e-9)
    found, both = np.zeros(len(LEVELS)), np.zeros(len(LEVELS))
    off = [math.nan] * 4
    if reading.mask is not None and reading.line is not None and reading.logits is not None:
        probability = sigmoid(reading.logits)
        for k, level in enumerate(LEVELS):
            mask = mask_along(probability, reading.line, scale, level)
            found[k], both[k] = mask.sum(), (mask & true).sum()
        if ends is not None:
            (tx, ty), (ex, ey) = ends
            line, path = reading.line, reading.path
            assert path is not None
            pixel = math.sqrt(scale[0] * scale[1])
            wanted = math.atan2((ty - ey) * scale[1], (tx - ex) * scale[0])
            gap = math.atan2(line.direction[1], line.direction[0]) - wanted
            # The tip as the plugin draws it, smoothed over time; the angle's doubt as it goes into the smoothing.
            off = [
                math.hypot(path.tip[0] - tx * scale[0], path.tip[1] - ty * scale[1]) / pixel,
                math.hypot(path.along_sigma, path.across_sigma) / pixel,
                abs(math.remainder(gap, math.pi)),
                line.sigma_rad,
            ]
    strange = math.nan if reading.strangeness is None else reading.strangeness
    return (math.log(chance / (1.0 - chance)), strange, plane, found, both, float(true.sum()), *off)


def fit_chances(rows: TrackRows) -> tuple[float, float]:
    """Scale and shift that turn presence into log odds that hold, on frames with a needle in the plane or with none."""
    told = (rows.plane == IN_PLANE) | (rows.plane == NONE)
    outcomes = rows.plane[told] == IN_PLANE
    if outcomes.all() or not outcomes.any():
        return 1.0, 0.0
    scale, shift = fit_logistic(rows.logit[told][:, None], outcomes)
    return max(float(scale), 0.05), float(shift)


def shown_under(
    rows: TrackRows,
    chance: NDArray[np.float64],
    show: float,
    keep: float,
    level: int,
    enter: float = 1.0,
    calm: float = 0.0,
) -> NDArray[np.bool_]:
    """Which frames get a mask under thresholds: as the tracker decides, frame after frame."""
    out = np.zeros(len(chance), bool)
    able = rows.found[:, level] > 0
    window = ENTER_NS // INTERVAL_NS
    before, number, calm_at = False, -1, None
    for i, clip in enumerate(rows.clip):
        if clip != number:
            before, number, calm_at = False, int(clip), None
        came_in = calm_at is not None and i - calm_at <= window
        begin = min(show, enter) if came_in else show
        before = bool(able[i] and chance[i] >= (keep if before else begin))
        out[i] = before
        if chance[i] < calm:
            calm_at = i
    return out


def false_mask_rates(rows: TrackRows, shown: NDArray[np.bool_]) -> dict[str, float]:
    """Share of frames with a mask among those without a needle, by kind of clip."""
    out = {}
    for kind in dict.fromkeys(rows.kinds):
        free = rows.of_kind(kind) & (rows.plane == NONE)
        if free.any():
            out[kind] = float(shown[free].mean())
    return out


def mean_iou(rows: TrackRows, shown: NDArray[np.bool_], level: int) -> float:
    """Mean over frames with a needle in the plane; 0 where none is shown."""
    there = rows.plane == IN_PLANE
    if not there.any():
        return math.nan
    union = rows.true + rows.found[:, level] - rows.both[:, level]
    return float(np.where(shown, rows.both[:, level] / np.maximum(union, 1.0), 0.0)[there].mean())


@dataclass(frozen=True, slots=True)
class TrackCalibration:
    """What a calibration set: scale and shift of presence (they go into the graph), thresholds, figures."""

    scale: float
    shift: float
    scoring: MaskScoring
    figures: dict[str, float]


def calibrate_track(rows: TrackRows) -> TrackCalibration:
    """Choose everything on the rows of a graph whose presence is not calibrated yet."""
    scale, shift = fit_chances(rows)
    chance = np.asarray(1.0 / (1.0 + np.exp(-np.clip(scale * rows.logit + shift, -30, 30))))
    best: tuple[float, float, float, int] | None = None
    for level in range(len(LEVELS)):
        for share in KEEP_SHARES:
            for show in SHOW_GRID:
                shown = shown_under(rows, chance, float(show), share * float(show), level)
                if max(false_mask_rates(rows, shown).values(), default=0.0) <= FALSE_MASKS_MOST:
                    value = mean_iou(rows, shown, level)
                    value = 0.0 if math.isnan(value) else value
                    if best is None or value > best[0]:
                        best = (value, float(show), share * float(show), level)
                    # A higher threshold only hides more.
                    break
    # Nothing keeps so quiet: the highest threshold, and the figures say what comes of it.
    _, show, keep, level = best or (0.0, float(SHOW_GRID[-1]), float(SHOW_GRID[-1]), LEVELS.index(0.5))
    scoring = MaskScoring(
        show=show,
        keep=keep,
        sure=max(0.8, show),
        mask_level=LEVELS[level],
        strangeness_most=_strangest(rows),
    )
    scoring = replace(scoring, **_entering(rows, chance, scoring, level))
    shown = shown_under(rows, chance, show, keep, level, scoring.enter, scoring.calm)
    scoring = replace(scoring, **_spreads(rows, shown & (rows.plane == IN_PLANE), scoring))
    return TrackCalibration(scale, shift, scoring, _figures(rows, shown, scoring, level))


def _entering(rows: TrackRows, chance: NDArray[np.float64], scoring: MaskScoring, level: int) -> dict[str, float]:
    """The lower threshold, for needles that come in, that shows most of them and keeps as quiet as is asked."""
    best, out = 0.0, {}
    for enter in ENTER_GRID:
        shown = shown_under(rows, chance, scoring.show, scoring.keep, level, enter, CALM)
        quiet = max(false_mask_rates(rows, shown).values(), default=0.0) <= FALSE_MASKS_MOST
        value = mean_iou(rows, shown, level)
        if enter < scoring.show and quiet and value > best:
            best, out = value, {"enter": enter, "calm": CALM}
    return out


def _strangest(rows: TrackRows) -> float:
    """The strangeness that next to no frame of any kind of tune clip passes."""
    limits = [math.inf]
    for kind in dict.fromkeys(rows.kinds):
        values = rows.strangeness[rows.of_kind(kind) & np.isfinite(rows.strangeness)]
        if len(values):
            limits = [v for v in limits if math.isfinite(v)] + [float(np.quantile(values, 1 - UNFAMILIAR_MOST))]
    # A little room above: the tune split does not hold the strangest honest picture.
    return max(limits) * 1.05


def _spreads(rows: TrackRows, mine: NDArray[np.bool_], scoring: MaskScoring) -> dict[str, float]:
    """Factors by which 90 % of tips lie in their circle, and the fit's error of the angle holds."""
    ok = mine & np.isfinite(rows.tip_error) & np.isfinite(rows.tip_sigma) & (rows.tip_sigma > 0)
    if ok.sum() < 60:
        return {}
    ratio = (rows.tip_error[ok] - scoring.radius_least) / rows.tip_sigma[ok]
    turn = rows.angle_error[ok] / np.maximum(rows.angle_sigma[ok], 1e-6)
    return {
        "radius_factor": float(np.clip(np.quantile(ratio, COVERAGE), 0.1, 40.0)),
        # 68 % of errors lie within one standard error.
        "angle_factor": float(np.clip(np.quantile(turn, 0.683), 0.2, 40.0)),
    }


def _figures(rows: TrackRows, shown: NDArray[np.bool_], scoring: MaskScoring, level: int) -> dict[str, float]:
    there, told = rows.plane == IN_PLANE, (rows.plane == IN_PLANE) | (rows.plane == NONE)
    union = rows.true + rows.found[:, level] - rows.both[:, level]
    overlap = np.where(shown, rows.both[:, level] / np.maximum(union, 1.0), 0.0)
    figures: dict[str, float] = {"frames": float(len(shown))}
    for kind in (None, *dict.fromkeys(rows.kinds)):
        mine = rows.of_kind(kind) if kind is not None else np.ones(len(shown), bool)
        name = "" if kind is None else kind.replace(" ", "_").replace("-", "_") + "_"
        have, free = mine & there, mine & (rows.plane == NONE)
        if have.any():
            seen = have & shown
            figures[f"{name}iou"] = float(overlap[have].mean())
            figures[f"{name}shown_of_needles"] = float(shown[have].mean())
            figures[f"{name}iou_of_shown"] = float(overlap[seen].mean()) if seen.any() else 0.0
        if free.any():
            figures[f"{name}false_masks"] = float(shown[free].mean())
    ok = there & shown & np.isfinite(rows.tip_error)
    if ok.any():
        radius = scoring.radius_least + scoring.radius_factor * rows.tip_sigma[ok]
        figures["tip_in_circle"] = float((rows.tip_error[ok] <= radius).mean())
        figures["median_tip_error_px"] = float(np.median(rows.tip_error[ok]))
        figures["median_angle_error_deg"] = float(np.degrees(np.median(rows.angle_error[ok])))
    # By fits on the clips of the other folds: a calibration must not be judged on what it was set on.
    odds = cross_fit(rows.logit[:, None], there, told.astype(float), rows.clip)
    figures["ece"] = calibration_error(1.0 / (1.0 + np.exp(-np.clip(odds[told], -30, 30))), there[told])
    return figures


def write_track_calibration(out: Path, calibration: TrackCalibration) -> None:
    """Write `calibration.json` and `table.md` of a training folder."""
    figures = {k: round(v, 5) for k, v in calibration.figures.items()}
    table = {
        "calibration": calibration.scoring.as_spec(),
        "presence_scale": calibration.scale,
        "presence_shift": calibration.shift,
        "figures": figures,
    }
    write_text_atomic(out / CALIBRATION, json.dumps(table, indent=2) + "\n")
    lines = ["Tune split (never the test sets): simulated machines of training, and simulated needles on stills.", ""]
    lines += ["| figure | value |", "| --- | --- |", *(f"| {k} | {v:g} |" for k, v in figures.items())]
    write_text_atomic(out / TABLE, "\n".join(lines) + "\n")
