"""A plugin takes another model while pictures go on: none is lost, none shows what the old one found."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from pipeline_stage import EchoPlugin, NumberedSource

from puncta.core.errors import UserError
from puncta.core.events import PlayState
from puncta.core.frame import SourceKind
from puncta.core.results import Analysis
from puncta.pipeline.host import HostedPlugin
from puncta.sdk.plugin import ResetReason
from puncta.session.model_switch import ModelSwitch
from puncta.session.player import Player, Presentation


def wait_for(condition: Callable, timeout_s: float = 20.0):  # noqa: ANN201
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.002)
    raise AssertionError("the awaited state did not come")


class Shelf:
    """Models that a plugin may be rebuilt with; `use` is the one in use."""

    def __init__(self, plugin_id: str = "echo", **spec: object) -> None:
        self.plugin_id, self.spec = plugin_id, spec
        self.use = "a"
        self.made: list[tuple[str, EchoPlugin]] = []
        self.loading: threading.Event | None = None
        self.damaged: set[str] = set()

    def hosted(self) -> HostedPlugin:
        model = self.use

        def create() -> EchoPlugin:
            if self.loading is not None:
                self.loading.wait(20)
            if model in self.damaged:
                raise UserError(f"The file {model}.onnx does not match its recorded hash.")
            plugin = EchoPlugin()
            self.made.append((model, plugin))
            return plugin

        return HostedPlugin(
            self.plugin_id, self.plugin_id.title(), create, lambda: (f"tip {model}", model * 64),
            rebuild=self.hosted, **self.spec,
        )


class Stream(NumberedSource):
    """A stream that cannot be sought."""

    def __init__(self) -> None:
        super().__init__(100_000, interval_ms=5.0)
        self.full = self.info
        self.info = replace(self.info, kind=SourceKind.SIMULATED, frame_count=None, times_ns=None)

    def read(self):  # noqa: ANN201
        live, self.info = self.info, self.full
        try:
            return super().read()
        finally:
            self.info = live


@pytest.fixture
def make():  # noqa: ANN201
    players: list[Player] = []

    def build(*shelves: Shelf, source: NumberedSource | None = None, **more: object) -> Player:
        source = source or NumberedSource(100_000, interval_ms=5.0)
        player = Player(
            plugins=[s.hosted() for s in shelves], enabled_plugins=[s.plugin_id for s in shelves],
            opener=lambda _uri: source, **more,
        )
        players.append(player)
        return player

    yield build
    for player in players:
        player.close()


def ended(player: Player) -> ModelSwitch:
    (switch,) = wait_for(player.take_switches)
    return switch


def models_of(analysis: Analysis) -> set[str]:
    return {o.model_sha256[:1] for o in analysis.outputs}


def model_by(plugin: str, analysis: Analysis) -> str:
    """The model of a plugin's answer; empty where inference stalls and the picture comes bare."""
    output = analysis.output(plugin)
    return output.model if output is not None else ""


@pytest.mark.parametrize("presentation", list(Presentation))
def test_later_pictures_carry_the_new_model_and_none_the_old(make, presentation: Presentation) -> None:  # noqa: ANN001
    shelf = Shelf()
    player = make(shelf, presentation=presentation)
    player.open("numbered")
    wait_for(lambda: (a := player.take()) is not None and models_of(a) == {"a"})
    shelf.use, shelf.loading = "b", threading.Event()
    player.reload_plugin("echo")
    before = player.status().analysed
    wait_for(lambda: player.status().analysed > before + 5)
    assert player.take_switches() == (), "pictures go on with the old model while the new one loads"
    shelf.loading.set()
    switch = ended(player)
    assert (switch.made, switch.model, switch.sha256, switch.plugin) == (True, "tip b", "b" * 64, "echo")
    seen: list[Analysis] = []
    wait_for(lambda: (a := player.take()) is not None and (seen.append(a) or len(seen) >= 30))
    said = [models_of(a) for a in seen]
    assert {"a"} not in said, "no picture after the switch shows what the old model found"
    assert {"b"} in said
    assert all(o.frame_id == a.frame.frame_id for a in seen for o in a.outputs if presentation == "coherent")
    (_, old), (_, new) = shelf.made
    assert old.closed and not new.closed
    assert new.resets == [ResetReason.MODEL_CHANGED]
    assert player.status().plugins[0].model == "tip b"


def test_other_plugins_keep_their_memory_while_it_plays(make) -> None:  # noqa: ANN001
    first, second = Shelf("first"), Shelf("second")
    player = make(first, second)
    player.open("numbered")
    wait_for(lambda: player.status().analysed > 3)
    (_, other), = second.made
    first.use = "b"
    player.reload_plugin("first")
    assert ended(player).made
    wait_for(lambda: (a := player.take()) is not None and model_by("first", a) == "tip b")
    assert other.resets == [ResetReason.OPENED] * len(other.resets), "it was never told to forget"
    steps = [index for _, index in other.seen]
    assert steps == sorted(steps), other.seen


def test_a_seek_that_a_switch_passes_over_still_resets_everyone(make) -> None:  # noqa: ANN001
    first, second = Shelf("first"), Shelf("second")
    player = make(first, second, source=NumberedSource(500, interval_ms=5.0))
    player.open("numbered")
    wait_for(lambda: player.status().analysed > 3)
    (_, other), = second.made
    other.gate = threading.Event()
    wait_for(lambda: (seen := len(other.seen), time.sleep(0.1), len(other.seen))[2] == seen)  # held on an older frame
    first.use = "b"
    player.seek(200)
    wait_for(lambda: player.status().index > 200)  # handed out, while the inference is busy with an older frame
    player.reload_plugin("first")
    assert ended(player).made
    other.gate.set()
    wait_for(lambda: (a := player.take()) is not None and model_by("first", a) == "tip b")
    assert ResetReason.SEEK in other.resets


def test_a_held_picture_is_judged_again_with_the_frames_before_it(make) -> None:  # noqa: ANN001
    shelf, other = Shelf(history_frames=4), Shelf("other")
    player = make(shelf, other, source=NumberedSource(100))
    player.open("numbered", paused=True, start_index=50)
    wait_for(lambda: (a := player.take()) is not None and a.frame.key.index == 50)
    shelf.use = "b"
    player.reload_plugin("echo")
    assert ended(player).made
    analysis = wait_for(player.take)
    assert analysis.frame.key.index == 50 and analysis.output("echo").model_sha256 == "b" * 64
    assert [index for _, index in shelf.made[-1][1].seen] == [46, 47, 48, 49, 50]
    assert other.made[0][1].resets[-1] is ResetReason.SEEK, "it sees frames again, so it begins anew"
    assert player.status().state is PlayState.PAUSED


def test_a_held_stream_is_judged_again(make) -> None:  # noqa: ANN001
    shelf = Shelf()
    player = make(shelf, source=Stream())
    player.open("stream")
    wait_for(lambda: player.status().analysed > 3)
    player.pause()
    wait_for(lambda: player.status().state is PlayState.PAUSED)
    time.sleep(0.05)
    held = wait_for(player.take)
    shelf.use = "b"
    player.reload_plugin("echo")
    assert ended(player).made
    analysis = wait_for(player.take)
    assert analysis.frame.key.index == held.frame.key.index and models_of(analysis) == {"b"}


def test_a_damaged_model_leaves_the_old_one_running_and_says_so(make) -> None:  # noqa: ANN001
    shelf = Shelf()
    player = make(shelf)
    player.open("numbered")
    wait_for(lambda: player.status().analysed > 3)
    shelf.use = "b"
    shelf.damaged.add("b")
    epoch = wait_for(player.take).frame.epoch
    player.reload_plugin("echo")
    switch = ended(player)
    assert not switch.made and switch.model == "tip a"
    assert switch.message == 'Echo goes on with "tip a". The file b.onnx does not match its recorded hash.'
    analysis = wait_for(player.take)
    assert models_of(analysis) == {"a"} and analysis.frame.epoch == epoch
    assert not shelf.made[0][1].closed
    player.open("numbered")
    assert models_of(wait_for(player.take)) == {"a"}, "the next source has the model that can be loaded"


def test_a_plugin_that_could_not_start_comes_right_with_a_sound_model(make) -> None:  # noqa: ANN001
    shelf = Shelf()
    shelf.damaged.add("a")
    player = make(shelf)
    player.open("numbered")
    wait_for(lambda: player.status().plugins[0].breaker_open)
    shelf.use = "b"
    player.reload_plugin("echo")
    assert ended(player).made
    wait_for(lambda: (a := player.take()) is not None and models_of(a) == {"b"})
    status = player.status().plugins[0]
    assert not status.breaker_open and status.message == ""


def test_the_newest_of_two_quick_switches_wins(make) -> None:  # noqa: ANN001
    shelf = Shelf()
    player = make(shelf)
    player.open("numbered")
    wait_for(lambda: player.status().analysed > 3)
    shelf.loading = threading.Event()
    for model in "bc":
        shelf.use = model
        player.reload_plugin("echo")
    shelf.loading.set()
    assert ended(player).model == "tip c"
    wait_for(lambda: (a := player.take()) is not None and models_of(a) == {"c"})
    wait_for(lambda: all(p.closed for model, p in shelf.made if model != "c"))
    time.sleep(0.05)
    assert player.take_switches() == ()


def test_a_switch_without_a_source_holds_for_the_next(make) -> None:  # noqa: ANN001
    shelf = Shelf()
    player = make(shelf)
    shelf.use = "b"
    player.reload_plugin("echo")
    assert ended(player).model == "tip b"
    assert shelf.made[0][1].closed, "it could be loaded, and nothing plays yet"
    player.open("numbered")
    assert models_of(wait_for(player.take)) == {"b"}


def test_closing_while_a_model_loads_leaves_nothing_open(make) -> None:  # noqa: ANN001
    shelf = Shelf()
    player = make(shelf)
    player.open("numbered")
    wait_for(lambda: player.status().analysed > 3)
    shelf.use, shelf.loading = "b", threading.Event()
    player.reload_plugin("echo")
    threading.Timer(0.05, shelf.loading.set).start()
    player.close()
    assert [model for model, _ in shelf.made] == ["a", "b"] and all(p.closed for _, p in shelf.made)


def test_an_unknown_plugin_is_one_sentence(make) -> None:  # noqa: ANN001
    with pytest.raises(UserError, match='no plugin "nope" here; there are: echo'):
        make(Shelf()).reload_plugin("nope")


def test_the_timeline_forgets_what_the_old_model_found(make) -> None:  # noqa: ANN001
    shelf = Shelf(emits=("detection",))
    player = make(shelf, source=NumberedSource(100, interval_ms=5.0))
    player.open("numbered")
    wait_for(lambda: player.status().state is PlayState.ENDED and "tip" in player.track())
    shelf.use = "b"
    player.reload_plugin("echo")
    assert ended(player).made
    wait_for(lambda: (a := player.take()) is not None and models_of(a) == {"b"})
    wait_for(lambda: "tip" in player.track())
    judged = np.flatnonzero(~np.isnan(player.track()["tip"]))
    assert judged.tolist() == [99], "only the frame that is held is judged anew"
