"""Texture measures against signals whose answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from puncta.metrics import texture


def _blurred(rng: np.random.Generator, shape: tuple[int, int], sigma_x: float, sigma_y: float) -> np.ndarray:
    """Complex white noise through a Gaussian point spread, by its transfer function."""
    noise = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
    fy, fx = np.fft.fftfreq(shape[0])[:, None], np.fft.fftfreq(shape[1])[None, :]
    transfer = np.exp(-2 * math.pi**2 * ((fx * sigma_x) ** 2 + (fy * sigma_y) ** 2))
    return np.fft.ifft2(np.fft.fft2(noise) * transfer)


def test_rayleigh_speckle_has_the_snr_and_the_width_of_its_point_spread() -> None:
    field = _blurred(np.random.default_rng(1), (512, 512), 3.0, 1.5)
    assert texture.envelope_snr(np.abs(field)) == pytest.approx(texture.RAYLEIGH_SNR, abs=0.03)
    lateral, axial = texture.autocorrelation_fwhm(np.abs(field) ** 2)
    assert lateral == pytest.approx(2.355 * 3.0, rel=0.06)
    assert axial == pytest.approx(2.355 * 1.5, rel=0.06)


def test_speckle_size_of_a_picture_follows_the_point_spread_under_shading() -> None:
    rng = np.random.default_rng(2)
    shade = np.linspace(0, 40, 256)[None, :]
    sizes = []
    for sigma in (1.2, 2.4):
        level = 20 * np.log10(np.abs(_blurred(rng, (256, 256), sigma, 1.0)) + 1e-6)
        picture = np.clip(110 + 4 * (level - np.median(level)) + shade, 0, 255)
        found = texture.measure_texture(picture)
        sizes.append(found.speckle_lateral_px)
        assert found.lit_share == 1.0
        assert found.speckle_axial_px < found.speckle_lateral_px
    assert sizes[1] / sizes[0] == pytest.approx(2.0, rel=0.2)


def test_spectral_slope_of_noise_made_with_a_slope() -> None:
    rng = np.random.default_rng(3)
    radius = np.hypot(np.fft.fftfreq(48)[:, None], np.fft.fftfreq(48)[None, :])
    radius[0, 0] = 1.0
    for slope in (0.0, -2.0, -4.0):
        white = np.fft.fft2(rng.standard_normal((80, 48, 48)))
        patches = np.fft.ifft2(white * radius ** (slope / 2)).real
        assert texture.spectral_slope(patches) == pytest.approx(slope, abs=0.45)


def test_histogram_distance_is_the_shift_between_two_pictures() -> None:
    rng = np.random.default_rng(4)
    picture = rng.normal(90, 20, (128, 128)).clip(0, 255)
    everywhere = np.ones(picture.shape, bool)
    a = texture.grey_histogram(picture, everywhere)
    b = texture.grey_histogram(picture + 24, everywhere)
    assert a.sum() == pytest.approx(1.0)
    assert texture.histogram_distance(a, b) == pytest.approx(24.0, abs=1.0)
    assert texture.histogram_distance(a, a) == 0.0


def test_layers_show_in_the_gradients_and_black_is_not_tissue() -> None:
    rng = np.random.default_rng(5)
    picture = np.zeros((200, 200))
    picture[:, 60:] = 80 + 30 * np.sin(np.arange(200) / 3.0)[:, None] + rng.normal(0, 3, (200, 140))
    found = texture.measure_texture(picture)
    assert found.layering > 3.0
    assert 0.65 < found.lit_share < 0.78
    assert found.grey_p50 == pytest.approx(80, abs=6)
    dark = texture.measure_texture(np.zeros((100, 100)))
    assert dark.lit_share == 0.0 and math.isnan(dark.slope)
