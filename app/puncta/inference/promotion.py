"""Which model a plugin uses by the user's choice: promotions, newest last, beside the user's models.

A model that is trained or installed changes nothing by itself. Only a promotion does, and the newest one can be taken
back. `promoted.json` is small and replaced as a whole, so a program that is killed leaves the old file or the new one.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from puncta import paths
from puncta.core.errors import UserError
from puncta.formats import schemas
from puncta.formats.atomic import plain_os_error, write_text_atomic
from puncta.formats.jsontext import json_document, read_json
from puncta.formats.session import lock

if TYPE_CHECKING:
    from puncta.inference.registry import ModelCard, Registry

PROMOTIONS_NAME = "promoted.json"
LOCK_NAME = ".changing"
FORMAT, VERSION = "puncta-promotions", 1

Promotions = Mapping[str, tuple["Promotion", ...]]
"""By plugin, newest last."""

LOOK_S = 0.1
"""Whoever waits for another program looks this often [s]."""

_in_this_program = threading.Lock()


@dataclass(frozen=True, slots=True)
class Promotion:
    """A user's choice of a model.

    Attributes
    ----------
    plugin : str
    model : str
        Identity and version, "tip-ut 0.1".
    sha256 : str
        Of the model's reference file at that time; a file with another one was not chosen.
    at_utc : str
        When, "2026-01-31T12:00:00Z".
    """

    plugin: str
    model: str
    sha256: str
    at_utc: str


def user_models_dir() -> Path:
    """The folder with the user's models, their registry and the promotions."""
    return paths.user_data_dir() / "models"


def read_promotions(folder: Path | None = None) -> Promotions:
    """Read all promotions; nothing was promoted where there is no file.

    Parameters
    ----------
    folder : Path or None
        The folder of the user's models; None takes this user's.

    Raises
    ------
    UserError
        The file cannot be read or does not fit its format.
    """
    path = _file(folder)
    if not path.exists():
        return {}
    document = read_json(path)
    problems = schemas.check("promotions", document)
    if problems:
        raise UserError(f"{path} does not fit its format: {problems[0]}.")
    return {
        plugin: tuple(Promotion(plugin, e["model"], e["sha256"], e["at_utc"]) for e in entries)
        for plugin, entries in document["plugins"].items()
    }


def history(plugin: str, folder: Path | None = None) -> tuple[Promotion, ...]:
    """Return a plugin's promotions, newest last; raises UserError where the file is damaged."""
    return read_promotions(folder).get(plugin, ())


def promoted(plugin: str, folder: Path | None = None) -> Promotion | None:
    """Return a plugin's newest promotion, or None; raises UserError where the file is damaged."""
    entries = history(plugin, folder)
    return entries[-1] if entries else None


def promote(registry: Registry, card: ModelCard, folder: Path | None = None) -> Promotion:
    """Make a model the one that its plugin uses where nobody names another.

    A registry that was read before does not know of it; read it again. What another program has changed since it was
    read is seen: everything is decided while no other one can change the user's models.

    Raises
    ------
    UserError
        The model is not there any more, a file of it was changed, it is in use already, or the choice cannot be kept.
    """
    with changing(folder) as place:
        before = _read_or_set_aside(place)
        now = registry.read_again(place)
        if not now.still_has(card):
            raise UserError(f'The model "{card.identity}" was removed or replaced meanwhile; look at the list again.')
        now.verify(card)
        if now.is_in_use(card):
            raise UserError(f'The plugin "{card.plugin}" uses the model "{card.identity}" already; nothing changes.')
        promotion = Promotion(card.plugin, card.identity, card.sha256, _utc_now())
        _write({**before, card.plugin: (*before.get(card.plugin, ()), promotion)}, place)
    return promotion


def roll_back(registry: Registry, plugin: str, folder: Path | None = None) -> ModelCard:
    """Take a plugin's newest promotion away and return the model that it uses now.

    That is the one promoted before, or the model that comes with the program.

    Raises
    ------
    UserError
        There is no promotion to take back, or no model would be left.
    """
    with changing(folder) as place:
        before = read_promotions(place)
        entries = before.get(plugin, ())
        if not entries:
            others = ", ".join(sorted(name for name, kept in before.items() if kept))
            more = f" Models are promoted for: {others}." if others else ""
            raise UserError(
                f'No model is promoted for the plugin "{plugin}", so there is nothing to roll back.{more}'
            )
        after = {**before, plugin: entries[:-1]}
        card = registry.read_again(place).with_promotions(after).default_for(plugin)
        _write(after, place)
    return card


@contextlib.contextmanager
def changing(folder: Path | None = None, wait_s: float = 0.0) -> Iterator[Path]:
    """Keep other programs from changing the user's models meanwhile; give the folder, made where it was not there.

    Parameters
    ----------
    folder : Path or None
        None is the folder of this user's models.
    wait_s : float
        Another program that changes them is waited for so long [s].

    Raises
    ------
    UserError
        Another program changes them right now, or the folder cannot be written.
    """
    place = folder if folder is not None else user_models_dir()
    with _in_this_program:
        try:
            place.mkdir(parents=True, exist_ok=True)
            file = (place / LOCK_NAME).open("ab")
        except OSError as error:
            raise plain_os_error(error, place, "write") from error
        with file:
            until_s = time.monotonic() + wait_s
            while not (mine := lock(file)) and time.monotonic() < until_s:
                time.sleep(LOOK_S)
            if not mine:
                raise UserError(f"Another Puncta changes the models in {place} right now; try again in a moment.")
            yield place


def _read_or_set_aside(place: Path) -> Promotions:
    """Read the promotions; a damaged file is kept under another name, and the history begins anew."""
    try:
        return read_promotions(place)
    except UserError:
        path = _file(place)
        aside = next(p for n in range(1, 10_000) if not (p := path.with_name(f"promoted-damaged-{n}.json")).exists())
        try:
            os.replace(path, aside)
        except OSError as error:
            raise plain_os_error(error, path, "write") from error
        return {}


def _write(promotions: Promotions, place: Path) -> None:
    plugins: dict[str, Any] = {
        plugin: [{"model": e.model, "sha256": e.sha256, "at_utc": e.at_utc} for e in promotions[plugin]]
        for plugin in sorted(promotions)
        if promotions[plugin]
    }
    write_text_atomic(_file(place), json_document({"format": FORMAT, "version": VERSION, "plugins": plugins}))
    sync_folder(place)


def sync_folder(place: Path) -> None:
    """Bring a file's new name to the disk too, where the system allows that (Windows does not)."""
    with contextlib.suppress(OSError):
        handle = os.open(place, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _file(folder: Path | None) -> Path:
    return (folder if folder is not None else user_models_dir()) / PROMOTIONS_NAME


def _utc_now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
