from __future__ import annotations

import math
from dataclasses import replace

import pytest
from pipeline_stage import EchoPlugin, NumberedSource, hosted

from puncta.core.errors import UserError
from puncta.core.flags import Flag
from puncta.core.results import ClassResult, Detection, Measure, Point
from puncta.pipeline.host import HostedPlugin, PluginHost
from puncta.pipeline.options import PluginOptions
from puncta.sdk.manifest import parse_manifest
from puncta.sdk.plugin import ResetReason, StepResult


@pytest.fixture
def frames():
    source = NumberedSource(20)
    return [source.read() for _ in range(20)]


def test_outputs_carry_the_frame_they_were_computed_from(frames):
    host = PluginHost([hosted(EchoPlugin())])
    analysis = host.step(frames[7])
    assert analysis.frame is frames[7]
    assert analysis.output("echo").results[0].tip_px == (7.0, 2.0)
    assert Flag.UNCALIBRATED in analysis.flags


def test_three_faults_in_a_row_open_the_breaker_and_the_other_plugin_runs_on(frames):
    bad, good = EchoPlugin(fail_on=lambda i: i >= 2), EchoPlugin()
    host = PluginHost([hosted(bad, "bad"), hosted(good, "good")])
    analyses = [host.step(f) for f in frames[:8]]
    assert len(bad.seen) == 5, "stepped on frames 0..4, then switched off"
    assert len(good.seen) == 8
    assert analyses[3].output("bad").fault and Flag.PLUGIN_FAULT in analyses[3].flags
    assert analyses[6].output("bad") is None
    status = host.statuses()[0]
    assert status.breaker_open and "(RuntimeError: planted) and is switched off" in status.message
    host.set_enabled("bad", True)
    assert not host.statuses()[0].breaker_open


def test_a_success_between_faults_keeps_the_plugin_on(frames):
    flaky = EchoPlugin(fail_on=lambda i: i % 3 != 2)
    host = PluginHost([hosted(flaky)])
    for frame in frames:
        host.step(frame)
    assert len(flaky.seen) == 20
    assert not host.statuses()[0].breaker_open


def test_a_plugin_that_cannot_start_is_off_with_its_sentence(frames):
    def create():
        raise UserError("The model file is missing; install it again.")

    host = PluginHost([hosted(EchoPlugin(), "good"), hosted(None, "broken").__class__("broken", "Broken", create)])
    analysis = host.step(frames[0])
    assert analysis.output("good").results
    assert analysis.output("broken").fault == "The model file is missing; install it again."
    assert host.statuses()[1].breaker_open


def test_downstream_sees_the_same_frames_output_and_cannot_change_it(frames):
    seen = []

    class Down(EchoPlugin):
        def step(self, frame, upstream):
            seen.append(upstream["echo"].frame_id)
            with pytest.raises(TypeError):
                upstream["echo"] = None
            return StepResult()

    host = PluginHost([hosted(EchoPlugin()), hosted(Down(), "down", after=("echo",))])
    for frame in frames[:3]:
        host.step(frame)
    assert seen == [f.frame_id for f in frames[:3]]


def test_a_carried_result_keeps_its_own_frame(frames):
    plugin = EchoPlugin()
    host = PluginHost([hosted(plugin, every=3)])
    ids = [host.step(replace(f, frame_id=i)).output("echo").frame_id for i, f in enumerate(frames[:7])]
    assert ids == [0, 0, 0, 3, 3, 3, 6]
    host.reset(ResetReason.SEEK)
    assert host.step(replace(frames[7], frame_id=7)).output("echo").frame_id == 7


@pytest.mark.parametrize(
    "result",
    [
        Detection("needle_tip", (math.nan, 0, 1, 1), (1, 1), 0.5),
        Point("p", (0.0, math.inf), 0.5),
        Detection("needle_tip", None, None, 0.1),
        "not a result",
    ],
)
def test_what_cannot_be_drawn_or_written_counts_as_a_fault(frames, result):
    class Odd(EchoPlugin):
        def step(self, frame, upstream):
            return StepResult((result,))

    host = PluginHost([hosted(Odd())])
    assert Flag.PLUGIN_FAULT in host.step(frames[0]).flags


def test_pixels_are_read_only_for_plugins(frames):
    class Scribbler(EchoPlugin):
        def step(self, frame, upstream):
            frame.pixels[0, 0] = 9
            return StepResult()

    host = PluginHost([hosted(Scribbler())])
    assert Flag.PLUGIN_FAULT in host.step(frames[0]).flags


def test_budget_is_judged_only_live(frames):
    slow = EchoPlugin(delay_s=0.003)
    assert Flag.OVER_BUDGET not in PluginHost([hosted(slow, budget_ms=1.0)]).step(frames[0]).flags
    assert Flag.OVER_BUDGET in PluginHost([hosted(slow, budget_ms=1.0)], live=True).step(frames[0]).flags


def test_unknown_plugin_is_named_with_the_known_ones():
    with pytest.raises(UserError, match="no plugin 'x'.*echo"):
        PluginHost([hosted(EchoPlugin())]).set_enabled("x", True)


def test_a_plugin_switched_on_again_does_not_repeat_what_it_said_before(frames):
    host = PluginHost([hosted(EchoPlugin(), every=3)])
    host.step(replace(frames[0], frame_id=0))
    host.set_enabled("echo", False)
    host.step(replace(frames[1], frame_id=1))
    host.set_enabled("echo", True)
    assert host.step(replace(frames[2], frame_id=2)).output("echo").frame_id == 2


def lp_like(frames, every=2):
    """A host whose plugin speaks of the whole picture, on every n-th frame."""

    class Judge(EchoPlugin):
        def step(self, frame, upstream):
            self.seen.append((frame.epoch, frame.key.index))
            return StepResult((ClassResult("csf", True, 0.9),))

    plugin = Judge()
    return plugin, PluginHost([hosted(plugin, every=every)])


def test_a_carried_result_says_from_which_frame_and_when_it_is_old():
    source = NumberedSource(20, 30.0)
    frames = [source.read() for _ in range(20)]
    plugin, host = lp_like(frames, every=6)
    outputs = [host.step(replace(f, frame_id=i)).output("echo") for i, f in enumerate(frames[:7])]
    assert [i for _, i in plugin.seen] == [0, 6]
    assert [o.frame_key.index for o in outputs] == [0, 0, 0, 0, 0, 0, 6]
    assert [Flag.STALE in o.flags for o in outputs] == [False, False, False, False, True, True, False], (
        "120 ms after its frame it is old"
    )
    assert [o.elapsed_ns > 0 for o in outputs] == [True, False, False, False, False, False, True]


def test_a_held_picture_is_judged_itself(frames):
    plugin, host = lp_like(frames, every=4)
    host.step(replace(frames[0], frame_id=0))
    assert host.step(replace(frames[1], frame_id=1)).output("echo").frame_id == 0
    assert host.step(replace(frames[2], frame_id=2), every=True).output("echo").frame_id == 2
    seen = len(plugin.seen)
    again = host.step(replace(frames[2], frame_id=3), every=True).output("echo")
    assert again.frame_id == 3 and len(plugin.seen) == seen, "the same frame again is not seen twice"


MANIFEST = """
id = "echo"
title = "Echo"
version = "0.1"
api = 1
description = "d"
licence = "l"
author = "a"
[[results]]
type = "class"
label = "csf"
[options.weight_kg]
default = 0.0
title = "Weight"
unit = "kg"
min = 0.0
max = 8.0
card = true
per_case = true
[options.gain]
default = 1.0
"""


class Weighed(EchoPlugin):
    weight = 0.0

    def step(self, frame, upstream):
        self.seen.append((frame.epoch, frame.key.index))
        return StepResult((Measure("weight", self.weight, "kg"),))


class Patient(Weighed):
    def configure(self, options):
        self.weight = options["weight_kg"]


@pytest.mark.parametrize("kind", [Patient, Weighed])
def test_a_changed_option_holds_from_the_next_frame_on(frames, kind):
    options = PluginOptions(parse_manifest(MANIFEST))
    made = []

    def create():
        made.append(kind())
        made[-1].weight = options.values()["weight_kg"]
        return made[-1]

    host = PluginHost([HostedPlugin("echo", "Echo", create, every=3, options=options)])
    assert host.step(frames[0]).output("echo").results[0].value == 0.0
    assert host.set_option("echo", "weight_kg", 4.0)
    assert not host.set_option("echo", "weight_kg", 4.0), "nothing new"
    assert host.step(replace(frames[1], frame_id=1)).output("echo").results[0].value == 4.0
    assert len(made) == (1 if kind is Patient else 2)
    with pytest.raises(UserError, match="at most 8"):
        host.set_option("echo", "weight_kg", 40.0)
    with pytest.raises(UserError, match='did you mean "weight_kg"'):
        host.set_option("echo", "weigth_kg", 4.0)
    offer = host.statuses()[0].options
    assert [(o.name, o.value, o.unit, o.per_case) for o in offer] == [("weight_kg", 4.0, "kg", True)]
    options.forget_case()
    assert options.values() == {"weight_kg": 0.0, "gain": 1.0}


def test_an_option_kept_from_an_older_version_does_not_stand_in_the_way():
    manifest = parse_manifest(MANIFEST)
    assert PluginOptions(manifest, {"gone": 1, "gain": "loud", "weight_kg": 3.0}, lenient=True).values() == {
        "weight_kg": 3.0, "gain": 1.0,
    }
    with pytest.raises(UserError, match="no option"):
        PluginOptions(manifest, {"gone": 1})
