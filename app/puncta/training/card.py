"""The card of a model that somebody has trained here: what it is, what it learnt from, and what was found about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from puncta.formats.progress import say_time
from puncta.formats.tune_words import name_figure, value_of

_SHOWN = 40
"""Figures a card shows at most."""


def card_of(entry: Mapping[str, Any], head: Mapping[str, Any], calibration: Mapping[str, Any]) -> str:
    """Write the Markdown card of a registry entry.

    Parameters
    ----------
    entry, head, calibration : mapping
        Of the registry, `training.json` and `calibration.json`.
    """
    config, took = head["config"], say_time(float(head.get("elapsed_s", 0.0)))
    lines = [
        f"# {entry['id']} {entry['version']}",
        "",
        f"{config.get('title', config['name'])}. For the plugin `{entry['plugin']}`. Simulation and training only, not "
        "for clinical use.",
        "",
        "This card was written by the training itself, before anybody had looked at the model: compare it with the "
        "one in use on held-out subjects before it is promoted.",
        "",
        "| | |",
        "| --- | --- |",
        f"| Made by | `{entry['recipe']}`, {took} on {head.get('device', 'a CPU')} |",
        f"| Learnt from | {entry['training_data']} |",
        f"| Network | {head.get('parameters', 0):,} parameters, {entry['precision']} |",
        f"| Licence | {entry['licence']} |",
    ]
    if calibration.get("thresholds"):
        lines.append(f"| Thresholds | {calibration['thresholds']} |")
    if "familiar_before" in calibration:
        told = "what was familiar to the network before, and the site's own pictures"
        only = "simulated pictures and the site's own; those that the network before had seen are not known"
        lines.append(f"| Familiar to it | {told if calibration['familiar_before'] else only} |")
    share = calibration.get("figures", {}).get("share_kept")
    if share is not None:
        lines += [
            "",
            f"Of what was learnt {100 * float(share):.0f} % was kept"
            + (", so it is the network before." if float(share) == 0 else "."),
        ]
    lines += ["", "## Figures on the tune split", "", "They set thresholds and choose; they judge nothing.", ""]
    lines += ["| Figure | Value |", "| --- | --- |"]
    figures = list(calibration.get("figures", {}).items())[:_SHOWN]
    for name, value in figures:
        words = name_figure(name)
        lines.append(f"| {words[:1].upper()}{words[1:]} | {value_of(name, value)} |")
    return "\n".join(lines) + "\n"


def learnt_from(names: str, frames: int, subjects: int, machines: tuple[str, ...], simulated: bool) -> str:
    """Say in words what a site's labels were."""
    who = f"{subjects} subject{'' if subjects == 1 else 's'}" if subjects else "subjects not stated"
    where = f", machine {' and '.join(machines)}" if machines else ""
    kind = "simulated" if simulated else "not simulated"
    return f"{frames:,} labelled frame{'' if frames == 1 else 's'} of {names} ({who}{where}, {kind})"
