"""What an experiment with the recipe "tip-site-pre" may say; read without PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from puncta.training.site import recipe as site

DEFAULTS: dict[str, dict[str, Any]] = {
    **site.DEFAULTS,
    "data": {**site.DEFAULTS["data"], "site_share": 0.5, "drawn": 240, "tune_drawn": 36, "bare_share": 0.3},
    "model": {**site.DEFAULTS["model"], "id": "needle-tip-pre"},
}
"""Defaults; those that adapting to labels has too are as in `puncta.training.site.recipe`. ``datasets``: folders of
recordings without a needle, or datasets that Models mode has made of such; ``drawn``, ``tune_drawn``: clips with a
needle drawn into their frames; ``bare_share``: share of the site's samples that are its frames as they are."""


def describe(config: Mapping[str, Any]) -> list[str]:
    """Say in words what an experiment trains on; a leg of another kind in its own words."""
    if config.get("recipe") != "tip-site-pre":
        return site.describe(config)
    data, parts = config.get("data", {}), []
    if data.get("datasets"):
        names = ", ".join(data["datasets"])
        parts.append(f"{data.get('drawn', 0):,} clips with needles drawn into needle-free frames of {names}")
    return parts + site.describe({**config, "recipe": "tip-site", "data": {**data, "datasets": []}})


RECIPE = replace(
    site.RECIPE, defaults=DEFAULTS, train="puncta.training.site.pretrain:pretrain_tip",
    described="puncta.training.site.pretrain_recipe:describe", made="every needle is simulated or drawn",
)
