"""Experiment files (TOML), of which one may extend another and say only what differs."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from puncta.core.errors import UserError
from puncta.paths import experiments_dir


def shipped_experiments() -> dict[str, Path]:
    """Experiments that ship, by name."""
    return {p.stem: p for p in sorted(experiments_dir().glob("*.toml"))}


def read_table(path: Path, below: tuple[Path, ...] = ()) -> dict[str, Any]:
    """Read the TOML of an experiment with everything that it takes over from the one it extends.

    Tables are merged; anything else, lists among it, replaces what was there.

    Raises
    ------
    UserError
        The file cannot be read, is no TOML, or extends what is not there or extends it in turn.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"The experiment {path} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"The experiment {path} is not valid TOML: {error}.") from error
    base = table.pop("extends", None)
    if base is None:
        return table
    near = path.with_name(f"{base}.toml")
    other = near if near.is_file() else shipped_experiments().get(str(base))
    if other is None or other in (path, *below):
        raise UserError(f'The experiment {path.name} extends "{base}", which is not there or extends it in turn.')
    return _merged(read_table(other, (path, *below)), table)


def _merged(base: dict[str, Any], table: dict[str, Any]) -> dict[str, Any]:
    out = {**base}
    for name, value in table.items():
        before = out.get(name)
        out[name] = _merged(before, value) if isinstance(before, dict) and isinstance(value, dict) else value
    return out
