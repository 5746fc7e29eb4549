"""The registered models: what each is, where it comes from, and whether its file is still the recorded one.

A registry is a `registry.toml` beside the models' files. Puncta's own lies in `models/`, the user's in the user's data
folder, and a plugin may bring one in its folder.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveInt,
    StringConstraints,
    ValidationError,
    field_validator,
)

from puncta import paths
from puncta.core.errors import UserError
from puncta.sdk.manifest import Id, Version, Words, plain_validation

REGISTRY_NAME = "registry.toml"
REGISTRY_VERSION = 1

Precision = Literal["fp32", "fp16", "int8"]
RegistryOrigin = Literal["shipped", "user", "plugin"]

_Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file of a model and its hash; `file` is relative to the registry's folder."""

    file: str
    sha256: str
    precision: Precision


@dataclass(frozen=True, slots=True)
class ModelCard:
    """A registered model.

    Attributes
    ----------
    id, version : str
    plugin : str
        The plugin it was made for.
    file, sha256, precision : str
        The reference file: what `run` and `evaluate` use.
    variants : tuple of ModelFile
        The same network in other precisions; used in the window where measuring finds them faster and their outputs
        agree.
    default : bool
        The plugin uses it where neither its manifest nor the user names a model.
    licence, licence_url : str
    input : mapping
        What the plugin has to know to prepare the input: size [height, width], channels, layout, normalisation,
        history, and whatever else the plugin and the recipe agreed on.
    outputs : tuple of str
        Names of the graph's outputs.
    training_data : str
        What it was trained on, in words.
    simulated : bool
        True where it was trained on simulated pictures.
    metrics : mapping
    card : str
        Markdown card, relative to the registry's folder.
    recipe : str
        How it was made: the command or experiment.
    folder : Path
        Folder of the registry.
    origin : "shipped", "user" or "plugin"
    """

    id: str
    version: str
    plugin: str
    file: str
    sha256: str
    precision: Precision
    licence: str
    licence_url: str
    input: Mapping[str, Any]
    outputs: tuple[str, ...]
    training_data: str
    simulated: bool
    metrics: Mapping[str, Any]
    card: str
    recipe: str
    folder: Path
    origin: RegistryOrigin
    default: bool = False
    variants: tuple[ModelFile, ...] = field(default=())

    @property
    def identity(self) -> str:
        """Identity and version, "tip-ut 0.1"."""
        return f"{self.id} {self.version}"

    @property
    def files(self) -> tuple[ModelFile, ...]:
        """The reference file, then the variants."""
        return (ModelFile(self.file, self.sha256, self.precision), *self.variants)

    def file_of(self, precision: str | None = None) -> ModelFile:
        """Return the file of a precision, or the reference file for None.

        Raises
        ------
        UserError
            There is no such file.
        """
        for entry in self.files:
            if precision in {None, entry.precision}:
                return entry
        there = ", ".join(f.precision for f in self.files)
        raise UserError(f'The model "{self.identity}" has no {precision} file; there are: {there}.')

    @property
    def card_path(self) -> Path:
        """The model card."""
        return self.folder / self.card


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def _inside(value: str) -> str:
    parts = value.split("/")
    if "\\" in value or ":" in value or value.startswith("/") or any(p in {"", ".", ".."} for p in parts):
        raise ValueError("must be a relative path with forward slashes that stays inside the registry's folder")
    return value


class _Variant(_Strict):
    precision: Precision
    file: str
    sha256: _Sha256

    _file = field_validator("file")(_inside)


class _Input(_Strict):
    """What every plugin needs to know; further keys are agreed between plugin and recipe."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True)

    size: Annotated[tuple[PositiveInt, PositiveInt], Field(strict=False)]
    channels: PositiveInt
    layout: Literal["NCHW", "NHWC"]
    normalisation: Words
    history: NonNegativeInt


class _Entry(_Strict):
    """One `[[models]]` table."""

    id: Id
    version: Version
    plugin: Id
    file: str
    sha256: _Sha256
    precision: Precision = "fp32"
    default: bool = False
    licence: Words
    licence_url: str = ""
    input: _Input
    outputs: Annotated[tuple[Words, ...], Field(strict=False, min_length=1)]
    training_data: Words
    simulated: bool
    metrics: dict[str, Any]
    card: str
    recipe: str = ""
    variants: Annotated[tuple[_Variant, ...], Field(strict=False)] = ()

    _files = field_validator("file", "card")(_inside)

    def as_card(self, folder: Path, origin: RegistryOrigin) -> ModelCard:
        values = {name: getattr(self, name) for name in type(self).model_fields}
        values["input"] = MappingProxyType(self.input.model_dump())
        values["metrics"] = MappingProxyType(dict(self.metrics))
        values["variants"] = tuple(ModelFile(v.file, v.sha256, v.precision) for v in self.variants)
        return ModelCard(**values, folder=folder, origin=origin)


@dataclass(frozen=True, slots=True)
class Registry:
    """All registered models, and one sentence for each entry that does not hold."""

    cards: tuple[ModelCard, ...]
    problems: tuple[str, ...] = ()

    @classmethod
    def load(cls, shipped: Path | None = None, user: Path | None = None) -> Registry:
        """Read the program's registry and the user's; an entry that does not hold is left out and told.

        Parameters
        ----------
        shipped, user : Path or None
            Folders; None takes the program's `models` and the user's.
        """
        registry = cls(())
        registry = registry._with(shipped if shipped is not None else paths.models_dir(), "shipped")
        return registry._with(user if user is not None else paths.user_data_dir() / "models", "user")

    def with_plugin_models(self, plugin_folder: Path) -> Registry:
        """Return this registry together with the one that a plugin brings in `models/`, if it does."""
        return self._with(plugin_folder / "models", "plugin")

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
        return Registry((*self.cards, *kept), (*self.problems, *problems))

    def find(self, model_id: str) -> ModelCard:
        """Return a model by "id" (its newest version), "id@version" or "id version".

        Raises
        ------
        UserError
            No such model.
        """
        name, _, version = model_id.strip().replace(" ", "@", 1).partition("@")
        fitting = [c for c in self.cards if c.id == name and version in {"", c.version}]
        if not fitting:
            there = ", ".join(dict.fromkeys(f"{c.id}@{c.version}" for c in self.cards)) or "none"
            raise UserError(f'There is no model "{model_id}"; there are: {there}.')
        return max(fitting, key=lambda c: _version_key(c.version))

    def for_plugin(self, plugin_id: str) -> tuple[ModelCard, ...]:
        """Return the models made for a plugin."""
        return tuple(c for c in self.cards if c.plugin == plugin_id)

    def default_for(self, plugin_id: str) -> ModelCard:
        """Return the model that a plugin uses where nobody names one.

        That is the newest of those marked `default`, else the newest of all.

        Raises
        ------
        UserError
            There is no model for the plugin.
        """
        made_for_it = self.for_plugin(plugin_id)
        if not made_for_it:
            raise UserError(f'There is no model for the plugin "{plugin_id}"; name one with --model.')
        marked = [c for c in made_for_it if c.default] or made_for_it
        return max(marked, key=lambda c: _version_key(c.version))

    def verify(self, card: ModelCard) -> None:
        """Check every file of a model against its recorded hash.

        Raises
        ------
        UserError
            A file is absent or was changed.
        """
        for entry in card.files:
            read_verified(card, entry)


def read_verified(card: ModelCard, entry: ModelFile | None = None) -> bytes:
    """Read a model's file and return its bytes, if they are the recorded ones.

    The caller gives these very bytes to the runtime, so nothing can be swapped in between.

    Raises
    ------
    UserError
        The file is absent, unreadable or was changed.
    """
    entry = entry or card.file_of()
    path = card.folder / entry.file
    shown = f"{card.folder.name}/{entry.file}"
    try:
        data = path.read_bytes()
    except OSError as error:
        why = "is not there" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror or error})"
        raise UserError(f'The file {shown} of the model "{card.identity}" {why}; install the model again.') from error
    if hashlib.sha256(data).hexdigest() != entry.sha256:
        raise UserError(
            f"The file {shown} does not match its recorded hash; it was changed or damaged and is not loaded. "
            f'Install the model "{card.identity}" again.'
        )
    return data


def read_registry(folder: Path, origin: RegistryOrigin) -> tuple[list[ModelCard], list[str]]:
    """Read one registry file; entries that do not hold become problems, the others stay."""
    path = folder / REGISTRY_NAME
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return [], []
    except OSError as error:
        return [], [f"The model registry {path} cannot be read: {error.strerror or error}."]
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        return [], [f"The model registry {path} is not valid TOML: {error}."]
    if table.get("version") != REGISTRY_VERSION:
        return [], [f"The model registry {path} needs `version = {REGISTRY_VERSION}`."]
    entries = table.get("models", [])
    if not isinstance(entries, Sequence) or isinstance(entries, str):
        return [], [f"The model registry {path} needs its models as [[models]] tables."]
    cards: list[ModelCard] = []
    problems: list[str] = []
    for number, entry in enumerate(entries, 1):
        try:
            cards.append(_Entry.model_validate(entry).as_card(folder, origin))
        except ValidationError as error:
            name = entry.get("id", f"number {number}") if isinstance(entry, Mapping) else f"number {number}"
            problems.append(f'The model "{name}" in {path} is left out: {plain_validation(error)}.')
    return cards, problems


def _version_key(version: str) -> tuple[tuple[int, ...], bool, str]:
    digits = re.match(r"\d+(?:\.\d+)*", version)
    if digits is None:
        return (), False, version
    rest = version[digits.end() :]
    # "0.2" is newer than "0.2rc1".
    return tuple(int(p) for p in digits.group().split(".")), not rest, rest
