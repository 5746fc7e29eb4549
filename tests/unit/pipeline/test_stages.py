"""Plugins in parts: three frames are under way at once, and nothing else changes."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace

import pytest
from pipeline_stage import EchoPlugin, NumberedSource, hosted

from puncta.core.flags import Flag
from puncta.core.frame import Frame
from puncta.core.results import PluginOutput
from puncta.pipeline.batch import analyse, frames_of
from puncta.pipeline.host import PluginHost
from puncta.sdk.plugin import ResetReason, StepResult


class PartsPlugin(EchoPlugin):
    """An echo in three parts, each of which counts the frames it has seen since the last reset."""

    def __init__(self, meet: bool = False, **more: object) -> None:
        super().__init__(**more)
        self.counts = [0, 0, 0]
        self.by_part: dict[str, set[str]] = {"prepare": set(), "infer": set(), "finish": set()}
        self.fail_in: dict[str, int] = {}
        self.under_way = self.most_under_way = 0
        self.resets_under_way: list[int] = []
        self.met = threading.Barrier(3, timeout=20) if meet else None
        self._lock = threading.Lock()

    def reset(self, reason: ResetReason) -> None:
        super().reset(reason)
        self.resets_under_way.append(self.under_way)
        self.counts = [0, 0, 0]

    def _part(self, number: int, name: str, index: int) -> None:
        self.by_part[name].add(threading.current_thread().name)
        self.counts[number] += 1
        if self.met is not None and 3 <= index - (2 - number) < 9:
            self.met.wait()
        if self.fail_in.get(name) == index:
            raise RuntimeError("planted")

    def prepare(self, frame: Frame) -> tuple[Frame, int]:
        with self._lock:
            self.under_way += 1
        self._part(0, "prepare", frame.key.index)
        return frame, self.counts[0]

    def infer(self, prepared: tuple[Frame, int]) -> tuple[Frame, int, int]:
        self._part(1, "infer", prepared[0].key.index)
        return *prepared, self.counts[1]

    def finish(
        self, frame: Frame, inferred: tuple[Frame, int, int], upstream: Mapping[str, PluginOutput]
    ) -> StepResult:
        self._part(2, "finish", frame.key.index)
        with self._lock:
            self.under_way -= 1
        assert inferred[0] is frame and inferred[1:] == (self.counts[2], self.counts[2])
        return super().step(frame, upstream)

    def step(self, frame: Frame, upstream: Mapping[str, PluginOutput]) -> StepResult:
        return self.finish(frame, self.infer(self.prepare(frame)), upstream)


def run(plugin: EchoPlugin, frames: Iterator[Frame], **more: object):
    host = PluginHost([hosted(plugin, **more)])
    with analyse(frames, host, hashed=False) as analyses:
        return list(analyses)


def test_every_part_gets_every_frame_once_in_order_in_a_thread_of_its_own() -> None:
    plugin = PartsPlugin()
    out = run(plugin, frames_of(NumberedSource(60)))
    assert [a.output("echo").results[0].tip_px[0] for a in out] == [float(i) for i in range(60)]
    assert plugin.counts == [60, 60, 60] and [index for _, index in plugin.seen] == list(range(60))
    # The first frame, on which the plugin is created, is stepped on as a whole.
    apart = [names - {"puncta-inference"} for names in plugin.by_part.values()]
    assert apart == [{"puncta-prepare"}, {"puncta-infer"}, set()]


def test_three_frames_are_under_way_at_once() -> None:
    # For six frames each part waits for the other two, which are at the next frames: alone none goes on.
    plugin = PartsPlugin(meet=True)
    out = run(plugin, frames_of(NumberedSource(30)))
    assert len(out) == 30 and not any(a.flags & {Flag.PLUGIN_FAULT} for a in out)


@pytest.mark.parametrize("part", ["prepare", "infer", "finish"])
def test_a_failure_of_a_part_costs_its_frame_alone(part: str) -> None:
    class Forgiving(PartsPlugin):
        def finish(self, frame: Frame, inferred: object, upstream: Mapping[str, PluginOutput]) -> StepResult:
            self._part(2, "finish", frame.key.index)
            return EchoPlugin.step(self, frame, upstream)

    plugin = Forgiving()
    plugin.fail_in = {part: 7}
    out = run(plugin, frames_of(NumberedSource(20)))
    faulty = [a.frame.key.index for a in out if Flag.PLUGIN_FAULT in a.output("echo").flags]
    assert faulty == [7] and "planted" in out[7].output("echo").fault
    assert [a.output("echo").results[0].tip_px[0] for a in out if a.frame.key.index != 7] == [
        float(i) for i in range(20) if i != 7
    ]


def test_a_lost_source_resets_with_no_frame_under_way() -> None:
    plugin = PartsPlugin()
    frames = (replace(f, epoch=f.key.index // 10) for f in frames_of(NumberedSource(35)))
    out = run(plugin, frames)
    assert [a.frame.key.index for a in out] == list(range(35))
    # Once as it is created, which is when the first frame comes, then at each gap.
    assert plugin.resets == [ResetReason.OPENED] + [ResetReason.GAP] * 3
    assert plugin.resets_under_way == [0] * 4 and plugin.counts == [5, 5, 5]


def test_a_plugin_that_does_not_run_on_every_frame_is_stepped_as_a_whole() -> None:
    plugin = PartsPlugin()
    out = run(plugin, frames_of(NumberedSource(12)), every=3)
    assert [index for _, index in plugin.seen] == [0, 3, 6, 9] and len(out) == 12
    assert all(names == {"puncta-inference"} for names in plugin.by_part.values())


def test_the_time_told_is_that_of_all_parts() -> None:
    class Slow(PartsPlugin):
        def prepare(self, frame: Frame) -> tuple[Frame, int]:
            threading.Event().wait(0.02)
            return super().prepare(frame)

    out = run(Slow(), frames_of(NumberedSource(4)))
    assert all(a.output("echo").elapsed_ns >= 20_000_000 for a in out)


def test_stopping_early_leaves_no_thread_and_a_broken_file_gives_what_came_before() -> None:
    host = PluginHost([hosted(PartsPlugin())])
    with analyse(frames_of(NumberedSource(1000)), host) as analyses:
        for _ in range(3):
            next(analyses)
    assert not [t for t in threading.enumerate() if t.name.startswith("puncta-")]
    got: list[int] = []
    with pytest.raises(Exception, match="breaks off at frame 7"):
        host = PluginHost([hosted(PartsPlugin())])
        with analyse(frames_of(NumberedSource(50, fail_at=7)), host) as analyses:
            got.extend(a.frame.key.index for a in analyses)
    assert got == list(range(7))
