"""A plugin's manifest, `plugin.toml`: what a plugin is, read before a line of its code runs."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from puncta.core.errors import UserError
from puncta.core.overlay import Layer

SDK_API = 1
"""Major version of the plugin protocol. A manifest's ``api`` must be this number."""

MANIFEST_NAME = "plugin.toml"

NEVER_ALLOWED = frozenset(
    ("PySide6", "PySide2", "PyQt6", "PyQt5", "shiboken6", "shiboken2", "pyqtgraph", "qasync", "puncta", "onnxruntime")
)
"""Packages that ``requires`` cannot open: windows belong to the program, and models come through the context."""

Id = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=64)]
Version = Annotated[str, StringConstraints(pattern=r"^\d+(\.\d+){0,3}([a-z0-9.+-]*)$", max_length=32)]
Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]*$", max_length=64)]
Module = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_]\w*$", max_length=64)]
Scalar = bool | int | float | str


def _scalar(value: Any) -> Any:
    if not isinstance(value, Scalar):
        raise ValueError("must be a number, text, true or false")
    return value


def _layer(value: str) -> str:
    if value not in set(Layer):
        raise ValueError(f"must be an overlay layer: {', '.join(Layer)}")
    return value


LayerName = Annotated[str, AfterValidator(_layer)]
AnyScalar = Annotated[Any, AfterValidator(_scalar)]
ModelId = Annotated[
    str, StringConstraints(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*(@[0-9][a-z0-9.+-]*)?$", max_length=96)
]

_SHAPES = {
    r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$": 'small letters, digits and single hyphens, as in "needle-tip"',
    r"^[a-z][a-z0-9]*(-[a-z0-9]+)*(@[0-9][a-z0-9.+-]*)?$": 'a model, as in "tip-ut" or "tip-ut@0.1"',
    r"^\d+(\.\d+){0,3}([a-z0-9.+-]*)$": 'a version, as in "0.1.0"',
    r"^[a-z][a-z0-9_-]*$": 'small letters, digits, "_" and "-"',
    r"^[A-Za-z_]\w*$": "the name of an import package",
    r"^[A-Za-z_]\w*:[A-Za-z_]\w*$": 'a module and a function, as in "plugin:create"',
}


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Emits(_Strict):
    """One kind of result that a plugin emits."""

    type: Literal["point", "line", "detection", "mask", "class", "heatmap", "measure"]
    label: Slug


class Option(_Strict):
    """One setting of a plugin: its default and what the user may change it to.

    Attributes
    ----------
    unit : str
        Unit of a number, for the screen.
    card : bool
        The plugin's card in the window offers it.
    per_case : bool
        It belongs to the open case: forgotten when another one opens, and never saved.
    """

    default: AnyScalar
    title: str = ""
    unit: str = ""
    card: bool = False
    per_case: bool = False
    min: float | None = None
    max: float | None = None
    choices: Annotated[tuple[AnyScalar, ...], Field(strict=False)] = ()

    @model_validator(mode="after")
    def _default_fits(self) -> Option:
        complaint = self.complaint(self.default)
        if complaint:
            raise ValueError(f"its default {complaint}")
        return self

    def complaint(self, value: Any) -> str | None:
        """Say why a value does not fit, as the end of a sentence, or None where it does."""
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if isinstance(self.default, bool):
            return None if isinstance(value, bool) else "must be true or false"
        if isinstance(self.default, str):
            if not isinstance(value, str):
                return "must be text"
        elif not (number and math.isfinite(value)):
            return "must be a finite number" if number else "must be a number"
        if number and self.min is not None and value < self.min:
            return f"must be at least {self.min:g}"
        if number and self.max is not None and value > self.max:
            return f"must be at most {self.max:g}"
        if self.choices and value not in self.choices:
            return f"must be one of {', '.join(map(str, self.choices))}"
        return None


class PluginManifest(_Strict):
    """Facts about a plugin.

    Attributes
    ----------
    id, title, version, description, licence, author : str
    api : int
        Major version of the protocol the plugin is written for.
    entry : str
        "module:function"; the module lies in the plugin's folder, the function takes a PluginContext.
    requires : tuple of str
        Import packages it needs beyond the SDK, numpy, cv2 and the harmless part of the standard library.
    after : tuple of str
        Plugins whose output of the same frame it wants to see, where they run.
    every : int
        Runs on every n-th frame.
    budget_ms : float
        Time a frame may cost [ms] before it is flagged as too slow.
    history_frames : int
        Frames before the current one on which a result may depend; a player feeds that many after a seek.
    prompts : bool
        It takes a user's prompts (`puncta.sdk.plugin.Promptable`).
    reference : bool
        A yardstick for `puncta evaluate`; the window does not offer it.
    model : str or None
        Default model in the registry.
    results : tuple of Emits
    layers : tuple of str
        Overlay layers that it feeds.
    options : mapping of str to Option
    """

    id: Id
    title: Words
    version: Version
    api: int
    entry: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_]\w*:[A-Za-z_]\w*$")] = "plugin:create"
    requires: Annotated[tuple[Module, ...], Field(strict=False)] = ()
    after: Annotated[tuple[Id, ...], Field(strict=False)] = ()
    every: int = Field(default=1, ge=1, le=1000)
    budget_ms: float = Field(default=30.0, gt=0, le=60_000, allow_inf_nan=False)
    history_frames: int = Field(default=0, ge=0, le=10_000)
    prompts: bool = False
    reference: bool = False
    model: ModelId | None = None
    results: Annotated[tuple[Emits, ...], Field(strict=False, min_length=1)]
    layers: Annotated[tuple[LayerName, ...], Field(strict=False)] = ()
    options: dict[Slug, Option] = Field(default_factory=dict)
    description: Words
    licence: Words
    author: Words

    @field_validator("api")
    @classmethod
    def _known_api(cls, api: int) -> int:
        if api != SDK_API:
            raise ValueError(f"is {api}, but this program speaks version {SDK_API} of the plugin protocol")
        return api

    @field_validator("requires")
    @classmethod
    def _allowed(cls, requires: tuple[str, ...]) -> tuple[str, ...]:
        for name in requires:
            if name in NEVER_ALLOWED:
                raise ValueError(f'names "{name}", which no plugin may import')
        return requires

    @field_validator("options", mode="before")
    @classmethod
    def _short_options(cls, options: Any) -> Any:
        # "threshold = 0.3" is short for a table with this default.
        if not isinstance(options, Mapping):
            return options
        return {key: value if isinstance(value, Mapping) else {"default": value} for key, value in options.items()}

    @model_validator(mode="after")
    def _not_after_itself(self) -> PluginManifest:
        if self.id in self.after:
            raise ValueError('"after" names the plugin itself')
        return self

    @property
    def entry_module(self) -> str:
        """Module of the entry, without ".py"."""
        return self.entry.partition(":")[0]

    @property
    def entry_function(self) -> str:
        """Function of the entry."""
        return self.entry.partition(":")[2]

    def merge_options(self, changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the options' defaults with a user's changes.

        Raises
        ------
        UserError
            A change names no option of the plugin, or its value does not fit.
        """
        merged: dict[str, Any] = {name: option.default for name, option in self.options.items()}
        for name, value in (changes or {}).items():
            complaint = self._option(name).complaint(value)
            if complaint:
                raise UserError(f'The option "{name}" of the plugin "{self.id}" {complaint}.')
            merged[name] = value
        return merged

    def option_from_text(self, name: str, text: str) -> bool | int | float | str:
        """Return the value of an option as it is written on a command line.

        Raises
        ------
        UserError
            No such option, or the text is no value of it.
        """
        option = self._option(name)
        value: bool | int | float | str = text
        if isinstance(option.default, bool):
            value = {"yes": True, "true": True, "on": True, "no": False, "false": False, "off": False}.get(
                text.lower(), text
            )
        elif isinstance(option.default, int | float):
            with suppress(ValueError):
                value = int(text) if isinstance(option.default, int) else float(text)
        complaint = option.complaint(value)
        if complaint:
            near = get_close_matches(text, [str(c) for c in option.choices], 1, 0.4)
            hint = f'; did you mean "{near[0]}"?' if near else "."
            raise UserError(f'The option "{name}" of the plugin "{self.id}" {complaint}, not "{text}"{hint}')
        return value

    def _option(self, name: str) -> Option:
        if name in self.options:
            return self.options[name]
        near = get_close_matches(name, self.options, 1, 0.5)
        there = f"it has {', '.join(self.options)}" if self.options else "it has none"
        there += f'; did you mean "{near[0]}"?' if near else "."
        raise UserError(f'The plugin "{self.id}" has no option "{name}"; {there}')


_WORDS = {
    "missing": "is missing",
    "extra_forbidden": "is not a known key",
    "string_type": "must be text",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "string_too_short": "must not be empty",
    "too_short": "must not be empty",
    "greater_than_equal": "must be at least {ge:g}",
    "greater_than": "must be more than {gt:g}",
    "less_than_equal": "must be at most {le:g}",
    "literal_error": "must be {expected}",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "dict_type": "must be a table",
    "model_type": "must be a table",
    "value_error": "{error}",
}


def plain_validation(error: ValidationError) -> str:
    """Put a pydantic error into plain words: "`api` is missing; `every` must be at least 1"."""
    parts: list[str] = []
    items = error.errors(include_url=False)
    for item in items:
        if item["type"] == "too_short" and any(
            i is not item and i["loc"][: len(item["loc"])] == item["loc"] for i in items
        ):
            continue  # a list whose items do not hold is also counted as empty
        key = ".".join(str(p) for p in item["loc"])
        context = item.get("ctx", {})
        if item["type"] == "string_pattern_mismatch":
            words = f"must be {_SHAPES.get(context['pattern'], 'written another way')}"
        elif item["type"] in _WORDS:
            words = _WORDS[item["type"]].format(**context)
        else:
            words = f"does not fit ({item['msg'][:1].lower()}{item['msg'][1:]})"
        part = f"`{key}` {words}" if key else words
        if part not in parts:
            parts.append(part)
    more = f"; and {len(parts) - 4} more" if len(parts) > 4 else ""
    return "; ".join(parts[:4]) + more


def parse_manifest(text: str, name: str = MANIFEST_NAME) -> PluginManifest:
    """Read a manifest's text.

    Parameters
    ----------
    name : str
        How errors name the file.

    Raises
    ------
    UserError
        The text is no TOML, or a key is missing, unknown or of the wrong kind.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"The manifest {name} is not valid TOML: {error}.") from error
    try:
        return PluginManifest.model_validate(table)
    except ValidationError as error:
        raise UserError(f"The manifest {name} needs a change: {plain_validation(error)}.") from error


def read_manifest(folder: Path) -> PluginManifest:
    """Read the manifest of a plugin's folder.

    Raises
    ------
    UserError
        There is none, or it does not hold.
    """
    path = folder / MANIFEST_NAME
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise UserError(f"The folder {folder} holds no {MANIFEST_NAME}, so it is not a plugin.") from error
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UserError(f"The manifest {path} cannot be read: {why}.") from error
    return parse_manifest(text, str(path))
