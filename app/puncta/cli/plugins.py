"""`puncta plugins`: what is there, whether it may run, and whether it keeps the contract."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from puncta.core.errors import UserError
from puncta.inference.opener import choose_card, opener_for
from puncta.inference.registry import Registry
from puncta.inference.session import Tuning
from puncta.pipeline import consent
from puncta.pipeline.discover import Discovery, FoundPlugin, discover
from puncta.sdk.context import SessionOpener
from puncta.sdk.manifest import PluginManifest
from puncta.sdk.testing import check_plugin

NAME = "plugins"
HELP = "list, check, allow and forbid plugins"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    verbs = parser.add_subparsers(dest="plugins_verb", required=True, metavar="ACTION", title="actions")
    listing = verbs.add_parser("list", help="show the plugins that are there")
    listing.add_argument("--json", action="store_true", help="print machine-readable JSON")
    check = verbs.add_parser("check", help="run a plugin over built-in frames and check that it keeps the contract")
    check.add_argument("path", type=Path, metavar="PATH", help="the plugin's folder; its code runs")
    check.add_argument("--json", action="store_true", help="print machine-readable JSON")
    allow = verbs.add_parser("allow", help="let a plugin run that did not come with Puncta")
    allow.add_argument("id", metavar="ID")
    forbid = verbs.add_parser("forbid", help="take the permission of a plugin back")
    forbid.add_argument("id", metavar="ID")


def run(args: argparse.Namespace) -> int:
    """Run the verb and return the exit status.

    Raises
    ------
    UserError
        Wrong use or bad input.
    """
    verbs = {"list": _list, "check": _check, "allow": _allow, "forbid": _forbid}
    return verbs[args.plugins_verb](args)


def _list(args: argparse.Namespace) -> int:
    discovery = discover()
    registry = Registry.load()
    rows = [_row(found, registry) for found in discovery.found]
    if args.json:
        print(json.dumps({"plugins": rows, "problems": list(discovery.problems)}, indent=2))
        return 0
    if not rows:
        print("There are no plugins.")
    else:
        columns = ("id", "version", "origin", "consent", "model", "state")
        _print_table(columns, [[str(row[c] or "-") for c in columns] for row in rows])
    for problem in discovery.problems:
        print(f"puncta: {problem}", file=sys.stderr)
    return 0


def _row(found: FoundPlugin, registry: Registry) -> dict[str, Any]:
    if not consent.is_needed(found):
        permission = "not needed"
    elif consent.is_granted(found):
        permission = "given"
    else:
        permission = "outdated" if consent.is_outdated(found) else "missing"
    model, state = None, "ready"
    try:
        model = _model_of(found, registry)
    except UserError as error:
        model, state = found.manifest.model, str(error)
    if permission == "missing":
        state = f"needs `puncta plugins allow {found.id}`"
    elif permission == "outdated":
        state = f"changed since it was allowed; needs `puncta plugins allow {found.id}` again"
    return {
        "id": found.id,
        "title": found.manifest.title,
        "version": found.manifest.version,
        "origin": found.origin,
        "consent": permission,
        "model": model,
        "state": state,
        "folder": str(found.folder),
        "tree_sha256": found.tree_sha256,
    }


def _model_of(found: FoundPlugin, registry: Registry) -> str | None:
    """Return the identity of the model that the plugin would use, or None where it uses none."""
    registry = registry.with_plugin_models(found.folder)
    if found.manifest.model is None and not registry.for_plugin(found.id):
        return None
    return choose_card(registry, found.id, manifest_model=found.manifest.model).identity


def _check(args: argparse.Namespace) -> int:
    def open_model(manifest: PluginManifest) -> SessionOpener:
        registry = Registry.load().with_plugin_models(args.path)
        return opener_for(manifest.id, None, Tuning.deterministic(), registry, manifest.model)

    report = check_plugin(args.path, open_model)
    if args.json:
        print(json.dumps(report.as_json(), indent=2))
    else:
        print("\n".join(report.lines()))
    if not report.passed:
        name = report.plugin_id or args.path
        print(f"puncta: The plugin {name} does not keep the contract; the report says what to mend.", file=sys.stderr)
    return 0 if report.passed else 2


def _find(discovery: Discovery, plugin_id: str) -> FoundPlugin:
    return discovery.select([plugin_id])[0]


def _allow(args: argparse.Namespace) -> int:
    found = _find(discover(), args.id)
    if not consent.is_needed(found):
        print(f"{found.id} came with Puncta and needs no permission.")
        return 0
    consent.grant(found)
    manifest = found.manifest
    print(
        f"{found.id} {manifest.version} by {manifest.author} may run from {found.folder}, as long as no file changes."
    )
    if manifest.requires:
        print(f"It also imports: {', '.join(manifest.requires)}.")
    return 0


def _forbid(args: argparse.Namespace) -> int:
    # A plugin may be gone while its permission is still there, so the folder is not asked first.
    if consent.withdraw(args.id):
        print(f"{args.id} may no longer run.")
        return 0
    found = _find(discover(), args.id)
    if not consent.is_needed(found):
        raise UserError(f"{found.id} came with Puncta and has no permission to take back; leave it out with --plugins.")
    print(f"{found.id} had no permission.")
    return 0


def _print_table(columns: tuple[str, ...], rows: list[list[str]]) -> None:
    widths = [max(len(c), *(len(r[i]) for r in rows)) for i, c in enumerate(columns)]
    for row in [list(columns), *rows]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
