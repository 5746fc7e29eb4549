"""Asks the user about plugins that did not come with the program. None of their code runs before the answer."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from puncta.core.errors import UserError
from puncta.gui.i18n import tr

if TYPE_CHECKING:
    from puncta.gui.main_window import MainWindow
    from puncta.pipeline.discover import FoundPlugin


class ConsentAsker:
    """Looks for plugins in a job thread, and asks about each in a banner; to close the banner means: not now."""

    def __init__(self, window: MainWindow) -> None:
        self._window = window

    def look(self) -> None:
        """Look once; the plugins' manifests are read, their code is not."""
        self._window.jobs.run(_find, self._ask)

    def _ask(self, found: tuple[list[tuple[FoundPlugin, bool]], tuple[str, ...]]) -> None:
        waiting, problems = found
        for plugin, changed in waiting:
            words = (
                tr("The plugin {plugin} by {author} has changed since you allowed it. It waits for your consent.")
                if changed
                else tr(
                    "The plugin {plugin} by {author} is new. It can read what you can read: allow it if you trust it."
                )
            )
            text = words.format(plugin=plugin.manifest.title, author=plugin.manifest.author)
            self._window.stage.banners.say(
                f"consent-{plugin.id}", "caution", text, (tr("Allow"), partial(self._allow, plugin))
            )
        if problems:
            self._window.stage.banners.say("plugins", "caution", "  ".join(problems))

    def _allow(self, plugin: FoundPlugin) -> None:
        from puncta.pipeline.consent import grant

        def done(_none: None) -> None:
            self._window.stage.banners.hush(f"consent-{plugin.id}")
            words = tr("{plugin} is allowed. It runs when Puncta starts next.")
            self._window.status_line.say(words.format(plugin=plugin.manifest.title))

        self._window.jobs.run(partial(grant, plugin), done, self._not_kept)

    def _not_kept(self, error: Exception) -> None:
        words = str(error) if isinstance(error, UserError) else tr("The consent cannot be kept.")
        self._window.stage.banners.say("plugins", "bad", words)


def _find() -> tuple[list[tuple[FoundPlugin, bool]], tuple[str, ...]]:
    """Return the plugins that wait for consent, each with whether it was allowed in another state; and problems."""
    from puncta.pipeline.consent import is_granted, is_outdated
    from puncta.pipeline.discover import discover

    discovery = discover()
    waiting = [(found, is_outdated(found)) for found in discovery.found if not is_granted(found)]
    return waiting, discovery.problems
