"""Prompts reach their plugin, on their frame, in the inference thread's own step."""

from __future__ import annotations

import pytest
from pipeline_stage import EchoPlugin, NumberedSource, hosted

from puncta.core.errors import UserError
from puncta.core.prompts import BoxPrompt, Prompt
from puncta.pipeline.host import MOST_PROMPTS, PluginHost

BOX = BoxPrompt((1.0, 2.0, 3.0, 4.0))


class Promptly(EchoPlugin):
    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Prompt | int] = []

    def prompt(self, prompt: Prompt) -> None:
        self.calls.append(prompt)

    def step(self, frame, upstream):  # noqa: ANN001, ANN201
        self.calls.append(frame.key.index)
        return super().step(frame, upstream)


@pytest.fixture
def frames():
    source = NumberedSource(10)
    return [source.read() for _ in range(10)]


def test_one_for_the_next_frame_holds_once(frames) -> None:
    plugin = Promptly()
    host = PluginHost([hosted(plugin, prompts=True)])
    host.prompt("echo", BOX)
    for frame in frames[:3]:
        host.step(frame)
    assert plugin.calls == [BOX, 0, 1, 2]


def test_one_for_a_frame_holds_whenever_that_frame_comes_by_until_it_is_taken_back(frames) -> None:
    plugin = Promptly()
    host = PluginHost([hosted(plugin, prompts=True)])
    host.prompt("echo", BOX, 2)
    for index in (1, 2, 3, 2):
        host.step(frames[index])
    assert host.prompted("echo") == (2,)
    host.prompt("echo", None, 2)
    host.step(frames[2])
    assert plugin.calls == [1, BOX, 2, 3, BOX, 2, 2] and host.prompted("echo") == ()


def test_a_plugin_that_takes_none_says_so(frames) -> None:
    host = PluginHost([hosted(EchoPlugin())])
    with pytest.raises(UserError, match="Echo takes no prompts"):
        host.prompt("echo", BOX)
    with pytest.raises(UserError, match="no plugin 'other'"):
        host.prompt("other", BOX)
    assert host.takes_prompts == ()


def test_their_number_is_bounded(frames) -> None:
    host = PluginHost([hosted(Promptly(), prompts=True)])
    for index in range(MOST_PROMPTS + 5):
        host.prompt("echo", BOX, index)
    assert host.prompted("echo") == tuple(range(5, MOST_PROMPTS + 5))
