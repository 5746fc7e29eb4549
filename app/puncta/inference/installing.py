"""Puts models into the user's folder and takes them out again. What is installed is not used before it is promoted.

Files come first, each whole, and the registry last: a program that is killed leaves files that nobody names, never an
entry without its file.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w

from puncta.core.errors import UserError
from puncta.formats import schemas
from puncta.formats.atomic import AtomicFile, plain_os_error, read_text, write_text_atomic
from puncta.inference.cards import REGISTRY_NAME, REGISTRY_VERSION, ModelCard, read_registry, read_verified
from puncta.inference.promotion import changing, sync_folder, user_models_dir
from puncta.inference.registry import Registry

RUNS = "runs"
"""Folder beside a registry with the weights and logs of the trainings that made its models."""
USER_HEADER = "# Models of this user. A file whose hash differs is refused; promoted.json says which one is used.\n"
_PICTURE = re.compile(r"\]\(([A-Za-z0-9._-]+\.png)\)")


@dataclass(frozen=True, slots=True)
class Installed:
    """A model that was to be installed; `new` is False where it was there already."""

    identity: str
    plugin: str
    new: bool


def install(source: Path, only: Sequence[str] = (), folder: Path | None = None) -> tuple[Installed, ...]:
    """Copy models into the user's folder, after their hashes, cards and licences were checked.

    Parameters
    ----------
    source : Path
        A folder with a `registry.toml`, that file, or a model's file beside it.
    only : sequence of str
        Models by "id" or "id@version"; empty takes all that the source names.
    folder : Path or None
        None is the folder of this user's models.

    Raises
    ------
    UserError
        There is no registry, a model in it does not hold, another model has its name, or the disk refuses.
    """
    home = _home_of(source)
    target = folder if folder is not None else user_models_dir()
    if home.resolve() == target.resolve():
        raise UserError(f"The models in {home} are installed already: this is the folder of your models.")
    cards = _wanted(source, home, only)
    for card in cards:
        Registry((card,)).verify(card)
        _check_card(card)
    with changing(target):
        known = Registry.load(user=target)
        done = tuple(_install_one(card, known, home, target) for card in cards)
        sync_folder(target)
    return done


def remove(card: ModelCard, registry: Registry, folder: Path | None = None) -> None:
    """Take one of the user's models out of the registry, then its files away.

    Raises
    ------
    UserError
        It came with the program or a plugin, it is in use, or it is not there any more.
    """
    target = folder if folder is not None else user_models_dir()
    if card.origin != "user" or card.folder.resolve() != target.resolve():
        raise UserError(f'The model "{card.identity}" came with Puncta or a plugin; only your own can be removed.')
    with changing(target):
        table = read_table(target)
        # Another window may have promoted or replaced it since the registry was read.
        now = registry.read_again(target)
        if not now.still_has(card):
            raise UserError(f'The model "{card.identity}" was removed or replaced meanwhile; look at the list again.')
        if now.is_in_use(card):
            how = (
                f"take it back with `puncta models rollback {card.plugin}` first"
                if now.promotion_of(card)
                else "promote another one first"
            )
            raise UserError(f'The model "{card.identity}" is in use by the plugin "{card.plugin}"; {how}.')
        pictures = _pictures_of(target, card.card)
        table["models"] = [m for m in table["models"] if (m.get("id"), m.get("version")) != (card.id, card.version)]
        _write_table(table, target)
        still = {name for m in table["models"] for name in (*_files_of(m), *_pictures_of(target, m["card"]))}
        for name in sorted({f.file for f in card.files} | {card.card} | pictures):
            if name not in still:
                with contextlib.suppress(OSError):  # nobody names it any more; a file that stays harms nothing
                    (target / name).unlink()
        shutil.rmtree(target / RUNS / f"{card.id}-{card.version}", ignore_errors=True)


def _home_of(source: Path) -> Path:
    if not source.exists():
        raise UserError(f"There is no {source}; name a folder with a {REGISTRY_NAME}, or a training folder.")
    home = source if source.is_dir() else source.parent
    if not (home / REGISTRY_NAME).is_file():
        alone = "an ONNX file alone does not say what it is. Name" if source.suffix == ".onnx" else "name"
        raise UserError(
            f"{home} holds no {REGISTRY_NAME}, so {alone} the folder that `puncta train --register` wrote, "
            "or a training folder."
        )
    return home


def _wanted(source: Path, home: Path, only: Sequence[str]) -> list[ModelCard]:
    cards, problems = read_registry(home, "user")
    if source.is_file() and source.name != REGISTRY_NAME:
        cards = [c for c in cards if source.resolve() in {(home / f.file).resolve() for f in c.files}]
        if not cards:
            raise UserError(f"{home / REGISTRY_NAME} names no model with the file {source.name}.")
    elif problems:
        raise UserError(problems[0])
    elif not cards:
        raise UserError(f"{home / REGISTRY_NAME} names no model.")
    return [Registry(tuple(cards)).find(name) for name in dict.fromkeys(only)] if only else cards


def _check_card(card: ModelCard) -> None:
    if not card.card_path.is_file() or not read_text(card.card_path).strip():
        raise UserError(
            f'The model "{card.identity}" has no card: {card.folder.name}/{card.card} is not there or empty. '
            "A card says what a model was made from and how well it does; write one first."
        )


def _install_one(card: ModelCard, known: Registry, home: Path, target: Path) -> Installed:
    same = next((c for c in known.cards if (c.id, c.version) == (card.id, card.version)), None)
    if same is not None:
        if same.plugin == card.plugin and {f.sha256 for f in same.files} >= {f.sha256 for f in card.files}:
            return Installed(card.identity, card.plugin, False)
        raise UserError(
            f'Another model is registered as "{card.identity}" ({same.origin}); give the new one another version.'
        )
    entry = _entry_of(card, home)
    stem = f"{card.id}-{card.version}"
    names = {card.file: f"{stem}.onnx", card.card: f"{stem}.md"}
    names.update({v.file: f"{stem}-{v.precision}.onnx" for v in card.variants})
    for file in card.files:
        _put(target / names[file.file], read_verified(card, file))
    text = read_text(card.card_path)
    # Two models may each bring a picture of the same name; under the model's own name none hides another's.
    pictures = {p: p if p.startswith(f"{stem}-") else f"{stem}-{p}" for p in set(_PICTURE.findall(text))}
    for picture, own in sorted(pictures.items()):
        if (home / picture).is_file():
            _put(target / own, (home / picture).read_bytes())
    _put(target / names[card.card], _PICTURE.sub(lambda m: f"]({pictures[m[1]]})", text).encode())
    _copy_run(home / RUNS / stem, target / RUNS / stem)
    entry = {**entry, "file": names[card.file], "card": names[card.card], "default": False}
    if "variants" in entry:
        entry["variants"] = [{**v, "file": names[v["file"]]} for v in entry["variants"]]
    table = read_table(target)
    table["models"] = [*table["models"], entry]
    _write_table(table, target)
    return Installed(card.identity, card.plugin, True)


def _entry_of(card: ModelCard, home: Path) -> dict[str, Any]:
    """The entry as it stands in the source's registry, which has been read and found sound."""
    models = tomllib.loads(read_text(home / REGISTRY_NAME))["models"]
    return dict(next(m for m in models if (m.get("id"), m.get("version")) == (card.id, card.version)))


def read_table(target: Path) -> dict[str, Any]:
    """Return a folder's registry as it stands, one without models where there is none.

    Raises
    ------
    UserError
        It is not valid TOML, or cannot be read.
    """
    path = target / REGISTRY_NAME
    if not path.exists():
        return {"version": REGISTRY_VERSION, "models": []}
    try:
        table = tomllib.loads(read_text(path))
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"The registry {path} is not valid TOML ({error}); mend it or put it aside first.") from error
    return {**table, "models": list(table.get("models", []))}


def _write_table(table: Mapping[str, Any], target: Path) -> None:
    problems = schemas.check("model-registry", table)
    if problems:
        raise UserError(f"The registry {target / REGISTRY_NAME} does not fit: {problems[0]}; mend it first.")
    write_text_atomic(target / REGISTRY_NAME, USER_HEADER + tomli_w.dumps(dict(table)))


def _files_of(entry: Mapping[str, Any]) -> tuple[str, ...]:
    return (entry["file"], entry["card"], *(v["file"] for v in entry.get("variants", ())))


def _pictures_of(folder: Path, card: str) -> set[str]:
    """Names of the pictures that a card shows; none where it cannot be read."""
    try:
        return set(_PICTURE.findall(read_text(folder / card)))
    except UserError:
        return set()


def _put(path: Path, data: bytes) -> None:
    with AtomicFile(path, binary=True) as file:
        file.write(data)


def _copy_run(run: Path, target: Path) -> None:
    """Take the training's weights and log along, so that another training can begin with them; whole or not at all."""
    if not run.is_dir() or target.exists():
        return
    beside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(beside, ignore_errors=True)
        shutil.copytree(run, beside)
        os.replace(beside, target)
    except OSError as error:
        shutil.rmtree(beside, ignore_errors=True)
        raise plain_os_error(error, target, "write") from error
