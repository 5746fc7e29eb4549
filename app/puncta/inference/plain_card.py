"""A model card in plain words, written from what the registry says, for a model that nobody has described yet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def card_of_entry(entry: Mapping[str, Any]) -> str:
    """Return Markdown for a registry's entry: what it is, what it learnt from, how it did while it was made.

    Parameters
    ----------
    entry : mapping
        One `[[models]]` table.
    """
    size = entry["input"]["size"]
    simulated = (
        "**Everything it learnt from is simulated or drawn.**"
        if entry["simulated"]
        else "It learnt from recordings too; what they were stands below."
    )
    rows = [
        ("Plugin", f"`{entry['plugin']}`"),
        ("Input", f"{entry['input']['channels']} x {size[0]} x {size[1]}, {entry['input']['normalisation']}"),
        ("Output", ", ".join(f"`{name}`" for name in entry["outputs"])),
        ("File", f"`{entry['file']}`, SHA-256 `{entry['sha256']}`"),
        ("Licence", entry["licence"]),
        ("Made by", entry.get("recipe") or "not told"),
    ]
    figures = sorted((k, v) for k, v in entry["metrics"].items() if isinstance(v, int | float))
    tuned = [f"| {name.removeprefix('tune_').replace('_', ' ')} | {value:g} |" for name, value in figures]
    lines = [
        f"# {entry['id']} {entry['version']}", "",
        f"A model for the plugin `{entry['plugin']}`. Simulation and training only, not for clinical use. {simulated}",
        "", "| | |", "| --- | --- |", *(f"| {name} | {words} |" for name, words in rows), "",
        "## Data", "", f"{entry['training_data'].rstrip('.')}.", "",
        "## Figures while it was made", "",
    ]
    lines += (
        ["Of the data that thresholds were chosen on, so kinder than those of new subjects.", "",
         "| figure | value |", "| --- | --- |", *tuned]
        if tuned
        else ["None were kept."]
    )
    lines += [
        "", "## Where it fails", "",
        "Not examined yet. Compare it on subjects it has never seen before it is used: "
        f"`puncta evaluate {entry['plugin']} --data DIR --model {entry['id']}@{entry['version']} --against OLD`.", "",
    ]
    return "\n".join(lines)
