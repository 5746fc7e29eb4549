"""What an experiment with the recipe "tracker" may say; read without PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from puncta.imaging.motion_history import HISTORY_FRAMES
from puncta.training.recipes import Recipe

DEFAULTS: dict[str, dict[str, Any]] = {
    "data": {
        "machines": ["A", "B", "C"],
        "procedures": ["breast", "nerve", "infant-lp"],
        "clips": 0,
        "tune_clips": 0,
        "frames": 30,
        "datasets": [],
        "backgrounds": [],
        "still_cines": 0,
        "tune_still_cines": 0,
        "composites": 0,
        "composite_seed": 1,
        "tune_empty_stills": 0,
        "steady_cines": 0,
        "tune_steady_cines": 0,
        "dataset_share": 1.0,
        "simulated_share": 1.0,
        "stills_share": 1.0,
        "steady_share": 1.0,
        "empty_share": 0.5,
    },
    "model": {"id": "needle-track", "version": "0.0", "widths": [16, 32, 64, 128, 160], "memory": 48},
    "training": {
        "samples": 10_000,
        "batch": 48,
        "length": 6,
        "stages": [],
        "learning_rate": 1.5e-3,
        "weight_decay": 1e-3,
        "ema": 0.998,
        "warm_up": 0.05,
        "threads": 2,
        "workers": 2,
        "device": "cpu",
        "bfloat16": True,
        "checkpoint_every": 100,
        "augment": True,
        "plain_looks": 0.0,
        "own_share": 0.75,
        "backwards": 0.2,
        "stale_share": 0.0,
        "tip_shows": False,
        "centreline": 0.5,
    },
    "export": {"tolerance": 1e-3},
}
"""Defaults. ``*_share``: weights of the groups of clips; ``composites``: only those without a needle are learnt from,
as needle-free stills; ``own_share``: share of samples in which the network is handed its own last mask;
``backwards``: share of samples that run backwards in time; ``stale_share``: share of spoilt first priors from another
time; ``tip_shows``: a part of the needle that fades is never the one with the tip; ``centreline``: weight of
soft-clDice."""

FURTHER = {
    "data": frozenset({"source", "label_set"}),
    "model": frozenset({"net", "input", "training_data", "recipe"}),
    "training": frozenset(),
    "export": frozenset(),
}


def describe(config: Mapping[str, Any]) -> list[str]:
    """Say in words what an experiment trains on; a leg of the tip network in its own words."""
    from puncta.training.report_story import describe_data

    if config.get("recipe") != "tracker":
        return [f"begun with the weights of {config.get('name', 'another training')}", *describe_data(config)]
    data, parts = config.get("data", {}), []
    if data.get("datasets"):
        parts.append(f"the datasets {', '.join(data['datasets'])} (split train)")
    if data.get("clips"):
        parts.append(
            f"{data['clips']:,} simulated cines of machines {', '.join(data['machines'])}, "
            f"{', '.join(data['procedures'])}"
        )
    if data.get("backgrounds") and data.get("still_cines"):
        parts.append(
            f"{data['still_cines']:,} cines of simulated needles in needle-free stills "
            f"({', '.join(data['backgrounds'])})"
        )
    if data.get("backgrounds") and data.get("steady_cines"):
        parts.append(f"{data['steady_cines']:,} cines of drawn needles at rest in such stills")
    if data.get("backgrounds") and data.get("composites"):
        parts.append(f"the needle-free ones of {data['composites']:,} cines of such stills")
    return parts


def input_of(config: Mapping[str, Any], calibration: Mapping[str, Any]) -> dict[str, Any]:
    """What the plugin has to know to run the network, for its registry entry."""
    return {
        "channels": config["model"]["input"]["channels"],
        "size": [config["model"]["input"]["size"]] * 2,
        "layout": "NCHW",
        "normalisation": "motion channels, standardised per frame; prior 0..1",
        "history": HISTORY_FRAMES,
        "precision": "fp32",
        "calibration": calibration["calibration"],
    }


RECIPE = Recipe(
    DEFAULTS,
    FURTHER,
    ("needle_track",),
    "puncta.training.tracker.run:train_tracker",
    MappingProxyType({"size": 256, "channels": 5}),
    quantise="puncta.training.tracker.quantise:quantise_finished",
    registered="puncta.training.tracker.recipe:input_of",
    described="puncta.training.tracker.recipe:describe",
)
