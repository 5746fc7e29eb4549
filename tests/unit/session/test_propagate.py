"""From one frame on, forwards and backwards."""

from __future__ import annotations

import pytest
from pipeline_stage import EchoPlugin, NumberedSource, hosted

from puncta.core.errors import UserError
from puncta.core.prompts import Prompt, ScribblePrompt
from puncta.pipeline.host import PluginHost
from puncta.session.propagate import CHUNK_FRAMES, frames_between, propagate

SCRIBBLE = ScribblePrompt(((1.0, 2.0), (3.0, 4.0)))


class Promptly(EchoPlugin):
    """Remembers which frame came with a prompt."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[int, Prompt]] = []
        self._pending: Prompt | None = None

    def prompt(self, prompt: Prompt) -> None:
        self._pending = prompt

    def step(self, frame, upstream):  # noqa: ANN001, ANN201
        if self._pending is not None:
            self.asked.append((frame.key.index, self._pending))
            self._pending = None
        return super().step(frame, upstream)


def host_of(plugin: EchoPlugin, history: int = 5) -> PluginHost:
    return PluginHost([hosted(plugin, prompts=True, history_frames=history)])


@pytest.mark.parametrize(
    ("first", "last"), [(3, 50), (50, 3), (7, 7), (59, 0), (CHUNK_FRAMES, 0), (CHUNK_FRAMES - 1, 0)]
)
def test_frames_come_once_each_in_the_order_of_the_way(first: int, last: int) -> None:
    step = 1 if last >= first else -1
    indices = [f.key.index for f in frames_between(NumberedSource(60), first, last)]
    assert indices == list(range(first, last + step, step))


@pytest.mark.parametrize(("start", "end", "stepped"), [(20, 30, range(15, 31)), (20, 10, range(25, 9, -1)),
                                                       (2, 4, range(5)), (58, 55, range(59, 54, -1))])
def test_the_prompt_holds_for_its_frame_and_history_comes_before_it(start: int, end: int, stepped: range) -> None:
    plugin = Promptly()
    analyses = list(propagate(NumberedSource(60), host_of(plugin), "echo", start=start, end=end, prompt=SCRIBBLE))
    assert [index for _epoch, index in plugin.seen] == list(stepped)
    assert plugin.asked == [(start, SCRIBBLE)]
    assert [a.frame.key.index for a in analyses] == [i for i in stepped if (i - start) * (end - start) >= 0]
    assert all(a.outputs[0].results[0].tip_px == (a.frame.key.index, 2.0) for a in analyses)


def test_a_second_way_is_not_told_what_the_first_was() -> None:
    plugin = Promptly()
    host = host_of(plugin)
    list(propagate(NumberedSource(60), host, "echo", start=20, end=25, prompt=SCRIBBLE))
    list(propagate(NumberedSource(60), host, "echo", start=20, end=25))
    assert len(plugin.asked) == 1 and host.prompted("echo") == ()


def test_what_cannot_be_done_is_said() -> None:
    with pytest.raises(UserError, match="frame 60 is not among them"):
        list(propagate(NumberedSource(60), host_of(Promptly()), "echo", start=10, end=60))
    with pytest.raises(UserError, match="takes no prompts"):
        host = PluginHost([hosted(EchoPlugin())])
        list(propagate(NumberedSource(60), host, "echo", start=10, end=20, prompt=SCRIBBLE))
