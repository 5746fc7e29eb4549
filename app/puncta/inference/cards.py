"""What a registry file says: its models, each with its files and their hashes."""

from __future__ import annotations

import hashlib
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
        Of the models that came with the program, the plugin uses this one where none is promoted or named.
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
