"""Players on numbered frames whose overlay betrays the frame it was computed from."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pipeline_stage import EchoPlugin, NumberedSource, hosted

from puncta.session.player import Player


def wait_for(condition, timeout_s=5.0):
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.002)
    raise AssertionError("the awaited state did not come")


@contextmanager
def players() -> Iterator[Callable[..., Player]]:
    """Make players, and close them at the end."""
    made = []

    def build(source=None, plugin=None, **more):
        sources = {"numbered": source or NumberedSource(200)}
        more.setdefault("opener", lambda uri: sources[uri])
        player = Player(
            plugins=[hosted(plugin or EchoPlugin(), **more.pop("spec", {}))], enabled_plugins=["echo"], **more
        )
        made.append(player)
        return player

    yield build
    for player in made:
        player.close()


def shown(player, analyses=None):
    analysis = player.take()
    if analysis is not None and analyses is not None:
        analyses.append(analysis)
    return analysis


def own_overlay(analysis):
    """The overlay's x betrays the frame it was computed from."""
    return all(
        o.frame_id == analysis.frame.frame_id and o.results[0].tip_px[0] == float(analysis.frame.pixels[0, 0])
        for o in analysis.outputs
    )
