"""The infant spine's three flags of one frame: quality, CSF and cord, by rules with numbers.

The rules are ours: the poster that the three flags come from gives none. They look at what the picture shows: the label
map where things appear, how much of it is shadowed, and the grey values of the rendered frame. The chapter
``infant-labels.md`` of the manual holds the same numbers in a table.

Every measure of a thin line compares like with like: the brightest cell of a band of `BAND_MM` across the line with the
brightest cell of an equally high band beside it, so that speckle alone gives no line.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from puncta.sim.pose import ProbePose
from puncta.sim.subject import Subject
from puncta.sim.tissue_kinds import Tissue

Float32 = NDArray[np.float32]

CSF_AP_MM = 1.0
"""A space counts where it is at least this deep along the beam [mm]."""
CSF_AREA_MM2 = 8.0
CSF_LENGTH_MM = 5.0
"""Only asked for in the longitudinal view."""
CSF_CONTRAST_DB = 6.0
CORD_LENGTH_MM = 5.0
CORD_AP_MM = 1.0
"""Thinner than this is the tip's thread, which is not counted as cord [mm]."""
CORD_CONTOUR_SHARE = 0.5
LINE_CNR = 1.5
WALL_CNR = 2.0
DURA_SHARE = 0.3
"""Share of the sac's breadth in view over which its near wall must be lit."""
MIDLINE_MM = 2.0
CLIPPED_SHARE = 0.10
BLACK_SHARE = 0.60
BLUR_RESOLUTIONS = 1.0
SHADOWED_DB = -12.0
"""Attenuation beyond the compensation from which on a place counts as shadowed [dB], as for the needle's tip."""
BAND_MM = 0.6
WHITE_GREY, BLACK_GREY = 252, 6
"""Grey values from which on a cell is clipped, and up to which it is black."""
MIN_SAC_MM = 2.0
"""A sac narrower than this in the picture is not resolved at all [mm]."""


@dataclass(frozen=True, slots=True)
class SpineFlags:
    """Flags of one frame, each 0 or 1, and the figures they rest on.

    Attributes
    ----------
    quality, csf, cord : int
    reasons : mapping
        Figures by names with units: ``csf_area_mm2 csf_length_mm csf_contrast_db cord_length_mm cord_contour_share
        pia_cnr centre_cnr dura_share wall_cnr midline_offset_mm clipped_share black_share blur_resolutions``.
    failed : tuple of str
        Names of the figures that keep quality from being 1; empty when it is 1.
    """

    quality: int
    csf: int
    cord: int
    reasons: dict[str, float] = field(default_factory=dict)
    failed: tuple[str, ...] = ()


def _table(*kinds: Tissue) -> NDArray[np.uint8]:
    table = np.zeros(256, np.uint8)
    table[[int(kind) for kind in kinds]] = 1
    return table


_SAC = _table(Tissue.CSF, Tissue.CORD, Tissue.CAUDA_EQUINA)
_CSF = _table(Tissue.CSF)
_CORD = _table(Tissue.CORD)
_STOPS = _table(Tissue.BONE, Tissue.AIR)


def judge_spine(
    label: NDArray[np.uint8],
    picture: NDArray[np.uint8],
    mm_per_cell: float | tuple[float, float],
    *,
    view: str,
    residual_db: Float32 | None = None,
    grey_db: Float32 | None = None,
    midline_offset_mm: float = 0.0,
    motion_mm: float = 0.0,
    lateral_mm: float = 1.0,
) -> SpineFlags:
    """Judge one frame.

    Parameters
    ----------
    label : ndarray of uint8, shape (h, w)
        `Tissue` numbers where things appear in the picture's region, OUTSIDE beyond the scan; may be coarser than the
        picture.
    picture : ndarray of uint8, shape (H, W)
        The region as displayed.
    mm_per_cell : float or (x, y)
        Size of a cell of ``label`` [mm].
    view : {"longitudinal", "transverse"}
    residual_db : ndarray of float32, shape (h, w), optional
        Echo level left after attenuation, against the machine's compensation [dB]; negative in shadows. None works the
        shadows out from the labels: everything straight below bone or air.
    grey_db : ndarray of float32, shape (256,), optional
        Echo level under white of each displayed grey [dB], see `levels_of_greys`. None spreads 60 dB evenly.
    midline_offset_mm : float
        Distance between the probe's middle and the canal's [mm], see `midline_offset`.
    motion_mm : float
        Way of the tissue at the canal since the last frame [mm].
    lateral_mm : float
        Lateral resolution (FWHM) at the canal [mm].
    """
    across, down = mm_per_cell if isinstance(mm_per_cell, tuple) else (mm_per_cell, mm_per_cell)
    # Brightest grey of the band about each place, taken before the picture is thinned out so that no line is missed.
    size = 2 * int(BAND_MM / 2 / down * picture.shape[0] / label.shape[0]) + 1
    band = np.asarray(cv2.dilate(picture, np.ones((size, 1), np.uint8)), np.uint8)
    if picture.shape != label.shape:
        picture, band = (np.asarray(cv2.resize(part, label.shape[::-1], interpolation=cv2.INTER_NEAREST), np.uint8)
                         for part in (picture, band))
    longitudinal = view == "longitudinal"
    reasons: dict[str, float] = {
        "csf_area_mm2": 0.0, "csf_length_mm": 0.0, "csf_contrast_db": 0.0, "pia_cnr": 0.0, "centre_cnr": 0.0,
        "cord_length_mm": 0.0, "cord_contour_share": 0.0, "dura_share": 0.0, "wall_cnr": 0.0,
        "midline_offset_mm": abs(midline_offset_mm), "blur_resolutions": abs(motion_mm) / max(lateral_mm, 1e-6),
    }
    scanned = label != Tissue.OUTSIDE
    greys = cv2.calcHist([picture], [0], scanned.view(np.uint8), [256], [0, 256])[:, 0]
    total = max(float(greys.sum()), 1.0)
    reasons["clipped_share"] = float(greys[WHITE_GREY:].sum()) / total
    reasons["black_share"] = float(greys[: BLACK_GREY + 1].sum()) / total

    sac = np.asarray(cv2.LUT(label, _SAC), np.uint8)
    x0, y0, w, h = cv2.boundingRect(sac)
    csf_flag = cord_flag = 0
    if w * across >= MIN_SAC_MM and h > 2:
        # Everything else is measured in the sac's box with a rim that holds its walls.
        rim = int(1.5 / down) + 2
        top, bottom = max(0, y0 - rim), min(label.shape[0], y0 + h + rim)
        box = (slice(top, bottom), slice(x0, x0 + w))
        lit = _lit(label, residual_db, box)
        table = _EVEN_60 if grey_db is None else grey_db.astype(np.float32)
        canal = _Canal(label[box], sac[box], lit, table[picture[box]], table[band[box]], across, down)
        csf_flag = _judge_csf(canal, longitudinal, reasons)
        cord_flag = _judge_cord(canal, longitudinal, reasons)
        _measure_walls(canal, reasons)
    failed = _quality_faults(reasons)
    return SpineFlags(int(not failed), csf_flag, cord_flag, reasons, failed)


@dataclass(slots=True)
class _Canal:
    """The sac's box: labels, what is lit, and the picture [dB] with the brightest of the band about each place."""

    label: NDArray[np.uint8]
    sac: NDArray[np.uint8]
    lit: NDArray[np.uint8]
    level: Float32
    band: Float32
    across: float
    down: float

    def sample(self, rows: NDArray, columns: NDArray) -> Float32:
        """Band maxima [dB] at the lit ones of the places."""
        rows = np.clip(np.rint(rows).astype(np.intp), 0, self.label.shape[0] - 1)
        return self.band[rows, columns][self.lit[rows, columns] > 0]

    def column_samples(self, rows: NDArray, columns: NDArray) -> tuple[Float32, NDArray[np.uint8]]:
        """Band maxima [dB], NaN where shadowed, and labels, one for every place."""
        rows = np.clip(np.rint(rows).astype(np.intp), 0, self.label.shape[0] - 1)
        level = np.where(self.lit[rows, columns] > 0, self.band[rows, columns], np.float32(np.nan))
        return level, self.label[rows, columns]


def _lit(label: NDArray[np.uint8], residual_db: Float32 | None, box: tuple[slice, slice]) -> NDArray[np.uint8]:
    """1 where a place of the box is not shadowed."""
    if residual_db is not None:
        return (residual_db[box] > SHADOWED_DB).astype(np.uint8)
    stops = np.asarray(cv2.LUT(np.ascontiguousarray(label[: box[0].stop, box[1]]), _STOPS), np.uint8)
    return 1 - np.maximum.accumulate(stops, axis=0)[box[0].start :]


def _span(mask: NDArray[np.uint8]) -> tuple[NDArray, NDArray, NDArray]:
    """Columns that hold the mask, and their first and last rows."""
    columns = np.flatnonzero(mask.any(axis=0))
    part = mask[:, columns]
    return columns, part.argmax(axis=0), mask.shape[0] - 1 - part[::-1].argmax(axis=0)


def _cnr(line: Float32, beside: Float32) -> float:
    """(mean - mean) / deviation beside; 0 with too few samples. A floor of 1.5 dB keeps flat black from dividing."""
    if line.size < 3 or beside.size < 3:
        return 0.0
    return float((line.mean() - beside.mean()) / max(float(beside.std()), 1.5))


def _judge_csf(canal: _Canal, longitudinal: bool, reasons: dict[str, float]) -> int:
    space = np.asarray(cv2.LUT(canal.label, _CSF), np.uint8) & canal.lit
    deep = max(1, int(np.ceil(CSF_AP_MM / canal.down - 1e-6)))
    # An upright bar fits where a column is deep enough: opening keeps exactly those cells.
    space = np.asarray(cv2.morphologyEx(space, cv2.MORPH_OPEN, np.ones((deep, 1), np.uint8)), np.uint8)
    count, parts, stats, _ = cv2.connectedComponentsWithStats(space, connectivity=8)
    if count < 2:
        return 0
    largest = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    inside = parts == largest
    columns = inside.any(axis=0)
    area = float(stats[largest, cv2.CC_STAT_AREA]) * canal.across * canal.down
    length = float(columns.sum()) * canal.across
    cord = (np.asarray(cv2.LUT(canal.label, _CORD), np.uint8) & canal.lit) > 0
    wall = canal.sample(*_near_wall(canal))
    against = [float(part.mean()) for part in (canal.level[cord], wall) if part.size > 4]
    contrast = max(against) - float(canal.level[inside].mean()) if against else 0.0
    reasons.update(csf_area_mm2=area, csf_length_mm=length, csf_contrast_db=contrast)
    enough = area >= CSF_AREA_MM2 and (length >= CSF_LENGTH_MM or not longitudinal)
    return int(enough and contrast >= CSF_CONTRAST_DB)


def _judge_cord(canal: _Canal, longitudinal: bool, reasons: dict[str, float]) -> int:
    cord = np.asarray(cv2.LUT(canal.label, _CORD), np.uint8)
    columns, top, bottom = _span(cord)
    if columns.size < 3:
        return 0
    thick = (bottom - top + 1) * canal.down >= CORD_AP_MM
    columns, top, bottom = columns[thick], top[thick], bottom[thick]
    if columns.size < 3:
        return 0
    middle = (top + bottom) / 2.0
    if longitudinal:
        seen = canal.lit[np.rint(middle).astype(int), columns] > 0
        extent = float(seen.sum()) * canal.across
        reasons["cord_length_mm"] = extent
        enough = extent >= CORD_LENGTH_MM
    else:
        rim = cord - np.asarray(cv2.erode(cord, np.ones((3, 3), np.uint8)), np.uint8)
        extent = float((rim & canal.lit).sum()) / max(float(rim.sum()), 1.0)
        reasons["cord_contour_share"] = extent
        enough = extent >= CORD_CONTOUR_SHARE
        # Sides of a circle give no line: ask the middle half of it.
        rank = np.abs(columns - columns.mean()) <= 0.25 * columns.size
        columns, top, bottom, middle = columns[rank], top[rank], bottom[rank], middle[rank]
    quarter = (bottom - top) / 4.0
    roomy = quarter * canal.down >= 0.5
    beside = np.concatenate([canal.sample((top + quarter)[roomy], columns[roomy]),
                             canal.sample((bottom - quarter)[roomy], columns[roomy])])
    pia = min(_cnr(canal.sample(top, columns), beside), _cnr(canal.sample(bottom, columns), beside))
    close = np.abs(columns - columns.mean()) * canal.across <= 0.4 if not longitudinal else roomy
    centre = _cnr(canal.sample(middle[close], columns[close]), beside)
    reasons.update(pia_cnr=pia, centre_cnr=centre)
    return int(enough and max(pia, centre) >= LINE_CNR)


def _near_wall(canal: _Canal) -> tuple[NDArray, NDArray]:
    """Rows and columns of the sac's wall that faces the probe; the middle of it, where it lies across the beam."""
    columns, top, _ = _span(canal.sac)
    cut = columns.size // 4
    return top[cut : columns.size - cut] - 0.2 / canal.down, columns[cut : columns.size - cut]


def _measure_walls(canal: _Canal, reasons: dict[str, float]) -> None:
    rows, columns = _near_wall(canal)
    if columns.size < 3:
        return
    at = np.clip(np.rint(rows).astype(int), 0, canal.label.shape[0] - 1)
    reasons["dura_share"] = float((canal.lit[at, columns] > 0).mean())
    wall = canal.sample(rows, columns)
    # Beside it: the band that lies just inside the sac, in fluid where there is any, else in what the sac holds. Of two
    # depths the darker one counts, or the cord's near border would be taken for fluid where the space is narrow.
    inner, kinds = zip(*(canal.column_samples(rows + step / canal.down, columns) for step in (0.7, 1.1)), strict=True)
    fluid = np.fmin(*(np.where(kind == Tissue.CSF, level, np.nan) for level, kind in zip(inner, kinds, strict=True)))
    fluid = fluid[np.isfinite(fluid)]
    beside = fluid if fluid.size >= 8 else np.concatenate([level[np.isfinite(level)] for level in inner])
    if wall.size < 3 or beside.size < 8:
        return
    spread = float(np.hypot(wall.std(), beside.std()))
    reasons["wall_cnr"] = abs(float(wall.mean() - beside.mean())) / max(spread, 1.5)


def _quality_faults(reasons: dict[str, float]) -> tuple[str, ...]:
    rules = (
        ("dura_share", reasons["dura_share"] >= DURA_SHARE),
        ("wall_cnr", reasons["wall_cnr"] >= WALL_CNR),
        ("midline_offset_mm", reasons["midline_offset_mm"] <= MIDLINE_MM),
        ("clipped_share", reasons["clipped_share"] < CLIPPED_SHARE),
        ("black_share", reasons["black_share"] < BLACK_SHARE),
        ("blur_resolutions", reasons["blur_resolutions"] <= BLUR_RESOLUTIONS),
    )
    return tuple(name for name, holds in rules if not holds)


def midline_offset(subject: Subject, probe: ProbePose) -> float:
    """Distance between the probe's middle and the canal's at the canal's depth [mm].

    Longitudinal: across the picture, mean over the middle 12 mm. Transverse: along the picture.
    """
    depth, middle = float(subject.facts["canal_depth_mm"]), float(subject.facts["midline_mm"])
    if subject.view == "longitudinal":
        x = probe.slide_mm + np.array([-6.0, 0.0, 6.0])
        _, off, _ = probe.probe_from_tissue(x, np.full(3, middle), np.full(3, depth))
        return float(np.abs(off).mean())
    off, _, _ = probe.probe_from_tissue(np.array([middle]), np.array([probe.sweep_mm]), np.array([depth]))
    return float(abs(off[0]))


def levels_of_greys(grey_table: NDArray[np.uint8], dynamic_range_db: float) -> Float32:
    """Echo level under white of each displayed grey [dB], shape (256,), from a machine's grey map.

    Parameters
    ----------
    grey_table : ndarray of uint8, shape (256,)
        Displayed grey of each step of the compressed echo; rises.
    dynamic_range_db : float
        Range that the 256 steps span [dB].
    """
    steps = np.interp(np.arange(256), grey_table.astype(float), np.arange(256, dtype=float))
    return ((steps / 255.0 - 1.0) * dynamic_range_db).astype(np.float32)


_EVEN_60 = levels_of_greys(np.arange(256, dtype=np.uint8), 60.0)
