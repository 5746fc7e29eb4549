"""The one way a step says that it cannot go on."""

from __future__ import annotations


class StopInstalling(Exception):
    """The user has to do something first. The message says what, in plain sentences; the exit status is 2."""
