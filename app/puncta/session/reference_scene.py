"""A small scene of four layers, imaged by Puncta's simulator and by PyMUST, a linear-acoustics reference.

PyMUST (Garcia, "SIMUS: an open-source simulator for medical ultrasound imaging", Comput. Methods Programs Biomed. 218,
2022; LGPL-3) computes every element's signal from every scatterer and beamforms it. It is used for validation only and
is not needed to run Puncta.
"""

from __future__ import annotations

import importlib.util
import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from puncta.core.errors import UserError
from puncta.sim.machines import Machine, draw_machine
from puncta.sim.render import Renderer
from puncta.sim.scan import Scan, plan_scan
from puncta.sim.scatterers import splat_points

EDGES_MM = (5.0, 11.0, 17.0, 23.0, 29.0)
LEVELS_DB = (0.0, -12.0, -20.0, -6.0)
HALF_WIDTH_MM = 9.0
MARGIN_MM = 0.8
"""Kept away from a layer's borders when its level is measured: both point spreads reach across a border."""
F0_MHZ = 7.6
BANDWIDTH = 0.77
F_NUMBER = 1.8
ATTENUATION_DB_CM_MHZ = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """Point scatterers.

    Attributes
    ----------
    x_mm, z_mm : ndarray, shape (N,)
    strength : ndarray, shape (N,)
        Reflection coefficients of a layerless scene, Gaussian.
    layer : ndarray of int, shape (N,)
        Which layer each lies in.
    """

    x_mm: NDArray[np.float64]
    z_mm: NDArray[np.float64]
    strength: NDArray[np.float64]
    layer: NDArray[np.intp]

    @property
    def layered(self) -> NDArray[np.float64]:
        """Reflection coefficients with the layers' levels."""
        return self.strength * 10.0 ** (np.asarray(LEVELS_DB)[self.layer] / 20.0)


def make_scene(scatterers: int = 3000, seed: int = 1) -> Scene:
    """Spread scatterers evenly over the four layers."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-HALF_WIDTH_MM, HALF_WIDTH_MM, scatterers)
    z = rng.uniform(EDGES_MM[0], EDGES_MM[-1], scatterers)
    return Scene(x, z, rng.standard_normal(scatterers), np.searchsorted(EDGES_MM, z) - 1)


def has_pymust() -> bool:
    """Tell whether PyMUST is installed."""
    return importlib.util.find_spec("pymust") is not None


class PymustCamera:
    """One plane wave from a linear probe of 128 elements, beamformed by delay and sum."""

    def __init__(self, rows: int = 400, cols: int = 96) -> None:
        if not has_pymust():
            raise UserError('PyMUST is not installed; install it with: pip install "puncta[dev]"')
        import pymust

        self._must = pymust
        self._param = pymust.getparam("L11-5v")
        self._param.fc = F0_MHZ * 1e6
        self._param.bandwidth = BANDWIDTH * 100.0
        self._param.fs = 4.0 * self._param.fc
        self._param.attenuation = ATTENUATION_DB_CM_MHZ
        self._param.fnumber = F_NUMBER
        self._delays = pymust.txdelayPlane(self._param, 0.0)
        self.z_mm = np.linspace(EDGES_MM[0], EDGES_MM[-1], rows)
        self.x_mm = np.linspace(-HALF_WIDTH_MM + 1.0, HALF_WIDTH_MM - 1.0, cols)
        self._matrix: object = None

    def envelope(self, scene: Scene, strength: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the envelope on the grid (z_mm, x_mm), nothing compensated."""
        signal, _ = self._must.simus(scene.x_mm * 1e-3, scene.z_mm * 1e-3, strength, self._delays, self._param)
        base = self._must.rf2iq(signal, self._param)
        grid_x, grid_z = np.meshgrid(self.x_mm * 1e-3, self.z_mm * 1e-3)
        if self._matrix is None or self._matrix.shape[1] != base.size:  # type: ignore[attr-defined]
            # The matrix depends on geometry alone, so that a second picture would not need it again.
            self._matrix = self._must.dasmtx(1j * np.array(base.shape), grid_x, grid_z, self._delays, self._param)
        image = self._matrix @ base.flatten(order="F")
        return np.abs(image.reshape(grid_x.shape, order="F"))


class PunctaCamera:
    """The simulator's own splat and point spread on the same scene, without display processing."""

    def __init__(self, seed: int = 1) -> None:
        self.machine: Machine = replace(
            draw_machine("A", np.random.default_rng(seed)), geometry="linear", f0_mhz=F0_MHZ, bandwidth=BANDWIDTH,
            f_number=F_NUMBER, looks=1, smoothing=0.0, edge=0.0, width_mm=2 * HALF_WIDTH_MM,
            depth_mm=EDGES_MM[-1] + 1.0, focus_mm=17.0, tgc_error_db=(0.0,) * 6,
        )
        self.scan: Scan = plan_scan(self.machine, np.random.default_rng(0), (300, 512), False)
        # The density scales the echo as a whole, which drops out of levels against each other.
        self.renderer = Renderer(self.machine, self.scan, 7.0, np.random.default_rng(2), noise=False)
        self.z_mm = (np.arange(self.scan.rows) + 0.5) * self.scan.dr_mm
        self.x_mm = (np.arange(self.scan.cols) + 0.5) * self.scan.dc - self.scan.half_c

    def envelope(self, scene: Scene, strength: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the envelope on the grid (z_mm, x_mm), attenuated at the centre frequency as PyMUST's scene is."""
        loss = 10.0 ** (-2.0 * ATTENUATION_DB_CM_MHZ * F0_MHZ * scene.z_mm / 10.0 / 20.0)
        amplitude = strength * loss
        phase = 4.0 * math.pi / self.machine.wavelength_mm * scene.z_mm
        grid = splat_points(self.scan, scene.z_mm, scene.x_mm, (amplitude * np.cos(phase)).astype(np.float32),
                            (amplitude * np.sin(phase)).astype(np.float32))
        self.renderer.looks(grid)
        return np.asarray(self.renderer.envelope(), np.float64)


def layer_levels_db(camera: PymustCamera | PunctaCamera, scene: Scene) -> NDArray[np.float64]:
    """Mean echo intensity of each layer against the first [dB], time gain set on a layerless scene.

    The time gain is what an operator's sliders do: it makes the same scatterers without layers equally bright at every
    depth, which takes out attenuation (with its shift of the spectrum, which only PyMUST has) and diffraction.
    """
    with_layers = camera.envelope(scene, scene.layered) ** 2
    without = camera.envelope(scene, scene.strength) ** 2
    inner = np.abs(camera.x_mm) < HALF_WIDTH_MM - 1.5
    levels = []
    for top, bottom in zip(EDGES_MM[:-1], EDGES_MM[1:], strict=True):
        rows = (camera.z_mm > top + MARGIN_MM) & (camera.z_mm < bottom - MARGIN_MM)
        part = np.ix_(rows, inner)
        levels.append(10.0 * math.log10(float(with_layers[part].mean() / without[part].mean())))
    return np.array(levels) - levels[0]
