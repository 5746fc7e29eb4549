"""Infant spine: image quality, spinal cord, cerebrospinal fluid on a whole picture; yes, no or "cannot tell"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from puncta.core.findings import TARGET_INTERSPACE
from puncta.core.flags import Flag
from puncta.core.frame import Frame, SourceKind, UltrasoundRegion
from puncta.core.geometry import depth_mm
from puncta.core.results import ClassResult, HeatMap, Measure, PluginOutput, Result
from puncta.imaging.flag_filter import FlagFilter, FlagFilterSettings, FlagReading, FlagState
from puncta.imaging.flag_maps import FlagMaps, find_evidence, heat_of
from puncta.imaging.picture_cut import PictureCut
from puncta.imaging.preprocess import resample_region, to_model_input
from puncta.imaging.unfamiliar import EMPTY, NO_SPECKLE, PictureWatch
from puncta.sdk.context import ModelSession, PluginContext
from puncta.sdk.plugin import ResetReason, StepResult

FLAGS = ("quality", "cord", "csf")
CORD, CSF = FLAGS.index("cord"), FLAGS.index("csf")
CSF_DEPTH = "csf_depth"
NEEDLE_DEPTH = "needle_depth"
VALUES = {FlagState.YES: True, FlagState.NO: False, FlagState.UNKNOWN: None}
SAME_REGION = 0.02
"""A region whose edges move by less than this share of its size is the same one, found a little differently."""

NOT_SURE = "not sure enough to say yes or no"
UNFAMILIAR = "unlike the infant spines it learnt from"
NO_CSF = "no CSF seen"
UNSURE_CSF = "CSF is not sure"
CORD_SEEN = "cord in view"
NO_SCALE = "the picture has no millimetres to compare it with"
POOR = "the picture is not good enough"
MM_PER_KG, LEAST_MM = 2.5, 6.0
"""Needle depth of a newborn's lumbar puncture, 2.5 mm a kilogram and 6 mm more: Oulego-Erroz and others, ultrasound of
199 newborns, J Pediatr 2014. The abstract states no spread between children."""
NEWBORN_KG = 5.0
DEPTH_BASIS = "middle of its evidence, from the top edge"
NEEDLE_BASIS = "2.5 × weight + 6, newborns, ± not stated"
HEAVY_BASIS = "2.5 × weight + 6, newborns, this one is heavier"

DEEPEST_MM, DEEPEST_GIVE_MM = 45.0, 5.0
"""Cord or fluid farther below the picture's top edge than this is no infant's. At 8 kg, the heaviest weight that can be
entered, a needle is expected to go 26 mm deep, and the front of a simulated infant's canal lies at most 30 mm deep."""
DEEPEST_PICTURE_MM = 80.0
"""A picture that reaches deeper is not set for an infant: those it learnt from reach 72 mm at most, though some are set
too deep. The network sees every picture at one size and could take an adult's canal in it for an infant's."""
TOO_DEEP = "deeper than an infant's spine lies, or the scale is wrong"
TOO_MUCH_DEPTH = "the picture is set too deep for an infant, or its scale is wrong"

Box = tuple[int, int, int, int]


class InfantSpine:
    """One stream's judgement."""

    def __init__(self, context: PluginContext) -> None:
        self._model = context.open_model()
        _check_model(self._model)
        spec = self._model.spec
        self._size = (int(spec["size"][1]), int(spec["size"][0]))
        settings = FlagFilterSettings.from_spec(spec)
        self._order = tuple(settings.names.index(name) for name in FLAGS)
        self._doubt = float(spec["calibration"].get("depth_doubt", 1.0))
        self._filter = FlagFilter(settings)
        self._maps = FlagMaps(settings.window_s)
        self._watch = PictureWatch()
        self._cut = PictureCut()
        self._box: Box | None = None
        self.configure(context.options)

    def configure(self, options: Mapping[str, Any]) -> None:
        """Take over changed options; what was seen so far is kept."""
        self._asked = str(options["heat_map"])
        self._weight_kg = float(options["weight_kg"])

    def reset(self, reason: ResetReason) -> None:
        """Forget all frames."""
        self._forget()
        self._watch.clear()
        self._cut.clear()

    def step(self, frame: Frame, upstream: Mapping[str, PluginOutput]) -> StepResult:
        """Judge one frame."""
        region = frame.geometry.region
        if self._box is None or not _about_the_same(region.box, self._box):
            self.reset(ResetReason.GEOMETRY_CHANGED)
            self._box = region.box
        grey, _ = resample_region(frame.pixels, region.box, self._size)
        t_ns = _time_ns(frame)
        why = self._watch.look(grey, t_ns)
        if why in (EMPTY, NO_SPECKLE):  # a picture that stands still can be judged as well as one that moves
            self._forget()
            return self._withheld(why, region)
        if _reach_mm(region) > DEEPEST_PICTURE_MM:
            self._forget()
            return self._withheld(TOO_MUCH_DEPTH, region)
        if self._cut.look(grey):
            self._forget()  # another picture: nothing of the one before may speak for it
        answer = self._model.run({"image": to_model_input(grey)})
        logits = answer["logits"].reshape(-1)
        reading = self._filter.update(logits, t_ns, float(answer["strangeness"].reshape(-1)[0]))
        cells = self._maps.update(answer["cam"][0], logits, t_ns)
        return self._told(reading, cells, region, self._why_withheld(reading, cells, region))

    def close(self) -> None:
        """Forget all frames."""
        self.reset(ResetReason.OPENED)

    def _forget(self) -> None:
        self._filter.clear()
        self._maps.clear()
        self._deep = False

    def _why_withheld(self, reading: FlagReading, cells: NDArray[np.float32], region: UltrasoundRegion) -> str | None:
        """Why nothing may be said of the picture at all; None where it may."""
        if reading.unfamiliar:
            return UNFAMILIAR
        found = [i for i in (self._order[CORD], self._order[CSF]) if reading.states[i] is FlagState.YES]
        places = [find_evidence(cells[i], region.box) for i in found] if region.calibration is not None else []
        depths = [depth_mm(place.centre_px, region) for place in places if place is not None]
        most = DEEPEST_MM - (DEEPEST_GIVE_MM if self._deep else 0.0)
        self._deep = any(depth is not None and depth > most for depth in depths)
        return TOO_DEEP if self._deep else None

    def _told(
        self, reading: FlagReading, cells: NDArray[np.float32], region: UltrasoundRegion, withheld: str | None
    ) -> StepResult:
        values = [VALUES[reading.states[i]] if withheld is None else None for i in self._order]
        chances = [reading.probabilities[i] for i in self._order]
        why = withheld or NOT_SURE
        found: list[Result] = [
            ClassResult(name, value, chance, None if value is not None else why)
            for name, value, chance in zip(FLAGS, values, chances, strict=True)
        ]
        found.append(_interspace(values, chances, why))
        found += self._heat(cells, region, withheld)
        found.append(self._depth(values[CSF], cells[self._order[CSF]], region, withheld))
        found += self._needle_depth(region)
        flags = _flags_of(region, values)
        if withheld is not None:
            flags.add(Flag.OUT_OF_DISTRIBUTION)
        return StepResult(tuple(found), frozenset(flags))

    def _withheld(self, why: str, region: UltrasoundRegion) -> StepResult:
        """A picture that the network need not see."""
        found: list[Result] = [ClassResult(name, None, 0.5, why) for name in (*FLAGS, TARGET_INTERSPACE)]
        found += self._heat(None, region, why)
        found.append(Measure(CSF_DEPTH, None, _unit(region), reason=why))
        found += self._needle_depth(region)
        flags = _flags_of(region, [None]) | {Flag.OUT_OF_DISTRIBUTION}
        return StepResult(tuple(found), frozenset(flags))

    def _heat(self, cells: NDArray[np.float32] | None, region: UltrasoundRegion, why: str | None) -> list[Result]:
        if self._asked not in FLAGS:
            return []
        x0, y0, w, h = region.box
        box = (x0 - 0.5, y0 - 0.5, float(w), float(h))
        if cells is None or why is not None:
            return [HeatMap(self._asked, None, box, why)]
        return [HeatMap(self._asked, heat_of(cells[self._order[FLAGS.index(self._asked)]]), box)]

    def _depth(
        self, csf: bool | None, cells: NDArray[np.float32], region: UltrasoundRegion, withheld: str | None
    ) -> Measure:
        unit = _unit(region)
        place = find_evidence(cells, region.box) if csf else None
        if place is None:
            return Measure(CSF_DEPTH, None, unit, reason=withheld or (NO_CSF if csf is False else UNSURE_CSF))
        spread = self._doubt * place.spread_px[1]
        if region.calibration is None:
            return Measure(CSF_DEPTH, place.centre_px[1] - (region.box[1] - 0.5), unit, spread, DEPTH_BASIS)
        doubt_mm = spread * region.calibration.mm_per_px[1]
        return Measure(CSF_DEPTH, depth_mm(place.centre_px, region), unit, doubt_mm, DEPTH_BASIS)

    def _needle_depth(self, region: UltrasoundRegion) -> list[Result]:
        """What to expect from the weight alone; nothing where none is entered."""
        if self._weight_kg <= 0.0:
            return []
        if region.calibration is None:
            return [Measure(NEEDLE_DEPTH, None, "mm", reason=NO_SCALE)]
        basis = NEEDLE_BASIS if self._weight_kg <= NEWBORN_KG else HEAVY_BASIS
        return [Measure(NEEDLE_DEPTH, MM_PER_KG * self._weight_kg + LEAST_MM, "mm", None, basis)]


def _interspace(values: list[bool | None], chances: list[float], why: str) -> ClassResult:
    """CSF and no cord on a good picture: what a needle may aim for. Said only where all three are sure."""
    quality, cord, csf = values
    chance = min(chances[0], 1.0 - chances[1], chances[2])
    if quality and csf and cord is False:
        return ClassResult(TARGET_INTERSPACE, True, chance)
    if not quality:
        return ClassResult(TARGET_INTERSPACE, None, chance, why if quality is None else POOR)
    if cord or csf is False:
        return ClassResult(TARGET_INTERSPACE, False, chance, CORD_SEEN if cord else NO_CSF)
    return ClassResult(TARGET_INTERSPACE, None, chance, why)


def _reach_mm(region: UltrasoundRegion) -> float:
    """How deep the picture reaches [mm]; 0 where that is not known."""
    return region.box[3] * region.calibration.mm_per_px[1] if region.calibration is not None else 0.0


def _flags_of(region: UltrasoundRegion, values: list[bool | None]) -> set[Flag]:
    flags = {Flag.UNCALIBRATED} if region.calibration is None else set()
    if None in values:
        flags.add(Flag.LOW_CONFIDENCE)
    return flags


def _unit(region: UltrasoundRegion) -> str:
    return "mm" if region.calibration is not None else "px"


def _time_ns(frame: Frame) -> int:
    """When the frame was taken [ns]: its stored time, and its arrival only where it comes from a live source."""
    return frame.t_ns if frame.source.kind is SourceKind.LIVE else frame.key.pts_ns


def _about_the_same(a: Box, b: Box) -> bool:
    edges = ((a[0], b[0], 2), (a[1], b[1], 3), (a[0] + a[2], b[0] + b[2], 2), (a[1] + a[3], b[1] + b[3], 3))
    return all(abs(p - q) <= SAME_REGION * b[side] for p, q, side in edges)


def _check_model(model: ModelSession) -> None:
    missing = {"logits", "cam", "strangeness"} - {output.name for output in model.outputs}
    if missing or [tensor.name for tensor in model.inputs] != ["image"]:
        raise ValueError(f"the model {model.identity} does not take an image and give logits, cam and strangeness")


def create(context: PluginContext) -> InfantSpine:
    """Make the plugin for one stream."""
    return InfantSpine(context)
