"""Texture of ultrasound pictures: grey levels, size and statistics of speckle, spectrum and gradients.

Everything is measured on lit tissue of a grey picture (uint8 or float, 0..255), in patches, so that two sets of
pictures can be held against each other. Sources of the formulas:

- Envelope SNR = mean / deviation; fully developed speckle has Rayleigh amplitude and SNR sqrt(pi / (4 - pi)) = 1.913
  (Burckhardt, IEEE Trans. Son. Ultrason. 25:1, 1978; Wagner et al., ibid. 30:156, 1983).
- Speckle size = full width at half maximum of the autocovariance (Wagner et al. 1983). With a Gaussian point spread the
  autocovariance of the echo's intensity is as wide as the point spread's amplitude.
- Spectral slope: the exponent of the radial power spectrum, P(f) ~ f^slope (Field, JOSA A 4:2379, 1987).
- Histogram distance: the earth mover's distance of two histograms of one dimension, the area between their cumulated
  shares (Rubner et al., Int. J. Comput. Vision 40:99, 2000).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Mask = NDArray[np.bool_]

RAYLEIGH_SNR = float(np.sqrt(np.pi / (4.0 - np.pi)))
"""Mean over deviation of a Rayleigh amplitude, 1.913."""
LIT_GREY = 9.0
"""A place belongs to lit tissue where the mean grey around it is above this."""
PATCH_PX = 48
STEP_PX = 24
HISTOGRAM_BINS = 64


def box_mean(picture: NDArray, size: int) -> Float:
    """Mean over a square of an odd ``size`` [px] around every pixel, edges repeated."""
    half = size // 2
    padded = np.pad(np.asarray(picture, np.float64), half + 1, mode="edge")
    total = padded.cumsum(axis=0).cumsum(axis=1)
    n = 2 * half + 1
    area = total[n:, n:] - total[:-n, n:] - total[n:, :-n] + total[:-n, :-n]
    return area[: picture.shape[0], : picture.shape[1]] / (n * n)


def lit_mask(picture: NDArray) -> Mask:
    """Tell where tissue is lit: the mean of 15 x 15 px is above `LIT_GREY`."""
    return box_mean(picture, 15) > LIT_GREY


def grey_histogram(picture: NDArray, mask: Mask, bins: int = HISTOGRAM_BINS) -> Float:
    """Shares of grey levels 0..255 inside a mask, shape (bins,); their sum is 1 (or 0 where the mask is empty)."""
    counts, _ = np.histogram(np.asarray(picture)[mask], bins=bins, range=(0.0, 256.0))
    return counts / max(1, counts.sum())


def histogram_distance(a: Float, b: Float) -> float:
    """Earth mover's distance of two histograms of shares over 0..255 [grey levels]."""
    return float(np.abs(np.cumsum(a) - np.cumsum(b)).sum() * 256.0 / len(a))


def envelope_snr(envelope: NDArray) -> float:
    """Mean over deviation of a linear (not compressed) envelope of even tissue; 1.913 is Rayleigh speckle."""
    values = np.asarray(envelope, np.float64)
    return float(values.mean() / values.std())


def autocovariance(patches: NDArray) -> Float:
    """Autocovariance of patches without wrap-around, lag 0 in the middle and 1 there.

    Parameters
    ----------
    patches : ndarray, shape (N, H, W)

    Returns
    -------
    ndarray, shape (N, 2H - 1, 2W - 1)
        Each lag is divided by the number of pixel pairs it rests on.
    """
    _, h, w = patches.shape
    centred = np.asarray(patches, np.float64) - patches.mean(axis=(1, 2), keepdims=True)
    power = np.abs(np.fft.rfft2(centred, (2 * h, 2 * w))) ** 2
    lags = np.fft.fftshift(np.fft.irfft2(power, (2 * h, 2 * w)), axes=(1, 2))[:, 1:, 1:]
    pairs = np.outer(h - np.abs(np.arange(1 - h, h)), w - np.abs(np.arange(1 - w, w)))
    lags = lags / pairs
    peak = lags[:, h - 1, w - 1]
    return lags / np.where(peak > 0, peak, 1.0)[:, None, None]


def half_width(curve: Float) -> float:
    """Full width at half maximum [samples] of a curve that falls from 1 at index 0; NaN where it stays above."""
    below = np.flatnonzero(curve < 0.5)
    if len(below) == 0 or below[0] == 0:
        return float("nan")
    k = int(below[0])
    return 2.0 * float(k - 1 + (curve[k - 1] - 0.5) / (curve[k - 1] - curve[k]))


def autocorrelation_fwhm(patch: NDArray) -> tuple[float, float]:
    """Lateral and axial width at half height of the autocovariance of one patch [px]."""
    lags = autocovariance(np.asarray(patch)[None])[0]
    row, column = patch.shape[0] - 1, patch.shape[1] - 1
    return half_width(lags[row, column:]), half_width(lags[row:, column])


def cut_patches(picture: NDArray, mask: Mask, size: int = PATCH_PX, step: int = STEP_PX) -> Float:
    """Square patches on a grid that lie in the mask to 97 % or more, shape (N, size, size)."""
    picture = np.asarray(picture, np.float64)
    found = [
        picture[y : y + size, x : x + size]
        for y in range(0, picture.shape[0] - size + 1, step)
        for x in range(0, picture.shape[1] - size + 1, step)
        if mask[y : y + size, x : x + size].mean() >= 0.97
    ]
    return np.stack(found) if found else np.zeros((0, size, size))


def remove_trend(patches: Float) -> Float:
    """Take a second-order surface off each patch, so that layers and shading do not pass for speckle."""
    n, h, w = patches.shape
    y, x = np.meshgrid(np.linspace(-1, 1, h), np.linspace(-1, 1, w), indexing="ij")
    basis = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1).reshape(-1, 6)
    flat = patches.reshape(n, -1)
    return (flat - (flat @ np.linalg.pinv(basis).T) @ basis.T).reshape(n, h, w)


def quiet_half(patches: Float) -> Float:
    """Return the half of the patches that vary least for their brightness: speckle, few structures."""
    if len(patches) < 2:
        return patches
    spread = patches.std(axis=(1, 2)) / np.maximum(patches.mean(axis=(1, 2)), 1.0)
    return patches[np.argsort(spread, kind="stable")[: (len(patches) + 1) // 2]]


def spectral_slope(patches: Float, low: float = 0.04, high: float = 0.25) -> float:
    """Slope of log power against log frequency between two frequencies [cycles/px], patches averaged."""
    _, h, w = patches.shape
    window = np.outer(np.hanning(h), np.hanning(w))
    power = (np.abs(np.fft.fft2(remove_trend(patches) * window)) ** 2).mean(axis=0)
    frequency = np.hypot(np.fft.fftfreq(h)[:, None], np.fft.fftfreq(w)[None, :])
    edges = np.geomspace(low, high, 9)
    which = np.digitize(frequency.ravel(), edges)
    level, middle = [], []
    for k in range(1, len(edges)):
        inside = which == k
        if inside.any():
            level.append(np.log(power.ravel()[inside].mean() + 1e-12))
            middle.append(np.log(frequency.ravel()[inside].mean()))
    return float(np.polyfit(middle, level, 1)[0]) if len(level) > 2 else float("nan")


def _median(values: list[float]) -> float:
    known = [v for v in values if np.isfinite(v)]
    return float(np.median(known)) if known else float("nan")


@dataclass(frozen=True, slots=True)
class Texture:
    """What one picture's lit tissue measures; NaN where there is too little of it.

    Attributes
    ----------
    grey_mean, grey_p05, grey_p50, grey_p95 : float
        Mean and percentiles of the grey level, 0..255.
    speckle_lateral_px, speckle_axial_px : float
        Width of the autocovariance at half height [px], median over the quieter half of the patches.
    slope : float
        Spectral slope.
    grain : float
        Deviation over mean of the grey level in quiet patches, trend removed: how strong the speckle shows.
    contrast : float
        Deviation over mean of the patches' mean grey: how much layers differ.
    gradient : float
        Mean length of the grey gradient [grey/px] over the mean grey.
    gradient_tail : float
        Kurtosis of the vertical gradient: how much stands out of the grain (3 is Gaussian).
    layering : float
        Power of vertical over horizontal gradients; above 1 the texture lies level.
    lit_share : float
        Share of the picture that is lit.
    """

    grey_mean: float
    grey_p05: float
    grey_p50: float
    grey_p95: float
    speckle_lateral_px: float
    speckle_axial_px: float
    slope: float
    grain: float
    contrast: float
    gradient: float
    gradient_tail: float
    layering: float
    lit_share: float


def measure_texture(picture: NDArray, mask: Mask | None = None) -> Texture:
    """Measure one grey picture.

    Parameters
    ----------
    picture : ndarray, shape (H, W)
        Grey levels 0..255, the ultrasound region alone.
    mask : ndarray of bool or None
        Lit tissue; None finds it with `lit_mask`.
    """
    picture = np.asarray(picture, np.float64)
    mask = lit_mask(picture) if mask is None else mask
    nan = float("nan")
    if mask.sum() < 2 * PATCH_PX * PATCH_PX:
        return Texture(nan, nan, nan, nan, nan, nan, nan, nan, nan, nan, nan, nan, float(mask.mean()))
    values = picture[mask]
    p05, p50, p95 = (float(v) for v in np.percentile(values, (5, 50, 95)))
    down, across = np.gradient(picture)
    inner = box_mean(mask, 21) > 0.999  # the border of the lit tissue is no texture
    down, across = down[inner], across[inner]
    mean = float(values.mean())
    power = float(np.mean(down**2))
    gradient = float(np.mean(np.hypot(down, across))) / max(mean, 1.0)
    tail = float(np.mean(down**4)) / max(power**2, 1e-9)
    layering = power / max(float(np.mean(across**2)), 1e-9)
    patches = cut_patches(picture, mask)
    lateral = axial = slope = grain = contrast = nan
    if len(patches) >= 4:
        quiet = quiet_half(patches)
        flat = remove_trend(quiet)
        lags = autocovariance(flat)
        middle = PATCH_PX - 1
        lateral = _median([half_width(lag[middle, middle:]) for lag in lags])
        axial = _median([half_width(lag[middle:, middle]) for lag in lags])
        slope = spectral_slope(quiet)
        means = patches.mean(axis=(1, 2))
        grain = float(np.median(flat.std(axis=(1, 2)) / np.maximum(quiet.mean(axis=(1, 2)), 1.0)))
        contrast = float(means.std() / max(means.mean(), 1.0))
    return Texture(mean, p05, p50, p95, lateral, axial, slope, grain, contrast, gradient, tail, layering,
                   float(mask.mean()))
