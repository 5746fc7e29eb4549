"""The simulator behind the source port."""

from __future__ import annotations

import numpy as np
import pytest

from puncta.core.errors import UserError
from puncta.core.frame import CalibrationOrigin, SourceKind
from puncta.core.ports import FrameSource
from puncta.sources.simulated import SimulatedSource, parse_simulation

SMALL = "sim:breast?seed=4&machine=B&size=128x96"


def test_it_is_a_source_that_says_it_is_simulated() -> None:
    source = SimulatedSource(SMALL)
    assert isinstance(source, FrameSource)
    info = source.info
    assert info.simulated and info.kind is SourceKind.SIMULATED
    assert info.frame_count is None and not info.seekable
    frame = source.read()
    assert frame is not None
    assert frame.pixels.shape == (96, 128)
    assert not frame.pixels.flags.writeable
    assert frame.source.simulated
    calibration = frame.geometry.calibration
    assert calibration is not None and calibration.origin is CalibrationOrigin.SIMULATED
    assert source.truth is not None and source.truth.index == 0
    assert source.truth.region == frame.geometry.region.box
    assert frame.key.index == 0 and frame.key.pts_ns == 0
    source.close()
    source.close()
    assert source.read() is None


def test_two_sources_of_one_address_give_the_same_keys_and_bytes() -> None:
    first, second = SimulatedSource(SMALL), SimulatedSource(SMALL)
    for _ in range(3):
        a, b = first.read(), second.read()
        assert a is not None and b is not None
        assert a.hashed_key() == b.hashed_key()


def test_a_counted_simulation_ends_and_can_be_sought() -> None:
    source = SimulatedSource(SMALL + "&frames=5")
    frames = []
    while (frame := source.read()) is not None:
        frames.append(frame)
    assert len(frames) == 5
    times = source.info.times_ns
    assert times is not None and [f.key.pts_ns for f in frames] == times.tolist()
    source.seek(2)
    again = source.read()
    assert again is not None and again.key.index == 2
    assert np.array_equal(again.pixels, frames[2].pixels)
    with pytest.raises(UserError, match="does not exist"):
        source.seek(5)


def test_an_endless_simulation_refuses_to_seek() -> None:
    with pytest.raises(UserError, match="frames=N"):
        SimulatedSource(SMALL).seek(3)


def test_the_stream_name_tells_every_choice() -> None:
    request = parse_simulation("sim:nerve?needle=no&frames=7&furniture=0&size=200&start=inside")
    assert request.size_px == (200, 200)
    assert request.needle is False and not request.furniture
    assert parse_simulation(request.uri) == request


@pytest.mark.parametrize(
    "uri",
    [
        "sim:breast?speed=3", "sim:breast?seed=-1", "sim:breast?seed=x", "sim:breast?size=10x10",
        "sim:breast?machine=Q",
        "sim:breast?needle=perhaps", "sim:breast?frames=0", "sim:breast?start=never", "breast",
    ],
)
def test_bad_addresses_are_refused(uri: str) -> None:
    with pytest.raises(UserError):
        parse_simulation(uri)


def test_an_unknown_procedure_names_those_that_exist() -> None:
    with pytest.raises(UserError, match="breast, nerve, vessel"):
        SimulatedSource("sim:infant-lp?seed=1")
