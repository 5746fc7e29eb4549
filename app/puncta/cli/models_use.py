"""`puncta models promote|rollback|install|remove`: which models are here, and which one each plugin uses."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from puncta.core.errors import UserError
from puncta.inference.cards import REGISTRY_NAME
from puncta.inference.installing import Installed, install, remove
from puncta.inference.promotion import promote, roll_back
from puncta.session.plugins import all_models, try_model

_NOT_CLINICAL = "Simulation and training only, not for clinical use."
_TRAINING = "training.json"

PROMOTE = """\
Put a model into use: from now on its plugin takes it wherever no other is named with --model, in the window and in
'puncta run', 'record' and 'evaluate'. Its file is compared with the recorded hash and its plugin is started with it
once before anything changes. Compare it with the one in use first:

  puncta evaluate PLUGIN --data DIR --model NEW --against OLD

'puncta models rollback PLUGIN' takes the promotion back. A window that is open takes either up within seconds."""
ROLLBACK = """\
Take the newest promotion of a plugin back. The plugin then uses the model that was promoted before that one, or the
one that comes with Puncta. No model is removed; promoting it again takes one command."""
INSTALL = """\
Copy models into your models folder, after their hashes, cards and licences were checked. FOLDER is what
'puncta train --register FOLDER' wrote (it has a registry.toml), or a finished training folder. Nothing is used because
it is installed: 'puncta models promote' does that. A command that is killed leaves the registry as it was."""
REMOVE = """\
Take one of your own models away, with its files. One that is in use stays until another is promoted or its promotion
is taken back."""


def add_parsers(verbs: Any) -> None:
    """Add the actions to those of `puncta models`."""
    promoting = _add(verbs, "promote", "put a model into use for its plugin", PROMOTE)
    promoting.add_argument("id", metavar="ID[@VERSION]", help="the model; without a version its newest")
    back = _add(verbs, "rollback", "take the newest promotion of a plugin back", ROLLBACK)
    back.add_argument("plugin", metavar="PLUGIN", help="for example needle-tip")
    putting = _add(verbs, "install", "copy models into your models folder, without using them yet", INSTALL)
    putting.add_argument("source", metavar="FOLDER", type=Path,
                         help="a folder with registry.toml, a model's file in it, or a finished training folder")
    putting.add_argument("--only", metavar="ID[@VERSION]", action="append", default=[],
                         help="only this model of the folder (may be given several times)")
    removing = _add(verbs, "remove", "take one of your own models away", REMOVE)
    removing.add_argument("id", metavar="ID@VERSION", help="the model, with its version")


def _add(verbs: Any, name: str, words: str, text: str) -> argparse.ArgumentParser:
    return verbs.add_parser(name, help=words, description=text, epilog=_NOT_CLINICAL,
                            formatter_class=argparse.RawDescriptionHelpFormatter)


def run_promote(args: argparse.Namespace) -> int:
    """Put a model into use."""
    registry = all_models()
    card = registry.find(args.id)
    before = registry.used_by(card.plugin)
    registry.verify(card)
    if not registry.is_in_use(card):
        try_model(card)
    promotion = promote(registry, card)
    instead = f' instead of "{before.identity}"' if before is not None else ""
    print(f'{card.plugin} now uses "{promotion.model}"{instead}.')
    if card.simulated:
        print("It was trained on simulated pictures.")
    print(f"Take that back with: puncta models rollback {card.plugin}")
    return 0


def run_rollback(args: argparse.Namespace) -> int:
    """Take a promotion back."""
    registry = all_models()
    plugins = sorted({card.plugin for card in registry.cards})
    if args.plugin not in plugins and args.plugin not in registry.promotions:
        raise UserError(f'There is no plugin "{args.plugin}" with a model; there are: {", ".join(plugins)}.')
    taken = registry.promotions.get(args.plugin, ())
    card = roll_back(registry, args.plugin)
    again = all_models().promotion_of(card)
    why = f"promoted {again.at_utc}" if again else "the standard one"
    print(f'{args.plugin} uses "{card.identity}" again ({why}); "{taken[-1].model}" is not used any more.')
    return 0


def run_install(args: argparse.Namespace) -> int:
    """Copy models into the user's folder."""
    source = args.source
    if source.name == _TRAINING:
        source = source.parent
    if (source / _TRAINING).is_file() and not (source / REGISTRY_NAME).is_file():
        with tempfile.TemporaryDirectory(prefix="puncta-install-") as made:
            done = install(_registered(source, Path(made) / source.resolve().name), args.only)
    else:
        done = install(source, args.only)
    for one in done:
        _say_installed(one)
    return 0


def run_remove(args: argparse.Namespace) -> int:
    """Take a model away."""
    registry = all_models()
    if "@" not in args.id.replace(" ", "@"):
        raise UserError(f'Name the version too, so that no other one goes: "{args.id}@VERSION".')
    card = registry.find(args.id)
    remove(card, registry)
    print(f'"{card.identity}" is removed.')
    return 0


def _say_installed(one: Installed) -> None:
    model_id = one.identity.replace(" ", "@")
    if one.new:
        print(f'"{one.identity}" is installed for {one.plugin}. It is not used yet; puncta models promote {model_id}')
    else:
        print(f'"{one.identity}" is here already, with the same file.')


def _registered(training: Path, models: Path) -> Path:
    """Make a models folder of a training folder, with its card."""
    try:
        from puncta.training.register import register_training
    except ImportError as error:
        raise UserError(
            f"{training} is a training folder, and reading one needs what training needs, which is not installed "
            "here; install the folder that `puncta train --register` wrote."
        ) from error
    register_training(training, models)
    return models
