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
    request = parse_simulation("sim:nerve?needle=no&frames=7&furniture=0&size=200x200&start=inside")
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
        SimulatedSource("sim:heart?seed=1")


STEERED = "sim:vessel?seed=3&size=128x96&steer=yes"


def test_a_steered_address_keeps_every_wish() -> None:
    request = parse_simulation(
        "sim:infant-lp?seed=2&view=transverse&weight=3.5&level=l4/l5&condition=clear&approach=out-of-plane&fps=40&steer=yes"
    )
    assert request.steer and request.fps == 40.0 and request.approach == "out-of-plane"
    assert request.options.given() == {
        "view": "transverse", "weight_kg": 3.5, "level": "L4-L5", "condition": "clear",
    }
    assert parse_simulation(request.uri) == request
    assert parse_simulation("sim:breast?lesion=cyst").options.lesion == "cyst"


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("sim:vesel", "nearest is vessel"), ("sim:vessel?sede=1", "nearest is seed"),
        ("sim:vessel?machine=AA", "nearest is A"), ("sim:vessel?view=longaxis", "nearest is long-axis"),
        ("sim:breast?lesion=benin", "nearest is benign"), ("sim:vessel?approach=inplane", "nearest is in-plane"),
        ("sim:vessel?fps=900", "5 to 60"), ("sim:infant-lp?weight=heavy", "from 2 to 8 [kg]"),
        ("sim:infant-lp?weight=nan", "from 2 to 8 [kg]"), ("sim:infant-lp?weight=9", "give 2 to 8 kg"),
        ("sim:vessel?size=640", "write them as 640x480"), ("sim:vessel?size=600*400", "write them as 600x400"),
        ("sim:vessel?size=10x9999", "from 64 to 2048"), ("sim:vessel?needle=maybe", "needle=any to leave it to the"),
         ("sim:vessel?weight=3", "does not apply"),
        ("sim:vessel?steer=2", "steer=yes"),
        ("sim:vessel?seed=1&seed=2", "twice"), ("sim:vessel?steer=yes&frames=9", "leave frames= out"),
        ("sim:vessel?steer=yes&needle=no", "leave needle= out"), ("sim:vessel?steer=yes&start=any", "leave start= out"),
    ],
)
def test_a_wrong_address_is_answered_in_one_sentence(uri: str, words: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_simulation(uri)
    assert words in str(caught.value)
    assert str(caught.value).count(". ") == 0


def test_a_steered_simulation_does_what_hands_say_and_tells_where_they_are() -> None:
    from puncta.sim.controls import Controls

    source = SimulatedSource(STEERED + "&fps=40")
    steering = source.steering
    assert steering is not None and not source.info.seekable
    assert source.info.interval_ns == 25_000_000
    first = source.read()
    assert first is not None
    before = steering.view(first.key.index)
    assert before is not None and before.needle is not None and before.needle.way_mm < 0
    assert before.attempt.seconds is None and before.target.from_tip_mm is None
    for _ in range(12):
        steering.steer(Controls(advance_mm=1.0))
        frame = source.read()
    assert frame is not None
    after = steering.view(frame.key.index)
    assert after is not None and after.needle is not None
    assert after.needle.way_mm > 0 and after.needle.tip_px is not None
    assert after.attempt.seconds is not None and after.attempt.events[0].kind == "contact"
    assert after.tissue is not None and after.target.from_tip_mm is not None
    assert steering.view(before.index) == before  # what was said about a frame stays
    assert source.info.stream == frame.key.stream


def test_moves_of_a_session_repeat_it_to_the_byte(tmp_path) -> None:
    from puncta.formats.moves import read_moves
    from puncta.sim.controls import Controls
    from puncta.sim.moves import controls_of
    from puncta.sources.moves import request_of_script, save_moves

    source = SimulatedSource(STEERED + "&fps=30")
    assert source.steering is not None
    shown = []
    for k in range(20):
        source.steering.hold(Controls(sweep_mm=3.3, advance_mm=31.7) if k < 12 else Controls(tilt_deg=-7.7))
        source.steering.steer(Controls(angle_deg=1.0 / (k + 3), done=k == 18))
        frame = source.read()
        assert frame is not None
        shown.append(frame.pixels)
    save_moves(tmp_path / "moves.toml", source.request, source.steering.moves())
    script = read_moves(tmp_path / "moves.toml")
    request = request_of_script(script)
    assert request == source.request
    generator = request.open_generator()
    for pixels, controls in zip(shown, controls_of(script, [k * 33_333_333 for k in range(20)]), strict=True):
        assert np.array_equal(generator.next_frame(controls)[0], pixels)


class _SlowClock:
    """Every look at it costs some milliseconds, so that rendering seems slow."""

    def __init__(self, step_ms: float) -> None:
        self.step_ns, self.t_ns = round(step_ms * 1e6), 0

    def now_ns(self) -> int:
        self.t_ns += self.step_ns
        return self.t_ns


@pytest.mark.parametrize(("step_ms", "rate"), [(1.0, 50.0), (14.0, 40.0), (19.0, 30.0), (99.0, 20.0)])
def test_the_rate_is_the_highest_that_the_computer_keeps(step_ms: float, rate: float) -> None:
    source = SimulatedSource(STEERED, _SlowClock(step_ms))
    assert source.request.fps == rate
    assert source.info.uri.endswith(f"fps={rate:g}&steer=yes")
    frame = source.read()
    assert frame is not None and source.steering is not None
    assert source.steering.view(frame.key.index) is not None
    assert len(source.steering.moves()) == frame.key.index + 1  # frames rendered for measuring are in the script too
