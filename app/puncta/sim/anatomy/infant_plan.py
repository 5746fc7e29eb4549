"""What is drawn of an infant's lumbar spine before anything is painted: sizes, levels, condition.

Sizes: mid-canal depth below the skin 2.2 W + 6.9 mm with W in kg (Arthurs, Arch Dis Child FN 2008); lumbar canal
8.4 +- .7 mm and lumbar cord 4.4 +- .6 mm from back to front (Pediatr Radiol 2021, 51:622); conus between T12 and L3,
mode L1-L2 (PMC8337675). Layers above the spine, sizes of the posterior elements and the mix of conditions are our
choice.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from puncta.sim.anatomy.options import LEVELS, SubjectOptions
from puncta.sim.subject import Float32

SHARE_BELOW, SHARE_CORD = 0.45, 0.35
"""Shares of subjects that show the sac below the conus, and the cord; the rest is degraded."""
DEGRADED: tuple[tuple[str, float], ...] = (
    ("off-midline", 0.32), ("bone", 0.26), ("poor-contact", 0.22), ("haematoma", 0.20),
)
STRAY_BELOW, STRAY_CORD = 0.28, 0.04
"""Shares of the others where the probe is a little off the midline: fluid shows, quality does not hold."""
CONUS_MEAN, CONUS_SD, CONUS_RANGE = 1.15, 0.45, (-0.5, 2.5)
"""Level of the conus' tip counted in interspaces from T12-L1: 1 is the disc L1-L2, 1.5 the middle of L2."""
SCARCE_SHARE = 0.35
"""Share of haematomas that leave hardly any fluid (12 of 36, Pediatr Radiol doi 10.1007/s00247-020-04831-w)."""
DEGRADED_LEVELS = np.arange(len(LEVELS))
VIEW_HALF_MM = 17.0
"""Half the length that a usual linear probe shows [mm]."""


def part_rng(seed: int, *names: str) -> np.random.Generator:
    """Independent random stream of a subject's part."""
    words = [zlib.crc32(name.encode()) for name in ("infant-lp", *names)]
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed & 0xFFFFFFFFFFFFFFFF, *words])))


@dataclass(frozen=True, slots=True)
class SpinePlan:
    """One infant's spine as numbers.

    Space: s runs along the spine towards the feet, 0 under the probe's middle; t runs across, 0 on the midline; z is
    depth [mm].

    Attributes
    ----------
    level : int
        Interspace under the probe's middle, index into `LEVELS`.
    interspace_mm : float
        Where that interspace lies on s [mm].
    conus : float
        Level of the tip, see `CONUS_MEAN`.
    midline_mm : float
        Where the midline lies on the axis across the spine at the canal's depth, 0 under the probe's middle [mm].
    lean : float
        Shift of the midline across per depth, 0 for an upright plane.
    ossified_mm : float
        Distance from the midline beyond which laminae are bone; nearer they are cartilage [mm].
    bony_spine : bool
        The spinous processes hold bone.
    sac_share : float
        Size of the dural sac against its usual size; below 1 fluid is scarce.
    haematoma_mm : float
        Thickness of blood behind the sac [mm].
    contact : float
        1 is full contact of the probe, less leaves air under the face.
    """

    view: str
    weight_kg: float
    condition: str
    level: int
    interspace_mm: float
    conus: float
    pitch_mm: float
    skin_mm: float
    fat_mm: float
    canal_depth_mm: float
    canal_ap_mm: float
    cord_ap_mm: float
    cord_shift_mm: float
    slope: float
    sag: float
    midline_mm: float
    lean: float
    ossified_mm: float
    bony_spine: bool
    sac_share: float
    haematoma_mm: float
    contact: float
    root_share: float
    depth_mm: float

    def place(self, level: float) -> float:
        """Place on s of a level counted in interspaces from T12-L1 [mm]."""
        return self.interspace_mm + (level - self.level) * self.pitch_mm

    @property
    def tip_mm(self) -> float:
        """Place of the conus' tip on s [mm]."""
        return self.place(self.conus)

    @property
    def roof_mm(self) -> float:
        """Tip of the spinous processes below the skin [mm]."""
        return self.skin_mm + self.fat_mm + 0.7

    def axis_z(self, s: NDArray | float) -> Float32:
        """Depth of the canal's middle [mm]; the sacrum turns towards the skin."""
        sacral = np.maximum(s - self.place(5.2), 0.0)
        rise = min(5.5, 0.3 * self.canal_depth_mm) * (1.0 - np.exp(-((sacral / 15.0) ** 2)))
        return np.asarray(self.canal_depth_mm + self.slope * s + self.sag * s * s - rise, np.float32)

    def canal_half(self, s: NDArray | float) -> Float32:
        """Half the canal's height [mm]; it is wider towards the head, and narrows in the sacrum."""
        above = (self.place(3.0) - s) / self.pitch_mm
        half = self.canal_ap_mm / 2 * (1.0 + 0.018 * np.clip(above, -2.0, 4.0))
        return np.asarray(half * np.clip((self.place(9.0) - s) / (3.5 * self.pitch_mm), 0.2, 1.0), np.float32)

    def between(self, s: NDArray | float) -> Float32:
        """1 in the middle between two laminae, 0 at the middle of a lamina."""
        phase = (s - self.interspace_mm) / self.pitch_mm - 0.12
        return np.asarray(0.5 + 0.5 * np.cos(2 * math.pi * phase), np.float32)

    def sac(self, s: NDArray | float) -> tuple[Float32, Float32]:
        """Depth of the sac's middle and half its height [mm]; it ends at S2."""
        half, axis = self.canal_half(s), self.axis_z(s)
        behind = 0.35 + 0.6 * self.between(s) + self.haematoma_mm * self.clot(s)
        top, bottom = axis - half + behind, axis + half - 0.4
        taper = np.sqrt(np.clip((self.place(6.7) - s) / (1.6 * self.pitch_mm), 0.0, 1.0))
        height = np.maximum(bottom - top, 0.0) * self.sac_share * taper
        return (bottom - height / 2).astype(np.float32), (height / 2).astype(np.float32)

    def clot(self, s: NDArray | float) -> NDArray:
        """Shape of the blood along the spine: widest at the tapped interspace."""
        return np.exp(-0.5 * ((s - self.interspace_mm) / (2.6 * self.pitch_mm)) ** 4)

    def crowding(self, s: NDArray | float) -> Float32:
        """Share of the roots' height that is left towards the sac's end; blood behind the sac crowds them together."""
        least = 0.25 if self.haematoma_mm == 0 else 0.85
        return np.asarray(np.clip((self.place(6.3) - s) / (4.0 * self.pitch_mm), least, 1.0), np.float32)

    def cord(self, s: NDArray | float) -> tuple[Float32, Float32]:
        """Depth of the cord's middle and half its height [mm]; 0 beyond the conus."""
        axis, half_sac = self.sac(s)
        above = self.tip_mm - s
        taper = np.clip(above / 11.0, 0.0, 1.0) ** 0.7
        swell = 1.0 + 0.06 * np.exp(-0.5 * ((above - 15.0) / 6.0) ** 2) - 0.14 * np.clip((above - 20.0) / 14.0, 0, 1)
        half = np.minimum(self.cord_ap_mm / 2 * taper * swell, 0.76 * half_sac)
        # The cord lies back in the sac's upper part and settles to the front at its end.
        shift = np.clip(self.cord_shift_mm + 0.25 * np.exp(-above / 6.0), -1.0, 1.0)
        return (axis + np.clip(shift, half - half_sac, half_sac - half)).astype(np.float32), half.astype(np.float32)

    def filum(self, s: NDArray | float) -> Float32:
        """Depth of the filum beyond the conus [mm]: from the cord's tip into the back third of the sac."""
        axis, half = self.sac(s)
        way = np.clip((s - self.tip_mm) / 14.0, 0.0, 1.0)
        start = self.cord(s)[0]
        return np.asarray(start + (axis + half * (0.1 - 0.3 * self.root_share) - start) * way, np.float32)


def draw_plan(seed: int, options: SubjectOptions) -> SpinePlan:
    """Draw one infant; wishes in ``options`` hold, the rest comes from the seed."""
    rng = part_rng(seed, "plan")
    u = rng.uniform
    # Every draw is made whether it is needed or not, so that one wish leaves the rest of a subject as it was.
    drawn_view = "longitudinal" if u() < 0.6 else "transverse"
    drawn_weight = 2.0 + 6.0 * float(rng.beta(1.5, 2.3))
    kind, which, pick, worse = u(), u(), u(), u(size=4)
    view = options.view or drawn_view
    weight = options.weight_kg if options.weight_kg is not None else drawn_weight
    conus = float(np.clip(rng.normal(CONUS_MEAN, CONUS_SD), *CONUS_RANGE))
    pitch = float(np.clip(6.5 + 0.3 * weight + rng.normal(0, 0.25), 6.8, 9.2))
    condition = options.condition or ("clear" if kind < SHARE_BELOW + SHARE_CORD else _weighted(which))
    if options.level is not None:
        level = LEVELS.index(options.level)
    else:
        level = _draw_level(kind, pick, conus, pitch, view)
    bony = condition == "bone"
    near = bool(rng.random() < 0.5)
    # A transverse plane is held over an interspace; a bony one cuts the process above it.
    interspace = float(u(-0.4, 0.4)) * pitch if view == "longitudinal" else (-0.12 + float(u(-0.16, 0.16))) * pitch
    if view == "transverse" and (bony or worse[3] < 0.12):
        interspace += 0.5 * pitch
    midline, lean = float(rng.normal(0.0, 0.55)), float(rng.normal(0.0, 0.03))
    if condition == "off-midline":
        side = 1.0 if near else -1.0
        midline, lean = side * (3.2 + 3.4 * float(worse[0])), side * 0.12 * float(worse[1])
        if view == "transverse":  # a probe beside the midline is also turned towards it
            lean *= 3.5
    elif options.condition is None and worse[0] < (STRAY_BELOW if kind < SHARE_BELOW else STRAY_CORD):
        midline = (1.0 if near else -1.0) * (2.2 + 1.4 * float(worse[1]))
    # A wide canal holds a thicker cord, in part.
    wide, thick = rng.normal(size=2)
    canal = float(np.clip(8.4 + 0.7 * wide, 6.8, 10.0)) + 0.1 * (weight - 3.5)
    depth = 2.2 * weight + 6.9 + float(np.clip(rng.normal(0, 0.7), -1.4, 1.4))
    skin = 0.8 + 0.06 * weight + float(u(-0.1, 0.2))
    # Fat and processes share what is left above the canal.
    fat = min(float(u(0.2, 0.42)) * (depth - canal / 2 - skin), 1.2 + 0.75 * weight)
    set_deep = 1.35 if rng.random() < 0.07 else 1.0
    haematoma, sac_share = 0.0, 1.0
    if condition == "haematoma":
        haematoma = (0.2 + 0.3 * float(worse[0])) * canal
        sac_share = 0.55 if worse[1] < SCARCE_SHARE else 0.88
    return SpinePlan(
        view=view, weight_kg=weight, condition=condition, level=level, interspace_mm=interspace, conus=conus,
        pitch_mm=pitch, skin_mm=skin, fat_mm=fat, canal_depth_mm=depth, canal_ap_mm=canal,
        cord_ap_mm=float(np.clip(4.4 + 0.6 * (0.6 * wide + 0.8 * thick), 3.2, 5.6)), cord_shift_mm=float(u(-0.15, 0.4)),
        slope=float(rng.normal(0.0, 0.04)), sag=float(rng.normal(-0.0008, 0.0008)), midline_mm=midline, lean=lean,
        ossified_mm=float(np.clip(2.5 - 0.2 * weight + rng.normal(0, 0.25), 0.9, 2.6)) if not bony else 0.0,
        bony_spine=bony, sac_share=sac_share, haematoma_mm=haematoma,
        contact=0.25 + 0.35 * float(worse[2]) if condition == "poor-contact" else 1.0,
        root_share=float(u(0.35, 0.62)) if haematoma == 0 else 0.72 + 0.26 * float(worse[2]),
        depth_mm=(depth + canal / 2 + float(u(8.0, 14.0))) * set_deep,
    )


def _weighted(share: float) -> str:
    for name, weight in DEGRADED:
        if share < weight:
            return name
        share -= weight
    return DEGRADED[-1][0]


def _draw_level(kind: float, pick: float, conus: float, pitch: float, view: str) -> int:
    """A level that shows what the mix asks for: the sac below the conus, the cord, or anything."""
    levels = np.arange(len(LEVELS))
    tip = (conus - levels) * pitch
    if kind < SHARE_BELOW:
        fits = levels[tip < (-VIEW_HALF_MM + 4.0 if view == "longitudinal" else -5.0)]
        fits = fits if fits.size else levels[-1:]
    elif kind < SHARE_BELOW + SHARE_CORD:
        fits = levels[tip > (-VIEW_HALF_MM + 9.0 if view == "longitudinal" else 6.0)]
        fits = fits if fits.size else levels[:1]
    else:
        fits = DEGRADED_LEVELS
    return int(fits[min(int(pick * fits.size), fits.size - 1)])
