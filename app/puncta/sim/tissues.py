"""Recipes of the three tissues: breast, nerve and vessel, after the layers in the simulator's specification."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from puncta.core.errors import UserError
from puncta.sim.phantom import BLOOD, CONNECTIVE, FAT, GLAND, MUSCLE, Builder, Phantom, Vessel, smooth_noise, wavy


def muscle_layer(b: Builder, top: NDArray, bottom: NDArray, slope_deg: float) -> None:
    """Hypoechoic muscle with pennate bright streaks and fascia on both borders."""
    band = (b.gz >= top[None, :]) & (b.gz < bottom[None, :])
    b.paint(band, b.u(-33, -25), MUSCLE)
    z0, z1 = float(top.mean()), float(bottom.mean())
    area = max(0.0, z1 - z0) * float(b.x[-1] - b.x[0])
    b.streaks(int(area / b.u(3, 16)), (z0, z1), (-26, -1), (0.6, 8.0), slope_deg, 4.0)
    for k in range(int(b.rng.integers(1, 3))):  # epimysium: one or two sheets
        b.layer_line(top + 0.25 * k, b.u(-18, -5), rough_mm=b.u(0.8, 4), thick_mm=b.u(0.08, 0.35), gaps=b.u(0.0, 0.5))


def place_target(b: Builder) -> tuple[float, float]:
    """A place for the target within reach of a needle [mm]."""
    x0, _, x1, z1 = b.view
    span = min(x1 - x0, 50.0)
    return b.u(-0.25, 0.25) * span, b.u(0.3, 0.68) * min(z1, 55.0)


def breast(b: Builder) -> None:
    """Skin, fat with Cooper ligaments, gland, retromammary fat, pectoral muscle, ribs, and a mass."""
    depth = b.view[3]
    skin = b.skin()
    fat_end = skin + b.u(0.1, 0.28) * depth + wavy(b.rng, b.x, 6.0, b.u(0.5, 1.6))
    gland_end = fat_end + b.u(0.25, 0.45) * depth + wavy(b.rng, b.x, 12.0, 1.2)
    retro_end = gland_end + b.u(1.0, 4.0) + wavy(b.rng, b.x, 15.0, 0.4)
    muscle_end = retro_end + b.u(5.0, 10.0) + wavy(b.rng, b.x, 20.0, 0.5)
    b.paint(b.gz >= skin[None, :], b.u(-30, -23), FAT)
    gland = (b.gz >= fat_end[None, :]) & (b.gz < gland_end[None, :])
    patches = smooth_noise(b.rng, b.phantom.shape, 5.0, 2.5)
    density = b.u(-0.8, 0.8)
    b.paint(gland, np.where(patches > density, b.u(-19, -12), b.u(-26, -20)), GLAND)
    b.fat_layer(skin, fat_end)
    mean_skin, mean_fat, mean_gland = float(skin.mean()), float(fat_end.mean()), float(gland_end.mean())
    for _ in range(int(b.rng.integers(3, 9))):  # Cooper ligaments: arcs from the gland up to the skin
        x0 = b.u(float(b.x[0]), float(b.x[-1]))
        reach, rise = b.u(2.5, 9.0) * (1 if b.chance(0.5) else -1), mean_fat - mean_skin
        t = np.linspace(0, 1, 40)
        b.line(x0 + reach * t, mean_fat + 1.0 - (rise + 0.5) * np.sin(t * math.pi / 2) ** b.u(0.8, 2.0), b.u(-24, -11),
               rough_mm=b.u(0.4, 2), thick_mm=b.u(0.15, 0.45), specular=0.4, patchy_db=3.0, gaps=0.3)
    b.layer_line(fat_end, b.u(-20, -10), rough_mm=1.0, thick_mm=0.15, gaps=0.5)
    b.streaks(int(b.u(50, 160)), (mean_fat, mean_gland), (-22, -2), (0.6, 7.0), spread_deg=10.0)
    b.paint((b.gz >= gland_end[None, :]) & (b.gz < retro_end[None, :]), b.u(-30, -24), FAT)
    muscle_layer(b, retro_end, muscle_end, b.u(-6, 6))
    b.layer_line(retro_end, b.u(-14, -3), rough_mm=b.u(1, 5), thick_mm=b.u(0.1, 0.35), patchy_db=5.0, gaps=0.3)
    b.paint(b.gz >= muscle_end[None, :], b.u(-34, -27), MUSCLE)
    if b.chance(0.5) and float(muscle_end.mean()) < depth:
        pitch = b.u(14, 20)
        for cx in np.arange(b.u(-pitch, 0), float(b.x[-1]), pitch):
            half = b.u(3.5, 6.0)
            s = np.linspace(-half, half, 50)
            b.bone(cx + s, float(muscle_end.mean()) + 2.5 * (s / half) ** 2, b.u(-6, 2))
        b.layer_line(muscle_end + b.u(3.5, 6.0), b.u(-6, 2), rough_mm=3.0, thick_mm=0.2, gaps=0.3)  # pleura
    cx, cz = place_target(b)
    radius = b.u(2.5, 8.0)
    b.phantom.target, b.phantom.target_radius = (cx, cz), radius
    kind = b.rng.choice(["cyst", "benign", "malignant", "none"], p=[0.2, 0.4, 0.25, 0.15])
    if kind == "cyst":
        flat = b.u(0.6, 1.0)
        inside = b.ellipse(cx, cz, radius, radius * flat, b.u(-6, 6), 0.03, 0.4)
        b.hide(inside)
        b.paint(inside, -52.0, 0.05)
        _cap_lines(b, cx, cz, radius, flat, -14.0)
    elif kind == "benign":
        flat = b.u(0.45, 0.75)
        inside = b.ellipse(cx, cz, radius, radius * flat, b.u(-6, 6), 0.06, 0.5)
        b.hide(inside)
        b.paint(inside, b.u(-40, -32), 0.5)
        _cap_lines(b, cx, cz, radius, flat, -16.0)
    elif kind == "malignant":
        b.paint(b.ellipse(cx, cz, radius * 1.25, radius * 1.35, 0, 0.25, 1.2), b.u(-16, -12), GLAND)
        inside = b.ellipse(cx, cz, radius * 0.8, radius * b.u(0.95, 1.3), b.u(-20, 20), 0.18, 0.6)
        b.hide(inside, -18.0)
        b.paint(inside, b.u(-42, -34), b.u(1.0, 1.6))


def _cap_lines(b: Builder, cx: float, cz: float, radius: float, flat: float, level_db: float) -> None:
    """Bright front and back walls of a smooth mass."""
    s = np.linspace(-0.55, 0.55, 30) * radius
    for sign in (-1, 1):
        z = cz + sign * flat * radius * np.sqrt(1 - (s / radius) ** 2)
        b.line(cx + s, z, level_db + b.u(-4, 3), rough_mm=4.0, thick_mm=0.05, specular=0.5, patchy_db=2.0)


def _vessel(b: Builder, cx: float, cz: float, radius: float, pulse_mm: float, squash: float = 1.0) -> None:
    """A vessel in short axis with its wall, nearly free of echoes inside."""
    b.paint(b.ellipse(cx, cz, radius + 0.5, radius * squash + 0.5, 0, 0.02, 0.4), b.u(-20, -14), CONNECTIVE)
    lumen = b.ellipse(cx, cz, radius, radius * squash, b.u(-15, 15), 0.05, 0.35)
    b.paint(lumen, b.u(-52, -42), BLOOD)
    b.hide(lumen)
    for half, sign in ((0.7, -1), (0.75, 1)):
        s = np.linspace(-half, half, 30) * radius
        b.line(cx + s, cz + sign * squash * np.sqrt(radius**2 - s**2), b.u(-18, -6), rough_mm=4.0, thick_mm=0.12,
               specular=0.6, patchy_db=2.5)
    b.phantom.vessels.append(Vessel(cx, cz, radius, pulse_mm))


def _limb(b: Builder) -> list[NDArray]:
    """Skin, fat, and two or three muscles with fascia between; returns the fascia curves."""
    depth = b.view[3]
    skin = b.skin()
    border = skin + b.u(0.06, 0.25) * depth + wavy(b.rng, b.x, 10.0, 0.7)
    b.paint(b.gz >= skin[None, :], b.u(-30, -23), FAT)
    b.fat_layer(skin, border)
    curves = [border]
    slope = b.u(5, 22) * (1 if b.chance(0.5) else -1)
    while float(border.mean()) < depth and len(curves) < 5:
        tilt = math.tan(math.radians(b.u(-14, 14)))
        following = border + b.u(0.14, 0.45) * depth + tilt * (b.x - b.u(-8, 8)) * 0.6
        following = following + wavy(b.rng, b.x, 11.0, b.u(0.2, 0.9))
        following = np.maximum(following, border + 1.2)
        muscle_layer(b, border, following, slope)
        if b.chance(0.6):
            b.layer_line(border + 0.1, b.u(-16, -3), rough_mm=b.u(0.7, 4), thick_mm=b.u(0.1, 0.4), patchy_db=5.0,
                         gaps=b.u(0, 0.5))
        slope = -slope if b.chance(0.6) else b.u(-20, 20)
        border = following
        curves.append(border)
    b.paint(b.gz >= border[None, :], b.u(-33, -26), MUSCLE)
    if b.chance(0.6):
        # Interstitial tissue: many short level streaks, which heavy filtering turns into a smeared texture.
        b.streaks(int(b.u(80, 320)), (1.5, depth), (-22, 3), (0.5, 4.5), b.u(-6, 6), 5.0)
    if b.chance(0.45):
        x = np.linspace(float(b.x[0]), float(b.x[-1]), 120)
        z = b.u(0.55, 0.95) * depth + math.tan(math.radians(b.u(-26, 26))) * (x - b.u(-10, 10))
        z = z + wavy(b.rng, x, 8.0, b.u(0.05, 0.5))
        z = np.maximum(z, 0.35 * depth)
        b.bone(x, z, b.u(-5, 4), leak=float(b.rng.choice([b.u(0.1, 0.8), b.u(0.85, 1.0), b.u(0.85, 1.0)])))
    return curves


def nerve(b: Builder) -> None:
    """Muscles with pennate streaks, fascia, a nerve in short axis, a vessel beside it, bone."""
    _limb(b)
    cx, cz = place_target(b)
    rx, rz = b.u(2.0, 5.5), b.u(1.3, 3.0)
    b.phantom.target, b.phantom.target_radius = (cx, cz), max(rx, rz)
    if b.chance(0.6):
        side = 1 if b.chance(0.5) else -1
        _vessel(b, cx + side * (rx + b.u(3.0, 6.0)), cz + b.u(-2, 3), b.u(1.6, 3.6), b.u(0.05, 0.3))
    if b.chance(0.85):
        tilt = b.u(-20, 20)
        b.paint(b.ellipse(cx, cz, rx + 0.8, rz + 0.7, tilt, 0.08, 0.5), b.u(-16, -10), CONNECTIVE)
        b.paint(b.ellipse(cx, cz, rx, rz, tilt, 0.05, 0.3), b.u(-20, -14), CONNECTIVE)
        for _ in range(int(b.rng.integers(4, 12))):  # fascicles: dark dots in bright epineurium
            a, q = b.u(0, 2 * math.pi), math.sqrt(b.u(0, 0.7))
            size = b.u(0.35, 0.9)
            b.paint(b.ellipse(cx + rx * q * math.cos(a), cz + rz * q * math.sin(a), size, size * 0.85, 0, 0, 0.15),
                    b.u(-36, -30), GLAND)


def vessel(b: Builder) -> None:
    """An artery and a vein in short axis under fat and muscle."""
    _limb(b)
    cx, cz = place_target(b)
    radius = b.u(1.6, 4.0)
    b.phantom.target, b.phantom.target_radius = (cx, cz), radius
    side = 1 if b.chance(0.5) else -1
    gap = b.u(0.8, 2.5)
    other = b.u(1.5, 3.2)
    squash = b.u(0.55, 1.0)
    _vessel(b, cx, cz, radius, b.u(0.03, 0.1), squash)
    _vessel(b, cx + side * (radius + gap + other), cz + b.u(-1.5, 3.0), other, b.u(0.15, 0.45))


RECIPES: dict[str, Callable[[Builder], None]] = {"breast": breast, "nerve": nerve, "vessel": vessel}
PROCEDURES = tuple(RECIPES)


def build_phantom(
    procedure: str, rng: np.random.Generator, extent_mm: tuple[float, float, float, float]
) -> Phantom:
    """Draw the tissue of a procedure for a field of view (x0, z0, x1, z1) [mm].

    Raises
    ------
    UserError
        When there is no such procedure.
    """
    if procedure not in RECIPES:
        raise UserError(f"There is no simulated procedure {procedure!r}; choose one of {', '.join(PROCEDURES)}.")
    builder = Builder(rng, extent_mm)
    RECIPES[procedure](builder)
    return builder.finish()
