"""The registered models: what each is, where it comes from, and which one a plugin uses.

A registry is a `registry.toml` beside the models' files. Puncta's own lies in `models/`, the user's in the user's data
folder, and a plugin may bring one in its folder.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path

from puncta import paths
from puncta.core.errors import UserError
from puncta.inference.cards import (
    REGISTRY_NAME,
    ModelCard,
    ModelFile,
    Precision,
    RegistryOrigin,
    read_registry,
    read_verified,
)
from puncta.inference.promotion import Promotion, Promotions, read_promotions, user_models_dir

__all__ = [
    "REGISTRY_NAME",
    "ModelCard",
    "ModelFile",
    "Precision",
    "Registry",
    "RegistryOrigin",
    "read_registry",
    "read_verified",
]


@dataclass(frozen=True, slots=True)
class Registry:
    """All registered models, and what the user has promoted.

    Attributes
    ----------
    cards : tuple of ModelCard
    complaints : tuple of str
        One sentence for each entry or file that does not hold.
    promotions : mapping of plugin id to tuple of Promotion
        Newest last.
    manifest_models : mapping of plugin id to str
        The model that a plugin's manifest names, where it names one.
    """

    cards: tuple[ModelCard, ...]
    complaints: tuple[str, ...] = ()
    promotions: Promotions = field(default_factory=dict)
    manifest_models: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, shipped: Path | None = None, user: Path | None = None) -> Registry:
        """Read the program's registry, the user's and the promotions; what does not hold is left out and told.

        Parameters
        ----------
        shipped, user : Path or None
            Folders; None takes the program's `models` and the user's.
        """
        registry = cls(())
        registry = registry._with(shipped if shipped is not None else paths.models_dir(), "shipped")
        user = user if user is not None else user_models_dir()
        registry = registry._with(user, "user")
        try:
            return registry.with_promotions(read_promotions(user))
        except UserError as error:
            told = f"{error} No promotion is obeyed until then; the next one sets the file aside."
            return replace(registry, complaints=(*registry.complaints, told))

    def with_plugin_models(self, plugin_folder: Path) -> Registry:
        """Return this registry together with the one that a plugin brings in `models/`, if it does."""
        return self._with(plugin_folder / "models", "plugin")

    def with_promotions(self, promotions: Promotions) -> Registry:
        """Return this registry with other promotions."""
        return replace(self, promotions=promotions)

    def with_manifest_models(self, named: Mapping[str, str]) -> Registry:
        """Return this registry that knows which models the plugins' manifests name."""
        return replace(self, manifest_models=dict(named))

    def read_again(self, user: Path) -> Registry:
        """Return this registry with the user's models and promotions as they are now; others are taken as read.

        Parameters
        ----------
        user : Path
            The folder of the user's models. A damaged file of promotions is obeyed by nobody.
        """
        others = tuple(c for c in self.cards if c.origin != "user")
        taken = {(c.id, c.version) for c in others}
        own = tuple(c for c in read_registry(user, "user")[0] if (c.id, c.version) not in taken)
        try:
            promotions = read_promotions(user)
        except UserError:
            promotions = {}
        return replace(self, cards=(*others, *own), promotions=promotions)

    def still_has(self, card: ModelCard) -> bool:
        """Tell whether a model is registered here with the very same file."""
        return any(_same(c, card) for c in self.cards)

    def _with(self, folder: Path, origin: RegistryOrigin) -> Registry:
        cards, problems = read_registry(folder, origin)
        taken = {(c.id, c.version) for c in self.cards}
        kept: list[ModelCard] = []
        for card in cards:
            if (card.id, card.version) in taken:
                problems.append(
                    f'The model "{card.identity}" is registered twice; the one in {folder / REGISTRY_NAME} is left out.'
                )
                continue
            taken.add((card.id, card.version))
            kept.append(card)
        return replace(self, cards=(*self.cards, *kept), complaints=(*self.complaints, *problems))

    @property
    def problems(self) -> tuple[str, ...]:
        """One sentence for each entry that does not hold, and for each promotion that cannot be obeyed."""
        return (*self.complaints, *(said for plugin in self.promotions if (said := self._unheard(plugin))))

    def find(self, model_id: str) -> ModelCard:
        """Return a model by "id" (its newest version), "id@version" or "id version".

        Raises
        ------
        UserError
            No such model.
        """
        fitting = self._fitting(model_id)
        if not fitting:
            names = list(dict.fromkeys(f"{c.id}@{c.version}" for c in self.cards))
            near = get_close_matches(model_id.strip().replace(" ", "@", 1), [*names, *(c.id for c in self.cards)], 1)
            meant = f', but there is "{near[0]}"' if near else ""
            raise UserError(f'There is no model "{model_id}"{meant}; there are: {", ".join(names) or "none"}.')
        return _newest(fitting)

    def _fitting(self, model_id: str) -> list[ModelCard]:
        name, _, version = model_id.strip().replace(" ", "@", 1).partition("@")
        return [c for c in self.cards if c.id == name and version in {"", c.version}]

    def for_plugin(self, plugin_id: str) -> tuple[ModelCard, ...]:
        """Return the models made for a plugin."""
        return tuple(c for c in self.cards if c.plugin == plugin_id)

    def default_for(self, plugin_id: str, named: str | None = None) -> ModelCard:
        """Return the model that a plugin uses where the user names none: the promoted one, else the standard one.

        A promotion is obeyed while its model is registered and has the hash that was promoted.

        Parameters
        ----------
        named : str or None
            The model in the plugin's manifest; None is the one that this registry knows of.

        Raises
        ------
        UserError
            There is no model for the plugin.
        """
        return self._promoted_card(plugin_id) or self.standard_for(plugin_id, named)

    def standard_for(self, plugin_id: str, named: str | None = None) -> ModelCard:
        """Return the model that a plugin uses where none is promoted.

        That is the manifest's; of those, or of all for the plugin, one that came with the program or the plugin rather
        than one of the user's, then one marked `default`, then the newest. So no training or installation changes by
        itself what is used.

        Raises
        ------
        UserError
            There is no model for the plugin.
        """
        named = named or self.manifest_models.get(plugin_id)
        fitting = self._fitting(named) if named else list(self.for_plugin(plugin_id))
        if not fitting and named:
            return self.find(named)
        if not fitting:
            raise UserError(f'There is no model for the plugin "{plugin_id}"; name one with --model.')
        fitting = [c for c in fitting if c.origin != "user"] or fitting
        return _newest([c for c in fitting if c.default] or fitting)

    def promotion_of(self, card: ModelCard) -> Promotion | None:
        """Return the promotion by which a model is in use now, or None where it is not, or not by one."""
        newest = self._promoted_card(card.plugin)
        return self.promotions[card.plugin][-1] if newest is not None and _same(newest, card) else None

    def is_in_use(self, card: ModelCard) -> bool:
        """Tell whether a model is the one that its plugin uses where the user names none."""
        used = self.used_by(card.plugin)
        return used is not None and _same(used, card)

    def used_by(self, plugin_id: str) -> ModelCard | None:
        """Return what `default_for` does, or None where a plugin has no model, or not the one that it names."""
        try:
            return self.default_for(plugin_id)
        except UserError:
            return None

    def _promoted_card(self, plugin_id: str) -> ModelCard | None:
        newest = next(reversed(self.promotions.get(plugin_id, ())), None)
        if newest is None:
            return None
        wanted = (newest.model, newest.sha256)
        return next((c for c in self.for_plugin(plugin_id) if (c.identity, c.sha256) == wanted), None)

    def _unheard(self, plugin_id: str) -> str:
        """Say why a plugin's promotion is not obeyed; empty where it is, or where there is none."""
        if not self.promotions.get(plugin_id) or self._promoted_card(plugin_id) is not None:
            return ""
        model = self.promotions[plugin_id][-1].model
        there = any(c.identity == model for c in self.for_plugin(plugin_id))
        why = "has another file than the one that was promoted" if there else "is not registered any more"
        try:
            instead = f'uses "{self.standard_for(plugin_id).identity}"'
        except UserError:
            instead = "has no model"
        return (
            f'The model "{model}", promoted for the plugin "{plugin_id}", {why}, so the plugin {instead}; '
            f"promote another one, or take it back with `puncta models rollback {plugin_id}`."
        )

    def verify(self, card: ModelCard) -> None:
        """Check every file of a model against its recorded hash.

        Raises
        ------
        UserError
            A file is absent or was changed.
        """
        for entry in card.files:
            read_verified(card, entry)


def _same(one: ModelCard, other: ModelCard) -> bool:
    return (one.plugin, one.identity, one.sha256) == (other.plugin, other.identity, other.sha256)


def _newest(cards: Sequence[ModelCard]) -> ModelCard:
    return max(cards, key=lambda c: _version_key(c.version))


def _version_key(version: str) -> tuple[tuple[int, ...], bool, str]:
    digits = re.match(r"\d+(?:\.\d+)*", version)
    if digits is None:
        return (), False, version
    rest = version[digits.end() :]
    # "0.2" is newer than "0.2rc1".
    return tuple(int(p) for p in digits.group().split(".")), not rest, rest
