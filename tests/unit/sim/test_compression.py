"""Compression of a machine's screen: little is lost, and a stream shows the same bytes wherever it is entered."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from puncta.sim.compression import GROUP_FRAMES, H264, Jpeg, Untouched


def _screens(count: int, shape: tuple[int, int] = (97, 131)) -> list[np.ndarray]:
    rng = np.random.default_rng(2)
    field = cv2.GaussianBlur(rng.random((shape[0] + count, shape[1])).astype(np.float32), (0, 0), 2.0)
    field = (field - field.min()) / np.ptp(field) * 255
    return [field[k : k + shape[0]].astype(np.uint8) for k in range(count)]


@pytest.mark.parametrize("codec", [Jpeg(70), H264(20.0, 24.0), Untouched()])
def test_a_screen_comes_back_almost_as_it_was(codec: Jpeg | H264 | Untouched) -> None:
    for k, screen in enumerate(_screens(4)):
        back = codec.pass_through(screen, k)
        assert back.shape == screen.shape and back.dtype == np.uint8
        assert np.abs(back.astype(int) - screen).mean() < 6
    if not isinstance(codec, Untouched):
        assert not np.array_equal(back, screen)


def test_a_stream_entered_later_shows_the_same_bytes_from_its_next_group_on() -> None:
    screens = _screens(2 * GROUP_FRAMES + 5)
    whole, late = H264(25.0, 26.0), H264(25.0, 26.0)
    played = [whole.pass_through(s, k) for k, s in enumerate(screens)]
    first = GROUP_FRAMES - 3
    for k in range(first, len(screens)):
        back = late.pass_through(screens[k], k)
        if k >= GROUP_FRAMES:
            assert np.array_equal(back, played[k])
    assert not np.array_equal(played[5], H264(25.0, 26.0).pass_through(screens[5], 5)), "frames lean on those before"
