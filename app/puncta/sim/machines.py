"""Simulated ultrasound machines: ranges of physics and picture settings, drawn anew for every cine.

A, B and C are the training family, D and E are kept for testing only, F and G stand for one site each that a model is
adapted to: F is a handheld look that the shipped tip detector reads as well as others, G a coarse curved probe of low
contrast that it reads badly. The names say nothing about any maker.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from puncta.core.errors import UserError

SOUND_SPEED_MM_PER_US = 1.54

Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class MachinePreset:
    """Ranges from which one cine's machine is drawn; lengths in [mm], levels in [dB], angles in [deg]."""

    name: str
    f0_mhz: Range
    bandwidth: Range
    f_number: Range
    dynamic_range_db: Range
    elevation_fwhm_mm: Range
    width_mm: Range
    depth_mm: Range
    fps: Range
    looks: tuple[int, ...] = (1,)
    convex_share: float = 0.0
    radius_mm: Range = (40.0, 60.0)
    sector_deg: Range = (60.0, 70.0)
    convex_depth_mm: Range = (55.0, 95.0)
    gamma: Range = (0.9, 1.15)
    s_curve: Range = (0.0, 0.5)
    noise_db: Range = (-75.0, -58.0)
    smoothing: Range = (0.1, 0.95)
    edge: Range = (0.0, 0.3)
    persistence: Range = (0.0, 0.35)
    jpeg: Range = (70.0, 95.0)
    video: bool = False
    uneven_rate: float = 0.0
    median_grey: Range = (26.0, 70.0)
    fade_db: Range = (0.0, 14.0)
    haze_db: Range = (-30.0, -19.0)
    grain_grey: Range = (0.6, 2.4)
    screen_px: tuple[int, int] = (800, 600)
    ruler_inside: bool = False


PRESETS: dict[str, MachinePreset] = {
    "A": MachinePreset("A", (6, 9), (0.6, 0.6), (1.8, 2.5), (55, 65), (1.0, 1.6), (30, 45), (26, 50), (18, 30),
                       looks=(1, 2, 3, 3), jpeg=(70, 95), uneven_rate=0.15, smoothing=(0.15, 0.9), edge=(0.1, 0.6),
                       gamma=(1.15, 1.8)),
    "B": MachinePreset("B", (9, 13), (0.7, 0.7), (1.2, 1.8), (45, 55), (0.6, 1.0), (25, 40), (25, 40), (25, 40),
                       looks=(2,), gamma=(0.8, 0.8), smoothing=(0.35, 0.8), jpeg=(80, 95), screen_px=(1024, 768)),
    "C": MachinePreset("C", (4, 6), (0.45, 0.45), (2.5, 3.5), (60, 75), (1.6, 2.6), (36, 50), (40, 60), (15, 25),
                       convex_share=0.5, looks=(1, 2, 2), gamma=(1.3, 1.3), noise_db=(-50, -50), median_grey=(26, 64),
                       smoothing=(0.1, 0.6), screen_px=(640, 480)),
    "D": MachinePreset("D", (10, 14), (0.7, 0.7), (1.4, 1.4), (45, 45), (0.7, 0.7), (28, 40), (25, 40),
                       (35, 35), looks=(3,), gamma=(1.2, 1.7), edge=(0.3, 0.6), persistence=(0.3, 0.3),
                       smoothing=(0.45, 0.85), jpeg=(92, 92), screen_px=(1024, 768)),
    "E": MachinePreset("E", (3, 5), (0.4, 0.4), (3.0, 3.0), (70, 70), (2.4, 2.4), (40, 50), (60, 90), (15, 15),
                       convex_share=1.0, radius_mm=(50, 50), sector_deg=(65, 65), convex_depth_mm=(60, 100),
                       gamma=(1.0, 1.3), noise_db=(-45, -45), smoothing=(0.1, 0.6), jpeg=(60, 60),
                       screen_px=(640, 480)),
    "F": MachinePreset("F", (7, 10), (0.5, 0.6), (1.8, 2.6), (55, 62), (1.0, 1.6), (34, 40), (26, 45), (20, 20),
                       looks=(2, 3), gamma=(1.1, 1.6), s_curve=(0.4, 0.8), smoothing=(0.4, 0.75), edge=(0.1, 0.4),
                       persistence=(0.1, 0.35), jpeg=(78, 92), video=True, uneven_rate=0.3, median_grey=(26, 62),
                       screen_px=(800, 640), ruler_inside=True),
    "G": MachinePreset("G", (2, 3), (0.3, 0.35), (3.5, 4.0), (85, 95), (1.6, 2.6), (36, 50), (40, 60), (15, 25),
                       looks=(1, 2, 2), convex_share=1.0, gamma=(0.8, 1.0), noise_db=(-38, -34), smoothing=(1.0, 2.0),
                       persistence=(0.5, 0.7), jpeg=(30, 45), median_grey=(70, 105), haze_db=(-16, -12),
                       screen_px=(640, 480)),
}


@dataclass(frozen=True, slots=True)
class Machine:
    """One cine's machine: everything drawn, nothing random left; ``video`` compresses as H.264 instead of JPEG."""

    name: str
    geometry: Literal["linear", "convex"]
    f0_mhz: float
    bandwidth: float
    f_number: float
    dynamic_range_db: float
    elevation_fwhm_mm: float
    width_mm: float
    depth_mm: float
    focus_mm: float
    radius_mm: float
    sector_deg: float
    fps: float
    uneven_rate: float
    looks: int
    gamma: float
    s_curve: float
    noise_db: float
    smoothing: float
    edge: float
    persistence: float
    jpeg_quality: int
    video: bool
    median_grey: float
    tgc_error_db: tuple[float, ...]
    haze_db: float
    grain_grey: float
    steer_deg: float
    side_lobe_db: float
    side_lobe_sigmas: float
    screen_px: tuple[int, int]
    ruler_inside: bool

    @property
    def wavelength_mm(self) -> float:
        """Wavelength at the centre frequency [mm]."""
        return SOUND_SPEED_MM_PER_US / self.f0_mhz

    @property
    def axial_sigma_mm(self) -> float:
        """Sigma of the axial envelope [mm], FWHM = c / (2 bw f0)."""
        return SOUND_SPEED_MM_PER_US / (2.0 * self.bandwidth * self.f0_mhz) / 2.355

    @property
    def lateral_sigma_mm(self) -> float:
        """Lateral sigma at the focus [mm], FWHM = wavelength x F number."""
        return 0.42 * self.wavelength_mm * self.f_number

    def elevation_sigma_mm(self, depth_mm: np.ndarray | float) -> np.ndarray | float:
        """Elevational sigma at a depth [mm]; it grows away from the focus."""
        return self.elevation_fwhm_mm / 2.355 * (1.0 + 0.6 * np.abs(depth_mm - self.focus_mm) / self.focus_mm)


def _sliders(rng: np.random.Generator, fade_db: float) -> np.ndarray:
    """Time-gain sliders as they are left: uneven, and too low at depth, where few operators give all that is lost."""
    return rng.normal(0.0, 1.6, 6) - fade_db * np.linspace(0.0, 1.0, 6) ** 1.6


DEPTH_SHARE = (0.9, 1.3)
"""Depth of the picture against that which the subject asks for."""
PROBE_DEPTH_MM = {"linear": (20.0, 65.0), "convex": (30.0, 110.0)}
"""Depths that a probe can be set to [mm]."""


def draw_machine(name: str, rng: np.random.Generator, subject_depth_mm: float | None = None) -> Machine:
    """Draw one machine from a preset.

    Parameters
    ----------
    subject_depth_mm : float or None
        Depth an operator would set for the subject [mm]; the picture's is drawn about it. None draws from the preset.

    Raises
    ------
    UserError
        When there is no preset of that name.
    """
    preset = PRESETS.get(name.upper())
    if preset is None:
        raise UserError(f"There is no simulated machine {name!r}; choose one of {', '.join(PRESETS)}.")

    def pick(bounds: Range) -> float:
        return float(rng.uniform(*bounds))

    convex = bool(rng.random() < preset.convex_share)
    depth = pick(preset.convex_depth_mm if convex else preset.depth_mm)
    if subject_depth_mm is not None:
        low, high = PROBE_DEPTH_MM["convex" if convex else "linear"]
        depth = min(max(subject_depth_mm * pick(DEPTH_SHARE), low), high)
    return Machine(
        name=preset.name,
        geometry="convex" if convex else "linear",
        f0_mhz=pick(preset.f0_mhz),
        bandwidth=pick(preset.bandwidth),
        f_number=pick(preset.f_number),
        dynamic_range_db=pick(preset.dynamic_range_db),
        elevation_fwhm_mm=pick(preset.elevation_fwhm_mm),
        width_mm=pick(preset.width_mm),
        depth_mm=depth,
        focus_mm=depth * float(rng.uniform(0.35, 0.65)),
        radius_mm=pick(preset.radius_mm),
        sector_deg=pick(preset.sector_deg),
        fps=round(pick(preset.fps), 1),
        uneven_rate=preset.uneven_rate,
        looks=int(rng.choice(preset.looks)),
        gamma=pick(preset.gamma),
        s_curve=pick(preset.s_curve),
        noise_db=pick(preset.noise_db),
        smoothing=pick(preset.smoothing),
        edge=pick(preset.edge),
        persistence=pick(preset.persistence),
        jpeg_quality=int(round(pick(preset.jpeg))),
        video=preset.video,
        median_grey=pick(preset.median_grey),
        tgc_error_db=tuple(float(v) for v in _sliders(rng, pick(preset.fade_db))),
        haze_db=pick(preset.haze_db),
        grain_grey=pick(preset.grain_grey),
        steer_deg=float(rng.choice([0.0, 0.0, rng.uniform(0.0, 15.0)])),
        side_lobe_db=float(rng.uniform(-35.0, -25.0)),
        side_lobe_sigmas=float(rng.uniform(6.0, 12.0)),
        screen_px=preset.screen_px,
        ruler_inside=preset.ruler_inside,
    )
