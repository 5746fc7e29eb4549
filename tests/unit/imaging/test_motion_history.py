"""Motion channels: what moves shows, what only drifts or brightens does not, repeats are no news."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from puncta.imaging.motion_history import (
    CHANNELS,
    HISTORY_FRAMES,
    MotionHistory,
    measure_shift,
    repeats,
    shift_picture,
    small_for_shift,
    stack_channels,
)

SIZE = 128


def tissue(seed: int = 0, size: int = SIZE) -> NDArray[np.uint8]:
    noise = np.random.default_rng(seed).standard_normal((size + 40, size + 40)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2.5)
    return np.clip(90 + 45 * smooth / smooth.std(), 0, 255).astype(np.uint8)


def window(picture: NDArray[np.uint8], dx: int, dy: int) -> NDArray[np.uint8]:
    return np.ascontiguousarray(picture[20 - dy : 20 - dy + SIZE, 20 - dx : 20 - dx + SIZE])


@pytest.mark.parametrize(("dx", "dy"), [(0, 0), (2, -1), (-3, 4)])
def test_measures_a_shift_of_the_whole_picture(dx: int, dy: int) -> None:
    wide = tissue()
    found = measure_shift(small_for_shift(window(wide, 0, 0)), small_for_shift(window(wide, dx, dy)), SIZE)
    assert found == pytest.approx((dx, dy), abs=0.25)


def test_a_shift_undone_gives_the_picture_back() -> None:
    wide = tissue()
    moved = shift_picture(window(wide, 0, 0), 3.0, -2.0)
    assert np.abs(moved[10:-10, 10:-10].astype(int) - window(wide, 3, -2)[10:-10, 10:-10]).max() <= 1


@pytest.mark.parametrize(
    ("dx", "dy"), [(2.3, 1.6), (-2.3, 1.6), (0.4, -0.7), (-7.25, -0.3), (30.6, -41.2), (-200.0, 5.5)]
)
def test_a_shift_interpolates_linearly_and_repeats_the_border_up_to_the_corners(dx: float, dy: float) -> None:
    picture = window(tissue(), 0, 0)
    x, y = np.arange(SIZE) - dx, np.arange(SIZE) - dy
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)

    def at(rows: NDArray[np.int_], columns: NDArray[np.int_]) -> NDArray[np.float64]:
        return picture[np.clip(rows, 0, SIZE - 1)][:, np.clip(columns, 0, SIZE - 1)].astype(np.float64)

    a, b = (x - left)[None, :], (y - top)[:, None]
    upper = at(top, left) * (1 - a) + at(top, left + 1) * a
    lower = at(top + 1, left) * (1 - a) + at(top + 1, left + 1) * a
    assert np.abs(shift_picture(picture, dx, dy) - (upper * (1 - b) + lower * b)).max() <= 0.51


def test_channels_are_what_their_description_says() -> None:
    pictures = [window(tissue(k), k % 3, -(k % 4)) for k in range(8)]
    now = pictures[0].astype(np.float64)
    old = np.stack(pictures[3:]).astype(np.float64)
    highest = cv2.dilate(old.max(axis=0).astype(np.uint8), np.ones((3, 3), np.uint8))
    unit = now.std() + 8.0
    channels = stack_channels(pictures)
    assert np.abs(channels[0] - (now - now.mean()) / unit).max() < 1e-5
    for channel, reference in enumerate((pictures[1], pictures[2], highest, old.mean(axis=0)), start=1):
        difference = now - reference
        fast = difference - cv2.blur(difference, (33, 33))
        assert np.abs(channels[channel] - np.clip(fast / unit, -2.5, 2.5)).max() < 1e-5


def test_a_new_bright_spot_stands_out_although_all_drifts_and_gain_changes() -> None:
    wide = tissue(1)
    history = MotionHistory(SIZE)
    for k in range(HISTORY_FRAMES + 3):
        frame = window(wide, k % 5 - 2, k % 3 - 1)
        frame = np.clip(frame * (1.0 + 0.02 * (k % 4)), 0, 255).astype(np.uint8)
        if k == HISTORY_FRAMES + 2:
            cv2.circle(frame, (80, 50), 4, 250, -1)
        history.push(frame)
    channels = history.channels()
    assert channels.shape == (len(CHANNELS), SIZE, SIZE) and channels.dtype == np.float32
    for channel in channels[1:]:
        row, column = divmod(int(channel[8:-8, 8:-8].argmax()), SIZE - 16)
        assert abs(row + 8 - 50) <= 4 and abs(column + 8 - 80) <= 4


def test_the_first_frame_has_no_motion() -> None:
    history = MotionHistory(SIZE)
    history.push(window(tissue(), 0, 0))
    channels = history.channels()
    assert np.abs(channels[[1, 2, 4]]).max() < 1e-4
    assert channels[3].max() <= channels[3].mean() + 1.0


def test_repeated_frames_do_not_wash_motion_out() -> None:
    wide = tissue(2)
    frames = [window(wide, k, 0) for k in (0, 1, 0, 1)]
    once, thrice = MotionHistory(SIZE), MotionHistory(SIZE)
    for frame in frames:
        assert once.push(frame)
        assert [thrice.push(frame.copy()) for _ in range(3)] == [True, False, False]
    assert np.array_equal(once.channels(), thrice.channels())
    assert len(once) == len(thrice) == 4


def test_noise_of_a_coder_is_a_repeat_and_motion_is_not() -> None:
    frame = window(tissue(), 0, 0)
    nearly = frame.copy()
    nearly[::17, ::13] += 1
    assert repeats(frame, nearly)
    assert not repeats(frame, window(tissue(), 1, 0))


def test_clear_forgets() -> None:
    history = MotionHistory(SIZE)
    history.push(window(tissue(), 0, 0))
    history.clear()
    assert len(history) == 0
    with pytest.raises(IndexError):
        history.channels()
