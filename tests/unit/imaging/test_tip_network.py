"""A network's memory: kept from frame to frame, all zero after a reset, and not moved by a frame that repeats."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tip_graph import open_tip_graph, spotted

from puncta.imaging.tip_network import TipNetwork


def test_memory_goes_from_frame_to_frame_and_repeats_do_not_move_it(tmp_path: Path) -> None:
    pictures = [spotted(20 + 4 * k, 30, seed=k) for k in range(4)]
    once, thrice = TipNetwork(open_tip_graph(tmp_path)), TipNetwork(open_tip_graph(tmp_path))
    plain = [once.step(p) for p in pictures]
    for wanted, picture in zip(plain, pictures):
        first, *others = (thrice.step(picture.copy()) for _ in range(3))
        assert wanted is not None and first is not None and others == [None, None]
        assert np.array_equal(first.maps, wanted.maps)
        assert (first.presence, first.strangeness) == (wanted.presence, wanted.strangeness)


def test_an_older_frame_weighs_in_and_a_reset_empties_the_memory(tmp_path: Path) -> None:
    network = TipNetwork(open_tip_graph(tmp_path))
    first = network.step(spotted(20, 30, seed=1))
    second = network.step(spotted(40, 30, seed=2))
    network.clear()
    again = network.step(spotted(20, 30, seed=1))
    assert first is not None and second is not None and again is not None
    assert np.array_equal(again.maps, first.maps)
    network.clear()
    alone = network.step(spotted(40, 30, seed=2))
    assert alone is not None and not np.array_equal(alone.maps[0], second.maps[0])


def test_a_network_without_a_memory_runs_and_tells_no_strangeness(tmp_path: Path) -> None:
    network = TipNetwork(open_tip_graph(tmp_path, memory=False))
    answer = network.step(spotted(24, 24))
    assert answer is not None and answer.strangeness is None
    row, column = divmod(int(answer.maps[0].argmax()), 16)
    assert (column, row) == pytest.approx((6, 6), abs=1)


def test_other_channels_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="channels"):
        TipNetwork(open_tip_graph(tmp_path, channels=4))
