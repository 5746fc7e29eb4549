"""From scatterers to a picture: point spread, compounding, envelope, log compression, grey map, scan conversion.

Arrays as large as the grid are made once and written again every frame: fresh memory costs more than the arithmetic.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from puncta.sim.machines import Machine
from puncta.sim.scan import Scan, axial_sigma_cells, lateral_sigma_cells, make_converter
from puncta.sim.scatterers import spread_gain

Float32 = NDArray[np.float32]
Complex64 = NDArray[np.complex64]
BANDS = 8
HAZE_TAIL_MM = 3.0
"""Depth over which sound that took detours dies away below its origin [mm]; our choice."""
NOISE_ROOM = 64
"""By how many cells the noise's place may differ from frame to frame."""
Roi = tuple[int, int, int, int]
"""Rows r0:r1 and columns c0:c1 of the beam grid."""


class Renderer:
    """One machine's receive chain; the only state is the previous picture, for persistence.

    Parameters
    ----------
    density : float
        Speckle scatterers a square millimetre, which sets the scale of the echo.
    noise : bool
        False leaves electronic noise, speckle smoothing, edge enhancement and persistence out.
    """

    def __init__(
        self, machine: Machine, scan: Scan, density: float, rng: np.random.Generator, *, noise: bool = True
    ) -> None:
        keep_memory()
        self.machine = machine
        self.scan = scan
        self.converter = make_converter(scan)
        self.rng = rng
        self.noisy = noise
        self.smoothing = machine.smoothing if noise else 0.0
        self.edge = machine.edge if noise else 0.0
        self.persistence = machine.persistence if noise else 0.0
        rows, cols = scan.rows, scan.cols
        depth = (np.arange(rows) + 0.5) * scan.dr_mm
        # The splat itself blurs: nearest row by 1/12, linear between columns by 1/6 of a cell squared.
        self.axial = math.sqrt(axial_sigma_cells(scan, machine) ** 2 - 1.0 / 12.0)
        edges = np.linspace(0, rows, BANDS + 1).astype(int)
        self.spread_gain = np.empty(rows, np.float32)
        self.bands: list[tuple[int, int, float]] = []
        for a, b in zip(edges[:-1], edges[1:], strict=True):
            middle = depth[(a + b) // 2]
            self.spread_gain[a:b] = spread_gain(scan, machine, density, middle)
            sigma = float(lateral_sigma_cells(scan, machine, middle))
            self.bands.append((int(a), int(b), math.sqrt(sigma**2 - 1.0 / 6.0)))
        focus = self.bands[len(self.bands) // 2][2]
        shifts = {1: (0.0,), 2: (-0.75, 0.75), 3: (-1.3, 0.0, 1.3)}[machine.looks]
        columns = np.arange(cols, dtype=np.float32)
        self.ramps = [None if k == 0 else np.exp(1j * k / focus * columns).astype(np.complex64) for k in shifts]
        gain_db = self._gain_db(depth, rng)
        self.scale = np.float32(20.0 / math.log(10.0) / machine.dynamic_range_db)
        self.gain_db = gain_db
        self.rise = np.zeros((rows, cols), np.float32)
        self.bank = np.zeros((1, 1, 2), np.float32)
        if noise:
            self.bank = rng.standard_normal((rows + NOISE_ROOM, cols + NOISE_ROOM, 2), np.float32) * np.float32(0.7)
            level = machine.noise_db - 22.0 * (1.0 - depth / scan.depth_mm)
            # Noise comes in after the receive gain; divided by it here, since gain is put on after the logarithm.
            self.rise = (10.0 ** ((level[:, None] - gain_db) / 20.0)).astype(np.float32)
        self.offset = np.zeros((rows, cols), np.float32)
        self.set_top(0.0)
        self.grey = self._grey_map()
        self.previous: Float32 | None = None
        self._rise2 = np.repeat(self.rise[..., None], 2, axis=2) if noise else None
        self._axial = np.empty((rows, cols, 2), np.float32)
        self._turned = np.empty((rows, cols, 2), np.float32)
        self._looks = [np.empty((rows, cols, 2), np.float32) for _ in shifts]
        self._noise = np.empty((rows, cols, 2), np.float32)
        self._work = [np.empty((rows, cols), np.float32) for _ in range(5)]
        self._haze = np.zeros((rows, cols), np.float32)
        self._haze_pattern = self._draw_haze(rng) if noise else None
        self._grain = self._draw_grain(rng) if noise else None
        self._grain_at = (0, 0)

    def set_top(self, top_db: float) -> None:
        """Set the level that shows white [dB]."""
        self.top_db = top_db
        m = self.machine
        base = 1.0 - (top_db + 20 * math.log10(m.looks)) / m.dynamic_range_db
        self.offset = (self.gain_db / m.dynamic_range_db + base).astype(np.float32)

    def _gain_db(self, depth: NDArray, rng: np.random.Generator) -> Float32:
        """Receive gain over the grid [dB]: time-gain sliders, weak elements, an edge without contact, echo scale."""
        m, cols = self.machine, self.scan.cols
        sliders = np.interp(depth / self.scan.depth_mm, np.linspace(0, 1, len(m.tgc_error_db)), m.tgc_error_db)
        across = np.zeros(cols)
        at = np.linspace(0, 1, cols)
        across -= rng.uniform(0, 5.0) * (np.exp(-at / 0.04) + np.exp(-(1 - at) / 0.04))
        if rng.random() < 0.14:  # an end of the probe lifts off the skin
            edge, width = rng.uniform(0.0, 0.16), rng.uniform(0.01, 0.05)
            away = 1 - at if rng.random() < 0.5 else at
            across -= rng.uniform(15, 45) / (1.0 + np.exp((away - edge) / width))
        gain_db = sliders[:, None] + across[None, :] + 20.0 * np.log10(self.spread_gain)[:, None]
        return gain_db.astype(np.float32)

    def _grey_map(self) -> NDArray[np.uint8]:
        """256 entries from compressed echo to display grey: gamma and an S-curve."""
        v = np.linspace(0.0, 1.0, 256)
        g = v**self.machine.gamma
        s = self.machine.s_curve
        g = (1 - s) * g + s * (g * g * (3 - 2 * g))
        return np.clip(np.rint(g * 255), 0, 255).astype(np.uint8)

    def _draw_haze(self, rng: np.random.Generator) -> Float32:
        """Speckle of sound that took detours: it belongs to the probe, so it stays while tissue moves below it."""
        rows, cols = self.scan.rows, self.scan.cols
        white = rng.standard_normal((rows, cols, 2), np.float32)
        sigma = self.bands[len(self.bands) // 2][2]
        across, down = 1.5 * sigma, 1.3 * self.axial
        field = cv2.GaussianBlur(white, (_odd(across), _odd(down)), across, None, down)
        envelope = cv2.magnitude(field[..., 0], field[..., 1])
        level = 10.0 ** (self.machine.haze_db / 20.0)
        return np.asarray(envelope * np.float32(level / math.sqrt(float(np.mean(envelope**2)))), np.float32)

    def _draw_grain(self, rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Noise of the way from the scan converter to the stored picture, what it adds and what it takes [grey]."""
        _, _, w, h = self.scan.layout.region
        grey = rng.standard_normal((h + NOISE_ROOM, w + NOISE_ROOM), np.float32) * np.float32(self.machine.grain_grey)
        return np.rint(np.maximum(grey, 0.0)).astype(np.uint8), np.rint(np.maximum(-grey, 0.0)).astype(np.uint8)

    def _spread_haze(self) -> None:
        """Clutter of this frame: a share of the echo around and above each place, reverberated and from side lobes.

        Reverberation between layers and off-axis echoes fill vessels, cysts and shadows with a haze that follows the
        mean level of their surroundings, most of all above them (Lediju et al., Ultrasound Med. Biol. 35, 2009).
        """
        if self._haze_pattern is None:
            return
        rows, cols = self.scan.rows, self.scan.cols
        # Every third row is enough for a mean over many.
        first = np.ascontiguousarray(self._looks[0][::3])
        envelope = cv2.magnitude(first[..., 0], first[..., 1])
        small = cv2.resize(envelope, (max(8, cols // 6), max(16, rows // 12)), interpolation=cv2.INTER_AREA)
        # Sound that took a detour comes late: each place echoes on below itself, over some millimetres.
        tail = small.copy()
        decay = np.float32(math.exp(-rows / len(small) * self.scan.dr_mm / HAZE_TAIL_MM))
        gain = np.float32(1.0) - decay
        running = small[0].copy()
        for row in range(len(small)):
            running *= decay
            running += gain * small[row]
            tail[row] = running
        tail = cv2.GaussianBlur(tail, (0, 0), 2.5, None, 1.0)
        wide = cv2.resize(tail, (cols, rows), interpolation=cv2.INTER_LINEAR)
        np.multiply(wide, self._haze_pattern, out=self._haze)

    def looks(self, grid: Complex64) -> list[Float32]:
        """Blur splatted scatterers with the point spread, once for each look of the compound.

        Returns
        -------
        list of ndarray, shape (rows, cols, 2)
            Real and imaginary parts; written again at the next call.
        """
        pairs = grid.view(np.float32).reshape(*grid.shape, 2)
        axial = cv2.GaussianBlur(pairs, (1, _odd(self.axial)), 1.0, self._axial, self.axial, cv2.BORDER_REFLECT)
        for ramp, out in zip(self.ramps, self._looks, strict=True):
            turned = axial
            if ramp is not None:
                turned = self._turned
                np.multiply(axial.view(np.complex64)[..., 0], ramp, out=turned.view(np.complex64)[..., 0])
            for a, b, sigma in self.bands:
                cv2.GaussianBlur(turned[a:b], (_odd(sigma), 1), sigma, out[a:b], 1.0, cv2.BORDER_REFLECT)
        self._spread_haze()
        return self._looks

    def blur_plain(self, grid: Complex64, roi: Roi) -> Float32:
        """Blur the splatted needle inside a part of the grid, straight look only; (rows, cols, 2)."""
        r0, r1, c0, c1 = roi
        part = np.ascontiguousarray(grid).view(np.float32).reshape(r1 - r0, c1 - c0, 2)
        part[...] = cv2.GaussianBlur(part, (1, _odd(self.axial)), 1.0, None, self.axial, cv2.BORDER_CONSTANT)
        out = np.empty_like(part)
        for band_start, band_end, sigma in self.bands:
            a, b = max(band_start, r0) - r0, min(band_end, r1) - r0
            if a < b:
                out[a:b] = cv2.GaussianBlur(part[a:b], (_odd(sigma), 1), sigma, None, 1.0, cv2.BORDER_CONSTANT)
        return out

    def noise_shift(self) -> tuple[int, int]:
        """Draw this frame's place in the noise bank."""
        return int(self.rng.integers(0, NOISE_ROOM)), int(self.rng.integers(0, NOISE_ROOM))

    def noise_field(self, shift: tuple[int, int]) -> Float32 | None:
        """This frame's electronic noise, (rows, cols, 2); None when it is left out."""
        if self._rise2 is None:
            return None
        a, b = self._grain_at = shift
        part = self.bank[a : a + self.scan.rows, b : b + self.scan.cols]
        return np.multiply(part, self._rise2, out=self._noise)

    def detect(self, looks: list[Float32], noise: Float32 | None, roi: Roi | None = None) -> Float32:
        """Envelope, compounding and log compression, 0..1, with the machine's speckle smoothing.

        Parameters
        ----------
        looks : fields, whole or cut to ``roi``; left as they are
        noise : field of the whole grid from ``noise_field``
        roi : part of the grid the looks were cut to
        """
        r0, r1, c0, c1 = roi or (0, self.scan.rows, 0, self.scan.cols)
        whole = roi is None
        if noise is not None:
            noise = noise[r0:r1, c0:c1]
        total: Float32 | None = None
        for look in looks:
            field = look if noise is None else np.add(look, noise, out=self._turned if whole else None)
            reuse = self._work[0] if whole and total is not None else None
            envelope = np.asarray(cv2.magnitude(field[..., 0], field[..., 1], reuse), np.float32)
            total = envelope if total is None else np.add(total, envelope, out=total)
        assert total is not None
        if self._haze_pattern is not None:
            cv2.scaleAdd(self._haze[r0:r1, c0:c1], float(len(looks)), total, total)
        strength = self.smoothing
        if strength > 0.1:
            # Averaging the detected signal, as frequency compounding and receive filters do, fills speckle's dark gaps.
            total = np.asarray(cv2.GaussianBlur(total, (5, 7), 0.7 * strength, None, 1.1 * strength), np.float32)
        total += np.float32(1e-7)
        level = np.asarray(cv2.log(total, total), np.float32)
        level *= self.scale
        level += self.offset[r0:r1, c0:c1]
        np.clip(level, 0.0, 1.05, out=level)
        return self._sharpen(self._smooth(level))

    def _smooth(self, level: Float32) -> Float32:
        """Adaptive smoothing after Lee (IEEE PAMI 2:165, 1980): flat where only speckle varies, kept at structures."""
        strength = self.smoothing
        if strength < 0.05:
            return level
        size = 3 if strength < 0.3 else 5 if strength < 0.7 else 7
        window = (size, size)
        mean = np.asarray(cv2.blur(level, window), np.float32)
        square = np.asarray(cv2.sqrBoxFilter(level, cv2.CV_32F, window), np.float32)
        square -= mean * mean
        speckle = (5.57 / self.machine.dynamic_range_db) ** 2 / self.machine.looks / (1.0 + 3.0 * strength)
        # keep = 1 - speckle / spread, floored at 0; the result is level + strength (1 - keep) (mean - level).
        np.maximum(square, np.float32(speckle), out=square)
        np.divide(np.float32(speckle * strength), square, out=square)
        mean -= level
        mean *= square
        level += mean
        return level

    def _sharpen(self, level: Float32) -> Float32:
        if self.edge < 0.05:
            return level
        soft = cv2.GaussianBlur(level, (7, 7), 1.6)
        return np.asarray(cv2.addWeighted(level, 1.0 + self.edge, soft, -self.edge, 0.0), np.float32)

    def calibrate_gain(self, looks: list[Float32]) -> None:
        """Set the overall gain so that lit tissue has the machine's median grey, as an operator would."""
        m = self.machine
        total = np.mean([cv2.magnitude(look[..., 0], look[..., 1]) for look in looks], axis=0)
        level = 20 * np.log10(total + 1e-7) + self.gain_db
        lit = level[level > m.noise_db + 12]
        median = float(np.median(lit)) if lit.size else -25.0
        wanted = float(np.searchsorted(self.grey, m.median_grey)) / 255.0
        self.set_top(median - (wanted - 1.0) * m.dynamic_range_db)

    def display(self, level: Float32, gain_db: float) -> NDArray[np.uint8]:
        """Persistence, grey map and scan conversion; returns the region's picture."""
        share = self.persistence
        if self.previous is not None and share > 0:
            level = np.asarray(cv2.addWeighted(level, 1.0 - share, self.previous, share, 0.0), np.float32)
        self.previous = level
        shown = cv2.convertScaleAbs(np.maximum(level + np.float32(gain_db / self.machine.dynamic_range_db), 0.0), None,
                                    255.0)
        picture = self.converter.convert(np.asarray(cv2.LUT(shown, self.grey), np.uint8))
        if self._grain is not None:
            a, b = self._grain_at
            h, w = picture.shape
            more, less = (part[a : a + h, b : b + w] for part in self._grain)
            cv2.add(picture, more, picture, picture)  # black stays black
            cv2.subtract(picture, less, picture)
        return picture

    def envelope(self, look: int = 0) -> Float32:
        """Raw envelope of the tissue rendered last, unit power for unit tissue, before noise and any filter."""
        field = self._looks[look]
        return np.asarray(cv2.magnitude(field[..., 0], field[..., 1])) * self.spread_gain[:, None]


def keep_memory() -> None:
    """Make the allocator hold on to freed arrays instead of giving them back to the system.

    Pages that come back from the system are cleared one by one, which costs several times the arithmetic done in them.
    glibc raises its limits, once for all, to the size of a large block that is freed; elsewhere this does nothing.
    """
    block = np.empty(31 << 20, np.uint8)
    del block


def _odd(sigma: float) -> int:
    """Kernel length that holds three sigma on both sides."""
    return 2 * int(math.ceil(2.6 * sigma)) + 1
