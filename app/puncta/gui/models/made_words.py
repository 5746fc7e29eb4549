"""How a model was made and when it was in use, short; the long texts stand once, behind a press."""

from __future__ import annotations

import re
from collections.abc import Sequence

from puncta.gui.i18n import tr
from puncta.gui.models.card_words import learnt_words
from puncta.gui.models.words import moment_words
from puncta.inference.promotion import Promotion
from puncta.inference.registry import ModelCard

LONG = 120
"""Texts of so many letters stand as they are."""


def short_data(data: str) -> str:
    """Return what a model has learnt from in one line: labels of a site where it has any, else what comes first."""
    if len(data) <= LONG:
        return learnt_words(data)
    parts = data.split("; ")
    first = learnt_words(next((part for part in parts if "labelled frame" in part), parts[0]))
    first = first if len(first) <= LONG else f"{first[: LONG - 1].rstrip()}…"
    if len(parts) == 1:
        return first
    more = tr("{first}; and 1 other") if len(parts) == 2 else tr("{first}; and {count} others")
    return more.format(first=first, count=len(parts) - 1)


def short_recipe(recipe: str) -> str:
    """Return the last training of a row of them, and how many there were."""
    trainings = re.findall(r"\w+", re.sub(r"puncta train|python -m [\w.]+|--start-from|:[^;]*|\b(?:then|and|with)\b",
                                          " ", recipe))
    if len(trainings) < 3 or not recipe.startswith("puncta train "):
        return recipe
    return tr("{name}, the last of {count} trainings in a row").format(name=trainings[-1], count=len(trainings))


def told_once(card: ModelCard, text: str) -> tuple[tuple[str, str], str]:
    """Take out of a card's text what a training has copied from the registry.

    Returns
    -------
    in_full : (str, str)
        What it learnt from; what made it, with the time that took where the card tells it.
    text : str
        The card without these lines.
    """
    made = card.recipe
    for name, value in (("Learnt from", card.training_data), ("Made by", f"`{card.recipe}`")):
        found = re.search(rf"^\| {name} \| ({re.escape(value)}.*) \|\n", text, re.MULTILINE)
        if found is not None and value.strip("`"):
            made = found[1].replace("`", "") if name == "Made by" else made
            text = text[: found.start()] + text[found.end() :]
    return (card.training_data, made), text


def spells_of(history: Sequence[Promotion], card: ModelCard) -> tuple[str, ...]:
    """Say from when to when a model was in use, the newest first; to the last one of the history there is no end."""
    said = []
    for number, one in enumerate(history):
        if (one.model, one.sha256) == (card.identity, card.sha256):
            begin, after = moment_words(one.at_utc), history[number + 1 : number + 2]
            until = tr("{begin} to {end}").format(begin=begin, end=moment_words(after[0].at_utc)) if after else begin
            said.append(until)
    return tuple(said[::-1])
