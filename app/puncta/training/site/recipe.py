"""What an experiment with the recipe "tip-site" may say; read without PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from puncta.training.recipes import Recipe

DEFAULTS: dict[str, dict[str, Any]] = {
    "data": {
        "machines": ["A", "B", "C"],
        "procedures": ["breast", "nerve", "infant-lp"],
        "clips": 0,
        "seed": 30_000,
        "tune_clips": 0,
        "frames": 24,
        "datasets": [],
        "site_share": 0.45,
    },
    "model": {"id": "needle-tip-site", "version": "0.0", "widths": [16, 32, 64, 128, 160]},
    "training": {
        "samples": 10_000,
        "batch": 48,
        "length": 4,
        "stages": [],
        "learning_rate": 3e-4,
        "weight_decay": 1e-3,
        "ema": 0.99,
        "warm_up": 0.05,
        "threads": 2,
        "workers": 2,
        "device": "cpu",
        "bfloat16": True,
        "checkpoint_every": 25,
        "augment": True,
        "plain_looks": 0.4,
        "distil": 1.0,
        "keep_statistics": True,
        "mix_back": True,
        "loss_most": 0.005,
    },
    "export": {"tolerance": 1e-3},
}
"""Defaults. ``datasets``: the site's, of which the splits train and tune are used; ``site_share``: share of samples
that come from them; ``seed``: first of the simulated clips; ``distil``: weight of keeping to the answers of the network
that it begins with; ``keep_statistics``: batch norm goes on with the means and variances of that network;
``mix_back``: in the end only as much of the change is kept as the tune split of the other machines bears, which may
lose ``loss_most`` of its usefulness."""

FURTHER = {
    "data": frozenset({"source", "label_set"}), "model": frozenset({"net", "input", "training_data", "recipe"}),
    "training": frozenset[str](), "export": frozenset[str](),
}


def describe(config: Mapping[str, Any]) -> list[str]:
    """Say in words what an experiment trains on; a leg of another kind in its own words."""
    from puncta.training.report_story import describe_data

    if config.get("recipe") != "tip-site":
        return describe_data(config)
    data, parts = config.get("data", {}), []
    if data.get("datasets"):
        parts.append(f"the split train of {', '.join(data['datasets'])}")
    if data.get("clips"):
        parts.append(
            f"{data['clips']:,} simulated cines of machines {', '.join(data.get('machines', ()))}, "
            f"{', '.join(data.get('procedures', ()))}, so that these are not forgotten"
        )
    return parts


RECIPE = Recipe(
    DEFAULTS, FURTHER, ("tip_stream", "tip_ut"), "puncta.training.site.run:adapt_tip",
    described="puncta.training.site.recipe:describe",
    made="every needle but those of the site's own frames is simulated or drawn",
)
