"""What an experiment with ``recipe = "landmarks"`` may say, and which functions train it; read without PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from puncta.training.recipes import Recipe

DEFAULTS: dict[str, dict[str, Any]] = {
    "data": {
        "machines": ["A", "B", "C"],
        "clips": 0,
        "frames": 3,
        "gap": 6,
        "seed": 40_000,
        "tune_clips": 0,
        "tune_seed": 720_000,
        "datasets": [],
        "dataset_splits": ["train"],
        "dataset_share": None,
        "other_procedures": ["breast", "nerve", "vessel"],
        "others": 0,
        "tune_others": 0,
        "backgrounds": [],
        "cines": 0,
        "cine_frames": 100,
        "other_share": 0.08,
        "still_share": 0.1,
        "cord_share": 0.3,
    },
    "model": {"id": "lp", "version": "0.0", "widths": [16, 32, 64, 112, 160], "head": 96},
    "training": {
        "samples": 10_000,
        "batch": 32,
        "stages": [],
        "learning_rate": 2e-3,
        "weight_decay": 1e-2,
        "ema": 0.998,
        "warm_up": 0.05,
        "threads": 2,
        "workers": 2,
        "device": "cpu",
        "bfloat16": True,
        "checkpoint_every": 100,
        "augment": True,
        "crop": 0.8,
        "turn_deg": 15.0,
        "plain_looks": 0.35,
        "restyle": 0.25,
        "broken": 0.07,
        "magnified": 0.0,
        "map_weight": 0.1,
        "learns": "all",
        "rank": 4,
    },
    "export": {"tolerance": 1e-3},
}
FURTHER = {
    "data": frozenset({"source", "label_set"}), "model": frozenset({"net", "input", "training_data", "recipe"}),
    "training": frozenset[str](), "export": frozenset[str](),
}
NETS = ("lp_small",)


def describe(config: Mapping[str, Any]) -> list[str]:
    """Say in words what an experiment trains on."""
    data = config.get("data", {})
    machines = ", ".join(data.get("machines", ()))
    parts = []
    if data.get("clips"):
        parts.append(f"{data['clips']:,} simulated infant spines of machines {machines}, "
                     f"{data.get('frames', 1)} frames each, with flags by the simulator's rules")
    if data.get("datasets"):
        parts.append(f"the datasets {', '.join(data['datasets'])}")
    if data.get("others"):
        parts.append(f"as pictures of no spine {data['others']:,} simulated ones of "
                     f"{', '.join(data.get('other_procedures', ()))}, and made phantoms and screens")
    if data.get("backgrounds"):
        parts.append(f"needle-free stills of nerves ({', '.join(data['backgrounds'])}, half by hash) as pictures of no "
                     "spine and for tones and grain")
    return parts


def registered(config: Mapping[str, Any], calibration: Mapping[str, Any]) -> dict[str, Any]:
    """Return the table ``input`` of the registry entry."""
    size = config["model"]["input"]["size"]
    return {
        "channels": 1,
        "size": [size, size],
        "layout": "NCHW",
        "normalisation": "grey 0..1 of the region stretched to the square; the rest is inside the graph",
        "history": 1,
        "precision": "fp32",
        "stride": 8,
        "filter": calibration["filter"],
        "calibration": calibration["calibration"],
    }


RECIPE = Recipe(
    DEFAULTS, FURTHER, NETS, "puncta.training.landmarks.run:train_landmarks", {"size": 224, "channels": 1},
    quantise="puncta.training.landmarks.quantise:quantise_finished",
    pictures="puncta.training.landmarks.pictures:picture_finished",
    registered="puncta.training.landmarks.recipe:registered", described="puncta.training.landmarks.recipe:describe",
    made="every infant's spine is simulated",
)
