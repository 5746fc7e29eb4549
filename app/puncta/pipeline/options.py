"""A plugin's options while it runs: set from the window or the command line, taken over between two frames."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from typing import Any

from puncta.core.errors import UserError
from puncta.core.events import OptionStatus
from puncta.sdk.manifest import PluginManifest

log = logging.getLogger(__name__)


class PluginOptions:
    """The options of one plugin. Safe from any thread.

    Parameters
    ----------
    manifest : PluginManifest
    changes : mapping or None
        The user's changes to the manifest's defaults.
    lenient : bool
        A change that does not fit is left out and logged, for changes kept from an older version.

    Raises
    ------
    UserError
        A change names no option, or its value does not fit; not where ``lenient``.
    """

    def __init__(
        self, manifest: PluginManifest, changes: Mapping[str, Any] | None = None, *, lenient: bool = False
    ) -> None:
        self._manifest = manifest
        self._lock = threading.Lock()
        self._changes: dict[str, Any] = {}
        for name, value in (changes or {}).items():
            try:
                self.set(name, value)
            except UserError as error:
                if not lenient:
                    raise
                log.warning("%s It is left out.", error)

    def values(self) -> dict[str, Any]:
        """All options as they are now."""
        with self._lock:
            return self._manifest.merge_options(self._changes)

    def set(self, name: str, value: Any) -> bool:
        """Change one option; tell whether that changed anything.

        Raises
        ------
        UserError
            There is no such option, or the value does not fit.
        """
        with self._lock:
            changed = {**self._changes, name: value}
            merged = self._manifest.merge_options(changed)
            before = self._manifest.merge_options(self._changes)
            self._changes = changed
            return merged != before

    def forget_case(self) -> None:
        """Go back to the defaults of what belongs to one case: another one opens."""
        with self._lock:
            self._changes = {n: v for n, v in self._changes.items() if not self._manifest.options[n].per_case}

    def offers(self) -> tuple[OptionStatus, ...]:
        """What the plugin's card offers, with the values of now."""
        values = self.values()
        return tuple(
            OptionStatus(
                name, option.title or name, values[name], option.default, option.unit, option.min, option.max,
                tuple(option.choices), option.per_case,
            )
            for name, option in self._manifest.options.items()
            if option.card
        )
