"""A simulation that runs without an end keeps to the wall clock: what it cannot make in time is left out and told."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest

from puncta.core.channels import LatestSlot
from puncta.core.frame import Frame
from puncta.pipeline.hub import Hub
from puncta.pipeline.policy import Delivery, Job
from puncta.sources.simulated import SimulatedSource

SMALL = "sim:breast?seed=1&machine=A&size=96x96&furniture=no"
MS = 1_000_000


class MadeUpClock:
    """Time that passes only when somebody says so."""

    def __init__(self) -> None:
        self.t_ns = 1_000_000_000

    def now_ns(self) -> int:
        return self.t_ns


class WaitlessHub(Hub):
    """Waiting takes made-up time alone."""

    def _wait_until(self, moment_ns: int) -> bool:
        self._clock.t_ns = max(self._clock.t_ns, moment_ns)
        return True


class SlowSource:
    """A simulation whose frames take as long to make as a list says."""

    def __init__(self, uri: str, clock: MadeUpClock, took_ms: Callable[[int], float]) -> None:
        self._inner, self._clock, self._took_ms = SimulatedSource(uri, clock), clock, took_ms
        self.made = 0
        self.info, self.steering, self.let_pass = self._inner.info, self._inner.steering, self._inner.let_pass
        self.keeps_time = self._inner.keeps_time

    def read(self) -> Frame | None:
        self._clock.t_ns += round(self._took_ms(self.made) * MS)
        self.made += 1
        return self._inner.read()

    def seek(self, index: int) -> None:
        self._inner.seek(index)

    def close(self) -> None:
        self._inner.close()


class Played:
    """What a source handed out, turn by turn, in made-up time."""

    def __init__(
        self, uri: str, took_ms: Callable[[int], float], frames: int, delivery: Delivery = Delivery.LIVE
    ) -> None:
        clock = MadeUpClock()
        self.source = SlowSource(uri, clock, took_ms)
        jobs: LatestSlot[Job] = LatestSlot("jobs")
        self.frames: list[Frame] = []

        def take(frame: Frame) -> None:
            self.frames.append(frame)
            jobs.take_nowait()  # whoever analyses is never behind

        self.hub = WaitlessHub(
            lambda: self.source, jobs, LatestSlot("preview"), clock=clock, delivery=delivery, on_frame=take
        )
        self.hub._open()
        while len(self.frames) < frames:
            self.hub._turn()
        self.interval_ms = 1e3 / self.source.info.frame_rate

    @property
    def behind_ms(self) -> np.ndarray:
        """How far the pictures' time has fallen behind the clock since the first one, frame by frame."""
        pts = np.array([frame.key.pts_ns for frame in self.frames])
        came = np.array([frame.t_ns for frame in self.frames])
        return ((came - came[0]) - (pts - pts[0])) / MS

    @property
    def left_out(self) -> int:
        """Numbers that are missing among the frames."""
        return self.frames[-1].key.index - self.frames[0].key.index + 1 - len(self.frames)

    def told(self) -> dict[str, int]:
        return dict(self.hub.status().drops)


def test_a_simulation_in_time_leaves_nothing_out() -> None:
    played = Played(SMALL, lambda _k: 8.0, 60)
    assert played.left_out == 0 and "late" not in played.told()
    assert np.abs(played.behind_ms).max() < 0.001


def test_stalls_do_not_add_up() -> None:
    rng = random.Random(1)
    took = [rng.choice((120.0, 240.0, 474.0)) if rng.random() < 0.05 else rng.uniform(3.0, 30.0) for _ in range(600)]
    played = Played(SMALL, lambda k: took[k], 500)
    assert played.left_out > 20
    assert played.told()["late"] == played.left_out
    assert sum(frame.skipped for frame in played.frames) == played.left_out
    # Late by what was being made when it stalled, and no more than a frame as soon as the next one is begun.
    assert played.behind_ms.max() < 474.0 + played.interval_ms
    calm = [k for k in range(10, 500) if max(took[k - 4 : k + 1]) < 31.0]
    assert played.behind_ms[calm].max() < played.interval_ms
    assert played.behind_ms[calm[-1]] < 1.0 + played.interval_ms


def test_a_computer_that_is_too_slow_for_the_rate_keeps_the_time_and_tells_the_rest() -> None:
    played = Played(SMALL, lambda _k: 52.0, 200)  # 1.3 intervals for each
    assert played.behind_ms.max() < 2.0 * played.interval_ms + 52.0
    assert played.behind_ms[-50:].mean() < 52.0 + played.interval_ms
    assert played.told()["late"] == played.left_out
    assert 0.15 < played.left_out / (played.left_out + 200) < 0.35  # 0.3 of 1.3 intervals
    assert played.source.made <= 200 + 1  # nothing was rendered only to be thrown away


def test_steered_simulations_and_every_frame_delivery_slow_down_and_leave_nothing_out() -> None:
    for uri, delivery in ((SMALL + "&steer=yes&fps=25", Delivery.LIVE), (SMALL, Delivery.EVERY_FRAME)):
        played = Played(uri, lambda k: 300.0 if k == 10 else 5.0, 30, delivery)
        assert played.left_out == 0 and "late" not in played.told()
        assert played.behind_ms[-1] > 200.0


@pytest.mark.parametrize("count", [1, 2, 30])
def test_what_is_left_out_has_happened_all_the_same(count: int) -> None:
    whole, late = SimulatedSource(SMALL), SimulatedSource(SMALL)
    for _ in range(5):
        whole.read(), late.read()
    step_ns = round(1e9 * late.generator.last_dt_s)
    assert late.let_pass(late.generator.t_ns + step_ns // 2) == 0
    assert late.let_pass(late.generator.t_ns + count * step_ns + step_ns // 2) == count
    for _ in range(count):
        whole.read()
    for _ in range(25):
        frame, wanted = late.read(), whole.read()
        assert frame is not None and wanted is not None
        assert (frame.key.index, frame.key.pts_ns) == (wanted.key.index, wanted.key.pts_ns)
        assert late.truth.tip_px == whole.truth.tip_px
        assert late.truth.t_ns == whole.truth.t_ns
    # Persistence and the screen's compression remember a little of what was shown before.
    assert np.abs(frame.pixels.astype(int) - wanted.pixels).mean() < 1.0


def test_a_long_gap_shows_nothing_of_the_picture_before_it() -> None:
    short, long = SimulatedSource(SMALL), SimulatedSource(SMALL)
    for source, count in ((short, 1), (long, 20)):
        for _ in range(5):
            source.read()
        source.let_pass(source.generator.t_ns + count * round(1e9 * source.generator.last_dt_s) + 1)
        assert (source.generator.renderer.previous is None) == (count > 3)
