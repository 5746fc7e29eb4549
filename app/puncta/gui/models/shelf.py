"""What models there are and which are in use, read off the GUI thread in one piece."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace

from puncta.core.errors import UserError
from puncta.inference.installing import RUNS
from puncta.inference.promotion import Promotion, Promotions, read_promotions
from puncta.inference.registry import ModelCard, Registry
from puncta.pipeline.discover import discover
from puncta.session.plugins import all_models


@dataclass(frozen=True, slots=True)
class Family:
    """The models of one plugin.

    Attributes
    ----------
    plugin, title : str
    cards : tuple of ModelCard
        The one in use first, then the newest.
    in_use : ModelCard or None
    history : tuple of Promotion
        Newest last.
    trained_as : tuple of str
        Names of the trainings that have made its models here, as their cards tell them.
    """

    plugin: str
    title: str
    cards: tuple[ModelCard, ...]
    in_use: ModelCard | None
    history: tuple[Promotion, ...] = ()
    trained_as: tuple[str, ...] = ()

    def promoted_at(self, card: ModelCard) -> str:
        """When a model was put in use last, UTC; "" where it never was."""
        times = [p.at_utc for p in self.history if (p.model, p.sha256) == (card.identity, card.sha256)]
        return times[-1] if times else ""


@dataclass(frozen=True, slots=True)
class Shelf:
    """All models by plugin, and one sentence for each thing that does not hold."""

    registry: Registry
    families: tuple[Family, ...]
    problems: tuple[str, ...] = ()

    def family(self, plugin: str) -> Family | None:
        """The models of a plugin."""
        return next((f for f in self.families if f.plugin == plugin), None)

    def find(self, identity: str) -> ModelCard | None:
        """A model by "id version"."""
        return next((c for f in self.families for c in f.cards if c.identity == identity), None)

    def is_in_use(self, card: ModelCard) -> bool:
        """Whether its plugin uses this model."""
        family = self.family(card.plugin)
        return family is not None and family.in_use is not None and family.in_use.identity == card.identity


def read_shelf(before: Promotions | None = None) -> Shelf:
    """Read the registries, the plugins that are there, and what was promoted.

    Parameters
    ----------
    before : Promotions or None
        What counts where the file cannot be read any more: what runs with it goes on.
    """
    discovery = discover()
    registry = all_models(discovery)
    try:
        registry = registry.with_promotions(read_promotions())
    except UserError as error:
        if before is not None:
            others = tuple(words for words in registry.complaints if not words.startswith(str(error)))
            told = f"{error} What runs in this window goes on; the next choice of a model sets the file aside."
            registry = replace(registry.with_promotions(before), complaints=(*others, told))
    manifests = {found.id: found.manifest for found in discovery.found if not found.manifest.reference}
    plugins = [*manifests, *dict.fromkeys(c.plugin for c in registry.cards if c.plugin not in manifests)]
    families = []
    for plugin in plugins:
        cards = registry.for_plugin(plugin)
        if cards:
            manifest = manifests.get(plugin)
            in_use = registry.used_by(plugin)  # None: the plugin names a model that is not here
            rest = sorted((c for c in cards if in_use is None or c.identity != in_use.identity), key=_newest_first)
            title = manifest.title if manifest is not None else plugin
            own = () if in_use is None else (in_use,)
            history = registry.promotions.get(plugin, ())
            families.append(Family(plugin, title, (*own, *rest), in_use, history, names_of(cards)))
    return Shelf(registry, tuple(families), tuple(dict.fromkeys(registry.problems)))


def names_of(cards: Iterable[ModelCard]) -> tuple[str, ...]:
    """Return the names of the trainings that have made models here; of some they are not known."""
    found = []
    for card in cards:
        if card.origin == "user":
            head = card.folder / RUNS / f"{card.id}-{card.version}" / "training.json"
            try:
                found.append(str(json.loads(head.read_text(encoding="utf-8"))["config"]["title"]))
            except (OSError, ValueError, KeyError, TypeError):  # installed without it, or damaged: nothing is taken
                continue
    return tuple(found)


def read_card_text(card: ModelCard) -> str:
    """Return the words of a model's card, Markdown; "" where it cannot be read."""
    try:
        return card.card_path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def _newest_first(card: ModelCard) -> tuple[bool, tuple[int, ...]]:
    """Own models before those that ship; among each the newest first."""
    digits = tuple(-int(part) for part in card.version.split(".") if part.isdigit())
    return card.origin != "user", digits
