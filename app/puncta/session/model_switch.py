"""Switches the model of a plugin that runs: the new one is loaded beside it and put in its place between two frames.

Loading takes as long as it takes, on a thread of its own; the pictures go on with the old model meanwhile. A model that
cannot be loaded changes nothing.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from puncta.core.errors import UserError
from puncta.pipeline.host import HostedPlugin
from puncta.sdk.plugin import Plugin

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ModelSwitch:
    """How a switch ended.

    Attributes
    ----------
    plugin, title : str
        Id and title of the plugin.
    model, sha256 : str
        The model that it runs with now; empty without one, and where it has not been loaded yet.
    message : str
        Why nothing changed, one sentence; empty where the switch was made.
    """

    plugin: str
    title: str
    model: str
    sha256: str
    message: str = ""

    @property
    def made(self) -> bool:
        """True where the plugin runs with the model that is in use now."""
        return not self.message


class ModelSwitches:
    """Loads models for one player.

    Parameters
    ----------
    put : callable
        Takes the plugin as it is hosted now and the object that was created; called on the loading thread, once a
        switch, and never after `close`.
    on_change : callable
        Called on the loading thread when there is something to take.
    """

    def __init__(self, put: Callable[[HostedPlugin, Plugin], None], on_change: Callable[[], None]) -> None:
        self._put, self._on_change = put, on_change
        self._lock = threading.Lock()
        self._closed = False
        self._newest: dict[str, int] = {}
        self._threads: list[threading.Thread] = []
        self._done: list[ModelSwitch] = []

    def begin(self, plugins: Sequence[HostedPlugin], plugin_id: str) -> None:
        """Load a plugin anew with the model that is in use now; a newer wish for the same plugin replaces this one.

        Raises
        ------
        UserError
            There is no such plugin.
        """
        running = next((p for p in plugins if p.plugin_id == plugin_id), None)
        if running is None:
            there = ", ".join(p.plugin_id for p in plugins) or "none"
            raise UserError(f'There is no plugin "{plugin_id}" here; there are: {there}.')
        with self._lock:
            if self._closed:
                return
            number = self._newest[running.plugin_id] = self._newest.get(running.plugin_id, 0) + 1
            self._threads = [t for t in self._threads if t.is_alive()]
            thread = threading.Thread(target=self._load, args=(running, number), name="puncta-model")
            self._threads.append(thread)
            thread.start()

    def take(self) -> tuple[ModelSwitch, ...]:
        """Return what has ended since the last call."""
        with self._lock:
            done, self._done = tuple(self._done), []
        return done

    def close(self) -> None:
        """Wait for what is being loaded and drop it."""
        with self._lock:
            self._closed = True
            threads = list(self._threads)
        for thread in threads:
            thread.join()

    def _load(self, running: HostedPlugin, number: int) -> None:
        try:
            if running.rebuild is None:
                raise UserError("It has no model that could be switched.")
            new = running.rebuild()
            plugin = new.create()
        except UserError as error:
            self._tell(running, number, str(error))
        except Exception:
            log.exception("plugin %s cannot be created with another model", running.plugin_id)
            self._tell(running, number, "It could not be started with the other model; the log has the details.")
        else:
            self._take_in(new, plugin, number)

    def _take_in(self, new: HostedPlugin, plugin: Plugin, number: int) -> None:
        with self._lock:
            if wanted := self._wanted(new, number):
                self._put(new, plugin)
                self._done.append(ModelSwitch(new.plugin_id, new.title, *new.identity()))
        if wanted:
            self._on_change()
        else:
            plugin.close()

    def _tell(self, running: HostedPlugin, number: int, why: str) -> None:
        model, sha256 = running.identity()
        goes_on = f'{running.title} goes on with "{model}"' if model else f"{running.title} stays as it is"
        with self._lock:
            if wanted := self._wanted(running, number):
                text = f"{goes_on}. {why}"
                self._done.append(ModelSwitch(running.plugin_id, running.title, model, sha256, text))
        if wanted:
            self._on_change()

    def _wanted(self, spec: HostedPlugin, number: int) -> bool:
        return not self._closed and self._newest[spec.plugin_id] == number
