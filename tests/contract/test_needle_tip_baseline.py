"""The training-free reference does what its README says."""

from __future__ import annotations

import numpy as np
import pytest

from puncta.core.frame import Frame, FrameKey, ImageGeometry, SourceInfo, SourceKind, UltrasoundRegion
from puncta.core.results import Detection
from puncta.inference.opener import opener_for
from puncta.pipeline.discover import discover, load
from puncta.sdk.plugin import Plugin, ResetReason

REGION = UltrasoundRegion((20, 10, 120, 90), "simulated")


@pytest.fixture
def plugin() -> Plugin:
    found = discover(entry_points=False).get("needle-tip-baseline")
    assert found is not None
    return load(found, opener_for("needle-tip-baseline"))


def step(plugin: Plugin, pixels: np.ndarray, index: int) -> Detection:
    geometry = ImageGeometry(pixels.shape[1], pixels.shape[0], (REGION,))
    info = SourceInfo("test", "test", "test", SourceKind.FILE, geometry)
    frame = Frame(FrameKey("test", index, index * 40_000_000), 0, index, 0, 0, pixels.copy(), geometry, info)
    (result,) = plugin.step(frame, {}).results
    assert isinstance(result, Detection)
    return result


def scene(*spots: tuple[int, int, int]) -> np.ndarray:
    """Weak noise with discs of a given brightness."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(20, 40, (120, 160)).astype(np.uint8)
    rows, cols = np.mgrid[:120, :160]
    for x, y, level in spots:
        pixels[(cols - x) ** 2 + (rows - y) ** 2 <= 6] = level
    return pixels


def test_it_finds_what_is_new_beside_what_is_brighter_but_old(plugin: Plugin):
    for index in range(4):
        step(plugin, scene((100, 30, 250)), index)
    found = step(plugin, scene((100, 30, 250), (60, 70, 160)), 4)
    assert found.tip_px == pytest.approx((60, 70), abs=1)
    assert found.score > 0.5


def test_screen_furniture_beside_the_region_is_not_seen(plugin: Plugin):
    step(plugin, scene(), 0)
    found = step(plugin, scene((5, 60, 255), (80, 50, 120)), 1)
    assert found.tip_px == pytest.approx((80, 50), abs=1)


def test_the_box_is_centred_on_the_tip_with_the_published_size(plugin: Plugin):
    found = step(plugin, scene((80, 50, 250)), 0)
    x0, y0, w, h = found.box
    assert (x0 + w / 2, y0 + h / 2) == pytest.approx(found.tip_px)
    assert (w, h) == pytest.approx((0.088 * 120, 0.040 * 90))


def test_a_reset_forgets_what_was_bright(plugin: Plugin):
    old = scene((100, 30, 250))
    for index in range(3):
        step(plugin, old, index)
    plugin.reset(ResetReason.SEEK)
    assert step(plugin, old, 3).tip_px == pytest.approx((100, 30), abs=1)


def test_nothing_at_all_is_no_answer_with_a_reason(plugin: Plugin):
    black = np.zeros((120, 160), np.uint8)
    step(plugin, black, 0)
    found = step(plugin, black, 1)
    assert found.tip_px is None
    assert found.box is None
    assert found.reason
