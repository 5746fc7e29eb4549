"""What an experiment with the recipe "tracker-site" may say: what the tracker's says, and how it keeps to the old."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from puncta.training.tracker import recipe as tracker

DEFAULTS: dict[str, dict[str, Any]] = {
    **tracker.DEFAULTS,
    "training": {**tracker.DEFAULTS["training"], "keep_statistics": True, "mix_back": True, "loss_most": 0.005},
}
"""Defaults; those that the tracker's training does not have are as in `puncta.training.site.recipe`."""


def describe(config: Mapping[str, Any]) -> list[str]:
    """Say in words what an experiment trains on."""
    return tracker.describe({**config, "recipe": "tracker"} if config.get("recipe") == "tracker-site" else config)


RECIPE = replace(
    tracker.RECIPE, defaults=DEFAULTS, train="puncta.training.site.tracker_run:adapt_tracker", quantise=None,
    described="puncta.training.site.tracker_recipe:describe",
    made="every needle but those of the site's own frames is simulated or drawn",
)
