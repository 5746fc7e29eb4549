"""Two kinds of failure: what the user can mend, and what we have to mend."""

from __future__ import annotations


class PunctaError(Exception):
    """Base of all errors raised on purpose."""


class UserError(PunctaError):
    """The input, the call or the environment is wrong.

    The message is one plain sentence that says what is wrong and what to do. The command line prints it and
    exits with status 2; the window shows it in a banner. Never shown with a traceback.
    """


class BugError(PunctaError):
    """Our own fault. Logged with its traceback; the user gets a kind message and exit status 1."""


class SourceError(UserError):
    """A source cannot be opened or read any further."""


class SourceLost(SourceError):
    """A live source went away; the hub may try to reconnect."""
